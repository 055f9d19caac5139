//! The one record reader: cuts a record once into a reusable tape of spans.
//!
//! **Promises.** Nothing is unescaped, nothing is allocated beyond the tape (which is reused), nothing recurses on
//! input. A record is accepted exactly when `serde_json::from_slice::<serde_json::Value>` accepts it, with one
//! exception: a lone surrogate escape (`"\ud83d"`) is legal JSON text, vendors that cut strings at a number of UTF-16
//! units send it, and losing the record for it would be worse than losing half a character. Such a string is accepted,
//! reads as U+FFFD, and is never written out as it stands. Equal keys in one object: the last wins, as in a map.
//!
//! **Format.** Entries lie in document order. A member is its key's entry followed by its value's; a container knows
//! how many entries it and its descendants are, so that a reader skips what it does not want.

mod inside;
mod meaning;
mod tape;
mod text;
mod value;

pub(crate) use inside::{decoded, inside};
pub use meaning::{id_hash, meaning};
pub use tape::{JsonError, Tape};
pub use text::{Holder, Text, write_string};
pub(crate) use text::{any, write_within};
pub(crate) use value::Piece;
#[cfg(test)]
pub(crate) use value::STEPS;
pub(crate) use value::push_key;
pub(crate) use value::same;
pub use value::{Elements, Key, Kind, Members, Value};
