//! Signatures and permissions of the Admin API.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod duo_support;

use bytes::Bytes;
use chrono::TimeDelta;
use duo_support::*;
use http::Request;
use http::request::Builder;
use tidegate_simulator::Answer;
use tidegate_simulator::duo::{Access, Duo, DuoConfig, Generate, Integration, IntegrationKind, Quirks};

const VECTOR_HOST: &str = "api-vectors.example.com";
const VECTOR_KEY: &str = "DIVECTOR000000000001";
const VECTOR_DATE: &str = "Thu, 15 Jan 2026 10:00:00 -0000";
/// The query as Python's encoder sends it: unsorted, blanks as plus signs.
const VECTOR_QUERY: &str = "mintime=1768384800000&maxtime=1768471080000&users=Zo%C3%AB+~%2A&users=a+b%2Fc&limit=250&next_offset=1768384801234&next_offset=0f0e0d0c-0000-4000-8000-000000000001&sort=ts%3Aasc";
// Computed by the vendor's Python client (5.7.0) for that request.
const V2_SHA1: &str = "207633cce64b457c155ac1233c955c21b3a53026";
const V2_SHA512: &str = "75bbf965170cf931b9fd89200dbbfc2db5711fa3104ba621e5f1db875b7083498ae358aecddb7b89a90f9a2d5aaa18f4d507e941d800cdb0a097d68efb30d48e";
const V4: &str = "78877868621691b8f678fe5352e071c7ea2e495386290b52589c21e63e1be830c386581547136b1c7d1e63c01cc2918e125a0d9be7c793fd8e2c8bdb9097b7ac";
const V5: &str = "74e04eacf53e8753e861af0e34c0c43f03662d3a26f0940b4a11d85b6e58cb7f4f7303beb093e60553ed359b2d4b4764f464af84aca8d275f54b8b72c1e26e7b";
/// With the headers `X-Duo-Zeta: last` and `x-duo-alpha: Fir st`.
const V5_HEADERS: &str = "2c75f8bac41b45bf3e80688e7a1d3893df5fd7516526234ffa63e7404cb4b3a272e2909d949910e7b9a5a36c0a1054ed359f230e90ded57ec9f475b90ab783b7";
/// `/admin/v1/logs/administrator` without parameters.
const V5_BARE: &str = "fbfd34783d567ef422ecc20b878992a1495ea3258b37f42bffef6c24d3bc614040eabe82dcb69e9b24b044b34777a7ef923dec3215c39d35556ca832c897c920";

fn vector_account() -> Duo {
    Duo::new(DuoConfig {
        base_url: Some(format!("https://{VECTOR_HOST}:8443")),
        integrations: vec![Integration::new(VECTOR_KEY, "a-secret-made-up-for-these-vectors-00001")],
        limits: tidegate_simulator::duo::Limits::off(),
        ..DuoConfig::default()
    })
}

fn vector(signature: &str) -> Builder {
    Request::get(format!("{AUTH}?{VECTOR_QUERY}"))
        .header("host", "127.0.0.1:4803")
        .header("date", VECTOR_DATE)
        .header("authorization", basic(VECTOR_KEY, signature))
}

fn answer(duo: &Duo, request: Builder) -> Answer {
    duo.handle(&request.body(Bytes::new()).unwrap(), start())
}

#[test]
fn every_version_that_the_official_client_signs_is_verified() {
    let duo = vector_account();
    for signature in [V2_SHA1, V2_SHA512, V4, V5] {
        assert_eq!(answer(&duo, vector(signature)).status, 200, "{signature}");
    }
    let with_headers = || vector(V5_HEADERS).header("X-Duo-Zeta", "last").header("x-duo-alpha", "Fir st");
    assert_eq!(answer(&duo, with_headers()).status, 200);
    for path in [format!("{ADMIN}?"), ADMIN.to_owned()] {
        let bare = Request::get(path)
            .header("date", VECTOR_DATE)
            .header("authorization", basic(VECTOR_KEY, V5_BARE));
        assert_eq!(answer(&duo, bare).status, 200, "a question mark without parameters is no difference");
    }
}

