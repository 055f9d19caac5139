//! Budgets of requests, as vendors count them: of an organisation, of one log endpoint of it, of an app over many
//! organisations. One a process each, shared by all streams that spend from it, of however many sources.
//!
//! Three things say when the next request may go, and the latest wins: a ceiling (`governor`: our share of the vendor's
//! limit, evenly spaced, so that it holds over *any* stretch of the vendor's span), the vendor's own answers (a `429`, or
//! so few requests left that the others would feel it), and what the journal kept from the run before.
//! Time is counted forward only: a machine whose clock is set back waits no longer for it.

use crate::fault::FaultKind;
use chrono::{DateTime, TimeDelta, Utc};
use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as Ceiling, RateLimiter};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A refusal that does not say for how long lets the whole budget rest for this part of the vendor's span: what is
/// refused to one stream is refused to all, and each would find out for itself.
const UNSAID: u32 = 4;

/// No answer makes us wait longer.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Our clock starts here, so that an earlier request of the run before has a place on it.
const ORIGIN: Duration = Duration::from_secs(24 * 3600);

/// Who does not come for a place in a queue when told to has lost it after this.
const UNUSED: Duration = Duration::from_secs(1);

/// The first wait after a refusal for too many requests at the same time; it doubles up to the vendor's hint.
const CONCURRENCY_WAIT: Duration = Duration::from_secs(1);

/// Which part of the vendor's limit is ours: `"50%"` unless configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Default for Share {
    fn default() -> Self {
        Self(50)
    }
}

impl Share {
    /// This share of a limit, never less than one request.
    #[must_use]
    pub fn of(self, limit: u32) -> u32 {
        u32::try_from(u64::from(limit) * u64::from(self.0) / 100).unwrap_or(u32::MAX).max(1)
    }
}

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.strip_suffix('%')
            .and_then(|number| number.parse().ok())
            .filter(|percent| (1..=100).contains(percent))
            .map(Self)
            .ok_or_else(|| "a share of the vendor's limit from \"1%\" to \"100%\"".to_owned())
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// How a vendor counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Requests in a span, assumed until an answer says better.
    pub limit: u32,
    /// The span.
    pub span: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { limit: 60, span: Duration::from_secs(60) }
    }
}

/// What an answer said of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Requests in the span; 0 in a refusal for too many at the same time.
    pub limit: u32,
    /// Requests left.
    pub remaining: u32,
    /// From now until the span starts again, already clamped.
    pub reset: Option<Duration>,
}

/// Counters of an organisation, over all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Requests sent.
    pub requests: u64,
    /// Refused: too many in the span.
    pub refused_429: u64,
    /// Refused: too many at the same time.
    pub concurrency_refusals: u64,
}

impl Counters {
    /// Counters only grow: the greater ones are the later ones.
    fn max(self, other: Self) -> Self {
        Self {
            requests: self.requests.max(other.requests),
            refused_429: self.refused_429.max(other.refused_429),
            concurrency_refusals: self.concurrency_refusals.max(other.concurrency_refusals),
        }
    }
}

/// A budget as a status page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuotaStatus {
    /// The vendor's limit a span: seen, else assumed.
    pub limit: u32,
    /// Whether an answer named the limit.
    pub seen: bool,
    /// Requests of everybody in the present span, by the last answer.
    pub used: Option<u32>,
    /// Ours among them.
    pub ours: usize,
    /// How long the vendor makes us wait, in seconds, rounded up.
    pub wait_seconds: Option<u64>,
    /// Such as `waiting 41 s: 60/60 used, 12 ours`.
    pub reason: Option<String>,
    /// Counters.
    pub counters: Counters,
}

/// What the journal keeps between two runs.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    limit: Option<u32>,
    remaining: Option<u32>,
    not_before: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
    ours: usize,
    counters: Counters,
}

/// What [`Buckets::state`] says to somebody who only reads it, such as a status page beside a running process: why the
/// bucket with the longest wait makes us wait, while there is one.
#[must_use]
pub fn reason(state: &str, now: DateTime<Utc>) -> Option<String> {
    let wait = |kept: &Kept| {
        kept.not_before?.signed_duration_since(now).to_std().ok().filter(|wait| !wait.is_zero())
    };
    let (wait, kept) = states(state)
        .into_values()
        .filter_map(|kept| Some((wait(&kept)?, kept)))
        .max_by_key(|(wait, _)| *wait)?;
    Some(waiting(wait, kept.limit.zip(kept.remaining), kept.ours))
}

