//! A stand-in for an Elasticsearch or OpenSearch cluster, as far as bulk delivery into data streams goes.
//!
//! A bulk request is judged as a whole first (form, size, strict JSON), then item by item in order. Ids are unique in a
//! backing index only, so a rollover lets the same id in again, as in life.

mod assets;
mod bulk;
mod config;
mod filter_path;
mod mapping;
mod strict;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

pub use config::{Credential, ElasticsearchConfig, Flavour, ImmenseTerms, ItemRule, ShardLimit};

use crate::answer::{Answer, Handler, accepts_gzip, http_date};
use crate::control::{Desk, Notices, RequestEntry, done, lock, no_such_control, parse};
use crate::faults::{Fault, RandomFaults, ScriptedFault};
use bulk::Action;
use mapping::{Judge, Mapping, is_date};

const LOGS_PATTERN: &str = "logs-*-*";

/// A cluster. Clones are the same cluster.
#[derive(Debug, Clone)]
pub struct Elasticsearch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ElasticsearchConfig,
    desk: Desk,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    targets: BTreeMap<String, Target>,
    documents: HashMap<String, Vec<Stored>>,
    /// Per id: creates, conflicts, how often sent.
    ids: BTreeMap<String, Tally>,
    rules: Vec<(ItemRule, u64)>,
    shard_limit: Option<ShardLimit>,
    failure_store: bool,
    /// `(kind, name)` → body.
    assets: BTreeMap<(String, String), Value>,
    created: u64,
    conflicts: u64,
    rejected: u64,
    failure_stored: u64,
    items: u64,
    bulks: u64,
    automatic: u64,
    pipelines: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Target {
    data_stream: bool,
    generation: u64,
    /// Ids of the write index.
    ids: HashSet<String>,
    /// Field types of the write index.
    mapping: Mapping,
    documents: u64,
}

#[derive(Debug, Clone, Default)]
struct Tally {
    index: String,
    created: u64,
    conflicts: u64,
    sent: u64,
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The data stream (or index) it was sent to.
    pub target: String,
    /// The backing index it lies in.
    pub backing: String,
    /// The document, byte for byte.
    pub source: Bytes,
    /// It did not fit the mapping and lies in the failure store.
    pub failure_store: bool,
}

/// What became of one document id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The document's id.
    pub id: String,
    /// The data stream it was last sent to.
    pub index: String,
    /// Times it was created; more than 1 only across a rollover.
    pub created: u64,
    /// Times it was answered with 409.
    pub conflicts: u64,
    /// Times it was sent, whatever the answer.
    pub sent: u64,
}

impl Elasticsearch {
    /// Sets a cluster up.
    pub fn new(config: ElasticsearchConfig) -> Self {
        let desk = Desk::new(config.clock_offset, None);
        {
            let mut plan = desk.plan();
            config.faults.iter().cloned().for_each(|fault| plan.push(fault));
            plan.set_random(config.random_faults.clone());
        }
        let mut inner = Inner {
            rules: config.item_rules.iter().cloned().map(|rule| (rule, 0)).collect(),
            shard_limit: config.shard_limit,
            failure_store: config.failure_store,
            ..Inner::default()
        };
        if !config.flavour.is_opensearch() {
            let body = json!({"index_patterns": [LOGS_PATTERN], "priority": 100, "data_stream": {}, "composed_of": ["logs@mappings", "logs@settings", "ecs@mappings", "logs@custom"]});
            inner.assets.insert(("_index_template".to_owned(), "logs".to_owned()), body);
        }
        Self { shared: Arc::new(Shared { config, desk, inner: Mutex::new(inner) }) }
    }

    /// Answers one request. `now` is the true (or virtual) time.
    pub fn handle(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let desk = &self.shared.desk;
        let now = desk.now(now);
        let path = request.uri().path();
        if path.starts_with("/_sim/") {
            if path == "/_sim/faults" && request.method() == Method::POST {
                return self.post_faults(request, now);
            }
            return desk.control(request, now).unwrap_or_else(|| self.control(request, now));
        }
        desk.notices.received(path);
        let fault = desk.next_fault(path, &usual_faults());
        let mut answer = match fault.as_ref().and_then(instead) {
            Some(answer) => answer,
            None => self.answer(request, fault.as_ref()),
        };
        answer.set("date", &http_date(now));
        if !self.shared.config.flavour.is_opensearch() {
            answer.set("x-elastic-product", "Elasticsearch");
        }
        if let Some(Fault::Exchange(exchange)) = &fault {
            exchange.set_headers(&mut answer, now);
        }
        if matches!(fault, Some(Fault::CutJson)) {
            Fault::CutJson.on_the_wire(&mut answer);
        }
        let own_body = fault.as_ref().is_some_and(Fault::has_own_body);
        if !own_body && accepts_gzip(request.headers()) && !answer.body.is_empty() {
            answer.gzip();
        }
        if let Some(fault) = fault.as_ref().filter(|fault| **fault != Fault::CutJson) {
            fault.on_the_wire(&mut answer);
        }
        desk.answered(request, &mut answer, fault.as_ref(), now);
        answer
    }

