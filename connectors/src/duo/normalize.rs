//! A record of one of Duo's logs becomes an event. Pure.
//!
//! No member is taken for granted, whatever its type: what does not fit reads as absent.

use super::event_types::{self, Meaning, family};
use super::fields;
use chrono::{DateTime, Utc};
use std::borrow::Cow;
use std::collections::HashSet;
use tidegate_core::event::{
    Account, Activity, Actor, ActorKind, Answer, Categories, Class, Deed, Emit, Ending, Event, Factor, Geo,
    Kind, Mfa, Network, Next, Outcome, RiskLevel, Target, TargetKind, Types, address_and_port, integer,
    is_email, known, lower_case, opened, parse_time, text, truth, word,
};
use tidegate_core::json::{Holder, Kind as Json, Text, Value};
use tidegate_core::source::{Identity, NormalizeError};

/// Id and time of a record, neither of which ever changes. v1 gives its records no id.
///
/// A transaction of `authentication` may have several records, and a message of `telephony` was seen under two
/// transactions: only together are their names unique.
#[must_use]
pub fn identity<'r>(stream: &str, record: Value<'_, 'r>) -> Identity<'r> {
    let get = |name: &str| record.get(name).and_then(text).map(Text::into_cow);
    let joined = |first: &str, others: [&str; 2]| {
        let mut id = get(first)?.into_owned();
        for name in others {
            id.push('|');
            id.push_str(&get(name).unwrap_or_default());
        }
        Some(Cow::Owned(id))
    };
    let id = match stream {
        "authentication" => joined("txid", ["isotimestamp", "event_type"]),
        "activity" => get("activity_id"),
        "telephony" => joined("telephony_id", ["txid", "ts"]),
        "trust_monitor" => get("sekey"),
        _ => None,
    };
    Identity { id, time: time(stream, record) }
}

fn time(stream: &str, record: Value<'_, '_>) -> Option<DateTime<Utc>> {
    let written = |name: &str| record.get(name)?.as_text()?.read(parse_time);
    match stream {
        "authentication" => written("isotimestamp").or_else(|| seconds(record.get("timestamp")?)),
        "activity" | "telephony" => written("ts"),
        "trust_monitor" => {
            record.get("surfaced_timestamp").and_then(integer).and_then(DateTime::from_timestamp_millis)
        }
        _ => v1_time(record),
    }
}

fn seconds(timestamp: Value<'_, '_>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(integer(timestamp)?, 0)
}

/// The time of a v1 record: what `mintime` is compared with, else the same as text (which has been seen with blanks in it).
pub(super) fn v1_time(record: Value<'_, '_>) -> Option<DateTime<Utc>> {
    v1_time_of(record.get("timestamp"), || record.get("isotimestamp"))
}

fn v1_time_of<'t, 'r: 't>(
    timestamp: Option<Value<'t, 'r>>,
    isotimestamp: impl FnOnce() -> Option<Value<'t, 'r>>,
) -> Option<DateTime<Utc>> {
    timestamp.and_then(seconds).or_else(|| isotimestamp()?.as_text()?.read(parse_time))
}

/// Turns a record of this stream into its event.
///
/// # Errors
/// The record is no object.
pub fn normalize<'r>(
    stream: &str,
    record: Value<'r, 'r>,
    emit: &mut Emit<'_, 'r>,
) -> Result<(), NormalizeError> {
    NormalizeError::unless_object(record)?;
    let mut event = Event::new(record, fields::of(stream));
    let written = match stream {
        "authentication" => Some("isotimestamp"),
        "activity" | "telephony" => Some("ts"),
        "trust_monitor" => Some("surfaced_timestamp"),
        // Seen with its other members.
        _ => None,
    };
    if let Some(written) = written {
        event.time = time(stream, record);
        event.written = record.get(written).or_else(|| record.get("timestamp")).and_then(word);
    }
    match stream {
        "authentication" => {
            event.id = record.get("txid").and_then(known);
            authentication(record, &mut event);
        }
        "activity" => activity(record, &mut event),
        "telephony" => telephony(record, &mut event),
        "trust_monitor" => trust_monitor(record, &mut event),
        _ => administrator(record, &mut event),
    }
    emit(&mut event, Next::Nothing);
    Ok(())
}

