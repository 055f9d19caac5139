//! A System Log record becomes an event. Pure.
//!
//! No member is taken for granted, whatever its type: what does not fit reads as absent. Members are walked once, in the
//! record's order.

use super::event_types;
use super::fields::TABLE;
use std::borrow::Cow;
use std::collections::HashMap;
use tidegate_core::event::{
    Account, Actor, ActorKind, Answer, Change, Changes, Class, Deed, Emit, Ending, Event, Factor, Geo, Kind,
    Mfa, Network, Next, Outcome, Risk, RiskLevel, Said, Severity, Target, TargetKind, Texts, integer,
    is_email, is_ip, known, location, lower_case, opened, pairs, parse_time, text, truth, word,
};
use tidegate_core::json::{Holder, Kind as Json, Text, Value};
use tidegate_core::source::{Identity, NormalizeError};

/// Id and time of a record: `uuid` and `published`, neither of which ever changes.
#[must_use]
pub fn identity<'r>(record: Value<'_, 'r>) -> Identity<'r> {
    Identity {
        id: record.get("uuid").and_then(known).map(Text::into_cow),
        time: record.get("published").and_then(time),
    }
}

fn time(value: Value<'_, '_>) -> Option<chrono::DateTime<chrono::Utc>> {
    value.as_text()?.read(parse_time)
}

/// Turns a record into its event.
///
/// # Errors
/// The record is no object.
pub fn normalize<'r>(record: Value<'r, 'r>, emit: &mut Emit<'_, 'r>) -> Result<(), NormalizeError> {
    NormalizeError::unless_object(record)?;
    let mut event = Event::new(record, &TABLE);
    let mut debug = Debug::default();
    for (key, value) in record.members() {
        let Some(key) = key.as_plain() else { continue };
        match key {
            "uuid" => event.id = known(value),
            "published" => {
                event.time = time(value);
                event.written = text(value);
            }
            "eventType" => event.kind.action = text(value),
            "severity" => event.severity = severity(value),
            "displayMessage" => event.message = text(value),
            "outcome" => event.outcome = outcome(value),
            "actor" => event.actor = actor(value),
            "client" => client(value, &mut event),
            "securityContext" => security(value, &mut event),
            "authenticationContext" => authentication(value, &mut event),
            "debugContext" => debug = debug_data(value),
            "transaction" => transaction(value, &mut event),
            "request" => event.source.via = via(value),
            "target" => targets(value, &mut event, &mut debug),
            "device" => device(value, &mut event),
            _ => {}
        }
    }
    classify(&mut event.kind);
    if event.kind.class == Class::Access {
        // Roles are no targets but words beside them.
        event.targets.extend(debug.privileges.iter().flat_map(listed).map(|name| Target {
            kind: TargetKind::Role,
            word: None,
            account: Account { full_name: Some(name), ..Account::default() },
        }));
    }
    if let Some(target) = event.targets.iter().find(|target| target.kind == TargetKind::App) {
        event.app.id = target.account.id.clone();
        event.app.name = target.account.full_name.clone().or_else(|| target.account.name.clone());
    }
    event.mfa = mfa(&event.kind, &event.outcome, &debug);
    event.session.protocol = debug.sign_on_mode;
    event.transaction.path = debug.request_uri;
    risk(&mut event.risk, debug.risk);
    emit(&mut event, Next::Nothing);
    Ok(())
}

fn classify(kind: &mut Kind<'_>) {
    let Some(action) = &kind.action else { return };
    let meaning = event_types::find(&action.decode());
    kind.class = meaning.class;
    kind.activity = meaning.activity;
    kind.categories = meaning.categories;
    kind.types = meaning.types;
    kind.alert = meaning.alert;
}

fn severity(value: Value<'_, '_>) -> Option<Severity> {
    match value.as_text()?.as_plain()? {
        "DEBUG" => Some(Severity::Debug),
        "INFO" => Some(Severity::Info),
        "WARN" => Some(Severity::Warning),
        "ERROR" => Some(Severity::Error),
        _ => None,
    }
}

