//! The streams by Tidegate's names, and the resources that serve them.

use chrono::TimeDelta;

use super::config::Licence;

/// A resource of Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    SignIns,
    DirectoryAudits,
    Provisioning,
    RiskDetections,
    ServicePrincipalRiskDetections,
}

/// A stream: a resource, and for sign-ins which kind of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    pub(crate) resource: Resource,
    /// Value of `signInEventTypes`.
    pub(crate) kind: Option<&'static str>,
}

pub(crate) const INTERACTIVE: &str = "interactiveUser";

const fn sign_ins(name: &'static str, kind: &'static str) -> Stream {
    Stream { name, resource: Resource::SignIns, kind: Some(kind) }
}

const fn other(name: &'static str, resource: Resource) -> Stream {
    Stream { name, resource, kind: None }
}

pub(crate) const STREAMS: [Stream; 8] = [
    sign_ins("sign_ins", INTERACTIVE),
    sign_ins("sign_ins_non_interactive", "nonInteractiveUser"),
    sign_ins("sign_ins_service_principal", "servicePrincipal"),
    sign_ins("sign_ins_managed_identity", "managedIdentity"),
    other("directory_audits", Resource::DirectoryAudits),
    other("provisioning", Resource::Provisioning),
    other("risk_detections", Resource::RiskDetections),
    other("service_principal_risk_detections", Resource::ServicePrincipalRiskDetections),
];

pub(crate) fn stream(name: &str) -> Option<Stream> {
    STREAMS.into_iter().find(|stream| stream.name == name)
}

impl Resource {
    /// Each at its place.
    pub(crate) const ALL: [Self; 5] = [
        Self::SignIns,
        Self::DirectoryAudits,
        Self::Provisioning,
        Self::RiskDetections,
        Self::ServicePrincipalRiskDetections,
    ];

    /// Where its store stands.
    pub(crate) fn at(self) -> usize {
        self as usize
    }

    /// The two path segments after the version.
    pub(crate) fn segments(self) -> (&'static str, &'static str) {
        match self {
            Self::SignIns => ("auditLogs", "signIns"),
            Self::DirectoryAudits => ("auditLogs", "directoryAudits"),
            Self::Provisioning => ("auditLogs", "provisioning"),
            Self::RiskDetections => ("identityProtection", "riskDetections"),
            Self::ServicePrincipalRiskDetections => ("identityProtection", "servicePrincipalRiskDetections"),
        }
    }

    /// Segments are compared without regard to case.
    pub(crate) fn find(area: &str, name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| {
            let (own_area, own_name) = resource.segments();
            own_area.eq_ignore_ascii_case(area) && own_name.eq_ignore_ascii_case(name)
        })
    }

    /// Name of the type in error messages.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::SignIns => "microsoft.graph.signIn",
            Self::DirectoryAudits => "microsoft.graph.directoryAudit",
            Self::Provisioning => "microsoft.graph.provisioningObjectSummary",
            Self::RiskDetections => "microsoft.graph.riskDetection",
            Self::ServicePrincipalRiskDetections => "microsoft.graph.servicePrincipalRiskDetection",
        }
    }

    pub(crate) fn is_risk(self) -> bool {
        matches!(self, Self::RiskDetections | Self::ServicePrincipalRiskDetections)
    }

    /// Times that can be filtered and ordered by. The first is the time of the record, which never changes, and the
    /// default order.
    pub(crate) fn times(self) -> &'static [&'static str] {
        match self {
            Self::SignIns => &["createdDateTime"],
            Self::DirectoryAudits | Self::Provisioning => &["activityDateTime"],
            Self::RiskDetections | Self::ServicePrincipalRiskDetections => {
                &["detectedDateTime", "lastUpdatedDateTime", "activityDateTime"]
            }
        }
    }

    /// Rows of a page without `$top`, and the largest `$top`.
    pub(crate) fn page(self) -> (usize, usize) {
        if self.is_risk() { (20, 500) } else { (1_000, 1_000) }
    }

    /// How far back the log reaches.
    pub(crate) fn retention(self, licence: Licence) -> TimeDelta {
        TimeDelta::days(match (self.is_risk(), licence) {
            (_, Licence::Free) => 7,
            (false, _) | (true, Licence::P1) => 30,
            (true, Licence::P2) => 90,
        })
    }

    /// Members of both versions.
    pub(crate) fn members(self) -> &'static [&'static str] {
        match self {
            Self::SignIns => SIGN_IN,
            Self::DirectoryAudits => DIRECTORY_AUDIT,
            Self::Provisioning => PROVISIONING,
            Self::RiskDetections => RISK,
            Self::ServicePrincipalRiskDetections => SERVICE_PRINCIPAL_RISK,
        }
    }

    /// Members of the beta version alone.
    pub(crate) fn beta_members(self) -> &'static [&'static str] {
        match self {
            Self::SignIns => SIGN_IN_BETA,
            Self::DirectoryAudits => &["userAgent", "performedBy"],
            Self::Provisioning => &["action", "statusInfo"],
            Self::RiskDetections => &["riskType", "mitreTechniqueId"],
            Self::ServicePrincipalRiskDetections => &["mitreTechniqueId"],
        }
    }
}

