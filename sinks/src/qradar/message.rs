//! One message: header, document, framing. Pure.

use schemars::JsonSchema;
use std::fmt::Write as _;
use tidegate_core::schema::leef;
use tidegate_core::sink::Meta;
use tidegate_core::source::NormalizeError;

/// QRadar's log source identifiers are hosts' names.
const IDENTIFIER: usize = 255;

/// The header before each document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    /// `<PRI>1 TIME HOST`, as IBM's LEEF guide shows it.
    #[default]
    Rfc5424,
    /// `<PRI>1 TIME HOST - - - -`, all that RFC 5424 asks for; for relays that insist.
    Rfc5424Full,
    /// `<PRI>MMM dd HH:mm:ss HOST`, in UTC: it has neither year nor zone.
    Rfc3164,
}

/// What ends a message on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Framing {
    /// A line feed behind it.
    #[default]
    Newline,
    /// Its length in bytes and a blank before it (RFC 6587, 3.4.1).
    Octet,
}

/// How messages are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    pub(super) form: Form,
    /// `None`: a datagram.
    pub(super) framing: Option<Framing>,
    pub(super) facility: u8,
    /// In bytes, with the header and without the framing.
    pub(super) max: usize,
}

impl Format {
    /// Makes the document that stands in `buf` from `from` on a message of this host.
    pub(super) fn wrap(
        &self,
        buf: &mut Vec<u8>,
        from: usize,
        host: &str,
        meta: &Meta,
    ) -> Result<(), NormalizeError> {
        crate::without_breaks(buf.get_mut(from..).unwrap_or_default());
        let document = buf.get(from..).unwrap_or_default();
        let mut head = self.header(severity(document), host, meta);
        let length = head.len() + document.len();
        if length > self.max {
            let cut = self.cut(document, self.max.saturating_sub(head.len()));
            let Some(cut) = cut else { return Err(self.too_long(document, length)) };
            buf.truncate(from);
            buf.extend_from_slice(cut.as_bytes());
        }
        let length = head.len() + (buf.len() - from);
        match self.framing {
            Some(Framing::Octet) => head.insert_str(0, &format!("{length} ")),
            Some(Framing::Newline) => buf.push(b'\n'),
            None => {}
        }
        buf.splice(from..from, head.into_bytes());
        Ok(())
    }

    fn header(&self, severity: u8, host: &str, meta: &Meta) -> String {
        let priority = u16::from(self.facility) * 8 + u16::from(severity);
        // A year of five digits would be no header; nothing that a vendor says may break the framing.
        let time = Some(meta.time)
            .filter(|time| (1..=9_999).contains(&chrono::Datelike::year(time)))
            .unwrap_or_default();
        let mut head = String::with_capacity(64 + host.len());
        let written = match self.form {
            Form::Rfc3164 => write!(head, "<{priority}>{} {host} ", time.format("%b %e %H:%M:%S")),
            Form::Rfc5424 | Form::Rfc5424Full => {
                let rest = if self.form == Form::Rfc5424Full { "- - - - " } else { "" };
                write!(head, "<{priority}>1 {} {host} {rest}", time.format("%Y-%m-%dT%H:%M:%S%.3fZ"))
            }
        };
        written.expect("a string takes all that is written to it");
        head
    }

    fn cut(&self, document: &[u8], most: usize) -> Option<String> {
        if !is_leef(document) {
            return None;
        }
        let mut line = String::from_utf8(document.to_vec()).ok()?;
        leef::fit(&mut line, most).then_some(line)
    }

    fn too_long(&self, document: &[u8], length: usize) -> NormalizeError {
        let max = self.max;
        NormalizeError(if is_leef(document) {
            format!(
                "the LEEF header alone is longer than max_message_bytes = {max} allows; raise it here and the payload \
                 length in QRadar's System Settings"
            )
        } else {
            format!(
                "the message has {length} bytes and max_message_bytes is {max}; JSON cannot be cut: raise it here and \
                 the payload length in QRadar's System Settings, or deliver as leef"
            )
        })
    }
}

fn is_leef(document: &[u8]) -> bool {
    document.starts_with(b"LEEF:2.0|")
}

/// Whether something was left out of this frame's document.
pub(super) fn is_truncated(frame: &[u8]) -> bool {
    frame.trim_ascii_end().ends_with(leef::TRUNCATED.as_bytes())
}

