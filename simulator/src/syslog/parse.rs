//! Reads a message as QRadar does, and says what is wrong with it: header (RFC 3164 or IBM's RFC 5424), log source
//! identifier, LEEF 2.0.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A message that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Facility · 8 + severity.
    pub priority: u8,
    /// The header's time as it stands there.
    pub time: String,
    /// The header's host: the log source identifier.
    pub host: String,
    /// What follows the header.
    pub payload: String,
    /// The parts of a LEEF line, where it is one.
    pub leef: Option<Leef>,
}

/// The parts of a LEEF 2.0 line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leef {
    /// Who wrote the log.
    pub vendor: String,
    /// Which log.
    pub product: String,
    /// Free text.
    pub version: String,
    /// What happened: the key of QRadar's map of events.
    pub event_id: String,
    /// The attributes; a key stands once.
    pub attributes: BTreeMap<String, String>,
}

/// Takes a message apart.
///
/// # Errors
/// What QRadar would not understand.
pub fn parse(message: &[u8]) -> Result<Parsed, String> {
    let text = std::str::from_utf8(message).map_err(|error| format!("not UTF-8: {error}"))?;
    if let Some(control) = text.chars().find(|letter| matches!(letter, '\n' | '\r' | '\0')) {
        return Err(format!("{control:?} in the message"));
    }
    let (priority, rest) = priority(text)?;
    let (time, rest) = match rest.strip_prefix("1 ") {
        Some(rest) => time_5424(rest)?,
        None => time_3164(rest)?,
    };
    let (host, rest) = rest.split_once(' ').ok_or("nothing stands behind the time")?;
    identifier(host)?;
    let payload = rest.strip_prefix("- - - - ").unwrap_or(rest);
    let leef = match payload.split_once(':') {
        Some(("LEEF", _)) => Some(leef(payload)?),
        _ if payload.starts_with('{') => {
            serde_json::from_str::<serde_json::Value>(payload)
                .map_err(|error| format!("not JSON: {error}"))?;
            None
        }
        _ => return Err(format!("neither LEEF nor JSON: {payload:?}")),
    };
    Ok(Parsed { priority, time: time.to_owned(), host: host.to_owned(), payload: payload.to_owned(), leef })
}

fn priority(text: &str) -> Result<(u8, &str), String> {
    let (digits, rest) =
        text.strip_prefix('<').and_then(|text| text.split_once('>')).ok_or("no priority in front")?;
    let number = digits.parse::<u8>().ok().filter(|number| *number <= 191);
    let number = number.ok_or_else(|| format!("{digits:?} is no priority"))?;
    if number.to_string() != digits {
        return Err(format!("priority {digits:?} is not written as it must be"));
    }
    Ok((number, rest))
}

/// `yyyy-MM-ddTHH:mm:ss.SSSZ`, or an offset instead of Z.
fn time_5424(rest: &str) -> Result<(&str, &str), String> {
    let (time, rest) = rest.split_once(' ').ok_or("no time")?;
    let read = chrono::DateTime::parse_from_rfc3339(time);
    if read.is_err()
        || !time.is_ascii()
        || time.as_bytes().get(10) != Some(&b'T')
        || time.contains(['t', 'z'])
    {
        return Err(format!("{time:?} is no time of RFC 5424"));
    }
    Ok((time, rest))
}

/// `MMM dd HH:mm:ss`, the day with a blank in front of a single digit.
fn time_3164(rest: &str) -> Result<(&str, &str), String> {
    let (time, rest) = rest.split_at_checked(15).ok_or("no time")?;
    let wrong = || format!("{time:?} is no time of RFC 3164");
    // 2000 was a leap year: every day is in it.
    let read = chrono::NaiveDateTime::parse_from_str(&format!("2000 {time}"), "%Y %b %e %H:%M:%S");
    let read = read.map_err(|_| wrong())?;
    if read.format("%b %e %H:%M:%S").to_string() != time {
        return Err(wrong());
    }
    Ok((time, rest.strip_prefix(' ').ok_or_else(wrong)?))
}

/// A host that QRadar takes as log source identifier. For any other it takes the packet's address.
fn identifier(host: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if host.is_empty() || host.len() > 255 || !host.bytes().all(legal) {
        return Err(format!("{host:?} is no log source identifier"));
    }
    Ok(())
}

fn leef(line: &str) -> Result<Leef, String> {
    let parts: Vec<&str> = line.splitn(7, '|').collect();
    let [version_of_leef, vendor, product, version, event_id, delimiter, attributes] = parts.as_slice()
    else {
        return Err(format!("{} parts instead of seven: {line:?}", parts.len()));
    };
    if *version_of_leef != "LEEF:2.0" {
        return Err(format!("{version_of_leef:?} is not LEEF 2.0"));
    }
    for (name, part) in
        [("vendor", vendor), ("product", product), ("version", version), ("event id", event_id)]
    {
        if part.is_empty() || part.chars().any(char::is_control) {
            return Err(format!("{part:?} is no {name}"));
        }
    }
    if event_id.chars().count() > 255 {
        return Err("the event id has more than 255 characters".to_owned());
    }
    let delimiter = self::delimiter(delimiter)?;
    let mut found = BTreeMap::new();
    for pair in attributes.split(delimiter) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} has no key"))?;
        if key.is_empty() || !key.chars().all(|letter| letter.is_ascii_alphanumeric()) {
            return Err(format!("{key:?} is no key"));
        }
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(format!("{value:?} is no value of {key}"));
        }
        typed(key, value)?;
        if found.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("{key} stands twice"));
        }
    }
    let [vendor, product, version, event_id] =
        [vendor, product, version, event_id].map(|part| (*part).to_owned());
    Ok(Leef { vendor, product, version, event_id, attributes: found })
}