const SIGN_IN: &[&str] = &[
    "id",
    "createdDateTime",
    "userId",
    "userPrincipalName",
    "userDisplayName",
    "appId",
    "appDisplayName",
    "resourceId",
    "resourceDisplayName",
    "ipAddress",
    "clientAppUsed",
    "isInteractive",
    "correlationId",
    "conditionalAccessStatus",
    "appliedConditionalAccessPolicies",
    "status",
    "deviceDetail",
    "location",
    "riskDetail",
    "riskLevelAggregated",
    "riskLevelDuringSignIn",
    "riskState",
    "riskEventTypes",
    "riskEventTypes_v2",
    "resourceTenantId",
    "homeTenantId",
    "servicePrincipalId",
    "servicePrincipalName",
    "userAgent",
    "authenticationAppDeviceDetails",
];

const SIGN_IN_BETA: &[&str] = &[
    "signInEventTypes",
    "homeTenantName",
    "authenticationRequirement",
    "authenticationRequirementPolicies",
    "authenticationDetails",
    "authenticationMethodsUsed",
    "authenticationProcessingDetails",
    "authenticationProtocol",
    "mfaDetail",
    "authenticationContextClassReferences",
    "authenticationAppPolicyEvaluationDetails",
    "incomingTokenType",
    "clientCredentialType",
    "crossTenantAccessType",
    "userType",
    "signInIdentifier",
    "signInIdentifierType",
    "alternateSignInName",
    "tokenIssuerType",
    "tokenIssuerName",
    "originalRequestId",
    "uniqueTokenIdentifier",
    "sessionId",
    "clientSessionId",
    "originalTransferMethod",
    "signInTokenProtectionStatus",
    "appTokenProtectionStatus",
    "tokenProtectionStatusDetails",
    "sessionLifetimePolicies",
    "networkLocationDetails",
    "autonomousSystemNumber",
    "ipAddressFromResourceProvider",
    "globalSecureAccessIpAddress",
    "isThroughGlobalSecureAccess",
    "privateLinkDetails",
    "managedServiceIdentity",
    "servicePrincipalCredentialKeyId",
    "servicePrincipalCredentialThumbprint",
    "federatedCredentialId",
    "resourceServicePrincipalId",
    "azureResourceId",
    "appOwnerTenantId",
    "resourceOwnerTenantId",
    "isTenantRestricted",
    "appliedEventListeners",
    "conditionalAccessAudiences",
    "flaggedForReview",
    "processingTimeInMilliseconds",
    "agent",
];

const DIRECTORY_AUDIT: &[&str] = &[
    "id",
    "activityDateTime",
    "activityDisplayName",
    "additionalDetails",
    "category",
    "correlationId",
    "initiatedBy",
    "loggedByService",
    "operationType",
    "result",
    "resultReason",
    "targetResources",
];

const PROVISIONING: &[&str] = &[
    "id",
    "activityDateTime",
    "changeId",
    "cycleId",
    "durationInMilliseconds",
    "initiatedBy",
    "jobId",
    "modifiedProperties",
    "provisioningAction",
    "provisioningStatusInfo",
    "provisioningSteps",
    "servicePrincipal",
    "sourceIdentity",
    "sourceSystem",
    "targetIdentity",
    "targetSystem",
    "tenantId",
];

const RISK: &[&str] = &[
    "id",
    "activity",
    "activityDateTime",
    "additionalInfo",
    "correlationId",
    "detectedDateTime",
    "detectionTimingType",
    "ipAddress",
    "lastUpdatedDateTime",
    "location",
    "requestId",
    "riskDetail",
    "riskEventType",
    "riskLevel",
    "riskState",
    "source",
    "tokenIssuerType",
    "userDisplayName",
    "userId",
    "userPrincipalName",
];

const SERVICE_PRINCIPAL_RISK: &[&str] = &[
    "id",
    "activity",
    "activityDateTime",
    "additionalInfo",
    "appId",
    "correlationId",
    "detectedDateTime",
    "detectionTimingType",
    "ipAddress",
    "keyIds",
    "lastUpdatedDateTime",
    "location",
    "requestId",
    "riskDetail",
    "riskEventType",
    "riskLevel",
    "riskState",
    "servicePrincipalDisplayName",
    "servicePrincipalId",
    "source",
    "tokenIssuerType",
];
