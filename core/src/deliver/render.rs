//! From stored pages to framed batches. Pure but for the buffer: no I/O, no clock, no waiting.
//!
//! Nothing breaks a batch: a record that cannot be read, normalized or rendered becomes a dead letter of its own, and a
//! panic in a connector or a schema is caught around that one record.

use crate::event::{Moment, Next};
use crate::fault::Fault;
use crate::geoip::GeoIp;
use crate::journal::{DeadLetter, Key, Lane, PageId, StoredPage};
use crate::json::Tape;
use crate::schema::{Context, Marks, Schema};
use crate::sink::{Batch, Limits, Meta, Sink};
use crate::source::{Connector, Identity, NormalizeError, Stream};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The last document of a batch goes beyond its limit by as much as this without a copy.
const SLACK: usize = 64 << 10;

/// A place between records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor {
    /// The page.
    pub page: PageId,
    /// The record in it.
    pub record: u32,
}

/// Where a document comes from: enough to make a dead letter of it, with the record's bytes. They are in the journal, and
/// not kept beside the document: a batch may be on its way for long, and its pages are larger than it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The source's key.
    pub source: Arc<str>,
    /// The stream's name.
    pub stream: Arc<str>,
    /// The page.
    pub page: PageId,
    /// The record in it.
    pub record: u32,
    /// Which of the record's events; `None`: the record as a whole.
    pub event: Option<u32>,
    /// When its page was fetched.
    pub at: DateTime<Utc>,
    /// See [`crate::journal::StoredRecord::revision`].
    pub revision: Option<u64>,
    /// See [`crate::journal::StoredRecord::occurrence`].
    pub occurrence: u32,
    /// The label of the replay that brings it.
    pub mark: Option<Arc<str>>,
    /// The record's bytes, of a dead letter that is sent again: its page may be gone.
    pub letter: Option<Bytes>,
}

impl Origin {
    /// Its record's place.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { page: self.page, record: self.record }
    }

    /// The dead letter of this document, whose record this is.
    #[must_use]
    pub fn dead(
        &self,
        sink: &str,
        kind: &str,
        cause: &Fault,
        at: DateTime<Utc>,
        record: &[u8],
    ) -> DeadLetter {
        DeadLetter {
            id: 0,
            sink: sink.to_owned(),
            source: self.source.to_string(),
            stream: self.stream.to_string(),
            page: self.page,
            record: self.record,
            event: self.event,
            kind: kind.to_owned(),
            reason: crate::deliver::reason(cause),
            at,
            // A copy of its own: the page's buffer must not stay in memory for one record.
            copy: Bytes::copy_from_slice(record),
            revision: self.revision,
            occurrence: self.occurrence,
            retry: false,
            mark: self.mark.as_deref().map(str::to_owned),
        }
    }
}

/// A batch, where its documents come from, and what it acknowledges.
#[derive(Debug)]
pub struct Built {
    /// Framed documents.
    pub batch: Batch,
    /// One a document.
    pub origins: Vec<Origin>,
    /// Records that never became documents.
    pub dead: Vec<DeadLetter>,
    /// Everything before this place is in this batch or an earlier one.
    pub to: Cursor,
}

impl Built {
    /// Nothing yet, from this place on.
    #[must_use]
    pub fn begin(at: Cursor) -> Self {
        let (batch, origins, dead) = Default::default();
        Self { batch, origins, dead, to: at }
    }

    /// Whether nothing more goes into it.
    #[must_use]
    pub fn is_full(&self, limits: &Limits) -> bool {
        self.bytes() >= limits.bytes || self.origins.len() >= limits.count
    }

    /// Bytes of documents.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batch.body.len()
    }

    /// Of all of it only the first record that became documents.
    #[must_use]
    pub fn first_record(self) -> Self {
        let Some(place) = self.origins.first().map(Origin::cursor) else { return self };
        let to = Cursor { record: place.record.saturating_add(1), ..place };
        let count = self.origins.iter().take_while(|origin| origin.cursor() == place).count();
        let Self { batch, mut origins, mut dead, .. } = self;
        let mut documents = batch.documents;
        documents.truncate(count);
        origins.truncate(count);
        dead.retain(|letter| Cursor { page: letter.page, record: letter.record } < to);
        let end = documents.last().map_or(0, |(span, _)| span.end);
        let body = Bytes::copy_from_slice(batch.body.get(..end).unwrap_or_default());
        Self { batch: Batch { body, documents }, origins, dead, to }
    }
}

