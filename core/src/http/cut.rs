//! Cuts an answer's envelope into records. Only the envelope is read: a record whose inside is broken stays a record
//! (and becomes a dead letter later), so that one bad byte at the vendor cannot hold up a stream for ever.

use crate::fault::{Fault, FaultKind};
use std::ops::Range;

/// Where each element of a JSON array stands, in order, exact bytes.
///
/// # Errors
/// [`FaultKind::Answer`]: not an array (an HTML page, an object), cut off, or followed by something else.
pub fn array(body: &[u8]) -> Result<Vec<Range<usize>>, Fault> {
    let mut cutter = Cutter { body, at: 0 };
    let records = cutter.array()?;
    cutter.space();
    match cutter.peek() {
        None => Ok(records),
        Some(_) => Err(answer(format!("the answer goes on after its array, at byte {}", cutter.at))),
    }
}

fn answer(message: String) -> Fault {
    Fault::new(FaultKind::Answer, message)
}

struct Cutter<'b> {
    body: &'b [u8],
    at: usize,
}

impl Cutter<'_> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn cut_off(&self) -> Fault {
        answer(format!("the answer is cut off after {} bytes", self.body.len()))
    }

    fn array(&mut self) -> Result<Vec<Range<usize>>, Fault> {
        // A byte order mark is not JSON, but proxies have been seen to add one.
        if self.body.starts_with(b"\xEF\xBB\xBF") {
            self.at = 3;
        }
        self.space();
        match self.peek() {
            Some(b'[') => self.at += 1,
            Some(b'<') => return Err(answer("the answer is an HTML page, not JSON".to_owned())),
            Some(b'{') => {
                return Err(answer("the answer is a JSON object where an array belongs".to_owned()));
            }
            Some(_) => return Err(answer("the answer is not a JSON array".to_owned())),
            None => return Err(answer("the answer is empty".to_owned())),
        }
        let mut records = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(records);
        }
        loop {
            self.space();
            records.push(self.value()?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(records);
                }
                Some(_) => return Err(answer(format!("no comma between two records, at byte {}", self.at))),
                None => return Err(self.cut_off()),
            }
        }
    }

    fn value(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at;
        match self.peek() {
            Some(b'{' | b'[') => self.nested()?,
            Some(b'"') => self.string()?,
            _ => {
                while self
                    .peek()
                    .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
                {
                    self.at += 1;
                }
            }
        }
        match self.peek() {
            None => Err(self.cut_off()),
            Some(_) if self.at == start => {
                Err(answer(format!("no record where one belongs, at byte {start}")))
            }
            Some(_) => Ok(start..self.at),
        }
    }

    fn nested(&mut self) -> Result<(), Fault> {
        let mut depth = 0usize;
        loop {
            match self.peek() {
                Some(b'{' | b'[') => depth += 1,
                Some(b'}' | b']') => depth -= 1,
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(_) => {}
                None => return Err(self.cut_off()),
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            let Some(step) = memchr::memchr2(b'"', b'\\', rest) else { return Err(self.cut_off()) };
            self.at += step;
            if self.peek() == Some(b'"') {
                self.at += 1;
                return Ok(());
            }
            self.at += 2;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn texts(body: &str) -> Vec<&str> {
        array(body.as_bytes()).unwrap().into_iter().map(|span| &body[span]).collect()
    }

    #[test]
    fn keeps_exact_bytes() {
        assert_eq!(texts(" [ ] \n"), Vec::<&str>::new());
        assert_eq!(
            texts("[{\"a\" : 1 } ,\n {\"b\":[1,{\"c\":\"]},\\\"\"}]},3,\"x\",null]"),
            ["{\"a\" : 1 }", "{\"b\":[1,{\"c\":\"]},\\\"\"}]}", "3", "\"x\"", "null"]
        );
        assert_eq!(texts("\u{feff}[1]"), ["1"]);
    }

    #[test]
    fn says_what_is_wrong() {
        for (body, want) in [
            ("", "empty"),
            ("<html>", "HTML"),
            ("{\"errorCode\":1}", "object"),
            ("42", "not a JSON array"),
            ("[", "cut off"),
            ("[{\"a\":1}", "cut off"),
            ("[{\"a\":1},", "cut off"),
            ("[{\"a\":\"x", "cut off"),
            ("[{\"a\":\"x\\", "cut off"),
            ("[1", "cut off"),
            ("[1 2]", "no comma"),
            ("[1,]", "no record"),
            ("[1]]", "goes on"),
            ("[1][2]", "goes on"),
        ] {
            let fault = array(body.as_bytes()).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Answer);
            assert!(fault.message.contains(want), "{body}: {fault}");
        }
    }

    #[test]
    fn a_record_with_a_broken_inside_stays_a_record() {
        assert_eq!(array(b"[{\"a\":\"\xff\"},{\"b\":}]").unwrap().len(), 2);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                proptest::collection::btree_map(".*", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_serde(values in proptest::collection::vec(json(), 0..6), pretty: bool) {
            let body = if pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) }.unwrap();
            let want: Vec<&RawValue> = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(texts(&body), want.iter().map(|raw| raw.get()).collect::<Vec<_>>());
        }

        #[test]
        fn a_cut_body_is_never_a_page(values in proptest::collection::vec(json(), 0..6), cut: proptest::sample::Index) {
            let body = serde_json::to_vec(&values).unwrap();
            let cut = cut.index(body.len());
            prop_assert!(array(&body[..cut]).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _either = array(&body);
        }
    }
}
