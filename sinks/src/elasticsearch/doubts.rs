//! Refusals that could be the document's fault or its stream's: told apart by what happens to the stream's others.

use std::collections::HashMap;

/// More documents than can be in flight with the widest settings; beyond that the oldest doubts may start anew.
const MOST: usize = 200_000;

/// Which documents are in doubt, and since which answer; which streams took a document, and in which answer last.
///
/// A document in doubt is condemned by a document of its stream that was taken in the same answer or in one after its
/// first refusal. So one odd document that is sent again and again without companions does not block its stream for
/// ever, and a stream that takes nothing makes no dead letters.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    answer: u64,
    taken: HashMap<&'static str, u64>,
    since: HashMap<String, u64>,
}

impl Doubts {
    /// An answer is about to be filed.
    pub(super) fn next_answer(&mut self) {
        self.answer += 1;
        if self.since.len() > MOST {
            self.since.clear();
        }
    }

    /// This document of the stream went in.
    pub(super) fn taken(&mut self, stream: &'static str, id: &str) {
        self.taken.insert(stream, self.answer);
        if !self.since.is_empty() {
            self.since.remove(id);
        }
    }

    /// Whether a refused document is to blame. All that this answer took must have been told before.
    pub(super) fn condemns(&mut self, stream: &'static str, id: &str) -> bool {
        let taken = self.taken.get(stream).copied().unwrap_or(0);
        let since = self.since.get(id).copied().unwrap_or(self.answer);
        let condemned = if since == self.answer { taken == self.answer } else { taken > since };
        if condemned {
            self.since.remove(id);
        } else {
            self.since.insert(id.to_owned(), since);
        }
        condemned
    }
}

#[cfg(test)]
mod tests {
    use super::Doubts;

    #[test]
    fn what_was_taken_before_says_nothing() {
        let mut doubts = Doubts::default();
        doubts.next_answer();
        doubts.taken("a", "1");
        doubts.next_answer();
        assert!(!doubts.condemns("a", "2"), "the stream may have stopped since");
        doubts.next_answer();
        assert!(!doubts.condemns("a", "2"));
        doubts.next_answer();
        doubts.taken("b", "3");
        doubts.next_answer();
        assert!(!doubts.condemns("a", "2"), "another stream");
    }

    #[test]
    fn a_companion_condemns_in_the_same_answer_or_later() {
        let mut doubts = Doubts::default();
        doubts.next_answer();
        doubts.taken("a", "1");
        assert!(doubts.condemns("a", "2"));
        doubts.next_answer();
        assert!(!doubts.condemns("a", "3"));
        doubts.next_answer();
        doubts.taken("a", "4");
        doubts.next_answer();
        assert!(doubts.condemns("a", "3"));
        assert!(doubts.since.is_empty());
    }

    #[test]
    fn a_document_that_went_in_is_no_longer_in_doubt() {
        let mut doubts = Doubts::default();
        doubts.next_answer();
        assert!(!doubts.condemns("a", "1"));
        doubts.next_answer();
        doubts.taken("a", "1");
        assert!(doubts.since.is_empty());
    }
}
