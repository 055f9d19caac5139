//! `raw`: the record as it is.

use super::{Context, Rendered, Schema, Writer};
use crate::event::Event;
use crate::json::{Kind, Value};
use crate::source::NormalizeError;

pub(super) struct Raw;

impl Schema for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn write(
        &self,
        event: &Event<'_>,
        _context: &Context<'_>,
        out: &mut Writer<'_>,
    ) -> Result<Rendered, NormalizeError> {
        let record = event.record.ok_or_else(|| NormalizeError("the event has no record".to_owned()))?;
        out.begin(record.record());
        match event.part {
            Some(part) => only(out, record, part),
            None => out.strict(record),
        }
        Ok(Rendered::default())
    }
}

/// The record with one of its parts alone: the others are documents of their own.
fn only(out: &mut Writer<'_>, record: Value<'_, '_>, part: Value<'_, '_>) {
    let open = out.open("");
    for (key, member) in record.members() {
        out.put(",");
        key.write(out.buf);
        out.put(":");
        let holds = member.kind() == Kind::Array && member.span().contains(&part.span().start);
        if holds {
            out.put("[");
            out.strict(part);
            out.put("]");
        } else {
            out.strict(member);
        }
    }
    out.close(open);
}
