//! What becomes of a vendor's own fields: const tables, one a connector.

/// What becomes of all fields of a vendor's record.
#[derive(Debug)]
pub struct Table {
    /// The record's members.
    pub fields: &'static [Field],
    /// Existing content expects actor and network under `client` too, not only under `source`.
    pub client: bool,
}

impl Default for &'static Table {
    fn default() -> Self {
        const NONE: &Table = &Table { fields: &[], client: false };
        NONE
    }
}

/// What becomes of one member.
#[derive(Debug)]
pub struct Field {
    /// Its name in the record.
    pub key: &'static str,
    /// Its name under the namespace, ready to be written: `,"name":`
    pub label: &'static str,
    /// What it is made into.
    pub shape: Shape,
    /// The event has its meaning; schemas without a vendor namespace leave it out of what is unmapped.
    pub event: bool,
    /// A keyword under the name that it has in the record: a plain string is copied together with its name.
    pub(crate) verbatim: bool,
    /// Something of the event's is written inside it even where the record lacks it.
    pub always: bool,
}

impl Field {
    /// A field under a label (see [`field!`](crate::field)).
    #[must_use]
    pub const fn new(key: &'static str, label: &'static str, shape: Shape) -> Self {
        let verbatim =
            matches!(shape, Shape::Keyword | Shape::Text) && is_label(label.as_bytes(), key.as_bytes());
        Self { key, label, shape, event: false, verbatim, always: false }
    }

    /// The event has it.
    #[must_use]
    pub const fn event(self) -> Self {
        Self { event: true, ..self }
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

/// What a field is made into. A store refuses a whole document for one value of a wrong type, so a shape never writes
/// anything else: what does not fit is left out (and counted), or for keywords spelled out.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A string, or several. Numbers and booleans by their spelling, objects as JSON text.
    Keyword,
    /// A whole number.
    Integer,
    /// A boolean, also where it is spelled as a string.
    Boolean,
    /// An IP address.
    Ip,
    /// An object with known members; unknown ones are kept in snake case, and counted.
    Object(&'static [Field]),
    /// A list of such objects.
    List(&'static [Field]),
    /// A list of such objects in a field that takes any shape below it.
    FlatList(&'static [Field]),
    /// An open map of keywords; its keys are kept as they are.
    Map,
    /// An open map in a field that takes any shape below it; JSON text is opened.
    Flat,
    /// Text such as `{New City=POSITIVE}`, as an object.
    Pairs,
    /// An open map: some members under their own names (first list), the whole of it under `flattened`, JSON text opened
    /// and some members in shapes of their own (second list), and what the event knows of the risk.
    Debug(&'static [Field], &'static [Field]),
    /// Members of the same object, gathered under one name. Has no key and stands last in its list; the members
    /// themselves are [`Shape::In`].
    Group(&'static [Field]),
    /// Any text that is written as one keyword: strings as they are, all else as JSON text.
    Text,
    /// Not in the namespace: the document has it elsewhere.
    In,
    /// Not in the document.
    Ignore(&'static str),
}
