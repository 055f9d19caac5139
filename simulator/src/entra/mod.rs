//! Microsoft Graph and the login of Entra ID, as far as logs need them.
//!
//! A record has a time of its own and becomes visible later; sign-ins and risk detections change after that. A request
//! sees the version of its moment. A walk over several pages is not a snapshot: each page is read anew, after the place
//! where the last one ended, and what came in behind that place meanwhile is not in it.

mod access;
mod answers;
mod config;
mod control;
mod filter;
mod generate;
mod limits;
mod login;
mod problem;
mod query;
mod store;
mod streams;
mod view;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use serde_json::{Map, Value, json};

pub use config::{
    AUDIT_LOG_READ, App, Credential, DEFAULT_APP, DEFAULT_SECRET, DEFAULT_TENANT, EntraConfig, Federation,
    Foreign, Licence, Limits, ManagedIdentity, POLICY_READ, Quirks, RISK_READ, Tenant,
};
pub use generate::Generate;

use crate::answer::{Answer, Handler, accepts_gzip, http_date};
use crate::control::{Desk, Notices, RequestEntry, lock};
use crate::faults::{Fault, RandomFaults, ScriptedFault};
use crate::known::{Known, Version};
use crate::rng::{mix, uuid};
use limits::Buckets;
use login::Login;
use problem::Ids;
use store::Store;
use streams::{Resource, STREAMS, stream};

/// Login and Graph for one or more tenants. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Entra {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: EntraConfig,
    desk: Desk,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    login: Login,
    /// By tenant, in the order of the configuration; within one by [`Resource::at`].
    stores: Vec<(String, Vec<Store>)>,
    buckets: Buckets,
    served: u64,
    answers: u64,
    added: u64,
}

impl Inner {
    fn store(&self, tenant: &str, resource: Resource) -> Option<&Store> {
        let (_, stores) = self.stores.iter().find(|(id, _)| id.eq_ignore_ascii_case(tenant))?;
        stores.get(resource.at())
    }

    fn store_mut(&mut self, tenant: &str, resource: Resource) -> Option<&mut Store> {
        let (_, stores) = self.stores.iter_mut().find(|(id, _)| id.eq_ignore_ascii_case(tenant))?;
        stores.get_mut(resource.at())
    }

    fn add(&mut self, plan: &Generate) -> usize {
        let tenant = plan.tenant.clone().or_else(|| self.stores.first().map(|(id, _)| id.clone()));
        let (Some(tenant), Some(stream)) = (tenant, stream(&plan.stream)) else { return 0 };
        let records = generate::generate(plan, &tenant);
        let added = records.len();
        let Some(store) = self.store_mut(&tenant, stream.resource) else { return 0 };
        store.add(stream, records);
        added
    }
}

impl Entra {
    /// Sets the service and its tenants up.
    #[must_use]
    pub fn new(config: EntraConfig) -> Self {
        let desk = Desk::new(config.clock_offset, config.base_url.clone());
        {
            let mut plan = desk.plan();
            config.faults.iter().cloned().for_each(|fault| plan.push(fault));
            plan.set_random(config.random_faults.clone());
        }
        let stores = || Resource::ALL.into_iter().map(Store::new).collect();
        let mut inner = Inner {
            login: Login::new(&config),
            stores: config.tenants.iter().map(|tenant| (tenant.id.clone(), stores())).collect(),
            buckets: Buckets::default(),
            served: 0,
            answers: 0,
            added: 0,
        };
        for plan in &config.generate {
            inner.add(plan);
        }
        Self { shared: Arc::new(Shared { config, desk, inner: Mutex::new(inner) }) }
    }

