//! Shapes of a namespace, and what stands around it.

use super::*;
use crate::event::{Ending, Field, Outcome, Part, RawShape, Shape, Share, Table, known};
use crate::json::{Kind, STEPS, Tape};
use crate::{field, label};
use chrono::DateTime;
use serde_json::{Value as Json, json};

const NAMES: Names = Names {
    dataset: "vendor.log",
    namespace: "vendor",
    vendor: "Vendor",
    product: "Vendor",
    sourcetype: "vendor",
    leef: ("Vendor", "Vendor"),
};

const ITEM: &[Field] = &[field!("name", Shape::Keyword), field!("parts", Shape::Positions(PART, 2))];
const PART: &[Field] = &[field!("was", Shape::Keyword)];
const FIELDS: &[Field] = &[
    field!("word" => "the_word", Shape::Words(&[("member", "Member")])),
    field!("large", Shape::Long),
    field!("big" => "large", Shape::Long).again(),
    field!("time", Shape::Time),
    field!("items", Shape::Positions(ITEM, 3)),
    field!("pairs", Shape::Keyed),
    field!("maps", Shape::Maps),
    field!("map", Shape::Map),
    field!("flat", Shape::Flat),
    field!("opened", Shape::Opened(PART)),
    field!("verdicts", Shape::Pairs),
];
const PLAIN: Table = Table { fields: FIELDS, ..Table::EMPTY };
const KEPT: Table = Table { unmapped: label!("rest"), ..PLAIN };
const ENVELOPED: Table = Table {
    raw: RawShape::Enveloped {
        parts: &[Part::Object(label!("properties"), &[Part::Record])],
        sourcetype: "vendor:diagnostic",
    },
    ..Table::EMPTY
};
const PARTED: Table =
    Table { raw: RawShape::Parted { list: "events", label: label!("event") }, ..Table::EMPTY };
const WRAPPED: Table = Table {
    layout: Some(&[
        Part::Organisation { label: label!("owner_id"), around: ("", "") },
        Part::Organisation { label: label!("link"), around: ("/of/", "/log") },
        Part::Member(field!("large" => "number", Shape::Long)),
        Part::Object(
            label!("log"),
            &[
                Part::Constant(",\"version\":\"1.0\""),
                Part::Of(label!("code"), |event| &event.outcome.code),
                Part::Outcome(label!("ended"), ["GOOD", "BAD"]),
                Part::Object(label!("properties"), &[Part::Record]),
            ],
        ),
    ]),
    interrupts_fail: true,
    action: Some("Something"),
    constants: ",\"cloud\":{\"provider\":\"vendor\"}",
    ..PLAIN
};

fn context(organisation: Option<&str>) -> Context<'_> {
    let now = DateTime::from_timestamp(1_768_471_200, 0).unwrap();
    Context {
        tenant: "acme",
        organisation,
        namespace: "acme",
        names: &NAMES,
        fetched: now.into(),
        ingested: now.into(),
        id: None,
        original: false,
        as_sent: false,
        marks: Marks::default(),
    }
}

fn write(
    table: &'static Table,
    record: &str,
    ending: Ending,
    organisation: Option<&str>,
) -> (Json, Rendered) {
    let mut tape = Tape::new();
    let root = tape.cut(record.as_bytes()).unwrap();
    let outcome = Outcome { result: ending, code: root.get("code").and_then(known), ..Outcome::default() };
    let organization = root.get("owner").and_then(known);
    let event = Event { record: Some(root), organization, outcome, table, ..Event::default() };
    let context = context(organisation);
    let mut out = Vec::new();
    let rendered = by_name("ecs").unwrap().render(&event, &context, &mut out).unwrap();
    explain(by_name("ecs").unwrap(), &event, &context).unwrap();
    (serde_json::from_slice(&out).unwrap(), rendered)
}

