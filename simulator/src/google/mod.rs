//! A stand-in for one Google Workspace customer: `activities.list` of the Reports API, `alerts.list` of the Alert Center,
//! and the token endpoint of service accounts.
//!
//! Activities come newest first and show up late, sometimes by days; alerts mutate. A page token leads on from the last
//! record served, so whatever becomes visible above that place meanwhile is not in the chain.

mod alert_filter;
mod alerts;
mod auth;
mod catalogue;
mod config;
mod control;
mod error;
mod generate;
mod generate_alert;
mod limits;
mod page_token;
mod params;
mod render;
mod store;

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

pub use config::{
    ALERTS, ALERTS_SCOPE, APPLICATIONS, Admin, AdminState, GoogleConfig, Limits, PublicKey, REPORTS_SCOPE,
    Refusal, ServiceAccount,
};
pub use generate::{Generate, lateness};

use crate::answer::{Answer, Handler, accepts_gzip, http_date};
use crate::control::{Desk, Notices, front_desk, lock};
use crate::faults::Fault;
use crate::known::{Known, Version};
use crate::rng::mix;
use alerts::{AlertQuery, AlertStore};
use auth::Auth;
use error::{ApiError, Service};
use limits::{Bucket, Limiter};
use page_token::PageToken;
use params::{ActivityQuery, last};
use render::Mask;
use store::{Page, Store};

const TOKEN: &str = "/token";
const ALERTS_PATH: &str = "/v1beta1/alerts";

/// A Google Workspace customer. Clones are the same customer.
#[derive(Debug, Clone)]
pub struct Google {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: GoogleConfig,
    desk: Desk,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    activities: Store,
    alerts: AlertStore,
    auth: Auth,
    limiter: Limiter,
    /// Reports API, Alert Center.
    enabled: (bool, bool),
    served: u64,
    refused: u64,
    added: u64,
}

/// An API that a project can enable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// The Reports API (Admin SDK).
    Reports,
    /// The Alert Center API.
    Alerts,
}

front_desk!(Google);

impl Google {
    /// Sets a customer up.
    pub fn new(config: GoogleConfig) -> Self {
        let desk = Desk::new(config.clock_offset, config.base_url.clone());
        {
            let mut plan = desk.plan();
            config.faults.iter().cloned().for_each(|fault| plan.push(fault));
            plan.set_random(config.random_faults.clone());
        }
        let inner = Inner {
            activities: Store::default(),
            alerts: AlertStore::default(),
            auth: Auth::new(&config),
            limiter: Limiter::default(),
            enabled: (config.reports_enabled, config.alerts_enabled),
            served: 0,
            refused: 0,
            added: 0,
        };
        let google = Self { shared: Arc::new(Shared { config, desk, inner: Mutex::new(inner) }) };
        google.shared.config.generate.iter().for_each(|plan| google.add_generated(plan));
        google
    }

    /// Answers one request. `now` is the true (or virtual) time; the server's own clock may differ from it.
    pub fn handle(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let desk = &self.shared.desk;
        let now = desk.now(now);
        let path = request.uri().path();
        if path.starts_with("/_sim/") {
            return desk.control(request, now).unwrap_or_else(|| self.control(request, now));
        }
        desk.notices.received(path);
        let mut inner = lock(&self.shared.inner);
        let fault = desk.next_fault(path, &usual_faults());
        let mut answer = match fault.as_ref().and_then(|fault| error::instead(fault, Service::of(path))) {
            Some(answer) => answer,
            None => self.answer(&mut inner, request, fault.as_ref(), now),
        };
        drop(inner);
        answer.set("date", &http_date(now));
        if let Some(Fault::Exchange(exchange)) = &fault {
            exchange.set_headers(&mut answer, now);
        }
        let own_body = fault.as_ref().is_some_and(Fault::has_own_body);
        if self.shared.config.gzip && !own_body && accepts_gzip(request.headers()) && !answer.body.is_empty()
        {
            answer.gzip();
        }
        if let Some(fault) = &fault {
            fault.on_the_wire(&mut answer);
        }
        desk.answered(request, &mut answer, fault.as_ref(), now);
        answer
    }

    /// Every record there is, visible or not, with all its versions. An activity's id is its time (milliseconds, `Z`), a
    /// blank and its unique qualifier; an alert's is its `alertId`.
    pub fn known(&self) -> Vec<Known> {
        let inner = lock(&self.shared.inner);
        inner.activities.known().chain(inner.alerts.known()).cloned().collect()
    }

    /// Adds generated records.
    pub fn add_generated(&self, plan: &Generate) {
        let made = generate::generate(plan, &self.shared.config.customer_id);
        let mut inner = lock(&self.shared.inner);
        made.into_iter().for_each(|(known, qualifier)| inner.add(known, qualifier));
    }

