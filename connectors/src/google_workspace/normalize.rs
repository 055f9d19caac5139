//! Activities and alerts become events. Pure.
//!
//! No member is taken for granted, whatever its type: what does not fit reads as absent. An activity holds one event or
//! several, each of which becomes one of ours; a name that nobody has heard of is an event like others.

use super::fields::{self, ALERT};
use super::{event_types, mfa};
use chrono::{DateTime, Utc};
use tidegate_core::event::{
    Account, Activity, ActorKind, Change, Emit, Ending, Event, Next, Outcome, RiskLevel, Severity, Share,
    Target, TargetKind, Texts, integer, is_email, known, parse_time, text, truth, word,
};
use tidegate_core::json::{Kind as Json, Text, Value};
use tidegate_core::source::{Identity, NormalizeError};

/// The profile that stands for nobody: anonymous, or Google's own systems.
const NOBODY: &str = "105250506097979753968";

/// Id and time of an activity. A qualifier is unique within its application, customer and time only, so all four make
/// the id; none of them ever changes.
#[must_use]
pub fn identity<'r>(record: Value<'_, 'r>) -> Identity<'r> {
    let Some(id) = record.get("id") else { return Identity { id: None, time: None } };
    let at = id.get("time");
    let part = |name: &str| id.get(name).and_then(word);
    // Old records spell it the short way.
    let Some(qualifier) = part("uniqueQualifier").or_else(|| part("uniqQualifier")) else {
        return Identity { id: None, time: at.and_then(time) };
    };
    let mut whole = String::with_capacity(80);
    for (n, part) in [at.and_then(word), Some(qualifier), part("applicationName"), part("customerId")]
        .into_iter()
        .enumerate()
    {
        if n > 0 {
            whole.push('/');
        }
        whole.push_str(&part.as_ref().map(Text::decode).unwrap_or_default());
    }
    Identity { id: Some(whole.into()), time: at.and_then(time) }
}

/// Id and time of an alert; its update time changes, so it is the time of its making.
#[must_use]
pub fn alert_identity<'r>(record: Value<'_, 'r>) -> Identity<'r> {
    Identity {
        id: record.get("alertId").and_then(known).map(Text::into_cow),
        time: record.get("createTime").and_then(time),
    }
}

/// RFC 3339; the reference speaks of seconds since 1970 too, though nobody has seen them.
fn time(value: Value<'_, '_>) -> Option<DateTime<Utc>> {
    let read = value.as_text().and_then(|text| text.read(parse_time));
    read.or_else(|| DateTime::from_timestamp(integer(value)?, 0))
}

/// Turns an activity of an application's log into its events, in order; one without any is still an event.
///
/// # Errors
/// The record is no object.
pub fn activity<'r>(
    application: &str,
    record: Value<'r, 'r>,
    emit: &mut Emit<'_, 'r>,
) -> Result<(), NormalizeError> {
    NormalizeError::unless_object(record)?;
    let mut event = Event::new(record, fields::of(application));
    let mut events = None;
    let mut agentic = false;
    for (key, value) in record.members() {
        match key.as_plain() {
            Some("id") => id(value, &mut event),
            Some("actor") => actor(value, &mut event),
            Some("ipAddress") => event.source.at(known(value)),
            Some("networkInfo") => {
                let [number, country] = value.pick(["ipAsn", "regionCode"]);
                let number = number.and_then(|list| integer(list.elements().next().unwrap_or(list)));
                // Numbers of autonomous systems have 32 bits.
                event.source.as_number = number.filter(|&number| u32::try_from(number).is_ok());
                event.source.geo.country_code = country.and_then(known);
            }
            Some("userDeviceInfo") => {
                let parts = value.pick(["deviceId", "deviceType", "deviceOsVersion"]);
                [event.device.id, event.device.word, event.device.os_version] =
                    parts.map(|part| part.and_then(known));
            }
            Some("isAgenticAction") => agentic = truth(value) == Some(true),
            Some("events") => events = Some(value),
            _ => {}
        }
    }
    if agentic {
        event.actor.kind = ActorKind::Agent;
    }
    // One where a list was expected is still an event.
    let alone = events.filter(|events| events.kind() == Json::Object);
    let mut all = events
        .iter()
        .flat_map(Value::elements)
        .chain(alone)
        .enumerate()
        .filter(|(_, element)| element.kind() == Json::Object)
        .peekable();
    if all.peek().is_none() {
        emit(&mut event, Next::Nothing);
        return Ok(());
    }
    let mut first = true;
    while let Some((at, value)) = all.next() {
        let part = Share { value, at, first: std::mem::take(&mut first) };
        if all.peek().is_none() {
            single(application, part, &mut event);
            emit(&mut event, Next::Nothing);
            break;
        }
        let mut one = event.clone();
        single(application, part, &mut one);
        emit(&mut one, Next::Another);
    }
    Ok(())
}

