//! Values that cannot be wrong, and how they are read from what a file says.
//!
//! Every message says what was wrong and what is accepted; the reader of a file never sees serde's words.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tidegate_core::collect::window::LAST_HORIZON;
use tidegate_core::sink::Level;
use tidegate_core::units::{DURATION, SIZE, duration, size, split};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A share of a whole, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// This many of a hundred; `None` outside 1 to 100.
    #[must_use]
    pub fn new(value: u8) -> Option<Self> {
        (1..=100).contains(&value).then_some(Self(value))
    }

    /// Of a hundred.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// Where a new source begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// This long before its first contact.
    Ago(Duration),
    /// At this time.
    At(DateTime<Utc>),
}

/// Where a sink that is added to a tenant begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkStart {
    /// With what is collected from now on.
    Now,
    /// With everything that the journal still holds.
    Kept,
    /// With what was collected from this time on.
    At(DateTime<Utc>),
}

/// Which versions of a record are delivered. All are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revisions {
    /// Every version.
    All,
    /// Only the version that was seen first.
    First,
}

/// How `raw` documents of Entra's records stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntraShape {
    /// In the envelope of Azure's diagnostic logs: that is what published detections search.
    Diagnostic,
    /// As Graph sends them.
    Graph,
}

/// A value of one key, read from what the file says.
pub(super) trait Leaf: Sized {
    /// Reads it, or says what is wrong and what is accepted.
    fn read(value: &Json) -> Result<Self, String>;
    /// What editors are told. `x-value` is how the option tables call it.
    fn schema() -> Schema;
}

/// A key as the file has it. Reading a table never stops at the first wrong key.
#[derive(Debug, Default)]
pub(super) enum Given<T> {
    #[default]
    Absent,
    Value(T),
    Wrong(String),
}

impl<'de, T: Leaf> serde::Deserialize<'de> for Given<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(deserializer)?;
        Ok(match T::read(&value) {
            Ok(value) => Self::Value(value),
            Err(message) => Self::Wrong(message),
        })
    }
}

impl<T: Leaf> JsonSchema for Given<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Given".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        T::schema()
    }
}

/// What stands there instead, without repeating it.
fn instead(value: &Json) -> &'static str {
    match value {
        Json::Null => "nothing",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a bare number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "a table",
    }
}

fn wanted<T>(what: &str, value: &Json) -> Result<T, String> {
    Err(format!("{} stands here; accepted: {what}", instead(value)))
}

const PERCENT: &str = "1% to 100%, such as \"50%\"";
const TIME: &str = "a time such as \"2026-10-01T00:00:00Z\" or a day such as \"2026-10-01\"";

fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let day: NaiveDate = text.parse().ok()?;
    Some(day.and_time(NaiveTime::MIN).and_utc())
}

/// `"abc" is not accepted; accepted: …`. Only for keys that hold no secret.
fn none_of<T>(text: &str, accepted: &str) -> Result<T, String> {
    Err(format!("{text:?} is not accepted; accepted: {accepted}"))
}

impl Leaf for Duration {
    fn read(value: &Json) -> Result<Self, String> {
        match value {
            Json::String(text) => duration(text).map_or_else(|| none_of(text, DURATION), Ok),
            other => wanted(DURATION, other),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$", "x-value": "duration"})
    }
}

impl Leaf for Size {
    fn read(value: &Json) -> Result<Self, String> {
        match value {
            Json::String(text) => size(text).map_or_else(|| none_of(text, SIZE), |bytes| Ok(Self(bytes))),
            other => wanted(SIZE, other),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|TiB)$", "x-value": "size"})
    }
}

impl Leaf for Percent {
    fn read(value: &Json) -> Result<Self, String> {
        match value {
            Json::String(text) => match split(text) {
                Some((number, "%")) => {
                    u8::try_from(number).ok().and_then(Self::new).map_or_else(|| none_of(text, PERCENT), Ok)
                }
                _ => none_of(text, PERCENT),
            },
            other => wanted(PERCENT, other),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "pattern": "^([1-9][0-9]?|100) *%$", "x-value": "percentage"})
    }
}