    /// Adds a record with its versions, the first one first. Its id is read from the first version; where that has none,
    /// it is a number.
    pub fn add_record(&self, stream: &str, occurred_at: DateTime<Utc>, versions: Vec<Version>) {
        let mut inner = lock(&self.shared.inner);
        let first = versions.first().map(|version| version.raw.clone()).unwrap_or_default();
        let raw = serde_json::from_slice::<Value>(&first).unwrap_or_default();
        let text = |pointer: &str| match raw.pointer(pointer) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        inner.added += 1;
        let own = format!("record:{}", inner.added);
        let (id, tie) = if stream == ALERTS {
            (text("/alertId").unwrap_or(own), 0)
        } else {
            match text("/id/uniqueQualifier").or_else(|| text("/id/uniqQualifier")) {
                Some(qualifier) => {
                    let tie = qualifier.parse().unwrap_or_else(|_| generate::hash(&qualifier).cast_signed());
                    (generate::activity_id(occurred_at, &qualifier), tie)
                }
                None => (own, 0),
            }
        };
        inner.add(Known { stream: stream.to_owned(), id, occurred_at, versions }, tie);
    }

    /// Adds a service account, or replaces the one of that address: its keys, its delegation.
    pub fn set_service_account(&self, account: ServiceAccount) {
        lock(&self.shared.inner).auth.set_account(account);
    }

    /// Deletes a service account. Tokens that it has go on until they expire.
    pub fn delete_service_account(&self, email: &str) {
        lock(&self.shared.inner).auth.accounts.retain(|account| account.email != email);
    }

    /// Adds a user, or changes what one may do, at once.
    pub fn set_admin(&self, email: &str, state: AdminState) {
        lock(&self.shared.inner).auth.set_admin(&Admin { email: email.to_owned(), state });
    }

    /// Ends every access token given out so far.
    pub fn expire_tokens(&self) {
        lock(&self.shared.inner).auth.expire_tokens();
    }

    /// Enables or disables an API of the project.
    pub fn enable(&self, api: Api, enabled: bool) {
        let mut inner = lock(&self.shared.inner);
        match api {
            Api::Reports => inner.enabled.0 = enabled,
            Api::Alerts => inner.enabled.1 = enabled,
        }
    }

    /// Requests refused for going over a limit; scripted refusals do not count.
    pub fn refused(&self) -> u64 {
        lock(&self.shared.inner).refused
    }

    /// Counts, as `GET /_sim/totals` gives them.
    pub fn totals(&self, now: DateTime<Utc>) -> Value {
        self.totals_at(self.shared.desk.now(now))
    }

    fn totals_at(&self, now: DateTime<Utc>) -> Value {
        let inner = lock(&self.shared.inner);
        let all = || inner.activities.known().chain(inner.alerts.known());
        json!({
            "server": "google",
            "now": now,
            "records": all().count(),
            "visible": all().filter(|known| known.at(now).is_some()).count(),
            "versions": all().map(|known| known.versions.len()).sum::<usize>(),
            "served": inner.served,
            "refused": inner.refused,
            "token_calls": inner.auth.calls,
            "token_refusals": inner.auth.refused,
            "tokens_issued": inner.auth.issued,
            "requests": self.shared.desk.totals(),
        })
    }

    fn answer(
        &self,
        inner: &mut Inner,
        request: &Request<Bytes>,
        fault: Option<&Fault>,
        now: DateTime<Utc>,
    ) -> Answer {
        let path = request.uri().path();
        if matches!(fault, Some(Fault::TokensExpire)) {
            inner.auth.expire_tokens();
        }
        if path == TOKEN {
            return match *request.method() {
                Method::POST => inner.auth.token(request, &self.shared.desk.base(request), now),
                _ => Answer::html(StatusCode::METHOD_NOT_ALLOWED),
            };
        }
        let result = match params::activity_path(path) {
            Some((user, application)) => {
                self.list_activities(inner, request, &user, &application, fault, now)
            }
            None if path == ALERTS_PATH => self.list_alerts(inner, request, fault, now),
            None => return Answer::html(StatusCode::NOT_FOUND),
        };
        result.unwrap_or_else(|error| {
            let mut answer = error.answer(Service::of(path));
            if let Some(seconds) = self.shared.config.limits.retry_after_s.filter(|_| error.is_limit()) {
                answer.set("retry-after", &seconds.to_string());
            }
            answer
        })
    }

