//! Bulk delivery as its contract has it, played in process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::io::Write as _;

use base64::Engine as _;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::Request;
use serde_json::{Value, json};
use tidegate_simulator::elasticsearch::{
    Credential, Elasticsearch, ElasticsearchConfig, Flavour, ImmenseTerms, ItemRule, ShardLimit,
};
use tidegate_simulator::{Answer, BodyFault, Fault, ScriptedFault};

const STREAM: &str = "logs-okta.system-acme";

fn now() -> DateTime<Utc> {
    "2026-01-15T10:00:00Z".parse().unwrap()
}

fn document() -> Value {
    json!({
        "@timestamp": "2026-01-15T10:00:00.123Z",
        "data_stream": {"type": "logs", "dataset": "okta.system", "namespace": "acme"},
        "user": {"full_name": "Jo Park"},
    })
}

fn line(id: &str, document: &str) -> String {
    format!("{{\"create\":{{\"_index\":\"{STREAM}\",\"_id\":\"{id}\"}}}}\n{document}\n")
}

fn lines(ids: &[&str]) -> String {
    ids.iter().map(|id| line(id, &document().to_string())).collect()
}

fn post(cluster: &Elasticsearch, path: &str, body: impl Into<Bytes>) -> Answer {
    let request =
        Request::post(path).header("content-type", "application/x-ndjson").body(body.into()).unwrap();
    cluster.handle(&request, now())
}

