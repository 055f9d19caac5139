//! The writer that all JSON schemas share.
//!
//! Every member and element is written with a comma before it; when its container is closed, the first comma becomes the
//! bracket. So nothing needs to know whether it comes first, and a container in which nothing was written vanishes.

use crate::event::Field;
use crate::json::{Kind, Piece, Text, Value, write_string};
use std::cell::Cell;
use std::ops::Range;

/// Lucene refuses terms over 32,766 bytes, and the whole document with them. Room is left for the path that a
/// flattened field puts before each value: up to 12 names of 256 bytes.
pub(super) const LONGEST: usize = 29_500;

/// Levels of a document: readers refuse more, as our own of records does.
pub(super) const LEVELS: usize = 127;

impl Open {
    /// Where what it holds begins.
    pub(super) fn value(self) -> usize {
        self.content
    }
}

/// Appends a document to a buffer.
#[derive(Debug)]
pub struct Writer<'b> {
    pub(super) buf: &'b mut Vec<u8>,
    /// Where each copied value stands in the buffer, and where it stood in the record.
    notes: Option<&'b mut Vec<(usize, usize)>>,
    /// What of the record was copied, for a schema that must know it.
    copied: Option<Copied>,
    /// The record that most of the document is copied from.
    record: &'b str,
    pub(super) drift: u32,
    /// Where what drifted stands in the record, one each, while notes are taken.
    pub(super) odd: Vec<usize>,
    /// Where the text of the record stands that is being read out, while it is.
    pub(super) within: Option<usize>,
    pub(super) cut: u32,
    /// Whether what does not fit is put aside; set by the table.
    pub(super) keeps: bool,
    /// Whether that is known by its name, for want of a path that says more; within lists of named values.
    pub(super) by_name: bool,
    /// What of the record the event has, where its table cannot know.
    pub(super) found: Found,
    /// What was put aside, once anything was.
    pub(super) aside: Option<Aside>,
    /// Where the first addresses of the namespace stand in the buffer.
    pub(super) addresses: [(usize, usize); 4],
}

/// What of a record an event has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// A time.
    pub(super) time: bool,
    /// Two coordinates.
    pub(super) location: bool,
    /// Not all of its place.
    pub(super) partial: bool,
    /// Where its address stands in memory: one that need not be read again.
    pub(super) address: Option<usize>,
    /// What is no part in the list of the record's parts.
    pub(super) strays: bool,
}

/// Values that were put aside, in memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Aside {
    pub(super) values: Vec<OddValue>,
    names: String,
    bytes: Vec<u8>,
    pub(super) path: String,
}

/// One of them.
#[derive(Debug)]
pub(super) struct OddValue {
    /// Where it stands in the record; `None`: in a text of the record.
    pub(super) offset: Option<usize>,
    name: Range<usize>,
    value: Range<usize>,
    notes: Vec<(usize, usize)>,
}

impl Aside {
    /// Bytes up to which memory is kept for the next document.
    const KEPT: usize = 64 << 10;

    pub(super) fn name(&self, odd: &OddValue) -> &str {
        self.names.get(odd.name.clone()).unwrap_or_default()
    }

    /// Memory for the next.
    fn free() -> Self {
        ASIDE.take()
    }

    /// Gives the memory back.
    pub(super) fn done(mut self) {
        if self.bytes.capacity() + self.names.capacity() + self.path.capacity() <= Self::KEPT {
            self.values.clear();
            self.names.clear();
            self.bytes.clear();
            ASIDE.with(|spare| spare.set(self));
        }
    }
}

thread_local! {
    static ASIDE: Cell<Aside> = Cell::default();
}

/// Which values of a record were copied: a bit for each byte that one begins at.
#[derive(Debug, Default)]
pub(super) struct Copied {
    words: Vec<u64>,
    /// Of a large record, the words that are not zero: it may have very many events, and each begins anew.
    set: Vec<usize>,
}

impl Copied {
    /// Words of a record that is large: 64 KiB of it.
    const LARGE: usize = 1 << 10;

