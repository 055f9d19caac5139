//! `raw`: the vendor's record as add-ons for Splunk know it, which is mostly how the API sends it.

use super::{Context, Rendered, Schema, Writer};
use crate::event::{Event, RawShape};
use crate::json::{Kind, write_string};
use crate::source::{Names, NormalizeError};

pub(super) struct Raw;

impl Schema for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn sourcetype(&self, event: &Event<'_>, names: &'static Names, as_sent: bool) -> &'static str {
        match event.table.raw {
            RawShape::Enveloped { sourcetype, .. } if !as_sent => sourcetype,
            _ => names.sourcetype,
        }
    }

    fn write<'e>(
        &self,
        event: &'e Event<'_>,
        context: &Context<'_>,
        out: &mut Writer<'e>,
    ) -> Result<Rendered, NormalizeError> {
        let record = event.record.ok_or_else(|| NormalizeError("the event has no record".to_owned()))?;
        out.begin(record.record());
        match (event.table.raw, event.part) {
            (RawShape::Enveloped { parts, .. }, _) if !context.as_sent && record.kind() == Kind::Object => {
                let document = out.open("");
                out.parts(parts, event, context, None, 1);
                out.close(document);
            }
            (RawShape::Parted { list, label }, Some(part)) => {
                let document = out.open("");
                let name = label.trim_matches([',', '"', ':']);
                for (key, member) in record.members().filter(|(key, _)| !key.is(list)) {
                    out.put(",");
                    if key.is(name) {
                        // The part has this name.
                        let mut free = format!("{name}_");
                        while record.get(&free).is_some() {
                            free.push('_');
                        }
                        write_string(&free, out.buf);
                    } else {
                        key.write(out.buf);
                    }
                    out.put(":");
                    out.strict(member);
                }
                out.put(label);
                out.strict(part.value);
                out.close(document);
            }
            _ => out.strict(record),
        }
        Ok(Rendered::default())
    }
}
