//! What is logged while a part of a destination takes nothing. Alone in its program: what listens is the program's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

#[path = "common/duo.rs"]
mod rig;

use rig::{DuoRig, generated};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidegate_simulator::duo::DuoConfig;
use tidegate_simulator::elasticsearch::ItemRule;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn the_alarm_speaks_when_it_begins_and_when_it_ends_and_not_at_every_try() {
    let said: Arc<Mutex<Vec<u8>>> = Arc::default();
    let ear = Arc::clone(&said);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(move || Ear(Arc::clone(&ear)))
        .finish();
    let _heard = tracing::subscriber::set_default(subscriber);
    // Two lanes have the stream: what is live, and what is older.
    let generate = ["authentication", "activity"].map(|stream| generated(stream, 250, 1));
    let duo = DuoConfig { generate: generate.to_vec(), ..DuoConfig::default() };
    let rig = DuoRig::new(duo, "start = \"2h\"\nstreams = [\"authentication\", \"activity\"]");
    let refused = ItemRule {
        index: "cisco_duo.auth".to_owned(),
        error_type: Some("security_exception".to_owned()),
        reason: Some("action [indices:data/write/bulk] is unauthorized".to_owned()),
        ..ItemRule::all(403)
    };
    rig.elastic.push_item_rule(refused);
    let mut tenant = rig.start().await;
    tokio::time::sleep(60 * MINUTE).await;
    let lines = |what: &str| {
        let said = String::from_utf8(said.lock().unwrap().clone()).unwrap();
        said.lines().filter(|line| line.contains(what)).map(str::to_owned).collect::<Vec<_>>()
    };
    let paused = lines("; only duo/authentication paused, ");
    assert_eq!(paused.len(), 1, "{:?}", lines(""));
    assert!(paused[0].contains("acme: ") && paused[0].contains(" kept"), "{}", paused[0]);
    rig.elastic.clear_faults();
    tokio::time::sleep(5 * MINUTE).await;
    tenant.stop().await;
    assert_eq!(lines("acme: duo/authentication goes in again").len(), 1);
    assert_eq!(lines("paused").len(), 1);
}

/// Hears what is logged.
struct Ear(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Ear {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
