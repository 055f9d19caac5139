//! Times of records.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc};

/// Reads RFC 3339, also without a zone (vendors' logs are in UTC), with any fraction (kept to the nanosecond), with an hour of
/// one digit and with a leap second.
#[must_use]
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let Written { year, month, day, of_day, nanos, .. } = read(text)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month as u32, day as u32)?;
    let time = u32::try_from(of_day).ok().and_then(|of_day| {
        // From 86,400 on there is none.
        NaiveTime::from_num_seconds_from_midnight_opt(of_day, nanos)
    });
    match time {
        Some(time) => Some(date.and_time(time).and_utc()),
        // Its zone, or a leap second, makes it another day's; a year of four digits it must have there too.
        None => date
            .and_time(NaiveTime::MIN)
            .and_utc()
            .checked_add_signed(TimeDelta::new(of_day, nanos)?)
            .filter(|time| (0..=9999).contains(&time.year())),
    }
}

/// Whether [`parse_time`] reads it, and [`write_time`] would write it in the same letters.
pub(crate) fn is_our_time(text: &str) -> bool {
    if let Some(common) = Common::of(text.as_bytes())
        && common.is_ours
        && common.is_plain()
    {
        // Milliseconds, or in threes as many digits as there are.
        return match common.fraction {
            [_, _, _] => true,
            [_, _, _, last @ ..] | [_, _, _, _, _, _, last @ ..] if last.len() == 3 => last != b"000",
            _ => false,
        };
    }
    read(text).is_some_and(|written| written.is_ours())
}

/// What a text says of a time.
struct Written {
    year: i64,
    month: i64,
    day: i64,
    /// Seconds of that day in UTC; before it and after it where the zone makes it so.
    of_day: i64,
    nanos: u32,
    /// But for its fraction, it is written as we would, and that has so many digits.
    digits: Option<usize>,
    /// Of the 61st second of a minute.
    is_leap: bool,
}

impl Written {
    /// If there is such a day, and such a second in it.
    #[inline]
    fn on_the_calendar(
        [year, month, day]: [i64; 3],
        [hour, minute, second]: [i64; 3],
        offset: i64,
        nanos: u32,
        digits: Option<usize>,
    ) -> Option<Self> {
        let fits = (1..=12).contains(&month)
            && day >= 1
            && (day <= 28 || day <= days(year, month))
            && hour <= 23
            && minute <= 59
            && second <= 60;
        let of_day = hour * 3600 + minute * 60 + second - offset;
        fits.then_some(Self { year, month, day, of_day, nanos, digits, is_leap: second == 60 })
    }

    /// It is written as we would.
    fn is_ours(&self) -> bool {
        let shown = match (self.nanos % 1_000_000, self.nanos % 1000) {
            (0, _) => 3,
            (_, 0) => 6,
            _ => 9,
        };
        self.digits == Some(shown) && !self.is_leap
    }
}

#[inline]
fn read(text: &str) -> Option<Written> {
    let bytes = text.as_bytes();
    match common(bytes) {
        Some(written) => written,
        None => otherwise(bytes),
    }
}

/// A time in the form of almost all: `2026-01-15T10:00:00Z`, with or without a fraction of up to nine bytes, and also with
/// `+00:00` for its zone.
struct Common<'a> {
    /// Of each two digits before the seconds that stand side by side, the number.
    twos: u128,
    /// Each a digit.
    seconds: [u8; 2],
    /// Not looked at yet.
    fraction: &'a [u8],
    /// With `Z`.
    is_ours: bool,
}

impl<'a> Common<'a> {
    #[inline(always)]
    fn of(bytes: &'a [u8]) -> Option<Self> {
        const WRITTEN: u128 = u128::from_le_bytes(*b"0000-00-00T00:00");
        const HIGHEST: u128 = u128::from_le_bytes([0x80; 16]);
        /// A digit less its zero is below ten, and a sign less itself nothing: what is more carries into the highest bit.
        const CARRY: u128 = {
            const D: u8 = 0x80 - 10;
            const S: u8 = 0x80 - 1;
            u128::from_le_bytes([D, D, D, D, S, D, D, S, D, D, S, D, D, S, D, D])
        };
        let (head, rest) = bytes.split_first_chunk::<16>()?;
        let (rest, is_ours) = match rest {
            [rest @ .., b'Z'] => (rest, true),
            [rest @ .., b'+', b'0', b'0', b':', b'0', b'0'] => (rest, false),
            _ => return None,
        };
        let (s1, s2, fraction) = match rest {
            [b':', s1, s2] => (s1, s2, [].as_slice()),
            [b':', s1, s2, b'.', fraction @ ..] if (1..=9).contains(&fraction.len()) => (s1, s2, fraction),
            _ => return None,
        };
        let seconds = [s1.wrapping_sub(b'0'), s2.wrapping_sub(b'0')];
        let less = u128::from_le_bytes(*head) ^ WRITTEN;
        let digits = (less | (less & !HIGHEST).wrapping_add(CARRY)) & HIGHEST == 0;
        (digits && seconds.iter().all(|digit| *digit < 10)).then(|| Self {
            twos: less.wrapping_mul(10).wrapping_add(less >> 8),
            seconds,
            fraction,
            is_ours,
        })
    }

