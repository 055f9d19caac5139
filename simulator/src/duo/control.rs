//! The account's own control routes.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Duo;
use super::config::{Access, Integration};
use super::generate::{Generate, generate};
use super::params::Parameters;
use super::store::{Names, New};
use crate::answer::Answer;
use crate::control::{done, lock, no_such_control, parse};
use crate::known::{Known, Lateness, Version};
use crate::rng::mix;

impl Duo {
    pub(super) fn control(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let answer = match (request.method(), request.uri().path()) {
            (&Method::GET, "/_sim/totals") => Ok(self.totals_at(now)),
            (&Method::GET, "/_sim/known") => Ok(self.oracle(request)),
            (&Method::POST, "/_sim/generate") => self.order(request, now),
            (&Method::POST, "/_sim/records") => Ok(self.lines(request, now)),
            (&Method::POST, "/_sim/credentials") => match parse::<Credentials>(request) {
                Ok(order) => {
                    self.change(order);
                    return done();
                }
                Err(answer) => Err(answer),
            },
            _ => return no_such_control(),
        };
        match answer {
            Ok(value) => Answer::json(StatusCode::OK, &value),
            Err(answer) => *answer,
        }
    }

    pub(super) fn totals_at(&self, now: DateTime<Utc>) -> Value {
        let inner = lock(&self.shared.inner);
        let (mut records, mut visible) = (0, 0);
        for log in inner.logs.values() {
            records += log.all().len();
            visible += log.count(i64::MIN, i64::MAX, now);
        }
        json!({
            "server": "duo",
            "now": now,
            "records": records,
            "visible": visible,
            "served": inner.served,
            "refused": inner.buckets.refused,
            "requests": self.shared.desk.totals(),
        })
    }

    fn oracle(&self, request: &Request<Bytes>) -> Value {
        let parameters = Parameters::of(request.uri().query().unwrap_or_default());
        let stream = parameters.first("stream");
        let of_stream = |known: &Known| stream.is_none_or(|stream| known.stream == stream);
        let version = |version: &Version| {
            let raw = String::from_utf8_lossy(&version.raw);
            json!({"visible_at": version.visible_at, "raw": raw})
        };
        let known: Vec<Value> = self
            .known_of(parameters.first("account").unwrap_or_default())
            .into_iter()
            .filter(of_stream)
            .map(|known| {
                json!({
                    "stream": known.stream,
                    "id": known.id,
                    "occurred_at": known.occurred_at,
                    "versions": known.versions.iter().map(version).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({"known": known})
    }

    fn order(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Result<Value, Box<Answer>> {
        let order = parse::<Order>(request)?;
        let seed = order.seed.unwrap_or_else(|| {
            let mut inner = lock(&self.shared.inner);
            inner.ordered += 1;
            mix(self.shared.config.seed, inner.ordered)
        });
        let spread = TimeDelta::milliseconds((order.spread_s * 1000.0) as i64);
        let start = order.start.unwrap_or(now);
        let mut plan = Generate::new(&order.stream, seed, order.records, start, spread);
        plan.account.clone_from(&order.account);
        plan.mutated = order.mutated.unwrap_or(plan.mutated);
        if order.late > 0.0 {
            let within = TimeDelta::milliseconds((order.late_by_s * 1000.0) as i64);
            plan.lateness =
                Lateness(vec![(1.0 - order.late, self.shared.config.visible_after), (order.late, within)]);
        }
        let news = generate(&plan);
        let added = news.len();
        self.add(order.account.unwrap_or_default(), &order.stream, news);
        Ok(json!({"ok": true, "added": added}))
    }

    /// Raw records, one a line. Their times are their own where they have one.
    fn lines(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Value {
        let parameters = Parameters::of(request.uri().query().unwrap_or_default());
        let stream = parameters.first("stream").unwrap_or_default();
        let news: Vec<New> = request
            .body()
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
            .map(|line| {
                let value = serde_json::from_slice(line).unwrap_or_default();
                let raw = request.body().slice_ref(line);
                let versions = vec![Version { visible_at: now, raw }];
                let names = Names::of(stream, &value);
                New { occurred_at: time_of(&value).unwrap_or(now), names, versions }
            })
            .collect();
        let added = news.len();
        let account = parameters.first("account").unwrap_or_default().to_owned();
        self.add(account, stream, news);
        json!({"ok": true, "added": added})
    }

    fn change(&self, order: Credentials) {
        for integration in order.add {
            self.add_integration(integration);
        }
        for ikey in order.revoke {
            self.revoke(&ikey);
        }
        for (ikey, granted) in order.read_log {
            self.set_read_log(&ikey, granted);
        }
        for (endpoint, access) in order.access {
            self.set_access(&endpoint, access);
        }
    }
}

fn time_of(value: &Value) -> Option<DateTime<Utc>> {
    let text = |name: &str| DateTime::parse_from_rfc3339(value.get(name)?.as_str()?).ok();
    if let Some(at) = text("isotimestamp").or_else(|| text("ts")) {
        return Some(at.to_utc());
    }
    let number = |name: &str| value.get(name).and_then(Value::as_i64);
    number("surfaced_timestamp")
        .and_then(DateTime::from_timestamp_millis)
        .or_else(|| number("timestamp").and_then(|at| DateTime::from_timestamp(at, 0)))
}

#[derive(Deserialize)]
struct Order {
    stream: String,
    records: usize,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    start: Option<DateTime<Utc>>,
    #[serde(default)]
    spread_s: f64,
    /// Share of records that become visible after the vendor's two minutes.
    #[serde(default)]
    late: f64,
    /// By how much at most.
    #[serde(default = "an_hour")]
    late_by_s: f64,
    #[serde(default)]
    mutated: Option<f64>,
}

fn an_hour() -> f64 {
    3600.0
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(default)]
    add: Vec<Integration>,
    #[serde(default)]
    revoke: Vec<String>,
    #[serde(default)]
    read_log: std::collections::BTreeMap<String, bool>,
    #[serde(default)]
    access: std::collections::BTreeMap<String, Access>,
}
