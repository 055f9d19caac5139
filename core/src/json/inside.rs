//! JSON in a text of the record.

use super::text::unescape_into;
use super::{Tape, Text, Value};
use std::cell::Cell;

/// Bytes of a text and entries of its tape up to which memory is kept for the next one: what a thread keeps is bounded.
const KEPT: usize = 64 << 10;

/// How many texts a thread keeps: an event is made of what a text says, and then its document, so each is asked for twice
/// and more.
const TEXTS: usize = 4;

/// A text that was read.
#[derive(Default)]
struct Spare {
    /// The text with its escapes; empty where it has none.
    source: String,
    /// Without.
    text: String,
    tape: Tape,
    /// Whether `tape` is that of `text`, or else that it has none; `None`: not tried.
    cut: Option<bool>,
}

/// Each is taken out and put back for every text: a pointer instead of 140 bytes.
type Spares = Vec<Box<Spare>>;

thread_local! {
    /// Those that are not in use just now, the newest last: texts hold JSON with such texts in it.
    static SPARE: Cell<Spares> = const { Cell::new(Vec::new()) };
}

/// Shows the JSON that a text holds, if the text `fits` and holds any.
pub(crate) fn inside<T>(
    text: &Text<'_>,
    fits: impl FnOnce(&str) -> bool,
    show: impl FnOnce(Value<'_, '_>) -> T,
) -> Option<T> {
    with_spare(text, |Spare { text: memory, tape, cut, .. }| {
        let decoded = text.as_plain().unwrap_or(memory);
        let opens = fits(decoded) && *cut.get_or_insert_with(|| tape.cut_text(decoded).is_ok());
        opens.then(|| show(tape.root(decoded)))
    })
}

/// Shows what a text says, without an allocation where it has escapes.
pub(crate) fn decoded<T>(text: &Text<'_>, show: impl FnOnce(&str) -> T) -> T {
    match text.as_plain() {
        Some(plain) => show(plain),
        None => with_spare(text, |spare| show(&spare.text)),
    }
}

fn with_spare<T>(text: &Text<'_>, read: impl FnOnce(&mut Spare) -> T) -> T {
    let source = text.escaped().unwrap_or_default();
    let mut all = SPARE.take();
    let same = all.iter().rposition(|spare| spare.source == source);
    let mut spare = match same.or((all.len() >= TEXTS).then_some(0)) {
        Some(at) => all.remove(at),
        None => Box::default(),
    };
    // Cheaper than the key's own `set`, which may have to begin the value.
    SPARE.with(|spares| spares.set(all));
    if same.is_none() {
        spare.source.clear();
        spare.source.push_str(source);
        unescape_into(source, &mut spare.text);
        spare.cut = None;
    } else if source.is_empty() {
        // Which text without escapes it was, nobody knows.
        spare.cut = None;
    }
    let seen = read(&mut spare);
    if spare.source.len() <= KEPT && spare.tape.entries.capacity() <= KEPT / 16 {
        SPARE.with(|spares| {
            let mut all = spares.take();
            all.push(spare);
            spares.set(all);
        });
    }
    seen
}
