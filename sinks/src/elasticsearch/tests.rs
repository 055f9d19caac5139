use super::*;
use std::io::Read as _;
use tidegate_core::http::TransportError;
use tidegate_core::testkit::script::{Reply, Script};
use tidegate_core::testkit::sink::{self as kit, Destination, Fate, Invented, NAMES, OTHER_NAMES};

const API_KEY: &str = "aW52ZW50ZWQ6c2VjcmV0LWtleS1vZi1hLXRlc3Q=";

/// A sink whose only way out is this far side. `more` are further keys.
fn sink(far: &Script, more: &str) -> Elasticsearch {
    let table = format!(r#"{{"urls":["https://siem.example.com:9200"],"namespace":"acme"{more}}}"#);
    let options = Options::read(&serde_json::from_str(&table).unwrap()).unwrap();
    Elasticsearch::new(options, far.client())
}

fn plain(request: &Request<Bytes>) -> Vec<u8> {
    let body = request.body().clone();
    if request.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip") {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut text).unwrap();
        return text;
    }
    body.to_vec()
}

/// The action lines and documents of a bulk request.
fn actions(request: &Request<Bytes>) -> Vec<(serde_json::Value, String)> {
    let text = String::from_utf8(plain(request)).unwrap();
    assert!(text.ends_with('\n'));
    let lines: Vec<_> = text.lines().collect();
    lines.chunks(2).map(|two| (serde_json::from_str(two[0]).unwrap(), two[1].to_owned())).collect()
}

fn is_bulk(request: &Request<Bytes>) -> bool {
    request.uri().path().ends_with("/_bulk")
}

fn item(status: u16, kind: &str, reason: &str) -> serde_json::Value {
    if kind.is_empty() {
        return serde_json::json!({ "create": { "_index": ".ds-logs-okta.system-acme-000001", "status": status } });
    }
    let error = serde_json::json!({ "type": kind, "reason": reason });
    serde_json::json!({ "create": { "_index": "logs-okta.system-acme", "status": status, "error": error } })
}

fn answer(items: &[serde_json::Value]) -> Reply {
    Reply::json(200, serde_json::json!({ "took": 1, "errors": true, "items": items }).to_string())
}

fn version(number: &str) -> Reply {
    Reply::json(
        200,
        serde_json::json!({ "version": { "number": number, "build_flavor": "default" } }).to_string(),
    )
}

/// A far side that tells its version and judges each document.
fn judging(mut judge: impl FnMut(&serde_json::Value, &str) -> serde_json::Value + Send + 'static) -> Script {
    let far = Script::start();
    far.answer(move |request, _| {
        if !is_bulk(request) {
            return Ok(version("9.1.0"));
        }
        let items: Vec<_> = actions(request).iter().map(|(action, text)| judge(action, text)).collect();
        Ok(answer(&items))
    });
    far
}

/// As the delivery loop does it, without its waits: halves, repeats, and gives up after `rounds`.
/// Returns ids of delivered, of rejected and of kept documents.
async fn drain(
    sink: &Elasticsearch,
    documents: &[Invented],
    rounds: usize,
) -> (usize, Vec<(String, Fault)>, Vec<String>) {
    let mut todo = vec![documents.to_vec()];
    let (mut delivered, mut rejected) = (0, Vec::new());
    for _ in 0..rounds {
        let Some(part) = todo.pop() else { break };
        let batch = kit::batch(sink, &NAMES, &part);
        match sink.deliver(&batch).await {
            Ok(delivery) => {
                kit::covers_each_once(&delivery, part.len());
                delivered += delivery.delivered + delivery.duplicates;
                rejected.extend(delivery.rejected.into_iter().map(|(n, fault)| (part[n].0.clone(), fault)));
                let again: Vec<_> =
                    delivery.retry.iter().chain(&delivery.fault).map(|(n, _)| part[*n].clone()).collect();
                if !again.is_empty() {
                    todo.insert(0, again);
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

struct Cluster {
    secret: tempfile::NamedTempFile,
}

impl Cluster {
    fn new() -> Self {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), API_KEY).unwrap();
        Self { secret }
    }
}

impl Destination for Cluster {
    fn open(&self, http: Client) -> Arc<dyn Sink> {
        let table = serde_json::json!({
            "urls": ["https://siem.example.com:9200"],
            "api_key": format!("file:{}", self.secret.path().display()),
        });
        let options = Options::read(table.as_object().unwrap()).unwrap();
        Arc::new(Elasticsearch::new(options, http))
    }

    fn documents(&self, request: &Request<Bytes>) -> Option<usize> {
        is_bulk(request).then(|| actions(request).len())
    }

    fn other(&self, _: &Request<Bytes>) -> Reply {
        version("9.1.0")
    }

    fn answer(&self, fates: &[Fate]) -> Option<Reply> {
        let items: Vec<_> = fates
            .iter()
            .map(|fate| match fate {
                Fate::Taken => item(201, "", ""),
                Fate::Known => item(409, "version_conflict_engine_exception", "[x]: version conflict"),
                Fate::Unfit => item(400, "document_parsing_exception", "[1:20] failed to parse field [a]"),
                Fate::Busy => item(429, "es_rejected_execution_exception", "rejected execution"),
                Fate::Barred => item(403, "security_exception", "is unauthorized for this API key"),
            })
            .collect();
        Some(answer(&items))
    }

    fn secrets(&self) -> Vec<String> {
        vec![API_KEY.to_owned()]
    }
}

#[tokio::test(start_paused = true)]
async fn conforms() {
    kit::conforms(Arc::new(Cluster::new())).await;
}

#[tokio::test]
async fn a_request_says_what_it_must() {
    let far = judging(|_, _| item(201, "", ""));
    let sink = sink(&far, "");
    assert_eq!(sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(2))).await.unwrap().delivered, 2);
    let requests = far.requests();
    assert_eq!(requests.len(), 2, "the version and the documents");
    let bulk = &requests[1];
    let query = bulk.uri().query().unwrap();
    assert!(query.contains("filter_path=errors,items.*.status") && !query.contains(' '), "{query}");
    assert!(query.contains("&require_data_stream=true") && query.ends_with("&pipeline=_none"), "{query}");
    assert_eq!(bulk.headers()[CONTENT_TYPE], "application/x-ndjson");
    assert_eq!(bulk.headers()[CONTENT_ENCODING], "gzip");
    assert!(!bulk.headers().contains_key(AUTHORIZATION));
    let actions = actions(bulk);
    assert_eq!(
        actions[1].0,
        serde_json::json!({ "create": { "_index": "logs-okta.system-acme", "_id": "5a1f-1" } })
    );
    assert_eq!(actions[1].1, kit::invented(2)[1].1);
    sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(2))).await.unwrap();
    assert_eq!(far.requests().len(), 1, "the version is asked once");
}

