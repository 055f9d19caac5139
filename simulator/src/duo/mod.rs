//! A stand-in for one Duo account (and its child accounts): the log endpoints of the Admin API.
//!
//! Every signature is verified over what was sent. A record can be read two minutes after its time at the earliest, and
//! from then on is part of every answer whose range holds its time.

mod auth;
mod config;
mod control;
mod endpoint;
mod filter;
mod generate;
mod legacy;
mod limits;
mod page;
mod params;
mod refusal;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Method, Request, StatusCode};
use serde_json::Value;

pub use config::{Access, DuoConfig, Integration, IntegrationKind, Limits, Quirks};
pub use generate::Generate;

use crate::answer::{Answer, Handler, accepts_gzip, http_date};
use crate::control::{Desk, Notices, front_desk, lock};
use crate::faults::Fault;
use crate::known::{Known, Version};
use auth::Keyring;
use endpoint::Endpoint;
use limits::Buckets;
use page::Page;
use params::{Parameters, Query};
use refusal::Refusal;
use store::{Log, Names, New};

/// A Duo account. Clones are the same account.
///
/// Its streams, by Tidegate's names, are `authentication`, `activity`, `telephony`, `trust_monitor`, `administrator` and
/// `offline_enrollment`. Endpoints bear the names of their streams; the older endpoints of two of them are
/// `authentication_v1` and `telephony_v1`.
#[derive(Debug, Clone)]
pub struct Duo {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: DuoConfig,
    desk: Desk,
    inner: Mutex<Inner>,
}

/// Account id (empty for the account itself) and stream.
type LogKey = (String, String);

#[derive(Debug)]
struct Inner {
    logs: BTreeMap<LogKey, Log>,
    keyring: Keyring,
    access: BTreeMap<String, Access>,
    buckets: Buckets,
    /// Records of the last page that had some, for each endpoint and account.
    last_pages: HashMap<(Endpoint, String), Vec<Bytes>>,
    /// The latest moment at which a client looked: what is added later was not visible before.
    looked: DateTime<Utc>,
    served: u64,
    /// Orders to generate that came without a seed.
    ordered: u64,
}

front_desk!(Duo);

impl Duo {
    /// Sets an account up.
    #[must_use]
    pub fn new(config: DuoConfig) -> Self {
        let desk = Desk::new(config.clock_offset, config.base_url.clone());
        {
            let mut plan = desk.plan();
            config.faults.iter().cloned().for_each(|fault| plan.push(fault));
            plan.set_random(config.random_faults.clone());
        }
        let inner = Inner {
            logs: BTreeMap::new(),
            keyring: Keyring::new(config.integrations.clone()),
            access: config.access.clone(),
            buckets: Buckets::default(),
            last_pages: HashMap::new(),
            looked: DateTime::UNIX_EPOCH,
            served: 0,
            ordered: 0,
        };
        let duo = Self { shared: Arc::new(Shared { config, desk, inner: Mutex::new(inner) }) };
        for plan in &duo.shared.config.generate {
            duo.add_generated(plan);
        }
        duo
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
        let fault = desk.next_fault(path, &usual_faults());
        let mut answer = match fault.as_ref().and_then(|fault| self.instead(fault)) {
            Some(answer) => answer,
            None => {
                let answered = self.answer(&mut lock(&self.shared.inner), request, fault.as_ref(), now);
                answered.unwrap_or_else(|refusal| self.refuse(&refusal))
            }
        };
        answer.set("date", &http_date(now));
        if let Some(Fault::Exchange(exchange)) = &fault {
            exchange.set_headers(&mut answer, now);
        }
        let own_body = fault.as_ref().is_some_and(Fault::has_own_body);
        if self.shared.config.gzip && !own_body && accepts_gzip(request.headers()) {
            answer.gzip();
        }
        if let Some(fault) = &fault {
            fault.on_the_wire(&mut answer);
        }
        desk.answered(request, &mut answer, fault.as_ref(), now);
        answer
    }

    /// Adds generated records. None becomes visible before the last request that was answered.
    pub fn add_generated(&self, plan: &Generate) {
        let account = plan.account.clone().unwrap_or_default();
        self.add(account, &plan.stream, generate::generate(plan));
    }

    /// Adds a record with all that will become of it, byte for byte; its ids are read from the first version. None of
    /// the versions becomes visible before the last request that was answered, nor earlier than
    /// [`visible_after`](DuoConfig::visible_after) its time.
    pub fn add_record(&self, stream: &str, occurred_at: DateTime<Utc>, versions: Vec<Version>) {
        let first = versions.first().map(|version| serde_json::from_slice(&version.raw).unwrap_or_default());
        let names = Names::of(stream, &first.unwrap_or_default());
        self.add(String::new(), stream, vec![New { occurred_at, names, versions }]);
    }

    fn add(&self, account: String, stream: &str, news: Vec<New>) {
        let mut inner = lock(&self.shared.inner);
        let looked = inner.looked;
        let log = inner.logs.entry((account, stream.to_owned())).or_default();
        log.add(stream, news, self.shared.config.visible_after, looked);
    }

    /// Every record of the account itself, by stream and time. Ids are made of what tells records apart: txid,
    /// isotimestamp and `event_type`; `activity_id`; `telephony_id`, txid and ts; sekey; elsewhere a number.
    #[must_use]
    pub fn known(&self) -> Vec<Known> {
        self.known_of("")
    }

    /// Every record of a child account.
    #[must_use]
    pub fn known_of(&self, account: &str) -> Vec<Known> {
        let inner = lock(&self.shared.inner);
        let own = inner.logs.iter().filter(|((of, _), _)| of == account);
        own.flat_map(|((_, stream), log)| log.all().iter().map(|record| record.known(stream))).collect()
    }

