//! Far behind, beside a dead sink, given up, replayed: live goes first, and memory stays small.

use super::*;
use crate::deliver::{CATCH_UP_PAGES, REST};
use crate::journal::{LeftOut, Purpose, StreamKey};

const HOUR: Duration = Duration::from_secs(3_600);

/// Many small pages.
async fn many(bench: &Bench, stream: &str, pages: std::ops::Range<usize>) {
    let changes = pages.map(|n| bench.page(Lane::Live, stream, n * 2..n * 2 + 2)).collect();
    bench.journal.commit(changes).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_days_of_absence_live_goes_first_and_the_backlog_follows_in_order() {
    let bench = Bench::new();
    many(&bench, "log", 0..2_000).await;
    tokio::time::sleep(72 * HOUR).await;
    let sink = Arc::new(bench.target(50, 2));
    let running = bench.run("siem", &sink);
    tokio::time::sleep(Duration::from_millis(35)).await;
    assert!(sink.count("log") > 0, "the backlog does not wait for live");
    bench.append(Lane::Live, "chat", 0..2).await;
    let since = bench.clock.now();
    tokio::time::sleep(MINUTE).await;
    let waited = (sink.when("chat-00000") - since).to_std().unwrap();
    assert!(waited <= sink.pause * 2, "it waited {waited:?}: one batch on its way, and its own");
    assert_eq!(sink.times().len(), 4_002);
    assert!(sink.ids().iter().filter(|id| id.starts_with("log")).collect::<Vec<_>>().is_sorted());
    assert_eq!((bench.odd().await, bench.lacks().await), (vec![], 0));
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_finds_itself_far_behind_delivers_the_backlog_before_it_ends() {
    let bench = Bench::new();
    many(&bench, "log", 0..200).await;
    tokio::time::sleep(HOUR).await;
    let sink = Arc::new(bench.target(50, 2));
    bench.drain(&sink).await;
    assert_eq!((sink.times().len(), bench.lacks().await), (400, 0));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_that_was_made_longer_is_delivered_without_waiting_for_a_new_page() {
    let bench = Bench::new();
    many(&bench, "log", 0..200).await;
    let newest = 100;
    // An earlier process left its backlog, and live as it was when that began.
    let earlier = Span { to: Some(newest), purpose: Purpose::CatchUp, ..Span::follow("siem", Lane::Live, 1) };
    let quiet = [Lane::Sweep, Lane::Backfill].map(|lane| Span::follow("siem", lane, newest));
    let spans = [earlier, Span::follow("siem", Lane::Live, newest)].into_iter().chain(quiet);
    bench.journal.commit(spans.map(Change::Span).collect()).await.unwrap();
    tokio::time::sleep(HOUR).await;
    let sink = Arc::new(bench.target(50, 2));
    let running = bench.run("siem", &sink);
    tokio::time::sleep(MINUTE).await;
    assert_eq!((sink.times().len(), bench.lacks().await), (400, 0));
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn batches_are_nearly_full_however_long_documents_are() {
    /// Makes another document of the one that begins here.
    type Shape = fn(&mut Vec<u8>, usize);
    let shapes: [(&str, Shape); 4] = [
        ("a third of the record", |buf, from| buf.truncate(from + (buf.len() - from) / 3)),
        ("as long", |_, _| {}),
        ("twice as long", |buf, from| buf.extend_from_within(from..)),
        ("four times as long", |buf, from| (0..2).for_each(|_| buf.extend_from_within(from..))),
    ];
    let cases = shapes.iter().flat_map(|shape| [(20, shape), (500, shape)]);
    for (page, (what, shape)) in cases {
        let bench = Bench::new();
        let what = format!("{what}, pages of {page}");
        let pages = (0..20_000 / page).map(|n| bench.page(Lane::Live, "log", n * page..(n + 1) * page));
        let changes = pages.collect();
        bench.journal.commit(changes).await.unwrap();
        let mut sink = bench.target(1 << 20, 1);
        (sink.limits.bytes, sink.shape) = (10_000, *shape);
        let sink = Arc::new(sink);
        bench.drain(&sink).await;
        assert_eq!(sink.times().len(), 20_000, "{what}");
        let bytes = sink.bytes.lock().unwrap().clone();
        // Of the first nothing is known yet, and the last has what is left.
        let steady = &bytes[1..bytes.len() - 1];
        let (sum, count) = (steady.iter().sum::<usize>(), steady.len());
        assert!(sum / count > 8_000, "{what}: {} bytes on average: {bytes:?}", sum / count);
        assert!(bytes.iter().all(|bytes| *bytes < 10_100), "{what}: {bytes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_old_pages_are_no_backlog() {
    let bench = Bench::new();
    many(&bench, "log", 0..CATCH_UP_PAGES as usize).await;
    tokio::time::sleep(HOUR).await;
    let sink = Arc::new(bench.target(50, 2));
    sink.say(|_| Err(DeliverError::Retry { after: None, cause: Fault::new(FaultKind::Network, "refused") }));
    let running = bench.run("siem", &sink);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(bench.odd().await, []);
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_delivered_at_full_speed_also_while_live_always_has_something() {
    let bench = Bench::new();
    many(&bench, "log", 0..800).await;
    tokio::time::sleep(HOUR).await;
    let sink = Arc::new(bench.target(2, 1));
    let running = bench.run("siem", &sink);
    tokio::time::sleep(Duration::from_millis(5)).await;
    // More live documents than it can take.
    many(&bench, "chat", 0..2_000).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let ids = sink.ids();
    let (live, rest) = (sink.count("chat"), sink.count("log"));
    assert!(live > 1_000, "{live} live documents");
    let share = live / rest;
    assert!((REST as usize - 2..=REST as usize).contains(&share), "{live} live, {rest} of the backlog");
    let longest = ids.split(|id| id.starts_with("log")).map(<[String]>::len).max().unwrap();
    assert!(longest <= 2 * REST as usize, "the backlog had no turn for {longest} documents");
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_dead_for_three_days_slows_no_other_and_needs_no_more_memory_than_an_hour() {
    let bench = Bench::new();
    let (well, dead) = (Arc::new(bench.target(50, 2)), Arc::new(bench.target(50, 2)));
    dead.say(|_| Err(DeliverError::Retry { after: None, cause: Fault::new(FaultKind::Network, "refused") }));
    let (first, second) = (bench.run("well", &well), bench.run("dead", &dead));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (mut slowest, mut held_at_first, mut most) = (Duration::ZERO, 0, 0);
    // A page of 20 every two minutes: 2,160 in three days.
    for n in 0..2_160 {
        let appended = bench.clock.now();
        bench.append(Lane::Live, "log", n * 20..(n + 1) * 20).await;
        tokio::time::sleep(2 * MINUTE).await;
        let last = format!("log-{:05}", n * 20 + 19);
        slowest = slowest.max((well.when(&last) - appended).to_std().unwrap());
        let held = bench.board.sinks()["dead"].held;
        if n < 30 { held_at_first = held_at_first.max(held) } else { most = most.max(held) }
    }
    assert!(slowest < Duration::from_millis(100), "the healthy sink waited {slowest:?}");
    assert!(held_at_first > 0);
    assert!(
        most <= 2 * held_at_first + (64 << 10),
        "{most} bytes after days, {held_at_first} in the first hour"
    );
    assert!(dead.held.lock().unwrap().1 <= 2 * 50, "no more than what may be in flight");
    assert_eq!(dead.ids().len(), 0);
    dead.mend();
    // What it had in hand comes first, within the longest backoff; then live.
    tokio::time::sleep(5 * MINUTE).await;
    bench.append(Lane::Live, "chat", 0..5).await;
    let back = bench.clock.now();
    tokio::time::sleep(30 * MINUTE).await;
    assert!((dead.when("chat-00004") - back).to_std().unwrap() < Duration::from_secs(1));
    assert_eq!(dead.times().len(), 2_160 * 20 + 5);
    assert!(dead.times().values().all(|times| *times == 1));
    assert_eq!(bench.lacks().await, 0);
    end(first).await;
    end(second).await;
}

#[tokio::test(start_paused = true)]
async fn a_backfill_delays_a_live_document_by_one_batch_at_most() {
    let bench = Bench::new();
    for n in 0..200 {
        bench.append(Lane::Backfill, "log", n * 20..(n + 1) * 20).await;
    }
    let mut sink = bench.target(20, 3);
    sink.pause = Duration::from_secs(1);
    let sink = Arc::new(sink);
    let running = bench.run("siem", &sink);
    for n in 0..10 {
        tokio::time::sleep(Duration::from_millis(2_300)).await;
        bench.append(Lane::Live, "chat", n..n + 1).await;
        let since = bench.clock.now();
        tokio::time::sleep(Duration::from_secs(4)).await;
        let waited = (sink.when(&format!("chat-{n:05}")) - since).to_std().unwrap();
        assert!(waited <= sink.pause * 2, "{waited:?}");
    }
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_batch_of_one_range_holds_back_no_other_ranges_acknowledgements() {
    let bench = Bench::new();
    bench.append(Lane::Backfill, "log", 0..10).await;
    let sink = Arc::new(bench.target(10, 2));
    sink.say(|ids| match ids[0].starts_with("log") {
        true => Err(DeliverError::Retry { after: Some(HOUR), cause: Fault::new(FaultKind::Network, "cut") }),
        false => Ok(Delivery::default()),
    });
    let running = bench.run("siem", &sink);
    tokio::time::sleep(MINUTE).await;
    bench.append(Lane::Live, "chat", 0..10).await;
    tokio::time::sleep(MINUTE).await;
    assert_eq!(sink.count("chat"), 10);
    assert_eq!(bench.lacks().await, 10, "what live delivered is acknowledged");
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_replay_with_a_mark_delivers_again_under_new_ids_while_live_goes_on() {
    let bench = Bench::new();
    many(&bench, "log", 0..10).await;
    let last = bench.append(Lane::Live, "chat", 0..5).await;
    let sink = Arc::new(bench.target(4, 2));
    let signal = Signal::default();
    let deliverer = bench.deliverer("siem", &sink, &signal);
    let bell = Arc::clone(&deliverer.bell);
    let running = tokio::spawn(async move { deliverer.run().await.unwrap() });
    tokio::time::sleep(MINUTE).await;
    assert_eq!(sink.ids().len(), 25);
    let replay = Span {
        to: Some(last + 1),
        mark: Some("fix".to_owned()),
        purpose: Purpose::Replay,
        only: Some(StreamKey::new("acme", "log")),
        ..Span::follow("siem", Lane::Live, 1)
    };
    bench.journal.commit(vec![Change::Span(replay)]).await.unwrap();
    bell.notify_one();
    bench.append(Lane::Live, "chat", 5..6).await;
    tokio::time::sleep(MINUTE).await;
    let marked: Vec<String> = sink.ids().into_iter().filter(|id| id.ends_with("-fix")).collect();
    assert_eq!((marked.len(), sink.ids().len()), (20, 46));
    assert!(marked.iter().all(|id| id.starts_with("log")));
    assert_eq!(bench.odd().await, [], "it is over");
    end((signal, running)).await;
}

#[tokio::test(start_paused = true)]
async fn a_barred_stream_of_a_replay_waits_by_itself_too() {
    let bench = Bench::new();
    many(&bench, "log", 0..5).await;
    let last = bench.append(Lane::Live, "chat", 0..5).await;
    let sink = Arc::new(bench.target(4, 2));
    bench.drain(&sink).await;
    let replay = Span {
        to: Some(last + 1),
        mark: Some("fix".to_owned()),
        purpose: Purpose::Replay,
        ..Span::follow("siem", Lane::Live, 1)
    };
    bench.journal.commit(vec![Change::Span(replay)]).await.unwrap();
    sink.bar("chat");
    bench.drain(&sink).await;
    assert_eq!((sink.count("log"), sink.count("chat")), (20, 5));
    let odd = bench.odd().await;
    assert_eq!(odd.len(), 1, "{odd:?}");
    assert_eq!((odd[0].purpose, odd[0].mark.as_deref()), (Purpose::Replay, Some("fix")));
    assert!(odd[0].reason.is_some());
    sink.mend();
    bench.drain(&sink).await;
    assert_eq!((sink.count("chat"), bench.odd().await.len()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_a_named_hole_to_the_document() {
    let bench = Bench::new();
    let sink = Arc::new(bench.target(7, 2));
    let refused =
        || DeliverError::Retry { after: Some(MINUTE), cause: Fault::new(FaultKind::Network, "refused") };
    sink.say(move |_| Err(refused()));
    let signal = Signal::default();
    let give_up = GiveUp { after: Some(HOUR), when_full: None };
    let deliverer = Deliverer { give_up, ..bench.deliverer("siem", &sink, &signal) };
    let running = tokio::spawn(async move { deliverer.run().await.unwrap() });
    let mut pages = Vec::new();
    for n in 0..12 {
        pages.push(
            bench.append(Lane::Live, if n % 3 == 0 { "chat" } else { "log" }, n * 10..(n + 1) * 10).await,
        );
        tokio::time::sleep(10 * MINUTE).await;
    }
    sink.mend();
    tokio::time::sleep(10 * MINUTE).await;
    let state = bench.state().await;
    assert_eq!(state.given_up.len(), 2, "one a stream: {:?}", state.given_up);
    let lost: u64 = state.given_up.iter().map(|hole| hole.documents).sum();
    assert_eq!(lost as usize + sink.times().len(), 120);
    assert_eq!(lost, bench.board.sinks()["siem"].given_up);
    let log = state.given_up.iter().find(|hole| hole.of.stream == "log").unwrap();
    assert_eq!(
        (log.pages.0, log.fetched.0, log.cause.as_str()),
        (pages[1], base() + 10 * MINUTE, "give_up_after")
    );
    end((signal, running)).await;
    // The remedy: what is replayed was asked for now, however old it is.
    let replay = Span {
        to: Some(pages[11] + 1),
        purpose: Purpose::Replay,
        only: Some(log.of.clone()),
        since: Some(bench.clock.now()),
        ..Span::follow("siem", Lane::Live, log.pages.0)
    };
    bench.journal.commit(vec![Change::Span(replay)]).await.unwrap();
    let signal = Signal::default();
    let give_up = GiveUp { after: Some(HOUR), when_full: None };
    let deliverer = Deliverer { give_up, ..bench.deliverer("siem", &sink, &signal) };
    signal.go(Phase::Drain);
    deliverer.run().await.unwrap();
    assert_eq!(sink.times().keys().filter(|id| id.starts_with("log")).count(), 80);
    assert_eq!(bench.state().await.given_up, state.given_up);
}

#[tokio::test(start_paused = true)]
async fn a_parked_stream_is_given_up_at_full_speed_once_it_is_due() {
    let bench = Bench::new();
    for n in 0..20 {
        bench.append(Lane::Live, "chat", n * 50..(n + 1) * 50).await;
    }
    let sink = Arc::new(bench.target(50, 2));
    sink.bar("chat");
    let signal = Signal::default();
    let give_up = GiveUp { after: Some(HOUR), when_full: None };
    let deliverer = Deliverer { give_up, ..bench.deliverer("siem", &sink, &signal) };
    let running = tokio::spawn(async move { deliverer.run().await.unwrap() });
    tokio::time::sleep(HOUR - MINUTE).await;
    assert_eq!((bench.lacks().await, bench.state().await.given_up.len()), (1_000, 0));
    tokio::time::sleep(3 * MINUTE).await;
    let holes = bench.state().await.given_up;
    assert_eq!((bench.lacks().await, holes.len(), holes[0].documents), (0, 1, 1_000));
    end((signal, running)).await;
}

#[tokio::test(start_paused = true)]
async fn backlogs_count_each_record_once_whatever_is_left_out() {
    let bench = Bench::new();
    bench.append(Lane::Live, "log", 0..10).await;
    let parked = bench.append(Lane::Live, "chat", 0..10).await;
    bench.append(Lane::Live, "chat", 10..20).await;
    bench.append(Lane::Live, "log", 10..20).await;
    let of = StreamKey::new("acme", "chat");
    let main = Span {
        next_record: 4,
        except: vec![LeftOut { of: of.clone(), until: Some(parked + 1) }],
        ..Span::follow("siem", Lane::Live, 1)
    };
    let apart = Span {
        next_record: 3,
        to: Some(parked + 1),
        only: Some(of),
        purpose: Purpose::Parked,
        ..Span::follow("siem", Lane::Live, parked)
    };
    let lacks = |span: &Span| bench.journal.journal().lacks(span).unwrap();
    let told: Vec<(String, u64)> = lacks(&main).into_iter().map(|l| (l.of.stream, l.records)).collect();
    assert_eq!(told, [("log".to_owned(), 16), ("chat".to_owned(), 10)]);
    assert_eq!(lacks(&apart).iter().map(|l| l.records).sum::<u64>(), 7);
}
