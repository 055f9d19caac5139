//! A record of any of the logs becomes an event. Pure.
//!
//! No member is taken for granted, whatever its type: what does not fit reads as absent.

mod mfa;

use super::streams::{Shape, log};
use super::{codes, event_types};
use chrono::{DateTime, Utc};
use std::borrow::Cow;
use tidegate_core::event::{
    Account, Activity, Actor, ActorKind, Answer, Categories, Change, Class, Deed, Emit, Ending, Event, Geo,
    Kind, Next, Outcome, RiskLevel, Target, TargetKind, Texts, Types, integer, known, location, lower_case,
    opened, parse_time, text, truth, word,
};
use tidegate_core::json::{Holder, Kind as Json, Text, Value};
use tidegate_core::source::{Identity, NormalizeError, Stream};

/// Id and time of a record. A detection's is when it was found: its other times change.
#[must_use]
pub fn identity<'r>(stream: &Stream, record: Value<'_, 'r>) -> Identity<'r> {
    let time_of = log(stream.name).map_or("createdDateTime", |log| log.identity_time);
    let (mut id, mut at) = (None, None);
    for (key, value) in record.members() {
        if key.is("id") {
            id = known(value).map(Text::into_cow);
        } else if key.is(time_of) {
            at = time(value);
        }
    }
    Identity { id, time: at }
}

fn time(value: Value<'_, '_>) -> Option<DateTime<Utc>> {
    value.as_text()?.read(parse_time)
}

/// Turns a record into its event.
///
/// # Errors
/// The record is no object, or the stream none of Entra's.
pub fn normalize<'r>(
    stream: &Stream,
    record: Value<'r, 'r>,
    emit: &mut Emit<'_, 'r>,
) -> Result<(), NormalizeError> {
    NormalizeError::unless_object(record)?;
    let log = log(stream.name).ok_or_else(|| NormalizeError(format!("entra has no log {}", stream.name)))?;
    let mut event = Event::new(record, log.table);
    match log.shape {
        Shape::SignIn => sign_in(record, &mut event),
        Shape::Audit => audit(record, &mut event),
        Shape::Risk => risk_detection(record, &mut event),
        Shape::Provisioning => provisioning(record, &mut event),
    }
    if log.kind == Some("nonInteractiveUser") {
        event.session.background = Some(Text::from_static("nonInteractiveUser"));
    }
    emit(&mut event, Next::Nothing);
    Ok(())
}

fn happened<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    event.time = time(value);
    event.written = text(value);
}

/// Microsoft writes the zero GUID where there is nobody.
fn id<'r>(value: Value<'_, 'r>) -> Option<Text<'r>> {
    known(value).filter(|text| !text.is("00000000-0000-0000-0000-000000000000"))
}

/// A user principal name. A guest's (`…#EXT#@…`) is no address.
fn principal<'r>(value: Value<'_, 'r>, account: &mut Account<'r>) {
    let Some(login) = id(value) else { return };
    let guest = login.read(|login| login.contains('#') && login.contains("#EXT#"));
    let Account { name, domain, email, .. } = Account::by_login(login);
    (account.name, account.domain) = (name, domain);
    account.email = email.filter(|_| !guest);
}

fn geo<'r>(value: Value<'_, 'r>) -> Geo<'r> {
    let mut geo = Geo::default();
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("city") => geo.city = known(value),
            Some("state") => geo.region = known(value),
            Some("countryOrRegion") => match known(value) {
                Some(code) if code.as_plain().is_some_and(|code| code.len() == 2) => {
                    geo.country_code = Some(code)
                }
                name => geo.country = name,
            },
            Some("geoCoordinates") => {
                let [lat, lon] = value.pick(["latitude", "longitude"]);
                geo.location = lat.zip(lon).and_then(|(lat, lon)| location(lat, lon));
            }
            _ => {}
        }
    }
    geo
}

fn level(word: Option<&Text<'_>>) -> Option<RiskLevel> {
    match word.and_then(Text::as_plain) {
        Some("none") => Some(RiskLevel::None),
        Some("low") => Some(RiskLevel::Low),
        Some("medium") => Some(RiskLevel::Medium),
        Some("high") => Some(RiskLevel::High),
        // `hidden`: the directory's licence does not show it.
        _ => None,
    }
}

