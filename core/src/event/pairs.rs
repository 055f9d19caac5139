//! Text in the style of a printed Java map: `{New City=POSITIVE, Velocity=NEGATIVE}`.

/// The length of the verdict word that a value begins with and ends at: one that ends a pair for certain. Names may hold
/// commas and colons; these words never do.
fn verdict(value: &[u8]) -> Option<usize> {
    let rest = match value.first()? {
        b'P' => value.strip_prefix(b"POSITIVE"),
        b'N' => value.strip_prefix(b"NEGATIVE"),
        b'U' => value.strip_prefix(b"UNKNOWN"),
        b'B' => value.strip_prefix(b"BAD_REQUEST"),
        _ => None,
    }?;
    matches!(rest, [] | [b',', b' ', ..]).then(|| value.len().wrapping_sub(rest.len()))
}

/// The pairs of such a text, in order. Values may hold commas (`{reasons=far, fast, level=HIGH}`), and so may names that
/// stand before one of the verdict words. Text that is no such map has no pairs.
pub fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let text = text.trim();
    let text = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    Pairs { rest: text }.filter(|(name, _)| !name.is_empty())
}

struct Pairs<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.as_bytes();
        // Names are short: a search by more bytes at once would take longer to begin.
        let mut equals = rest.iter().position(|byte| *byte == b'=')?;
        loop {
            let value = rest.get(equals + 1..).unwrap_or_default();
            if let Some(length) = verdict(value) {
                return self.found(equals, equals + 1 + length);
            }
            // The value goes on to the comma before the next name.
            let Some(step) = memchr::memchr(b'=', value) else {
                return self.found(equals, rest.len());
            };
            match value.get(..step).and_then(|value| value.windows(2).rposition(|two| two == b", ")) {
                Some(comma) => return self.found(equals, equals + 1 + comma),
                // No comma: the sign belonged to the name.
                None => equals += 1 + step,
            }
        }
    }
}

impl<'a> Pairs<'a> {
    fn found(&mut self, equals: usize, end: usize) -> Option<(&'a str, &'a str)> {
        let (pair, rest) = self.rest.split_at_checked(end)?;
        let (name, value) = pair.split_at_checked(equals)?;
        self.rest = rest.get(2..).unwrap_or_default();
        Some((trimmed(name), trimmed(value.get(1..).unwrap_or_default())))
    }
}

/// Most begin and end with a letter.
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

#[cfg(test)]
mod tests {
    fn pairs(text: &str) -> Vec<(&str, &str)> {
        super::pairs(text).collect()
    }

    #[test]
    fn splits_at_verdicts_not_at_commas_or_colons() {
        assert_eq!(
            pairs("{New Geo-Location=NEGATIVE, Zone: a, b (id1)=POSITIVE, Velocity=BAD_REQUEST}"),
            [("New Geo-Location", "NEGATIVE"), ("Zone: a, b (id1)", "POSITIVE"), ("Velocity", "BAD_REQUEST")]
        );
        assert_eq!(pairs("{a=b=POSITIVE}"), [("a=b", "POSITIVE")]);
    }

    #[test]
    fn keeps_commas_inside_reasons() {
        assert_eq!(
            pairs("{reasons=Anomalous Geo-Distance, Anomalous Device, level=MEDIUM}"),
            [("reasons", "Anomalous Geo-Distance, Anomalous Device"), ("level", "MEDIUM")]
        );
        assert_eq!(pairs("{level=LOW}"), [("level", "LOW")]);
        assert_eq!(pairs("{level=HIGH, reasons=a, b}"), [("level", "HIGH"), ("reasons", "a, b")]);
    }

    #[test]
    fn finds_nothing_in_other_text() {
        for text in ["", "{}", "LOW", "{, }", "=", "{=POSITIVE}"] {
            assert!(pairs(text).is_empty(), "{text}");
        }
    }
}