/// One of an activity's events.
fn single<'r>(application: &str, part: Share<'r>, event: &mut Event<'r>) {
    event.part = Some(part);
    let mut kind = None;
    let mut found = Found::default();
    for (key, value) in part.value.members() {
        match key.as_plain() {
            Some("name") => event.kind.action = text(value),
            Some("type") => kind = text(value),
            Some("status") => status(value, &mut event.outcome),
            Some("parameters") => {
                for parameter in value.elements() {
                    found.take(parameter, event);
                }
            }
            _ => {}
        }
    }
    let action = event.kind.action.clone();
    let action = action.as_ref().map(Text::decode).unwrap_or_default();
    let kind = kind.as_ref().map(Text::decode).unwrap_or_default();
    let meaning = event_types::find(application, &kind, &action);
    event.kind.class = meaning.class;
    event.kind.activity = meaning.activity;
    event.kind.categories = meaning.categories;
    event.kind.types = meaning.types;
    event.kind.alert = meaning.alert;
    if meaning.alert {
        event.risk.threat = Some(true);
    }
    if event.outcome.result == Ending::Unknown {
        event.outcome.result = ending(&action, &found);
    }
    event.mfa = mfa::mfa(&action, found.new.as_ref(), &found.methods, event.outcome.result);
    found.finish(application, event);
}

fn id<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    let mut old = None;
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("time") => {
                event.time = time(value);
                event.written = word(value);
            }
            Some("uniqueQualifier") => event.id = word(value),
            Some("uniqQualifier") => old = word(value),
            Some("applicationName") => event.log = known(value),
            Some("customerId") => event.organization = word(value),
            _ => {}
        }
    }
    event.id = event.id.take().or(old);
}

/// `events[].status` of newer records.
fn status<'r>(value: Value<'_, 'r>, outcome: &mut Outcome<'r>) {
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("eventStatus") => outcome.word = known(value),
            Some("errorCode") => outcome.code = known(value),
            Some("errorMessage") => outcome.reason = known(value),
            _ => {}
        }
    }
    outcome.result = match outcome.word.as_ref().and_then(Text::as_plain) {
        Some("SUCCEEDED" | "SUCCEEDED_WITH_WARNINGS") => Ending::Success,
        Some("FAILED") => Ending::Failure,
        Some("SKIPPED") => Ending::Pending,
        _ => Ending::Unknown,
    };
}

/// How an event ended, where its name says so.
fn ending(action: &str, found: &Found<'_>) -> Ending {
    match action {
        "login_success" | "logout" => Ending::Success,
        "login_failure" => Ending::Failure,
        "login_challenge" | "login_verification" => {
            found.status.as_ref().map_or(Ending::Unknown, |word| mfa::status(&word.decode()))
        }
        "risky_sensitive_action_allowed" => Ending::Allowed,
        // Sign-ins that Google took for somebody else's are stopped, not only reported.
        "risky_sensitive_action_blocked"
        | "suspicious_login"
        | "suspicious_login_less_secure_app"
        | "suspicious_programmatic_login"
        | "ACCESS_DENY_EVENT" => Ending::Denied,
        _ => Ending::Unknown,
    }
}

fn actor<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    let actor = &mut event.actor;
    let mut key = None;
    let mut agent = None;
    for (name, value) in value.members() {
        match name.as_plain() {
            Some("callerType") => actor.word = known(value),
            Some("email") => {
                if let Some(email) = known(value) {
                    let id = actor.account.id.take();
                    actor.account = Account { id, ..Account::by_login(email) };
                }
            }
            // 21 digits: a name, never a number; where it is written as one, its digits.
            Some("profileId") => {
                actor.account.id = known(value).or_else(|| value.as_number().map(Text::spelled))
            }
            Some("key") => key = known(value),
            Some("applicationInfo") => {
                event.app.id = value.get("oauthClientId").and_then(known);
                event.app.name = value.get("applicationName").and_then(known);
            }
            Some("agentAttributionInfo") => agent = Some(value),
            _ => {}
        }
    }
    let is = |text: &Option<Text<'_>>, word: &str| text.as_ref().is_some_and(|text| text == word);
    actor.kind = if is(&key, "SYSTEM") || is(&actor.account.id, NOBODY) {
        ActorKind::System
    } else if is(&actor.word, "KEY") {
        ActorKind::Service
    } else if is(&actor.word, "USER") || actor.account.email.is_some() {
        ActorKind::User
    } else {
        ActorKind::Unknown
    };
    if actor.account.name.is_none() {
        actor.account.name = key;
    }
    if let Some(agent) = agent {
        let account = Account {
            id: agent.get("agentId").and_then(known),
            full_name: agent.get("agentName").and_then(known),
            ..Account::default()
        };
        if account.id.is_some() || account.full_name.is_some() {
            actor.kind = ActorKind::Agent;
            actor.on_behalf_of = std::mem::replace(&mut actor.account, account);
        }
    }
}

