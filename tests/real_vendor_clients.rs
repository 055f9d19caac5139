//! Duo's, Google's and Microsoft's own clients read the stand-ins to their ends: what the connectors are tested against is
//! what these clients take for the vendors' services.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod real;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use real::clients::{PYTHON, json, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tempfile::TempDir;
use tidegate_simulator::duo::{self, Duo, DuoConfig, Integration};
use tidegate_simulator::entra::{
    self, AUDIT_LOG_READ, App, Credential, DEFAULT_APP, DEFAULT_SECRET, DEFAULT_TENANT, Entra, EntraConfig,
};
use tidegate_simulator::google::{self, AdminState, Google, GoogleConfig, ServiceAccount};
use tidegate_simulator::{Fault, Handler, Known, ScriptedFault, ServerHandle, Tls, serve};

/// A stand-in on a free port, over TLS.
struct Running {
    server: ServerHandle,
    /// `https://localhost:…`, as the certificate has it.
    url: String,
    ca: PathBuf,
    dir: TempDir,
}

async fn running(handler: &impl Handler) -> Running {
    let (tls, dir) = (Tls::self_made().unwrap(), TempDir::new().unwrap());
    let ca = tls.write_ca(dir.path()).unwrap();
    let server = serve(handler.clone(), "127.0.0.1:0".parse().unwrap(), Some(tls)).await.unwrap();
    let url = format!("https://localhost:{}", server.address.port());
    Running { server, url, ca, dir }
}

/// A day that ended four days ago: everything late has come by now, and what changes within three days has changed.
fn day() -> (DateTime<Utc>, TimeDelta) {
    (Utc::now() - TimeDelta::days(5), TimeDelta::days(1))
}

/// One refusal for too many requests, after some that went well.
fn too_many(path: &str, after: u64) -> ScriptedFault {
    let limited = Fault::RateLimited { reset_s: 1, retry_after_s: Some(1), duplicate_reset: false };
    ScriptedFault { after, ..ScriptedFault::next(path, limited) }
}

/// Every record of a stream as it is now, in an order that does not depend on where it comes from.
fn sorted(records: impl IntoIterator<Item = Value>) -> Vec<String> {
    let mut records: Vec<String> = records.into_iter().map(|record| record.to_string()).collect();
    records.sort_unstable();
    records
}

fn as_of_now(known: &[Known], stream: &str) -> Vec<Value> {
    let now = Utc::now();
    let of = known.iter().filter(|record| record.stream == stream);
    of.map(|record| serde_json::from_slice(&record.at(now).unwrap().raw).unwrap()).collect()
}

/// Everything that exists was seen, once, in all its members, and nothing else.
fn assert_all_seen(known: &[Known], printed: &Value, streams: &[&str], clean: fn(&mut Value)) {
    for stream in streams {
        let cleaned = |mut record: Value| {
            clean(&mut record);
            record
        };
        let existed = sorted(as_of_now(known, stream).into_iter().map(cleaned));
        let Some(seen) = printed[stream].as_array() else { panic!("{stream}: {printed}") };
        let seen = sorted(seen.iter().cloned().map(cleaned));
        assert!(existed.len() > 100, "{stream}: {} records are no test", existed.len());
        assert_eq!(seen.len(), existed.len(), "{stream}");
        let other = seen.iter().zip(&existed).find(|(seen, existed)| seen != existed);
        assert_eq!(other, None, "{stream}");
    }
}

const DUO: [&str; 6] =
    ["authentication", "activity", "telephony", "trust_monitor", "administrator", "offline_enrollment"];

fn duo() -> Duo {
    let (start, spread) = day();
    let generate = DUO.iter().map(|stream| duo::Generate::new(stream, 23, 330, start, spread)).collect();
    Duo::new(DuoConfig { generate, limits: duo::Limits::off(), ..DuoConfig::default() })
}

async fn read_duo(python: PathBuf, at: &Running, skey: &str) -> Value {
    let (start, _) = day();
    let (port, ca) = (at.server.address.port().to_string(), at.ca.to_str().unwrap());
    let span = [start - TimeDelta::hours(1), Utc::now() - TimeDelta::minutes(5)];
    let [from, to] = span.map(|time| time.timestamp_millis().to_string());
    json(python, "duo_logs.py", &[&port, ca, &Integration::simulated().ikey, skey, &from, &to], &at.ca).await
}

