//! What a rollover may have doubled.
//!
//! An id is unique within one backing index. A document that went in just before its stream rolled over, and whose answer
//! was lost, goes in again behind it: nobody refuses it. It cannot be prevented with the rights that a sink has, but it can be
//! told: each answer names the backing index.

use super::Document;
use super::bulk::Item;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Documents without an answer that are remembered; beyond it the oldest may start anew. A sink has two batches in flight.
const MOST: usize = 50_000;

/// Which backing index each stream writes to, and which documents were sent there without an answer.
#[derive(Debug, Default)]
pub(super) struct Rollovers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By data set, as the last answer named it.
    write: HashMap<&'static str, String>,
    /// By id: the backing index that was written to then.
    unanswered: HashMap<String, String>,
}

impl Rollovers {
    /// These were sent, and nobody knows whether they went in.
    pub(super) fn unanswered(&self, documents: &[Document]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { write, unanswered } = &mut *state;
        if unanswered.len() + documents.len() > MOST {
            unanswered.clear();
        }
        for (_, meta) in documents {
            if let Some(index) = write.get(meta.names.dataset) {
                // The first time counts: it may have gone in then.
                unanswered.entry(meta.id.clone()).or_insert_with(|| index.clone());
            }
        }
    }

    /// How many of these were sent before without an answer, and went in now behind a rollover: they may be there twice.
    pub(super) fn answered(&self, documents: &[Document], items: &[Item<'_>]) -> usize {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { write, unanswered } = &mut *state;
        let mut twice = 0;
        for (item, (_, meta)) in items.iter().zip(documents) {
            let created = item.status == 201 && !item.failed && item.failure_store != "used";
            if !created && item.status != 409 {
                continue;
            }
            let before = if unanswered.is_empty() { None } else { unanswered.remove(&meta.id) };
            if !created || item.index.is_empty() {
                continue;
            }
            twice += usize::from(before.is_some_and(|before| before != item.index));
            match write.get_mut(meta.names.dataset) {
                Some(known) if *known == item.index => {}
                Some(known) => *known = item.index.clone().into_owned(),
                None => drop(write.insert(meta.names.dataset, item.index.clone().into_owned())),
            }
        }
        twice
    }
}