#[tokio::test]
async fn options_change_the_request() {
    for (more, has, has_not) in [
        (r#","mode":"raw_for_integration""#, "require_data_stream=true", "pipeline"),
        (r#","pipeline":"tidy""#, "pipeline=tidy", "_none"),
        (r#","require_data_stream":false"#, "pipeline=_none", "require_data_stream"),
    ] {
        let far = judging(|_, _| item(201, "", ""));
        let sink = sink(&far, more);
        sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(1))).await.unwrap();
        let query = far.requests().last().unwrap().uri().query().unwrap().to_owned();
        assert!(query.contains(has) && !query.contains(has_not), "{more}: {query}");
    }
    let far = judging(|action, _| {
        assert_eq!(action.pointer("/create/_id"), None);
        item(201, "", "")
    });
    let sink = sink(&far, r#","ids":false,"gzip":false"#);
    assert!(!sink.deterministic());
    sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(1))).await.unwrap();
    assert!(!far.requests().last().unwrap().headers().contains_key(CONTENT_ENCODING));
}

#[tokio::test]
async fn raw_mode_insists_on_raw_records() {
    let far = Script::start();
    let raw = sink(&far, r#","mode":"raw_for_integration""#);
    assert_eq!(raw.required_schema(), Some("raw_for_integration"));
    assert_eq!(raw.default_schema(), Some("raw_for_integration"));
    let normal = sink(&far, "");
    assert_eq!((normal.required_schema(), normal.default_schema()), (None, Some("ecs")));
    assert_eq!(normal.namespace(), "acme");
}

/// thread: syslog-ng/syslog-ng#3672
#[tokio::test]
async fn c44_a_cluster_out_of_shards_makes_no_dead_letter() {
    const REASON: &str = "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [3000]/[3000] maximum normal shards open;";
    for kind in ["validation_exception", "illegal_argument_exception", "some_future_exception"] {
        let far = judging(move |_, _| item(400, kind, REASON));
        let sink = sink(&far, "");
        let documents = kit::invented(500);
        let batch = kit::batch(&sink, &NAMES, &documents);
        let delivery = sink.deliver(&batch).await.unwrap();
        kit::covers_each_once(&delivery, 500);
        assert!(delivery.rejected.is_empty(), "{kind}");
        assert_eq!(delivery.fault.len(), 500);
        let fault = &delivery.fault[0].1;
        assert_eq!(fault.kind, FaultKind::Configuration);
        assert!(fault.message.contains("maximum normal shards open") && fault.remedy.is_some(), "{fault:?}");
        // Repaired: all go in, once.
        far.answer(|request, _| {
            Ok(if is_bulk(request) {
                answer(&vec![item(201, "", ""); actions(request).len()])
            } else {
                version("9.1.0")
            })
        });
        assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 500);
    }
}

/// thread: syslog-ng/syslog-ng#3672, the mixed variant: streams that exist go on.
#[tokio::test]
async fn c44_items_of_existing_streams_go_on() {
    let far = judging(|action, _| {
        if action["create"]["_index"] == "logs-okta.system-acme" {
            item(201, "", "")
        } else {
            item(
                400,
                "validation_exception",
                "this action would add [2] shards, but this cluster currently has [3000]/[3000] maximum normal shards open;",
            )
        }
    });
    let sink = sink(&far, "");
    let mut batch = kit::batch(&sink, &NAMES, &kit::invented(3));
    let more = kit::batch(&sink, &OTHER_NAMES, &kit::invented(2));
    let at = batch.body.len();
    batch.body = [&batch.body[..], &more.body[..]].concat().into();
    batch
        .documents
        .extend(more.documents.into_iter().map(|(span, meta)| (at + span.start..at + span.end, meta)));
    let delivery = sink.deliver(&batch).await.unwrap();
    assert_eq!(delivery.delivered, 3);
    assert_eq!(delivery.fault.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [3, 4]);
    assert!(delivery.rejected.is_empty());
}

