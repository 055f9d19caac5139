//! The alerts of the Alert Center: they mutate, and are asked for with a filter and an order.

use std::cmp::Ordering;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::alert_filter::{Expression, Field};
use super::config::GoogleConfig;
use super::error::ApiError;
use super::generate::hash;
use super::page_token::{PageToken, Place};
use super::params::{bound_to, last, page_token};
use super::store::Page;
use crate::known::Known;

/// What filters and orders look at, of one version.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) source: String,
    /// Epoch microseconds.
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) started: Option<i64>,
    pub(crate) ended: Option<i64>,
}

impl Facts {
    /// Reads an alert; what it lacks is taken from its known time.
    pub(crate) fn of(raw: &[u8], occurred_at: DateTime<Utc>) -> Self {
        let alert = serde_json::from_slice::<Value>(raw).unwrap_or_default();
        let text = |name: &str| alert.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let time = |name: &str| Some(DateTime::parse_from_rfc3339(&text(name)).ok()?.timestamp_micros());
        let created = time("createTime").unwrap_or_else(|| occurred_at.timestamp_micros());
        Self {
            id: text("alertId"),
            kind: text("type"),
            source: text("source"),
            created,
            updated: time("updateTime").unwrap_or(created),
            started: time("startTime"),
            ended: time("endTime"),
        }
    }
}

#[derive(Debug)]
struct Alert {
    known: Known,
    /// One for each version.
    facts: Vec<Facts>,
    number: u64,
    /// Breaks ties, and is the order of those who ask for none.
    shuffle: i64,
}

/// An entry of an index.
#[derive(Debug, Clone, Copy)]
struct Entry {
    place: Place,
    alert: usize,
    /// Counts only while this version is the present one; `None`: always.
    version: Option<usize>,
}

/// All alerts.
#[derive(Debug, Default)]
pub(crate) struct AlertStore {
    alerts: Vec<Alert>,
    by_creation: Vec<Entry>,
    by_update: Vec<Entry>,
    indexed: usize,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// None was asked for; fixed all the same, or a chain would lose alerts.
    Arbitrary,
    CreatedAscending,
    CreatedDescending,
    UpdatedDescending,
}

/// A checked query.
#[derive(Debug)]
pub(crate) struct AlertQuery {
    filter: Expression,
    order: Order,
    pub(crate) limit: usize,
    pub(crate) token: Option<PageToken>,
    /// All that a page token of this query is bound to.
    pub(crate) bound: String,
}

impl AlertQuery {
    pub(crate) fn parse(
        pairs: &[(String, String)],
        config: &GoogleConfig,
        now: DateTime<Utc>,
    ) -> Result<Self, ApiError> {
        let get = |name: &str| last(pairs, name).filter(|value| !value.is_empty());
        let own = config.customer_id.strip_prefix('C').unwrap_or(&config.customer_id);
        if get("customerId").is_some_and(|id| id != own) {
            return Err(ApiError::not_admin());
        }
        let bound = bound_to("alerts", pairs, &["customerId", "filter", "orderBy"]);
        let token = page_token(pairs, config, &bound, now)?;
        let order = match get("orderBy") {
            None => Order::Arbitrary,
            Some("create_time asc") => Order::CreatedAscending,
            Some("create_time desc") => Order::CreatedDescending,
            Some("update_time desc") => Order::UpdatedDescending,
            Some(_) => return Err(ApiError::invalid("orderBy", "Invalid orderBy")),
        };
        let limit = match get("pageSize").map(str::parse::<i64>) {
            None | Some(Ok(0)) => config.alerts_page,
            Some(Ok(size)) if size > 0 => usize::try_from(size).unwrap_or(usize::MAX).min(config.alerts_page),
            Some(_) => return Err(ApiError::invalid("pageSize", "Invalid pageSize")),
        };
        let filter = Expression::parse(get("filter").unwrap_or_default())
            .map_err(|cause| ApiError::invalid("filter", format!("Invalid filter: {cause}")))?;
        Ok(Self { filter, order, limit, token, bound })
    }
}