/// The authentication log, and the record inside an event of Trust Monitor.
fn authentication<'r>(record: Value<'_, 'r>, event: &mut Event<'r>) {
    let mut word = None;
    let mut phone = Account::default();
    let mut seen = Seen::default();
    for (key, value) in record.members() {
        match key.as_plain() {
            Some("event_type") => event.kind.action = known(value),
            Some("result") => event.outcome.word = known(value),
            Some("reason") => event.outcome.reason = known(value),
            Some("factor") => word = known(value),
            Some("user") => user(value, &mut event.actor),
            Some("email") => event.actor.account.email = known(value).filter(is_email),
            Some("application") => application(value, event),
            Some("access_device") => access_device(value, event),
            Some("auth_device") => {
                let [id, name] = value.pick(["key", "name"]).map(|part| part.and_then(known));
                phone = Account { id, name, ..Account::default() };
            }
            Some("adaptive_trust_assessments") => trust(value, event, &mut seen),
            Some("rbfs_triggered_attacks") => attacks(value, event, &mut seen),
            _ => {}
        }
    }
    let enrollment = event.kind.action.as_ref().is_some_and(|action| *action == "enrollment");
    // Elastic's integration calls both `authentication` and `info`.
    let (class, activity, categories, types) = if enrollment {
        (
            Class::Account,
            Activity::FactorEnable,
            Categories::IAM.with(Categories::AUTHENTICATION),
            Types::USER.with(Types::CHANGE).with(Types::INFO),
        )
    } else {
        (Class::Authentication, Activity::Logon, Categories::AUTHENTICATION, Types::START.with(Types::INFO))
    };
    event.kind = Kind { action: event.kind.action.take(), class, activity, categories, types, alert: false };
    verdict(&mut event.outcome, &mut event.mfa, word.as_ref().map(Text::decode).as_deref());
    if enrollment {
        event.mfa.deed = Some(Deed::Enroll);
        event.mfa.performed = None;
    }
    event.mfa.word = word;
    event.mfa.device = phone;
}

fn application<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    [event.app.id, event.app.name] = value.pick(["key", "name"]).map(|part| part.and_then(known));
}

fn user<'r>(value: Value<'_, 'r>, actor: &mut Actor<'r>) {
    let [id, name, groups] = value.pick(["key", "name", "groups"]);
    actor.account.id = id.and_then(known);
    actor.account.name = name.and_then(known);
    if actor.account.id.is_some() || actor.account.name.is_some() {
        actor.kind = ActorKind::User;
    }
    let several = groups.iter().flat_map(Value::elements);
    actor.groups = several.chain(groups).filter_map(known).collect();
}

fn access_device<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("ip") => address(value, &mut event.source),
            Some("location") => {
                let parts = value.pick(["city", "state", "country"]);
                let [city, region, country] = parts.map(|part| part.and_then(known));
                event.source.geo = Geo { city, region, country, ..Geo::default() };
            }
            Some("hostname") => event.device.name = known(value),
            Some("epkey") => event.device.id = known(value),
            Some("os") => {
                event.device.os = known(value);
                event.agent.os = event.device.os.clone();
            }
            Some("os_version") => event.device.os_version = known(value),
            Some("browser") => event.agent.browser = known(value),
            Some("browser_version") => event.agent.version = known(value),
            _ => {}
        }
    }
    // As Elastic's integration has it: an address is a name too, beside the number.
    if event.source.address.is_none() {
        event.source.address.clone_from(&event.device.name);
    }
}

/// `ip` is text, or in the activity log an object around it; and not always an address: it may have a port, be `0.0.0.0`, or
/// a name.
fn address<'r>(value: Value<'_, 'r>, source: &mut Network<'r>) {
    let Some(text) = known(value.get("address").unwrap_or(value)) else { return };
    match address_and_port(&text) {
        Some((ip, _)) if matches!(ip.as_plain(), Some("0.0.0.0" | "::")) => {}
        Some((ip, port)) => (source.ip, source.port) = (Some(ip), port),
        None => source.address = Some(text),
    }
}

