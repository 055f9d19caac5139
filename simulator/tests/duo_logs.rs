//! The log endpoints as their contract has them, played in process under a virtual clock.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod duo_support;

use std::collections::HashSet;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use duo_support::*;
use serde_json::{Value, json};
use tidegate_simulator::duo::{Duo, DuoConfig, Generate, Quirks};
use tidegate_simulator::{Lateness, Version};

const CURSORS: [(&str, &str); 4] =
    [(AUTH, "authentication"), (ACTIVITY, "activity"), (TELEPHONY, "telephony"), (TRUST, "trust_monitor")];

fn range(from: DateTime<Utc>, to: DateTime<Utc>) -> (String, String) {
    (ms(from), ms(to))
}

/// All pages of the first two hours.
fn all(duo: &Duo, path: &str, more: &[(&str, &str)], now: DateTime<Utc>) -> Vec<Vec<Value>> {
    let (from, to) = range(start(), start() + TimeDelta::hours(2));
    walk(duo, path, &[&[("mintime", from.as_str()), ("maxtime", &to)], more].concat(), now)
}

fn time_of(record: &Value) -> i64 {
    let text = ["isotimestamp", "ts"].iter().find_map(|name| record[*name].as_str());
    match text {
        Some(text) => DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis(),
        None => record["surfaced_timestamp"].as_i64().unwrap(),
    }
}

#[test]
fn a_walk_of_every_cursor_endpoint_meets_every_record_once() {
    let duo = Duo::new(roomy());
    for (path, stream) in CURSORS {
        let pages = all(&duo, path, &[("sort", "ts:asc"), ("limit", "7")], later());
        assert!(pages.iter().rev().skip(1).all(|page| page.len() == 7), "{stream}");
        let found = pages.concat();
        assert_same(&found, &visible(&duo, stream, later()));
        assert!(found.is_sorted_by_key(time_of), "{stream}");
        let split = pages.windows(2).any(|two| time_of(two[0].last().unwrap()) == time_of(&two[1][0]));
        assert!(split, "{stream}: a page ends between records of one millisecond");
    }
}

#[test]
fn newest_first_unless_asked_otherwise() {
    let duo = Duo::new(roomy());
    for (path, stream) in &CURSORS[..3] {
        let found = all(&duo, path, &[("limit", "9")], later()).concat();
        assert_same(&found, &visible(&duo, stream, later()));
        assert!(found.iter().rev().is_sorted_by_key(time_of), "{stream}");
        let asked = all(&duo, path, &[("limit", "9"), ("sort", "ts:desc")], later()).concat();
        assert_eq!(found, asked);
        let ascending = all(&duo, path, &[("sort", "ts:asc")], later()).concat();
        assert_eq!(found.into_iter().rev().collect::<Vec<_>>(), ascending);
    }
}

#[test]
fn a_page_has_a_hundred_records_unless_a_limit_says_otherwise() {
    let duo = Duo::new(roomy());
    for (path, _) in CURSORS {
        assert_eq!(all(&duo, path, &[], later())[0].len(), 100);
        assert_eq!(all(&duo, path, &[("limit", "1000")], later()).len(), 1, "400 are one page");
    }
}

#[test]
fn records_keep_their_exact_bytes() {
    let duo = Duo::new(roomy());
    let raw =
        r#"{ "activity_id":"a-1",  "ts": "2026-01-15T10:30:00.000001+00:00", "n": 1.50, "e":"\u00eb" }"#;
    let at = start() + TimeDelta::minutes(30);
    duo.add_record("activity", at, vec![Version { visible_at: at, raw: Bytes::from(raw) }]);
    let (from, to) = range(at, at + TimeDelta::milliseconds(1));
    let answer = ask(&duo, ACTIVITY, &[("mintime", &from), ("maxtime", &to)], later());
    assert!(String::from_utf8_lossy(&answer.body).contains(raw));
    assert!(duo.known().iter().any(|known| known.id == "a-1" && known.occurred_at == at));
}

