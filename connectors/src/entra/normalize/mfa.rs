//! What a sign-in says of a second factor.
//!
//! `authenticationRequirement` says what was demanded, not what was done, and a satisfied policy may have demanded nothing; so
//! only the steps count (`authenticationDetails`, which v1.0 lacks and some rows leave empty), and where there are none the
//! error code and Microsoft's sentence beside it. The sentences are for people and are read by the words they are made of.

use crate::entra::codes;
use tidegate_core::event::{Answer, Deed, Factor, Mfa, Said, known, lower_case, truth};
use tidegate_core::json::{Text, Value};

/// Reads it; and what Microsoft says of the last step that failed.
pub(super) fn read<'r>(record: Value<'r, 'r>, code: Option<i64>) -> (Mfa<'r>, Option<Text<'r>>) {
    let mut mfa = Mfa::default();
    let mut failed = None;
    let steps = record.get("authenticationDetails");
    let (mut primary, mut verified) = (false, false);
    for step in steps.iter().flat_map(Value::elements) {
        let of = |name: &str| step.get(name).and_then(known);
        let method = of("authenticationMethod");
        let detail = of("authenticationStepResultDetail");
        let name: &str = &method.as_ref().map(|method| lower_case(&method.decode())).unwrap_or_default();
        let said: &str = &detail.as_ref().map(|detail| lower_case(&detail.decode())).unwrap_or_default();
        let factor = factor(name);
        let wanted = of("authenticationStepRequirement").map(|text| lower_case(&text.decode()));
        // The requirement may be empty; then the sentence tells.
        let first = wanted.is_some_and(|wanted| wanted.contains("primary")) || said.contains("first factor");
        let succeeded = step.get("succeeded").and_then(truth);
        if succeeded == Some(false) {
            failed = detail.or(failed);
        }
        // These are two factors in one step: something had, and a finger, face, PIN or number.
        let strong = matches!(factor, Some(Factor::WebAuthn | Factor::Device | Factor::Push));
        if factor == Some(Factor::Password) || (first && !strong) {
            primary = true;
            if let Some(factor) = factor {
                mfa.others.push((factor, method));
            }
            continue;
        }
        let earlier = name.contains("previously satisfied") || name.contains("satisfied by token");
        if earlier {
            // A step that was asked says more than one that was not.
            if mfa.deed.is_none() {
                mfa.deed = Some(Deed::Remember);
            }
            verified |= succeeded != Some(false);
            continue;
        }
        let (deed, answer, performed) = outcome(said, succeeded);
        verified |= performed == Some(true);
        mfa.word = method;
        mfa.method = of("authenticationMethodDetail");
        mfa.factor = factor;
        mfa.deed = deed;
        mfa.answer = answer;
        mfa.performed = performed;
    }
    if mfa.deed.is_some() {
        if verified {
            mfa.performed = Some(true);
        }
    } else {
        without_steps(record, code, primary, &mut mfa);
    }
    numbers(record, &mut mfa);
    mfa.phishing_resistant = match mfa.factor {
        Some(Factor::WebAuthn | Factor::Device | Factor::Certificate) => Some(true),
        _ => None,
    };
    (mfa, failed)
}

/// The answer of a row that tells no step: what the code and Microsoft's sentence say.
fn without_steps<'r>(record: Value<'r, 'r>, code: Option<i64>, primary: bool, mfa: &mut Mfa<'r>) {
    let status = record.get("status");
    let detail = status.and_then(|status| status.get("additionalDetails")).and_then(known);
    let said = detail.map(|detail| lower_case(&detail.decode())).unwrap_or_default();
    if let Some(method) = record.get("mfaDetail").and_then(|detail| detail.get("authMethod")).and_then(known)
    {
        mfa.factor = factor(&method.decode());
        mfa.word = Some(method);
    }
    let (deed, answer, performed) = match code {
        Some(codes::MFA_FAILED) => {
            let (deed, answer, _) = outcome(&said, Some(false));
            (deed, answer, Some(false))
        }
        Some(code) if codes::demands_mfa(code) => (Some(Deed::Challenge), None, Some(false)),
        Some(0) if said.contains("mfa") || said.contains("strong authentication") => {
            outcome(&said, Some(true))
        }
        // All that it took was the first factor.
        Some(0) if primary => (None, None, Some(false)),
        _ => (None, None, None),
    };
    (mfa.deed, mfa.answer, mfa.performed) = (deed, answer, performed);
}