fn target<'r>(kind: TargetKind, account: Account<'r>) -> Target<'r> {
    Target { kind, word: None, account }
}

/// What parameters say beside what they are to the event at once.
#[derive(Default)]
struct Found<'r> {
    methods: Texts<'r>,
    status: Option<Text<'r>>,
    setting: Option<Text<'r>>,
    old: Option<Text<'r>>,
    new: Option<Text<'r>>,
    file: Account<'r>,
    file_type: Option<Text<'r>>,
}

/// One value where several may stand.
fn first<'r>(value: Value<'_, 'r>) -> Option<Text<'r>> {
    word(value).or_else(|| value.elements().find_map(word))
}

/// The same of an id or a name, which a word for nothing is not.
fn named<'r>(value: Value<'_, 'r>) -> Option<Text<'r>> {
    let named = |value: Value<'_, 'r>| match value.kind() {
        Json::String => known(value),
        _ => word(value),
    };
    named(value).or_else(|| value.elements().find_map(named))
}

impl<'r> Found<'r> {
    /// Takes over one parameter. One name has different forms in different events, so each is read as a list.
    fn take(&mut self, parameter: Value<'_, 'r>, event: &mut Event<'r>) {
        let (mut name, mut held) = (None, None);
        for (key, value) in parameter.members() {
            match key.as_plain() {
                Some("name") => name = text(value),
                // Each kind of value has a member of its own, and an empty one may have none.
                Some("value" | "intValue" | "boolValue" | "multiValue" | "multiIntValue") => {
                    held = held.or(Some(value).filter(|value| !value.is_null()));
                }
                _ => {}
            }
        }
        let (Some(name), Some(value)) = (name.as_ref().and_then(Text::as_plain), held) else { return };
        // What a setting was and is may be any word, and so may a word for a kind, a state or a reason.
        match name {
            "login_challenge_method" => {
                self.methods = match value.kind() {
                    Json::Array => value.elements().filter_map(word).collect(),
                    _ => word(value).into_iter().collect(),
                };
            }
            "login_challenge_status" => self.status = first(value),
            "login_failure_type" | "failure_type" => event.outcome.reason = first(value),
            "saml_status_code" => event.outcome.code = first(value),
            "SETTING_NAME" | "info_setting" | "acl_permission" => self.setting = first(value),
            "OLD_VALUE" | "old_value" => self.old = first(value),
            "NEW_VALUE" | "new_value" => self.new = first(value),
            "doc_type" => self.file_type = first(value),
            _ => self.take_named(name, value, event),
        }
    }

    fn take_named(&mut self, name: &str, value: Value<'_, 'r>, event: &mut Event<'r>) {
        let Some(one) = named(value) else { return };
        let mut to = |kind, account| event.targets.push(target(kind, account));
        let id = |id| Account { id: Some(id), ..Account::default() };
        let titled = |name| Account { full_name: Some(name), ..Account::default() };
        match name {
            // Microseconds; with fewer digits, milliseconds.
            "login_timestamp" => {
                event.span.began = integer(value).and_then(|number| match number {
                    100_000_000_000_000.. => DateTime::from_timestamp_micros(number),
                    _ => DateTime::from_timestamp_millis(number),
                });
            }
            "login_type" => event.session.protocol = Some(one),
            "is_suspicious" => event.risk.threat = truth(value),
            "affected_email_address" | "USER_EMAIL" | "user_email" | "target_user" => {
                to(TargetKind::User, Account::by_login(one))
            }
            "member_id" if is_email(&one) => to(TargetKind::User, Account::by_login(one)),
            "GROUP_EMAIL" | "group_email" | "group_id" => {
                let Account { email, domain, .. } = Account::by_login(one.clone());
                to(TargetKind::Group, Account { full_name: Some(one), email, domain, ..Account::default() });
            }
            "ROLE_NAME" | "PRIVILEGE_NAME" => to(TargetKind::Role, titled(one)),
            "APPLICATION_NAME" => to(TargetKind::App, titled(one)),
            "email_forwarding_destination_address" => {
                to(TargetKind::Other, Account { email: Some(one), ..Account::default() })
            }
            "application_name" | "app_name" | "CAA_APPLICATION" => event.app.name = Some(one),
            "client_id" => event.app.id = Some(one),
            "DEVICE_ID" | "device_id" | "CAA_DEVICE_ID" => event.device.id = Some(one),
            "DEVICE_MODEL" => event.device.name = Some(one),
            "DEVICE_TYPE" => event.device.word = Some(one),
            "OS_VERSION" => event.device.os_version = Some(one),
            "user_agent" => event.agent.original = Some(one),
            // `meet` has no address of its own.
            "ip_address" if event.source.ip.is_none() => event.source.at(Some(one)),
            "doc_id" => self.file.id = id(one).id,
            // The first, as under the namespace; another one is put aside there.
            "doc_title" => {
                self.file.full_name.get_or_insert(one);
            }
            "owner" => self.file.email = Some(one),
            _ => {}
        }
    }