    /// Puts a fault at the end of the script.
    pub fn push_fault(&self, fault: ScriptedFault) {
        self.shared.desk.plan().push(fault);
    }

    /// Replaces the random faults.
    pub fn set_random_faults(&self, faults: Option<RandomFaults>) {
        self.shared.desk.plan().set_random(faults);
    }

    /// Adds a verdict on items.
    pub fn push_item_rule(&self, rule: ItemRule) {
        lock(&self.shared.inner).rules.push((rule, 0));
    }

    /// Repairs the cluster: no faults, no item rules, shards to spare, no failure store.
    pub fn clear_faults(&self) {
        self.shared.desk.plan().clear();
        let mut inner = lock(&self.shared.inner);
        inner.rules.clear();
        inner.shard_limit = None;
        inner.failure_store = false;
    }

    /// Whether new data streams are refused for want of shards.
    pub fn set_shard_limit(&self, limit: Option<ShardLimit>) {
        lock(&self.shared.inner).shard_limit = limit;
    }

    /// Whether mapping troubles go into the failure store.
    pub fn set_failure_store(&self, used: bool) {
        lock(&self.shared.inner).failure_store = used;
    }

    /// Moves the server's clock forward.
    pub fn advance(&self, by: TimeDelta) {
        self.shared.desk.advance(by);
    }

    /// Starts a new backing index. Whether there is such a target.
    pub fn rollover(&self, target: &str) -> bool {
        let mut inner = lock(&self.shared.inner);
        let mapping = self.mapping(&inner, target);
        let Some(target) = inner.targets.get_mut(target) else { return false };
        target.generation += 1;
        target.ids.clear();
        target.mapping = mapping;
        true
    }

    /// Every id that was ever sent, in order of ids.
    pub fn delivered(&self) -> Vec<Delivered> {
        let deliver = |(id, tally): (&String, &Tally)| Delivered {
            id: id.clone(),
            index: tally.index.clone(),
            created: tally.created,
            conflicts: tally.conflicts,
            sent: tally.sent,
        };
        lock(&self.shared.inner).ids.iter().map(deliver).collect()
    }

    /// All documents stored under an id: several only across rollovers or data streams.
    pub fn documents(&self, id: &str) -> Vec<Stored> {
        lock(&self.shared.inner).documents.get(id).cloned().unwrap_or_default()
    }

    /// Documents stored, all targets together.
    pub fn created(&self) -> u64 {
        lock(&self.shared.inner).created
    }

    /// Items answered with 409.
    pub fn conflicts(&self) -> u64 {
        lock(&self.shared.inner).conflicts
    }

    /// The requests answered so far (control requests are not among them).
    pub fn requests(&self) -> Vec<RequestEntry> {
        self.shared.desk.requests()
    }

    /// Counts, as `GET /_sim/totals` gives them.
    pub fn totals(&self) -> Value {
        let inner = lock(&self.shared.inner);
        let targets: BTreeMap<&String, Value> = inner
            .targets
            .iter()
            .map(|(name, target)| {
                let about = json!({
                    "documents": target.documents,
                    "generation": target.generation,
                    "data_stream": target.data_stream,
                });
                (name, about)
            })
            .collect();
        json!({
            "server": "elasticsearch",
            "flavour": self.shared.config.flavour,
            "created": inner.created,
            "conflicts": inner.conflicts,
            "rejected": inner.rejected,
            "failure_stored": inner.failure_stored,
            "items": inner.items,
            "bulks": inner.bulks,
            "ids": inner.ids.len(),
            "targets": targets,
            "pipelines": inner.pipelines,
            "requests": self.shared.desk.totals(),
        })
    }

    fn answer(&self, request: &Request<Bytes>, fault: Option<&Fault>) -> Answer {
        if let Some(refused) = self.unauthorized(request) {
            return refused;
        }
        let path = request.uri().path();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        match (request.method(), segments.as_slice()) {
            (&Method::GET | &Method::HEAD, []) => self.about(),
            (&Method::POST | &Method::PUT, ["_bulk"]) => self.bulk(request, None, fault),
            (&Method::POST | &Method::PUT, [target, "_bulk"]) => self.bulk(request, Some(target), fault),
            (&Method::GET, ["_cluster", "health"]) => Answer::json(
                StatusCode::OK,
                &json!({"cluster_name": "simulator", "status": "green", "timed_out": false}),
            ),
            (&Method::POST, [target, "_rollover"]) => {
                let rolled_over = self.rollover(target);
                let status = if rolled_over { StatusCode::OK } else { StatusCode::NOT_FOUND };
                Answer::json(status, &json!({"acknowledged": rolled_over, "rolled_over": rolled_over}))
            }
            (&Method::GET, [target, "_count"]) => {
                let inner = lock(&self.shared.inner);
                match inner.targets.get(*target) {
                    Some(target) => Answer::json(StatusCode::OK, &json!({"count": target.documents})),
                    None => failure(
                        StatusCode::NOT_FOUND,
                        "index_not_found_exception",
                        &format!("no such index [{target}]"),
                    ),
                }
            }
            (method, ["_plugins", "_ism", "policies", rest @ ..])
                if self.shared.config.flavour.is_opensearch() =>
            {
                self.asset(method, request, "_plugins/_ism/policies", rest)
            }
            (method, ["_ilm", "policy", rest @ ..]) if self.has_ilm() => {
                self.asset(method, request, "_ilm/policy", rest)
            }
            (method, [kind @ ("_index_template" | "_component_template"), rest @ ..]) => {
                self.asset(method, request, kind, rest)
            }
            (_, ["_bulk"] | [_, "_bulk"]) => failure(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                &format!(
                    "Incorrect HTTP method for uri [{path}] and method [{}], allowed: [POST, PUT]",
                    request.method()
                ),
            ),
            _ => {
                let reason = format!("no handler found for uri [{path}] and method [{}]", request.method());
                Answer::json(StatusCode::BAD_REQUEST, &json!({"error": reason, "status": 400}))
            }
        }
    }

