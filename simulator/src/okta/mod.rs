//! A stand-in for one Okta organisation: the System Log and the token endpoint.
//!
//! Every event has two clocks. Polling requests (no `until`, ascending) read by persistence and never end; bounded ones
//! read by publication and see only what is persisted when they are asked. Nothing a client asks changes what a link
//! leads to: the same next link gives the same or a longer page.

mod auth;
mod config;
mod cursor;
mod filter;
mod generate;
mod limits;
mod params;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

pub use config::{Client, ClientAuth, OktaConfig, PublicKey, Token, TokenState};
pub use generate::{Generate, GeneratedEvent, generate};

use crate::answer::{Answer, Handler, InFlight, accepts_gzip, http_date};
use crate::control::{Desk, Notices, front_desk, lock, no_such_control, parse};
use crate::faults::Fault;
use crate::rng::{mix, uuid};
use auth::{Auth, Denied};
use limits::{Limits, RateHeaders, Sizes};
use params::{Mode, Problem, Query, Rules};
use store::{Record, Store, time};

const LOGS: &str = "/api/v1/logs";
const TOKEN: &str = "/oauth2/v1/token";

/// An Okta organisation. Clones are the same organisation.
#[derive(Debug, Clone)]
pub struct Okta {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: OktaConfig,
    desk: Desk,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    auth: Auth,
    limits: Limits,
    token_limits: Limits,
    /// When each cursor was last issued (epoch milliseconds); only kept where cursors die.
    cursors: HashMap<String, i64>,
    /// Records of the last page that had some.
    last_page: Vec<Bytes>,
    /// The file's records wait for the first request: its time is when they become persisted.
    records: Option<Bytes>,
    served: u64,
    added: u64,
    answers: u64,
}

/// One event that existed, for a test to compare with what arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEvent {
    /// Its `uuid`, or `record:<n>` where the record has none.
    pub id: String,
    /// When it happened.
    pub published: DateTime<Utc>,
    /// When it became visible.
    pub persisted_at: DateTime<Utc>,
    /// Published long before it was persisted.
    pub late: bool,
}

front_desk!(Okta);

