//! What an answer brings: its page is committed with whatever it proves, or its trouble decides what happens next.

use super::identity::{Keyed, keyed};
use super::job::{Job, Part, same_row};
use super::launch::defect;
use super::{
    CLOCK_MOVED, CORNERED, CREDENTIAL_RETRY, FLUSH, HALT_RETRY, Landed, Reading, SILENCE, SLOWEST,
    StreamPlan, earlier, feed, window,
};
use crate::fault::{Fault, FaultKind};
use crate::journal::{Action, Appended, Change, JournalError, Lane, Outcome, QuotaRow};
use crate::source::{Page, PollError};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Reading {
    /// One answer: its page is committed, or its trouble decides what happens next.
    pub(super) async fn land(
        &mut self,
        landed: Result<Landed, tokio::task::JoinError>,
    ) -> Result<(), JournalError> {
        let Ok(Landed { id, asked, answer }) = landed else { return Ok(()) };
        let Some(at) = self.jobs.iter().position(|job| job.id == id) else { return Ok(()) };
        let mut job = self.jobs.swap_remove(at);
        job.busy = false;
        let outcome = self.digest(&mut job, asked, answer).await;
        if !job.finished {
            self.jobs.push(job);
        }
        feed::settle_backfills(&mut self.jobs);
        outcome
    }

    pub(super) async fn digest(
        &mut self,
        job: &mut Job,
        asked: DateTime<Utc>,
        answer: Result<Page, PollError>,
    ) -> Result<(), JournalError> {
        let page = match answer {
            Ok(page) => page,
            Err(error) => return self.trouble(job, error, asked).await,
        };
        self.meet(page.date.map_or(TimeDelta::zero(), |date| asked - date));
        if self.refused.take().is_some() {
            self.refusals.reset();
            for other in &mut self.jobs {
                other.halted = false;
            }
        }
        let keyed = if page.records.is_empty() {
            Keyed::default()
        } else {
            let (connector, stream, page) = (self.c.connector, job.plan.stream, page.clone());
            let late = job.late_before(page.date.unwrap_or(asked));
            match tokio::task::spawn_blocking(move || keyed(connector, stream, &page, late)).await {
                Ok(keyed) => keyed,
                // Nothing is committed: it will be asked again.
                Err(_) => return self.trouble(job, defect(), asked).await,
            }
        };
        match &job.part {
            Part::Chain(_) => self.follow(job, page, keyed, asked).await,
            Part::Window(_) => self.take(job, page, keyed, asked).await,
        }
    }

    /// Learns how far our clock is ahead. What rows waited for by another clock is planned again.
    fn meet(&mut self, ahead: TimeDelta) {
        let before = self.ahead.replace(ahead);
        if before.is_some_and(|before| (before - ahead).abs() <= CLOCK_MOVED) {
            return;
        }
        let now = Instant::now();
        let waits = |job: &&mut Job| {
            matches!(job.part, Part::Window(_)) && job.work.lane != Lane::Live && job.place().is_none()
        };
        for job in self.jobs.iter_mut().filter(waits).filter(|job| !job.halted) {
            job.due = job.due.min(now);
        }
    }

    /// Commits a page of a window; with the last one, what the window has proven.
    pub(super) async fn take(
        &mut self,
        job: &mut Job,
        page: Page,
        keyed: Keyed,
        asked: DateTime<Utc>,
    ) -> Result<(), JournalError> {
        let lane = job.work.lane;
        let (count, date) = (page.records.len(), page.date.unwrap_or(asked));
        let first = !job.drained;
        job.answered();
        for other in self.jobs.iter_mut().filter(|other| other.stream() == job.stream()) {
            other.elsewhere = true;
        }
        let circle = match &mut job.part {
            Part::Window(window) => {
                if job.work.cursor.is_none() {
                    window.circle.clear();
                }
                window.circle.closes(job.work.cursor.as_deref(), page.next.as_ref(), count)
            }
            Part::Chain(_) => false,
        };
        let (heard, last) = job
            .windowed(|job, memo| {
                if count > 0 || memo.heard.is_none() {
                    memo.heard = Some(asked);
                }
                memo.read = Some(date);
                let Some(window) = &mut memo.window else { return (memo.heard, false) };
                window.read.get_or_insert(date);
                window.pages = window.pages.saturating_add(1);
                window.unread.extend(page.unread.map(|part| (part.start, part.end)));
                window.count += count as u64;
                window.oldest = earlier(window.oldest, keyed.oldest);
                window.newest = window.newest.max(keyed.newest);
                if circle {
                    return (memo.heard, false);
                }
                job.work.cursor = page.next.map(|cursor| cursor.0);
                (memo.heard, job.work.cursor.is_none())
            })
            .unwrap_or((None, false));
        let mut changes = Vec::new();
        if count > 0 {
            changes.push(job.page(keyed.records, asked));
        }
        // What a sweep found decides about its grade, and only the commit knows what was new.
        let mut appended = Appended::default();
        if count > 0 && (lane == Lane::Sweep || !last) {
            changes.push(job.row());
            appended = self.write(std::mem::take(&mut changes), true).await?;
            let found = (appended.new + appended.revisions) as u64;
            job.windowed(|_, memo| {
                if let Some(window) = &mut memo.window {
                    window.found += found;
                }
            });
        }
        if circle {
            self.note(job, appended, asked, None);
            let message = "the vendor's page tokens lead back to where we were, although records came";
            let cause = Fault::new(FaultKind::Cursor, message);
            return self.trouble(job, PollError::Restart { cause }, asked).await;
        }
        let (mut covered, before) = (None, (job.work.from, job.work.to));
        if last {
            job.over();
            let concluded = job.windowed(|job, memo| {
                let window = memo.window.take()?;
                Some(job.conclude(memo, window, asked))
            });
            if let Some(concluded) = concluded.flatten() {
                covered = concluded.covered.last().map(|row| row.to);
                changes.extend(concluded.covered.into_iter().map(Change::Cover));
                for sweep in concluded.sweeps {
                    match window::join(&mut self.jobs, &sweep) {
                        Some(row) => changes.push(row),
                        None => {
                            let sweep = self.distinct(sweep);
                            changes.push(Change::Work(sweep.clone()));
                            let plan = Arc::clone(&job.plan);
                            self.push(&plan, sweep, Duration::ZERO);
                        }
                    }
                }
            }
        }
        changes.push(job.row());
        let page = changes.iter().any(|change| matches!(change, Change::Page(_)));
        let now = page || (first && lane == Lane::Live);
        let more = self.write(changes, now).await?;
        appended = if appended.page.is_some() || appended.duplicates > 0 { appended } else { more };
        self.note(job, appended, asked, covered);
        job.due = Instant::now();
        if last && before == (job.work.from, job.work.to) {
            // Planned by a clock of ours that is ahead: the vendor's has not come there yet.
            job.due += job.plan.poll;
        }
        if last && lane == Lane::Live {
            let edge = window::edge(&job.plan, self.vendor());
            // A window is planned before it waits for its turn.
            let patience = job.plan.poll.max(self.room(job));
            let behind =
                covered.is_some() && job.work.from < edge - TimeDelta::from_std(patience).unwrap_or_default();
            // It began at our clock, which may be wrong: what counts is that this window reached what was visible then.
            job.drained |= !behind;
            if !behind {
                self.say_drained(job);
                job.due = Instant::now() + self.interval(job, heard, asked, first);
            }
        }
        Ok(())
    }

    /// A source has caught up when all of its streams have.
    pub(super) fn say_drained(&self, job: &Job) {
        self.c.board.source(&self.c.source, |state| {
            state.streams.entry(job.work.stream.clone()).or_default().drained = true;
            state.drained = state.streams.values().all(|stream| stream.drained);
        });
    }

    /// What happens next after an error: the variant says it.
    pub(super) async fn trouble(
        &mut self,
        job: &mut Job,
        error: PollError,
        asked: DateTime<Utc>,
    ) -> Result<(), JournalError> {
        let cause = error.cause().clone();
        if cause.kind != FaultKind::Network {
            // An answer, though no page: our client has seen the vendor's clock, if it tells it.
            self.ahead.get_or_insert(TimeDelta::zero());
        }
        let refused = matches!(cause.kind, FaultKind::RateLimit | FaultKind::Concurrency);
        let since = job.failing_since(asked);
        let mut told = Vec::new();
        let wait = match &error {
            PollError::Retry { after, .. } => after.unwrap_or_else(|| job.backoff.wait()),
            PollError::Restart { .. } | PollError::Narrow { .. } | PollError::TooOld { .. } => {
                self.again(job, &error, asked, &mut told)
            }
            PollError::Halt { cause } => self.halt(job, cause, asked, &mut told),
        };
        tracing::warn!(source = %self.c.source, stream = job.stream(), lane = ?job.work.lane, error = %cause,
            wait_s = wait.as_secs(), "poll failed");
        let stream = job.stream();
        self.c.board.source(&self.c.source, |state| {
            let ours = state.streams.entry(stream.to_owned()).or_default();
            if refused {
                ours.refused += 1;
                state.refused += 1;
                let until = asked + wait;
                ours.wait = Some((until, cause.to_string()));
                state.wait = Some((until, cause.to_string()));
            } else {
                // Several rows of a stream fail one after the other: it is in trouble since the first of them.
                let begun = |before: &Option<(Fault, DateTime<Utc>)>| {
                    before.as_ref().map_or(since, |(_, before)| since.min(*before))
                };
                ours.fault = Some((cause.clone(), begun(&ours.fault)));
                state.fault = Some((cause.clone(), begun(&state.fault)));
            }
        });
        job.due = Instant::now() + wait;
        // Whoever reads the journal beside us finds what a person can do in the lines behind the first.
        let remedy = cause.remedy.iter().map(|remedy| format!("\n{remedy}"));
        job.work.reason = Some(std::iter::once(cause.to_string()).chain(remedy).collect());
        job.work.wait_until = Some(asked + wait);
        told.push(job.row());
        self.write(told, true).await?;
        Ok(())
    }

    /// The place was refused, or the window is too much or too old.
    pub(super) fn again(
        &mut self,
        job: &mut Job,
        error: &PollError,
        asked: DateTime<Utc>,
        told: &mut Vec<Change>,
    ) -> Duration {
        if let Part::Chain(chain) = &mut job.part {
            return match chain.restart(&mut job.work, asked) {
                Ok(()) => {
                    told.push(feed::bridge_action(&job.work, asked, error.cause()));
                    Duration::ZERO
                }
                Err(wait) => wait,
            };
        }
        if matches!(error, PollError::TooOld { .. }) {
            if let Some(Some((from, to))) = job.windowed(|job, memo| job.forgotten(memo)) {
                told.push(Change::Cover(job.hole(from, to, "retention", None, asked)));
            }
            // A live row that is far behind becomes a backfill; otherwise the vendor contradicts itself.
            return if job.work.lane == Lane::Live { job.backoff.wait() } else { Duration::ZERO };
        }
        let (window, could) = job
            .windowed(|job, memo| {
                let window = memo.window.as_ref().map(|window| (window.from, window.to));
                (window, job.narrow(memo))
            })
            .unwrap_or((None, true));
        if could {
            job.cornered = 0;
        } else {
            job.elsewhere &= job.cornered > 0;
            job.cornered += 1;
        }
        // What lies in the vendor's future may still come to be answered.
        let edge = window::edge(&job.plan, self.vendor());
        if let Some(window) =
            window.filter(|(_, to)| job.cornered >= CORNERED && job.elsewhere && *to <= edge)
        {
            let unread = job.windowed(|job, memo| job.step_over(memo, window)).flatten();
            let until = job.forgotten_at(window.0);
            told.extend(unread.map(|(from, to)| Change::Cover(job.hole(from, to, "refused", until, asked))));
            job.over();
            return Duration::ZERO;
        }
        // The first time at once; a vendor that refuses everything is not asked in a circle.
        let wait = job.restarts.wait();
        if could && job.restarts.failures() == 1 { Duration::ZERO } else { wait }
    }

    /// Only a person can help. A refused credential concerns all streams, everything else this one.
    pub(super) fn halt(
        &mut self,
        job: &mut Job,
        cause: &Fault,
        asked: DateTime<Utc>,
        told: &mut Vec<Change>,
    ) -> Duration {
        let why = match cause.kind {
            FaultKind::Credential => Some("credential"),
            FaultKind::Permission => Some("permission"),
            FaultKind::Licence => Some("licence"),
            _ => None,
        };
        let all = cause.kind == FaultKind::Credential;
        let wait = if all { self.refuse() } else { HALT_RETRY };
        job.halted = true;
        let due = Instant::now() + wait;
        told.extend(why.and_then(|why| job.unread(why, asked)).map(Change::Cover));
        for other in self.jobs.iter_mut().filter(|other| all || other.stream() == job.stream()) {
            other.halted = true;
            other.due = other.due.max(due);
            told.extend(why.and_then(|why| other.unread(why, asked)).map(Change::Cover));
        }
        wait
    }

    /// The credential was refused: how long nobody tries it. All requests that were in flight are one refusal.
    fn refuse(&mut self) -> Duration {
        let now = Instant::now();
        if let Some(until) = self.refused.filter(|until| *until > now) {
            return until - now;
        }
        let _counted = self.refusals.wait();
        let doubled =
            CREDENTIAL_RETRY.saturating_mul(2u32.saturating_pow(self.refusals.failures().min(8) - 1));
        let wait = doubled.min(HALT_RETRY);
        self.refused = Some(now + wait);
        wait
    }

    /// The changes that end a row. A backfill that was divided has ended with its last part.
    pub(super) fn finished(&self, job: &Job, asked: DateTime<Utc>) -> Vec<Change> {
        let Change::Work(row) = job.row() else { return Vec::new() };
        let mut changes = vec![Change::WorkDone(row)];
        let family = |job: &Job| match &job.part {
            Part::Chain(_) => job.work.name.clone(),
            Part::Window(window) => window.memo.family.clone(),
        };
        let (ours, stream) = (family(job), job.stream());
        let part = |other: &Job| {
            other.id != job.id
                && !other.finished
                && other.work.lane == Lane::Backfill
                && other.stream() == stream
                && family(other) == ours
        };
        if job.work.lane == Lane::Backfill && !self.jobs.iter().any(part) {
            let from = match job.part {
                Part::Chain(_) => format!(" from {}", job.work.from.format("%Y-%m-%dT%H:%M:%SZ")),
                Part::Window(_) => String::new(),
            };
            let detail = format!("{}/{stream}: backfill{from} finished ({ours})", self.c.source);
            changes.push(Change::Action(Action { at: asked, what: "backfill".to_owned(), detail }));
        }
        changes
    }

    /// The time until the next poll of a stream that has caught up. A silent one is asked less often. The first is
    /// shortened by a hash, so that many sources that began together do not go on together.
    pub(super) fn interval(
        &self,
        job: &Job,
        heard: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        first: bool,
    ) -> Duration {
        let poll = job.plan.poll;
        let silent = heard.map_or(TimeDelta::zero(), |heard| now - heard);
        let doublings = u32::try_from(silent.num_minutes() / SILENCE.num_minutes()).unwrap_or(0).min(8);
        let wait = poll.saturating_mul(1 << doublings).min(SLOWEST.max(poll)).max(self.room(job));
        if first { wait.mul_f64(self.phase(&job.work.stream)) } else { wait }
    }

    /// A part of the first interval: from a half to the whole.
    fn phase(&self, stream: &str) -> f64 {
        0.5 + (self.hash(stream) % 1000) as f64 / 2000.0
    }

    /// Live reading that has caught up takes half of our share at most, however often it is told to ask: sweeps need the
    /// rest. A chain has no sweeps.
    pub(super) fn room(&self, job: &Job) -> Duration {
        let budget = |stream: &str| self.c.http.of(stream).quota().cloned();
        let Some(ours) = budget(job.stream()).filter(|_| matches!(job.part, Part::Window(_))) else {
            return Duration::ZERO;
        };
        let same = |plan: &&StreamPlan| budget(plan.stream.name).is_some_and(|other| other.id() == ours.id());
        let sharing = u32::try_from(self.c.streams.iter().filter(same).count()).unwrap_or(u32::MAX);
        ours.period().saturating_mul(2).saturating_mul(sharing)
    }

    /// Puts changes aside for the next commit.
    pub(super) fn later(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.pending.retain(|old| !same_row(old, &change));
            self.pending.push(change);
        }
        if !self.pending.is_empty() {
            self.flush.get_or_insert_with(|| self.c.journal.together(FLUSH));
        }
    }

    /// Commits at once; or, where nothing would be lost but the progress of empty polls, with the next commit.
    pub(super) async fn write(&mut self, changes: Vec<Change>, now: bool) -> Result<Appended, JournalError> {
        self.later(changes);
        let due = self.flush.is_some_and(|flush| flush <= Instant::now());
        if self.pending.is_empty() || !(now || due) {
            return Ok(Appended::default());
        }
        self.flush = None;
        let mut all = std::mem::take(&mut self.pending);
        all.extend(self.quota());
        let outcomes = self.c.journal.commit(all).await?;
        let appended = outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::Appended(appended) => Some(appended),
            _ => None,
        });
        Ok(appended.unwrap_or_default())
    }

    pub(super) fn quota(&self) -> Option<Change> {
        let now = self.c.clock.now();
        let buckets = self.c.http.buckets();
        let (not_before, state) = (buckets.not_before(now), buckets.state(now));
        Some(Change::Quota(QuotaRow { source: self.c.source.clone(), not_before, state }))
    }

    pub(super) fn note(
        &self,
        job: &Job,
        appended: Appended,
        asked: DateTime<Utc>,
        covered: Option<DateTime<Utc>>,
    ) {
        let new = (appended.new + appended.revisions) as u64;
        let live = job.work.lane == Lane::Live;
        self.c.board.source(&self.c.source, |state| {
            state.polls += 1;
            state.fetched += new;
            state.duplicates += appended.duplicates as u64;
            state.revisions += appended.revisions as u64;
            state.last_page = Some(asked);
            state.wait = None;
            let ours = state.streams.entry(job.work.stream.clone()).or_default();
            ours.polls += 1;
            ours.fetched += new;
            ours.duplicates += appended.duplicates as u64;
            ours.revisions += appended.revisions as u64;
            ours.last_page = Some(asked);
            ours.last_record = if new > 0 { Some(asked) } else { ours.last_record };
            ours.fault = None;
            ours.wait = None;
            if live {
                ours.covered_to = ours.covered_to.max(covered);
                state.covered_to = covered.or(state.covered_to);
            }
            state.fault = state.streams.values().find_map(|stream| stream.fault.clone());
        });
        if appended.reused > 0 {
            tracing::error!(source = %self.c.source, stream = job.stream(), records = appended.reused,
                "id reused: a record that the vendor declares immutable came with other content; both are kept");
        }
    }
}
