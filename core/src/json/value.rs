//! Places in a cut record.

use super::tape::{Entry, Tag};
use super::text::{Text, begins};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true`, `false`
    Bool,
    /// Any number.
    Number,
    /// Any string.
    String,
    /// `[…]`
    Array,
    /// `{…}`
    Object,
}

/// A place in a cut record: `'t` is the tape's, `'r` the record's lifetime.
#[derive(Clone, Copy)]
pub struct Value<'t, 'r> {
    /// The entries of this value, and no others.
    tape: &'t [Entry],
    record: &'r str,
}

impl<'t, 'r> Value<'t, 'r> {
    #[inline]
    pub(super) fn new(tape: &'t [Entry], record: &'r str) -> Self {
        Self { tape, record }
    }

    #[inline]
    fn entry(&self) -> &'t Entry {
        const NOTHING: &Entry = &Entry { start: 0, end: 0, size: 1, tag: Tag::Null, shadowed: false };
        self.tape.first().unwrap_or(NOTHING)
    }

    #[inline]
    fn inside(&self, tag: Tag) -> &'t [Entry] {
        match self.tape.split_first() {
            Some((entry, inside)) if entry.tag == tag => inside,
            _ => &[],
        }
    }

    /// What it is.
    #[inline]
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.entry().tag {
            Tag::Null => Kind::Null,
            Tag::True | Tag::False => Kind::Bool,
            Tag::Number => Kind::Number,
            Tag::Clean | Tag::Escaped | Tag::Lone => Kind::String,
            Tag::Array => Kind::Array,
            Tag::Object => Kind::Object,
        }
    }

    /// Whether it is `null`.
    #[inline]
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.entry().tag == Tag::Null
    }

    /// Where it stands in the record; strings with their quotes.
    #[inline]
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.entry().start as usize..self.entry().end as usize
    }

    /// Its text in the record; strings with their quotes.
    #[inline]
    #[must_use]
    pub fn raw(&self) -> &'r str {
        self.record.get(self.span()).unwrap_or_default()
    }

    /// The whole record that it stands in.
    #[must_use]
    pub fn record(&self) -> &'r str {
        self.record
    }

    /// A string.
    #[inline]
    #[must_use]
    pub fn as_text(&self) -> Option<Text<'r>> {
        match self.entry().tag {
            Tag::Clean | Tag::Escaped | Tag::Lone => Some(Text::quoted(self.raw(), self.entry().tag)),
            _ => None,
        }
    }

    /// A string that is not blank.
    #[inline(always)]
    #[must_use]
    pub fn as_filled(&self) -> Option<Text<'r>> {
        let tag = self.entry().tag;
        if !matches!(tag, Tag::Clean | Tag::Escaped | Tag::Lone) {
            return None;
        }
        let quoted = self.raw();
        let begins = match tag {
            Tag::Clean => self.after_quote().is_some_and(is_visible),
            _ => begins(quoted, tag),
        };
        if !begins && Text::quoted(quoted, tag).is_only_space() {
            return None;
        }
        Some(Text::quoted(quoted, tag))
    }

    /// The byte behind the first one.
    #[inline(always)]
    fn after_quote(&self) -> Option<u8> {
        self.record.as_bytes().get((self.entry().start as usize).wrapping_add(1)).copied()
    }

    /// Whether it is so short a string, and begins so, that it may be one of the words for nothing.
    #[inline(always)]
    pub(crate) fn may_say_nothing(&self) -> bool {
        // The longest of them has seven letters, each of at most six bytes, and its quotes.
        let most = match self.entry().tag {
            Tag::Clean => 9,
            Tag::Escaped => 44,
            _ => 0,
        };
        self.span().len() <= most
            && matches!(self.after_quote(), Some(b'n' | b'N' | b'u' | b'U' | b'<' | b'-' | b'\\'))
    }

    /// The member of this value as it stands, `"key":"value"`, and where in it the value begins: if the value is as
    /// [`Value::filled`] has it, the key has no escapes, and nothing but the colon is between them.
    #[inline]
    pub(crate) fn member(&self, key: &Key<'r>) -> Option<(Piece<'r>, usize)> {
        let Piece { record, start, end } = self.filled()?;
        (key.tag == Tag::Clean && start == key.end.wrapping_add(1))
            .then_some((Piece { record, start: key.start, end }, start.wrapping_sub(key.start) as usize))
    }

    /// A string that is fit for any JSON document as it stands, and not blank.
    #[inline(always)]
    pub(crate) fn filled(&self) -> Option<Piece<'r>> {
        let Entry { start, end, tag, .. } = *self.entry();
        let begins = match tag {
            Tag::Clean => self.after_quote().is_some_and(is_visible),
            Tag::Escaped => begins(self.raw(), tag),
            _ => false,
        };
        begins.then_some(Piece { record: self.record, start, end })
    }

    /// A boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.entry().tag {
            Tag::True => Some(true),
            Tag::False => Some(false),
            _ => None,
        }
    }

    /// A number's text.
    #[must_use]
    pub fn as_number(&self) -> Option<&'r str> {
        (self.entry().tag == Tag::Number).then(|| self.raw())
    }

    /// A whole number without fraction or exponent.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number()?.parse().ok()
    }

    /// A number.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number()?.parse().ok()
    }

    /// The value of a member.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'t, 'r>> {
        let quoted = key.len().wrapping_add(2);
        let mut members = self.inside(Tag::Object);
        loop {
            let [name, value] = members.first_chunk()?;
            let behind = (value.size as usize).wrapping_add(1);
            // Most names are told apart by their length.
            if (name.end.wrapping_sub(name.start) as usize == quoted || name.tag != Tag::Clean)
                && !name.shadowed
                && self.is_named(name, key)
            {
                return Some(Value::new(members.get(1..behind)?, self.record));
            }
            members = members.get(behind..)?;
        }
    }

    /// The values of several members, in one walk. Names are compared as [`Key::is`] does.
    #[inline]
    #[must_use]
    pub fn pick<const N: usize>(&self, keys: [&str; N]) -> [Option<Value<'t, 'r>>; N] {
        let mut found = [None; N];
        for (name, value) in self.members() {
            for (place, key) in found.iter_mut().zip(keys) {
                if name.is(key) {
                    *place = Some(value);
                }
            }
        }
        found
    }

    /// Whether an entry is this key.
    #[inline]
    fn is_named(&self, name: &Entry, key: &str) -> bool {
        let (start, end) = (name.start as usize, name.end as usize);
        match name.tag {
            Tag::Clean => {
                let name = self.record.as_bytes().get(start.wrapping_add(1)..end.wrapping_sub(1));
                name.is_some_and(|name| same(name, key.as_bytes()))
            }
            tag => Text::quoted(self.record.get(start..end).unwrap_or_default(), tag) == *key,
        }
    }

    /// The value at the end of a path of members.
    #[must_use]
    pub fn path(&self, path: &[&str]) -> Option<Value<'t, 'r>> {
        path.iter().try_fold(*self, |value, key| value.get(key))
    }

    /// An object's members in order; of equal keys only the last. Nothing else has any.
    #[inline]
    #[must_use]
    pub fn members(&self) -> Members<'t, 'r> {
        Members { tape: self.inside(Tag::Object), record: self.record }
    }

    /// An array's elements in order. Nothing else has any.
    #[inline]
    #[must_use]
    pub fn elements(&self) -> Elements<'t, 'r> {
        Elements { tape: self.inside(Tag::Array), record: self.record }
    }

    /// The paths of many bytes, as [`Value::path_of`] has them, in one walk.
    #[must_use]
    pub fn paths_of(&self, offsets: &[usize]) -> HashMap<usize, String> {
        let mut sorted = offsets.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut paths = HashMap::with_capacity(sorted.len());
        let mut path = String::new();
        // The containers around a byte: where each ends, what of it is still to come, and how long its own path is.
        let mut around = vec![Around::of(*self, usize::MAX, 0)];
        for offset in sorted {
            while around.len() > 1 && around.last().is_some_and(|inner| inner.end <= offset) {
                around.pop();
            }
            while let Some(inner) = around.last_mut() {
                path.truncate(inner.path);
                while inner.next.as_ref().is_some_and(|(_, value)| value.span().end <= offset) {
                    inner.step();
                }
                match &inner.next {
                    Some((step, value)) if value.span().contains(&offset) => {
                        match step {
                            Step::Key(key) => push_key(&mut path, &key.decode()),
                            Step::At(at) => path.push_str(&format!("[{at}]")),
                        }
                        let inner = Around::of(*value, value.span().end, path.len());
                        around.push(inner);
                    }
                    _ => break,
                }
            }
            paths.insert(offset, path.clone());
        }
        paths
    }

    /// The same; the way into an element of a list leads past none of those before it, where it is told which one it is.
    pub(crate) fn paths_through(
        &self,
        offsets: &[usize],
        known: Option<(Value<'t, 'r>, usize)>,
    ) -> HashMap<usize, String> {
        let Some((element, _)) = known else { return self.paths_of(offsets) };
        let span = element.span();
        let (inner, outer): (Vec<usize>, Vec<usize>) =
            offsets.iter().partition(|offset| span.contains(*offset));
        let mut paths = self.paths_of(&outer);
        let mut above = String::new();
        self.path_into(span.start, known, &mut above);
        for (offset, path) in element.paths_of(&inner) {
            let dot = if path.is_empty() || element.kind() == Kind::Array { "" } else { "." };
            paths.insert(offset, format!("{above}{dot}{path}"));
        }
        paths
    }

    /// The path of the innermost value that a byte of the record belongs to, such as `target[0].id`.
    #[must_use]
    pub fn path_of(&self, offset: usize) -> String {
        let mut path = String::new();
        self.path_into(offset, None, &mut path);
        path
    }

    /// The same, appended to what is there; `known` as in [`Value::paths_through`].
    pub(crate) fn path_into(&self, offset: usize, known: Option<(Value<'t, 'r>, usize)>, path: &mut String) {
        let mut here = *self;
        'down: loop {
            for (key, value) in here.members() {
                if value.span().contains(&offset) {
                    push_key(path, &key.decode());
                    here = value;
                    continue 'down;
                }
            }
            if let Some((element, at)) = known
                && here.kind() == Kind::Array
                && here.span().start < element.span().start
                && here.span().end > element.span().end
                && element.span().contains(&offset)
            {
                path.push_str(&format!("[{at}]"));
                here = element;
                continue 'down;
            }
            for (at, value) in here.elements().enumerate() {
                if value.span().contains(&offset) {
                    path.push_str(&format!("[{at}]"));
                    here = value;
                    continue 'down;
                }
            }
            return;
        }
    }
}