/// The sentences' families; the first that fits decides.
fn outcome(said: &str, succeeded: Option<bool>) -> (Option<Deed>, Option<Answer>, Option<bool>) {
    let said = Said::new(said);
    let has = |words: &[&str]| said.has_any(words);
    if has(&["skipped"]) {
        let device = has(&["registered device", "remembered device"]);
        return (Some(if device { Deed::Remember } else { Deed::Bypass }), None, Some(false));
    }
    if has(&["satisfied by"]) && succeeded != Some(false) {
        return (Some(Deed::Remember), None, Some(true));
    }
    if has(&["mfa required", "in progress", "not completed", "challenge issued"]) && succeeded != Some(true) {
        return (Some(Deed::Challenge), None, Some(false));
    }
    let answer = match succeeded {
        Some(true) => Some(Answer::Approved),
        _ if has(&["fraud"]) => Some(Answer::Fraud),
        _ if has(&["declined"]) => Some(Answer::Denied),
        _ if has(&[
            "not respond",
            "timed out",
            "timeout",
            "unreachable",
            "voicemail",
            "busy",
            "no response",
        ]) =>
        {
            Some(Answer::Unanswered)
        }
        // In some directories it also stands for a refusal or a report of fraud: nobody knows which.
        _ if has(&["duplicate"]) => None,
        _ if has(&["blocked", "too many"]) => Some(Answer::Blocked),
        _ if has(&["wrong", "incorrect", "invalid", "pin"]) => Some(Answer::Failed),
        _ => None,
    };
    // Pending steps have no result yet.
    let deed = if succeeded.is_none() && answer.is_none() { Deed::Challenge } else { Deed::Verify };
    (Some(deed), answer, Some(succeeded == Some(true)))
}

/// What the authenticator says of the number that was to be matched.
fn numbers(record: Value<'_, '_>, mfa: &mut Mfa<'_>) {
    let evaluations = record.get("authenticationAppPolicyEvaluationDetails");
    for evaluation in evaluations.iter().flat_map(Value::elements) {
        let status = evaluation.get("status").and_then(|status| status.as_text());
        let answer = match status.as_ref().and_then(Text::as_plain) {
            Some("numberMatchIncorrectNumberEntered") => Answer::WrongNumber,
            Some("numberMatchDeny") => Answer::Denied,
            _ => continue,
        };
        if mfa.performed != Some(true) {
            mfa.answer = Some(answer);
            mfa.deed = Some(Deed::Verify);
            mfa.factor = mfa.factor.or(Some(Factor::Push));
            mfa.performed = Some(false);
        }
    }
}

/// Methods by the words that their names are made of; the names are open text and have been renamed before.
pub(super) fn factor(name: &str) -> Option<Factor> {
    let name = lower_case(name);
    let said = Said::new(&name);
    let has = |words: &[&str]| said.has_any(words);
    Some(if has(&["passwordless phone", "app notification", "notification"]) {
        Factor::Push
    } else if has(&["fido", "passkey", "security key"]) {
        Factor::WebAuthn
    } else if has(&["windows hello", "platform credential"]) {
        Factor::Device
    } else if has(&["x.509", "certificate", "smart card"]) {
        Factor::Certificate
    } else if has(&["hardware"]) {
        Factor::HardwareToken
    } else if has(&["oath", "app verification code", "app with code", "software token"]) {
        Factor::Totp
    } else if has(&["sms", "text message"]) {
        Factor::Sms
    } else if has(&["voice", "phone call", "call"]) {
        Factor::Call
    } else if has(&["email"]) {
        Factor::Email
    } else if has(&["verification code", "passcode", "one-time", "otp"]) {
        Factor::Otp
    } else if has(&["authenticator"]) {
        Factor::Push
    } else if has(&["password"]) {
        Factor::Password
    } else if has(&["question"]) {
        Factor::Question
    } else if has(&["external"]) {
        Factor::Delegated
    } else if has(&["temporary access pass"]) {
        Factor::Other
    } else {
        return None;
    })
}
