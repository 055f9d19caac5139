//! Numbers, shares and times as people read them.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

/// `1200` as `1,200`.
#[must_use]
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 dead letter`, `1,002 dead letters`.
#[must_use]
pub fn dead_letters(count: u64) -> String {
    format!("{} dead letter{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// A part of a whole such as `100 %` or `99.866 %`. Cut off, not rounded: 100 is said of the whole alone. `–` of nothing.
#[must_use]
pub fn percent(part: TimeDelta, whole: TimeDelta) -> String {
    let (part, whole) = (millis(part), millis(whole));
    if whole == 0 {
        return "–".to_owned();
    }
    let thousandths = part * 100_000 / whole;
    match (part * 100) % whole {
        0 => format!("{} %", thousandths / 1_000),
        _ => format!("{}.{:03} %", thousandths / 1_000, thousandths % 1_000),
    }
}

fn millis(delta: TimeDelta) -> u128 {
    u128::try_from(delta.num_milliseconds()).unwrap_or(0)
}

/// Such as `10-12 03:10Z`; with the year where it is not this one.
#[must_use]
pub fn moment(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let year = if at.year() == now.year() { "" } else { "%Y-" };
    at.format(&format!("{year}%m-%d %H:%MZ")).to_string()
}

/// Such as `10-12 03:10Z→04:10Z`, or with both days.
#[must_use]
pub fn range(from: DateTime<Utc>, to: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let end =
        if from.date_naive() == to.date_naive() { to.format("%H:%MZ").to_string() } else { moment(to, now) };
    format!("{}→{end}", moment(from, now))
}

/// Such as `41 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
#[must_use]
pub fn span(delta: TimeDelta) -> String {
    let seconds = delta.num_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let and = |n: i64, unit: &str| if n == 0 { String::new() } else { format!(" {n} {unit}") };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 => format!("{hours} h{}", and(minutes % 60, "min")),
        _ => format!("{days} d{}", and(hours % 24, "h")),
    }
}

/// Lines of cells below each other. Cells in a column of numbers (`right`) end below each other, all others begin so; a
/// column's width is that of its widest cell in a line that has more cells behind it.
#[must_use]
pub fn table(lines: &[Vec<String>], right: &[usize]) -> Vec<String> {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let behind = |line: &&Vec<String>| line.len() > column + 1;
        let cells = lines.iter().filter(behind).filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let padded = |(column, cell): (usize, &String)| {
        let width = widths.get(column).copied().unwrap_or(0);
        if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    };
    lines
        .iter()
        .map(|line| line.iter().enumerate().map(padded).collect::<Vec<_>>().join("  ").trim_end().to_owned())
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{moment, percent, range, span, thousands};
    use chrono::{DateTime, TimeDelta};

    #[test]
    fn a_share_is_100_only_of_the_whole_and_has_decimals_only_where_it_is_not_whole() {
        let hours = TimeDelta::hours;
        let said = |part, whole| percent(part, whole);
        assert_eq!(said(hours(745), hours(745)), "100 %");
        assert_eq!(said(hours(744), hours(745)), "99.865 %");
        assert_eq!(said(hours(1), hours(4)), "25 %");
        assert_eq!(said(TimeDelta::zero(), hours(4)), "0 %");
        assert_eq!(said(hours(1_000_000) - TimeDelta::seconds(1), hours(1_000_000)), "99.999 %");
        assert_eq!(said(TimeDelta::zero(), TimeDelta::zero()), "–");
    }

    #[test]
    fn times_say_no_more_than_is_needed() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let now = at("2026-11-01T00:00:00Z");
        assert_eq!(moment(at("2025-10-12T03:10:59Z"), now), "2025-10-12 03:10Z");
        assert_eq!(range(at("2026-10-12T03:10:00Z"), at("2026-10-12T04:10:00Z"), now), "10-12 03:10Z→04:10Z");
        assert_eq!(
            range(at("2026-10-12T03:10:00Z"), at("2026-10-13T04:10:00Z"), now),
            "10-12 03:10Z→10-13 04:10Z"
        );
        let spans =
            [(41, "41 s"), (720, "12 min"), (7_200, "2 h"), (11_100, "3 h 5 min"), (187_200, "2 d 4 h")];
        for (seconds, text) in spans {
            assert_eq!(span(TimeDelta::seconds(seconds)), text);
        }
        assert_eq!([0, 999, 1_000, 1_204_331].map(thousands), ["0", "999", "1,000", "1,204,331"]);
    }
}