#[test]
fn both_bounds_are_inclusive_to_the_millisecond() {
    let duo = Duo::new(DuoConfig { generate: Vec::new(), ..roomy() });
    let at = start() + TimeDelta::milliseconds(500);
    for micros in [0, 999] {
        let at = at + TimeDelta::microseconds(micros);
        let raw = json!({"activity_id": format!("a-{micros}"), "ts": at}).to_string();
        duo.add_record("activity", at, vec![Version { visible_at: at, raw: Bytes::from(raw) }]);
    }
    let count = |from: i64, to: i64| {
        let (from, to) = range(at + TimeDelta::milliseconds(from), at + TimeDelta::milliseconds(to));
        page(&ask(&duo, ACTIVITY, &[("mintime", &from), ("maxtime", &to)], later())).0.len()
    };
    assert_eq!([count(0, 1), count(-1, 0)], [2, 2]);
    assert_eq!([count(1, 2), count(-2, -1)], [0, 0]);
}

#[test]
fn offsets_are_a_pair_for_authentications_one_text_elsewhere_and_null_at_the_end() {
    let duo = Duo::new(roomy());
    let (from, to) = range(start(), start() + TimeDelta::hours(2));
    let pairs = [("mintime", from.as_str()), ("maxtime", &to), ("sort", "ts:asc"), ("limit", "5")];
    let (records, metadata) = page(&ask(&duo, AUTH, &pairs, later()));
    let last = records.last().unwrap();
    assert_eq!(metadata["next_offset"], json!([time_of(last).to_string(), last["txid"]]));
    assert_eq!(metadata["total_objects"], 400);
    let (records, metadata) = page(&ask(&duo, ACTIVITY, &pairs, later()));
    let last = records.last().unwrap();
    let joined = format!("{},{}", time_of(last), last["activity_id"].as_str().unwrap());
    assert_eq!(metadata["next_offset"], json!(joined));
    let (_, metadata) = page(&ask(&duo, TRUST, &pairs, later()));
    assert!(metadata["next_offset"].as_str().unwrap().bytes().all(|byte| byte.is_ascii_digit()));
    for (path, _) in CURSORS {
        let last = [&pairs[..3], &[("limit", "1000")]].concat();
        let (_, metadata) = page(&ask(&duo, path, &last, later()));
        assert_eq!(metadata, json!({"next_offset": null, "total_objects": 400}), "{path}");
    }
}

#[test]
fn metadata_comes_in_the_other_documented_forms_too() {
    let quirks = Quirks {
        total_objects_as_object: true,
        last_offset_absent: true,
        trust_monitor_metadata_at_top: true,
        ..Quirks::default()
    };
    let duo = Duo::new(DuoConfig { quirks, ..roomy() });
    let (from, to) = range(start(), start() + TimeDelta::hours(2));
    let pairs = [("mintime", from.as_str()), ("maxtime", &to), ("limit", "1000")];
    let (_, metadata) = page(&ask(&duo, TELEPHONY, &pairs, later()));
    assert_eq!(metadata, json!({"total_objects": {"relation": "eq", "value": 400}}));
    let (_, metadata) = page(&ask(&duo, AUTH, &pairs, later()));
    assert_eq!(metadata, json!({"next_offset": null, "total_objects": 400}), "authentications keep theirs");
    let body = json_of(&ask(&duo, TRUST, &pairs, later()));
    assert_eq!(body["metadata"]["total_objects"], 400);
    assert!(body["response"]["metadata"].is_null());
}

#[test]
fn an_offset_in_two_parameters_equals_the_joined_one_and_swapped_it_is_refused() {
    let duo = Duo::new(roomy());
    let (from, to) = range(start(), start() + TimeDelta::hours(2));
    let pairs = [("mintime", from.as_str()), ("maxtime", &to), ("sort", "ts:asc"), ("limit", "5")];
    for path in [AUTH, ACTIVITY, TELEPHONY] {
        let joined = next(&page(&ask(&duo, path, &pairs, later())).1).unwrap();
        let (time, id) = joined.split_once(',').unwrap();
        let one = page(&ask(&duo, path, &[&pairs[..], &[("next_offset", &joined)]].concat(), later()));
        let sent = |first: &str, second: &str| {
            // Not sorted, as the official client sends it.
            let key = tidegate_simulator::duo::Integration::simulated();
            let mut signed = request(
                &key,
                path,
                &[&pairs[..], &[("next_offset", first), ("next_offset", second)]].concat(),
                later(),
            );
            let query = format!(
                "next_offset={first}&next_offset={second}&limit=5&mintime={from}&maxtime={to}&sort=ts%3Aasc"
            );
            *signed.uri_mut() = format!("{path}?{query}").parse().unwrap();
            duo.handle(&signed, later())
        };
        assert_eq!(page(&sent(time, id)), one);
        assert_eq!(code(&sent(id, time)), (400, 40002));
    }
}

