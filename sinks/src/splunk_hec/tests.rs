use super::*;
use proptest::prelude::*;
use std::io::Read as _;
use tidegate_core::testkit::script::{Reply, Script};
use tidegate_core::testkit::sink::{self as kit, Destination, Fate, Invented, NAMES};

const TOKEN: &str = "11111111-2222-3333-4444-555555555555";

struct Receiver {
    secret: tempfile::NamedTempFile,
    acknowledges: bool,
}

impl Receiver {
    fn new(acknowledges: bool) -> Self {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), TOKEN).unwrap();
        Self { secret, acknowledges }
    }

    fn sink(&self, far: &Script, more: &str) -> SplunkHec {
        self.at(far, r#""url":"https://siem.example.com:8088""#, more)
    }

    fn at(&self, far: &Script, url: &str, more: &str) -> SplunkHec {
        let table = format!(r#"{{{url},"token":"file:{}"{more}}}"#, self.secret.path().display());
        SplunkHec::new(Options::read(&serde_json::from_str(&table).unwrap()).unwrap(), far.client())
    }
}

/// A sink without acknowledgement.
fn plain(far: &Script, more: &str) -> (SplunkHec, Receiver) {
    let receiver = Receiver::new(false);
    (receiver.sink(far, &format!(r#","ack":"off"{more}"#)), receiver)
}

fn body(request: &Request<Bytes>) -> String {
    let body = request.body().clone();
    if request.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        return text;
    }
    String::from_utf8(body.to_vec()).unwrap()
}

fn envelopes(request: &Request<Bytes>) -> Vec<serde_json::Value> {
    let text = body(request);
    serde_json::Deserializer::from_str(&text).into_iter().map(|value| value.unwrap()).collect()
}

fn ids(request: &Request<Bytes>) -> Vec<String> {
    let id = |envelope: &serde_json::Value| envelope["event"]["event"]["id"].as_str().unwrap().to_owned();
    envelopes(request).iter().map(id).collect()
}

fn is_event(request: &Request<Bytes>) -> bool {
    request.uri().path().ends_with("/services/collector/event") && !request.body().is_empty()
}

fn asked_acks(request: &Request<Bytes>) -> Vec<String> {
    let text = body(request);
    let list = text.trim_start_matches("{\"acks\":[").trim_end_matches("]}");
    list.split(',').map(str::to_owned).collect()
}

fn acks(told: &[(String, bool)]) -> Reply {
    let told: Vec<_> = told.iter().map(|(id, told)| format!("\"{id}\":{told}")).collect();
    Reply::json(200, format!("{{\"acks\":{{{}}}}}", told.join(",")))
}

fn all_true(request: &Request<Bytes>) -> Reply {
    acks(&asked_acks(request).into_iter().map(|id| (id, true)).collect::<Vec<_>>())
}

fn code(status: u16, code: u64) -> Reply {
    Reply::json(status, format!("{{\"text\":\"as it may be worded\",\"code\":{code}}}"))
}

fn bad(code: u64, number: usize) -> Reply {
    Reply::json(
        400,
        format!("{{\"text\":\"as it may be worded\",\"code\":{code},\"invalid-event-number\":{number}}}"),
    )
}

fn taken(ack: Option<&str>) -> Reply {
    let ack = ack.map(|id| format!(",\"ackId\":{id}")).unwrap_or_default();
    Reply::json(200, format!("{{\"text\":\"Success\",\"code\":0{ack}}}"))
}

fn disabled() -> Reply {
    code(400, 14)
}

/// A far side that answers documents by `answer`, and every question for acknowledgements with "disabled".
fn answering(mut answer: impl FnMut(&Request<Bytes>) -> Reply + Send + 'static) -> Script {
    let far = Script::start();
    far.answer(move |request, _| Ok(if is_event(request) { answer(request) } else { disabled() }));
    far
}

impl Destination for Receiver {
    fn open(&self, http: Client) -> Arc<dyn Sink> {
        let table = serde_json::json!({
            "url": "https://siem.example.com:8088",
            "token": format!("file:{}", self.secret.path().display()),
        });
        Arc::new(SplunkHec::new(Options::read(table.as_object().unwrap()).unwrap(), http))
    }

    fn documents(&self, request: &Request<Bytes>) -> Option<usize> {
        is_event(request).then(|| envelopes(request).len())
    }

    fn other(&self, request: &Request<Bytes>) -> Reply {
        match request.uri().path() {
            "/services/collector/ack" if self.acknowledges => all_true(request),
            "/services/collector/ack" => disabled(),
            _ => code(400, 5),
        }
    }

    fn answer(&self, fates: &[Fate]) -> Option<Reply> {
        if fates.iter().all(|fate| *fate == Fate::Barred) {
            return Some(bad(7, 1));
        }
        let first = fates.iter().position(|fate| *fate != Fate::Taken);
        match first.map(|at| (at, fates[at])) {
            None => Some(taken(self.acknowledges.then_some("18446744073709551615"))),
            Some((at, Fate::Unfit)) => {
                let known = fates.iter().all(|fate| matches!(fate, Fate::Taken | Fate::Unfit));
                known.then(|| bad(12, at))
            }
            Some(_) => None,
        }
    }

    fn stops_at_the_first_unfit(&self) -> bool {
        true
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }
}

#[tokio::test(start_paused = true)]
async fn conforms_without_acknowledgement() {
    kit::conforms(Arc::new(Receiver::new(false))).await;
}

#[tokio::test(start_paused = true)]
async fn conforms_with_acknowledgement() {
    kit::conforms(Arc::new(Receiver::new(true))).await;
}

async fn deliver(sink: &SplunkHec, count: usize) -> Result<Delivery, DeliverError> {
    let outcome = sink.deliver(&kit::batch(sink, &NAMES, &kit::invented(count))).await;
    if let Ok(delivery) = &outcome {
        kit::covers_each_once(delivery, count);
    }
    outcome
}

fn places(list: &[Trouble]) -> Vec<usize> {
    let mut places: Vec<_> = list.iter().map(|(at, _)| *at).collect();
    places.sort_unstable();
    places
}

#[tokio::test]
async fn a_request_says_what_it_must() {
    let far = answering(|_| taken(None));
    let receiver = Receiver::new(false);
    let sink = receiver.sink(&far, r#","index":"idp_acme","fields":["tidegate_id","tenant"]"#);
    assert_eq!(deliver(&sink, 2).await.unwrap().delivered, 2);
    let requests = far.requests();
    assert_eq!(requests.len(), 2, "the question for acknowledgement, and the documents");
    let request = &requests[1];
    assert_eq!(request.uri(), "https://siem.example.com:8088/services/collector/event");
    let headers = request.headers();
    assert_eq!(headers[AUTHORIZATION], format!("Splunk {TOKEN}"));
    assert!(headers[AUTHORIZATION].is_sensitive());
    assert_eq!(
        (&headers[CONTENT_ENCODING], &headers[CONTENT_TYPE]),
        (&"gzip".parse().unwrap(), &"application/json".parse().unwrap())
    );
    assert!(headers["user-agent"].to_str().unwrap().starts_with("tidegate/"));
    assert_eq!(headers[channel::CHANNEL].len(), 36);
    assert_eq!(
        envelopes(request)[1],
        serde_json::json!({
            "time": 0, "host": "acme.okta.example.com", "source": "OktaIM2:log", "sourcetype": "OktaIM2:log",
            "index": "idp_acme", "fields": { "tidegate_id": "5a1f-1", "tenant": "acme" },
            "event": serde_json::from_str::<serde_json::Value>(&kit::invented(2)[1].1).unwrap(),
        })
    );
    assert!(body(request).contains(&kit::invented(2)[1].1), "the document stands as it was rendered");
}

#[tokio::test]
async fn lines_carry_their_metadata_in_the_address() {
    let far = Script::start();
    far.answer(|_, _| Ok(taken(None)));
    let (sink, _receiver) =
        plain(&far, r#","endpoint":"raw","index":"idp_acme","source":"a b","sourcetype":"x:y","gzip":false"#);
    assert_eq!(deliver(&sink, 3).await.unwrap().delivered, 3);
    let request = &far.requests()[0];
    assert_eq!(
        request.uri().path_and_query().unwrap(),
        "/services/collector/raw?host=acme.okta.example.com&source=a+b&sourcetype=x%3Ay&index=idp_acme"
    );
    assert!(!request.headers().contains_key(CONTENT_ENCODING));
    let text = body(request);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines, kit::invented(3).iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>());
}

/// Of two streams, in turn.
fn mixed(sink: &SplunkHec, count: usize) -> Batch {
    let of = |names, documents: &[Invented]| kit::batch(sink, names, documents);
    let (mut first, second) = (of(&NAMES, &kit::invented(count)), of(&NAMES, &kit::invented(count)));
    let mut body = first.body.to_vec();
    let from = body.len();
    body.extend_from_slice(&second.body);
    let others: Vec<_> = second
        .documents
        .into_iter()
        .map(|(span, meta)| (span.start + from..span.end + from, Meta { stream: "other".into(), ..meta }))
        .collect();
    first.documents = first.documents.into_iter().zip(others).flat_map(|(one, other)| [one, other]).collect();
    first.body = body.into();
    first
}

#[tokio::test]
async fn an_index_that_is_barred_holds_up_no_other_and_names_itself() {
    let far = answering(|request| {
        if envelopes(request).iter().any(|e| e["index"] == "idp_northwind") { bad(7, 1) } else { taken(None) }
    });
    let receiver = Receiver::new(false);
    let sink = receiver.sink(&far, r#","index":"main","indexes":{"okta":{"other":"idp_northwind"}}"#);
    // The frames name the index, so each stream is framed as itself.
    let mut batch = mixed(&sink, 3);
    let mut body = Vec::new();
    for (n, (span, meta)) in batch.documents.iter_mut().enumerate() {
        let from = body.len();
        sink.frame(&mut body, meta, &mut |buf: &mut Vec<u8>| {
            buf.extend_from_slice(kit::invented(6)[n].1.as_bytes());
            Ok(())
        })
        .unwrap();
        *span = from..body.len();
    }
    batch.body = body.into();
    let delivery = sink.deliver(&batch).await.unwrap();
    kit::covers_each_once(&delivery, 6);
    assert_eq!((delivery.delivered, places(&delivery.fault)), (3, vec![1, 3, 5]));
    let fault = &delivery.fault[0].1;
    assert!(fault.message.starts_with("token may not write index idp_northwind"), "{fault}");
    assert!(fault.remedy.is_some());
    let sent: Vec<usize> =
        far.requests().iter().filter(|r| is_event(r)).map(|r| envelopes(r).len()).collect();
    assert_eq!(sent, [3, 3], "one request an index, each once");
}

#[tokio::test]
async fn what_stands_before_a_bad_document_is_never_sent_again() {
    for code in [6, 12, 13, 15] {
        let far = answering(move |request| {
            let unfit = |id: &String| ["5a1f-0", "5a1f-4", "5a1f-5", "5a1f-9"].contains(&id.as_str());
            ids(request).iter().position(unfit).map_or_else(|| taken(None), |at| bad(code, at))
        });
        let (sink, _receiver) = plain(&far, "");
        let delivery = deliver(&sink, 10).await.unwrap();
        assert_eq!((delivery.delivered, places(&delivery.rejected)), (6, vec![0, 4, 5, 9]), "code {code}");
        let sent: Vec<Vec<String>> = far.requests().iter().map(ids).collect();
        let of = |range: Range| range.map(|n| format!("5a1f-{n}")).collect::<Vec<_>>();
        assert_eq!(sent, [of(0..10), of(1..10), of(5..10), of(6..10)], "code {code}");
    }
}

type Range = std::ops::Range<usize>;

#[tokio::test]
async fn a_number_of_the_raw_endpoint_condemns_nobody() {
    // It breaks lines by rules of its own and so counts other lines than ours: two for each of them.
    let far = Script::start();
    far.answer(move |request, _| {
        let text = body(request);
        let at = text.lines().position(|line| line.contains("5a1f-3"));
        Ok(at.map_or_else(|| taken(None), |at| bad(12, 2 * at)))
    });
    let (sink, _receiver) = plain(&far, r#","endpoint":"raw""#);
    let (mut delivered, rejected, kept) = drain(&sink, &kit::invented(9), 50).await;
    delivered.sort();
    let others: Vec<String> = (0..9).filter(|n| *n != 3).map(|n| format!("5a1f-{n}")).collect();
    assert_eq!((delivered, rejected, kept), (others, vec!["5a1f-3".to_owned()], Vec::new()));
    let last = far.requests().iter().map(body).filter(|text| text.contains("5a1f-3")).last().unwrap();
    assert_eq!(last.lines().count(), 1, "it was condemned alone");
}

#[tokio::test]
async fn without_a_number_the_culprit_is_found_by_halving() {
    let far =
        answering(
            |request| if ids(request).contains(&"5a1f-5".to_owned()) { code(400, 12) } else { taken(None) },
        );
    let (sink, _receiver) = plain(&far, "");
    let (delivered, rejected, kept) = drain(&sink, &kit::invented(8), 50).await;
    assert_eq!((delivered.len(), rejected, kept), (7, vec!["5a1f-5".to_owned()], Vec::new()));
}

#[tokio::test]
async fn a_large_request_whose_first_document_is_named_is_halved_and_no_good_document_condemned() {
    let most = 70_000;
    let far = answering(move |request| if body(request).len() > most { bad(6, 0) } else { taken(None) });
    let (sink, _receiver) = plain(&far, "");
    let mut documents = kit::invented(4);
    for (_, text) in &mut documents {
        *text = text.replace("kim.roe", &"k".repeat(40_000));
    }
    documents[2].1 = documents[2].1.replace("kkkk", "kkkkkkkkkkkk");
    let (mut delivered, rejected, kept) = drain(&sink, &documents, 50).await;
    delivered.sort();
    assert_eq!(
        (delivered, rejected, kept),
        (vec!["5a1f-0".into(), "5a1f-1".into(), "5a1f-3".into()], vec!["5a1f-2".to_owned()], Vec::new())
    );
    let error = deliver(&plain(&answering(move |_| bad(6, 0)), "").0, 2).await.unwrap();
    assert_eq!(places(&error.rejected), [0, 1], "a small request names the document that is meant");
}

/// As the delivery loop does it, without its waits: halves, repeats, and gives up after `rounds`.
/// Returns ids of delivered, of rejected and of kept documents.
async fn drain(
    sink: &SplunkHec,
    documents: &[Invented],
    rounds: usize,
) -> (Vec<String>, Vec<String>, Vec<String>) {
    let mut todo = vec![documents.to_vec()];
    let (mut delivered, mut rejected) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let Some(part) = todo.pop() else { break };
        match sink.deliver(&kit::batch(sink, &NAMES, &part)).await {
            Ok(delivery) => {
                kit::covers_each_once(&delivery, part.len());
                let refused = places(&delivery.rejected);
                let again = [places(&delivery.retry), places(&delivery.fault)].concat();
                for (n, (id, _)) in part.iter().enumerate() {
                    if refused.contains(&n) {
                        rejected.push(id.clone());
                    } else if !again.contains(&n) {
                        delivered.push(id.clone());
                    }
                }
                if !again.is_empty() {
                    todo.insert(0, again.iter().map(|n| part[*n].clone()).collect());
                }
            }
            Err(DeliverError::Split { .. }) => {
                assert!(part.len() > 1, "a single document is never split");
                let (left, right) = part.split_at(part.len() / 2);
                todo.extend([right.to_vec(), left.to_vec()]);
            }
            Err(_) => todo.insert(0, part),
        }
    }
    (delivered, rejected, todo.into_iter().flatten().map(|(id, _)| id).collect())
}

#[tokio::test]
async fn what_cannot_go_in_halts_and_says_what_to_do() {
    for (reply, says) in [
        (code(403, 4), "token"),
        (code(401, 3), "token"),
        (code(403, 1), "token"),
        (code(400, 21), "token"),
        (code(400, 10), "ack = \"auto\""),
        (code(400, 28), "ack = \"auto\""),
        (code(400, 16), "proxy"),
        (code(404, 404), "`url`"),
        (Reply::json(405, "").replace("content-type", "text/html"), "`url`"),
        (Reply::json(415, "<html>").replace("content-type", "text/html"), "gzip = false"),
        (code(400, 5), "log"),
        (Reply::json(400, "<html>plain HTTP to an HTTPS port").replace("content-type", "text/html"), "log"),
    ] {
        let answer = reply.clone();
        let far = answering(move |_| answer.clone());
        let (sink, _receiver) = plain(&far, "");
        let error = deliver(&sink, 3).await.unwrap_err();
        assert!(matches!(error, DeliverError::Halt { .. }), "{reply:?}: {error:?}");
        let remedy = error.cause().remedy.clone().unwrap();
        assert!(remedy.contains(says), "{reply:?}: {remedy}");
    }
}

#[tokio::test]
async fn a_token_that_was_rotated_is_read_again_and_tried_once() {
    for (status, number) in [(403, 4), (403, 1), (401, 3), (400, 21), (400, 22)] {
        let far = answering(move |request| {
            let new = request.headers()[AUTHORIZATION] == "Splunk new";
            if new { taken(None) } else { code(status, number) }
        });
        let (sink, receiver) = plain(&far, "");
        assert!(matches!(deliver(&sink, 2).await, Err(DeliverError::Halt { .. })));
        assert_eq!(far.requests().len(), 1);
        let (sink, receiver) = (receiver.sink(&far, r#","ack":"off""#), receiver);
        sink.token.read().unwrap();
        std::fs::write(receiver.secret.path(), "new").unwrap();
        let outcome = deliver(&sink, 2).await;
        assert_eq!(outcome.unwrap().delivered, 2, "{status} code {number}");
        assert_eq!(far.requests().len(), 2, "refused, read again, taken");
    }
}

#[tokio::test]
async fn a_client_certificate_that_was_renewed_is_read_again_when_no_connection_comes_about() {
    let far = answering(|_| taken(None));
    let receiver = Receiver::new(false);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    for name in ["client.pem", "client.key"] {
        std::fs::write(file(name), "old").unwrap();
    }
    let keys = serde_json::json!({
        "certificate": format!("file:{}", file("client.pem")), "private_key": format!("file:{}", file("client.key")),
    });
    let sink = receiver.sink(&far, &format!(r#","ack":"off","client":{keys}"#));
    deliver(&sink, 1).await.unwrap();
    let in_use = |sink: &SplunkHec| sink.certified.lock().unwrap().is_some();
    assert!(in_use(&sink));
    std::fs::write(file("client.key"), "new").unwrap();
    far.fail(TransportError::Tls("received fatal alert: CertificateExpired".to_owned()));
    deliver(&sink, 1).await.unwrap_err();
    assert!(!in_use(&sink), "the next connection is made with what is in the files now");
    let client = sink.config.client.as_ref().unwrap();
    assert!(client.private_key.read().unwrap().for_signing(|key| key == b"new"));
    assert_eq!(deliver(&sink, 1).await.unwrap().delivered, 1);
}

#[tokio::test]
async fn a_broken_connection_that_was_kept_open_is_tried_again_at_once_on_a_new_channel() {
    let far = answering(|_| taken(None));
    let receiver = Receiver::new(false);
    let sink = receiver.sink(&far, "");
    deliver(&sink, 1).await.unwrap();
    let broken = || TransportError::Broken("connection reset by peer".to_owned());
    far.fail(broken());
    let error = deliver(&sink, 1).await.unwrap_err();
    assert!(matches!(error, DeliverError::Retry { after: Some(Duration::ZERO), .. }), "{error:?}");
    far.fail(broken());
    let error = deliver(&sink, 1).await.unwrap_err();
    assert!(matches!(error, DeliverError::Retry { after: None, .. }), "a fresh one waits: {error:?}");
    deliver(&sink, 1).await.unwrap();
    let channels: HashSet<_> = far
        .requests()
        .iter()
        .filter(|r| is_event(r))
        .map(|r| r.headers()[channel::CHANNEL].clone())
        .collect();
    assert_eq!(channels.len(), 3, "one until the first break, one for each after it");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_fails_is_left_alone_while_another_is_well() {
    let far = Script::start();
    far.answer(|request, _| {
        if request.uri().host() == Some("a.example.com") {
            return Err(TransportError::Connect("refused".to_owned()));
        }
        Ok(if is_event(request) { taken(None) } else { disabled() })
    });
    let receiver = Receiver::new(false);
    let urls = r#""urls":["https://a.example.com:8088","https://b.example.com:8088"]"#;
    let sink = receiver.at(&far, urls, r#","ack":"off""#);
    assert!(matches!(deliver(&sink, 1).await, Err(DeliverError::Retry { .. })));
    for _ in 0..5 {
        assert_eq!(deliver(&sink, 1).await.unwrap().delivered, 1);
    }
    assert_eq!(far.requests().iter().filter(|r| r.uri().host() == Some("a.example.com")).count(), 1);
}

/// A far side with acknowledgement: `answer` says which of the asked ids are true.
fn acknowledging(mut told: impl FnMut(&str, u64) -> bool + Send + 'static) -> Script {
    let far = Script::start();
    let (mut next, mut asked) = (0_u64, 0_u64);
    far.answer(move |request, _| {
        if is_event(request) {
            next += 1;
            return Ok(taken(Some(&(next - 1).to_string())));
        }
        asked += 1;
        Ok(acks(
            &asked_acks(request).into_iter().map(|id| (id.clone(), told(&id, asked))).collect::<Vec<_>>(),
        ))
    });
    far
}

#[tokio::test(start_paused = true)]
async fn delivered_is_what_an_indexer_says_is_safe() {
    // The first question is the probe; the batch's id is true at the fourth.
    let far = acknowledging(|_, asked| asked >= 5);
    let receiver = Receiver::new(true);
    let sink = receiver.sink(&far, "");
    assert_eq!(sink.guarantee().level, Level::BestEffort, "nothing is known yet");
    let begin = Instant::now();
    assert_eq!(deliver(&sink, 3).await.unwrap().delivered, 3);
    assert_eq!(begin.elapsed(), Duration::from_millis(500 + 1_000 + 2_000 + 4_000));
    assert_eq!(sink.guarantee().level, Level::AtLeastOnce);
    let requests = far.requests();
    let documents: Vec<_> = requests.iter().filter(|r| is_event(r)).collect();
    assert_eq!(documents.len(), 1, "sent once");
    let channel = &documents[0].headers()[channel::CHANNEL];
    assert!(requests.iter().all(|r| r.headers()[channel::CHANNEL] == *channel), "asked on its own channel");
}

#[tokio::test(start_paused = true)]
async fn the_ids_of_a_batch_are_asked_for_together_and_no_faster_than_configured() {
    let far = acknowledging(|id, asked| id == "0" && asked == 2 || asked > 12);
    let receiver = Receiver::new(true);
    let sink = receiver.sink(&far, r#","indexes":{"okta":{"other":"other"}},"ack_poll":"4s""#);
    let delivery = sink.deliver(&mixed(&sink, 2)).await.unwrap();
    assert_eq!(delivery.delivered, 4);
    let asked: Vec<Vec<String>> = far.requests().iter().filter(|r| !is_event(r)).map(asked_acks).collect();
    assert_eq!(asked[1], ["0", "1"]);
    assert!(
        asked[2..].iter().all(|ids| ids == &["1"]),
        "one that was told is not asked for again: {asked:?}"
    );
    assert_eq!(asked.len(), 13);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_in_time_is_sent_again_on_a_new_channel() {
    let far = acknowledging(|id, _| id != "0");
    let receiver = Receiver::new(true);
    let sink = receiver.sink(&far, r#","ack_timeout":"90s""#);
    let begin = Instant::now();
    let delivery = deliver(&sink, 3).await.unwrap();
    assert_eq!(places(&delivery.retry), [0, 1, 2]);
    assert_eq!(begin.elapsed(), Duration::from_secs(90));
    assert_eq!(delivery.retry[0].1.to_string(), "not acknowledged for 90 s; sent again, may be there twice");
    assert_eq!(deliver(&sink, 3).await.unwrap().delivered, 3);
    let channels: HashSet<_> = far
        .requests()
        .iter()
        .filter(|r| is_event(r))
        .map(|r| r.headers()[channel::CHANNEL].clone())
        .collect();
    assert_eq!(channels.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn while_the_question_fails_everything_stays_pending() {
    let far = Script::start();
    let mut asked = 0;
    far.answer(move |request, _| {
        if is_event(request) {
            return Ok(taken(Some("7")));
        }
        asked += 1;
        match asked {
            1 => Ok(acks(&[])),
            2 => Err(TransportError::Broken("reset".to_owned())),
            3 => Ok(code(503, 19)),
            4 => Ok(Reply::json(200, "<html>")),
            5..=8 => Ok(code(403, 4)),
            9 => Ok(Reply::json(200, "{\"acks\":{\"7\":tr")),
            _ => Ok(all_true(request)),
        }
    });
    let receiver = Receiver::new(true);
    let sink = receiver.sink(&far, "");
    assert_eq!(deliver(&sink, 2).await.unwrap().delivered, 2);
    assert_eq!(far.requests().iter().filter(|r| is_event(r)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_refused_for_good_is_a_fault_and_keeps_everything() {
    for (refusal, questions, word) in [
        (disabled(), 1, "switched off"),
        (code(403, 4), 5, "token"),
        (code(400, 11), 5, "channel"),
        (code(404, 404), 5, "nobody answers"),
        (code(400, 12), 5, "nobody answers"),
    ] {
        let far = Script::start();
        let (mut asked, answer) = (0, refusal.clone());
        far.answer(move |request, _| {
            if is_event(request) {
                return Ok(taken(Some("0")));
            }
            asked += 1;
            Ok(if asked == 1 { acks(&[]) } else { answer.clone() })
        });
        let receiver = Receiver::new(true);
        let sink = receiver.sink(&far, "");
        let delivery = deliver(&sink, 2).await.unwrap();
        assert_eq!(places(&delivery.fault), [0, 1], "{refusal:?}");
        let cause = &delivery.fault[0].1;
        assert!(cause.remedy.is_some() && cause.message.contains(word), "{cause}");
        let asked = far.requests().iter().filter(|r| !is_event(r)).count();
        assert_eq!(asked, 1 + questions, "{refusal:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_that_leaves_it_open_whether_the_documents_are_in_there_is_a_new_channel() {
    for (first, another) in [
        (Reply::json(504, "<html>"), true),
        (code(500, 8), true),
        (Reply::json(200, "<html>"), true),
        (code(503, 9), false),
    ] {
        let far = Script::start();
        let mut replies = vec![taken(Some("0")), first.clone()];
        far.answer(move |request, _| {
            Ok(if is_event(request) { replies.pop().unwrap() } else { all_true(request) })
        });
        let receiver = Receiver::new(true);
        let sink = receiver.sink(&far, "");
        assert!(matches!(deliver(&sink, 1).await, Err(DeliverError::Retry { .. })), "{first:?}");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(deliver(&sink, 1).await.unwrap().delivered, 1);
        let channels: HashSet<_> = far
            .requests()
            .iter()
            .filter(|r| is_event(r))
            .map(|r| r.headers()[channel::CHANNEL].clone())
            .collect();
        assert_eq!(channels.len() == 2, another, "{first:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_answers_questions_and_breaks_off_every_document_is_not_asked_without_a_pause() {
    let far = Script::start();
    far.answer(|request, _| {
        if is_event(request) {
            return Err(TransportError::Broken("reset".to_owned()));
        }
        Ok(Reply::json(200, "<html>"))
    });
    let receiver = Receiver::new(true);
    let sink = receiver.sink(&far, "");
    for _ in 0..3 {
        let outcome = deliver(&sink, 1).await;
        assert!(matches!(outcome, Err(DeliverError::Retry { after: None, .. })), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn that_acknowledgements_have_ended_is_said() {
    let mut replies = vec![taken(None), taken(None), taken(Some("0"))];
    let far = Script::start();
    far.answer(move |request, _| {
        Ok(if is_event(request) { replies.pop().unwrap() } else { all_true(request) })
    });
    let receiver = Receiver::new(true);
    let sink = receiver.sink(&far, "");
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(deliver(&sink, 1).await.unwrap().warnings.len());
    }
    assert_eq!(said, [0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_comes_twice_on_one_channel_acknowledges_neither() {
    let far = Script::start();
    far.answer(|request, _| Ok(if is_event(request) { taken(Some("0")) } else { all_true(request) }));
    let receiver = Receiver::new(true);
    let sink = receiver.sink(&far, r#","indexes":{"okta":{"other":"other"}}"#);
    let delivery = sink.deliver(&mixed(&sink, 2)).await.unwrap();
    kit::covers_each_once(&delivery, 4);
    assert_eq!(places(&delivery.retry), [0, 1, 2, 3]);
    assert!(delivery.retry[0].1.remedy.as_ref().unwrap().contains("sticky"));
}

#[tokio::test(start_paused = true)]
async fn documents_that_were_taken_wait_for_their_acknowledgement_although_others_failed() {
    let far = Script::start();
    far.answer(|request, _| {
        if !is_event(request) {
            return Ok(all_true(request));
        }
        Ok(if ids(request).contains(&"5a1f-2".to_owned()) { code(503, 9) } else { taken(Some("3")) })
    });
    let receiver = Receiver::new(true);
    let sink = receiver.sink(&far, r#","indexes":{"okta":{"other":"other"}}"#);
    let mut batch = mixed(&sink, 2);
    // The second stream's documents are others.
    let others = kit::batch(&sink, &NAMES, &kit::invented(4)[2..]);
    let mut body = batch.body.to_vec();
    for (at, (span, _)) in others.documents.iter().enumerate() {
        let from = body.len();
        body.extend_from_slice(&others.body[span.clone()]);
        batch.documents[at * 2 + 1].0 = from..body.len();
    }
    batch.body = body.into();
    let delivery = sink.deliver(&batch).await.unwrap();
    kit::covers_each_once(&delivery, 4);
    assert_eq!((delivery.delivered, places(&delivery.retry)), (2, vec![1, 3]));
}

#[tokio::test(start_paused = true)]
async fn required_sends_nothing_to_a_token_that_does_not_acknowledge() {
    let far = answering(|_| taken(None));
    let receiver = Receiver::new(false);
    let sink = receiver.sink(&far, r#","ack":"required""#);
    assert_eq!(sink.guarantee().level, Level::AtLeastOnce);
    let error = deliver(&sink, 2).await.unwrap_err();
    assert!(matches!(error, DeliverError::Halt { .. }));
    assert!(error.cause().remedy.as_ref().unwrap().contains("useACK"));
    assert!(!far.requests().iter().any(is_event), "not one document was sent");
    // A receiver that says yes and then gives no id.
    let far = Script::start();
    far.answer(|request, _| Ok(if is_event(request) { taken(None) } else { acks(&[]) }));
    let sink = receiver.sink(&far, r#","ack":"required""#);
    assert!(matches!(deliver(&sink, 2).await, Err(DeliverError::Halt { .. })));
    // One that cannot say.
    let far = Script::start();
    far.answer(|request, _| Ok(if is_event(request) { taken(Some("1")) } else { code(503, 19) }));
    let sink = receiver.sink(&far, r#","ack":"required""#);
    assert!(matches!(deliver(&sink, 2).await, Err(DeliverError::Retry { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_answers_for_acknowledgements_and_gives_none_gets_nothing_more_for_an_hour() {
    let far = Script::start();
    far.answer(|request, _| Ok(if is_event(request) { taken(None) } else { acks(&[]) }));
    let receiver = Receiver::new(false);
    let sink = receiver.sink(&far, r#","ack":"required""#);
    // As core does it: every 30 s.
    let every = Duration::from_secs(30);
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3_600) {
        let error = deliver(&sink, 2).await.unwrap_err();
        assert!(matches!(error, DeliverError::Halt { .. }), "{error:?}");
        assert_eq!(error.cause().message, unacknowledged().message);
        tokio::time::advance(every).await;
    }
    let requests = far.requests();
    let sent = requests.iter().filter(|request| is_event(request)).count();
    assert_eq!((sent, requests.len()), (1, 2), "one question, and the documents once");
    // Somebody switched it on.
    far.answer(|request, _| Ok(if is_event(request) { taken(Some("3")) } else { all_true(request) }));
    assert_eq!(deliver(&sink, 2).await.unwrap().delivered, 2);
    assert_eq!(deliver(&sink, 2).await.unwrap().delivered, 2, "and stays on");
}

#[tokio::test(start_paused = true)]
async fn one_of_several_receivers_that_gives_no_acknowledgement_stops_them_all() {
    let far = Script::start();
    far.answer(|request, _| {
        let keeps = request.uri().host() == Some("a.example.com");
        Ok(match is_event(request) {
            true => taken(keeps.then_some("3")),
            false => all_true(request),
        })
    });
    let receiver = Receiver::new(false);
    let urls = r#""urls":["https://a.example.com:8088","https://b.example.com:8088"]"#;
    let sink = receiver.at(&far, urls, r#","ack":"required""#);
    let mut outcomes = Vec::new();
    for _ in 0..20 {
        // Two at a time, so that both receivers are asked.
        let (one, other) = tokio::join!(deliver(&sink, 2), deliver(&sink, 2));
        outcomes.extend([one.is_ok(), other.is_ok()]);
        tokio::time::advance(Duration::from_secs(30)).await;
    }
    let silent =
        |request: &&Request<Bytes>| is_event(request) && request.uri().host() == Some("b.example.com");
    assert_eq!(far.requests().iter().filter(silent).count(), 1, "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn auto_believes_each_answer_and_never_what_it_knew() {
    for (probe, why) in
        [(disabled(), "code 14"), (code(400, 12), "no such endpoint"), (code(404, 404), "not found")]
    {
        let mut replies = vec![taken(Some("4")), taken(None)];
        let far = Script::start();
        far.answer(move |request, _| {
            if is_event(request) {
                return Ok(replies.pop().unwrap());
            }
            Ok(if asked_acks(request) == ["0"] { probe.clone() } else { all_true(request) })
        });
        let receiver = Receiver::new(false);
        let sink = receiver.sink(&far, "");
        assert_eq!(deliver(&sink, 2).await.unwrap().delivered, 2, "{why}");
        assert_eq!(sink.guarantee().level, Level::BestEffort, "{why}");
        assert_eq!(deliver(&sink, 2).await.unwrap().delivered, 2, "{why}");
        assert_eq!(sink.guarantee().level, Level::AtLeastOnce, "an id came: {why}");
        assert_eq!(asked_acks(far.requests().last().unwrap()), ["4"], "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_busy_receiver_asks_for_outlives_the_verdicts_on_what_went_in() {
    // A batch of two requests: the second one finds the receiver busy.
    for acknowledges in [false, true] {
        let mut replies = vec![code(503, 9).header("retry-after", "40"), taken(acknowledges.then_some("7"))];
        let far = Script::start();
        far.answer(move |request, _| {
            Ok(match is_event(request) {
                true => replies.pop().unwrap(),
                false if acknowledges => all_true(request),
                false => disabled(),
            })
        });
        let receiver = Receiver::new(acknowledges);
        let sink = receiver.sink(&far, r#","batch_bytes":"500B","gzip":false"#);
        let since = Instant::now();
        let delivery = deliver(&sink, 4).await.unwrap();
        assert_eq!((delivery.delivered, places(&delivery.retry)), (2, vec![2, 3]));
        let left = delivery.after.expect("the receiver said how long");
        // What was waited for an acknowledgement counts.
        assert_eq!(since.elapsed() + left, Duration::from_secs(40), "acknowledges: {acknowledges}");
        assert_eq!(since.elapsed() > Duration::ZERO, acknowledges);
    }
    // A receiver that is broken, and not busy, may name a time, too.
    let mut replies = vec![code(503, 19).header("retry-after", "11"), bad(12, 0)];
    let far = answering(move |_| replies.pop().unwrap());
    let (sink, _receiver) = plain(&far, "");
    let delivery = deliver(&sink, 3).await.unwrap();
    assert_eq!((places(&delivery.rejected), places(&delivery.retry)), (vec![0], vec![1, 2]));
    assert_eq!(delivery.after, Some(Duration::from_secs(11)));
}

#[tokio::test(start_paused = true)]
async fn a_channel_keeps_its_cookies() {
    let far = Script::start();
    far.answer(|request, _| {
        if is_event(request) {
            return Ok(taken(Some("0")).header("set-cookie", "lb=indexer2; Path=/; HttpOnly"));
        }
        let sticky = request.headers().get("cookie").is_some_and(|cookie| cookie == "lb=indexer2");
        Ok(if sticky { all_true(request) } else { acks(&[]) })
    });
    let receiver = Receiver::new(true);
    let sink = receiver.sink(&far, "");
    assert_eq!(deliver(&sink, 1).await.unwrap().delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn c40_times_have_no_exponent_and_code_15_condemns_one_document() {
    let far = answering(|request| {
        let text = body(request);
        let odd = |line: &str| {
            let time = line.strip_prefix("{\"time\":").unwrap().split(',').next().unwrap();
            time.contains(['e', 'E'])
        };
        text.lines().position(odd).map_or_else(|| taken(None), |at| bad(15, at))
    });
    let (sink, _receiver) = plain(&far, "");
    let mut batch = kit::batch(&sink, &NAMES, &kit::invented(4));
    let times = [
        "2026-01-15T10:00:00.000Z",
        "2023-11-14T22:13:20.000Z",
        "2033-05-18T03:33:20.000Z",
        "2026-01-15T10:00:00.100Z",
    ];
    let mut body = Vec::new();
    for ((span, meta), time) in batch.documents.iter_mut().zip(times) {
        meta.time = time.parse().unwrap();
        let from = body.len();
        sink.frame(&mut body, meta, &mut |buf: &mut Vec<u8>| {
            buf.extend_from_slice(b"{}");
            Ok(())
        })
        .unwrap();
        *span = from..body.len();
    }
    batch.body = body.into();
    assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 4);
    let requests = far.requests();
    assert_eq!(requests.len(), 1, "each once");
    let text = super::tests::body(&requests[0]);
    let times: Vec<_> = text
        .lines()
        .map(|line| line.strip_prefix("{\"time\":").unwrap().split(',').next().unwrap())
        .collect();
    assert_eq!(times, ["1768471200", "1700000000", "2000000000", "1768471200.100"]);
    // Code 15 itself: only the named one is a dead letter, and the cursor goes past it.
    let far = answering(|request| {
        let at = ids(request).iter().position(|id| id == "5a1f-1");
        at.map_or_else(|| taken(None), |at| bad(15, at))
    });
    let (sink, _receiver) = plain(&far, "");
    let delivery = deliver(&sink, 4).await.unwrap();
    assert_eq!((delivery.delivered, places(&delivery.rejected)), (3, vec![1]));
}

#[tokio::test(start_paused = true)]
async fn c42_codes_24_and_25_are_delivered_and_slow_down_and_a_413_page_halves() {
    for acknowledges in [false, true] {
        let mut codes = vec![25, 24];
        let far = Script::start();
        far.answer(move |request, _| {
            if !is_event(request) {
                return Ok(if acknowledges { all_true(request) } else { disabled() });
            }
            let ack = if acknowledges { ",\"ackId\":7" } else { "" };
            let code = codes.pop().unwrap_or(0);
            Ok(Reply::json(200, format!("{{\"text\":\"approaching capacity\",\"code\":{code}{ack}}}")))
        });
        let receiver = Receiver::new(acknowledges);
        let sink = receiver.sink(&far, "");
        let mut warnings = Vec::new();
        for (widest, count) in [(4, 2), (2, 2)] {
            let delivery = deliver(&sink, count).await.unwrap();
            assert_eq!(delivery.delivered, count);
            warnings.extend(delivery.warnings);
            assert_eq!(sink.gate.width(), widest, "slower");
        }
        assert_eq!(warnings.len(), 1, "said once: {warnings:?}");
        assert!(warnings[0].contains("code 24"));
        deliver(&sink, 1).await.unwrap();
        let requests = far.requests();
        assert_eq!(requests.iter().filter(|r| is_event(r)).count(), 3, "nothing was sent again");
        let polled = requests.iter().filter(|r| !is_event(r)).any(|r| asked_acks(r) == ["7"]);
        assert_eq!(polled, acknowledges, "its id is asked for with code 25, too");
        let most = 700;
        let far = Script::start();
        far.answer(move |request, _| {
            if !is_event(request) {
                return Ok(if acknowledges { all_true(request) } else { disabled() });
            }
            if body(request).len() > most {
                return Ok(Reply::json(413, "<html>\u{2026}").replace("content-type", "text/html"));
            }
            Ok(taken(acknowledges.then_some("7")))
        });
        let sink = receiver.sink(&far, "");
        let mut documents = kit::invented(6);
        documents[3].1 = documents[3].1.replace("kim.roe", &"k".repeat(1_000));
        let (mut delivered, rejected, kept) = drain(&sink, &documents, 100).await;
        delivered.sort();
        assert_eq!(delivered, [0, 1, 2, 4, 5].map(|n| format!("5a1f-{n}")));
        assert_eq!((rejected, kept), (vec!["5a1f-3".to_owned()], Vec::new()));
    }
}

#[tokio::test]
async fn check_tells_token_and_acknowledgement_and_writes_nothing() {
    for (empty, ack, lines, fault) in [
        (code(400, 5), acks(&[]), "acknowledgement is on", None),
        (code(400, 5), disabled(), "acknowledgement is off", None),
        (code(400, 5), code(503, 19), "does not say", None),
        (code(403, 4), acks(&[]), "", Some("token")),
        (
            Reply::json(401, "Unauthorized").replace("content-type", "text/plain"),
            acks(&[]),
            "",
            Some("token"),
        ),
        (code(404, 404), acks(&[]), "", Some("address")),
        (code(503, 18), acks(&[]), "", Some("could not answer")),
    ] {
        let far = Script::start();
        far.answer(move |request, _| {
            Ok(if request.uri().path().ends_with("/ack") { ack.clone() } else { empty.clone() })
        });
        let receiver = Receiver::new(true);
        let findings = receiver.sink(&far, "").check().await;
        let said = format!("{findings:?}");
        assert!(said.contains(lines), "{said}");
        assert_eq!(!findings.faults.is_empty(), fault.is_some(), "{said}");
        assert!(fault.is_none_or(|fault| findings.faults[0].message.contains(fault)), "{said}");
        assert!(!far.requests().iter().any(is_event), "nothing was written");
    }
    let far = Script::start();
    far.answer(|request, _| {
        Ok(if request.uri().path().ends_with("/ack") { disabled() } else { code(400, 5) })
    });
    let receiver = Receiver::new(false);
    let findings = receiver.sink(&far, r#","ack":"required""#).check().await;
    assert!(findings.faults[0].remedy.as_ref().unwrap().contains("useACK"));
}

#[tokio::test]
async fn no_request_is_larger_than_configured_unless_it_is_one_document() {
    let far = answering(|_| taken(None));
    let (sink, _receiver) = plain(&far, r#","batch_bytes":"1000B","gzip":false"#);
    let mut documents = kit::invented(12);
    documents[5].1 = documents[5].1.replace("kim.roe", &"k".repeat(2_000));
    let delivery = sink.deliver(&kit::batch(&sink, &NAMES, &documents)).await.unwrap();
    assert_eq!(delivery.delivered, 12);
    let requests = far.requests();
    for request in &requests {
        assert!(
            request.body().len() <= 1_000 || ids(request) == ["5a1f-5"],
            "{} bytes",
            request.body().len()
        );
    }
    assert!(requests.len() < 12);
}

/// What a far side does with one request.
#[derive(Clone, Debug)]
enum Deed {
    Take,
    /// Stores, and then breaks the connection.
    TakeSilently,
    /// Stores, and answers with what is no receipt.
    TakeWithPage,
    Break,
    Busy,
    Wrong(u16),
    TooLarge,
    /// Stores, and never says that it is safe.
    Forget,
    NoNumber,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        3 => Just(Deed::Take),
        1 => Just(Deed::TakeSilently),
        1 => Just(Deed::TakeWithPage),
        1 => Just(Deed::Break),
        1 => Just(Deed::Busy),
        1 => prop_oneof![Just(401), Just(403), Just(404), Just(415), Just(500), Just(502)].prop_map(Deed::Wrong),
        1 => Just(Deed::TooLarge),
        1 => Just(Deed::Forget),
        1 => Just(Deed::NoNumber),
    ];
    proptest::collection::vec(deed, 0..12)
}

#[derive(Default)]
struct Stored {
    /// How often each is there.
    times: std::collections::BTreeMap<String, usize>,
    /// How often each was stored by a request whose outcome the other side could not know.
    doubtful: std::collections::BTreeMap<String, usize>,
    never: HashSet<String>,
    next: u64,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nothing_is_lost_and_only_the_doubtful_comes_twice(
        script in deeds(),
        unfit in proptest::collection::hash_set(0_usize..12, 0..4),
        acknowledges in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let stored = Arc::new(Mutex::new(Stored::default()));
        let condemned: HashSet<String> = unfit.iter().map(|n| format!("5a1f-{n}")).collect();
        let (delivered, rejected, kept) = runtime.block_on(async {
            let far = Script::start();
            let (books, condemned) = (Arc::clone(&stored), condemned.clone());
            let mut script = script.into_iter();
            far.answer(move |request, _| {
                let mut books = books.lock().unwrap();
                if !is_event(request) {
                    if !acknowledges {
                        return Ok(disabled());
                    }
                    let told = |id: String| (id.clone(), !books.never.contains(&id));
                    return Ok(acks(&asked_acks(request).into_iter().map(told).collect::<Vec<_>>()));
                }
                let deed = script.next().unwrap_or(Deed::Take);
                let ids = ids(request);
                let bad_at = ids.iter().position(|id| condemned.contains(id));
                let doubtful = match (&deed, bad_at) {
                    (Deed::TakeSilently | Deed::TakeWithPage, _) | (Deed::NoNumber, Some(_)) => true,
                    (Deed::Forget, None) => acknowledges,
                    _ => false,
                };
                if !matches!(deed, Deed::Break | Deed::Busy | Deed::Wrong(_) | Deed::TooLarge) {
                    for id in &ids[..bad_at.unwrap_or(ids.len())] {
                        *books.times.entry(id.clone()).or_default() += 1;
                        *books.doubtful.entry(id.clone()).or_default() += usize::from(doubtful);
                    }
                }
                books.next += 1;
                let id = books.next.to_string();
                match deed {
                    Deed::TakeSilently | Deed::Break => return Err(TransportError::Broken("reset".to_owned())),
                    Deed::TakeWithPage => return Ok(Reply::json(200, "<html>")),
                    Deed::Busy => return Ok(code(503, 9)),
                    Deed::Wrong(status) => return Ok(Reply::json(status, "<html>")),
                    Deed::TooLarge if ids.len() > 1 => return Ok(Reply::json(413, "<html>")),
                    Deed::Forget if acknowledges => { books.never.insert(id.clone()); }
                    Deed::NoNumber if bad_at.is_some() => return Ok(code(400, 12)),
                    // A single document would be condemned for its size: this script condemns none so.
                    Deed::TooLarge => return Ok(code(503, 9)),
                    Deed::Take | Deed::Forget | Deed::NoNumber => {}
                }
                Ok(match bad_at {
                    Some(at) => bad(12, at),
                    None => taken(acknowledges.then_some(id.as_str())),
                })
            });
            let receiver = Receiver::new(acknowledges);
            let sink = receiver.sink(&far, "");
            drain(&sink, &kit::invented(12), 200).await
        });
        let stored = stored.lock().unwrap();
        prop_assert!(kept.is_empty(), "the script ended in health: {kept:?}");
        let rejected: HashSet<String> = rejected.into_iter().collect();
        prop_assert_eq!(&rejected, &condemned);
        prop_assert_eq!(delivered.len(), 12 - condemned.len());
        for id in delivered {
            let (times, doubtful) = (stored.times.get(&id).copied().unwrap_or(0), stored.doubtful.get(&id).copied().unwrap_or(0));
            prop_assert!(times >= 1, "{} was lost", id);
            prop_assert!(times <= 1 + doubtful, "{} is there {} times, {} of them doubtful", id, times, doubtful);
        }
    }
}