/// Syslog's severity. LEEF says it from 1 to 10; of another document it is not known: 5, notice.
fn severity(document: &[u8]) -> u8 {
    let sev = is_leef(document).then(|| memchr::memmem::find(document, b"\tsev=")).flatten();
    let digits = sev.and_then(|at| document.get(at + 5..)).unwrap_or_default();
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    match digits.get(..end).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u8>().ok()) {
        Some(9..) => 2,
        Some(7 | 8) => 3,
        Some(5 | 6) => 4,
        Some(1 | 2) => 6,
        _ => 5,
    }
}

/// A log source identifier that is the same for ever and no other source's: `okta-acme` for the source `okta` of the tenant
/// `acme`. Underscores become hyphens. Where one of the names has one, a dot stands between the names, or the source `a_b`
/// of `c` would be the source `a` of `b_c`.
pub(super) fn identifier(source: &str, tenant: &str) -> Result<String, String> {
    for (what, name) in [("tenant", tenant), ("source", source)] {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(legal) {
            return Err(format!(
                "the {what} {name:?} cannot be part of a log source identifier that is its own; set `host` to letters, \
                 digits, dots and hyphens"
            ));
        }
    }
    let between = if source.contains('_') || tenant.contains('_') { '.' } else { '-' };
    let name = format!("{source}{between}{tenant}").replace('_', "-");
    check_identifier(&name).map_err(|why| format!("{why}; set `host`"))?;
    Ok(name)
}

