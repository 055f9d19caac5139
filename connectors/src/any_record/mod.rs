//! Hostile records: any JSON that a vendor, or somebody who writes into a vendor's log, could send.
//!
//! Records are made from the tables themselves, or from the fixtures and then spoilt.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod check;
mod make;

use crate::ocsf_tests::{Fixture, all};
use check::{check, chosen};
use make::{Maker, ODD, spoilt, table};
use proptest::prelude::{ProptestConfig, any, prop};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use tidegate_core::event::{Field, Shape, Table};

/// `FUZZ_SEEDS=fuzz cargo test -p tidegate-connectors any_record::fixtures` also writes them as what fuzzers begin with,
/// `corpus/TARGET/…`, and beside them `dictionary`: the keys of all tables, and odd values.
#[test]
fn fixtures_hold_what_is_asked_of_any_record() {
    let fixtures = all();
    for fixture in &fixtures {
        check(fixture.connector, fixture.stream, fixture.record.to_string().as_bytes());
    }
    let Some(folder) = std::env::var_os("FUZZ_SEEDS").map(PathBuf::from) else { return };
    let write = |target: &str, name: String, seed: &[u8]| {
        let folder = folder.join("corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), seed).unwrap();
    };
    let same = |byte: &u8, fixture: &Fixture| {
        let (connector, stream, _) = chosen(crate::ALL, std::slice::from_ref(byte)).unwrap();
        connector.name() == fixture.connector.name() && stream.name == fixture.stream.name
    };
    for (at, fixture) in fixtures.iter().enumerate() {
        let record = fixture.record.to_string();
        let byte = (0..=u8::MAX).find(|byte| same(byte, fixture)).unwrap();
        write("json", format!("fixture-{at}"), record.as_bytes());
        write("normalize", format!("fixture-{at}"), &[&[byte], record.as_bytes()].concat());
    }
    let mut words: BTreeSet<String> = ODD.iter().map(|odd| (*odd).to_owned()).collect();
    for byte in 0..=u8::MAX {
        let (connector, stream, _) = chosen(crate::ALL, &[byte]).unwrap();
        let Table { fields, part, .. } = table(connector, stream);
        for list in [fields, part] {
            lists(list, &mut |fields| {
                words.extend(fields.iter().map(|field| format!("{}:", Json::from(field.key))));
            });
        }
        // Choices enough for a whole record.
        let choices = (0..600_u16).flat_map(|at| at.wrapping_mul(40_503).to_le_bytes());
        write("made", format!("stream-{byte}"), &std::iter::once(byte).chain(choices).collect::<Vec<u8>>());
    }
    let escaped = |word: &String| word.bytes().flat_map(std::ascii::escape_default).map(char::from).collect();
    let lines = words.iter().map(escaped).map(|word: String| format!("\"{}\"\n", word.replace("\\'", "'")));
    fs::write(folder.join("dictionary"), lines.collect::<String>()).unwrap();
}

/// What fuzzers and the properties below have found, each in a few words.
#[test]
fn nothing_of_these_records_is_lost_or_written_twice_or_told_wrongly() {
    for (connector, stream, record) in [
        // Names that no store takes.
        ("okta", "system_log", r#"{"":"x","actor":{"detailEntry":{"":"y"," ":"z","unnamed":1}}}"#),
        // A member named as what is put aside.
        ("okta", "system_log", r#"{"unmapped":1,"authenticationContext":{"issuer":"flat"}}"#),
        // A place, a time, addresses and ids of other types, or that cannot be read.
        (
            "okta",
            "system_log",
            r#"{"client":{"geographicalContext":{"geolocation":{"lat":52.5,"lon":[13.4]},"city":7}}}"#,
        ),
        ("okta", "system_log", r#"{"published":"yesterday"}"#),
        // Words that nobody has heard of, of which some encoders escape a letter.
        ("duo", "authentication", r#"{"factor":"new+one","reason":"another+one","result":"denied"}"#),
        (
            "entra",
            "directory_audits",
            r#"{"targetResources":[{"type":"new+one","userPrincipalName":"pat@example.com"}]}"#,
        ),
        ("okta", "system_log", r#"{"actor":{"id":"00u1","type":"New+One App"}}"#),
        (
            "entra",
            "sign_ins",
            r#"{"authenticationProcessingDetails":[{"key":"It's <new>","value":"True"},{"key":"b","value":"1"}]}"#,
        ),
        // Its zone makes it a year's that nobody writes.
        (
            "duo",
            "administrator",
            r#"{"timestamp":1700000000,"isotimestamp":"0000-01-01T00:00:00+01:00","action":"x"}"#,
        ),
        ("entra", "sign_ins", r#"{"userAgent":["a","b"],"tenantId":7,"ipAddress":{"a":1}}"#),
        ("entra", "sign_ins", r#"{"location":{"city":7,"geoCoordinates":{"latitude":91,"longitude":8.6}}}"#),
        (
            "duo",
            "authentication",
            r#"{"access_device":{"os":"unknown","os_version":"11.2"},"user":{"key":["DU1"]}}"#,
        ),
        // What is in a list besides its parts, and of several values where one is expected the others.
        ("google_workspace", "drive", r#"{"events":[1,{"name":"view"},{"name":"edit","odd":2},"x"]}"#),
        (
            "google_workspace",
            "drive",
            r#"{"events":[{"name":"view","parameters":[{"name":"doc_title","multiValue":["Budget","Plans"]}]}]}"#,
        ),
        (
            "google_workspace",
            "drive",
            r#"{"events":[{"parameters":[{"name":"doc_title","value":"a"},{"name":"doc_title","value":"b"}]}]}"#,
        ),
        (
            "google_workspace",
            "drive",
            r#"{"events":[{"parameters":[{"name":"doc_title","intValue":null,"value":"Plan"}]}]}"#,
        ),
        // Words for nothing, as some encoders write them.
        (
            "entra",
            "directory_audits",
            r#"{"initiatedBy":{"user":{"id":"\u003cnull\u003e","ipAddress":"n\/a"}}}"#,
        ),
        // A form of values that nobody has heard of, and other values among messages.
        (
            "google_workspace",
            "drive",
            r#"{"events":[{"name":"view","parameters":[{"name":"doc_title","newValue":"Budget"}]}]}"#,
        ),
        (
            "google_workspace",
            "chat",
            r#"{"events":[{"parameters":[{"name":"novelty","intValue":[null,1,{"drift":5}]}]}]}"#,
        ),
        // Read out of a text, and put aside.
        ("duo", "offline_enrollment", r#"{"description":"{\"noVelty\":\"x\"}"}"#),
        // Brackets in a name, and a name with escapes.
        ("entra", "risk_detections", r#"{"detecte[DateTime":"x","detected[1]":"y"}"#),
        ("google_workspace", "drive", r#"{"events":[{"[1,2]name":"x"}]}"#),
        ("entra", "directory_audits", r#"{"\u0075serAgent":"curl/8"}"#),
        // Words that some encoders write with escapes.
        ("google_workspace", "login", r#"{"actor":{"callerType":"A/B","email":"pat@exa/ple.com"}}"#),
        ("entra", "sign_ins", r#"{"userPrincipalName":"jörg@example.com"}"#),
        // Texts that say nothing.
        ("okta", "system_log", r#"{"target":"null","client":{"ipAddress":"<null>"}}"#),
        ("entra", "sign_ins", r#"{"appliedEventListeners":"[]"}"#),
    ] {
        let connector = *crate::ALL.iter().find(|known| known.name() == connector).unwrap();
        check(connector, connector.stream(stream).unwrap(), record.as_bytes());
    }
}

/// Asks each list of fields of a table.
fn lists(fields: &'static [Field], ask: &mut dyn FnMut(&'static [Field])) {
    ask(fields);
    fields.iter().for_each(|field| lists_below(field, ask));
}

fn lists_below(field: &'static Field, ask: &mut dyn FnMut(&'static [Field])) {
    match field.shape {
        Shape::Object(inner)
        | Shape::Wrapped(inner)
        | Shape::Opened(inner)
        | Shape::List(inner)
        | Shape::FlatList(inner)
        | Shape::Positions(inner, _) => lists(inner, ask),
        Shape::Debug(named, opened) => [named, opened].iter().for_each(|rows| lists(rows.fields, ask)),
        Shape::Group(parts) => parts.iter().for_each(|part| lists_below(part, ask)),
        Shape::Params(params) => params.known.iter().for_each(|param| lists_below(&param.field, ask)),
        _ => {}
    }
}

#[test]
fn what_an_object_gathers_is_written_by_one_of_its_groups_and_nothing_else_is() {
    fn parts(field: &'static Field, keys: &mut Vec<&'static str>) {
        match field.shape {
            Shape::Group(inner) => inner.iter().for_each(|part| parts(part, keys)),
            _ => keys.push(field.key),
        }
    }
    let mut asked = 0;
    for table in crate::ALL.iter().flat_map(|connector| connector.tables()) {
        for fields in [table.fields, table.part] {
            lists(fields, &mut |fields| {
                let mut written = Vec::new();
                let groups = fields.iter().filter(|field| matches!(field.shape, Shape::Group(_)));
                groups.for_each(|group| parts(group, &mut written));
                let mut gathered: Vec<_> = fields
                    .iter()
                    .filter(|field| matches!(field.shape, Shape::Gathered))
                    .map(|field| field.key)
                    .collect();
                asked += gathered.len();
                gathered.sort_unstable();
                written.sort_unstable();
                assert_eq!(gathered, written, "{fields:?}");
            });
        }
    }
    assert!(asked > 50, "{asked}");
}

proptest::proptest! {
    // `PROPTEST_CASES` sets how many; 256 if it does not.
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn a_record_made_of_its_table_is_a_document_of_every_schema(
        stream in any::<u8>(),
        choices in prop::collection::vec(any::<u16>(), 0..600),
    ) {
        let (connector, stream, _) = chosen(crate::ALL, &[stream]).unwrap();
        let record = Maker::of(&choices).record(table(connector, stream));
        check(connector, stream, record.as_bytes());
    }

    #[test]
    fn a_record_that_is_spoilt_in_its_text_is_a_document_of_every_schema(
        fixture in any::<prop::sample::Index>(),
        choices in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let fixtures = all();
        let fixture = &fixtures[fixture.index(fixtures.len())];
        let text = spoilt(fixture.record.to_string(), Maker::of(&choices));
        check(fixture.connector, fixture.stream, text.as_bytes());
    }
}
