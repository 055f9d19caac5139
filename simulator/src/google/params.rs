//! The parameters of `activities.list`: what is allowed, and what the records must match.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request};
use serde_json::Value;

use super::config::GoogleConfig;
use super::error::ApiError;
use super::page_token::PageToken;

/// Days that activities can be read, and that `startTime` may lie back.
const RETENTION_DAYS: i64 = 180;
/// Days that a query of `gmail` may span.
const GMAIL_DAYS: i64 = 30;
const PATH: &str = "/admin/reports/v1/activity/users/";

/// What a page token is bound to.
const BOUND: [&str; 16] = [
    "actorIpAddress",
    "agentInfoFilter",
    "applicationInfoFilter",
    "customerId",
    "deviceFilter",
    "endTime",
    "eventName",
    "filters",
    "groupIdFilter",
    "includeSensitiveData",
    "maxResults",
    "networkInfoFilter",
    "orgUnitID",
    "resourceDetailsFilter",
    "startTime",
    "statusFilter",
];
/// Documented, but without the data behind them here: refused rather than answered wrongly.
const NOT_PLAYED: [&str; 8] = [
    "agentInfoFilter",
    "applicationInfoFilter",
    "deviceFilter",
    "groupIdFilter",
    "networkInfoFilter",
    "orgUnitID",
    "resourceDetailsFilter",
    "statusFilter",
];

/// The parameters of a request: the query, and of a GET that came as a POST (too long for a URL) the form.
pub(crate) fn parameters(request: &Request<Bytes>) -> Result<Vec<(String, String)>, ApiError> {
    let query = request.uri().query().unwrap_or_default();
    let mut pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    if request.method() == Method::POST {
        let over = request.headers().get("x-http-method-override").and_then(|value| value.to_str().ok());
        if !over.is_some_and(|method| method.eq_ignore_ascii_case("get")) {
            return Err(ApiError::not_found());
        }
        pairs.extend(url::form_urlencoded::parse(request.body()).into_owned());
    } else if request.method() != Method::GET {
        return Err(ApiError::not_found());
    }
    if !matches!(last(&pairs, "alt"), None | Some("json")) {
        return Err(ApiError::invalid("alt", "Invalid value for alt"));
    }
    Ok(pairs)
}

/// The value of a parameter; of a repeated one the last.
pub(crate) fn last<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// User key and application of a path.
pub(crate) fn activity_path(path: &str) -> Option<(String, String)> {
    let mut parts = path.strip_prefix(PATH)?.split('/');
    let (user, word, app) = (parts.next()?, parts.next()?, parts.next()?);
    (word == "applications" && parts.next().is_none()).then(|| (decoded(user), decoded(app)))
}