fn outcome<'r>(value: Value<'_, 'r>) -> Outcome<'r> {
    let mut outcome = Outcome::default();
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("result") => outcome.word = text(value),
            Some("reason") => outcome.reason = text(value),
            _ => {}
        }
    }
    outcome.result = match outcome.word.as_ref().and_then(Text::as_plain) {
        Some("SUCCESS") => Ending::Success,
        Some("ALLOW") => Ending::Allowed,
        Some("FAILURE") => Ending::Failure,
        Some("DENY") => Ending::Denied,
        Some("CHALLENGE") => Ending::Challenge,
        Some("SKIPPED" | "DEFERRED" | "SCHEDULED") => Ending::Pending,
        Some("ABANDONED" | "UNANSWERED") => Ending::Abandoned,
        Some("RATE_LIMIT") => Ending::Limited,
        _ => Ending::Unknown,
    };
    outcome
}

/// What actor and targets have in common.
struct Named<'r> {
    word: Option<Text<'r>>,
    account: Account<'r>,
}

fn named<'r>(member: &str, value: Value<'_, 'r>, named: &mut Named<'r>) {
    match member {
        "id" => named.account.id = known(value),
        "type" => named.word = text(value),
        "alternateId" => named.account.name = known(value),
        "displayName" => named.account.full_name = known(value),
        _ => {}
    }
}

fn actor<'r>(value: Value<'_, 'r>) -> Actor<'r> {
    let mut found = Named { word: None, account: Account::default() };
    for (key, value) in value.members() {
        if let Some(key) = key.as_plain() {
            named(key, value, &mut found);
        }
    }
    let Named { word, mut account } = found;
    account.email = account.name.clone().filter(is_email);
    let kind = match word.as_ref().map(Text::decode).as_deref() {
        Some("User") => ActorKind::User,
        Some("SystemPrincipal") => ActorKind::System,
        Some("IP address") => ActorKind::Address,
        Some("AIAgent" | "AI_AGENT" | "AiAgent" | "AI Agent") => ActorKind::Agent,
        Some(other) if other.contains("Client") || other.contains("App") => ActorKind::Service,
        _ => ActorKind::Unknown,
    };
    Actor { kind, word, account, ..Actor::default() }
}

fn target_kind(word: &str) -> TargetKind {
    match word {
        "User" => TargetKind::User,
        "AppUser" => TargetKind::AppUser,
        "UserGroup" => TargetKind::Group,
        "AppInstance" => TargetKind::App,
        "ROLE" | "Role" | "CustomRole" => TargetKind::Role,
        "Rule" | "PolicyRule" | "PolicyEntity" | "Policy" => TargetKind::Policy,
        "AuthenticatorEnrollment" | "Authenticator" | "Factor" => TargetKind::Factor,
        "UDDevice" | "Device" => TargetKind::Device,
        "Token" | "access_token" | "refresh_token" | "id_token" => TargetKind::Token,
        _ => TargetKind::Other,
    }
}

fn targets<'r>(value: Value<'_, 'r>, event: &mut Event<'r>, debug: &mut Debug<'r>) {
    event.targets.clear();
    // One where a list was expected is still a target.
    let alone = (value.kind() == Json::Object).then_some(value);
    for element in value.elements().chain(alone) {
        let mut found = Named { word: None, account: Account::default() };
        let mut detail = None;
        let before = event.changes.len();
        for (key, value) in element.members() {
            match key.as_plain() {
                Some("detailEntry") => detail = Some(value),
                Some("changeDetails") => changes(value, event.targets.len(), &mut event.changes),
                Some(key) => named(key, value, &mut found),
                None => {}
            }
        }
        let Named { word, mut account } = found;
        let kind = word.as_ref().and_then(Text::as_plain).map_or(TargetKind::Other, target_kind);
        if kind == TargetKind::User {
            account.email = account.name.clone().filter(is_email);
        }
        if let Some(detail) = detail {
            for (key, value) in detail.members() {
                match key.as_plain() {
                    Some("methodTypeUsed") => debug.method = known(value),
                    Some("methodUsedVerifiedProperties") => debug.properties = word_list(value),
                    Some("policyRuleFactorMode") => debug.factor_mode = known(value),
                    _ => {}
                }
            }
        }
        if kind == TargetKind::Factor && debug.authenticator.is_none() {
            debug.authenticator = account.full_name.clone();
        }
        if word.is_some() || account.id.is_some() || account.name.is_some() || account.full_name.is_some() {
            event.targets.push(Target { kind, word, account });
        } else {
            // Of nothing that has a name.
            event.changes.iter_mut().skip(before).for_each(|change| change.of = Some(usize::MAX));
        }
    }
}

