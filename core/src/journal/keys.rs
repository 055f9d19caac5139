//! Identities that were seen: packed blobs on disk, hash sets of few hours in memory.
//!
//! A key is 24 bytes: the 16 of the id's hash and the 8 of the meaning's, big-endian, side by side in the order they came.

use super::Key;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Bytes of one packed key.
pub(super) const WIDTH: usize = 24;

/// More small blobs than this in an hour, and they become one.
pub(super) const BLOBS: usize = 64;

/// A blob of this size is not small.
pub(super) const BIG: usize = 128 << 10;

/// Two words instead of a `u128`: 24 bytes an entry, not 32.
type Id = (u64, u64);
type Set<V> = HashMap<Id, V, BuildHasherDefault<Fold>>;

/// Ids are hashes already; folding the two words is enough.
#[derive(Default)]
pub(super) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u64(u64::from(*b));
        }
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(32) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// What a key is to those that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    New,
    Duplicate,
    Revision,
}

/// The keys of one stream's hour.
#[derive(Default)]
pub(super) struct Hour {
    first: Set<u64>,
    later: Set<Vec<u64>>,
    /// Blobs on disk that are small.
    pub(super) small: usize,
    used: u64,
}

impl Hour {
    /// Adds a key, unless it is known.
    pub(super) fn add(&mut self, id: u128, meaning: u64) -> Verdict {
        let id = ((id >> 64) as u64, id as u64);
        match self.first.entry(id) {
            std::collections::hash_map::Entry::Vacant(v) => {
                v.insert(meaning);
                Verdict::New
            }
            std::collections::hash_map::Entry::Occupied(o) if *o.get() == meaning => Verdict::Duplicate,
            std::collections::hash_map::Entry::Occupied(_) => {
                let later = self.later.entry(id).or_default();
                if later.contains(&meaning) {
                    return Verdict::Duplicate;
                }
                later.push(meaning);
                Verdict::Revision
            }
        }
    }

    /// Adds all keys of a blob; `None` if it is not whole keys.
    pub(super) fn add_blob(&mut self, blob: &[u8]) -> Option<()> {
        for (id, meaning) in unpack(blob)? {
            self.add(id, meaning);
        }
        if blob.len() < BIG {
            self.small += 1;
        }
        Some(())
    }

    /// Ids, and further meanings of them.
    pub(super) fn counts(&self) -> (u64, u64) {
        let later: usize = self.later.values().map(Vec::len).sum();
        (self.first.len() as u64, later as u64)
    }

    fn bytes(&self) -> usize {
        // A bucket is the entry and a control byte; the rest is the fixed part of two tables and a few long stories.
        self.first.capacity() * 8 / 7 * (WIDTH + 1) + self.later.len() * 80 + 256
    }
}

/// Appends a key to a blob.
pub(super) fn pack(blob: &mut Vec<u8>, key: &Key) {
    blob.extend_from_slice(&key.id.to_be_bytes());
    blob.extend_from_slice(&key.meaning.to_be_bytes());
}

/// The keys of a blob; `None` if it is not whole keys.
pub(super) fn unpack(blob: &[u8]) -> Option<impl Iterator<Item = (u128, u64)>> {
    let (keys, rest) = blob.as_chunks::<WIDTH>();
    rest.is_empty().then(|| {
        keys.iter().filter_map(|key| {
            let (id, meaning) = key.split_first_chunk::<16>()?;
            Some((u128::from_be_bytes(*id), u64::from_be_bytes(*meaning.first_chunk::<8>()?)))
        })
    })
}

/// Hours in memory. Those that a commit needs are always there; the least recently used go afterwards.
pub(super) struct Cache {
    hours: HashMap<(i64, i64), Hour>,
    limit: usize,
    tick: u64,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Self {
        Self { hours: HashMap::new(), limit, tick: 0 }
    }

    /// The hour of a stream; `load` brings it from disk.
    pub(super) fn hour<E>(
        &mut self,
        stream: i64,
        hour: i64,
        load: impl FnOnce() -> Result<Hour, E>,
    ) -> Result<&mut Hour, E> {
        self.tick += 1;
        let found = match self.hours.entry((stream, hour)) {
            std::collections::hash_map::Entry::Occupied(o) => o.into_mut(),
            std::collections::hash_map::Entry::Vacant(v) => v.insert(load()?),
        };
        found.used = self.tick;
        Ok(found)
    }

    /// Forgets what is in memory: a commit failed half-way, or rows moved.
    pub(super) fn clear(&mut self) {
        self.hours.clear();
    }

    /// Keeps to the limit.
    pub(super) fn shrink(&mut self) {
        let mut bytes: usize = self.hours.values().map(Hour::bytes).sum();
        if bytes <= self.limit {
            return;
        }
        let mut by_age: Vec<_> = self.hours.iter().map(|(k, h)| (h.used, *k, h.bytes())).collect();
        by_age.sort_unstable();
        // The newest stays even if it is too large alone: the next page needs it again.
        by_age.pop();
        // A quarter more than necessary, or every commit would come here.
        for (_, key, size) in by_age {
            if bytes <= self.limit / 4 * 3 {
                break;
            }
            self.hours.remove(&key);
            bytes = bytes.saturating_sub(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meaning_already_seen_is_a_duplicate() {
        let mut hour = Hour::default();
        assert_eq!(hour.add(7, 1), Verdict::New);
        assert_eq!(hour.add(7, 2), Verdict::Revision);
        assert_eq!(hour.add(7, 1), Verdict::Duplicate);
        assert_eq!(hour.add(7, 2), Verdict::Duplicate);
        assert_eq!(hour.add(7, 3), Verdict::Revision);
        assert_eq!(hour.add(8, 1), Verdict::New);
    }

    #[test]
    fn packs_and_unpacks() {
        let mut blob = Vec::new();
        pack(&mut blob, &Key { hour: 0, id: u128::MAX - 1, meaning: 3 });
        pack(&mut blob, &Key { hour: 0, id: 5, meaning: u64::MAX });
        let keys: Option<Vec<_>> = unpack(&blob).map(Iterator::collect);
        assert_eq!(keys, Some(vec![(u128::MAX - 1, 3), (5, u64::MAX)]));
        blob.pop();
        assert!(unpack(&blob).is_none());
    }

    #[test]
    fn the_cache_keeps_its_limit_and_the_newest_hour() {
        let mut cache = Cache::new(100_000);
        for hour in 0..50 {
            let set = cache.hour(1, hour, || Ok::<_, ()>(Hour::default())).expect("loads");
            for id in 0..1000 {
                set.add(id, 0);
            }
            cache.shrink();
            assert!(cache.hours.contains_key(&(1, hour)));
        }
        assert!(cache.hours.values().map(Hour::bytes).sum::<usize>() <= 100_000);
    }
}
