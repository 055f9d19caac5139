//! What every sink must do, whatever it speaks.
//!
//! A sink's tests describe its destination once ([`Destination`]) and call [`conforms`]; a sink without a network calls
//! [`takes_what_it_is_given`]. The far side is a [`Script`], in process, so tokio's clock may be paused.

use super::script::{Reply, Script};
use crate::fault::FaultKind;
use crate::http::{Client, TransportError};
use crate::schema::{Context, Marks};
use crate::sink::{Batch, DeliverError, Delivery, Guarantee, Level, Meta, Sink};
use crate::source::Names;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::Request;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Names for invented documents.
pub static NAMES: Names = Names {
    dataset: "okta.system",
    namespace: "okta",
    vendor: "Okta",
    product: "Okta",
    sourcetype: "OktaIM2:log",
    leef: ("Okta", "Okta"),
};

/// Names of a second stream.
pub static OTHER_NAMES: Names = Names { dataset: "cisco_duo.auth", namespace: "cisco_duo", ..NAMES };

/// What a schema is told of a document of these names, without any marks, at one moment in 2026.
#[must_use]
pub fn context(names: &'static Names) -> Context<'static> {
    let now = DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default();
    Context {
        tenant: "acme",
        organisation: None,
        namespace: "acme",
        names,
        fetched: now.into(),
        ingested: now.into(),
        id: Some("id"),
        original: false,
        as_sent: false,
        marks: Marks::default(),
    }
}

/// What the destination does with one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Takes it.
    Taken,
    /// Has it already.
    Known,
    /// Can never take it.
    Unfit,
    /// Cannot take it now.
    Busy,
    /// Takes nothing of the kind until somebody acts.
    Barred,
}

/// What a sink's tests say about its destination.
pub trait Destination: Send + Sync {
    /// A sink with credentials, whose client is this one. Its addresses are `https://siem.example.com/…`.
    fn open(&self, http: Client) -> Arc<dyn Sink>;
    /// How many documents a request brings; `None` for a request that asks for something else.
    fn documents(&self, request: &Request<Bytes>) -> Option<usize>;
    /// The answer to a request that brings no documents.
    fn other(&self, request: &Request<Bytes>) -> Reply;
    /// The answer that means these fates; `None` where the destination cannot say so.
    fn answer(&self, fates: &[Fate]) -> Option<Reply>;
    /// Whether it takes what stands before the first unfit document and looks at nothing behind it, so that its answer
    /// names one document and the rest is sent again in the same delivery. By default every document has its verdict.
    fn stops_at_the_first_unfit(&self) -> bool {
        false
    }
    /// The text of every secret that the sink was configured with.
    fn secrets(&self) -> Vec<String>;
}

/// What a sink that is only played promises: nothing.
#[must_use]
pub fn no_guarantee() -> Guarantee {
    Guarantee { level: Level::BestEffort, because: "it is only played".to_owned(), except: Vec::new() }
}

/// A document's id and text.
pub type Invented = (String, String);

/// This many invented documents.
#[must_use]
pub fn invented(count: usize) -> Vec<Invented> {
    (0..count)
        .map(|n| {
            let document = format!(
                r#"{{"@timestamp":"2026-01-15T10:00:00.000Z","event":{{"id":"5a1f-{n}"}},"message":"kim.roe@example.com"}}"#
            );
            (format!("5a1f-{n}"), document)
        })
        .collect()
}

/// Documents framed by the sink, as the delivery loop does it.
#[must_use]
pub fn batch(sink: &dyn Sink, names: &'static Names, documents: &[Invented]) -> Batch {
    let (mut body, mut batch) = (Vec::new(), Batch::default());
    for (id, text) in documents {
        let meta = Meta {
            id: id.clone(),
            tenant: "acme".into(),
            source: "okta".into(),
            connector: "okta",
            stream: "system_log".into(),
            host: "acme.okta.example.com".into(),
            names,
            sourcetype: names.sourcetype,
            time: DateTime::<Utc>::UNIX_EPOCH,
        };
        let from = body.len();
        sink.frame(&mut body, &meta, &mut |buf: &mut Vec<u8>| {
            buf.extend_from_slice(text.as_bytes());
            Ok(())
        })
        .expect("an invented document can be framed");
        batch.documents.push((from..body.len(), meta));
    }
    batch.body = body.into();
    batch
}

