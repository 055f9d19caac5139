//! Strings that are read without being unescaped.

use super::inside::decoded;
use super::same;
use super::tape::{Tag, unit_at};
use std::borrow::Cow;
use wide::u8x16;

/// A string: a still-escaped slice of a record, a static, or one of our own making.
#[derive(Clone)]
pub struct Text<'r>(Form<'r>);

#[derive(Clone)]
enum Form<'r> {
    /// With its quotes, no escapes.
    Clean(&'r str),
    /// With its quotes and escapes.
    Escaped(&'r str),
    /// With its quotes and escapes, one of which is half a surrogate pair: never written as it stands.
    Lone(&'r str),
    /// A piece of a clean string, without quotes.
    Piece(&'r str),
    /// What the record spells out but no string of it is, without quotes.
    Spelled(&'r str),
    /// Without quotes.
    Static(&'static str),
    /// Without quotes, as long as it has room in the text itself.
    Short(Short),
    /// Without quotes.
    Owned(Box<str>),
}

/// A few letters.
#[derive(Clone, Copy)]
struct Short {
    length: u8,
    bytes: [u8; Self::MOST],
}

impl Short {
    /// As many as make a text no larger: it has three words.
    const MOST: usize = 22;

    fn of(word: &str) -> Option<Self> {
        let mut bytes = [0; Self::MOST];
        bytes.get_mut(..word.len())?.copy_from_slice(word.as_bytes());
        Some(Self { length: u8::try_from(word.len()).ok()?, bytes })
    }

    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length));
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// Whether a string begins with a visible letter, or an escaped quote or slash: no need to read the rest.
#[inline]
pub(super) fn begins(quoted: &str, tag: Tag) -> bool {
    matches!(
        (tag, quoted.as_bytes()),
        (Tag::Clean, [_, b'!' | b'#'..=b'~', ..])
            | (
                Tag::Escaped,
                [_, b'!' | b'#'..=b'[' | b']'..=b'~', ..] | [_, b'\\', b'"' | b'\\' | b'/', ..]
            )
    )
}

#[inline]
fn inner(quoted: &str) -> &str {
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default()
}

impl<'r> Text<'r> {
    #[inline]
    pub(super) fn quoted(quoted: &'r str, tag: Tag) -> Self {
        Self(match tag {
            Tag::Clean => Form::Clean(quoted),
            Tag::Escaped => Form::Escaped(quoted),
            _ => Form::Lone(quoted),
        })
    }

    /// A word of our own.
    #[must_use]
    pub const fn from_static(word: &'static str) -> Self {
        Self(Form::Static(word))
    }

    /// A piece of a record's string, or any other text that lives as long.
    #[must_use]
    pub const fn piece(piece: &'r str) -> Self {
        Self(Form::Piece(piece))
    }

    /// What stands somewhere in the record and yet is no copy of one of its strings: a number by its spelling.
    #[must_use]
    pub const fn spelled(spelling: &'r str) -> Self {
        Self(Form::Spelled(spelling))
    }

    /// The string itself for as long as the record lives, where it can be had without unescaping.
    #[must_use]
    pub fn as_slice(&self) -> Option<&'r str> {
        match self.0 {
            Form::Clean(quoted) => Some(inner(quoted)),
            Form::Piece(piece) => Some(piece),
            Form::Static(word) => Some(word),
            Form::Escaped(_) | Form::Lone(_) | Form::Spelled(_) | Form::Short(_) | Form::Owned(_) => None,
        }
    }

    /// A string of our own.
    #[must_use]
    pub fn owned(word: impl AsRef<str> + Into<Box<str>>) -> Self {
        Self(Short::of(word.as_ref()).map_or_else(|| Form::Owned(word.into()), Form::Short))
    }

    /// Shows what it says, without an allocation where it has escapes.
    pub fn read<T>(&self, show: impl FnOnce(&str) -> T) -> T {
        decoded(self, show)
    }

    /// Whether it is this word; most are told apart by their length.
    #[inline]
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        match self.0 {
            Form::Clean(quoted) => {
                let quoted = quoted.as_bytes();
                quoted.len() == name.len().wrapping_add(2)
                    && quoted
                        .get(1..quoted.len().wrapping_sub(1))
                        .is_some_and(|bytes| same(bytes, name.as_bytes()))
            }
            _ => *self == *name,
        }
    }

    /// The string itself, where it can be had without unescaping.
    #[inline]
    #[must_use]
    pub fn as_plain(&self) -> Option<&str> {
        match &self.0 {
            Form::Clean(quoted) => Some(inner(quoted)),
            Form::Static(word) | Form::Piece(word) | Form::Spelled(word) => Some(word),
            Form::Short(word) => Some(word.as_str()),
            Form::Owned(word) => Some(word),
            Form::Escaped(_) | Form::Lone(_) => None,
        }
    }

    /// The string itself. Half a surrogate pair reads as U+FFFD.
    #[inline]
    #[must_use]
    pub fn decode(&self) -> Cow<'_, str> {
        match &self.0 {
            Form::Escaped(quoted) | Form::Lone(quoted) => Cow::Owned(unescape(inner(quoted))),
            _ => Cow::Borrowed(self.as_plain().unwrap_or_default()),
        }
    }

    /// What stands between its quotes, if it has escapes.
    #[inline]
    pub(super) fn escaped(&self) -> Option<&'r str> {
        match self.0 {
            Form::Escaped(quoted) | Form::Lone(quoted) => Some(inner(quoted)),
            _ => None,
        }
    }

    /// The string itself, for as long as the record lives.
    #[must_use]
    pub fn into_cow(self) -> Cow<'r, str> {
        match self.0 {
            Form::Clean(quoted) => Cow::Borrowed(inner(quoted)),
            Form::Static(word) | Form::Piece(word) | Form::Spelled(word) => Cow::Borrowed(word),
            Form::Short(word) => Cow::Owned(word.as_str().to_owned()),
            Form::Owned(word) => Cow::Owned(word.into_string()),
            Form::Escaped(quoted) | Form::Lone(quoted) => Cow::Owned(unescape(inner(quoted))),
        }
    }

    /// The slice of the record with its quotes: where the whole string comes from.
    #[must_use]
    pub fn source(&self) -> Option<&'r str> {
        match self.0 {
            Form::Clean(quoted) | Form::Escaped(quoted) | Form::Lone(quoted) => Some(quoted),
            Form::Piece(_) | Form::Spelled(_) | Form::Static(_) | Form::Short(_) | Form::Owned(_) => None,
        }
    }

    /// The slice of the record with its quotes, where it is fit for any JSON document.
    #[inline]
    #[must_use]
    pub fn verbatim(&self) -> Option<&'r str> {
        match self.0 {
            Form::Clean(quoted) | Form::Escaped(quoted) => Some(quoted),
            Form::Lone(_)
            | Form::Piece(_)
            | Form::Spelled(_)
            | Form::Static(_)
            | Form::Short(_)
            | Form::Owned(_) => None,
        }
    }

    /// An upper bound of the string's length in bytes.
    #[inline]
    #[must_use]
    pub fn len_at_most(&self) -> usize {
        match &self.0 {
            // Six bytes `\ud83d` become the three of U+FFFD.
            Form::Clean(quoted) | Form::Escaped(quoted) | Form::Lone(quoted) => quoted.len(),
            Form::Static(word) | Form::Piece(word) | Form::Spelled(word) => word.len(),
            Form::Short(word) => usize::from(word.length),
            Form::Owned(word) => word.len(),
        }
    }

    /// Its first letter, if that is a visible one of ASCII that stands there as it is.
    #[inline]
    pub(crate) fn first_visible(&self) -> Option<u8> {
        let first = match self.0 {
            Form::Clean(quoted) | Form::Escaped(quoted) => {
                quoted.as_bytes().get(1).filter(|letter| !matches!(letter, b'"' | b'\\'))
            }
            Form::Lone(_) => None,
            _ => self.as_plain()?.as_bytes().first(),
        };
        first.copied().filter(u8::is_ascii_graphic)
    }

    /// Whether it is empty or only white space.
    #[inline]
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self.0 {
            Form::Clean(quoted) if begins(quoted, Tag::Clean) => false,
            Form::Escaped(quoted) if begins(quoted, Tag::Escaped) => false,
            _ => self.is_only_space(),
        }
    }

    #[cold]
    pub(super) fn is_only_space(&self) -> bool {
        decoded(self, |text| text.trim().is_empty())
    }

    /// As [`Text::write`], without the quotes.
    #[inline]
    pub(crate) fn write_within(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Form::Clean(quoted) | Form::Escaped(quoted) => out.extend_from_slice(inner(quoted).as_bytes()),
            _ => write_within(&self.decode(), out),
        }
    }

    /// Appends it as a JSON string, valid whatever the record said.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Form::Clean(quoted) | Form::Escaped(quoted) => out.extend_from_slice(quoted.as_bytes()),
            Form::Lone(quoted) => write_string(&unescape(inner(quoted)), out),
            Form::Static(word) | Form::Piece(word) | Form::Spelled(word) => write_string(word, out),
            Form::Short(word) => write_string(word.as_str(), out),
            Form::Owned(word) => write_string(word, out),
        }
    }
}

