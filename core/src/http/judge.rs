//! What an answer means: the one table of statuses and headers.
//!
//! | status | verdict |
//! |---|---|
//! | 2xx | `Ok`; with an HTML page in it `Retry` (a proxy or a login page answered) |
//! | 3xx | `Redirect`: none is followed |
//! | 400, 422 | `BadRequest` |
//! | 401 | `Unauthorized` |
//! | 403 | `Forbidden` |
//! | 404, 405, 406, 410, 415, 501, 505 | `NotThere`: this address, method or format does not exist |
//! | 408, 425 | `Retry` |
//! | 413 | `TooLarge` |
//! | 429 | `Retry` after the header's word; limit 0 means too many at the same time |
//! | other 4xx | `Refused` |
//! | other 5xx | `Retry`, honouring `Retry-After` |
//!
//! The status decides, never the body's error code: vendors use one code for both a wrong filter and a broken server.

use super::Response;
use crate::fault::{Fault, FaultKind};
use crate::quota::Seen;
use chrono::{DateTime, Datelike, NaiveDateTime, Utc};
use http::{HeaderMap, StatusCode};
use std::time::Duration;

/// `Retry-After` beyond this is not believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Longer words of the other side are no words.
const LONGEST_WORD: usize = 80;

/// Added to a reset instant: the header has whole seconds, and both clocks tick between.
const RESET_MARGIN: Duration = Duration::from_secs(1);

/// How a vendor words its limit in headers. `reset` is an instant in epoch seconds, by the clock of its `Date` header.
#[derive(Clone, Copy, Debug)]
pub struct RateHeaders {
    /// Requests in a span.
    pub limit: &'static str,
    /// Requests left in it.
    pub remaining: &'static str,
    /// When the span starts again.
    pub reset: &'static str,
    /// A reset further away than this is not believed.
    pub longest: Duration,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Use the answer.
    Ok,
    /// The same request later: after this long, or after our own backoff.
    Retry {
        /// The other side's word, clamped.
        after: Option<Duration>,
        /// Why.
        kind: FaultKind,
    },
    /// The credential was refused.
    Unauthorized,
    /// The credential is good, the right is missing.
    Forbidden,
    /// The request is wrong.
    BadRequest,
    /// This address, method or format does not exist there.
    NotThere,
    /// Elsewhere; we do not follow.
    Redirect,
    /// We sent too much at once.
    TooLarge,
    /// Refused for another reason.
    Refused,
}

/// Applies the table.
#[must_use]
pub fn judge(response: &Response, rate: Option<&RateHeaders>) -> Verdict {
    let retry = |kind| Verdict::Retry { after: retry_after(&response.headers, response.date), kind };
    match response.status.as_u16() {
        200..=299 if is_html(response) => Verdict::Retry { after: None, kind: FaultKind::Answer },
        200..=299 => Verdict::Ok,
        300..=399 => Verdict::Redirect,
        400 | 422 => Verdict::BadRequest,
        401 => Verdict::Unauthorized,
        403 => Verdict::Forbidden,
        404 | 405 | 406 | 410 | 415 | 501 | 505 => Verdict::NotThere,
        408 | 425 => retry(FaultKind::Server),
        413 => Verdict::TooLarge,
        429 => {
            let seen = rate.and_then(|names| seen(response, names));
            let kind = match seen {
                Some(Seen { limit: 0, .. }) => FaultKind::Concurrency,
                _ => FaultKind::RateLimit,
            };
            let after = retry_after(&response.headers, response.date)
                .or_else(|| rate.and_then(|names| reset(response, names)))
                .map(|after| after.max(Duration::from_secs(1)));
            Verdict::Retry { after, kind }
        }
        400..=499 => Verdict::Refused,
        _ => retry(FaultKind::Server),
    }
}

/// What the answer says of the limit; `None` where a header is missing or no number.
#[must_use]
pub fn seen(response: &Response, names: &RateHeaders) -> Option<Seen> {
    Some(Seen {
        limit: u32::try_from(least(&response.headers, names.limit)?).unwrap_or(u32::MAX),
        remaining: u32::try_from(least(&response.headers, names.remaining)?).unwrap_or(u32::MAX),
        reset: reset(response, names),
    })
}

/// From now until the reset, one second more, never negative, never longer than believed. Without a `Date` header the
/// instant means nothing to us (our own clock may be wrong by hours), so there is no wait to tell.
fn reset(response: &Response, names: &RateHeaders) -> Option<Duration> {
    let date = u64::try_from(response.date?.timestamp()).ok()?;
    let at = least(&response.headers, names.reset)?;
    Some((Duration::from_secs(at.saturating_sub(date)) + RESET_MARGIN).min(names.longest))
}

/// The smallest number of a header that may be there twice, as two lines or as `a, b`.
fn least(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|number| number.trim().parse().ok())
        .min()
}