#[test]
fn whatever_differs_from_what_was_signed_is_40103() {
    let duo = vector_account();
    let upper = V5.to_uppercase();
    let cut = &V5[..126];
    let changed = V5.replace("74e0", "74e1");
    for signature in [upper.as_str(), cut, &changed, "", "zz", &V2_SHA1.replace('2', "3")] {
        assert_eq!(code(&answer(&duo, vector(signature))), (401, 40103), "{signature}");
    }
    let elsewhere = |uri: String| {
        Request::get(uri).header("date", VECTOR_DATE).header("authorization", basic(VECTOR_KEY, V5))
    };
    assert_eq!(answer(&duo, elsewhere(format!("{AUTH}?{VECTOR_QUERY}"))).status, 200);
    for uri in [
        format!("{AUTH}?{VECTOR_QUERY}&limit=1"),
        format!("{AUTH}?{}", VECTOR_QUERY.replace("limit=250", "limit=251")),
        format!("{ACTIVITY}?{VECTOR_QUERY}"),
    ] {
        assert_eq!(code(&answer(&duo, elsewhere(uri.clone()))), (401, 40103), "{uri}");
    }
    let other_date = Request::get(format!("{AUTH}?{VECTOR_QUERY}"))
        .header("date", "Thu, 15 Jan 2026 10:00:00 GMT")
        .header("authorization", basic(VECTOR_KEY, V5));
    assert_eq!(code(&answer(&duo, other_date)), (401, 40103), "the text of the date is signed");
}

#[test]
fn version_5_covers_the_duo_headers_and_takes_none_twice() {
    let duo = vector_account();
    let unsigned = vector(V5).header("x-duo-extra", "1");
    assert_eq!(code(&answer(&duo, unsigned)), (401, 40103));
    let other = vector(V5_HEADERS).header("X-Duo-Zeta", "last").header("x-duo-alpha", "First");
    assert_eq!(code(&answer(&duo, other)), (401, 40103));
    let twice = vector(V5).header("x-duo-twice", "1").header("X-Duo-Twice", "1");
    assert_eq!(code(&answer(&duo, twice)), (401, 40103));
    let older = vector(V2_SHA512).header("x-duo-extra", "1");
    assert_eq!(answer(&duo, older).status, 200, "version 2 does not cover them");
}

#[test]
fn a_request_without_usable_credentials_is_40101() {
    let duo = Duo::new(roomy());
    let good = request(&Integration::simulated(), ADMIN, &[], start());
    for value in [
        None,
        Some("Bearer abc"),
        Some("Basic"),
        Some("Basic !!!"),
        Some("Basic bm9jb2xvbg=="),
        Some("SSWS x"),
    ] {
        let mut request = good.clone();
        request.headers_mut().remove("authorization");
        if let Some(value) = value {
            request.headers_mut().insert("authorization", value.parse().unwrap());
        }
        assert_eq!(code(&duo.handle(&request, start())), (401, 40101), "{value:?}");
    }
}

#[test]
fn unknown_keys_and_keys_of_the_auth_api_are_40102() {
    let duo = Duo::new(roomy());
    let unknown = Integration::new("DIUNKNOWN00000000001", "simulated-secret-key-of-forty-characters");
    assert_eq!(code(&duo.handle(&request(&unknown, ADMIN, &[], start()), start())), (401, 40102));
    let auth_api = Integration {
        kind: IntegrationKind::AuthApi,
        ..Integration::new("DIAUTHAPI00000000001", "simulated-secret-key-of-forty-characters")
    };
    duo.add_integration(auth_api.clone());
    assert_eq!(code(&duo.handle(&request(&auth_api, ADMIN, &[], start()), start())), (401, 40102));
}