impl AlertStore {
    pub(crate) fn add(&mut self, known: Known) {
        let facts = known.versions.iter().map(|version| Facts::of(&version.raw, known.occurred_at)).collect();
        let number = self.alerts.len() as u64;
        let shuffle = hash(&known.id).cast_signed();
        self.alerts.push(Alert { known, facts, number, shuffle });
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = &Known> {
        self.alerts.iter().map(|alert| &alert.known)
    }

    fn index(&mut self) {
        for (at, alert) in self.alerts.iter().enumerate().skip(self.indexed) {
            let place = |time: i64| (time, alert.shuffle, alert.number);
            let created = alert.facts.first().map_or(0, |facts| facts.created);
            self.by_creation.push(Entry { place: place(created), alert: at, version: None });
            self.by_update.extend(alert.facts.iter().enumerate().map(|(version, facts)| Entry {
                place: place(facts.updated),
                alert: at,
                version: Some(version),
            }));
        }
        if self.indexed < self.alerts.len() {
            self.by_creation.sort_by_key(|entry| entry.place);
            self.by_update.sort_by_key(|entry| entry.place);
            self.indexed = self.alerts.len();
        }
    }

    /// What a query sees now, from its place on.
    pub(crate) fn page(&mut self, query: &AlertQuery, limit: usize, now: DateTime<Utc>) -> Page {
        self.index();
        let after = query.token.and_then(|token| token.after);
        let updated = query.filter.bounds(Field::UpdateTime);
        let by_update = match query.order {
            Order::UpdatedDescending => true,
            Order::Arbitrary => updated != (i64::MIN, i64::MAX),
            Order::CreatedAscending | Order::CreatedDescending => false,
        };
        let (entries, (from, to)) = match by_update {
            true => (&self.by_update, updated),
            false => (&self.by_creation, query.filter.bounds(Field::CreateTime)),
        };
        let start = entries.partition_point(|entry| {
            let passed =
                query.order == Order::CreatedAscending && after.is_some_and(|after| entry.place <= after);
            entry.place.0 < from || passed
        });
        let end = entries.partition_point(|entry| {
            let descending = matches!(query.order, Order::CreatedDescending | Order::UpdatedDescending);
            entry.place.0 <= to && (!descending || after.is_none_or(|after| entry.place < after))
        });
        let found = entries.get(start..end.max(start)).unwrap_or_default();
        let seen = |entry: &Entry| {
            let alert = self.alerts.get(entry.alert)?;
            let version = alert.known.versions.iter().rposition(|version| version.visible_at <= now)?;
            let wanted = entry.version.is_none_or(|only| only == version)
                && query.filter.matches(alert.facts.get(version)?);
            wanted.then_some(())?;
            Some((entry.place, alert, &alert.known.versions.get(version)?.raw))
        };
        match query.order {
            Order::CreatedAscending => page_of(found.iter().filter_map(seen).map(|(p, _, r)| (p, r)), limit),
            Order::CreatedDescending | Order::UpdatedDescending => {
                page_of(found.iter().rev().filter_map(seen).map(|(p, _, r)| (p, r)), limit)
            }
            Order::Arbitrary => {
                let shuffled = |alert: &Alert| (alert.shuffle, 0, alert.number);
                let mut all: Vec<_> = found
                    .iter()
                    .filter_map(seen)
                    .map(|(_, alert, raw)| (shuffled(alert), raw))
                    .filter(|(place, _)| after.is_none_or(|after| place.cmp(&after) == Ordering::Greater))
                    .collect();
                all.sort_by_key(|(place, _)| *place);
                page_of(all.into_iter(), limit)
            }
        }
    }
}

fn page_of<'a>(mut found: impl Iterator<Item = (Place, &'a Bytes)>, limit: usize) -> Page {
    let mut page = Page::default();
    for (place, raw) in found.by_ref().take(limit) {
        page.records.push(raw.clone());
        page.last = Some(place);
    }
    page.more = found.next().is_some();
    page
}
