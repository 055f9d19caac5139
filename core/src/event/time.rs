//! Times of records.

use chrono::{DateTime, Utc};

/// Reads RFC 3339, also without a zone (vendors' logs are in UTC), with any fraction (kept to the nanosecond), with an hour of
/// one digit and with a leap second.
#[must_use]
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    let number = |from: usize, len: usize| -> Option<i64> {
        let digits = bytes.get(from..from + len)?;
        digits
            .iter()
            .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    // Microsoft has been seen to leave out the hour's zero.
    let short = usize::from(bytes.get(12) == Some(&b':'));
    let (hour, minute, second) = (number(11, 2 - short)?, number(14 - short, 2)?, number(17 - short, 2)?);
    let marks =
        [bytes.get(4)?, bytes.get(7)?, bytes.get(10)?, bytes.get(13 - short)?, bytes.get(16 - short)?];
    let [b'-', b'-', b'T' | b't' | b' ', b':', b':'] = marks else { return None };
    if !(1..=12).contains(&month)
        || day < 1
        || day > days(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let mut at = 19 - short;
    let mut nanos: u32 = 0;
    if let Some(b'.' | b',') = bytes.get(at) {
        at += 1;
        let mut unit: u32 = 100_000_000;
        let from = at;
        while let Some(digit) = bytes.get(at).filter(|digit| digit.is_ascii_digit()) {
            nanos += u32::from(digit - b'0') * unit;
            unit /= 10;
            at += 1;
        }
        if at == from {
            return None;
        }
    }
    let offset = match bytes.get(at) {
        None => 0,
        Some(b'Z' | b'z') if bytes.len() == at + 1 => 0,
        Some(sign @ (b'+' | b'-')) => {
            let hours = number(at + 1, 2)?;
            let minutes = match bytes.len() - at {
                3 => 0,
                5 => number(at + 3, 2)?,
                6 if bytes.get(at + 3) == Some(&b':') => number(at + 4, 2)?,
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        Some(_) => return None,
    };
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    DateTime::from_timestamp(seconds, nanos)
}

/// Whether text that [`parse_time`] reads is in the one form that every store reads: with a zone, and no oddity.
pub(crate) fn is_plain_time(text: &str) -> bool {
    let (Some(b'T'), Some(seconds), Some(tail)) = (text.as_bytes().get(10), text.get(17..19), text.get(19..))
    else {
        return false;
    };
    let tail = match tail.strip_prefix('.') {
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits > 9 {
                return false;
            }
            fraction.get(digits..).unwrap_or_default()
        }
        None => tail,
    };
    text.as_bytes().get(13) == Some(&b':')
        && seconds != "60"
        && (tail == "Z" || (tail.len() == 6 && tail.as_bytes().get(3) == Some(&b':')))
}

fn days(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Howard Hinnant's `days_from_civil`.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Appends a time as `"2026-01-15T10:00:00.123Z"`: milliseconds, or more digits where there are more.
pub(crate) fn write_time(time: DateTime<Utc>, out: &mut Vec<u8>) {
    let seconds = time.timestamp();
    let nanos = time.timestamp_subsec_nanos();
    let day = seconds.div_euclid(86_400);
    let of_day = seconds.rem_euclid(86_400);
    // Howard Hinnant's `civil_from_days`.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    // ECS dates have four digits; no vendor's clock reads otherwise.
    let year = year.clamp(0, 9999);
    let digit = |number: i64| b'0' + (number % 10) as u8;
    let two = |number: i64| [digit(number / 10), digit(number)];
    let [y1, y2] = two(year / 100);
    let [y3, y4] = two(year % 100);
    let [m1, m2] = two(month);
    let [d1, d2] = two(day);
    let [h1, h2] = two(of_day / 3600);
    let [n1, n2] = two(of_day / 60 % 60);
    let [s1, s2] = two(of_day % 60);
    out.extend_from_slice(&[
        b'"', y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.',
    ]);
    let millis = i64::from(nanos / 1_000_000);
    out.extend_from_slice(&[digit(millis / 100), digit(millis / 10), digit(millis)]);
    let rest = i64::from(nanos % 1_000_000);
    if rest != 0 {
        let micros = rest / 1000;
        out.extend_from_slice(&[digit(micros / 100), digit(micros / 10), digit(micros)]);
        let rest = rest % 1000;
        if rest != 0 {
            out.extend_from_slice(&[digit(rest / 100), digit(rest / 10), digit(rest)]);
        }
    }
    out.extend_from_slice(b"Z\"");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

    use super::*;

    fn written(text: &str) -> Option<String> {
        let mut out = Vec::new();
        write_time(parse_time(text)?, &mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn reads_what_vendors_write() {
        let same = Some("\"2026-01-15T10:00:00.123Z\"".to_owned());
        assert_eq!(written("2026-01-15T10:00:00.123Z"), same);
        assert_eq!(written("2026-01-15T12:00:00.123+02:00"), same);
        assert_eq!(written("2026-01-15T09:30:00.123-0030"), same);
        assert_eq!(written("2026-01-15 10:00:00.123"), same);
        assert_eq!(written("2026-01-15T5:00:00.1+00:00").unwrap(), "\"2026-01-15T05:00:00.100Z\"");
        assert_eq!(written("2026-01-15T10:00:00.1234567Z").unwrap(), "\"2026-01-15T10:00:00.123456700Z\"");
        assert_eq!(written("2026-01-15T10:00:00Z").unwrap(), "\"2026-01-15T10:00:00.000Z\"");
        assert_eq!(written("2016-12-31T23:59:60Z").unwrap(), "\"2017-01-01T00:00:00.000Z\"");
        assert_eq!(written("2024-02-29T00:00:00.000001Z").unwrap(), "\"2024-02-29T00:00:00.000001Z\"");
    }

    #[test]
    fn knows_which_texts_any_store_reads() {
        for plain in ["2026-01-15T10:00:00Z", "2026-01-15T10:00:00.1234567+00:00"] {
            assert!(is_plain_time(plain), "{plain}");
        }
        for odd in [
            "2026-01-15 10:00:00Z",
            "2026-01-15T5:00:00Z",
            "2026-01-15T10:00:00",
            "2026-01-15T10:00:00+0000",
            "2026-01-15T10:00:00,1Z",
            "2016-12-31T23:59:60Z",
            "2026-01-15T10:00:00.1234567890Z",
            "2026-01-15T10:00:00z",
        ] {
            assert!(parse_time(odd).is_some() && !is_plain_time(odd), "{odd}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "redacted",
            "2026-02-29T00:00:00Z",
            "2026-01-15",
            "2026-01-15T24:00:00Z",
            "2026-01-15T10:00:00.Z",
            "2026-01-15T5",
            "2026-01-15T5:0:00Z",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn agrees_with_chrono() {
        for seconds in (-62_167_219_200..253_402_300_799).step_by(86_400 * 37 + 12_345) {
            let time = DateTime::from_timestamp(seconds, 7_000_000).unwrap();
            let text = time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            assert_eq!(parse_time(&text), Some(time));
            assert_eq!(written(&text).unwrap(), format!("\"{text}\""));
        }
    }
}