#[test]
fn an_offset_is_exclusive_stands_in_for_mintime_and_goes_on_under_a_later_maxtime() {
    let duo = Duo::new(roomy());
    let whole = all(&duo, AUTH, &[("sort", "ts:asc"), ("limit", "1000")], later()).concat();
    let place = |record: &Value| format!("{},{}", time_of(record), record["txid"].as_str().unwrap());
    // Made from a record, as clients do that resume; mintime is beyond it.
    let (from, to) = range(start() + TimeDelta::minutes(100), start() + TimeDelta::hours(3));
    let pairs = [
        ("mintime", from.as_str()),
        ("maxtime", &to),
        ("sort", "ts:asc"),
        ("limit", "1000"),
        ("next_offset", &place(&whole[149])),
    ];
    assert_eq!(page(&ask(&duo, AUTH, &pairs, later())).0, whole[150..]);
}

#[test]
fn a_bare_time_as_the_trust_monitors_offset_is_after_that_millisecond() {
    let duo = Duo::new(roomy());
    let whole = all(&duo, TRUST, &[("limit", "1000")], later()).concat();
    let at = time_of(&whole[100]);
    let found = all(&duo, TRUST, &[("limit", "1000"), ("offset", &at.to_string())], later()).concat();
    assert_eq!(found, whole.into_iter().filter(|record| time_of(record) > at).collect::<Vec<_>>());
}

#[test]
fn parameters_are_checked_and_the_detail_names_them() {
    let duo = Duo::new(roomy());
    let now = later();
    let old = ms(now - TimeDelta::days(181));
    let ahead = ms(now + TimeDelta::days(2));
    type Case<'a> = (&'a [(&'a str, &'a str)], i64, &'a str);
    let cases: &[Case<'_>] = &[
        (&[("maxtime", "1768471200000")], 40001, "mintime"),
        (&[("mintime", "1768471200000")], 40001, "maxtime"),
        (&[("mintime", "1768471200"), ("maxtime", "1768471300000")], 40002, "mintime"),
        (&[("mintime", "1768471200000"), ("maxtime", "1768471300")], 40002, "maxtime"),
        (&[("mintime", "-176847120000"), ("maxtime", "1768471300000")], 40002, "mintime"),
        (&[("mintime", "176847120000x"), ("maxtime", "1768471300000")], 40002, "mintime"),
        (&[("mintime", "1768471200000"), ("maxtime", "1768471200000")], 40002, "mintime"),
        (&[("mintime", "1768471200001"), ("maxtime", "1768471200000")], 40002, "mintime"),
        (&[("mintime", &old), ("maxtime", "1768471200000")], 40002, "180 days"),
        (&[("mintime", "1752923000000"), ("maxtime", &ahead)], 40002, "180 days"),
    ];
    for (pairs, wanted, part) in cases {
        for (path, _) in CURSORS {
            let (status, code, detail) = refusal(&ask(&duo, path, pairs, now));
            assert_eq!((status, code), (400, *wanted), "{pairs:?}");
            assert!(detail.contains(part), "{pairs:?}: {detail}");
        }
    }
    let (from, to) = range(start(), start() + TimeDelta::hours(2));
    for (name, value) in [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "ten"),
        ("sort", "ts"),
        ("sort", "asc"),
        ("next_offset", "1768471200000"),
        ("next_offset", "1768471200000,"),
        ("next_offset", "1768471200,id"),
        ("next_offset", "id,1768471200000"),
        ("event_types", "login"),
        ("results", "SUCCESS"),
    ] {
        let pairs = [("mintime", from.as_str()), ("maxtime", &to), (name, value)];
        let (status, code, detail) = refusal(&ask(&duo, AUTH, &pairs, now));
        assert_eq!((status, code), (400, 40002), "{name}={value}");
        assert!(detail.contains(name), "{detail}");
    }
    for value in ["abc", "1768471200", "-1", "1768471200000,x"] {
        let pairs = [("mintime", from.as_str()), ("maxtime", &to), ("offset", value)];
        assert_eq!(code(&ask(&duo, TRUST, &pairs, now)), (400, 40002), "{value}");
    }
    assert_eq!(code(&ask(&duo, ADMIN, &[("mintime", "soon")], now)), (400, 40002));
}