/// thread: elastic/elasticsearch#82086
#[tokio::test]
async fn c46_an_immense_term_is_one_dead_letter_and_its_companions_go_in() {
    let far = judging(|_, text| {
        if text.len() > 32_766 {
            item(
                400,
                "illegal_argument_exception",
                "Document contains at least one immense term in field=\"okta.debug_context.debug_data.example\" (whose UTF8 encoding is longer than the max length 32766)",
            )
        } else {
            item(201, "", "")
        }
    });
    let sink = sink(&far, "");
    let mut documents = kit::invented(1_000);
    documents[417].1 = format!(
        r#"{{"okta":{{"debug_context":{{"debug_data":{{"example":"{}"}}}}}},"user_agent":{{"original":"{}"}}}}"#,
        "\u{1F600}".repeat(8_192),
        "x".repeat(500)
    );
    let (delivered, rejected, kept) = drain(&sink, &documents, 3).await;
    assert_eq!((delivered, kept.len()), (999, 0));
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].0, "5a1f-417");
    assert!(rejected[0].1.message.contains("immense term"), "{}", rejected[0].1);
    // Alone it is condemned too: never a retry loop.
    let (_, rejected, kept) = drain(&sink, &documents[417..418], 1).await;
    assert_eq!((rejected.len(), kept.len()), (1, 0));
}

/// thread: elastic/elasticsearch-py#1546: the sink's part. A body that the server's parser refuses is halved down to
/// the one document.
#[tokio::test]
async fn c09_one_poisoned_document_of_a_hundred_is_found_by_halving() {
    let far = Script::start();
    far.answer(|request, _| {
        if !is_bulk(request) {
            return Ok(version("9.1.0"));
        }
        let body = String::from_utf8(plain(request)).unwrap();
        if body.contains("\\ud83d\"") {
            let error = serde_json::json!({ "error": { "type": "x_content_parse_exception", "reason": "Incomplete surrogate pair in 'cluster.shards'" } });
            return Ok(Reply::json(400, error.to_string()));
        }
        Ok(answer(&vec![item(201, "", ""); actions(request).len()]))
    });
    let sink = sink(&far, "");
    let mut documents = kit::invented(100);
    documents[50].1 = r#"{"user":{"full_name":"Kim \ud83d"}}"#.to_owned();
    let (delivered, rejected, kept) = drain(&sink, &documents, 200).await;
    assert_eq!((delivered, kept.len()), (99, 0));
    assert_eq!(rejected.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["5a1f-50"]);
    assert!(far.requests().len() <= 2 + 2 * 8, "halving takes the logarithm");
}

#[tokio::test]
async fn an_unknown_400_condemns_only_beside_documents_that_go_in() {
    let judge = |_: &serde_json::Value, text: &str| {
        if text.contains("5a1f-1\"") {
            item(400, "brand_new_exception", "no idea")
        } else {
            item(201, "", "")
        }
    };
    let far = judging(judge);
    let sink = sink(&far, "");
    let documents = kit::invented(3);
    let delivery = sink.deliver(&kit::batch(&sink, &NAMES, &documents)).await.unwrap();
    assert_eq!((delivery.delivered, delivery.rejected.len(), delivery.fault.len()), (2, 1, 0));
    let delivery = sink.deliver(&kit::batch(&sink, &NAMES, &documents[1..2])).await.unwrap();
    assert_eq!((delivery.rejected.len(), delivery.fault.len()), (0, 1));
    assert_eq!(
        sink.deliver(&kit::batch(&sink, &NAMES, &documents[1..2])).await.unwrap().fault.len(),
        1,
        "still alone"
    );
    // Documents of another stream going in say nothing about this one.
    let mut batch = kit::batch(&sink, &NAMES, &documents[1..2]);
    let at = batch.body.len();
    let more = kit::batch(&sink, &OTHER_NAMES, &documents[2..]);
    batch.body = [&batch.body[..], &more.body[..]].concat().into();
    batch
        .documents
        .extend(more.documents.into_iter().map(|(span, meta)| (at + span.start..at + span.end, meta)));
    let delivery = sink.deliver(&batch).await.unwrap();
    assert_eq!((delivery.delivered, delivery.rejected.len(), delivery.fault.len()), (1, 0, 1));
    // A companion in a later request does.
    sink.deliver(&kit::batch(&sink, &NAMES, &documents[..1])).await.unwrap();
    let delivery = sink.deliver(&kit::batch(&sink, &NAMES, &documents[1..2])).await.unwrap();
    assert_eq!((delivery.rejected.len(), delivery.fault.len()), (1, 0));
}