/// Duo's models: a low level of trust is a risk, which the word alone would turn round.
fn trust<'r>(value: Value<'_, 'r>, event: &mut Event<'r>, seen: &mut Seen<'r>) {
    for (_, assessment) in value.members() {
        if assessment.get("trust_level").and_then(text).is_some_and(|level| level == "LOW") {
            event.risk.level = Some(RiskLevel::Medium);
        }
        if let Some(detectors) = assessment.get("detected_attack_detectors") {
            attacks(detectors, event, seen);
        }
    }
}

/// Attacks that Duo sees in a sign-in, as a list of words that nobody has published whole: those about pushes are of somebody
/// who sends many until one is approved.
fn attacks<'r>(value: Value<'_, 'r>, event: &mut Event<'r>, seen: &mut Seen<'r>) {
    for attack in value.elements().filter_map(known) {
        event.risk.threat = Some(true);
        event.mfa.fatigue |= lower_case(&attack.decode()).contains("push");
        if seen.is_new(&attack, &event.risk.reasons) {
            event.risk.reasons.push(attack);
        }
    }
}

/// Which attacks were named before. Most sign-ins show one or two; where there are many, they are looked up.
#[derive(Default)]
struct Seen<'r>(HashSet<Cow<'r, str>>);

impl<'r> Seen<'r> {
    fn is_new(&mut self, attack: &Text<'r>, before: &[Text<'r>]) -> bool {
        if before.len() < 16 {
            return !before.contains(attack);
        }
        if self.0.is_empty() {
            self.0.extend(before.iter().cloned().map(Text::into_cow));
        }
        self.0.insert(attack.clone().into_cow())
    }
}

/// Which factor a word of the log names; `None`: none was used.
fn factor(word: &str) -> Option<Factor> {
    Some(match word {
        "duo_push" => Factor::Push,
        "phone_call" => Factor::Call,
        "sms_passcode" | "sms_refresh" => Factor::Sms,
        "hardware_token" | "yubikey_code" | "yubikey_passcode" | "digipass_go_7_token" => {
            Factor::HardwareToken
        }
        "u2f_token" => Factor::U2f,
        "bypass_code" => Factor::RecoveryCode,
        "duo_mobile_passcode_totp" => Factor::Totp,
        "duo_mobile_passcode_hotp" => Factor::Hotp,
        "passcode" => Factor::Otp,
        "remembered_device" | "trusted_network" | "trusted_mobile_authenticator" | "not_available" => {
            return None;
        }
        word if word.starts_with("WebAuthn") => Factor::WebAuthn,
        word if word.starts_with("duo_mobile_passcode") => Factor::Otp,
        _ => Factor::Other,
    })
}

/// How a sign-in ended, and what that says of the factor. Duo sees the second factor alone: a success with one that proves
/// something was MFA, one that was let through without was not.
fn verdict<'r>(outcome: &mut Outcome<'r>, mfa: &mut Mfa<'r>, word: Option<&str>) {
    mfa.factor = word.and_then(factor);
    mfa.phishing_resistant = matches!(mfa.factor, Some(Factor::WebAuthn | Factor::U2f)).then_some(true);
    let reason = outcome.reason.as_ref().map(Text::decode).unwrap_or_default();
    let reason = reason.as_ref();
    mfa.fatigue |= reason == "anomalous_push";
    let result = outcome.word.as_ref().and_then(Text::as_plain);
    outcome.result = match result {
        Some("success") => Ending::Success,
        Some("fraud") => Ending::Failure,
        // Not the user's answer but a rule decided.
        Some("denied") if answer(reason) == Some(Answer::Blocked) => Ending::Denied,
        Some("denied") => Ending::Failure,
        _ => Ending::Unknown,
    };
    let (deed, said) = match (outcome.result, reason, word) {
        (Ending::Unknown, ..) => (mfa.factor.map(|_| Deed::Verify), None),
        (Ending::Success, "remembered_device", _) | (Ending::Success, _, Some("remembered_device")) => {
            (Some(Deed::Remember), None)
        }
        (
            Ending::Success,
            "bypass_user"
            | "allow_unenrolled_user"
            | "allow_unenrolled_user_on_trusted_network"
            | "trusted_network"
            | "trusted_location"
            | "allowed_by_policy",
            _,
        )
        | (Ending::Success, _, Some("trusted_network" | "trusted_mobile_authenticator")) => {
            (Some(Deed::Bypass), None)
        }
        (Ending::Success, ..) => (mfa.factor.map(|_| Deed::Verify), mfa.factor.map(|_| Answer::Approved)),
        _ if result == Some("fraud") => (mfa.factor.map(|_| Deed::Verify), Some(Answer::Fraud)),
        _ => (mfa.factor.map(|_| Deed::Verify), answer(reason)),
    };
    // Codes were sent, nothing was proven yet.
    let refresh = word == Some("sms_refresh");
    mfa.deed = if refresh { Some(Deed::Challenge) } else { deed };
    mfa.answer = said.filter(|said| !refresh || *said != Answer::Approved);
    mfa.performed = match (outcome.result, mfa.deed) {
        (Ending::Success, Some(Deed::Verify)) => Some(true),
        (Ending::Unknown, _) | (_, None | Some(Deed::Challenge)) => None,
        _ => Some(false),
    };
}