#[test]
fn what_is_not_confirmed_can_be_set() {
    let quirks = Quirks {
        missing_parameter_as_40002: true,
        refuse_future_maxtime: true,
        code_as_text: true,
        trust_monitor_limit: 200,
        ..Quirks::default()
    };
    let duo = Duo::new(DuoConfig { quirks, ..roomy() });
    let refused = |path: &str, pairs: &[(&str, &str)]| {
        json_of(&ask(&duo, path, pairs, start()))["code"].as_str().unwrap_or_default().to_owned()
    };
    let (from, to) = range(start() - TimeDelta::hours(1), start() + TimeDelta::seconds(1));
    assert_eq!(refused(AUTH, &[("mintime", &from)]), "40002");
    assert_eq!(refused(AUTH, &[("mintime", &from), ("maxtime", &to)]), "40002");
    let now = ms(start());
    assert_eq!(refused(AUTH, &[("mintime", &from), ("maxtime", &now)]), "");
    assert_eq!(refused(TRUST, &[("mintime", &from), ("maxtime", &now), ("limit", "201")]), "40002");
}

#[test]
fn a_client_that_asks_for_all_180_days_a_moment_ago_is_answered() {
    let duo = Duo::new(roomy());
    let (from, to) = range(later() - TimeDelta::days(180) - TimeDelta::seconds(5), later());
    assert_eq!(code(&ask(&duo, ACTIVITY, &[("mintime", &from), ("maxtime", &to)], later())), (200, 0));
}

#[test]
fn records_are_gone_after_180_days() {
    let duo = Duo::new(roomy());
    let now = start() + TimeDelta::days(180) + TimeDelta::hours(1);
    let (from, to) = range(now - TimeDelta::days(180), now);
    let kept = |stream| {
        let mut kept = visible(&duo, stream, now);
        kept.retain(|record| time_of(record) >= (start() + TimeDelta::hours(1)).timestamp_millis());
        kept
    };
    let pairs = [("mintime", from.as_str()), ("maxtime", &to), ("limit", "1000")];
    let found = page(&ask(&duo, AUTH, &pairs, now)).0;
    assert_same(&found, &kept("authentication"));
    assert!(!found.is_empty() && found.len() < 400);
    let found = page(&ask(&duo, ADMIN, &[], now)).0;
    let oldest = (now - TimeDelta::days(180)).timestamp();
    assert!(!found.is_empty() && found.iter().all(|record| record["timestamp"].as_i64().unwrap() >= oldest));
}

#[test]
fn nothing_of_the_last_two_minutes_is_shown_and_late_records_come_later() {
    let mut generate = plan("authentication", 600);
    generate.lateness = Lateness(vec![(0.9, TimeDelta::seconds(30)), (0.1, TimeDelta::minutes(40))]);
    let duo = Duo::new(DuoConfig { generate: vec![generate], ..roomy() });
    let (from, to) = range(start(), start() + TimeDelta::hours(2));
    let pairs = [("mintime", from.as_str()), ("maxtime", &to), ("limit", "1000"), ("sort", "ts:asc")];
    let mut grown = 0;
    for minute in [1, 2, 30, 60, 119, 121, 125, 170] {
        let now = start() + TimeDelta::minutes(minute);
        let (found, metadata) = page(&ask(&duo, AUTH, &pairs, now));
        assert_same(&found, &visible(&duo, "authentication", now));
        assert_eq!(metadata["total_objects"], found.len());
        let edge = (now - TimeDelta::minutes(2)).timestamp_millis();
        assert!(found.iter().all(|record| time_of(record) <= edge), "minute {minute}");
        assert!(found.len() >= grown);
        grown = found.len();
    }
    assert_eq!(grown, 600);
    let lag = |known: &tidegate_simulator::Known| known.versions[0].visible_at - known.occurred_at;
    let known = duo.known();
    assert!(known.iter().all(|known| lag(known) >= TimeDelta::minutes(2)));
    let late = known.iter().filter(|known| lag(known) > TimeDelta::minutes(2)).count();
    assert!((20..=100).contains(&late), "{late} of 600");
    let on_time = Duo::new(roomy());
    assert!(
        on_time.known().iter().all(|known| lag(known) == TimeDelta::minutes(2)),
        "by default none is late"
    );
}

