//! The canonical event: what a record says, in one vocabulary for all vendors.
//!
//! A field is here when two vendors have it or one schema requires it; everything else stays in the record, which the
//! event carries together with its connector's [`Table`], so that schemas can show it under the vendor's namespace. Leaves
//! point into the record ([`Text`]); where a leaf came from is its offset. A wrong type reads as absent.
//!
//! Schemas destructure these structs without `..`: a new field does not compile until every schema has decided.

mod agent;
mod field;
mod lower;
mod mfa;
mod pairs;
mod said;
mod time;

pub use agent::{Agent, Product};
pub use field::{Field, Param, Params, Part, RawShape, Rows, Shape, Table, TextOf};
pub use lower::{Lower, lower_case};
pub use mfa::{Answer, Deed, Factor, Mfa};
pub use pairs::pairs;
pub use said::Said;
pub use time::{Moment, parse_time};
pub(crate) use time::{are_digits, is_our_time, is_plain_time, write_time};

use crate::json::{Kind as Json, Text, Value, any, inside};
use chrono::{DateTime, Utc};
use smallvec::SmallVec;
use std::borrow::Cow;

/// Takes the events of a record, in order, each where it was made: an event is large, and copying one just written is dear.
/// What becomes of it there is the taker's to decide.
pub type Emit<'e, 'r> = dyn FnMut(&mut Event<'r>, Next) + 'e;

/// What comes after an event of a record. Documents of several events are told apart by their place, that of the only one
/// has the record's own id: so it must be known from the first one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another event of the same record.
    Another,
    /// Nothing: it was the last one.
    Nothing,
}

/// Several texts. Up to four stand in the event itself: more than most records have of anything; beyond that they
/// are allocated.
pub type Texts<'r> = SmallVec<[Text<'r>; 4]>;

/// Names of groups that somebody is in. Up to eight stand in the event itself.
pub type Groups<'r> = SmallVec<[Text<'r>; 8]>;

/// What something was done to. Up to three stand in the event itself, which is what a sign-in with its application and
/// its factor has; beyond that they are allocated.
pub type Targets<'r> = SmallVec<[Target<'r>; 3]>;

/// Values that were changed. Up to two stand in the event itself; beyond that they are allocated.
pub type Changes<'r> = SmallVec<[Change<'r>; 2]>;

/// One event; leaves point into its record.
#[derive(Clone, Debug, Default)]
pub struct Event<'r> {
    /// The vendor's id of the record.
    pub id: Option<Text<'r>>,
    /// When it happened; `None` where the record has no readable time.
    pub time: Option<DateTime<Utc>>,
    /// That time as the record has it.
    pub written: Option<Text<'r>>,
    /// Of a finding: when what was found began, and when the vendor last changed its mind.
    pub span: Span,
    /// The vendor's name of the log, where its records say it.
    pub log: Option<Text<'r>>,
    /// The vendor's id of the organisation whose log it is.
    pub organization: Option<Text<'r>>,
    /// What kind of event it is.
    pub kind: Kind<'r>,
    /// How it ended.
    pub outcome: Outcome<'r>,
    /// For people.
    pub message: Option<Text<'r>>,
    /// How loud the vendor says it.
    pub severity: Option<Severity>,
    /// Who did it.
    pub actor: Actor<'r>,
    /// What it was done to, in the vendor's order.
    pub targets: Targets<'r>,
    /// Where it came from.
    pub source: Network<'r>,
    /// With which program.
    pub agent: Agent<'r>,
    /// In which session.
    pub session: Session<'r>,
    /// What the vendor says of the request.
    pub transaction: Transaction<'r>,
    /// What it says of a factor.
    pub mfa: Mfa<'r>,
    /// What the vendor thinks of the risk.
    pub risk: Risk<'r>,
    /// On which device.
    pub device: Device<'r>,
    /// Through which application, or into which.
    pub app: App<'r>,
    /// What was changed.
    pub changes: Changes<'r>,
    /// The whole record.
    pub record: Option<Value<'r, 'r>>,
    /// Which part of it this event is, where a record holds a list of them.
    pub part: Option<Share<'r>>,
    /// What becomes of the vendor's own fields.
    pub table: &'static Table,
}