/// A text of the record with JSON in it, where texts that were read out of that are found again.
#[derive(Debug)]
pub struct Holder<'r> {
    /// As it stands in the record.
    raw: &'r str,
    /// By how much further behind the last one stood there than in the JSON, since what is escaped is longer.
    behind: usize,
}

impl<'r> Holder<'r> {
    /// Of a value, as [`Value::raw`](super::Value::raw) has it.
    #[must_use]
    pub const fn new(raw: &'r str) -> Self {
        Self { raw, behind: 0 }
    }

    /// What was read out of the JSON, where it began at `from`, for as long as the record lives. Only what does not stand in
    /// the record as it is, because it was escaped, is copied. Soonest found where texts are asked for in their order.
    pub fn find(&mut self, from: usize, inner: &str) -> Text<'r> {
        let (all, part) = (self.raw.as_bytes(), inner.as_bytes());
        let expected = from.saturating_add(self.behind);
        let near = all.get(expected..).and_then(|rest| {
            let begins = u8x16::new(*rest.first_chunk()?).simd_eq(*part.first()?).to_bitmask();
            let at = (begins != 0).then(|| begins.trailing_zeros() as usize)?;
            rest.get(at..)?.starts_with(part).then(|| expected.saturating_add(at))
        });
        // In the text it stands no sooner than in the JSON.
        let search = |from: usize| Some(from.saturating_add(position(all.get(from..)?, part)?));
        let found = near.or_else(|| search(from)).or_else(|| search(0));
        self.behind = found.unwrap_or(expected).saturating_sub(from);
        let place = found.and_then(|at| self.raw.get(at..at.saturating_add(inner.len())));
        place.map_or_else(|| Text::owned(inner), Text::spelled)
    }
}

