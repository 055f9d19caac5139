//! Draining begins at the worst moment: while an acknowledgement is being committed and new pages wait for company.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidegate_connectors::okta::Okta;
use tidegate_core::board::Board;
use tidegate_core::clock::Clock;
use tidegate_core::deliver::render::{Renderer, Route};
use tidegate_core::deliver::{Deliverer, GiveUp, Start};
use tidegate_core::journal::{
    Change, DeadLetter, Fetched, FileJournal, Handle, Journal, JournalError, Keep, Key, Lack, Lane, LetterOf,
    NewPage, NewRecord, OpenOptions, Outcome, PageId, Range, Request, Span, State, StoredPage, StreamKey,
    Tally, Trimmed,
};
use tidegate_core::sink::{Batch, DeliverError, Delivery, Guarantee, Limits, Meta, Render, Sink};
use tidegate_core::source::{Findings, NormalizeError};
use tidegate_core::stop::{Phase, Signal};

/// Tells the loop to drain from within the commit of its first acknowledgement.
struct DrainsAtAck(FileJournal, Signal);

impl Journal for DrainsAtAck {
    fn epoch(&self) -> u64 {
        self.0.epoch()
    }
    fn load(&self) -> Result<State, JournalError> {
        self.0.load()
    }
    fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, JournalError> {
        if changes.iter().any(|change| matches!(change, Change::Span(span) if span.id > 0)) {
            self.1.go(Phase::Drain);
        }
        self.0.commit(changes)
    }
    fn read(&self, range: Range, bytes: usize) -> Result<Vec<StoredPage>, JournalError> {
        self.0.read(range, bytes)
    }
    fn read_of(&self, range: Range, of: &StreamKey, bytes: usize) -> Result<Vec<StoredPage>, JournalError> {
        self.0.read_of(range, of, bytes)
    }
    fn lacks(&self, span: &Span) -> Result<Vec<Lack>, JournalError> {
        self.0.lacks(span)
    }
    fn fetched(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        of: (Option<&str>, Option<&str>),
    ) -> Result<Fetched, JournalError> {
        self.0.fetched(from, to, of)
    }
    fn dead(&self, after: u64, limit: usize, retry: bool) -> Result<Vec<DeadLetter>, JournalError> {
        self.0.dead(after, limit, retry)
    }
    fn letters(&self, sink: &str, pages: (PageId, PageId)) -> Result<Vec<LetterOf>, JournalError> {
        self.0.letters(sink, pages)
    }
    fn trim(&self, keep: Keep, now: DateTime<Utc>) -> Result<Trimmed, JournalError> {
        self.0.trim(keep, now)
    }
    fn heartbeat(&self, now: DateTime<Utc>) -> Result<Vec<Request>, JournalError> {
        self.0.heartbeat(now)
    }
    fn tally(&self, source: &str, stream: &str, from: i64, to: i64) -> Result<Tally, JournalError> {
        self.0.tally(source, stream, from, to)
    }
    fn totals(&self) -> Result<Vec<(String, String, Tally)>, JournalError> {
        self.0.totals()
    }
    fn forget(&self, source: &str, stream: &str, before: i64) -> Result<u64, JournalError> {
        self.0.forget(source, stream, before)
    }
}

/// Takes everything, slowly.
struct Slow(Mutex<Vec<String>>);

#[async_trait]
impl Sink for Slow {
    fn default_schema(&self) -> Option<&'static str> {
        None
    }
    fn deterministic(&self) -> bool {
        true
    }
    fn guarantee(&self) -> Guarantee {
        tidegate_core::testkit::sink::no_guarantee()
    }
    fn limits(&self) -> Limits {
        Limits { bytes: 1 << 20, count: 100, age: Duration::from_secs(10), in_flight: 2 }
    }
    fn frame(&self, buf: &mut Vec<u8>, _: &Meta, document: &mut Render<'_>) -> Result<(), NormalizeError> {
        document(buf)
    }
    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliverError> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.0.lock().unwrap().extend(batch.documents.iter().map(|(_, meta)| meta.id.clone()));
        Ok(Delivery { delivered: batch.documents.len(), ..Delivery::default() })
    }
    async fn check(&self) -> Findings {
        Findings::default()
    }
}

fn page(id: &str, at: DateTime<Utc>) -> Change {
    let bytes = Bytes::from(format!(
        r#"{{"uuid":"{id}","published":"2026-06-01T00:00:00.000Z","eventType":"user.session.start"}}"#
    ));
    let key = Key { hour: 0, id: Key::of_content(id.as_bytes()), meaning: 1 };
    Change::Page(NewPage {
        source: "okta".to_owned(),
        stream: "system_log".to_owned(),
        lane: Lane::Live,
        at,
        records: vec![NewRecord { bytes, key, occurrence: 0, late: false }],
        reread: false,
        immutable: true,
    })
}

#[tokio::test(start_paused = true)]
async fn pages_that_wait_for_company_are_delivered_before_a_drain_ends() {
    let dir = tempfile::tempdir().unwrap();
    let now = DateTime::from_timestamp(1_780_272_000, 0).unwrap();
    let signal = Signal::default();
    let file = FileJournal::open(dir.path(), OpenOptions::new("test", now)).unwrap();
    let journal = Handle::new(Arc::new(DrainsAtAck(file, signal.clone())));
    let sink = Arc::new(Slow(Mutex::default()));
    let route = Route {
        connector: &Okta,
        organisation: None,
        host: "vendor.example.com".into(),
        takes: Box::new(|_| true),
        revisions: true,
    };
    let renderer = Renderer {
        tenant: "acme".into(),
        schema: tidegate_core::schema::by_name("raw").unwrap(),
        routes: HashMap::from([("okta".to_owned(), route)]),
        original: false,
        as_sent: false,
        namespace: "default".to_owned(),
        geoip: None,
    };
    let deliverer = Deliverer {
        key: "slow".to_owned(),
        sink: sink.clone(),
        renderer: Arc::new(renderer),
        journal: journal.clone(),
        clock: Clock::starting_at(now),
        board: Board::default(),
        start: Start::Kept,
        give_up: GiveUp::default(),
        stop: signal.watch(),
        bell: Arc::default(),
    };
    deliverer.claim().await.unwrap();
    journal.commit(vec![page("first", now)]).await.unwrap();
    let running = tokio::spawn(deliverer.run());
    // The first page is on its way for two seconds; the second one comes meanwhile and would wait ten.
    tokio::time::sleep(Duration::from_secs(1)).await;
    journal.commit(vec![page("second", now)]).await.unwrap();
    running.await.unwrap().unwrap();
    assert_eq!(*sink.0.lock().unwrap(), ["first", "second"]);
}
