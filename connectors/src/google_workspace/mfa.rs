//! What Google's words say of factors. Pure.

use tidegate_core::event::{Answer, Deed, Ending, Factor, Mfa, lower_case};
use tidegate_core::json::Text;

/// What a challenge proves of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// What the user knows.
    Password,
    /// What the user has, beside a password.
    Second,
    /// What the user has, perhaps instead of a password.
    Passkey,
    /// Another service asked for proofs, and knows which.
    Elsewhere,
    /// Nothing (a puzzle, a place), or nothing that counts as a factor.
    Nothing,
    /// A word that we do not know: the set is open.
    Unknown,
}

/// A `login_challenge_method`.
fn challenge(word: &str) -> (Factor, Proof) {
    match word {
        "password" | "google_password" => (Factor::Password, Proof::Password),
        "google_prompt" | "device_prompt" => (Factor::Push, Proof::Second),
        "google_authenticator" | "totp" => (Factor::Totp, Proof::Second),
        "offline_otp" => (Factor::Otp, Proof::Second),
        // A call or a text message; Google does not say which.
        "idv_preregistered_phone" | "idv_any_phone" | "device_preregistered_phone" => {
            (Factor::Call, Proof::Second)
        }
        "idv_preregistered_email" | "idv_any_email" | "access_to_preregistered_email" => {
            (Factor::Email, Proof::Second)
        }
        "security_key" => (Factor::WebAuthn, Proof::Second),
        "security_key_otp" => (Factor::HardwareToken, Proof::Second),
        "passkey" | "userless_fido" => (Factor::WebAuthn, Proof::Passkey),
        "backup_code" | "rescue_code" => (Factor::RecoveryCode, Proof::Second),
        "internal_two_factor" => (Factor::Other, Proof::Second),
        "saml" | "oidc" => (Factor::Delegated, Proof::Elsewhere),
        "none" | "captcha" | "recaptcha" | "math" | "extended_botguard" | "login_location" | "cname"
        | "time_delay" => (Factor::Other, Proof::Nothing),
        word if word.starts_with("knowledge_") => (Factor::Question, Proof::Nothing),
        _ => (Factor::Other, Proof::Unknown),
    }
}

/// A `login_challenge_status`, in both families of words: the documented `Challenge Passed.` and the observed `passed`.
pub(super) fn status(word: &str) -> Ending {
    match &*lower_case(word.trim().trim_end_matches('.')) {
        "challenge passed" | "passed" => Ending::Success,
        "challenge failed" | "failed" | "incorrect_answer_entered" => Ending::Failure,
        _ => Ending::Unknown,
    }
}

/// What an event does to a factor, by its name; or to what the organisation demands, by its name and the new value.
fn deed(action: &str, new: Option<&Text<'_>>) -> Option<(Deed, Option<Factor>)> {
    Some(match action {
        "2sv_enroll" | "titanium_enroll" => (Deed::Enroll, None),
        "2sv_disable" | "titanium_unenroll" | "TURN_OFF_2_STEP_VERIFICATION" => (Deed::Remove, None),
        "passkey_enrolled" => (Deed::Enroll, Some(Factor::WebAuthn)),
        "passkey_removed" => (Deed::Remove, Some(Factor::WebAuthn)),
        "REVOKE_SECURITY_KEY" => (Deed::Remove, Some(Factor::HardwareToken)),
        "DELETE_2SV_SCRATCH_CODES" => (Deed::Remove, Some(Factor::RecoveryCode)),
        "GENERATE_2SV_SCRATCH_CODES" => (Deed::Enroll, Some(Factor::RecoveryCode)),
        "ALLOW_STRONG_AUTHENTICATION" | "ENFORCE_STRONG_AUTHENTICATION" => {
            let new = new.map(|new| lower_case(&new.decode())).unwrap_or_default();
            let deed = match &*new {
                "true" | "on" | "enabled" => Deed::Allow,
                "false" | "off" | "disabled" => Deed::Forbid,
                // What the unit above has.
                _ => Deed::Update,
            };
            (deed, None)
        }
        _ if action.starts_with("CHANGE_") && action.contains("TWO_STEP_VERIFICATION") => {
            (Deed::Update, None)
        }
        _ => return None,
    })
}

/// What an event says of factors; `new` is the value that it set, and `methods` are the challenges of the whole sign-in, repeated where they were.
pub(super) fn mfa<'r>(action: &str, new: Option<&Text<'r>>, methods: &[Text<'r>], result: Ending) -> Mfa<'r> {
    let mut mfa = Mfa::default();
    if let Some((deed, factor)) = deed(action, new) {
        (mfa.deed, mfa.factor) = (Some(deed), factor);
        return mfa;
    }
    let step = matches!(action, "login_challenge" | "login_verification");
    let verified = step
        || matches!(
            action,
            "login_success"
                | "login_failure"
                | "risky_sensitive_action_allowed"
                | "risky_sensitive_action_blocked"
        );
    if !verified || (methods.is_empty() && !step) {
        return mfa;
    }
    let has = |proof| {
        let mut found = methods.iter().map(|word| (word, challenge(&word.decode())));
        found.find(|(_, (_, found))| *found == proof)
    };
    let told =
        [Proof::Second, Proof::Passkey, Proof::Elsewhere, Proof::Unknown, Proof::Password, Proof::Nothing]
            .into_iter()
            .find_map(has);
    if let Some((word, (factor, _))) = told {
        (mfa.word, mfa.factor) = (Some(word.clone()), Some(factor));
    }
    if mfa.factor == Some(Factor::WebAuthn) {
        mfa.phishing_resistant = Some(true);
    }
    let has = |proof| has(proof).is_some();
    match result {
        Ending::Success | Ending::Allowed => {
            (mfa.deed, mfa.answer) = (Some(Deed::Verify), Some(Answer::Approved));
            mfa.performed = if has(Proof::Second) || (has(Proof::Passkey) && has(Proof::Password)) {
                Some(true)
            } else if has(Proof::Passkey)
                || has(Proof::Elsewhere)
                || has(Proof::Unknown)
                || !has(Proof::Password)
            {
                // A passkey alone is as much as two where it asked for a finger or a PIN, which Google does not say.
                None
            } else {
                Some(false)
            };
        }
        Ending::Failure | Ending::Denied => {
            (mfa.deed, mfa.answer, mfa.performed) = (Some(Deed::Verify), Some(Answer::Failed), Some(false));
        }
        _ => mfa.deed = Some(Deed::Challenge),
    }
    mfa
}
