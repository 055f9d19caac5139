//! Proof that nothing that is kept was altered: a walk along the chain of digests.

use super::segment::Files;
use super::state::Db;
use super::{JournalError, PageId, segment, store};
use std::path::Path;

/// Links that are read at once.
const LINKS: u32 = 256;

/// What a walk found in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Pages that are kept, each with the right digest of itself and of the page before.
    pub pages: u64,
    /// Records in them.
    pub records: u64,
    /// Pages that were trimmed; their digests are still links of the chain.
    pub trimmed: u64,
    /// The last page.
    pub last: PageId,
}

/// Walks a tenant's journal from its first link to its last. Somebody may be writing meanwhile.
///
/// # Errors
/// `Damaged`: the first break, by file, offset and page. Others: see [`JournalError`].
pub fn verify(dir: impl AsRef<Path>) -> Result<Verified, JournalError> {
    let dir = dir.as_ref();
    let state = dir.join("state.db");
    std::fs::metadata(&state).map_err(JournalError::io(&state, "there is no journal"))?;
    let db = Db::read(&state)?;
    db.quick_check()?;
    let mut files = Files::new(dir).map_err(JournalError::io(dir, "cannot decompress"))?;
    let mut done = Verified::default();
    // Of the link before; none before the first, which may follow links that were dropped after years.
    let mut before: Option<segment::Digest> = None;
    loop {
        let links = db.links(done.last, LINKS)?;
        if links.is_empty() {
            return Ok(done);
        }
        for link in links {
            if done.last != 0 && link.id != done.last.saturating_add(1) {
                let what = format!("pages {} to {} have no row", done.last.saturating_add(1), link.id - 1);
                return Err(JournalError::damaged(&state, what));
            }
            match link.kept {
                None => done.trimmed += 1,
                Some((place, records)) => match files.page(&place)? {
                    Some(page) => {
                        let path = segment::path(dir, place.seg);
                        let broken = |what: &str| {
                            let what = format!("{what} (offset {}, page {})", place.off, place.id);
                            Err(JournalError::damaged(&path, what))
                        };
                        let expected = before.or((link.id == 1).then_some([0; 32]));
                        if expected.is_some_and(|e| e != page.previous) {
                            return broken("the page does not follow the one before it");
                        }
                        if page.page.records.len() as u64 != records {
                            return broken("the page has other records than its row says");
                        }
                        done.pages += 1;
                        done.records += records;
                    }
                    // Trimmed since its row was read; or else the file is lost.
                    None if db.links(link.id - 1, 1)?.first().is_some_and(|now| now.kept.is_none()) => {
                        done.trimmed += 1;
                    }
                    None => return Err(store::lost(dir, &place)),
                },
            }
            before = Some(link.digest);
            done.last = link.id;
        }
    }
}
