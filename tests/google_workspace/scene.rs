//! A customer of Google's and a tenant that collects from it.

use crate::common::{Town, answering, assert_all_arrived};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;
use tidegate_core::journal::{Grade, Interval, Lane, Range, Reader, State, StoredPage};
use tidegate_simulator::elasticsearch::ElasticsearchConfig;
use tidegate_simulator::google::{Generate, Google, GoogleConfig};
use tidegate_simulator::{Lateness, RandomFaults, RequestEntry, Version};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) const ACCOUNT: &str = "tidegate@example-project.iam.gserviceaccount.com";
pub(crate) const ADMIN: &str = "admin@example.com";
pub(crate) const DEFAULT_STREAMS: [&str; 7] =
    ["admin", "drive", "groups_enterprise", "login", "saml", "token", "user_accounts"];

const REPORTS_HOST: &str = "admin.google.example.com";
const ALERTS_HOST: &str = "alertcenter.google.example.com";

/// The key file of the stand-in's own service account.
pub(crate) fn key_file() -> String {
    key_of("example-key", include_str!("../../simulator/tests/keys/example_rsa.pem"))
}

/// A key file of that account with this key.
pub(crate) fn key_of(id: &str, key: &str) -> String {
    json!({
        "type": "service_account",
        "client_email": ACCOUNT,
        "client_id": "100000000000000000042",
        "private_key_id": id,
        "private_key": key,
        "token_uri": "https://oauth2.googleapis.com/token",
    })
    .to_string()
}

/// A customer, and the tenant `acme` with the source `google`.
pub(crate) struct Scene {
    pub(crate) google: Google,
    pub(crate) town: Town,
}

impl Deref for Scene {
    type Target = Town;

    fn deref(&self) -> &Town {
        &self.town
    }
}

impl Scene {
    /// `keys` stand behind the source's own keys.
    pub(crate) fn new(google: GoogleConfig, keys: &str) -> Self {
        Self::with(google, ElasticsearchConfig::default(), keys)
    }

