//! The record reader against serde_json: the same records accepted, the same values read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use proptest::prelude::*;
use serde_json::Value as Reference;
use tidegate_core::json::{Holder, Kind, Tape, Text, Value, id_hash, meaning, write_string};

/// A value read by us, as serde_json would have it.
fn read(value: Value<'_, '_>) -> Reference {
    match value.kind() {
        Kind::Null => Reference::Null,
        Kind::Bool => value.as_bool().unwrap().into(),
        Kind::Number => serde_json::from_str(value.as_number().unwrap()).unwrap(),
        Kind::String => value.as_text().unwrap().decode().into_owned().into(),
        Kind::Array => value.elements().map(read).collect(),
        Kind::Object => {
            let mut object = serde_json::Map::new();
            for (key, member) in value.members() {
                let before = object.insert(key.decode().into_owned(), read(member));
                assert!(before.is_none(), "a key comes twice");
            }
            object.into()
        }
    }
}

/// Half surrogate pairs are the one difference: where serde_json refuses for them alone, we read U+FFFD.
fn only_half_pairs(error: &serde_json::Error) -> bool {
    let said = error.to_string();
    said.contains("surrogate") || said.contains("unexpected end of hex escape")
}

/// Replaces half surrogate pairs the way the reader promises, so that serde_json can say the rest.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let unit = |at: usize| -> Option<u32> {
        let digits = bytes.get(at..at + 6)?;
        let (head, digits) = digits.split_at(2);
        if head != b"\\u" || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let step = match (bytes[at], unit(at)) {
            (b'\\', Some(0xD800..=0xDBFF)) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => 12,
            (b'\\', Some(0xD800..=0xDFFF)) => {
                out.extend_from_slice(b"\\ufffd");
                at += 6;
                continue;
            }
            (b'\\', _) => 2,
            _ => 1,
        };
        out.extend_from_slice(&bytes[at..(at + step).min(bytes.len())]);
        at += step;
    }
    out
}

fn agree(bytes: &[u8]) {
    let mut tape = Tape::new();
    let ours = tape.cut(bytes).map(read);
    let mut theirs = serde_json::from_slice::<Reference>(bytes);
    if theirs.as_ref().is_err_and(only_half_pairs) {
        theirs = serde_json::from_slice(&mended(bytes));
    }
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(bytes)),
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{}: ours {ours:?}, theirs {theirs:?}", String::from_utf8_lossy(bytes)),
    }
}

#[test]
fn accepts_and_refuses_as_serde_json() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let objects = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    let long_digits = |n: usize| "9".repeat(n);
    let mut records: Vec<String> = [
        "",
        " ",
        "null",
        "true",
        "fals",
        "nul",
        "truee",
        "1",
        "-1",
        "-",
        "01",
        "-0",
        "0.5",
        ".5",
        "1.",
        "1e5",
        "1E+5",
        "1e",
        "1e-",
        "1e400",
        "-1e400",
        "0e999999999999",
        "1e-999999999999",
        "1e99999999999999999999",
        "+1",
        "1 2",
        "18446744073709551616",
        "[1,2]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "]",
        "{}",
        "{\"a\":1}",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{1:2}",
        "{\"a\":1]",
        "[1}",
        "\"",
        "\"a",
        "\"a\"",
        "\"\\\"\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u0041\"",
        "\"\\u0000\"",
        "\"a\tb\"",
        "\"\u{7f}\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\n\"",
        "\"\\ud83d\\ud83d\\ude00\"",
        "{\"\\ud83d\":1,\"\\ude00\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"\\u0061\":1,\"b\":0,\"a\":2,\"a\":3}",
        "\u{feff}{}",
        " \n\t\r{ \"a\" : [ ] } ",
        "\u{b}1",
        "NaN",
        "Infinity",
        "[1]x",
        "{}{}",
        "'a'",
        "/**/1",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "123456789012345678901234567890e290",
        "0.000000000000000000000001e331",
    ]
    .map(str::to_owned)
    .into();
    for n in [126, 127, 128, 129, 5000] {
        records.extend([nested(n), objects(n)]);
    }
    for n in [20, 299, 300, 301, 308, 309, 310, 400] {
        records.extend([
            long_digits(n),
            format!("-{}.5", long_digits(n)),
            format!("{}e-300", long_digits(n)),
        ]);
    }
    for record in &records {
        agree(record.as_bytes());
    }
    for bytes in [
        &b"\"\xff\""[..],
        b"\"\xc3\x28\"",
        b"\"\xed\xa0\x80\"",
        b"\xff",
        b"[\"\xf0\x9f\x98\x80\"]",
        b"\"\xf0\x9f\"",
        b"\0",
        b"{}\0",
    ] {
        agree(bytes);
    }
}