    pub(super) const fn new() -> Self {
        Self { words: Vec::new(), set: Vec::new() }
    }

    /// None yet, of a record of this length. The memory is used again.
    pub(super) fn of(mut self, length: usize) -> Self {
        let words = length / 64 + 1;
        if words > Self::LARGE && words == self.words.len() {
            for at in self.set.drain(..) {
                if let Some(word) = self.words.get_mut(at) {
                    *word = 0;
                }
            }
        } else {
            self.words.clear();
            self.words.resize(words, 0);
            self.set.clear();
        }
        self
    }

    #[inline]
    fn set(&mut self, at: usize) {
        let large = self.words.len() > Self::LARGE;
        if let Some(word) = self.words.get_mut(at / 64) {
            if large && *word == 0 {
                self.set.push(at / 64);
            }
            *word |= 1 << (at % 64);
        }
    }

    #[inline]
    pub(super) fn has(&self, at: usize) -> bool {
        self.words.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
    }
}

/// An open container: where its label and where its content begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    label: usize,
    content: usize,
}

/// The end of a document, and what had been cut by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here {
    at: usize,
    cut: u32,
}

impl<'b> Writer<'b> {
    /// Appends to `buf`.
    #[must_use]
    pub fn new(buf: &'b mut Vec<u8>) -> Self {
        Self {
            buf,
            notes: None,
            copied: None,
            record: "",
            drift: 0,
            odd: Vec::new(),
            within: None,
            cut: 0,
            keeps: false,
            found: Found::default(),
            by_name: false,
            aside: None,
            addresses: [(0, 0); 4],
        }
    }

    pub(super) fn noting(buf: &'b mut Vec<u8>, notes: &'b mut Vec<(usize, usize)>) -> Self {
        Self { notes: Some(notes), ..Self::new(buf) }
    }

    pub(super) fn begin(&mut self, record: &'b str) {
        self.record = record;
        self.buf.reserve(record.len() * 2 + 2048);
    }

    /// From here on what is copied is remembered, until it is taken back.
    pub(super) fn remember(&mut self, copied: Copied) {
        self.copied = Some(copied);
    }

    /// What was copied since.
    pub(super) fn copied(&mut self) -> Option<Copied> {
        self.copied.take()
    }

    /// A text counts as copied, although only its meaning is written.
    pub(super) fn mark(&mut self, text: Option<&Text<'_>>) {
        if let (Some(copied), Some(slice)) = (&mut self.copied, text.and_then(Text::source)) {
            copied.set(place_in(self.record, slice.as_ptr() as usize));
        }
    }

    /// Whether nothing was written into a container yet.
    pub(super) fn is_empty_since(&self, open: Open) -> bool {
        self.buf.len() == open.content
    }

    /// What a value copied from the record is noted as.
    #[inline]
    pub(super) fn note(&mut self, slice: &str) {
        self.note_address(slice.as_ptr() as usize);
    }

    /// As [`Writer::note`], of what stands there.
    #[inline]
    fn note_address(&mut self, address: usize) {
        if let Some(copied) = &mut self.copied {
            copied.set(place_in(self.record, address));
        }
        self.note_only_address(address);
    }

    /// As [`Writer::note`], of what does not stand in the document word for word.
    #[inline]
    pub(super) fn note_only(&mut self, slice: &str) {
        self.note_only_address(slice.as_ptr() as usize);
    }

    #[inline]
    fn note_only_address(&mut self, address: usize) {
        if let Some(notes) = &mut self.notes {
            let offset = place_in(self.record, address);
            if offset < self.record.len() {
                notes.push((self.buf.len(), offset));
            }
        }
    }

    /// Counts a value that the table did not expect, or not of this type; with notes, also where it stands.
    #[cold]
    pub(super) fn drifted(&mut self, value: Value<'_, '_>) {
        self.drift += 1;
        if self.notes.is_some() {
            self.odd.push(self.offset_of(value.raw()).or(self.within).unwrap_or(usize::MAX));
        }
    }