/// One of the parts of a record. Records may hold very many, so that no event may look through all of them.
#[derive(Clone, Copy, Debug)]
pub struct Share<'r> {
    /// The part.
    pub value: Value<'r, 'r>,
    /// Its place in their list, from 0 on.
    pub at: usize,
    /// No part stands before it: what of the list is no part is kept with this one.
    pub first: bool,
}

/// When what was found began, and when the vendor last changed its mind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// The first of what was found.
    pub began: Option<DateTime<Utc>>,
    /// The last of it.
    pub ended: Option<DateTime<Utc>>,
    /// When the finding was changed.
    pub changed: Option<DateTime<Utc>>,
}

/// What kind of event it is.
#[derive(Clone, Debug, Default)]
pub struct Kind<'r> {
    /// The vendor's own name for it, never prettified: rules compare it.
    pub action: Option<Text<'r>>,
    /// Which kind of thing happened.
    pub class: Class,
    /// What happened to it.
    pub activity: Activity,
    /// ECS categories.
    pub categories: Categories,
    /// ECS types.
    pub types: Types,
    /// The vendor passes a verdict rather than telling a fact.
    pub alert: bool,
}

/// Which kind of thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// Somebody proves who they are, or stops being signed in.
    Authentication,
    /// A session is judged again.
    AuthorizeSession,
    /// An account, its password or its factors.
    Account,
    /// A group and its members.
    Group,
    /// Roles, privileges, assignments.
    Access,
    /// Policies, applications, devices, settings.
    Entity,
    /// Tokens and calls by programs.
    Api,
    /// A file in a store that people share.
    File,
    /// A finding of the vendor's.
    Detection,
    /// None of these.
    #[default]
    Other,
}

/// What happened to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name says it")]
pub enum Activity {
    Logon,
    Logoff,
    /// A step before a session exists: a factor, a decision of the sign-on policy.
    Preauth,
    /// Acting as somebody else.
    Switch,
    Create,
    Read,
    Update,
    Delete,
    Enable,
    Disable,
    Activate,
    Deactivate,
    Suspend,
    Resume,
    Lock,
    Unlock,
    PasswordChange,
    PasswordReset,
    FactorEnable,
    FactorDisable,
    Add,
    Remove,
    Grant,
    Revoke,
    Enroll,
    Unenroll,
    Close,
    Upload,
    Download,
    Rename,
    Copy,
    Move,
    Restore,
    Preview,
    Share,
    Unshare,
    #[default]
    Other,
}

macro_rules! bits {
    ($(#[$doc:meta])* $name:ident, $($bit:ident = $word:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name(u32);

        #[expect(missing_docs, reason = "each name says it")]
        impl $name {
            bits!(@ 0; $($bit = $word),+);

            const ELEMENTS: &'static [&'static str] = &[$(concat!(",\"", $word, "\"")),+];

            /// Nothing.
            #[must_use]
            pub const fn empty() -> Self {
                Self(0)
            }

            /// All of both.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Whether all of `other` are in it.
            #[must_use]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether it is empty.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// ECS's words for what is in it.
            pub fn words(self) -> impl Iterator<Item = &'static str> {
                self.elements().map(|element| element.trim_matches([',', '"']))
            }

            /// The same, each as an element of a list behind others: `,"iam"`.
            pub(crate) fn elements(self) -> impl Iterator<Item = &'static str> {
                let mut rest = self.0;
                std::iter::from_fn(move || {
                    let at = rest.trailing_zeros() as usize;
                    rest &= rest.wrapping_sub(1);
                    Self::ELEMENTS.get(at).copied()
                })
            }
        }
    };
    (@ $at:expr; $bit:ident = $word:literal $(, $($rest:tt)+)?) => {
        pub const $bit: Self = Self(1 << ($at));
        $(bits!(@ $at + 1; $($rest)+);)?
    };
}

bits!(
    /// ECS's `event.category`, as a set.
    Categories,
    API = "api",
    AUTHENTICATION = "authentication",
    CONFIGURATION = "configuration",
    EMAIL = "email",
    FILE = "file",
    HOST = "host",
    IAM = "iam",
    INTRUSION_DETECTION = "intrusion_detection",
    SESSION = "session",
);

bits!(
    /// ECS's `event.type`, as a set.
    Types,
    ACCESS = "access",
    ADMIN = "admin",
    GROUP = "group",
    USER = "user",
    START = "start",
    END = "end",
    CREATION = "creation",
    CHANGE = "change",
    DELETION = "deletion",
    DENIED = "denied",
    INFO = "info",
);