fn bulk(cluster: &Elasticsearch, body: impl Into<Bytes>) -> Answer {
    post(cluster, "/_bulk", body)
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn statuses(answer: &Answer) -> Vec<u64> {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    body(answer)["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["create"]["status"].as_u64().unwrap())
        .collect()
}

fn healthy() -> Elasticsearch {
    Elasticsearch::new(ElasticsearchConfig::default())
}

fn of(flavour: Flavour) -> Elasticsearch {
    Elasticsearch::new(ElasticsearchConfig { flavour, ..ElasticsearchConfig::default() })
}

#[test]
fn items_are_answered_in_order_and_documents_kept_byte_for_byte() {
    let cluster = healthy();
    let odd = r#"{ "@timestamp":"2026-01-15T10:00:00.5Z",  "n":1.50 }"#;
    let answer = bulk(&cluster, line("b", odd) + &lines(&["a", "c"]));
    let items = body(&answer);
    assert_eq!(statuses(&answer), [201, 201, 201]);
    assert_eq!(items["errors"], false);
    let ids: Vec<_> = items["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["create"]["_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["b", "a", "c"]);
    let stored = cluster.documents("b");
    assert_eq!((stored[0].source.as_ref(), stored[0].target.as_str()), (odd.as_bytes(), STREAM));
    assert!(stored[0].backing.starts_with(".ds-logs-okta.system-acme-"));
}

#[test]
fn a_second_create_conflicts_until_a_rollover_forgets_the_id() {
    let cluster = healthy();
    bulk(&cluster, lines(&["a"]));
    let again = bulk(&cluster, lines(&["a", "b"]));
    assert_eq!(statuses(&again), [409, 201]);
    assert_eq!(body(&again)["errors"], true);
    assert_eq!(body(&again)["items"][0]["create"]["error"]["type"], "version_conflict_engine_exception");
    assert_eq!(post(&cluster, "/logs-okta.system-acme/_rollover", "").status, 200);
    assert_eq!(statuses(&bulk(&cluster, lines(&["a"]))), [201]);
    let known = &cluster.delivered()[0];
    assert_eq!((known.id.as_str(), known.created, known.conflicts, known.sent), ("a", 2, 1, 3));
    let backings: Vec<_> = cluster.documents("a").into_iter().map(|stored| stored.backing).collect();
    assert!(backings[0] < backings[1], "{backings:?}");
    assert_eq!((cluster.created(), cluster.conflicts()), (3, 1));
}

#[test]
fn a_malformed_body_is_refused_as_a_whole() {
    let cluster = healthy();
    let good = lines(&["good"]);
    let long = "x".repeat(513);
    let broken = [
        ("no final newline", good.trim_end().to_owned()),
        (
            "half a surrogate pair",
            good.clone()
                + &line("a", r#"{"@timestamp":"2026-01-15T10:00:00Z","user":{"full_name":"Kim \ud83d"}}"#),
        ),
        (
            "a duplicate key",
            good.clone() + &line("a", r#"{"@timestamp":"2026-01-15T10:00:00Z","x":1,"x":2}"#),
        ),
        ("no JSON", good.clone() + &line("a", r#"{"@timestamp":}"#)),
        ("an id of 513 bytes", good.clone() + &line(&long, "{}")),
        ("an unknown action", good.clone() + "{\"put\":{\"_index\":\"x\"}}\n{}\n"),
        ("a _type", good.clone() + "{\"create\":{\"_index\":\"x\",\"_type\":\"_doc\"}}\n{}\n"),
        ("an empty line", good.clone() + "\n" + &good),
        ("an action without document", good.clone() + "{\"create\":{\"_index\":\"x\"}}\n"),
        ("no index", "{\"create\":{\"_id\":\"a\"}}\n{}\n".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, text) in broken {
        let answer = bulk(&cluster, text);
        assert_eq!(answer.status, 400, "{what}");
        assert_eq!(body(&answer)["status"], 400, "{what}");
    }
    assert_eq!(cluster.created(), 0, "nothing of a refused request is stored");
    assert_eq!(statuses(&bulk(&cluster, line(&"x".repeat(512), &document().to_string()))), [201]);
}

#[test]
fn invalid_json_fails_alone_by_switch() {
    let cluster = Elasticsearch::new(ElasticsearchConfig {
        invalid_json_fails_alone: true,
        ..ElasticsearchConfig::default()
    });
    assert_eq!(statuses(&bulk(&cluster, lines(&["a"]) + &line("b", r#"{"x":1,"x":2}"#))), [201, 400]);
}

#[test]
fn a_data_stream_takes_create_only_with_a_timestamp_and_its_own_names() {
    let cluster = healthy();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = document();
        change(&mut changed);
        let answer = bulk(&cluster, line("x", &changed.to_string()));
        let item = body(&answer)["items"][0]["create"].clone();
        (item["status"].as_u64().unwrap(), item["error"]["type"].as_str().unwrap_or_default().to_owned())
    };
    let refused = (400, "document_parsing_exception".to_owned());
    assert_eq!(with(&|document| document["@timestamp"] = Value::Null), refused);
    assert_eq!(with(&|document| document["@timestamp"] = json!("yesterday")), refused);
    assert_eq!(with(&|document| document["data_stream"]["namespace"] = json!("other")), refused);
    assert_eq!(with(&|document| document["data_stream.dataset"] = json!("okta")), refused);
    assert_eq!(with(&|document| document[""] = json!(1)), refused);
    assert_eq!(with(&|_| {}).0, 201);
    let index =
        bulk(&cluster, format!("{{\"index\":{{\"_index\":\"{STREAM}\",\"_id\":\"y\"}}}}\n{}\n", document()));
    assert_eq!(body(&index)["items"][0]["index"]["status"], 400);
    let upper = bulk(&cluster, format!("{{\"create\":{{\"_index\":\"logs-Okta-x\"}}}}\n{}\n", document()));
    assert_eq!(body(&upper)["items"][0]["create"]["error"]["type"], "invalid_index_name_exception");
}

#[test]
fn the_target_may_stand_in_the_path_and_an_id_may_be_missing() {
    let cluster = healthy();
    let answer =
        post(&cluster, &format!("/{STREAM}/_bulk"), format!("{{\"create\":{{}}}}\n{}\n", document()));
    assert_eq!(statuses(&answer), [201]);
    assert_eq!(cluster.delivered()[0].index, STREAM);
}

#[test]
fn filter_path_leaves_only_what_is_named() {
    let answer = post(
        &healthy(),
        "/_bulk?filter_path=errors,items.*.status,items.*.error.type&pipeline=_none&require_data_stream=true",
        lines(&["a", "a"]),
    );
    let expected = json!({"errors": true, "items": [
        {"create": {"status": 201}},
        {"create": {"status": 409, "error": {"type": "version_conflict_engine_exception"}}},
    ]});
    assert_eq!(body(&answer), expected);
}

#[test]
fn pipelines_are_counted() {
    let cluster = healthy();
    post(&cluster, "/_bulk?pipeline=_none", lines(&["a"]));
    assert_eq!(cluster.totals()["pipelines"], json!({"_none": 1}));
}

#[test]
fn opensearch_has_no_require_data_stream_and_no_template_of_its_own() {
    let cluster = of(Flavour::OpenSearch2);
    let refused = post(&cluster, "/_bulk?require_data_stream=true", lines(&["a"]));
    assert_eq!(refused.status, 400);
    assert!(
        body(&refused)["error"]["reason"]
            .as_str()
            .unwrap()
            .contains("unrecognized parameter: [require_data_stream]")
    );
    assert_eq!(statuses(&bulk(&cluster, lines(&["a"]))), [201]);
    assert_eq!(cluster.totals()["targets"][STREAM]["data_stream"], false, "a plain index came into being");

    let cluster = of(Flavour::OpenSearch3);
    let template = json!({"index_patterns": ["logs-okta.*"], "data_stream": {}, "priority": 200});
    let put = Request::put("/_index_template/tidegate").body(Bytes::from(template.to_string())).unwrap();
    assert_eq!(cluster.handle(&put, now()).status, 200);
    bulk(&cluster, lines(&["a"]));
    assert_eq!(cluster.totals()["targets"][STREAM]["data_stream"], true);
    let bad = line("b", &json!({"message": "no time"}).to_string());
    let verdict = body(&bulk(&cluster, bad))["items"][0]["create"].clone();
    assert_eq!(verdict["error"]["type"], "mapper_parsing_exception");
    assert_eq!(verdict.get("failure_store"), None);
}

#[test]
fn require_data_stream_keeps_a_plain_index_from_coming_into_being() {
    let cluster = healthy();
    let request = format!("{{\"create\":{{\"_index\":\"elsewhere\",\"_id\":\"a\"}}}}\n{}\n", document());
    let answer = post(&cluster, "/_bulk?require_data_stream=true", request);
    assert_eq!(body(&answer)["items"][0]["create"]["error"]["type"], "index_not_found_exception");
    assert_eq!(statuses(&answer), [404]);
    assert_eq!(cluster.totals()["targets"], json!({}));
}

#[test]
fn a_term_of_too_many_bytes_condemns_its_document_only() {
    let emoji = "\u{1f600}".repeat(8_192);
    let mut long = document();
    long["okta"] = json!({"debug_context": {"example": emoji}});
    let batch = || lines(&["a"]) + &line("long", &long.to_string()) + &lines(&["b"]);
    let answer = bulk(&healthy(), batch());
    assert_eq!(statuses(&answer), [201, 400, 201]);
    let error = body(&answer)["items"][1]["create"]["error"].clone();
    assert_eq!(error["type"], "illegal_argument_exception");
    assert!(
        error["reason"].as_str().unwrap().contains("immense term")
            && error["reason"].as_str().unwrap().contains("32766")
    );

    let with = |immense_terms| {
        let cluster =
            Elasticsearch::new(ElasticsearchConfig { immense_terms, ..ElasticsearchConfig::default() });
        statuses(&bulk(&cluster, batch()))[1]
    };
    assert_eq!(with(ImmenseTerms::Accepted), 201);
    assert_eq!(with(ImmenseTerms::AnywhereBut { fields: Vec::new(), ignore_above: Some(8_191) }), 201);
    assert_eq!(with(ImmenseTerms::AnywhereBut { fields: Vec::new(), ignore_above: Some(8_192) }), 400);
    assert_eq!(with(ImmenseTerms::In(vec!["okta.debug_context.example".to_owned()])), 400);
    assert_eq!(with(ImmenseTerms::In(vec!["elsewhere".to_owned()])), 201);

    let mut text = document();
    text["event"] = json!({"original": "x".repeat(40_000)});
    assert_eq!(
        statuses(&bulk(&healthy(), line("o", &text.to_string()))),
        [201],
        "event.original is not indexed"
    );
}

#[test]
fn items_fail_by_rule_and_go_in_after_the_repair() {
    let cluster = healthy();
    cluster.push_item_rule(ItemRule::ids(&["b"], 400));
    cluster.push_item_rule(ItemRule { times: 1, ..ItemRule::every(2, 429) });
    cluster.push_item_rule(ItemRule {
        index: "okta".to_owned(),
        error_type: Some("cluster_block_exception".to_owned()),
        times: 1,
        ..ItemRule::all(403)
    });
    let answer = bulk(&cluster, lines(&["a", "b", "c", "d"]));
    assert_eq!(statuses(&answer), [403, 400, 429, 201]);
    assert_eq!(body(&answer)["items"][0]["create"]["error"]["type"], "cluster_block_exception");
    assert_eq!(body(&answer)["items"][2]["create"]["error"]["type"], "es_rejected_execution_exception");
    assert_eq!(statuses(&bulk(&cluster, lines(&["a", "b", "c", "d"]))), [201, 400, 201, 409]);
    cluster.clear_faults();
    assert_eq!(statuses(&bulk(&cluster, lines(&["b"]))), [201]);
}

#[test]
fn a_cluster_out_of_shards_refuses_new_streams_and_serves_the_others() {
    for (limit, kind) in [
        (ShardLimit::Validation, "validation_exception"),
        (ShardLimit::IllegalArgument, "illegal_argument_exception"),
    ] {
        let cluster = healthy();
        bulk(&cluster, lines(&["a"]));
        cluster.set_shard_limit(Some(limit));
        let other = "{\"create\":{\"_index\":\"logs-okta.system-beta\",\"_id\":\"z\"}}\n{\"@timestamp\":\"2026-01-15T10:00:00Z\"}\n";
        let answer = bulk(&cluster, lines(&["b"]) + other);
        assert_eq!(statuses(&answer), [201, 400]);
        let error = &body(&answer)["items"][1]["create"]["error"];
        assert_eq!(error["type"], kind);
        assert!(error["reason"].as_str().unwrap().contains("maximum normal shards open"));
        cluster.set_shard_limit(None);
        assert_eq!(statuses(&bulk(&cluster, other)), [201]);
    }
}

#[test]
fn the_failure_store_takes_what_does_not_fit_and_says_so() {
    let cluster = healthy();
    let bad = || line("x", &json!({"message": "no time"}).to_string());
    let off = bulk(&cluster, bad());
    assert_eq!(body(&off)["items"][0]["create"]["failure_store"], "not_enabled");
    cluster.set_failure_store(true);
    let used = bulk(&cluster, bad());
    assert_eq!(statuses(&used), [201]);
    assert_eq!(body(&used)["items"][0]["create"]["failure_store"], "used");
    assert_ne!(body(&used)["items"][0]["create"]["_id"], "x", "it is a document of its own");
    assert!(cluster.documents("x")[0].failure_store);
    assert_eq!((cluster.created(), cluster.totals()["failure_stored"].as_u64()), (0, Some(1)));
}

#[test]
fn opensearch_has_no_failure_store() {
    let cluster = of(Flavour::OpenSearch3);
    let template = json!({"index_patterns": ["logs-*"], "data_stream": {}}).to_string();
    cluster.handle(&Request::put("/_index_template/logs").body(Bytes::from(template)).unwrap(), now());
    cluster.set_failure_store(true);
    let answer = bulk(&cluster, line("x", &json!({"message": "no time"}).to_string()));
    assert_eq!(statuses(&answer), [400]);
    assert_eq!(body(&answer)["items"][0]["create"].get("failure_store"), None);
}

#[test]
fn each_product_takes_its_own_credentials() {
    let basic = "Basic dTpw";
    for (flavour, authorization, status) in [
        (Flavour::Elasticsearch9, "ApiKey a2V5", 200),
        (Flavour::Elasticsearch9, basic, 200),
        (Flavour::Serverless, "ApiKey a2V5", 200),
        (Flavour::Serverless, basic, 401),
        (Flavour::OpenSearch2, basic, 200),
        (Flavour::OpenSearch2, "ApiKey a2V5", 401),
    ] {
        let credentials = vec![
            Credential::ApiKey("a2V5".to_owned()),
            Credential::Basic { user: "u".to_owned(), password: "p".to_owned() },
        ];
        let cluster = Elasticsearch::new(ElasticsearchConfig { flavour, credentials, ..Default::default() });
        let request = Request::get("/").header("authorization", authorization).body(Bytes::new()).unwrap();
        assert_eq!(cluster.handle(&request, now()).status, status, "{flavour:?} {authorization}");
    }
}

#[test]
fn a_lost_answer_leaves_its_documents_stored() {
    let cluster = healthy();
    cluster.push_fault(ScriptedFault::next("_bulk", Fault::DropBeforeAnswer));
    assert_eq!(bulk(&cluster, lines(&["a"])).fault, Some(BodyFault::DropBeforeAnswer));
    assert_eq!(cluster.created(), 1);
    assert_eq!(statuses(&bulk(&cluster, lines(&["a"]))), [409]);
    cluster.push_fault(ScriptedFault::next("_bulk", Fault::DropUnprocessed));
    assert_eq!(bulk(&cluster, lines(&["b"])).fault, Some(BodyFault::DropBeforeAnswer));
    assert_eq!(statuses(&bulk(&cluster, lines(&["b"]))), [201], "this one was not stored");
}

#[test]
fn answers_that_are_no_receipt() {
    let cluster = healthy();
    cluster.push_fault(ScriptedFault::next("_bulk", Fault::MissingItems { count: 2 }));
    cluster.push_fault(ScriptedFault::next("_bulk", Fault::HtmlPage));
    cluster.push_fault(ScriptedFault::next("_bulk", Fault::CutJson));
    assert_eq!(statuses(&bulk(&cluster, lines(&["a", "b", "c"]))), [201]);
    assert_eq!(cluster.created(), 3, "stored, though two items are missing in the answer");
    let page = bulk(&cluster, lines(&["d"]));
    assert_eq!((page.status.as_u16(), page.headers["content-type"].to_str().unwrap()), (200, "text/html"));
    assert_eq!(cluster.created(), 3);
    let cut = bulk(&cluster, lines(&["e"]));
    assert!(serde_json::from_slice::<Value>(&cut.body).is_err());
    assert_eq!((cut.status.as_u16(), cluster.created()), (200, 4));
}

#[test]
fn whole_requests_are_refused_by_script_without_storing() {
    let cluster = healthy();
    for (fault, status) in [
        (Fault::Unauthorized, 401),
        (Fault::Forbidden, 403),
        (Fault::NotFound, 404),
        (Fault::TooLarge, 413),
        (Fault::RateLimited { reset_s: 0, retry_after_s: Some(7), duplicate_reset: false }, 429),
        (Fault::ServerError, 500),
        (Fault::BadGateway, 502),
        (Fault::Unavailable, 503),
    ] {
        cluster.push_fault(ScriptedFault::next("_bulk", fault));
        let answer = bulk(&cluster, lines(&["a"]));
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers.get("retry-after").is_some(), status == 429);
    }
    assert_eq!(cluster.created(), 0);
}

#[test]
fn gzip_and_size_limits() {
    let cluster =
        Elasticsearch::new(ElasticsearchConfig { max_bytes: 2_000, ..ElasticsearchConfig::default() });
    let zipped = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        let request = Request::post("/_bulk")
            .header("content-type", "application/x-ndjson")
            .header("content-encoding", "gzip");
        cluster.handle(&request.body(Bytes::from(encoder.finish().unwrap())).unwrap(), now())
    };
    assert_eq!(statuses(&zipped(&lines(&["a"]))), [201]);
    assert_eq!(zipped(&lines(&["b"; 20])).status, 413, "also after decompression");
    assert_eq!(bulk(&cluster, lines(&["b"; 20])).status, 413);
    let unzipped = Request::post("/_bulk")
        .header("content-type", "application/x-ndjson")
        .header("content-encoding", "gzip");
    assert_eq!(cluster.handle(&unzipped.body(Bytes::from(lines(&["c"]))).unwrap(), now()).status, 400);
    let untyped = Request::post("/_bulk").body(Bytes::from(lines(&["c"]))).unwrap();
    assert_eq!(cluster.handle(&untyped, now()).status, 406);
    assert_eq!(cluster.created(), 1);
}

#[test]
fn credentials_are_checked_where_there_are_any() {
    let basic = Credential::Basic { user: "elastic".to_owned(), password: "example".to_owned() };
    let credentials =
        vec![Credential::ApiKey("aWQ6a2V5".to_owned()), basic, Credential::Bearer("jwt".to_owned())];
    let cluster = Elasticsearch::new(ElasticsearchConfig { credentials, ..ElasticsearchConfig::default() });
    let with = |authorization: &str| {
        let request = Request::get("/").header("authorization", authorization).body(Bytes::new()).unwrap();
        cluster.handle(&request, now()).status.as_u16()
    };
    let good = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("elastic:example"));
    assert_eq!([with("ApiKey aWQ6a2V5"), with(&good), with("Bearer jwt")], [200, 200, 200]);
    assert_eq!(
        [with("ApiKey other"), with("Basic x"), with("Bearer aWQ6a2V5"), with("")],
        [401, 401, 401, 401]
    );
    let log = serde_json::to_string(&cluster.requests()).unwrap();
    assert!(log.contains("\"ApiKey\"") && !log.contains("aWQ6a2V5"), "{log}");
}

#[test]
fn each_flavour_introduces_itself() {
    let about = |flavour| {
        body(&of(flavour).handle(&Request::get("/").body(Bytes::new()).unwrap(), now()))["version"].clone()
    };
    assert!(about(Flavour::Elasticsearch8)["number"].as_str().unwrap().starts_with("8."));
    assert!(about(Flavour::Elasticsearch9)["number"].as_str().unwrap().starts_with("9."));
    assert_eq!(about(Flavour::Serverless)["build_flavor"], "serverless");
    for flavour in [Flavour::OpenSearch2, Flavour::OpenSearch3] {
        assert_eq!(about(flavour)["distribution"], "opensearch");
    }
    assert_eq!("opensearch3".parse(), Ok(Flavour::OpenSearch3));
    assert!("solr".parse::<Flavour>().is_err());
}

#[test]
fn templates_and_policies_are_stored_and_listed() {
    let put = |cluster: &Elasticsearch, path: &str, body: Value| {
        cluster
            .handle(&Request::put(path).body(Bytes::from(body.to_string())).unwrap(), now())
            .status
            .as_u16()
    };
    let get = |cluster: &Elasticsearch, path: &str| {
        cluster.handle(&Request::get(path).body(Bytes::new()).unwrap(), now())
    };
    let cluster = healthy();
    assert_eq!(put(&cluster, "/_component_template/tidegate-okta@mappings", json!({"template": {}})), 200);
    assert_eq!(
        put(
            &cluster,
            "/_index_template/tidegate-okta",
            json!({"index_patterns": ["logs-okta.*"], "data_stream": {}})
        ),
        200
    );
    assert_eq!(put(&cluster, "/_ilm/policy/tidegate", json!({"policy": {"phases": {}}})), 200);
    let listed = body(&get(&cluster, "/_component_template/tidegate-*"));
    assert_eq!(listed["component_templates"][0]["name"], "tidegate-okta@mappings");
    assert_eq!(body(&get(&cluster, "/_index_template"))["index_templates"].as_array().unwrap().len(), 2);
    assert_eq!(body(&get(&cluster, "/_ilm/policy/tidegate"))["tidegate"]["policy"], json!({"phases": {}}));
    assert_eq!(get(&cluster, "/_index_template/none").status, 404);
    assert_eq!(put(&cluster, "/_plugins/_ism/policies/x", json!({"policy": {}})), 400, "not at Elastic");
    let cluster = of(Flavour::OpenSearch2);
    let policy = json!({"policy": {"description": "d", "default_state": "hot", "states": [{"name": "hot", "actions": []}]}});
    assert_eq!(put(&cluster, "/_plugins/_ism/policies/x", json!({"policy": {"states": []}})), 400);
    assert_eq!(put(&cluster, "/_plugins/_ism/policies/x", policy.clone()), 200);
    assert_eq!(
        put(&cluster, "/_plugins/_ism/policies/x", policy),
        409,
        "nobody said which version it replaces"
    );
    assert_eq!(put(&cluster, "/_ilm/policy/x", json!({"policy": {}})), 400, "not in OpenSearch");
    assert_eq!(body(&get(&cluster, "/_plugins/_ism/policies"))["total_policies"], 1);
    assert_eq!(
        put(&of(Flavour::Serverless), "/_ilm/policy/x", json!({"policy": {}})),
        400,
        "no ILM on serverless"
    );
}

#[test]
fn field_types_of_the_templates_hold_from_the_next_backing_index_on() {
    let cluster = healthy();
    let put = |path: &str, body: Value| {
        cluster
            .handle(&Request::put(path).body(Bytes::from(body.to_string())).unwrap(), now())
            .status
            .as_u16()
    };
    let flat = |value: Value| {
        let mut changed = document();
        changed["okta"] = json!({"debug_data": value});
        changed.to_string()
    };
    assert_eq!(statuses(&bulk(&cluster, line("a", &flat(json!("text"))))), [201], "no template, no type");
    let component = json!({"template": {"mappings": {"properties": {"okta": {"properties": {"debug_data": {"type": "flattened"}}}}}}});
    assert_eq!(put("/_component_template/tidegate-okta@mappings", component), 200);
    let template = json!({
        "index_patterns": ["logs-okta.*"], "priority": 200, "data_stream": {}, "composed_of": ["tidegate-okta@mappings"],
    });
    assert_eq!(put("/_index_template/tidegate-okta", template), 200);
    assert_eq!(
        statuses(&bulk(&cluster, line("b", &flat(json!("text"))))),
        [201],
        "the old backing index goes on"
    );
    assert!(cluster.rollover(STREAM));
    let answer = bulk(&cluster, line("c", &flat(json!("text"))) + &line("d", &flat(json!({"a": "x"}))));
    assert_eq!(statuses(&answer), [400, 201]);
    assert!(
        body(&answer)["items"][0]["create"]["error"]["reason"]
            .as_str()
            .unwrap()
            .contains("[okta.debug_data] of type [flattened]")
    );
}

#[test]
fn an_address_that_is_none_condemns_its_document() {
    let mut wrong = document();
    wrong["source"] = json!({"ip": "null"});
    let answer = bulk(&healthy(), line("a", &wrong.to_string()) + &lines(&["b"]));
    assert_eq!(statuses(&answer), [400, 201]);
}

#[test]
fn other_routes_and_verbs_are_errors() {
    let cluster = healthy();
    let get =
        |path: &str| cluster.handle(&Request::get(path).body(Bytes::new()).unwrap(), now()).status.as_u16();
    assert_eq!(get("/_bulk"), 405);
    assert_eq!(get("/_nothing/here"), 400);
    assert_eq!(get("/_cluster/health"), 200);
}

#[test]
fn the_control_api_tells_what_arrived_and_takes_orders() {
    let cluster = healthy();
    let get = |uri: &str| cluster.handle(&Request::get(uri).body(Bytes::new()).unwrap(), now());
    let control = |uri: &str, order: Value| post(&cluster, uri, order.to_string()).status.as_u16();
    bulk(&cluster, lines(&["a", "b"]));
    bulk(&cluster, lines(&["a"]));
    let ids = body(&get("/_sim/ids"))["ids"].clone();
    assert_eq!(ids[0], json!({"id": "a", "index": STREAM, "created": 1, "conflicts": 1, "sent": 2}));
    assert_eq!(get("/_sim/documents?id=b").body, document().to_string());
    assert_eq!(get("/_sim/documents?id=none").status, 404);
    assert_eq!(get("/_sim/documents").body.split(|byte| *byte == b'\n').count(), 3, "two lines and the end");
    assert_eq!(
        control(
            "/_sim/faults",
            json!({"items": [{"ids": ["c"], "status": 503}], "shard_limit": "validation"})
        ),
        200
    );
    assert_eq!(statuses(&bulk(&cluster, lines(&["c"]))), [503]);
    assert_eq!(
        control("/_sim/faults", json!({"script": [{"path": "_bulk", "fault": {"kind": "unavailable"}}]})),
        200
    );
    assert_eq!(bulk(&cluster, lines(&["d"])).status, 503);
    assert_eq!(control("/_sim/faults", json!({"clear": true})), 200);
    assert_eq!(statuses(&bulk(&cluster, lines(&["c"]))), [201]);
    assert_eq!(control(&format!("/_sim/rollover?target={STREAM}"), json!({})), 200);
    assert_eq!(statuses(&bulk(&cluster, lines(&["c"]))), [201]);
    let totals = body(&get("/_sim/totals"));
    assert_eq!(
        (totals["created"].as_u64(), totals["conflicts"].as_u64(), totals["bulks"].as_u64()),
        (Some(4), Some(1), Some(5))
    );
    assert_eq!(totals["requests"]["by_status"], json!({"200": 5, "503": 1}));
}
