//! What the standard parameters make of an answer's body: `fields` and `prettyPrint`.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

/// A parsed `fields`; a mask without members means everything.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mask(BTreeMap<String, Mask>);

impl Mask {
    /// Reads `kind,items(id/time,events(name))`; `None` for anything malformed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mask = Self::list(&mut rest)?;
        rest.is_empty().then_some(mask)
    }

    fn list(rest: &mut &str) -> Option<Self> {
        let mut mask = Self::default();
        loop {
            let mut at = &mut mask;
            loop {
                let end = rest.find([',', '/', '(', ')']).unwrap_or(rest.len());
                let (name, tail) = rest.split_at_checked(end)?;
                if name.is_empty() {
                    return None;
                }
                at = at.0.entry(name.to_owned()).or_default();
                *rest = tail;
                match rest.strip_prefix('/') {
                    Some(tail) => *rest = tail,
                    None => break,
                }
            }
            if let Some(tail) = rest.strip_prefix('(') {
                *rest = tail;
                at.0.extend(Self::list(rest)?.0);
                *rest = rest.strip_prefix(')')?;
            }
            match rest.strip_prefix(',') {
                Some(tail) => *rest = tail,
                None => return Some(mask),
            }
        }
    }

    /// The parts of a body that the mask names.
    pub(crate) fn apply(&self, body: &Bytes) -> Bytes {
        let mut value = serde_json::from_slice::<Value>(body).unwrap_or_default();
        self.keep(&mut value);
        Bytes::from(value.to_string())
    }

    fn keep(&self, value: &mut Value) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(|value| self.keep(value)),
            Value::Object(members) if !self.0.is_empty() => {
                let inner = |name: &str| self.0.get(name).or_else(|| self.0.get("*"));
                members.retain(|name, _| inner(name).is_some());
                members.iter_mut().for_each(|(name, value)| {
                    if let Some(mask) = inner(name) {
                        mask.keep(value);
                    }
                });
            }
            _ => {}
        }
    }
}

/// The same JSON with two blanks a level, as the vendor prints it.
pub(crate) fn indented(body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(body.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    let mut bytes = body.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if in_text {
            out.push(byte);
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                if matches!(bytes.peek(), Some(b'}' | b']')) {
                    out.extend(bytes.next());
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => {
                in_text = byte == b'"';
                out.push(byte);
            }
        }
    }
    out.push(b'\n');
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_keeps_what_it_names() {
        let body = Bytes::from(
            r#"{"kind":"k","items":[{"id":{"time":"t","x":1},"actor":{"email":"e"}}],"next":"n"}"#,
        );
        let masked = |text: &str| {
            Mask::parse(text).map(|mask| String::from_utf8_lossy(&mask.apply(&body)).into_owned())
        };
        assert_eq!(
            masked("next,items(id/time)").as_deref(),
            Some(r#"{"items":[{"id":{"time":"t"}}],"next":"n"}"#)
        );
        assert_eq!(masked("items/actor").as_deref(), Some(r#"{"items":[{"actor":{"email":"e"}}]}"#));
        assert_eq!(masked("items/*/time").as_deref(), Some(r#"{"items":[{"actor":{},"id":{"time":"t"}}]}"#));
        for bad in ["", "items(", "items(id", "a,,b", "a)"] {
            assert_eq!(masked(bad), None, "{bad}");
        }
    }

    #[test]
    fn indentation_changes_nothing_but_blanks() {
        let body = r#"{"a":[],"b":{"c":"x\"{,: \\","d":[1,{}]}}"#;
        let expected = "{\n  \"a\": [],\n  \"b\": {\n    \"c\": \"x\\\"{,: \\\\\",\n    \"d\": [\n      1,\n      {}\n    ]\n  }\n}\n";
        assert_eq!(indented(body.as_bytes()), expected);
    }
}