/// How it ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome<'r> {
    /// In our words.
    pub result: Ending,
    /// In the vendor's.
    pub word: Option<Text<'r>>,
    /// Why.
    pub reason: Option<Text<'r>>,
    /// More of that, where the vendor says it in a second sentence.
    pub detail: Option<Text<'r>>,
    /// The vendor's code for it.
    pub code: Option<Text<'r>>,
}

/// How an event ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// It did what it was to do.
    Success,
    /// It did not.
    Failure,
    /// A policy let it pass.
    Allowed,
    /// A policy stopped it.
    Denied,
    /// A further proof was demanded: neither success nor failure.
    Challenge,
    /// The user was sent elsewhere before it could end: neither success nor failure.
    Interrupted,
    /// It goes on later, or was left out.
    Pending,
    /// Nobody finished it.
    Abandoned,
    /// There were too many.
    Limited,
    /// The vendor does not say, or in a word that we do not know.
    #[default]
    Unknown,
}

/// How loud the vendor says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each name says it")]
pub enum Severity {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

/// Somebody's account.
#[derive(Clone, Debug, Default)]
pub struct Account<'r> {
    /// The vendor's id.
    pub id: Option<Text<'r>>,
    /// Login.
    pub name: Option<Text<'r>>,
    /// Address, where it is known to be one.
    pub email: Option<Text<'r>>,
    /// For people.
    pub full_name: Option<Text<'r>>,
    /// Realm or domain of the login.
    pub domain: Option<Text<'r>>,
}

impl<'r> Account<'r> {
    /// An account by its login. One with a domain behind the last `@` is in two halves, and an address where it can be one.
    #[must_use]
    pub fn by_login(login: Text<'r>) -> Self {
        fn halves(login: &str) -> Option<(&str, &str)> {
            login
                .rsplit_once('@')
                .filter(|(name, domain)| !name.trim().is_empty() && !domain.trim().is_empty())
        }
        let (split, email) = match login.as_slice() {
            Some(slice) => {
                let sign = email_sign(slice);
                let parts = match sign {
                    Some(sign) => slice.get(..sign).zip(slice.get(sign + 1..)),
                    None => halves(slice),
                };
                (parts.map(|(name, domain)| (Text::piece(name), Text::piece(domain))), sign.is_some())
            }
            None => {
                let parts =
                    halves(&login.decode()).map(|(name, domain)| (Text::owned(name), Text::owned(domain)));
                (parts, is_email(&login))
            }
        };
        let email = email.then(|| login.clone());
        match split {
            Some((name, domain)) => Self { name: Some(name), domain: Some(domain), email, ..Self::default() },
            None => Self { name: Some(login), ..Self::default() },
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, Default)]
pub struct Actor<'r> {
    /// What sort of actor.
    pub kind: ActorKind,
    /// The vendor's word for that.
    pub word: Option<Text<'r>>,
    /// Which one.
    pub account: Account<'r>,
    /// For whom it acts, where it acts as somebody else.
    pub on_behalf_of: Account<'r>,
    /// Names of groups that it is in.
    pub groups: Groups<'r>,
}

/// What sort of actor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActorKind {
    /// A person.
    User,
    /// A program with an identity of its own.
    Service,
    /// An AI agent.
    Agent,
    /// The vendor's own system.
    System,
    /// Only an address is known.
    Address,
    /// Another word of the vendor's, or none.
    #[default]
    Unknown,
}

/// What it was done to.
#[derive(Clone, Debug)]
pub struct Target<'r> {
    /// What it is.
    pub kind: TargetKind,
    /// The vendor's word for that.
    pub word: Option<Text<'r>>,
    /// Id, login, address, name.
    pub account: Account<'r>,
}

/// What a target is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetKind {
    /// A person's account in the directory.
    User,
    /// An account inside an application: its name there says nothing about the person.
    AppUser,
    /// A group of the directory.
    Group,
    /// An application.
    App,
    /// A role or privilege.
    Role,
    /// A policy or one of its rules.
    Policy,
    /// A factor, or a user's enrolment in one.
    Factor,
    /// A device.
    Device,
    /// A token or key.
    Token,
    /// A file or folder: its title is the name, its owner the address.
    File,
    /// Anything else.
    #[default]
    Other,
}

