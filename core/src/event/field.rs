//! What becomes of a vendor's own fields: const tables, one or more a connector.

use super::Event;
use crate::json::{Key, Text, same};

/// What becomes of all fields of a vendor's record.
#[derive(Debug)]
pub struct Table {
    /// The record's members.
    pub fields: &'static [Field],
    /// What stands under the namespace, where that is more than the record's members.
    pub layout: Option<&'static [Part]>,
    /// Existing content expects actor and network under `client` too, not only under `source`.
    pub client: bool,
    /// Existing content expects the address under `source.address` too, and its place under `geo`.
    pub place: bool,
    /// Existing content counts what was interrupted or challenged as a failure, which it is not.
    pub interrupts_fail: bool,
    /// `event.action`, where existing content knows all these events by one name.
    pub action: Option<&'static str>,
    /// Members that each ECS document has, ready to be written: `,"name":{…}`.
    pub constants: &'static str,
    /// Existing content knows when what was found began, as `event.start`.
    pub start: bool,
    /// Existing content expects the actor's address and groups under `source.user` too.
    pub source_user: bool,
    /// Where the record has the actor's address: existing content looks for the empty one that an anonymous actor has, under
    /// `source.user`.
    pub anonymous: &'static [&'static str],
    /// Under which name of the namespace the fields stand, ready to be written: `,"auth":`; empty: under none.
    pub under: &'static str,
    /// Members of the event's part, which stand beside the others.
    pub part: &'static [Field],
    /// Where, as `,"unmapped":`, one open map keeps what the table does not know and what does not fit its type, by its
    /// path in the record. Empty: what is unknown is kept beside the others, and only what does not fit in that map.
    pub unmapped: &'static str,
    /// How add-ons for Splunk know these records.
    pub raw: RawShape,
    /// One name stands for all ends of these events: an id of the event (LEEF's) has the vendor's word for the end, too.
    pub ends_in_id: bool,
}

/// How add-ons know the vendor's records, where that is not how the API sends them.
#[derive(Clone, Copy, Debug)]
pub enum RawShape {
    /// As the API sends them.
    AsSent,
    /// A document for each part of a record: the record without the list of them, and the part under a name.
    Parted {
        /// The list's key.
        list: &'static str,
        /// The part's name, ready to be written: `,"event":`.
        label: &'static str,
    },
    /// In the envelope in which another way out of the vendor's sends them; fields stand in it as they are.
    Enveloped {
        /// What stands in the envelope.
        parts: &'static [Part],
        /// The sourcetype that add-ons know the envelope by, instead of that of [`Names`](crate::source::Names).
        sourcetype: &'static str,
    },
}

impl Table {
    /// No field, nothing expected.
    pub const EMPTY: Self = Self {
        fields: &[],
        layout: None,
        client: false,
        place: false,
        interrupts_fail: false,
        action: None,
        constants: "",
        start: false,
        source_user: false,
        anonymous: &[],
        under: "",
        part: &[],
        unmapped: "",
        raw: RawShape::AsSent,
        ends_in_id: false,
    };
}

impl Default for &'static Table {
    fn default() -> Self {
        const NONE: &Table = &Table::EMPTY;
        NONE
    }
}

/// What stands under a namespace when existing content knows the record in an envelope that the API does not send.
#[derive(Debug)]
pub enum Part {
    /// Always the same, ready to be written: `,"name":"value"`.
    Constant(&'static str),
    /// A text of the event's, under a label (see [`label!`](crate::label)).
    Of(&'static str, TextOf),
    /// A member of the record's.
    Member(Field),
    /// The organisation whose log it is: the event's, or else the context's.
    Organisation {
        /// Where it stands.
        label: &'static str,
        /// What is written before and after it.
        around: (&'static str, &'static str),
    },
    /// A word for a success and one for a failure, under a label.
    Outcome(&'static str, [&'static str; 2]),
    /// An object of these, under a label.
    Object(&'static str, &'static [Part]),
    /// The record's members, by the table's fields.
    Record,
}

/// Which text of an event.
pub type TextOf = for<'e, 'r> fn(&'e Event<'r>) -> &'e Option<Text<'r>>;

/// What becomes of one member.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the record.
    pub key: &'static str,
    /// Its name under the namespace, ready to be written: `,"name":`
    pub label: &'static str,
    /// Its first bytes, so many that most labels are in them.
    pub(crate) short: [u8; Self::SHORT],
    /// The first eight bytes of the key and its closing quote, and which bits of them count.
    head: (u64, u64),
    /// What it is made into.
    pub shape: Shape,
    /// The event has its meaning; schemas without a vendor namespace leave it out of what is unmapped.
    pub event: bool,
    /// A keyword under the name that it has in the record: a plain string is copied together with its name.
    pub(crate) verbatim: bool,
    /// Another spelling of a member that stands before it in the table, for when that one is missing; beside it, it is
    /// kept as what the table does not know is.
    pub again: bool,
    /// Something of the event's is written inside it even where the record lacks it.
    pub always: bool,
}

