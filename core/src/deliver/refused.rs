//! Letters of what a destination refused. Documents on their way do not keep their records; the few that come back are
//! looked up in the journal, which keeps a page until all of it has a verdict.

use super::InHand;
use super::send::{Refused, Sent};
use crate::journal::{JournalError, PageId, Range, StoredPage};

/// Record bytes that are read at once: what is refused often comes in rows, from one small page after the other.
const READ: usize = 1 << 20;

impl InHand<'_> {
    /// Makes letters of what was refused of the batch with this ticket.
    pub(super) async fn write_letters(&mut self, ticket: u64, sent: &mut Sent) -> Result<(), JournalError> {
        let refused = std::mem::take(&mut sent.refused);
        let Some(end) = refused.iter().map(|refused| refused.origin.page.saturating_add(1)).max() else {
            return Ok(());
        };
        let lane = self.ranges.all.iter().find(|reading| reading.has(ticket)).map(|reading| reading.row.lane);
        let mut pages: Vec<StoredPage> = Vec::new();
        for Refused { origin, cause, at } in refused {
            let mut letter = |record: &[u8]| {
                sent.dead.push(origin.dead(&self.our.key, "rejected", &cause, at, record));
            };
            if let Some(record) = &origin.letter {
                letter(record);
                continue;
            }
            // Its range began anew meanwhile, so that these verdicts are of no use: it will come again.
            let Some(lane) = lane else { continue };
            if page(&pages, origin.page).is_none() {
                let range = Range { lane, from: origin.page, to: Some(end) };
                pages = self.our.journal.read(range, READ).await?;
            }
            let page = page(&pages, origin.page);
            match page.and_then(|page| page.records.get(origin.record as usize)) {
                Some(record) => letter(&record.bytes),
                None => {
                    // Somebody took the sink's claim on the journal away.
                    tracing::error!(tenant = %self.alarm.tenant, sink = %self.our.key, page = origin.page,
                        record = origin.record, "the record of a refused document is not in the journal any more; its \
                        dead letter is without it: read that time once more with `tidegate backfill --again`");
                    letter(&[]);
                }
            }
        }
        Ok(())
    }
}

fn page(pages: &[StoredPage], id: PageId) -> Option<&StoredPage> {
    pages.get(pages.partition_point(|page| page.id < id)).filter(|page| page.id == id)
}