#[tokio::test]
async fn another_4xx_is_rejected_after_it_was_sent_alone() {
    let far = judging(|_, text| {
        if text.contains("5a1f-1\"") { item(422, "odd_exception", "odd") } else { item(201, "", "") }
    });
    let sink = sink(&far, "");
    let delivery = sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(3))).await.unwrap();
    assert_eq!((delivery.delivered, delivery.rejected.len()), (2, 1));
    let requests = far.requests();
    assert_eq!(
        requests.iter().filter(|request| is_bulk(request)).map(|r| actions(r).len()).collect::<Vec<_>>(),
        [3, 1]
    );
    // Alone it goes in: delivered.
    let far = judging({
        let mut first = true;
        move |_, _| {
            if std::mem::take(&mut first) { item(422, "odd_exception", "odd") } else { item(201, "", "") }
        }
    });
    let sink = self::sink(&far, "");
    let delivery = sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(2))).await.unwrap();
    assert_eq!((delivery.delivered, delivery.rejected.len()), (2, 0));
}

#[tokio::test]
async fn a_full_disk_is_waited_for_and_named() {
    for status in [403, 429] {
        let far = judging(move |_, _| {
            item(
                status,
                "cluster_block_exception",
                "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]",
            )
        });
        let sink = sink(&far, "");
        let delivery = sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(5))).await.unwrap();
        assert_eq!((delivery.fault.len(), delivery.rejected.len()), (5, 0));
        let fault = &delivery.fault[0].1;
        assert!(fault.message.contains("flood-stage"), "{fault}");
        assert_eq!(fault.remedy.as_deref(), Some("free disk space: the block goes by itself then"));
    }
}

/// thread: opensearch-project/OpenSearch#3498: a write index that moved to a warm tier answers 429 for ever. The stream
/// waits with an alarm, and other streams go on.
#[tokio::test]
async fn a_read_only_warm_index_stops_its_own_stream_alone() {
    let far = judging(|action, _| {
        if action["create"]["_index"] == "logs-okta.system-acme" {
            item(
                429,
                "cluster_block_exception",
                "index [x] blocked by: [TOO_MANY_REQUESTS/5/index read-only (api)];",
            )
        } else {
            item(201, "", "")
        }
    });
    let sink = sink(&far, "");
    for _ in 0..3 {
        let delivery = sink.deliver(&two_streams(&sink)).await.unwrap();
        assert_eq!((delivery.delivered, delivery.fault.len(), delivery.retry.len()), (2, 3, 0));
        let remedy = delivery.fault[0].1.remedy.as_deref().unwrap_or_default();
        assert!(remedy.starts_with("roll the data stream over"), "{remedy}");
    }
    assert_eq!(sink.gate.width(), 2, "a block is no sign of a busy cluster");
}

/// Three documents of one stream and two of another.
fn two_streams(sink: &Elasticsearch) -> Batch {
    let mut batch = kit::batch(sink, &NAMES, &kit::invented(3));
    let more = kit::batch(sink, &OTHER_NAMES, &kit::invented(2));
    let at = batch.body.len();
    batch.body = [&batch.body[..], &more.body[..]].concat().into();
    batch
        .documents
        .extend(more.documents.into_iter().map(|(span, meta)| (at + span.start..at + span.end, meta)));
    batch
}

