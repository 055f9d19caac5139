//! The control API: the routes of this stand-in alone.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{App, Licence};
use super::generate::Generate;
use super::{Entra, lock};
use crate::answer::Answer;
use crate::control::{done, no_such_control, parse};
use crate::known::Version;
use crate::rng::mix;

/// `POST /_sim/records`: records to generate, or one record.
#[derive(Deserialize)]
struct RecordOrder {
    stream: String,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    generate: usize,
    #[serde(default)]
    start: Option<DateTime<Utc>>,
    #[serde(default)]
    spread_s: i64,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    mutated: Option<f64>,
    #[serde(default)]
    near_duplicates: f64,
    #[serde(default)]
    whole_seconds: bool,
    /// Served with the members in alphabetical order.
    #[serde(default)]
    record: Option<Value>,
    #[serde(default)]
    visible_at: Option<DateTime<Utc>>,
}

/// `POST /_sim/access`.
#[derive(Deserialize)]
struct AccessOrder {
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    licence: Option<Licence>,
    #[serde(default)]
    roles: Option<RolesOrder>,
    #[serde(default)]
    remove_app: Option<String>,
    #[serde(default)]
    apps: Vec<App>,
    #[serde(default)]
    expire_tokens: bool,
    #[serde(default)]
    revoke_sessions: bool,
}

#[derive(Deserialize)]
struct RolesOrder {
    app: String,
    roles: Vec<String>,
}

impl Entra {
    /// `now` is the server's own time.
    pub(super) fn control(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let query = |name: &str| {
            let query = request.uri().query().unwrap_or_default();
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/_sim/totals") => Answer::json(StatusCode::OK, &self.totals_at(now)),
            (&Method::GET, "/_sim/known") => {
                let (tenant, stream) = (query("tenant"), query("stream"));
                let known = match &tenant {
                    Some(tenant) => self.known_of(tenant),
                    None => self.known(),
                };
                let known: Vec<Value> = known
                    .iter()
                    .filter(|known| stream.as_ref().is_none_or(|stream| known.stream == *stream))
                    .map(|known| {
                        let versions: Vec<_> =
                            known.versions.iter().map(|version| version.visible_at).collect();
                        json!({
                            "stream": known.stream,
                            "id": known.id,
                            "occurred_at": known.occurred_at,
                            "visible_at": versions,
                            "visible": known.at(now).is_some(),
                        })
                    })
                    .collect();
                Answer::json(StatusCode::OK, &json!({"known": known}))
            }
            (&Method::GET, "/_sim/documents") => {
                let id = query("id").unwrap_or_default();
                let known = self.known().into_iter().find(|known| known.id == id);
                match known.as_ref().and_then(|known| known.at(now)) {
                    Some(version) => {
                        Answer::with_type(StatusCode::OK, "application/json", version.raw.clone())
                    }
                    None => no_such_control(),
                }
            }
            (&Method::POST, "/_sim/records") => match parse::<RecordOrder>(request) {
                Ok(order) => self.order_records(order, now),
                Err(answer) => *answer,
            },
            (&Method::POST, "/_sim/access") => match parse::<AccessOrder>(request) {
                Ok(order) => self.order_access(order, now),
                Err(answer) => *answer,
            },
            _ => no_such_control(),
        }
    }

    fn order_records(&self, order: RecordOrder, now: DateTime<Utc>) -> Answer {
        let first = self.shared.config.tenants.first().map(|tenant| tenant.id.clone());
        let tenant = order.tenant.or(first).unwrap_or_default();
        let at = order.start.unwrap_or(now);
        let added = match order.record {
            Some(record) => {
                let raw = Bytes::from(record.to_string());
                let visible_at = order.visible_at.unwrap_or(now);
                let versions = vec![Version { visible_at, raw }];
                usize::from(self.add_record_to(&tenant, &order.stream, at, versions))
            }
            None => {
                let number = {
                    let mut inner = lock(&self.shared.inner);
                    inner.added += 1;
                    inner.added
                };
                let seed = order.seed.unwrap_or(mix(self.shared.config.seed, number));
                let spread = TimeDelta::seconds(order.spread_s);
                let usual = Generate::new(&order.stream, seed, order.generate, at, spread);
                self.add_generated(&Generate {
                    tenant: Some(tenant),
                    mutated: order.mutated.unwrap_or(usual.mutated),
                    near_duplicates: order.near_duplicates,
                    whole_seconds: order.whole_seconds,
                    ..usual
                })
            }
        };
        Answer::json(StatusCode::OK, &json!({"ok": true, "added": added}))
    }

    fn order_access(&self, order: AccessOrder, now: DateTime<Utc>) -> Answer {
        let first = self.shared.config.tenants.first().map(|tenant| tenant.id.clone());
        let tenant = order.tenant.or(first).unwrap_or_default();
        if let Some(licence) = order.licence {
            self.set_licence(&tenant, licence);
        }
        if let Some(RolesOrder { app, roles }) = order.roles {
            let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
            self.set_roles(&tenant, &app, &roles);
        }
        if let Some(app) = order.remove_app {
            self.remove_app(&tenant, &app);
        }
        order.apps.into_iter().for_each(|app| self.set_app(app));
        let tokens = &mut lock(&self.shared.inner).login.tokens;
        if order.expire_tokens {
            tokens.expire_all(now);
        }
        if order.revoke_sessions {
            tokens.revoke_sessions(&tenant, now);
        }
        done()
    }
}