/// A list of words, or a text that names them: only searched, never shown.
fn word_list<'r>(value: Value<'_, 'r>) -> Option<Text<'r>> {
    match value.kind() {
        Json::String => text(value),
        Json::Array => Some(Text::spelled(value.raw())),
        _ => None,
    }
}

fn changes<'r>(value: Value<'_, 'r>, of: usize, changes: &mut Changes<'r>) {
    let of = Some(of);
    let (was, is) = (Members::of(value.get("from")), Members::of(value.get("to")));
    for (name, before) in was.object.iter().flat_map(Value::members) {
        let after = is.get(&name.decode()).and_then(word);
        changes.push(Change { name: name.text(), from: word(before), to: after, of });
    }
    for (name, after) in is.object.iter().flat_map(Value::members) {
        if was.get(&name.decode()).is_none() {
            changes.push(Change { name: name.text(), from: None, to: word(after), of });
        }
    }
}

/// Members to be looked up; an index is made only where there are so many that looking through all would take long.
struct Members<'t, 'r> {
    object: Option<Value<'t, 'r>>,
    index: Option<HashMap<Cow<'r, str>, Value<'t, 'r>>>,
}

impl<'t, 'r> Members<'t, 'r> {
    fn of(object: Option<Value<'t, 'r>>) -> Self {
        let many = object.filter(|object| object.members().nth(16).is_some());
        let index = many.map(|object| object.members().map(|(name, value)| (name.decode(), value)).collect());
        Self { object, index }
    }

    fn get(&self, name: &str) -> Option<Value<'t, 'r>> {
        match &self.index {
            Some(index) => index.get(name).copied(),
            None => self.object?.get(name),
        }
    }
}

