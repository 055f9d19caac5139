//! Cutting: what may end a string is marked, then one pass over the bytes, no recursion.

use super::text::odd;
use super::value::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use wide::u8x16;

/// Containers may be nested 127 deep, as in serde_json.
const DEPTH: usize = 127;

/// One value or key of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// First byte; of strings the quote.
    pub(super) start: u32,
    /// Byte after the last one.
    pub(super) end: u32,
    /// How many entries this one and all that it contains are.
    pub(super) size: u32,
    /// What it is.
    pub(super) tag: Tag,
    /// An earlier member with a key that comes again: no reader sees it.
    pub(super) shadowed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Null,
    True,
    False,
    Number,
    /// A string that is its own meaning.
    Clean,
    /// A string with escapes.
    Escaped,
    /// A string with escapes, one of them half a surrogate pair.
    Lone,
    Array,
    Object,
}

impl Entry {
    #[inline(always)]
    fn new(start: usize, end: usize, tag: Tag) -> Self {
        Self { start: start as u32, end: end as u32, size: 1, tag, shadowed: false }
    }
}

/// Why a record is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}: {what}")]
pub struct JsonError {
    /// Where.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// An open container, or what is around the whole.
#[derive(Clone, Copy, Debug)]
struct Frame {
    entry: u32,
    kind: Around,
    /// A key of it has escapes, so bytes do not tell whether keys are equal.
    escaped: bool,
    /// Keys of it that may come again are looked for when it is closed.
    late: bool,
    /// Keys seen so far, as a filter of 256 bits: a sign-in of Entra's has 75 members.
    keys: [u64; 4],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    Nothing,
    Array,
    Object,
}

impl Frame {
    const fn new(entry: u32, kind: Around) -> Self {
        Self { entry, kind, escaped: false, late: false, keys: [0; 4] }
    }
}

/// With more entries in an object than this, its keys are not compared with each other but sorted out at its end, so that
/// the work grows with its length alone.
const FEW: usize = 512;
/// The same where keys must be unescaped for it.
const FEW_ESCAPED: usize = 32;

/// Memory for one cut record, used again for the next.
#[derive(Debug, Default)]
pub struct Tape {
    pub(super) entries: Vec<Entry>,
    frames: Vec<Frame>,
    marks: Vec<u8>,
}

impl Tape {
    /// An empty tape.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts a record. What was cut before is gone.
    ///
    /// # Errors
    /// The bytes are not one JSON value (see the module for the one difference to serde_json).
    pub fn cut<'t, 'r>(&'t mut self, record: &'r [u8]) -> Result<Value<'t, 'r>, JsonError> {
        let Ok(text) = simdutf8::basic::from_utf8(record) else {
            // The slower check knows where.
            let at = std::str::from_utf8(record).map_or_else(|error| error.valid_up_to(), str::len);
            return Err(JsonError { at, what: "not UTF-8" });
        };
        self.cut_text(text)?;
        Ok(self.root(text))
    }

    /// As [`Tape::cut`], of what is known to be text; then [`Tape::root`] is the value.
    pub(super) fn cut_text(&mut self, text: &str) -> Result<(), JsonError> {
        if u32::try_from(text.len()).is_err() {
            return fail(0, "longer than 4 GiB");
        }
        self.entries.clear();
        self.frames.clear();
        mark(text.as_bytes(), &mut self.marks);
        Cutter { bytes: text.as_bytes(), text, marks: &self.marks }.run(&mut self.entries, &mut self.frames)
    }

    /// The value that was cut last, of this text.
    pub(super) fn root<'t, 'r>(&'t self, text: &'r str) -> Value<'t, 'r> {
        Value::new(&self.entries, text)
    }
}

/// What is cut; where the cutter stands is handed on from step to step, so that it stays in a register.
#[derive(Clone, Copy)]
struct Cutter<'a> {
    bytes: &'a [u8],
    text: &'a str,
    /// A bit for each byte, those behind the text included: see [`mark`].
    marks: &'a [u8],
}

/// Where a step ended.
type Step<T> = Result<(T, usize), JsonError>;