    /// Answers one request. `now` is the true (or virtual) time; the server's own clock may differ from it.
    pub fn handle(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let Shared { config, desk, inner } = &*self.shared;
        let now = desk.now(now);
        let path = request.uri().path();
        if path.starts_with("/_sim/") {
            return desk.control(request, now).unwrap_or_else(|| self.control(request, now));
        }
        desk.notices.received(path);
        let mut inner = lock(inner);
        inner.answers += 1;
        let number = mix(config.seed, inner.answers);
        let own = uuid(number, mix(number, 2));
        let client = request.headers().get("client-request-id").and_then(|value| value.to_str().ok());
        let ids = Ids { client: client.map_or_else(|| own.clone(), str::to_owned), request: own };
        let fault = desk.next_fault(path, &answers::usual_faults());
        // The SDK asks with two slashes in a row; they count as one.
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let call = answers::Call { request, segments: &segments, fault: fault.as_ref(), ids: &ids, now };
        let mut answer = self.answer(&mut inner, &call);
        drop(inner);
        answer.set("request-id", &ids.request);
        answer.set("client-request-id", &ids.client);
        answer.set("date", &http_date(now));
        if let Some(Fault::Exchange(exchange)) = &fault {
            exchange.set_headers(&mut answer, now);
        }
        let own_body = fault.as_ref().is_some_and(Fault::has_own_body);
        if config.gzip && !own_body && accepts_gzip(request.headers()) && !answer.body.is_empty() {
            answer.gzip();
        }
        if let Some(fault) = &fault {
            fault.on_the_wire(&mut answer);
        }
        desk.answered(request, &mut answer, fault.as_ref(), now);
        answer
    }

    /// Puts a fault at the end of the script.
    pub fn push_fault(&self, fault: ScriptedFault) {
        self.shared.desk.plan().push(fault);
    }

    /// Ends all faults, scripted and random.
    pub fn clear_faults(&self) {
        self.shared.desk.plan().clear();
    }

    /// Replaces the random faults.
    pub fn set_random_faults(&self, faults: Option<RandomFaults>) {
        self.shared.desk.plan().set_random(faults);
    }

    /// Moves the server's clock forward.
    pub fn advance(&self, by: TimeDelta) {
        self.shared.desk.advance(by);
    }

    /// Adds generated records. Returns how many.
    pub fn add_generated(&self, plan: &Generate) -> usize {
        lock(&self.shared.inner).add(plan)
    }

    /// Adds a record to the first tenant. Its id is the member `id` of its first version, or a number. `occurred_at` is
    /// its time (`createdDateTime`, `activityDateTime`, `detectedDateTime`); `lastUpdatedDateTime` is taken from each
    /// version. Whether there was such a stream, and a version.
    pub fn add_record(&self, stream: &str, occurred_at: DateTime<Utc>, versions: Vec<Version>) -> bool {
        let tenant = self.shared.config.tenants.first().map(|tenant| tenant.id.clone());
        tenant.is_some_and(|tenant| self.add_record_to(&tenant, stream, occurred_at, versions))
    }

    /// As [`Entra::add_record`], to this tenant.
    pub fn add_record_to(
        &self,
        tenant: &str,
        name: &str,
        occurred_at: DateTime<Utc>,
        versions: Vec<Version>,
    ) -> bool {
        let mut inner = lock(&self.shared.inner);
        let (Some(stream), Some(first)) = (stream(name), versions.first()) else { return false };
        let record: Option<Map<String, Value>> = serde_json::from_slice(&first.raw).ok();
        let id = record.and_then(|record| record.get("id")?.as_str().map(str::to_owned));
        inner.added += 1;
        let id = id.unwrap_or_else(|| format!("record:{}", inner.added));
        let known = Known { stream: stream.name.to_owned(), id, occurred_at, versions };
        inner.store_mut(tenant, stream.resource).map(|store| store.add(stream, [known])).is_some()
    }

    /// Every record that there is or will be, of all tenants. Its bytes are those of beta, for an app with all roles, a
    /// client that sends `Prefer: include-unknown-enum-members`, and a tenant with P2.
    pub fn known(&self) -> Vec<Known> {
        let inner = lock(&self.shared.inner);
        inner.stores.iter().flat_map(|(_, stores)| stores.iter().flat_map(Store::known)).collect()
    }

    /// A record as v1.0 sends it: without the members that only beta has. Sign-ins other than interactive ones are not
    /// in v1.0 at all.
    #[must_use]
    pub fn in_v1(mut known: Known) -> Known {
        if let Some(stream) = stream(&known.stream) {
            let view = view::View { v1: true, ..view::View::default() };
            for version in &mut known.versions {
                version.raw = view.show(stream.resource, &version.raw);
            }
        }
        known
    }

