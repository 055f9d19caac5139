//! How a document stands in a request. Pure.

use super::config::{Config, Endpoint, Field, Index};
use chrono::{DateTime, Utc};
use std::io::Write as _;
use tidegate_core::json::write_string;
use tidegate_core::sink::{Meta, Render};
use tidegate_core::source::NormalizeError;

/// What all documents of a request have in common: the index, so that one that is refused holds up no other, and at the raw
/// endpoint everything that stands in the address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'m> {
    index: Option<&'m str>,
    sourcetype: &'m str,
    /// Host and source.
    of_lines: Option<(&'m str, &'m str)>,
}

impl Target<'_> {
    /// The metadata of lines, as a query.
    pub(super) fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some((host, source)) = self.of_lines {
            query.append_pair("host", host).append_pair("source", source);
        }
        query.append_pair("sourcetype", self.sourcetype);
        if let Some(index) = self.index {
            query.append_pair("index", index);
        }
        query.finish()
    }
}

/// The index that a document is sent to; `None`: the token's own.
pub(super) fn index<'m>(config: &'m Config, meta: &Meta) -> Option<&'m str> {
    let Config { index, indexes, .. } = config;
    let own = match indexes.get(meta.connector) {
        Some(Index::All(index)) => Some(index),
        Some(Index::Streams(streams)) => streams.get(meta.stream.as_ref()),
        None => None,
    };
    own.or(index.as_ref()).map(String::as_str)
}

pub(super) fn target<'m>(config: &'m Config, meta: &'m Meta) -> Target<'m> {
    Target {
        index: index(config, meta),
        sourcetype: sourcetype(config, meta),
        of_lines: (config.endpoint == Endpoint::Raw).then(|| (meta.host.as_ref(), source(config, meta))),
    }
}

fn sourcetype<'m>(config: &'m Config, meta: &'m Meta) -> &'m str {
    config.sourcetype.as_deref().unwrap_or(meta.sourcetype)
}

/// Google's content wants the sourcetype here, and that of the others does not look.
fn source<'m>(config: &'m Config, meta: &'m Meta) -> &'m str {
    config.source.as_deref().unwrap_or_else(|| sourcetype(config, meta))
}

/// Appends a document: an envelope, or a line.
pub(super) fn frame(
    config: &Config,
    buf: &mut Vec<u8>,
    meta: &Meta,
    document: &mut Render<'_>,
) -> Result<(), NormalizeError> {
    if config.endpoint == Endpoint::Raw {
        crate::one_line(buf, document)?;
        buf.push(b'\n');
        return Ok(());
    }
    buf.extend_from_slice(b"{\"time\":");
    time(buf, meta.time);
    let mut member = |name: &[u8], value: &str| {
        buf.extend_from_slice(name);
        write_string(value, buf);
    };
    if !meta.host.is_empty() {
        member(b",\"host\":", &meta.host);
    }
    member(b",\"source\":", source(config, meta));
    member(b",\"sourcetype\":", sourcetype(config, meta));
    if let Some(index) = index(config, meta) {
        member(b",\"index\":", index);
    }
    if !config.fields.is_empty() {
        let mut before: &[u8] = b",\"fields\":{";
        for field in &config.fields {
            let (name, value): (&[u8], &str) = match field {
                Field::TidegateId => (b"\"tidegate_id\":", &meta.id),
                Field::Tenant => (b"\"tenant\":", &meta.tenant),
            };
            buf.extend_from_slice(before);
            buf.extend_from_slice(name);
            write_string(value, buf);
            before = b",";
        }
        buf.push(b'}');
    }
    buf.extend_from_slice(b",\"event\":");
    crate::one_line(buf, document)?;
    buf.extend_from_slice(b"}\n");
    Ok(())
}

/// Epoch seconds as a decimal number made of integers. A double printed in its shortest form is `1.7e9` on round seconds,
/// which the collector refuses (code 15), and loses microseconds on others.
fn time(buf: &mut Vec<u8>, time: DateTime<Utc>) {
    let (mut seconds, mut nanos) = (time.timestamp(), time.timestamp_subsec_nanos());
    // A leap second reads as 1,000,000,000 or more.
    if nanos >= 1_000_000_000 {
        (seconds, nanos) = (seconds + 1, nanos - 1_000_000_000);
    }
    // Nanoseconds count forward also before 1970.
    let before_1970 = seconds < 0;
    if before_1970 && nanos > 0 {
        (seconds, nanos) = (seconds + 1, 1_000_000_000 - nanos);
    }
    let sign = if before_1970 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    // Writing into memory cannot fail.
    let _ = match nanos {
        0 => write!(buf, "{sign}{seconds}"),
        _ if nanos % 1_000_000 == 0 => write!(buf, "{sign}{seconds}.{:03}", nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => write!(buf, "{sign}{seconds}.{:06}", nanos / 1_000),
        _ => write!(buf, "{sign}{seconds}.{nanos:09}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(at: DateTime<Utc>) -> String {
        let mut buf = Vec::new();
        time(&mut buf, at);
        String::from_utf8(buf).unwrap()
    }

    #[test]
    fn times_are_decimals_with_all_their_digits() {
        for (text, want) in [
            ("2026-01-15T10:00:00Z", "1768471200"),
            ("2023-11-14T22:13:20Z", "1700000000"),
            ("2033-05-18T03:33:20Z", "2000000000"),
            ("2026-01-15T10:00:00.100Z", "1768471200.100"),
            ("2026-01-15T10:00:00.000001Z", "1768471200.000001"),
            ("2026-01-15T10:00:00.1234567Z", "1768471200.123456700"),
            ("1970-01-01T00:00:00Z", "0"),
            ("1969-12-31T23:59:58.500Z", "-1.500"),
            ("1969-12-31T23:59:59.500Z", "-0.500"),
        ] {
            assert_eq!(written(text.parse().unwrap()), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_time_has_an_exponent_or_loses_a_microsecond(micros in 1_000_000_000_000_000_i64..9_999_999_999_999_999) {
            let text = written(DateTime::from_timestamp_micros(micros).unwrap());
            let (seconds, part) = text.split_once('.').unwrap_or((&text, "0"));
            prop_assert_eq!(seconds.len(), 10, "{}", text);
            prop_assert!(part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit()), "{}", text);
            let read = seconds.parse::<i64>().unwrap() * 1_000_000 + format!("{part:0<6}")[..6].parse::<i64>().unwrap();
            prop_assert_eq!(read, micros);
        }
    }
}