/// A key at the end of a path; one without letters as `""`.
pub(crate) fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(if key.is_empty() { "\"\"" } else { key });
}

/// Neither a quote nor white space, nor what is said with more bytes than one.
#[inline]
const fn is_visible(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'~')
}

/// Equality of short names, without a call: most are of 4 to 16 bytes.
#[inline]
pub(crate) fn same(ours: &[u8], theirs: &[u8]) -> bool {
    fn ends<const N: usize>(bytes: &[u8]) -> Option<([u8; N], [u8; N])> {
        Some((*bytes.first_chunk::<N>()?, *bytes.last_chunk::<N>()?))
    }
    if ours.len() != theirs.len() {
        return false;
    }
    match ours.len() {
        8..=16 => ends::<8>(ours) == ends::<8>(theirs),
        4..=7 => ends::<4>(ours) == ends::<4>(theirs),
        2..=3 => ends::<2>(ours) == ends::<2>(theirs),
        _ => ours == theirs,
    }
}

/// The way from a container to one of its values.
enum Step<'r> {
    Key(Key<'r>),
    At(usize),
}

struct Around<'t, 'r> {
    end: usize,
    path: usize,
    members: Members<'t, 'r>,
    elements: std::iter::Enumerate<Elements<'t, 'r>>,
    next: Option<(Step<'r>, Value<'t, 'r>)>,
}

impl<'t, 'r> Around<'t, 'r> {
    fn of(value: Value<'t, 'r>, end: usize, path: usize) -> Self {
        let (members, elements) = (value.members(), value.elements().enumerate());
        let mut new = Self { end, path, members, elements, next: None };
        new.step();
        new
    }

