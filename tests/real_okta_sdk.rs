//! Okta's own client reads the Okta stand-in to its end: what the connector is tested against is what Okta's client
//! takes for an Okta organisation.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod real;

use chrono::{TimeDelta, Utc};
use real::clients::{PYTHON, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tidegate_simulator::okta::{Client, Generate, Okta, OktaConfig};
use tidegate_simulator::{Fault, ScriptedFault, ServerHandle, Tls, serve};

const CLIENT: &str = "0oa1simulatedclient";

/// An organisation on a free port, over TLS. No odd events: the client refuses values that its own lists lack.
struct Organisation {
    okta: Okta,
    server: ServerHandle,
    ca: PathBuf,
    dir: TempDir,
}

async fn organisation() -> Organisation {
    let spread = TimeDelta::hours(2);
    let generate =
        Generate { late: 12, odd: 0, start: Utc::now() - spread, ..Generate::new(17, 1_150, spread) };
    let (org_limit, principal_limit) = (2_000, 1_000);
    let okta = Okta::new(OktaConfig {
        generate: Some(generate),
        org_limit,
        principal_limit,
        ..OktaConfig::default()
    });
    let (tls, dir) = (Tls::self_made().unwrap(), TempDir::new().unwrap());
    let ca = tls.write_ca(dir.path()).unwrap();
    let server = serve(okta.clone(), "127.0.0.1:0".parse().unwrap(), Some(tls)).await.unwrap();
    Organisation { okta, server, ca, dir }
}

/// Runs the client; what it printed.
async fn script(python: &Path, arguments: &[&str], ca: &Path) -> Vec<u8> {
    run(python, "okta_log.py", arguments, ca).await
}

/// Everything that exists was seen, once, and nothing else.
fn assert_all_seen(okta: &Okta, printed: &[u8]) {
    let printed: Value = serde_json::from_slice(printed).unwrap();
    let seen: Vec<&str> = printed["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let existed: BTreeSet<String> = okta.events().into_iter().map(|event| event.id).collect();
    assert_eq!(existed.len(), 1_150);
    assert_eq!(seen.len(), existed.len(), "seen once");
    assert_eq!(seen.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), existed);
    // Eleven full pages, what is left, and where the log ends an empty one.
    let pages: Vec<u64> =
        printed["pages"].as_array().unwrap().iter().map(|page| page.as_u64().unwrap()).collect();
    assert_eq!(pages[..12], [[100; 11].as_slice(), &[50]].concat());
    assert!(pages[12..].iter().all(|page| *page == 0), "{pages:?}");
    // By persistence, so not in the order of publication.
    let published: Vec<f64> =
        printed["published"].as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    assert!(!published.is_sorted(), "late events come behind younger ones");
    assert!(printed["types"].as_array().unwrap().len() > 5, "{}", printed["types"]);
}

#[tokio::test]
async fn the_official_client_pages_by_token() {
    let Some(python) = real::part(PYTHON, "the_official_client_pages_by_token") else { return };
    let Organisation { okta, server, ca, dir: _kept } = organisation().await;
    let printed = script(&python, &["token", &server.url, "simulated-token"], &ca).await;
    assert_all_seen(&okta, &printed);
    server.shutdown().await;
}

#[tokio::test]
async fn the_official_client_pages_by_private_key_with_dpop() {
    let Some(python) = real::part(PYTHON, "the_official_client_pages_by_private_key_with_dpop") else {
        return;
    };
    let Organisation { okta, server, ca, dir } = organisation().await;
    let path = dir.path().to_str().unwrap();
    script(&python, &["key", path], &ca).await;
    let public = std::fs::read_to_string(dir.path().join("public.pem")).unwrap();
    okta.add_client(Client { dpop_required: true, ..Client::with_key(CLIENT, &public) });
    let printed = script(&python, &["dpop", &server.url, CLIENT, &format!("{path}/private.pem")], &ca).await;
    assert_all_seen(&okta, &printed);
    let (tokens, pages): (Vec<_>, Vec<_>) =
        okta.requests().into_iter().partition(|request| request.path.starts_with("/oauth2/v1/token"));
    let statuses: Vec<u16> = tokens.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [400, 200], "asked for a nonce, then granted");
    assert!(pages.iter().all(|request| request.auth.as_deref() == Some("DPoP") && request.status == 200));
    server.shutdown().await;
}

#[tokio::test]
async fn the_official_client_takes_a_429_for_one_and_goes_on() {
    let Some(python) = real::part(PYTHON, "the_official_client_takes_a_429_for_one_and_goes_on") else {
        return;
    };
    let Organisation { okta, server, ca, dir: _kept } = organisation().await;
    let limited = Fault::RateLimited { reset_s: 1, retry_after_s: None, duplicate_reset: false };
    okta.push_fault(ScriptedFault { after: 4, ..ScriptedFault::next("logs", limited) });
    let printed = script(&python, &["token", &server.url, "simulated-token"], &ca).await;
    assert_all_seen(&okta, &printed);
    assert_eq!(okta.requests().iter().filter(|request| request.status == 429).count(), 1);
    server.shutdown().await;
}
