//! `raw`: the record as it is.

use super::{Context, Rendered, Schema, Writer};
use crate::event::Event;
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
        out.strict(record);
        Ok(Rendered::default())
    }
}
