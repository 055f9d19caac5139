//! The yardstick of all benchmarks: reading a record with serde into one struct with every member that a record of its
//! stream may have, without writing anything. Strings are borrowed wherever they have no escapes. Shared by the bench of this
//! package and by those of the whole program.
//!
//! What a vendor leaves open (Okta's `debugData`, a member that is sometimes a list and sometimes a word) is kept as raw
//! JSON, as a careful programmer would.

mod duo;
mod entra;
mod google_workspace;
mod okta;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Reads a record and drops it.
pub(crate) type Read = fn(&[u8]);

/// How records of a stream are read.
///
/// # Panics
/// The struct has no place for a member of one of these records, or none of its type: it would be no yardstick.
pub(crate) fn of(connector: &str, stream: &str, records: &[&[u8]]) -> Read {
    match (connector, stream) {
        ("okta", _) => okta::log_event(records),
        ("entra", "directory_audits") => entra::directory_audit(records),
        ("entra", "risk_detections") => entra::risk_detection(records),
        ("entra", "service_principal_risk_detections") => entra::service_principal_risk(records),
        ("entra", "provisioning") => entra::provisioning(records),
        ("entra", _) => entra::sign_in(records),
        ("duo", "authentication") => duo::authentication(records),
        ("duo", "activity") => duo::activity(records),
        ("duo", "telephony") => duo::telephony(records),
        ("duo", "trust_monitor") => duo::trust_monitor(records),
        ("duo", _) => duo::administrator(records),
        (_, "alerts") => google_workspace::alert(records),
        _ => google_workspace::activity(records),
    }
}

/// A function that makes a reader of a struct, after it was seen to leave nothing of these records out.
macro_rules! reader {
    ($name:ident, $shape:ident) => {
        pub(super) fn $name(records: &[&[u8]]) -> super::Read {
            for record in records {
                let mut left_out = Vec::new();
                let mut json = serde_json::Deserializer::from_slice(record);
                let read: Result<$shape<'_>, _> =
                    serde_ignored::deserialize(&mut json, |path| left_out.push(path.to_string()));
                let text = String::from_utf8_lossy(record);
                let error = read.err();
                assert!(error.is_none(), "{}: {error:?} in {text}", stringify!($shape));
                assert!(left_out.is_empty(), "{} lacks {left_out:?} of {text}", stringify!($shape));
            }
            |record| {
                let record = std::hint::black_box(record);
                std::hint::black_box(serde_json::from_slice::<$shape<'_>>(record).unwrap());
            }
        }
    };
}
use reader;

/// Structs of optional members: strings; then what borrows nothing; then what does.
macro_rules! shapes {
    ($case:literal; $($name:ident {
        $($string:ident)* ;
        $($plain:ident: $plain_type:ty),* ;
        $($(#[$other:meta])* $field:ident: $type:ty),* $(,)?
    })*) => {$(
        #[derive(Deserialize)]
        #[serde(rename_all = $case)]
        #[expect(dead_code, reason = "only read")]
        struct $name<'a> {
            $(#[serde(borrow)] $string: Option<Str<'a>>,)*
            $($plain: Option<$plain_type>,)*
            $(#[serde(borrow)] $(#[$other])* $field: Option<$type>,)*
        }
    )*};
}
use shapes;

/// A string, borrowed where it can be; serde borrows no `Cow` inside of an `Option` or a `Vec`.
#[derive(Deserialize)]
struct Str<'a>(
    #[serde(borrow)]
    #[expect(dead_code, reason = "only read")]
    Cow<'a, str>,
);

/// Any JSON.
type Raw<'a> = &'a RawValue;

/// An open map: its keys, and the raw text of its values.
struct Open<'a>(#[expect(dead_code, reason = "only read")] Vec<(Str<'a>, Raw<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Open<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Open<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Open<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Open(members))
            }
        }
        from.deserialize_map(Visit)
    }
}

/// What is true or false, or else a word such as `unknown`.
#[expect(dead_code, reason = "only read")]
enum Flag<'a> {
    Truth(bool),
    Word(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Flag<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Flag<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a boolean or a word")
            }
            fn visit_bool<E: Error>(self, truth: bool) -> Result<Flag<'de>, E> {
                Ok(Flag::Truth(truth))
            }
            fn visit_borrowed_str<E: Error>(self, word: &'de str) -> Result<Flag<'de>, E> {
                Ok(Flag::Word(Cow::Borrowed(word)))
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<Flag<'de>, E> {
                Ok(Flag::Word(Cow::Owned(word.to_owned())))
            }
        }
        from.deserialize_any(Visit)
    }
}
