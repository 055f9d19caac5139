//! Realistic log events out of a seed.

use std::fmt::Write as _;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::rng::{Rng, mix, uuid};

/// What is to be generated. The same values give the same events, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generate {
    /// The seed.
    pub seed: u64,
    /// Events altogether, late ones included.
    pub events: usize,
    /// Events published long before they are persisted.
    pub late: usize,
    /// Events with null members, sentinel texts and values the schema does not list.
    pub odd: usize,
    /// Begin of the time in which events become persisted.
    pub start: DateTime<Utc>,
    /// Its length; what lies in the future becomes visible as time goes on.
    pub spread: TimeDelta,
    /// How long before its persistence a late event was published, at most; at least half of it.
    pub late_by: TimeDelta,
}

impl Generate {
    /// Events in the `spread` after 2026-01-15T10:00:00Z, none late, a fiftieth odd.
    pub fn new(seed: u64, events: usize, spread: TimeDelta) -> Self {
        Self {
            seed,
            events,
            late: 0,
            odd: events / 50,
            start: DateTime::from_timestamp(1_768_471_200, 0).unwrap_or_default(),
            spread,
            late_by: TimeDelta::hours(6),
        }
    }
}

/// One event with its two clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedEvent {
    /// The event's `uuid`.
    pub id: String,
    /// When it happened.
    pub published: DateTime<Utc>,
    /// When the log can first show it.
    pub persisted_at: DateTime<Utc>,
    /// Published long before it was persisted.
    pub late: bool,
    /// The event as JSON text.
    pub raw: Bytes,
}

/// Makes the events, ordered by persistence.
///
/// Most are persisted within ten seconds of publication, so neighbours are out of order already; late ones come hours
/// after.
pub fn generate(plan: &Generate) -> Vec<GeneratedEvent> {
    let mut rng = Rng::new(mix(plan.seed, 0x0c7a));
    let spread = u64::try_from(plan.spread.num_milliseconds()).unwrap_or(0);
    let mut times: Vec<u64> = (0..plan.events).map(|_| rng.below(spread)).collect();
    times.sort_unstable();
    let mut events = Vec::with_capacity(plan.events);
    let (mut late_left, mut odd_left) = (plan.late.min(plan.events), plan.odd.min(plan.events));
    for (done, offset) in times.into_iter().enumerate() {
        let left = (plan.events - done) as u64;
        // Drawing without replacement: exactly as many late and odd ones as asked for.
        let late = rng.below(left) < late_left as u64;
        let odd = rng.below(left) < odd_left as u64;
        late_left -= usize::from(late);
        odd_left -= usize::from(odd);
        let lag = if late {
            let most = u64::try_from(plan.late_by.num_milliseconds()).unwrap_or(0);
            most / 2 + rng.below(most / 2)
        } else {
            200 + rng.below(800) + if rng.below(10) == 0 { rng.below(9_000) } else { 0 }
        };
        let persisted_at = plan.start + TimeDelta::milliseconds(i64::try_from(offset).unwrap_or(0));
        let published = persisted_at - TimeDelta::milliseconds(i64::try_from(lag).unwrap_or(0));
        let id = uuid(rng.next(), rng.next());
        let raw = if odd { odd_event(&id, published, &mut rng) } else { event(&id, published, &mut rng) };
        events.push(GeneratedEvent { id, published, persisted_at, late, raw: Bytes::from(raw) });
    }
    events
}

struct User {
    id: &'static str,
    login: &'static str,
    name: &'static str,
}

const USERS: &[User] = &[
    User { id: "00u1example0000001", login: "jo.park@example.com", name: "Jo Park" },
    User { id: "00u1example0000002", login: "sam.lindqvist@example.com", name: "Sam Lindqvist" },
    User { id: "00u1example0000003", login: "kim.roe@example.com", name: "Kim Roe" },
    User { id: "00u1example0000004", login: "alex.okafor@example.com", name: "Alex Okafor" },
    User { id: "00u1example0000005", login: "zoe.mueller@example.com", name: "Zoë Müller" },
    User { id: "00u1example0000006", login: "ren.ito@example.com", name: "Ren Itō" },
    User { id: "00u1example0000007", login: "dana.novak@example.com", name: "Dana Novák" },
    User { id: "00u1example0000008", login: "lee.brandt@example.com", name: "Lee Brandt" },
    User { id: "00u1example0000009", login: "robin.costa@example.com", name: "Robin \\\"Rob\\\" Costa" },
    User { id: "00u1example000000a", login: "toni.ferrari@example.com", name: "Toni Ferrari" },
];

