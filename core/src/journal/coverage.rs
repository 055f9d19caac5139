//! What is proven about a stream's time: pure algebra of the coverage ledger's intervals.
//!
//! *Invariant.* The rows of a stream never overlap, and no two that touch are alike, so a ledger stays as small as its
//! story is simple. Times that were covered stay covered.

use super::{Grade, Interval};
use chrono::{DateTime, Utc};

/// How much a grade proves; more is better.
#[must_use]
pub fn rank(grade: Grade) -> u8 {
    match grade {
        Grade::Chain => 5,
        Grade::Settled => 4,
        Grade::Fetched => 3,
        Grade::Received => 2,
        Grade::Bounded => 1,
        Grade::Hole => 0,
    }
}

/// Adds a statement to the rows of one stream (sorted by time, without overlaps) and keeps them so.
///
/// Where it overlaps a row, the better grade stands; between equal grades of different causes the later statement. Rows
/// of the same grade and cause that touch or overlap become one: counts add up, extremes combine, the soonest
/// `repairable_until` and the latest `read_at` stand, and the first id stays. What is left of a row that lost a part
/// keeps its share of the count by time, and its extremes if they lie in it. An interval without extent says nothing.
pub fn add(rows: &mut Vec<Interval>, new: Interval) {
    if new.from >= new.to {
        return;
    }
    let (from, to) = (new.from, new.to);
    let mut kept: Vec<Interval> = Vec::with_capacity(rows.len() + 2);
    // What of the new statement is still unsaid, from left to right; and the pieces that will stand.
    let mut pieces: Vec<Interval> = Vec::new();
    let mut rest = Some(new.clone());
    for row in rows.drain(..) {
        let overlaps = row.from < to && from < row.to;
        if !overlaps || same(&row, &new) {
            // Becomes one with its like below.
            kept.push(row);
        } else if rank(row.grade) > rank(new.grade) {
            // The row stands; the new statement is cut around it.
            if let Some(whole) = rest.take() {
                pieces.extend(part(&whole, whole.from, row.from));
                rest = part(&whole, row.to.max(whole.from), whole.to);
            }
            kept.push(row);
        } else {
            // The new statement stands; the row is cut around it. Its first piece keeps the id.
            let left = part(&row, row.from, from);
            let right = part(&row, to, row.to);
            let split = left.is_some();
            kept.extend(left);
            kept.extend(right.map(|r| Interval { id: if split { 0 } else { r.id }, ..r }));
        }
    }
    pieces.extend(rest);
    kept.extend(pieces);
    kept.sort_by_key(|r| r.from);
    for row in kept {
        match rows.last_mut() {
            Some(last) if same(last, &row) && row.from <= last.to => *last = merge(last.clone(), row),
            _ => rows.push(row),
        }
    }
}

fn same(a: &Interval, b: &Interval) -> bool {
    a.grade == b.grade && a.cause == b.cause
}

fn merge(a: Interval, b: Interval) -> Interval {
    Interval {
        id: if a.id == 0 || (b.id != 0 && b.id < a.id) { b.id } else { a.id },
        from: a.from.min(b.from),
        to: a.to.max(b.to),
        repairable_until: extreme(a.repairable_until, b.repairable_until, Ord::min),
        count: a.count.saturating_add(b.count),
        oldest: extreme(a.oldest, b.oldest, Ord::min),
        newest: extreme(a.newest, b.newest, Ord::max),
        read_at: a.read_at.max(b.read_at),
        ..a
    }
}

fn extreme<T>(a: Option<T>, b: Option<T>, pick: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        (a, b) => a.or(b),
    }
}