/// Where a text is first found in another.
fn position(all: &[u8], part: &[u8]) -> Option<usize> {
    // In little text the first letter finds it sooner than a searcher is made.
    if all.len() > 1024 {
        return memchr::memmem::find(all, part);
    }
    let first = *part.first()?;
    memchr::memchr_iter(first, all).find(|&at| all.get(at..).is_some_and(|rest| rest.starts_with(part)))
}

/// Appends any string as a JSON string.
pub fn write_string(word: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_within(word, out);
    out.push(b'"');
}

/// Appends any string as it stands between the quotes of a JSON string.
pub(crate) fn write_within(word: &str, out: &mut Vec<u8>) {
    let bytes = word.as_bytes();
    if bytes.len() >= WIDE {
        return if any(bytes, odd) { escape(bytes, out) } else { out.extend_from_slice(bytes) };
    }
    // A short one is looked at where it is written: what stands before it there does not count.
    let begin = out.len();
    out.extend_from_slice(bytes);
    let is_odd = match out.last_chunk() {
        Some(last) => odd(u8x16::new(*last)).to_bitmask() >> WIDE.wrapping_sub(bytes.len()) != 0,
        None => any(bytes, odd),
    };
    if is_odd {
        out.truncate(begin);
        escape(bytes, out);
    }
}

/// Bytes that are looked at at once.
const WIDE: usize = 16;

/// Whether there is a byte that `found` marks, which must not mark a letter `x`.
#[inline]
pub(crate) fn any(bytes: &[u8], found: impl Fn(u8x16) -> u8x16) -> bool {
    let marks = |chunk: &[u8; WIDE]| found(u8x16::new(*chunk)).to_bitmask();
    // Most words are of up to 32 bytes: the first sixteen and the last.
    let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) else {
        let mut padded = [b'x'; WIDE];
        if let Some(place) = padded.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
        }
        return marks(&padded) != 0;
    };
    marks(first) | marks(last) != 0
        || (bytes.len() > 2 * WIDE && bytes.as_chunks::<WIDE>().0.iter().any(|chunk| marks(chunk) != 0))
}