fn words<'r>(value: Value<'_, 'r>) -> Texts<'r> {
    value.elements().filter_map(known).collect()
}

fn sign_in<'r>(record: Value<'r, 'r>, event: &mut Event<'r>) {
    event.kind = Kind {
        // The name that diagnostic logs give to every sign-in; rules compare it.
        action: Some(Text::from_static("Sign-in activity")),
        class: Class::Authentication,
        activity: Activity::Logon,
        categories: Categories::AUTHENTICATION,
        types: Types::INFO,
        alert: false,
    };
    let mut service = Account::default();
    let mut resource = Account::default();
    let (mut correlation, mut code, mut agent, mut older) = (None, None, false, None);
    for (key, value) in record.members() {
        match key.as_plain() {
            Some("id") => event.id = known(value),
            Some("tenantId") => event.organization = known(value),
            Some("createdDateTime") => happened(value, event),
            Some("userId") => event.actor.account.id = id(value),
            Some("userPrincipalName") => principal(value, &mut event.actor.account),
            Some("userDisplayName") => event.actor.account.full_name = known(value),
            Some("servicePrincipalId") => service.id = id(value),
            Some("servicePrincipalName") => service.name = id(value),
            // People's rows carry it too; only its value tells an agent.
            Some("agent") => {
                agent = value.get("agentType").and_then(known).is_some_and(|kind| {
                    !matches!(kind.as_plain(), Some("notAgentic" | "unknownFutureValue"))
                });
            }
            Some("appId") => event.app.id = id(value),
            Some("appDisplayName") => event.app.name = known(value),
            Some("resourceId") => resource.id = id(value),
            Some("resourceDisplayName") => resource.full_name = known(value),
            Some("ipAddress") => event.source.at(id(value)),
            Some("autonomousSystemNumber") => {
                event.source.as_number =
                    integer(value).filter(|&number| u32::try_from(number).is_ok_and(|n| n > 0));
            }
            Some("location") => event.source.geo = geo(value),
            Some("userAgent") => event.agent.original = known(value),
            Some("deviceDetail") => device(value, event),
            Some("status") => code = status(value, event),
            Some("sessionId") => event.session.id = id(value),
            Some("authenticationProtocol") => event.session.protocol = known(value),
            Some("tokenIssuerName") => event.session.issuer = known(value),
            Some("originalRequestId") => event.transaction.id = id(value),
            Some("correlationId") => correlation = id(value),
            Some("riskLevelDuringSignIn") => event.risk.word = known_risk(value),
            Some("riskEventTypes_v2") => event.risk.reasons = words(value),
            Some("riskEventTypes") => older = Some(value),
            _ => {}
        }
    }
    if event.risk.reasons.is_empty() {
        event.risk.reasons = older.map(words).unwrap_or_default();
    }
    event.risk.level = level(event.risk.word.as_ref());
    // The client chooses it and uses it for several attempts: only where there is nothing better.
    event.transaction.id = event.transaction.id.take().or(correlation);
    if service.id.is_some() && event.actor.account.id.is_none() {
        event.actor.account = service;
        event.actor.kind = ActorKind::Service;
    } else if event.actor.account.id.is_some() || event.actor.account.name.is_some() {
        event.actor.kind = ActorKind::User;
    }
    if agent {
        event.actor.kind = ActorKind::Agent;
    }
    if resource.id.is_some() || resource.full_name.is_some() {
        event.targets.push(Target { kind: TargetKind::App, word: None, account: resource });
    }
    let (mfa, failed) = mfa::read(record, code);
    event.mfa = mfa;
    if event.outcome.result != Ending::Success && event.outcome.detail.is_none() && failed.is_some() {
        event.message.clone_from(&failed);
        let Outcome { reason, detail, .. } = &mut event.outcome;
        *(if reason.is_none() { reason } else { detail }) = failed;
    }
}

/// `none` is an answer here.
fn known_risk<'r>(value: Value<'_, 'r>) -> Option<Text<'r>> {
    text(value).filter(|word| word != "unknownFutureValue")
}

