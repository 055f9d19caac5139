//! Schemas: an event becomes a document.
//!
//! A renderer appends one document to a buffer, with no tree in between, and destructures the event without `..`, so
//! that no field is forgotten. All but LEEF are JSON, and strict whatever the record held: no half surrogate pairs, no
//! equal keys in one object, no blank names, no value of a type that the schema's store would refuse.

mod ecs;
mod explain;
mod integration;
pub mod leef;
mod namespace;
mod ocsf;
mod params;
pub mod paths;
mod raw;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
mod writer;

use crate::event::{Event, Moment};
use crate::source::{Names, NormalizeError};

/// A schema.
pub trait Schema: Sync {
    /// The name in `schema = "…"`.
    fn name(&self) -> &'static str;
    /// Whether a document is a line of text (without its end), and not JSON.
    fn is_text(&self) -> bool {
        false
    }
    /// The Splunk sourcetype that the documents have: that of the well-known add-on where they are as it expects them,
    /// else one of our own. `as_sent` as in [`Context`].
    fn sourcetype(&self, event: &Event<'_>, names: &'static Names, as_sent: bool) -> &'static str;
    /// Appends one document. On an error the caller cuts `out` back to where it was.
    ///
    /// # Errors
    /// The event cannot be a document of this schema; it becomes a dead letter with this reason.
    fn render(
        &self,
        event: &Event<'_>,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Rendered, NormalizeError> {
        self.write(event, context, &mut Writer::new(out))
    }
    /// As [`Schema::render`], into a writer that may note where everything came from.
    ///
    /// # Errors
    /// As [`Schema::render`].
    fn write<'e>(
        &self,
        event: &'e Event<'_>,
        context: &Context<'_>,
        out: &mut Writer<'e>,
    ) -> Result<Rendered, NormalizeError>;
}

pub use explain::{Absent, Explained, absent, drift, explain};
pub use writer::Writer;

/// All schemas.
pub const ALL: [&dyn Schema; 6] =
    [&ecs::Ecs, &leef::Leef, &ocsf::V1_8, &ocsf::V1_9, &raw::Raw, &integration::RawForIntegration];

/// The schema of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Schema> {
    ALL.into_iter().find(|schema| schema.name() == name)
}

/// What a document says beside its event.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The tenant's key.
    pub tenant: &'a str,
    /// The vendor's name for the organisation whose log it is, where the source's table says it
    /// ([`organisation_id`](crate::source::Connector::organisation_id)).
    pub organisation: Option<&'a str>,
    /// The destination's namespace.
    pub namespace: &'a str,
    /// What schemas know of the stream.
    pub names: &'static Names,
    /// When the record was fetched: the event's time where it has none of its own.
    pub fetched: Moment,
    /// When the document is delivered.
    pub ingested: Moment,
    /// The document's id.
    pub id: Option<&'a str>,
    /// Whether the document keeps the raw record.
    pub original: bool,
    /// Whether `raw` documents are records as the API sends them, also where add-ons know them in an envelope.
    pub as_sent: bool,
    /// What we have to say of it.
    pub marks: Marks<'a>,
}

/// What we have to say of a document: tags and labels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks<'a> {
    /// It was found by a sweep, this many seconds after the fast lane had passed.
    pub late_seconds: Option<u64>,
    /// The id of the document that it is a newer version of.
    pub revises: Option<&'a str>,
    /// The label of the replay that it belongs to.
    pub replay: Option<&'a str>,
    /// It was read again on an operator's order.
    pub reread: bool,
}

/// What rendering had to do beyond copying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Members of the record that the connector's table does not know, or whose type it did not expect.
    pub drift: u32,
    /// Values that were too long for an indexed field and are cut in the document.
    pub cut: u32,
}