impl Okta {
    /// Sets an organisation up.
    pub fn new(config: OktaConfig) -> Self {
        let desk = Desk::new(config.clock_offset, config.base_url.clone());
        {
            let mut plan = desk.plan();
            config.faults.iter().cloned().for_each(|fault| plan.push(fault));
            plan.set_random(config.random_faults.clone());
        }
        let mut store = Store::default();
        if let Some(plan) = &config.generate {
            store.add_generated(generate(plan));
        }
        let inner = Inner {
            store,
            auth: Auth::new(
                config.seed,
                config.tokens.clone(),
                config.clients.clone(),
                config.access_token_life.num_seconds(),
            ),
            limits: Limits::default(),
            token_limits: Limits::default(),
            cursors: HashMap::new(),
            last_page: Vec::new(),
            records: config.records.clone(),
            served: 0,
            added: 0,
            answers: 0,
        };
        Self { shared: Arc::new(Shared { config, desk, inner: Mutex::new(inner) }) }
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
        inner.store.looked(now);
        if let Some(records) = inner.records.take() {
            inner.store.add_lines(&records, now);
        }
        let fault = desk.next_fault(path, &usual_faults());
        let mut answer = match fault.as_ref().and_then(|fault| self.instead(fault, now)) {
            Some(answer) => answer,
            None => self.answer(&mut inner, request, fault.as_ref(), now),
        };
        inner.answers += 1;
        if !answer.headers.contains_key("x-rate-limit-limit") {
            set_rate(&mut answer, inner.limits.look("", self.sizes(), now.timestamp_millis()));
        }
        let number = mix(self.shared.config.seed, inner.answers);
        drop(inner);
        answer.set("x-okta-request-id", &format!("a{number:016x}{:015x}", mix(number, 2) >> 4));
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

    /// Adds generated events. None becomes persisted before the last request that was answered.
    pub fn add_events(&self, plan: &Generate) {
        lock(&self.shared.inner).store.add_generated(generate(plan));
    }

    /// Adds raw records, one a line, persisted now. Returns how many.
    pub fn add_records(&self, lines: &Bytes, now: DateTime<Utc>) -> usize {
        let now = self.shared.desk.now(now);
        lock(&self.shared.inner).store.add_lines(lines, now)
    }

    /// Adds or replaces an API token.
    pub fn add_token(&self, token: Token) {
        lock(&self.shared.inner).auth.add_token(token);
    }

    /// Registers or replaces an OAuth client.
    pub fn add_client(&self, client: Client) {
        lock(&self.shared.inner).auth.add_client(client);
    }

    /// Revokes a token (API or access). Whether there was one.
    pub fn revoke(&self, token: &str) -> bool {
        lock(&self.shared.inner).auth.revoke(token)
    }

    /// Revokes every access token that was issued.
    pub fn revoke_access_tokens(&self) {
        lock(&self.shared.inner).auth.revoke_all(false);
    }

    /// Every event there is, visible or not, by persistence.
    pub fn events(&self) -> Vec<KnownEvent> {
        let known = |record: &Record| KnownEvent {
            id: record.id.clone(),
            published: time(record.published).unwrap_or_default(),
            persisted_at: time(record.persisted).unwrap_or_default(),
            late: record.late,
        };
        lock(&self.shared.inner).store.all().iter().map(known).collect()
    }

    /// The exact bytes of an event.
    pub fn record(&self, id: &str) -> Option<Bytes> {
        let inner = lock(&self.shared.inner);
        inner.store.all().iter().find(|record| record.id == id).map(|record| record.raw.clone())
    }

    /// Counts, as `GET /_sim/totals` gives them.
    pub fn totals(&self, now: DateTime<Utc>) -> Value {
        self.totals_at(self.shared.desk.now(now))
    }

    fn totals_at(&self, now: DateTime<Utc>) -> Value {
        let inner = lock(&self.shared.inner);
        let now_ms = now.timestamp_millis();
        let all = inner.store.all();
        json!({
            "server": "okta",
            "now": now,
            "events": all.len(),
            "visible": all.iter().filter(|record| record.visible(now_ms)).count(),
            "late": all.iter().filter(|record| record.late).count(),
            "served": inner.served,
            "token_calls": inner.auth.token_calls,
            "token_refusals": inner.auth.refused,
            "tokens_issued": inner.auth.issued,
            "requests": self.shared.desk.totals(),
        })
    }

    fn sizes(&self) -> Sizes {
        let config = &self.shared.config;
        Sizes { org: config.org_limit, principal: config.principal_limit, foreign: config.foreign_usage }
    }

    /// Faults that answer in place of the organisation.
    fn instead(&self, fault: &Fault, now: DateTime<Utc>) -> Option<Answer> {
        Some(match fault {
            Fault::Exchange(exchange) => exchange.answer()?,
            Fault::RateLimited { reset_s, retry_after_s, duplicate_reset } => {
                let rate = RateHeaders {
                    limit: self.shared.config.principal_limit,
                    remaining: 0,
                    reset: now.timestamp() + reset_s,
                };
                too_many(rate, *retry_after_s, *duplicate_reset)
            }
            Fault::Concurrency { reset_s } => too_many(
                RateHeaders { limit: 0, remaining: 0, reset: now.timestamp() + reset_s },
                None,
                false,
            ),
            Fault::Unauthorized => invalid_token(),
            Fault::Forbidden => forbidden(),
            Fault::NotFound => not_found(),
            Fault::TooLarge => Answer::html(StatusCode::PAYLOAD_TOO_LARGE),
            Fault::ServerError => {
                error(StatusCode::INTERNAL_SERVER_ERROR, "E0000009", "Internal Server Error", &[])
            }
            Fault::Unavailable => {
                error(StatusCode::SERVICE_UNAVAILABLE, "E0000010", "Service is in read only mode", &[])
            }
            Fault::BadGateway => Answer::html(StatusCode::BAD_GATEWAY),
            Fault::DropUnprocessed => Answer::dropped(),
            Fault::HtmlPage => Answer::html(StatusCode::OK),
            _ => return None,
        })
    }

    fn answer(
        &self,
        inner: &mut Inner,
        request: &Request<Bytes>,
        fault: Option<&Fault>,
        now: DateTime<Utc>,
    ) -> Answer {
        let in_flight = request.extensions().get::<InFlight>().map_or(1, |in_flight| in_flight.0);
        if in_flight > self.shared.config.concurrency_limit {
            let rate = RateHeaders { limit: 0, remaining: 0, reset: now.timestamp() + 60 };
            return too_many(rate, None, false);
        }
        let base = self.shared.desk.base(request);
        match (request.uri().path(), request.method()) {
            (LOGS, &Method::GET) => self.logs(inner, request, fault, &base, now),
            (TOKEN, &Method::POST) => {
                let sizes = Sizes { org: 2_000, principal: 2_000, foreign: 0 };
                let mut answer = inner.auth.token(request, &base, now);
                if let Ok(rate) = inner.token_limits.take("", sizes, now.timestamp_millis()) {
                    set_rate(&mut answer, rate);
                }
                answer
            }
            (LOGS | TOKEN, _) => error(
                StatusCode::METHOD_NOT_ALLOWED,
                "E0000022",
                "The endpoint does not support the provided HTTP method",
                &[],
            ),
            _ => not_found(),
        }
    }

    fn logs(
        &self,
        inner: &mut Inner,
        request: &Request<Bytes>,
        fault: Option<&Fault>,
        base: &str,
        now: DateTime<Utc>,
    ) -> Answer {
        let now_ms = now.timestamp_millis();
        let principal = match inner.auth.principal(request, base, now) {
            Ok(principal) => principal,
            Err(denied) => return denied_answer(&denied),
        };
        let rate = match inner.limits.take(&principal, self.sizes(), now_ms) {
            Ok(rate) => rate,
            Err(rate) => {
                let wait = u64::try_from(rate.reset - now.timestamp()).unwrap_or(0);
                let config = &self.shared.config;
                return too_many(rate, config.retry_after.then_some(wait), config.duplicate_reset);
            }
        };
        let mut answer = match self.page(inner, request, fault, base, now) {
            Ok(answer) => answer,
            Err(problem) if problem.code == "E0000009" => {
                error(StatusCode::INTERNAL_SERVER_ERROR, problem.code, &problem.summary, &problem.causes)
            }
            Err(problem) => error(StatusCode::BAD_REQUEST, problem.code, &problem.summary, &problem.causes),
        };
        set_rate(&mut answer, rate);
        answer
    }

    fn page(
        &self,
        inner: &mut Inner,
        request: &Request<Bytes>,
        fault: Option<&Fault>,
        base: &str,
        now: DateTime<Utc>,
    ) -> Result<Answer, Problem> {
        let config = &self.shared.config;
        let rules = Rules {
            invalid_date_as_e0000030: config.invalid_date_as_e0000030,
            since_and_after_refused: config.since_and_after_refused,
            refuse_since_over_180_days: config.refuse_since_over_180_days,
            seed: config.seed,
        };
        let query = Query::parse(request.uri().query().unwrap_or_default(), now, rules)?;
        if let (Some(ttl), Some((cursor, _))) = (config.cursor_ttl, &query.after) {
            let issued = inner.cursors.get(cursor).copied();
            if issued.is_none_or(|issued| now.timestamp_millis() - issued > ttl.num_milliseconds()) {
                return Err(Problem {
                    code: "E0000001",
                    summary: "Api validation failed: after".to_owned(),
                    causes: vec!["after: the cursor has expired".to_owned()],
                });
            }
        }
        if let Some(Fault::Nulls { count }) = fault {
            inner.add_nulls(*count, now);
        }
        let mut page = match query.mode {
            Mode::Polling => polling_page(&inner.store, &query, now),
            Mode::Bounded { descending } => self.bounded_page(&inner.store, &query, descending, now)?,
        };
        let mut flipped = false;
        if matches!(fault, Some(Fault::DuplicatePage))
            && query.mode == Mode::Polling
            && !inner.last_page.is_empty()
        {
            page = Page { records: inner.last_page.clone(), next: Some(start_of(&query)) };
            // The same place in the other style, or the link would equal the one that was asked.
            flipped = query
                .after
                .as_ref()
                .is_some_and(|(text, place)| *text == cursor::write(config.seed, query.mode, *place, false));
        } else if !page.records.is_empty() {
            inner.last_page.clone_from(&page.records);
        }
        inner.served += page.records.len() as u64;
        self.shared.desk.notices.events(request.uri().path(), page.records.len() as u64);
        if let Some(Fault::WithoutUuid { count }) = fault {
            let published = generate::timestamp(now);
            let record =
                format!(r#"{{"published":"{published}","eventType":"user.session.start","uuid":null}}"#);
            page.records.extend(std::iter::repeat_n(Bytes::from(record), *count));
        }
        let mut answer = Answer::with_type(StatusCode::OK, "application/json", body_of(&page.records));
        let self_url = format!("{base}{}", request.uri().path_and_query().map_or(LOGS, |path| path.as_str()));
        let next = page.next.map(|place| {
            let cursor = cursor::write(config.seed, query.mode, place, flipped);
            if config.cursor_ttl.is_some() {
                inner.cursors.insert(cursor.clone(), now.timestamp_millis());
            }
            format!("{base}{LOGS}?{}", rewritten(&query, &cursor, config.seed))
        });
        let next = match fault {
            Some(Fault::NoNextLink) => None,
            Some(Fault::LinkLoop) => Some(self_url.clone()),
            Some(Fault::ForeignLink { base: foreign }) => next.map(|link| link.replacen(base, foreign, 1)),
            _ => next,
        };
        let mut links = vec![format!("<{self_url}>; rel=\"self\"")];
        links.extend(next.map(|next| format!("<{next}>; rel=\"next\"")));
        if config.merged_links {
            answer.add("link", &links.join(", "));
        } else {
            links.iter().for_each(|link| answer.add("link", link));
        }
        Ok(answer)
    }

    fn bounded_page(
        &self,
        store: &Store,
        query: &Query,
        descending: bool,
        now: DateTime<Utc>,
    ) -> Result<Page, Problem> {
        let config = &self.shared.config;
        let mut records = store.published(query.since, query.until, now.timestamp_millis());
        if config.slow_query_events.is_some_and(|most| records.len() > most) {
            return Err(Problem {
                code: "E0000009",
                summary: "Internal Server Error".to_owned(),
                causes: Vec::new(),
            });
        }
        if descending {
            records.reverse();
        }
        let place = |record: &Record| (record.published, record.seq);
        if let Some((_, after)) = query.after {
            // Exclusive here: the place is that of the last record served.
            records.retain(|record| if descending { place(record) < after } else { place(record) > after });
        }
        records.retain(|record| selected(query, record));
        let more = records.len() > query.limit
            || (config.link_after_full_last_page && records.len() == query.limit && query.limit > 0);
        records.truncate(query.limit);
        let next = records.last().filter(|_| more).map(|record| place(record));
        Ok(Page { records: records.into_iter().map(|record| record.raw.clone()).collect(), next })
    }

    fn control(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let now_ms = now.timestamp_millis();
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/_sim/totals") => Answer::json(StatusCode::OK, &self.totals_at(now)),
            (&Method::GET, "/_sim/ids") => {
                let inner = lock(&self.shared.inner);
                let ids: Vec<Value> =
                    inner.store.all().iter().map(|record| record.describe(now_ms)).collect();
                Answer::json(StatusCode::OK, &json!({"ids": ids}))
            }
            (&Method::GET, "/_sim/documents") => {
                let query = request.uri().query().unwrap_or_default();
                let id = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "id");
                match id.and_then(|(_, id)| self.record(&id)) {
                    Some(raw) => Answer::with_type(StatusCode::OK, "application/json", raw),
                    None => no_such_control(),
                }
            }
            (&Method::POST, "/_sim/tokens") => match parse::<TokenOrder>(request) {
                Ok(order) => self.tokens(order),
                Err(answer) => *answer,
            },
            (&Method::POST, "/_sim/events") => self.post_events(request, now),
            _ => no_such_control(),
        }
    }