impl Cutter<'_> {
    fn run(self, entries: &mut Vec<Entry>, frames: &mut Vec<Frame>) -> Result<(), JsonError> {
        frames.push(Frame::new(0, Around::Nothing));
        let mut around = Around::Nothing;
        let mut at = 0;
        loop {
            let mut is_read = false;
            if around == Around::Object {
                (is_read, at) = self.members(at, frames, entries)?;
            }
            if !is_read {
                let byte;
                (byte, at) = self.next_byte(at);
                match byte {
                    Some(open @ (b'{' | b'[')) => {
                        if frames.len() > DEPTH {
                            return fail(at, "nested too deeply");
                        }
                        let (tag, end);
                        (tag, around, end) = match open {
                            b'{' => (Tag::Object, Around::Object, b'}'),
                            _ => (Tag::Array, Around::Array, b']'),
                        };
                        frames.push(Frame::new(entries.len() as u32, around));
                        entries.push(Entry::new(at, at, tag));
                        let byte;
                        (byte, at) = self.next_byte(at + 1);
                        if byte != Some(end) {
                            continue;
                        }
                        at += 1;
                        around = self.close(at, entries, frames);
                    }
                    Some(b'"') => {
                        let (tag, end) = self.string(at)?;
                        entries.push(Entry::new(at, end, tag));
                        at = end;
                    }
                    Some(b'-' | b'0'..=b'9') => {
                        let end = self.number(at)?;
                        entries.push(Entry::new(at, end, Tag::Number));
                        at = end;
                    }
                    Some(b't' | b'f' | b'n') => {
                        let Some((tag, end)) = self.word(at) else { return fail(at, "expected a value") };
                        entries.push(Entry::new(at, end, tag));
                        at = end;
                    }
                    Some(_) => return fail(at, "expected a value"),
                    None => return fail(at, "ends too early"),
                }
            }
            loop {
                let byte;
                (byte, at) = self.next_byte(at);
                match (byte, around) {
                    (Some(b','), Around::Object | Around::Array) => {
                        at += 1;
                        break;
                    }
                    (Some(b'}'), Around::Object) | (Some(b']'), Around::Array) => {
                        at += 1;
                        around = self.close(at, entries, frames);
                    }
                    (None, Around::Nothing) => return Ok(()),
                    (None, _) => return fail(at, "ends too early"),
                    (_, Around::Nothing) => return fail(at, "something follows the value"),
                    (_, Around::Object) => return fail(at, "expected `,` or `}`"),
                    (_, Around::Array) => return fail(at, "expected `,` or `]`"),
                }
            }
        }
    }

    /// What is around the container that ends before `at`.
    fn close(self, at: usize, entries: &mut [Entry], frames: &mut Vec<Frame>) -> Around {
        if let Some(frame) = frames.pop() {
            if frame.late {
                shadow_all(self.text, frame.entry, entries);
            }
            let behind = entries.len() as u32;
            if let Some(entry) = entries.get_mut(frame.entry as usize) {
                entry.end = at as u32;
                entry.size = behind.wrapping_sub(frame.entry);
            }
        }
        frames.last().map_or(Around::Nothing, |frame| frame.kind)
    }

    /// Skips white space; the byte that follows, and where it is.
    #[inline(always)]
    fn next_byte(self, at: usize) -> (Option<u8>, usize) {
        match self.bytes.get(at) {
            // All that may follow is above the white space, and most often nothing is between.
            Some(byte) if *byte > b' ' => (Some(*byte), at),
            _ => self.next_byte_behind(at),
        }
    }

    #[cold]
    fn next_byte_behind(self, mut at: usize) -> (Option<u8>, usize) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes.get(at) {
            at += 1;
        }
        (self.bytes.get(at).copied(), at)
    }

    /// `null`, `true` or `false`, and where it ends.
    #[inline(always)]
    fn word(self, at: usize) -> Option<(Tag, usize)> {
        let rest = self.bytes.get(at..)?;
        match rest.first_chunk()? {
            b"null" => Some((Tag::Null, at + 4)),
            b"true" => Some((Tag::True, at + 4)),
            _ if rest.starts_with(b"false") => Some((Tag::False, at + 5)),
            _ => None,
        }
    }

    /// Keys of the innermost object, and the values that are strings or words, one after the other as most are. Whether the
    /// last value is read, and where that ends; or else where the one begins that is something else.
    #[inline(always)]
    fn members(self, mut at: usize, frames: &mut [Frame], entries: &mut Vec<Entry>) -> Step<bool> {
        let Some(frame) = frames.last_mut() else { return Ok((false, at)) };
        loop {
            let byte;
            (byte, at) = self.next_byte(at);
            if byte != Some(b'"') {
                return fail(at, "expected a key");
            }
            let (tag, end) = self.string(at)?;
            self.key(Entry::new(at, end, tag), frame, entries);
            let key = Entry::new(at, end, tag);
            (_, at) = match self.next_byte(end) {
                (Some(b':'), at) => self.next_byte(at + 1),
                (_, at) => return fail(at, "expected `:`"),
            };
            let (tag, end) = if self.bytes.get(at) == Some(&b'"') {
                self.string(at)?
            } else if let Some(word) = self.word(at) {
                word
            } else {
                entries.push(key);
                return Ok((false, at));
            };
            entries.extend_from_slice(&[key, Entry::new(at, end, tag)]);
            if self.bytes.get(end) != Some(&b',') {
                return Ok((true, end));
            }
            at = end + 1;
        }
    }

    /// Hides earlier members of the same name.
    #[inline(always)]
    fn key(self, key: Entry, frame: &mut Frame, entries: &mut [Entry]) {
        if key.tag != Tag::Clean {
            frame.escaped = true;
        }
        let (word, bit) = filter(self.bytes, key.start as usize, key.end as usize);
        let seen = frame.keys.get_mut(word).is_some_and(|word| {
            let seen = *word & bit != 0;
            *word |= bit;
            seen
        });
        if seen || frame.escaped {
            let behind = entries.len().wrapping_sub(frame.entry as usize);
            if behind > if frame.escaped { FEW_ESCAPED } else { FEW } {
                frame.late = true;
            } else {
                shadow(self.text, frame.entry, key, entries);
            }
        }
    }

    /// Stands on the opening quote; ends behind the closing one.
    #[inline(always)]
    fn string(self, start: usize) -> Step<Tag> {
        let at = plain_until(self.marks, start + 1);
        match self.bytes.get(at) {
            Some(b'"') => Ok((Tag::Clean, at + 1)),
            Some(b'\\') => escaped(self.bytes, self.marks, at),
            Some(_) => fail(at, "control character in a string"),
            None => fail(at, "ends inside a string"),
        }
    }

    /// Where the digits end that stand here.
    #[inline]
    fn digits(self, mut at: usize) -> usize {
        while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    }

    /// At least one digit.
    fn some_digits(self, at: usize) -> Result<usize, JsonError> {
        match self.digits(at) {
            end if end == at => fail(at, "expected a digit"),
            end => Ok(end),
        }
    }

    fn number(self, start: usize) -> Result<usize, JsonError> {
        let mut at = start + usize::from(self.bytes.get(start) == Some(&b'-'));
        if self.bytes.get(at) == Some(&b'0') {
            at += 1;
            if self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
                return fail(at, "a number begins with 0");
            }
        } else {
            at = self.some_digits(at)?;
        }
        let mut large = at - start > 300;
        if self.bytes.get(at) == Some(&b'.') {
            at = self.some_digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(at) {
            large = true;
            at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(at) {
                at += 1;
            }
            at = self.some_digits(at)?;
        }
        // What a double cannot hold is refused, by the very rule of serde_json; such numbers are rare.
        if large {
            let number = self.text.get(start..at).unwrap_or_default();
            if serde_json::from_str::<serde_json::Value>(number).is_err() {
                return fail(at, "number out of range");
            }
        }
        Ok(at)
    }
}