/// Whether a sink takes a stream, by its name.
pub type Takes = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// What is known of a source whose pages are rendered. The journal may hold any stream that the source ever ran, also one
/// that the configuration names no more.
pub struct Route {
    /// Its code.
    pub connector: &'static dyn Connector,
    /// The vendor's name for its organisation ([`Connector::organisation_id`]).
    pub organisation: Option<String>,
    /// What a SIEM calls the host of its events ([`Meta::host`]).
    pub host: Arc<str>,
    /// Whether this stream's records (by its name) go to this sink.
    pub takes: Takes,
    /// Whether later meanings of a record are delivered, or only the first.
    pub revisions: bool,
}

/// How one sink of one tenant turns records into documents.
pub struct Renderer {
    /// The tenant's key.
    pub tenant: Arc<str>,
    /// The schema.
    pub schema: &'static dyn Schema,
    /// Sources by key.
    pub routes: HashMap<String, Route>,
    /// Whether documents carry the vendor's record as `event.original`.
    pub original: bool,
    /// Whether raw records stand as the API sends them, without an envelope that add-ons know.
    pub as_sent: bool,
    /// The namespace that documents carry.
    pub namespace: String,
    /// Fills where addresses are.
    pub geoip: Option<Arc<GeoIp>>,
}

impl Renderer {
    /// Batches of the pages' documents, from where one was begun that was not full. There is one at least; the last one's
    /// `to` is behind the last page.
    pub fn batches(
        &self,
        pages: &[StoredPage],
        begun: Built,
        sink: &dyn Sink,
        key: &str,
        mark: Option<&str>,
        now: DateTime<Utc>,
    ) -> Vec<Built> {
        let limits = sink.limits();
        let mut out = Vec::new();
        let mut building = Building::new(self, sink, key, now, limits);
        let mark: Option<Arc<str>> = mark.map(Into::into);
        let from = begun.to;
        let mut left = pages.iter().map(StoredPage::weight).fold(0, usize::saturating_add);
        building.go_on(begun, left);
        for page in pages {
            let skip = if page.id == from.page { from.record as usize } else { 0 };
            for (index, record) in page.records.iter().enumerate().skip(skip) {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                if building.full() {
                    out.push(building.finish(Cursor { page: page.id, record: index }));
                    building.body = crate::spare::take(building.room(left));
                }
                left = left.saturating_sub(record.bytes.len());
                let origin = Origin {
                    source: Arc::clone(&page.source),
                    stream: Arc::clone(&page.stream),
                    page: page.id,
                    record: index,
                    event: None,
                    at: page.at,
                    revision: record.revision,
                    occurrence: record.occurrence,
                    mark: mark.clone(),
                    letter: None,
                };
                let read = Read { lane: page.lane, at: page.at.into(), again: page.reread };
                building.add(&origin, &record.bytes, read);
            }
        }
        out.push(building.finish(pages.last().map_or(from, |last| Cursor { page: last.id + 1, record: 0 })));
        out
    }

    /// Whether a dead letter's record still becomes documents here.
    #[must_use]
    pub fn takes(&self, letter: &DeadLetter) -> bool {
        self.routes.get(&letter.source).is_some_and(|route| {
            (route.takes)(&letter.stream)
                && (letter.revision.is_none() || route.revisions)
                && route.connector.stream(&letter.stream).is_some()
        })
    }

    /// One batch of dead letters that are sent again, and how many of them went into it: a full one takes no more.
    pub fn dead(&self, letters: &[DeadLetter], sink: &dyn Sink, now: DateTime<Utc>) -> (Built, usize) {
        let key = letters.first().map(|letter| letter.sink.clone()).unwrap_or_default();
        let mut building = Building::new(self, sink, &key, now, sink.limits());
        let mut went = 0;
        for letter in letters {
            if went > 0 && building.full() {
                break;
            }
            went += 1;
            let origin = Origin {
                source: letter.source.as_str().into(),
                stream: letter.stream.as_str().into(),
                page: letter.page,
                record: letter.record,
                event: letter.event,
                at: letter.at,
                revision: letter.revision,
                occurrence: letter.occurrence,
                mark: letter.mark.as_deref().map(Into::into),
                letter: Some(letter.copy.clone()),
            };
            building.add(
                &origin,
                &letter.copy,
                Read { lane: Lane::Live, at: letter.at.into(), again: false },
            );
        }
        (building.finish(Cursor::default()), went)
    }
}