struct Place {
    city: &'static str,
    state: &'static str,
    country: &'static str,
    postal: &'static str,
    lat: &'static str,
    lon: &'static str,
}

const PLACES: &[Place] = &[
    Place {
        city: "Rotterdam",
        state: "South Holland",
        country: "Netherlands",
        postal: "3011",
        lat: "51.9225",
        lon: "4.4792",
    },
    Place {
        city: "Portland",
        state: "Oregon",
        country: "United States",
        postal: "97201",
        lat: "45.5072",
        lon: "-122.69",
    },
    Place {
        city: "Zürich",
        state: "Zurich",
        country: "Switzerland",
        postal: "8001",
        lat: "47.3717",
        lon: "8.5423",
    },
    Place {
        city: "Osaka",
        state: "Ōsaka",
        country: "Japan",
        postal: "530-0001",
        lat: "34.7024",
        lon: "135.4959",
    },
];

struct Agent {
    raw: &'static str,
    os: &'static str,
    browser: &'static str,
    device: &'static str,
}

const AGENTS: &[Agent] = &[
    Agent {
        raw: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        os: "Windows 10",
        browser: "CHROME",
        device: "Computer",
    },
    Agent {
        raw: "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
        os: "Linux",
        browser: "FIREFOX",
        device: "Computer",
    },
    Agent {
        raw: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.4 Safari/605.1.15",
        os: "Mac OS X",
        browser: "SAFARI",
        device: "Computer",
    },
    Agent {
        raw: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
        os: "iOS (iPhone)",
        browser: "SAFARI",
        device: "Mobile",
    },
];

/// What distinguishes the kinds of events; `{…}` members are JSON text.
struct Kind {
    event_type: &'static str,
    legacy: Option<&'static str>,
    message: &'static str,
    severity: &'static str,
    result: &'static str,
    reason: Option<&'static str>,
    /// Weight in a hundred and some.
    weight: u64,
    debug: &'static str,
    targets: &'static [Target],
}