impl Leaf for Start {
    fn read(value: &Json) -> Result<Self, String> {
        let accepted = format!("{DURATION}; or {TIME}");
        let Json::String(text) = value else { return wanted(&accepted, value) };
        let ago = duration(text).map(Self::Ago);
        ago.or_else(|| time(text).map(Self::At)).map_or_else(|| none_of(text, &accepted), Ok)
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "x-value": "duration (ago) or time"})
    }
}

impl Leaf for SinkStart {
    fn read(value: &Json) -> Result<Self, String> {
        let accepted = format!("\"now\", \"kept\", {TIME}");
        match value {
            Json::String(text) => match text.as_str() {
                "now" => Ok(Self::Now),
                "kept" => Ok(Self::Kept),
                text => time(text).map(Self::At).map_or_else(|| none_of(text, &accepted), Ok),
            },
            other => wanted(&accepted, other),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "x-value": "`\"now\"`, `\"kept\"` or time"})
    }
}

impl Leaf for Revisions {
    fn read(value: &Json) -> Result<Self, String> {
        const ACCEPTED: &str = "\"all\", \"first\"";
        match value {
            Json::String(text) => match text.as_str() {
                "all" => Ok(Self::All),
                "first" => Ok(Self::First),
                text => none_of(text, ACCEPTED),
            },
            other => wanted(ACCEPTED, other),
        }
    }

    fn schema() -> Schema {
        json_schema!({"enum": ["all", "first"], "x-value": "`\"all\"` or `\"first\"`"})
    }
}

impl Leaf for EntraShape {
    fn read(value: &Json) -> Result<Self, String> {
        const ACCEPTED: &str = "\"diagnostic\", \"graph\"";
        match value {
            Json::String(text) => match text.as_str() {
                "diagnostic" => Ok(Self::Diagnostic),
                "graph" => Ok(Self::Graph),
                text => none_of(text, ACCEPTED),
            },
            other => wanted(ACCEPTED, other),
        }
    }

    fn schema() -> Schema {
        json_schema!({"enum": ["diagnostic", "graph"], "x-value": "`\"diagnostic\"` or `\"graph\"`"})
    }
}

impl Leaf for Level {
    fn read(value: &Json) -> Result<Self, String> {
        const ACCEPTED: &str = "\"at_least_once\", \"exactly_once\"";
        match value {
            Json::String(text) => match text.as_str() {
                "at_least_once" => Ok(Self::AtLeastOnce),
                "exactly_once" => Ok(Self::ExactlyOnce),
                text => none_of(text, ACCEPTED),
            },
            other => wanted(ACCEPTED, other),
        }
    }

    fn schema() -> Schema {
        json_schema!({
            "enum": ["at_least_once", "exactly_once"],
            "x-value": "`\"at_least_once\"` or `\"exactly_once\"`",
        })
    }
}

impl Leaf for String {
    fn read(value: &Json) -> Result<Self, String> {
        match value {
            Json::String(text) if text.is_empty() => {
                Err("an empty string stands here; accepted: a string that is not empty".to_owned())
            }
            Json::String(text) => Ok(text.clone()),
            other => wanted("a string", other),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1, "x-value": "string"})
    }
}

impl Leaf for PathBuf {
    fn read(value: &Json) -> Result<Self, String> {
        String::read(value).map(Self::from)
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1, "x-value": "path"})
    }
}

impl Leaf for bool {
    fn read(value: &Json) -> Result<Self, String> {
        match value {
            Json::Bool(value) => Ok(*value),
            other => wanted("true, false", other),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "boolean", "x-value": "`true` or `false`"})
    }
}

/// How many of something, at least one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count(pub(super) usize);

impl Count {
    const MOST: u64 = 1_024;
}

impl Leaf for Count {
    fn read(value: &Json) -> Result<Self, String> {
        match value {
            Json::Number(number) => number
                .as_u64()
                .filter(|count| (1..=Self::MOST).contains(count))
                .and_then(|count| usize::try_from(count).ok())
                .map_or_else(
                    || Err(format!("{number} is not accepted; accepted: 1 to {}", Self::MOST)),
                    |n| Ok(Self(n)),
                ),
            other => wanted(&format!("a whole number, 1 to {}", Self::MOST), other),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": Self::MOST, "x-value": "number"})
    }
}

impl Leaf for SocketAddr {
    fn read(value: &Json) -> Result<Self, String> {
        const ACCEPTED: &str = "an address with its port, such as \"127.0.0.1:9464\" or \"[::1]:9464\"";
        match value {
            Json::String(text) => text.parse().or_else(|_| none_of(text, ACCEPTED)),
            other => wanted(ACCEPTED, other),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "x-value": "address:port"})
    }
}

