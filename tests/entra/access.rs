//! Credentials, permissions and licences that are taken away and given back.

use super::*;
use tidegate_core::fault::FaultKind;
use tidegate_simulator::entra::{AUDIT_LOG_READ, App, Credential, Licence, POLICY_READ, RISK_READ};
use tidegate_simulator::{Fault, ScriptedFault};

const AUDITS: &str = "directory_audits";

fn busy(streams: &[&str]) -> Entra {
    let plans = streams.iter().map(|stream| plain(stream, 23, 400, ago(3_600), TimeDelta::hours(9)));
    entra(generated(plans.collect()))
}

/// Asserts that the stream's ledger names this hole, which can be repaired while the vendor keeps it.
fn assert_hole(town: &Town, stream: &str, cause: &str, at_least: TimeDelta) {
    let hole =
        ledger(town, stream).into_iter().find(|row| row.grade == Grade::Hole).expect("a hole is named");
    assert_eq!(hole.cause.as_deref(), Some(cause), "{hole:#?}");
    assert!(hole.to - hole.from >= at_least, "{hole:#?}");
    let days = if stream.contains("risk") { 90 } else { 30 };
    assert_eq!(hole.repairable_until, Some(hole.from + TimeDelta::days(days)));
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_is_taken_stops_its_stream_alone_and_heals_when_it_is_given_back() {
    let entra = busy(&["risk_detections", AUDITS]);
    let town = town(&entra, "streams = [\"risk_detections\", \"directory_audits\"]\nstart = \"1h\"");
    let mut tenant = town.start().await;
    tokio::time::sleep(HOUR).await;
    entra.set_roles(DEFAULT_TENANT, DEFAULT_APP, &[AUDIT_LOG_READ, POLICY_READ]);
    entra.expire_tokens(town.clock.now());
    // The token that is then in use is young: it would be used for another 44 minutes.
    tokio::time::sleep(100 * MINUTE).await;
    let streams = tenant.board.sources()["entra"].streams.clone();
    let (fault, _) = streams["risk_detections"].fault.clone().expect("it stands on the board");
    assert_eq!(fault.kind, FaultKind::Permission, "{fault}");
    let remedy = fault.remedy.unwrap();
    assert!(remedy.contains(RISK_READ) && remedy.contains(DEFAULT_APP), "{remedy}");
    assert!(streams[AUDITS].fault.is_none());
    assert_hole(&town, "risk_detections", "permission", TimeDelta::minutes(80));
    assert_whole(&town, AUDITS, ago(3_000), town.clock.now() - TimeDelta::minutes(15));

    entra.set_roles(DEFAULT_TENANT, DEFAULT_APP, &[AUDIT_LOG_READ, RISK_READ, POLICY_READ]);
    let given = town.clock.now();
    // Twice a quarter of an hour: the first try may still have a token of before.
    tokio::time::sleep(32 * MINUTE).await;
    let state = tenant.board.sources()["entra"].streams["risk_detections"].clone();
    assert!(state.fault.is_none(), "a token that cannot know of it was kept: {:?}", state.fault);
    assert!(state.last_page.unwrap() > given);
    tokio::time::sleep(6 * HOUR).await;
    tenant.drain().await;
    tenant.stop().await;
    assert_arrived(&entra, &town);
    assert_whole(&town, "risk_detections", ago(3_000), town.clock.now() - TimeDelta::minutes(15));
}

#[tokio::test(start_paused = true)]
async fn without_a_licence_only_audits_go_on_and_the_others_heal_when_there_is_one() {
    let streams = ["sign_ins", "provisioning", "service_principal_risk_detections", AUDITS];
    let entra = busy(&streams);
    let keys = "streams = [\"sign_ins\", \"provisioning\", \"service_principal_risk_detections\", \"directory_audits\"]\nstart = \"1h\"";
    let town = town(&entra, keys);
    let mut tenant = town.start().await;
    tokio::time::sleep(HOUR).await;
    entra.set_licence(DEFAULT_TENANT, Licence::Free);
    tokio::time::sleep(3 * HOUR).await;
    let board = tenant.board.sources()["entra"].streams.clone();
    for stream in &streams[..3] {
        let (fault, _) = board[*stream].fault.clone().unwrap();
        assert_eq!(fault.kind, FaultKind::Licence, "{stream}: {fault}");
        assert!(fault.remedy.unwrap().contains("streams"), "says what to do where there is none");
        assert_hole(&town, stream, "licence", TimeDelta::minutes(150));
    }
    assert!(board[AUDITS].fault.is_none());
    assert_whole(&town, AUDITS, ago(3_000), town.clock.now() - TimeDelta::minutes(15));
    let asked: usize = ["signIns", "provisioning"]
        .iter()
        .map(|r| asked(&entra, r).iter().filter(|r| r.status == 403).count())
        .sum();
    assert!(asked < 60, "{asked} requests: slowly, once it is certain");
    entra.set_licence(DEFAULT_TENANT, Licence::P2);
    tokio::time::sleep(5 * HOUR).await;
    tenant.drain().await;
    tenant.stop().await;
    assert_arrived(&entra, &town);
    for stream in streams {
        assert_whole(&town, stream, ago(3_000), town.clock.now() - TimeDelta::minutes(15));
    }
}

#[tokio::test(start_paused = true)]
async fn a_licensed_directory_that_is_told_now_and_then_that_it_has_none_stops_nothing() {
    let generate = plain("sign_ins", 11, 300, ago(3_600), TimeDelta::hours(5));
    let quirks = Quirks { spurious_unlicensed: 0.2, ..Quirks::default() };
    let entra = entra(EntraConfig { quirks, ..generated(vec![generate]) });
    let town = town(&entra, "streams = [\"sign_ins\"]\nstart = \"1h\"");
    town.run(6 * HOUR).await;
    assert!(asked(&entra, "signIns").iter().any(|request| request.status == 403));
    assert_arrived(&entra, &town);
    assert_whole(&town, "sign_ins", ago(3_000), base() + TimeDelta::hours(5));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_expires_is_a_hole_in_every_stream_until_the_file_holds_a_new_one() {
    let entra = busy(&["sign_ins", AUDITS]);
    let town = town(&entra, "streams = [\"sign_ins\", \"directory_audits\"]\nstart = \"1h\"");
    let mut tenant = town.start().await;
    tokio::time::sleep(HOUR).await;
    entra.set_app(App::new(DEFAULT_APP, Credential::secret("the-next-secret")));
    entra.expire_tokens(town.clock.now());
    tokio::time::sleep(2 * HOUR).await;
    let source = tenant.board.sources()["entra"].clone();
    let (fault, _) = source.fault.unwrap();
    assert_eq!((fault.kind, fault.code.as_deref()), (FaultKind::Credential, Some("AADSTS7000215")));
    assert!(fault.remedy.as_ref().unwrap().contains("value"), "{:?}", fault.remedy);
    assert!(!format!("{fault} {fault:?}").contains(DEFAULT_SECRET));
    for stream in ["sign_ins", AUDITS] {
        assert_hole(&town, stream, "credential", TimeDelta::minutes(90));
    }
    let calls = asked(&entra, "/oauth2/").len();
    assert!(calls < 40, "{calls} token calls in two hours: an account is not to be locked");
    std::fs::write(town.dir.path().join("secret"), "the-next-secret\n").unwrap();
    tokio::time::sleep(6 * HOUR).await;
    assert!(tenant.board.sources()["entra"].fault.is_none());
    tenant.drain().await;
    tenant.stop().await;
    assert_arrived(&entra, &town);
    for stream in ["sign_ins", AUDITS] {
        assert_whole(&town, stream, ago(3_000), town.clock.now() - TimeDelta::minutes(15));
    }
}

#[tokio::test(start_paused = true)]
async fn a_claims_challenge_in_the_middle_costs_one_token_and_nothing_else() {
    let entra = busy(&["sign_ins"]);
    let town = town(&entra, "streams = [\"sign_ins\"]\nstart = \"1h\"\nlimit = 20");
    entra.push_fault(ScriptedFault {
        path: "signIns".into(),
        after: 3,
        times: 1,
        fault: Fault::ClaimsChallenge,
    });
    town.run(9 * HOUR).await;
    let refused = asked(&entra, "signIns").iter().filter(|request| request.status == 401).count();
    assert_eq!(refused, 1);
    assert_arrived(&entra, &town);
    assert_whole(&town, "sign_ins", ago(3_000), base() + TimeDelta::hours(8));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_not_in_the_directory_is_named_and_nothing_is_lost_meanwhile() {
    let entra = busy(&[AUDITS]);
    let town = town(&entra, "streams = [\"directory_audits\"]\nstart = \"1h\"");
    let mut tenant = town.start().await;
    tokio::time::sleep(HOUR).await;
    entra.remove_app(DEFAULT_TENANT, DEFAULT_APP);
    entra.expire_tokens(town.clock.now());
    tokio::time::sleep(HOUR).await;
    let (fault, _) = tenant.board.sources()["entra"].fault.clone().unwrap();
    assert!(fault.to_string().contains("there is no app") && fault.remedy.is_some(), "{fault}");
    entra.set_roles(DEFAULT_TENANT, DEFAULT_APP, &[AUDIT_LOG_READ]);
    tokio::time::sleep(7 * HOUR).await;
    tenant.drain().await;
    tenant.stop().await;
    assert_arrived(&entra, &town);
    assert_whole(&town, AUDITS, ago(3_000), base() + TimeDelta::hours(8));
}
