//! Spans of time and sizes as people write them: a number and its unit. A bare number is never accepted: nobody can tell
//! what it counts.

use std::time::Duration;

/// What [`duration`] accepts, for error messages.
pub const DURATION: &str = "a number with its unit (ms, s, m, h, d), such as \"60s\" or \"30d\"";
/// What [`size`] accepts, for error messages.
pub const SIZE: &str = "a number with its unit (B, KiB, MiB, GiB, TiB), such as \"64MiB\" or \"2GiB\"";

/// Longer than any vendor or law keeps a record, and short enough for every clock.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

/// `"500ms"`, `"60s"`, `"5m"`, `"24h"`, `"30d"`; at most a hundred years.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor).map(Duration::from_millis).filter(|value| *value <= LONGEST)
}

/// `"512B"`, `"64KiB"`, `"5MiB"`, `"2GiB"`, in bytes.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// A span of time in the largest unit that it is a whole number of: what [`duration`] reads as the same.
#[must_use]
pub fn duration_text(value: Duration) -> String {
    let ms = value.as_millis();
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms >= factor && ms.is_multiple_of(factor) {
            return format!("{}{unit}", ms / factor);
        }
    }
    format!("{ms}ms")
}

/// A size in the largest unit that it is a whole number of: what [`size`] reads as the same.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// The number and the unit of `"30d"`; which unit is not looked at.
#[must_use]
pub fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::{duration, duration_text, size, size_text};
    use std::time::Duration;

    #[test]
    fn what_is_written_is_read_as_the_same_in_the_largest_unit() {
        for text in ["0ms", "500ms", "90s", "5m", "24h", "30d", "36h"] {
            let value = duration(text);
            assert!(value.is_some(), "{text}");
            assert_eq!(value.map(duration_text).and_then(|text| duration(&text)), value, "{text}");
        }
        for (text, largest) in [("60m", "1h"), ("1500ms", "1500ms"), ("48h", "2d")] {
            assert_eq!(duration(text).map(duration_text).as_deref(), Some(largest));
        }
        for bytes in [0, 1, 1_000_000, 1_024, 5 << 20, 3 << 40, u64::MAX] {
            assert_eq!(size(&size_text(bytes)), Some(bytes), "{bytes}");
        }
        assert_eq!([1_000_000, 262_144, 5 << 20].map(size_text), ["1000000B", "256KiB", "5MiB"]);
    }

    #[test]
    fn numbers_need_units_and_units_numbers() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("30 d"), Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(size("5MiB"), Some(5 << 20));
        for wrong in ["", "5", "s", "-1s", "1.5h", "1w", "99999999999d", "18446744073709551615d", "5MB"] {
            assert_eq!((duration(wrong), size(wrong)), (None, None), "{wrong}");
        }
        assert_eq!(size("18446744073709551615KiB"), None);
    }
}