fn waiting(wait: Duration, seen: Option<(u32, u32)>, ours: usize) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    match seen {
        Some((limit, remaining)) => {
            format!("waiting {seconds} s: {}/{limit} used, {ours} ours", limit.saturating_sub(remaining))
        }
        None => format!("waiting {seconds} s, as the vendor asked"),
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<Nanos>>;

struct Inner {
    /// What holders allow us, and how many of them.
    shares: BTreeMap<Share, usize>,
    budget: Budget,
    organisation: Option<u32>,
    limit: Option<u32>,
    remaining: Option<u32>,
    /// On our clock: no request before.
    hold: Duration,
    /// Our clock: moves with `wall`, never back.
    now: Duration,
    wall: Option<DateTime<Utc>>,
    last: Option<Duration>,
    recent: VecDeque<Duration>,
    /// Made for this period and with this clock.
    limiter: Option<(Duration, Limiter, FakeRelativeClock)>,
    refusals: u32,
    counters: Counters,
    tickets: Tickets,
}

/// The queue at a budget that many share: who asked first goes first, whoever happens to ask at the right moment.
#[derive(Debug, Default)]
struct Tickets {
    /// Each holder's number, and when it was told to ask again.
    waiting: HashMap<usize, (u64, Duration)>,
    next: u64,
}

impl Tickets {
    /// How many go before this holder, who stands behind all others if it is new.
    fn before(&mut self, holder: usize, now: Duration) -> u32 {
        self.waiting.retain(|other, (_, due)| *other == holder || is_kept(*due, now));
        let next = self.next;
        let number = self.waiting.entry(holder).or_insert((next, now)).0;
        self.next = self.next.max(number.saturating_add(1));
        let before = self.waiting.values().filter(|(other, _)| *other < number).count();
        u32::try_from(before).unwrap_or(u32::MAX)
    }

    /// How many take turns with this holder, itself included.
    fn turns(&self, holder: usize, now: Duration) -> u32 {
        let others = self.waiting.iter().filter(|(other, (_, due))| **other != holder && is_kept(*due, now));
        u32::try_from(others.count()).unwrap_or(u32::MAX).saturating_add(1)
    }

    fn told(&mut self, holder: usize, due: Duration) {
        if let Some(ticket) = self.waiting.get_mut(&holder) {
            ticket.1 = due;
        }
    }

    fn give_back(&mut self, holder: usize) {
        self.waiting.remove(&holder);
    }
}

/// Whether a place in a queue is still its holder's.
fn is_kept(due: Duration, now: Duration) -> bool {
    due.saturating_add(UNUSED) > now
}

/// A source's budgets, each with the streams that spend from it; a stream's narrowest stands first.
#[derive(Clone, Default)]
pub struct Buckets(Arc<[Named]>);

/// A budget's name, the streams (by name) that spend from it, and the budget.
pub type Named = (&'static str, fn(&str) -> bool, Quota);

impl Buckets {
    /// Of these.
    #[must_use]
    pub fn new(buckets: Vec<Named>) -> Self {
        Self(buckets.into())
    }

    /// What a stream spends from.
    #[must_use]
    pub fn of(&self, stream: &str) -> Option<Quota> {
        let mut of = self.0.iter().filter(|(_, streams, _)| streams(stream)).map(|(_, _, quota)| quota);
        let first = of.next()?.clone();
        Some(of.fold(first, |narrow, wider| narrow.within(wider)))
    }

    /// The first one.
    #[must_use]
    pub fn first(&self) -> Option<Quota> {
        self.0.first().map(|(_, _, quota)| quota.clone())
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Quota)> {
        self.0.iter().map(|(name, _, quota)| (*name, quota))
    }

    /// No request of any of them before this instant; `None`: all may go.
    #[must_use]
    pub fn not_before(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.iter().filter_map(|(_, quota)| quota.not_before(now)).max()
    }

    /// What the journal keeps, as JSON: the states by name.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> String {
        let states: BTreeMap<&str, Kept> = self.iter().map(|(name, quota)| (name, quota.kept(now))).collect();
        serde_json::to_string(&states).unwrap_or_else(|_| "{}".to_owned())
    }

    /// Goes on where [`Buckets::state`] was taken; what cannot be read is ignored.
    pub fn restore(&self, state: &str, now: DateTime<Utc>) {
        let states = states(state);
        for (name, quota) in self.iter() {
            if let Some(kept) = states.get(name) {
                quota.resume(kept, now);
            }
        }
    }
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The states by name. A state without names is that of the only bucket of a version that knew one.
fn states(state: &str) -> BTreeMap<String, Kept> {
    let one = |kept: Kept| BTreeMap::from([("requests".to_owned(), kept)]);
    match serde_json::from_str::<BTreeMap<String, serde_json::Value>>(state) {
        Ok(states)
            if states.values().any(serde_json::Value::is_object) && !states.contains_key("counters") =>
        {
            states
                .into_iter()
                .filter_map(|(name, kept)| Some((name, serde_json::from_value(kept).ok()?)))
                .collect()
        }
        _ => serde_json::from_str(state).map(one).unwrap_or_default(),
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The budget that a request spends from, and wider ones that it spends from too. Clones share them.
#[derive(Clone)]
pub struct Quota {
    own: Arc<Mutex<Inner>>,
    wider: Vec<Arc<Mutex<Inner>>>,
    _holder: Option<Arc<Holder>>,
}

/// Somebody who spends from a budget, until the last clone is gone: a reload may bring another share.
struct Holder {
    budget: Arc<Mutex<Inner>>,
    share: Share,
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut budget = lock(&self.budget);
        if let Some(holders) = budget.shares.get_mut(&self.share) {
            *holders = holders.saturating_sub(1);
        }
        budget.shares.retain(|_, holders| *holders > 0);
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        f.debug_struct("Quota")
            .field("limit", &inner.limit())
            .field("share", &inner.allowed())
            .finish_non_exhaustive()
    }
}

impl Default for Quota {
    /// A fresh budget, of which half is ours until a holder says otherwise.
    fn default() -> Self {
        let inner = Inner {
            shares: BTreeMap::new(),
            budget: Budget::default(),
            organisation: None,
            limit: None,
            remaining: None,
            hold: Duration::ZERO,
            now: ORIGIN,
            wall: None,
            last: None,
            recent: VecDeque::new(),
            limiter: None,
            refusals: 0,
            counters: Counters::default(),
            tickets: Tickets::default(),
        };
        Self { own: Arc::new(Mutex::new(inner)), wider: Vec::new(), _holder: None }
    }
}

impl Quota {
    /// The same for a holder that allows us this share of it. The vendor counts once, whatever holders allow: of those
    /// there are, the smallest share is all of theirs.
    #[must_use]
    pub fn held(&self, share: Share) -> Self {
        *self.inner().shares.entry(share).or_default() += 1;
        let holder = Holder { budget: Arc::clone(&self.own), share };
        Self { _holder: Some(Arc::new(holder)), ..self.clone() }
    }

    /// The same, when each request also spends from `wider`.
    #[must_use]
    pub fn within(&self, wider: &Self) -> Self {
        let mut this = self.clone();
        this.wider.push(Arc::clone(&wider.own));
        this.wider.extend(wider.wider.iter().cloned());
        this
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.own)
    }

    /// How this vendor counts; a connector says so when it opens. `organisation` is a configured limit of the whole
    /// organisation where the header names only our credential's part: then we use
    /// min(header, organisation × share) instead of header × share.
    pub fn configure(&self, budget: Budget, organisation: Option<u32>) {
        let mut inner = self.inner();
        (inner.budget, inner.organisation) = (budget, organisation);
    }

    /// Asks for one request. `None`: go, and it is counted; else how long to wait before asking again.
    ///
    /// Who waits at a budget that many share has a place in its queue, so that nobody is passed over.
    pub fn take(&self, now: DateTime<Utc>) -> Option<Duration> {
        {
            let mut inner = self.inner();
            inner.tick(now);
            if let Some(wait) = inner.held().or_else(|| inner.ahead()) {
                return Some(wait);
            }
        }
        for wider in &self.wider {
            let mut wider = lock(wider);
            wider.tick(now);
            if let Some(wait) = wider.held().or_else(|| wider.queued(self.id())) {
                return Some(wait);
            }
        }
        // The shared ones first: a refusal there must not have cost anything of our own.
        for budget in self.wider.iter().chain(std::iter::once(&self.own)) {
            let mut budget = lock(budget);
            // Only somebody who asked at this very moment can have been faster.
            if let Some(wait) = budget.ceiling() {
                return Some(wait);
            }
            budget.tickets.give_back(self.id());
            budget.count();
        }
        None
    }

    /// Counts a request that was not asked for: the second one of a poll whose credential was renewed.
    pub fn count(&self, now: DateTime<Utc>) {
        for budget in std::iter::once(&self.own).chain(&self.wider) {
            let mut budget = lock(budget);
            budget.tick(now);
            budget.count();
        }
    }

    /// How long until a request could go, without taking it; none: right now.
    #[must_use]
    pub fn busy(&self, now: DateTime<Utc>) -> Option<Duration> {
        let wait = |budget: &Arc<Mutex<Inner>>| {
            let mut budget = lock(budget);
            budget.tick(now);
            budget.held().or_else(|| budget.ahead())
        };
        std::iter::once(&self.own).chain(&self.wider).filter_map(wait).max()
    }

    /// Tells this budget apart from others of the process.
    #[must_use]
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.own).addr()
    }

    /// The time between two of our requests, if the budget is used evenly; where others wait at a wider one, that between
    /// two of our turns there.
    #[must_use]
    pub fn period(&self) -> Duration {
        let turn = |wider: &Arc<Mutex<Inner>>| {
            let wider = lock(wider);
            wider.period().saturating_mul(wider.tickets.turns(self.id(), wider.now))
        };
        let own = self.inner().period();
        self.wider.iter().map(turn).fold(own, Duration::max)
    }

    /// Learns from an answer.
    pub fn observe(&self, seen: Seen, now: DateTime<Utc>) {
        let mut inner = self.inner();
        inner.tick(now);
        // A refusal for concurrency says "limit 0": that is no budget.
        if seen.limit == 0 {
            return;
        }
        inner.refusals = 0;
        inner.limit = Some(seen.limit);
        inner.remaining = Some(seen.remaining.min(seen.limit));
        // The last tenth is left to others: administrators work in the same organisation.
        if seen.remaining <= seen.limit / 10 {
            let wait = seen.reset.unwrap_or(inner.budget.span);
            inner.hold(wait);
        }
    }

    /// Learns from a refusal. Returns how long to wait: the vendor's word for a full span; for concurrency a second,
    /// doubled at each refusal in a row, but never longer than the vendor's hint (which is an estimate). Where the vendor
    /// says nothing of a full span, the caller's own patience decides, and meanwhile nobody's request goes for a quarter of it.
    pub fn refused(&self, kind: FaultKind, hint: Option<Duration>, now: DateTime<Utc>) -> Option<Duration> {
        let mut inner = self.inner();
        inner.tick(now);
        let wait = match kind {
            FaultKind::Concurrency => {
                inner.counters.concurrency_refusals += 1;
                let doubled = CONCURRENCY_WAIT * 2u32.saturating_pow(inner.refusals.min(8));
                inner.refusals = inner.refusals.saturating_add(1);
                Some(doubled.min(hint.unwrap_or(LONGEST_WAIT)).max(CONCURRENCY_WAIT))
            }
            FaultKind::RateLimit => {
                inner.counters.refused_429 += 1;
                if hint.is_none() {
                    let rest = inner.budget.span / UNSAID;
                    inner.hold(rest);
                }
                hint
            }
            _ => hint,
        };
        if let Some(wait) = wait {
            inner.hold(wait);
        }
        wait
    }

    /// No request before this instant, where the vendor made us wait; the journal keeps it.
    #[must_use]
    pub fn not_before(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut inner = self.inner();
        inner.tick(now);
        inner.held().map(|wait| later(now, wait))
    }

    /// What the journal keeps, as JSON.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> String {
        serde_json::to_string(&self.kept(now)).unwrap_or_else(|_| "{}".to_owned())
    }

    fn kept(&self, now: DateTime<Utc>) -> Kept {
        let not_before = self.not_before(now);
        let inner = self.inner();
        Kept {
            limit: inner.limit,
            remaining: inner.remaining,
            not_before,
            last: inner.last.map(|last| earlier(now, inner.now.saturating_sub(last))),
            ours: inner.recent.len(),
            counters: inner.counters,
        }
    }

    /// Goes on where [`Quota::state`] was taken. Unreadable text is ignored: the vendor will tell us again.
    pub fn restore(&self, state: &str, now: DateTime<Utc>) {
        if let Ok(kept) = serde_json::from_str::<Kept>(state) {
            self.resume(&kept, now);
        }
    }

    /// A budget that several sources share is resumed by each of them, also while it runs for others: who knows the latest
    /// request knows it best.
    fn resume(&self, kept: &Kept, now: DateTime<Utc>) {
        let mut inner = self.inner();
        inner.tick(now);
        inner.counters = inner.counters.max(kept.counters);
        if let Some(until) = kept.not_before {
            let wait = until.signed_duration_since(now).to_std().unwrap_or(Duration::ZERO);
            inner.hold(wait);
        }
        let ago = |last: DateTime<Utc>| now.signed_duration_since(last).to_std().unwrap_or(Duration::ZERO);
        let last = kept.last.map(|last| inner.now.saturating_sub(ago(last)));
        if inner.last.is_none() || last > inner.last {
            inner.limit = kept.limit.filter(|limit| *limit > 0).or(inner.limit);
            (inner.remaining, inner.last, inner.limiter) = (kept.remaining, last, None);
        }
    }

    /// For status pages.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> QuotaStatus {
        let mut inner = self.inner();
        inner.tick(now);
        let limit = inner.limit();
        let used = inner.remaining.map(|remaining| limit.saturating_sub(remaining));
        let ours = inner.recent.len();
        let held = inner.held();
        let wait_seconds = held.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        let reason =
            held.map(|wait| waiting(wait, inner.remaining.map(|remaining| (limit, remaining)), ours));
        QuotaStatus {
            limit,
            seen: inner.limit.is_some(),
            used,
            ours,
            wait_seconds,
            reason,
            counters: inner.counters,
        }
    }

    /// Counters.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.inner().counters
    }
}

