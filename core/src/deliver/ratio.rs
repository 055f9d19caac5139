//! How long documents are, compared with their records: what is read at once should become one full batch, whether a schema
//! makes three of a byte or a third of one.

use crate::sink::Limits;

/// What was rendered counts half as much with each reading that follows: streams take turns in a range, and the mean of
/// the last few readings is what the next one is like.
const FADE: u64 = 2;
/// Documents are taken to be this much longer than their records at most, …
const LONGEST: u64 = 8;
/// … or shorter: it bounds what is read for one batch, in memory, to four times the batch.
const SHORTEST: u64 = 4;
/// Of a batch, what is aimed at is so many sixteenths: pages are read as a whole, and what goes beyond a full batch becomes a
/// small one.
const AIM: u64 = 15;

/// What a document counts: halves of a few are not to be nothing.
const ONE: u64 = 1 << 10;

/// Documents to bytes of records, from what was rendered last.
pub(super) struct Ratio {
    /// Bytes.
    records: u64,
    /// Bytes.
    documents: u64,
    /// [`ONE`] for each document.
    count: u64,
}

impl Default for Ratio {
    /// Where nothing is known, documents are twice as long: JSON with names of its own, and the record in it. How many there
    /// will be is not known then.
    fn default() -> Self {
        Self { records: 1, documents: 2, count: 0 }
    }
}

impl Ratio {
    /// Records of so many bytes became so many documents of so many bytes.
    pub(super) fn learn(&mut self, records: usize, documents: usize, count: usize) {
        // What was left out, or is not wanted here, tells as well: the next reading becomes longer.
        if records > 0 {
            let learn = |sum: u64, more: u64| (sum / FADE).saturating_add(more);
            self.records = learn(self.records, records as u64);
            self.documents = learn(self.documents, documents as u64);
            self.count = learn(self.count, (count as u64).saturating_mul(ONE));
        }
    }

    /// Bytes of records to be read for one batch, which is full by its bytes or by its documents.
    pub(super) fn records(&self, limits: &Limits) -> usize {
        let (bytes, count) = (limits.bytes as u64, (limits.count as u64).saturating_mul(ONE));
        let fit = |full: u64, made: u64| {
            (full.saturating_mul(AIM) / 16).saturating_mul(self.records).checked_div(made).unwrap_or(u64::MAX)
        };
        let by_bytes = fit(bytes, self.documents).clamp(bytes / LONGEST, bytes.saturating_mul(SHORTEST));
        usize::try_from(by_bytes.min(fit(count, self.count))).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Ratio};
    use std::time::Duration;

    fn limits(bytes: usize, count: usize) -> Limits {
        Limits { bytes, count, age: Duration::ZERO, in_flight: 1 }
    }

    #[test]
    fn it_begins_at_two_and_follows_what_was_rendered_within_bounds() {
        let (mut ratio, limits) = (Ratio::default(), limits(1_600, 1_000));
        assert_eq!(ratio.records(&limits), 750);
        for (documents, aim) in [(300, 5_000), (1_000, 1_500), (4_000, 375), (0, 6_400), (1_000_000, 200)] {
            (0..30).for_each(|_| ratio.learn(1_000, documents, 1));
            let records = ratio.records(&limits);
            assert!(records.abs_diff(aim) <= aim / 50, "{documents}: {records} bytes, not {aim}");
        }
        ratio.learn(0, 0, 0);
        assert_eq!(ratio.records(&limits), 200, "nothing read teaches nothing");
    }

    #[test]
    fn a_batch_that_is_full_by_its_documents_reads_no_further() {
        let (mut ratio, limits) = (Ratio::default(), limits(1_600_000, 16));
        (0..30).for_each(|_| ratio.learn(10_000, 17_000, 10));
        let records = ratio.records(&limits);
        assert!(records.abs_diff(15_000) < 300, "{records} bytes for 15 documents");
    }
}
