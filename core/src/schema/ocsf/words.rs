//! Ids and captions of enumerations that are not a class's, and what vendors' words are among them.

use crate::event::{ActorKind, Ending, Factor, RiskLevel, Said, TargetKind};

/// A value of an enumeration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id {
    pub(super) number: u16,
    /// The id and its caption as two members, ready to be written; without a caption the second one's value is missing.
    pub(super) members: &'static str,
    /// The caption in its quotes; where there is none, the vendor's own word belongs there.
    pub(super) caption: Option<&'static str>,
}

/// `id!("type", 1, "User")`, or without a caption.
macro_rules! id {
    ($name:literal, $id:literal, $caption:literal) => {
        Id {
            number: $id,
            members: concat!(",\"", $name, "_id\":", $id, ",\"", $name, "\":\"", $caption, "\""),
            caption: Some(concat!("\"", $caption, "\"")),
        }
    };
    ($name:literal, $id:literal) => {
        Id { number: $id, members: concat!(",\"", $name, "_id\":", $id, ",\"", $name, "\":"), caption: None }
    };
}

/// `type_id`, where it is none of the enumeration's.
pub(super) const OTHER_TYPE: Id = id!("type", 99);

/// `status_id`, where the vendor's word is none of the enumeration's.
pub(super) const OTHER_STATUS: Id = id!("status", 99);

/// `status_id` of a finding that nobody has looked into.
pub(super) const NEW: Id = id!("status", 1, "New");

/// `status_id` of a finding that is closed.
pub(super) const RESOLVED: Id = id!("status", 4, "Resolved");

/// `factor_type_id`
pub(super) const fn factor(factor: Factor) -> Id {
    match factor {
        Factor::Sms => id!("factor_type", 1, "SMS"),
        Factor::Question => id!("factor_type", 2, "Security Question"),
        Factor::Call => id!("factor_type", 3, "Phone Call"),
        Factor::Push => id!("factor_type", 5, "Push Notification"),
        Factor::HardwareToken => id!("factor_type", 6, "Hardware Token"),
        Factor::Totp | Factor::Hotp | Factor::Otp => id!("factor_type", 7, "OTP"),
        Factor::Email => id!("factor_type", 8, "Email"),
        Factor::U2f => id!("factor_type", 9, "U2F"),
        Factor::WebAuthn => id!("factor_type", 10, "WebAuthn"),
        Factor::Password => id!("factor_type", 11, "Password"),
        Factor::Device | Factor::Delegated | Factor::Certificate | Factor::RecoveryCode | Factor::Other => {
            id!("factor_type", 99)
        }
    }
}

/// `auth_protocol_id`: by the vendors' words for protocols, grants and ways to sign in.
pub(super) fn protocol(word: &str) -> Id {
    let plain: [u8; 24] = squeezed(word);
    let plain = plain.split(|byte| *byte == 0).next().unwrap_or_default();
    let said = Said::new(std::str::from_utf8(plain).unwrap_or_default());
    let has = |part| said.has(part);
    if has("saml") {
        id!("auth_protocol", 5, "SAML")
    } else if has("openid") || has("oidc") {
        id!("auth_protocol", 4, "OpenID")
    } else if has("oauth")
        || has("devicecode")
        || has("ropc")
        || has("clientcredential")
        || has("refreshtoken")
        || has("authorizationcode")
        || has("prt")
    {
        id!("auth_protocol", 6, "OAUTH 2.0")
    } else if has("kerberos") || has("seamlesssso") {
        id!("auth_protocol", 2, "Kerberos")
    } else if has("radius") {
        id!("auth_protocol", 10, "RADIUS")
    } else if has("ldap") {
        id!("auth_protocol", 12, "LDAP")
    } else if has("ntlm") {
        id!("auth_protocol", 1, "NTLM")
    } else if has("basicauth") {
        id!("auth_protocol", 11, "Basic Authentication")
    } else {
        id!("auth_protocol", 99)
    }
}

/// Small letters and digits alone, as many as fit.
fn squeezed<const N: usize>(word: &str) -> [u8; N] {
    let mut plain = [0; N];
    let letters = word.bytes().filter(u8::is_ascii_alphanumeric);
    for (to, from) in plain.iter_mut().zip(letters) {
        *to = from.to_ascii_lowercase();
    }
    plain
}