fn later(now: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| now.checked_add_signed(by)).unwrap_or(now)
}

fn earlier(now: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| now.checked_sub_signed(by)).unwrap_or(now)
}

impl Inner {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(self.budget.limit).max(1)
    }

    fn tick(&mut self, wall: DateTime<Utc>) {
        if let Some(before) = self.wall
            && let Ok(passed) = wall.signed_duration_since(before).to_std()
        {
            self.now = self.now.saturating_add(passed);
            if let Some((_, _, clock)) = &self.limiter {
                clock.advance(passed.min(ORIGIN * 365));
            }
        }
        self.wall = Some(wall);
        let start = self.now.saturating_sub(self.budget.span);
        while self.recent.front().is_some_and(|at| *at <= start) {
            self.recent.pop_front();
        }
    }

    fn hold(&mut self, wait: Duration) {
        self.hold = self.hold.max(self.now.saturating_add(wait.min(LONGEST_WAIT)));
    }

    fn held(&self) -> Option<Duration> {
        self.hold.checked_sub(self.now).filter(|wait| !wait.is_zero())
    }

    /// Our share, evenly spaced.
    fn period(&self) -> Duration {
        let nanos = self.budget.span.as_nanos().div_ceil(u128::from(self.share()));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).max(Duration::from_nanos(1))
    }

    /// How long until the next request of ours may go, without taking it.
    fn ahead(&self) -> Option<Duration> {
        let next = self.last?.saturating_add(self.period());
        next.checked_sub(self.now).filter(|wait| !wait.is_zero())
    }

    /// The same for one of many holders, in the order in which they came.
    fn queued(&mut self, holder: usize) -> Option<Duration> {
        let (now, period) = (self.now, self.period());
        let free = self.ahead().unwrap_or(Duration::ZERO);
        let wait = free.saturating_add(period.saturating_mul(self.tickets.before(holder, now)));
        self.tickets.told(holder, now.saturating_add(wait));
        (!wait.is_zero()).then_some(wait)
    }

    fn share(&self) -> u32 {
        match self.organisation {
            Some(organisation) => self.limit().min(self.allowed().of(organisation)),
            None => self.allowed().of(self.limit()),
        }
    }

    fn allowed(&self) -> Share {
        self.shares.first_key_value().map(|(share, _)| *share).unwrap_or_default()
    }

    /// Evenly spaced: one request every span / share, no bursts, so that no stretch of a span holds more.
    fn ceiling(&mut self) -> Option<Duration> {
        let (now, last, period) = (self.now, self.last, self.period());
        // The share or the vendor's limit changed.
        self.limiter.take_if(|(made_for, ..)| *made_for != period);
        let (_, limiter, clock) = self.limiter.get_or_insert_with(|| {
            let clock = FakeRelativeClock::default();
            let ceiling = Ceiling::with_period(period)
                .unwrap_or_else(|| Ceiling::per_second(NonZeroU32::MIN))
                .allow_burst(NonZeroU32::MIN);
            let start = last.unwrap_or(now).min(now);
            clock.advance(start);
            let limiter = RateLimiter::direct_with_clock(ceiling, clock.clone());
            if last.is_some() {
                // The request that went before the limit was known counts under the new one too.
                let _counted = limiter.check();
            }
            clock.advance(now.saturating_sub(start));
            (period, limiter, clock)
        });
        limiter.check().err().map(|refusal| {
            refusal.wait_time_from(governor::clock::Clock::now(clock)).max(Duration::from_millis(1))
        })
    }

    fn count(&mut self) {
        self.counters.requests += 1;
        self.last = Some(self.now);
        self.recent.push_back(self.now);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_780_000_000_000 + millis).unwrap()
    }

    fn seen(limit: u32, remaining: u32, reset: u64) -> Seen {
        Seen { limit, remaining, reset: Some(S(reset)) }
    }

    #[test]
    fn a_share_is_a_percentage() {
        assert_eq!("50%".parse::<Share>().unwrap(), Share::default());
        for text in ["0%", "101%", "50", "half", "", "%", "-5%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        assert_eq!("1%".parse::<Share>().unwrap().of(20), 1);
    }

    #[test]
    fn uses_half_evenly_spaced() {
        let quota = Quota::default();
        assert_eq!(quota.take(at(0)), None);
        quota.observe(seen(60, 59, 60), at(100));
        // Half of 60 a minute: one every two seconds, counted from the first.
        assert_eq!(quota.take(at(500)), Some(Duration::from_millis(1500)));
        assert_eq!(quota.take(at(2000)), None);
        assert_eq!(quota.take(at(2001)), Some(Duration::from_millis(1999)));
    }

    #[test]
    fn an_organisation_limit_replaces_the_half_of_the_header() {
        let quota = Quota::default();
        quota.configure(Budget { limit: 20, span: S(60) }, Some(120));
        quota.observe(seen(60, 59, 60), at(0));
        assert_eq!(quota.take(at(0)), None);
        assert_eq!(quota.take(at(0)), Some(S(1)));
        let narrow = Quota::default();
        narrow.configure(Budget { limit: 20, span: S(60) }, Some(40));
        narrow.observe(seen(60, 59, 60), at(0));
        assert_eq!(narrow.take(at(0)), None);
        assert_eq!(narrow.take(at(0)), Some(S(3)));
    }

    #[test]
    fn of_a_budgets_holders_the_one_that_allows_least_counts_while_it_is_there() {
        let budget = Quota::default();
        budget.configure(Budget { limit: 60, span: S(60) }, None);
        let share = |text: &str| budget.held(text.parse().unwrap());
        let (most, least, also) = (share("80%"), share("10%"), share("10%"));
        assert_eq!((most.id(), most.period()), (least.id(), S(10)));
        assert_eq!(least.take(at(0)), None);
        assert_eq!(most.take(at(0)), Some(S(10)), "one budget, whoever asks");
        let clone = least.clone();
        drop((least, also));
        assert_eq!(most.take(at(0)), Some(S(10)));
        drop(clone);
        assert_eq!(most.take(at(0)), Some(Duration::from_millis(1250)), "by what those allow that are left");
        drop(most);
        assert_eq!(budget.period(), S(2), "half, where nobody says");
    }

    #[test]
    fn leaves_the_last_tenth_to_others() {
        let quota = Quota::default();
        quota.observe(seen(60, 7, 30), at(0));
        assert_eq!(quota.not_before(at(0)), None);
        quota.observe(seen(60, 6, 30), at(0));
        assert_eq!(quota.not_before(at(0)), Some(at(30_000)));
        assert_eq!(quota.take(at(10_000)), Some(S(20)));
        assert_eq!(quota.take(at(30_000)), None);
    }

    #[test]
    fn a_zero_limit_never_becomes_the_quota() {
        let quota = Quota::default();
        quota.observe(seen(60, 59, 60), at(0));
        quota.observe(seen(0, 0, 180), at(10));
        assert_eq!(quota.refused(FaultKind::Concurrency, Some(S(181)), at(10)), Some(S(1)));
        let status = quota.status(at(10));
        assert_eq!(
            (status.limit, status.counters.concurrency_refusals, status.counters.refused_429),
            (60, 1, 0)
        );
        assert_eq!(quota.take(at(1010)), None);
    }

    #[test]
    fn concurrency_waits_double_up_to_the_hint() {
        let quota = Quota::default();
        let waits: Vec<_> = (0..5)
            .map(|_| quota.refused(FaultKind::Concurrency, Some(S(5)), at(0)).unwrap().as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        assert_eq!(quota.refused(FaultKind::Concurrency, Some(S(0)), at(0)), Some(S(1)));
    }

    #[test]
    fn says_why_it_waits() {
        let quota = Quota::default();
        for n in 0..12 {
            assert_eq!(quota.take(at(n * 2000)), None);
        }
        quota.observe(seen(60, 0, 41), at(24_000));
        assert_eq!(quota.status(at(24_000)).reason.unwrap(), "waiting 41 s: 60/60 used, 12 ours");
        let state = quota.state(at(24_000));
        assert_eq!(reason(&state, at(24_000)).unwrap(), "waiting 41 s: 60/60 used, 12 ours");
        assert_eq!(reason(&state, at(34_000)).unwrap(), "waiting 31 s: 60/60 used, 12 ours");
        assert_eq!((reason(&state, at(66_000)), reason("{", at(0))), (None, None));
    }

    #[test]
    fn a_refusal_that_says_nothing_lets_the_whole_budget_rest_for_a_quarter_of_the_span() {
        let quota = Quota::default();
        quota.configure(Budget { limit: 2400, span: S(60) }, None);
        assert_eq!(quota.take(at(0)), None);
        assert_eq!(quota.refused(FaultKind::RateLimit, None, at(0)), None, "the caller has its own patience");
        assert_eq!(quota.take(at(14_000)), Some(S(1)));
        assert_eq!(quota.take(at(15_000)), None);
    }

    #[test]
    fn goes_on_where_the_run_before_stopped() {
        let quota = Quota::default();
        quota.take(at(0));
        quota.observe(seen(60, 0, 41), at(0));
        quota.refused(FaultKind::RateLimit, Some(S(41)), at(0));
        let next = Quota::default();
        next.restore(&quota.state(at(0)), at(1000));
        assert_eq!(next.not_before(at(1000)), Some(at(41_000)));
        assert_eq!(next.counters(), Counters { requests: 1, refused_429: 1, concurrency_refusals: 0 });
        assert_eq!(next.take(at(41_000)), None);
        // The spacing too: two short runs in a row are one client to the vendor.
        let quick = Quota::default();
        let first = Quota::default();
        first.observe(seen(60, 59, 60), at(0));
        assert_eq!(first.take(at(0)), None);
        quick.restore(&first.state(at(100)), at(500));
        assert_eq!(quick.take(at(500)), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn a_second_source_of_a_bucket_does_not_set_it_back() {
        let before = Quota::default();
        before.observe(seen(600, 599, 60), at(0));
        assert_eq!(before.take(at(0)), None);
        let old = before.state(at(0));
        let running = Quota::default();
        running.restore(&old, at(1000));
        running.observe(seen(60, 40, 60), at(60_000));
        assert_eq!(running.take(at(60_000)), None);
        running.restore(&old, at(61_000));
        let status = running.status(at(61_000));
        assert_eq!((status.limit, status.used, status.counters.requests), (60, Some(20), 2));
        assert_eq!(running.take(at(61_000)), Some(S(1)), "by the limit of now, after the request of now");
        // Of the rows that several sources wrote the youngest tells how it was.
        let (first, second) = (Quota::default(), running.state(at(61_000)));
        first.restore(&old, at(61_000));
        first.restore(&second, at(61_000));
        assert_eq!(first.status(at(61_000)), QuotaStatus { ours: 0, ..status });
        assert_eq!(first.take(at(61_000)), Some(S(1)));
    }

    #[test]
    fn unreadable_state_and_absurd_waits_do_no_harm() {
        let quota = Quota::default();
        quota.restore("not json", at(0));
        quota.restore(r#"{"limit":0,"not_before":"2999-01-01T00:00:00Z"}"#, at(0));
        assert_eq!(quota.not_before(at(0)), Some(at(3_600_000)));
        assert_eq!(quota.take(at(3_600_000)), None);
    }

    #[test]
    fn a_clock_set_back_does_not_stop_us() {
        let quota = Quota::default();
        quota.observe(seen(60, 0, 30), at(0));
        assert_eq!(quota.take(at(-86_400_000)), Some(S(30)));
        assert_eq!(quota.take(at(-86_400_000 + 30_000)), None);
    }

    /// Forty of these want more of the shared budget than there is. Each asks again when it was told to, rounded up to a
    /// millisecond, as timers do.
    fn shared_by_forty(minutes: i64, lazy: Option<usize>) -> Vec<u32> {
        let shared = Quota::default();
        shared.configure(Budget { limit: 122, span: S(10) }, None);
        let own = || {
            let own = Quota::default();
            own.configure(Budget { limit: 5, span: S(10) }, None);
            own.within(&shared)
        };
        let holders: Vec<Quota> = (0..40).map(|_| own()).collect();
        let mut due: std::collections::BTreeSet<(i64, usize)> = (0..40).map(|n| (0, n)).collect();
        let mut sent = vec![0; 40];
        while let Some((now, holder)) = due.pop_first().filter(|(now, _)| *now < minutes * 60_000) {
            let wait = match holders[holder].take(at(now)) {
                None => {
                    sent[holder] += 1;
                    0
                }
                // Somebody who takes a place and does not come for it.
                Some(_) if lazy == Some(holder) => 30_000,
                Some(wait) => i64::try_from(wait.as_millis()).unwrap() + 1,
            };
            due.insert((now + wait, holder));
        }
        sent
    }

    #[test]
    fn many_holders_of_a_shared_budget_get_the_same() {
        let sent = shared_by_forty(10, None);
        let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
        assert!(most - least <= 1, "{sent:?}");
        // 61 in ten seconds; rounding to milliseconds costs a little.
        assert!(sent.iter().sum::<u32>() >= 3_660 * 98 / 100, "{sent:?}");
    }

    #[test]
    fn an_evenly_used_budget_counts_those_who_wait_at_a_wider_one() {
        let shared = Quota::default();
        shared.configure(Budget { limit: 20, span: S(10) }, None);
        let own = || {
            let own = Quota::default();
            own.configure(Budget { limit: 10, span: S(10) }, None);
            own.within(&shared)
        };
        let (first, many): (Quota, Vec<_>) = (own(), (0..9).map(|_| own()).collect());
        assert_eq!(first.period(), S(2));
        assert_eq!(first.take(at(0)), None);
        for other in &many {
            assert!(other.take(at(0)).is_some());
        }
        assert_eq!(first.period(), S(10), "nine are waiting, and a second belongs to each of us");
        assert_eq!(first.take(at(60_000)), None);
        assert_eq!(first.period(), S(2), "they did not come");
    }

    #[test]
    fn who_does_not_come_for_its_place_holds_nobody_up_for_long() {
        let sent = shared_by_forty(10, Some(7));
        assert!(sent.iter().sum::<u32>() >= 3_660 * 95 / 100, "{sent:?}");
    }

    proptest! {
        #[test]
        fn no_stretch_of_a_span_holds_more_than_our_share(
            limit in 1u32..300,
            steps in proptest::collection::vec(0i64..3000, 1..300),
        ) {
            let quota = Quota::default();
            quota.observe(Seen { limit, remaining: limit, reset: None }, at(0));
            let share = Share::default().of(limit) as usize;
            let (mut now, mut taken) = (0, Vec::new());
            for step in steps {
                now += step;
                if quota.take(at(now)).is_none() {
                    taken.push(now);
                }
            }
            for start in &taken {
                let inside = taken.iter().filter(|t| *t >= start && **t < start + 60_000).count();
                prop_assert!(inside <= share, "{inside} > {share}");
            }
        }

        #[test]
        fn waiting_as_told_is_enough(limit in 0u32..1000, remaining in 0u32..1000, reset in 0u64..100_000) {
            let quota = Quota::default();
            quota.observe(Seen { limit, remaining, reset: Some(S(reset)) }, at(0));
            let mut now = 0;
            let mut tries = 0;
            while let Some(wait) = quota.take(at(now)) {
                prop_assert!(wait <= LONGEST_WAIT);
                now += i64::try_from(wait.as_millis()).unwrap() + 1;
                tries += 1;
                prop_assert!(tries < 4);
            }
        }
    }
}