fn quoted(text: &str, entry: Entry) -> super::Text<'_> {
    let span = entry.start as usize..entry.end as usize;
    super::Text::quoted(text.get(span).unwrap_or_default(), entry.tag)
}

/// Hides an earlier member of the same name.
#[cold]
fn shadow(text: &str, object: u32, key: Entry, entries: &mut [Entry]) {
    let mut at = object as usize + 1;
    let name = quoted(text, key);
    while let Some(earlier) = entries.get(at).copied() {
        let plain = earlier.tag == Tag::Clean && key.tag == Tag::Clean;
        let next = match entries.get(at + 1) {
            Some(value) => at + 1 + value.size as usize,
            None => return,
        };
        if plain && earlier.end - earlier.start != key.end - key.start {
            at = next;
            continue;
        }
        if quoted(text, earlier) == name
            && let Some(earlier) = entries.get_mut(at)
        {
            earlier.shadowed = true;
        }
        at = next;
    }
}

/// Hides all members of an object whose key comes again later.
#[cold]
fn shadow_all(text: &str, object: u32, entries: &mut [Entry]) {
    let mut last: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let mut at = object as usize + 1;
    while let Some(key) = entries.get(at).copied() {
        let Some(value) = entries.get(at + 1) else { return };
        let next = at + 1 + value.size as usize;
        let earlier = last.insert(quoted(text, key).into_cow(), at);
        if let Some(earlier) = earlier.and_then(|earlier| entries.get_mut(earlier)) {
            earlier.shadowed = true;
        }
        at = next;
    }
}