/// thread: logstash-plugins/logstash-output-elasticsearch#785
#[tokio::test(start_paused = true)]
async fn a_limit_that_was_met_once_is_kept_away_from() {
    let far = Script::start();
    far.answer(|request, _| {
        if !is_bulk(request) {
            return Ok(version("9.1.0"));
        }
        if plain(request).len() > 200_000 {
            return Ok(Reply::json(413, "<html>").replace("content-type", "text/html"));
        }
        Ok(answer(&vec![item(201, "", ""); actions(request).len()]))
    });
    let sink = sink(&far, r#","batch_bytes":"1MiB""#);
    let mut documents = kit::invented(100);
    for (_, text) in &mut documents {
        *text = format!(r#"{{"@timestamp":"2026-01-15T10:00:00Z","message":"{}"}}"#, "x".repeat(8_000));
    }
    let asked = |far: &Script| {
        let bulks = far.requests().into_iter().filter(is_bulk);
        let (refused, taken): (Vec<_>, Vec<_>) = bulks.partition(|request| plain(request).len() > 200_000);
        (refused.len(), taken.len())
    };
    assert_eq!(sink.limits().bytes, 1 << 20);
    let (delivered, rejected, kept) = drain(&sink, &documents, 50).await;
    assert_eq!((delivered, rejected.len(), kept.len()), (100, 0, 0));
    let (refused, _) = asked(&far);
    assert!((1..=3).contains(&refused), "halved {refused} times to learn it");
    let learned = sink.limits().bytes;
    assert!((100_000..=410_000).contains(&learned), "{learned}");
    // From now on nothing is sent to be refused, although the batches are as large as before.
    for _ in 0..5 {
        assert_eq!(drain(&sink, &documents, 50).await.0, 100);
    }
    let (refused, taken) = asked(&far);
    assert!(refused == 0 && taken >= 20, "{refused} {taken}");
    // The limit is raised: what is configured is reached again, slowly.
    far.answer(|request, _| {
        Ok(if is_bulk(request) {
            answer(&vec![item(201, "", ""); actions(request).len()])
        } else {
            version("9.1.0")
        })
    });
    tokio::time::advance(Duration::from_secs(3 * 3_600)).await;
    assert_eq!(sink.limits().bytes, 1 << 20);
    let batch = kit::batch(&sink, &NAMES, &documents);
    assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 100, "in one request");
}

/// A proxy that refuses everything makes no dead letters: only where others of the stream go in is a document to blame.
#[tokio::test]
async fn what_refuses_everything_condemns_nothing() {
    let refusal = || Reply::json(400, r#"{"error":"blocked by policy"}"#);
    let far = Script::start();
    far.answer(move |request, _| Ok(if is_bulk(request) { refusal() } else { version("9.1.0") }));
    let sink = sink(&far, "");
    let documents = kit::invented(8);
    let (delivered, rejected, kept) = drain(&sink, &documents, 60).await;
    assert_eq!((delivered, rejected.len(), kept.len()), (0, 0, 8));
    // One of them, beside others that go in: that one is to blame.
    far.answer(move |request, _| {
        if !is_bulk(request) {
            return Ok(version("9.1.0"));
        }
        let actions = actions(request);
        Ok(if actions.iter().any(|(_, text)| text.contains("5a1f-3\"")) {
            refusal()
        } else {
            answer(&vec![item(201, "", ""); actions.len()])
        })
    });
    let (delivered, rejected, kept) = drain(&sink, &documents, 60).await;
    assert_eq!((delivered, kept.len()), (7, 0));
    assert_eq!(rejected.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["5a1f-3"]);
}

#[tokio::test]
async fn verdicts_that_contradict_themselves_or_speak_of_other_documents_are_no_receipt() {
    let named = |id: &str| serde_json::json!({ "create": { "status": 201, "_id": id } });
    // The verdict of another document, in a right number: two answers were mixed up on the way.
    let far = judging(move |_, _| named("somebody-elses"));
    let sink = sink(&far, "");
    let batch = kit::batch(&sink, &NAMES, &kit::invented(2));
    let error = sink.deliver(&batch).await.unwrap_err();
    assert!(
        matches!(&error, DeliverError::Retry { cause, .. } if cause.kind == FaultKind::Answer),
        "{error:?}"
    );
    assert!(error.to_string().contains("verdict 1 of 2 is about another document"), "{error}");
    // Where a pipeline of somebody's may give ids, or we give none, there is nothing to compare.
    for more in [r#","mode":"raw_for_integration""#, r#","pipeline":"tidy""#, r#","ids":false"#] {
        let sink = self::sink(&far, more);
        let batch = kit::batch(&sink, &NAMES, &kit::invented(2));
        assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 2, "{more}");
    }
    // Created, and an error.
    let far = judging(move |action, _| {
        let id = action["create"]["_id"].as_str().unwrap();
        let mut item = named(id);
        if id == "5a1f-1" {
            item["create"]["error"] = serde_json::json!({ "type": "x", "reason": "y" });
        }
        item
    });
    let sink = self::sink(&far, "");
    let delivery = sink.deliver(&batch).await.unwrap();
    assert_eq!((delivery.delivered, delivery.rejected.len()), (1, 0));
    assert_eq!(
        delivery.retry.iter().map(|(n, fault)| (*n, fault.kind)).collect::<Vec<_>>(),
        [(1, FaultKind::Answer)]
    );
    // `errors` is not looked at: the items say what happened.
    for errors in [true, false] {
        let far = Script::start();
        far.answer(move |request, _| {
            if !is_bulk(request) {
                return Ok(version("9.1.0"));
            }
            let items = [item(201, "", ""), item(429, "es_rejected_execution_exception", "busy")];
            Ok(Reply::json(200, serde_json::json!({ "errors": errors, "items": items }).to_string()))
        });
        let sink = self::sink(&far, "");
        let delivery = sink.deliver(&batch).await.unwrap();
        assert_eq!((delivery.delivered, delivery.retry.len()), (1, 1), "errors: {errors}");
    }
}

/// What an answer says of each document, read in another way than the sink reads it: the status of each item, if it is
/// a whole receipt.
fn said(body: &[u8], sent: usize) -> Option<Vec<u64>> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let items = value.get("items")?.as_array().filter(|items| items.len() == sent)?;
    let status = |item: &serde_json::Value| {
        let outcome = item.as_object().filter(|outcome| outcome.len() == 1)?.values().next()?;
        let failed = outcome.get("error").is_some_and(|error| !error.is_null());
        outcome.get("status")?.as_u64().map(|status| if failed && status < 300 { 0 } else { status })
    };
    items.iter().map(status).collect()
}