    fn has_ilm(&self) -> bool {
        matches!(self.shared.config.flavour, Flavour::Elasticsearch8 | Flavour::Elasticsearch9)
    }

    fn unauthorized(&self, request: &Request<Bytes>) -> Option<Answer> {
        let config = &self.shared.config;
        if config.credentials.is_empty() {
            return None;
        }
        let header = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, value) = header.and_then(|header| header.split_once(' ')).unwrap_or_default();
        let value = value.trim();
        let accepted = config.credentials.iter().any(|credential| match credential {
            Credential::ApiKey(_) if config.flavour.is_opensearch() => false,
            Credential::Bearer(_) | Credential::Basic { .. } if config.flavour == Flavour::Serverless => {
                false
            }
            Credential::ApiKey(key) => scheme.eq_ignore_ascii_case("apikey") && key == value,
            Credential::Bearer(token) => scheme.eq_ignore_ascii_case("bearer") && token == value,
            Credential::Basic { user, password } => {
                let pair = STANDARD.encode(format!("{user}:{password}"));
                scheme.eq_ignore_ascii_case("basic") && pair == value
            }
        });
        if accepted {
            return None;
        }
        let mut answer = failure(
            StatusCode::UNAUTHORIZED,
            "security_exception",
            "missing authentication credentials for REST request",
        );
        answer.add("www-authenticate", "Basic realm=\"security\", charset=\"UTF-8\"");
        answer.add("www-authenticate", "ApiKey");
        Some(answer)
    }

    fn about(&self) -> Answer {
        let mut body = json!({
            "name": "simulator-1",
            "cluster_name": "simulator",
            "cluster_uuid": "simulatorsimulator0001",
            "tagline": "You Know, for Search",
        });
        let version = match self.shared.config.flavour {
            Flavour::Elasticsearch8 => {
                json!({"number": "8.19.4", "build_flavor": "default", "build_type": "docker"})
            }
            Flavour::Elasticsearch9 => {
                json!({"number": "9.2.0", "build_flavor": "default", "build_type": "docker"})
            }
            Flavour::Serverless => {
                json!({"number": "8.11.0", "build_flavor": "serverless", "build_type": "docker"})
            }
            Flavour::OpenSearch2 => {
                json!({"distribution": "opensearch", "number": "2.19.3", "build_type": "tar"})
            }
            Flavour::OpenSearch3 => {
                json!({"distribution": "opensearch", "number": "3.3.0", "build_type": "tar"})
            }
        };
        if let Some(object) = body.as_object_mut() {
            object.insert("version".to_owned(), version);
            if self.shared.config.flavour.is_opensearch() {
                object.insert("tagline".to_owned(), json!("The OpenSearch Project: https://opensearch.org/"));
            }
        }
        Answer::json(StatusCode::OK, &body)
    }

    /// Templates and policies: stored and given back, and data streams come from those with `data_stream`.
    fn asset(&self, method: &Method, request: &Request<Bytes>, kind: &str, rest: &[&str]) -> Answer {
        let mut inner = lock(&self.shared.inner);
        match (method, rest) {
            (&Method::PUT | &Method::POST, [name]) => match serde_json::from_slice::<Value>(request.body()) {
                Ok(body) if body.is_object() => {
                    let key = (kind.to_owned(), (*name).to_owned());
                    // A policy is only replaced by whoever says which version of it was read.
                    let versioned = request.uri().query().is_some_and(|query| query.contains("if_seq_no="));
                    if kind == "_plugins/_ism/policies" && inner.assets.contains_key(&key) && !versioned {
                        let reason = format!(
                            "[{name}]: version conflict, document already exists (current version [1])"
                        );
                        return failure(StatusCode::CONFLICT, "version_conflict_engine_exception", &reason);
                    }
                    let has = |part: &str| {
                        inner.assets.contains_key(&("_component_template".to_owned(), part.to_owned()))
                    };
                    if let Err((status, kind, reason)) =
                        assets::judge(self.shared.config.flavour, kind, name, &body, has)
                    {
                        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                        return failure(status, kind, &reason);
                    }
                    inner.assets.insert((kind.to_owned(), (*name).to_owned()), body);
                    Answer::json(StatusCode::OK, &json!({"acknowledged": true}))
                }
                _ => failure(StatusCode::BAD_REQUEST, "parse_exception", "request body is required"),
            },
            (&Method::GET | &Method::HEAD, names) => {
                let pattern = names.first().copied().unwrap_or("*");
                let found: Vec<(&String, &Value)> = inner
                    .assets
                    .iter()
                    .filter(|((of, name), _)| of == kind && wildcard(pattern, name))
                    .map(|((_, name), body)| (name, body))
                    .collect();
                if found.is_empty() && !pattern.contains('*') {
                    return failure(
                        StatusCode::NOT_FOUND,
                        "resource_not_found_exception",
                        &format!("{kind} matching [{pattern}] not found"),
                    );
                }
                Answer::json(StatusCode::OK, &listing(kind, &found))
            }
            (&Method::DELETE, [name]) => {
                let gone = inner.assets.remove(&(kind.to_owned(), (*name).to_owned())).is_some();
                let status = if gone { StatusCode::OK } else { StatusCode::NOT_FOUND };
                Answer::json(status, &json!({"acknowledged": gone}))
            }
            _ => failure(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "method not allowed"),
        }
    }

    fn bulk(&self, request: &Request<Bytes>, target: Option<&str>, fault: Option<&Fault>) -> Answer {
        let config = &self.shared.config;
        let opensearch = config.flavour.is_opensearch();
        let query: HashMap<String, String> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let known: &[&str] = if opensearch {
            &[
                "filter_path",
                "pipeline",
                "timeout",
                "wait_for_active_shards",
                "refresh",
                "require_alias",
                "routing",
                "pretty",
                "human",
                "error_trace",
                "_source",
            ]
        } else {
            &[
                "filter_path",
                "pipeline",
                "timeout",
                "wait_for_active_shards",
                "refresh",
                "require_alias",
                "require_data_stream",
                "routing",
                "pretty",
                "human",
                "error_trace",
                "_source",
                "list_executed_pipelines",
                "include_source_on_error",
            ]
        };
        if let Some(unknown) = query.keys().find(|name| !known.contains(&name.as_str())) {
            let reason =
                format!("request [{}] contains unrecognized parameter: [{unknown}]", request.uri().path());
            return failure(StatusCode::BAD_REQUEST, "illegal_argument_exception", &reason);
        }
        let content_type =
            request.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !["application/x-ndjson", "application/json"].contains(&media) {
            let body =
                json!({"error": format!("Content-Type header [{media}] is not supported"), "status": 406});
            return Answer::json(StatusCode::NOT_ACCEPTABLE, &body);
        }
        let body = match self.body(request) {
            Ok(body) => body,
            Err(answer) => return *answer,
        };
        let actions = match bulk::parse(&body, target) {
            Ok(actions) => actions,
            Err(malformed) => return failure(StatusCode::BAD_REQUEST, malformed.kind, &malformed.reason),
        };
        let mut documents = Vec::with_capacity(actions.len());
        for action in actions {
            let document =
                if action.operation == "delete" { Ok(Value::Null) } else { strict::parse(&action.source) };
            if let (Err(problem), false) = (&document, config.invalid_json_fails_alone) {
                return failure(StatusCode::BAD_REQUEST, "x_content_parse_exception", problem);
            }
            documents.push((action, document));
        }
        let require_data_stream = query.get("require_data_stream").is_some_and(|value| value != "false");
        let mut inner = lock(&self.shared.inner);
        inner.bulks += 1;
        if let Some(pipeline) = query.get("pipeline") {
            *inner.pipelines.entry(pipeline.clone()).or_default() += 1;
        }
        let before = inner.created;
        let mut items: Vec<Value> = documents
            .into_iter()
            .map(|(action, document)| self.item(&mut inner, action, document, require_data_stream))
            .collect();
        let created = inner.created - before;
        drop(inner);
        self.shared.desk.notices.events(request.uri().path(), created);
        if let Some(Fault::MissingItems { count }) = fault {
            items.truncate(items.len().saturating_sub(*count));
        }
        let errors = items.iter().flat_map(|item| item.as_object()).flat_map(|item| item.values());
        let errors = errors.into_iter().any(|verdict| verdict.get("error").is_some());
        let body = json!({"took": 3, "errors": errors, "items": items});
        match query.get("filter_path") {
            Some(paths) => Answer::json(StatusCode::OK, &filter_path::apply(&body, paths)),
            None => Answer::json(StatusCode::OK, &body),
        }
    }

    fn body(&self, request: &Request<Bytes>) -> Result<Bytes, Box<Answer>> {
        let most = self.shared.config.max_bytes;
        if request.body().len() > most {
            return Err(Box::new(Answer::html(StatusCode::PAYLOAD_TOO_LARGE)));
        }
        let coding =
            request.headers().get(http::header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
        match coding {
            None | Some("identity") => Ok(request.body().clone()),
            Some("gzip") => {
                let mut body = Vec::new();
                let limit = most as u64 + 1;
                let decoded = flate2::read::MultiGzDecoder::new(request.body().as_ref())
                    .take(limit)
                    .read_to_end(&mut body);
                if decoded.is_err() {
                    return Err(Box::new(failure(
                        StatusCode::BAD_REQUEST,
                        "parse_exception",
                        "the body is no gzip",
                    )));
                }
                if body.len() > most {
                    return Err(Box::new(Answer::html(StatusCode::PAYLOAD_TOO_LARGE)));
                }
                Ok(Bytes::from(body))
            }
            Some(_) => Err(Box::new(Answer::html(StatusCode::UNSUPPORTED_MEDIA_TYPE))),
        }
    }

    /// The verdict on one item; stores it where that is the verdict.
    fn item(
        &self,
        inner: &mut Inner,
        action: Action,
        document: Result<Value, String>,
        require_data_stream: bool,
    ) -> Value {
        inner.items += 1;
        let id = action.id.clone().unwrap_or_else(|| {
            inner.automatic += 1;
            format!("auto{:016x}", crate::rng::mix(1, inner.automatic))
        });
        let tally = inner.ids.entry(id.clone()).or_default();
        tally.sent += 1;
        tally.index.clone_from(&action.index);
        let verdict = match self.judge(inner, &action, &id, document, require_data_stream) {
            Verdict::Create => self.store(inner, &action, &id, false),
            Verdict::Unmapped(_) if inner.failure_store && self.has_failure_store() => {
                self.store(inner, &action, &id, true)
            }
            Verdict::Unmapped((status, kind, reason)) => {
                inner.rejected += 1;
                let mut verdict = refusal(&action.index, &id, status, &kind, &reason);
                if self.has_failure_store() {
                    mark(&mut verdict, "not_enabled");
                }
                verdict
            }
            Verdict::Conflict => {
                inner.conflicts += 1;
                inner.ids.entry(id.clone()).or_default().conflicts += 1;
                let reason =
                    format!("[{id}]: version conflict, document already exists (current version [1])");
                refusal(
                    &backing(inner, &action.index),
                    &id,
                    409,
                    "version_conflict_engine_exception",
                    &reason,
                )
            }
            Verdict::Refused((status, kind, reason)) => {
                inner.rejected += 1;
                refusal(&action.index, &id, status, &kind, &reason)
            }
            Verdict::Scripted((status, kind, reason), failure_store) => {
                inner.rejected += 1;
                let mut verdict = refusal(&action.index, &id, status, &kind, &reason);
                if let Some(value) = failure_store.filter(|_| self.has_failure_store()) {
                    mark(&mut verdict, &value);
                }
                verdict
            }
        };
        json!({ action.operation: verdict })
    }

    fn has_failure_store(&self) -> bool {
        !self.shared.config.flavour.is_opensearch()
    }

    fn judge(
        &self,
        inner: &mut Inner,
        action: &Action,
        id: &str,
        document: Result<Value, String>,
        require_data_stream: bool,
    ) -> Verdict {
        if let Some((refused, failure_store)) = struck(&mut inner.rules, id, &action.index) {
            return Verdict::Scripted(refused, failure_store);
        }
        let index = &action.index;
        if !legal_name(index) {
            return refuse(400, "invalid_index_name_exception", format!("Invalid index name [{index}]"));
        }
        let exists = inner.targets.get(index).map(|target| target.data_stream);
        let data_stream = exists.unwrap_or_else(|| stream_template(inner, index));
        if (require_data_stream || action.require_data_stream) && !data_stream {
            let reason = format!(
                "no such index [{index}] and [require_data_stream] request flag is [true] and [{index}] is not a data stream"
            );
            return refuse(404, "index_not_found_exception", reason);
        }
        if data_stream && action.operation != "create" {
            let reason = "only write ops with an op_type of create are allowed in data streams".to_owned();
            return refuse(400, "illegal_argument_exception", reason);
        }
        if action.operation != "create" {
            let reason = format!("the simulator knows create only, not {}", action.operation);
            return refuse(400, "illegal_argument_exception", reason);
        }
        if let (None, Some(limit)) = (exists, inner.shard_limit) {
            let kind = match limit {
                ShardLimit::Validation => "validation_exception",
                ShardLimit::IllegalArgument => "illegal_argument_exception",
            };
            let reason = "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [3000]/[3000] maximum normal shards open;";
            return refuse(400, kind, reason.to_owned());
        }
        let document = match document {
            Ok(document) => document,
            Err(problem) => {
                return unmapped("document_parsing_exception", format!("[1:1] failed to parse: {problem}"));
            }
        };
        if exists.is_none() {
            let mapping = self.mapping(inner, index);
            let target = Target { data_stream, generation: 1, ids: HashSet::new(), mapping, documents: 0 };
            inner.targets.insert(index.clone(), target);
        }
        let Some(target) = inner.targets.get_mut(index) else { return Verdict::Conflict };
        if let Some(trouble) =
            self.mapping_trouble(&document, data_stream.then_some(index.as_str()), &mut target.mapping)
        {
            return trouble;
        }
        if target.ids.contains(id) { Verdict::Conflict } else { Verdict::Create }
    }

    fn mapping_trouble(
        &self,
        document: &Value,
        stream: Option<&str>,
        mapping: &mut Mapping,
    ) -> Option<Verdict> {
        // Before 8.8, and in OpenSearch, the exception has its old name.
        let parsing = if self.shared.config.flavour.is_opensearch() {
            "mapper_parsing_exception"
        } else {
            "document_parsing_exception"
        };
        if let Some(stream) = stream {
            let timestamp = at(document, "@timestamp");
            if timestamp.is_none_or(Value::is_null) {
                let reason = "[1:1] failed to parse: data stream timestamp field [@timestamp] is missing";
                return Some(unmapped(parsing, reason.to_owned()));
            }
            if !timestamp.is_some_and(is_date) {
                let reason = "[1:1] failed to parse field [@timestamp] of type [date]";
                return Some(unmapped(parsing, reason.to_owned()));
            }
            let parts: Vec<&str> = stream.splitn(3, '-').collect();
            if let [kind, dataset, namespace] = parts.as_slice() {
                for (field, expected) in [
                    ("data_stream.type", kind),
                    ("data_stream.dataset", dataset),
                    ("data_stream.namespace", namespace),
                ] {
                    let value = at(document, field);
                    if value.is_some_and(|value| value.as_str() != Some(expected)) {
                        let reason = format!(
                            "[1:1] failed to parse field [{field}] of type [constant_keyword]: [constant_keyword] field [{field}] only accepts values that are equal to the value defined in the mappings [{expected}], but got {}",
                            value.unwrap_or(&Value::Null)
                        );
                        return Some(unmapped(parsing, reason));
                    }
                }
            }
        }
        if let Some(name) = empty_name(document) {
            return Some(unmapped(
                parsing,
                format!("[1:1] failed to parse: field name cannot be an empty string or blank [{name}]"),
            ));
        }
        let judge = Judge { immense: &self.shared.config.immense_terms, parsing };
        mapping.admit(document, judge).err().map(|trouble| unmapped(trouble.kind, trouble.reason))
    }

    /// Field types that the templates give a new backing index.
    fn mapping(&self, inner: &Inner, index: &str) -> Mapping {
        let config = &self.shared.config;
        let mut mapping = Mapping::new(!config.flavour.is_opensearch());
        let Some(template) = index_template(inner, index) else { return mapping };
        let components = template.get("composed_of").and_then(Value::as_array);
        for name in components.into_iter().flatten().filter_map(Value::as_str) {
            let key = ("_component_template".to_owned(), name.to_owned());
            if let Some(mappings) = inner.assets.get(&key).and_then(|body| body.pointer("/template/mappings"))
            {
                mapping.declare(mappings);
            }
        }
        if let Some(mappings) = template.pointer("/template/mappings") {
            mapping.declare(mappings);
        }
        mapping
    }

    fn store(&self, inner: &mut Inner, action: &Action, id: &str, failure_store: bool) -> Value {
        let backing = if failure_store {
            inner.failure_stored += 1;
            format!(".fs-{}-2026.01.15-000001", action.index)
        } else {
            inner.created += 1;
            if let Some(target) = inner.targets.get_mut(&action.index) {
                target.ids.insert(id.to_owned());
                target.documents += 1;
            }
            inner.ids.entry(id.to_owned()).or_default().created += 1;
            backing(inner, &action.index)
        };
        let stored = Stored {
            target: action.index.clone(),
            backing: backing.clone(),
            source: Bytes::copy_from_slice(&action.source),
            failure_store,
        };
        inner.documents.entry(id.to_owned()).or_default().push(stored);
        let mut verdict = json!({
            "_index": backing,
            "_id": id,
            "_version": 1,
            "result": "created",
            "_shards": {"total": 2, "successful": 1, "failed": 0},
            "_seq_no": inner.created,
            "_primary_term": 1,
            "status": 201,
        });
        if failure_store {
            mark(&mut verdict, "used");
            // What lies there is another document, about the failure, with an id of its own.
            if let Some(members) = verdict.as_object_mut() {
                let id = format!("failure{:013x}", crate::rng::mix(2, inner.failure_stored));
                members.insert("_id".to_owned(), json!(id));
            }
        }
        verdict
    }

    fn control(&self, request: &Request<Bytes>, _now: DateTime<Utc>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        let parameter = |name: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/_sim/totals") => Answer::json(StatusCode::OK, &self.totals()),
            (&Method::GET, "/_sim/ids") => {
                let describe = |id: &Delivered| json!({"id": id.id, "index": id.index, "created": id.created, "conflicts": id.conflicts, "sent": id.sent});
                let ids: Vec<Value> = self.delivered().iter().map(describe).collect();
                Answer::json(StatusCode::OK, &json!({"ids": ids}))
            }
            (&Method::GET, "/_sim/documents") => match parameter("id") {
                Some(id) => match self.documents(&id).last() {
                    Some(stored) => {
                        let mut answer =
                            Answer::with_type(StatusCode::OK, "application/json", stored.source.clone());
                        answer.set("x-sim-index", &stored.target);
                        answer.set("x-sim-backing-index", &stored.backing);
                        answer
                    }
                    None => no_such_control(),
                },
                // Without an id: everything, one document a line.
                None => {
                    let inner = lock(&self.shared.inner);
                    let mut body = Vec::new();
                    for id in inner.ids.keys() {
                        for stored in inner.documents.get(id).into_iter().flatten() {
                            body.extend_from_slice(&stored.source);
                            body.push(b'\n');
                        }
                    }
                    Answer::with_type(StatusCode::OK, "application/x-ndjson", Bytes::from(body))
                }
            },
            (&Method::POST, "/_sim/rollover") => {
                match parameter("target").map(|target| self.rollover(&target)) {
                    Some(true) => done(),
                    _ => no_such_control(),
                }
            }
            _ => no_such_control(),
        }
    }

    fn post_faults(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        let order = match parse::<ItemOrder>(request) {
            Ok(order) => order,
            Err(answer) => return *answer,
        };
        if order.clear {
            self.clear_faults();
        }
        {
            let mut inner = lock(&self.shared.inner);
            inner.rules.extend(order.items.into_iter().map(|rule| (rule, 0)));
            if order.shard_limit.is_some() {
                inner.shard_limit = order.shard_limit;
            }
            if let Some(used) = order.failure_store {
                inner.failure_store = used;
            }
        }
        self.shared.desk.control(request, now).unwrap_or_else(no_such_control)
    }
}