    /// Whether nothing else needs to be known: there is such a second on any calendar, and its fraction has digits alone. What
    /// is not plain may be a time nevertheless.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        /// The least and the most of month, day, hour and minute.
        const LEAST: u128 = u128::from_le_bytes([0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        const MOST: u128 =
            u128::from_le_bytes([99, 99, 99, 99, 99, 12, 99, 99, 28, 99, 99, 23, 99, 99, 59, 99]);
        const HIGHEST: u128 = u128::from_le_bytes([0x80; 16]);
        let Self { twos, seconds: [s1, _], fraction, is_ours: _ } = self;
        // What is below the least, or above the most, takes the highest bit of its byte away.
        let fits = (twos | HIGHEST).wrapping_sub(LEAST) & (MOST | HIGHEST).wrapping_sub(*twos) & HIGHEST;
        fits == HIGHEST && *s1 < 6 && fraction.iter().all(u8::is_ascii_digit)
    }
}

/// Reads one in the common form. `None`: it is written in another way.
#[inline]
fn common(bytes: &[u8]) -> Option<Option<Written>> {
    /// How many nanoseconds one is in the last of so many digits.
    const UNITS: [u32; 10] = [0, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1000, 100, 10, 1];
    let Common { twos, seconds: [s1, s2], fraction, is_ours } = Common::of(bytes)?;
    let [y1, _, y3, _, _, month, _, _, day, _, _, hour, _, _, minute, _] = twos.to_le_bytes().map(i64::from);
    let unit = *UNITS.get(fraction.len())?;
    let (mut most, mut number) = (0, 0_u32);
    for digit in fraction {
        let digit = digit.wrapping_sub(b'0');
        most = most.max(digit);
        number = number.wrapping_mul(10).wrapping_add(u32::from(digit));
    }
    (most < 10).then(|| {
        Written::on_the_calendar(
            [y1 * 100 + y3, month, day],
            [hour, minute, i64::from(s1) * 10 + i64::from(s2)],
            0,
            number.wrapping_mul(unit),
            is_ours.then_some(fraction.len()),
        )
    })
}

/// Reads one that is written in any other way, none of which is ours.
fn otherwise(bytes: &[u8]) -> Option<Written> {
    let two =
        |tens: u8, ones: u8| i64::from(tens.wrapping_sub(b'0')) * 10 + i64::from(ones.wrapping_sub(b'0'));
    // Microsoft has been seen to leave out the hour's zero.
    let mut padded = [b'0'; 19];
    let (head, tail) = match bytes {
        [_, _, _, _, _, _, _, _, _, _, _, _, b':', ..] => {
            let (before, after) = bytes.split_at_checked(11)?;
            let (after, tail) = after.split_at_checked(7)?;
            padded.get_mut(..11)?.copy_from_slice(before);
            padded.get_mut(12..)?.copy_from_slice(after);
            (&padded, tail)
        }
        _ => bytes.split_first_chunk::<19>()?,
    };
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't' | b' ', h1, h2, b':', n1, n2, b':', s1, s2] =
        *head
    else {
        return None;
    };
    if ![y1, y2, y3, y4, m1, m2, d1, d2, h1, h2, n1, n2, s1, s2].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (year, month, day) = (two(y1, y2) * 100 + two(y3, y4), two(m1, m2), two(d1, d2));
    let (hour, minute, second) = (two(h1, h2), two(n1, n2), two(s1, s2));
    let (nanos, zone) = match tail {
        [b'.' | b',', fraction @ ..] => {
            let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, zone) = fraction.split_at_checked(length).filter(|_| length > 0)?;
            let mut unit = 1_000_000_000;
            let nanos = fraction.iter().fold(0, |sum, digit| {
                unit /= 10;
                sum + u32::from(digit - b'0') * unit
            });
            (nanos, zone)
        }
        zone => (0, zone),
    };
    let offset = match zone {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let [h1, h2, m1, m2] = match *zone {
                [h1, h2] => [h1, h2, b'0', b'0'],
                [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => [h1, h2, m1, m2],
                _ => return None,
            };
            let (hours, minutes) = (two(h1, h2), two(m1, m2));
            if ![h1, h2, m1, m2].iter().all(u8::is_ascii_digit) || hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    Written::on_the_calendar([year, month, day], [hour, minute, second], offset, nanos, None)
}

/// Whether [`parse_time`] reads it, and it is in the one form that every store reads: with a zone, and no oddity.
pub(crate) fn is_plain_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    if Common::of(bytes).is_some_and(|common| common.is_plain()) {
        return true;
    }
    match common(bytes) {
        Some(written) => written.is_some_and(|written| !written.is_leap),
        None => is_plain_otherwise(text),
    }
}