fn device<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("deviceId") => event.device.id = id(value),
            Some("displayName") => event.device.name = known(value),
            Some("operatingSystem") => {
                event.device.os = known(value);
                event.agent.os = known(value);
            }
            Some("browser") => event.agent.browser = known(value),
            Some("isManaged") => event.device.managed = truth(value),
            Some("trustType") => event.device.word = known(value),
            _ => {}
        }
    }
}

/// The error code decides.
fn status<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) -> Option<i64> {
    let mut code = None;
    for (key, value) in value.members() {
        match key.as_plain() {
            Some("errorCode") => {
                code = integer(value);
                event.outcome.code = word(value);
            }
            // What a success has there.
            Some("failureReason") => event.outcome.reason = known(value).filter(|reason| reason != "Other."),
            Some("additionalDetails") => {
                event.message = known(value);
                event.outcome.detail.clone_from(&event.message);
            }
            _ => {}
        }
    }
    if event.message.is_none() {
        event.message.clone_from(&event.outcome.reason);
    }
    event.outcome.result = code.map_or(Ending::Unknown, codes::ending);
    code
}

fn audit<'r>(record: Value<'r, 'r>, event: &mut Event<'r>) {
    let (mut category, mut operation) = (None, None);
    for (key, value) in record.members() {
        match key.as_plain() {
            Some("id") => event.id = known(value),
            Some("tenantId") => event.organization = known(value),
            Some("activityDateTime") => happened(value, event),
            Some("activityDisplayName") => event.kind.action = text(value),
            Some("category") => category = known(value),
            Some("operationType") => operation = known(value),
            Some("correlationId") => event.transaction.id = id(value),
            Some("result") => {
                event.outcome.word = known(value);
                event.outcome.result = result(event.outcome.word.as_ref());
            }
            Some("resultReason") => event.outcome.reason = known(value),
            Some("initiatedBy") => initiator(value, event),
            Some("targetResources") => targets(value, event),
            Some("userAgent") => event.agent.original = known(value),
            Some("additionalDetails") => {
                for pair in value.elements() {
                    let [key, value] = pair.pick(["key", "value"]);
                    let named = key.and_then(|key| key.as_text());
                    if event.agent.original.is_none() && named.is_some_and(|key| key.is("User-Agent")) {
                        event.agent.original = value.and_then(known);
                    }
                }
            }
            _ => {}
        }
    }
    fn decode<'t>(text: &'t Option<Text<'_>>) -> Cow<'t, str> {
        text.as_ref().map(Text::decode).unwrap_or_default()
    }
    let action = event.kind.action.clone();
    let action = decode(&action);
    let (meaning, deed) = event_types::find(&action, &decode(&category), &decode(&operation));
    let event_types::Meaning { class, activity, categories, types, alert } = meaning;
    event.kind = Kind { action: event.kind.action.take(), class, activity, categories, types, alert };
    event.mfa.deed = deed;
    if alert {
        (event.mfa.answer, event.risk.threat) = (Some(Answer::Fraud), Some(true));
    }
    match event.kind.class {
        Class::Group => named_in_changes(event, TargetKind::Group, "Group."),
        Class::Access => named_in_changes(event, TargetKind::Role, "Role."),
        _ => {}
    }
    if deed.is_some() {
        // Such as "User registered Authenticator App with Code".
        let reason = event.outcome.reason.as_ref();
        event.mfa.factor =
            reason.and_then(|reason| mfa::factor(&reason.decode())).or_else(|| mfa::factor(&action));
    } else if class == Class::Account && activity == Activity::Update {
        methods(event);
    }
}

/// A user's methods stand among what else an update changed: a list as JSON text, empty where there are none.
fn methods(event: &mut Event<'_>) {
    let Some(change) = event.changes.iter().find(|change| change.name == "StrongAuthenticationMethod") else {
        return;
    };
    let some = |list: &Option<Text<'_>>| {
        list.as_ref().is_some_and(|list| {
            // Nothing so long is one of these words, also with blanks around it.
            list.len_at_most() > 16 || !matches!(list.decode().trim(), "[]" | "null")
        })
    };
    let (activity, deed) = match (some(&change.from), some(&change.to)) {
        (false, true) => (Activity::FactorEnable, Deed::Enroll),
        (true, false) => (Activity::FactorDisable, Deed::Reset),
        _ => (Activity::Update, Deed::Update),
    };
    (event.kind.activity, event.mfa.deed) = (activity, Some(deed));
}