    /// As [`Entra::known`], of one tenant.
    pub fn known_of(&self, tenant: &str) -> Vec<Known> {
        let inner = lock(&self.shared.inner);
        let stores = inner.stores.iter().find(|(id, _)| id.eq_ignore_ascii_case(tenant));
        stores.map(|(_, stores)| stores.iter().flat_map(Store::known).collect()).unwrap_or_default()
    }

    /// The requests answered so far (control requests are not among them).
    pub fn requests(&self) -> Vec<RequestEntry> {
        self.shared.desk.requests()
    }

    /// Requests refused because a limit was reached; scripted refusals are not among them.
    pub fn refused(&self) -> u64 {
        lock(&self.shared.inner).buckets.refused
    }

    /// Gives a tenant another licence, from the next request on. Whether there is such a tenant.
    pub fn set_licence(&self, tenant: &str, licence: Licence) -> bool {
        self.change_tenant(tenant, |tenant| tenant.licence = licence)
    }

    /// Gives an app other roles in a tenant; without any role it stays in the tenant. Only tokens issued from now on
    /// have them. Whether there is such a tenant.
    pub fn set_roles(&self, tenant: &str, app: &str, roles: &[&str]) -> bool {
        self.change_tenant(tenant, |tenant| {
            *tenant = std::mem::replace(tenant, Tenant::new("")).grant_roles(app, roles);
        })
    }

    /// Takes an app out of a tenant: it gets no more tokens. Whether there is such a tenant.
    pub fn remove_app(&self, tenant: &str, app: &str) -> bool {
        self.change_tenant(tenant, |tenant| {
            tenant.grants.remove(app);
        })
    }

    /// Registers an app, or replaces it with its credentials; without any it gets no more tokens.
    pub fn set_app(&self, app: App) {
        lock(&self.shared.inner).login.add_app(app);
    }

    /// All access tokens die at once.
    pub fn expire_tokens(&self, now: DateTime<Utc>) {
        let now = self.shared.desk.now(now);
        lock(&self.shared.inner).login.tokens.expire_all(now);
    }

    /// Revokes the sessions of a tenant: clients that announced the capability `cp1` get a claims challenge until they
    /// ask for a token with the claims it gives.
    pub fn revoke_sessions(&self, tenant: &str, now: DateTime<Utc>) {
        let now = self.shared.desk.now(now);
        lock(&self.shared.inner).login.tokens.revoke_sessions(tenant, now);
    }

    fn change_tenant(&self, id: &str, change: impl FnOnce(&mut Tenant)) -> bool {
        let mut inner = lock(&self.shared.inner);
        let found = inner.login.tenants.iter_mut().find(|tenant| tenant.id.eq_ignore_ascii_case(id));
        found.map(change).is_some()
    }

    /// Counts, as `GET /_sim/totals` gives them.
    pub fn totals(&self, now: DateTime<Utc>) -> Value {
        self.totals_at(self.shared.desk.now(now))
    }

    fn totals_at(&self, now: DateTime<Utc>) -> Value {
        let inner = lock(&self.shared.inner);
        let ns = filter::nanos(now);
        let stores = || inner.stores.iter().flat_map(|(_, stores)| stores);
        let mut by_stream: Map<String, Value> =
            STREAMS.iter().map(|stream| (stream.name.to_owned(), json!(0))).collect();
        for (name, count) in stores().flat_map(Store::counts) {
            let sum = by_stream.get(name).and_then(Value::as_u64).unwrap_or(0) + count;
            by_stream.insert(name.to_owned(), json!(sum));
        }
        json!({
            "server": "entra",
            "now": now,
            "records": stores().map(Store::len).sum::<usize>(),
            "visible": stores().map(|store| store.visible(ns)).sum::<usize>(),
            "by_stream": by_stream,
            "served": inner.served,
            "refused": inner.buckets.refused,
            "token_calls": inner.login.calls,
            "token_refusals": inner.login.refused,
            "tokens_issued": inner.login.tokens.count,
            "requests": self.shared.desk.totals(),
        })
    }
}

impl Handler for Entra {
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