enum Target {
    Actor,
    App,
    AdminApp,
    AppUser,
    Group,
    Enrollment(&'static str, &'static str),
    Rule(&'static str),
    Policy,
    Token,
}

const PUSH: &str = r#""factor":"OKTA_VERIFY_PUSH","factorIntent":"LOGIN","promptingPolicyTypes":"[OKTA_SIGN_ON, APP_SIGN_ON]","authenticatorMethodChallengeTime":"6312","#;

const KINDS: &[Kind] = &[
    Kind {
        event_type: "user.session.start",
        legacy: Some("core.user_auth.login_success"),
        message: "User login to Okta",
        severity: "INFO",
        result: "SUCCESS",
        reason: None,
        weight: 14,
        debug: r#""origin":"https://acme.example.com","oktaUserAgentExtended":"okta-auth-js/7.8.1","#,
        targets: &[Target::Actor],
    },
    Kind {
        event_type: "user.session.start",
        legacy: Some("core.user_auth.login_failed"),
        message: "User login to Okta",
        severity: "WARN",
        result: "FAILURE",
        reason: Some("INVALID_CREDENTIALS"),
        weight: 5,
        debug: r#""loginResult":"INVALID_CREDENTIALS","#,
        targets: &[Target::Actor],
    },
    Kind {
        event_type: "user.authentication.auth_via_mfa",
        legacy: Some("core.user.factor.attempt_success"),
        message: "Authentication of user via MFA",
        severity: "INFO",
        result: "SUCCESS",
        reason: None,
        weight: 14,
        debug: const_push_approved(),
        targets: &[Target::Actor, Target::Enrollment("Okta Verify", "Push"), Target::App],
    },
    Kind {
        event_type: "user.authentication.auth_via_mfa",
        legacy: Some("core.user.factor.attempt_fail"),
        message: "Authentication of user via MFA",
        severity: "WARN",
        result: "FAILURE",
        reason: Some("INVALID_CREDENTIALS"),
        weight: 4,
        debug: const_push_denied(),
        targets: &[Target::Actor, Target::Enrollment("Okta Verify", "Push")],
    },
    Kind {
        event_type: "user.authentication.auth_via_mfa",
        legacy: Some("core.user.factor.attempt_success"),
        message: "Authentication of user via MFA",
        severity: "INFO",
        result: "SUCCESS",
        reason: None,
        weight: 6,
        debug: r#""factor":"FIDO_WEBAUTHN","factorIntent":"LOGIN","keyTypeUsedForAuthentication":"USER_VERIFYING_BIO_OR_PIN","#,
        targets: &[Target::Actor, Target::Enrollment("Security Key or Biometric", "Webauthn")],
    },
    Kind {
        event_type: "user.authentication.auth_via_mfa",
        legacy: Some("core.user.factor.attempt_fail"),
        message: "Authentication of user via MFA",
        severity: "WARN",
        result: "FAILURE",
        reason: Some("FastPass declined phishing attempt"),
        weight: 1,
        debug: r#""factor":"SIGNED_NONCE","factorIntent":"LOGIN","#,
        targets: &[Target::Actor],
    },
    Kind {
        event_type: "system.push.send_factor_verify_push",
        legacy: None,
        message: "Send Okta Verify push notification",
        severity: "INFO",
        result: "SUCCESS",
        reason: None,
        weight: 12,
        debug: PUSH,
        targets: &[Target::Actor],
    },
    Kind {
        event_type: "user.mfa.okta_verify.deny_push",
        legacy: Some("core.user.factor.okta_verify_deny_push"),
        message: "User rejected Okta push verify",
        severity: "WARN",
        result: "FAILURE",
        reason: Some("User rejected Okta push verify"),
        weight: 2,
        debug: PUSH,
        targets: &[Target::Actor],
    },
    Kind {
        event_type: "user.mfa.factor.activate",
        legacy: Some("core.user.factor.activate"),
        message: "Enroll authenticator for user",
        severity: "INFO",
        result: "SUCCESS",
        reason: Some("User set up OKTA_VERIFY_PUSH factor"),
        weight: 4,
        debug: r#""factor":"OKTA_VERIFY_PUSH","factorIntent":"CREDENTIAL_ENROLLMENT","#,
        targets: &[Target::Actor, Target::Enrollment("Okta Verify", "Push")],
    },
    Kind {
        event_type: "user.mfa.factor.deactivate",
        legacy: Some("core.user.factor.deactivate"),
        message: "Reset factor for user",
        severity: "INFO",
        result: "SUCCESS",
        reason: Some("User reset SMS_FACTOR factor"),
        weight: 2,
        debug: r#""factor":"SMS_FACTOR","#,
        targets: &[Target::Actor, Target::Enrollment("Phone", "SMS")],
    },
    Kind {
        event_type: "policy.evaluate_sign_on",
        legacy: None,
        message: "Evaluation of sign-on policy",
        severity: "INFO",
        result: "ALLOW",
        reason: Some("Sign-on policy evaluation resulted in ALLOW"),
        weight: 10,
        debug: r#""factorIntent":"LOGIN","#,
        targets: &[Target::Policy, Target::Rule("1FA")],
    },
    Kind {
        event_type: "policy.evaluate_sign_on",
        legacy: None,
        message: "Evaluation of sign-on policy",
        severity: "INFO",
        result: "CHALLENGE",
        reason: Some("Sign-on policy evaluation resulted in CHALLENGE"),
        weight: 8,
        debug: r#""factorIntent":"LOGIN","#,
        targets: &[Target::Policy, Target::Rule("2FA")],
    },
    Kind {
        event_type: "policy.evaluate_sign_on",
        legacy: None,
        message: "Evaluation of sign-on policy",
        severity: "WARN",
        result: "DENY",
        reason: Some("Sign-on policy evaluation resulted in DENY"),
        weight: 1,
        debug: r#""factorIntent":"LOGIN","#,
        targets: &[Target::Policy, Target::Rule("2FA")],
    },
    Kind {
        event_type: "user.authentication.sso",
        legacy: Some("app.auth.sso"),
        message: "User single sign on to app",
        severity: "INFO",
        result: "SUCCESS",
        reason: None,
        weight: 12,
        debug: r#""signOnMode":"SAML 2.0","initiationType":"SP_INITIATED","#,
        targets: &[Target::App, Target::AppUser],
    },
    Kind {
        event_type: "group.user_membership.add",
        legacy: Some("core.user_group_member.user_add"),
        message: "Add user to group membership",
        severity: "INFO",
        result: "SUCCESS",
        reason: None,
        weight: 3,
        debug: "",
        targets: &[Target::Actor, Target::Group],
    },
    Kind {
        event_type: "group.user_membership.remove",
        legacy: Some("core.user_group_member.user_remove"),
        message: "Remove user from group membership",
        severity: "INFO",
        result: "SUCCESS",
        reason: None,
        weight: 2,
        debug: "",
        targets: &[Target::Actor, Target::Group],
    },
    Kind {
        event_type: "user.session.access_admin_app",
        legacy: Some("app.admin.sso.login.success"),
        message: "User accessing Okta admin app",
        severity: "INFO",
        result: "SUCCESS",
        reason: None,
        weight: 2,
        debug: "",
        targets: &[Target::AdminApp, Target::Actor],
    },
    Kind {
        event_type: "user.account.lock",
        legacy: Some("core.user_auth.account_locked"),
        message: "Max sign in attempts exceeded",
        severity: "WARN",
        result: "FAILURE",
        reason: Some("LOCKED_OUT"),
        weight: 1,
        debug: r#""loginResult":"LOCKED_OUT","#,
        targets: &[Target::Actor],
    },
    Kind {
        event_type: "app.oauth2.token.grant.access_token",
        legacy: None,
        message: "OAuth2 access token is granted",
        severity: "INFO",
        result: "SUCCESS",
        reason: None,
        weight: 4,
        debug: r#""grantType":"authorization_code","clientAuthType":"private_key_jwt","grantedScopes":"openid, profile","requestedScopes":"openid, profile","#,
        targets: &[Target::Token, Target::Actor],
    },
    Kind {
        event_type: "security.threat.detected",
        legacy: None,
        message: "Request from suspicious actor",
        severity: "WARN",
        result: "DENY",
        reason: Some("Password Spray"),
        weight: 1,
        debug: r#""threatDetections":"{\"Password Spray\":\"HIGH\"}","#,
        targets: &[],
    },
    Kind {
        event_type: "user.session.end",
        legacy: Some("core.user_auth.logout_success"),
        message: "User logout from Okta",
        severity: "INFO",
        result: "SUCCESS",
        reason: None,
        weight: 5,
        debug: "",
        targets: &[],
    },
];

const fn const_push_approved() -> &'static str {
    r#""factor":"OKTA_VERIFY_PUSH","factorIntent":"LOGIN","pushOnlyResponseType":"OV_RESPONSE_APPROVE","pushWithNumberChallengeResponseType":"OV_WITH_CHALLENGE_RESPONSE_VALID","keyTypeUsedForAuthentication":"PROOF_OF_POSSESSION","promptingPolicyTypes":"[OKTA_SIGN_ON, APP_SIGN_ON]","authenticatorMethodChallengeTime":"6312","#
}