impl Handler for Elasticsearch {
    fn handle(&self, request: &Request<Bytes>, now: DateTime<Utc>) -> Answer {
        Self::handle(self, request, now)
    }

    fn set_base_url(&self, url: &str) {
        self.shared.desk.set_base(url);
    }

    fn notices(&self) -> &Notices {
        &self.shared.desk.notices
    }
}

/// What `/_sim/faults` knows beyond the common part.
#[derive(Deserialize)]
struct ItemOrder {
    #[serde(default)]
    clear: bool,
    #[serde(default)]
    items: Vec<ItemRule>,
    #[serde(default)]
    shard_limit: Option<ShardLimit>,
    #[serde(default)]
    failure_store: Option<bool>,
}

/// Status, type, reason.
type Refusal = (u16, String, String);

enum Verdict {
    Create,
    Conflict,
    Refused(Refusal),
    /// By a rule, with its `failure_store`.
    Scripted(Refusal, Option<String>),
    /// Trouble that the failure store would take.
    Unmapped(Refusal),
}

fn refuse(status: u16, kind: &str, reason: String) -> Verdict {
    Verdict::Refused((status, kind.to_owned(), reason))
}

fn unmapped(kind: &str, reason: String) -> Verdict {
    Verdict::Unmapped((400, kind.to_owned(), reason))
}