/// Whether QRadar takes a text as a header's host.
pub(super) fn check_identifier(name: &str) -> Result<(), String> {
    if name.is_empty()
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    {
        return Err(format!(
            "{name:?} is no log source identifier; accepted are letters, digits, dots and hyphens (no IPv6 address: \
             QRadar would take the sender's own)"
        ));
    }
    if name.len() > IDENTIFIER {
        return Err(format!(
            "the log source identifier has {} bytes; at most {IDENTIFIER} are accepted",
            name.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;
    use tidegate_core::testkit::sink::NAMES;

    const LINE: &str =
        "LEEF:2.0|Okta|Okta|1.0|user.session.start|x09|devTime=1\tcat=authentication\tsev=7\tusrName=kim";

    fn meta(time: &str) -> Meta {
        Meta {
            id: "e-1".to_owned(),
            tenant: "acme".into(),
            source: "okta".into(),
            connector: "okta",
            stream: "system_log".into(),
            host: "acme.okta.example.com".into(),
            names: &NAMES,
            sourcetype: NAMES.sourcetype,
            time: time.parse().unwrap(),
        }
    }

    const FORMAT: Format =
        Format { form: Form::Rfc5424, framing: Some(Framing::Newline), facility: 13, max: 4_000 };

    fn wrapped(format: Format, document: &str, time: &str) -> Result<String, NormalizeError> {
        let mut buf = b"before".to_vec();
        buf.extend_from_slice(document.as_bytes());
        format.wrap(&mut buf, 6, "okta-acme", &meta(time))?;
        assert!(buf.starts_with(b"before"));
        Ok(String::from_utf8(buf[6..].to_vec()).unwrap())
    }

    #[test]
    fn headers_have_the_events_time_the_constant_host_and_the_events_severity() {
        let time = "2026-01-05T10:00:00.123456Z";
        for (form, head) in [
            (Form::Rfc5424, "<107>1 2026-01-05T10:00:00.123Z okta-acme LEEF:2.0|"),
            (Form::Rfc5424Full, "<107>1 2026-01-05T10:00:00.123Z okta-acme - - - - LEEF:2.0|"),
            (Form::Rfc3164, "<107>Jan  5 10:00:00 okta-acme LEEF:2.0|"),
        ] {
            let message = wrapped(Format { form, ..FORMAT }, LINE, time).unwrap();
            assert!(message.starts_with(head) && message.ends_with("usrName=kim\n"), "{message}");
        }
        let json = wrapped(FORMAT, r#"{"sev":9,"a":"\tsev=9"}"#, time).unwrap();
        assert!(json.starts_with("<109>1 "), "what is not known is a notice: {json}");
        for (sev, severity) in
            [("1", 6), ("2", 6), ("3", 5), ("5", 4), ("7", 3), ("9", 2), ("10", 2), ("x", 5)]
        {
            let line = LINE.replace("sev=7", &format!("sev={sev}"));
            let message = wrapped(Format { facility: 0, ..FORMAT }, &line, time).unwrap();
            assert!(message.starts_with(&format!("<{severity}>1 ")), "sev={sev}: {message}");
        }
        let far = wrapped(FORMAT, LINE, "+012026-01-05T10:00:00Z").unwrap();
        assert!(far.starts_with("<107>1 1970-01-01T00:00:00.000Z okta-acme "), "{far}");
    }

    #[test]
    fn octets_are_bytes_and_no_framing_lets_a_line_break_in() {
        let document = "{\"a\":\n\"\u{1D15F}\u{1F600}ä\"\r\n,\"b\":\u{0}1}";
        let octet =
            wrapped(Format { framing: Some(Framing::Octet), ..FORMAT }, document, "2026-01-05T10:00:00Z");
        let octet = octet.unwrap();
        let (length, message) = octet.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), message.len());
        let datagram = wrapped(Format { framing: None, ..FORMAT }, document, "2026-01-05T10:00:00Z").unwrap();
        assert_eq!(datagram, message);
        assert!(message.bytes().all(|byte| !matches!(byte, b'\n' | b'\r' | 0)), "{message}");
    }

    #[test]
    fn json_that_is_too_long_is_refused_by_the_name_of_the_key_and_leef_is_cut() {
        let long = "x".repeat(4_000);
        let error = wrapped(FORMAT, &format!("{{\"a\":\"{long}\"}}"), "2026-01-05T10:00:00Z").unwrap_err();
        assert!(error.0.contains("max_message_bytes is 4000") && error.0.contains("QRadar"), "{error}");
        let cut = wrapped(FORMAT, &format!("{LINE}\tmessage={long}"), "2026-01-05T10:00:00Z").unwrap();
        assert!(cut.ends_with("\tusrName=kim\ttruncated=true\n") && is_truncated(cut.as_bytes()), "{cut}");
        assert!(!is_truncated(wrapped(FORMAT, LINE, "2026-01-05T10:00:00Z").unwrap().as_bytes()));
    }

    proptest! {
        #[test]
        fn no_message_is_longer_than_it_may_be_and_what_is_counted_is_what_comes(
            value in "\\PC{0,900}",
            max in 300_usize..2_000,
            octet: bool,
        ) {
            let framing = Some(if octet { Framing::Octet } else { Framing::Newline });
            let value = value.replace('|', "/");
            let line = format!("{LINE}\trole={value}\tmessage={value}\teventUid=e-1");
            let frame = wrapped(Format { framing, max, ..FORMAT }, &line, "2026-01-05T10:00:00Z").unwrap();
            let message = if octet {
                let (length, message) = frame.split_once(' ').unwrap();
                prop_assert_eq!(length.parse::<usize>().unwrap(), message.len());
                message
            } else {
                frame.strip_suffix('\n').unwrap()
            };
            prop_assert!(message.len() <= max);
            prop_assert!(message.contains("LEEF:2.0|Okta|Okta|1.0|user.session.start|x09|devTime=1\t"));
            prop_assert!(message.ends_with("truncated=true") || message.ends_with("eventUid=e-1"));
        }

        #[test]
        fn two_sources_never_share_an_identifier(
            a in "[a-z][a-z0-9_]{0,4}", b in "[a-z][a-z0-9_]{0,4}",
            c in "[a-z][a-z0-9_]{0,4}", d in "[a-z][a-z0-9_]{0,4}",
        ) {
            let same = identifier(&a, &b) == identifier(&c, &d);
            prop_assert_eq!(same, (a, b) == (c, d));
        }
    }

    #[test]
    fn identifiers_are_constant_and_legal_or_refused() {
        assert_eq!(identifier("okta", "acme").unwrap(), "okta-acme");
        assert_eq!(identifier("okta", "acme_corp").unwrap(), "okta.acme-corp");
        assert_ne!(identifier("a_b", "c"), identifier("a", "b_c"));
        for tenant in ["acme corp", "acmé", "acme-corp", "", "ACME", "2001:db8::1", &"a".repeat(300)] {
            let why = identifier("okta", tenant).unwrap_err();
            assert!(why.contains("log source identifier") && why.contains("`host`"), "{why}");
        }
        for name in ["", "a b", "a_b", "ä", "2001:db8::1", "a\n", &"a".repeat(256)] {
            check_identifier(name).unwrap_err();
        }
        for name in ["okta-acme", "192.0.2.10", "okta.acme-corp", "OKTA", &"a".repeat(255)] {
            check_identifier(name).unwrap();
        }
    }

    #[test]
    fn a_time_before_our_own_is_written_as_it_is() {
        let early: DateTime<Utc> = "1999-12-31T23:59:59.999Z".parse().unwrap();
        let message = wrapped(FORMAT, LINE, &early.to_rfc3339()).unwrap();
        assert!(message.contains(" 1999-12-31T23:59:59.999Z "), "{message}");
    }
}