/// The same of other zones.
fn is_plain_otherwise(text: &str) -> bool {
    let (Some(b'T'), Some(tail)) = (text.as_bytes().get(10), text.get(19..)) else { return false };
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
        && tail.len() == 6
        && tail.as_bytes().get(3) == Some(&b':')
        && otherwise(text.as_bytes()).is_some_and(|written| !written.is_leap)
        // Its zone may make it a year's that nobody writes.
        && parse_time(text).is_some()
}

fn days(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Appends a time as `"2026-01-15T10:00:00.123Z"`: milliseconds, or more digits where there are more.
pub(crate) fn write_time(time: DateTime<Utc>, out: &mut Vec<u8>) {
    let (date, clock) = (time.naive_utc().date(), time.naive_utc().time());
    let (month, day, of_day) = (date.month(), date.day(), clock.num_seconds_from_midnight());
    // ECS dates have four digits; no vendor's clock reads otherwise.
    let year = date.year().clamp(0, 9999) as u32;
    let nanos = clock.nanosecond() % 1_000_000_000;
    let ([y1, y2], [y3, y4], [m1, m2], [d1, d2]) =
        (digits(year / 100), digits(year % 100), digits(month), digits(day));
    let ([h1, h2], [n1, n2], [s1, s2]) =
        (digits(of_day / 3600), digits(of_day / 60 % 60), digits(of_day % 60));
    let ([f1, f2], [f3, f4], [f5, f6]) =
        (digits(nanos / 10_000_000), digits(nanos / 100_000 % 100), digits(nanos / 1000 % 100));
    out.extend_from_slice(&[
        b'"', y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.', f1,
        f2, f3,
    ]);
    if nanos % 1_000_000 != 0 {
        out.extend_from_slice(&[f4, f5, f6]);
    }
    if nanos % 1000 != 0 {
        let ([f7, f8], [f9, _]) = (digits(nanos / 10 % 100), digits(nanos % 10 * 10));
        out.extend_from_slice(&[f7, f8, f9]);
    }
    out.extend_from_slice(b"Z\"");
}

/// A time that many documents share, and how they have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    time: DateTime<Utc>,
    /// As [`write_time`] writes it.
    written: Ready,
    /// As milliseconds since 1970.
    millis: Ready,
}

/// A short text, ready to be copied as a number of bytes that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ready {
    /// And blanks.
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl Ready {
    /// Bytes of a time with nanoseconds and its quotes, which is the longest.
    const LONGEST: usize = 32;

    fn of(text: &[u8]) -> Self {
        let mut bytes = [b' '; Self::LONGEST];
        bytes.iter_mut().zip(text).for_each(|(place, byte)| *place = *byte);
        Self { bytes, length: text.len().min(Self::LONGEST) }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let end = out.len().wrapping_add(self.length);
        out.extend_from_slice(&self.bytes);
        out.truncate(end);
    }
}

impl Moment {
    /// The time itself.
    #[must_use]
    pub const fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// Appends it as [`write_time`] would.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.written.write(out);
    }

    /// Appends its milliseconds since 1970.
    #[inline]
    pub(crate) fn write_millis(&self, out: &mut Vec<u8>) {
        self.millis.write(out);
    }
}

impl From<DateTime<Utc>> for Moment {
    fn from(time: DateTime<Utc>) -> Self {
        let mut text = Vec::with_capacity(Ready::LONGEST);
        write_time(time, &mut text);
        let millis = time.timestamp_millis().to_string();
        Self { time, written: Ready::of(&text), millis: Ready::of(millis.as_bytes()) }
    }
}