#[tokio::test]
async fn duos_client_signs_pages_and_takes_a_429_for_one() {
    let Some(python) = real::part(PYTHON, "duos_client_signs_pages_and_takes_a_429_for_one") else { return };
    let duo = duo();
    let at = running(&duo).await;
    duo.push_fault(too_many("activity", 2));
    let printed = read_duo(python, &at, &Integration::simulated().skey).await;
    // The client puts these two into what it was given.
    let clean = |record: &mut Value| {
        for added in ["eventtype", "host"] {
            record.as_object_mut().unwrap().remove(added);
        }
    };
    assert_all_seen(&duo.known(), &printed, &DUO, clean);
    let statuses = |path: &str| -> Vec<u16> {
        let requests = duo.requests().into_iter().filter(|request| request.path.contains(path));
        requests.map(|request| request.status).collect()
    };
    assert_eq!(
        statuses("v2/logs/activity"),
        [200, 200, 429, 200, 200],
        "four pages, one of them asked for again"
    );
    assert_eq!(statuses("v2/logs/authentication"), [200; 4]);
    at.server.shutdown().await;
}

#[tokio::test]
async fn duos_client_is_told_that_its_signature_is_wrong() {
    let Some(python) = real::part(PYTHON, "duos_client_is_told_that_its_signature_is_wrong") else { return };
    let duo = duo();
    let at = running(&duo).await;
    let printed = read_duo(python, &at, "another-secret-key-of-forty-characters00").await;
    assert_eq!((&printed["status"], &printed["code"]), (&401.into(), &40_103.into()), "{printed}");
    at.server.shutdown().await;
}

const GOOGLE: [&str; 4] = ["login", "drive", "token", "alerts"];

fn google() -> Google {
    let (start, spread) = day();
    let generate =
        GOOGLE.iter().map(|stream| google::Generate::new(stream, 31, 150, start, spread)).collect();
    Google::new(GoogleConfig { generate, ..GoogleConfig::default() })
}

async fn read_google(python: PathBuf, at: &Running, change: fn(&mut Value)) -> Value {
    let mut key = serde_json::json!({
        "type": "service_account",
        "project_id": "example-project",
        "private_key_id": "example-key",
        "private_key": include_str!("../simulator/tests/keys/example_rsa.pem"),
        "client_email": ServiceAccount::example().email,
        "client_id": "100000000000000000001",
        "token_uri": format!("{}/token", at.url),
    });
    change(&mut key);
    let file = at.dir.path().join("google.json");
    std::fs::write(&file, key.to_string()).unwrap();
    let start = (day().0 - TimeDelta::hours(1)).to_rfc3339_opts(SecondsFormat::Millis, true);
    let arguments = [&at.url, file.to_str().unwrap(), "admin@example.com", &start];
    json(python, "google_logs.py", &[&arguments[..], &GOOGLE].concat(), &at.ca).await
}

#[tokio::test]
async fn googles_client_signs_in_pages_and_takes_a_429_for_one() {
    let Some(python) = real::part(PYTHON, "googles_client_signs_in_pages_and_takes_a_429_for_one") else {
        return;
    };
    let google = google();
    let at = running(&google).await;
    google.push_fault(too_many("applications/drive", 2));
    let printed = read_google(python, &at, |_| {}).await;
    assert_all_seen(&google.known(), &printed, &GOOGLE, |_| {});
    let requests = google.requests();
    assert_eq!(requests.iter().filter(|request| request.status == 429).count(), 1);
    let pages = requests.iter().filter(|request| request.path.contains("applications/login"));
    assert_eq!(pages.count(), 4, "150 records in pages of 40");
    at.server.shutdown().await;
}

#[tokio::test]
async fn googles_client_is_told_that_the_administrator_lacks_the_privilege() {
    let Some(python) =
        real::part(PYTHON, "googles_client_is_told_that_the_administrator_lacks_the_privilege")
    else {
        return;
    };
    let google = google();
    google.set_admin("admin@example.com", AdminState::NoPrivilege);
    let at = running(&google).await;
    let printed = read_google(python, &at, |_| {}).await;
    assert_eq!(printed["status"], 401, "{printed}");
    assert!(printed["reason"].as_str().unwrap().contains("Access denied"), "{printed}");
    at.server.shutdown().await;
}

#[tokio::test]
async fn googles_client_is_told_that_its_assertion_bears_an_unknown_key() {
    let Some(python) = real::part(PYTHON, "googles_client_is_told_that_its_assertion_bears_an_unknown_key")
    else {
        return;
    };
    let google = google();
    let at = running(&google).await;
    let printed = read_google(python, &at, |key| key["private_key_id"] = "deleted-key".into()).await;
    assert_eq!(printed["token"], "invalid_grant", "{printed}");
    assert!(google.requests().iter().all(|request| request.path == "/token"), "nothing else was asked");
    at.server.shutdown().await;
}