fn client<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("ipAddress") => event.source.at(known(value)),
            Some("geographicalContext") => event.source.geo = geo(value),
            Some("device") => event.device.word = known(value),
            Some("userAgent") => {
                for (key, value) in value.members() {
                    match key.as_plain() {
                        Some("rawUserAgent") => event.agent.original = known(value),
                        Some("browser") => event.agent.browser = known(value),
                        Some("os") => event.agent.os = known(value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

fn geo<'r>(value: Value<'_, 'r>) -> Geo<'r> {
    let mut geo = Geo { partial: value.kind() != Json::Object, ..Geo::default() };
    for (key, value) in value.members() {
        let name = match key.as_plain() {
            Some("city") => &mut geo.city,
            Some("state") => &mut geo.region,
            Some("country") => &mut geo.country,
            Some("postalCode") => {
                geo.postal = if value.as_text().is_some() { known(value) } else { word(value) };
                geo.partial |= matches!(value.kind(), Json::Array | Json::Object);
                continue;
            }
            Some("geolocation") => {
                let [lat, lon] = value.pick(["lat", "lon"]);
                geo.location = lat.zip(lon).and_then(|(lat, lon)| location(lat, lon));
                geo.partial |=
                    !value.is_null() && (geo.location.is_none() || value.members().nth(2).is_some());
                continue;
            }
            _ => {
                geo.partial |= !value.is_null();
                continue;
            }
        };
        *name = known(value);
        geo.partial |= !matches!(value.kind(), Json::String | Json::Null);
    }
    geo
}

fn security<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    let Network { as_number, as_organization, isp, domain, proxy, .. } = &mut event.source;
    for (key, value) in value.members() {
        match key.as_plain() {
            // Numbers of autonomous systems have 32 bits.
            Some("asNumber") => *as_number = integer(value).filter(|&number| u32::try_from(number).is_ok()),
            Some("asOrg") => *as_organization = known(value),
            Some("isp") => *isp = known(value),
            // The root domain stands for "none".
            Some("domain") => *domain = known(value).filter(|domain| domain != "."),
            Some("isProxy") => *proxy = truth(value),
            Some("risk") => {
                let [level, why] = value.pick(["level", "reasons"]);
                event.risk.word = level.and_then(known);
                event.risk.reasons = why.map(reasons).unwrap_or_default();
            }
            Some("userBehaviors") => {
                event.risk.behaviors = value
                    .elements()
                    .filter(|behavior| {
                        behavior
                            .get("result")
                            .and_then(|result| result.as_text())
                            .is_some_and(|word| word.is("POSITIVE"))
                    })
                    .filter_map(|behavior| behavior.get("name").and_then(text))
                    .collect();
            }
            _ => {}
        }
    }
}

fn reasons<'r>(value: Value<'_, 'r>) -> Texts<'r> {
    match value.kind() {
        Json::Array => value.elements().filter_map(text).collect(),
        Json::String => value.as_text().map(|text| listed(&text)).unwrap_or_default(),
        _ => Texts::new(),
    }
}

/// `a, b` as a list.
fn listed<'r>(text: &Text<'r>) -> Texts<'r> {
    fn pieces(text: &str) -> impl Iterator<Item = &str> {
        text.split(", ").map(str::trim).filter(|word| !word.is_empty())
    }
    match text.as_slice() {
        Some(slice) => pieces(slice).map(Text::piece).collect(),
        None => pieces(&text.decode()).map(Text::owned).collect(),
    }
}

/// A part of a text: a piece of the record where the text is one.
fn part<'r>(whole: &Text<'r>, part: &str) -> Text<'r> {
    let piece = whole.as_slice().and_then(|whole| {
        let from = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
        whole.get(from..from + part.len()).filter(|piece| *piece == part)
    });
    piece.map_or_else(|| Text::owned(part), Text::piece)
}

fn authentication<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("externalSessionId") => event.session.id = known(value),
            Some("rootSessionId") => event.session.root = known(value),
            Some("issuer") => event.session.issuer = value.get("id").and_then(known),
            _ => {}
        }
    }
}

fn transaction<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("id") => event.transaction.id = known(value),
            Some("type") => event.transaction.word = known(value),
            _ => {}
        }
    }
}

/// Addresses behind the first one, which is the client's.
fn via<'r>(value: Value<'_, 'r>) -> Texts<'r> {
    let chain = value.get("ipChain");
    chain
        .iter()
        .flat_map(Value::elements)
        .skip(1)
        .filter_map(|hop| hop.get("ip").and_then(|ip| ip.as_text()))
        .filter(is_ip)
        .collect()
}

fn device<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("id") => event.device.id = known(value),
            Some("name") => event.device.name = known(value),
            Some("os_platform") => event.device.os = known(value),
            Some("os_version") => event.device.os_version = known(value),
            Some("managed") => event.device.managed = truth(value),
            _ => {}
        }
    }
}