impl Field {
    /// Bytes of a label that are copied at once.
    pub(crate) const SHORT: usize = 32;

    /// A field under a label (see [`field!`](crate::field)).
    #[must_use]
    pub const fn new(key: &'static str, label: &'static str, shape: Shape) -> Self {
        let verbatim =
            matches!(shape, Shape::Keyword | Shape::Text) && is_label(label.as_bytes(), key.as_bytes());
        let short = beginning(label.as_bytes());
        let head = head(key.as_bytes());
        Self { key, label, short, head, shape, event: false, verbatim, again: false, always: false }
    }

    /// Whether it is the row of this key.
    #[inline(always)]
    pub(crate) fn is_of(&self, key: &Key<'_>) -> bool {
        let (head, mask) = self.head;
        match key.head() {
            // With its closing quote among them, that was all of it.
            Some(first) => (first ^ head) & mask == 0 && (self.key.len() < 8 || key.is(self.key)),
            None => key.is(self.key),
        }
    }

    /// Whether both are of one key.
    #[inline]
    pub(crate) fn has_key_of(&self, other: &Self) -> bool {
        self.head == other.head && (self.key.len() < 8 || same(self.key.as_bytes(), other.key.as_bytes()))
    }

    /// A bit for its key: keys without a common bit are different ones.
    #[inline]
    pub(crate) fn bit(&self) -> u64 {
        // Any odd number whose highest bits are well mixed (2^64 by the golden ratio).
        1 << (self.head.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58)
    }

    /// The event has it.
    #[must_use]
    pub const fn event(self) -> Self {
        Self { event: true, ..self }
    }

    /// See [`Field::again`].
    #[must_use]
    pub const fn again(self) -> Self {
        Self { again: true, ..self }
    }

    /// See [`Field::always`].
    #[must_use]
    pub const fn always(self) -> Self {
        Self { always: true, ..self }
    }

    /// Its name under the namespace.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.label.strip_prefix(",\"").and_then(|rest| rest.strip_suffix("\":")).unwrap_or_default()
    }
}

/// The first bytes of a label, and blanks behind one that is shorter.
const fn beginning(label: &[u8]) -> [u8; Field::SHORT] {
    let mut first = [b' '; Field::SHORT];
    let (mut to, mut from): (&mut [u8], _) = (&mut first, label);
    while let ([place, rest_of_place @ ..], [byte, rest_of_label @ ..]) = (to, from) {
        *place = *byte;
        to = rest_of_place;
        from = rest_of_label;
    }
    first
}

/// The first eight bytes of a key and its closing quote, as a number, and which bits of it they are.
const fn head(key: &[u8]) -> (u64, u64) {
    let (mut head, mut mask, mut shift, mut rest) = (0, 0, 0, key);
    while shift < u64::BITS {
        let (byte, after) = match rest {
            [byte, after @ ..] => (*byte, Some(after)),
            [] => (b'"', None),
        };
        head |= (byte as u64) << shift;
        mask |= 0xFF << shift;
        match after {
            Some(after) => rest = after,
            None => break,
        }
        shift += 8;
    }
    (head, mask)
}

/// Whether a label is `,"key":` for this key.
const fn is_label(label: &[u8], key: &[u8]) -> bool {
    let [b',', b'"', name @ .., b'"', b':'] = label else { return false };
    let (mut name, mut key) = (name, key);
    while let ([a, rest_of_name @ ..], [b, rest_of_key @ ..]) = (name, key) {
        if *a != *b {
            return false;
        }
        name = rest_of_name;
        key = rest_of_key;
    }
    name.is_empty() && key.is_empty()
}

/// A row of a field table: `field!("displayName" => "display_name", Shape::Keyword)`.
#[macro_export]
macro_rules! field {
    ($key:literal => $name:literal, $shape:expr) => {
        $crate::event::Field::new($key, concat!(",\"", $name, "\":"), $shape)
    };
    ($key:literal, $shape:expr) => {
        $crate::field!($key => $key, $shape)
    };
}