#[test]
fn the_date_must_be_there_readable_and_near() {
    let duo = Duo::new(roomy());
    let key = Integration::simulated();
    let dated = |date: Option<&str>| {
        let signature = signed(&key, HOST, ADMIN, "", date.unwrap_or_default());
        let mut request = Request::get(ADMIN).header("host", HOST).header("authorization", signature);
        if let Some(date) = date {
            request = request.header("date", date);
        }
        code(&answer(&duo, request))
    };
    assert_eq!(dated(None), (401, 40104));
    for unreadable in ["1768471200", "2026-01-15T10:00:00Z", "yesterday"] {
        assert_eq!(dated(Some(unreadable)), (401, 40105), "{unreadable}");
    }
    for readable in [
        "Thu, 15 Jan 2026 10:00:00 -0000",
        "Thu, 15 Jan 2026 10:00:00 +0000",
        "Thu, 15 Jan 2026 10:00:00 GMT",
        "Thu, 15 Jan 2026 11:30:00 +0130",
    ] {
        assert_eq!(dated(Some(readable)), (200, 0), "{readable}");
    }
    let shifted = |seconds| dated(Some(&date(start() + TimeDelta::seconds(seconds))));
    assert_eq!([shifted(-300), shifted(300)], [(200, 0); 2]);
    assert_eq!([shifted(-301), shifted(301)], [(401, 40105); 2]);
}

#[test]
fn a_server_with_another_clock_refuses_what_a_right_clock_signed() {
    let duo = Duo::new(DuoConfig { clock_offset: TimeDelta::minutes(20), ..roomy() });
    let answer = ask(&duo, ADMIN, &[], start());
    assert_eq!(code(&answer), (401, 40105));
    assert_eq!(answer.headers["date"], "Thu, 15 Jan 2026 10:20:00 GMT", "its own time is told");
}

#[test]
fn x_duo_date_stands_in_for_date() {
    let duo = Duo::new(roomy());
    let key = Integration::simulated();
    let text = [&date(start()), "GET", HOST, ADMIN, ""].join("\n");
    let tag = ring::hmac::sign(
        &ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.skey.as_bytes()),
        text.as_bytes(),
    );
    let request = Request::get(ADMIN)
        .header("x-duo-date", date(start()))
        .header("date", date(start() + TimeDelta::seconds(2)))
        .header("authorization", basic(&key.ikey, &hex(tag.as_ref())));
    assert_eq!(answer(&duo, request).status, 200);
}

#[test]
fn the_signed_host_is_the_configured_one_without_port_or_the_one_that_was_called() {
    let key = Integration::simulated();
    let of = |duo: &Duo, called: &str, host: &str| {
        let request = Request::get(ADMIN)
            .header("host", called)
            .header("date", date(start()))
            .header("authorization", signed(&key, host, ADMIN, "", &date(start())));
        code(&answer(duo, request)).1
    };
    let configured = Duo::new(roomy());
    assert_eq!(of(&configured, "127.0.0.1:4803", HOST), 0);
    assert_eq!(of(&configured, "127.0.0.1:4803", "127.0.0.1:4803"), 0);
    assert_eq!(of(&configured, "127.0.0.1:4803", "127.0.0.1"), 40103);
    assert_eq!(of(&configured, "127.0.0.1:4803", "api-other.example.com"), 40103);
    let called = Duo::new(DuoConfig { base_url: None, ..roomy() });
    assert_eq!(of(&called, "127.0.0.1:4803", "127.0.0.1"), 0);
    assert_eq!(of(&called, "API-Mixed.Example.com", "api-mixed.example.com"), 0);
    assert_eq!(of(&called, "127.0.0.1:4803", HOST), 40103);
}

#[test]
fn without_grant_read_log_it_is_40301_until_it_is_granted() {
    let duo = Duo::new(roomy());
    let key = Integration::simulated();
    assert!(duo.set_read_log(&key.ikey, false));
    assert_eq!(code(&ask(&duo, ADMIN, &[], start())), (403, 40301));
    assert!(duo.set_read_log(&key.ikey, true));
    assert_eq!(code(&ask(&duo, ADMIN, &[], start())), (200, 0));
    assert!(!duo.set_read_log("DINOBODY000000000001", true));
}