/// How the user answered, by the reason of a denial.
fn answer(reason: &str) -> Option<Answer> {
    Some(match reason {
        "user_marked_fraud" => Answer::Fraud,
        "user_cancelled" | "user_mistake" => Answer::Denied,
        "invalid_passcode" => Answer::Failed,
        "no_response" | "no_keys_pressed" | "call_timed_out" => Answer::Unanswered,
        // Says nothing of the user, and nothing of a rule.
        "" | "error" => return None,
        _ => Answer::Blocked,
    })
}

fn activity<'r>(record: Value<'_, 'r>, event: &mut Event<'r>) {
    for (key, value) in record.members() {
        match key.as_plain() {
            Some("activity_id") => event.id = known(value),
            Some("akey") => event.organization = known(value),
            // Documented as text, seen as an object around it.
            Some("action") => event.kind.action = value.get("name").map_or_else(|| known(value), known),
            Some("actor") => {
                let word = value.get("type").and_then(known);
                let kind = match word.as_ref().and_then(Text::as_plain) {
                    Some("user" | "admin") => ActorKind::User,
                    Some("system") => ActorKind::System,
                    _ => ActorKind::Unknown,
                };
                event.actor = Actor { kind, word, account: account(value), ..Actor::default() };
            }
            Some("target") => event.targets.extend(target(value)),
            Some("application") => application(value, event),
            Some("access_device") => access_device(value, event),
            Some("outcome") => event.outcome.word = known(value.get("result").unwrap_or(value)),
            _ => {}
        }
    }
    classify(event);
    event.outcome.result = match event.outcome.word.as_ref().and_then(Text::as_plain) {
        Some("SUCCESS") => Ending::Success,
        Some("FAILURE") => Ending::Failure,
        _ => event.outcome.result,
    };
}

fn account<'r>(value: Value<'_, 'r>) -> Account<'r> {
    let [id, name] = value.pick(["key", "name"]).map(|part| part.and_then(known));
    Account { id, email: name.clone().filter(is_email), name, ..Account::default() }
}

fn target<'r>(value: Value<'_, 'r>) -> Option<Target<'r>> {
    let word = value.get("type").and_then(known);
    let kind = match word.as_ref().and_then(Text::as_plain) {
        Some("user" | "user_bypass" | "admin") => TargetKind::User,
        Some("group") => TargetKind::Group,
        Some("integration" | "application") => TargetKind::App,
        Some("policy") => TargetKind::Policy,
        Some("phone" | "hardtoken" | "u2ftoken" | "webauthn_credential") => TargetKind::Factor,
        _ => TargetKind::Other,
    };
    let mut account = account(value);
    if kind != TargetKind::User {
        // Its name is for people; nobody signs in with it.
        account.full_name = account.name.take();
        account.email = None;
    }
    let told =
        word.is_some() || account.id.is_some() || account.name.is_some() || account.full_name.is_some();
    told.then_some(Target { kind, word, account })
}

/// What the action's name says.
fn classify(event: &mut Event<'_>) {
    let Some(action) = &event.kind.action else { return };
    let Meaning { class, activity, categories, types, deed, ending } = event_types::find(&action.decode());
    event.kind.class = class;
    event.kind.activity = activity;
    event.kind.categories = categories;
    event.kind.types = types;
    event.outcome.result = ending.unwrap_or_default();
    if let Some((deed, factor)) = deed {
        event.mfa.deed = Some(deed);
        event.mfa.factor = factor;
    }
}