/// An answer that is nearly right: any statuses, a few members of wrong types or names, then cut or lengthened.
fn nearly_right() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let status = prop_oneof![
        4 => (100_u16..600).prop_map(|status| status.to_string()),
        2 => Just("201".to_owned()),
        1 => prop::sample::select(vec!["\"201\"", "201.0", "-201", "null", "[201]", "2e2", "99999", "true"])
            .prop_map(str::to_owned),
    ];
    let more = prop::sample::select(vec![
        "",
        r#","error":{"type":"t","reason":"r"}"#,
        r#","error":null"#,
        r#","error":"text""#,
        r#","error":7"#,
        r#","status":201"#,
        r#","failure_store":"used""#,
        r#","_id":"5a1f-0""#,
        r#","_id":"5a1f-1""#,
        r#","_index":".ds-x""#,
    ]);
    let name = prop::sample::select(vec!["create", "index", "", "items"]);
    let item = (name, status, more)
        .prop_map(|(name, status, more)| format!(r#"{{"{name}":{{"status":{status}{more}}}}}"#));
    let whole = (prop::collection::vec(item, 0..4), any::<bool>())
        .prop_map(|(items, errors)| format!(r#"{{"errors":{errors},"items":[{}]}}"#, items.join(",")));
    (whole, 0_usize..40, prop::option::of(prop::collection::vec(any::<u8>(), 1..4))).prop_map(
        |(whole, cut, more)| {
            let mut body = whole.into_bytes();
            match more {
                Some(more) => body.extend(more),
                None => body.truncate(body.len() - cut.min(body.len()).saturating_sub(25)),
            }
            body
        },
    )
}

proptest::proptest! {
    /// Whatever comes back with 200: what counts as delivered has a whole receipt that says so.
    #[test]
    fn no_bytes_are_a_false_receipt(
        nearly in nearly_right(),
        noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        right in proptest::prelude::any::<bool>(),
    ) {
        let body = if right { nearly } else { noise };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let far = Script::start();
        let mut reply = Reply::json(200, "");
        reply.chunks = vec![(Duration::ZERO, Bytes::from(body.clone()))];
        far.answer(move |request, _| Ok(if is_bulk(request) { reply.clone() } else { version("9.1.0") }));
        let sink = sink(&far, "");
        let outcome = runtime.block_on(sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(2))));
        match (outcome, said(&body, 2)) {
            (Ok(delivery), Some(statuses)) => {
                kit::covers_each_once(&delivery, 2);
                let count = |wanted: &[u64]| statuses.iter().filter(|status| wanted.contains(status)).count();
                proptest::prop_assert!(delivery.delivered <= count(&[200, 201]), "{delivery:?} {statuses:?}");
                proptest::prop_assert!(delivery.duplicates <= count(&[409]), "{delivery:?} {statuses:?}");
            }
            (Ok(delivery), None) => proptest::prop_assert!(false, "no receipt, and yet {delivery:?}"),
            (Err(DeliverError::Retry { .. }), _) => {}
            (Err(error), _) => proptest::prop_assert!(false, "{error:?}"),
        }
    }
}

#[tokio::test]
async fn the_failure_store_and_a_plain_index_are_told() {
    let far = judging(|_, text| {
        let mut item = item(201, "", "");
        if text.contains("5a1f-1\"") {
            item["create"]["failure_store"] = "used".into();
        }
        item
    });
    let sink = sink(&far, "");
    let delivery = sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(3))).await.unwrap();
    assert_eq!(delivery.delivered, 3);
    assert_eq!(
        delivery.warnings,
        [
            "logs-okta.system-acme: 1 documents went into the failure store, since the mapping or a pipeline does not fit \
          them; read logs-okta.system-acme::failures"
        ]
    );
    let far = judging(
        |action, _| serde_json::json!({ "create": { "status": 201, "_index": action["create"]["_index"] } }),
    );
    let sink = self::sink(&far, "");
    let batch = kit::batch(&sink, &NAMES, &kit::invented(3));
    let delivery = sink.deliver(&batch).await.unwrap();
    assert!(delivery.warnings[0].contains("install the index templates"));
    assert!(sink.deliver(&batch).await.unwrap().warnings.is_empty(), "said once");
}

/// An id is known within one backing index alone: what was sent without an answer before a rollover is told.
#[tokio::test]
async fn what_a_rollover_may_have_doubled_is_told() {
    let far = Script::start();
    let sink = sink(&far, "");
    let said = async |ids: std::ops::Range<usize>, generation: u32, status: u16| {
        far.answer(move |request, _| {
            let index = format!(".ds-logs-okta.system-acme-{generation:06}");
            let item = serde_json::json!({ "create": { "_index": index, "status": status } });
            Ok(match is_bulk(request) {
                false => version("9.1.0"),
                true if status == 502 => Reply::json(502, "{}"),
                true => answer(&vec![item; actions(request).len()]),
            })
        });
        let delivery = sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(9)[ids])).await;
        delivery.map(|delivery| delivery.warnings).unwrap_or_default()
    };
    let none: [String; 0] = [];
    assert_eq!(said(0..2, 1, 201).await, none);
    // Lost and repeated in the same backing index: it was not there, or it is refused.
    said(2..5, 1, 502).await;
    assert_eq!(said(2..4, 1, 201).await, none);
    assert_eq!(said(4..5, 1, 409).await, none);
    // Lost, twice, then behind a rollover. What was never sent before is no double.
    said(5..7, 1, 502).await;
    said(5..7, 2, 502).await;
    assert!(said(5..9, 2, 201).await[0].starts_with("2 documents may be there twice, under the same id"));
    assert_eq!(said(5..9, 3, 201).await, none, "told once");
}

