//! `raw_for_integration`: the raw record in `message`, as the ingest pipeline of Elastic's own integration takes it.
//!
//! Of a record with a list of parts, its collector makes a document each, which has its part in the list's place.

use super::{Context, Marks, Rendered, Schema, Writer, ecs};
use crate::event::{Event, RawShape, write_time};
use crate::json::{Kind, Value, write_string, write_within};
use crate::source::{Names, NormalizeError};

pub(super) struct RawForIntegration;

impl Schema for RawForIntegration {
    fn name(&self) -> &'static str {
        "raw_for_integration"
    }

    fn sourcetype(&self, _: &Event<'_>, names: &'static Names, _: bool) -> &'static str {
        names.sourcetype
    }

    fn write<'e>(
        &self,
        event: &'e Event<'_>,
        context: &Context<'_>,
        out: &mut Writer<'e>,
    ) -> Result<Rendered, NormalizeError> {
        let Context {
            tenant: _,
            organisation: _,
            namespace: _,
            names,
            fetched,
            ingested: _,
            id: _,
            original,
            as_sent: _,
            marks,
        } = context;
        let record = event.record.ok_or_else(|| NormalizeError("the event has no record".to_owned()))?;
        out.begin(record.record());
        let document = out.open("");
        out.put(",\"@timestamp\":");
        match event.time {
            Some(time) => write_time(time, out.buf),
            None => fetched.write(out.buf),
        }
        out.put(",\"message\":");
        message(event, record, out);
        ecs::data_stream(out, context);
        out.put(",\"event\":{\"module\":\"");
        out.put(names.namespace);
        out.put("\",\"dataset\":\"");
        out.put(names.dataset);
        out.put("\",\"created\":");
        fetched.write(out.buf);
        out.put("}");
        let Marks { .. } = marks;
        ecs::marks(out, marks, event.time.is_none(), *original);
        out.close(document);
        Ok(Rendered::default())
    }
}

/// The record in its own bytes, a part of it in the place of the list of them; all of it where the list holds something else too.
fn message(event: &Event<'_>, record: Value<'_, '_>, out: &mut Writer<'_>) {
    let text = record.record();
    let split = || {
        let RawShape::Parted { list, .. } = event.table.raw else { return None };
        let (list, part) = (record.get(list)?, event.part?);
        // What is no part stands in no other document.
        if part.first && list.elements().any(|element| element.kind() != Kind::Object) {
            return None;
        }
        let span = list.span();
        Some([text.get(..span.start)?, part.value.raw(), text.get(span.end..)?])
    };
    let Some(pieces) = split() else { return write_string(text, out.buf) };
    out.put("\"");
    for piece in pieces {
        write_within(piece, out.buf);
    }
    out.put("\"");
}
