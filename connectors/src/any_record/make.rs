//! Records of any stream from a list of choices, which is all that a property test or a fuzzer has to invent: by the stream's
//! table, so that every row of it meets every sort of value, or spoilt in their text, where keys can come twice and numbers be odd.

use serde_json::Value as Json;
use tidegate_core::event::{Field, Param, Params, Part, Shape, Table};
use tidegate_core::json::Tape;
use tidegate_core::source::{Connector, Stream};

/// Values in the text of JSON.
pub(crate) const ODD: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1.0",
    "1e3",
    "-1.5",
    "1e308",
    "1e400",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "1768471200",
    "1768471200123",
    "1768471200123456",
    "99999999999999",
    "2147483648",
    "4294967296",
    "\"\"",
    "\" \"",
    "\"\\u0000\"",
    "\"\\u0000\\u0001\\t\"",
    "\"\\\" \\\"\"",
    "\"NaN\"",
    "\"Infinity\"",
    "\"null\"",
    "\"<null>\"",
    "\"unknown\"",
    "\"true\"",
    "\"FALSE\"",
    "\"1\"",
    "\"-0\"",
    "\"1e5\"",
    "\"99999999999999999999\"",
    "\"1768471200\"",
    "\"2026-01-15T10:00:00.123Z\"",
    "\"2026-01-15 10:00:00\"",
    "\"0000-01-01T00:00:00+23:59\"",
    "\"9999-12-31T23:59:60-23:59\"",
    "\"2026-01-15T10:00:00.123456789012345678901234567890Z\"",
    "\"2026-01-15\"",
    "\"192.0.2.7\"",
    "\"192.0.2.7:443\"",
    "\"[2001:db8::1]:443\"",
    "\"2001:db8::1\"",
    "\"fe80::1%eth0\"",
    "\"192.0.2.7:99999\"",
    "\"\\u0031\\u0039\\u0032.0.2.7\"",
    "\"jo@example.com\"",
    "\"@example.com\"",
    "\"jo@\"",
    "\" @example.com\"",
    "\"jo@ \"",
    "\"@\"",
    "\"jo|@example.com\\t=x\\r\\nLEEF:2.0|\"",
    "\"half \\ud83d\"",
    "\"\\udc00 half\"",
    "\"\\ud83d\\ud83d\\ude00\"",
    "\"\\u2028\\u0085\\u007f\"",
    "\"a\\/b\"",
    "\"User\"",
    "\"UserGroup\"",
    "\"AppInstance\"",
    "\"ROLE\"",
    "\"Policy\"",
    "\"user\"",
    "\"group\"",
    "\"SUCCESS\"",
    "\"FAILURE\"",
    "\"success\"",
    "\"denied\"",
    "\"folder\"",
    "\"HIGH\"",
    "\"Mozilla/5.0 (Windows NT 10.0; Win64) Chrome/127.0.0.0\"",
    "\"Mozilla/5.0 (\\u0022; Android 1\\u0022) Edg/1\"",
    "\"report.tar.\\\"x\\\"\"",
    "\"{\"",
    "\"[1,2\"",
    "\"{}\"",
    "\"[]\"",
    "\"{\\\"a\\\":1,\\\"a\\\":{\\\"b\\\":[1,null,{\\\"\\\":2}]},\\\"a.b\\\":\\\"\\\\ud83d\\\",\\\"\\\\u0000\\\":1}\"",
    "\"[[1],{\\\"a\\\":[[]]},\\\"{\\\\\\\"b\\\\\\\":1}\\\"]\"",
    "\"[{\\\"Key\\\":\\\"userAgent\\\",\\\"Value\\\":7},{\\\"key\\\":\\\"riskReasons\\\",\\\"value\\\":[1,\\\"x\\\"]}]\"",
    "\"{level=HIGH, reasons=a, b}\"",
    "\"{a=1, a=2, A b=3, A_b=4, \\u0022=5, =6}\"",
    "[\"a=1\",\"a=2\",\"b=\",7]",
    "[]",
    "{}",
    "[[]]",
    "[{}]",
    "[null]",
    "[null,1,\"x\",[],{},[[\"y\"]],{\"drift\":5}]",
    "[\"x\",\"y\",\"x\"]",
    "[1,2,1]",
    "{\"id\":1,\"type\":[],\"name\":{},\"value\":null,\"\":2}",
    "{\"a.b\":1,\"a_b\":2,\"aB\":3,\"a\":{\"b\":4},\"a_b_2\":5,\"a_b_3\":6}",
    "{\"a\\u0000b\":1,\"a_b\":2}",
    "{\"a\":1,\"\\u0061\":2,\"a\":3}",
    "{\"\\ud83d\":1,\"\\udc00\":2,\"\\ufffd\":3}",
    "{\" \":1,\"\\t\":2,\"_\":3,\".\":4,\"\\ud83d\\ude00\":5}",
    "[{\"key\":\"a\",\"value\":1},{\"key\":\"a\",\"value\":[2]},{\"key\":\"b\",\"value\":null},{\"key\":\"a.b\",\"value\":\"\"}]",
    "[{\"name\":\"a\",\"value\":1},{\"name\":\"a.b\",\"value\":2},{\"name\":\"a\",\"intValue\":\"3\"},{\"name\":\"\",\"value\":4}]",
];