    /// What several parameters say together.
    fn finish(self, application: &str, event: &mut Event<'r>) {
        if self.file.id.is_some() || self.file.full_name.is_some() {
            event.targets.push(Target { kind: TargetKind::File, word: self.file_type, account: self.file });
        }
        if self.old.is_some() || self.new.is_some() {
            let renamed = event.kind.action.as_ref().is_some_and(|action| action == "RENAME_USER");
            let what = Text::from_static(if renamed { "email" } else { "value" });
            let name = self.setting.unwrap_or(what);
            event.changes.push(Change { name, from: self.old, to: self.new, of: None });
        }
        if application == "saml" {
            event.session.protocol = Some(Text::from_static("saml"));
        }
        if event.outcome.word.is_none() {
            event.outcome.word = self.status;
        }
    }
}

/// Turns an alert into its event.
///
/// # Errors
/// The record is no object.
pub fn alert<'r>(record: Value<'r, 'r>, emit: &mut Emit<'_, 'r>) -> Result<(), NormalizeError> {
    NormalizeError::unless_object(record)?;
    let mut event = Event::new(record, &ALERT);
    let meaning = event_types::FINDING;
    event.kind.class = meaning.class;
    event.kind.activity = meaning.activity;
    event.kind.categories = meaning.categories;
    event.kind.types = meaning.types;
    event.kind.alert = meaning.alert;
    event.risk.threat = Some(true);
    let mut handled = None;
    for (key, value) in record.members() {
        match key.as_plain() {
            Some("alertId") => event.id = known(value),
            Some("customerId") => event.organization = word(value),
            Some("createTime") => {
                event.time = time(value);
                event.written = word(value);
            }
            Some("startTime") => event.span.began = time(value),
            Some("endTime") => event.span.ended = time(value),
            Some("updateTime") => event.span.changed = time(value),
            Some("type") => {
                event.kind.action = text(value);
                event.message = text(value);
            }
            Some("data") => data(value, &mut event),
            Some("metadata") => {
                let [at, status, severity] = value.pick(["updateTime", "status", "severity"]);
                handled = at.and_then(time);
                event.outcome.word = status.and_then(known);
                event.risk.word = severity.and_then(known);
            }
            _ => {}
        }
    }
    let word = event.risk.word.as_ref().and_then(Text::as_plain);
    (event.severity, event.risk.level) = match word {
        Some("HIGH") => (Some(Severity::Error), Some(RiskLevel::High)),
        Some("MEDIUM") => (Some(Severity::Warning), Some(RiskLevel::Medium)),
        Some("LOW") => (Some(Severity::Info), Some(RiskLevel::Low)),
        _ => (None, None),
    };
    if event.outcome.word.as_ref().is_some_and(|word| word == "CLOSED") {
        event.kind.activity = Activity::Close;
    } else if event.span.changed.max(handled).is_some_and(|changed| Some(changed) != event.time) {
        event.kind.activity = Activity::Update;
    }
    emit(&mut event, Next::Nothing);
    Ok(())
}

/// Whom an alert is about, in the members that several types of alerts share.
fn data<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("email") => {
                event
                    .targets
                    .extend(known(value).map(|email| target(TargetKind::User, Account::by_login(email))));
            }
            Some("affectedUserEmails") => {
                let emails = value.elements().filter_map(known);
                event.targets.extend(emails.map(|email| target(TargetKind::User, Account::by_login(email))));
            }
            Some("actorEmail") => {
                event.actor.account = known(value).map(Account::by_login).unwrap_or_default();
                event.actor.kind = ActorKind::User;
            }
            Some("loginDetails") => event.source.at(value.get("ipAddress").and_then(known)),
            _ => {}
        }
    }
}