    fn step(&mut self) {
        let member = self.members.next().map(|(key, value)| (Step::Key(key), value));
        self.next = member.or_else(|| self.elements.next().map(|(at, value)| (Step::At(at), value)));
    }
}

impl std::fmt::Debug for Value<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.raw())
    }
}

/// A part of a record.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'r> {
    record: &'r str,
    start: u32,
    end: u32,
}

impl<'r> Piece<'r> {
    /// How many bytes of a record are copied as quickly as few of them.
    pub(crate) const SHORT: usize = 64;

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end.wrapping_sub(self.start) as usize
    }

    /// Where it stands in memory.
    #[inline]
    pub(crate) fn address(&self) -> usize {
        (self.record.as_ptr() as usize).wrapping_add(self.start as usize)
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &'r [u8] {
        self.record.as_bytes().get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// It and what follows it in the record, if it is short.
    #[inline]
    pub(crate) fn short(&self) -> Option<&'r [u8; Piece::SHORT]> {
        if self.len() > Self::SHORT {
            return None;
        }
        self.record.as_bytes().get(self.start as usize..)?.first_chunk()
    }
}

/// The name of a member.
#[derive(Clone, Copy)]
pub struct Key<'r> {
    record: &'r str,
    start: u32,
    end: u32,
    tag: Tag,
}

