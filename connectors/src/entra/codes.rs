//! What a sign-in's error code (AADSTS) says of how it ended. Microsoft may change the codes, so they are data; one that is not
//! here is a failure, as every code but 0 is unless it is known to interrupt.

use tidegate_core::event::Ending;

/// Codes that are neither success nor failure, and whether it was to set up MFA or to pass it.
///
/// `Challenge`: a further proof was demanded, and this row does not say whether it came. If nobody gave it, the row stays
/// as it is; that pair (right password, no proof) is worth a look.
/// `Interrupted`: the user was sent elsewhere first (to enrol, to choose an account, to consent).
pub const INTERRUPTS: &[(i64, Ending, bool)] = &[
    // Account or directory to be chosen.
    (16_000, Ending::Interrupted, false),
    (16_003, Ending::Interrupted, false),
    // No session that could be used silently.
    (50_058, Ending::Interrupted, false),
    // To enrol for MFA: at this sign-in, or because of a policy or place.
    (50_072, Ending::Interrupted, true),
    // Strong authentication demanded and not passed (yet).
    (50_074, Ending::Challenge, true),
    // MFA demanded by a policy, a change of configuration or of place.
    (50_076, Ending::Challenge, true),
    // An earlier MFA is too old.
    (50_078, Ending::Challenge, true),
    (50_079, Ending::Interrupted, true),
    // The device is to prove itself.
    (50_097, Ending::Interrupted, false),
    // To reset the password or register for that.
    (50_125, Ending::Interrupted, false),
    // "Stay signed in?"
    (50_140, Ending::Interrupted, false),
    // Somebody else's service was to ask for a proof.
    (50_158, Ending::Challenge, false),
    // To confirm the sign-in.
    (50_199, Ending::Interrupted, false),
    // To consent.
    (65_001, Ending::Interrupted, false),
];

/// A second factor was asked for and not proven.
pub const MFA_FAILED: i64 = 500_121;

fn interrupt(code: i64) -> Option<(Ending, bool)> {
    let at = INTERRUPTS.binary_search_by_key(&code, |(code, ..)| *code).ok()?;
    INTERRUPTS.get(at).map(|(_, ending, mfa)| (*ending, *mfa))
}

/// How a sign-in with this code ended.
#[must_use]
pub fn ending(code: i64) -> Ending {
    match code {
        0 => Ending::Success,
        _ => interrupt(code).map_or(Ending::Failure, |(ending, _)| ending),
    }
}

/// Whether a sign-in with this code ended before or while MFA was set up or asked for.
#[must_use]
pub fn demands_mfa(code: i64) -> bool {
    interrupt(code).is_some_and(|(_, mfa)| mfa)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_neither_success_nor_failure() {
        assert!(INTERRUPTS.is_sorted_by_key(|(code, ..)| *code));
        assert_eq!(ending(0), Ending::Success);
        assert_eq!(ending(50_074), Ending::Challenge);
        assert_eq!(ending(65_001), Ending::Interrupted);
        assert!(demands_mfa(50_074) && demands_mfa(50_072) && !demands_mfa(65_001) && !demands_mfa(0));
        for code in [50_126, 50_053, 53_003, MFA_FAILED, 700_082, 999_999, -1] {
            assert_eq!((ending(code), demands_mfa(code)), (Ending::Failure, false), "{code}");
        }
    }
}