#[test]
fn a_deleted_integration_is_unknown_and_a_new_one_takes_over() {
    let duo = Duo::new(roomy());
    assert!(duo.revoke(&Integration::simulated().ikey));
    assert_eq!(code(&ask(&duo, ADMIN, &[], start())), (401, 40102));
    let new = Integration::new("DIROTATED00000000001", "another-secret-key-of-forty-characters--");
    duo.add_integration(new.clone());
    assert_eq!(code(&duo.handle(&request(&new, ADMIN, &[], start()), start())), (200, 0));
}

#[test]
fn an_endpoint_can_be_forbidden_or_absent_while_others_answer() {
    let duo =
        Duo::new(DuoConfig { access: [("trust_monitor".to_owned(), Access::Absent)].into(), ..roomy() });
    let range = [("mintime", "1768471200000"), ("maxtime", "1768471300000")];
    assert_eq!(code(&ask(&duo, TRUST, &range, start())), (404, 40401));
    duo.set_access("trust_monitor", Access::Forbidden);
    assert_eq!(code(&ask(&duo, TRUST, &range, start())), (403, 40301));
    assert_eq!(code(&ask(&duo, ACTIVITY, &range, start())), (200, 0));
    duo.set_access("trust_monitor", Access::Granted);
    assert_eq!(code(&ask(&duo, TRUST, &range, start())), (200, 0));
}

#[test]
fn other_paths_are_40401_and_other_methods_40501() {
    let duo = Duo::new(roomy());
    for path in ["/admin/v1/users", "/admin/v3/logs/activity", "/admin/v2/logs/activity/", "/"] {
        assert_eq!(code(&ask(&duo, path, &[], start())), (404, 40401), "{path}");
    }
    let mut post = request(&Integration::simulated(), ADMIN, &[], start());
    *post.method_mut() = http::Method::POST;
    assert_eq!(code(&duo.handle(&post, start())), (405, 40501));
}

#[test]
fn account_id_reaches_a_child_account_where_the_endpoint_can() {
    let child = "DACHILD0000000000001";
    let of_child = Generate { account: Some(child.to_owned()), seed: 99, ..plan("authentication", 30) };
    let mut config = DuoConfig { children: vec![child.to_owned()], ..roomy() };
    config.generate.push(of_child);
    let duo = Duo::new(config.clone());
    let (from, to) = (ms(start()), ms(start() + TimeDelta::hours(2)));
    let range = [("mintime", from.as_str()), ("maxtime", &to), ("limit", "1000")];
    let with = |account: &'static str| [&range[..], &[("account_id", account)]].concat();
    let of_child = page(&ask(&duo, AUTH, &with(child), later())).0;
    assert_eq!(of_child.len(), 30);
    assert_eq!(duo.known_of(child).len(), 30);
    assert!(duo.known().iter().all(|known| !duo.known_of(child).contains(known)));
    assert_eq!(code(&ask(&duo, AUTH, &with("DASTRANGER0000000001"), later())), (403, 40301));
    let own = page(&ask(&duo, TELEPHONY, &with(child), later())).0;
    assert_same(&own, &visible(&duo, "telephony", later()));
    let quirks = Quirks { refuse_account_id_elsewhere: true, ..Quirks::default() };
    let strict = Duo::new(DuoConfig { quirks, ..config });
    assert_eq!(code(&ask(&strict, TELEPHONY, &with(child), later())), (400, 40002));
}

#[test]
fn secrets_stay_out_of_debug_text_and_of_the_request_log() {
    let duo = Duo::new(roomy());
    ask(&duo, ADMIN, &[], start());
    let secret = Integration::simulated().skey;
    assert!(!format!("{duo:?}").contains(&secret));
    assert!(!format!("{:?}", duo.requests()).contains("DISIMULATED"));
    assert_eq!(duo.requests()[0].auth.as_deref(), Some("Basic"));
}