/// Where it came from.
#[derive(Clone, Debug, Default)]
pub struct Network<'r> {
    /// A readable address: [`Network::at`] or [`address_and_port`] has read it, and no schema does again.
    pub ip: Option<Text<'r>>,
    /// What stood where the address should be, if it is not one.
    pub address: Option<Text<'r>>,
    /// Addresses that it passed on the way.
    pub via: Texts<'r>,
    /// Port.
    pub port: Option<u16>,
    /// Where that is.
    pub geo: Geo<'r>,
    /// Number of the autonomous system.
    pub as_number: Option<i64>,
    /// Whose it is.
    pub as_organization: Option<Text<'r>>,
    /// Provider.
    pub isp: Option<Text<'r>>,
    /// Domain of the address.
    pub domain: Option<Text<'r>>,
    /// The vendor knows it as a proxy.
    pub proxy: Option<bool>,
}

impl<'r> Network<'r> {
    /// Takes over what stands where the address should be: shortened ones, names and others are none.
    pub fn at(&mut self, address: Option<Text<'r>>) {
        if address.as_ref().is_some_and(is_ip) {
            self.ip = address;
        } else {
            self.address = address;
        }
    }
}

/// A place on earth.
#[derive(Clone, Debug, Default)]
pub struct Geo<'r> {
    /// City.
    pub city: Option<Text<'r>>,
    /// State or province.
    pub region: Option<Text<'r>>,
    /// Country by name.
    pub country: Option<Text<'r>>,
    /// Country by two letters.
    pub country_code: Option<Text<'r>>,
    /// Postal code.
    pub postal: Option<Text<'r>>,
    /// Latitude and longitude, both within range, as numbers of JSON.
    pub location: Option<(Cow<'r, str>, Cow<'r, str>)>,
    /// The record says more of the place than could be read.
    pub partial: bool,
}

/// In which session.
#[derive(Clone, Debug, Default)]
pub struct Session<'r> {
    /// Its id.
    pub id: Option<Text<'r>>,
    /// The session that it belongs to.
    pub root: Option<Text<'r>>,
    /// Who vouched for the user.
    pub issuer: Option<Text<'r>>,
    /// How the user signed in: SAML, OpenID Connect, …
    pub protocol: Option<Text<'r>>,
    /// The vendor's word for a sign-in that nobody was at the keyboard for: a program in the user's name.
    pub background: Option<Text<'r>>,
}

/// What the vendor says of the request.
#[derive(Clone, Debug, Default)]
pub struct Transaction<'r> {
    /// Groups the events of one operation.
    pub id: Option<Text<'r>>,
    /// The vendor's word for its sort.
    pub word: Option<Text<'r>>,
    /// Path of the request.
    pub path: Option<Text<'r>>,
}

/// What the vendor thinks of the risk.
#[derive(Clone, Debug, Default)]
pub struct Risk<'r> {
    /// How much.
    pub level: Option<RiskLevel>,
    /// The vendor's word for it.
    pub word: Option<Text<'r>>,
    /// Why.
    pub reasons: Texts<'r>,
    /// Behaviours that the vendor found unusual.
    pub behaviors: Texts<'r>,
    /// The vendor suspects a threat.
    pub threat: Option<bool>,
}

/// How much risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each name says it")]
pub enum RiskLevel {
    None,
    Low,
    Medium,
    High,
    Critical,
}

/// On which device.
#[derive(Clone, Debug, Default)]
pub struct Device<'r> {
    /// Its id.
    pub id: Option<Text<'r>>,
    /// Its name.
    pub name: Option<Text<'r>>,
    /// Its operating system.
    pub os: Option<Text<'r>>,
    /// Version of that.
    pub os_version: Option<Text<'r>>,
    /// The organisation manages it.
    pub managed: Option<bool>,
    /// The vendor's word for its sort.
    pub word: Option<Text<'r>>,
}

/// An application.
#[derive(Clone, Debug, Default)]
pub struct App<'r> {
    /// Its id.
    pub id: Option<Text<'r>>,
    /// Its name.
    pub name: Option<Text<'r>>,
}