    pub(crate) fn with(google: GoogleConfig, elastic: ElasticsearchConfig, keys: &str) -> Self {
        let google = Google::new(google);
        let source = format!(
            "[tenant.acme.source.google]\nconnector = \"google_workspace\"\nurl = \"https://{REPORTS_HOST}\"\n\
             alerts_url = \"https://{ALERTS_HOST}\"\ntoken_url = \"https://{REPORTS_HOST}/token\"\n\
             auth = {{ service_account = \"file:DIR/google.json\", subject = \"{ADMIN}\" }}\n{keys}\n",
        );
        let vendors = [(REPORTS_HOST, answering(&google)), (ALERTS_HOST, answering(&google))];
        let files = [("google.json", key_file())];
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let town = Town::new(&vendors, elastic, &files, "original = true", &source);
        Self { google, town }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Everything that was visible at `by` has arrived once in its last version.
    pub(crate) fn assert_arrived(&self, by: DateTime<Utc>) {
        assert_all_arrived(&self.google.known(), &self.elastic, by);
    }

    /// Requests for pages of a stream, in order.
    pub(crate) fn asked(&self, stream: &str) -> Vec<RequestEntry> {
        let of = if stream == "alerts" {
            "/v1beta1/alerts".to_owned()
        } else {
            format!("/applications/{stream}?")
        };
        self.google.requests().into_iter().filter(|request| request.path.contains(&of)).collect()
    }

    /// Calls of the token endpoint.
    pub(crate) fn token_calls(&self) -> u64 {
        self.google.totals(self.now())["token_calls"].as_u64().unwrap()
    }

    /// All pages that the journal holds.
    pub(crate) fn pages(&self) -> Vec<StoredPage> {
        let mut reader = Reader::open(self.journal()).unwrap();
        let range = |lane| Range { lane, from: 1, to: None };
        Lane::ALL.into_iter().flat_map(|lane| reader.read(range(lane), usize::MAX).unwrap()).collect()
    }

    /// When each record arrived at the sink, by its bytes: its first document's `event.ingested`.
    pub(crate) fn arrivals(&self) -> BTreeMap<String, DateTime<Utc>> {
        let mut out = BTreeMap::new();
        for delivered in self.elastic.delivered() {
            for document in self.documents_of(&delivered.id) {
                let at = document["event"]["ingested"].as_str().unwrap();
                let at = DateTime::parse_from_rfc3339(at).unwrap().to_utc();
                let original = document["event"]["original"].as_str().unwrap().to_owned();
                out.entry(original)
                    .and_modify(|first: &mut DateTime<Utc>| *first = at.min(*first))
                    .or_insert(at);
            }
        }
        out
    }

    pub(crate) fn documents_of(&self, id: &str) -> Vec<Value> {
        self.elastic
            .documents(id)
            .iter()
            .map(|stored| serde_json::from_slice(&stored.source).unwrap())
            .collect()
    }
}

/// Records of a stream from `start` on, all of them visible at once.
pub(crate) fn prompt(stream: &str, records: usize, start: DateTime<Utc>, spread: TimeDelta) -> Generate {
    Generate { lateness: Lateness::none(), ..Generate::new(stream, 7, records, start, spread) }
}

/// A customer with these records.
pub(crate) fn customer(generate: Vec<Generate>) -> GoogleConfig {
    GoogleConfig { generate, ..GoogleConfig::default() }
}

pub(crate) fn faults(seed: u64, rate: f64) -> Option<RandomFaults> {
    Some(RandomFaults { seed, rate, kinds: Vec::new(), path: String::new() })
}

/// Rows of the ledger about a stream, by time.
pub(crate) fn ledger(state: &State, stream: &str) -> Vec<Interval> {
    let mut rows: Vec<_> = state.coverage.iter().filter(|row| row.stream == stream).cloned().collect();
    rows.sort_by_key(|row| row.from);
    rows
}

/// No hole, and no time of `[from, to)` without a row.
pub(crate) fn assert_whole(state: &State, stream: &str, from: DateTime<Utc>, to: DateTime<Utc>) {
    let rows = ledger(state, stream);
    let mut at = from;
    for row in &rows {
        assert!(row.grade != Grade::Hole, "{stream}: {row:#?}");
        assert!(row.from <= at, "{stream}: nothing about {at} to {}", row.from);
        at = at.max(row.to);
    }
    assert!(at >= to, "{stream}: nothing about {at} to {to}");
}

/// All of `[from, to)` is settled.
pub(crate) fn assert_settled(state: &State, stream: &str, from: DateTime<Utc>, to: DateTime<Utc>) {
    let mut at = from;
    for row in ledger(state, stream).iter().filter(|row| row.grade == Grade::Settled && row.to > from) {
        assert!(
            row.from <= at,
            "{stream}: not settled from {at} to {}: {:#?}",
            row.from,
            ledger(state, stream)
        );
        at = at.max(row.to);
    }
    assert!(at >= to, "{stream}: not settled from {at} to {to}");
}

/// Never more than `share` of these requests in any minute.
pub(crate) fn assert_spaced(times: &[DateTime<Utc>], share: usize) {
    for pair in times.windows(share + 1) {
        let took = pair[share] - pair[0];
        assert!(took >= TimeDelta::milliseconds(59_999), "{} requests in {took} at {}", share + 1, pair[0]);
    }
}

/// When requests for pages were sent, without those of tokens.
pub(crate) fn times(requests: &[RequestEntry]) -> Vec<DateTime<Utc>> {
    requests.iter().filter(|request| request.path != "/token").map(|request| request.at).collect()
}

/// The n-th number of a seed.
pub(crate) fn dice(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An activity of a sign-in with this number, visible so long after its time.
pub(crate) fn sign_in(google: &Google, number: i64, at: DateTime<Utc>, late: TimeDelta) {
    let record = json!({
        "kind": "admin#reports#activity",
        "id": { "time": at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(), "uniqueQualifier": number.to_string(),
                "applicationName": "login", "customerId": "C0example7" },
        "actor": { "email": "jo.park@example.com", "profileId": "100000000000000000017" },
        "ipAddress": "192.0.2.7",
        "events": [{ "type": "login", "name": "login_success" }],
    });
    google.add_record(
        "login",
        at,
        vec![Version { visible_at: at + late, raw: Bytes::from(record.to_string()) }],
    );
}

/// The address parameters of a request.
pub(crate) fn parameter(request: &RequestEntry, name: &str) -> Option<String> {
    let (_, query) = request.path.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
