//! What an answer of the collector means. Pure, and tested row by row.
//!
//! It is decided by HTTP status and code, never by text, whose wording varies by release. A 200 is a receipt only with a
//! code that says so: a captive portal's page and half an answer are none.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use tidegate_core::fault::FaultKind;

/// The id of an acknowledgement, with the digits that came: receivers count from 0, draw 53 bits or more, and a float in
/// between would make two ids one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AckId(pub(super) String);

/// What an answer to documents means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All are taken, `ack` will tell when they are safe. `slow`: the queue is nearly full.
    Taken { ack: Option<AckId>, slow: bool },
    /// Those before the named one are in, that one never can be, those behind it were not looked at. Not named: one of
    /// them. `maybe_size`: a limit of the request's size answers the same way.
    Bad { first: Option<usize>, maybe_size: bool },
    /// More than the receiver takes at once.
    TooLarge,
    /// The token may not write this index.
    Index,
    /// Again, later. What came of it is not known.
    Retry(FaultKind),
    /// Nothing goes in until somebody acts.
    Halt(Cause),
}

/// Why nothing goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Token,
    ChannelMissing,
    ChannelRefused,
    AckDisabled,
    QueryString,
    Address,
    Gzip,
    Redirect,
    Refused,
}

impl Cause {
    pub(super) fn kind(self) -> FaultKind {
        match self {
            Self::Token => FaultKind::Credential,
            Self::Redirect => FaultKind::ForeignLink,
            _ => FaultKind::Configuration,
        }
    }

    /// What is wrong, and what to do about it.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Token => (
                "the token was refused",
                "enable the token in the collector's settings, or renew what `token` refers to",
            ),
            Self::ChannelMissing => (
                "acknowledgement is on for the token, and it takes nothing without a channel",
                "set ack = \"auto\" or \"required\"",
            ),
            Self::ChannelRefused => (
                "the channel was refused, which is a defect of tidegate",
                "set ack = \"off\" until it is mended",
            ),
            Self::AckDisabled => (
                "acknowledgement was switched off for the token",
                "switch it on again (useACK), or set ack = \"auto\" or \"off\"",
            ),
            Self::QueryString => (
                "something on the way put the token into the address, which the collector does not allow",
                "look at the proxy in between",
            ),
            Self::Address => (
                "no HTTP Event Collector answers at this address",
                "correct `url`: scheme, host and port of the collector, 8088 unless changed",
            ),
            Self::Gzip => ("the receiver does not take gzip", "set gzip = false"),
            Self::Redirect => (
                "redirected, and no credential is sent elsewhere",
                "configure the address that answers itself in `url`",
            ),
            Self::Refused => (
                "the request was refused",
                "look at the reason and the collector's log; everything is kept and goes on by itself",
            ),
        }
    }
}

/// What the body says.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) code: Option<u64>,
    pub(super) text: String,
}

#[derive(Deserialize)]
struct Body<'b> {
    // Whatever they are: an odd one must not hide the others.
    #[serde(default)]
    code: serde_json::Value,
    #[serde(default)]
    text: serde_json::Value,
    #[serde(borrow, rename = "ackId", default)]
    ack_id: Option<&'b RawValue>,
    #[serde(rename = "invalid-event-number", default)]
    invalid: serde_json::Value,
}

/// What the status and body mean for the request's documents, and what the body says.
pub(super) fn judge(status: u16, body: &[u8]) -> (Verdict, Said) {
    let parsed = serde_json::from_slice::<Body<'_>>(body).ok();
    let code = parsed.as_ref().and_then(|body| body.code.as_u64());
    let first = parsed.as_ref().and_then(|body| body.invalid.as_u64()).and_then(|n| usize::try_from(n).ok());
    let ack = parsed.as_ref().and_then(|body| body.ack_id).map(RawValue::get);
    let verdict = match (status, code) {
        (200..=299, Some(code @ (0 | 24 | 25))) => match ack {
            None => Verdict::Taken { ack: None, slow: code != 0 },
            Some(id) if !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) => {
                Verdict::Taken { ack: Some(AckId(id.to_owned())), slow: code != 0 }
            }
            // An id that cannot be asked for: it was taken, and nobody will tell when it is safe.
            Some(_) => Verdict::Retry(FaultKind::Answer),
        },
        (200..=299, _) => Verdict::Retry(FaultKind::Answer),
        (300..=399, _) => Verdict::Halt(Cause::Redirect),
        (413, _) => Verdict::TooLarge,
        (415, _) => Verdict::Halt(Cause::Gzip),
        (429, _) | (_, Some(9 | 18 | 20 | 26 | 27)) => Verdict::Retry(FaultKind::RateLimit),
        (408 | 500..=599, _) | (_, Some(8 | 19 | 23)) => Verdict::Retry(FaultKind::Server),
        (400, Some(code @ (6 | 12 | 13 | 15))) => Verdict::Bad { first, maybe_size: code == 6 },
        (400, Some(7)) => Verdict::Index,
        (401 | 403, _) | (_, Some(1..=4 | 21 | 22)) => Verdict::Halt(Cause::Token),
        (404 | 405, _) => Verdict::Halt(Cause::Address),
        (_, Some(10 | 28)) => Verdict::Halt(Cause::ChannelMissing),
        (_, Some(11)) => Verdict::Halt(Cause::ChannelRefused),
        (_, Some(14)) => Verdict::Halt(Cause::AckDisabled),
        (_, Some(16)) => Verdict::Halt(Cause::QueryString),
        _ => Verdict::Halt(Cause::Refused),
    };
    let text = parsed.and_then(|body| body.text.as_str().map(str::to_owned)).unwrap_or_default();
    (verdict, Said { code, text })
}