/// A value that was changed.
#[derive(Clone, Debug)]
pub struct Change<'r> {
    /// What.
    pub name: Text<'r>,
    /// Before.
    pub from: Option<Text<'r>>,
    /// After.
    pub to: Option<Text<'r>>,
    /// Of which of the targets, by its place among them; `None`: of what the event is about.
    pub of: Option<usize>,
}

#[cold]
fn is_nothing(value: Value<'_, '_>) -> bool {
    value.as_text().is_some_and(|text| text.read(says_nothing))
}

/// What vendors write where they know nothing. Such a word is no id, no name and no address.
fn says_nothing(word: &str) -> bool {
    matches!(
        word,
        "null"
            | "NULL"
            | "<null>"
            | "unknown"
            | "Unknown"
            | "UNKNOWN"
            | "none"
            | "None"
            | "n/a"
            | "N/A"
            | "-"
    )
}

/// A string that says something: not blank, and none of the words that vendors write where they know nothing.
#[inline(always)]
#[must_use]
pub fn known<'r>(value: Value<'_, 'r>) -> Option<Text<'r>> {
    if value.may_say_nothing() && is_nothing(value) {
        return None;
    }
    text(value)
}

/// A string that is not blank.
#[inline(always)]
#[must_use]
pub fn text<'r>(value: Value<'_, 'r>) -> Option<Text<'r>> {
    value.as_filled()
}

/// A string, or a number or boolean by its spelling.
#[must_use]
pub fn word<'r>(value: Value<'_, 'r>) -> Option<Text<'r>> {
    match value.kind() {
        Json::String => text(value),
        Json::Number | Json::Bool => Some(Text::spelled(value.raw())),
        Json::Null | Json::Array | Json::Object => None,
    }
}

/// Shows an object or array, as it stands or out of a string that holds it as JSON text; whether there was one.
pub fn opened(value: Value<'_, '_>, kind: Json, show: impl FnOnce(Value<'_, '_>)) -> bool {
    if value.kind() == kind {
        show(value);
        return true;
    }
    let bracket = match kind {
        Json::Object => '{',
        Json::Array => '[',
        Json::Null | Json::Bool | Json::Number | Json::String => return false,
    };
    let Some(text) = value.as_text() else { return false };
    inside(&text, |decoded| decoded.trim_start().starts_with(bracket), show).is_some()
}

/// A boolean, also where it is spelled as a string.
#[must_use]
pub fn truth(value: Value<'_, '_>) -> Option<bool> {
    if let Some(truth) = value.as_bool() {
        return Some(truth);
    }
    value.as_text()?.read(|word| {
        if word.eq_ignore_ascii_case("true") {
            Some(true)
        } else if word.eq_ignore_ascii_case("false") {
            Some(false)
        } else {
            None
        }
    })
}

/// A whole number, also where it is spelled as a string.
#[must_use]
pub fn integer(value: Value<'_, '_>) -> Option<i64> {
    match value.kind() {
        Json::Number => value.as_i64(),
        Json::String => value.as_text()?.read(|text| text.parse().ok()),
        _ => None,
    }
}

/// Whether a string is an IP address that any store will take.
#[must_use]
pub fn is_ip(text: &Text<'_>) -> bool {
    text.read(|plain| plain.len() <= 45 && plain.parse::<std::net::IpAddr>().is_ok())
}

/// An address and the port behind it: `192.0.2.1`, `192.0.2.1:443`, `[2001:db8::1]:443`, `2001:db8::1p443`.
#[must_use]
pub fn address_and_port<'r>(text: &Text<'r>) -> Option<(Text<'r>, Option<u16>)> {
    if is_ip(text) {
        return Some((text.clone(), None));
    }
    let slice = text.as_slice()?;
    let (host, port) = slice.rsplit_once([':', 'p'])?;
    let host = Text::piece(host.trim_start_matches('[').trim_end_matches(']'));
    Some((host.clone(), Some(port.parse().ok()?))).filter(|_| is_ip(&host))
}

/// Whether a login is an address: something on both sides of one `@`, no white space.
#[must_use]
pub fn is_email(text: &Text<'_>) -> bool {
    text.read(|plain| email_sign(plain).is_some())
}