/// What is read of `debugData` and of the targets' details before it has a meaning.
#[derive(Default)]
struct Debug<'r> {
    factor: Option<Text<'r>>,
    intent: Option<Text<'r>>,
    push_answer: Option<Text<'r>>,
    number_answer: Option<Text<'r>>,
    key_type: Option<Text<'r>>,
    sign_on_mode: Option<Text<'r>>,
    request_uri: Option<Text<'r>>,
    /// `methodTypeUsed`
    method: Option<Text<'r>>,
    /// `methodUsedVerifiedProperties`
    properties: Option<Text<'r>>,
    /// `policyRuleFactorMode`
    factor_mode: Option<Text<'r>>,
    /// `privilegeGranted`, `privilegeRevoked`
    privileges: Option<Text<'r>>,
    /// Name of the authenticator among the targets.
    authenticator: Option<Text<'r>>,
    risk: Risk<'r>,
}

fn debug_data<'r>(value: Value<'_, 'r>) -> Debug<'r> {
    let mut debug = Debug::default();
    let Some(data) = value.get("debugData") else { return debug };
    let (mut behaviors, mut risk, mut security) = (None, None, None);
    for (key, value) in data.members() {
        match key.as_plain() {
            Some("factor") => debug.factor = known(value),
            Some("factorIntent") => debug.intent = known(value),
            Some("pushOnlyResponseType") => debug.push_answer = known(value),
            Some("pushWithNumberChallengeResponseType") => debug.number_answer = known(value),
            Some("keyTypeUsedForAuthentication") => debug.key_type = known(value),
            Some("signOnMode") => debug.sign_on_mode = known(value),
            Some("requestUri") => debug.request_uri = known(value),
            Some("threatSuspected") => debug.risk.threat = truth(value),
            Some("privilegeGranted" | "privilegeRevoked") => debug.privileges = known(value),
            Some("behaviors") => behaviors = Some(value),
            Some("risk") => risk = Some(value),
            Some("logOnlySecurityData") => security = Some(value),
            _ => {}
        }
    }
    // Okta calls both texts unstable; the JSON beside them says the same and is easier to read right.
    if let Some(security) = security {
        opened(security, Json::Object, |object| {
            let mut holder = Holder::new(security.raw());
            if let Some(risk) = object.get("risk") {
                risk_object(risk, &mut holder, &mut debug.risk);
            }
            let behaviors = object.get("behaviors");
            // A name stands behind the verdict before it.
            let mut from = behaviors.map_or(0, |behaviors| behaviors.span().start);
            for (name, verdict) in behaviors.iter().flat_map(Value::members) {
                if verdict.as_text().is_some_and(|word| word.is("POSITIVE")) {
                    debug.risk.behaviors.push(holder.find(from, &name.decode()));
                }
                from = verdict.span().end;
            }
        });
    }
    if let Some(risk) = risk
        && debug.risk.word.is_none()
    {
        opened(risk, Json::Object, |object| {
            risk_object(object, &mut Holder::new(risk.raw()), &mut debug.risk);
        });
        if let Some(text) = risk.as_text() {
            for (name, value) in pairs(&text.decode()) {
                match name {
                    "level" => debug.risk.word = Some(part(&text, value)),
                    "reasons" if debug.risk.reasons.is_empty() => {
                        debug.risk.reasons = listed(&part(&text, value))
                    }
                    _ => {}
                }
            }
        }
    }
    if let Some(behaviors) = behaviors
        && debug.risk.behaviors.is_empty()
    {
        for piece in std::iter::once(behaviors).chain(behaviors.elements()) {
            let Some(text) = piece.as_text() else { continue };
            for (name, verdict) in pairs(&text.decode()) {
                if verdict == "POSITIVE" {
                    debug.risk.behaviors.push(part(&text, name));
                }
            }
        }
    }
    debug
}

/// `holder` is what holds the object.
fn risk_object<'r>(object: Value<'_, '_>, holder: &mut Holder<'r>, risk: &mut Risk<'r>) {
    if let Some(level) = object.get("level")
        && let Some(word) = text(level)
    {
        risk.word = Some(holder.find(level.span().start, &word.decode()));
    }
    if let Some(found) = object.get("reasons") {
        let mut own = |from: usize, word: Text<'_>| holder.find(from, &word.decode());
        risk.reasons = match found.kind() {
            Json::Array => {
                found.elements().filter_map(|one| Some(own(one.span().start, text(one)?))).collect()
            }
            _ => {
                let listed = found.as_text().map(|text| listed(&text)).unwrap_or_default();
                listed.into_iter().map(|word| own(found.span().start, word)).collect()
            }
        };
    }
}

