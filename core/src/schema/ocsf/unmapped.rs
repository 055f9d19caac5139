//! `unmapped`: what of the record has no place elsewhere in the document, under the vendor's own names.
//!
//! A value that was copied into the document as a whole is left out here; everything else stays, also where the event has
//! understood it. A list stays whole or goes whole, because its elements would lose what they belong to.

use crate::event::{Event, Field, Shape, Share};
use crate::json::{Kind, Value};
use crate::schema::Writer;
use crate::schema::namespace::{NAME, find};
use crate::schema::writer::Copied;

/// Objects below this are kept as text: stores refuse documents that are nested deeper than 20.
const DEEPEST: usize = 12;

/// Writes it.
pub(super) fn unmapped(out: &mut Writer<'_>, event: &Event<'_>, copied: &Copied, told: Told) {
    let Some(record) = event.record else { return };
    let mut rest = Rest { out, copied, told, part: event.part };
    let open = rest.out.open(",\"unmapped\":");
    rest.object(event.table.fields, record, 0);
    rest.out.close(open);
}

/// What the document tells in numbers and booleans, which leave no trace of where they were copied from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// The number of an autonomous system.
    pub(super) system: Option<i64>,
    /// Whether a device is managed.
    pub(super) managed: Option<bool>,
}

struct Rest<'a, 'b, 'r> {
    out: &'a mut Writer<'b>,
    copied: &'a Copied,
    told: Told,
    part: Option<Share<'r>>,
}

impl Rest<'_, '_, '_> {
    /// Members of an object that the table may know.
    fn object(&mut self, fields: &'static [Field], value: Value<'_, '_>, depth: usize) {
        let mut hint = 0;
        let mut taken = None;
        for (key, member) in value.members() {
            if member.is_null() {
                continue;
            }
            let field = if fields.is_empty() { None } else { find(fields, &key, &mut hint) };
            // Only where the table says that this is the one that the event has.
            if field.is_some_and(|field| field.event)
                && ((self.told.system.is_some() && member.as_i64() == self.told.system)
                    || (self.told.managed.is_some()
                        && member.as_bool() == self.told.managed
                        && key.is("managed")))
            {
                continue;
            }
            let inner = match field.map(|field| field.shape) {
                Some(Shape::Ignore(_)) => continue,
                Some(
                    Shape::Object(inner)
                    | Shape::List(inner)
                    | Shape::FlatList(inner)
                    | Shape::Positions(inner, _),
                ) => inner,
                Some(_) => &[],
                None => {
                    // Below what the table knows, nothing is unknown.
                    if depth == 0 || !fields.is_empty() {
                        self.out.drifted(member);
                    }
                    &[]
                }
            };
            let is_word = !matches!(member.kind(), Kind::Object | Kind::Array);
            if is_word && self.copied.has(member.span().start) {
                continue;
            }
            if let Some((whole, at)) = member.member(&key)
                && at <= NAME
                && !key.is_blank()
                && self.out.member(whole, at)
            {
                continue;
            }
            if is_word {
                // A name is given, or cut, only to what is written.
                if self.is_word_left(member) {
                    self.out.key(key, value, &mut taken, false);
                    self.whole(member, depth);
                }
                continue;
            }
            let here = self.out.here();
            self.out.key(key, value, &mut taken, false);
            if !self.value(inner, member, depth) {
                self.out.back_to(here);
            }
        }
    }

    /// What is left of a value; `false` and nothing written where that is nothing.
    fn value(&mut self, fields: &'static [Field], value: Value<'_, '_>, depth: usize) -> bool {
        match value.kind() {
            Kind::Object if depth < DEEPEST => {
                let open = self.out.open("");
                self.object(fields, value, depth + 1);
                self.out.close(open)
            }
            Kind::Array if depth < DEEPEST => {
                if let Some(part) = self.part.filter(|part| holds(value, part.value)) {
                    return self.part(fields, value, part, depth);
                }
                if !self.is_left(value) {
                    return false;
                }
                let open = self.out.open("");
                let only = value.elements().nth(1).is_none();
                for element in value.elements() {
                    let at = self.out.len();
                    self.out.put(",");
                    let written = match only {
                        true => self.value(fields, element, depth + 1),
                        false => self.whole(element, depth + 1),
                    };
                    if !written {
                        self.out.cut_back(at);
                    }
                }
                self.out.close_array(open)
            }
            _ => self.is_left(value) && self.whole(value, depth),
        }
    }

    /// What is left of the event's own part of a list, and of what in it is no part.
    fn part(
        &mut self,
        fields: &'static [Field],
        list: Value<'_, '_>,
        Share { value, first, at: _ }: Share<'_>,
        depth: usize,
    ) -> bool {
        let open = self.out.open("");
        let at = self.out.len();
        self.out.put(",");
        if !self.value(fields, value, depth + 1) {
            self.out.cut_back(at);
        }
        for element in list.elements().take(if first { usize::MAX } else { 0 }) {
            let at = self.out.len();
            self.out.put(",");
            if element.kind() == Kind::Object || !self.whole(element, depth + 1) {
                self.out.cut_back(at);
            }
        }
        self.out.close_array(open)
    }

    /// Whether anything of a value stands nowhere else.
    fn is_left(&self, value: Value<'_, '_>) -> bool {
        match value.kind() {
            Kind::Object => value.members().any(|(_, member)| self.is_left(member)),
            Kind::Array => value.elements().any(|element| self.is_left(element)),
            _ => self.is_word_left(value),
        }
    }

    /// The same of what is no container.
    #[inline]
    fn is_word_left(&self, value: Value<'_, '_>) -> bool {
        !self.copied.has(value.span().start)
            && match value.kind() {
                Kind::String => value.as_filled().is_some(),
                kind => kind != Kind::Null,
            }
    }

    /// A value as it is, but for what stores refuse.
    fn whole(&mut self, value: Value<'_, '_>, depth: usize) -> bool {
        match value.kind() {
            Kind::Null => false,
            Kind::Bool | Kind::Number => {
                self.out.scalar(value);
                true
            }
            Kind::String => match value.as_filled() {
                Some(text) => {
                    self.out.string(&text);
                    true
                }
                None => false,
            },
            Kind::Object if depth < DEEPEST => {
                let open = self.out.open("");
                let mut taken = None;
                for (key, member) in value.members() {
                    if member.is_null() {
                        continue;
                    }
                    if let Some((whole, at)) = member.member(&key)
                        && at <= NAME
                        && !key.is_blank()
                        && self.out.member(whole, at)
                    {
                        continue;
                    }
                    let here = self.out.here();
                    self.out.key(key, value, &mut taken, false);
                    if !self.whole(member, depth + 1) {
                        self.out.back_to(here);
                    }
                }
                self.out.close(open)
            }
            Kind::Array if depth < DEEPEST => {
                let open = self.out.open("");
                for element in value.elements() {
                    let at = self.out.len();
                    self.out.put(",");
                    if !self.whole(element, depth + 1) {
                        self.out.cut_back(at);
                    }
                }
                self.out.close_array(open)
            }
            Kind::Object | Kind::Array => self.out.json_text(value),
        }
    }
}

/// Whether a part of the record is one of a list's elements.
fn holds(list: Value<'_, '_>, part: Value<'_, '_>) -> bool {
    list.span().start < part.span().start && part.span().end < list.span().end
}
