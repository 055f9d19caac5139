//! What every [`Source`] must do, whoever wrote it.
//!
//! Implement [`Vendor`] (how this vendor's answers look) and call [`conforms`] under a paused clock:
//!
//! ```ignore
//! #[tokio::test(start_paused = true)]
//! async fn conforms() {
//!     tidegate_core::testkit::source::conforms(&MyVendor).await;
//! }
//! ```
//!
//! Each function below is one promise; all of them also look into every error for secrets and query strings.

use super::script::{Reply, Script};
use crate::fault::{Fault, FaultKind};
use crate::http::{Client, HttpSettings};
use crate::source::{Cursor, Page, Place, PollError, Source, Stream, StreamKind};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use std::sync::Arc;
use std::time::Duration;

/// How a vendor's answers look. All of them are answers to the stream's log request; a source that needs a token first
/// is opened with one, or [`Vendor::prepare`] lets its token endpoint answer.
pub trait Vendor: Sync {
    /// A source, as the pipeline would open it.
    fn open(&self, http: Client) -> Arc<dyn Source>;
    /// The stream under test.
    fn stream(&self) -> &'static Stream;
    /// Every text that must never be printed: the credential as it was configured and as it travels.
    fn secrets(&self) -> Vec<String>;
    /// Full pages have so many records (the source's own page size).
    fn full(&self) -> usize;
    /// So many records a page needs for a next place to follow from it; [`Vendor::full`] where only a full page has one.
    fn followed(&self) -> usize {
        2
    }
    /// A page of so many records; `place` tells this page's next place from another's.
    fn page(&self, records: usize, place: &str) -> Reply;
    /// A page of one record whose next place is the request's own; `None` where the vendor's places cannot loop.
    fn looping(&self, request: &Request<Bytes>) -> Option<Reply>;
    /// A page of one record whose next place leads to `https://evil.example.net`; `None` where places are no links.
    fn foreign(&self) -> Option<Reply>;
    /// A refusal with this status, whose text for people is `words`.
    fn refusal(&self, status: u16, words: &str) -> Reply;
    /// A refusal because of the limit; the vendor's way to say "in so many seconds" from `now`, or none at all.
    fn limited(&self, now: DateTime<Utc>, seconds: Option<u64>) -> Reply;
    /// A refusal for too many requests at the same time; `None` where the vendor has no such thing.
    fn crowded(&self, now: DateTime<Utc>, seconds: u64) -> Option<Reply>;
    /// Whether the vendor keeps a next place even after its last page.
    fn endless(&self) -> bool {
        self.stream().kind == StreamKind::Feed
    }
    /// Called before each promise, with nothing in the queue yet.
    fn prepare(&self, _script: &Script) {}
}

/// Checks all promises.
pub async fn conforms(vendor: &dyn Vendor) {
    starts_where_it_is_told_and_resumes_from_the_cursor(vendor).await;
    a_full_page_asks_for_more_and_a_short_one_waits(vendor).await;
    an_empty_page_is_progress(vendor).await;
    records_keep_their_bytes(vendor).await;
    one_poll_is_one_request(vendor).await;
    a_refused_credential_halts_with_a_remedy(vendor).await;
    a_missing_permission_halts_with_a_remedy(vendor).await;
    waits_as_long_as_the_limit_says(vendor).await;
    backs_off_by_itself_where_the_limit_says_nothing(vendor).await;
    a_crowd_is_no_limit(vendor).await;
    a_failing_server_is_asked_again(vendor).await;
    a_broken_connection_is_asked_again(vendor).await;
    a_cut_body_is_never_a_page(vendor).await;
    an_html_page_is_never_a_page(vendor).await;
    an_oversized_body_halts_and_names_the_key(vendor).await;
    a_foreign_link_is_not_followed(vendor).await;
    a_foreign_cursor_gets_no_credential(vendor).await;
    a_place_that_does_not_move_is_an_error(vendor).await;
    words_of_the_other_side_reveal_nothing(vendor).await;
    has_a_remedy(vendor).await;
}

/// A source under test and its other side.
struct Bench<'v> {
    vendor: &'v dyn Vendor,
    script: Script,
    source: Arc<dyn Source>,
    http: Client,
}

impl<'v> Bench<'v> {
    fn new(vendor: &'v dyn Vendor) -> Self {
        Self::with(vendor, HttpSettings::default())
    }

    fn with(vendor: &'v dyn Vendor, settings: HttpSettings) -> Self {
        let script = Script::start();
        vendor.prepare(&script);
        let http = script.client_with(settings, TimeDelta::zero());
        Self { vendor, source: vendor.open(http.clone()), script, http }
    }

