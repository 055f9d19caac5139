//! Places in a cut record.

use super::tape::{Entry, Tag};
use super::text::Text;
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
    tape: &'t [Entry],
    record: &'r str,
    at: u32,
    entry: Entry,
}

impl<'t, 'r> Value<'t, 'r> {
    #[inline]
    pub(super) fn new(tape: &'t [Entry], record: &'r str, at: u32) -> Self {
        const NOTHING: Entry = Entry { start: 0, end: 0, next: 0, tag: Tag::Null, shadowed: false };
        let entry = tape.get(at as usize).copied().unwrap_or(NOTHING);
        Self { tape, record, at, entry }
    }

    /// What it is.
    #[inline]
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.entry.tag {
            Tag::Null => Kind::Null,
            Tag::True | Tag::False => Kind::Bool,
            Tag::Number => Kind::Number,
            Tag::Clean | Tag::Escaped | Tag::Lone => Kind::String,
            Tag::Array => Kind::Array,
            Tag::Object => Kind::Object,
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.entry.tag == Tag::Null
    }

    /// Where it stands in the record; strings with their quotes.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.entry.start as usize..self.entry.end as usize
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
        match self.entry.tag {
            Tag::Clean | Tag::Escaped | Tag::Lone => Some(Text::quoted(self.raw(), self.entry.tag)),
            _ => None,
        }
    }

    /// A boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.entry.tag {
            Tag::True => Some(true),
            Tag::False => Some(false),
            _ => None,
        }
    }

    /// A number's text.
    #[must_use]
    pub fn as_number(&self) -> Option<&'r str> {
        (self.entry.tag == Tag::Number).then(|| self.raw())
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
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'t, 'r>> {
        self.members().find(|(name, _)| name == key).map(|(_, value)| value)
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
        let end = if self.entry.tag == Tag::Object { self.entry.next } else { 0 };
        Members { tape: self.tape, record: self.record, at: self.at + 1, end }
    }

    /// An array's elements in order. Nothing else has any.
    #[inline]
    #[must_use]
    pub fn elements(&self) -> Elements<'t, 'r> {
        let end = if self.entry.tag == Tag::Array { self.entry.next } else { 0 };
        Elements { tape: self.tape, record: self.record, at: self.at + 1, end }
    }

    /// The path of the innermost value that a byte of the record belongs to, such as `target[0].id`.
    #[must_use]
    pub fn path_of(&self, offset: usize) -> String {
        let mut path = String::new();
        let mut here = *self;
        'down: loop {
            for (key, value) in here.members() {
                if value.span().contains(&offset) {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&key.decode());
                    here = value;
                    continue 'down;
                }
            }
            for (at, value) in here.elements().enumerate() {
                if value.span().contains(&offset) {
                    path.push_str(&format!("[{at}]"));
                    here = value;
                    continue 'down;
                }
            }
            return path;
        }
    }
}

impl std::fmt::Debug for Value<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.raw())
    }
}

/// See [`Value::members`].
#[derive(Clone, Debug)]
pub struct Members<'t, 'r> {
    tape: &'t [Entry],
    record: &'r str,
    at: u32,
    end: u32,
}

impl<'t, 'r> Iterator for Members<'t, 'r> {
    type Item = (Text<'r>, Value<'t, 'r>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.end {
            let key = self.tape.get(self.at as usize)?;
            let value = Value::new(self.tape, self.record, self.at + 1);
            self.at = value.entry.next;
            if !key.shadowed {
                let quoted = self.record.get(key.start as usize..key.end as usize).unwrap_or_default();
                return Some((Text::quoted(quoted, key.tag), value));
            }
        }
        None
    }
}

/// See [`Value::elements`].
#[derive(Clone, Debug)]
pub struct Elements<'t, 'r> {
    tape: &'t [Entry],
    record: &'r str,
    at: u32,
    end: u32,
}

impl<'t, 'r> Iterator for Elements<'t, 'r> {
    type Item = Value<'t, 'r>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let value = Value::new(self.tape, self.record, self.at);
        self.at = value.entry.next;
        Some(value)
    }
}