    /// Counts no more than so many.
    pub(super) fn forget_drift(&mut self, to: u32) {
        self.drift = to;
        self.odd.truncate(usize::try_from(to).unwrap_or(usize::MAX));
    }

    /// As [`Writer::note`], for what is made of a text.
    #[inline]
    pub(super) fn note_text(&mut self, text: Option<&Text<'_>>) {
        if self.notes.is_some()
            && let Some(slice) = text.and_then(|text| text.source().or_else(|| text.as_slice()))
        {
            self.note(slice);
        }
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &str) {
        self.buf.extend_from_slice(bytes.as_bytes());
    }

    /// A slice of the record, as it stands.
    #[inline]
    pub(super) fn copy(&mut self, slice: &str) {
        self.note(slice);
        // As a piece, if it is short and enough of the record is behind it.
        let from = place_in(self.record, slice.as_ptr() as usize);
        match self.record.as_bytes().get(from..).and_then(<[u8]>::first_chunk::<{ Piece::SHORT }>) {
            Some(bytes) if slice.len() <= Piece::SHORT => self.put_first(bytes, slice.len()),
            _ => self.put(slice),
        }
    }

    /// A member as it stands in the record, its value from `value` on.
    #[inline]
    pub(super) fn member(&mut self, member: Piece<'_>, value: usize) -> bool {
        if member.len() > LONGEST {
            return false;
        }
        self.any_member(member, value);
        true
    }

    /// The same, however long it is.
    #[inline]
    fn any_member(&mut self, member: Piece<'_>, value: usize) {
        self.buf.push(b',');
        if let Some(notes) = &mut self.notes {
            let offset = place_in(self.record, member.address()).wrapping_add(value);
            if offset < self.record.len() {
                notes.push((self.buf.len() + value, offset));
            }
        }
        self.put_piece(member);
    }

    /// A string of the record that is fit for any document, as it stands.
    #[inline]
    pub(super) fn piece(&mut self, piece: Piece<'_>) {
        if self.copied.is_some() || self.notes.is_some() {
            self.note_address(piece.address());
        }
        self.put_piece(piece);
    }

    /// Most are short: bytes of a number that is known are copied without a call, and taken back where they are too many.
    #[inline]
    pub(super) fn put_piece(&mut self, piece: Piece<'_>) {
        match piece.short() {
            Some(bytes) => self.put_first(bytes, piece.len()),
            None => self.buf.extend_from_slice(piece.bytes()),
        }
    }

    #[inline]
    fn put_first<const N: usize>(&mut self, bytes: &[u8; N], length: usize) {
        let end = self.buf.len().wrapping_add(length);
        self.buf.extend_from_slice(bytes);
        self.buf.truncate(end);
    }

    /// A field's label.
    #[inline]
    pub(super) fn label(&mut self, field: &Field) {
        if field.label.len() <= Field::SHORT {
            self.put_first(&field.short, field.label.len());
        } else {
            self.put(field.label);
        }
    }

    /// As [`Writer::open`], of a field.
    #[inline]
    pub(super) fn open_field(&mut self, field: &Field) -> Open {
        let label = self.buf.len();
        self.label(field);
        self.opened(label)
    }

    /// A string for an indexed field.
    #[inline]
    pub(super) fn string(&mut self, text: &Text<'_>) {
        match text.verbatim() {
            Some(slice) if slice.len() <= LONGEST => self.copy(slice),
            _ => self.other_string(text),
        }
    }

    /// As [`Writer::string`], within a string that was begun: without quotes.
    pub(super) fn within_string(&mut self, text: &Text<'_>) {
        let at = self.len();
        self.string(text);
        self.buf.remove(at);
        self.buf.pop();
    }

    fn other_string(&mut self, text: &Text<'_>) {
        if text.len_at_most() > LONGEST {
            return self.long(text);
        }
        if let Some(slice) = text.source().or_else(|| text.as_slice()) {
            self.note(slice);
        }
        text.write(self.buf);
    }

    #[cold]
    fn long(&mut self, text: &Text<'_>) {
        if let Some(slice) = text.source() {
            // A part of it is no copy.
            self.note_only(slice);
        }
        self.plain(&text.decode());
    }