    fn now(&self) -> DateTime<Utc> {
        self.script.clock().now()
    }

    fn start(&self) -> Place {
        let (from, to) = (self.now() - TimeDelta::hours(2), self.now() - TimeDelta::hours(1));
        match self.vendor.stream().kind {
            StreamKind::Feed => Place::Feed { cursor: None, since: from },
            StreamKind::Windowed { .. } => Place::Window { from, to, token: None },
        }
    }

    fn after(&self, cursor: Option<Cursor>) -> Place {
        match self.start() {
            Place::Feed { since, .. } => Place::Feed { cursor, since },
            Place::Window { from, to, .. } => Place::Window { from, to, token: cursor },
        }
    }

    async fn poll(&self, place: &Place, reply: Reply) -> Result<Page, PollError> {
        self.script.push(reply);
        let result = self.source.poll(self.vendor.stream(), place).await;
        if let Err(error) = &result {
            self.silent(&format!("{error:?} {error} {:?}", error.cause()));
        }
        self.silent(&format!("{:?}", self.http));
        result
    }

    async fn page(&self, place: &Place, reply: Reply) -> Page {
        self.poll(place, reply).await.expect("a good answer is a page")
    }

    async fn error(&self, reply: Reply) -> PollError {
        self.poll(&self.start(), reply).await.expect_err("a bad answer is no page")
    }

    async fn halt(&self, reply: Reply) -> Fault {
        let error = self.error(reply).await;
        assert!(matches!(error, PollError::Halt { .. }), "a person is needed: {error:?}");
        error.cause().clone()
    }

    async fn retry(&self, reply: Reply) -> (Option<Duration>, Fault) {
        let error = self.error(reply).await;
        let cause = error.cause().clone();
        let after = match error {
            PollError::Retry { after, .. } => Some(after),
            // The same again in halves: what a vendor that gave up on a window needs.
            PollError::Narrow { .. } if self.vendor.stream().kind != StreamKind::Feed => Some(None),
            _ => None,
        };
        (after.unwrap_or_else(|| fail(&format!("the same again may help: {cause:?}"))), cause)
    }

    fn silent(&self, text: &str) {
        for secret in self.vendor.secrets() {
            assert!(!text.contains(&secret), "a secret is printed: {text}");
        }
        assert!(!text.contains("since=") && !text.contains("after="), "a query is printed: {text}");
    }
}

#[expect(clippy::panic, reason = "a suite fails by panicking")]
fn fail<T>(what: &str) -> T {
    panic!("{what}")
}

/// The first request starts at the given time, the next one at the vendor's own place, and asking again changes
/// nothing: the source keeps no place of its own.
pub async fn starts_where_it_is_told_and_resumes_from_the_cursor(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    let first = bench.page(&bench.start(), vendor.page(vendor.followed(), "one")).await;
    assert_eq!(first.records.len(), vendor.followed());
    let next = first.next.expect("there is a next place");
    let request = log_request(&bench);
    let second = bench.page(&bench.after(Some(next.clone())), vendor.page(1, "two")).await;
    let resumed = log_request(&bench);
    assert_ne!(request, resumed, "the second request is another");
    assert_ne!(second.next.as_ref(), Some(&next), "the place moved");
    // A crash before the commit: the same cursor gives the same request, also from a source opened anew.
    let again = Bench::new(vendor);
    again.page(&again.after(Some(next)), vendor.page(1, "two")).await;
    assert_eq!(log_request(&again), resumed, "the place is in the cursor alone");
}

fn log_request(bench: &Bench<'_>) -> String {
    let last = bench.script.requests().pop().expect("a request was sent");
    format!("{} {} {}", last.method(), last.uri(), String::from_utf8_lossy(last.body()))
}

/// A full page is followed at once; a short one ends the drain, whatever links say.
pub async fn a_full_page_asks_for_more_and_a_short_one_waits(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    let full = bench.page(&bench.start(), vendor.page(vendor.full(), "one")).await;
    assert_eq!((full.records.len(), full.wait), (vendor.full(), Duration::ZERO));
    if vendor.endless() {
        let place = bench.after(full.next);
        let short = bench.page(&place, vendor.page(vendor.full() - 1, "two")).await;
        assert!(!short.wait.is_zero() && short.next.is_some(), "the place is kept and the drain ends");
    }
}

/// An empty page moves the place.
pub async fn an_empty_page_is_progress(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    let page = bench.page(&bench.start(), vendor.page(0, "one")).await;
    assert!(page.records.is_empty());
    assert_eq!(page.date.map(|date| date.timestamp()), Some(bench.now().timestamp()));
    if vendor.endless() {
        assert!(page.next.is_some() && !page.wait.is_zero());
    }
}

