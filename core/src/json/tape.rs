//! Cutting: one pass over the bytes, no recursion.

use super::value::Value;
use std::borrow::Cow;
use std::collections::HashMap;

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

/// Why a record is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}: {what}")]
pub struct JsonError {
    /// Where.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// An open container.
#[derive(Clone, Copy, Debug)]
struct Frame {
    entry: u32,
    object: bool,
    /// Keys seen so far, as a filter of 256 bits: a sign-in of Entra's has 75 members.
    keys: [u64; 4],
    /// A key of it has escapes, so bytes do not tell whether keys are equal.
    escaped: bool,
    /// How many keys it has so far.
    count: u32,
    /// Keys of it that may come again are looked for when it is closed.
    late: bool,
}

impl Frame {
    const fn new(entry: u32, object: bool) -> Self {
        Self { entry, object, keys: [0; 4], escaped: false, count: 0, late: false }
    }
}

/// With more keys than this, an object's are not compared with each other but sorted out at its end, so that the work
/// grows with its length alone.
const FEW: u32 = 256;
/// The same where keys must be unescaped for it.
const FEW_ESCAPED: u32 = 16;

/// Memory for one cut record, used again for the next.
#[derive(Debug, Default)]
pub struct Tape {
    pub(super) entries: Vec<Entry>,
    frames: Vec<Frame>,
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
        if u32::try_from(record.len()).is_err() {
            return Err(JsonError { at: 0, what: "longer than 4 GiB" });
        }
        self.entries.clear();
        self.frames.clear();
        Cutter { bytes: record, text, at: 0, tape: self }.run()?;
        Ok(Value::new(&self.entries, text))
    }
}

struct Cutter<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    tape: &'a mut Tape,
}