    /// Adds or replaces an integration.
    pub fn add_integration(&self, integration: Integration) {
        lock(&self.shared.inner).keyring.add(integration);
    }

    /// Deletes an integration: its key is unknown from now on. Whether there was one.
    pub fn revoke(&self, ikey: &str) -> bool {
        lock(&self.shared.inner).keyring.remove(ikey)
    }

    /// Gives or takes *Grant read log*. Whether there is such an integration.
    pub fn set_read_log(&self, ikey: &str, granted: bool) -> bool {
        lock(&self.shared.inner).keyring.set_read_log(ikey, granted)
    }

    /// Changes what an endpoint says to keys that may read logs.
    pub fn set_access(&self, endpoint: &str, access: Access) {
        lock(&self.shared.inner).access.insert(endpoint.to_owned(), access);
    }

    /// Requests that were refused for the limits. Faults are not among them.
    #[must_use]
    pub fn refused(&self) -> u64 {
        lock(&self.shared.inner).buckets.refused
    }

    /// Counts, as `GET /_sim/totals` gives them.
    #[must_use]
    pub fn totals(&self, now: DateTime<Utc>) -> Value {
        self.totals_at(self.shared.desk.now(now))
    }

    fn refuse(&self, refusal: &Refusal) -> Answer {
        refusal.answer(self.shared.config.quirks.code_as_text)
    }

    /// Faults that answer in place of the account.
    fn instead(&self, fault: &Fault) -> Option<Answer> {
        Some(match fault {
            Fault::Exchange(exchange) => exchange.answer()?,
            Fault::RateLimited { retry_after_s, .. } => {
                let mut answer = self.refuse(&Refusal::too_many());
                if let Some(seconds) = retry_after_s {
                    answer.set("retry-after", &seconds.to_string());
                }
                answer
            }
            Fault::Concurrency { .. } => self.refuse(&Refusal::too_many()),
            Fault::Unauthorized => self.refuse(&Refusal::signature()),
            Fault::Forbidden => self.refuse(&Refusal::forbidden()),
            Fault::NotFound => self.refuse(&Refusal::not_found()),
            Fault::CursorRefused => self.refuse(&Refusal::parameter("next_offset is not valid")),
            Fault::ServerError => self.refuse(&Refusal::internal()),
            Fault::TooLarge => Answer::html(StatusCode::PAYLOAD_TOO_LARGE),
            Fault::Unavailable => Answer::html(StatusCode::SERVICE_UNAVAILABLE),
            Fault::BadGateway => Answer::html(StatusCode::BAD_GATEWAY),
            Fault::HtmlPage => Answer::html(StatusCode::OK),
            Fault::DropUnprocessed => Answer::dropped(),
            _ => return None,
        })
    }

    fn answer(
        &self,
        inner: &mut Inner,
        request: &Request<Bytes>,
        fault: Option<&Fault>,
        now: DateTime<Utc>,
    ) -> Result<Answer, Refusal> {
        let config = &self.shared.config;
        let path = request.uri().path();
        let endpoint = Endpoint::at(path).ok_or_else(Refusal::not_found)?;
        if request.method() != Method::GET {
            return Err(Refusal::method());
        }
        inner.keyring.admit(request, config.base_url.as_deref(), now, config.skew)?;
        match inner.access.get(endpoint.name()) {
            Some(Access::Forbidden) => return Err(Refusal::forbidden()),
            Some(Access::Absent) => return Err(Refusal::not_found()),
            Some(Access::Granted) | None => {}
        }
        let parameters = Parameters::of(request.uri().query().unwrap_or_default());
        let account = match parameters.first("account_id") {
            None => String::new(),
            Some(child) if endpoint.reaches_children() => config
                .children
                .iter()
                .find(|known| *known == child)
                .cloned()
                .ok_or_else(Refusal::forbidden)?,
            Some(_) if config.quirks.refuse_account_id_elsewhere => {
                return Err(Refusal::parameter("account_id is not supported"));
            }
            Some(_) => String::new(),
        };
        let now_ms = now.timestamp_millis();
        if !inner.buckets.take(endpoint, &account, &config.limits, config.foreign, now_ms) {
            return Err(Refusal::too_many());
        }
        let query = Query::parse(endpoint, &parameters, config.quirks, now)?;
        inner.looked = inner.looked.max(now);
        let page = {
            let (place, empty) = ((endpoint, account.clone()), Log::default());
            let log = inner.logs.get(&(account, endpoint.stream().to_owned())).unwrap_or(&empty);
            let before = inner.last_pages.get(&place).map_or(&[][..], Vec::as_slice);
            let page = Page::of(endpoint, log, &query, now, fault, before);
            if !page.records.is_empty() {
                inner.last_pages.insert(place, page.records.clone());
            }
            page
        };
        inner.served += page.records.len() as u64;
        self.shared.desk.notices.events(path, page.records.len() as u64);
        Ok(page.answer(endpoint, config.quirks, fault))
    }
}

impl Handler for Duo {
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

/// What a bad day looks like, for random faults without a list.
fn usual_faults() -> [Fault; 9] {
    [
        Fault::ServerError,
        Fault::Unavailable,
        Fault::BadGateway,
        Fault::RateLimited { reset_s: 1, retry_after_s: None, duplicate_reset: false },
        Fault::CutBody { after: None },
        Fault::TruncatedGzip,
        Fault::DropBeforeAnswer,
        Fault::DuplicatePage,
        Fault::EmptyPage,
    ]
}
