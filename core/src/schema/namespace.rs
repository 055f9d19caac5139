//! The vendor's own fields under the vendor's namespace, by the connector's table.

use super::ecs::Told;
use super::writer::{Found, LEVELS, LONGEST};
use super::{Context, Writer};
use crate::event::{
    Event, Field, Part, Risk, RiskLevel, Rows, Shape, Share, Table, address_and_port, are_digits, integer,
    is_ip, is_our_time, is_plain_time, known, pairs, parse_time, text, truth, write_time,
};
use crate::json::{Key, Kind, Text, Value, inside, write_string, write_within};
use chrono::{DateTime, Datelike, Utc};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::HashMap;

/// Elasticsearch refuses flattened values nested deeper than 20, and mappings too.
pub(super) const DEEPEST: usize = 12;

impl Writer<'_> {
    /// Writes the record under its namespace.
    pub(super) fn namespace(&mut self, event: &Event<'_>, context: &Context<'_>) {
        let at = self.len();
        self.put(",\"");
        self.put(context.names.namespace);
        self.put("\":");
        let open = self.opened(at);
        let Table { fields, layout, under, part, unmapped, .. } = event.table;
        let under = (!under.is_empty()).then(|| self.open(under));
        self.keeps = !unmapped.is_empty();
        self.found = Found {
            time: event.time.is_some(),
            location: event.source.geo.location.is_some(),
            partial: event.source.geo.partial,
            address: event.source.ip.as_ref().and_then(Text::source).map(|ip| ip.as_ptr() as usize),
            strays: event.part.is_none_or(|part| part.first),
        };
        match layout {
            Some(parts) => self.parts(parts, event, context, Some(fields), 1),
            None => self.object(fields, event.record, told(&event.risk), 1),
        }
        if let Some(Share { value, .. }) = event.part {
            self.object(part, Some(value), None, 1);
        }
        self.keeps = false;
        self.unmapped(if unmapped.is_empty() { ",\"unmapped\":" } else { unmapped }, event);
        if let Some(under) = under {
            self.close(under);
        }
        self.close(open);
    }

    /// What was put aside, each by its path.
    fn unmapped(&mut self, label: &str, event: &Event<'_>) {
        let Some(mut aside) = self.aside.take() else { return };
        let (record, known) = (event.record, event.part.map(|part| (part.value, part.at)));
        let open = self.open(label);
        if let ([odd], Some(record)) = (&*aside.values, record) {
            aside.path.clear();
            odd.offset.into_iter().for_each(|offset| record.path_into(offset, known, &mut aside.path));
            let name = self.unmapped_name(&aside.path, aside.name(odd));
            self.put(",");
            write_string(&name, self.buf);
            self.put(":");
            self.put_back(&aside, odd);
        } else {
            let offsets: Vec<usize> = aside.values.iter().filter_map(|odd| odd.offset).collect();
            let paths = record.map(|record| record.paths_through(&offsets, known)).unwrap_or_default();
            let mut taken = Taken::of(std::iter::empty::<String>());
            for odd in &aside.values {
                let path = odd.offset.and_then(|offset| paths.get(&offset));
                let name = self.unmapped_name(path.map_or("", String::as_str), aside.name(odd));
                self.put(",");
                write_string(&taken.free(name.into_owned()), self.buf);
                self.put(":");
                self.put_back(&aside, odd);
            }
        }
        self.close(open);
        aside.done();
    }

    /// Its path, or without one its name, as stores take it.
    fn unmapped_name<'n>(&mut self, path: &'n str, name: &'n str) -> Cow<'n, str> {
        let (name, cut) = fit(if path.is_empty() { name } else { path }, false);
        self.cut += u32::from(cut);
        if name.trim().is_empty() { UNNAMED.into() } else { name }
    }

    /// What a table has no place for, or none of its type: counted, and put aside.
    #[cold]
    pub(super) fn odd(&mut self, name: &str, value: Value<'_, '_>) {
        self.drifted(value);
        self.put_by(name, value);
    }

    #[cold]
    fn put_by(&mut self, name: &str, value: Value<'_, '_>) {
        let at = self.len();
        if self.flat(value, 3) {
            let offset = self.offset_of(value.raw());
            if offset.is_none() {
                self.note_within(at);
            }
            let offset = offset.filter(|_| !self.by_name);
            self.put_aside(at, offset, name);
        } else {
            self.cut_back(at);
        }
    }

    /// Without `fields` the record's members stand as they are.
    pub(super) fn parts(
        &mut self,
        parts: &'static [Part],
        event: &Event<'_>,
        context: &Context<'_>,
        fields: Option<&'static [Field]>,
        depth: usize,
    ) {
        for part in parts {
            match part {
                Part::Constant(text) => self.put(text),
                Part::Of(label, of) => self.text(label, of(event)),
                Part::Member(field) => {
                    let value = event.record.and_then(|record| record.get(field.key));
                    match (value, fields) {
                        (Some(value), Some(_)) => self.field(field, value, None, depth),
                        (Some(value), None) => {
                            self.label(field);
                            self.strict_in(value, LEVELS - depth);
                        }
                        (None, _) => {}
                    }
                }
                Part::Organisation { label, around: (before, after) } => {
                    let open = self.open(label);
                    self.put("\"");
                    self.put(before);
                    match (&event.organization, context.organisation) {
                        (Some(text), _) => self.within_string(text),
                        (None, Some(id)) => write_within(id, self.buf),
                        (None, None) => {
                            self.cut_label(open);
                            continue;
                        }
                    }
                    self.put(after);
                    self.put("\"");
                    if let Some(source) = event.organization.as_ref().and_then(Text::source) {
                        self.note_at(open.value(), source);
                    }
                }
                Part::Outcome(label, [success, failure]) => {
                    let word = match Told::of(event.outcome.result, event.table) {
                        Told::Success => success,
                        Told::Failure => failure,
                        Told::Unknown => continue,
                    };
                    self.put(label);
                    self.put("\"");
                    self.put(word);
                    self.put("\"");
                }
                Part::Object(label, parts) => {
                    let open = self.open(label);
                    self.parts(parts, event, context, fields, depth + 1);
                    self.close(open);
                }
                Part::Record => match fields {
                    Some(fields) => self.object(fields, event.record, told(&event.risk), depth),
                    None => self.members(event.record, LEVELS - depth),
                },
            }
        }
    }

    /// Members of an object that the table knows, and those it does not.
    fn object(
        &mut self,
        fields: &'static [Field],
        value: Option<Value<'_, '_>>,
        risk: Option<&Risk<'_>>,
        depth: usize,
    ) {
        let mut hint = 0;
        let mut always = false;
        let mut taken = None;
        let mut gathered = Gathered::default();
        if let Some(value) = value {
            for (key, member) in value.members() {
                if member.is_null() {
                    // The next one is found where it is expected nevertheless.
                    hint += usize::from(fields.get(hint).is_some_and(|field| field.is_of(&key)));
                    continue;
                }
                match find(fields, &key, &mut hint) {
                    Some(field) if field.again && spelled(fields, field, value) => {
                        self.unknown(fields, &mut taken, key, member, depth);
                    }
                    Some(field) => {
                        if field.verbatim
                            && let Some((whole, at)) = member.member(&key)
                            && self.member(whole, at)
                        {
                            continue;
                        }
                        match field.shape {
                            Shape::Keyword if self.filled(field, member) => continue,
                            Shape::Object(inner) if !field.always && member.kind() == Kind::Object => {
                                let open = self.open_field(field);
                                self.object(inner, Some(member), None, depth + 1);
                                self.close(open);
                                continue;
                            }
                            Shape::Gathered => {
                                gathered.take(field, member);
                                continue;
                            }
                            _ => {}
                        }
                        always |= field.always && member.kind() == Kind::Object;
                        self.field(field, member, risk, depth);
                    }
                    None => self.unknown(fields, &mut taken, key, member, depth),
                }
            }
        }
        // Groups stand last and have no key of their own; they gather members under one name.
        if !gathered.members.is_empty() {
            for field in fields.iter().rev().take_while(|field| field.key.is_empty()) {
                if let Shape::Group(parts) = field.shape {
                    self.group(field, parts, &mut gathered, depth);
                }
            }
        }
        if !always && let Some(risk) = risk {
            for field in fields.iter().filter(|field| field.always) {
                let open = self.open_field(field);
                match field.shape {
                    Shape::Object(inner) => self.object(inner, None, Some(risk), depth + 1),
                    Shape::Debug(..) => self.risk(risk),
                    _ => {}
                }
                self.close(open);
            }
        }
    }

    /// Most fields are words, and most words say something.
    #[inline]
    fn filled(&mut self, field: &'static Field, value: Value<'_, '_>) -> bool {
        if let Some(piece) = value.filled()
            && piece.len() <= LONGEST
        {
            self.label(field);
            self.piece(piece);
            return true;
        }
        match value.as_filled() {
            Some(text) => {
                self.label(field);
                self.string(&text);
                true
            }
            None => false,
        }
    }

    fn group(
        &mut self,
        field: &'static Field,
        parts: &'static [Field],
        gathered: &mut Gathered<'_, '_>,
        depth: usize,
    ) {
        let open = self.open_field(field);
        for part in parts {
            match part.shape {
                Shape::Group(inner) => self.group(part, inner, gathered, depth),
                _ => {
                    if let Some(member) = gathered.get(part) {
                        self.field(part, member, None, depth);
                    }
                }
            }
        }
        self.close(open);
    }

    pub(super) fn field(
        &mut self,
        field: &'static Field,
        value: Value<'_, '_>,
        risk: Option<&Risk<'_>>,
        depth: usize,
    ) {
        match (field.shape, value.kind()) {
            (_, Kind::Null) | (Shape::Ignore(_) | Shape::Group(_) | Shape::Gathered, _) => {}
            (Shape::In | Shape::Several, Kind::String) => {}
            (Shape::Several, Kind::Array) if value.elements().all(|one| one.kind() == Kind::String) => {}
            (Shape::In | Shape::Several, _) => self.odd(field.key, value),
            // The event has its own element, others are of other events.
            (Shape::Parts, Kind::Array) => {
                for element in value.elements().take(if self.found.strays { usize::MAX } else { 0 }) {
                    if !matches!(element.kind(), Kind::Object | Kind::Null) {
                        self.odd(field.key, element);
                    }
                }
            }
            (Shape::Parts, Kind::Object) => {}
            (Shape::Stamp, _) => {
                if !self.found.time || (self.keeps && !is_date(value)) {
                    self.odd(field.key, value);
                }
            }
            (Shape::Place, _) => {
                if self.found.partial {
                    self.odd(field.key, value);
                }
            }
            (Shape::Coordinate, _) => {
                if !self.found.location {
                    self.odd(field.key, value);
                }
            }
            (Shape::Keyword | Shape::Text, Kind::String) => {
                self.filled(field, value);
            }
            (Shape::Words(words), Kind::String | Kind::Array) => {
                let open = self.open_field(field);
                if !self.words(value, words) {
                    self.cut_label(open);
                }
            }
            (Shape::Keyword | Shape::Text | Shape::Words(_), kind) => {
                // Of named values the vendor gives several wherever it likes.
                let several = kind == Kind::Object || (kind == Kind::Array && !self.by_name);
                if several && matches!(field.shape, Shape::Keyword) {
                    self.drifted(value);
                }
                let open = self.open_field(field);
                if !self.keyword(value) {
                    self.cut_label(open);
                }
            }
            (Shape::Integer, _) => match integer(value) {
                // The integration's mapping says `integer`: 32 bits with a sign.
                Some(number) if i32::try_from(number).is_ok() => {
                    self.label(field);
                    self.note(value.raw());
                    self.number(number);
                }
                _ => self.odd(field.key, value),
            },
            (Shape::Long, _) => match integer(value) {
                Some(number) => {
                    self.label(field);
                    self.note(value.raw());
                    self.number(number);
                }
                None => self.odd(field.key, value),
            },
            (Shape::Time, _) => {
                let text = value.as_text();
                let plain = text.as_ref().is_some_and(|text| text.read(is_plain_time));
                match (&text, plain) {
                    (Some(text), true) => {
                        self.label(field);
                        self.string(text);
                    }
                    (Some(text), false) if text.is_blank() => {}
                    (text, _) => match text.as_ref().and_then(|text| text.read(parse_time)) {
                        Some(time) => {
                            self.label(field);
                            self.note(value.raw());
                            write_time(time, self.buf);
                        }
                        None => self.odd(field.key, value),
                    },
                }
            }
            (Shape::Date, _) => {
                let open = self.open_field(field);
                if !self.date(value) {
                    self.cut_label(open);
                    self.odd(field.key, value);
                }
            }
            (Shape::Address, Kind::String) => {
                match value.as_text().and_then(|text| address_and_port(&text)) {
                    Some((ip, port)) => {
                        self.label(field);
                        self.address(&ip);
                        if let Some(port) = port {
                            self.put(",\"port\":");
                            self.note(value.raw());
                            self.number(i64::from(port));
                        }
                    }
                    None if known(value).is_none() => {}
                    None => self.odd(field.key, value),
                }
            }
            (Shape::Inner(key), Kind::Object) => {
                for (name, member) in value.members() {
                    if name.is(key) && !matches!(member.kind(), Kind::Object | Kind::Array) {
                        let open = self.open_field(field);
                        if !self.keyword(member) {
                            self.cut_label(open);
                        }
                    } else if !member.is_null() {
                        self.odd(&name.decode(), member);
                    }
                }
            }
            (Shape::Inner(_), Kind::String | Kind::Number | Kind::Bool) => {
                let open = self.open_field(field);
                if !self.keyword(value) {
                    self.cut_label(open);
                }
            }
            (Shape::Wrapped([first, ..]), kind) if kind != Kind::Object => {
                let open = self.open_field(field);
                self.field(first, value, None, depth + 1);
                self.close(open);
            }
            (Shape::Opened(fields), Kind::String) => {
                let open = self.open_field(field);
                let opened = value.as_text().and_then(|text| {
                    inside(
                        &text,
                        |_| true,
                        |inner| {
                            if inner.kind() != Kind::Object {
                                return false;
                            }
                            let at = self.len();
                            self.inside(value, |out| out.object(fields, Some(inner), None, depth + 1));
                            if self.close(open) {
                                self.note_at(at, value.raw());
                            }
                            true
                        },
                    )
                });
                if opened != Some(true) {
                    self.cut_label(open);
                    self.put_by(field.key, value);
                }
            }
            (Shape::Details, Kind::Object) => {
                let open = self.open_field(field);
                self.flat_object(value, Rows::NONE, depth + 1);
                self.close(open);
            }
            (Shape::Details, _) => {
                let open = self.open_field(field);
                if !self.opened_text(value, depth + 1, false) {
                    self.cut_label(open);
                    self.put_by(field.key, value);
                }
            }
            (Shape::Params(params), Kind::Array) => {
                let open = self.open_field(field);
                self.params(params, value, depth + 1);
                self.close(open);
            }
            (Shape::Boolean, _) => match truth(value) {
                Some(truth) => {
                    self.label(field);
                    self.note(value.raw());
                    self.boolean(truth);
                }
                None if known(value).is_none() && value.as_text().is_some() => {}
                None => self.odd(field.key, value),
            },
            (Shape::Ip, _) => match value.as_text() {
                Some(text) if self.found.address == Some(value.raw().as_ptr() as usize) || is_ip(&text) => {
                    self.label(field);
                    self.address(&text);
                }
                Some(_) if known(value).is_none() => {}
                _ => self.odd(field.key, value),
            },
            (Shape::Object(fields) | Shape::Wrapped(fields) | Shape::Opened(fields), Kind::Object) => {
                let open = self.open_field(field);
                self.object(fields, Some(value), risk.filter(|_| field.always), depth + 1);
                self.close(open);
            }
            (Shape::List(fields) | Shape::FlatList(fields), Kind::Array) => {
                let open = self.open_field(field);
                for element in value.elements() {
                    self.element(fields, element, depth);
                }
                self.close_array(open);
            }
            // A word for nothing is none.
            (Shape::List(_) | Shape::FlatList(_), Kind::String) if known(value).is_none() => {}
            // One where several were expected.
            (Shape::List(fields) | Shape::FlatList(fields), Kind::Object) => {
                self.drifted(value);
                let open = self.open_field(field);
                self.element(fields, value, depth);
                self.close_array(open);
            }
            (Shape::Positions(fields, most), Kind::Array | Kind::Object) => {
                if value.kind() == Kind::Object {
                    self.drifted(value);
                }
                let open = self.open_field(field);
                self.positions(fields, most, value, depth + 1);
                self.close(open);
            }
            (Shape::Keyed, Kind::Array) if is_keyed(value) => {
                let open = self.open_field(field);
                self.keyed(value, depth + 1);
                self.close(open);
            }
            (Shape::Keyed | Shape::Maps, _) => {
                let open = self.open_field(field);
                if !self.maps(value, depth + 1) {
                    self.cut_label(open);
                }
            }
            (Shape::Map, Kind::Object) => {
                let open = self.open_field(field);
                let mut taken = None;
                for (key, member) in value.members() {
                    let here = self.here();
                    self.key(key, value, &mut taken, true);
                    if !self.keyword(member) {
                        self.back_to(here);
                    }
                }
                self.close(open);
            }
            (Shape::Flat, Kind::Object) => {
                let open = self.open_field(field);
                self.flat_object(value, Rows::NONE, depth + 1);
                self.close(open);
            }
            (Shape::Flat, Kind::Array | Kind::String) => {
                let open = self.open_field(field);
                if !self.opened_text(value, depth + 1, false) {
                    self.cut_label(open);
                    self.odd(field.key, value);
                }
            }
            (Shape::Pairs, _) => {
                let open = self.open_field(field);
                let at = self.len();
                if self.pairs(value) {
                    self.note_at(at, value.raw());
                } else if !self.flat(value, depth) {
                    self.cut_label(open);
                }
            }
            (Shape::Debug(named, opened), Kind::Object) => {
                let open = self.open_field(field);
                for (key, member) in value.members() {
                    if let Some(field) = named.find(&key) {
                        self.field(field, member, risk, depth + 1);
                    }
                }
                let whole = self.open(",\"flattened\":");
                self.flat_object(value, opened, depth + 2);
                self.close(whole);
                risk.into_iter().for_each(|risk| self.risk(risk));
                self.close(open);
            }
            (
                Shape::Object(_)
                | Shape::List(_)
                | Shape::FlatList(_)
                | Shape::Positions(..)
                | Shape::Map
                | Shape::Flat
                | Shape::Debug(..)
                | Shape::Wrapped(_)
                | Shape::Inner(_)
                | Shape::Opened(_)
                | Shape::Address
                | Shape::Params(_)
                | Shape::Parts,
                _,
            ) => self.odd(field.key, value),
        }
    }

    fn element(&mut self, fields: &'static [Field], value: Value<'_, '_>, depth: usize) {
        if value.kind() != Kind::Object {
            if !value.is_null() {
                self.odd("element", value);
            }
            return;
        }
        let open = self.open(",");
        self.object(fields, Some(value), None, depth + 1);
        self.close(open);
    }

    /// A string, or several, some of them in the word that existing content compares with.
    fn words(&mut self, value: Value<'_, '_>, words: &'static [(&'static str, &'static str)]) -> bool {
        if value.kind() == Kind::Array {
            let open = self.open("");
            for element in value.elements() {
                let at = self.len();
                self.put(",");
                let written = match element.kind() {
                    Kind::Array | Kind::Object => self.json_text(element),
                    _ => self.words(element, words),
                };
                if !written {
                    self.cut_back(at);
                }
            }
            return self.close_array(open);
        }
        let text = value.as_text();
        let plain = text.as_ref().and_then(Text::as_plain);
        match words.iter().find(|(theirs, _)| plain == Some(theirs)) {
            Some((_, ours)) => {
                self.note(value.raw());
                self.plain(ours);
                true
            }
            None => self.keyword(value),
        }
    }

    fn positions(&mut self, fields: &'static [Field], most: usize, value: Value<'_, '_>, depth: usize) {
        let crowded = value.elements().nth(most).is_some();
        let alone = (value.kind() == Kind::Object).then_some(value);
        let mut last = None;
        for (at, element) in value.elements().chain(alone).enumerate() {
            if last.is_some() {
                self.element(fields, element, depth);
                continue;
            }
            let label = self.len();
            self.put(",\"");
            self.number(i64::try_from(at).unwrap_or(i64::MAX));
            self.put("\":");
            let open = self.opened(label);
            if crowded && at + 1 == most {
                last = Some(open);
                self.element(fields, element, depth);
            } else if element.kind() == Kind::Object {
                self.object(fields, Some(element), None, depth + 1);
                self.close(open);
            } else {
                self.cut_label(open);
                if !element.is_null() {
                    self.odd("element", element);
                }
            }
        }
        if let Some(open) = last {
            self.close_array(open);
        }
    }

    /// A list that [`is_keyed`], as an object; values of the same key are a list.
    fn keyed(&mut self, value: Value<'_, '_>, depth: usize) {
        let pairs: SmallVec<[(Text<'_>, Option<Value<'_, '_>>); 16]> = value
            .elements()
            .filter_map(|element| {
                let [key, value] = element.pick(["key", "value"]);
                Some((key?.as_text()?, value))
            })
            .collect();
        for (at, (name, value)) in pairs.iter().enumerate() {
            let same = |other: &&(Text<'_>, Option<Value<'_, '_>>)| other.0 == *name;
            if pairs.iter().take(at).any(|other| same(&other)) {
                continue;
            }
            let later = pairs.get(at + 1..).unwrap_or_default();
            let label = self.len();
            self.put(",");
            name.write(self.buf);
            self.put(":");
            let open = self.opened(label);
            if !later.iter().any(|other| same(&other)) {
                // The name alone says something too.
                if !value.is_some_and(|value| self.flat(value, depth)) {
                    self.put("\"\"");
                }
                continue;
            }
            for (_, value) in pairs.iter().filter(same) {
                let before = self.len();
                self.put(",");
                if !value.is_some_and(|value| self.flat(value, depth)) {
                    self.cut_back(before);
                }
            }
            self.close_array(open);
        }
    }

    /// Open maps, one or a list, or JSON text of such; what is none becomes the one value of one.
    fn maps(&mut self, value: Value<'_, '_>, depth: usize) -> bool {
        match value.kind() {
            Kind::Null => false,
            Kind::Object => {
                let open = self.open("");
                self.flat_object(value, Rows::NONE, depth + 1);
                self.close(open)
            }
            Kind::Array => {
                let open = self.open("");
                for element in value.elements() {
                    let at = self.len();
                    self.put(",");
                    let drift = self.drift;
                    let mut written = self.maps(element, depth + 1);
                    // No list of lists, whether it is one or text of one.
                    if self.buf.get(at + 1) == Some(&b'[') {
                        self.cut_back(at);
                        self.forget_drift(drift);
                        self.put(",");
                        written = self.lone(element, depth);
                    }
                    if !written {
                        self.cut_back(at);
                    }
                }
                self.close_array(open)
            }
            Kind::String => {
                let opened = value.as_text().and_then(|text| {
                    inside(
                        &text,
                        |decoded| decoded.starts_with(['{', '[']),
                        |inner| {
                            let at = self.len();
                            let written = self.inside(value, |out| out.maps(inner, depth));
                            if written {
                                self.note_at(at, value.raw());
                            }
                            written
                        },
                    )
                });
                opened.unwrap_or_else(|| self.lone(value, depth))
            }
            Kind::Bool | Kind::Number => self.lone(value, depth),
        }
    }

    /// A value where a map was expected.
    fn lone(&mut self, value: Value<'_, '_>, depth: usize) -> bool {
        let open = self.open("");
        let at = self.len();
        self.put(",\"value\":");
        if self.flat(value, depth + 1) {
            self.drifted(value);
        } else {
            self.cut_back(at);
        }
        self.close(open)
    }

    /// What the event knows of the risk, where rules look for it.
    fn risk(&mut self, risk: &Risk<'_>) {
        let Risk { level, word, reasons, behaviors, threat: _ } = risk;
        match (word, level) {
            (Some(word), _) => {
                self.put(",\"risk_level\":");
                self.string(word);
            }
            (None, Some(level)) => {
                self.put(",\"risk_level\":\"");
                self.put(match level {
                    RiskLevel::None => "NONE",
                    RiskLevel::Low => "LOW",
                    RiskLevel::Medium => "MEDIUM",
                    RiskLevel::High => "HIGH",
                    RiskLevel::Critical => "CRITICAL",
                });
                self.put("\"");
            }
            (None, None) => {}
        }
        for (label, list) in [(",\"risk_reasons\":", reasons), (",\"risk_behaviors\":", behaviors)] {
            let open = self.open(label);
            for text in list {
                self.put(",");
                self.string(text);
            }
            self.close_array(open);
        }
    }

    /// A time or a day.
    fn date(&mut self, value: Value<'_, '_>) -> bool {
        if let Some(text) = value.as_text().filter(|text| text.as_plain().is_some_and(is_our_time)) {
            self.string(&text);
            return true;
        }
        self.note(value.raw());
        match date(value) {
            Some(time) => write_time(time, self.buf),
            None => return false,
        }
        true
    }

    /// Any value as a keyword, or several; `false` and nothing written if there is nothing in it.
    pub(super) fn keyword(&mut self, value: Value<'_, '_>) -> bool {
        match value.kind() {
            Kind::Null => false,
            Kind::String => match value.as_filled() {
                Some(text) => {
                    self.string(&text);
                    true
                }
                None => false,
            },
            Kind::Number | Kind::Bool => {
                self.note(value.raw());
                self.put("\"");
                self.put(value.raw());
                self.put("\"");
                true
            }
            Kind::Array => {
                let open = self.open("");
                for element in value.elements() {
                    let at = self.len();
                    self.put(",");
                    let written = match element.kind() {
                        Kind::Array | Kind::Object => self.json_text(element),
                        _ => self.keyword(element),
                    };
                    if !written {
                        self.cut_back(at);
                    }
                }
                self.close_array(open)
            }
            Kind::Object => self.json_text(value),
        }
    }

    /// A container as JSON text.
    pub(super) fn json_text(&mut self, value: Value<'_, '_>) -> bool {
        if value.members().next().is_none() && value.elements().next().is_none() {
            return false;
        }
        self.note(value.raw());
        self.plain(value.raw());
        true
    }

    /// A member that the table does not know: kept, in snake case, and counted.
    #[cold]
    fn unknown(
        &mut self,
        fields: &'static [Field],
        taken: &mut Option<Taken>,
        key: Key<'_>,
        value: Value<'_, '_>,
        depth: usize,
    ) {
        let decoded = key.decode();
        if self.keeps {
            return self.odd(&decoded, value);
        }
        self.drifted(value);
        let name = match snake(&decoded) {
            name if name.is_empty() => UNNAMED.to_owned(),
            name => name,
        };
        let taken = taken.get_or_insert_with(|| {
            // An address brings its port.
            let ports = fields.iter().filter(|field| matches!(field.shape, Shape::Address)).map(|_| "port");
            // Beside the record's own members stands what does not fit.
            let aside = (depth == 1).then_some("unmapped");
            Taken::of(fields.iter().map(Field::name).chain(ports).chain(aside))
        });
        let at = self.len();
        self.put(",");
        write_string(&taken.free(name), self.buf);
        self.put(":");
        if !self.natural(value, depth) {
            self.cut_back(at);
        }
    }

    /// An unknown value in its own shape, keys in snake case.
    fn natural(&mut self, value: Value<'_, '_>, depth: usize) -> bool {
        match value.kind() {
            Kind::Object if depth < DEEPEST => {
                let open = self.open("");
                let mut taken = None;
                for (key, member) in value.members() {
                    if !member.is_null() {
                        let before = self.drift;
                        self.unknown(&[], &mut taken, key, member, depth + 1);
                        self.forget_drift(before);
                    }
                }
                self.close(open)
            }
            Kind::Array if depth < DEEPEST => {
                let open = self.open("");
                for element in value.elements() {
                    let at = self.len();
                    self.put(",");
                    if !self.natural(element, depth + 1) {
                        self.cut_back(at);
                    }
                }
                self.close_array(open)
            }
            Kind::Bool | Kind::Number => {
                self.scalar(value);
                true
            }
            _ => self.keyword(value),
        }
    }

    /// A boolean or number as it stands; a number that stores cannot hold, as text.
    pub(super) fn scalar(&mut self, value: Value<'_, '_>) {
        match value.as_number() {
            Some(number) if number.len() > 18 && value.as_i64().is_none() => {
                self.note(number);
                self.put("\"");
                self.put(number);
                self.put("\"");
            }
            _ => self.copy(value.raw()),
        }
    }

    /// Members of an open map, keys as they are.
    fn flat_object(&mut self, value: Value<'_, '_>, special: &'static Rows, depth: usize) {
        let mut taken = None;
        for (key, member) in value.members() {
            if member.is_null() {
                continue;
            }
            if let Some(field) = special.find(&key) {
                self.field(field, member, None, depth);
                continue;
            }
            if let Some((whole, at)) = member.member(&key)
                && at <= NAME
                && !matches!(whole.bytes().get(at + 1), Some(b'{' | b'['))
                && !key.is_blank()
                && self.member(whole, at)
            {
                continue;
            }
            let here = self.here();
            self.key(key, value, &mut taken, false);
            if !self.flat(member, depth) {
                self.back_to(here);
            }
        }
    }

    /// A value inside an open map.
    pub(super) fn flat(&mut self, value: Value<'_, '_>, depth: usize) -> bool {
        match value.kind() {
            Kind::Null => false,
            Kind::Bool | Kind::Number => {
                self.scalar(value);
                true
            }
            Kind::String => {
                let raw = value.raw().as_bytes();
                if let Some(b'{' | b'[') = raw.get(1)
                    && self.opened_text(value, depth, true)
                {
                    return true;
                }
                self.keyword(value)
            }
            Kind::Object if depth < DEEPEST => {
                let open = self.open("");
                self.flat_object(value, Rows::NONE, depth + 1);
                self.close(open)
            }
            Kind::Array if depth < DEEPEST => {
                let open = self.open("");
                for element in value.elements() {
                    let at = self.len();
                    self.put(",");
                    if !self.flat(element, depth + 1) {
                        self.cut_back(at);
                    }
                }
                self.close_array(open)
            }
            Kind::Object | Kind::Array => self.json_text(value),
        }
    }

    /// What is read out of a text of the record stands where the text does.
    fn inside<T>(&mut self, text: Value<'_, '_>, read: impl FnOnce(&mut Self) -> T) -> T {
        let within = self.offset_of(text.raw()).or(self.within);
        let before = std::mem::replace(&mut self.within, within);
        let read = read(self);
        self.within = before;
        read
    }

    /// JSON text in a string, opened; with `any` false only if an object is inside.
    fn opened_text(&mut self, value: Value<'_, '_>, depth: usize, any: bool) -> bool {
        let Some(text) = value.as_text() else { return any && self.flat(value, depth) };
        let opened = inside(
            &text,
            |_| depth < DEEPEST,
            |inner| {
                let fits = match inner.kind() {
                    Kind::Object => true,
                    Kind::Array => any,
                    _ => false,
                };
                let at = self.len();
                if fits && self.inside(value, |out| out.flat(inner, depth)) {
                    self.note_at(at, value.raw());
                    return true;
                }
                self.cut_back(at);
                false
            },
        );
        opened == Some(true)
    }

    /// `{name=VALUE, …}`, or a list of `name=VALUE`, as an object.
    fn pairs(&mut self, value: Value<'_, '_>) -> bool {
        let alone = (value.kind() == Kind::String).then_some(value);
        let texts: SmallVec<[Cow<'_, str>; 2]> =
            value.elements().chain(alone).filter_map(|value| value.as_text().map(Text::into_cow)).collect();
        let mut found: SmallVec<[(&str, &str); 16]> = SmallVec::new();
        for text in &texts {
            found.extend(pairs(text));
        }
        let open = self.open("");
        if found.len() > 32 || found.iter().any(|(name, _)| name.len() > NAME) {
            self.many_pairs(&found);
            return self.close(open);
        }
        for (at, (name, value)) in found.iter().enumerate() {
            let later = found.get(at + 1..).unwrap_or_default();
            let again = later.iter().any(|(other, _)| {
                other.len() == name.len() && other.bytes().map(underscored).eq(name.bytes().map(underscored))
            });
            if again || value.is_empty() {
                continue;
            }
            self.put(",\"");
            let from = self.len();
            self.put(name);
            for byte in self.buf.get_mut(from..).unwrap_or_default() {
                *byte = underscored(*byte);
            }
            self.put("\":");
            self.plain(value);
        }
        self.close(open)
    }

    /// The same for more than anybody has seen, or longer ones.
    #[cold]
    fn many_pairs(&mut self, found: &[(&str, &str)]) {
        let name = |name: &str| -> String {
            let same = |letter: char| u8::try_from(letter).is_ok_and(|byte| underscored(byte) != byte);
            name.replace(same, "_")
        };
        let last: HashMap<String, usize> =
            found.iter().enumerate().map(|(at, (of, _))| (name(of), at)).collect();
        let mut taken = Taken::of(last.keys().filter(|name| name.len() <= NAME).cloned());
        for (at, (of, value)) in found.iter().enumerate() {
            let mut name = name(of);
            if value.is_empty() || last.get(&name) != Some(&at) {
                continue;
            }
            if name.len() > NAME {
                self.cut += 1;
                name = taken.free(fit(&name, false).0.into_owned());
            }
            self.put(",");
            write_string(&name, self.buf);
            self.put(":");
            self.plain(value);
        }
    }

    /// A key of an object as it is. One that no store takes is given another name, which no other has.
    pub(super) fn key(&mut self, key: Key<'_>, object: Value<'_, '_>, taken: &mut Option<Taken>, dots: bool) {
        let blank = key.is_blank();
        if let Some(plain) = key.as_plain()
            && plain.len() <= NAME
            && !(dots && memchr::memchr(b'.', plain.as_bytes()).is_some())
            && !blank
        {
            self.put(",");
            self.put_piece(key.quoted());
            self.put(":");
            return;
        }
        let decoded = key.decode();
        let (mut name, cut) = if blank { (UNNAMED.into(), false) } else { fit(&decoded, dots) };
        self.cut += u32::from(cut);
        if name != decoded {
            let taken = taken.get_or_insert_with(|| {
                let as_they_are = object.members().map(|(key, _)| key.decode().into_owned());
                Taken::of(as_they_are.filter(|key| fit(key, dots).0 == *key && !key.trim().is_empty()))
            });
            name = taken.free(name.into_owned()).into();
        }
        self.put(",");
        write_string(&name, self.buf);
        self.put(":");
    }
}

/// The name of what has none.
const UNNAMED: &str = "unnamed";

/// A time or a day, where a document can have it.
fn date(value: Value<'_, '_>) -> Option<DateTime<Utc>> {
    let time = match integer(value) {
        // Of the units that vendors count in, the one that makes a time between 1973 and 5138.
        Some(number) => match number.unsigned_abs() {
            100_000_000..100_000_000_000 => DateTime::from_timestamp(number, 0),
            100_000_000_000..100_000_000_000_000 => DateTime::from_timestamp_millis(number),
            100_000_000_000_000..100_000_000_000_000_000 => DateTime::from_timestamp_micros(number),
            _ => None,
        },
        None => value.as_text().and_then(|text| {
            let text = text.decode();
            parse_time(&text).or_else(|| day(&text))
        }),
    };
    time.filter(|time| (0..=9999).contains(&time.year()))
}

/// Whether [`date`] reads it.
fn is_date(value: Value<'_, '_>) -> bool {
    // Numbers of so many digits, and times as almost all are written, need not be made into one.
    let plain = match value.as_number() {
        Some(number) => matches!(number.len(), 9..=17) && are_digits(number),
        None => value.as_text().is_some_and(|text| text.read(is_plain_time)),
    };
    plain || date(value).is_some()
}

/// The beginning of a day.
fn day(text: &str) -> Option<DateTime<Utc>> {
    let mut whole = *b"0000-00-00T00:00:00Z";
    let day: &[u8; 10] = text.as_bytes().try_into().ok()?;
    whole.first_chunk_mut::<10>()?.copy_from_slice(day);
    parse_time(std::str::from_utf8(&whole).ok()?)
}

/// Bytes of a key in an open map.
pub(super) const NAME: usize = 256;

/// A key as stores take it, and whether that had to be cut.
fn fit(key: &str, dots: bool) -> (Cow<'_, str>, bool) {
    let odd = |letter: char| letter == '\0' || (dots && letter == '.');
    let cut = key.len() > NAME;
    let end = (0..=NAME.min(key.len())).rev().find(|&end| key.is_char_boundary(end)).unwrap_or(0);
    let key = key.get(..end).unwrap_or_default();
    if key.contains(odd) { (key.replace(odd, "_").into(), cut) } else { (key.into(), cut) }
}

/// The names that members of one object have been given, so that none is given twice.
pub(super) struct Taken(HashMap<String, u32>);

impl Taken {
    fn of(names: impl Iterator<Item = impl Into<String>>) -> Self {
        Self(names.map(|name| (name.into(), 1)).collect())
    }

    /// This name, or with a number behind it if it is taken.
    fn free(&mut self, name: String) -> String {
        let Some(mut count) = self.0.get(&name).copied() else {
            self.0.insert(name.clone(), 1);
            return name;
        };
        let numbered = loop {
            count += 1;
            let numbered = format!("{name}_{count}");
            if !self.0.contains_key(&numbered) {
                break numbered;
            }
        };
        self.0.insert(name, count);
        self.0.insert(numbered.clone(), 1);
        numbered
    }
}

/// What the event knows of the risk, if it knows anything.
fn told<'e, 'r>(risk: &'e Risk<'r>) -> Option<&'e Risk<'r>> {
    let Risk { level, word, reasons, behaviors, threat: _ } = risk;
    let told = level.is_some() || word.is_some() || !reasons.is_empty() || !behaviors.is_empty();
    told.then_some(risk)
}

/// Whether all elements are a name and its value and nothing else, few enough to be compared with each other.
fn is_keyed(list: Value<'_, '_>) -> bool {
    let mut count = 0;
    list.elements().all(|element| {
        count += 1;
        count <= 64
            && element.members().all(|(key, _)| key.is("key") || key.is("value"))
            && matches!(element.pick(["key", "value"]), [Some(key), Some(_)] if text(key).is_some_and(|key| {
                // As stores take it: what would have to be cut or replaced stays in the list.
                key.read(|key| key.len() <= NAME && memchr::memchr(0, key.as_bytes()).is_none())
            }))
    })
}

/// Whether the member that this one is another spelling of is there too.
fn spelled(fields: &'static [Field], again: &Field, object: Value<'_, '_>) -> bool {
    let mut others = fields.iter().filter(|other| !other.again && other.label == again.label);
    others.any(|other| object.get(other.key).is_some_and(|member| !member.is_null()))
}

/// The row of a key. Records keep their order, so the next member is most often the next row.
#[inline(always)]
pub(super) fn find(fields: &'static [Field], key: &Key<'_>, hint: &mut usize) -> Option<&'static Field> {
    match fields.get(*hint) {
        Some(field) if field.is_of(key) => {
            *hint += 1;
            Some(field).filter(|field| !field.key.is_empty())
        }
        _ => find_elsewhere(fields, key, hint),
    }
}

fn find_elsewhere(fields: &'static [Field], key: &Key<'_>, hint: &mut usize) -> Option<&'static Field> {
    let find = |fields: &[Field]| fields.iter().position(|field| field.is_of(key));
    let (before, after) = fields.split_at_checked(*hint)?;
    let at = find(after).map(|at| *hint + at).or_else(|| find(before))?;
    *hint = at + 1;
    fields.get(at).filter(|field| !field.key.is_empty())
}

/// Members that groups of their object write, in the record's order.
#[derive(Default)]
struct Gathered<'t, 'r> {
    members: SmallVec<[(&'static Field, Value<'t, 'r>); 12]>,
    /// The bits of their keys: groups have places for many more than an object has.
    bits: u64,
    /// Where the next one is looked for first: groups keep the record's order too.
    hint: usize,
}

impl<'t, 'r> Gathered<'t, 'r> {
    fn take(&mut self, field: &'static Field, member: Value<'t, 'r>) {
        self.bits |= field.bit();
        self.members.push((field, member));
    }

    #[inline]
    fn get(&mut self, part: &Field) -> Option<Value<'t, 'r>> {
        if self.bits & part.bit() == 0 {
            return None;
        }
        let find = |members: &[(&Field, Value<'_, '_>)]| {
            members.iter().position(|(field, _)| field.has_key_of(part))
        };
        let (before, after) = self.members.split_at_checked(self.hint)?;
        let at = find(after).map(|at| self.hint + at).or_else(|| find(before))?;
        self.hint = at + 1;
        self.members.get(at).map(|(_, value)| *value)
    }
}

/// `New Geo-Location` → `New_Geo_Location`, as the integration's field names have it.
#[inline]
fn underscored(byte: u8) -> u8 {
    const ALL: [u8; 256] = {
        let mut all = [b'_'; 256];
        let (mut rest, mut byte): (&mut [u8], u8) = (&mut all, 0);
        while let Some((place, after)) = rest.split_first_mut() {
            if byte.is_ascii_alphanumeric() || byte == b':' || !byte.is_ascii() {
                *place = byte;
            }
            byte = byte.wrapping_add(1);
            rest = after;
        }
        all
    };
    ALL.get(usize::from(byte)).copied().unwrap_or(b'_')
}

/// `userBehaviors`, `IPAddress`, `New City` → `user_behaviors`, `ip_address`, `new_city`.
pub(super) fn snake(name: &str) -> String {
    let letters: Vec<char> = name.trim().chars().take(128).collect();
    let mut out = String::with_capacity(letters.len() + 4);
    for (at, &letter) in letters.iter().enumerate() {
        if letter.is_uppercase() {
            let before = at.checked_sub(1).and_then(|at| letters.get(at)).copied().unwrap_or('_');
            let after = letters.get(at + 1).copied().unwrap_or('_');
            let new = before.is_lowercase()
                || before.is_numeric()
                || (before.is_uppercase() && after.is_lowercase());
            if new && !out.ends_with('_') {
                out.push('_');
            }
            out.extend(letter.to_lowercase());
        } else if letter.is_alphanumeric() || letter == '@' || letter == '$' || letter == ':' {
            out.push(letter);
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    if out.chars().all(|letter| letter == '_') {
        out.clear();
    }
    out
}