/// A call or a message that Duo sent.
fn telephony<'r>(record: Value<'_, 'r>, event: &mut Event<'r>) {
    let get = |name: &str| record.get(name).and_then(known);
    event.id = get("telephony_id");
    event.kind = Kind {
        action: get("type"),
        class: Class::Other,
        activity: Activity::Other,
        categories: Categories::AUTHENTICATION,
        types: Types::INFO,
        alert: false,
    };
    event.transaction.id = get("txid");
    event.mfa = Mfa {
        factor: match event.kind.action.as_ref().and_then(Text::as_plain) {
            Some("sms") => Some(Factor::Sms),
            Some("phone") => Some(Factor::Call),
            _ => None,
        },
        word: event.kind.action.clone(),
        deed: Some(Deed::Challenge),
        intent: get("context"),
        ..Mfa::default()
    };
}

fn trust_monitor<'r>(record: Value<'_, 'r>, event: &mut Event<'r>) {
    if let Some(inner) = record.get("surfaced_auth").filter(|inner| inner.kind() == Json::Object) {
        authentication(inner, event);
        event.transaction.id = inner.get("txid").and_then(known);
    }
    event.kind = Kind {
        action: record.get("type").and_then(known),
        class: Class::Detection,
        activity: Activity::Create,
        categories: Categories::INTRUSION_DETECTION,
        types: Types::INFO,
        alert: true,
    };
    // How the sign-in ended, and why, is not how the verdict did.
    event.outcome = Outcome { word: record.get("state").and_then(known), ..Outcome::default() };
    if event.outcome.word.as_ref().is_some_and(|state| *state == "processed") {
        event.kind.activity = Activity::Close;
    }
    event.id = record.get("sekey").and_then(known);
    if let Some(by) = record.get("enabled_by") {
        user(by, &mut event.actor);
    }
    if let Some(on) = record.get("enabled_for").filter(|on| on.kind() == Json::Object) {
        event.targets.push(Target { kind: TargetKind::User, word: None, account: account(on) });
        event.mfa.deed = Some(Deed::Bypass);
    }
    let explanations = record.get("explanations");
    for explanation in explanations.iter().flat_map(Value::elements) {
        event.risk.reasons.extend(explanation.get("type").and_then(known));
        if event.message.is_none() {
            event.message = explanation.get("summary").and_then(known);
        }
    }
    event.risk.threat = Some(true);
    let priority = record.get("priority_event").and_then(truth) == Some(true);
    let least = if priority { RiskLevel::High } else { RiskLevel::Medium };
    event.risk.level = event.risk.level.max(Some(least));
}

/// The administrator log and offline enrollment: who did what to whom, and a description that is JSON in a string, most of
/// the time.
fn administrator<'r>(record: Value<'_, 'r>, event: &mut Event<'r>) {
    let (mut name, mut object, mut description) = (None, None, None);
    let (mut timestamp, mut isotimestamp, mut escaped) = (None, None, false);
    for (key, value) in record.members() {
        if key.is("action") {
            event.kind.action = known(value);
        } else if key.is("description") {
            description = Some(value);
        } else if key.is("isotimestamp") {
            isotimestamp = Some(value);
        } else if key.is("object") {
            object = known(value);
        } else if key.is("timestamp") {
            timestamp = Some(value);
        } else if key.is("username") {
            name = known(value);
        } else {
            escaped |= key.is_escaped();
        }
    }
    // A time must not be missed, however its name is spelled: it would be another than the record's own.
    if escaped {
        (timestamp, isotimestamp) = (record.get("timestamp"), record.get("isotimestamp"));
    }
    event.time = v1_time_of(timestamp, || isotimestamp);
    event.written = isotimestamp.or(timestamp).and_then(word);
    classify(event);
    // The log tells what was done.
    if event.outcome.result == Ending::Unknown && event.kind.action.is_some() {
        event.outcome.result = Ending::Success;
    }
    let kind = name.as_ref().map(|name| {
        name.read(|name| match name {
            "API" => ActorKind::Service,
            "System" => ActorKind::System,
            name if name.starts_with("AD Sync") || name.starts_with("Azure Sync") => ActorKind::System,
            _ => ActorKind::User,
        })
    });
    let kind = kind.unwrap_or_default();
    event.actor.account.email = name.clone().filter(is_email);
    event.actor.account.name = name;
    event.actor.kind = kind;
    let action = event.kind.action.clone();
    let action = action.as_ref().map(Text::decode).unwrap_or_default();
    if let Some(object) = object {
        let kind = match family(&action) {
            "user" | "bypass" | "admin" => TargetKind::User,
            "group" => TargetKind::Group,
            // Offline access belongs to an application.
            "integration" | "o2fa" => TargetKind::App,
            "policy" => TargetKind::Policy,
            "phone" | "hardtoken" => TargetKind::Factor,
            _ => TargetKind::Other,
        };
        let account = match kind {
            TargetKind::User => Account {
                email: Some(object.clone()).filter(is_email),
                name: Some(object),
                ..Account::default()
            },
            _ => Account { full_name: Some(object), ..Account::default() },
        };
        if kind == TargetKind::App {
            event.app.name.clone_from(&account.full_name);
        }
        event.targets.push(Target { kind, word: None, account });
    }
    if let Some(description) = description {
        let was = opened(description, Json::Object, |object| {
            description_of(Description::read(object, Holder::new(description.raw())), &action, event);
        });
        if !was && let Some(words) = known(description) {
            event.outcome.reason = Some(words.clone());
            event.message = Some(words);
        }
    }
}

