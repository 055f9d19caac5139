//! What becomes of positions when a key takes over what another one has. Pure.
//!
//! *Invariant.* No page that some span still had to deliver is left out by all of them afterwards. Where that cannot be had
//! without a page coming twice, it comes twice: ids recognise a double, nothing recognises a loss.

use super::{LeftOut, PageId, Purpose, Span, StreamKey};

/// The rows after a sink's went to another key. Where that has a place already, because it was configured before this, what
/// is handed on ends where that one has come: two that follow a lane would deliver each page twice for ever. A stream that
/// waits at both waits once, from where the earlier one stands.
pub(super) fn to_sink(spans: Vec<Span>, from: &str, to: &str) -> Vec<Span> {
    let theirs: Vec<Span> = spans.iter().filter(|span| span.sink == to).cloned().collect();
    let hand_on = |span: Span| {
        if span.sink != from {
            return Some(span);
        }
        let span = Span { sink: to.to_owned(), ..span };
        let place = theirs.iter().find(|other| other.lane == span.lane && other.follows());
        let waits_there = theirs.iter().any(|other| other.to.is_none() && alike(other, &span));
        let Some(place) = place.filter(|_| span.to.is_none() && !waits_there) else { return Some(span) };
        let end = page_after(place);
        let purpose = if span.follows() { Purpose::CatchUp } else { span.purpose };
        (span.next_page < end).then_some(Span { to: Some(end), purpose, ..span })
    };
    united(spans.into_iter().filter_map(hand_on).collect(), to)
}

/// Whether both hold what waits of the same stream.
fn alike(one: &Span, other: &Span) -> bool {
    let waits = |span: &Span| span.purpose == Purpose::Parked && span.only.is_some();
    waits(one) && waits(other) && (one.lane, &one.only, &one.mark) == (other.lane, &other.only, &other.mark)
}

/// What waits of one stream, and adjoins or overlaps at a sink, becomes one.
fn united(spans: Vec<Span>, sink: &str) -> Vec<Span> {
    let (mut ours, mut rest): (Vec<_>, Vec<_>) = spans.into_iter().partition(|span| span.sink == sink);
    ours.sort_by_key(|span| (at(span), span.id));
    let mut kept: Vec<Span> = Vec::new();
    for span in ours {
        let touches = |before: &&mut Span| {
            alike(before, &span) && before.to.is_none_or(|to| (span.next_page, span.next_record) <= (to, 0))
        };
        match kept.iter_mut().find(touches) {
            Some(before) => *before = hull(before, &span),
            None => kept.push(span),
        }
    }
    rest.append(&mut kept);
    rest.sort_by_key(|span| span.id);
    rest
}

/// One span from where the earlier stands to where the later ends. It waits if one of them does: it is tried then.
fn hull(one: &Span, other: &Span) -> Span {
    let first = if at(other) < at(one) { other } else { one };
    Span {
        id: one.id,
        next_page: first.next_page,
        next_record: first.next_record,
        to: one.to.zip(other.to).map(|(a, b)| a.max(b)),
        since: one.since.into_iter().chain(other.since).min(),
        reason: first.reason.clone().or_else(|| one.reason.clone()).or_else(|| other.reason.clone()),
        ..one.clone()
    }
}

/// The rows after a source's streams went to another key. `both`: streams that the other key has as well, by name; they
/// become one.
pub(super) fn to_source(mut spans: Vec<Span>, from: &str, to: &str, both: &[String]) -> Vec<Span> {
    let streams = spans
        .iter_mut()
        .flat_map(|span| span.only.iter_mut().chain(span.except.iter_mut().map(|left| &mut left.of)));
    for of in streams.filter(|of| of.source == from && !both.contains(&of.stream)) {
        of.source = to.to_owned();
    }
    let mut groups: Vec<Vec<Span>> = Vec::new();
    for span in spans {
        match groups
            .iter_mut()
            .find(|group| group.first().is_some_and(|first| group_of(first) == group_of(&span)))
        {
            Some(group) => group.push(span),
            None => groups.push(vec![span]),
        }
    }
    for group in &mut groups {
        for stream in both {
            unite_stream(group, &StreamKey::new(from, stream), &StreamKey::new(to, stream));
        }
    }
    let mut all: Vec<Span> = groups.into_iter().flatten().collect();
    all.sort_by_key(|span| span.id);
    all
}

