//! Cuts an answer's envelope into records. Only the envelope is read: a record whose inside is broken stays a record
//! (and becomes a dead letter later), so that one bad byte at the vendor cannot hold up a stream for ever.

mod brackets;

use crate::fault::{Fault, FaultKind};
use brackets::Closing;
use std::ops::Range;

/// Where each element of a JSON array stands, in order, exact bytes.
///
/// # Errors
/// [`FaultKind::Answer`]: not an array (an HTML page, an object), cut off, or followed by something else.
pub fn array(body: &[u8]) -> Result<Vec<Range<usize>>, Fault> {
    let mut cutter = Cutter::new(body);
    let records = cutter.array()?;
    cutter.end()?;
    Ok(records)
}

/// An answer that is an object around its records. Members are found by name, the last one of a name counts; only what
/// is asked for is read.
#[derive(Clone, Debug)]
pub struct Envelope<'b> {
    body: &'b [u8],
    members: Vec<Member>,
}

/// Where a name (without quotes) and its value stand.
type Member = (Range<usize>, Range<usize>);

impl<'b> Envelope<'b> {
    /// Reads the names of the outermost object.
    ///
    /// # Errors
    /// [`FaultKind::Answer`]: not an object, cut off, or followed by something else.
    pub fn read(body: &'b [u8]) -> Result<Self, Fault> {
        let mut cutter = Cutter::new(body);
        let members = cutter.object()?;
        cutter.end()?;
        Ok(Self { body, members })
    }

    fn find(&self, name: &str) -> Option<Range<usize>> {
        let named = |(key, _): &&Member| {
            let key = self.body.get(key.clone()).unwrap_or_default();
            key == name.as_bytes()
                || serde_json::from_slice::<String>(&quoted(key)).is_ok_and(|key| key == name)
        };
        self.members.iter().rev().find(named).map(|(_, value)| value.clone())
    }

    /// A member that is an object; `None`: it is not there, or it is something else.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Self> {
        let mut cutter = Cutter { body: self.body, at: self.find(name)?.start };
        Some(Self { body: self.body, members: cutter.object().ok()? })
    }

    /// Where each element of a member that is an array stands in the body; `None`: it is not there, or null.
    ///
    /// # Errors
    /// [`FaultKind::Answer`]: the member is something else.
    pub fn records(&self, name: &str) -> Result<Option<Vec<Range<usize>>>, Fault> {
        let Some(span) = self.find(name) else { return Ok(None) };
        if self.body.get(span.clone()) == Some(b"null") {
            return Ok(None);
        }
        let mut cutter = Cutter { body: self.body, at: span.start };
        cutter.array().map(Some).map_err(|fault| answer(format!("{name}: {}", fault.message)))
    }

    /// A member of any kind, read by serde; `None`: it is not there, or cannot be read as that.
    #[must_use]
    pub fn member<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(self.body.get(self.find(name)?)?).ok()
    }
}

fn quoted(key: &[u8]) -> Vec<u8> {
    [b"\"", key, b"\""].concat()
}

fn answer(message: String) -> Fault {
    Fault::new(FaultKind::Answer, message)
}

struct Cutter<'b> {
    body: &'b [u8],
    at: usize,
}