/// What an answer to a question for acknowledgements means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Acks {
    /// The ids that are true now; each is told once. `false` may be not yet, never given, told already, or another indexer.
    Told(Vec<AckId>),
    /// The token has no acknowledgement.
    Disabled,
    /// Nobody answers this question here.
    NoSuchEndpoint,
    /// Refused, for a reason that may not pass by itself.
    Refused(Cause),
    /// No answer to be used.
    Unknown,
}

/// What the status and body say of acknowledgements.
pub(super) fn acks(status: u16, body: &[u8]) -> Acks {
    #[derive(Deserialize)]
    struct Told {
        acks: HashMap<String, serde_json::Value>,
    }
    if (200..=299).contains(&status) {
        return match serde_json::from_slice::<Told>(body) {
            Ok(told) => Acks::Told(
                told.acks
                    .into_iter()
                    .filter(|(_, told)| *told == serde_json::Value::Bool(true))
                    .map(|(id, _)| AckId(id))
                    .collect(),
            ),
            Err(_) => Acks::Unknown,
        };
    }
    match judge(status, body).0 {
        Verdict::Halt(Cause::AckDisabled) => Acks::Disabled,
        // Taken for an event without an event: this receiver has no such endpoint.
        Verdict::Halt(Cause::Address) | Verdict::Bad { .. } => Acks::NoSuchEndpoint,
        Verdict::Halt(cause) => Acks::Refused(cause),
        _ => Acks::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FaultKind as K;

    fn of(status: u16, body: &str) -> Verdict {
        judge(status, body.as_bytes()).0
    }

    fn taken(ack: Option<&str>, slow: bool) -> Verdict {
        Verdict::Taken { ack: ack.map(|id| AckId(id.to_owned())), slow }
    }

    #[test]
    fn every_row_of_the_code_table() {
        let bad = |first| Verdict::Bad { first, maybe_size: false };
        let json = |code: u64| format!("{{\"text\":\"words that vary\",\"code\":{code}}}");
        for (status, code, want) in [
            (200, 0, taken(None, false)),
            (403, 1, Verdict::Halt(Cause::Token)),
            (401, 2, Verdict::Halt(Cause::Token)),
            (401, 3, Verdict::Halt(Cause::Token)),
            (403, 4, Verdict::Halt(Cause::Token)),
            (400, 5, Verdict::Halt(Cause::Refused)),
            (400, 6, Verdict::Bad { first: None, maybe_size: true }),
            (400, 7, Verdict::Index),
            (500, 8, Verdict::Retry(K::Server)),
            (503, 9, Verdict::Retry(K::RateLimit)),
            (400, 10, Verdict::Halt(Cause::ChannelMissing)),
            (400, 11, Verdict::Halt(Cause::ChannelRefused)),
            (400, 12, bad(None)),
            (400, 13, bad(None)),
            (400, 14, Verdict::Halt(Cause::AckDisabled)),
            (400, 15, bad(None)),
            (400, 16, Verdict::Halt(Cause::QueryString)),
            (200, 17, Verdict::Retry(K::Answer)),
            (503, 18, Verdict::Retry(K::RateLimit)),
            (503, 19, Verdict::Retry(K::Server)),
            (503, 20, Verdict::Retry(K::RateLimit)),
            (400, 21, Verdict::Halt(Cause::Token)),
            (400, 22, Verdict::Halt(Cause::Token)),
            (503, 23, Verdict::Retry(K::Server)),
            (200, 24, taken(None, true)),
            (200, 25, taken(None, true)),
            (429, 26, Verdict::Retry(K::RateLimit)),
            (429, 27, Verdict::Retry(K::RateLimit)),
            (400, 28, Verdict::Halt(Cause::ChannelMissing)),
            (400, 99, Verdict::Halt(Cause::Refused)),
            (200, 9, Verdict::Retry(K::Answer)),
        ] {
            assert_eq!(of(status, &json(code)), want, "{status} code {code}");
        }
        assert_eq!(of(400, r#"{"text":"x","code":15,"invalid-event-number":3}"#), bad(Some(3)));
        assert_eq!(of(400, r#"{"text":"x","code":12,"invalid-event-number":-1}"#), bad(None));
    }

    #[test]
    fn bodies_that_are_no_json_are_judged_by_their_status() {
        let page = "<html><body>words with \"code\":0</body></html>";
        for (status, want) in [
            (200, Verdict::Retry(K::Answer)),
            (204, Verdict::Retry(K::Answer)),
            (302, Verdict::Halt(Cause::Redirect)),
            (400, Verdict::Halt(Cause::Refused)),
            (401, Verdict::Halt(Cause::Token)),
            (403, Verdict::Halt(Cause::Token)),
            (404, Verdict::Halt(Cause::Address)),
            (405, Verdict::Halt(Cause::Address)),
            (408, Verdict::Retry(K::Server)),
            (413, Verdict::TooLarge),
            (415, Verdict::Halt(Cause::Gzip)),
            (429, Verdict::Retry(K::RateLimit)),
            (500, Verdict::Retry(K::Server)),
            (502, Verdict::Retry(K::Server)),
            (503, Verdict::Retry(K::Server)),
            (504, Verdict::Retry(K::Server)),
        ] {
            assert_eq!(of(status, page), want, "{status}");
        }
    }

    #[test]
    fn a_receipt_is_whole_or_none() {
        let whole = r#"{"text":"Success","code":0,"ackId":7}"#;
        assert_eq!(of(200, whole), taken(Some("7"), false));
        for at in 0..whole.len() {
            assert_eq!(of(200, &whole[..at]), Verdict::Retry(K::Answer), "cut at {at}");
        }
        for body in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"text":"Success"}"#,
            r#"{"code":"0"}"#,
            r#"{"code":0,"ackId":"x"}"#,
            r#"{"code":0,"ackId":1.5}"#,
            r#"{"code":0,"ackId":-1}"#,
        ] {
            assert_eq!(of(200, body), Verdict::Retry(K::Answer), "{body}");
        }
        assert_eq!(of(200, r#"{"code":0,"ackId":null}"#), taken(None, false));
    }

    #[test]
    fn ids_of_acknowledgements_keep_their_digits() {
        for id in ["0", "9007199254740993", "18446744073709551615", "340282366920938463463374607431768211456"]
        {
            assert_eq!(of(200, &format!("{{\"code\":25,\"ackId\":{id}}}")), taken(Some(id), true));
            assert_eq!(
                acks(200, format!("{{\"acks\":{{\"{id}\":true,\"1\":false}}}}").as_bytes()),
                Acks::Told(vec![AckId(id.to_owned())])
            );
        }
    }

    #[test]
    fn only_true_is_an_acknowledgement() {
        let told = |body: &str| acks(200, body.as_bytes());
        for body in [r#"{"acks":{}}"#, r#"{"acks":{"0":false}}"#, r#"{"acks":{"0":"true","1":1,"2":null}}"#] {
            assert_eq!(told(body), Acks::Told(Vec::new()), "{body}");
        }
        for body in ["", "<html>", "{}", r#"{"acks":[0]}"#, r#"{"acks":{"0":true}"#] {
            assert_eq!(told(body), Acks::Unknown, "{body}");
        }
        assert_eq!(acks(400, br#"{"text":"ACK is disabled","code":14}"#), Acks::Disabled);
        assert_eq!(acks(400, br#"{"text":"x","code":12}"#), Acks::NoSuchEndpoint);
        assert_eq!(acks(404, b""), Acks::NoSuchEndpoint);
        assert_eq!(acks(403, b""), Acks::Refused(Cause::Token));
        for status in [408, 429, 500, 503] {
            assert_eq!(acks(status, b"<html>"), Acks::Unknown, "{status}");
        }
    }
}