/// A record's text in the making, from a list of choices; the choices used up, the simplest is made.
pub(crate) struct Maker<'a> {
    choices: &'a [u16],
    /// Long values and deep ones, of which a record has one at most.
    large: bool,
}

impl<'a> Maker<'a> {
    pub(crate) fn of(choices: &'a [u16]) -> Self {
        Self { choices, large: false }
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        let Some((first, rest)) = self.choices.split_first() else { return 0 };
        self.choices = rest;
        usize::from(*first) % most.max(1)
    }

    fn odd(&mut self) -> String {
        if self.below(40) == 39 && !std::mem::replace(&mut self.large, true) {
            return match self.below(7) {
                0 => format!("\"{}\"", "x".repeat(1 << 20)),
                1 => format!("\"{}\"", "😀".repeat(9_000)),
                2 => format!("\"{}\"", "\\u0000|=\\t".repeat(40_000)),
                3 => format!("{}1{}", "[".repeat(90), "]".repeat(90)),
                4 => format!("{}1{}", "{\"a\":".repeat(90), "}".repeat(90)),
                5 => format!("\"curl/{}\"", "1".repeat(40_000)),
                _ => format!(
                    "\"Mozilla/5.0 (Windows NT {}) Chrome/{}\"",
                    "1".repeat(40_000),
                    "1".repeat(40_000)
                ),
            };
        }
        let at = self.below(ODD.len());
        ODD[at].to_owned()
    }

    fn key(&mut self, fields: &[Field]) -> String {
        let plain = |key: &str| Json::from(key).to_string();
        match self.below(12) {
            // A name that another member is given.
            0..4 if !fields.is_empty() => {
                let at = self.below(fields.len());
                plain(fields[at].name())
            }
            4 if !fields.is_empty() => {
                let at = self.below(fields.len());
                format!("\"{}_2\"", fields[at].name())
            }
            // The same key again, perhaps in other letters.
            5 if !fields.is_empty() => {
                let at = self.below(fields.len());
                let key = fields[at].key;
                key.chars().next().map_or(plain(key), |first| {
                    format!("\"\\u{:04x}{}\"", u32::from(first), &key[first.len_utf8()..])
                })
            }
            6 => format!("\"{}{}\"", "k".repeat(300), self.below(3)),
            7 => format!("\"é.{}{}\"", "é.".repeat(200), self.below(3)),
            8 => ["\"\"", "\" \"", "\".\"", "\"_\"", "\"\\ud83d\"", "\"\\u0000\"", "\"a\\u0000b\""]
                [self.below(7)]
            .to_owned(),
            9 => ["\"novelty\"", "\"Novelty\"", "\"novelty_2\"", "\"no.velty\"", "\"noVelty\""]
                [self.below(5)]
            .to_owned(),
            10 => ["\"event\"", "\"unmapped\"", "\"value\"", "\"port\"", "\"flattened\"", "\"risk_level\""]
                [self.below(6)]
            .to_owned(),
            _ => ["\"a.b\"", "\"a_b\"", "\"aB\"", "\"a\"", "\"A B\""][self.below(5)].to_owned(),
        }
    }

    fn object(&mut self, fields: &'static [Field], depth: usize) -> String {
        let mut members = Vec::new();
        for field in fields.iter().filter(|field| !field.key.is_empty()) {
            if depth < 7 && self.below(3) > 0 {
                members.push(format!("{}:{}", Json::from(field.key), self.value(field.shape, depth)));
            }
        }
        for _ in 0..self.below(4) {
            let key = self.key(fields);
            members.push(format!("{key}:{}", self.odd()));
        }
        format!("{{{}}}", members.join(","))
    }

    fn list(&mut self, element: impl Fn(&mut Self) -> String) -> String {
        let elements: Vec<String> = (0..self.below(4)).map(|_| element(self)).collect();
        format!("[{}]", elements.join(","))
    }

