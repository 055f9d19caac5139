//! The logs: how each is asked for, how settled it is when, and what reading it takes.

use super::fields;
use std::time::Duration;
use tidegate_core::event::Table;
use tidegate_core::source::{Names, Stream, StreamKind};

const fn names(dataset: &'static str, sourcetype: &'static str) -> Names {
    Names {
        dataset,
        namespace: "azure",
        vendor: "Microsoft",
        product: "Microsoft Entra ID",
        sourcetype,
        leef: ("Microsoft", "Entra ID"),
    }
}

/// Sign-ins of all four kinds: Elastic has one data set for them, and the Splunk Add-on for Microsoft Azure one sourcetype.
pub const SIGN_INS: Names = names("azure.signinlogs", "azure:aad:signin");
/// What administrators, users and services changed.
pub const DIRECTORY_AUDITS: Names = names("azure.auditlogs", "azure:aad:audit");
/// What Identity Protection found, of users and of workloads.
pub const RISK_DETECTIONS: Names = names("azure.identity_protection", "azure:aad:risk:detection");
/// What was provisioned into other systems. The add-on has no sourcetype for it; this one follows its pattern.
pub const PROVISIONING: Names = names("azure.provisioning", "azure:aad:provisioning");

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// 95 % of rows are there after 2 minutes, 99 % after 5, some come after 15; steps of MFA are merged into a row, and risk
/// is found, for up to about 2 hours; the day is for what nobody promised.
const SETTLE: &[Duration] = &[Duration::from_secs(900), Duration::from_secs(7200), DAY];

/// Behind the vendor's clock, so that the fast lane meets the 95 %; the sweeps bring the rest.
const VISIBLE_AFTER: Duration = Duration::from_secs(120);

/// Times have up to seven digits after the second, but a bound in whole seconds needs none of them.
const UNIT: Duration = Duration::from_secs(1);

/// Sign-ins, audits and provisioning with a premium licence; 7 days without.
const RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// Risk detections with P2; 30 days with P1. Who remembered them for less would take a change that comes after a month for
/// a record that was delivered long ago.
const RISK_RETENTION: Duration = Duration::from_secs(90 * 86_400);

const fn stream(
    name: &'static str,
    default: bool,
    immutable: bool,
    widest: Duration,
    poll: Duration,
    names: &'static Names,
) -> Stream {
    let kind = StreamKind::Windowed { settle: SETTLE, visible_after: VISIBLE_AFTER, unit: UNIT, widest };
    Stream { name, kind, default, immutable, retention: RETENTION, poll, names }
}

const fn risk_stream(name: &'static str, default: bool) -> Stream {
    let week = Duration::from_secs(7 * 86_400);
    let stream = stream(name, default, false, week, TWO_MINUTES, &RISK_DETECTIONS);
    Stream { retention: RISK_RETENTION, ..stream }
}

/// All logs. `widest` is a judgement: Graph has no limit of its own, but gives up after 300 s, and long chains of pages
/// cannot be resumed; non-interactive and workload sign-ins are many times as many as interactive ones. `poll`: Microsoft's
/// integrations ask every one to two minutes; the risk logs have the smallest budget. Audits are final; sign-ins and
/// detections are known to change, of provisioning nobody says that it does not.
pub const STREAMS: &[Stream] = &[
    stream("sign_ins", true, false, Duration::from_secs(6 * 3600), MINUTE, &SIGN_INS),
    stream("sign_ins_non_interactive", true, false, HOUR, MINUTE, &SIGN_INS),
    stream("sign_ins_service_principal", false, false, HOUR, MINUTE, &SIGN_INS),
    stream("sign_ins_managed_identity", false, false, HOUR, MINUTE, &SIGN_INS),
    stream("directory_audits", true, true, DAY, MINUTE, &DIRECTORY_AUDITS),
    risk_stream("risk_detections", true),
    risk_stream("service_principal_risk_detections", false),
    stream("provisioning", false, false, DAY, MINUTE, &PROVISIONING),
];

const TWO_MINUTES: Duration = Duration::from_secs(120);

/// What a log's records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    SignIn,
    Audit,
    Risk,
    Provisioning,
}

