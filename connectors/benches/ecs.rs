//! What a record costs on its way to an ECS document, measured against a yardstick: reading the same record with serde into
//! one struct with every member of the System Log, without writing anything.
//!
//! Both are measured in turns within one run, so that a busy machine slows both; the ratio of the medians is what counts.
//! `cargo bench -p tidegate-connectors --bench ecs`

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};
use tidegate_connectors::okta::{NAMES, normalize::normalize};
use tidegate_core::event::parse_time;
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks};

mod yardstick;

fn records() -> Vec<Vec<u8>> {
    let types = [
        "user.session.start",
        "user.authentication.auth_via_mfa",
        "user.authentication.sso",
        "policy.evaluate_sign_on",
    ];
    (0..64)
        .map(|n| {
            let event_type = types[n % types.len()];
            format!(
                r#"{{"actor":{{"id":"00u1example{n:07}","type":"User","alternateId":"pat.doe{n}@example.com","displayName":"Pat Doe {n}","detailEntry":null}},"client":{{"userAgent":{{"rawUserAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 Safari/537.36","os":"Mac OS X","browser":"CHROME"}},"zone":"null","device":"Computer","id":null,"ipAddress":"203.0.113.{ip}","geographicalContext":{{"city":"Exampleville","state":"Example State","country":"United States","postalCode":"10001","geolocation":{{"lat":40.7128,"lon":-74.006}}}}}},"device":null,"authenticationContext":{{"authenticationProvider":null,"credentialProvider":null,"credentialType":null,"issuer":null,"authenticationStep":0,"rootSessionId":"idxExampleRoot{n:06}","externalSessionId":"idxExampleSession{n:06}","interface":null}},"displayMessage":"Authentication of user via MFA","eventType":"{event_type}","outcome":{{"result":"SUCCESS","reason":null}},"published":"2026-01-15T10:00:{sec:02}.{n:03}Z","securityContext":{{"asNumber":64500,"asOrg":"example internet","isp":"example isp","domain":"example.net","isProxy":false}},"severity":"INFO","debugContext":{{"debugData":{{"authnRequestId":"Zexample{n:08}AAABbb","deviceFingerprint":"1d2c3b4a5f6e7d8c9b0a1f2e3d4c5b6a","oktaUserAgentExtended":"okta-auth-js/7.0.1 okta-signin-widget-7.22.1","behaviors":"{{New Geo-Location=NEGATIVE, New Device=NEGATIVE, New IP=POSITIVE, New State=NEGATIVE, New Country=NEGATIVE, Velocity=NEGATIVE, New City=NEGATIVE}}","requestId":"{n:032x}","dtHash":"b9a8f7e6d5c4b3a291807f6e5d4c3b2a19087f6e5d4c3b2a1908f7e6d5c4b3a2","risk":"{{reasons=Anomalous Device, level=LOW}}","requestUri":"/idp/idx/challenge/answer","threatSuspected":"false","factor":"OKTA_VERIFY_PUSH","factorIntent":"LOGIN","pushOnlyResponseType":"OV_RESPONSE_APPROVE","url":"/idp/idx/challenge/answer?"}}}},"legacyEventType":"core.user.factor.attempt_success","transaction":{{"type":"WEB","id":"{n:032x}","detail":{{}}}},"uuid":"5a1f0000-0000-4000-8000-{n:012}","version":"0","request":{{"ipChain":[{{"ip":"203.0.113.{ip}","geographicalContext":{{"city":"Exampleville","state":"Example State","country":"United States","postalCode":"10001","geolocation":{{"lat":40.7128,"lon":-74.006}}}},"version":"V4","source":null}}]}},"target":[{{"id":"00u1example{n:07}","type":"User","alternateId":"pat.doe{n}@example.com","displayName":"Pat Doe {n}","detailEntry":null}},{{"id":"0oa1example{n:07}","type":"AppInstance","alternateId":"Example Portal","displayName":"Example Portal","detailEntry":null}},{{"id":"pfd1example{n:07}","type":"AuthenticatorEnrollment","alternateId":"unknown","displayName":"Okta Verify","detailEntry":{{"methodTypeUsed":"Get a push notification","methodUsedVerifiedProperties":"[USER_PRESENCE]"}}}}]}}"#,
                ip = n + 1,
                sec = n % 60,
            )
            .into_bytes()
        })
        .collect()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let records = records();
    let read = yardstick::of("okta", "system_log", &records.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let bytes: usize = records.iter().map(Vec::len).sum();
    let now = parse_time("2026-01-15T10:01:00Z").unwrap();
    let context = Context {
        tenant: "acme",
        organisation: None,
        namespace: "acme",
        names: &NAMES,
        fetched: now.into(),
        ingested: now.into(),
        id: None,
        original: false,
        as_sent: false,
        marks: Marks::default(),
    };
    let (ecs, ocsf) = (schema::by_name("ecs").unwrap(), schema::by_name("ocsf").unwrap());
    let mut tape = Tape::new();
    let mut out = Vec::with_capacity(1 << 20);
    let mut times: [Vec<Duration>; 5] = Default::default();
    let mut written = 0;
    for round in 0..2_000 {
        let mut laps = [Duration::ZERO; 5];
        let start = Instant::now();
        for record in &records {
            read(record);
        }
        laps[0] = start.elapsed();
        let start = Instant::now();
        for record in &records {
            black_box(tape.cut(black_box(record)).unwrap());
        }
        laps[1] = start.elapsed();
        let start = Instant::now();
        for record in &records {
            let root = tape.cut(black_box(record)).unwrap();
            normalize(root, &mut |event, _| {
                black_box(event);
            })
            .unwrap();
        }
        laps[2] = start.elapsed();
        out.clear();
        let start = Instant::now();
        for record in &records {
            let root = tape.cut(black_box(record)).unwrap();
            normalize(root, &mut |event, _| {
                ecs.render(event, &context, &mut out).unwrap();
            })
            .unwrap();
        }
        laps[3] = start.elapsed();
        written = out.len();
        out.clear();
        let start = Instant::now();
        for record in &records {
            let root = tape.cut(black_box(record)).unwrap();
            normalize(root, &mut |event, _| {
                ocsf.render(event, &context, &mut out).unwrap();
            })
            .unwrap();
        }
        laps[4] = start.elapsed();
        if round >= 100 {
            for (all, lap) in times.iter_mut().zip(laps) {
                all.push(lap);
            }
        }
    }
    let n = records.len();
    let per = |time: Duration| time.as_nanos() as f64 / n as f64;
    let [serde, cut, event, whole, other] = times.each_mut().map(|all| per(median(all)));
    println!(
        "records of {} bytes, documents of {} bytes, medians of {} rounds",
        bytes / n,
        written / n,
        times[0].len()
    );
    println!("serde, typed, no output   {serde:8.0} ns   1.00");
    println!("tape                      {cut:8.0} ns   {:.2}", cut / serde);
    println!("tape, event               {event:8.0} ns   {:.2}", event / serde);
    println!("tape, event, ECS document {whole:8.0} ns   {:.2}", whole / serde);
    println!("tape, event, OCSF         {other:8.0} ns   {:.2}, of ECS {:.2}", other / serde, other / whole);
}