/// Whether a text is nothing but digits.
pub(crate) fn are_digits(text: &str) -> bool {
    let eight = |bytes: &[u8; 8]| {
        const HIGHEST: u64 = u64::from_le_bytes([0x80; 8]);
        let less = u64::from_le_bytes(*bytes) ^ u64::from_le_bytes([b'0'; 8]);
        // What is ten or more carries into the highest bit.
        (less | (less & !HIGHEST).wrapping_add(u64::from_le_bytes([0x80 - 10; 8]))) & HIGHEST == 0
    };
    let bytes = text.as_bytes();
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) if bytes.len() <= 16 => eight(first) && eight(last),
        _ => bytes.iter().all(u8::is_ascii_digit),
    }
}

/// The two digits of a number below 100.
#[inline]
fn digits(number: u32) -> [u8; 2] {
    const ALL: [[u8; 2]; 100] = {
        let mut all = [[b'0'; 2]; 100];
        let (mut rest, mut number): (&mut [[u8; 2]], u8) = (&mut all, 0);
        while let Some((place, after)) = rest.split_first_mut() {
            *place = [b'0' + number / 10, b'0' + number % 10];
            number += 1;
            rest = after;
        }
        all
    };
    ALL.get(number as usize).copied().unwrap_or([b'0'; 2])
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
        for wrong in [
            "2026-02-29T10:00:00Z",
            "2026-01-15T10:00:00+25:00",
            "2026-01-15T10:00:0xZ",
            "0000-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert!(!is_plain_time(wrong), "{wrong}");
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
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn knows_which_texts_are_as_we_write_them() {
        for text in [
            "2026-01-15T10:00:00.123Z",
            "2024-02-29T23:59:59.000Z",
            "2026-01-15T10:00:00.000001Z",
            "2026-01-15T10:00:00.120000001Z",
        ] {
            assert!(is_our_time(text), "{text}");
            assert_eq!(written(text).unwrap(), format!("\"{text}\""));
        }
        for other in [
            "2026-01-15T10:00:00Z",
            "2026-01-15T10:00:00.1234Z",
            "2026-01-15T10:00:00.123000Z",
            "2026-01-15T10:00:00.123456000Z",
            "2026-01-15 10:00:00.123Z",
            "2026-01-15t10:00:00.123Z",
            "2026-01-15T10:00:00,123Z",
            "2026-01-15T10:00:00.123z",
            "2016-12-31T23:59:60.000Z",
            "2026-01-15T5:00:00.1234Z",
            "2026-01-15T10:00:00.12+Z",
            "2026-02-29T10:00:00.123Z",
        ] {
            assert!(!is_our_time(other), "{other}");
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

    /// What [`is_plain_time`] promises, said without its short cuts.
    fn is_plain(text: &str) -> bool {
        let (Some(b'T'), Some(b':'), Some(tail)) =
            (text.as_bytes().get(10), text.as_bytes().get(13), text.get(19..))
        else {
            return false;
        };
        let zone =
            tail.strip_prefix('.').map_or(tail, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        tail.len() - zone.len() <= 10
            && (zone == "Z" || (zone.len() == 6 && zone.as_bytes()[3] == b':'))
            && otherwise(text.as_bytes()).is_some_and(|written| !written.is_leap)
    }

    proptest::proptest! {
        #[test]
        fn the_common_form_is_read_as_any_other(
            text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?(Z|\\+00:00)",
            odd in proptest::option::weighted(0.3, (0..30_usize, "[ -~]")),
        ) {
            let mut text = text;
            if let Some((at, letter)) = odd
                && at < text.len()
            {
                text.replace_range(at..=at, &letter);
            }
            let said = |written: Option<Written>| {
                written.map(|Written { year, month, day, of_day, nanos, digits: _, is_leap }| {
                    (year, month, day, of_day, nanos, is_leap)
                })
            };
            proptest::prop_assert_eq!(said(read(&text)), said(otherwise(text.as_bytes())));
            proptest::prop_assert_eq!(is_plain_time(&text), is_plain(&text));
            proptest::prop_assert_eq!(is_our_time(&text), written(&text) == Some(format!("\"{text}\"")));
            if let Some(time) = parse_time(&text) {
                let (mut out, mut millis) = (Vec::new(), Vec::new());
                Moment::from(time).write(&mut out);
                Moment::from(time).write_millis(&mut millis);
                proptest::prop_assert_eq!(String::from_utf8(out).ok(), written(&text));
                proptest::prop_assert_eq!(String::from_utf8(millis).ok(), Some(time.timestamp_millis().to_string()));
            }
        }

        #[test]
        fn digits_are_told_from_all_else(
            text in "[0-9]{0,20}|[0-9]{0,9}[/:+.eE\u{80}-\u{2ff}-][0-9]{0,9}",
        ) {
            proptest::prop_assert_eq!(are_digits(&text), text.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