impl<'b> Cutter<'b> {
    fn new(body: &'b [u8]) -> Self {
        // A byte order mark is not JSON, but proxies have been seen to add one.
        Self { body, at: if body.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 } }
    }

    /// Nothing may follow.
    fn end(&mut self) -> Result<(), Fault> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(answer(format!("the answer goes on after its end, at byte {}", self.at))),
        }
    }

    /// Where the names (without quotes) and values of an object stand.
    fn object(&mut self) -> Result<Vec<Member>, Fault> {
        self.space();
        match self.peek() {
            Some(b'{') => self.at += 1,
            Some(b'<') => return Err(answer("the answer is an HTML page, not JSON".to_owned())),
            Some(_) => return Err(answer("the answer is not a JSON object".to_owned())),
            None => return Err(answer("the answer is empty".to_owned())),
        }
        let mut members = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(members);
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(match self.peek() {
                    None => self.cut_off(),
                    Some(_) => answer(format!("no name where one belongs, at byte {}", self.at)),
                });
            }
            let start = self.at + 1;
            self.string()?;
            let key = start..self.at.saturating_sub(1);
            self.space();
            match self.peek() {
                Some(b':') => self.at += 1,
                Some(_) => return Err(answer(format!("no colon after a name, at byte {}", self.at))),
                None => return Err(self.cut_off()),
            }
            self.space();
            members.push((key, self.value()?));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(members);
                }
                Some(_) => return Err(answer(format!("no comma between two members, at byte {}", self.at))),
                None => return Err(self.cut_off()),
            }
        }
    }

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

    /// Stands on the bracket that opens a value; ends behind the one that closes it.
    fn nested(&mut self) -> Result<(), Fault> {
        match brackets::closing(self.body, self.at) {
            Closing::At(at) => {
                self.at = at + 1;
                Ok(())
            }
            Closing::Nowhere => Err(self.cut_off()),
            Closing::Unclear => self.byte_by_byte(),
        }
    }

    fn byte_by_byte(&mut self) -> Result<(), Fault> {
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
        fn blocks_of_bytes_end_where_single_bytes_do(
            before in 0..70_usize,
            pieces in proptest::collection::vec(prop_oneof![
                3 => proptest::collection::vec(proptest::sample::select(&b"{}[]\"\\,a\n"[..]), 0..80),
                2 => "[a-z{}]{0,70}".prop_map(|text| format!("\"{text}\",").into_bytes()),
                1 => Just(br#""\\\\\"","#.to_vec()),
                1 => proptest::collection::vec(Just(b'\\'), 60..70),
            ], 0..12),
        ) {
            let body = [&b" ".repeat(before)[..], b"{", &pieces.concat()].concat();
            let mut blocks = Cutter { body: &body, at: before };
            let mut bytes = Cutter { body: &body, at: before };
            let (ours, theirs) = (blocks.nested(), bytes.byte_by_byte());
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
            if theirs.is_ok() {
                prop_assert_eq!(blocks.at, bytes.at);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _either = array(&body);
        }
    }

    #[test]
    fn an_envelope_gives_records_and_members_of_any_depth() {
        let body = br#" {"stat":"OK","response":{"items":[{"a":1} , "x"],"metadata":{"next_offset":"1,2"}},"none":null,"stat":"LAST"} "#;
        let envelope = Envelope::read(body).unwrap();
        assert_eq!(envelope.member::<String>("stat").as_deref(), Some("LAST"));
        let response = envelope.object("response").unwrap();
        let records = response.records("items").unwrap().unwrap();
        let texts: Vec<&[u8]> = records.iter().map(|span| &body[span.clone()]).collect();
        assert_eq!(texts, [br#"{"a":1}"#.as_slice(), br#""x""#]);
        assert_eq!(
            response.object("metadata").unwrap().member::<String>("next_offset").as_deref(),
            Some("1,2")
        );
        assert!(envelope.records("none").unwrap().is_none() && envelope.records("else").unwrap().is_none());
        assert!(envelope.records("stat").is_err() && envelope.object("stat").is_none());
        let escaped = Envelope::read(br#"{"it\u0065ms":[]}"#).unwrap();
        assert_eq!(escaped.records("items").unwrap(), Some(vec![]));
    }

    #[test]
    fn a_broken_envelope_is_never_one() {
        for body in [
            &b""[..],
            b"[]",
            b"{",
            b"{\"a\"",
            b"{\"a\":",
            b"{\"a\":1",
            b"{\"a\" 1}",
            b"{\"a\":1}x",
            b"{a:1}",
            b"<html>",
            b"{\"a\":}",
        ] {
            assert!(Envelope::read(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
        assert!(Envelope::read(b"\xEF\xBB\xBF{}").is_ok());
    }
}
