//! Dead letters that an operator wants to be sent again: one batch at a time, or letters on their way would be sent twice.

use super::InHand;
use super::acks::{holes, log_dead};
use super::send::{HALT_RETRY, Place, Sent};
use crate::fault::{Fault, FaultKind};
use crate::journal::{Change, DeadLetter, JournalError, Outcome};
use std::sync::Arc;
use tokio::time::Instant;

/// Dead letters read in one go, at most: each has a copy of its record.
const AT_ONCE: usize = 200;

/// How far sending again has come.
#[derive(Default)]
pub(super) struct Again {
    /// When to look for letters; none: nobody asked.
    due: Option<Instant>,
    /// Letters up to this number had their turn.
    after: u64,
    /// Some did not go in, and are not to be given a verdict either: why.
    barred: Option<Fault>,
    /// So many have no way here any more.
    strays: u64,
    /// Those on their way, records that became no documents again, and the ticket.
    sending: Option<(u64, Vec<DeadLetter>, Vec<DeadLetter>)>,
}

impl Again {
    /// Looks at all of them, now.
    pub(super) fn all(&mut self) {
        (self.due, self.after, self.barred, self.strays) = (Some(Instant::now()), 0, None, 0);
    }

    /// When to look for letters; not while some are on their way, whose answer comes first.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.due.filter(|_| self.sending.is_none())
    }

    /// Letters are to be looked for now.
    pub(super) fn is_due(&self) -> bool {
        self.next_look().is_some_and(|due| due <= Instant::now())
    }
}

impl InHand<'_> {
    /// Sends the next ones that are ours, whoever else's come before. One whose stream does not come here (any more) stays a
    /// dead letter. Whether there were any.
    pub(super) async fn send_again(&mut self) -> Result<bool, JournalError> {
        let our = self.our;
        let (limits, mut letters) = (our.sink.limits(), Vec::<DeadLetter>::new());
        let at_once = limits.count.clamp(1, AT_ONCE);
        let (mut passed, mut strays) = (self.again.after, Vec::new());
        while letters.is_empty() {
            let some = our.journal.dead(passed, at_once, true).await?;
            let Some(last) = some.last() else {
                self.again.strays += strays.len() as u64;
                self.tried_letters();
                return Ok(false);
            };
            passed = last.id;
            for letter in some.into_iter().filter(|letter| letter.sink == our.key) {
                if our.renderer.takes(&letter) { letters.push(letter) } else { strays.push(letter.id) }
            }
        }
        let (renderer, sink, now) = (Arc::clone(&our.renderer), Arc::clone(&our.sink), our.clock.now());
        let made = tokio::task::spawn_blocking(move || {
            let built = renderer.dead(&letters, sink.as_ref(), now);
            (built, letters)
        });
        let Ok(((built, went), mut again)) = made.await else {
            self.again.due = Some(Instant::now() + HALT_RETRY);
            return Ok(false);
        };
        // What did not fit comes next.
        let after = again.drain(went..).next().map_or(passed, |next| next.id.saturating_sub(1));
        self.again.strays += strays.iter().filter(|stray| **stray <= after).count() as u64;
        self.again.after = after;
        let ticket = self.ticket();
        self.apart.insert(ticket);
        (self.again.sending, self.again.due) = (Some((ticket, again, built.dead)), None);
        let (sender, batch, origins) = (self.sender(Some(now), 1), built.batch, built.origins);
        self.sending.push(Box::pin(async move { (ticket, sender.send(batch, origins).await) }));
        Ok(true)
    }

    /// All had their turn: what did not go in is tried later, and told.
    fn tried_letters(&mut self) {
        let Again { barred, strays, .. } = std::mem::take(&mut self.again);
        self.again.due = barred.is_some().then(|| Instant::now() + HALT_RETRY);
        let stray = || {
            let what = format!("{strays} of a source or stream that does not come here any more");
            Fault::new(FaultKind::Configuration, what)
                .remedy("put it back into the configuration, or: tidegate dead-letters drop")
        };
        let now = self.our.clock.now();
        let cause = barred.or_else(|| (strays > 0).then(stray));
        self.our.board.sink(&self.our.key, |state| {
            let since = state.letters.take().map_or(now, |(_, since)| since);
            state.letters = cause.map(|cause| (cause, since));
        });
    }

    /// An answer came, if it is ours: each letter is delivered, dead once more, or barred and tried later.
    pub(super) async fn again_answered(
        &mut self,
        ticket: u64,
        answer: &mut Option<Option<Sent>>,
    ) -> Result<(), JournalError> {
        let Some((_, letters, dead)) = self.again.sending.take_if(|(ours, ..)| *ours == ticket) else {
            return Ok(());
        };
        let Some(mut sent) = answer.take().flatten() else { return Ok(()) };
        let now = self.our.clock.now();
        let mut dead: Vec<DeadLetter> = dead.into_iter().chain(std::mem::take(&mut sent.dead)).collect();
        let (mut changes, mut logged, mut refused) = (Vec::new(), Vec::new(), 0);
        for letter in &letters {
            let is = |place: &Place| {
                place.of.is(&letter.source, &letter.stream)
                    && place.is_of(letter.page, letter.record, letter.event)
                    && place.mark.as_deref() == letter.mark.as_deref()
            };
            let same = |new: &DeadLetter| {
                (&new.source, &new.stream, new.page, new.record, &new.mark)
                    == (&letter.source, &letter.stream, letter.page, letter.record, &letter.mark)
                    && (letter.event.is_none() || letter.event == new.event)
            };
            if let Some((_, cause)) = sent.barred.iter().find(|(place, _)| is(place)) {
                // What became of its other events is decided again with it.
                self.again.barred = Some(cause.clone());
                dead.retain(|new| !same(new));
                continue;
            }
            match dead.iter().position(same) {
                // It keeps its number.
                Some(at) => {
                    refused += 1;
                    let new = DeadLetter { id: letter.id, ..dead.swap_remove(at) };
                    logged.push((changes.len(), new.clone()));
                    changes.push(Change::Dead(new));
                }
                None => changes.push(Change::DeadDone(letter.id)),
            }
        }
        for letter in dead {
            logged.push((changes.len(), letter.clone()));
            changes.push(Change::Dead(letter));
        }
        let given_up = sent.given_up.len() as u64;
        changes.extend(holes(&self.our.key, sent.given_up, now).map(Change::GaveUp));
        self.our.board.sink(&self.our.key, |state| {
            state.delivered += sent.delivered;
            state.duplicates += sent.duplicates;
            state.dead += logged.len() as u64;
            state.refused_again += refused;
            state.given_up += given_up;
            if sent.delivered + sent.duplicates > 0 {
                state.last_delivery = Some(now);
            }
        });
        if sent.delivered + sent.duplicates > 0 {
            self.alarm.over();
        }
        changes.extend(self.trouble_told());
        // There may be more than went in one go.
        self.again.due = Some(Instant::now());
        if !changes.is_empty() {
            let outcomes = self.our.journal.commit(changes).await?;
            let number = |at: usize| match outcomes.get(at) {
                Some(Outcome::Row(id)) => *id,
                _ => 0,
            };
            let letters = logged.into_iter().map(|(at, letter)| (number(at), letter));
            log_dead(&self.alarm.tenant, &self.our.key, letters.collect());
        }
        Ok(())
    }
}