fn refusal(index: &str, id: &str, status: u16, kind: &str, reason: &str) -> Value {
    json!({"_index": index, "_id": id, "status": status, "error": {"type": kind, "reason": reason}})
}

fn mark(verdict: &mut Value, failure_store: &str) {
    if let Some(members) = verdict.as_object_mut() {
        members.insert("failure_store".to_owned(), json!(failure_store));
    }
}

fn failure(status: StatusCode, kind: &str, reason: &str) -> Answer {
    let body = json!({
        "error": {"root_cause": [{"type": kind, "reason": reason}], "type": kind, "reason": reason},
        "status": status.as_u16(),
    });
    Answer::json(status, &body)
}

/// The verdict of the first item rule that strikes.
fn struck(rules: &mut Vec<(ItemRule, u64)>, id: &str, index: &str) -> Option<(Refusal, Option<String>)> {
    let mut spent = None;
    let mut verdict = None;
    for (at, (rule, seen)) in rules.iter_mut().enumerate() {
        let concerned = (rule.ids.is_empty() || rule.ids.iter().any(|wanted| wanted == id))
            && index.contains(&rule.index);
        if !concerned {
            continue;
        }
        *seen += 1;
        if *seen % rule.every.max(1) != 0 {
            continue;
        }
        let (kind, reason) = usual_error(rule.status);
        let refusal = (
            rule.status,
            rule.error_type.clone().unwrap_or_else(|| kind.to_owned()),
            rule.reason.clone().unwrap_or_else(|| reason.to_owned()),
        );
        verdict = Some((refusal, rule.failure_store.clone()));
        if rule.times == 1 {
            spent = Some(at);
        }
        rule.times = rule.times.saturating_sub(1);
        break;
    }
    if let Some(at) = spent {
        rules.remove(at);
    }
    verdict
}