/// A path segment without its percent signs; `+` stands for itself there.
fn decoded(segment: &str) -> String {
    let pair = segment.replace('+', "%2B");
    url::form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

/// Whether a query counts as filtered.
pub(crate) fn is_filtered(user: &str, pairs: &[(String, String)]) -> bool {
    let names = ["actorIpAddress", "eventName", "filters", "orgUnitID", "groupIdFilter"];
    user != "all" || names.iter().any(|name| last(pairs, name).is_some())
}

/// A checked query.
#[derive(Debug)]
pub(crate) struct ActivityQuery {
    pub(crate) application: String,
    /// Epoch microseconds, both inclusive.
    pub(crate) range: (i64, i64),
    pub(crate) limit: usize,
    pub(crate) selection: Selection,
    pub(crate) token: Option<PageToken>,
    /// All that a page token of this query is bound to.
    pub(crate) bound: String,
}

impl ActivityQuery {
    pub(crate) fn parse(
        user: &str,
        application: &str,
        pairs: &[(String, String)],
        config: &GoogleConfig,
        now: DateTime<Utc>,
    ) -> Result<Self, ApiError> {
        if !config.applications.iter().any(|known| known == application) {
            return Err(ApiError::invalid("applicationName", format!("Unknown application: {application}")));
        }
        let get = |name: &str| last(pairs, name);
        if let Some(name) = NOT_PLAYED.iter().find(|name| get(name).is_some()) {
            return Err(ApiError::invalid(name, format!("{name} is not played by this stand-in")));
        }
        let bound = bound_to(&format!("{user}/{application}"), pairs, &BOUND);
        let token = page_token(pairs, config, &bound, now)?;
        match get("customerId") {
            None | Some("my_customer") => {}
            Some(id) if !id.starts_with('C') || id.len() < 2 => {
                return Err(ApiError::invalid("customerId", "Invalid value for customerId"));
            }
            Some(id) if id != config.customer_id => return Err(ApiError::not_admin()),
            Some(_) => {}
        }
        let sensitive = ["rules", "chat", "workspace_studio"].contains(&application);
        if get("includeSensitiveData") == Some("true") && !sensitive {
            return Err(ApiError::new(
                403,
                "forbidden",
                format!("includeSensitiveData is not allowed for {application}"),
            ));
        }
        Ok(Self {
            application: application.to_owned(),
            range: range(application, pairs, config, token.is_some(), now)?,
            limit: match get("maxResults").map(str::parse::<usize>) {
                None => 1_000,
                Some(Ok(limit)) if (1..=1_000).contains(&limit) => limit,
                Some(_) => return Err(ApiError::invalid("maxResults", "maxResults must be from 1 to 1000")),
            },
            selection: Selection::parse(user, pairs)?,
            token,
            bound,
        })
    }
}

/// What a page token is bound to: the values of these parameters, absent ones too.
pub(crate) fn bound_to(what: &str, pairs: &[(String, String)], names: &[&str]) -> String {
    names.iter().fold(what.to_owned(), |text, name| format!("{text}\n{:?}", last(pairs, name)))
}

/// The query's page token, if it has one and it is good.
pub(crate) fn page_token(
    pairs: &[(String, String)],
    config: &GoogleConfig,
    bound: &str,
    now: DateTime<Utc>,
) -> Result<Option<PageToken>, ApiError> {
    let Some(text) = last(pairs, "pageToken") else { return Ok(None) };
    let token = PageToken::read(text, config.seed, bound).ok_or_else(refused_token)?;
    let age = now.timestamp_millis() - token.issued;
    if config.page_token_ttl.is_some_and(|ttl| age > ttl.num_milliseconds()) {
        return Err(refused_token());
    }
    Ok(Some(token))
}

/// 400 for a page token.
pub(crate) fn refused_token() -> ApiError {
    ApiError::invalid("pageToken", "The page token is not valid for this query or has expired")
}

fn range(
    application: &str,
    pairs: &[(String, String)],
    config: &GoogleConfig,
    continued: bool,
    now: DateTime<Utc>,
) -> Result<(i64, i64), ApiError> {
    let moment = |name: &'static str| match last(pairs, name) {
        None => Ok(None),
        Some(text) => match DateTime::parse_from_rfc3339(text) {
            Ok(at) if text.as_bytes().get(10) == Some(&b'T') => Ok(Some(at.with_timezone(&Utc))),
            _ => Err(ApiError::invalid(name, format!("{name} is not a time of RFC 3339"))),
        },
    };
    let (start, end) = (moment("startTime")?, moment("endTime")?);
    let oldest = now - TimeDelta::days(RETENTION_DAYS);
    // A chain may go on although its start has become too old meanwhile.
    if !continued && start.is_some_and(|start| start < oldest) {
        return Err(ApiError::invalid(
            "startTime",
            format!("Start time must be within the last {RETENTION_DAYS} days"),
        ));
    }
    if application == "gmail" {
        let span = start.zip(end).map(|(start, end)| end - start);
        if span.is_none_or(|span| span > TimeDelta::days(GMAIL_DAYS)) {
            return Err(ApiError::invalid(
                "startTime",
                format!("gmail needs startTime and endTime, {GMAIL_DAYS} days apart at most"),
            ));
        }
    }
    let until = end.unwrap_or(now);
    if start.is_some_and(|start| start >= now) {
        return Err(ApiError::invalid("startTime", "Start time must be before the current time"));
    }
    if start.is_some_and(|start| start >= until) {
        return Err(ApiError::invalid("startTime", "Start time must be before end time"));
    }
    let last_instant = until.timestamp_micros() - i64::from(end.is_some() && config.end_time_exclusive);
    Ok((start.unwrap_or(oldest).max(oldest).timestamp_micros(), last_instant))
}

/// What the records must match.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    user: Option<String>,
    address: Option<String>,
    event: Option<String>,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    name: String,
    operator: &'static str,
    value: String,
}