/// How a record was read.
#[derive(Clone, Copy)]
struct Read {
    lane: Lane,
    at: Moment,
    again: bool,
}

struct Building<'a> {
    renderer: &'a Renderer,
    sink: &'a dyn Sink,
    key: &'a str,
    now: Moment,
    limits: Limits,
    tape: Tape,
    body: Vec<u8>,
    documents: Vec<(Range<usize>, Meta)>,
    origins: Vec<Origin>,
    dead: Vec<DeadLetter>,
}

impl<'a> Building<'a> {
    fn new(
        renderer: &'a Renderer,
        sink: &'a dyn Sink,
        key: &'a str,
        now: DateTime<Utc>,
        limits: Limits,
    ) -> Self {
        Self {
            renderer,
            sink,
            key,
            now: now.into(),
            limits,
            tape: Tape::default(),
            body: Vec::new(),
            documents: Vec::new(),
            origins: Vec::new(),
            dead: Vec::new(),
        }
    }

    /// Goes on with what was begun, and makes room at once for what so many bytes of records are likely to become, so that a
    /// batch does not grow by copies of itself.
    fn go_on(&mut self, begun: Built, records: usize) {
        let Built { batch, origins, dead, .. } = begun;
        (self.documents, self.origins, self.dead) = (batch.documents, origins, dead);
        self.body = batch.body.into();
        let room = self.room(records);
        if self.body.is_empty() {
            self.body = crate::spare::take(room);
        } else {
            self.body.reserve(room);
        }
    }

    /// The room that so many bytes of records need in this batch. Documents are about twice as long as their records; memory
    /// that is not written to costs nothing.
    fn room(&self, records: usize) -> usize {
        let most = self.limits.bytes.saturating_add(SLACK).saturating_sub(self.body.len());
        records.saturating_mul(2).min(most)
    }

    fn full(&self) -> bool {
        self.body.len() >= self.limits.bytes || self.documents.len() >= self.limits.count
    }

    fn finish(&mut self, to: Cursor) -> Built {
        Built {
            batch: Batch {
                body: std::mem::take(&mut self.body).into(),
                documents: std::mem::take(&mut self.documents),
            },
            origins: std::mem::take(&mut self.origins),
            dead: std::mem::take(&mut self.dead),
            to,
        }
    }

    /// Adds all documents of a record, or none of them and a dead letter.
    fn add(&mut self, origin: &Origin, record: &[u8], read: Read) {
        let Some(route) = self.renderer.routes.get(origin.source.as_ref()) else {
            let cause = format!("source {} is not in the configuration any more", origin.source);
            self.unrouted(origin, record, cause);
            return;
        };
        if !(route.takes)(&origin.stream) || (origin.revision.is_some() && !route.revisions) {
            return;
        }
        let Some(stream) = route.connector.stream(&origin.stream) else {
            let cause = format!("{} has no stream {} any more", route.connector.name(), origin.stream);
            self.unrouted(origin, record, cause);
            return;
        };
        let (bytes, documents) = (self.body.len(), self.documents.len());
        let done = catch_unwind(AssertUnwindSafe(|| self.documents(route, stream, origin, record, read)));
        let (kind, cause) = match done {
            Ok(Ok(())) => return,
            Ok(Err(error)) => ("normalize", error.0),
            Err(_) => {
                self.tape = Tape::default();
                (
                    "internal",
                    "a panic while this record was rendered; this is a defect of tidegate".to_owned(),
                )
            }
        };
        self.body.truncate(bytes);
        self.documents.truncate(documents);
        self.origins.truncate(documents);
        let cause = Fault::new(crate::fault::FaultKind::Answer, cause);
        self.dead.push(origin.dead(self.key, kind, &cause, self.now.time(), record));
    }