fn usual_error(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("document_parsing_exception", "[1:1] failed to parse field [example] of type [long]"),
        401 | 403 => {
            ("security_exception", "action [indices:data/write/bulk] is unauthorized for this API key")
        }
        404 => ("index_not_found_exception", "no such index"),
        429 => ("es_rejected_execution_exception", "rejected execution of coordinating operation"),
        503 => ("unavailable_shards_exception", "primary shard is not active"),
        _ => ("exception", "scripted"),
    }
}

fn instead(fault: &Fault) -> Option<Answer> {
    Some(match fault {
        Fault::Exchange(exchange) => exchange.answer()?,
        Fault::RateLimited { retry_after_s, .. } => {
            let mut answer = failure(
                StatusCode::TOO_MANY_REQUESTS,
                "es_rejected_execution_exception",
                "rejected execution of coordinating operation",
            );
            if let Some(seconds) = retry_after_s {
                answer.set("retry-after", &seconds.to_string());
            }
            answer
        }
        Fault::Concurrency { .. } => {
            failure(StatusCode::TOO_MANY_REQUESTS, "circuit_breaking_exception", "[parent] Data too large")
        }
        Fault::Unauthorized => {
            failure(StatusCode::UNAUTHORIZED, "security_exception", "unable to authenticate")
        }
        Fault::Forbidden => failure(
            StatusCode::FORBIDDEN,
            "security_exception",
            "action [indices:data/write/bulk] is unauthorized for this API key",
        ),
        Fault::NotFound => failure(StatusCode::NOT_FOUND, "index_not_found_exception", "no such index"),
        Fault::TooLarge => Answer::html(StatusCode::PAYLOAD_TOO_LARGE),
        Fault::ServerError => failure(StatusCode::INTERNAL_SERVER_ERROR, "exception", "internal error"),
        Fault::Unavailable => failure(
            StatusCode::SERVICE_UNAVAILABLE,
            "cluster_block_exception",
            "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered];",
        ),
        Fault::BadGateway => Answer::html(StatusCode::BAD_GATEWAY),
        Fault::DropUnprocessed => Answer::dropped(),
        Fault::HtmlPage => Answer::html(StatusCode::OK),
        _ => return None,
    })
}