/// Checks that a delivery says exactly one thing about each of `count` documents.
pub fn covers_each_once(delivery: &Delivery, count: usize) {
    let mut named = BTreeSet::new();
    for (index, _) in delivery.retry.iter().chain(&delivery.rejected).chain(&delivery.fault) {
        assert!(*index < count, "document {index} of {count} was never sent");
        assert!(named.insert(*index), "document {index} has two verdicts: {delivery:?}");
    }
    assert_eq!(delivery.delivered + delivery.duplicates + named.len(), count, "{delivery:?}");
}

/// The whole suite. Call it under a paused clock: one test waits for a time-out.
pub async fn conforms(destination: Arc<dyn Destination>) {
    let all = Suite(destination);
    all.an_empty_batch_asks_nothing().await;
    all.everything_taken_is_delivered().await;
    all.a_partial_refusal_names_the_refused_alone().await;
    all.every_mixture_of_fates_covers_each_document_once().await;
    all.a_known_document_is_delivered().await;
    all.a_request_too_large_is_split_and_a_single_document_rejected().await;
    all.a_refused_credential_halts().await;
    all.a_busy_destination_is_asked_again_after_its_own_time().await;
    all.no_answer_means_again().await;
    all.an_answer_that_breaks_off_is_no_receipt().await;
    all.a_web_page_is_no_receipt().await;
    all.a_redirect_is_not_followed().await;
    all.secrets_are_not_printed().await;
}

/// The part of the suite that needs no far side.
pub async fn takes_what_it_is_given(sink: &dyn Sink) {
    let empty = sink.deliver(&Batch::default()).await.expect("an empty batch is delivered");
    covers_each_once(&empty, 0);
    let limits = sink.limits();
    assert!(limits.bytes > 0 && limits.count > 0 && limits.in_flight > 0, "{limits:?}");
    let one = batch(sink, &NAMES, &invented(1));
    let many = batch(sink, &NAMES, &invented(20));
    let (one, many) = tokio::join!(sink.deliver(&one), sink.deliver(&many));
    covers_each_once(&one.expect("one document is taken"), 1);
    covers_each_once(&many.expect("many documents are taken"), 20);
}

/// An answer, or none.
type Answered = Result<Reply, TransportError>;

fn page(status: u16, body: &str) -> Reply {
    Reply::json(status, body).replace("content-type", "text/html")
}

fn broken() -> Answered {
    Err(TransportError::Broken("connection reset by peer".to_owned()))
}

struct Suite(Arc<dyn Destination>);

impl Suite {
    /// A sink, and its far side which answers deliveries by `reply`.
    fn wired(
        &self,
        mut reply: impl FnMut(&dyn Destination, usize) -> Answered + Send + 'static,
    ) -> (Arc<dyn Sink>, Script) {
        let destination = Arc::clone(&self.0);
        let far = Script::start();
        far.answer(move |request, _| match destination.documents(request) {
            Some(count) => reply(&*destination, count),
            None => Ok(destination.other(request)),
        });
        (self.0.open(far.client()), far)
    }

    fn always(&self, reply: Reply) -> (Arc<dyn Sink>, Script) {
        self.wired(move |_, _| Ok(reply.clone()))
    }

    async fn an_empty_batch_asks_nothing(&self) {
        let (sink, far) = self.wired(|_, _| broken());
        let delivery = sink.deliver(&Batch::default()).await.expect("an empty batch is delivered");
        covers_each_once(&delivery, 0);
        assert!(far.requests().is_empty());
    }

    async fn everything_taken_is_delivered(&self) {
        let (sink, _far) = self.wired(fates(vec![Fate::Taken; 10]));
        let delivery = sink.deliver(&batch(&*sink, &NAMES, &invented(10))).await.expect("all are taken");
        covers_each_once(&delivery, 10);
        assert_eq!(delivery.delivered, 10);
    }