/// Every record is valid JSON and lies in the body as it came.
pub async fn records_keep_their_bytes(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    let page = bench.page(&bench.start(), vendor.page(3, "one")).await;
    let texts: Vec<_> = page.iter().collect();
    assert_eq!(texts.len(), 3);
    for text in texts {
        assert!(serde_json::from_slice::<serde_json::Value>(text).is_ok());
    }
}

/// No retry, no look-ahead, whatever came back.
pub async fn one_poll_is_one_request(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    bench.page(&bench.start(), vendor.page(1, "one")).await;
    let _opened = bench.script.requests();
    bench.page(&bench.start(), vendor.page(vendor.full(), "one")).await;
    assert_eq!(bench.script.requests().len(), 1);
    let before = bench.now();
    for reply in [vendor.refusal(500, "x"), vendor.refusal(403, "x"), vendor.limited(bench.now(), Some(40))] {
        let _error = bench.error(reply).await;
        assert_eq!(bench.script.requests().len(), 1);
    }
    assert_eq!(bench.now(), before, "a source never sleeps");
}

/// 401 twice: the credential may have been renewed in between, but no more than once.
pub async fn a_refused_credential_halts_with_a_remedy(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    bench.page(&bench.start(), vendor.page(1, "one")).await;
    let _opened = bench.script.requests();
    bench.script.push(vendor.refusal(401, "x"));
    let halted = bench.halt(vendor.refusal(401, "x")).await;
    assert_eq!(halted.kind, FaultKind::Credential);
    assert!(halted.remedy.is_some_and(|remedy| !remedy.is_empty()));
}

/// 403 is not the credential's fault.
pub async fn a_missing_permission_halts_with_a_remedy(vendor: &dyn Vendor) {
    let fault = Bench::new(vendor).halt(vendor.refusal(403, "x")).await;
    assert!(matches!(fault.kind, FaultKind::Permission | FaultKind::Licence), "{fault:?}");
    assert!(fault.remedy.is_some() && fault.status == Some(403));
}

/// The vendor's word, by the vendor's clock, and a little more; never negative, never for ever.
pub async fn waits_as_long_as_the_limit_says(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    let (after, fault) = bench.retry(vendor.limited(bench.now(), Some(41))).await;
    let after = after.expect("the vendor said how long");
    assert!((41..=43).contains(&after.as_secs()), "{after:?}");
    assert_eq!(fault.kind, FaultKind::RateLimit);
    let clock = bench.http.clock().now();
    assert!(bench.http.ready(clock).is_some(), "the quota keeps everybody waiting");
    let bench = Bench::new(vendor);
    let (after, _) = bench.retry(vendor.limited(bench.now() - TimeDelta::hours(2), Some(0))).await;
    assert!(after.is_none_or(|after| after.as_secs() <= 2), "a reset in the past: {after:?}");
    let (after, _) = bench.retry(vendor.limited(bench.now() + TimeDelta::days(400), Some(0))).await;
    assert!(after.is_none_or(|after| after.as_secs() <= 3600), "not for ever: {after:?}");
}

/// No number is invented.
pub async fn backs_off_by_itself_where_the_limit_says_nothing(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    let (after, fault) = bench.retry(vendor.limited(bench.now(), None)).await;
    assert_eq!((after, fault.kind), (None, FaultKind::RateLimit));
}

/// A refusal for concurrency is asked again soon, and its zero never becomes the budget.
pub async fn a_crowd_is_no_limit(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    let quota = bench.http.quota().expect("the bench has a quota").clone();
    bench.page(&bench.start(), vendor.page(1, "one")).await;
    let limit = quota.status(bench.now()).limit;
    let Some(reply) = vendor.crowded(bench.now(), 180) else { return };
    let (after, fault) = bench.retry(reply).await;
    let after = after.expect("soon");
    assert!((1..=181).contains(&after.as_secs()), "{after:?}");
    assert_eq!(fault.kind, FaultKind::Concurrency);
    assert_eq!(quota.status(bench.now()).limit, limit, "a zero never becomes the budget");
    assert_eq!(quota.counters().concurrency_refusals, 1);
}

/// 5xx, with or without a body that can be read.
pub async fn a_failing_server_is_asked_again(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    for status in [500, 502, 503, 504] {
        let (_, fault) = bench.retry(vendor.refusal(status, "x")).await;
        assert_eq!((fault.kind, fault.status), (FaultKind::Server, Some(status)));
    }
    let html = Reply::json(502, "<html>Bad Gateway</html>").replace("content-type", "text/html");
    assert_eq!(bench.retry(html).await.1.kind, FaultKind::Server);
    assert_eq!(bench.retry(Reply::json(500, "")).await.1.kind, FaultKind::Server);
}