    fn list_activities(
        &self,
        inner: &mut Inner,
        request: &Request<Bytes>,
        user: &str,
        application: &str,
        fault: Option<&Fault>,
        now: DateTime<Utc>,
    ) -> Result<Answer, ApiError> {
        let config = &self.shared.config;
        let pairs = params::parameters(request)?;
        let mut buckets = vec![(Bucket::Queries, config.limits.per_minute)];
        if params::is_filtered(user, &pairs) {
            buckets.push((Bucket::FilteredQueries, config.limits.filtered_per_minute));
        }
        let licensed = self.admitted(inner, request, &pairs, Api::Reports, &buckets, now)?;
        refuse_cursor(fault, &pairs)?;
        let mut query = ActivityQuery::parse(user, application, &pairs, config, now)?;
        let limit = oversized(query.limit, fault);
        let page = match self.empty_page(fault, query.token.as_ref(), &query.bound) {
            Some(page) => page,
            None if !licensed => Page::default(),
            None => inner.activities.page(&mut query, limit, now),
        };
        let next = self.next(&page, query.token.as_ref(), query.limit, &query.bound, fault, &pairs, now);
        let mut body = BytesMut::from(&br#"{"kind":"admin#reports#activities","etag":"\""#[..]);
        let etag = mix(config.seed, generate::hash(next.as_deref().unwrap_or(&query.bound)));
        body.extend_from_slice(format!(r#"{etag:016x}\"""#).as_bytes());
        self.finish(inner, request, body, ("items", &page), next.as_deref(), &pairs)
    }

    fn list_alerts(
        &self,
        inner: &mut Inner,
        request: &Request<Bytes>,
        fault: Option<&Fault>,
        now: DateTime<Utc>,
    ) -> Result<Answer, ApiError> {
        let config = &self.shared.config;
        let pairs = params::parameters(request)?;
        let buckets = [(Bucket::Alerts, config.limits.alerts_per_minute)];
        let licensed = self.admitted(inner, request, &pairs, Api::Alerts, &buckets, now)?;
        refuse_cursor(fault, &pairs)?;
        let query = AlertQuery::parse(&pairs, config, now)?;
        let page = match self.empty_page(fault, query.token.as_ref(), &query.bound) {
            Some(page) => page,
            None if !licensed => Page::default(),
            None => inner.alerts.page(&query, oversized(query.limit, fault), now),
        };
        let next = self.next(&page, query.token.as_ref(), query.limit, &query.bound, fault, &pairs, now);
        self.finish(inner, request, BytesMut::from(&b"{"[..]), ("alerts", &page), next.as_deref(), &pairs)
    }

    /// Credential, API and limits. `Ok(false)`: may ask, but has no licence, so there is nothing to see.
    fn admitted(
        &self,
        inner: &mut Inner,
        request: &Request<Bytes>,
        pairs: &[(String, String)],
        api: Api,
        buckets: &[(Bucket, u32)],
        now: DateTime<Utc>,
    ) -> Result<bool, ApiError> {
        let config = &self.shared.config;
        let (scope, enabled, name) = match api {
            Api::Reports => (REPORTS_SCOPE, inner.enabled.0, "Admin SDK API"),
            Api::Alerts => (ALERTS_SCOPE, inner.enabled.1, "Google Workspace Alert Center API"),
        };
        let caller = inner.auth.caller(request.headers(), last(pairs, "access_token"), scope, now)?;
        if !enabled {
            return Err(ApiError::not_configured(name, &config.project_number));
        }
        let user = last(pairs, "quotaUser").unwrap_or(&caller.user);
        if let Err(bucket) = inner.limiter.take(user, buckets, config.foreign, now.timestamp_millis()) {
            let forms = match config.limits.refusals.as_slice() {
                [] => &Refusal::ALL,
                forms => forms,
            };
            let turn = usize::try_from(inner.refused).unwrap_or(0) % forms.len();
            inner.refused += 1;
            let form = forms.get(turn).copied().unwrap_or(Refusal::UserRateLimitExceeded);
            return Err(ApiError::limit(form, bucket.metric()));
        }
        Ok(caller.licensed)
    }

    /// A page that is empty for no reason, if this is to be one.
    fn empty_page(&self, fault: Option<&Fault>, token: Option<&PageToken>, bound: &str) -> Option<Page> {
        let config = &self.shared.config;
        let after = token.and_then(|token| token.after);
        let drawn = || {
            let (key, tie, _) = after.unwrap_or_default();
            let number = mix(mix(config.seed, generate::hash(bound)), (key ^ tie).cast_unsigned());
            let share = (number >> 11) as f64 / (1_u64 << 53) as f64;
            token.is_none_or(|token| !token.was_empty) && share < config.empty_pages
        };
        (matches!(fault, Some(Fault::EmptyPage)) || drawn()).then(|| Page {
            records: Vec::new(),
            last: after,
            more: true,
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn next(
        &self,
        page: &Page,
        token: Option<&PageToken>,
        limit: usize,
        bound: &str,
        fault: Option<&Fault>,
        pairs: &[(String, String)],
        now: DateTime<Utc>,
    ) -> Option<String> {
        let config = &self.shared.config;
        let full = config.token_after_full_last_page && page.records.len() == limit;
        if !page.more && !full {
            return None;
        }
        if let (Some(Fault::LinkLoop), Some(same)) = (fault, last(pairs, "pageToken")) {
            return Some(same.to_owned());
        }
        let next = PageToken {
            issued: now.timestamp_millis(),
            after: page.last.or(token.and_then(|token| token.after)),
            was_empty: page.records.is_empty(),
        };
        Some(next.write(config.seed, bound))
    }

    /// Closes a body that has been opened: the records where there are any, and the token, before or after them.
    fn finish(
        &self,
        inner: &mut Inner,
        request: &Request<Bytes>,
        mut body: BytesMut,
        (name, page): (&str, &Page),
        next: Option<&str>,
        pairs: &[(String, String)],
    ) -> Result<Answer, ApiError> {
        inner.served += page.records.len() as u64;
        self.shared.desk.notices.events(request.uri().path(), page.records.len() as u64);
        let token = next.map(|token| Bytes::from(format!(r#""nextPageToken":"{token}""#)));
        let records = (!page.records.is_empty()).then(|| listed(name, &page.records));
        let token_first = page.last.is_some_and(|(key, tie, _)| (key ^ tie) & 1 == 0);
        let members = if token_first { [token, records] } else { [records, token] };
        for member in members.into_iter().flatten() {
            if !body.ends_with(b"{") {
                body.extend_from_slice(b",");
            }
            body.extend_from_slice(&member);
        }
        body.extend_from_slice(b"}");
        let mut body = body.freeze();
        if let Some(fields) = last(pairs, "fields") {
            let mask = Mask::parse(fields)
                .ok_or_else(|| ApiError::invalid("fields", format!("Invalid field selection {fields}")))?;
            body = mask.apply(&body);
        }
        if last(pairs, "prettyPrint").map_or(self.shared.config.pretty_print, |value| value == "true") {
            body = render::indented(&body);
        }
        Ok(Answer::with_type(StatusCode::OK, "application/json; charset=UTF-8", body))
    }
}

impl Inner {
    fn add(&mut self, known: Known, qualifier: i64) {
        if known.stream == ALERTS {
            self.alerts.add(known);
        } else {
            self.activities.add(known, qualifier);
        }
    }
}

impl Handler for Google {
    fn handle(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        Self::handle(self, request, now)
    }

    fn set_base_url(&self, url: &str) {
        self.shared.desk.set_base(url);
    }

    fn notices(&self) -> &Notices {
        &self.shared.desk.notices
    }
}

fn refuse_cursor(fault: Option<&Fault>, pairs: &[(String, String)]) -> Result<(), ApiError> {
    match fault {
        Some(Fault::CursorRefused) if last(pairs, "pageToken").is_some() => Err(params::refused_token()),
        _ => Ok(()),
    }
}

fn oversized(limit: usize, fault: Option<&Fault>) -> usize {
    if matches!(fault, Some(Fault::OversizePage)) { 2 * limit } else { limit }
}

fn listed(name: &str, records: &[Bytes]) -> Bytes {
    let mut list = BytesMut::with_capacity(records.iter().map(|record| record.len() + 1).sum::<usize>() + 16);
    list.extend_from_slice(format!("\"{name}\":").as_bytes());
    let mut separator: &[u8] = b"[";
    for record in records {
        list.extend_from_slice(separator);
        list.extend_from_slice(record);
        separator = b",";
    }
    list.extend_from_slice(b"]");
    list.freeze()
}

/// What a bad day looks like, for random faults without a list.
fn usual_faults() -> [Fault; 13] {
    let refused = |reason: &str| Fault::Refused { status: 403, reason: reason.to_owned() };
    [
        Fault::ServerError,
        Fault::Unavailable,
        Fault::BadGateway,
        Fault::Html { status: 503 },
        Fault::RateLimited { reset_s: 1, retry_after_s: None, duplicate_reset: false },
        refused("rateLimitExceeded"),
        refused("userRateLimitExceeded"),
        Fault::CutBody { after: None },
        Fault::TruncatedGzip,
        Fault::DropBeforeAnswer,
        Fault::TokensExpire,
        Fault::EmptyPage,
        Fault::CursorRefused,
    ]
}