/// `Retry-After`: seconds, or an instant relative to the other side's own clock. At most an hour.
#[must_use]
pub fn retry_after(headers: &HeaderMap, date: Option<DateTime<Utc>>) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let after = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_RETRY_AFTER)
        }
        Ok(_) => return None,
        Err(_) => http_date(text)?.signed_duration_since(date?).to_std().unwrap_or(Duration::ZERO),
    };
    Some(after.min(LONGEST_RETRY_AFTER))
}

/// An HTTP date in any of its three forms. A year that HTTP cannot write is no date: the vendor's clock is calculated
/// with, and chrono reads years up to 262142, beyond which a minute more is a panic.
#[must_use]
pub fn http_date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let date = DateTime::parse_from_rfc2822(text).map(|date| date.to_utc()).ok().or_else(|| {
        ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .map(|date| date.and_utc())
    });
    date.filter(|date| (1970..=9999).contains(&date.year()))
}

fn is_html(response: &Response) -> bool {
    let named = response
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
    let start = response.body.trim_ascii_start().get(..5).unwrap_or_default().to_ascii_lowercase();
    named || start == b"<html" || start == b"<!doc"
}

impl Response {
    /// A fault about this answer: status, the vendor's own code, and its request id from the header of that name.
    #[must_use]
    pub fn fault(
        &self,
        kind: FaultKind,
        message: impl Into<String>,
        code: Option<&str>,
        request_id: &str,
    ) -> Fault {
        let mut fault = Fault::new(kind, message);
        fault.status = Some(self.status.as_u16());
        fault.code = code.and_then(|code| token(code, 64));
        fault.request_id =
            self.headers.get(request_id).and_then(|id| id.to_str().ok()).and_then(|id| token(id, 128));
        fault
    }

    /// Where a redirect leads, without path and query.
    #[must_use]
    pub fn redirect_origin(&self) -> Option<String> {
        let location = self.headers.get(http::header::LOCATION)?.to_str().ok()?;
        let origin = url::Url::parse(location).ok()?.origin();
        origin.is_tuple().then(|| origin.ascii_serialization())
    }
}

/// Words of the other side that go into logs: short, and of harmless characters only.
fn token(text: &str, longest: usize) -> Option<String> {
    let harmless =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'=' | b'+');
    (!text.is_empty() && text.len() <= longest && text.bytes().all(harmless)).then(|| text.to_owned())
}

/// Text of the other side for a person: one line, short, nothing after a question mark in a URL, and no word so long
/// that it could be a token.
#[must_use]
pub fn quotable(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let word = if word.contains("://") { word.split('?').next().unwrap_or_default() } else { word };
        if word.chars().count() > LONGEST_WORD {
            return "…".to_owned();
        }
        word.chars().filter(|c| !c.is_control()).collect::<String>()
    });
    let mut line = words.collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(200) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// The kind of fault that a verdict is, where the caller knows no better.
