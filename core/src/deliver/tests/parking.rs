//! What a destination does not take waits by itself.

use super::*;
use crate::deliver::send::PATIENCE;
use crate::journal::{Purpose, StreamKey};

/// Ten pages of `log` and `chat` by turns, 20 records each.
async fn pages(bench: &Bench) {
    for n in 0..10 {
        let stream = if n % 2 == 0 { "log" } else { "chat" };
        bench.append(Lane::Live, stream, n * 20..(n + 1) * 20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_barred_stream_waits_by_itself_and_the_others_go_on() {
    let bench = Bench::new();
    pages(&bench).await;
    let sink = Arc::new(bench.target(15, 2));
    sink.bar("chat");
    let running = bench.run("siem", &sink);
    tokio::time::sleep(MINUTE).await;
    assert_eq!((sink.count("log"), sink.count("chat")), (100, 0));
    // More comes, long after.
    tokio::time::sleep(60 * MINUTE).await;
    bench.append(Lane::Live, "chat", 900..910).await;
    bench.append(Lane::Live, "log", 900..910).await;
    tokio::time::sleep(MINUTE).await;
    assert_eq!((sink.count("log"), sink.count("chat")), (110, 0), "live documents of others are not held up");
    let odd = bench.odd().await;
    let parked: Vec<&Span> = odd.iter().filter(|span| span.purpose == Purpose::Parked).collect();
    assert_eq!(parked.len(), 1, "{odd:?}");
    assert_eq!(parked[0].only, Some(StreamKey::new("acme", "chat")));
    assert_eq!(parked[0].reason.as_deref(), Some("no index for chat\nmake the index"));
    assert_eq!(bench.lacks().await, 110, "each is lacking once");
    let state = bench.board.sinks()["siem"].clone();
    assert!(state.fault.is_none(), "the sink as a whole is well: {:?}", state.fault);
    assert_eq!(state.parked["acme/chat"].0.message, "no index for chat");
    // It is tried with one record only.
    let tries =
        sink.asked.lock().unwrap().iter().rev().take(20).filter(|ids| ids[0].starts_with("chat")).count();
    assert!(tries > 10);
    sink.mend();
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!((sink.count("log"), sink.count("chat")), (110, 110), "each came once");
    assert!(sink.times().values().all(|times| *times == 1), "{:?}", sink.times());
    let of_chat = sink.ids().into_iter().filter(|id| id.starts_with("chat"));
    assert!(of_chat.is_sorted(), "in order");
    bench.append(Lane::Live, "chat", 910..920).await;
    tokio::time::sleep(MINUTE).await;
    assert_eq!(bench.odd().await, [], "the parked range is over and nothing is left out any more");
    assert_eq!((sink.count("chat"), bench.lacks().await), (120, 0));
    assert!(bench.board.sinks()["siem"].parked.is_empty());
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_what_is_parked_kept_and_the_next_one_delivers_it() {
    let bench = Bench::new();
    pages(&bench).await;
    let sink = Arc::new(bench.target(15, 2));
    sink.bar("chat");
    bench.drain(&sink).await;
    assert_eq!((sink.count("log"), sink.count("chat"), bench.lacks().await), (100, 0, 100));
    assert!(!bench.board.sinks()["siem"].drained);
    let before = sink.asked.lock().unwrap().len();
    bench.drain(&sink).await;
    assert_eq!(sink.asked.lock().unwrap().len() - before, 1, "one try");
    sink.mend();
    bench.drain(&sink).await;
    assert_eq!((sink.count("chat"), bench.lacks().await), (100, 0));
    assert!(sink.times().values().all(|times| *times == 1));
    assert!(bench.board.sinks()["siem"].drained);
}

#[tokio::test(start_paused = true)]
async fn documents_that_are_asked_to_come_later_for_ever_do_not_stall_the_others() {
    let bench = Bench::new();
    pages(&bench).await;
    let sink = Arc::new(bench.target(15, 2));
    sink.say(|ids| {
        let busy = Fault::new(FaultKind::Server, "shard is not available");
        let of_chat = ids.iter().enumerate().filter(|(_, id)| id.starts_with("chat"));
        Ok(Delivery { retry: of_chat.map(|(n, _)| (n, busy.clone())).collect(), ..Delivery::default() })
    });
    let running = bench.run("siem", &sink);
    tokio::time::sleep(30 * MINUTE).await;
    assert_eq!((sink.count("log"), sink.count("chat")), (100, 0));
    let first =
        sink.asked.lock().unwrap().iter().filter(|ids| ids.contains(&"chat-00020".to_owned())).count();
    assert!(first >= PATIENCE as usize);
    sink.mend();
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!((sink.count("chat"), bench.lacks().await), (100, 0));
    assert!(sink.times().values().all(|times| *times == 1));
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn documents_that_are_asked_to_come_later_come_when_the_destination_said() {
    let bench = Bench::new();
    pages(&bench).await;
    for asked in [90, 3_600] {
        let sink = Arc::new(bench.target(30, 1));
        let times: Arc<Mutex<Vec<tokio::time::Instant>>> = Arc::default();
        let at = Arc::clone(&times);
        sink.say(move |ids| {
            at.lock().unwrap().push(tokio::time::Instant::now());
            let first = at.lock().unwrap().len() == 1;
            let busy = Fault::new(FaultKind::RateLimit, "queue is full");
            let rest = (1..ids.len()).filter(|_| first).map(|n| (n, busy.clone())).collect();
            Ok(Delivery { retry: rest, after: Some(Duration::from_secs(asked)), ..Delivery::default() })
        });
        let running = bench.run(&format!("siem-{asked}"), &sink);
        tokio::time::sleep(120 * MINUTE).await;
        assert_eq!(sink.ids().len(), 200);
        let waited = {
            let times = times.lock().unwrap();
            (times[1] - times[0]).as_secs()
        };
        assert!((asked..asked + 5).contains(&waited), "asked {asked} s, waited {waited} s");
        let asked = sink.asked.lock().unwrap().clone();
        assert_eq!(asked[1], asked[0][1..], "the rest alone");
        end(running).await;
    }
}

#[tokio::test(start_paused = true)]
async fn patience_is_as_long_whatever_time_the_destination_names() {
    for (asked, within) in [(Duration::ZERO, 8 * MINUTE), (60 * MINUTE, 128 * MINUTE)] {
        let bench = Bench::new();
        bench.append(Lane::Live, "chat", 0..10).await;
        let sink = Arc::new(bench.target(15, 2));
        sink.say(move |ids| {
            let busy = Fault::new(FaultKind::Server, "shard is not available");
            let all = ids.iter().enumerate().map(|(n, _)| (n, busy.clone())).collect();
            Ok(Delivery { retry: all, after: Some(asked), ..Delivery::default() })
        });
        let running = bench.run("siem", &sink);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(bench.odd().await, [], "{asked:?}: a node that restarts parks nothing");
        tokio::time::sleep(within).await;
        let odd = bench.odd().await;
        assert!(
            odd.iter().any(|span| span.purpose == Purpose::Parked),
            "{asked:?}: it waits by itself: {odd:?}"
        );
        end(running).await;
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_streams_as_slots_that_are_asked_to_come_later_hold_up_no_live_document() {
    let bench = Bench::new();
    bench.append(Lane::Live, "chat", 0..10).await;
    bench.append(Lane::Live, "mail", 0..10).await;
    let sink = Arc::new(bench.target(15, 2));
    sink.say(|ids| {
        let busy = Fault::new(FaultKind::Server, "shard is not available");
        let others = ids.iter().enumerate().filter(|(_, id)| !id.starts_with("log"));
        Ok(Delivery { retry: others.map(|(n, _)| (n, busy.clone())).collect(), ..Delivery::default() })
    });
    let running = bench.run("siem", &sink);
    tokio::time::sleep(30 * MINUTE).await;
    for n in 0..60 {
        bench.append(Lane::Live, "log", n..n + 1).await;
        let since = bench.clock.now();
        tokio::time::sleep(Duration::from_secs(17)).await;
        let waited = (sink.when(&format!("log-{n:05}")) - since).to_std().unwrap();
        assert!(waited <= sink.pause * 4, "live document {n} waited {waited:?}");
    }
    sink.mend();
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!((sink.times().len(), bench.lacks().await), (90, 0));
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_parks_nothing() {
    let bench = Bench::new();
    pages(&bench).await;
    let sink = Arc::new(bench.target(15, 2));
    sink.say(|_| Err(DeliverError::Halt { cause: Fault::new(FaultKind::Credential, "token refused") }));
    let running = bench.run("siem", &sink);
    tokio::time::sleep(60 * MINUTE).await;
    assert_eq!(bench.odd().await, []);
    assert_eq!(bench.board.sinks()["siem"].fault.as_ref().unwrap().0.message, "token refused");
    sink.mend();
    tokio::time::sleep(MINUTE).await;
    assert_eq!((sink.ids().len(), bench.lacks().await), (200, 0));
    assert!(bench.board.sinks()["siem"].fault.is_none());
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn at_most_what_was_in_flight_comes_twice_and_dead_letters_come_once() {
    let bench = Bench::new();
    for n in 0..20 {
        bench.append(Lane::Live, "log", n * 20..(n + 1) * 20).await;
    }
    let sink = Arc::new(bench.target(20, 4));
    // Some documents are unfit, some barred for a time, in one stream.
    sink.say(|ids| {
        let number = |id: &String| id[4..].parse::<usize>().unwrap();
        let of = |what: fn(usize) -> bool| {
            let all = ids.iter().enumerate().filter(move |(_, id)| what(number(id)));
            all.map(|(n, _)| (n, no_index("log"))).collect::<Vec<_>>()
        };
        Ok(Delivery { fault: of(|n| n == 103), rejected: of(|n| n % 50 == 10), ..Delivery::default() })
    });
    let running = bench.run("siem", &sink);
    tokio::time::sleep(10 * MINUTE).await;
    sink.mend();
    tokio::time::sleep(10 * MINUTE).await;
    let times = sink.times();
    let letters = bench.journal.dead(0, 100, false).await.unwrap();
    let twice: usize = times.values().filter(|times| **times == 2).count();
    assert!(times.values().all(|times| *times <= 2), "{times:?}");
    assert!(twice <= 4 * 20, "{twice} came twice, more than what was in flight");
    // What was unfit before it was mended has its letter once, whatever was sent twice.
    let mut records: Vec<(u64, u32)> = letters.iter().map(|l| (l.page, l.record)).collect();
    records.dedup();
    assert_eq!(records.len(), letters.len(), "{letters:?}");
    assert_eq!(times.len() + letters.len(), 400, "every record has a verdict");
    assert_eq!(bench.lacks().await, 0);
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_barred_again_and_again_never_makes_more_than_two_ranges() {
    let bench = Bench::new();
    let sink = Arc::new(bench.target(5, 2));
    let running = bench.run("siem", &sink);
    let mut most = 0;
    for n in 0..40 {
        if n % 2 == 0 {
            sink.bar("chat")
        } else {
            sink.mend()
        }
        bench.append(Lane::Live, "chat", n * 30..(n + 1) * 30).await;
        bench.append(Lane::Live, "log", n * 30..(n + 1) * 30).await;
        tokio::time::sleep(Duration::from_secs(31)).await;
        most = most.max(bench.odd().await.iter().filter(|span| span.purpose == Purpose::Parked).count());
    }
    sink.mend();
    tokio::time::sleep(10 * MINUTE).await;
    assert!((1..=2).contains(&most), "{most}");
    assert_eq!((sink.times().len(), bench.lacks().await), (2_400, 0));
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn pages_that_only_a_parked_range_needs_are_not_trimmed_and_others_are() {
    let bench = Bench::new();
    let sink = Arc::new(bench.target(15, 2));
    sink.bar("chat");
    // One page a segment: each is more than a day after the one before.
    let running = bench.run("siem", &sink);
    let mut pages = Vec::new();
    for n in 0..6 {
        let stream = if n == 2 { "chat" } else { "log" };
        pages.push(bench.append(Lane::Live, stream, n * 20..(n + 1) * 20).await);
        tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    }
    let keep = crate::journal::Keep { age: Duration::ZERO, bytes: 0 };
    bench.journal.trim(keep, bench.clock.now()).await.unwrap();
    let left =
        bench.journal.read(crate::journal::Range { lane: Lane::Live, from: 0, to: None }, 1 << 30).await;
    assert_eq!(left.unwrap().iter().map(|page| page.id).collect::<Vec<_>>(), [pages[2]]);
    let fetched = bench.journal.fetched(base(), bench.clock.now(), (None, None)).await.unwrap();
    assert_eq!((fetched.trimmed, fetched.kept_since), (true, None), "nothing is whole from the kept page on");
    sink.mend();
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!(sink.count("chat"), 20);
    bench.journal.trim(keep, bench.clock.now()).await.unwrap();
    assert_eq!(bench.state().await.bytes, 0);
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_parking_and_merging_loses_nothing() {
    use crate::testkit::journal::CrashImages;
    let mut bench = Bench::new();
    pages(&bench).await;
    let handle = std::mem::replace(
        &mut bench.journal,
        open(TempDir::new().unwrap().path(), OpenOptions::new("x", base())),
    );
    drop(handle);
    let place = bench.dir.path().join("northwind");
    let images = CrashImages::of(&place);
    let options = OpenOptions { steps: Some(images.steps()), ..OpenOptions::new("test", base()) };
    bench.journal = open(bench.dir.path(), options);
    let sink = Arc::new(bench.target(15, 2));
    sink.bar("chat");
    let running = bench.run("siem", &sink);
    tokio::time::sleep(5 * MINUTE).await;
    sink.mend();
    tokio::time::sleep(5 * MINUTE).await;
    end(running).await;
    assert_eq!((sink.times().len(), bench.odd().await.len()), (200, 0));
    let images = images.take();
    assert!(images.len() > 20, "{}", images.len());
    let mut parked = 0;
    for image in images {
        // What had arrived by then is not known here: whatever the positions claim must have.
        let again = Bench {
            journal: Handle::new(Arc::new(
                FileJournal::open(&image.dir, OpenOptions::new("test", base())).unwrap(),
            )),
            dir: TempDir::new().unwrap(),
            clock: bench.clock.clone(),
            board: Board::default(),
        };
        if again.state().await.spans.is_empty() {
            // Taken before the sink had its place: it would begin anew.
            continue;
        }
        parked += usize::from(again.odd().await.iter().any(|span| span.purpose == Purpose::Parked));
        let lacks = again.lacks().await;
        let second = Arc::new(again.target(15, 2));
        again.drain(&second).await;
        let times = second.times();
        assert!(times.values().all(|times| *times == 1), "{}: {times:?}", image.step);
        assert_eq!(times.len() as u64, lacks, "{}", image.step);
        assert_eq!(again.lacks().await, 0, "{}", image.step);
    }
    assert!(parked > 3, "images of the time in which something was parked: {parked}");
}

/// Says "later" to documents that are not of `log`, where more than one comes: a try goes in, a batch does not.
fn drags(sink: &Target) {
    sink.say(|ids| {
        let busy = Fault::new(FaultKind::Server, "shard is not available");
        let others = ids.iter().enumerate().filter(|(_, id)| ids.len() > 1 && !id.starts_with("log"));
        Ok(Delivery { retry: others.map(|(n, _)| (n, busy.clone())).collect(), ..Delivery::default() })
    });
}

/// How long the slowest of these live documents waited, each of which comes when the one before it is in.
async fn slowest(bench: &Bench, sink: &Target, numbers: std::ops::Range<usize>) -> Duration {
    let mut slowest = Duration::ZERO;
    for n in numbers {
        bench.append(Lane::Live, "log", n..n + 1).await;
        let since = bench.clock.now();
        tokio::time::sleep(Duration::from_secs(13)).await;
        slowest = slowest.max((sink.when(&format!("log-{n:05}")) - since).to_std().unwrap());
    }
    slowest
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_parked_streams_delay_no_live_document_and_each_of_them_is_tried() {
    for slots in [1, 2, 4] {
        let bench = Bench::new();
        let pages = (0..SOURCES).map(|n| bench.page_of(&source(n), Lane::Live, "chat", n * 2..n * 2 + 2));
        bench.journal.commit(pages.collect()).await.unwrap();
        let mut sink = bench.target(2, slots);
        sink.pause = Duration::from_millis(200);
        let sink = Arc::new(sink);
        sink.bar("chat");
        bench.drain(&sink).await;
        assert_eq!(bench.odd().await.len(), SOURCES + 1, "each waits by itself, and one leaves them out");
        // Another process finds them waiting, and all of them are due.
        let first = sink.asked.lock().unwrap().len();
        let running = bench.run("siem", &sink);
        for n in 0..60 {
            bench.append(Lane::Live, "log", n * 2..n * 2 + 2).await;
            let since = bench.clock.now();
            tokio::time::sleep(Duration::from_millis(900)).await;
            let waited = (sink.when(&format!("log-{:05}", n * 2)) - since).to_std().unwrap();
            assert!(waited <= sink.pause * 2, "{slots} slots: live document {n} waited {waited:?}");
        }
        // Live that always has something leaves them their share.
        let pages = (100..2_000).map(|n| bench.page(Lane::Live, "log", n * 2..n * 2 + 2));
        bench.journal.commit(pages.collect()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(340)).await;
        let asked = sink.asked.lock().unwrap()[first..].to_vec();
        let tried: std::collections::BTreeSet<&String> =
            asked.iter().map(|ids| &ids[0]).filter(|id| id.starts_with("chat")).collect();
        assert_eq!(tried.len(), SOURCES, "{slots} slots");
        let busy: Vec<bool> = asked.iter().map(|ids| ids[0].starts_with("log")).collect();
        let first = asked.iter().position(|ids| ids[0] == "log-00200").unwrap();
        let busy = &busy[first..=busy.iter().rposition(|live| *live).unwrap()];
        assert!(busy.windows(2).all(|two| two.contains(&true)), "{slots} slots: one try between two of live");
        let tries = busy.iter().filter(|live| !**live).count();
        assert!(
            (busy.len() / 16..=busy.len() / 7).contains(&tries),
            "{slots} slots: {tries} of {}",
            busy.len()
        );
        end(running).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_stream_that_drags_never_holds_the_last_slot() {
    for slots in [1, 2, 3] {
        let bench = Bench::new();
        for n in 0..20 {
            bench.append(Lane::Live, "chat", n * 5..(n + 1) * 5).await;
            bench.append(Lane::Live, "mail", n * 5..(n + 1) * 5).await;
        }
        let sink = Arc::new(bench.target(5, slots));
        sink.say(|ids| {
            let others = ids.iter().enumerate().filter(|(_, id)| !id.starts_with("log"));
            Ok(Delivery { fault: others.map(|(n, _)| (n, no_index("x"))).collect(), ..Delivery::default() })
        });
        let running = bench.run("siem", &sink);
        tokio::time::sleep(MINUTE).await;
        drags(&sink);
        tokio::time::sleep(MINUTE).await;
        let waited = slowest(&bench, &sink, 0..80).await;
        assert!(waited <= sink.pause * 3, "{slots} slots: a live document waited {waited:?}");
        sink.mend();
        tokio::time::sleep(20 * MINUTE).await;
        assert_eq!((sink.times().len(), bench.lacks().await), (100 + 200 + 80, 0), "{slots} slots");
        end(running).await;
    }
}