/// Where the sign is of what is an address.
fn email_sign(login: &str) -> Option<usize> {
    let bytes = login.as_bytes();
    // Most logins and names have none.
    if !any(bytes, |bytes| bytes.simd_eq(b'@')) {
        return None;
    }
    let sign = memchr::memchr(b'@', bytes)?;
    let (before, after) = bytes.split_at_checked(sign)?;
    let domain = after.get(1..).filter(|domain| !domain.is_empty() && !before.is_empty())?;
    // Whatever is white space is among these.
    let odd = any(bytes, |bytes| bytes.simd_le(b' ') | bytes.simd_ge(0x80));
    let whole = memchr::memchr(b'@', domain).is_none() && !(odd && login.contains(char::is_whitespace));
    whole.then_some(sign)
}

/// Two coordinates, if both are numbers on earth.
#[must_use]
pub fn location<'r>(lat: Value<'_, 'r>, lon: Value<'_, 'r>) -> Option<(Cow<'r, str>, Cow<'r, str>)> {
    let fits = |value: Value<'_, 'r>, most: u16| {
        value.as_number().and_then(whole_degrees).is_some_and(|whole| whole < most)
            || value.as_f64().is_some_and(|number| number.abs() <= f64::from(most))
    };
    (fits(lat, 90) && fits(lon, 180)).then_some((lat.as_number()?.into(), lon.as_number()?.into()))
}

/// What stands before the point of a number without an exponent, up to 999.
fn whole_degrees(number: &str) -> Option<u16> {
    let mut digits = number.strip_prefix('-').unwrap_or(number).bytes();
    let mut whole = 0;
    for byte in digits.by_ref() {
        match byte {
            b'0'..=b'9' => whole = (whole * 10 + u16::from(byte - b'0')).min(999),
            b'.' => break,
            _ => return None,
        }
    }
    digits.all(|byte| byte.is_ascii_digit()).then_some(whole)
}

impl<'r> Event<'r> {
    /// An event of a record, of which nothing is known yet.
    #[inline]
    #[must_use]
    pub fn new(record: Value<'r, 'r>, table: &'static Table) -> Self {
        Self { record: Some(record), table, ..Self::default() }
    }

    /// How grave it is, in the steps of OCSF's severities: 1 informational, 2 low, 3 medium, 4 high, 5 critical. What the vendor
    /// says, or where it says nothing how the event ended; what it says of a factor or of the risk raises it, since a vendor's
    /// "info" is often all that it ever says.
    #[must_use]
    pub fn gravity(&self) -> u8 {
        let told = self.severity.map(|severity| match severity {
            Severity::Debug | Severity::Info => 1,
            Severity::Warning => 3,
            Severity::Error => 4,
            Severity::Critical => 5,
        });
        let ended = match self.outcome.result {
            Ending::Denied => 3,
            Ending::Failure if !self.kind.alert => 2,
            _ => 1,
        };
        let deed = match self.mfa.deed {
            Some(Deed::Reset) => 4,
            // For an account from now on, not for one sign-in.
            Some(Deed::Bypass) if self.kind.class == Class::Account => 4,
            Some(Deed::Bypass | Deed::Forbid) => 3,
            Some(Deed::Remove | Deed::Suspend) if told.is_none() => 3,
            _ if told.is_none()
                && self.kind.class == Class::Access
                && self.kind.activity == Activity::Grant =>
            {
                3
            }
            _ => 1,
        };
        let answer = match self.mfa.answer {
            Some(Answer::Fraud | Answer::Phishing) => 4,
            _ if self.mfa.fatigue => 4,
            _ if self.mfa.push_denied() => 3,
            _ => 1,
        };
        let risk = match (self.risk.level, &self.risk.word, self.risk.threat) {
            (Some(RiskLevel::None), ..) => 1,
            (Some(RiskLevel::Low), ..) => 2,
            (Some(RiskLevel::Medium), ..) => 3,
            (Some(RiskLevel::High), ..) => 4,
            (Some(RiskLevel::Critical), ..) => 5,
            (None, None, Some(true)) if told.is_none() => 4,
            _ => 1,
        };
        told.unwrap_or(ended).max(deed).max(answer).max(risk)
    }