impl<'r> Key<'r> {
    /// What stands between its quotes, if it has no escapes.
    #[inline]
    #[must_use]
    pub fn as_plain(&self) -> Option<&'r str> {
        let inner = (self.start as usize).wrapping_add(1)..(self.end as usize).wrapping_sub(1);
        if self.tag == Tag::Clean { self.record.get(inner) } else { None }
    }

    /// Whether it has escapes: then [`Key::is`] is true of no name.
    #[inline]
    #[must_use]
    pub fn is_escaped(&self) -> bool {
        self.tag != Tag::Clean
    }

    /// The bytes of [`Key::as_plain`].
    #[inline]
    fn plain_bytes(&self) -> Option<&'r [u8]> {
        let inner = (self.start as usize).wrapping_add(1)..(self.end as usize).wrapping_sub(1);
        if self.tag == Tag::Clean { self.record.as_bytes().get(inner) } else { None }
    }

    /// Whether it is empty or only white space.
    #[inline(always)]
    pub(crate) fn is_blank(&self) -> bool {
        let first = self.record.as_bytes().get((self.start as usize).wrapping_add(1));
        // What is visible and neither a quote nor a backslash.
        !matches!(first, Some(b'!' | b'#'..=b'[' | b']'..=b'~')) && self.text().is_blank()
    }

    /// It with its quotes.
    #[inline]
    pub(crate) fn quoted(&self) -> Piece<'r> {
        let Self { record, start, end, .. } = *self;
        Piece { record, start, end }
    }

    /// The name as any other text.
    #[inline]
    #[must_use]
    pub fn text(&self) -> Text<'r> {
        let quoted = self.record.get(self.start as usize..self.end as usize);
        Text::quoted(quoted.unwrap_or_default(), self.tag)
    }

    /// The name itself. Half a surrogate pair reads as U+FFFD.
    #[must_use]
    pub fn decode(&self) -> Cow<'r, str> {
        self.text().into_cow()
    }

    /// Whether it is this name; most are told apart by their length. No encoder writes a name of ours with escapes, and one that
    /// did would be as unknown to the tables as it is to those who read records by [`Key::as_plain`].
    #[inline]
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.plain_bytes().is_some_and(|bytes| same(bytes, name.as_bytes()))
    }

    /// Appends it as a JSON string, valid whatever the record said.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.text().write(out);
    }

    /// The eight bytes behind its opening quote, if it has no escapes and there are so many.
    #[inline(always)]
    pub(crate) fn head(&self) -> Option<u64> {
        let from = (self.start as usize).wrapping_add(1);
        let eight = self.record.as_bytes().get(from..)?.first_chunk()?;
        (self.tag == Tag::Clean).then(|| u64::from_le_bytes(*eight))
    }

    /// Its first letter and how many it has, if it has no escapes.
    #[inline]
    pub(crate) fn outline(&self) -> Option<(u8, usize)> {
        let first = self.record.as_bytes().get((self.start as usize).wrapping_add(1));
        let length = self.end.wrapping_sub(self.start).wrapping_sub(2) as usize;
        if self.tag == Tag::Clean { first.map(|first| (*first, length)) } else { None }
    }
}

impl std::fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.text(), f)
    }
}

/// See [`Value::members`].
#[derive(Clone, Debug)]
pub struct Members<'t, 'r> {
    tape: &'t [Entry],
    record: &'r str,
}

impl<'t, 'r> Iterator for Members<'t, 'r> {
    type Item = (Key<'r>, Value<'t, 'r>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (key, rest) = self.tape.split_first()?;
            let (value, rest) = rest.split_at_checked(rest.first()?.size as usize)?;
            self.tape = rest;
            if !key.shadowed {
                let Entry { start, end, tag, .. } = *key;
                return Some((Key { record: self.record, start, end, tag }, Value::new(value, self.record)));
            }
        }
    }
}

/// See [`Value::elements`].
#[derive(Clone, Debug)]
pub struct Elements<'t, 'r> {
    tape: &'t [Entry],
    record: &'r str,
}

#[cfg(test)]
thread_local! {
    /// How many elements were looked at: what a test of the work for a long list counts.
    pub(crate) static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

impl<'t, 'r> Iterator for Elements<'t, 'r> {
    type Item = Value<'t, 'r>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        #[cfg(test)]
        STEPS.set(STEPS.get() + 1);
        let (value, rest) = self.tape.split_at_checked(self.tape.first()?.size as usize)?;
        self.tape = rest;
        Some(Value::new(value, self.record))
    }
}