    async fn a_partial_refusal_names_the_refused_alone(&self) {
        let mut wanted = vec![Fate::Taken; 5];
        if let Some(third) = wanted.get_mut(2) {
            *third = Fate::Unfit;
        }
        if self.0.answer(&wanted).is_none() {
            return;
        }
        let (sink, _far) = self.wired(fates(wanted));
        let delivery = sink.deliver(&batch(&*sink, &NAMES, &invented(5))).await.expect("four are taken");
        covers_each_once(&delivery, 5);
        let named: Vec<_> = delivery.rejected.iter().map(|(index, _)| *index).collect();
        assert_eq!((delivery.delivered, named), (4, vec![2]));
    }

    async fn every_mixture_of_fates_covers_each_document_once(&self) {
        let all = [Fate::Taken, Fate::Known, Fate::Unfit, Fate::Busy, Fate::Barred];
        for first in all {
            for second in all {
                for third in all {
                    let wanted = vec![first, second, third];
                    if self.0.answer(&wanted).is_none() {
                        continue;
                    }
                    let (sink, _far) = self.wired(fates(wanted.clone()));
                    let documents = batch(&*sink, &NAMES, &invented(3));
                    let delivery = sink.deliver(&documents).await.expect("there is a verdict on each");
                    covers_each_once(&delivery, 3);
                    for (index, fate) in wanted.iter().enumerate() {
                        let listed = |list: &[(usize, _)]| list.iter().any(|(at, _)| *at == index);
                        let right = match fate {
                            Fate::Taken | Fate::Known => {
                                !listed(&delivery.retry)
                                    && !listed(&delivery.rejected)
                                    && !listed(&delivery.fault)
                            }
                            Fate::Unfit => listed(&delivery.rejected),
                            Fate::Busy => listed(&delivery.retry),
                            Fate::Barred => listed(&delivery.fault),
                        };
                        assert!(right, "document {index} of {wanted:?}: {delivery:?}");
                    }
                }
            }
        }
    }

    async fn a_known_document_is_delivered(&self) {
        if self.0.answer(&[Fate::Known]).is_none() {
            return;
        }
        let (sink, _far) = self.wired(fates(vec![Fate::Known, Fate::Taken]));
        assert!(sink.deterministic(), "only a deterministic sink can know a document");
        let delivery = sink.deliver(&batch(&*sink, &NAMES, &invented(2))).await.expect("both are there");
        assert_eq!((delivery.delivered, delivery.duplicates), (1, 1));
    }

    async fn a_request_too_large_is_split_and_a_single_document_rejected(&self) {
        let (sink, _far) = self.always(page(413, "<html>too large</html>"));
        let error = sink.deliver(&batch(&*sink, &NAMES, &invented(2))).await.expect_err("too large");
        assert!(matches!(error, DeliverError::Split { .. }), "{error:?}");
        let delivery = sink.deliver(&batch(&*sink, &NAMES, &invented(1))).await.expect("a verdict on it");
        covers_each_once(&delivery, 1);
        assert_eq!(delivery.rejected.first().map(|(_, fault)| fault.kind), Some(FaultKind::TooLarge));
    }

    async fn a_refused_credential_halts(&self) {
        for status in [401, 403] {
            let (sink, _far) = self.always(Reply::json(status, "{}"));
            let error = sink.deliver(&batch(&*sink, &NAMES, &invented(3))).await.expect_err("refused");
            assert!(matches!(error, DeliverError::Halt { .. }), "{status}: {error:?}");
            let kind = error.cause().kind;
            assert!(matches!(kind, FaultKind::Credential | FaultKind::Permission), "{status}: {error:?}");
            assert!(error.cause().remedy.is_some(), "{status}: nothing says what to do");
        }
    }

    async fn a_busy_destination_is_asked_again_after_its_own_time(&self) {
        let (sink, _far) = self.always(Reply::json(429, "{}").header("retry-after", "7"));
        let error = sink.deliver(&batch(&*sink, &NAMES, &invented(3))).await.expect_err("busy");
        let DeliverError::Retry { after, .. } = error else { unreachable!("{error:?}") };
        assert_eq!(after, Some(Duration::from_secs(7)));
    }