/// One character, or its number in hexadecimal; nothing means tab.
fn delimiter(field: &str) -> Result<char, String> {
    let hex =
        field.strip_prefix("0x").or_else(|| field.strip_prefix('x')).filter(|digits| !digits.is_empty());
    let wrong = || format!("{field:?} is no delimiter");
    if let Some(digits) = hex {
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() <= 4);
        return number.and_then(char::from_u32).ok_or_else(wrong);
    }
    let mut letters = field.chars();
    match (letters.next(), letters.next()) {
        (None, _) => Ok('\t'),
        (Some(one), None) => Ok(one),
        _ => Err(wrong()),
    }
}

/// The keys that QRadar reads into its own columns have types.
fn typed(key: &str, value: &str) -> Result<(), String> {
    let number = || value.parse::<u64>().ok();
    let right = match key {
        "sev" => number().is_some_and(|sev| (1..=10).contains(&sev)),
        "src" | "dst" | "identSrc" | "vSrc" => value.parse::<IpAddr>().is_ok(),
        "srcPort" | "dstPort" => number().is_some_and(|port| port <= 65_535),
        "devTime" => number().is_some() && matches!(value.len(), 10 | 13),
        "usrName" | "accountName" | "identHostName" => value.chars().count() <= 255,
        // Reserved.
        "isLoginEvent" | "isLogoutEvent" => false,
        _ => true,
    };
    if right { Ok(()) } else { Err(format!("{value:?} is no {key}")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const LEEF: &str =
        "LEEF:2.0|Okta|Okta|1.0|user.session.start|x09|devTime=1768471200123\tsev=3\tusrName=a=b";

    #[test]
    fn all_three_headers_are_read() {
        for head in [
            "<109>1 2026-01-15T10:00:00.123Z okta-acme ",
            "<109>1 2026-01-15T10:00:00.123+02:00 okta-acme ",
            "<109>1 2026-01-15T10:00:00.123Z okta-acme - - - - ",
            "<109>Jan 15 10:00:00 okta-acme ",
            "<109>Feb 29 10:00:00 okta-acme ",
            "<109>Jan  5 10:00:00 okta-acme ",
        ] {
            let parsed = parse(format!("{head}{LEEF}").as_bytes()).unwrap();
            assert_eq!((parsed.priority, parsed.host.as_str()), (109, "okta-acme"), "{head}");
            let leef = parsed.leef.unwrap();
            assert_eq!(leef.event_id, "user.session.start");
            assert_eq!(leef.attributes.get("usrName").unwrap(), "a=b");
            let json = parse(format!("{head}{{\"a\":1}}").as_bytes()).unwrap();
            assert_eq!((json.payload.as_str(), json.leef), ("{\"a\":1}", None));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let line = |head: &str, from: &str, to: &str| format!("{head}{}", LEEF.replace(from, to));
        let good = "<109>1 2026-01-15T10:00:00.123Z okta-acme ";
        for (message, what) in [
            (line("", "", ""), "priority"),
            (line("<192>1 2026-01-15T10:00:00Z a ", "", ""), "priority"),
            (line("<013>1 2026-01-15T10:00:00Z a ", "", ""), "priority"),
            (line("<13>1 2026-01-15 10:00:00Z a ", "", ""), "RFC 5424"),
            (line("<13>Jan 5 10:00:00 a ", "", ""), "RFC 3164"),
            (line("<13>Jan 05 10:00:00 a ", "", ""), "RFC 3164"),
            (line("<13>1 2026-01-15T10:00:00Z a_b ", "", ""), "identifier"),
            (line("<13>1 2026-01-15T10:00:00Z 2001:db8::1 ", "", ""), "identifier"),
            (line("<13>1 2026-01-15T10:00:00Z  ", "", ""), "identifier"),
            (line("<13>1 2026-01-15T10:00:00Z a b ", "", ""), "neither"),
            (line(good, "LEEF:2.0", "LEEF:1.0"), "LEEF 2.0"),
            (line(good, "|x09", ""), "parts"),
            (line(good, "x09", "x0G"), "delimiter"),
            (line(good, "user.session.start", ""), "event id"),
            (line(good, "sev=3", "sev=11"), "sev"),
            (line(good, "sev=3", "src=nobody"), "src"),
            (line(good, "sev=3", "devTime=1"), "devTime"),
            (line(good, "sev=3", "my key=1"), "key"),
            (line(good, "sev=3", "key"), "no key"),
            (line(good, "sev=3", "usrName=b"), "twice"),
            (line(good, "sev=3", "a="), "value"),
            (line(good, "sev=3", "a=\u{1}"), "value"),
            (line(good, "sev=3", "a=b\nc"), "in the message"),
            (format!("{good}{{\"a\":"), "JSON"),
        ] {
            let why = parse(message.as_bytes()).unwrap_err();
            assert!(why.contains(what), "{message:?}: {why}");
        }
        parse(b"<13>1 2026-01-15T10:00:00Z a \xff").unwrap_err();
    }
}
