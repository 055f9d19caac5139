//! Text in the style of a printed Java map: `{New City=POSITIVE, Velocity=NEGATIVE}`.

/// Words that end a pair for certain, no two with the same first letter. Names may hold commas and colons; these words never do.
const VERDICTS: [&str; 4] = ["POSITIVE", "NEGATIVE", "UNKNOWN", "BAD_REQUEST"];

/// The length of the verdict word that a value begins with and ends at.
fn verdict(value: &str) -> Option<usize> {
    // Most values are none, and most verdicts are told apart by their first letter.
    let first = value.as_bytes().first()?;
    let verdict = VERDICTS.into_iter().find(|verdict| verdict.as_bytes().first() == Some(first))?;
    let rest = value.strip_prefix(verdict)?;
    (rest.is_empty() || rest.starts_with(", ")).then_some(verdict.len())
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
        let rest = self.rest;
        let mut equals = memchr::memchr(b'=', rest.as_bytes())?;
        loop {
            let value = rest.get(equals + 1..).unwrap_or_default();
            if let Some(length) = verdict(value) {
                return self.found(equals, equals + 1 + length);
            }
            // The value goes on to the comma before the next name.
            let Some(step) = memchr::memchr(b'=', value.as_bytes()) else {
                return self.found(equals, rest.len());
            };
            match value
                .as_bytes()
                .get(..step)
                .and_then(|value| value.windows(2).rposition(|two| two == b", "))
            {
                Some(comma) => return self.found(equals, equals + 1 + comma),
                // No comma: the sign belonged to the name.
                None => equals += 1 + step,
            }
        }
    }
}

impl<'a> Pairs<'a> {
    fn found(&mut self, equals: usize, end: usize) -> Option<(&'a str, &'a str)> {
        let name = self.rest.get(..equals).unwrap_or_default();
        let value = self.rest.get(equals + 1..end).unwrap_or_default();
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        Some((trimmed(name), trimmed(value)))
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
