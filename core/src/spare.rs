//! Large buffers, used again.
//!
//! Page bodies, pages and batches are megabytes each, and most live for milliseconds. Given back to the allocator, they
//! leave holes between what lives longer, or each next one is paid for with page faults. A few are kept here instead, for all
//! tenants together.

use bytes::Bytes;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buffers that are kept.
const KEPT: usize = 4;
/// Larger ones are rare and not kept.
const LARGEST: usize = 8 << 20;
/// Smaller ones cost the allocator little, and would take the place of those that do not.
const SMALLEST: usize = 1 << 20;
static SPARE: Spare = Spare(Mutex::new(Vec::new()));

struct Spare(Mutex<Vec<Vec<u8>>>);

/// An empty buffer that has room for so many bytes: a spare one if there is one that is not half as large again, since what
/// it is filled with may be kept for long, with all of the buffer. Where it is not known how many bytes (0), any does.
pub(crate) fn take(room: usize) -> Vec<u8> {
    SPARE.take(room)
}

/// Takes a buffer that is not needed any more.
pub(crate) fn give(buffer: Vec<u8>) {
    SPARE.give(buffer);
}

impl Spare {
    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, room: usize) -> Vec<u8> {
        let most = if room == 0 { LARGEST } else { room.saturating_add(room / 2) };
        let mut buffers = self.buffers();
        let fits = buffers.iter().position(|buffer| (room..=most).contains(&buffer.capacity()));
        let found = fits.map(|at| buffers.swap_remove(at));
        drop(buffers);
        found.unwrap_or_else(|| Vec::with_capacity(room))
    }

    fn give(&self, mut buffer: Vec<u8>) {
        if !(SMALLEST..=LARGEST).contains(&buffer.capacity()) {
            return;
        }
        buffer.clear();
        let mut buffers = self.buffers();
        if buffers.len() < KEPT {
            buffers.push(buffer);
        }
    }
}

/// Bytes whose buffer is given back when nobody needs them any more.
pub(crate) fn lend(buffer: Vec<u8>) -> Bytes {
    Bytes::from_owner(Lent(buffer))
}

struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_for_what_nearly_fills_it() {
        let spare = Spare(Mutex::default());
        spare.give(Vec::with_capacity(3 << 20));
        let batch = spare.take(256 << 10);
        assert!(batch.capacity() < 1 << 20, "a small batch would keep a large buffer");
        assert!(spare.take(4 << 20).capacity() >= 4 << 20, "it has no room for that");
        assert_eq!(spare.take(2 << 20).capacity(), 3 << 20);
        spare.give(batch);
        assert_eq!(spare.take(0).capacity(), 0, "small ones are not kept, and that one is taken");
        spare.give(vec![7; 2 << 20]);
        let any = spare.take(0);
        assert_eq!((any.len(), any.capacity()), (0, 2 << 20));
    }
}