/// The streams of v1.0; its sign-ins are the interactive ones.
const ENTRA: [&str; 4] = ["sign_ins", "directory_audits", "provisioning", "risk_detections"];

fn directory() -> Entra {
    let (start, spread) = day();
    let generate = ENTRA.iter().map(|stream| entra::Generate::new(stream, 41, 150, start, spread)).collect();
    Entra::new(EntraConfig { generate, limits: entra::Limits::none(), ..EntraConfig::default() })
}

async fn read_graph(python: PathBuf, at: &Running, mode: &str, proof: &str) -> Value {
    let arguments = [mode, &at.url, DEFAULT_TENANT, DEFAULT_APP, proof];
    json(python, "graph_logs.py", &arguments, &at.ca).await
}

/// Everything that exists was seen, once, by its id, and nothing else.
fn assert_all_ids_seen(directory: &Entra, printed: &Value) {
    for stream in ENTRA {
        let known = directory.known().into_iter().filter(|record| record.stream == stream);
        let existed: BTreeSet<String> = known.map(|record| record.id).collect();
        let Some(seen) = printed[stream].as_array() else { panic!("{stream}: {printed}") };
        assert_eq!(seen.len(), existed.len(), "{stream}: seen once");
        let seen: BTreeSet<String> = seen.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        assert_eq!(seen, existed, "{stream}");
        assert!(existed.len() >= 150, "{stream}");
    }
}

#[tokio::test]
async fn microsofts_client_pages_by_secret_and_takes_a_429_for_one() {
    let Some(python) = real::part(PYTHON, "microsofts_client_pages_by_secret_and_takes_a_429_for_one") else {
        return;
    };
    let directory = directory();
    let at = running(&directory).await;
    directory.push_fault(too_many("directoryAudits", 2));
    let printed = read_graph(python, &at, "secret", DEFAULT_SECRET).await;
    assert_all_ids_seen(&directory, &printed);
    let requests = directory.requests();
    assert_eq!(requests.iter().filter(|request| request.status == 429).count(), 1);
    let pages = requests.iter().filter(|request| request.path.contains("signIns"));
    assert!(pages.count() >= 4, "150 records in pages of 40");
    at.server.shutdown().await;
}

#[tokio::test]
async fn microsofts_client_pages_by_certificate() {
    let Some(python) = real::part(PYTHON, "microsofts_client_pages_by_certificate") else { return };
    let directory = directory();
    let at = running(&directory).await;
    run(&python, "graph_logs.py", &["key", at.dir.path().to_str().unwrap()], &at.ca).await;
    let file = at.dir.path().join("app.pem");
    let pem = std::fs::read_to_string(&file).unwrap();
    let (certificate, _key) = pem.split_once("-----BEGIN PRIVATE KEY").unwrap();
    directory.set_app(App::new(DEFAULT_APP, Credential::Certificate(certificate.to_owned())));
    let printed = read_graph(python, &at, "certificate", file.to_str().unwrap()).await;
    assert_all_ids_seen(&directory, &printed);
    at.server.shutdown().await;
}

#[tokio::test]
async fn microsofts_client_is_told_that_the_app_lacks_a_role() {
    let Some(python) = real::part(PYTHON, "microsofts_client_is_told_that_the_app_lacks_a_role") else {
        return;
    };
    let directory = directory();
    directory.set_roles(DEFAULT_TENANT, DEFAULT_APP, &[AUDIT_LOG_READ]);
    let at = running(&directory).await;
    let printed = read_graph(python, &at, "secret", DEFAULT_SECRET).await;
    assert_eq!(printed["status"], 403, "{printed}");
    let asked = directory.requests();
    assert!(asked.last().unwrap().path.contains("riskDetections"), "the logs that it may read were read");
    at.server.shutdown().await;
}

#[tokio::test]
async fn microsofts_client_is_told_that_its_secret_is_wrong() {
    let Some(python) = real::part(PYTHON, "microsofts_client_is_told_that_its_secret_is_wrong") else {
        return;
    };
    let directory = directory();
    let at = running(&directory).await;
    let printed = read_graph(python, &at, "secret", "another-secret").await;
    assert!(printed["login"].as_str().unwrap().contains("AADSTS7000215"), "{printed}");
    at.server.shutdown().await;
}