/// The part of a row within `[from, to)`, if it has any extent.
fn part(row: &Interval, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<Interval> {
    let (from, to) = (from.max(row.from), to.min(row.to));
    if from >= to {
        return None;
    }
    if (from, to) == (row.from, row.to) {
        return Some(row.clone());
    }
    let length =
        |a: DateTime<Utc>, b: DateTime<Utc>| u128::from(b.timestamp_micros().abs_diff(a.timestamp_micros()));
    let share = u128::from(row.count) * length(from, to) / length(row.from, row.to).max(1);
    let inside = |t: &DateTime<Utc>| (from..to).contains(t);
    Some(Interval {
        from,
        to,
        count: u64::try_from(share).unwrap_or(u64::MAX).min(row.count),
        oldest: row.oldest.filter(inside),
        newest: row.newest.filter(inside),
        ..row.clone()
    })
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minutes * 60, 0).unwrap_or_default()
    }

    fn row(from: i64, to: i64, grade: Grade, count: u64) -> Interval {
        Interval {
            id: 0,
            source: "okta".into(),
            stream: "log".into(),
            from: at(from),
            to: at(to),
            grade,
            cause: (grade == Grade::Hole).then(|| "quota".into()),
            repairable_until: None,
            count,
            oldest: Some(at(from)),
            newest: Some(at(to - 1)),
            read_at: at(to),
        }
    }

    fn ledger(of: &[Interval]) -> Vec<Interval> {
        let mut rows = Vec::new();
        for (i, r) in of.iter().enumerate() {
            add(&mut rows, r.clone());
            for (n, row) in rows.iter_mut().enumerate() {
                if row.id == 0 {
                    row.id = (i * 100 + n + 1) as u64;
                }
            }
        }
        rows
    }

    fn brief(rows: &[Interval]) -> Vec<(i64, i64, Grade, u64)> {
        rows.iter().map(|r| (r.from.timestamp() / 60, r.to.timestamp() / 60, r.grade, r.count)).collect()
    }

    #[test]
    fn touching_rows_become_one_and_keep_the_first_id() {
        let rows = ledger(&[row(0, 10, Grade::Chain, 3), row(10, 20, Grade::Chain, 4)]);
        assert_eq!(brief(&rows), [(0, 20, Grade::Chain, 7)]);
        assert_eq!((rows[0].id, rows[0].oldest, rows[0].newest), (1, Some(at(0)), Some(at(19))));
    }

    #[test]
    fn a_better_grade_replaces_the_part_that_it_covers() {
        let rows = ledger(&[row(0, 60, Grade::Fetched, 60), row(0, 15, Grade::Settled, 16)]);
        assert_eq!(brief(&rows), [(0, 15, Grade::Settled, 16), (15, 60, Grade::Fetched, 45)]);
        assert_eq!(rows[1].oldest, None, "the oldest record lay in the part that went");
    }

    #[test]
    fn a_worse_grade_fills_only_what_is_missing() {
        let rows = ledger(&[
            row(0, 10, Grade::Fetched, 10),
            row(10, 20, Grade::Settled, 10),
            row(0, 40, Grade::Fetched, 40),
            row(0, 50, Grade::Hole, 0),
        ]);
        assert_eq!(
            brief(&rows),
            [
                (0, 10, Grade::Fetched, 20),
                (10, 20, Grade::Settled, 10),
                (20, 40, Grade::Fetched, 20),
                (40, 50, Grade::Hole, 0)
            ]
        );
    }

    #[test]
    fn a_hole_shrinks_and_keeps_its_id() {
        let rows = ledger(&[row(0, 60, Grade::Hole, 0), row(20, 30, Grade::Fetched, 5)]);
        assert_eq!(
            brief(&rows),
            [(0, 20, Grade::Hole, 0), (20, 30, Grade::Fetched, 5), (30, 60, Grade::Hole, 0)]
        );
        assert_eq!(rows[0].id, 1);
        assert_ne!(rows[2].id, 1);
        let rows = ledger(&[row(0, 60, Grade::Hole, 0), row(0, 30, Grade::Fetched, 5)]);
        assert_eq!(rows[1].id, 1);
    }

    #[test]
    fn causes_stay_apart_and_the_later_one_stands() {
        let mut other = row(5, 15, Grade::Hole, 0);
        other.cause = Some("permission".into());
        let rows = ledger(&[row(0, 10, Grade::Hole, 0), other]);
        assert_eq!(brief(&rows), [(0, 5, Grade::Hole, 0), (5, 15, Grade::Hole, 0)]);
        assert_eq!(rows[1].cause.as_deref(), Some("permission"));
    }

    #[test]
    fn an_interval_without_extent_says_nothing() {
        assert!(ledger(&[row(5, 5, Grade::Chain, 3), row(9, 2, Grade::Chain, 3)]).is_empty());
    }

    const DAY: i64 = 24 * 60;
    const YEAR: i64 = 365 * DAY;

    /// Minutes in which the fast lane stood still; and how long afterwards they are read, if ever.
    #[derive(Clone, Debug)]
    struct Outage {
        from: i64,
        to: i64,
        repaired: Option<i64>,
        cause: &'static str,
    }

    fn outage() -> impl Strategy<Value = Outage> {
        let repaired = proptest::option::weighted(0.8, 1..20 * DAY);
        let causes = proptest::sample::select(vec!["quota", "permission", "retention"]);
        (0..YEAR, 1..12 * 60i64, repaired, causes).prop_map(|(from, length, after, cause)| Outage {
            from,
            to: from + length,
            repaired: after.map(|after| from + length + after),
            cause,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2, ..ProptestConfig::default() })]
        #[test]
        fn a_year_leaves_as_many_rows_as_it_has_holes(
            outages in proptest::collection::vec(outage(), 0..40), sweep in 5i64..400, chunk in 1i64..200
        ) {
            let mut rows = Vec::new();
            let mut out = vec![false; (YEAR + DAY) as usize];
            for o in &outages {
                out[o.from as usize..o.to as usize].fill(true);
            }
            let out = |minute: i64| out[minute as usize];
            // When the last horizon of a repaired stretch has passed.
            let settled = |o: &Outage| o.repaired.map(|repaired| repaired + DAY + chunk);
            for now in 1..=YEAR + 30 * DAY {
                if now <= YEAR && !out(now - 1) {
                    add(&mut rows, row(now - 1, now, Grade::Fetched, 3));
                }
                for o in &outages {
                    // Said again and again while it lasts, as long as it is by then.
                    if (o.from + 1..=o.to).contains(&now) && (now % 15 == 0 || now == o.to) {
                        add(&mut rows, Interval { cause: Some(o.cause.into()), ..row(o.from, now, Grade::Hole, 0) });
                    }
                    for (since, grade) in [(o.repaired, Grade::Fetched), (settled(o), Grade::Settled)] {
                        let Some(done) = since.map(|since| now - since) else { continue };
                        // A chunk a minute, rounded outward.
                        let from = o.from + done * chunk;
                        if done >= 0 && from < o.to {
                            add(&mut rows, row(from - 1, (from + chunk).min(o.to) + 1, grade, 5));
                        }
                    }
                }
                // What the fast lane read a day ago, but for the minutes in which it did not.
                if now % sweep == 0 && (now - DAY - sweep) < YEAR {
                    let (mut from, end) = ((now - DAY - sweep).max(0), (now - DAY).min(YEAR));
                    while from < end {
                        let gap = (from..end).find(|minute| out(*minute)).unwrap_or(end);
                        if from < gap {
                            add(&mut rows, row(from, gap, Grade::Settled, 5));
                        }
                        from = (gap..end).find(|minute| !out(*minute)).unwrap_or(end);
                    }
                }
                if now % DAY == 0 {
                    // An outage that is not settled yet may be settled, fetched and unread, and parts what is around it.
                    let open = outages.iter().filter(|o| o.from < now && settled(o).is_none_or(|s| s + DAY > now));
                    let most = 4 * open.count() + 3;
                    prop_assert!(rows.len() <= most, "{} rows, not {most}, on day {}", rows.len(), now / DAY);
                }
            }
            let (kept, repaired): (Vec<_>, Vec<_>) = outages.iter().partition(|o| o.repaired.is_none());
            let holes = kept.len();
            // What is read of an overlapping outage, and the minute on each side of it, parts a hole in two.
            let parted =
                repaired.iter().filter(|r| kept.iter().any(|o| r.from <= o.to + 1 && o.from <= r.to + 1)).count();
            let most = 2 * (holes + parted) + 3;
            prop_assert!(rows.len() <= most, "{holes} holes, {parted} parted, and {:?}", brief(&rows));
            prop_assert!(rows.iter().filter(|r| r.grade == Grade::Hole).count() <= 2 * holes + parted);
            prop_assert!(rows.iter().all(|r| r.grade != Grade::Fetched), "{:?}", brief(&rows));
        }
    }

    proptest! {
        #[test]
        fn the_ledger_is_sound(
            of in proptest::collection::vec((0i64..60, 0i64..30, 0usize..6, 0u64..100, 0usize..2), 0..40)
        ) {
            let grades =
                [Grade::Chain, Grade::Settled, Grade::Fetched, Grade::Received, Grade::Bounded, Grade::Hole];
            let mut rows = Vec::new();
            let mut best = [None::<u8>; 100];
            for (from, length, grade, count, cause) in of {
                let mut new = row(from, from + length, grades[grade], count);
                new.cause = (cause == 1).then(|| "bridge".into());
                for minute in from..from + length {
                    let slot = &mut best[minute as usize];
                    *slot = (*slot).max(Some(rank(new.grade)));
                }
                add(&mut rows, new);
                // The union is kept, and every minute has the best grade that was ever claimed for it.
                for minute in 0..100 {
                    let found: Vec<_> =
                        rows.iter().filter(|r| r.from <= at(minute) && at(minute) < r.to).collect();
                    prop_assert!(found.len() <= 1, "rows overlap");
                    prop_assert_eq!(found.first().map(|r| rank(r.grade)), best[minute as usize]);
                }
                for pair in rows.windows(2) {
                    prop_assert!(pair[0].to <= pair[1].from);
                    prop_assert!(pair[0].to < pair[1].from || !same(&pair[0], &pair[1]), "not merged");
                }
                prop_assert!(rows.iter().all(|r| r.from < r.to));
            }
        }
    }
}
