//! Collection from a scripted Google, and records against events.

mod collection;
mod documents;
mod ecs;
mod records;
mod refusals;
mod settings;
mod tokens;

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::Client;
use tidegate_core::source::Cursor;
use tidegate_core::testkit::script::{Reply, Script};

const ACCOUNT: &str = "tidegate@logs-1.iam.gserviceaccount.com";
const CLIENT_ID: &str = "104857600000000000001";
const SUBJECT: &str = "log-reader@example.com";
const REPORTS: &str = "https://www.googleapis.com/auth/admin.reports.audit.readonly";
const ALERT_CENTER: &str = "https://www.googleapis.com/auth/apps.alerts";
const DENIED: &str = "Access denied. You are not authorized to read activity records.";

/// A key that nothing but these tests trusts.
const PEM: &str = include_str!("../okta/testkeys/rsa-pkcs8.pem");
const PUBLIC_PEM: &str = include_str!("../okta/testkeys/rsa-public.pem");

/// A folder with a key file in it.
struct Key(tempfile::TempDir);

impl Key {
    fn new() -> Self {
        Self::with(json!({}))
    }

    fn with(changes: Json) -> Self {
        let key = Self(tempfile::tempdir().unwrap());
        key.write(changes);
        key
    }

    fn write(&self, changes: Json) {
        let mut file = json!({
            "type": "service_account",
            "project_id": "logs-1",
            "private_key_id": "k-2026-01",
            "private_key": PEM,
            "client_email": ACCOUNT,
            "client_id": CLIENT_ID,
            "token_uri": "https://oauth2.googleapis.com/token",
        });
        for (name, value) in changes.as_object().unwrap() {
            file[name] = value.clone();
        }
        std::fs::write(self.path(), file.to_string()).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("google.json")
    }

    fn reference(&self) -> String {
        format!("file:{}", self.path().display())
    }

    fn table(&self, more: Json) -> Map<String, Json> {
        let mut table = json!({ "auth": { "service_account": self.reference(), "subject": SUBJECT } });
        for (name, value) in more.as_object().unwrap() {
            table[name] = value.clone();
        }
        table.as_object().unwrap().clone()
    }

    fn open(&self, http: Client, more: Json) -> Arc<dyn Source> {
        open(http, self.table(more)).unwrap()
    }
}

fn open(http: Client, table: Map<String, Json>) -> Result<Arc<dyn Source>, SettingsError> {
    let settings = Settings { tenant: "acme".to_owned(), source: "google".to_owned(), table, http };
    GoogleWorkspace.open(settings)
}

/// A token endpoint that checks what it is sent as Google does, with another library than ours.
#[derive(Default)]
struct Google {
    /// The claims of each assertion, with the header's `kid` among them.
    asked: Vec<Json>,
    urls: Vec<String>,
    /// Scopes that are not delegated.
    undelegated: Vec<&'static str>,
    /// The next answers.
    replies: Vec<Reply>,
    granted: usize,
}

impl Google {
    fn start(script: &Script) -> Arc<Mutex<Self>> {
        let google = Arc::new(Mutex::new(Self::default()));
        let shared = Arc::clone(&google);
        script.aside(move |request, now| {
            let is_token = request.method() == "POST";
            is_token.then(|| shared.lock().unwrap().token(request, now.timestamp()))
        });
        google
    }

    fn token(&mut self, request: &Request<Bytes>, now: i64) -> Reply {
        self.urls.push(request.uri().to_string());
        let form: HashMap<_, _> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let (message, signature) = form["assertion"].rsplit_once('.').unwrap();
        let part = |n: usize| -> Json {
            let part = message.split('.').nth(n).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let (header, mut claims) = (part(0), part(1));
        assert_eq!((&header["alg"], &header["typ"]), (&"RS256".into(), &"JWT".into()));
        let key = jsonwebtoken::DecodingKey::from_rsa_pem(PUBLIC_PEM.as_bytes()).unwrap();
        let good =
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, jsonwebtoken::Algorithm::RS256);
        assert!(good.unwrap(), "another library refuses the signature");
        claims["kid"] = header["kid"].clone();
        let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        let scope = claims["scope"].as_str().unwrap().to_owned();
        self.asked.push(claims);
        if !self.replies.is_empty() {
            return self.replies.remove(0);
        }
        if (iat - now).abs() > 300 || exp - iat > 3600 {
            let words = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.";
            return denied(400, "invalid_grant", words);
        }
        if self.undelegated.contains(&scope.as_str()) {
            return undelegated();
        }
        self.granted += 1;
        Reply::json(
            200,
            json!({ "access_token": format!("ya29.{}", self.granted), "expires_in": "3599", "token_type": "Bearer" })
                .to_string(),
        )
    }
}

fn denied(status: u16, code: &str, words: &str) -> Reply {
    Reply::json(status, json!({ "error": code, "error_description": words }).to_string())
}

fn undelegated() -> Reply {
    denied(
        401,
        "unauthorized_client",
        "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.",
    )
}

/// An error of the APIs in the older shape.
fn refusal(status: u16, reason: &str, words: &str) -> Reply {
    let error = json!({ "message": words, "domain": "global", "reason": reason });
    Reply::json(
        status,
        json!({ "error": { "code": status, "message": words, "errors": [error] } }).to_string(),
    )
}

/// The same in the newer one.
fn refusal_with_details(status: u16, word: &str, reason: &str, words: &str) -> Reply {
    let details = json!([{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason }]);
    Reply::json(
        status,
        json!({ "error": { "code": status, "message": words, "status": word, "details": details } })
            .to_string(),
    )
}

fn activities(items: &[Json], next: Option<&str>) -> Reply {
    let mut body = json!({ "kind": "admin#reports#activities", "etag": "\"e-1\"" });
    if !items.is_empty() {
        body["items"] = items.into();
    }
    if let Some(next) = next {
        body["nextPageToken"] = next.into();
    }
    Reply::json(200, body.to_string())
}

fn login(n: usize) -> Json {
    json!({
        "kind": "admin#reports#activity",
        "id": { "time": "2026-05-28T20:00:00.123Z", "uniqueQualifier": format!("-{n}"), "applicationName": "login", "customerId": "C0example" },
        "events": [{ "type": "login", "name": "login_success" }],
    })
}

fn at(text: &str) -> DateTime<Utc> {
    tidegate_core::event::parse_time(text).unwrap()
}

fn window(from: &str, to: &str, token: Option<&str>) -> Place {
    let token = token.map(|token| Cursor(token.as_bytes().to_vec()));
    Place::Window { from: at(from), to: at(to), token }
}

/// Two to one hours before the script's clock starts.
fn hour(token: Option<&str>) -> Place {
    window("2026-05-28T19:00:00Z", "2026-05-28T20:00:00Z", token)
}

fn stream(name: &str) -> &'static Stream {
    GoogleWorkspace.stream(name).unwrap()
}

fn halted(error: &PollError) -> &Fault {
    assert!(matches!(error, PollError::Halt { .. }), "{error:?}");
    error.cause()
}

/// The names and values of a query, decoded.
fn query_of(uri: &str) -> Vec<(String, String)> {
    url::Url::parse(uri).unwrap().query_pairs().into_owned().collect()
}
