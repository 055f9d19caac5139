//! What a sign-in's error code (AADSTS) says of how it ended. Microsoft may change the codes, so they are data; one that is not
//! here is a failure, as every code but 0 is unless it is known to interrupt.

use tidegate_core::event::Ending;

/// Codes that are neither success nor failure.
///
/// `Challenge`: a further proof was demanded, and this row does not say whether it came. If nobody gave it, the row stays
/// as it is; that pair (right password, no proof) is worth a look.
/// `Interrupted`: the user was sent elsewhere first (to enrol, to choose an account, to consent).
pub const INTERRUPTS: &[(i64, Ending)] = &[
    // Account or directory to be chosen.
    (16_000, Ending::Interrupted),
    (16_003, Ending::Interrupted),
    // No session that could be used silently.
    (50_058, Ending::Interrupted),
    // To enrol for MFA: at this sign-in, or because of a policy or place.
    (50_072, Ending::Interrupted),
    // Strong authentication demanded and not passed (yet).
    (50_074, Ending::Challenge),
    // MFA demanded by a policy, a change of configuration or of place.
    (50_076, Ending::Challenge),
    // An earlier MFA is too old.
    (50_078, Ending::Challenge),
    (50_079, Ending::Interrupted),
    // The device is to prove itself.
    (50_097, Ending::Interrupted),
    // To reset the password or register for that.
    (50_125, Ending::Interrupted),
    // "Stay signed in?"
    (50_140, Ending::Interrupted),
    // Somebody else's service was to ask for a proof.
    (50_158, Ending::Challenge),
    // To confirm the sign-in.
    (50_199, Ending::Interrupted),
    // To consent.
    (65_001, Ending::Interrupted),
];

/// A second factor was asked for and not proven.
pub const MFA_FAILED: i64 = 500_121;

/// Codes of sign-ins that ended before or while MFA was set up or asked for.
pub const MFA_DEMANDED: [i64; 5] = [50_072, 50_074, 50_076, 50_078, 50_079];

/// How a sign-in with this code ended.
#[must_use]
pub fn ending(code: i64) -> Ending {
    if code == 0 {
        return Ending::Success;
    }
    match INTERRUPTS.binary_search_by_key(&code, |(code, _)| *code) {
        Ok(at) => INTERRUPTS.get(at).map_or(Ending::Failure, |(_, ending)| *ending),
        Err(_) => Ending::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_neither_success_nor_failure() {
        assert!(INTERRUPTS.is_sorted_by_key(|(code, _)| *code));
        assert_eq!(ending(0), Ending::Success);
        assert_eq!(ending(50_074), Ending::Challenge);
        assert_eq!(ending(65_001), Ending::Interrupted);
        for code in [50_126, 50_053, 53_003, MFA_FAILED, 700_082, 999_999, -1] {
            assert_eq!(ending(code), Ending::Failure, "{code}");
        }
    }
}
