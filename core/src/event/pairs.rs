//! Text in the style of a printed Java map: `{New City=POSITIVE, Velocity=NEGATIVE}`.

/// Words that end a pair for certain. Names may hold commas and colons; these words never do.
const VERDICTS: [&str; 4] = ["POSITIVE", "NEGATIVE", "UNKNOWN", "BAD_REQUEST"];

/// The pairs of such a text, in order. Values may hold commas (`{reasons=far, fast, level=HIGH}`), and so may names that
/// stand before one of the verdict words. Text that is no such map has no pairs.
#[must_use]
pub fn pairs(text: &str) -> Vec<(&str, &str)> {
    let text = text.trim();
    let text = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let mut found: Vec<(&str, &str)> = Vec::new();
    // Where the name of the coming pair begins, if a piece without `=` may belong to it.
    let mut name_from: Option<usize> = None;
    let mut at = 0;
    while at < text.len() {
        let end = text.get(at..).and_then(|rest| rest.find(", ")).map_or(text.len(), |step| at + step);
        let piece = text.get(at..end).unwrap_or_default();
        let split = match piece.rsplit_once('=') {
            Some((_, value)) if VERDICTS.contains(&value) => Some(end - value.len() - 1),
            Some(_) => piece.find('=').map(|step| at + step),
            None => None,
        };
        match (split, found.last_mut()) {
            (Some(split), _) => {
                let name = text.get(name_from.take().unwrap_or(at)..split).unwrap_or_default();
                found.push((name.trim(), text.get(split + 1..end).unwrap_or_default().trim()));
            }
            (None, Some((_, value))) if !VERDICTS.contains(value) => {
                // The value goes on behind the comma.
                let from = value.as_ptr() as usize - text.as_ptr() as usize;
                *value = text.get(from..end).unwrap_or(value);
            }
            (None, _) => name_from = name_from.or(Some(at)),
        }
        at = end + 2;
    }
    found.retain(|(name, _)| !name.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::pairs;

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