/// A name, ready to be written before a value: `,"name":`.
#[macro_export]
macro_rules! label {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// What a field is made into. A store refuses a whole document for one value of a wrong type, so a shape never writes
/// anything else: what does not fit is counted and kept as unmapped, or for keywords spelled out.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A string, or several. Numbers and booleans by their spelling, objects as JSON text.
    Keyword,
    /// A keyword; where it is one of these words, the word that existing content compares with.
    Words(&'static [(&'static str, &'static str)]),
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits.
    Long,
    /// A time, as it stands if any store can read that.
    Time,
    /// A boolean, also where it is spelled as a string.
    Boolean,
    /// An IP address.
    Ip,
    /// An IP address, perhaps with a port, which stands beside it as `port`.
    Address,
    /// A time or a day; whole numbers are seconds, milliseconds or microseconds since 1970, whichever is of our time.
    Date,
    /// An object with known members; unknown ones are kept in snake case, and counted.
    Object(&'static [Field]),
    /// Such an object; any other value is that of its first member.
    Wrapped(&'static [Field]),
    /// An object of which one member is meant, as a keyword; a plain value stands for it.
    Inner(&'static str),
    /// An object, which may be JSON text.
    Opened(&'static [Field]),
    /// An open map, which may be JSON text; vendors write other text there too.
    Details,
    /// A list of named values.
    Params(&'static Params),
    /// The list whose elements, if they are objects, are the record's parts.
    Parts,
    /// A list of such objects.
    List(&'static [Field]),
    /// A list of such objects in a field that takes any shape below it.
    FlatList(&'static [Field]),
    /// A list of such objects as one object, keyed by position: `"0"`, `"1"` … at most so many; what is beyond is a list in the
    /// last one.
    Positions(&'static [Field], usize),
    /// A list of `{ "key": …, "value": … }` as one object, in a field that takes any shape below it.
    Keyed,
    /// A list of open maps in a field that takes any shape below it; JSON text is opened.
    Maps,
    /// An open map of keywords; its keys are kept as they are.
    Map,
    /// An open map in a field that takes any shape below it; JSON text is opened.
    Flat,
    /// Text such as `{New City=POSITIVE}`, as an object.
    Pairs,
    /// An open map: some members under their own names (first list), the whole of it under `flattened`, JSON text opened
    /// and some members in shapes of their own (second list), and what the event knows of the risk.
    Debug(&'static Rows, &'static Rows),
    /// Members of the same object, gathered under one name. Has no key and stands last in its list; the members
    /// themselves are [`Shape::Gathered`].
    Group(&'static [Field]),
    /// Any text that is written as one keyword: strings as they are, all else as JSON text.
    Text,
    /// Not in the namespace: the document has it elsewhere, if it is text.
    In,
    /// The same of several texts.
    Several,
    /// Not in the namespace: it is the document's time, if it can be read as one.
    Stamp,
    /// Not in the namespace: it is the document's place, if all of it can be read.
    Place,
    /// Not in the namespace: one of the two coordinates of the document's place, if both can be read.
    Coordinate,
    /// In the namespace, by a group.
    Gathered,
    /// Not in the document.
    Ignore(&'static str),
}

/// Fields of an open map: most members have no row, and no order is kept.
#[derive(Debug)]
pub struct Rows {
    /// The fields.
    pub fields: &'static [Field],
    /// For each length and first letter of a key its row, counted from one.
    slots: [u8; Self::SLOTS],
}

impl Rows {
    const SLOTS: usize = 64;
    /// In a slot: several rows.
    const SEVERAL: u8 = u8::MAX;

    /// No fields.
    pub const NONE: &Self = &Self::of(&[]);

    /// Of these fields; those beyond the 254th are looked through.
    #[must_use]
    pub const fn of(fields: &'static [Field]) -> Self {
        let mut slots = [0; Self::SLOTS];
        let (mut rest, mut row) = (fields, 1);
        while let [field, after @ ..] = rest {
            let (first, length) = match field.key.as_bytes() {
                [first, ..] => (*first, field.key.len()),
                [] => (0, 0),
            };
            let (_, behind) = slots.split_at_mut(Self::slot(first, length));
            if let [slot, ..] = behind {
                *slot = if *slot == 0 && row < Self::SEVERAL { row } else { Self::SEVERAL };
            }
            row = row.saturating_add(1);
            rest = after;
        }
        Self { fields, slots }
    }

    const fn slot(first: u8, length: usize) -> usize {
        // So no two names of Okta's `debugData` share one.
        first.wrapping_mul(7).wrapping_add(length as u8) as usize % Self::SLOTS
    }

    /// The row of a key.
    #[inline]
    pub(crate) fn find(&self, key: &Key<'_>) -> Option<&'static Field> {
        if self.fields.is_empty() {
            return None;
        }
        let row = key
            .outline()
            .map_or(Some(&Self::SEVERAL), |(first, length)| self.slots.get(Self::slot(first, length)));
        match row {
            None | Some(0) => None,
            Some(&Self::SEVERAL) => self.fields.iter().find(|field| field.is_of(key)),
            Some(row) => self.fields.get(usize::from(*row) - 1).filter(|field| field.is_of(key)),
        }
    }
}

/// What becomes of a list of named values: Google's `[{"name": …, "value": …}]`, where each form of value has a member of
/// its own.
#[derive(Debug)]
pub struct Params {
    /// Those that are known, each name once. Names that are not in it become keywords under their own name, or, where none is
    /// known, whatever they are.
    pub known: &'static [Param],
    /// Cut off from names that are not known, in snake case: `login_`.
    pub prefix: &'static str,
    /// Rows of `known`, counted from one, each in the slot of its name or in the next free one behind it; 0: free.
    slots: [u8; Self::SLOTS],
}

impl Params {
    /// Thrice as many as the longest table has rows, so that most names have a slot of their own.
    const SLOTS: usize = 256;

    /// A list of these.
    ///
    /// # Panics
    /// There are more than 200 of them: while the table is compiled, since tables are constants.
    #[must_use]
    pub const fn of(known: &'static [Param], prefix: &'static str) -> Self {
        assert!(known.len() <= 200, "no slots for so many named values");
        let mut slots = [0; Self::SLOTS];
        let (mut rest, mut row) = (known, 1);
        while let [param, after @ ..] = rest {
            let mut slot = Self::slot(param.field.key.as_bytes());
            loop {
                let (_, behind) = slots.split_at_mut(slot);
                match behind {
                    [free @ 0, ..] => {
                        *free = row;
                        break;
                    }
                    _ => slot = (slot + 1) % Self::SLOTS,
                }
            }
            row += 1;
            rest = after;
        }
        Self { known, prefix, slots }
    }

    const fn slot(name: &[u8]) -> usize {
        let (first, last) = match name {
            [first, .., last] => (*first, *last),
            _ => (0, 0),
        };
        // Google's names begin alike in families, and end in a few ways.
        first
            .wrapping_mul(29)
            .wrapping_add(last.wrapping_mul(3))
            .wrapping_add((name.len() as u8).wrapping_mul(7)) as usize
    }

    /// The one of this name.
    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<&'static Param> {
        let mut slot = Self::slot(name.as_bytes());
        loop {
            // Past a free slot it does not stand, and there are some.
            let row = self.slots.get(slot)?.checked_sub(1)?;
            let param = self.known.get(usize::from(row))?;
            if same(param.field.key.as_bytes(), name.as_bytes()) {
                return Some(param);
            }
            slot = (slot + 1) % Self::SLOTS;
        }
    }
}

/// What becomes of one named value.
#[derive(Debug)]
pub struct Param {
    /// Names joined by dots, the last of which is the field's.
    pub path: &'static str,
    /// Its name in the record and its shape.
    pub field: Field,
}

impl Param {
    /// Whether its field stands in objects of its path.
    #[inline]
    pub(crate) fn is_nested(&self) -> bool {
        // The label's own letters: `,"":`.
        self.path.len().wrapping_add(4) > self.field.label.len()
    }
}

/// A row of a table of named values: `param!("APP_ID" => "application"."id", Shape::Keyword)`.
#[macro_export]
macro_rules! param {
    ($key:literal => $path:literal . $name:literal, $shape:expr) => {
        $crate::event::Param { path: concat!($path, ".", $name), field: $crate::field!($key => $name, $shape) }
    };
    ($key:literal => $name:literal, $shape:expr) => {
        $crate::event::Param { path: $name, field: $crate::field!($key => $name, $shape) }
    };
    ($key:literal, $shape:expr) => {
        $crate::param!($key => $key, $shape)
    };
}

#[cfg(test)]
mod tests {
    use super::{Params, Shape};

    #[test]
    fn a_named_value_is_found_by_its_whole_name_and_by_no_other() {
        // Alike in what chooses their slots, and one that has to stand behind them.
        const PARAMS: Params = Params::of(
            &[
                param!("a1z", Shape::Keyword),
                param!("a2z", Shape::Keyword),
                param!("a3z", Shape::Keyword),
                param!("", Shape::Keyword),
                param!("z", Shape::Keyword),
                param!("EMAIL_LOG_SEARCH_SENDER", Shape::Keyword),
            ],
            "",
        );
        for param in PARAMS.known {
            let found = PARAMS.find(param.field.key);
            assert_eq!(found.map(|found| found.field.key), Some(param.field.key));
        }
        for other in ["a4z", "a1", "b", "y", "EMAIL_LOG_SEARCH_BENDER", "email_log_search_sender"] {
            assert!(PARAMS.find(other).is_none(), "{other}");
        }
    }
}