fn usual_faults() -> [Fault; 7] {
    [
        Fault::RateLimited { reset_s: 0, retry_after_s: None, duplicate_reset: false },
        Fault::Unavailable,
        Fault::BadGateway,
        Fault::CutBody { after: None },
        Fault::DropBeforeAnswer,
        Fault::MissingItems { count: 1 },
        Fault::HtmlPage,
    ]
}

fn backing(inner: &Inner, target: &str) -> String {
    match inner.targets.get(target) {
        Some(stream) if stream.data_stream => format!(".ds-{target}-2026.01.15-{:06}", stream.generation),
        _ => target.to_owned(),
    }
}

fn legal_name(index: &str) -> bool {
    !index.is_empty()
        && index.len() <= 255
        && index.to_lowercase() == index
        && !index.starts_with(['-', '_', '+'])
        && !index.contains(['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':'])
}

/// The strongest template for this name.
fn index_template<'i>(inner: &'i Inner, index: &str) -> Option<&'i Value> {
    let matches = |body: &Value| {
        let patterns = body.get("index_patterns").and_then(Value::as_array);
        patterns.into_iter().flatten().filter_map(Value::as_str).any(|pattern| wildcard(pattern, index))
    };
    let templates =
        inner.assets.iter().filter(|((kind, _), body)| kind == "_index_template" && matches(body));
    let priority = |body: &Value| body.get("priority").and_then(Value::as_i64).unwrap_or(0);
    templates.map(|(_, body)| body).max_by_key(|body| priority(body))
}