    /// A string of our own making for an indexed field.
    pub(super) fn plain(&mut self, text: &str) {
        let mut end = text.len();
        if end > LONGEST {
            self.cut += 1;
            end = LONGEST;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
        }
        write_string(text.get(..end).unwrap_or_default(), self.buf);
    }

    /// A member, if there is a value.
    #[inline]
    pub(super) fn text(&mut self, label: &str, text: &Option<Text<'_>>) {
        if let Some(text) = text {
            self.put(label);
            self.string(text);
        }
    }

    #[inline]
    pub(super) fn open(&mut self, label: &str) -> Open {
        let at = self.buf.len();
        self.put(label);
        Open { label: at, content: self.buf.len() }
    }

    /// A container whose label was written already, from `label` on.
    pub(super) fn opened(&self, label: usize) -> Open {
        Open { label, content: self.buf.len() }
    }

    /// Takes a label back.
    pub(super) fn cut_label(&mut self, open: Open) {
        self.cut_back(open.label);
    }

    /// As [`Writer::note`], for what was written from `at` on.
    pub(super) fn note_at(&mut self, at: usize, slice: &str) {
        self.forget_notes(at);
        if let Some(notes) = &mut self.notes {
            let offset = place_in(self.record, slice.as_ptr() as usize);
            if offset < self.record.len() {
                notes.push((at, offset));
            }
        }
    }

    /// What was written from `at` on was read out of the text of the record that is being read out.
    #[cold]
    pub(super) fn note_within(&mut self, at: usize) {
        self.forget_notes(at);
        if let (Some(notes), Some(offset)) = (&mut self.notes, self.within) {
            notes.push((at, offset));
        }
    }

    /// An object's members as strict JSON, with room for so many levels.
    pub(super) fn members(&mut self, value: Option<Value<'_, '_>>, room: usize) {
        for (key, member) in value.iter().flat_map(Value::members) {
            if let Some((whole, at)) = member.member(&key) {
                self.any_member(whole, at);
                continue;
            }
            self.put(",");
            key.write(self.buf);
            self.put(":");
            self.strict_in(member, room);
        }
    }

    /// A value of the record as strict JSON: as it stands, but for half surrogate pairs and members that come again.
    pub(super) fn strict(&mut self, value: Value<'_, '_>) {
        self.strict_in(value, LEVELS);
    }

    /// The same with room for so many levels; what is deeper is JSON in text.
    pub(super) fn strict_in(&mut self, value: Value<'_, '_>, room: usize) {
        match value.kind() {
            Kind::Object | Kind::Array if room == 0 => {
                self.note(value.raw());
                write_string(value.raw(), self.buf);
            }
            Kind::Object => {
                let open = self.open("");
                self.members(Some(value), room - 1);
                if !self.close(open) {
                    self.put("{}");
                }
            }
            Kind::Array => {
                let open = self.open("");
                for element in value.elements() {
                    self.put(",");
                    self.strict_in(element, room - 1);
                }
                if !self.close_array(open) {
                    self.put("[]");
                }
            }
            Kind::String => {
                if let Some(text) = value.as_text() {
                    self.note(value.raw());
                    text.write(self.buf);
                }
            }
            Kind::Null | Kind::Bool | Kind::Number => self.copy(value.raw()),
        }
    }

    /// Takes what was written from `at` on out of the buffer, for later.
    #[cold]
    pub(super) fn put_aside(&mut self, at: usize, offset: Option<usize>, name: &str) {
        let aside = self.aside.get_or_insert_with(Aside::free);
        let value = aside.bytes.len();
        aside.bytes.extend_from_slice(self.buf.get(at..).unwrap_or_default());
        self.buf.truncate(at);
        let mut taken = Vec::new();
        if let Some(notes) = &mut self.notes {
            let from = notes.partition_point(|(noted, _)| *noted < at);
            taken = notes.drain(from..).map(|(noted, of)| (noted - at, of)).collect();
        }
        let begin = aside.names.len();
        aside.names.push_str(name);
        let (name, value) = (begin..aside.names.len(), value..aside.bytes.len());
        aside.values.push(OddValue { offset, name, value, notes: taken });
    }