/// Stands on the first backslash of a string.
#[cold]
fn escaped(bytes: &[u8], marks: &[u8], mut at: usize) -> Step<Tag> {
    let mut tag = Tag::Escaped;
    loop {
        at = plain_until(marks, at);
        match bytes.get(at) {
            Some(b'"') => return Ok((tag, at + 1)),
            Some(b'\\') => {}
            Some(_) => return fail(at, "control character in a string"),
            None => return fail(at, "ends inside a string"),
        }
        match bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
            Some(b'u') => {
                let Some(unit) = unit_at(bytes, at + 2) else {
                    return fail(at, "expected four hexadecimal digits");
                };
                at += 6;
                match unit {
                    0xD800..=0xDBFF => {
                        let low = match bytes.get(at..at + 2) {
                            Some(b"\\u") => unit_at(bytes, at + 2),
                            _ => None,
                        };
                        match low {
                            Some(0xDC00..=0xDFFF) => at += 6,
                            _ => tag = Tag::Lone,
                        }
                    }
                    0xDC00..=0xDFFF => tag = Tag::Lone,
                    _ => {}
                }
            }
            _ => return fail(at, "unknown escape"),
        }
    }
}

#[cold]
fn fail<T>(at: usize, what: &'static str) -> Result<T, JsonError> {
    Err(JsonError { at, what })
}

/// Where the plain run ends that stands here.
#[inline(always)]
fn plain_until(marks: &[u8], mut at: usize) -> usize {
    // At least 57 marks from here on: most strings are shorter, so that the processor has nothing to guess.
    while let Some(word) = marks.get(at / 8..).and_then(|rest| rest.first_chunk()) {
        match u64::from_le_bytes(*word) >> (at % 8) {
            0 => at = (at / 8 + 8) * 8,
            window => return at.wrapping_add(window.trailing_zeros() as usize),
        }
    }
    at
}

/// Bytes that are marked at once.
const BLOCK: usize = 64;

/// Marks what ends a plain run of a string: a quote, a backslash, a control character, and what is behind the end.
fn mark(bytes: &[u8], marks: &mut Vec<u8>) {
    const WORD: usize = BLOCK / 8;
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    // Behind the last block another word, so that from each byte's mark on there is one.
    marks.resize((blocks.len() + 2) * WORD, u8::MAX);
    if let Some(behind) = marks.last_chunk_mut::<WORD>() {
        *behind = [u8::MAX; WORD];
    }
    let (words, _) = marks.as_chunks_mut::<WORD>();
    let mut last = [0; BLOCK];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    for (word, block) in words.iter_mut().zip(blocks.iter().chain([&last])) {
        *word = special(block).to_le_bytes();
    }
}

#[inline(always)]
fn special(block: &[u8; BLOCK]) -> u64 {
    let of = |quarter: Option<&[u8; 16]>| quarter.map_or(0, |bytes| odd(u8x16::new(*bytes)).to_bitmask());
    let (quarters, _) = block.as_chunks::<16>();
    let [a, b, c, d] = [0, 1, 2, 3].map(|nth| u64::from(of(quarters.get(nth))));
    a | b << 16 | c << 32 | d << 48
}

/// One of 256 bits for a key, its quotes included: which word of 64, and which bit. Keys of one object that share it are
/// compared in full.
#[inline(always)]
fn filter(bytes: &[u8], start: usize, end: usize) -> (usize, u64) {
    let first = match bytes.get(start..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => last_bytes(bytes, start),
    };
    let len = end.wrapping_sub(start);
    // Its first eight bytes and its length; what is not its own must not count.
    let foreign = 64_u32.wrapping_sub(8_u32.wrapping_mul(len.min(8) as u32));
    // Searched for: the one of some thousands that tells most keys of one object of the four vendors' apart.
    let hash = (first.wrapping_shl(foreign) ^ len as u64).wrapping_mul(0xED0F_3320_74D7_2503);
    ((hash >> 62) as usize, 1 << (hash >> 56 & 63))
}

/// The last bytes of a record, as a whole word would begin with them.
#[cold]
fn last_bytes(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// The UTF-16 unit that four hexadecimal digits stand for.
pub(super) fn unit_at(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |sum, &digit| Some(sum << 4 | (digit as char).to_digit(16)?))
}
