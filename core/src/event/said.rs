//! Texts for people, read by the words that they are made of.

/// A text that is searched for many words, in the case that it has.
#[derive(Clone, Copy, Debug)]
pub struct Said<'t> {
    text: &'t str,
    /// Which pairs of letters it has, a bit for several pairs: most words are known not to be in it by three of theirs.
    pairs: u64,
}

impl<'t> Said<'t> {
    /// Takes the text in.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let after = bytes.get(1..).unwrap_or_default();
        let pairs = bytes.iter().zip(after).fold(0, |pairs, (first, second)| pairs | pair(*first, *second));
        Self { text, pairs }
    }

    /// Whether the text has this word in it.
    #[inline]
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        let (begin, end) = word.as_bytes().split_at(word.len() / 2);
        let pair_of = |two: Option<&[u8; 2]>| two.map_or(0, |[first, second]| pair(*first, *second));
        let wanted = pair_of(begin.first_chunk()) | pair_of(end.first_chunk()) | pair_of(end.last_chunk());
        self.pairs & wanted == wanted && self.text.contains(word)
    }

    /// Whether the text has one of these words in it.
    #[inline]
    #[must_use]
    pub fn has_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.has(word))
    }
}

#[inline]
const fn pair(first: u8, second: u8) -> u64 {
    1 << ((first.wrapping_mul(5) ^ second) & 63)
}

#[cfg(test)]
mod tests {
    use super::Said;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_word_is_found_where_it_is_and_nowhere_else(text in "[a-c ]{0,12}", word in "[a-c ]{0,5}") {
            prop_assert_eq!(Said::new(&text).has(&word), text.contains(&word));
        }

        #[test]
        fn each_part_of_any_text_is_found(text in "\\PC{0,20}", from in 0..20_usize, to in 0..20_usize) {
            let part: String = text.chars().skip(from).take(to).collect();
            prop_assert!(Said::new(&text).has(&part));
        }
    }
}