/// `os.type_id`
pub(super) fn os(word: &str) -> Id {
    let begins = |name: &str| word.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    if begins("windows phone") || begins("windows mobile") {
        id!("type", 101, "Windows Mobile")
    } else if begins("windows") {
        id!("type", 100, "Windows")
    } else if begins("android") {
        id!("type", 201, "Android")
    } else if begins("mac") || begins("os x") {
        id!("type", 300, "macOS")
    } else if begins("ipados") {
        id!("type", 302, "iPadOS")
    } else if begins("ios") || begins("iphone") {
        id!("type", 301, "iOS")
    } else if begins("linux") || begins("ubuntu") {
        id!("type", 200, "Linux")
    } else {
        id!("type", 99)
    }
}

/// `type_id` of a device: by the vendor's word for its sort, or by its operating system where that runs on one sort only.
pub(super) fn device(sort: &str, os: &str) -> Id {
    let is = |name: &str| sort.eq_ignore_ascii_case(name);
    if is("computer") || is("desktop") {
        id!("type", 2, "Desktop")
    } else if is("laptop") {
        id!("type", 3, "Laptop")
    } else if is("tablet") || is("ipad") {
        id!("type", 4, "Tablet")
    } else if is("mobile") || is("phone") || is("iphone") || is("android") || is("ios") {
        id!("type", 5, "Mobile")
    } else if is("virtual") {
        id!("type", 6, "Virtual")
    } else if matches!(self::os(os).number, 101 | 201 | 301) {
        id!("type", 5, "Mobile")
    } else {
        id!("type", 0, "Unknown")
    }
}

/// `type_id` of a user.
pub(super) fn user(kind: ActorKind, word: &str) -> Id {
    match kind {
        ActorKind::User if word.eq_ignore_ascii_case("admin") => id!("type", 2, "Admin"),
        ActorKind::User => id!("type", 1, "User"),
        ActorKind::System => id!("type", 3, "System"),
        ActorKind::Service => id!("type", 4, "Service"),
        ActorKind::Agent | ActorKind::Address => id!("type", 99),
        ActorKind::Unknown if word.is_empty() => id!("type", 0, "Unknown"),
        ActorKind::Unknown => id!("type", 99),
    }
}

/// `type_id` of a managed entity.
pub(super) const fn entity(kind: TargetKind) -> Id {
    match kind {
        TargetKind::Device => id!("type", 1, "Device"),
        TargetKind::User | TargetKind::AppUser => id!("type", 2, "User"),
        TargetKind::Group => id!("type", 3, "Group"),
        TargetKind::Policy => id!("type", 5, "Policy"),
        TargetKind::App
        | TargetKind::Role
        | TargetKind::Factor
        | TargetKind::Token
        | TargetKind::File
        | TargetKind::Other => id!("type", 99),
    }
}

/// What a target is, for people; where the vendor has no word for it.
pub(super) const fn target(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::User => "User",
        TargetKind::AppUser => "Application User",
        TargetKind::Group => "Group",
        TargetKind::App => "Application",
        TargetKind::Role => "Role",
        TargetKind::Policy => "Policy",
        TargetKind::Factor => "Factor",
        TargetKind::Device => "Device",
        TargetKind::Token => "Token",
        TargetKind::File => "File",
        TargetKind::Other => "Object",
    }
}

/// `risk_level_id`
pub(super) const fn risk(level: RiskLevel) -> Id {
    match level {
        RiskLevel::None => id!("risk_level", 0, "Info"),
        RiskLevel::Low => id!("risk_level", 1, "Low"),
        RiskLevel::Medium => id!("risk_level", 2, "Medium"),
        RiskLevel::High => id!("risk_level", 3, "High"),
        RiskLevel::Critical => id!("risk_level", 4, "Critical"),
    }
}

/// `severity_id`, by [`Event::gravity`](crate::event::Event::gravity).
pub(super) const fn severity(gravity: u8) -> Id {
    match gravity {
        1 => id!("severity", 1, "Informational"),
        2 => id!("severity", 2, "Low"),
        3 => id!("severity", 3, "Medium"),
        4 => id!("severity", 4, "High"),
        5 => id!("severity", 5, "Critical"),
        _ => id!("severity", 0, "Unknown"),
    }
}

/// `logon_type_id`: of somebody, or of a program in somebody's name, for which there is none.
pub(super) const fn logon(background: bool) -> Id {
    if background { id!("logon_type", 99) } else { id!("logon_type", 3, "Network") }
}