#[tokio::test]
async fn fewer_or_more_items_than_sent_are_no_receipt() {
    for count in [0, 1, 3] {
        let far = Script::start();
        far.answer(move |request, _| {
            Ok(if is_bulk(request) { answer(&vec![item(201, "", ""); count]) } else { version("9.1.0") })
        });
        let sink = sink(&far, "");
        let error = sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(2))).await.unwrap_err();
        assert!(
            matches!(&error, DeliverError::Retry { cause, .. } if cause.kind == FaultKind::Answer),
            "{error:?}"
        );
        assert!(error.to_string().contains("no receipt"), "{error}");
    }
}

#[tokio::test]
async fn a_renewed_secret_is_read_before_anything_halts() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "old").unwrap();
    let far = Script::start();
    far.answer(|request, _| {
        if request.headers()[AUTHORIZATION] != "Bearer new" {
            return Ok(Reply::json(401, r#"{"error":{"type":"security_exception","reason":"expired"}}"#));
        }
        Ok(if is_bulk(request) {
            answer(&vec![item(201, "", ""); actions(request).len()])
        } else {
            version("9.1.0")
        })
    });
    let sink =
        sink(&far, &format!(r#","require_data_stream":false,"bearer":"file:{}""#, file.path().display()));
    let batch = kit::batch(&sink, &NAMES, &kit::invented(1));
    // Reads the old one into the cache, asks for it to be read again: still the old one.
    let error = sink.deliver(&batch).await.unwrap_err();
    assert!(
        matches!(&error, DeliverError::Halt { cause } if cause.kind == FaultKind::Credential),
        "{error:?}"
    );
    std::fs::write(file.path(), "new").unwrap();
    let sink = self::sink(
        &far,
        &format!(r#","require_data_stream":false,"bearer":"file:{}""#, file.path().display()),
    );
    std::fs::write(file.path(), "old").unwrap();
    sink.auth.header().unwrap();
    std::fs::write(file.path(), "new").unwrap();
    assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 1);
}

#[tokio::test]
async fn wrong_addresses_and_configuration_halt_and_condemn_nothing() {
    for (status, media, body) in [
        (404, "application/json", r#"{"error":"no handler found for uri"}"#),
        (405, "text/html", "<html>"),
        (406, "application/json", "{}"),
        (415, "text/html", "<html>"),
        (400, "text/html", "<html>The plain HTTP request was sent to HTTPS port</html>"),
        (
            400,
            "application/json",
            r#"{"error":{"type":"illegal_argument_exception","reason":"pipeline with id [tidy] does not exist"}}"#,
        ),
    ] {
        let far = Script::start();
        far.answer(move |request, _| {
            Ok(if is_bulk(request) {
                Reply::json(status, body).replace("content-type", media)
            } else {
                version("9.1.0")
            })
        });
        let sink = sink(&far, "");
        for count in [1, 3] {
            let outcome = sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(count))).await;
            assert!(matches!(outcome, Err(DeliverError::Halt { .. })), "{status} {body}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_require_data_stream_is_asked_without_it() {
    let far = Script::start();
    far.answer(|request, _| {
        if !is_bulk(request) {
            return Ok(version("8.13.0"));
        }
        if request.uri().query().unwrap().contains("require_data_stream") {
            let error = serde_json::json!({ "error": { "type": "illegal_argument_exception", "reason": "request [/_bulk] contains unrecognized parameter: [require_data_stream]" } });
            return Ok(Reply::json(400, error.to_string()));
        }
        Ok(answer(&vec![item(201, "", ""); actions(request).len()]))
    });
    let sink = sink(&far, "");
    let batch = kit::batch(&sink, &NAMES, &kit::invented(1));
    assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 1);
    assert_eq!(far.requests().len(), 3);
    assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 1);
    assert_eq!(far.requests().len(), 1, "learned");
}

#[tokio::test]
async fn a_version_that_may_not_be_asked_stops_nothing() {
    for status in [401, 403, 404] {
        let far = Script::start();
        far.answer(move |request, _| {
            Ok(if is_bulk(request) {
                answer(&vec![item(201, "", ""); actions(request).len()])
            } else {
                Reply::json(status, "{}")
            })
        });
        let sink = sink(&far, "");
        assert_eq!(sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(1))).await.unwrap().delivered, 1);
        assert!(!far.requests()[1].uri().query().unwrap().contains("require_data_stream"));
    }
}

#[tokio::test]
async fn another_address_is_asked_after_a_failure() {
    let far = Script::start();
    far.answer(|request, _| {
        if request.uri().host() == Some("es0.example.com") {
            return Err(TransportError::Connect("connection refused".to_owned()));
        }
        Ok(if is_bulk(request) {
            answer(&vec![item(201, "", ""); actions(request).len()])
        } else {
            version("9.1.0")
        })
    });
    let table = r#"{"urls":["https://es0.example.com:9200","https://es1.example.com/prefix"]}"#;
    let options = Options::read(&serde_json::from_str(table).unwrap()).unwrap();
    let sink = Elasticsearch::new(options, far.client());
    let batch = kit::batch(&sink, &NAMES, &kit::invented(1));
    let error = sink.deliver(&batch).await.unwrap_err();
    assert!(error.to_string().contains("es0.example.com"), "{error}");
    for _ in 0..3 {
        assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 1);
    }
    let paths: Vec<_> = far.requests().iter().skip(1).map(|r| r.uri().path().to_owned()).collect();
    assert_eq!(paths, ["/prefix/", "/prefix/_bulk", "/prefix/_bulk", "/prefix/_bulk"]);
}

