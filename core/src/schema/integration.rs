//! `raw_for_integration`: the raw record in `message`, as the ingest pipeline of Elastic's own integration takes it.

use super::{Context, Marks, Rendered, Schema, Writer, ecs};
use crate::event::{Event, write_time};
use crate::json::write_string;
use crate::source::{Names, NormalizeError};

pub(super) struct RawForIntegration;

impl Schema for RawForIntegration {
    fn name(&self) -> &'static str {
        "raw_for_integration"
    }

    fn sourcetype(&self, _: &Event<'_>, names: &'static Names, _: bool) -> &'static str {
        names.sourcetype
    }

    fn write(
        &self,
        event: &Event<'_>,
        context: &Context<'_>,
        out: &mut Writer<'_>,
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
        write_time(event.time.unwrap_or(*fetched), out.buf);
        out.put(",\"message\":");
        write_string(record.record(), out.buf);
        ecs::data_stream(out, context);
        out.put(",\"event\":{\"module\":\"");
        out.put(names.namespace);
        out.put("\",\"dataset\":\"");
        out.put(names.dataset);
        out.put("\",\"created\":");
        write_time(*fetched, out.buf);
        out.put("}");
        let Marks { .. } = marks;
        ecs::marks(out, marks, event.time.is_none(), *original);
        out.close(document);
        Ok(Rendered::default())
    }
}
