//! How long documents are, compared with their records: what is read at once should become one full batch, whether a schema
//! makes three of a byte or a third of one.

/// What was rendered counts half as much with each reading that follows: streams take turns in a range, and the mean of
/// the last few readings is what the next one is like.
const FADE: u64 = 2;
/// Documents are taken to be this much longer than their records at most, …
const LONGEST: u64 = 8;
/// … or shorter: it bounds what is read for one batch, in memory, to four times the batch.
const SHORTEST: u64 = 4;
/// Of a batch's bytes, what is aimed at is so many sixteenths: pages are read as a whole, and what goes beyond a full batch
/// becomes a small one.
const AIM: u64 = 15;

/// Bytes of documents to bytes of records, from what was rendered last.
pub(super) struct Ratio {
    records: u64,
    documents: u64,
}

impl Default for Ratio {
    /// Where nothing is known, documents are twice as long: JSON with names of its own, and the record in it.
    fn default() -> Self {
        Self { records: 1, documents: 2 }
    }
}

impl Ratio {
    /// Records of so many bytes became documents of so many.
    pub(super) fn learn(&mut self, records: usize, documents: usize) {
        // What was left out, or is not wanted here, tells as well: the next reading becomes longer.
        if records > 0 {
            self.records = (self.records / FADE).saturating_add(records as u64);
            self.documents = (self.documents / FADE).saturating_add(documents as u64);
        }
    }

    /// Bytes of records to be read for a batch of so many bytes.
    pub(super) fn records(&self, batch: usize) -> usize {
        let batch = batch as u64;
        let fit = (batch / 16 * AIM).saturating_mul(self.records).checked_div(self.documents);
        let bounded = fit.unwrap_or(u64::MAX).clamp(batch / LONGEST, batch.saturating_mul(SHORTEST));
        usize::try_from(bounded).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Ratio;

    #[test]
    fn it_begins_at_two_and_follows_what_was_rendered_within_bounds() {
        let mut ratio = Ratio::default();
        assert_eq!(ratio.records(1_600), 750);
        for (documents, aim) in [(300, 5_000), (1_000, 1_500), (4_000, 375), (0, 6_400), (1_000_000, 200)] {
            (0..30).for_each(|_| ratio.learn(1_000, documents));
            let records = ratio.records(1_600);
            assert!(records.abs_diff(aim) <= aim / 50, "{documents}: {records} bytes, not {aim}");
        }
        ratio.learn(0, 0);
        assert_eq!(ratio.records(1_600), 200, "nothing read teaches nothing");
    }
}