#[tokio::test]
async fn fewer_requests_are_out_while_the_cluster_is_busy() {
    let far = Script::start();
    far.answer(|request, _| Ok(if is_bulk(request) { Reply::json(429, "{}") } else { version("9.1.0") }));
    let sink = sink(&far, r#","in_flight":8"#);
    let batch = kit::batch(&sink, &NAMES, &kit::invented(1));
    for width in [4, 2, 1, 1] {
        assert!(sink.deliver(&batch).await.is_err());
        assert_eq!(sink.gate.width(), width);
    }
    far.answer(|request, _| {
        Ok(if is_bulk(request) {
            answer(&vec![item(201, "", ""); actions(request).len()])
        } else {
            version("9.1.0")
        })
    });
    sink.deliver(&batch).await.unwrap();
    assert_eq!(sink.gate.width(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_cluster_asks_for_comes_with_the_verdicts() {
    let busy = || item(429, "es_rejected_execution_exception", "rejected execution");
    for (items, waits) in [
        ([item(201, "", ""), busy(), item(503, "unavailable_shards_exception", "not active")], Some(25)),
        ([item(201, "", ""), item(201, "", ""), item(409, "", "")], None),
        ([item(201, "", ""), item(400, "document_parsing_exception", "bad"), item(201, "", "")], None),
    ] {
        let far = Script::start();
        far.answer(move |request, _| {
            Ok(if is_bulk(request) { answer(&items).header("retry-after", "25") } else { version("9.1.0") })
        });
        let sink = sink(&far, "");
        let delivery = sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(3))).await.unwrap();
        assert_eq!(delivery.after, waits.map(Duration::from_secs), "{delivery:?}");
    }
    // A document that was to be sent alone, and found the cluster busy then.
    let far = Script::start();
    far.answer(|request, _| {
        Ok(match is_bulk(request) {
            false => version("9.1.0"),
            true if actions(request).len() == 1 => Reply::json(429, "{}").header("retry-after", "9"),
            true => answer(&[item(201, "", ""), item(422, "odd_exception", "odd")]),
        })
    });
    let sink = sink(&far, "");
    let delivery = sink.deliver(&kit::batch(&sink, &NAMES, &kit::invented(2))).await.unwrap();
    assert_eq!((delivery.delivered, delivery.retry.len()), (1, 1));
    assert_eq!(delivery.after, Some(Duration::from_secs(9)));
}

#[tokio::test]
async fn a_check_asks_for_rights_and_writes_nothing() {
    let far = Script::start();
    far.answer(|request, _| {
        Ok(if request.uri().path() == "/" {
            version("9.1.0")
        } else {
            Reply::json(200, r#"{"has_all_requested":false}"#)
        })
    });
    let findings = sink(&far, "").check().await;
    assert_eq!(findings.lines, ["answers: Elasticsearch 9.1"]);
    assert_eq!(findings.faults[0].kind, FaultKind::Permission);
    assert!(far.requests().iter().all(|request| !is_bulk(request)));
    let far = Script::start();
    far.answer(|_, _| Ok(Reply::json(401, "{}")));
    assert_eq!(sink(&far, "").check().await.faults[0].kind, FaultKind::Credential);
}

#[tokio::test]
async fn templates_are_replaced_and_policies_left() {
    let far = Script::start();
    far.answer(|request, _| {
        Ok(match (request.method().as_str(), request.uri().path()) {
            ("GET", "/") => version("9.1.0"),
            ("GET", _) => Reply::json(200, "{}"),
            _ => Reply::json(200, r#"{"acknowledged":true}"#),
        })
    });
    let sink = sink(&far, "");
    let lines = sink.install(true).await.unwrap();
    assert!(lines[0].ends_with("tidegate-ecs@mappings installed"), "{lines:?}");
    assert!(lines.last().unwrap().ends_with("left as it is"), "{lines:?}");
    let put: Vec<_> = far
        .requests()
        .iter()
        .filter(|r| r.method() == Method::PUT)
        .map(|r| r.uri().path().to_owned())
        .collect();
    let indexes: Vec<_> =
        put.iter().filter_map(|path| path.strip_prefix("/_index_template/tidegate-")).collect();
    assert_eq!(indexes, ["okta", "azure", "cisco_duo", "google_workspace"], "parts first: {put:?}");
    assert!(put.last().unwrap().starts_with("/_index_template/"), "{put:?}");
    assert!(put.iter().all(|path| !path.contains("_ilm")), "{put:?}");
    assert!(sink.install(false).await.unwrap().iter().all(|line| !line.contains("_ilm")));
    far.answer(|_, _| Ok(Reply::json(403, r#"{"error":{"type":"security_exception","reason":"no"}}"#)));
    let fault = sink.install(false).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permission);
    assert!(fault.to_string().contains("tidegate-ecs@mappings"), "{fault}");
}
