//! What keeps a sink as a whole stands in the journal, for whoever looks from beside.

use super::*;
use crate::journal::{Reader, Trouble};

/// As another process sees it.
fn told(bench: &Bench) -> Vec<Trouble> {
    Reader::open(bench.dir.path().join("northwind")).unwrap().load().unwrap().troubles
}

fn halted(reason: &str) -> impl Fn(&[String]) -> Result<Delivery, DeliverError> + use<> {
    let cause = Fault::new(FaultKind::Credential, reason).remedy("give it another token");
    move |_| Err(DeliverError::Halt { cause: cause.clone() })
}

fn refused(n: u32) -> Result<Delivery, DeliverError> {
    let cause = Fault::new(FaultKind::Network, format!("connection {n} refused"));
    Err(DeliverError::Retry { after: Some(Duration::from_secs(3)), cause })
}

#[tokio::test(start_paused = true)]
async fn a_halted_sinks_reason_is_told_since_it_began_in_whatever_process_until_it_delivers_again() {
    let bench = Bench::new();
    bench.append(Lane::Live, "log", 0..10).await;
    let sink = Arc::new(bench.target(10, 2));
    sink.say(halted("token refused"));
    let running = bench.run("siem", &sink);
    tokio::time::sleep(MINUTE).await;
    let first = Trouble {
        sink: "siem".to_owned(),
        since: base() + sink.pause,
        reason: "token refused\ngive it another token".to_owned(),
        halted: true,
    };
    assert_eq!(told(&bench), std::slice::from_ref(&first));
    end(running).await;
    // The next process meets the same, and then something else.
    let running = bench.run("siem", &sink);
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(told(&bench), std::slice::from_ref(&first));
    let (_, since) = bench.board.sinks()["siem"].fault.clone().unwrap();
    assert_eq!(since, first.since);
    sink.say(halted("token may not write"));
    tokio::time::sleep(MINUTE).await;
    let reason = "token may not write\ngive it another token".to_owned();
    assert_eq!(told(&bench).len(), 1);
    // Its kind is the same, so that what was told first stands; another kind replaces it.
    sink.say(|_| refused(1));
    tokio::time::sleep(MINUTE).await;
    let second = Trouble { reason: "connection 1 refused".to_owned(), halted: false, ..first.clone() };
    assert_eq!(told(&bench), [second]);
    sink.say(halted("token may not write"));
    tokio::time::sleep(MINUTE).await;
    assert_eq!(told(&bench), [Trouble { reason, ..first }]);
    sink.mend();
    tokio::time::sleep(MINUTE).await;
    assert_eq!((told(&bench), sink.ids().len()), (vec![], 10));
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn trouble_that_passes_at_once_costs_no_commit_and_what_lasts_costs_one() {
    let bench = Bench::new();
    bench.append(Lane::Live, "log", 0..20).await;
    let sink = Arc::new(bench.target(10, 1));
    let tries = Arc::new(std::sync::atomic::AtomicU32::new(0));
    // Two tries fail, at 0 and 3 s; the third goes in.
    let counted = Arc::clone(&tries);
    sink.say(move |_| match counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        n @ (0 | 1) => refused(n),
        _ => Ok(Delivery::default()),
    });
    let running = bench.run("siem", &sink);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(bench.board.sinks()["siem"].fault.is_some());
    assert_eq!(told(&bench), []);
    tokio::time::sleep(MINUTE).await;
    assert_eq!((sink.ids().len(), told(&bench)), (20, vec![]));
    // Each try says another number.
    let counted = Arc::clone(&tries);
    sink.say(move |_| refused(counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
    bench.append(Lane::Live, "log", 20..30).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let first = told(&bench);
    assert_eq!(first.len(), 1);
    tokio::time::sleep(60 * MINUTE).await;
    assert_eq!(told(&bench), first);
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_when_a_process_ends_is_told_however_young_it_is() {
    let bench = Bench::new();
    bench.append(Lane::Live, "log", 0..10).await;
    let sink = Arc::new(bench.target(10, 2));
    sink.say(|_| refused(7));
    let running = bench.run("siem", &sink);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(told(&bench), []);
    end(running).await;
    let [trouble] = &told(&bench)[..] else { panic!("one trouble") };
    assert_eq!((trouble.reason.as_str(), trouble.halted), ("connection 7 refused", false));
    sink.mend();
    bench.drain(&sink).await;
    assert_eq!((told(&bench), sink.ids().len()), (vec![], 10));
}