    /// Nobody said that this record is not wanted: it is kept until somebody does.
    fn unrouted(&mut self, origin: &Origin, record: &[u8], cause: String) {
        let cause = Fault::new(crate::fault::FaultKind::Configuration, cause);
        self.dead.push(origin.dead(self.key, "unrouted", &cause, self.now.time(), record));
    }

    fn documents(
        &mut self,
        route: &Route,
        stream: &'static Stream,
        origin: &Origin,
        bytes: &[u8],
        read: Read,
    ) -> Result<(), NormalizeError> {
        let Self { renderer, sink, tape, body, documents, origins, now, .. } = self;
        let mark = origin.mark.as_deref();
        let record = tape.cut(bytes).map_err(|error| NormalizeError(format!("not JSON: {error}")))?;
        let identity = route.connector.identity(stream, record);
        let late = identity.time.filter(|_| read.lane == Lane::Sweep);
        let late_seconds = late.and_then(|time| u64::try_from((read.at.time() - time).num_seconds()).ok());
        let (bare, id) = document_id(&identity, origin, bytes);
        let (mut seen, mut last, mut done) = (0, Next::Another, Ok(()));
        route.connector.normalize(stream, record, &mut |event, next| {
            let (nth, several) = (seen, seen > 0 || next == Next::Another);
            seen += 1;
            if std::mem::replace(&mut last, next) == Next::Nothing {
                // Their ids would not be told apart.
                done = Err(miscounted(route, "an event came after the last one of its record"));
            }
            if done.is_err() || origin.event.is_some_and(|only| only as usize != nth) {
                return;
            }
            if let Some(geoip) = &renderer.geoip {
                geoip.fill(event);
            }
            let id = if several { nth_id(&id, nth) } else { id.clone() };
            let meta = Meta {
                id,
                tenant: Arc::clone(&renderer.tenant),
                source: Arc::clone(&origin.source),
                connector: route.connector.name(),
                stream: Arc::clone(&origin.stream),
                host: Arc::clone(&route.host),
                names: stream.names,
                sourcetype: renderer.schema.sourcetype(event, stream.names, renderer.as_sent),
                time: identity.time.unwrap_or(read.at.time()),
            };
            let context = Context {
                tenant: &renderer.tenant,
                organisation: route.organisation.as_deref(),
                namespace: &renderer.namespace,
                names: stream.names,
                ingested: *now,
                fetched: read.at,
                id: Some(&meta.id),
                original: renderer.original,
                as_sent: renderer.as_sent,
                marks: Marks {
                    late_seconds,
                    revises: origin.revision.map(|_| bare.as_str()),
                    replay: mark,
                    reread: read.again,
                },
            };
            let from = body.len();
            done =
                sink.frame(body, &meta, &mut |out| renderer.schema.render(event, &context, out).map(|_| ()));
            documents.push((from..body.len(), meta));
            origins.push(Origin {
                event: several.then_some(u32::try_from(nth).unwrap_or(u32::MAX)),
                ..origin.clone()
            });
        })?;
        done?;
        // Of an event that was to come, or of any, there is no document: better a letter than silence.
        if last != Next::Nothing {
            return Err(miscounted(route, &format!("of {seen} events of its record none is the last one")));
        }
        match origin.event.filter(|only| *only as usize >= seen) {
            Some(only) => Err(NormalizeError(format!(
                "the record has {seen} events now, and none at place {only}: the letter is kept; drop it, or retry it with a \
                 version that makes that event"
            ))),
            None => Ok(()),
        }
    }
}

/// A connector that does not keep to what it says of its events.
fn miscounted(route: &Route, what: &str) -> NormalizeError {
    let connector = route.connector.name();
    NormalizeError(format!(
        "{what}: a defect of connector {connector}; the record is kept, retry it once that is mended"
    ))
}

/// The id of a record's document as far as the record makes it; `occurrence` counts equal records without an id. Of a
/// record's several events each has its place behind it, see [`nth_id`].
#[must_use]
pub fn bare_id(identity: &Identity<'_>, record: &[u8], occurrence: u32) -> String {
    match &identity.id {
        Some(id) => id.clone().into_owned(),
        None => format!("{:032x}-{occurrence}", Key::of_content(record)),
    }
}