/// What `securityContext` says goes before what `debugData` says.
fn risk<'r>(risk: &mut Risk<'r>, debug: Risk<'r>) {
    if risk.word.is_none() {
        risk.word = debug.word;
    }
    if risk.reasons.is_empty() {
        risk.reasons = debug.reasons;
    }
    if risk.behaviors.is_empty() {
        risk.behaviors = debug.behaviors;
    }
    risk.threat = debug.threat;
    risk.level = match risk.word.as_ref().and_then(Text::as_plain) {
        Some("NONE") => Some(RiskLevel::None),
        Some("LOW") => Some(RiskLevel::Low),
        Some("MEDIUM") => Some(RiskLevel::Medium),
        Some("HIGH") => Some(RiskLevel::High),
        Some("CRITICAL") => Some(RiskLevel::Critical),
        _ => None,
    };
}

/// `debugData.factor`.
fn factor(word: &str) -> Factor {
    match word {
        "OKTA_VERIFY_PUSH" => Factor::Push,
        "OKTA_SOFT_TOKEN" | "SOFT_TOKEN" | "GOOGLE_AUTHENTICATOR" | "GOOGLE_OTP" | "OKTA_OTP" => Factor::Totp,
        "SMS_FACTOR" => Factor::Sms,
        "CALL_FACTOR" => Factor::Call,
        "EMAIL_FACTOR" => Factor::Email,
        "SECURITY_QUESTION" => Factor::Question,
        "HOTP_FACTOR" => Factor::Hotp,
        "SECURID_FACTOR" | "YUBIKEY_OTP_FACTOR" | "SYMANTEC_VIP_FACTOR" => Factor::HardwareToken,
        "DUO_SECURITY" | "GENERIC_SAML" | "GENERIC_OIDC" | "CUSTOM_CLAIMS" => Factor::Delegated,
        "FIDO_WEBAUTHN" | "FIDO2_WEBAUTHN" => Factor::WebAuthn,
        "FIDO_U2F" => Factor::U2f,
        "PASSWORD_AS_FACTOR" => Factor::Password,
        "SIGNED_NONCE" => Factor::Device,
        _ => Factor::Other,
    }
}

/// The word of `User reset FIDO_WEBAUTHN factor`: where a factor was added, changed or taken away, nothing else may name it.
fn factor_in_reason<'r>(reason: &Text<'r>) -> Option<Text<'r>> {
    let sentence = reason.decode();
    let (before, _) = sentence.split_once(" factor")?;
    let word = before.rsplit(' ').next()?;
    let capitals =
        word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    (capitals && word.len() > 1).then(|| part(reason, word))
}

/// `methodTypeUsed` and names of authenticators are for people.
fn factor_by_name(name: &str) -> Option<Factor> {
    let name = lower_case(name);
    let said = Said::new(&name);
    let has = |word: &str| said.has(word);
    Some(if has("password") {
        Factor::Password
    } else if has("push") {
        Factor::Push
    } else if has("fastpass") || has("signed nonce") || has("signed_nonce") {
        Factor::Device
    } else if has("u2f") {
        Factor::U2f
    } else if has("webauthn") || has("fido") || has("security key") || has("passkey") || has("biometric") {
        Factor::WebAuthn
    } else if has("sms") || has("text message") {
        Factor::Sms
    } else if has("voice") || has("call") {
        Factor::Call
    } else if has("email") {
        Factor::Email
    } else if has("question") {
        Factor::Question
    } else if has("yubikey") || has("securid") || has("hardware") {
        Factor::HardwareToken
    } else if has("duo") {
        Factor::Delegated
    } else if has("smart card") || has("certificate") {
        Factor::Certificate
    } else if has("totp") || has("google authenticator") || has("soft token") {
        Factor::Totp
    } else if has("hotp") {
        Factor::Hotp
    } else if has("otp") || has("code") || has("authenticator") {
        Factor::Otp
    } else {
        return None;
    })
}

