//! Large buffers, used again.
//!
//! Page bodies and batches are megabytes each and live for milliseconds. Given back to the allocator, each of its arenas
//! (about one a thread) keeps some of them, and each next one is paid for with page faults. A few are kept here instead,
//! for all tenants together.

use std::sync::{Mutex, PoisonError};

/// Buffers that are kept.
const KEPT: usize = 4;
/// Larger ones are rare and not kept.
const LARGEST: usize = 8 << 20;

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// An empty buffer, with room if there was a spare one.
pub(crate) fn take() -> Vec<u8> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
}

/// Takes a buffer that is not needed any more.
pub(crate) fn give(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > LARGEST {
        return;
    }
    buffer.clear();
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    if spare.len() < KEPT {
        spare.push(buffer);
    }
}