fn result(word: Option<&Text<'_>>) -> Ending {
    match word.and_then(Text::as_plain).map(lower_case).as_deref() {
        Some("success") => Ending::Success,
        Some("failure" | "timeout") => Ending::Failure,
        // It was left out.
        Some("skipped") => Ending::Pending,
        _ => Ending::Unknown,
    }
}

/// A user or an app; both may be null, and then it was Microsoft's own system.
fn initiator<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    let object = |name: &str| value.get(name).filter(|value| value.kind() == Json::Object);
    let actor = &mut event.actor;
    if let Some(user) = object("user") {
        actor.kind = ActorKind::User;
        for (key, value) in user.members() {
            match key.as_plain() {
                Some("id") => actor.account.id = id(value),
                Some("displayName") => actor.account.full_name = known(value),
                Some("userPrincipalName") => principal(value, &mut actor.account),
                Some("ipAddress") => event.source.at(id(value)),
                _ => {}
            }
        }
    } else if let Some(app) = object("app") {
        actor.kind = ActorKind::Service;
        actor.account.id =
            app.get("servicePrincipalId").and_then(id).or_else(|| app.get("appId").and_then(id));
        actor.account.name = app.get("servicePrincipalName").and_then(id);
        actor.account.full_name = app.get("displayName").and_then(id);
        event.app.id = app.get("appId").and_then(id);
        event.app.name.clone_from(&actor.account.full_name);
    } else {
        actor.kind = ActorKind::System;
    }
}

fn target_kind(word: &str) -> TargetKind {
    match &*lower_case(word) {
        "user" => TargetKind::User,
        "group" => TargetKind::Group,
        "serviceprincipal" | "application" => TargetKind::App,
        "role" => TargetKind::Role,
        "policy" => TargetKind::Policy,
        "device" => TargetKind::Device,
        _ => TargetKind::Other,
    }
}

fn targets<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    for element in value.elements() {
        let (mut word, mut account) = (None, Account::default());
        let before = event.changes.len();
        for (key, value) in element.members() {
            match key.as_plain() {
                Some("id") => account.id = id(value),
                Some("displayName") => account.full_name = known(value),
                Some("userPrincipalName") => principal(value, &mut account),
                Some("type" | "Type") => word = known(value),
                Some("modifiedProperties") => changes(value, Some(event.targets.len()), event),
                _ => {}
            }
        }
        let kind = match word.as_ref().map(Text::decode) {
            Some(word) => target_kind(&word),
            // Only users have such a name.
            None if account.name.is_some() => TargetKind::User,
            None => TargetKind::Other,
        };
        if word.is_some() || account.id.is_some() || account.name.is_some() || account.full_name.is_some() {
            event.targets.push(Target { kind, word, account });
        } else {
            // Of nothing that has a name.
            event.changes.iter_mut().skip(before).for_each(|change| change.of = Some(usize::MAX));
        }
    }
}

/// Values are JSON in text and stay so: rules compare them with their quotes. Among what was changed of a directory object also stand
/// the group, role or permission that it was given (`Group.ObjectID`) and the names of what was changed: no properties of its own.
fn changes<'r>(value: Value<'_, 'r>, target: Option<usize>, event: &mut Event<'r>) {
    for property in value.elements() {
        let [name, from, to] = property.pick(["displayName", "oldValue", "newValue"]);
        if let Some(name) = name.and_then(known) {
            let own = !name.read(|name| name.contains('.')) && !name.is("Included Updated Properties");
            let target = target.map(|target| if own { target } else { usize::MAX });
            event.changes.push(Change { name, from: from.and_then(word), to: to.and_then(word), of: target });
        }
    }
}

