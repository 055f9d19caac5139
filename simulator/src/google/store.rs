//! The activities of each application, newest first.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::page_token::Place;
use super::params::{ActivityQuery, EventNames};
use crate::known::Known;

/// A page's records, the place of the last of them, and whether more follow.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) records: Vec<Bytes>,
    pub(crate) last: Option<Place>,
    pub(crate) more: bool,
}

#[derive(Debug)]
struct Activity {
    /// Time (epoch microseconds), unique qualifier, number.
    place: Place,
    known: Known,
}

#[derive(Debug, Default)]
struct Application {
    /// Ascending once `sorted`.
    activities: Vec<Activity>,
    sorted: bool,
    names: Option<EventNames>,
}

/// All applications.
#[derive(Debug, Default)]
pub(crate) struct Store {
    applications: BTreeMap<String, Application>,
    added: u64,
}

impl Store {
    /// Adds an activity with its unique qualifier.
    pub(crate) fn add(&mut self, known: Known, qualifier: i64) {
        self.added += 1;
        let place = (known.occurred_at.timestamp_micros(), qualifier, self.added);
        let application = self.applications.entry(known.stream.clone()).or_default();
        application.activities.push(Activity { place, known });
        application.sorted = false;
        application.names = None;
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = &Known> {
        self.applications
            .values()
            .flat_map(|application| &application.activities)
            .map(|activity| &activity.known)
    }

    /// What a query sees now, from its place on.
    pub(crate) fn page(&mut self, query: &mut ActivityQuery, limit: usize, now: DateTime<Utc>) -> Page {
        let mut page = Page::default();
        let Some(application) = self.applications.get_mut(&query.application) else { return page };
        if query.selection.has_conditions() && !query.selection.settle(application.names()) {
            return page;
        }
        let (from, to) = query.range;
        let after = query.token.and_then(|token| token.after);
        for activity in application.before(to, after) {
            if activity.place.0 < from {
                break;
            }
            let version = activity.known.at(now).filter(|version| query.selection.matches(&version.raw));
            let Some(version) = version else { continue };
            if page.records.len() == limit {
                page.more = true;
                break;
            }
            page.records.push(version.raw.clone());
            page.last = Some(activity.place);
        }
        page
    }
}

impl Application {
    fn names(&mut self) -> &EventNames {
        let activities = &self.activities;
        self.names.get_or_insert_with(|| {
            let mut names = EventNames::new();
            for raw in
                activities.iter().flat_map(|activity| &activity.known.versions).map(|version| &version.raw)
            {
                let activity = serde_json::from_slice::<Value>(raw).unwrap_or_default();
                let texts = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
                for event in activity.get("events").and_then(Value::as_array).into_iter().flatten() {
                    let parameters = event.get("parameters").and_then(Value::as_array);
                    let entry = names.entry(texts(event).unwrap_or_default()).or_default();
                    entry.extend(parameters.into_iter().flatten().filter_map(texts));
                }
            }
            names
        })
    }

    /// From the newest one up to this time, or after this place, to the oldest.
    fn before(&mut self, to: i64, after: Option<Place>) -> impl Iterator<Item = &Activity> {
        if !self.sorted {
            self.activities.sort_by_key(|activity| activity.place);
            self.sorted = true;
        }
        let end = self.activities.partition_point(|activity| {
            activity.place.0 <= to && after.is_none_or(|after| activity.place < after)
        });
        self.activities.iter().take(end).rev()
    }
}