/// Spans of one group may leave something to each other.
fn group_of(span: &Span) -> (&str, super::Lane, bool, Option<&str>) {
    (&span.sink, span.lane, span.purpose == Purpose::Replay, span.mark.as_deref())
}

/// Two streams of a group become one. What one of them left to a span of its own, and the other did not, is left to that span
/// for both: it begins where the first of the pages stands that nobody else brings any more.
fn unite_stream(group: &mut Vec<Span>, old: &StreamKey, new: &StreamKey) {
    let left = |span: &Span, of: &StreamKey| {
        let row = span.except.iter().find(|left| left.of == *of)?;
        Some(row.until.unwrap_or(PageId::MAX).min(span.to.unwrap_or(PageId::MAX)))
    };
    let (mut begins, mut ends): (Option<(PageId, u32)>, PageId) = (None, 0);
    let mut needs = |place: (PageId, u32), end: PageId| {
        begins = Some(begins.map_or(place, |known| known.min(place)));
        ends = ends.max(end);
    };
    for span in group.iter().filter(|span| span.only.is_none()) {
        match (left(span, old), left(span, new)) {
            (None, None) => {}
            (Some(until), None) | (None, Some(until)) => needs(at(span), until),
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) => needs(at(span).max((one.min(other), 0)), one.max(other)),
        }
    }
    let apart = |span: &Span| span.only.as_ref().is_some_and(|only| only == old || only == new);
    let any_left = group.iter().any(|span| left(span, old).is_some() || left(span, new).is_some());
    if !any_left {
        // Each brings what it has; what another one brought of the same pages may come twice.
        group.iter_mut().filter(|span| apart(span)).for_each(|span| span.only = Some(new.clone()));
        return;
    }
    let (mut copies, rest): (Vec<Span>, Vec<Span>) = std::mem::take(group).into_iter().partition(apart);
    copies.sort_by_key(|span| span.id);
    let one = copies.iter().skip(1).fold(copies.first().cloned(), |one, copy| Some(hull(&one?, copy)));
    let needed = begins.and_then(|(next_page, next_record)| {
        let like = rest.iter().find(|span| span.only.is_none())?;
        let (to, purpose) = (
            (ends != PageId::MAX).then_some(ends),
            match like.purpose {
                Purpose::Replay => Purpose::Replay,
                _ => Purpose::Parked,
            },
        );
        Some(Span {
            id: 0,
            next_page,
            next_record,
            to,
            purpose,
            reason: None,
            except: Vec::new(),
            ..like.clone()
        })
    });
    let whole = match (one, needed) {
        (Some(one), Some(needed)) => Some(hull(&one, &needed)),
        (one, needed) => one.or(needed),
    };
    let whole = whole.map(|whole| Span { only: Some(new.clone()), ..whole });
    *group = rest;
    for span in group.iter_mut().filter(|span| span.only.is_none()) {
        let leaves = left(span, old).or(left(span, new)).is_some();
        span.except.retain(|row| row.of != *old && row.of != *new);
        let Some(whole) = &whole else { continue };
        // Or it would leave out what nobody else brings.
        if (leaves || at(whole) <= at(span)) && whole.to.is_none_or(|to| to > span.next_page) {
            span.except.push(LeftOut { of: new.clone(), until: whole.to });
        }
    }
    group.extend(whole);
}

fn at(span: &Span) -> (PageId, u32) {
    (span.next_page, span.next_record)
}

/// The first page that is wholly behind where a span stands.
fn page_after(span: &Span) -> PageId {
    span.next_page.saturating_add(u64::from(span.next_record > 0))
}

#[cfg(test)]
mod tests {
    use super::super::Lane;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const PAGES: PageId = 60;
    const STREAMS: [(&str, &str); 3] = [("okta", "chat"), ("okta_eu", "chat"), ("okta", "log")];

    /// How a stream stands at a sink: where a range of it begins, how long that is and whether it is still there, and where a
    /// second one begins that is open.
    type Apart = (Option<(PageId, PageId, bool)>, Option<PageId>);

    /// A sink's rows as they come about: one follows, one may catch up behind it, streams are apart from both.
    fn sink(key: &'static str) -> impl Strategy<Value = Vec<Span>> {
        let apart =
            (proptest::option::of((1..PAGES, 1..PAGES, any::<bool>())), proptest::option::of(1..PAGES));
        let catches_up = proptest::option::of((1..PAGES, 1..PAGES));
        (1..PAGES, 0..3_u32, catches_up, vec(apart, STREAMS.len()))
            .prop_map(move |(next, record, behind, apart)| rows(key, (next, record), behind, &apart))
    }