#[must_use]
pub fn kind(verdict: Verdict, status: StatusCode) -> FaultKind {
    match verdict {
        Verdict::Retry { kind, .. } => kind,
        Verdict::Unauthorized => FaultKind::Credential,
        Verdict::Forbidden => FaultKind::Permission,
        Verdict::Redirect => FaultKind::ForeignLink,
        Verdict::TooLarge => FaultKind::TooLarge,
        Verdict::Ok | Verdict::BadRequest | Verdict::NotThere | Verdict::Refused
            if status.is_server_error() =>
        {
            FaultKind::Server
        }
        Verdict::Ok | Verdict::BadRequest | Verdict::NotThere | Verdict::Refused => FaultKind::Configuration,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    const RATE: RateHeaders = RateHeaders {
        limit: "x-rate-limit-limit",
        remaining: "x-rate-limit-remaining",
        reset: "x-rate-limit-reset",
        longest: Duration::from_secs(300),
    };

    const DATE: i64 = 1_780_000_000;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: Bytes::copy_from_slice(body.as_bytes()),
            date: DateTime::from_timestamp(DATE, 0),
        }
    }

    fn limited(limit: &str, remaining: &str, reset: &str) -> Response {
        answer(429, &[(RATE.limit, limit), (RATE.remaining, remaining), (RATE.reset, reset)], "")
    }

    fn after(response: &Response) -> Option<u64> {
        match judge(response, Some(&RATE)) {
            Verdict::Retry { after, .. } => after.map(|after| after.as_secs()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_status_has_its_verdict() {
        let plain = |status| judge(&answer(status, &[], "{}"), Some(&RATE));
        assert_eq!(plain(200), Verdict::Ok);
        assert_eq!(plain(204), Verdict::Ok);
        assert_eq!(plain(302), Verdict::Redirect);
        assert_eq!(plain(400), Verdict::BadRequest);
        assert_eq!(plain(401), Verdict::Unauthorized);
        assert_eq!(plain(403), Verdict::Forbidden);
        assert_eq!(plain(404), Verdict::NotThere);
        assert_eq!(plain(410), Verdict::NotThere);
        assert_eq!(plain(409), Verdict::Refused);
        assert_eq!(plain(413), Verdict::TooLarge);
        assert_eq!(plain(501), Verdict::NotThere);
        for status in [500, 502, 503, 504, 520] {
            assert_eq!(plain(status), Verdict::Retry { after: None, kind: FaultKind::Server });
        }
        assert_eq!(plain(429), Verdict::Retry { after: None, kind: FaultKind::RateLimit });
    }

    #[test]
    fn an_html_page_with_200_is_no_answer() {
        let html = Verdict::Retry { after: None, kind: FaultKind::Answer };
        assert_eq!(judge(&answer(200, &[("content-type", "text/html; charset=utf-8")], "x"), None), html);
        assert_eq!(judge(&answer(200, &[], " \n<!DOCTYPE html><p>"), None), html);
        assert_eq!(judge(&answer(200, &[("content-type", "application/json")], "[]"), None), Verdict::Ok);
    }

    #[test]
    fn waits_until_the_reset_by_the_vendors_own_clock() {
        assert_eq!(after(&limited("60", "0", &(DATE + 41).to_string())), Some(42));
        let mut no_date = limited("60", "0", &(DATE + 41).to_string());
        no_date.date = None;
        assert_eq!(after(&no_date), None);
    }

    #[test]
    fn clamps_resets_and_takes_the_smaller_of_two() {
        assert_eq!(after(&limited("60", "0", "0")), Some(1));
        assert_eq!(after(&limited("60", "0", "99999999999999")), Some(300));
        assert_eq!(after(&limited("60", "0", &format!("{}, {}", DATE + 50, DATE + 20))), Some(21));
        assert_eq!(after(&limited("60", "0", "soon")), None);
    }

    #[test]
    fn limit_zero_is_concurrency() {
        let verdict = judge(&limited("0", "0", &(DATE + 180).to_string()), Some(&RATE));
        assert_eq!(
            verdict,
            Verdict::Retry { after: Some(Duration::from_secs(181)), kind: FaultKind::Concurrency }
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        let read = |text: &str| {
            retry_after(&answer(503, &[("retry-after", text)], "").headers, DateTime::from_timestamp(DATE, 0))
                .map(|after| after.as_secs())
        };
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("999999999999999999999"), Some(3600));
        assert_eq!(read("-5"), None);
        assert_eq!(read("NaN"), None);
        assert_eq!(read("later"), None);
        let in_ten = DateTime::from_timestamp(DATE + 10, 0).unwrap();
        assert_eq!(read(&in_ten.format("%a, %d %b %Y %H:%M:%S GMT").to_string()), Some(10));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
    }

    #[test]
    fn reads_all_three_forms_of_a_date() {
        let want = DateTime::from_timestamp(784_111_777, 0);
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), want);
        assert_eq!(http_date("Sunday, 06-Nov-94 08:49:37 GMT"), want);
        assert_eq!(http_date("Sun Nov  6 08:49:37 1994"), want);
        assert_eq!(http_date("tomorrow"), None);
        for year in ["262142", "10000", "1969", "0001"] {
            assert_eq!(http_date(&format!("31 Dec {year} 23:59:59 GMT")), None, "{year}");
        }
    }

    #[test]
    fn faults_carry_ids_but_no_strange_text() {
        let response = answer(401, &[("x-id", "Zq1-a_b")], "");
        let fault = response.fault(FaultKind::Credential, "the token was refused", Some("E0000011"), "x-id");
        assert_eq!(fault.to_string(), "the token was refused (401 E0000011, request Zq1-a_b)");
        let odd =
            answer(401, &[("x-id", "a b\tc")], "").fault(FaultKind::Credential, "x", Some("E 1\n"), "x-id");
        assert_eq!((odd.code, odd.request_id), (None, None));
        assert_eq!(
            quotable("see https://a.example.com/x?token=1 now\n\u{7}"),
            "see https://a.example.com/x now "
        );
    }

    proptest! {
        #[test]
        fn no_header_makes_us_wait_for_ever(limit in ".{0,12}", reset in "[0-9, -]{0,24}", after in "[ -~]{0,24}", status in 100u16..1000) {
            let mut response = answer(200, &[], "");
            response.status = StatusCode::from_u16(status).unwrap();
            for (name, value) in [(RATE.limit, &limit), (RATE.remaining, &limit), (RATE.reset, &reset), ("retry-after", &after)] {
                if let Ok(value) = http::HeaderValue::from_str(value) {
                    response.headers.append(name, value);
                }
            }
            if let Verdict::Retry { after: Some(after), .. } = judge(&response, Some(&RATE)) {
                prop_assert!(after <= LONGEST_RETRY_AFTER);
            }
        }
    }
}