impl Leaf for Vec<String> {
    fn read(value: &Json) -> Result<Self, String> {
        const ACCEPTED: &str = "an array of strings, such as [\"one\", \"two\"]";
        let Json::Array(values) = value else { return wanted(ACCEPTED, value) };
        values
            .iter()
            .map(|value| String::read(value).or_else(|_| wanted("strings that are not empty", value)))
            .collect()
    }

    fn schema() -> Schema {
        json_schema!({"type": "array", "items": {"type": "string", "minLength": 1}, "x-value": "array of strings"})
    }
}

/// Sooner than this a second reading only repeats the first.
const SOONEST_HORIZON: Duration = Duration::from_secs(60);
/// Each horizon reads everything once more: with more of them a stream would spend its quota on what it has.
const MOST_HORIZONS: usize = 6;

/// Settling horizons.
impl Leaf for Vec<Duration> {
    fn read(value: &Json) -> Result<Self, String> {
        const ACCEPTED: &str = "an array of one to six durations, soonest first, each at least \"1m\" and at most \
                                seven days, since doubling ends there, such as [\"30m\", \"24h\"]";
        let Json::Array(values) = value else { return wanted(ACCEPTED, value) };
        let horizons: Self = values.iter().map(Duration::read).collect::<Result<_, _>>()?;
        let ascending = horizons.windows(2).all(|pair| matches!(pair, [one, two] if one < two));
        let last = LAST_HORIZON.to_std().unwrap_or_default();
        let bounded = horizons.iter().all(|horizon| (SOONEST_HORIZON..=last).contains(horizon));
        let wrong = if horizons.is_empty() || !ascending {
            "this is empty or out of order"
        } else if horizons.len() > MOST_HORIZONS {
            "these are too many"
        } else if !bounded {
            "one of these is too soon or too late"
        } else {
            return Ok(horizons);
        };
        Err(format!("{wrong}; accepted: {ACCEPTED}"))
    }

    fn schema() -> Schema {
        json_schema!({
            "type": "array", "minItems": 1, "maxItems": MOST_HORIZONS, "items": Duration::schema(),
            "x-value": "array of durations"
        })
    }
}

/// A URL, a reference to one, or `"none"`.
#[derive(Clone, Debug)]
pub(super) struct Proxy(pub(super) Option<String>);

impl Leaf for Proxy {
    fn read(value: &Json) -> Result<Self, String> {
        const ACCEPTED: &str = "\"http://proxy.example.com:3128\" (http or https, without user and password), a \
                                reference to such a URL with them (env:NAME or file:PATH), \"none\"";
        let Json::String(text) = value else { return wanted(ACCEPTED, value) };
        if text == "none" {
            return Ok(Self(None));
        }
        let plain = url::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.has_host()
        });
        // What is refused may hold a password: it is not repeated.
        if plain || is_reference(text) {
            Ok(Self(Some(text.clone())))
        } else {
            Err(format!("this is no such proxy; accepted: {ACCEPTED}"))
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "x-value": "URL, reference or `\"none\"`"})
    }
}

/// Stands for a table of its own, which is read elsewhere.
#[derive(Debug)]
pub(super) struct Table;

impl Leaf for Table {
    fn read(value: &Json) -> Result<Self, String> {
        if value.is_object() { Ok(Self) } else { wanted("a table", value) }
    }

    fn schema() -> Schema {
        json_schema!({"type": "object", "x-value": "table"})
    }
}

/// Whether this is where a secret is, and not the secret.
pub(super) fn is_reference(text: &str) -> bool {
    let plain = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match text.split_once(':') {
        Some(("env", name)) => plain(name),
        Some(("file", path)) => !path.is_empty(),
        _ => false,
    }
}

/// Whether this may name a tenant, a source, a sink, a template or a variable.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