/// The `raw` document of a record, or of a part of it.
fn raw(table: &'static Table, record: &str, part: Option<&str>) -> String {
    let mut tape = Tape::new();
    let root = tape.cut(record.as_bytes()).unwrap();
    let part = part.and_then(|list| root.get(list)?.elements().next());
    let part = part.map(|value| Share { value, at: 0, first: true });
    let event = Event { record: Some(root), part, table, ..Event::default() };
    let mut out = Vec::new();
    by_name("raw").unwrap().render(&event, &context(None), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const SHARED: Table = Table {
    fields: &[field!("events", Shape::Parts)],
    part: &[field!("name", Shape::Keyword)],
    raw: RawShape::Parted { list: "events", label: label!("event") },
    ..KEPT
};

/// One event for each object among a record's `events`.
fn shared<'r>(root: crate::json::Value<'r, 'r>) -> Vec<Event<'r>> {
    let all = root.get("events").unwrap().elements().enumerate();
    let mut first = true;
    all.filter(|(_, value)| value.kind() == Kind::Object)
        .map(|(at, value)| {
            let part = Some(Share { value, at, first: std::mem::take(&mut first) });
            Event { record: Some(root), part, table: &SHARED, ..Event::default() }
        })
        .collect()
}

fn rendered(schema: &str, event: &Event<'_>) -> Json {
    let mut out = Vec::new();
    by_name(schema).unwrap().render(event, &context(None), &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn what_of_a_list_of_parts_is_no_part_is_kept_once_and_each_part_by_its_path() {
    let record =
        json!({ "id": 7, "events": [1, { "name": "a", "odd": 2 }, null, { "name": "b", "odd": 3, "more": 4 }, "x"] })
            .to_string();
    let mut tape = Tape::new();
    let events = shared(tape.cut(record.as_bytes()).unwrap());
    let kept = |at: usize| rendered("ecs", &events[at])["vendor"].clone();
    assert_eq!(
        kept(0),
        json!({ "name": "a", "rest": { "id": 7, "events[0]": 1, "events[1].odd": 2, "events[4]": "x" } })
    );
    assert_eq!(kept(1), json!({ "name": "b", "rest": { "id": 7, "events[3].odd": 3, "events[3].more": 4 } }));
    for schema in ["ocsf", "ocsf_1_9"] {
        let kept = |at: usize| rendered(schema, &events[at])["unmapped"].clone();
        assert_eq!(kept(0), json!({ "id": 7, "events": [{ "name": "a", "odd": 2 }, 1, "x"] }));
        assert_eq!(kept(1), json!({ "id": 7, "events": [{ "name": "b", "odd": 3, "more": 4 }] }));
    }
    let from = |at: usize, path: &str| {
        let lines = explain(by_name("ecs").unwrap(), &events[at], &context(None)).unwrap();
        lines.into_iter().find(|line| line.path == path).unwrap().from
    };
    assert_eq!(from(1, "vendor.name").as_deref(), Some("events[3].name"));
    let odd = |at: usize| drift(&events[at], &context(None)).unwrap();
    let at = |path: &str| (path.to_owned(), "number");
    assert_eq!(odd(1), [at("id"), at("events[].more"), at("events[].odd")]);
}

/// For an integration, a list of parts is the one part that the document is of.
#[test]
fn an_integration_is_handed_each_part_in_the_place_of_the_list() {
    let record = r#"{"id": 7, "events": [{"name":"a \ud83d"}, {"name": "b"}] ,"kind":"x"}"#;
    let mut tape = Tape::new();
    let root = tape.cut(record.as_bytes()).unwrap();
    let message = |event: &Event<'_>| rendered("raw_for_integration", event)["message"].clone();
    let messages: Vec<Json> = shared(root).iter().map(message).collect();
    assert_eq!(
        messages,
        [
            r#"{"id": 7, "events": {"name":"a \ud83d"} ,"kind":"x"}"#,
            r#"{"id": 7, "events": {"name": "b"} ,"kind":"x"}"#
        ]
    );
    assert_eq!(message(&Event { record: Some(root), table: &SHARED, ..Event::default() }), record);
}

#[test]
fn an_integration_is_handed_the_whole_list_once_where_it_holds_something_else_too() {
    let record = r#"{"events":[{"name":"a"},"stray",{"name":"b"}]}"#;
    let mut tape = Tape::new();
    let root = tape.cut(record.as_bytes()).unwrap();
    let message = |event: &Event<'_>| rendered("raw_for_integration", event)["message"].clone();
    let messages: Vec<Json> = shared(root).iter().map(message).collect();
    assert_eq!(messages, [record, r#"{"events":{"name":"b"}}"#]);
}

#[test]
fn the_work_for_one_of_many_events_of_a_record_does_not_grow_with_their_number() {
    let steps = |count: usize| {
        let events: Vec<Json> = (0..count).map(|n| json!({ "name": "a", "odd": n, "list": [n] })).collect();
        let record = json!({ "id": 7, "events": events }).to_string();
        let mut tape = Tape::new();
        let events = shared(tape.cut(record.as_bytes()).unwrap());
        let before = STEPS.get();
        for event in &events {
            for schema in ALL {
                let mut out = Vec::new();
                schema.render(event, &context(None), &mut out).unwrap();
                explain(schema, event, &context(None)).unwrap();
            }
            drift(event, &context(None)).unwrap();
        }
        STEPS.get() - before
    };
    let (few, many) = (steps(50), steps(500));
    assert!(few > 50 && many <= few * 11, "{few} for 50, {many} for 500");
}

fn shaped(member: &str, value: &Json) -> (Json, u32) {
    let (document, rendered) = write(&PLAIN, &json!({ member: value }).to_string(), Ending::Unknown, None);
    let name = if member == "word" { "the_word" } else { member };
    (document["vendor"][name].clone(), rendered.drift)
}

#[test]
fn a_word_is_the_one_that_content_compares_with() {
    for (value, want) in [
        (json!("member"), json!("Member")),
        (json!("guest"), json!("guest")),
        (json!(["member", 7, { "a": 1 }, null]), json!(["Member", "7", "{\"a\":1}"])),
        (json!(true), json!("true")),
        (json!(""), Json::Null),
    ] {
        assert_eq!(shaped("word", &value).0, want, "{value}");
    }
}

#[test]
fn a_long_number_has_64_bits_and_a_time_is_one_that_any_store_reads() {
    assert_eq!(shaped("large", &json!(4_294_967_295_u64)), (json!(4_294_967_295_u64), 0));
    assert_eq!(shaped("large", &json!("12")), (json!(12), 0));
    assert_eq!(shaped("large", &json!(1.5)), (Json::Null, 1));
    for (value, want, drift) in [
        (json!("2026-01-15T10:00:00.1234567+00:00"), json!("2026-01-15T10:00:00.1234567+00:00"), 0),
        (json!("2026-01-15T5:00:00Z"), json!("2026-01-15T05:00:00.000Z"), 0),
        (json!("2026-01-15 10:00:00"), json!("2026-01-15T10:00:00.000Z"), 0),
        (json!(""), Json::Null, 0),
        (json!("yesterday"), Json::Null, 1),
        (json!(7), Json::Null, 1),
    ] {
        assert_eq!(shaped("time", &value), (want, drift), "{value}");
    }
}

#[test]
fn positions_are_keys_and_the_last_one_holds_what_is_beyond() {
    let item = |name: &str| json!({ "name": name });
    assert_eq!(
        shaped("items", &json!([item("a"), null, { "name": "b", "parts": [{ "was": "x" }] }])).0,
        json!({ "0": item("a"), "2": { "name": "b", "parts": { "0": { "was": "x" } } } })
    );
    assert_eq!(
        shaped("items", &json!([item("a"), item("b"), item("c"), item("d"), {}, item("e")])).0,
        json!({ "0": item("a"), "1": item("b"), "2": [item("c"), item("d"), item("e")] })
    );
    assert_eq!(shaped("items", &item("a")), (json!({ "0": item("a") }), 1));
    assert_eq!(shaped("items", &json!(["a", 7, item("c")])), (json!({ "2": item("c") }), 2));
    assert_eq!(shaped("items", &json!("a")), (Json::Null, 1));
    assert_eq!(shaped("items", &json!([[], [], [], []])), (Json::Null, 4));
}

#[test]
fn pairs_become_an_object_and_none_is_lost() {
    let pair = |key: &str, value: Json| json!({ "key": key, "value": value });
    assert_eq!(
        shaped("pairs", &json!([pair("A, b.c", json!("x")), pair("n", json!(1)), pair("z", Json::Null)])),
        (json!({ "A, b.c": "x", "n": 1, "z": "" }), 0)
    );
    assert_eq!(
        shaped(
            "pairs",
            &json!([
                pair("a", json!("x")),
                pair("b", json!(1)),
                pair("a", json!("y")),
                pair("a", Json::Null)
            ])
        )
        .0,
        json!({ "a": ["x", "y"], "b": 1 })
    );
    // However a key is spelled, it is the same one.
    let spelled =
        r#"{"pairs":[{"key":"a\\b","value":"x"},{"key":"it's","value":1},{"key":"it\u0027s","value":2}]}"#;
    let (document, _) = write(&PLAIN, spelled, Ending::Unknown, None);
    assert_eq!(document["vendor"]["pairs"], json!({ "a\\b": "x", "it's": [1, 2] }));
    for odd in [
        json!([{ "key": "a\u{0}b", "value": "x" }]),
        json!([{ "key": "k".repeat(300), "value": "x" }]),
        json!([{ "key": "a", "value": "x", "more": true }]),
        json!([pair("a", json!("x")), { "key": 7, "value": "y" }]),
    ] {
        assert_eq!(shaped("pairs", &odd).0, odd, "kept as it is");
    }
    assert_eq!(shaped("pairs", &json!([pair("a", json!("x")), "y"])).1, 1);
}

#[test]
fn maps_are_objects_whatever_was_said() {
    for (value, want, drift) in [
        (json!([{ "Key": "a", "Value": [1] }]), json!([{ "Key": "a", "Value": [1] }]), 0),
        (json!("[{\"Key\":\"a\",\"Value\":null}]"), json!([{ "Key": "a" }]), 0),
        (json!("{\"a\":1}"), json!({ "a": 1 }), 0),
        (json!("no JSON"), json!({ "value": "no JSON" }), 1),
        (json!("[1,"), json!({ "value": "[1," }), 1),
        (json!(["a", [2], {}]), json!([{ "value": "a" }, { "value": [2] }]), 2),
        (json!(["[{\"a\":1}]", "{\"a\":1}"]), json!([{ "value": [{ "a": 1 }] }, { "a": 1 }]), 1),
        (json!(7), json!({ "value": 7 }), 1),
        (json!([]), Json::Null, 0),
        (json!("[]"), Json::Null, 0),
        (json!(""), Json::Null, 0),
    ] {
        assert_eq!(shaped("maps", &value), (want, drift), "{value}");
    }
}

#[test]
fn an_envelope_is_written_around_the_record() {
    let record = r#"{"large":7,"code":"c1","items":[{"name":"a"}]}"#;
    let (document, _) = write(&WRAPPED, record, Ending::Challenge, Some("org \"1\""));
    let properties = json!({ "large": 7, "items": { "0": { "name": "a" } }, "code": "c1" });
    assert_eq!(
        document["vendor"],
        json!({
            "owner_id": "org \"1\"", "link": "/of/org \"1\"/log", "number": 7,
            "log": { "version": "1.0", "code": "c1", "ended": "BAD", "properties": properties },
        })
    );
    assert_eq!(document["event"]["outcome"], "failure", "as its content has it");
    assert_eq!(document["event"]["action"], "Something");
    assert_eq!(document["cloud"]["provider"], "vendor");
    assert_eq!(document["organization"]["id"], "org \"1\"");

    let (document, _) = write(&WRAPPED, r#"{"owner":"of the record"}"#, Ending::Success, None);
    assert_eq!(document["vendor"]["link"], "/of/of the record/log");
    assert_eq!(document["vendor"]["log"]["ended"], "GOOD");
    let (document, _) = write(&WRAPPED, "{}", Ending::Unknown, None);
    assert_eq!(document["vendor"], json!({ "log": { "version": "1.0" } }));

    let (document, _) = write(&PLAIN, record, Ending::Challenge, None);
    assert_eq!(document["event"]["outcome"], "unknown");
}

#[test]
fn a_raw_record_keeps_members_without_a_name() {
    let record = r#"{"":1,"a":{"":[{"":"x"}]}}"#;
    assert_eq!(raw(&PLAIN, record, None), record);
    assert_eq!(raw(&PARTED, r#"{"":1,"events":[{"":2}]}"#, Some("events")), r#"{"":1,"event":{"":2}}"#);
}

#[test]
fn a_member_of_the_name_that_parts_are_given_stands_beside_the_part() {
    let record = r#"{"event":1,"event_":2,"events":[{"a":3}]}"#;
    let want = r#"{"event__":1,"event_":2,"event":{"a":3}}"#;
    assert_eq!(raw(&PARTED, record, Some("events")), want);
}

#[test]
fn names_that_become_one_are_told_apart() {
    let long = |last: &str| format!("{}{last}", "k".repeat(300));
    let (a, b) = (long("a"), long("b"));
    let cut = "k".repeat(256);
    for (member, value, want) in [
        ("map", json!({ "a.b": 1, "a_b": 2 }), json!({ "a_b_2": "1", "a_b": "2" })),
        (
            "map",
            json!({ "a.b": 1, "a_b_2": 2, "a\0b": 3, "a_b": 4 }),
            json!({ "a_b": "4", "a_b_2": "2", "a_b_3": "3", "a_b_4": "1" }),
        ),
        ("flat", json!({ "a\0b": 1, "a_b": 2 }), json!({ "a_b_2": 1, "a_b": 2 })),
        ("flat", json!({ &a: 1, &b: 2 }), json!({ &cut: 1, format!("{cut}_2"): 2 })),
    ] {
        assert_eq!(shaped(member, &value).0, want, "{value}");
    }
    let (document, _) =
        write(&PLAIN, r#"{"aB":1,"a_b":2,"a_b_2":3,"a b":4,"theWord":5}"#, Ending::Unknown, None);
    assert_eq!(
        document["vendor"],
        json!({ "a_b": 1, "a_b_2": 2, "a_b_2_2": 3, "a_b_3": 4, "the_word_2": 5 })
    );
    let (document, _) = write(&PLAIN, r#"{"😀":1,".":2,"":3}"#, Ending::Unknown, None);
    assert_eq!(
        document["vendor"],
        json!({ "unnamed": 1, "unnamed_2": 2, "unnamed_3": 3 }),
        "nothing is lost"
    );
}

#[test]
fn a_name_of_what_is_not_written_does_not_count_as_cut() {
    let name = "k".repeat(300);
    for member in ["map", "flat"] {
        let cut = |value: &str| {
            let record = json!({ member: { &name: value, "a": "b" } }).to_string();
            write(&PLAIN, &record, Ending::Unknown, None).1.cut
        };
        assert_eq!((cut(" "), cut("x")), (0, 1), "{member}");
    }
}

/// With a step for each pair of members this would take hours.
#[test]
fn a_hundred_thousand_members_are_no_more_work_than_their_length() {
    let many = |key: &dyn Fn(u32) -> String| {
        let members: Vec<String> = (0..100_000).map(|n| format!("{}:{n}", key(n))).collect();
        members.join(",")
    };
    for key in [
        &(|n| format!("\"newMember{n}\"")) as &dyn Fn(u32) -> String,
        &(|n| format!("\"\\u006eew{n}\"")),
        &(|n| format!("\"{}{n}\"", "k".repeat(130))),
    ] {
        let record = format!("{{{}}}", many(key));
        let (document, rendered) = write(&PLAIN, &record, Ending::Unknown, None);
        assert_eq!((rendered.drift, document["vendor"].as_object().unwrap().len()), (100_000, 100_000));
        let (document, rendered) = write(&KEPT, &record, Ending::Unknown, None);
        assert_eq!(
            (rendered.drift, document["vendor"]["rest"].as_object().unwrap().len()),
            (100_000, 100_000)
        );
    }
    let record = format!("{{\"flat\":{{{}}}}}", many(&|n| format!("\"{}{n}\"", "k".repeat(260))));
    let (document, _) = write(&PLAIN, &record, Ending::Unknown, None);
    assert_eq!(document["vendor"]["flat"].as_object().unwrap().len(), 100_000);
}

#[test]
fn drift_inside_a_text_is_named_by_the_text() {
    let record = r#"{"opened":"{\"was\":\"x\",\"new\":1}"}"#;
    let mut tape = Tape::new();
    let event =
        Event { record: Some(tape.cut(record.as_bytes()).unwrap()), table: &PLAIN, ..Event::default() };
    assert_eq!(drift(&event, &context(None)).unwrap(), [("opened".to_owned(), "string")]);
}

#[test]
fn a_verdict_that_comes_again_in_a_list_stands_once() {
    assert_eq!(shaped("verdicts", &json!(["a=1", "b=2", "a=3"])).0, json!({ "b": "2", "a": "3" }));
    let long = "k".repeat(40_000);
    let (found, _) = shaped("verdicts", &json!(format!("{{{long}a=1, {long}b=2, a b=3, a.b=4}}")));
    let cut = "k".repeat(256);
    assert_eq!(found, json!({ &cut: "1", format!("{cut}_2"): "2", "a_b": "4" }));
    let many: Vec<String> = (0..100_000).map(|n| format!("n{n}={n}")).collect();
    assert_eq!(shaped("verdicts", &json!(many.join(", "))).0.as_object().unwrap().len(), 100_000);
}

#[test]
fn two_spellings_of_one_member_do_not_come_twice() {
    for (record, want) in [
        (r#"{"big":1}"#, json!({ "large": 1 })),
        (r#"{"big":1,"large":null}"#, json!({ "large": 1 })),
        (r#"{"big":1,"large":2}"#, json!({ "big": 1, "large": 2 })),
    ] {
        assert_eq!(write(&PLAIN, record, Ending::Unknown, None).0["vendor"], want);
    }
}

#[test]
fn a_member_of_the_name_of_what_is_put_aside_stands_beside_it() {
    let record = json!({"unmapped": "jo", "large": "odd", "deep": {"unmapped": 1}}).to_string();
    let (document, _) = write(&PLAIN, &record, Ending::Unknown, None);
    assert_eq!(
        document["vendor"],
        json!({"unmapped_2": "jo", "deep": {"unmapped": 1}, "unmapped": {"large": "odd"}})
    );
}

#[test]
fn what_is_unmapped_has_names_and_values_that_fit_one_term() {
    let (a, b, value) = ("k".repeat(300), "k".repeat(40_000), "v".repeat(40_000));
    let mut deep = json!({ &a: &value, &b: 1, "a\0b": 2, "a_b": 3 });
    for _ in 0..9 {
        deep = json!({ &a: deep });
    }
    let record = deep.to_string();
    let mut tape = Tape::new();
    let event =
        Event { record: Some(tape.cut(record.as_bytes()).unwrap()), table: &PLAIN, ..Event::default() };
    let mut out = Vec::new();
    by_name("ocsf").unwrap().render(&event, &context(None), &mut out).unwrap();
    let document: Json = serde_json::from_slice(&out).unwrap();
    let cut = "k".repeat(256);
    let mut inner = &document["unmapped"];
    for _ in 0..9 {
        inner = &inner[&cut];
    }
    let (other, texts) = (format!("{cut}_2"), [&inner[&cut], &inner[format!("{cut}_2")]]);
    assert_eq!((&inner["a_b"], &inner["a_b_2"]), (&json!(3), &json!(2)));
    assert!(texts.contains(&&json!(1)) && inner[&other] != Json::Null);
    let longest = texts.iter().find_map(|text| text.as_str()).unwrap().len();
    assert!((29_000..=32_766 - 12 * 257).contains(&longest), "{longest}");
}

#[test]
fn an_envelope_is_no_level_too_much() {
    for depth in [1, 125, 126] {
        let record = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(raw(&PLAIN, &record, None), record);
        let enveloped = raw(&ENVELOPED, &record, None);
        let document: Json = serde_json::from_str(&enveloped).unwrap();
        assert_eq!(enveloped.contains("\"[]\""), depth == 126, "the innermost is text");
        assert!(document["properties"]["a"].is_array());
    }
}

#[test]
fn sourcetypes_are_those_of_the_add_on_where_its_shape_is_written_and_ours_elsewhere() {
    let of = |schema: &str, table: &'static Table, as_sent: bool| {
        let event = Event { table, ..Event::default() };
        by_name(schema).unwrap().sourcetype(&event, &NAMES, as_sent)
    };
    assert_eq!(of("raw", &PLAIN, false), "vendor");
    assert_eq!(of("raw", &ENVELOPED, false), "vendor:diagnostic");
    assert_eq!(of("raw", &ENVELOPED, true), "vendor", "the record as the API sends it");
    assert_eq!(of("raw_for_integration", &ENVELOPED, false), "vendor");
    for (schema, sourcetype) in [
        ("ecs", "tidegate:ecs"),
        ("ocsf", "tidegate:ocsf"),
        ("ocsf_1_9", "tidegate:ocsf"),
        ("leef", "tidegate:leef"),
    ] {
        assert_eq!(of(schema, &ENVELOPED, false), sourcetype);
    }
}