    /// Writes it after all.
    #[cold]
    pub(super) fn put_back(&mut self, aside: &Aside, odd: &OddValue) {
        let at = self.len();
        if let Some(notes) = &mut self.notes {
            notes.extend(odd.notes.iter().map(|(noted, of)| (noted + at, *of)));
        }
        self.buf.extend_from_slice(aside.bytes.get(odd.value.clone()).unwrap_or_default());
    }

    /// Where in the record a slice of it begins.
    pub(super) fn offset_of(&self, slice: &str) -> Option<usize> {
        let offset = place_in(self.record, slice.as_ptr() as usize);
        (offset < self.record.len()).then_some(offset)
    }

    /// An address of the namespace.
    pub(super) fn address(&mut self, text: &Text<'_>) {
        let at = self.len();
        self.string(text);
        let end = self.len();
        if let Some(free) = self.addresses.iter_mut().find(|(_, end)| *end == 0) {
            *free = (at, end);
        }
    }

    /// Closes an object; an empty one vanishes with its label.
    #[inline]
    pub(super) fn close(&mut self, open: Open) -> bool {
        self.shut(open, b'{', b'}')
    }

    /// Closes an array; an empty one vanishes with its label.
    #[inline]
    pub(super) fn close_array(&mut self, open: Open) -> bool {
        self.shut(open, b'[', b']')
    }

    #[inline]
    fn shut(&mut self, open: Open, first: u8, last: u8) -> bool {
        if self.buf.len() == open.content {
            self.cut_back(open.label);
            return false;
        }
        if let Some(comma) = self.buf.get_mut(open.content) {
            *comma = first;
        }
        self.buf.push(last);
        true
    }

    /// Where the document ends now, for what may be taken back.
    pub(super) fn here(&self) -> Here {
        Here { at: self.len(), cut: self.cut }
    }

    /// Takes back everything from there on, and that anything in it was cut.
    pub(super) fn back_to(&mut self, here: Here) {
        self.cut_back(here.at);
        self.cut = here.cut;
    }

    /// Takes back everything from here on.
    pub(super) fn cut_back(&mut self, to: usize) {
        self.buf.truncate(to);
        self.forget_notes(to);
    }

    /// Notes are in the document's order, so those from here on stand last.
    fn forget_notes(&mut self, to: usize) {
        if let Some(notes) = &mut self.notes {
            while notes.pop_if(|(at, _)| *at >= to).is_some() {}
        }
    }

    /// What was noted between `from` and `to` also holds for its copy.
    pub(super) fn copy_notes(&mut self, from: usize, to: usize, copied: usize) {
        if let Some(notes) = &mut self.notes {
            let again: Vec<_> = notes
                .iter()
                .filter(|(at, _)| (from..to).contains(at))
                .map(|(at, offset)| (at - from + copied, *offset))
                .collect();
            notes.extend(again);
        }
    }

    pub(super) fn number(&mut self, number: i64) {
        match u8::try_from(number) {
            // Ids of enumerations and codes.
            Ok(digit @ 0..=9) => self.buf.push(b'0' + digit),
            _ => self.put(itoa::Buffer::new().format(number)),
        }
    }

    /// A word of our own in which nothing is to be escaped.
    #[inline]
    pub(super) fn caption(&mut self, word: &'static str) {
        debug_assert!(!word.contains(['"', '\\']), "{word}");
        self.put("\"");
        self.put(word);
        self.put("\"");
    }

    pub(super) fn boolean(&mut self, truth: bool) {
        self.put(if truth { "true" } else { "false" });
    }

    /// Where the buffer ends.
    pub(super) fn len(&self) -> usize {
        self.buf.len()
    }
}

/// Where in the record something stands that stands there in memory; of anything else at least as much as it is long.
#[inline]
fn place_in(record: &str, address: usize) -> usize {
    address.wrapping_sub(record.as_ptr() as usize)
}