    /// A value as the table expects it, or not.
    fn value(&mut self, shape: Shape, depth: usize) -> String {
        if self.below(4) == 3 {
            return self.odd();
        }
        let in_text = |text: String| Json::from(text).to_string();
        match shape {
            Shape::Object(fields) | Shape::Wrapped(fields) => self.object(fields, depth + 1),
            Shape::Opened(fields) => in_text(self.object(fields, depth + 1)),
            Shape::Debug(named, opened) => {
                let rows = if self.below(2) == 0 { named } else { opened };
                self.object(rows.fields, depth + 1)
            }
            Shape::List(fields) | Shape::FlatList(fields) | Shape::Positions(fields, _) => {
                self.list(|maker| maker.object(fields, depth + 1))
            }
            Shape::Params(params) => self.params(params, depth + 1),
            Shape::Words(words) if !words.is_empty() => {
                let at = self.below(words.len());
                in_text(words[at].0.to_owned())
            }
            Shape::Inner(key) => format!("{{{}:{}}}", Json::from(key), self.odd()),
            Shape::Keyed | Shape::Maps => self.list(|maker| {
                format!(
                    "{{\"key\":{},\"value\":{}}}",
                    ["\"a\"", "\"b\"", "\"a.b\""][maker.below(3)],
                    maker.odd()
                )
            }),
            Shape::Map | Shape::Flat | Shape::Details => {
                let members: Vec<String> =
                    (0..self.below(4)).map(|_| format!("{}:{}", self.key(&[]), self.odd())).collect();
                let object = format!("{{{}}}", members.join(","));
                if self.below(2) == 0 { object } else { in_text(object) }
            }
            _ => self.odd(),
        }
    }

    fn params(&mut self, params: &'static Params, depth: usize) -> String {
        let none = &[] as &'static [Param];
        let known = if depth < 7 { params.known } else { none };
        self.list(|maker| {
            let known = (!known.is_empty() && maker.below(4) > 0).then(|| &known[maker.below(known.len())]);
            let (name, value) = match known {
                Some(Param { path: _, field }) => {
                    (Json::from(field.key).to_string(), maker.value(field.shape, depth))
                }
                None => (maker.key(&[]), maker.odd()),
            };
            let member = ["value", "intValue", "boolValue", "multiValue", "messageValue"][maker.below(5)];
            format!("{{\"name\":{name},\"{member}\":{value}}}")
        })
    }

    /// A record by its table: members, those of the envelope, and the parts.
    pub(crate) fn record(&mut self, table: &'static Table) -> String {
        let mut record = self.object(table.fields, 0);
        if !table.part.is_empty() {
            let parts = self.list(|maker| maker.object(table.part, 1));
            record.insert_str(1, &format!("\"events\":{parts}{}", if record == "{}" { "" } else { "," }));
        }
        fn members(parts: &'static [Part], found: &mut Vec<Field>) {
            for part in parts {
                match part {
                    Part::Member(field) => found.push(*field),
                    Part::Object(_, inner) => members(inner, found),
                    _ => {}
                }
            }
        }
        let mut found = Vec::new();
        members(table.layout.unwrap_or_default(), &mut found);
        for field in found {
            let value = self.value(field.shape, 0);
            record.insert_str(
                1,
                &format!("{}:{value}{}", Json::from(field.key), if record == "{}" { "" } else { "," }),
            );
        }
        record
    }
}

pub(crate) fn table(connector: &'static dyn Connector, stream: &'static Stream) -> &'static Table {
    let mut found = None;
    let mut tape = Tape::new();
    connector.normalize(stream, tape.cut(b"{}").unwrap(), &mut |event, _| found = Some(event.table)).unwrap();
    found.unwrap()
}

/// The same with some values changed for odd ones.
pub(crate) fn spoilt(mut text: String, mut maker: Maker<'_>) -> String {
    for _ in 0..1 + maker.below(4) {
        let mut tape = Tape::new();
        let Ok(root) = tape.cut(text.as_bytes()) else { break };
        let mut all = vec![root];
        let mut at = 0;
        while let Some(value) = all.get(at).copied() {
            all.extend(value.members().map(|(_, member)| member).chain(value.elements()));
            at += 1;
        }
        let span = all[maker.below(all.len())].span();
        let (whole, odd) = (text[span.clone()].to_owned(), maker.odd());
        let new = match maker.below(5) {
            0 => format!("[{whole},{odd}]"),
            1 => Json::from(whole.as_str()).to_string(),
            // Again, with another value.
            2 if whole.len() > 2 && whole.starts_with('{') => {
                let key = maker.key(&[]);
                format!("{},{key}:{odd},{}", &whole[..whole.len() - 1], &whole[1..])
            }
            _ => odd,
        };
        text.replace_range(span, &new);
    }
    text
}