    async fn no_answer_means_again(&self) {
        let mut late = Reply::json(200, "{}");
        late.delay = Duration::from_secs(3_600);
        for reply in [
            broken(),
            Ok(late),
            Ok(Reply::json(500, "{}")),
            Ok(page(502, "<html>bad gateway</html>")),
            Ok(page(503, "")),
            Ok(page(504, "<html>")),
            Ok(page(408, "")),
        ] {
            let answer = reply.clone();
            let (sink, _far) = self.wired(move |_, _| answer.clone());
            let error = sink.deliver(&batch(&*sink, &NAMES, &invented(3))).await.expect_err("no answer");
            assert!(matches!(error, DeliverError::Retry { .. }), "{reply:?}: {error:?}");
        }
    }

    async fn an_answer_that_breaks_off_is_no_receipt(&self) {
        let Some(whole) = self.0.answer(&[Fate::Taken; 3]) else { return };
        let length = whole.chunks.iter().map(|(_, chunk)| chunk.len()).sum();
        for at in 0..length {
            let cut = whole.clone().cut(at);
            for reply in [cut.clone(), cut.broken()] {
                let (sink, _far) = self.always(reply);
                let outcome = sink.deliver(&batch(&*sink, &NAMES, &invented(3))).await;
                assert!(matches!(outcome, Err(DeliverError::Retry { .. })), "cut at {at}: {outcome:?}");
            }
        }
    }

    async fn a_web_page_is_no_receipt(&self) {
        let (sink, _far) = self.always(page(200, "<html>Please sign in</html>"));
        let outcome = sink.deliver(&batch(&*sink, &NAMES, &invented(3))).await;
        assert!(matches!(outcome, Err(DeliverError::Retry { .. })), "{outcome:?}");
    }

    async fn a_redirect_is_not_followed(&self) {
        let to = "https://elsewhere.example.net/x?token=1";
        let (sink, far) = self.always(page(307, "").header("location", to));
        let error = sink.deliver(&batch(&*sink, &NAMES, &invented(3))).await.expect_err("redirected");
        assert!(matches!(error, DeliverError::Halt { .. }), "{error:?}");
        for request in far.requests() {
            assert_eq!(request.uri().host(), Some("siem.example.com"));
        }
        assert!(!error.to_string().contains("token"), "{error}");
    }

    async fn secrets_are_not_printed(&self) {
        let secrets = self.0.secrets();
        assert!(!secrets.is_empty(), "the sink under test has a credential");
        let echo = secrets.join(" and ");
        let json =
            serde_json::json!({ "error": { "type": "security_exception", "reason": echo }, "text": echo });
        for status in [200, 400, 401, 403, 404, 413, 429, 500] {
            for reply in [Reply::json(status, json.to_string()), page(status, &format!("<p>{echo}</p>"))] {
                let (sink, _far) = self.always(reply);
                for count in [1, 3] {
                    let outcome = sink.deliver(&batch(&*sink, &NAMES, &invented(count))).await;
                    let findings = sink.check().await;
                    let printed = format!("{outcome:?} {findings:?}");
                    for secret in &secrets {
                        assert!(!printed.contains(secret.as_str()), "{status}: {printed}");
                    }
                }
            }
        }
    }
}

/// Answers the first request with these fates, later ones (single documents sent once more, or those behind the first unfit
/// one) with the fates that the documents had: a single `Unfit` stays unfit.
fn fates(wanted: Vec<Fate>) -> impl FnMut(&dyn Destination, usize) -> Answered + Send + 'static {
    move |destination, count| {
        let answer = if count == wanted.len() {
            destination.answer(&wanted)
        } else if destination.stops_at_the_first_unfit() {
            destination.answer(wanted.get(wanted.len().saturating_sub(count)..).unwrap_or_default())
        } else {
            destination.answer(&vec![Fate::Unfit; count])
        };
        answer.map_or_else(broken, Ok)
    }
}