/// The id of one of several events.
#[must_use]
pub fn nth_id(id: &str, nth: usize) -> String {
    format!("{id}-{nth}")
}

/// The first meaning of a record keeps the vendor's bare id, so that a trial beside another shipper does not double;
/// every later one is id + meaning hash. A record without an id is known by its content and its place in its second.
/// The bare id and the document's.
fn document_id(identity: &Identity<'_>, origin: &Origin, record: &[u8]) -> (String, String) {
    let bare = bare_id(identity, record, origin.occurrence);
    let mut id = bare.clone();
    if let Some(meaning) = origin.revision {
        id.push_str(&format!("-{meaning:016x}"));
    }
    if let Some(mark) = &origin.mark {
        id.push('-');
        id.push_str(mark);
    }
    (bare, id)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use crate::deliver::vendor;
    use crate::journal::StoredRecord;
    use crate::sink::{DeliverError, Delivery, Guarantee, Render};
    use crate::source::Findings;
    use std::time::Duration;

    struct Lines;

    #[async_trait::async_trait]
    impl Sink for Lines {
        fn default_schema(&self) -> Option<&'static str> {
            None
        }
        fn deterministic(&self) -> bool {
            true
        }
        fn guarantee(&self) -> Guarantee {
            crate::testkit::sink::no_guarantee()
        }
        fn limits(&self) -> Limits {
            Limits { bytes: 1 << 20, count: 100, age: Duration::ZERO, in_flight: 1 }
        }
        fn frame(
            &self,
            buf: &mut Vec<u8>,
            _: &Meta,
            document: &mut Render<'_>,
        ) -> Result<(), NormalizeError> {
            document(buf)?;
            buf.push(b'\n');
            Ok(())
        }
        async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliverError> {
            Ok(Delivery { delivered: batch.documents.len(), ..Delivery::default() })
        }
        async fn check(&self) -> Findings {
            Findings::default()
        }
    }

    fn renderer(takes: impl Fn(&str) -> bool + Send + Sync + 'static) -> Renderer {
        Renderer {
            tenant: "acme".into(),
            schema: crate::schema::by_name("ecs").expect("ecs"),
            routes: HashMap::from([("acme".to_owned(), vendor::route(takes))]),
            original: false,
            as_sent: false,
            namespace: "default".to_owned(),
            geoip: None,
        }
    }

    fn page(id: PageId, lane: Lane, reread: bool) -> StoredPage {
        let bytes = Bytes::from(format!("\"r{id}\""));
        let records = vec![StoredRecord { bytes, revision: None, occurrence: 0 }];
        let at = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(90);
        StoredPage { id, source: "acme".into(), stream: "log".into(), lane, at, records, reread }
    }

    #[test]
    fn what_the_vendor_does_not_say_of_an_address_is_in_the_document_where_there_is_a_database() {
        let dir = tempfile::tempdir().expect("a directory");
        let asn = dir.path().join("asn.mmdb");
        std::fs::write(&asn, crate::testkit::mmdb::asn([198, 51, 100, 0].into(), 24)).expect("a file");
        let geoip = GeoIp::open(None, Some(&asn)).expect("a database");
        let renderer = Renderer { geoip: Some(Arc::new(geoip)), ..renderer(|_| true) };
        let now = DateTime::UNIX_EPOCH;
        let built = renderer.batches(
            &[page(1, Lane::Live, false)],
            Built::begin(Cursor::default()),
            &Lines,
            "lines",
            None,
            now,
        );
        let document: serde_json::Value = serde_json::from_slice(&built[0].batch.body).expect("JSON");
        assert_eq!(document["source"]["as"]["number"], 64_500);
    }

    #[test]
    fn documents_say_how_their_records_were_read() {
        let renderer = renderer(|_| true);
        let pages = [
            page(1, Lane::Live, false),
            page(2, Lane::Sweep, false),
            page(3, Lane::Backfill, false),
            page(4, Lane::Backfill, true),
        ];
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1);
        let built =
            renderer.batches(&pages, Built::begin(Cursor::default()), &Lines, "lines", Some("fix"), now);
        assert!(built.iter().all(|built| built.dead.is_empty()), "{built:?}");
        let bodies = built.iter().map(|built| String::from_utf8_lossy(&built.batch.body));
        let tags: Vec<_> = bodies
            .collect::<String>()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["tags"].clone())
            .collect();
        assert_eq!(
            tags,
            [
                serde_json::json!(["tidegate_replay"]),
                serde_json::json!(["tidegate_late", "tidegate_replay"]),
                serde_json::json!(["tidegate_replay"]),
                serde_json::json!(["tidegate_replay", "reread"]),
            ]
        );
    }

    #[test]
    fn every_stored_stream_that_is_not_declined_becomes_a_document_or_a_dead_letter() {
        let of = |stream: &str, id| StoredPage { stream: stream.into(), ..page(id, Lane::Live, false) };
        let pages = [of("log", 1), of("chat", 2), of("renamed", 3), of("declined", 4)];
        let renderer = renderer(|stream| stream != "declined");
        let built = renderer.batches(
            &pages,
            Built::begin(Cursor::default()),
            &Lines,
            "lines",
            None,
            DateTime::UNIX_EPOCH,
        );
        let delivered: Vec<_> = built.iter().flat_map(|built| &built.origins).map(|o| &*o.stream).collect();
        assert_eq!(delivered, ["log", "chat"], "also what the connector does not list");
        let dead: Vec<_> = built.iter().flat_map(|built| &built.dead).collect();
        let [letter] = dead[..] else { panic!("{dead:?}") };
        assert_eq!(
            (&*letter.kind, &*letter.stream, &letter.copy[..]),
            ("unrouted", "renamed", &b"\"r3\""[..])
        );
        assert!(letter.reason.contains("renamed"), "{}", letter.reason);
        assert!(!renderer.takes(letter), "it would only come back");
        assert!(renderer.takes(&DeadLetter { stream: "chat".to_owned(), ..letter.clone() }));
    }

    #[test]
    fn a_record_whose_events_are_not_as_many_as_was_said_is_a_dead_letter_for_their_ids_would_be_others() {
        let pages = [(1, "mail"), (2, "endless"), (3, "unended")];
        let pages =
            pages.map(|(id, stream)| StoredPage { stream: stream.into(), ..page(id, Lane::Live, false) });
        let (begin, now) = (Built::begin(Cursor::default()), DateTime::UNIX_EPOCH);
        let built = renderer(|_| true).batches(&pages, begin, &Lines, "lines", None, now);
        let documents = built.iter().flat_map(|built| &built.batch.documents);
        assert_eq!(documents.map(|(_, meta)| &*meta.id).collect::<Vec<_>>(), ["r1-0", "r1-1"]);
        let dead: Vec<_> = built.iter().flat_map(|built| &built.dead).collect();
        let [endless, unended] = dead[..] else { panic!("{dead:?}") };
        for (letter, stream, why) in
            [(endless, "endless", "after the last one"), (unended, "unended", "none is the last one")]
        {
            assert_eq!((&*letter.kind, &*letter.stream), ("normalize", stream));
            assert!(letter.reason.contains(why), "{}", letter.reason);
        }
    }

    #[test]
    fn the_letter_of_an_event_that_its_record_no_longer_has_stays_a_letter() {
        let renderer = renderer(|_| true);
        let pages = [page(1, Lane::Live, false)];
        let (begin, now) = (Built::begin(Cursor::default()), DateTime::UNIX_EPOCH);
        let built = renderer.batches(&pages, begin, &Lines, "lines", None, now);
        let fault = Fault::new(crate::fault::FaultKind::Answer, "refused");
        let sent = |event| {
            let origin = Origin { event, ..built[0].origins[0].clone() };
            renderer.dead(&[origin.dead("lines", "rejected", &fault, now, b"\"r1\"")], &Lines, now).0
        };
        assert_eq!([None, Some(0)].map(|event| sent(event).batch.documents.len()), [1, 1]);
        let gone = sent(Some(1));
        let [again] = &gone.dead[..] else { panic!("{gone:?}") };
        assert!(gone.batch.documents.is_empty() && again.reason.contains("none at place 1"), "{again:?}");
    }
}