/// Whether its template makes it a data stream.
fn stream_template(inner: &Inner, index: &str) -> bool {
    index_template(inner, index).is_some_and(|template| template.get("data_stream").is_some())
}

/// `*` stands for any text.
fn wildcard(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len()).filter_map(|at| tail.get(at..)).any(|tail| wildcard(rest, tail))
        }),
    }
}

fn listing(kind: &str, found: &[(&String, &Value)]) -> Value {
    match kind {
        "_index_template" => {
            let list: Vec<Value> =
                found.iter().map(|(name, body)| json!({"name": name, "index_template": body})).collect();
            json!({"index_templates": list})
        }
        "_component_template" => {
            let list: Vec<Value> =
                found.iter().map(|(name, body)| json!({"name": name, "component_template": body})).collect();
            json!({"component_templates": list})
        }
        "_ilm/policy" => {
            let policy = |body: &Value| body.get("policy").cloned().unwrap_or_default();
            found
                .iter()
                .map(|(name, body)| ((*name).clone(), json!({"version": 1, "policy": policy(body)})))
                .collect()
        }
        _ => {
            let list: Vec<Value> =
                found.iter().map(|(name, body)| json!({"_id": name, "policy": body.get("policy")})).collect();
            json!({"policies": list, "total_policies": found.len()})
        }
    }
}

/// A value at a dotted path, whether nested or with dots in its name.
fn at<'v>(document: &'v Value, path: &str) -> Option<&'v Value> {
    if let Some(value) = document.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (head, rest) = (path.get(..dot)?, path.get(dot + 1..)?);
        at(document.get(head)?, rest)
    })
}

fn empty_name(value: &Value) -> Option<String> {
    match value {
        Value::Object(members) => members.iter().find_map(|(name, inner)| {
            if name.trim().is_empty() || name.split('.').any(str::is_empty) {
                Some(name.clone())
            } else {
                empty_name(inner)
            }
        }),
        Value::Array(elements) => elements.iter().find_map(empty_name),
        _ => None,
    }
}