impl Cutter<'_> {
    fn run(&mut self) -> Result<(), JsonError> {
        let mut frame = Frame::new(u32::MAX, false);
        'value: loop {
            match self.next_byte() {
                Some(open @ (b'{' | b'[')) => {
                    if self.tape.frames.len() >= DEPTH {
                        return self.fail("nested too deeply");
                    }
                    self.tape.frames.push(frame);
                    let object = open == b'{';
                    let entry = self.tape.entries.len() as u32;
                    frame = Frame::new(entry, object);
                    let tag = if object { Tag::Object } else { Tag::Array };
                    self.push(self.at, self.at, tag);
                    self.at += 1;
                    match self.next_byte() {
                        Some(b'}') if object => {}
                        Some(b']') if !object => {}
                        _ if object => {
                            self.key(&mut frame)?;
                            continue 'value;
                        }
                        _ => continue 'value,
                    }
                    self.at += 1;
                    frame = self.close(frame);
                }
                Some(b'"') => {
                    let start = self.at;
                    let tag = self.string()?;
                    self.push(start, self.at, tag);
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal("true", Tag::True)?,
                Some(b'f') => self.literal("false", Tag::False)?,
                Some(b'n') => self.literal("null", Tag::Null)?,
                Some(_) => return self.fail("expected a value"),
                None => return self.fail("ends too early"),
            }
            loop {
                if frame.entry == u32::MAX {
                    return match self.next_byte() {
                        None => Ok(()),
                        Some(_) => self.fail("something follows the value"),
                    };
                }
                match (self.next_byte(), frame.object) {
                    (Some(b','), true) => {
                        self.at += 1;
                        self.next_byte();
                        self.key(&mut frame)?;
                        continue 'value;
                    }
                    (Some(b','), false) => {
                        self.at += 1;
                        continue 'value;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        frame = self.close(frame);
                    }
                    (Some(_), true) => return self.fail("expected `,` or `}`"),
                    (Some(_), false) => return self.fail("expected `,` or `]`"),
                    (None, _) => return self.fail("ends too early"),
                }
            }
        }
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, JsonError> {
        Err(JsonError { at: self.at, what })
    }

    #[inline]
    fn push(&mut self, start: usize, end: usize, tag: Tag) {
        self.tape.entries.push(Entry { start: start as u32, end: end as u32, size: 1, tag, shadowed: false });
    }

    fn close(&mut self, frame: Frame) -> Frame {
        if frame.late {
            self.shadow_all(frame.entry);
        }
        let behind = self.tape.entries.len() as u32;
        if let Some(entry) = self.tape.entries.get_mut(frame.entry as usize) {
            entry.end = self.at as u32;
            entry.size = behind.wrapping_sub(frame.entry);
        }
        self.tape.frames.pop().unwrap_or(frame)
    }

    /// Skips white space; the byte that follows.
    #[inline]
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    #[inline(always)]
    fn key(&mut self, frame: &mut Frame) -> Result<(), JsonError> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return self.fail("expected a key");
        }
        let start = self.at;
        let tag = self.string()?;
        let end = self.at;
        if tag != Tag::Clean {
            frame.escaped = true;
        }
        let (word, bit) = filter(self.bytes, start, end);
        let seen = frame.keys.get_mut(word).is_some_and(|word| {
            let seen = *word & bit != 0;
            *word |= bit;
            seen
        });
        frame.count += 1;
        if seen || frame.escaped {
            if frame.count > if frame.escaped { FEW_ESCAPED } else { FEW } {
                frame.late = true;
            } else {
                self.shadow(frame.entry, start, end, tag);
            }
        }
        self.push(start, end, tag);
        if self.next_byte() != Some(b':') {
            return self.fail("expected `:`");
        }
        self.at += 1;
        Ok(())
    }

    /// Hides an earlier member of the same name.
    #[cold]
    fn shadow(&mut self, object: u32, start: usize, end: usize, tag: Tag) {
        let mut at = object as usize + 1;
        let key = super::Text::quoted(self.text.get(start..end).unwrap_or_default(), tag);
        while let Some(earlier) = self.tape.entries.get(at).copied() {
            let span = earlier.start as usize..earlier.end as usize;
            let plain = earlier.tag == Tag::Clean && tag == Tag::Clean;
            let next = match self.tape.entries.get(at + 1) {
                Some(value) => at + 1 + value.size as usize,
                None => return,
            };
            if plain && span.len() != end - start {
                at = next;
                continue;
            }
            let theirs = super::Text::quoted(self.text.get(span).unwrap_or_default(), earlier.tag);
            if theirs == key
                && let Some(earlier) = self.tape.entries.get_mut(at)
            {
                earlier.shadowed = true;
            }
            at = next;
        }
    }

    /// Hides all members of an object whose key comes again later.
    #[cold]
    fn shadow_all(&mut self, object: u32) {
        let text = self.text;
        let mut last: HashMap<Cow<'_, str>, usize> = HashMap::new();
        let mut at = object as usize + 1;
        while let Some(key) = self.tape.entries.get(at).copied() {
            let Some(value) = self.tape.entries.get(at + 1) else { return };
            let next = at + 1 + value.size as usize;
            let quoted = text.get(key.start as usize..key.end as usize).unwrap_or_default();
            let earlier = last.insert(super::Text::quoted(quoted, key.tag).into_cow(), at);
            if let Some(earlier) = earlier.and_then(|earlier| self.tape.entries.get_mut(earlier)) {
                earlier.shadowed = true;
            }
            at = next;
        }
    }

    /// Stands on the opening quote; leaves behind the closing one.
    #[inline(always)]
    fn string(&mut self) -> Result<Tag, JsonError> {
        let mut at = self.at + 1;
        loop {
            match self.bytes.get(at..at + 8).and_then(|chunk| chunk.first_chunk::<8>()) {
                Some(chunk) => {
                    let found = special(u64::from_le_bytes(*chunk));
                    if found == 0 {
                        at += 8;
                        continue;
                    }
                    at += (found.trailing_zeros() / 8) as usize;
                }
                None => {
                    while self.bytes.get(at).is_some_and(|&b| b != b'"' && b != b'\\' && b >= 0x20) {
                        at += 1;
                    }
                }
            }
            self.at = at;
            return match self.bytes.get(at) {
                Some(b'"') => {
                    self.at += 1;
                    Ok(Tag::Clean)
                }
                Some(b'\\') => self.escaped(),
                Some(_) => self.fail("control character in a string"),
                None => self.fail("ends inside a string"),
            };
        }
    }

    /// Stands on the first backslash of a string.
    #[cold]
    fn escaped(&mut self) -> Result<Tag, JsonError> {
        let mut tag = Tag::Escaped;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let skip = rest.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20);
            self.at += skip.unwrap_or(rest.len());
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(tag);
                }
                Some(b'\\') => {}
                Some(_) => return self.fail("control character in a string"),
                None => return self.fail("ends inside a string"),
            }
            match self.bytes.get(self.at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
                Some(b'u') => {
                    let Some(unit) = unit_at(self.bytes, self.at + 2) else {
                        return self.fail("expected four hexadecimal digits");
                    };
                    self.at += 6;
                    match unit {
                        0xD800..=0xDBFF => {
                            let low = match self.bytes.get(self.at..self.at + 2) {
                                Some(b"\\u") => unit_at(self.bytes, self.at + 2),
                                _ => None,
                            };
                            match low {
                                Some(0xDC00..=0xDFFF) => self.at += 6,
                                _ => tag = Tag::Lone,
                            }
                        }
                        0xDC00..=0xDFFF => tag = Tag::Lone,
                        _ => {}
                    }
                }
                _ => return self.fail("unknown escape"),
            }
        }
    }

    fn literal(&mut self, word: &'static str, tag: Tag) -> Result<(), JsonError> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word.as_bytes()) {
            return self.fail("expected a value");
        }
        self.push(self.at, end, tag);
        self.at = end;
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - from
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
            if self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
                return self.fail("a number begins with 0");
            }
        } else if self.digits() == 0 {
            return self.fail("expected a digit");
        }
        let mut large = self.at - start > 300;
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return self.fail("expected a digit");
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            large = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return self.fail("expected a digit");
            }
        }
        // What a double cannot hold is refused, by the very rule of serde_json; such numbers are rare.
        if large {
            let number = self.text.get(start..self.at).unwrap_or_default();
            if serde_json::from_str::<serde_json::Value>(number).is_err() {
                return self.fail("number out of range");
            }
        }
        self.push(start, self.at, Tag::Number);
        Ok(())
    }
}

/// Marks bytes that end a plain run: quote, backslash, control character. The lowest mark is exact.
#[inline]
fn special(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let quote = quote.wrapping_sub(ONES) & !quote;
    let slash = slash.wrapping_sub(ONES) & !slash;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | slash | control) & (ONES * 0x80)
}

/// One of 256 bits for a key, its quotes included: which word of 64, and which bit. Keys of one object that share it are
/// compared in full.
#[inline]
fn filter(bytes: &[u8], start: usize, end: usize) -> (usize, u64) {
    let len = end - start;
    let word = |at: usize| match bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        // The last bytes of the record: what a whole chunk would begin with.
        None => bytes
            .get(at..)
            .unwrap_or_default()
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    let mixed = if len >= 8 {
        word(start).rotate_left(23) ^ word(end - 8)
    } else {
        word(start) << (64 - 8 * len as u32)
    };
    let hash = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((hash >> 62) as usize, 1 << (hash >> 56 & 63))
}

/// The UTF-16 unit that four hexadecimal digits stand for.
pub(super) fn unit_at(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |sum, &digit| Some(sum << 4 | (digit as char).to_digit(16)?))
}