    /// The event in a few words, one line a subject; for `map --explain`.
    #[must_use]
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("kind", format!("{:?}, {:?}", self.kind.class, self.kind.activity).to_lowercase()),
            ("outcome", format!("{:?}", self.outcome.result).to_lowercase()),
        ];
        if let Some(mfa) = self.mfa.summary() {
            lines.push(("mfa", mfa));
        }
        if let Some(level) = self.risk.level {
            lines.push(("risk", format!("{level:?}").to_lowercase()));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::json::Tape;

    #[test]
    fn an_object_or_a_list_is_opened_as_it_stands_and_out_of_text() {
        let open = |record: &str, kind| {
            let mut tape = Tape::new();
            let mut seen = None;
            let was = opened(tape.cut(record.as_bytes()).unwrap(), kind, |inner| {
                seen = Some(inner.raw().to_owned());
            });
            assert_eq!(was, seen.is_some(), "{record}");
            seen
        };
        let object = Some(r#"{"a":1}"#.to_owned());
        assert_eq!(open(r#"{"a":1}"#, Json::Object), object);
        assert_eq!(open(r#"" {\"a\":1}""#, Json::Object), object);
        assert_eq!(open(r#""[1]""#, Json::Array).as_deref(), Some("[1]"));
        for (record, kind) in [
            (r#""[1]""#, Json::Object),
            (r#"{"a":1}"#, Json::Array),
            (r#""{""#, Json::Object),
            (r#""""#, Json::Object),
            ("7", Json::Object),
            ("null", Json::Array),
        ] {
            assert_eq!(open(record, kind), None, "{record}");
        }
    }

    #[test]
    fn a_login_is_split_at_its_last_sign() {
        let of = |login: &'static str| {
            let Account { name, domain, email, .. } = Account::by_login(Text::owned(login));
            [name, domain, email].map(|part| part.map(|part| part.decode().into_owned()).unwrap_or_default())
        };
        assert_eq!(of("pat@example.com"), ["pat", "example.com", "pat@example.com"]);
        assert_eq!(of("a@b@example.com"), ["a@b", "example.com", ""]);
        for whole in ["pat", "@example.com", "pat@", " @example.com", "@"] {
            assert_eq!(of(whole), [whole, "", ""]);
        }
    }

    /// .NET writes an apostrophe, a plus and all letters beyond ASCII with escapes.
    #[test]
    fn a_text_is_what_it_says_however_it_is_written() {
        let mut tape = Tape::new();
        let list = tape
            .cut(br#"["o\u0027brien@example.com","\u0031\u0039\u0032.0.2.7","tru\u0065","\u0037"]"#)
            .unwrap();
        let all: Vec<_> = list.elements().collect();
        let [email, ip, truthful, seven] = all.as_slice() else { unreachable!() };
        let Account { name, domain, email, .. } = Account::by_login(text(*email).unwrap());
        let said = [name, domain, email].map(|part| part.unwrap().decode().into_owned());
        assert_eq!(said, ["o'brien", "example.com", "o'brien@example.com"]);
        assert!(is_ip(&text(*ip).unwrap()));
        assert_eq!((truth(*truthful), integer(*seven)), (Some(true), Some(7)));
    }

    #[test]
    fn a_place_is_on_earth_however_its_numbers_are_written() {
        let is = |lat: &str, lon: &str| {
            let record = format!("[{lat},{lon}]");
            let mut tape = Tape::new();
            let list: Vec<_> = tape.cut(record.as_bytes()).unwrap().elements().collect();
            let [lat, lon] = list.as_slice() else { unreachable!() };
            location(*lat, *lon).is_some()
        };
        for (lat, lon) in
            [("0", "-0.0"), ("89.999", "-179.5"), ("90", "180.000"), ("-90.0", "-1.8e2"), ("9E1", "1")]
        {
            assert!(is(lat, lon), "{lat}, {lon}");
        }
        for (lat, lon) in [
            ("90.0001", "0"),
            ("-91", "0"),
            ("0", "180.1"),
            ("1e3", "0"),
            ("0.1e4", "0"),
            ("1000000000000000000000", "0"),
            ("\"52.5\"", "0"),
            ("0", "null"),
        ] {
            assert!(!is(lat, lon), "{lat}, {lon}");
        }
    }

    #[test]
    fn what_is_no_address_stands_where_an_address_should_be() {
        let of = |address: &str| {
            let mut source = Network::default();
            source.at(Some(Text::owned(address)));
            (source.ip.is_some(), source.address.is_some())
        };
        assert_eq!(of("2001:db8::7"), (true, false));
        for other in ["192.0.2.300", "vpn.example.com", "192.0.2.7:443"] {
            assert_eq!(of(other), (false, true));
        }
    }
}
