//! What an event says of a factor.

use super::Account;
use crate::json::Text;
use smallvec::SmallVec;

/// What an event says of a factor.
#[derive(Clone, Debug, Default)]
pub struct Mfa<'r> {
    /// Which factor.
    pub factor: Option<Factor>,
    /// The vendor's word for the factor.
    pub word: Option<Text<'r>>,
    /// The vendor's word for the method or authenticator, where it has a second one.
    pub method: Option<Text<'r>>,
    /// Whether a factor other than a password was verified: yes, no, or (`None`) the record does not say.
    pub performed: Option<bool>,
    /// What was done with it.
    pub deed: Option<Deed>,
    /// How the user or the device answered.
    pub answer: Option<Answer>,
    /// For what: sign-in, enrolment, recovery; the vendor's word.
    pub intent: Option<Text<'r>>,
    /// The vendor itself says that the user is being worn down with requests.
    pub fatigue: bool,
    /// The factor resists phishing, as far as the record says.
    pub phishing_resistant: Option<bool>,
    /// The user's device that the factor is on: its id, and its name or number.
    pub device: Account<'r>,
    /// Further factors that were used in the same sign-in, with the vendor's words: most often the password.
    pub others: SmallVec<[(Factor, Option<Text<'r>>); 1]>,
}

/// Which factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name says it")]
pub enum Factor {
    Password,
    Push,
    /// A code that changes with the time, of an app on the user's device.
    Totp,
    /// A code that changes with each use.
    Hotp,
    /// A code, and the record does not say of which kind.
    Otp,
    Sms,
    Call,
    Email,
    Question,
    HardwareToken,
    WebAuthn,
    /// A security key by the standard before WebAuthn.
    U2f,
    /// A key bound to the device, unlocked by a finger, face or PIN.
    Device,
    /// Somebody else's service decides how.
    Delegated,
    Certificate,
    RecoveryCode,
    Other,
}

impl Factor {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Push => "push",
            Self::Totp => "totp",
            Self::Hotp => "hotp",
            Self::Otp => "otp",
            Self::Sms => "sms",
            Self::Call => "call",
            Self::Email => "email",
            Self::Question => "question",
            Self::HardwareToken => "hardware token",
            Self::WebAuthn => "webauthn",
            Self::U2f => "u2f",
            Self::Device => "device key",
            Self::Delegated => "delegated",
            Self::Certificate => "certificate",
            Self::RecoveryCode => "recovery code",
            Self::Other => "other",
        }
    }
}

/// What was done with a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A request or code was sent to the user.
    Challenge,
    /// The user's proof was checked.
    Verify,
    /// An earlier proof was accepted instead (remembered device).
    Remember,
    /// MFA was skipped, or somebody tried to.
    Bypass,
    /// A factor was added to an account.
    Enroll,
    /// An enrolled factor was changed, or what the organisation demands of factors.
    Update,
    /// A factor was taken from an account.
    Remove,
    /// All factors were taken from an account.
    Reset,
    /// A factor was suspended.
    Suspend,
    /// A suspended factor works again.
    Resume,
    /// A kind of factor, or MFA as a whole, was turned on for the organisation.
    Allow,
    /// A kind of factor, or MFA as a whole, was turned off for the organisation.
    Forbid,
}

impl Deed {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::Verify => "verification",
            Self::Remember => "remembered device",
            Self::Bypass => "bypass",
            Self::Enroll => "enrolment",
            Self::Update => "change",
            Self::Remove => "removal",
            Self::Reset => "reset",
            Self::Suspend => "suspension",
            Self::Resume => "resumption",
            Self::Allow => "turned on for the organisation",
            Self::Forbid => "turned off for the organisation",
        }
    }
}

/// How the user or the device answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The proof was right.
    Approved,
    /// The user said no.
    Denied,
    /// The user said no, and that it is fraud.
    Fraud,
    /// The proof was wrong.
    Failed,
    /// Nobody answered.
    Unanswered,
    /// The number that the user chose was not the one shown.
    WrongNumber,
    /// The authenticator saw another site than the real one and refused.
    Phishing,
    /// It was not even asked: blocked, limited or locked.
    Blocked,
}

impl Answer {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Fraud => "denied as fraud",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
            Self::WrongNumber => "wrong number",
            Self::Phishing => "declined as phishing",
            Self::Blocked => "blocked",
        }
    }
}

impl Mfa<'_> {
    /// The user refused a request on a device.
    #[must_use]
    pub fn push_denied(&self) -> bool {
        self.factor == Some(Factor::Push) && matches!(self.answer, Some(Answer::Denied | Answer::Fraud))
    }

    /// Such as `push, denied`; `None` where the event has nothing to do with factors.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let deed = self.deed.filter(|&deed| deed != Deed::Verify || self.answer.is_none());
        let words = [
            self.factor.map(Factor::name),
            deed.map(Deed::name),
            self.answer.map(Answer::name),
            self.fatigue.then_some("fatigue"),
            match self.performed {
                Some(true) => Some("performed"),
                Some(false) if self.answer.is_none() => Some("not performed"),
                _ => None,
            },
        ];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}
