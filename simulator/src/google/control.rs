//! The customer's own routes under `/_sim/`.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{Admin, ServiceAccount};
use super::{Api, Generate, Google};
use crate::answer::Answer;
use crate::control::{done, lock, no_such_control, parse};
use crate::known::{Lateness, Version};
use crate::rng::mix;

#[derive(Deserialize)]
struct GenerateOrder {
    stream: String,
    records: usize,
    #[serde(default)]
    seed: Option<u64>,
    /// Now, by default.
    #[serde(default)]
    start: Option<DateTime<Utc>>,
    #[serde(default)]
    spread_s: i64,
    /// `false`: every record is visible at once.
    #[serde(default = "yes")]
    late: bool,
    #[serde(default)]
    mutated: Option<f64>,
    #[serde(default)]
    odd: Option<f64>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct RecordOrder {
    stream: String,
    occurred_at: DateTime<Utc>,
    versions: Vec<VersionOrder>,
}

#[derive(Deserialize)]
struct VersionOrder {
    visible_at: DateTime<Utc>,
    record: Value,
}

#[derive(Deserialize)]
struct CredentialOrder {
    #[serde(default)]
    service_accounts: Vec<ServiceAccount>,
    #[serde(default)]
    delete_service_accounts: Vec<String>,
    #[serde(default)]
    admins: Vec<Admin>,
    #[serde(default)]
    expire_tokens: bool,
    #[serde(default)]
    reports_enabled: Option<bool>,
    #[serde(default)]
    alerts_enabled: Option<bool>,
}

impl Google {
    pub(super) fn control(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/_sim/totals") => Answer::json(StatusCode::OK, &self.totals_at(now)),
            (&Method::GET, "/_sim/known") => {
                let known: Vec<Value> = self
                    .known()
                    .iter()
                    .map(|known| {
                        let visible: Vec<_> =
                            known.versions.iter().map(|version| version.visible_at).collect();
                        json!({
                            "stream": known.stream,
                            "id": known.id,
                            "occurred_at": known.occurred_at,
                            "visible_at": visible,
                            "visible": known.at(now).is_some(),
                        })
                    })
                    .collect();
                Answer::json(StatusCode::OK, &json!({"known": known}))
            }
            (&Method::GET, "/_sim/documents") => {
                let query = request.uri().query().unwrap_or_default();
                let id = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "id");
                let found = id.and_then(|(_, id)| self.known().into_iter().find(|known| known.id == id));
                match found.as_ref().and_then(|known| known.at(now)) {
                    Some(version) => {
                        Answer::with_type(StatusCode::OK, "application/json", version.raw.clone())
                    }
                    None => no_such_control(),
                }
            }
            (&Method::POST, "/_sim/generate") => self.ordered(request, |order| self.generate(order, now)),
            (&Method::POST, "/_sim/records") => self.ordered(request, |order: RecordOrder| {
                let raw = |record: &Value| Bytes::from(record.to_string());
                let versions = order.versions.iter();
                let versions = versions
                    .map(|version| Version { visible_at: version.visible_at, raw: raw(&version.record) })
                    .collect();
                self.add_record(&order.stream, order.occurred_at, versions);
            }),
            (&Method::POST, "/_sim/credentials") => self.ordered(request, |order| self.credentials(order)),
            _ => no_such_control(),
        }
    }

    fn ordered<T: serde::de::DeserializeOwned>(
        &self,
        request: &Request<Bytes>,
        carry_out: impl FnOnce(T),
    ) -> Answer {
        match parse::<T>(request) {
            Ok(order) => {
                carry_out(order);
                done()
            }
            Err(answer) => *answer,
        }
    }

    fn generate(&self, order: GenerateOrder, now: DateTime<Utc>) {
        let seed = order.seed.unwrap_or_else(|| {
            let mut inner = lock(&self.shared.inner);
            inner.added += 1;
            mix(self.shared.config.seed, inner.added)
        });
        let spread = TimeDelta::seconds(order.spread_s);
        let mut plan = Generate::new(&order.stream, seed, order.records, order.start.unwrap_or(now), spread);
        if !order.late {
            plan.lateness = Lateness::none();
        }
        plan.mutated = order.mutated.unwrap_or(plan.mutated);
        plan.odd = order.odd.unwrap_or(plan.odd);
        self.add_generated(&plan);
    }

    fn credentials(&self, order: CredentialOrder) {
        order.service_accounts.into_iter().for_each(|account| self.set_service_account(account));
        order.delete_service_accounts.iter().for_each(|email| self.delete_service_account(email));
        order.admins.iter().for_each(|admin| self.set_admin(&admin.email, admin.state));
        if order.expire_tokens {
            self.expire_tokens();
        }
        for (api, enabled) in [(Api::Reports, order.reports_enabled), (Api::Alerts, order.alerts_enabled)] {
            if let Some(enabled) = enabled {
                self.enable(api, enabled);
            }
        }
    }
}