const fn const_push_denied() -> &'static str {
    r#""factor":"OKTA_VERIFY_PUSH","factorIntent":"LOGIN","pushOnlyResponseType":"OV_RESPONSE_DENY","pushWithNumberChallengeResponseType":"OV_WITH_CHALLENGE_RESPONSE_NOT_APPLICABLE","promptingPolicyTypes":"[OKTA_SIGN_ON]","authenticatorMethodChallengeTime":"11875","#
}

fn kind(rng: &mut Rng) -> &'static Kind {
    let mut drawn = rng.below(KINDS.iter().map(|kind| kind.weight).sum());
    for kind in KINDS {
        if drawn < kind.weight {
            return kind;
        }
        drawn -= kind.weight;
    }
    rng.pick(KINDS)
}

fn address(rng: &mut Rng) -> String {
    let host = 1 + rng.below(254);
    match rng.below(8) {
        0 => format!("2001:db8:{:x}::{:x}", rng.below(0x1_0000), 1 + rng.below(0xfffe)),
        1 | 2 => format!("192.0.2.{host}"),
        3 | 4 => format!("203.0.113.{host}"),
        _ => format!("198.51.100.{host}"),
    }
}

pub(crate) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""))
}

fn event(id: &str, published: DateTime<Utc>, rng: &mut Rng) -> String {
    let (kind, user, place, agent) = (kind(rng), rng.pick(USERS), rng.pick(PLACES), rng.pick(AGENTS));
    let (ip, failed) = (address(rng), kind.result == "FAILURE");
    let version = if ip.contains(':') { "V6" } else { "V4" };
    let request = format!("a{:015x}{:016x}", rng.next() >> 4, rng.next());
    let session = if failed && kind.event_type == "user.session.start" {
        "null".to_owned()
    } else {
        format!("\"idx{:016x}\"", rng.next())
    };
    let place = format!(
        r#"{{"city":"{}","state":"{}","country":"{}","postalCode":"{}","geolocation":{{"lat":{},"lon":{}}}}}"#,
        place.city, place.state, place.country, place.postal, place.lat, place.lon
    );
    let level = ["LOW", "LOW", "LOW", "MEDIUM", "HIGH"];
    let level = rng.pick(&level);
    let new_device = rng.pick(&["POSITIVE", "NEGATIVE", "UNKNOWN"]);
    let mut out = String::with_capacity(3_200);
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        r#"{{"actor":{{"id":"{}","type":"User","alternateId":"{}","displayName":"{}","detailEntry":null}},"#,
        user.id, user.login, user.name
    );
    let _ = write!(
        out,
        r#""client":{{"userAgent":{{"rawUserAgent":"{}","os":"{}","browser":"{}"}},"zone":"null","device":"{}","id":null,"ipAddress":"{ip}","geographicalContext":{place}}},"#,
        agent.raw, agent.os, agent.browser, agent.device
    );
    if rng.below(3) == 0 {
        let _ = write!(
            out,
            r#""device":{{"id":"guo{:015x}","name":"{}-laptop","os_platform":"WINDOWS","os_version":"10.0.22631","managed":false,"registered":true,"device_integrator":null,"disk_encryption_type":"ALL_INTERNAL_VOLUMES","screen_lock_type":"BIOMETRIC","jailbreak":null,"secure_hardware_present":true}},"#,
            rng.next() >> 4,
            user.login.split('.').next().unwrap_or_default()
        );
    } else {
        out.push_str(r#""device":null,"#);
    }
    let _ = write!(
        out,
        r#""authenticationContext":{{"authenticationProvider":{},"credentialProvider":{},"credentialType":{},"issuer":null,"interface":null,"authenticationStep":0,"rootSessionId":{session},"externalSessionId":{session}}},"#,
        quoted(kind.event_type.contains("auth_via_mfa").then_some("FACTOR_PROVIDER")),
        quoted(kind.event_type.contains("auth_via_mfa").then_some("OKTA_CREDENTIAL_PROVIDER")),
        quoted(kind.event_type.starts_with("user.session").then_some("PASSWORD")),
    );
    let _ = write!(
        out,
        r#""displayMessage":"{}","eventType":"{}","outcome":{{"result":"{}","reason":{}}},"published":"{}","#,
        kind.message,
        kind.event_type,
        kind.result,
        quoted(kind.reason),
        timestamp(published)
    );
    let _ = write!(
        out,
        r#""securityContext":{{"asNumber":{},"asOrg":"example networks","isp":"example isp","domain":"example.net","isProxy":{},"ipDetails":null,"userBehaviors":[{{"id":"bhv1","name":"New Device","result":"{new_device}"}}]}},"severity":"{}","#,
        64_496 + rng.below(16),
        rng.below(20) == 0,
        kind.severity
    );
    let _ = write!(
        out,
        r#""debugContext":{{"debugData":{{{}"requestId":"{request}","dtHash":"{:016x}{:016x}","deviceFingerprint":"{:016x}","requestUri":"/idp/idx/identify","url":"/idp/idx/identify?","threatSuspected":"{}","behaviors":"{{New Geo-Location=NEGATIVE, New Device={new_device}, New IP=NEGATIVE, New State=NEGATIVE, New Country=NEGATIVE, Velocity=NEGATIVE, New City=NEGATIVE}}","risk":"{{reasons=Anomalous Device, level={level}}}","logOnlySecurityData":"{{\"risk\":{{\"level\":\"{level}\"}},\"behaviors\":{{\"New Geo-Location\":\"NEGATIVE\",\"New Device\":\"{new_device}\",\"New IP\":\"NEGATIVE\",\"New State\":\"NEGATIVE\",\"New Country\":\"NEGATIVE\",\"Velocity\":\"NEGATIVE\",\"New City\":\"NEGATIVE\"}}}}"}}}},"#,
        kind.debug,
        rng.next(),
        rng.next(),
        rng.next(),
        rng.below(30) == 0,
    );
    let _ = write!(
        out,
        r#""legacyEventType":{},"transaction":{{"type":"WEB","id":"{request}","detail":{{}}}},"uuid":"{id}","version":"0","request":{{"ipChain":[{{"ip":"{ip}","geographicalContext":{place},"version":"{version}","source":null,"ipDetails":null}}]}},"target":"#,
        quoted(kind.legacy)
    );
    targets(&mut out, kind, user, rng);
    out.push('}');
    out
}