#[test]
fn a_window_that_is_closed_before_two_minutes_have_passed_misses_records() {
    let duo = Duo::new(roomy());
    let now = start() + TimeDelta::minutes(60);
    let (from, to) = range(start(), now);
    let pairs = [("mintime", from.as_str()), ("maxtime", &to), ("sort", "ts:asc"), ("limit", "1000")];
    let before = page(&ask(&duo, AUTH, &pairs, now)).0.len();
    let after = page(&ask(&duo, AUTH, &pairs, now + TimeDelta::minutes(2))).0.len();
    assert!(after > before, "{before} then {after}");
}

#[test]
fn version_1_gives_the_thousand_oldest_from_a_whole_second_on() {
    for (path, stream) in [(ADMIN, "administrator"), (OFFLINE, "offline_enrollment")] {
        let duo = Duo::new(DuoConfig { generate: vec![plan(stream, 2_500)], ..roomy() });
        let expected = visible(&duo, stream, later());
        let all = page(&ask(&duo, path, &[], later())).0;
        assert_eq!(all, expected[..1000], "{stream}");
        let second = all.last().unwrap()["timestamp"].as_i64().unwrap();
        let rest = page(&ask(&duo, path, &[("mintime", &second.to_string())], later())).0;
        let at = expected.iter().position(|record| record["timestamp"] == second).unwrap();
        assert_eq!(rest, expected[at..at + 1000], "from that second on, once more");
        assert!(
            all.iter().all(|record| ["id", "txid", "activity_id"].iter().all(|id| record[*id].is_null()))
        );
        let future = page(&ask(&duo, path, &[("mintime", "1768471200000")], later())).0;
        assert!(future.is_empty(), "milliseconds are a far future");
    }
}

#[test]
fn equal_records_without_id_are_two_records() {
    let duo = Duo::new(roomy());
    let found = page(&ask(&duo, ADMIN, &[], later())).0;
    let texts: HashSet<String> = found.iter().map(Value::to_string).collect();
    assert!(texts.len() < found.len(), "some are equal in every byte");
    let known: Vec<_> = duo.known().into_iter().filter(|known| known.stream == "administrator").collect();
    let ids: HashSet<_> = known.iter().map(|known| &known.id).collect();
    assert_eq!((known.len(), ids.len()), (400, 400));
    assert!(known.iter().all(|known| known.occurred_at.timestamp_subsec_nanos() == 0));
}

#[test]
fn the_older_endpoints_show_the_same_records_in_their_older_shapes() {
    let duo = Duo::new(roomy());
    let calls = page(&ask(&duo, "/admin/v1/logs/telephony", &[], later())).0;
    assert_eq!(calls.len(), 400);
    let members: Vec<&String> = calls[0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["context", "credits", "isotimestamp", "phone", "timestamp", "type"]);
    let old = page(&ask(&duo, "/admin/v1/logs/authentication", &[("mintime", "1768471200")], later())).0;
    let new = visible(&duo, "authentication", later());
    let authentications = new.iter().filter(|record| record["event_type"] == "authentication").count();
    assert_eq!(old.len(), authentications, "enrolments are omitted");
    assert!(authentications < 400);
    assert!(old.iter().all(|record| {
        record["txid"].is_null() && record["result"].as_str().unwrap().chars().all(char::is_uppercase)
    }));
}