/// The parameters that each event name of an application has.
pub(crate) type EventNames = HashMap<String, HashSet<String>>;

impl Selection {
    fn parse(user: &str, pairs: &[(String, String)]) -> Result<Self, ApiError> {
        let mut selection = Self {
            user: (user != "all").then(|| user.to_lowercase()),
            address: last(pairs, "actorIpAddress").map(str::to_owned),
            event: last(pairs, "eventName").map(str::to_owned),
            conditions: Vec::new(),
        };
        for part in last(pairs, "filters").unwrap_or_default().split(',').filter(|part| !part.is_empty()) {
            let condition = Condition::parse(part)
                .filter(|_| selection.event.is_some())
                .ok_or_else(|| ApiError::invalid("filters", "filters need an eventName, and operators"))?;
            selection.conditions.retain(|known| known.name != condition.name);
            selection.conditions.push(condition);
        }
        Ok(selection)
    }

    /// Everything is wanted, so that no record need be looked into.
    pub(crate) fn is_all(&self) -> bool {
        self.user.is_none() && self.address.is_none() && self.event.is_none()
    }

    pub(crate) fn has_conditions(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// Drops conditions on parameters that no event of the application has. `false`: one belongs to other events, and
    /// the report is empty.
    pub(crate) fn settle(&mut self, names: &EventNames) -> bool {
        self.conditions
            .retain(|condition| names.values().any(|parameters| parameters.contains(&condition.name)));
        let own = self.event.as_ref().and_then(|event| names.get(event));
        self.conditions.iter().all(|condition| own.is_some_and(|own| own.contains(&condition.name)))
    }

    pub(crate) fn matches(&self, raw: &[u8]) -> bool {
        if self.is_all() {
            return true;
        }
        let Ok(activity) = serde_json::from_slice::<Value>(raw) else { return false };
        let text = |pointer: &str| activity.pointer(pointer).and_then(Value::as_str);
        let user = self.user.as_ref().is_none_or(|user| {
            text("/actor/profileId") == Some(user)
                || text("/actor/email").is_some_and(|email| email.eq_ignore_ascii_case(user))
        });
        let address = self.address.as_deref().is_none_or(|address| {
            text("/ipAddress").is_some_and(|ip| match (ip.parse::<IpAddr>(), address.parse::<IpAddr>()) {
                (Ok(ip), Ok(address)) => ip == address,
                _ => ip == address,
            })
        });
        user && address && self.event.as_deref().is_none_or(|name| self.has_event(&activity, name))
    }

    fn has_event(&self, activity: &Value, name: &str) -> bool {
        let events = activity.get("events").and_then(Value::as_array);
        events.into_iter().flatten().any(|event| {
            event.get("name").and_then(Value::as_str) == Some(name)
                && self.conditions.iter().all(|condition| condition.matches(event))
        })
    }
}

impl Condition {
    fn parse(text: &str) -> Option<Self> {
        let at = text.find(['=', '<', '>'])?;
        let (name, rest) = text.split_at_checked(at)?;
        let operator = ["==", "<>", "<=", ">=", "<", ">"].into_iter().find(|op| rest.starts_with(op))?;
        let value = rest.strip_prefix(operator)?.to_owned();
        (!name.is_empty()).then(|| Self { name: name.to_owned(), operator, value })
    }

    fn matches(&self, event: &Value) -> bool {
        let parameters = event.get("parameters").and_then(Value::as_array);
        let named = parameters
            .into_iter()
            .flatten()
            .filter(|parameter| parameter.get("name").and_then(Value::as_str) == Some(&self.name));
        named.flat_map(values).any(|value| {
            let order = match (value.parse::<i64>(), self.value.parse::<i64>()) {
                (Ok(value), Ok(wanted)) => value.cmp(&wanted),
                _ => value.as_str().cmp(&self.value),
            };
            match self.operator {
                "==" => order.is_eq(),
                "<>" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            }
        })
    }
}

/// The values of a parameter as texts, whichever its form.
fn values(parameter: &Value) -> Vec<String> {
    let one = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    ["value", "intValue", "boolValue", "multiValue", "multiIntValue"]
        .iter()
        .filter_map(|form| parameter.get(form))
        .flat_map(|value| match value {
            Value::Array(values) => values.iter().map(one).collect(),
            value => vec![one(value)],
        })
        .collect()
}