/// Marks the bytes that JSON escapes.
#[inline]
pub(super) fn odd(bytes: u8x16) -> u8x16 {
    // With this bit turned a quote is 0x20, a blank is not, and a control character stays below.
    let turned = bytes ^ u8x16::splat(b'"' ^ b' ');
    turned.simd_le(0x20) | bytes.simd_eq(b'\\')
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let (mut from, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        if let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk())
            && byte != b'"'
            && byte != b'\\'
        {
            let plain = WIDE.min(odd(u8x16::new(*chunk)).to_bitmask().trailing_zeros() as usize);
            if plain > 0 {
                at += plain;
                continue;
            }
        }
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => 0,
            _ => {
                at += 1;
                continue;
            }
        };
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        at += 1;
        from = at;
        if short == 0 {
            let low = HEX.get(usize::from(byte & 15)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), low]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
}

/// The meaning of what stands between two quotes; the tape has checked its grammar.
fn unescape(escaped: &str) -> String {
    let mut out = String::new();
    unescape_into(escaped, &mut out);
    out
}

/// The same into memory that is used again.
pub(super) fn unescape_into(escaped: &str, out: &mut String) {
    let bytes = escaped.as_bytes();
    let mut memory = std::mem::take(out).into_bytes();
    memory.clear();
    // Nothing becomes longer: six bytes `\ud83d` the three of U+FFFD.
    memory.resize(bytes.len(), 0);
    let (mut from, mut to) = (0, 0);
    while let Some(&byte) = bytes.get(from) {
        if let Some(chunk) = bytes.get(from..).and_then(|rest| rest.first_chunk::<WIDE>())
            && let Some(place) = memory.get_mut(to..).and_then(|rest| rest.first_chunk_mut::<WIDE>())
        {
            // All of it; what is behind a backslash is written over.
            *place = *chunk;
            let found = u8x16::new(*chunk).simd_eq(b'\\').to_bitmask();
            let plain = WIDE.min(found.trailing_zeros() as usize);
            from += plain;
            to += plain;
            if found == 0 {
                continue;
            }
        } else if byte != b'\\' {
            if let Some(place) = memory.get_mut(to) {
                *place = byte;
            }
            from += 1;
            to += 1;
            continue;
        }
        // Most stand for the very letter behind the backslash.
        if let Some(letter @ (b'"' | b'\\' | b'/')) = bytes.get(from + 1)
            && let Some(place) = memory.get_mut(to)
        {
            *place = *letter;
            from += 2;
            to += 1;
            continue;
        }
        let (letter, length) = escape_at(bytes, from);
        let mut utf8 = [0; 4];
        for byte in letter.encode_utf8(&mut utf8).bytes() {
            if let Some(place) = memory.get_mut(to) {
                *place = byte;
            }
            to += 1;
        }
        from += length;
    }
    memory.truncate(to);
    *out = String::from_utf8(memory).unwrap_or_default();
}

/// The letter that an escape stands for, and the escape's length.
#[inline]
fn escape_at(bytes: &[u8], at: usize) -> (char, usize) {
    match bytes.get(at + 1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => {
            let high = unit_at(bytes, at + 2).unwrap_or(0xFFFD);
            let low = match (high, bytes.get(at + 6..at + 8)) {
                (0xD800..=0xDBFF, Some(b"\\u")) => unit_at(bytes, at + 8),
                _ => None,
            };
            match low {
                Some(low @ 0xDC00..=0xDFFF) => {
                    let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                    (char::from_u32(code).unwrap_or('\u{FFFD}'), 12)
                }
                _ => (char::from_u32(high).unwrap_or('\u{FFFD}'), 6),
            }
        }
        Some(&plain) => (plain as char, 2),
        None => ('\u{FFFD}', 2),
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.as_plain(), other.as_plain()) {
            (Some(ours), Some(theirs)) => ours.len() == theirs.len() && ours == theirs,
            _ => decoded(self, |ours| decoded(other, |theirs| ours == theirs)),
        }
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        decoded(self, |text| text == other)
    }
}

impl PartialEq<&str> for Text<'_> {
    #[inline]
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.decode(), f)
    }
}

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.decode())
    }
}

impl From<&'static str> for Text<'_> {
    fn from(word: &'static str) -> Self {
        Self::from_static(word)
    }
}