fn targets(out: &mut String, kind: &Kind, user: &User, rng: &mut Rng) {
    if kind.targets.is_empty() {
        out.push_str("null");
        return;
    }
    const GROUPS: [&str; 3] = ["Finance", "Everyone", "VPN Users"];
    const APPS: [&str; 3] = ["Example Payroll", "Example VPN", "Example Wiki"];
    let number = rng.next() >> 16;
    let mut separator = '[';
    for target in kind.targets {
        out.push(separator);
        separator = ',';
        let (id, kind, alternate, display, detail, change) = match target {
            Target::Actor => (user.id.to_owned(), "User", user.login, user.name, "null".to_owned(), ""),
            Target::App => (
                format!("0oa{number:012x}"),
                "AppInstance",
                "Example App",
                *rng.pick(&APPS),
                r#"{"signOnModeType":"SAML_2_0"}"#.to_owned(),
                "",
            ),
            Target::AdminApp => (
                format!("0oa{number:012x}"),
                "AppInstance",
                "Okta Admin Console",
                "Okta Admin Console",
                r#"{"signOnModeType":"OPENID_CONNECT"}"#.to_owned(),
                "",
            ),
            Target::AppUser => {
                (format!("0ua{number:012x}"), "AppUser", user.login, user.name, "null".to_owned(), "")
            }
            Target::Group => (
                format!("00g{number:012x}"),
                "UserGroup",
                "unknown",
                *rng.pick(&GROUPS),
                "null".to_owned(),
                "",
            ),
            Target::Enrollment(name, method) => (
                format!("pfd{number:012x}"),
                "AuthenticatorEnrollment",
                "unknown",
                *name,
                format!(
                    r#"{{"methodTypeUsed":"{method}","methodUsedVerifiedProperties":"[USER_PRESENCE]"}}"#
                ),
                "",
            ),
            Target::Rule(mode) => (
                format!("rul{number:012x}"),
                "Rule",
                "unknown",
                "Require a second factor",
                format!(r#"{{"policyRuleFactorMode":"{mode}"}}"#),
                r#","changeDetails":null"#,
            ),
            Target::Policy => (
                format!("00p{number:012x}"),
                "PolicyEntity",
                "unknown",
                "Default Policy",
                r#"{"policyType":"OktaSignOn"}"#.to_owned(),
                "",
            ),
            Target::Token => (
                format!("AT.{number:012x}"),
                "access_token",
                "unknown",
                "Access Token",
                r#"{"expires":"2026-01-15T11:00:00.000Z","subject":"client"}"#.to_owned(),
                "",
            ),
        };
        let _ = write!(
            out,
            r#"{{"id":"{id}","type":"{kind}","alternateId":"{alternate}","displayName":"{display}","detailEntry":{detail}{change}}}"#
        );
    }
    out.push(']');
}

/// An event that bends the schema: nulls, sentinel texts, unknown values, missing members.
fn odd_event(id: &str, published: DateTime<Utc>, rng: &mut Rng) -> String {
    let published = timestamp(published);
    match rng.below(4) {
        0 => null_event(id, &published),
        1 => format!(
            r#"{{"uuid":"{id}","published":"{published}","eventType":"user.session.start","version":"0","severity":"INFO","displayMessage":" ","actor":{{"id":"unknown","type":"User","alternateId":"unknown","displayName":"unknown","detailEntry":null}},"client":{{"userAgent":{{"rawUserAgent":"UNKNOWN","os":"Unknown","browser":"UNKNOWN"}},"zone":"null","device":"Unknown","id":null,"ipAddress":"null","geographicalContext":null}},"outcome":{{"result":"FAILURE","reason":"VERIFICATION_ERROR"}},"authenticationContext":{{"authenticationStep":0,"externalSessionId":"unknown"}},"target":[],"transaction":{{"type":"WEB","id":"unknown","detail":{{}}}}}}"#
        ),
        2 => format!(
            r#"{{"uuid":"{id}","published":"{published}","eventType":"user.authentication.auth_via_future","version":"1","severity":"NOTICE","displayMessage":"Something new","actor":{{"id":"00u1example0000004","type":"AiAgent","alternateId":"alex.okafor@example.com","displayName":"Alex Okafor"}},"outcome":{{"result":"POSTPONED","reason":"A reason nobody has listed"}},"client":{{"ipAddress":"198.51.100.77"}},"novelty":{{"deep":[1,2,{{"x":null}}]}}}}"#
        ),
        _ => format!(r#"{{"uuid":"{id}","published":"{published}","eventType":"system.api_token.create"}}"#),
    }
}

/// Null wherever the schema lets a member be null.
pub(crate) fn null_event(id: &str, published: &str) -> String {
    format!(
        r#"{{"uuid":"{id}","published":"{published}","eventType":"user.session.start","version":null,"severity":null,"legacyEventType":null,"displayMessage":null,"actor":null,"client":null,"device":null,"authenticationContext":null,"outcome":null,"securityContext":null,"debugContext":null,"transaction":null,"request":null,"target":null}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn plan(seed: u64) -> Generate {
        Generate { late: 40, ..Generate::new(seed, 2_000, TimeDelta::hours(24)) }
    }

    #[test]
    fn a_seed_gives_the_same_events_byte_for_byte() {
        assert_eq!(generate(&plan(1)), generate(&plan(1)));
        assert_ne!(generate(&plan(1)), generate(&plan(2)));
    }

    #[test]
    fn every_event_is_json_with_its_own_id_and_time() {
        let events = generate(&plan(3));
        let ids: HashSet<_> = events.iter().map(|event| event.id.clone()).collect();
        assert_eq!(ids.len(), 2_000);
        for event in &events {
            let value: serde_json::Value = serde_json::from_slice(&event.raw).expect("JSON");
            assert_eq!(value.get("uuid").and_then(|id| id.as_str()), Some(event.id.as_str()));
            assert_eq!(
                value.get("published").and_then(|at| at.as_str()),
                Some(timestamp(event.published).as_str())
            );
        }
        let average = events.iter().map(|event| event.raw.len()).sum::<usize>() / events.len();
        assert!((2_000..3_500).contains(&average), "{average} bytes on average");
    }

    #[test]
    fn as_many_late_ones_as_asked_for_and_publication_out_of_order() {
        let events = generate(&plan(5));
        let late: Vec<_> = events.iter().filter(|event| event.late).collect();
        assert_eq!(late.len(), 40);
        assert!(late.iter().all(|event| event.persisted_at - event.published >= TimeDelta::hours(3)));
        assert!(events.iter().all(|event| event.published < event.persisted_at));
        assert!(events.is_sorted_by_key(|event| event.persisted_at));
        assert!(!events.is_sorted_by_key(|event| event.published));
    }

    #[test]
    fn the_kinds_that_matter_all_occur() {
        let text: String =
            generate(&plan(6)).iter().map(|event| String::from_utf8_lossy(&event.raw).into_owned()).collect();
        for wanted in [
            "OV_RESPONSE_APPROVE",
            "OV_RESPONSE_DENY",
            "user.mfa.factor.activate",
            "policy.evaluate_sign_on",
            "group.user_membership.add",
            "user.session.access_admin_app",
            "\"ipAddress\":\"null\"",
            "2001:db8:",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
    }
}