/// Whoever is added to a group or a role is the target; which one it is stands among what was changed, as JSON text.
fn named_in_changes<'r>(event: &mut Event<'r>, kind: TargetKind, prefix: &str) {
    if event.targets.iter().any(|target| target.kind == kind) {
        return;
    }
    let find = |name: &str| {
        let change = event.changes.iter().find(|change| {
            change
                .name
                .as_plain()
                .and_then(|plain| plain.strip_prefix(prefix))
                .is_some_and(|rest| rest == name)
        })?;
        let said = |text: &Option<Text<'r>>| {
            let text = text.as_ref()?;
            if let Some(name) = text.source().and_then(quoted) {
                return Some(Text::spelled(name));
            }
            let decoded = text.decode();
            let plain = decoded.trim_matches('"');
            (!plain.trim().is_empty() && plain != "null").then(|| Text::owned(plain))
        };
        said(&change.to).or_else(|| said(&change.from))
    };
    let account = Account { id: find("ObjectID"), full_name: find("DisplayName"), ..Account::default() };
    if account.id.is_some() || account.full_name.is_some() {
        event.targets.push(Target { kind, word: None, account });
    }
}

/// A string of JSON that is nothing but a string of JSON: what stands inside, if it needs no unescaping and is no word for
/// nothing.
fn quoted(source: &str) -> Option<&str> {
    let inner = source.strip_prefix(r#""\""#)?.strip_suffix(r#"\"""#)?;
    let plain = !inner.contains(['\\', '"']) && !inner.trim().is_empty() && inner != "null";
    plain.then_some(inner)
}

fn risk_detection<'r>(record: Value<'r, 'r>, event: &mut Event<'r>) {
    event.kind = Kind {
        action: None,
        class: Class::Detection,
        activity: Activity::Create,
        categories: Categories::INTRUSION_DETECTION,
        types: Types::INFO,
        alert: true,
    };
    let mut service = Account::default();
    let mut correlation = None;
    for (key, value) in record.members() {
        match key.as_plain() {
            Some("id") => event.id = known(value),
            Some("tenantId") => event.organization = known(value),
            Some("detectedDateTime") => happened(value, event),
            Some("lastUpdatedDateTime") => event.span.changed = time(value),
            Some("activityDateTime") => event.span.began = time(value),
            Some("riskEventType") => event.kind.action = text(value),
            Some("riskLevel") => event.risk.word = known_risk(value),
            Some("riskState") => event.outcome.word = text(value),
            Some("riskDetail") => event.outcome.reason = known(value),
            Some("userId") => event.actor.account.id = id(value),
            Some("userPrincipalName") => principal(value, &mut event.actor.account),
            Some("userDisplayName") => event.actor.account.full_name = known(value),
            Some("servicePrincipalId") => service.id = id(value),
            Some("servicePrincipalDisplayName") => service.full_name = known(value),
            Some("appId") => event.app.id = id(value),
            Some("ipAddress") => event.source.at(id(value)),
            Some("location") => event.source.geo = geo(value),
            // The sign-in's id, where a sign-in is behind it.
            Some("requestId") => event.transaction.id = id(value),
            Some("correlationId") => correlation = id(value),
            Some("additionalInfo") => additional(value, event),
            _ => {}
        }
    }
    event.transaction.id = event.transaction.id.take().or(correlation);
    event.risk.level = level(event.risk.word.as_ref());
    event.risk.threat = match event.outcome.word.as_ref().and_then(Text::as_plain) {
        Some("atRisk" | "confirmedCompromised") => Some(true),
        Some("confirmedSafe" | "remediated" | "dismissed") => Some(false),
        _ => None,
    };
    if event.risk.threat == Some(false) {
        event.kind.activity = Activity::Close;
    } else if event.time.zip(event.span.changed).is_some_and(|(found, updated)| updated > found)
        && event.outcome.word.as_ref().is_some_and(|word| word == "confirmedCompromised")
    {
        event.kind.activity = Activity::Update;
    }
    if service.id.is_some() && event.actor.account.id.is_none() {
        event.actor = Actor { kind: ActorKind::Service, account: service, ..Actor::default() };
    } else if event.actor.account.id.is_some() || event.actor.account.name.is_some() {
        event.actor.kind = ActorKind::User;
    }
}

