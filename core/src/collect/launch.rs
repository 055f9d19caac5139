//! What is asked next: windows are planned, jobs are chosen by rank, requests leave as the quota lets them.

use super::job::{Job, Part};
use super::window::{self, Next};
use super::{FAR, IN_FLIGHT, LOOK_AGAIN, Landed, Reading};
use crate::fault::{Fault, FaultKind};
use crate::journal::{Change, JournalError, Lane};
use crate::quota::Quota;
use crate::source::{Place, PollError, Stream};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Reading {
    /// Asks for everything that is due and that the quota lets go; when to look again.
    pub(super) async fn launch(&mut self) -> Result<Instant, JournalError> {
        self.plan().await?;
        let (now, wall) = (Instant::now(), self.c.clock.now());
        let vendor = self.vendor();
        let mut wake = now + FAR;
        // Of hundreds of rows a few are due: only those need an order.
        let mut order: Vec<usize> = Vec::new();
        for (at, job) in self.jobs.iter().enumerate().filter(|(_, job)| !job.busy) {
            let asks = job.place().is_some();
            if asks && job.due <= now {
                order.push(at);
            } else if asks || matches!(job.part, Part::Window(_)) {
                // A backfill chain without a place waits for its live chain, not for a time.
                wake = wake.min(job.due);
            }
        }
        order.sort_by_cached_key(|at| {
            self.jobs.get(*at).map(|job| {
                // Oldest first, both of what expires soon and of the rest.
                let history = job.work.lane == Lane::Backfill && matches!(job.part, Part::Window(_));
                let begin = history.then_some(job.work.from);
                (job.rank(vendor), begin, job.due)
            })
        });
        let mut waiting: HashMap<&'static str, (Duration, String)> = HashMap::new();
        for at in order {
            let Some(job) = self.jobs.get(at) else { continue };
            let Some(place) = job.place() else { continue };
            // The first request tells the vendor's clock, by which all others are planned.
            let unmet = self.ahead.is_none();
            // What seems forgotten waits for it: only the vendor's clock says what is old.
            if unmet && job.is_forgotten(vendor) {
                continue;
            }
            let single = self.refused.is_some() || unmet || matches!(job.part, Part::Chain(_));
            if self.flights.len() >= IN_FLIGHT || (single && !self.flights.is_empty()) {
                break;
            }
            let (id, stream, lane) = (job.id, job.plan.stream, job.work.lane);
            let quota = self.c.http.of(stream.name).quota().cloned();
            if let Some(quota) = &quota {
                let sweep = (lane == Lane::Sweep).then(|| self.sweeps.get(&quota.id()).copied()).flatten();
                if let Some(next) = sweep.filter(|next| *next > now) {
                    wake = wake.min(next);
                    continue;
                }
                if let Some(wait) = quota.take(wall) {
                    wake = wake.min(now + wait);
                    let reason = quota.status(wall).reason;
                    let even = || "requests are spread evenly over the vendor's span".to_owned();
                    waiting.entry(stream.name).or_insert_with(|| (wait, reason.unwrap_or_else(even)));
                    continue;
                }
                if lane == Lane::Sweep {
                    self.sweeps.insert(quota.id(), now + quota.period() * 2);
                }
            }
            self.fly(at, id, stream, place, wall);
        }
        self.divide(wall);
        self.say_waits(&waiting, wall);
        // Nobody may be waiting for the moment at which our share is free again: then a backfill is divided.
        let in_flight = |job: &&Job| job.busy && job.work.lane == Lane::Backfill;
        let free = self
            .jobs
            .iter()
            .filter(in_flight)
            .filter_map(|job| self.c.http.of(job.stream()).quota().and_then(|quota| quota.busy(wall)));
        Ok(free.min().map_or(wake, |wait| wake.min(now + wait)))
    }

    pub(super) fn fly(
        &mut self,
        at: usize,
        id: u64,
        stream: &'static Stream,
        place: Place,
        asked: DateTime<Utc>,
    ) {
        if let Some(job) = self.jobs.get_mut(at) {
            job.busy = true;
        }
        let api = Arc::clone(&self.c.api);
        self.flights.spawn(async move {
            // A panic of a connector is an answer too: nothing else may suffer from it.
            let poll = AssertUnwindSafe(api.poll(stream, &place)).catch_unwind();
            let answer = poll.await.unwrap_or_else(|_| Err(defect()));
            Landed { id, asked, answer }
        });
    }

    /// Where our share is not used up although backfills are in flight, one of them is divided. Not so where a row waits
    /// for its turn, or there are as many as can be in flight: then it is not for want of rows that our share is free, but
    /// bodies come slowly or the vendor is in trouble.
    pub(super) fn divide(&mut self, wall: DateTime<Utc>) {
        let now = Instant::now();
        while self.flights.len() < IN_FLIGHT && self.ahead.is_some() && self.refused.is_none() {
            let id = |job: &Job| self.c.http.of(job.stream()).quota().map(Quota::id);
            let rows: Vec<(&Job, Option<usize>)> = self
                .jobs
                .iter()
                .filter(|job| job.work.lane == Lane::Backfill)
                .map(|job| (job, id(job)))
                .collect();
            let enough = |ours: Option<usize>| {
                let rows = rows.iter().filter(|(_, id)| *id == ours).map(|(job, _)| job);
                rows.clone().count() >= IN_FLIGHT
                    || rows.into_iter().any(|job| !job.busy && job.due <= now && job.place().is_some())
            };
            let idle = |job: &Job| {
                let quota = self.c.http.of(job.stream()).quota().cloned();
                job.work.lane == Lane::Backfill
                    && quota.as_ref().is_none_or(|quota| quota.busy(wall).is_none())
                    && !enough(quota.as_ref().map(Quota::id))
            };
            let mut busy: Vec<usize> = (0..self.jobs.len())
                .filter(|at| self.jobs.get(*at).is_some_and(|job| job.busy && idle(job)))
                .collect();
            busy.sort_by_key(|at| {
                std::cmp::Reverse(self.jobs.get(*at).and_then(|job| Some(job.work.to? - job.work.from)))
            });
            // The longest first; one whose next window is all that is left of it cannot be divided.
            let divided = busy.into_iter().find_map(|at| {
                let job = self.jobs.get_mut(at)?;
                Some((at, job.windowed(|job, memo| job.divide(memo))??))
            });
            let Some((at, work)) = divided else { return };
            let Some(job) = self.jobs.get(at) else { return };
            let plan = Arc::clone(&job.plan);
            let row = job.row();
            self.later(vec![row, Change::Work(work.clone())]);
            self.push(&plan, work, Duration::ZERO);
            let Some(at) = self.jobs.len().checked_sub(1) else { return };
            self.look_ahead(at);
            let Some(job) = self.jobs.get(at) else { return };
            let (id, stream, Some(place)) = (job.id, job.plan.stream, job.place()) else { return };
            if self.c.http.of(stream.name).ready(wall).is_some() {
                return;
            }
            self.fly(at, id, stream, place, wall);
        }
    }

    /// Gives every windowed row that is due, and has none, its next window.
    pub(super) async fn plan(&mut self) -> Result<(), JournalError> {
        let (now, wall) = (Instant::now(), self.c.clock.now());
        let (mut changes, mut moved) = (Vec::new(), false);
        let mut at = 0;
        while let Some(job) = self.jobs.get(at) {
            if !job.busy && job.due <= now && matches!(job.part, Part::Window(_)) {
                if job.place().is_none() {
                    let gap = self.gap(at);
                    moved |= !gap.is_empty();
                    changes.extend(gap);
                }
                changes.extend(self.kept(at, wall));
                if self.jobs.get(at).is_some_and(|job| job.place().is_none()) {
                    self.look_ahead(at);
                }
            }
            at += 1;
        }
        let finished: Vec<Job> = self.jobs.extract_if(.., |job| job.finished).collect();
        for job in &finished {
            changes.extend(self.finished(job, wall));
        }
        // Rows of a gap must be there before live goes on behind it.
        self.write(changes, moved).await?;
        Ok(())
    }

    /// The stream's live frontier.
    pub(super) fn frontier(&self, stream: &str) -> Option<DateTime<Utc>> {
        let live = |job: &&Job| job.stream() == stream && job.work.lane == Lane::Live;
        self.jobs.iter().find(live).map(|job| job.work.from)
    }

    /// A live row that is too far behind: the range becomes a backfill, live and its sweeps go on behind it.
    pub(super) fn gap(&mut self, at: usize) -> Vec<Change> {
        let vendor = self.vendor();
        let Some(job) =
            self.jobs.get_mut(at).filter(|job| self.ahead.is_some() && job.work.lane == Lane::Live)
        else {
            return Vec::new();
        };
        let plan = Arc::clone(&job.plan);
        let Some((from, to)) = window::gap(&plan, job.work.from, vendor) else { return Vec::new() };
        job.work.from = to;
        let mut changes = vec![job.row()];
        let name = format!("gap-{}", from.timestamp_millis());
        let mut new = vec![window::backfill(&self.c.source, &plan, name, (from, to), false)];
        let open = |job: &&mut Job| {
            job.stream() == plan.stream.name && job.work.lane == Lane::Sweep && job.work.to.is_none()
        };
        for sweep in self.jobs.iter_mut().filter(open) {
            let horizon = sweep.windowed(|_, memo| memo.horizon).unwrap_or_default();
            new.push(window::sweep(&self.c.source, &plan, TimeDelta::seconds(horizon), to));
            sweep.work.to = Some(from.max(sweep.work.from));
            changes.push(sweep.row());
        }
        for work in new {
            let work = self.distinct(work);
            changes.push(Change::Work(work.clone()));
            self.push(&plan, work, Duration::ZERO);
        }
        changes
    }

    /// What the vendor has forgotten before we came, also while a window waited for its turn, is a hole; no sweep goes
    /// there either.
    pub(super) fn kept(&mut self, at: usize, asked: DateTime<Utc>) -> Vec<Change> {
        if self.ahead.is_none() {
            // Only the vendor's clock says what is old: ours may be days ahead, and a hole is for ever.
            return Vec::new();
        }
        let vendor = self.vendor();
        let Some(job) = self.jobs.get_mut(at).filter(|job| job.is_forgotten(vendor)) else {
            return Vec::new();
        };
        let from = job.work.from;
        let kept = window::kept(&job.plan, vendor).min(job.work.to.unwrap_or(DateTime::<Utc>::MAX_UTC));
        job.work.from = kept;
        let cause = job.windowed(|_, memo| window::overtaken_by(memo, vendor)).unwrap_or("retention");
        job.windowed(|_, memo| memo.not_before(kept));
        let hole = (job.work.lane == Lane::Backfill)
            .then(|| Change::Cover(job.hole(from, kept, cause, None, asked)));
        hole.into_iter().chain([job.row()]).collect()
    }

    /// Plans the next window of a row.
    pub(super) fn look_ahead(&mut self, at: usize) {
        let vendor = self.vendor();
        let Some(stream) = self.jobs.get(at).map(Job::stream) else { return };
        let (frontier, met) = (self.frontier(stream).unwrap_or(vendor), self.ahead.is_some());
        let Some(job) = self.jobs.get_mut(at) else { return };
        job.windowed(|job, memo| {
            if let Some(resume) = job.overtaken(memo, vendor, frontier) {
                tracing::warn!(
                    source = job.work.source,
                    stream,
                    horizon_s = memo.horizon,
                    "settling is behind: this horizon is skipped up to {resume}, the next one reads it"
                );
                job.work.from = resume;
            }
            match job.next(memo, vendor, frontier, met) {
                Next::Read(from, to) => memo.begin(from, to),
                Next::NotBefore(instant) => {
                    let wait = (instant - vendor).to_std().unwrap_or(Duration::ZERO);
                    // A sweep that waits for a live row that is behind has no instant of its own.
                    let without = wait.is_zero() && job.work.lane != Lane::Live;
                    let least = if without { job.plan.poll } else { Duration::from_millis(100) };
                    let live = job.work.lane == Lane::Live;
                    let most = if live { job.plan.poll } else { LOOK_AGAIN };
                    job.due = Instant::now() + wait.clamp(least.min(most), most);
                    job.drained |= live && met;
                }
                Next::Done => job.finished = true,
            }
        });
    }

    pub(super) fn say_waits(&self, waiting: &HashMap<&'static str, (Duration, String)>, wall: DateTime<Utc>) {
        self.c.board.source(&self.c.source, |state| {
            let longest = waiting.values().max_by_key(|(wait, _)| *wait);
            if let Some((wait, reason)) = longest {
                state.wait = Some((wall + *wait, reason.clone()));
            }
            for (name, (wait, reason)) in waiting {
                state.streams.entry((*name).to_owned()).or_default().wait =
                    Some((wall + *wait, reason.clone()));
            }
        });
    }

    pub(super) fn say_full(&self) {
        let why = "the journal is full of undelivered pages (journal.budget)";
        let (now, cause) = (self.c.clock.now(), Fault::new(FaultKind::Journal, why));
        self.c.board.source(&self.c.source, |state| {
            state.wait = Some((now + TimeDelta::seconds(1), why.to_owned()));
            state.fault.get_or_insert((cause, now));
        });
    }
}

/// A page that our own code could not read, or a poll that it could not finish: nothing is lost, it is asked again.
pub(super) fn defect() -> PollError {
    let cause = Fault::new(FaultKind::Answer, "this page could not be read; this is a defect of tidegate");
    PollError::Retry { after: None, cause }
}