/// Nothing of a half answer is used.
pub async fn a_broken_connection_is_asked_again(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    let (_, fault) = bench.retry(vendor.page(2, "one").cut(10).broken()).await;
    assert_eq!(fault.kind, FaultKind::Network);
}

/// A body that ends early with all its headers is told from a whole one, wherever it was cut.
pub async fn a_cut_body_is_never_a_page(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    let whole = vendor.page(2, "one");
    let length = whole.chunks.iter().map(|(_, chunk)| chunk.len()).sum::<usize>();
    for cut in (0..length).step_by((length / 40).max(1)) {
        let (_, fault) = bench.retry(whole.clone().cut(cut)).await;
        assert_eq!(fault.kind, FaultKind::Answer, "cut at {cut}");
    }
}

/// A proxy's login page with status 200 is not an empty page.
pub async fn an_html_page_is_never_a_page(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    for kind in ["text/html", "application/json"] {
        let html = Reply::json(200, "<!DOCTYPE html><html>Log in</html>").replace("content-type", kind);
        assert_eq!(bench.retry(html).await.1.kind, FaultKind::Answer);
    }
}

/// Memory is bounded, and the operator is told which key to raise.
pub async fn an_oversized_body_halts_and_names_the_key(vendor: &dyn Vendor) {
    let bench = Bench::with(vendor, HttpSettings { max_body: 4096, ..HttpSettings::default() });
    let fault = bench.halt(Reply::json(200, " ".repeat(5000))).await;
    assert_eq!(fault.kind, FaultKind::TooLarge);
    assert!(fault.message.contains("max_body"));
}

/// A page whose link leads elsewhere is not used.
pub async fn a_foreign_link_is_not_followed(vendor: &dyn Vendor) {
    let Some(reply) = vendor.foreign() else { return };
    let fault = Bench::new(vendor).halt(reply).await;
    assert_eq!(fault.kind, FaultKind::ForeignLink);
    assert!(fault.message.contains("evil.example.net"));
}

/// A stored link that leads elsewhere (a changed `url`, a forged journal) is never asked. A window may begin again
/// without it; a feed has nothing else.
pub async fn a_foreign_cursor_gets_no_credential(vendor: &dyn Vendor) {
    if vendor.foreign().is_none() {
        return;
    }
    let bench = Bench::new(vendor);
    for link in [
        "https://evil.example.net/next?after=1",
        "http://acme.example.com/next?after=1",
        "//evil.example.net/next",
        "\u{0}",
    ] {
        let place = bench.after(Some(Cursor(link.as_bytes().to_vec())));
        let error = bench.source.poll(vendor.stream(), &place).await.expect_err("refused");
        let begins_again =
            matches!(error, PollError::Restart { .. }) && matches!(place, Place::Window { .. });
        assert!(begins_again || matches!(error, PollError::Halt { .. }), "{error:?}");
        assert_eq!(error.cause().kind, FaultKind::ForeignLink);
        bench.silent(&format!("{error:?}"));
        assert!(bench.script.requests().is_empty(), "nothing was sent");
    }
}

/// Records came and the place stayed: an error, or the loop would never end.
pub async fn a_place_that_does_not_move_is_an_error(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    let first = bench.page(&bench.start(), vendor.page(vendor.followed(), "one")).await;
    let place = bench.after(first.next);
    bench.page(&place, vendor.page(1, "two")).await;
    let request = bench.script.requests().pop().expect("a request was sent");
    let Some(reply) = vendor.looping(&request) else { return };
    assert!(bench.poll(&place, reply).await.is_err(), "the place did not move although records came");
}

/// An error text of the vendor that repeats what it was sent is not repeated by us.
pub async fn words_of_the_other_side_reveal_nothing(vendor: &dyn Vendor) {
    let words = format!("refused: {} https://acme.example.com/x?since=1", vendor.secrets().join(" "));
    let words: String = words.chars().filter(|c| !c.is_control() && *c != '"').collect();
    for status in [400, 403, 404, 409, 429, 500] {
        let bench = Bench::new(vendor);
        let _error = bench.error(vendor.refusal(status, &words)).await;
        let findings = {
            bench.script.push(vendor.refusal(status, &words));
            bench.source.check().await
        };
        bench.silent(&format!("{findings:?}"));
    }
}

/// There is something to tell the operator.
pub async fn has_a_remedy(vendor: &dyn Vendor) {
    let bench = Bench::new(vendor);
    assert!(!bench.source.remedy().is_empty());
    bench.silent(&bench.source.remedy());
}
