//! Lower case, for comparisons with words.

use std::ops::Deref;

/// What is longer, or not ASCII, is allocated. Names of factors, actions and results are shorter.
const SHORT: usize = 96;

/// A text in lower case.
#[derive(Clone, Debug)]
pub enum Lower {
    /// A short one, with its length.
    Short([u8; SHORT], usize),
    /// Any other.
    Long(String),
}

impl Default for Lower {
    fn default() -> Self {
        Self::Short([0; SHORT], 0)
    }
}

/// A text in lower case; only to be compared.
#[must_use]
pub fn lower_case(text: &str) -> Lower {
    let bytes = text.as_bytes();
    let mut short = [0; SHORT];
    match short.get_mut(..bytes.len()) {
        Some(place) if bytes.is_ascii() => {
            place.copy_from_slice(bytes);
            place.make_ascii_lowercase();
            Lower::Short(short, bytes.len())
        }
        _ => Lower::Long(text.to_lowercase()),
    }
}

impl Deref for Lower {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            // It is ASCII.
            Self::Short(bytes, len) => {
                bytes.get(..*len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
            }
            Self::Long(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lower_case;

    #[test]
    fn is_the_lower_case_of_any_text() {
        for text in ["", "Push", "ÜBER", "Straße 7", "\u{130}", &"Long ".repeat(40)] {
            assert_eq!(&*lower_case(text), text.to_lowercase());
        }
    }
}
