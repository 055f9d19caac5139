//! Opaque cursors in two styles. They carry their place themselves, scrambled, so they outlive a restart of the
//! stand-in; a checksum tells one that was issued from one that was made up.

use super::params::Mode;
use crate::rng::{mix, uuid};

/// (epoch milliseconds, sequence): the next event is the first at or after it.
pub(crate) type Position = (i64, u64);

const CHECK: u64 = 9_973;

fn salt(seed: u64, mode: Mode) -> u64 {
    let kind = match mode {
        Mode::Polling => 1,
        Mode::Bounded { descending: false } => 2,
        Mode::Bounded { descending: true } => 3,
    };
    mix(seed, kind)
}

fn check(salt: u64, (ms, seq): Position) -> u64 {
    mix(mix(salt, ms.cast_unsigned()), seq)
}

/// `<ms>_<n>` or like a UUID, chosen by the place itself (so that the same link always looks the same), the other way
/// round when flipped.
pub(crate) fn write(seed: u64, mode: Mode, position: Position, flipped: bool) -> String {
    let (salt, (ms, seq)) = (salt(seed, mode), position);
    let check = check(salt, position);
    if (check & 1 == 1) != flipped {
        return format!("{ms}_{}", seq * CHECK + check % CHECK);
    }
    // 128 bits: checksum and sequence, then the time; each hidden by what comes before it.
    let high = (check & 0xffff_ffff_0000_0000) | ((seq & 0xffff_ffff) ^ (check >> 32));
    uuid(high ^ salt, ms.cast_unsigned() ^ mix(salt, high))
}

pub(crate) fn read(seed: u64, mode: Mode, text: &str) -> Option<Position> {
    let salt = salt(seed, mode);
    if let Some((ms, n)) = text.split_once('_') {
        let (ms, n) = (ms.parse::<i64>().ok()?, n.parse::<u64>().ok()?);
        let position = (ms, n / CHECK);
        return (check(salt, position) % CHECK == n % CHECK).then_some(position);
    }
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || text.len() != 36 {
        return None;
    }
    let number = u128::from_str_radix(&digits, 16).ok()?;
    let (high, low) = (u64::try_from(number >> 64).ok()? ^ salt, number as u64);
    let seq = (high & 0xffff_ffff) ^ (high >> 32);
    let position = ((low ^ mix(salt, high)).cast_signed(), seq);
    (check(salt, position) >> 32 == high >> 32).then_some(position)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_lead_back_to_their_place() {
        let mut styles = [0, 0];
        for seq in 0..200 {
            let place = (1_768_471_200_000 + i64::try_from(seq * 37).unwrap(), seq);
            for flipped in [false, true] {
                let text = write(4, Mode::Polling, place, flipped);
                styles[usize::from(text.contains('_'))] += 1;
                assert_eq!(read(4, Mode::Polling, &text), Some(place), "{text}");
                assert_eq!(read(5, Mode::Polling, &text), None, "{text}");
            }
        }
        assert_eq!(styles, [200, 200]);
    }

    #[test]
    fn a_made_up_cursor_is_not_accepted() {
        for text in ["", "x", "1768471200000_1", "00000000-0000-4000-8000-000000000000", "1_", "_"] {
            assert_eq!(read(1, Mode::Polling, text), None, "{text}");
        }
        let bounded = write(1, Mode::Bounded { descending: false }, (1_768_471_200_000, 7), false);
        assert_eq!(read(1, Mode::Polling, &bounded), None, "a cursor belongs to its mode");
    }
}