/// What an event type says of a factor, before the rest of the record is asked.
fn deed(action: &str) -> Option<(Deed, Option<Factor>)> {
    Some(match action {
        "user.authentication.auth_via_mfa" => (Deed::Verify, None),
        "system.push.send_factor_verify_push" => (Deed::Challenge, Some(Factor::Push)),
        "system.sms.send_factor_verify_message" | "system.sms.send_okta_push_verify_message" => {
            (Deed::Challenge, Some(Factor::Sms))
        }
        "system.voice.send_mfa_challenge_call" => (Deed::Challenge, Some(Factor::Call)),
        "system.email.send_factor_verify_message" => (Deed::Challenge, Some(Factor::Email)),
        "system.email.challenge_factor_redeemed" => (Deed::Verify, Some(Factor::Email)),
        // Only the Classic Engine tells of a refused push in an event type of its own.
        "user.mfa.okta_verify.deny_push" | "user.mfa.okta_verify.deny_push_upgrade_needed" => {
            (Deed::Verify, Some(Factor::Push))
        }
        "user.mfa.factor.activate"
        | "user.mfa.promote_enrollment"
        | "user.mfa.okta_verify.enroll"
        | "system.mfa.preregister.initiate"
        | "credential.register" => (Deed::Enroll, None),
        "user.mfa.factor.update" | "credential.update" => (Deed::Update, None),
        "user.mfa.factor.deactivate" | "credential.revoke" => (Deed::Remove, None),
        "user.mfa.factor.reset_all" => (Deed::Reset, None),
        "user.mfa.factor.suspend" => (Deed::Suspend, None),
        "user.mfa.factor.unsuspend" => (Deed::Resume, None),
        "user.mfa.attempt_bypass" => (Deed::Bypass, None),
        "system.mfa.factor.activate" | "security.authenticator.lifecycle.activate" => (Deed::Allow, None),
        "system.mfa.factor.deactivate" | "security.authenticator.lifecycle.deactivate" => {
            (Deed::Forbid, None)
        }
        _ => return None,
    })
}