/// `type_id` of a file, by the vendor's word for its sort.
pub(super) fn file(word: Option<&str>) -> Id {
    match word {
        None => id!("type", 0, "Unknown"),
        Some("folder") => id!("type", 2, "Folder"),
        Some("shared_drive" | "team_drive") => id!("type", 99),
        Some(_) => id!("type", 1, "Regular File"),
    }
}

/// `status_id` of everything but findings, and the word for what is neither success nor failure.
pub(super) const fn status(ending: Ending) -> (Id, &'static str) {
    match ending {
        Ending::Success | Ending::Allowed => (id!("status", 1, "Success"), ""),
        Ending::Failure | Ending::Denied | Ending::Limited | Ending::Abandoned => {
            (id!("status", 2, "Failure"), "")
        }
        Ending::Challenge => (id!("status", 99), "Challenge"),
        Ending::Interrupted => (id!("status", 99), "Interrupted"),
        Ending::Pending => (id!("status", 99), "Pending"),
        Ending::Unknown => (id!("status", 0, "Unknown"), ""),
    }
}

/// `action_id` and `disposition_id`, where a policy decided.
pub(super) const fn decision(ending: Ending) -> Option<&'static str> {
    match ending {
        Ending::Allowed => {
            Some(",\"action_id\":1,\"action\":\"Allowed\",\"disposition_id\":1,\"disposition\":\"Allowed\"")
        }
        Ending::Denied | Ending::Limited => {
            Some(",\"action_id\":2,\"action\":\"Denied\",\"disposition_id\":2,\"disposition\":\"Blocked\"")
        }
        Ending::Challenge => Some(
            ",\"action_id\":3,\"action\":\"Observed\",\"disposition_id\":23,\"disposition\":\"Challenge\"",
        ),
        _ => None,
    }
}

/// `status_id` of a finding, by the vendors' words for how far somebody has looked into it.
pub(super) fn finding_status(word: &str) -> Option<Id> {
    Some(match word {
        "atRisk" | "NOT_STARTED" | "new" => NEW,
        "confirmedCompromised" | "IN_PROGRESS" => id!("status", 2, "In Progress"),
        "remediated" | "dismissed" | "confirmedSafe" | "CLOSED" | "processed" => RESOLVED,
        _ => return None,
    })
}

/// An address that the type `email_t` takes.
pub(super) fn is_email(text: &str) -> bool {
    let fits = |text: &[u8], part: u8| {
        !text.is_empty()
            && text.iter().fold(part, |fits, &byte| fits & PARTS.get(usize::from(byte)).copied().unwrap_or(0))
                != 0
    };
    let Some(at) = memchr::memchr(b'@', text.as_bytes()) else { return false };
    let (name, domain) = text.as_bytes().split_at(at);
    let domain = domain.get(1..).unwrap_or_default();
    let Some(dot) = memchr::memchr(b'.', domain) else { return false };
    let (host, rest) = domain.split_at(dot);
    fits(name, NAME) && fits(host, HOST) && fits(rest.get(1..).unwrap_or_default(), REST)
}

/// The part of an address before its sign, as a bit.
const NAME: u8 = 1;
/// That before the first dot behind it.
const HOST: u8 = 2;
/// That behind the dot.
const REST: u8 = 4;

/// In which parts of an address a byte may stand.
const PARTS: [u8; 256] = {
    let mut all = [0; 256];
    let (mut rest, mut byte): (&mut [u8], u8) = (&mut all, 0);
    while let Some((place, after)) = rest.split_first_mut() {
        *place = match byte {
            _ if byte.is_ascii_alphanumeric() => NAME | HOST | REST,
            b'-' => NAME | HOST | REST,
            b'.' => NAME | REST,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'/' | b'=' | b'?' | b'^'..=b'`' | b'{'..=b'~' => NAME,
            _ => 0,
        };
        byte = byte.wrapping_add(1);
        rest = after;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::is_email;

    #[test]
    fn takes_the_addresses_that_the_type_takes() {
        for address in ["pat@example.com", "a.b!#$%&'*+-/=?^_`{|}~@ex-ample.co.uk", "1@2.3"] {
            assert!(is_email(address), "{address}");
        }
        for other in [
            "",
            "pat",
            "@example.com",
            "pat@",
            "pat@example",
            "pat@.com",
            "pat@example.",
            "p t@example.com",
            "p(t@example.com",
            "pat@exa_mple.com",
            "pat@example.c@m",
            "pät@example.com",
            "\"p\"@example.com",
            "p,t@example.com",
        ] {
            assert!(!is_email(other), "{other}");
        }
    }
}
