//! How sign-ins go: what is asked of a person, what comes of it, and how the service words that.

use crate::rng::Rng;

/// How an interactive sign-in goes.
pub(super) struct Case {
    pub(super) weight: u64,
    pub(super) code: u32,
    pub(super) reason: &'static str,
    pub(super) details: Option<&'static str>,
    /// Method, its detail, whether it went well, the result's text. The first is the primary one.
    pub(super) steps: &'static [(&'static str, &'static str, bool, &'static str)],
    /// Status and policy result of Conditional Access.
    pub(super) access: (&'static str, &'static str),
    pub(super) protocol: &'static str,
    pub(super) client: &'static str,
}

const BROWSER: &str = "Browser";
const PASSWORD: (&str, &str, bool, &str) = ("Password", "Password Hash Sync", true, "Correct password");
const OTHER: &str = "Other.";
const SATISFIED: &str = "MFA requirement satisfied by claim in the token";
const PASSED: (&str, &str) = ("success", "success");
const NONE: (&str, &str) = ("notApplied", "notApplied");
const FAILED: (&str, &str) = ("failure", "failure");
const MFA_FAILED: &str = "Authentication failed during strong authentication request.";

const fn case(
    weight: u64,
    code: u32,
    reason: &'static str,
    details: Option<&'static str>,
    steps: &'static [(&'static str, &'static str, bool, &'static str)],
    access: (&'static str, &'static str),
) -> Case {
    Case { weight, code, reason, details, steps, access, protocol: "none", client: BROWSER }
}

const CASES: &[Case] = &[
    case(14, 0, OTHER, None, &[PASSWORD], NONE),
    case(
        14,
        0,
        OTHER,
        Some("MFA completed in Azure AD"),
        &[PASSWORD, ("Mobile app notification", "Pixel 9", true, "MFA completed in Azure AD")],
        PASSED,
    ),
    case(
        10,
        0,
        OTHER,
        Some(SATISFIED),
        &[
            ("Previously satisfied", "", true, "First factor requirement satisfied by claim in the token"),
            ("Previously satisfied", "", true, SATISFIED),
        ],
        PASSED,
    ),
    case(
        4,
        0,
        OTHER,
        Some("MFA completed in Azure AD"),
        &[PASSWORD, ("Text message", "+XX XXXXXXXX67", true, "MFA completed in Azure AD")],
        PASSED,
    ),
    case(
        3,
        0,
        OTHER,
        Some("MFA completed in Azure AD"),
        &[("FIDO2 security key", "Blue key", true, "MFA completed in Azure AD")],
        PASSED,
    ),
    case(
        3,
        0,
        OTHER,
        Some("MFA requirement satisfied by strong authentication"),
        &[("Windows Hello for Business", "", true, "MFA requirement satisfied by strong authentication")],
        PASSED,
    ),
    case(
        2,
        0,
        OTHER,
        Some("MFA completed in Azure AD"),
        &[("Temporary Access Pass", "", true, "MFA completed in Azure AD")],
        PASSED,
    ),
    case(
        2,
        0,
        OTHER,
        Some("MFA requirement skipped due to remembered device"),
        &[PASSWORD, ("", "", true, "MFA requirement skipped due to remembered device")],
        PASSED,
    ),
    case(
        6,
        50_074,
        "Strong Authentication is required.",
        Some("MFA required in Azure AD"),
        &[PASSWORD],
        FAILED,
    ),
    case(
        3,
        50_076,
        "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access the resource.",
        Some("MFA required in Azure AD"),
        &[PASSWORD],
        FAILED,
    ),
    case(
        4,
        500_121,
        MFA_FAILED,
        Some("MFA denied; user declined the authentication"),
        &[
            PASSWORD,
            ("Mobile app notification", "Pixel 9", false, "MFA denied; user declined the authentication"),
        ],
        FAILED,
    ),
    case(
        1,
        500_121,
        MFA_FAILED,
        Some("MFA denied; phone app reported fraud"),
        &[PASSWORD, ("Mobile app notification", "iPhone", false, "MFA denied; phone app reported fraud")],
        FAILED,
    ),
    case(
        2,
        500_121,
        MFA_FAILED,
        Some("MFA denied; user did not respond to mobile app notification"),
        &[
            PASSWORD,
            (
                "Mobile app notification",
                "Pixel 9",
                false,
                "MFA denied; user did not respond to mobile app notification",
            ),
            (
                "Mobile app notification",
                "Pixel 9",
                false,
                "MFA denied; user did not respond to mobile app notification",
            ),
        ],
        FAILED,
    ),
    case(
        2,
        500_121,
        MFA_FAILED,
        Some("MFA denied; invalid verification code"),
        &[PASSWORD, ("OATH verification code", "", false, "MFA denied; invalid verification code")],
        FAILED,
    ),
    case(
        8,
        50_126,
        "Error validating credentials due to invalid username or password.",
        None,
        &[("Password", "Password Hash Sync", false, "Incorrect password")],
        NONE,
    ),
    case(2, 50_126, "Error validating credentials due to invalid username or password.", None, &[], NONE),
    case(
        2,
        50_053,
        "The account is locked, you've tried to sign in too many times with an incorrect user ID or password.",
        None,
        &[],
        NONE,
    ),
    case(
        1,
        50_055,
        "The password is expired.",
        None,
        &[("Password", "Cloud only", false, "Password expired")],
        NONE,
    ),
    case(1, 50_057, "The user account is disabled.", None, &[], NONE),
    case(1, 50_034, "The user account does not exist in the directory.", None, &[], NONE),
    case(2, 53_003, "Access has been blocked by Conditional Access policies.", None, &[PASSWORD], FAILED),
    case(
        2,
        50_072,
        "User needs to enroll for second factor authentication (interactive).",
        None,
        &[PASSWORD],
        FAILED,
    ),
    case(
        2,
        50_140,
        "This occurred due to 'Keep me signed in' interrupt when the user was signing-in.",
        None,
        &[PASSWORD],
        NONE,
    ),
    Case {
        protocol: "deviceCode",
        ..case(1, 0, OTHER, Some(SATISFIED), &[("Previously satisfied", "", true, SATISFIED)], PASSED)
    },
    Case {
        protocol: "ropc",
        client: "IMAP4",
        ..case(
            1,
            50_126,
            "Error validating credentials due to invalid username or password.",
            None,
            &[("Password", "Password Hash Sync", false, "Incorrect password")],
            NONE,
        )
    },
    Case {
        protocol: "nativeAuth",
        client: "Mobile Apps and Desktop clients",
        ..case(1, 0, OTHER, None, &[PASSWORD], NONE)
    },
];

/// A token is renewed, nobody sits at the keyboard.
pub(super) const RENEWED: Case =
    case(1, 0, OTHER, None, &[("Previously satisfied", "", true, SATISFIED)], NONE);
/// The same, too late.
pub(super) const EXPIRED: Case =
    case(1, 700_082, "The refresh token has expired due to inactivity.", None, &[], NONE);

/// A case, by its weight.
pub(super) fn chosen(rng: &mut Rng) -> &'static Case {
    let mut drawn = rng.below(CASES.iter().map(|case| case.weight).sum());
    for case in CASES {
        if drawn < case.weight {
            return case;
        }
        drawn -= case.weight;
    }
    rng.pick(CASES)
}