    fn tokens(&self, order: TokenOrder) -> Answer {
        let auth = &mut lock(&self.shared.inner).auth;
        order.add.into_iter().for_each(|token| auth.add_token(token));
        order.clients.into_iter().for_each(|client| auth.add_client(client));
        let revoked = order.revoke.iter().filter(|token| auth.revoke(token)).count();
        if order.revoke_all || order.revoke_access_tokens {
            auth.revoke_all(order.revoke_all);
        }
        Answer::json(StatusCode::OK, &json!({"ok": true, "revoked": revoked}))
    }

    fn post_events(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let mut inner = lock(&self.shared.inner);
        // An order to generate, or else the records themselves.
        let order = serde_json::from_slice::<EventOrder>(request.body());
        let added = match order {
            Ok(order) => {
                inner.added += 1;
                let seed = order.seed.unwrap_or(mix(self.shared.config.seed, inner.added));
                inner.store.add_generated(generate(&Generate {
                    late: order.late,
                    odd: order.odd,
                    start: now,
                    ..Generate::new(seed, order.generate, TimeDelta::seconds(order.spread_s))
                }));
                order.generate
            }
            Err(_) => inner.store.add_lines(request.body(), now),
        };
        Answer::json(StatusCode::OK, &json!({"ok": true, "added": added}))
    }
}