/// What a description says that the event has a place for. Texts of it, each a piece of the record where that is one.
#[derive(Default)]
struct Description<'r> {
    ip_address: Option<Text<'r>>,
    user_agent: Option<Text<'r>>,
    email: Option<Text<'r>>,
    hostname: Option<Text<'r>>,
    error: Option<Text<'r>>,
    factor: Option<Text<'r>>,
    status: Option<Text<'r>>,
}

impl<'r> Description<'r> {
    fn read(object: Value<'_, '_>, mut holder: Holder<'r>) -> Self {
        let mut said = Self::default();
        for (key, value) in object.members() {
            let place = match key.as_plain() {
                Some("ip_address") => &mut said.ip_address,
                Some("user_agent") => &mut said.user_agent,
                Some("email") => &mut said.email,
                Some("hostname") => &mut said.hostname,
                Some("error") => &mut said.error,
                Some("factor") => &mut said.factor,
                Some("status") => &mut said.status,
                _ => continue,
            };
            *place = known(value).map(|text| text.read(|inner| holder.find(value.span().start, inner)));
        }
        said
    }
}

fn description_of<'r>(said: Description<'r>, action: &str, event: &mut Event<'r>) {
    let Description { ip_address, user_agent, email, hostname, error, factor, status } = said;
    event.source.at(ip_address);
    event.agent.original = user_agent;
    if let Some(email) = email.filter(is_email) {
        // Administrators who sign in or set themselves up tell their own address, others that of whom they work on.
        if matches!(action, "admin_login" | "admin_login_error" | "admin_2fa_error" | "admin_self_activate") {
            event.actor.account.email = Some(email);
        } else if matches!(family(action), "user" | "admin")
            && let Some(target) = event.targets.iter_mut().find(|target| target.kind == TargetKind::User)
        {
            target.account.email = Some(email);
        }
    }
    event.device.name = hostname;
    if error.is_some() {
        event.outcome.reason = error;
    }
    if let Some(word) = factor {
        event.mfa.factor = match word.as_plain() {
            Some("duo_otp") => Some(Factor::Otp),
            Some("security_key") => Some(Factor::WebAuthn),
            Some("push") => Some(Factor::Push),
            Some("sms") => Some(Factor::Sms),
            Some("phone") => Some(Factor::Call),
            _ => Some(Factor::Other),
        };
        event.mfa.word = Some(word);
        if action == "admin_login" {
            (event.mfa.deed, event.mfa.answer) = (Some(Deed::Verify), Some(Answer::Approved));
            event.mfa.performed = Some(true);
        }
    }
    if action == "user_update" {
        match status.as_ref().and_then(Text::as_plain) {
            Some("Disabled") => event.kind.activity = Activity::Disable,
            Some("Active") => event.kind.activity = Activity::Enable,
            Some("Bypass") => {
                event.kind.activity = Activity::FactorDisable;
                event.mfa.deed = Some(Deed::Bypass);
            }
            _ => {}
        }
    }
}
