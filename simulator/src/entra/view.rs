//! What of a record a request gets to see: by version, licence, permission and `Prefer`.

use bytes::{Bytes, BytesMut};
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::streams::Resource;

/// How a request looks at records. The whole record is seen by beta, with `Prefer`, policy permission and P2.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// v1.0: the members of beta alone are left out.
    pub(crate) v1: bool,
    /// `Prefer: include-unknown-enum-members` was not sent.
    pub(crate) old_enums: bool,
    /// The app may not read Conditional Access policies.
    pub(crate) without_policies: bool,
    /// Risk details take P2.
    pub(crate) hidden_risk: bool,
    /// `$select`.
    pub(crate) select: Option<Vec<String>>,
}

/// Members after `unknownFutureValue` in the vendor's list of an enumeration.
const NEWER: &[(&str, &[&str])] = &[
    (
        "riskDetail",
        &[
            "m365DAdminDismissedDetection",
            "adminConfirmedServicePrincipalCompromised",
            "adminDismissedAllRiskForServicePrincipal",
            "userChangedPasswordOnPremises",
            "adminDismissedRiskForSignIn",
            "adminConfirmedAccountSafe",
            "microsoftRevokedSessions",
        ],
    ),
    (
        "authenticationProtocol",
        &[
            "authenticationTransfer",
            "nativeAuth",
            "authorizationCodeWithPkce",
            "clientCredentials",
            "refreshTokenGrant",
        ],
    ),
    ("incomingTokenType", &["remoteDesktopToken", "refreshToken"]),
    ("crossTenantAccessType", &["passthrough"]),
    ("activity", &["servicePrincipal"]),
];

/// Risk event types that are shown without P2.
const PLAIN_RISK: &[&str] = &["anonymizedIPAddress", "leakedCredentials", "maliciousIPAddress"];

/// Members of a Conditional Access policy that only beta has.
const BETA_POLICY: &[&str] = &["conditionsSatisfied", "conditionsNotSatisfied", "authenticationStrength"];

/// Whether a value is, or lists, one of the newer ones of its member.
fn newer(name: &str, value: &str) -> bool {
    let Some((_, members)) = NEWER.iter().find(|(member, _)| *member == name) else { return false };
    value.trim_matches('"').split(',').any(|part| members.contains(&part.trim()))
}

impl View {
    /// The record as this request sees it; byte for byte where nothing is taken from it.
    pub(crate) fn show(&self, resource: Resource, raw: &Bytes) -> Bytes {
        let touched = self.v1
            || self.hidden_risk
            || self.select.is_some()
            || (self.without_policies && resource == Resource::SignIns)
            || (self.old_enums && (resource == Resource::SignIns || resource.is_risk()));
        let Some(members) = touched.then(|| members(raw)).flatten() else { return raw.clone() };
        let mut out = BytesMut::with_capacity(raw.len());
        let mut separator: &[u8] = b"{";
        for (name, value) in members {
            let selected = self.select.as_ref().is_none_or(|select| select.contains(&name));
            let known = !self.v1 || !resource.beta_members().contains(&name.as_str());
            if !selected || !known {
                continue;
            }
            out.extend_from_slice(separator);
            separator = b",";
            out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
            out.extend_from_slice(b":");
            match self.rewritten(resource, &name, value.get()) {
                Some(text) => out.extend_from_slice(text.as_bytes()),
                None => out.extend_from_slice(value.get().as_bytes()),
            }
        }
        if separator == b"{" {
            out.extend_from_slice(b"{");
        }
        out.extend_from_slice(b"}");
        out.freeze()
    }

    /// What stands in place of a value; `None` where it stays.
    fn rewritten(&self, resource: Resource, name: &str, value: &str) -> Option<String> {
        if name == "appliedConditionalAccessPolicies" {
            if self.without_policies {
                return Some("[]".to_owned());
            }
            return self.v1.then(|| without_beta_policy_members(value)).flatten();
        }
        if self.hidden_risk && value.starts_with('"') && value != "\"none\"" {
            let plain = PLAIN_RISK.contains(&value.trim_matches('"'));
            match name {
                "riskLevelAggregated" | "riskLevelDuringSignIn" | "riskLevel" | "riskDetail" => {
                    return Some("\"hidden\"".to_owned());
                }
                "riskEventType" if resource.is_risk() && !plain => return Some("\"generic\"".to_owned()),
                _ => {}
            }
        }
        (self.old_enums && newer(name, value)).then(|| "\"unknownFutureValue\"".to_owned())
    }
}

fn without_beta_policy_members(value: &str) -> Option<String> {
    let mut policies: Vec<Value> = serde_json::from_str(value).ok()?;
    for policy in policies.iter_mut().filter_map(Value::as_object_mut) {
        BETA_POLICY.iter().for_each(|name| {
            policy.remove(*name);
        });
    }
    serde_json::to_string(&policies).ok()
}

/// The members of a JSON object in their order; `None` for anything else.
fn members(raw: &Bytes) -> Option<Vec<(String, &RawValue)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_slice(raw).deserialize_map(Members).ok()
}