fn mfa<'r>(kind: &Kind<'r>, outcome: &Outcome<'r>, debug: &Debug<'r>) -> Mfa<'r> {
    let mut mfa = Mfa::default();
    let action = kind.action.as_ref().map(Text::decode).unwrap_or_default();
    let said = deed(&action);
    if said.is_none() && debug.factor.is_none() && debug.method.is_none() && debug.factor_mode.is_none() {
        return mfa;
    }
    let lifecycle =
        matches!(said, Some((Deed::Enroll | Deed::Update | Deed::Remove | Deed::Suspend | Deed::Resume, _)));
    mfa.word = debug.factor.clone();
    if lifecycle && mfa.word.is_none() {
        mfa.word = outcome.reason.as_ref().and_then(factor_in_reason);
    }
    mfa.method = debug.method.clone().or_else(|| debug.authenticator.clone());
    mfa.intent = debug.intent.clone();
    mfa.factor = mfa.word.as_ref().map(|word| factor(&word.decode()));
    if mfa.factor.is_none_or(|factor| factor == Factor::Other) {
        let by_name = |name: &Option<Text<'r>>| name.as_ref().and_then(|name| factor_by_name(&name.decode()));
        mfa.factor = by_name(&debug.method)
            .or(said.and_then(|(_, factor)| factor))
            .or_else(|| by_name(&debug.authenticator))
            .or(mfa.factor);
    }
    let deed = said.map(|(deed, _)| deed);
    let of_user = kind.class == Class::Authentication;
    mfa.deed = deed.or((of_user && mfa.factor.is_some()).then_some(Deed::Verify));

    let key = debug.key_type.as_ref().map(Text::decode).unwrap_or_default();
    let properties = debug.properties.as_ref().map(Text::decode).unwrap_or_default();
    if key == "PROOF_OF_POSSESSION"
        || key.starts_with("USER_VERIFYING")
        || properties.contains("PHISHING_RESISTANT")
    {
        mfa.phishing_resistant = Some(true);
    }

    match mfa.deed {
        Some(Deed::Verify) => {
            mfa.answer = answer(&action, outcome, debug, mfa.factor);
            if mfa.answer == Some(Answer::Phishing) && mfa.factor.is_none() {
                mfa.factor = Some(Factor::Device);
                mfa.phishing_resistant = Some(true);
            }
            mfa.performed = match (mfa.answer, mfa.factor) {
                // The Identity Engine tells of the password in the same event type.
                (Some(Answer::Approved), Some(Factor::Password)) => Some(false),
                (Some(Answer::Approved), Some(_)) => Some(true),
                (Some(Answer::Approved), None) | (None, _) => None,
                (Some(_), _) => Some(false),
            };
        }
        Some(Deed::Challenge) if matches!(outcome.result, Ending::Denied | Ending::Limited) => {
            // Okta's protection against toll fraud.
            mfa.answer = Some(Answer::Blocked);
            mfa.performed = Some(false);
        }
        Some(Deed::Bypass) if outcome.result == Ending::Success => mfa.performed = Some(false),
        _ => {}
    }
    // The policy says how many factors the whole sign-in took.
    if matches!(outcome.result, Ending::Success | Ending::Allowed)
        && mfa.performed != Some(true)
        && mfa.deed.is_none_or(|deed| deed == Deed::Verify)
    {
        match debug.factor_mode.as_ref().and_then(Text::as_plain) {
            Some("2FA") => mfa.performed = Some(true),
            Some("1FA") => mfa.performed = Some(false),
            _ => {}
        }
    }
    mfa
}

fn answer(action: &str, outcome: &Outcome<'_>, debug: &Debug<'_>, factor: Option<Factor>) -> Option<Answer> {
    if action.starts_with("user.mfa.okta_verify.deny_push") {
        return Some(Answer::Denied);
    }
    let is = |word: &Option<Text<'_>>, other: &str| word.as_ref().is_some_and(|word| word == other);
    match outcome.result {
        Ending::Success | Ending::Allowed => Some(Answer::Approved),
        Ending::Denied | Ending::Limited => Some(Answer::Blocked),
        Ending::Abandoned => Some(Answer::Unanswered),
        Ending::Challenge | Ending::Interrupted | Ending::Pending | Ending::Unknown => None,
        Ending::Failure => {
            let reason =
                outcome.reason.as_ref().map(|reason| lower_case(&reason.decode())).unwrap_or_default();
            let said = Said::new(&reason);
            let has = |word: &str| said.has(word);
            Some(if has("phishing") {
                Answer::Phishing
            } else if is(&debug.push_answer, "OV_RESPONSE_DENY") {
                Answer::Denied
            } else if is(&debug.number_answer, "OV_WITH_CHALLENGE_RESPONSE_INVALID") {
                Answer::WrongNumber
            } else if has("locked_out") || has("locked out") {
                Answer::Blocked
            } else if has("timeout") || has("timed out") || has("timed_out") || has("expired") {
                Answer::Unanswered
            } else if is(&debug.push_answer, "OV_RESPONSE_ERROR")
                || is(&debug.number_answer, "OV_WITH_CHALLENGE_RESPONSE_ERROR")
            {
                Answer::Failed
            } else if has("rejected") || has("declined") || has("denied") {
                Answer::Denied
            } else if factor == Some(Factor::Push) && has("invalid_credentials") {
                // The Identity Engine has no event type for a refused push: this is how it says so.
                Answer::Denied
            } else {
                Answer::Failed
            })
        }
    }
}