/// How a log is asked for.
#[derive(Debug)]
pub(super) struct Log {
    /// The stream's name.
    pub(super) name: &'static str,
    /// What its records are.
    pub(super) shape: Shape,
    /// What becomes of their fields.
    pub(super) table: &'static Table,
    /// For messages.
    pub(super) title: &'static str,
    /// Behind the version.
    pub(super) path: &'static str,
    /// Only the unversioned API has it.
    pub(super) beta: bool,
    /// The time that windows run on.
    pub(super) window_time: &'static str,
    /// The time that never changes.
    pub(super) identity_time: &'static str,
    /// The kind of sign-in, where one log holds several.
    pub(super) kind: Option<&'static str>,
    /// Records a page at most. Documented for sign-ins (1000) and risk (500); of audits and provisioning integrators
    /// use 1000 and nobody documents less.
    pub(super) top: u32,
    /// The application permission that reads it.
    pub(super) permission: &'static str,
    /// The licence that it takes, if any.
    pub(super) licence: Option<&'static str>,
}

const AUDIT_LOG: &str = "AuditLog.Read.All";
const RISK: &str = "IdentityRiskEvent.Read.All";
const PREMIUM: &str = "Entra ID P1 or P2";

const fn sign_ins(name: &'static str, title: &'static str, kind: &'static str, table: &'static Table) -> Log {
    Log {
        name,
        shape: Shape::SignIn,
        table,
        title,
        path: "auditLogs/signIns",
        beta: true,
        window_time: "createdDateTime",
        identity_time: "createdDateTime",
        kind: Some(kind),
        top: 1000,
        permission: AUDIT_LOG,
        licence: Some(PREMIUM),
    }
}

const fn activities(
    name: &'static str,
    title: &'static str,
    shape: Shape,
    table: &'static Table,
    path: &'static str,
    licence: Option<&'static str>,
) -> Log {
    Log {
        name,
        shape,
        table,
        title,
        path,
        beta: false,
        window_time: "activityDateTime",
        identity_time: "activityDateTime",
        kind: None,
        top: 1000,
        permission: AUDIT_LOG,
        licence,
    }
}

const fn risk(
    name: &'static str,
    title: &'static str,
    table: &'static Table,
    path: &'static str,
    licence: &'static str,
) -> Log {
    Log {
        name,
        shape: Shape::Risk,
        table,
        title,
        path,
        beta: false,
        // So that a change is seen, however old the detection is.
        window_time: "lastUpdatedDateTime",
        identity_time: "detectedDateTime",
        kind: None,
        top: 500,
        permission: RISK,
        licence: Some(licence),
    }
}

pub(super) const LOGS: &[Log] = &[
    sign_ins("sign_ins", "the log of interactive sign-ins", "interactiveUser", &fields::SIGN_INS),
    sign_ins(
        "sign_ins_non_interactive",
        "the log of non-interactive sign-ins",
        "nonInteractiveUser",
        &fields::SIGN_INS_NON_INTERACTIVE,
    ),
    sign_ins(
        "sign_ins_service_principal",
        "the log of service principals' sign-ins",
        "servicePrincipal",
        &fields::SIGN_INS_SERVICE_PRINCIPAL,
    ),
    sign_ins(
        "sign_ins_managed_identity",
        "the log of managed identities' sign-ins",
        "managedIdentity",
        &fields::SIGN_INS_MANAGED_IDENTITY,
    ),
    activities(
        "directory_audits",
        "the directory's audit log",
        Shape::Audit,
        &fields::DIRECTORY_AUDITS,
        "auditLogs/directoryAudits",
        None,
    ),
    risk(
        "risk_detections",
        "the log of users' risk detections",
        &fields::RISK_DETECTIONS,
        "identityProtection/riskDetections",
        PREMIUM,
    ),
    risk(
        "service_principal_risk_detections",
        "the log of workloads' risk detections",
        &fields::SERVICE_PRINCIPAL_RISK_DETECTIONS,
        "identityProtection/servicePrincipalRiskDetections",
        "Workload Identities Premium",
    ),
    activities(
        "provisioning",
        "the provisioning log",
        Shape::Provisioning,
        &fields::PROVISIONING,
        "auditLogs/provisioning",
        Some(PREMIUM),
    ),
];

/// How a stream is asked for.
pub(super) fn log(stream: &str) -> Option<&'static Log> {
    LOGS.iter().find(|log| log.name == stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_a_log_of_its_name_in_the_same_order() {
        let streams: Vec<_> = STREAMS.iter().map(|stream| stream.name).collect();
        assert_eq!(LOGS.iter().map(|log| log.name).collect::<Vec<_>>(), streams);
    }
}
