//! Dead letters that are sent again.

use super::*;
use crate::journal::{DeadLetter, Purpose, Reader};

async fn letters(bench: &Bench) -> Vec<(u64, String)> {
    let letters = bench.journal.dead(0, 1_000, false).await.unwrap();
    letters.into_iter().map(|letter| (letter.id, letter.reason)).collect()
}

fn unfit(ids: &[String], reason: &str) -> Result<Delivery, DeliverError> {
    let bad = Fault::new(FaultKind::Answer, reason).remedy("fix the template");
    let all = ids.iter().enumerate().filter(|(_, id)| id.ends_with('7'));
    Ok(Delivery { rejected: all.map(|(n, _)| (n, bad.clone())).collect(), ..Delivery::default() })
}

async fn retry(bench: &Bench) {
    let all = letters(bench).await.into_iter().map(|(id, _)| Change::DeadRetry(id));
    bench.journal.commit(all.collect()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_refused_again_keeps_its_number_and_has_the_new_reason() {
    let bench = Bench::new();
    bench.append(Lane::Live, "log", 0..30).await;
    let sink = Arc::new(bench.target(10, 2));
    sink.say(|ids| unfit(ids, "index says ip, got \"x\""));
    bench.drain(&sink).await;
    let first = letters(&bench).await;
    assert_eq!(first.len(), 3);
    let letter = &bench.journal.dead(0, 1, false).await.unwrap()[0];
    assert_eq!(
        letter.line("northwind"),
        format!(
            "dead letter {0} northwind/acme: index says ip, got \"x\"; fix the template, then tidegate dead-letters retry \
             northwind {0}",
            letter.id
        )
    );
    sink.say(|ids| unfit(ids, "still no"));
    retry(&bench).await;
    bench.drain(&sink).await;
    let second = letters(&bench).await;
    let numbers = |letters: &[(u64, String)]| letters.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    assert_eq!(numbers(&second), numbers(&first));
    assert!(second.iter().all(|(_, reason)| reason == "still no\nfix the template"), "{second:?}");
    sink.mend();
    retry(&bench).await;
    bench.drain(&sink).await;
    assert_eq!((letters(&bench).await, sink.times().len()), (vec![], 30));
}

#[tokio::test(start_paused = true)]
async fn each_letter_has_its_own_record_whatever_pages_and_lanes_the_batches_were_made_of() {
    let bench = Bench::new();
    for n in 0..12 {
        bench.append(Lane::Live, "log", n * 5..n * 5 + 5).await;
        bench.append(Lane::Sweep, "chat", n * 5..n * 5 + 5).await;
    }
    let sink = Arc::new(bench.target(40, 2));
    // Document by document, and a document that cannot be halved.
    sink.say(|ids| match ids {
        ids if ids.iter().any(|id| id.ends_with('3')) => {
            Err(DeliverError::Split { cause: Fault::new(FaultKind::TooLarge, "too large") })
        }
        ids => unfit(ids, "no"),
    });
    bench.drain(&sink).await;
    let letters = bench.journal.dead(0, 1_000, false).await.unwrap();
    let mut copies: Vec<String> =
        letters.iter().map(|letter| String::from_utf8_lossy(&letter.copy).into_owned()).collect();
    copies.sort();
    let wanted = ["chat", "log"].iter().flat_map(|stream| {
        (0..60).filter(|n| matches!(n % 10, 3 | 7)).map(move |n| format!("\"{stream}-{n:05}\""))
    });
    assert_eq!(copies, wanted.collect::<Vec<_>>());
    for letter in &letters {
        assert!(letter.copy.starts_with(format!("\"{}", letter.stream).as_bytes()), "{letter:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_barred_waits_and_the_others_are_sent() {
    let bench = Bench::new();
    bench.append(Lane::Live, "log", 0..30).await;
    bench.append(Lane::Live, "chat", 0..30).await;
    let sink = Arc::new(bench.target(10, 2));
    sink.say(|ids| unfit(ids, "no"));
    bench.drain(&sink).await;
    assert_eq!(letters(&bench).await.len(), 6);
    sink.bar("chat");
    retry(&bench).await;
    let running = bench.run("siem", &sink);
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!((sink.count("log"), letters(&bench).await.len()), (30, 3));
    let asked = sink.asked.lock().unwrap().len();
    assert!(asked < 6 + 2 + 21, "tried twice a minute, and not {asked} times");
    sink.mend();
    tokio::time::sleep(MINUTE).await;
    assert_eq!((sink.count("chat"), letters(&bench).await.len()), (30, 0));
    assert!(sink.times().values().all(|times| *times == 1));
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_bell_that_rings_while_letters_are_on_their_way_neither_sends_them_twice_nor_keeps_the_loop_busy() {
    let bench = Bench::new();
    bench.append(Lane::Live, "log", 0..10).await;
    let mut sink = bench.target(10, 2);
    sink.pause = 2 * MINUTE;
    let sink = Arc::new(sink);
    sink.say(|ids| unfit(ids, "no"));
    bench.drain(&sink).await;
    sink.mend();
    retry(&bench).await;
    let signal = Signal::default();
    let deliverer = bench.deliverer("siem", &sink, &signal);
    let bell = Arc::clone(&deliverer.bell);
    let running = tokio::spawn(async move { deliverer.run().await.unwrap() });
    for _ in 0..3 {
        // Where the loop is busy, this time never comes.
        tokio::time::sleep(MINUTE / 4).await;
        bell.notify_one();
    }
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!((sink.times().len(), letters(&bench).await), (10, vec![]));
    assert!(sink.times().values().all(|times| *times == 1));
    end((signal, running)).await;
}

#[tokio::test(start_paused = true)]
async fn a_letter_of_several_events_of_which_one_is_barred_makes_no_letter_more_at_each_try() {
    let bench = Bench::new();
    let letter = DeadLetter {
        id: 0,
        sink: "siem".to_owned(),
        source: "acme".to_owned(),
        stream: "mail".to_owned(),
        page: 1,
        record: 0,
        event: None,
        kind: "normalize".to_owned(),
        reason: "no".to_owned(),
        at: bench.clock.now(),
        copy: Bytes::from_static(b"\"mail-00001\""),
        revision: None,
        occurrence: 0,
        retry: true,
        mark: None,
    };
    bench.journal.commit(vec![Change::Dead(letter)]).await.unwrap();
    let sink = Arc::new(bench.target(10, 2));
    sink.say(|ids| {
        assert_eq!(ids.len(), 2);
        Ok(Delivery {
            fault: vec![(0, no_index("mail"))],
            rejected: vec![(1, no_index("mail"))],
            ..Delivery::default()
        })
    });
    let running = bench.run("siem", &sink);
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(letters(&bench).await.len(), 1);
    sink.mend();
    tokio::time::sleep(MINUTE).await;
    assert_eq!((letters(&bench).await, sink.times().len()), (vec![], 2));
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn letters_go_in_batches_within_the_sinks_limits_however_long_their_documents_are() {
    let bench = Bench::new();
    bench.append(Lane::Live, "log", 0..90).await;
    bench.append(Lane::Live, "mail", 0..30).await;
    let mut sink = bench.target(7, 2);
    // A record has 11 bytes, its document 44: of 200 bytes, five.
    let longer = |buf: &mut Vec<u8>, from: usize| (0..2).for_each(|_| buf.extend_from_within(from..));
    (sink.limits.bytes, sink.shape) = (200, longer);
    let sink = Arc::new(sink);
    let all = |ids: &[String]| {
        let bad = (0..ids.len()).map(|n| (n, Fault::new(FaultKind::Answer, "no")));
        Ok(Delivery { rejected: bad.collect(), ..Delivery::default() })
    };
    sink.say(all);
    bench.drain(&sink).await;
    assert_eq!(letters(&bench).await.len(), 150);
    for (bytes, most) in [(200, 5), (1 << 20, 7)] {
        let mut sink = bench.target(7, 2);
        (sink.limits.bytes, sink.shape) = (bytes, longer);
        let sink = Arc::new(sink);
        let half = letters(&bench).await.into_iter().take(75).map(|(id, _)| Change::DeadRetry(id));
        bench.journal.commit(half.collect()).await.unwrap();
        bench.drain(&sink).await;
        let sizes: Vec<usize> = sink.asked.lock().unwrap().iter().map(Vec::len).collect();
        assert!(sizes.iter().all(|size| *size <= most), "{bytes} bytes: {sizes:?}");
        assert_eq!((sizes.iter().sum::<usize>(), sink.times().len()), (75, 75), "each once");
    }
    assert_eq!(letters(&bench).await, []);
}

/// All pages once more.
async fn replay(bench: &Bench, mark: Option<&str>) {
    let state = bench.state().await;
    let span = Span {
        to: Some(state.pages.1),
        purpose: Purpose::Replay,
        since: Some(bench.clock.now()),
        mark: mark.map(str::to_owned),
        ..Span::follow("siem", Lane::Live, 1)
    };
    bench.journal.commit(vec![Change::Span(span)]).await.unwrap();
}

/// The action log's entries of this kind.
fn deeds(bench: &Bench, what: &str) -> Vec<String> {
    let reader = Reader::open(bench.dir.path().join("northwind")).unwrap();
    let all = reader.actions(100).unwrap().into_iter();
    all.filter(|action| action.what == what).map(|action| action.detail).collect()
}

#[tokio::test(start_paused = true)]
async fn a_letter_whose_document_a_replay_delivers_leaves_the_list_by_name() {
    let bench = Bench::new();
    bench.append(Lane::Live, "log", 0..30).await;
    let sink = Arc::new(bench.target(10, 2));
    sink.say(|ids| unfit(ids, "no"));
    bench.drain(&sink).await;
    let first = letters(&bench).await;
    assert_eq!(first.len(), 3);
    // It is refused once more but for one: those keep their numbers and say why it is now.
    sink.say(|ids| {
        let ids: Vec<String> = ids.iter().map(|id| id.replace("log-00017", "log-00018")).collect();
        unfit(&ids, "still no")
    });
    replay(&bench, None).await;
    bench.drain(&sink).await;
    let second = letters(&bench).await;
    let still = "still no\nfix the template".to_owned();
    assert_eq!(second, [(first[0].0, still.clone()), (first[2].0, still)]);
    let named = format!("sink siem: a replay delivered dead letter {}", first[1].0);
    assert_eq!(deeds(&bench, "delivered"), [named]);
    // What waits is decided later.
    sink.bar("log");
    replay(&bench, None).await;
    bench.drain(&sink).await;
    assert_eq!(letters(&bench).await, second);
    sink.mend();
    bench.drain(&sink).await;
    assert_eq!(letters(&bench).await, []);
    // Batches of their own.
    assert_eq!(deeds(&bench, "delivered").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_letter_of_a_marked_replay_is_sent_again_with_its_mark() {
    let bench = Bench::new();
    bench.append(Lane::Live, "log", 0..30).await;
    let sink = Arc::new(bench.target(10, 2));
    sink.say(|ids| unfit(ids, "no"));
    bench.drain(&sink).await;
    // Those of the first delivery are still refused in their marked form: each document has a letter of its own.
    sink.say(|ids| {
        let ids: Vec<String> = ids.iter().map(|id| id.replace("-fix", "")).collect();
        unfit(&ids, "no")
    });
    replay(&bench, Some("fix")).await;
    bench.drain(&sink).await;
    let marks = || async {
        let all = bench.journal.dead(0, 100, false).await.unwrap();
        all.into_iter().map(|letter| (letter.record, letter.mark)).collect::<Vec<_>>()
    };
    let fix = || Some("fix".to_owned());
    let both = [(7, None), (17, None), (27, None), (7, fix()), (17, fix()), (27, fix())];
    assert_eq!(marks().await, both);
    // Barred or refused again, it keeps its mark.
    for _ in 0..2 {
        retry(&bench).await;
        bench.drain(&sink).await;
        assert_eq!(marks().await, both);
        sink.bar("log");
    }
    sink.mend();
    let before = sink.ids().len();
    bench.drain(&sink).await;
    let mut ids = sink.ids()[before..].to_vec();
    ids.sort();
    let wanted = ["07", "17", "27"].map(|n| [format!("log-000{n}"), format!("log-000{n}-fix")]);
    assert_eq!((ids, marks().await), (wanted.concat(), vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_marked_replay_stands_for_the_bare_document_and_not_the_other_way_round() {
    let bench = Bench::new();
    bench.append(Lane::Live, "log", 0..10).await;
    let sink = Arc::new(bench.target(10, 2));
    sink.say(|ids| unfit(ids, "no"));
    bench.drain(&sink).await;
    sink.mend();
    replay(&bench, Some("fix")).await;
    bench.drain(&sink).await;
    assert_eq!(letters(&bench).await, [], "its record is there, with the mark");
    assert!(deeds(&bench, "delivered")[0].ends_with(", marked fix"), "{:?}", deeds(&bench, "delivered"));
    sink.say(|ids| {
        let ids: Vec<String> = ids.iter().map(|id| id.replace("7-fix", "7")).collect();
        unfit(&ids, "no")
    });
    replay(&bench, Some("fix")).await;
    bench.drain(&sink).await;
    sink.mend();
    replay(&bench, None).await;
    bench.drain(&sink).await;
    assert_eq!(letters(&bench).await.len(), 1, "what was asked for with a mark is not there with it");
}