    fn rows(
        key: &str,
        (next, record): (PageId, u32),
        behind: Option<(PageId, PageId)>,
        apart: &[Apart],
    ) -> Vec<Span> {
        let mut follow = Span { next_record: record, ..Span::follow(key, Lane::Live, next) };
        let mut all = Vec::new();
        for ((source, stream), (closed, open)) in STREAMS.into_iter().zip(apart) {
            let of = StreamKey::new(source, stream);
            let waits = |from, to, reason: bool| Span {
                to,
                purpose: Purpose::Parked,
                only: Some(of.clone()),
                reason: reason.then(|| "no index".to_owned()),
                ..Span::follow(key, Lane::Live, from)
            };
            let end = closed.map(|(from, length, _)| from + length);
            if let Some((from, _, true)) = closed {
                all.push(waits(*from, end, false));
            }
            if let Some(open) = open {
                all.push(waits((*open).max(end.unwrap_or(0)), None, true));
            }
            let until = if open.is_some() { None } else { end };
            if (open.is_some() || until > Some(next)) && (open.is_some() || end.is_some()) {
                follow.except.push(LeftOut { of, until });
            }
        }
        if let Some((from, to)) =
            behind.map(|(one, length)| (one, (one + length).min(next))).filter(|(a, b)| a < b)
        {
            all.push(Span {
                to: Some(to),
                purpose: Purpose::CatchUp,
                next_page: from,
                next_record: 0,
                ..follow.clone()
            });
        }
        all.push(follow);
        all
    }

    fn numbered(spans: Vec<Vec<Span>>) -> Vec<Span> {
        (1..).zip(spans.into_iter().flatten()).map(|(id, span)| Span { id, ..span }).collect()
    }

    /// How many spans of a sink bring this page.
    fn bring(spans: &[Span], sink: &str, page: PageId, (source, stream): (&str, &str)) -> usize {
        let has = |span: &&Span| {
            let within = span.next_page <= page && span.to.is_none_or(|to| page < to);
            span.sink == sink && within && !span.leaves_out(source, stream, page)
        };
        spans.iter().filter(has).count()
    }

    proptest! {
        #[test]
        fn a_sink_handed_on_loses_no_page((old, new) in (sink("old"), sink("new"))) {
            let end = new.iter().find(|span| span.follows()).map_or(0, page_after);
            let before = numbered(vec![old, new]);
            let after = to_sink(before.clone(), "old", "new");
            prop_assert!(after.iter().all(|span| span.sink == "new"));
            for (page, of) in (0..3 * PAGES).flat_map(|page| STREAMS.map(|of| (page, of))) {
                let [old, new] = ["old", "new"].map(|sink| bring(&before, sink, page, of));
                let now = bring(&after, "new", page, of);
                prop_assert!(now > 0 || new == 0, "page {page} of {of:?} is lost: {after:?}");
                // What the other one has passed, and this one brings no more, that one has delivered.
                prop_assert!(now > 0 || old == 0 || page >= end, "page {page} of {of:?} is lost: {after:?}");
                prop_assert!(page < 2 * PAGES || now == 1, "page {page} of {of:?} comes {now} times: {after:?}");
            }
            for stream in STREAMS {
                let open = |span: &&Span| {
                    span.to.is_none() && span.only.as_ref().is_some_and(|only| only.is(stream.0, stream.1))
                };
                prop_assert!(after.iter().filter(open).count() <= 1, "{after:?}");
            }
        }

        #[test]
        fn a_source_united_with_another_loses_no_page((one, other) in (sink("siem"), sink("other"))) {
            let before = numbered(vec![one, other]);
            let both = ["chat".to_owned()];
            let after = to_source(before.clone(), "okta", "okta_eu", &both);
            for (page, (source, stream)) in (0..3 * PAGES).flat_map(|page| STREAMS.map(|of| (page, of))) {
                for sink in ["siem", "other"] {
                    let was = bring(&before, sink, page, (source, stream));
                    let now = bring(&after, sink, page, ("okta_eu", stream));
                    prop_assert!(now > 0 || was == 0, "{sink}: page {page} of {source}/{stream} is lost: {after:?}");
                    let all = page >= 2 * PAGES || stream == "log";
                    prop_assert!(!all || now == was, "{sink}: page {page} of {source}/{stream} comes {now} times");
                }
            }
        }
    }
}