#[test]
fn half_a_surrogate_pair_is_accepted_and_never_written() {
    for (record, read) in [
        (r#""Kim \ud83d""#, "Kim \u{fffd}"),
        (r#""\ude00Kim""#, "\u{fffd}Kim"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
    ] {
        let mut tape = Tape::new();
        let text = tape.cut(record.as_bytes()).unwrap().as_text().unwrap();
        assert_eq!(text, read);
        let mut out = Vec::new();
        text.write(&mut out);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), read);
        assert_eq!(text.verbatim(), None);
    }
}

#[test]
fn a_tape_is_used_again() {
    let mut tape = Tape::new();
    assert!(tape.cut(b"[1,").is_err());
    assert_eq!(tape.cut(b"{\"a\":[1,{\"b\":2}],\"c\":3}").unwrap().path(&["c"]).unwrap().as_i64(), Some(3));
    let value = tape.cut(b"{\"a\":[1,{\"b\":\"x\"}]}").unwrap();
    assert_eq!(value.path_of(value.record().find('x').unwrap()), "a[1].b");
}

#[test]
fn meaning_ignores_order_space_and_escapes_and_nothing_else() {
    let of = |record: &str, volatile: &[&str]| {
        let mut tape = Tape::new();
        meaning(tape.cut(record.as_bytes()).unwrap(), volatile)
    };
    let one = of(r#"{"a":1,"b":{"c":"x","d":[1,2]}}"#, &[]);
    assert_eq!(one, of(r#" { "b" : {"d":[1, 2],"c":"\u0078"}, "a":1}"#, &[]));
    assert_eq!(one, of(r#"{"a":0,"a":1,"b":{"c":"x","d":[1,2]}}"#, &[]));
    for other in [
        r#"{"a":1,"b":{"c":"x","d":[2,1]}}"#,
        r#"{"a":"1","b":{"c":"x","d":[1,2]}}"#,
        r#"{"a":1,"b":{"c":"x","d":[1,2]},"e":null}"#,
        r#"{"a":1,"b":{"c":"x","d":[1,2]},"e":[]}"#,
        r#"{"b":1,"a":{"c":"x","d":[1,2]}}"#,
        r#"{"a":1,"b":{"c":"x","d":[1],"e":2}}"#,
        r#"[{"a":1,"b":{"c":"x","d":[1,2]}}]"#,
    ] {
        assert_ne!(one, of(other, &[]), "{other}");
    }
    assert_eq!(of(r#"{"a":1,"t":2}"#, &["t"]), of(r#"{"a":1,"t":{"u":3}}"#, &["t"]));
    assert_eq!(of(r#"{"a":[{"t":1,"b":2}]}"#, &["a.t"]), of(r#"{"a":[{"t":9,"b":2}]}"#, &["a.t"]));
    assert_ne!(of(r#"{"a":[{"t":1,"b":2}]}"#, &["t"]), of(r#"{"a":[{"t":9,"b":2}]}"#, &["t"]));
}

#[test]
fn hashes_that_stand_on_disk_stay_what_they_were() {
    assert_eq!(
        id_hash("5a1f0000-0000-4000-8000-000000000001"),
        227_025_063_684_601_382_350_039_884_199_786_219_077
    );
    // Members in arrays and beside them, escaped keys and texts, everything empty, long texts.
    let long = "z".repeat(300);
    let record = format!(
        r#"{{"a":1,"b":{{"c":"x","d":[1,{{"e":"y","t":2}},[],{{}}],"\u0066":"\u0078\n"}},"g":null,"h":"","t":{{"u":[true]}},"long":"{long}"}}"#
    );
    let of = |record: &str, volatile: &[&str]| {
        let mut tape = Tape::new();
        meaning(tape.cut(record.as_bytes()).unwrap(), volatile)
    };
    assert_eq!(
        [
            of(&record, &[]),
            of(&record, &["t"]),
            of(&record, &["t", "b.d.t"]),
            of("[]", &[]),
            of("{}", &["t"]),
            of("\"x\"", &[]),
            of("[[1,\"1\"],{\"1\":1}]", &[]),
        ],
        [
            6_965_781_953_117_732_214,
            17_643_729_253_239_648_119,
            4_195_261_889_147_432_272,
            9_444_422_325_801_888_874,
            1_389_868_326_933_519_382,
            1_293_435_496_737_533_904,
            4_248_909_127_257_125_404,
        ]
    );
}

/// The strings of a value that are not empty, and where they begin.
fn strings(value: Value<'_, '_>) -> Vec<(usize, String)> {
    let own = value.as_text().map(|text| (value.span().start, text.decode().into_owned()));
    let inner = value.members().map(|(_, member)| member).chain(value.elements()).flat_map(strings);
    own.into_iter().filter(|(_, text)| !text.is_empty()).chain(inner).collect()
}

fn any_json() -> impl Strategy<Value = Reference> {
    let key = prop_oneof!["[a-c]{0,3}", "\\PC{0,12}", "[\\x00-\\x7f]{0,10}"];
    let leaf = prop_oneof![
        Just(Reference::Null),
        any::<bool>().prop_map(Reference::from),
        any::<i64>().prop_map(Reference::from),
        any::<u64>().prop_map(Reference::from),
        any::<f64>().prop_map(Reference::from),
        "\\PC{0,24}".prop_map(Reference::from),
        "[\\x00-\\x7f]{0,24}".prop_map(Reference::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Reference::from),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|members| Reference::Object(members.into_iter().collect())),
        ]
    })
}

/// Bytes that JSON is made of, so that a mutation often stays JSON.
const TELLING: &[u8] = b"{}[]\",:\\/bfnrtu0123456789aAeE+-. \n\t\x00\x1f\x7f\xc3\xa9\xff";

/// What strings are escaped for, and letters beside it.
const ODD: &[&str] = &[
    "", "\"", "\\", "\n", "\r", "\t", "\u{8}", "\u{c}", "\u{1}", "\u{1f}", " ", "/", "\u{7f}", "\u{2028}",
    "𝄞",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn reads_what_serde_json_wrote(value in any_json(), pretty in any::<bool>()) {
        let bytes = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        agree(&bytes);
    }

    #[test]
    fn any_text_is_written_and_read_as_serde_json_does(
        pieces in prop::collection::vec(("[a-zé]{0,40}", prop::sample::select(ODD)), 0..6),
    ) {
        let text: String = pieces.iter().flat_map(|(plain, odd)| [plain.as_str(), odd]).collect();
        let mut written = Vec::new();
        write_string(&text, &mut written);
        prop_assert_eq!(serde_json::from_slice::<String>(&written).unwrap(), &*text);
        // Behind other bytes, of which none counts.
        let before = b"{\"quotes\":\"\\\"\",\"controls\":\"\x01\":";
        let mut behind = before.to_vec();
        write_string(&text, &mut behind);
        prop_assert_eq!(behind.strip_prefix(before), Some(written.as_slice()));
        let mut tape = Tape::new();
        let record = tape.cut(&written).unwrap().as_text().unwrap();
        prop_assert_eq!(&*record.decode(), &*text);
        prop_assert!(record.read(|read| read == text));
        // A second time: what was read is remembered, and what came in between is not taken for it.
        let between = Text::owned(&*text);
        prop_assert!(between.read(|read| read == text));
        prop_assert!(record.read(|read| read == text));
        prop_assert!(between == record);
        let mut again = Vec::new();
        between.write(&mut again);
        prop_assert_eq!(&again, &written);
        prop_assert_eq!(record.is_blank(), text.trim().is_empty());
        prop_assert_eq!(between.is_blank(), text.trim().is_empty());
    }

    /// As connectors do with the JSON that vendors put into a text, in any order.
    #[test]
    fn what_was_read_out_of_a_text_is_found_again_in_it(
        inner in any_json(),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..6),
    ) {
        let held = serde_json::to_string(&inner).unwrap();
        let record = serde_json::to_string(&held).unwrap();
        let mut tape = Tape::new();
        let raw = tape.cut(record.as_bytes()).unwrap().raw();
        let mut of_held = Tape::new();
        let texts = strings(of_held.cut(held.as_bytes()).unwrap());
        let mut holder = Holder::new(raw);
        for (pick, guess) in picks {
            let Some((from, text)) = (!texts.is_empty()).then(|| pick.get(&texts)) else { return Ok(()) };
            // Also where it is looked for in the wrong place.
            let found = holder.find(if guess { from * 2 } else { *from }, text);
            prop_assert_eq!(found.decode(), text.as_str());
            if raw.contains(text.as_str()) {
                let (found, all) = (found.as_plain().unwrap().as_ptr() as usize, raw.as_ptr() as usize);
                prop_assert!((all..=all + raw.len()).contains(&found), "{text:?} of {raw} was copied");
            }
        }
    }

    #[test]
    fn agrees_on_mutated_records(
        value in any_json(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(TELLING)), 1..4),
    ) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        for (at, how, byte) in mutations {
            let at = at.index(bytes.len() + 1);
            match how {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => { bytes.remove(at); }
                _ => bytes.insert(at, byte),
            }
        }
        agree(&bytes);
    }

    #[test]
    fn agrees_on_strings_of_escapes(
        parts in prop::collection::vec(
            prop::sample::select(vec!["\\u", "\\ud83d", "\\ude00", "\\u0041", "\\\\", "\\\"", "\\n", "d8", "x", "\\", "é", "\\uDBFF", "\\uD"]),
            0..8,
        ),
        keys in any::<bool>(),
    ) {
        let text = parts.concat();
        let record = if keys { format!("{{\"{text}\":1,\"x\":2,\"{text}\":3}}") } else { format!("\"{text}\"") };
        agree(record.as_bytes());
    }

    #[test]
    fn agrees_on_numbers(text in "-?[0-9]{0,25}(\\.[0-9]{0,25})?([eE][+-]?[0-9]{0,4})?") {
        agree(text.as_bytes());
    }

    #[test]
    fn agrees_on_any_bytes(bytes in prop::collection::vec(prop::sample::select(TELLING), 0..24)) {
        agree(&bytes);
    }
}
