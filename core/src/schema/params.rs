//! Lists of named values, as Google writes them: `[{"name": "login_type", "value": "saml"}, …]`, each as a field.

use super::Writer;
use super::namespace::{DEEPEST, snake};
use super::writer::Open;
use crate::event::{Param, Params, Shape};
use crate::json::{Kind, Value};
use smallvec::SmallVec;
use std::borrow::Cow;

/// A record's list has one or two dozen at most; what comes after these is put aside.
const MOST: usize = 48;

/// Deeper than any known path.
const SEGMENTS: usize = 6;

/// Of a message whose type nobody has described.
const OPEN: &Params = &Params::of(&[], "");

struct Slot<'t, 'r> {
    path: Cow<'r, str>,
    param: Option<&'static Param>,
    value: Value<'t, 'r>,
}

impl Writer<'_> {
    /// The fields of a list; an object around them is the caller's.
    pub(super) fn params(&mut self, params: &'static Params, list: Value<'_, '_>, depth: usize) {
        let mut used: SmallVec<[Slot<'_, '_>; MOST]> = SmallVec::new();
        for parameter in list.elements() {
            let Some(slot) = self.slot(params, parameter) else { continue };
            if used.len() < MOST {
                used.push(slot);
            } else {
                self.odd_param(&slot.path, slot.value);
            }
        }
        used.sort_by(|one, other| one.path.cmp(&other.path));
        // Objects that are open, each by the path of what is in it.
        let mut open: [Option<(&str, Open)>; SEGMENTS] = [None; SEGMENTS];
        let mut before: Option<&str> = None;
        for Slot { path, param, value } in &used {
            if before == Some(path) {
                self.odd_param(path, *value);
                continue;
            }
            before = Some(path);
            for place in open.iter_mut().rev() {
                if let Some((prefix, object)) = place
                    && !(path.starts_with(*prefix) && path.as_bytes().get(prefix.len()) == Some(&b'.'))
                {
                    self.close(*object);
                    *place = None;
                }
            }
            let mut from = open.iter().flatten().last().map_or(0, |(prefix, _)| prefix.len() + 1);
            while param.is_none_or(Param::is_nested)
                && let Some((name, _)) = path.get(from..).and_then(|rest| rest.split_once('.'))
                && let Some(place) = open.iter_mut().find(|place| place.is_none())
            {
                let at = self.len();
                self.put(",\"");
                self.put(name);
                self.put("\":");
                from += name.len();
                *place = Some((path.get(..from).unwrap_or_default(), self.opened(at)));
                from += 1;
            }
            match param {
                Some(param) => self.known_param(param, *value, depth),
                None => {
                    let at = self.len();
                    self.put(",\"");
                    self.put(path);
                    self.put("\":");
                    let written = match message(*value) {
                        Some(_) if !params.known.is_empty() => false,
                        Some(_) => self.message(OPEN, *value, depth),
                        None if params.known.is_empty() => self.flat(*value, depth),
                        None => self.keyword(*value),
                    };
                    if !written {
                        self.cut_back(at);
                    }
                }
            }
        }
        for (_, object) in open.into_iter().rev().flatten() {
            self.close(object);
        }
    }

    fn known_param(&mut self, param: &'static Param, value: Value<'_, '_>, depth: usize) {
        let inner = match (param.field.shape, message(value)) {
            (Shape::Params(inner), Some(_)) => inner,
            (Shape::Flat | Shape::Details, Some(_)) => OPEN,
            (Shape::Params(_) | Shape::Flat, None) => return self.odd_param(param.field.key, value),
            _ => {
                let before = std::mem::replace(&mut self.by_name, true);
                self.field(&param.field, value, None, depth);
                self.by_name = before;
                return;
            }
        };
        let open = self.open(param.field.label);
        if !self.message(inner, value, depth) {
            self.cut_label(open);
        }
    }

    /// A message or a list of them, each an object of its parameters.
    fn message(&mut self, params: &'static Params, value: Value<'_, '_>, depth: usize) -> bool {
        if depth >= DEEPEST {
            return self.json_text(value);
        }
        if value.kind() == Kind::Array {
            let open = self.open("");
            for element in value.elements() {
                self.put(",");
                let at = self.len() - 1;
                if !self.message(params, element, depth + 1) {
                    self.cut_back(at);
                }
            }
            return self.close_array(open);
        }
        if value.kind() != Kind::Object {
            if !value.is_null() {
                self.odd("message", value);
            }
            return false;
        }
        let open = self.open("");
        for (key, member) in value.members() {
            match member.kind() {
                Kind::Array if key.is("parameter") => self.params(params, member, depth + 1),
                Kind::Null => {}
                _ => self.odd(&key.decode(), member),
            }
        }
        self.close(open)
    }

    /// Its place in the list says less than its name.
    #[cold]
    fn odd_param(&mut self, name: &str, value: Value<'_, '_>) {
        let before = std::mem::replace(&mut self.by_name, true);
        self.odd(name, value);
        self.by_name = before;
    }

    /// Where one named value belongs; `None` if there is none, or it is put aside.
    fn slot<'t, 'r>(&mut self, params: &'static Params, parameter: Value<'t, 'r>) -> Option<Slot<'t, 'r>> {
        let mut name = None;
        let mut found = None;
        let (mut more, mut usual) = (false, true);
        for (key, member) in parameter.members() {
            match key.as_plain() {
                Some("name") => name = member.as_text().filter(|name| !name.is_blank()),
                _ if member.is_null() => {}
                Some(form) if found.is_none() => {
                    usual =
                        matches!(form, "value" | "intValue" | "boolValue" | "multiValue" | "multiIntValue");
                    found = Some(member);
                }
                _ => more = true,
            }
        }
        let (Some(name), false) = (name, more) else {
            if !parameter.is_null() {
                self.odd("parameter", parameter);
            }
            return None;
        };
        // A name alone says nothing: not even that the value was empty.
        let value = found?;
        let name = name.into_cow();
        if let Some(param) = params.find(&name) {
            let shown = match param.field.shape {
                Shape::Ignore(_) => false,
                // In a form that nobody has heard of, the event does not have it.
                Shape::In if !usual => {
                    self.odd("parameter", parameter);
                    false
                }
                _ => true,
            };
            return shown.then_some(Slot { path: Cow::Borrowed(param.path), param: Some(param), value });
        }
        let typed = !params.known.is_empty();
        let path = cut(snaked(name), params.prefix);
        let taken = |param: &Param| {
            param.path.strip_prefix(&*path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if path.is_empty() || (typed && message(value).is_some()) || params.known.iter().any(taken) {
            self.odd("parameter", parameter);
            return None;
        }
        if typed {
            self.drifted(value);
        }
        Some(Slot { path, param: None, value })
    }
}

/// The value, if it is a message or a list of messages.
fn message<'t, 'r>(value: Value<'t, 'r>) -> Option<Value<'t, 'r>> {
    match value.kind() {
        Kind::Object => Some(value),
        Kind::Array => value.elements().any(|element| element.kind() == Kind::Object).then_some(value),
        _ => None,
    }
}

/// A name in snake case; most are.
fn snaked(name: Cow<'_, str>) -> Cow<'_, str> {
    let mut last = b'_';
    let plain = name.len() <= 128
        && name.bytes().all(|byte| {
            let before = std::mem::replace(&mut last, byte);
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || (byte == b'_' && before != b'_')
        });
    if plain && last != b'_' { name } else { Cow::Owned(snake(&name)) }
}

fn cut<'r>(name: Cow<'r, str>, prefix: &str) -> Cow<'r, str> {
    if prefix.is_empty() || name.len() <= prefix.len() || !name.starts_with(prefix) {
        return name;
    }
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.get(prefix.len()..).unwrap_or_default()),
        Cow::Owned(name) => Cow::Owned(name.get(prefix.len()..).unwrap_or_default().to_owned()),
    }
}
