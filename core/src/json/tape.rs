//! Cutting: what may end a string is marked, then one pass over the bytes, no recursion.

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
    marks: Vec<u64>,
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
        self.marks.clear();
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
    marks: &'a [u64],
}

/// Where a step ended.
type Step<T> = Result<(T, usize), JsonError>;

impl Cutter<'_> {
    fn run(self, entries: &mut Vec<Entry>, frames: &mut Vec<Frame>) -> Result<(), JsonError> {
        let mut frame = Frame::new(u32::MAX, false);
        let mut at = 0;
        'value: loop {
            let byte;
            (byte, at) = self.next_byte(at);
            match byte {
                Some(open @ (b'{' | b'[')) => {
                    if frames.len() >= DEPTH {
                        return fail(at, "nested too deeply");
                    }
                    frames.push(frame);
                    let object = open == b'{';
                    frame = Frame::new(entries.len() as u32, object);
                    entries.push(Entry::new(at, at, if object { Tag::Object } else { Tag::Array }));
                    let byte;
                    (byte, at) = self.next_byte(at + 1);
                    match byte {
                        Some(b'}') if object => {}
                        Some(b']') if !object => {}
                        _ if object => {
                            at = self.key(at, &mut frame, entries)?;
                            continue 'value;
                        }
                        _ => continue 'value,
                    }
                    at += 1;
                    frame = self.close(at, frame, entries, frames);
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
                Some(first @ (b't' | b'f' | b'n')) => {
                    let (word, tag) = match first {
                        b't' => ("true", Tag::True),
                        b'f' => ("false", Tag::False),
                        _ => ("null", Tag::Null),
                    };
                    let end = at + word.len();
                    if self.bytes.get(at..end) != Some(word.as_bytes()) {
                        return fail(at, "expected a value");
                    }
                    entries.push(Entry::new(at, end, tag));
                    at = end;
                }
                Some(_) => return fail(at, "expected a value"),
                None => return fail(at, "ends too early"),
            }
            loop {
                let byte;
                (byte, at) = self.next_byte(at);
                if frame.entry == u32::MAX {
                    return match byte {
                        None => Ok(()),
                        Some(_) => fail(at, "something follows the value"),
                    };
                }
                match (byte, frame.object) {
                    (Some(b','), true) => {
                        (_, at) = self.next_byte(at + 1);
                        at = self.key(at, &mut frame, entries)?;
                        continue 'value;
                    }
                    (Some(b','), false) => {
                        at += 1;
                        continue 'value;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        at += 1;
                        frame = self.close(at, frame, entries, frames);
                    }
                    (Some(_), true) => return fail(at, "expected `,` or `}`"),
                    (Some(_), false) => return fail(at, "expected `,` or `]`"),
                    (None, _) => return fail(at, "ends too early"),
                }
            }
        }
    }

    fn close(self, at: usize, frame: Frame, entries: &mut [Entry], frames: &mut Vec<Frame>) -> Frame {
        if frame.late {
            shadow_all(self.text, frame.entry, entries);
        }
        let behind = entries.len() as u32;
        if let Some(entry) = entries.get_mut(frame.entry as usize) {
            entry.end = at as u32;
            entry.size = behind.wrapping_sub(frame.entry);
        }
        frames.pop().unwrap_or(frame)
    }

    /// Skips white space; the byte that follows, and where it is.
    #[inline(always)]
    fn next_byte(self, mut at: usize) -> (Option<u8>, usize) {
        loop {
            match self.bytes.get(at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => at += 1,
                other => return (other.copied(), at),
            }
        }
    }

    /// A key and its colon.
    #[inline(always)]
    fn key(self, at: usize, frame: &mut Frame, entries: &mut Vec<Entry>) -> Result<usize, JsonError> {
        if self.bytes.get(at) != Some(&b'"') {
            return fail(at, "expected a key");
        }
        let (tag, end) = self.string(at)?;
        if tag != Tag::Clean {
            frame.escaped = true;
        }
        let (word, bit) = filter(self.bytes, at, end);
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
                shadow(self.text, frame.entry, Entry::new(at, end, tag), entries);
            }
        }
        entries.push(Entry::new(at, end, tag));
        match self.next_byte(end) {
            (Some(b':'), at) => Ok(at + 1),
            (_, at) => fail(at, "expected `:`"),
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
fn escaped(bytes: &[u8], marks: &[u64], mut at: usize) -> Step<Tag> {
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
fn plain_until(marks: &[u64], mut at: usize) -> usize {
    loop {
        let (word, bit) = (at / BITS, at % BITS);
        let (here, next) = match marks.get(word..) {
            Some([here, next, ..]) => (*here, *next),
            Some([here]) => (*here, u64::MAX),
            _ => return at,
        };
        // The 64 marks from here on, across words: most strings are shorter, so that the processor has nothing to guess.
        match here >> bit | next << 1 << (BITS - 1 - bit) {
            0 => at += BITS,
            window => return at.wrapping_add(window.trailing_zeros() as usize),
        }
    }
}

/// Bytes that one word of marks is of.
const BITS: usize = 64;

/// Marks what ends a plain run of a string: a quote, a backslash, a control character, and what is behind the end.
fn mark(bytes: &[u8], marks: &mut Vec<u64>) {
    let (chunks, rest) = bytes.as_chunks::<BITS>();
    marks.extend(chunks.iter().map(special));
    let mut last = [0; BITS];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    marks.push(special(&last));
}

#[inline(always)]
fn special(chunk: &[u8; BITS]) -> u64 {
    let (quarters, _) = chunk.as_chunks::<16>();
    quarters.iter().rev().fold(0, |marks, quarter| {
        let bytes = u8x16::new(*quarter);
        let found = bytes.simd_eq(b'"') | bytes.simd_eq(b'\\') | bytes.simd_lt(0x20);
        marks << 16 | u64::from(found.to_bitmask())
    })
}

/// One of 256 bits for a key, its quotes included: which word of 64, and which bit. Keys of one object that share it are
/// compared in full.
#[inline(always)]
fn filter(bytes: &[u8], start: usize, end: usize) -> (usize, u64) {
    let eight = |at: usize| match bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => last_bytes(bytes, at),
    };
    let len = end.wrapping_sub(start);
    // Its first eight bytes, and its last; what is not its own must not count.
    let first = if len < 8 { eight(start) << (64 - 8 * len) } else { eight(start) };
    let last = if len > 8 { eight(end.wrapping_sub(8)) } else { 0 };
    let hash = (first.rotate_left(23) ^ last).wrapping_mul(0x9E37_79B9_7F4A_7C15);
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