/// `additionalInfo` is JSON in text: `[{"Key":…,"Value":…}]`.
fn additional<'r>(value: Value<'_, 'r>, event: &mut Event<'r>) {
    let mut holder = Holder::new(value.raw());
    let mut own =
        |inner: Value<'_, '_>| known(inner)?.read(|text| Some(holder.find(inner.span().start, text)));
    opened(value, Json::Array, |pairs| {
        for pair in pairs.elements() {
            let (mut key, mut said) = (None, None);
            for (name, value) in pair.members() {
                match name.as_plain() {
                    Some("Key" | "key" | "KEY") => key = key.or(Some(value)),
                    Some("Value" | "value" | "VALUE") => said = said.or(Some(value)),
                    _ => {}
                }
            }
            let (Some(key), Some(value)) = (key.and_then(|key| key.as_text()), said) else { continue };
            match key.as_plain() {
                Some("userAgent") => event.agent.original = own(value),
                Some("riskReasons") => {
                    event.risk.reasons = value.elements().filter_map(&mut own).collect();
                }
                _ => {}
            }
        }
    });
}

fn provisioning<'r>(record: Value<'r, 'r>, event: &mut Event<'r>) {
    let (mut cycle, mut target) = (None, None);
    for (key, value) in record.members() {
        match key.as_plain() {
            Some("id") => event.id = known(value),
            Some("tenantId") => event.organization = known(value),
            Some("activityDateTime") => happened(value, event),
            Some("provisioningAction") => event.kind.action = text(value),
            // Its name before 2020.
            Some("action") if event.kind.action.is_none() => event.kind.action = text(value),
            Some("changeId") => event.transaction.id = id(value),
            Some("cycleId") => cycle = id(value),
            Some("provisioningStatusInfo") => {
                event.outcome.word = value.get("status").and_then(text);
                event.outcome.result = result(event.outcome.word.as_ref());
                let error = value.get("errorInformation");
                let of = |name: &str| error.and_then(|error| error.get(name)).and_then(known);
                event.outcome.reason = of("reason");
                event.outcome.code = of("errorCode");
            }
            Some("initiatedBy") => {
                let of = |name: &str| value.get(name).and_then(id);
                event.actor.account.id = of("id");
                event.actor.account.full_name = of("displayName").or_else(|| of("name"));
                event.actor.word = of("initiatorType").or_else(|| of("initiatingType"));
                event.actor.kind = match event.actor.word.as_ref().and_then(Text::as_plain) {
                    Some("user") => ActorKind::User,
                    Some("application") => ActorKind::Service,
                    Some("system") => ActorKind::System,
                    _ => ActorKind::Unknown,
                };
            }
            Some("servicePrincipal") => {
                event.app.id = value.get("id").and_then(id);
                event.app.name = value.get("displayName").or_else(|| value.get("name")).and_then(known);
            }
            Some("targetIdentity") => target = Some(value),
            Some("modifiedProperties") => changes(value, None, event),
            _ => {}
        }
    }
    event.transaction.id = event.transaction.id.take().or(cycle);
    let kind = target.and_then(|target| target.get("identityType")).and_then(known);
    let (class, who, target_kind) = match kind.as_ref().and_then(Text::as_plain).map(lower_case).as_deref() {
        Some("user") => (Class::Account, Types::USER, TargetKind::AppUser),
        Some("group") => (Class::Group, Types::GROUP, TargetKind::Group),
        _ => (Class::Entity, Types::empty(), TargetKind::Other),
    };
    if let Some(target) = target {
        let of = |name: &str| target.get(name).and_then(id);
        let account = Account {
            id: of("id"),
            full_name: of("displayName").or_else(|| of("name")),
            ..Account::default()
        };
        if account.id.is_some() || account.full_name.is_some() {
            event.targets.push(Target { kind: target_kind, word: kind, account });
        }
    }
    let action = event.kind.action.as_ref().and_then(Text::as_plain).map(lower_case);
    let (activity, how) = match action.as_deref() {
        Some("create") => (Activity::Create, Types::CREATION),
        Some("delete") => (Activity::Delete, Types::DELETION),
        Some("disable" | "stageddelete") => (Activity::Disable, Types::CHANGE),
        Some("update") => (Activity::Update, Types::CHANGE),
        _ => (Activity::Other, Types::CHANGE),
    };
    event.kind.class = class;
    event.kind.activity = activity;
    event.kind.categories = if class == Class::Entity { Categories::CONFIGURATION } else { Categories::IAM };
    event.kind.types = who.with(how);
}
