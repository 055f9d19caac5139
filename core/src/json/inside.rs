//! JSON in a text of the record.

use super::{Tape, Text, Value};
use std::cell::Cell;

/// Bytes of a text and entries of its tape up to which memory is kept for the next one: what a thread keeps is bounded.
const KEPT: usize = 64 << 10;

/// Memory for one text that is being read.
#[derive(Default)]
struct Spare {
    text: String,
    tape: Tape,
}

thread_local! {
    /// Memory that is used again: texts hold JSON with such texts in it, so there may be several.
    static SPARE: Cell<Vec<Spare>> = const { Cell::new(Vec::new()) };
}

/// Shows the JSON that a text holds, if the text `fits` and holds any.
pub(crate) fn inside<T>(
    text: &Text<'_>,
    fits: impl FnOnce(&str) -> bool,
    show: impl FnOnce(Value<'_, '_>) -> T,
) -> Option<T> {
    with_spare(|spare| {
        let decoded = text.decode_into(&mut spare.text);
        if fits(decoded) { spare.tape.cut(decoded.as_bytes()).ok().map(show) } else { None }
    })
}

/// Shows what a text says, without an allocation where it has escapes.
pub(crate) fn decoded<T>(text: &Text<'_>, show: impl FnOnce(&str) -> T) -> T {
    match text.as_plain() {
        Some(plain) => show(plain),
        None => with_spare(|spare| show(text.decode_into(&mut spare.text))),
    }
}

fn with_spare<T>(read: impl FnOnce(&mut Spare) -> T) -> T {
    let mut all = SPARE.take();
    let mut spare = all.pop().unwrap_or_default();
    SPARE.set(all);
    let seen = read(&mut spare);
    if spare.text.capacity() <= KEPT && spare.tape.entries.capacity() <= KEPT / 16 {
        let mut all = SPARE.take();
        all.push(spare);
        SPARE.set(all);
    }
    seen
}