#[test]
fn list_filters_of_the_authentication_log() {
    let duo = Duo::new(roomy());
    let expected = |matches: &dyn Fn(&Value) -> bool| {
        let mut records = visible(&duo, "authentication", later());
        records.retain(matches);
        assert!(!records.is_empty());
        records
    };
    let ask =
        |filters: &[(&str, &str)]| all(&duo, AUTH, &[&[("limit", "20")], filters].concat(), later()).concat();
    assert_same(&ask(&[("results", "fraud")]), &expected(&|record| record["result"] == "fraud"));
    assert_same(
        &ask(&[("factors", "duo_push"), ("factors", "phone_call"), ("results", "success")]),
        &expected(&|record| {
            (record["factor"] == "duo_push" || record["factor"] == "phone_call")
                && record["result"] == "success"
        }),
    );
    assert_same(
        &ask(&[("users", "DUEXAMPLE00000000003")]),
        &expected(&|record| record["user"]["key"] == "DUEXAMPLE00000000003"),
    );
    assert_same(
        &ask(&[("groups", "DGEXAMPLE00000000003")]),
        &expected(&|record| record["user"]["groups"].as_array().unwrap().contains(&json!("Finance"))),
    );
    assert!(ask(&[("reasons", "no_such_reason")]).is_empty());
    let (from, to) = range(start(), start() + TimeDelta::hours(2));
    let pairs = [("mintime", from.as_str()), ("maxtime", &to), ("limit", "1"), ("event_types", "enrollment")];
    let total = page(&duo_support::ask(&duo, AUTH, &pairs, later())).1["total_objects"].clone();
    assert_eq!(total, expected(&|record| record["event_type"] == "enrollment").len());
}

#[test]
fn the_trust_monitor_can_be_asked_for_one_type_and_knows_no_other_order() {
    let duo = Duo::new(roomy());
    let mut expected = visible(&duo, "trust_monitor", later());
    expected.retain(|event| event["type"] == "device_registration");
    assert!(!expected.is_empty());
    let pairs = [("type", "device_registration"), ("limit", "10"), ("sort", "ts:desc")];
    let found = all(&duo, TRUST, &pairs, later()).concat();
    assert_same(&found, &expected);
    assert!(found.is_sorted_by_key(time_of));
    let exact = duo.known().iter().all(|known| {
        known.stream != "trust_monitor" || known.occurred_at.timestamp_subsec_nanos() % 1_000_000 == 0
    });
    assert!(exact, "its times are milliseconds");
}

#[test]
fn trust_monitor_events_change_when_somebody_looks_them_through() {
    let mut generate = plan("trust_monitor", 200);
    generate.mutated = 0.5;
    let duo = Duo::new(DuoConfig { generate: vec![generate], ..roomy() });
    let soon = start() + TimeDelta::minutes(123);
    let late = start() + TimeDelta::days(4);
    let changed = duo.known().iter().filter(|known| known.versions.len() == 2).count();
    assert!((60..140).contains(&changed), "{changed} of 200");
    for now in [soon, late] {
        let found = all(&duo, TRUST, &[("limit", "1000")], now).concat();
        assert_same(&found, &visible(&duo, "trust_monitor", now));
        let processed = found.iter().filter(|event| event["state"] == "processed").count();
        if now == late {
            assert_eq!(processed, changed);
        } else {
            assert!(processed < changed);
        }
    }
}

#[test]
fn the_same_settings_play_the_same_story() {
    let answers = || {
        let duo = Duo::new(roomy());
        let (from, to) = range(start(), start() + TimeDelta::hours(2));
        let pairs = [("mintime", from.as_str()), ("maxtime", &to), ("limit", "50")];
        CURSORS.map(|(path, _)| ask(&duo, path, &pairs, later()).body)
    };
    assert_eq!(answers(), answers());
    assert_eq!(Duo::new(roomy()).known(), Duo::new(roomy()).known());
}

#[test]
fn records_that_are_added_later_were_not_visible_before() {
    let duo = Duo::new(DuoConfig { generate: Vec::new(), ..roomy() });
    let (from, to) = range(start(), start() + TimeDelta::hours(2));
    let pairs = [("mintime", from.as_str()), ("maxtime", &to), ("limit", "1000")];
    assert!(page(&ask(&duo, ACTIVITY, &pairs, later())).0.is_empty());
    duo.add_generated(&plan("activity", 25));
    assert!(duo.known().iter().all(|known| known.versions[0].visible_at >= later()));
    assert_eq!(page(&ask(&duo, ACTIVITY, &pairs, later())).0.len(), 25);
    duo.add_generated(&Generate { records: 0, ..plan("activity", 1) });
    assert_eq!(duo.known().len(), 25);
}
