//! The list filters of the authentication log (values of one name are alternatives, names must all agree), and the
//! trust monitor's type.

use serde_json::Value;

use super::endpoint::Endpoint;
use super::generate::group_name;
use super::params::Parameters;
use super::refusal::Refusal;

/// What each parameter looks at.
const FIELDS: [(&str, &str); 9] = [
    ("applications", "/application/key"),
    ("users", "/user/key"),
    ("event_types", "/event_type"),
    ("factors", "/factor"),
    ("reasons", "/reason"),
    ("results", "/result"),
    ("assessment", "/adaptive_trust_assessments/more_secure_auth/trust_level"),
    ("phone_numbers", "/auth_device/name"),
    ("tokens", "/auth_device/key"),
];
/// Parameters that look for a value in a list.
const LISTS: [(&str, &str); 2] = [
    ("groups", "/user/groups"),
    ("detections", "/adaptive_trust_assessments/more_secure_auth/detected_attack_detectors"),
];
/// Parameters that take these values only.
const CLOSED: [(&str, &[&str]); 2] =
    [("event_types", &["authentication", "enrollment"]), ("results", &["success", "denied", "fraud"])];

/// Filters by the member that they look at.
#[derive(Debug, Default)]
pub(super) struct Filter(Vec<(&'static str, Vec<String>)>);

impl Filter {
    pub(super) fn parse(endpoint: Endpoint, parameters: &Parameters<'_>) -> Result<Self, Refusal> {
        let mut filter = Self::default();
        if let (Endpoint::TrustMonitor, Some(kind)) = (endpoint, parameters.first("type")) {
            filter.0.push(("/type", vec![kind.to_owned()]));
        }
        if endpoint != Endpoint::Authentication {
            return Ok(filter);
        }
        for (name, values) in CLOSED {
            if parameters.all(name).any(|value| !values.contains(&value)) {
                return Err(Refusal::parameter(format!("{name} must be one of {}", values.join(", "))));
            }
        }
        for (name, pointer) in FIELDS.into_iter().chain(LISTS) {
            // Records name their groups, requests give the ids.
            let of_record = |value: &str| if name == "groups" { group_name(value) } else { value.to_owned() };
            let wanted: Vec<String> = parameters.all(name).map(of_record).collect();
            if !wanted.is_empty() {
                filter.0.push((pointer, wanted));
            }
        }
        Ok(filter)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn matches(&self, raw: &[u8]) -> bool {
        if self.is_empty() {
            return true;
        }
        let Ok(record) = serde_json::from_slice::<Value>(raw) else { return false };
        let is = |value: &Value, wanted: &[String]| {
            value.as_str().is_some_and(|text| wanted.iter().any(|one| one == text))
        };
        self.0.iter().all(|(pointer, wanted)| match record.pointer(pointer) {
            Some(Value::Array(values)) => values.iter().any(|value| is(value, wanted)),
            Some(value) => is(value, wanted),
            None => false,
        })
    }
}