impl Handler for Okta {
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

#[derive(Deserialize)]
struct TokenOrder {
    #[serde(default)]
    add: Vec<Token>,
    #[serde(default)]
    clients: Vec<Client>,
    #[serde(default)]
    revoke: Vec<String>,
    #[serde(default)]
    revoke_access_tokens: bool,
    #[serde(default)]
    revoke_all: bool,
}

#[derive(Deserialize)]
struct EventOrder {
    generate: usize,
    #[serde(default)]
    late: usize,
    #[serde(default)]
    odd: usize,
    #[serde(default)]
    spread_s: i64,
    #[serde(default)]
    seed: Option<u64>,
}

impl Inner {
    fn add_nulls(&mut self, count: usize, now: DateTime<Utc>) {
        for _ in 0..count {
            self.added += 1;
            let id = uuid(mix(self.added, 0x6e75), mix(self.added, 0x6c6c));
            let published = now - TimeDelta::milliseconds(300);
            let event = GeneratedEvent {
                raw: Bytes::from(generate::null_event(&id, &generate::timestamp(published))),
                id,
                published,
                persisted_at: now,
                late: false,
            };
            self.store.add_generated(vec![event]);
        }
    }
}

struct Page {
    records: Vec<Bytes>,
    next: Option<cursor::Position>,
}

fn start_of(query: &Query) -> cursor::Position {
    query.after.as_ref().map_or((query.since, 0), |(_, place)| *place)
}

fn polling_page(store: &Store, query: &Query, now: DateTime<Utc>) -> Page {
    let mut records = Vec::new();
    let mut next = start_of(query);
    if query.limit > 0 {
        for record in store.from(next, now.timestamp_millis()).filter(|record| selected(query, record)) {
            records.push(record.raw.clone());
            next = (record.persisted, record.seq + 1);
            if records.len() == query.limit {
                break;
            }
        }
    }
    Page { records, next: Some(next) }
}

fn selected(query: &Query, record: &Record) -> bool {
    if query.filter.is_none() && query.keywords.is_empty() {
        return true;
    }
    let Ok(event) = serde_json::from_slice::<Value>(&record.raw) else { return false };
    query.filter.as_ref().is_none_or(|filter| filter.matches(&event))
        && filter::matches_keywords(&event, &query.keywords)
}

fn body_of(records: &[Bytes]) -> Bytes {
    let mut body = BytesMut::with_capacity(records.iter().map(|record| record.len() + 1).sum::<usize>() + 2);
    let mut separator: &[u8] = b"[";
    for record in records {
        body.extend_from_slice(separator);
        body.extend_from_slice(record);
        separator = b",";
    }
    if records.is_empty() {
        body.extend_from_slice(b"[");
    }
    body.extend_from_slice(b"]");
    body.freeze()
}

/// The query of a next link. The vendor rewrites it: sometimes all parameters plus `after`, sometimes without `since`,
/// in another order; a bounded query keeps its bounds.
fn rewritten(query: &Query, after: &str, seed: u64) -> String {
    let style = mix(seed, after.bytes().fold(7, |number, byte| mix(number, u64::from(byte))));
    let mut serializer = url::form_urlencoded::Serializer::new(String::new());
    let polling = query.mode == Mode::Polling;
    if style & 2 == 0 {
        serializer.append_pair("after", after);
    }
    let mut bounds = (false, false);
    for (name, value) in &query.pairs {
        let known = matches!(name.as_str(), "since" | "until" | "filter" | "q" | "limit" | "sortOrder");
        if !known || (polling && name == "since" && style & 1 == 0) {
            continue;
        }
        bounds = (bounds.0 || name == "since", bounds.1 || name == "until");
        serializer.append_pair(name, value);
    }
    if !polling {
        // Defaults that depend on the moment are written down, or the next page would have moved bounds.
        for (given, name, ms) in [(bounds.0, "since", query.since), (bounds.1, "until", query.until)] {
            if !given && let Some(at) = time(ms) {
                serializer.append_pair(name, &generate::timestamp(at));
            }
        }
    }
    if style & 2 != 0 {
        serializer.append_pair("after", after);
    }
    serializer.finish()
}

fn set_rate(answer: &mut Answer, rate: RateHeaders) {
    answer.set("x-rate-limit-limit", &rate.limit.to_string());
    answer.set("x-rate-limit-remaining", &rate.remaining.to_string());
    answer.set("x-rate-limit-reset", &rate.reset.to_string());
}

fn too_many(rate: RateHeaders, retry_after_s: Option<u64>, duplicate_reset: bool) -> Answer {
    let body = json!({
        "errorCode": "E0000047",
        "errorSummary": "API call exceeded rate limit due to too many requests.",
        "errorCauses": [],
    });
    let mut answer = Answer::json(StatusCode::TOO_MANY_REQUESTS, &body);
    set_rate(&mut answer, rate);
    if duplicate_reset {
        answer.add("x-rate-limit-reset", &(rate.reset + 60).to_string());
    }
    if let Some(seconds) = retry_after_s {
        answer.set("retry-after", &seconds.to_string());
    }
    answer
}

fn error(status: StatusCode, code: &str, summary: &str, causes: &[String]) -> Answer {
    let causes: Vec<Value> = causes.iter().map(|cause| json!({"errorSummary": cause})).collect();
    let id = format!("oae{:016x}", causes.len() as u64 ^ mix(u64::from(status.as_u16()), code.len() as u64));
    let body = json!({
        "errorCode": code,
        "errorSummary": summary,
        "errorLink": code,
        "errorId": id,
        "errorCauses": causes,
    });
    Answer::json(status, &body)
}

fn invalid_token() -> Answer {
    error(StatusCode::UNAUTHORIZED, "E0000011", "Invalid token provided", &[])
}

fn forbidden() -> Answer {
    error(
        StatusCode::FORBIDDEN,
        "E0000006",
        "You do not have permission to perform the requested action",
        &[],
    )
}

fn not_found() -> Answer {
    error(StatusCode::NOT_FOUND, "E0000007", "Not found: Resource not found", &[])
}

fn denied_answer(denied: &Denied) -> Answer {
    match denied {
        Denied::Invalid => invalid_token(),
        Denied::Scope => forbidden(),
        Denied::Proof { status, error: kind, description } => {
            let mut answer = error(*status, "E0000011", "Invalid token provided", &[]);
            let value = format!(
                "DPoP algs=\"RS256 RS384 RS512 ES256 ES384\", error=\"{kind}\", error_description=\"{description}\""
            );
            answer.set("www-authenticate", &value);
            answer
        }
    }
}

/// What a bad day looks like, for random faults without a list.
fn usual_faults() -> [Fault; 9] {
    [
        Fault::ServerError,
        Fault::Unavailable,
        Fault::BadGateway,
        Fault::RateLimited { reset_s: 1, retry_after_s: None, duplicate_reset: false },
        Fault::Concurrency { reset_s: 1 },
        Fault::CutBody { after: None },
        Fault::TruncatedGzip,
        Fault::DropBeforeAnswer,
        Fault::DuplicatePage,
    ]
}
