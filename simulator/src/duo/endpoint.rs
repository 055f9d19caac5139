//! The log endpoints.

/// One endpoint of the Admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Endpoint {
    Authentication,
    Activity,
    Telephony,
    TrustMonitor,
    Administrator,
    OfflineEnrollment,
    AuthenticationV1,
    TelephonyV1,
}

const ALL: [Endpoint; 8] = [
    Endpoint::Authentication,
    Endpoint::Activity,
    Endpoint::Telephony,
    Endpoint::TrustMonitor,
    Endpoint::Administrator,
    Endpoint::OfflineEnrollment,
    Endpoint::AuthenticationV1,
    Endpoint::TelephonyV1,
];

impl Endpoint {
    pub(super) fn at(path: &str) -> Option<Self> {
        ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }

    fn path(self) -> &'static str {
        match self {
            Self::Authentication => "/admin/v2/logs/authentication",
            Self::Activity => "/admin/v2/logs/activity",
            Self::Telephony => "/admin/v2/logs/telephony",
            Self::TrustMonitor => "/admin/v1/trust_monitor/events",
            Self::Administrator => "/admin/v1/logs/administrator",
            Self::OfflineEnrollment => "/admin/v1/logs/offline_enrollment",
            Self::AuthenticationV1 => "/admin/v1/logs/authentication",
            Self::TelephonyV1 => "/admin/v1/logs/telephony",
        }
    }

    /// Its name in limits and access.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AuthenticationV1 => "authentication_v1",
            Self::TelephonyV1 => "telephony_v1",
            _ => self.stream(),
        }
    }

    /// The stream whose records it shows.
    pub(super) fn stream(self) -> &'static str {
        match self {
            Self::Authentication | Self::AuthenticationV1 => "authentication",
            Self::Activity => "activity",
            Self::Telephony | Self::TelephonyV1 => "telephony",
            Self::TrustMonitor => "trust_monitor",
            Self::Administrator => "administrator",
            Self::OfflineEnrollment => "offline_enrollment",
        }
    }

    /// No cursor, whole seconds, the 1000 oldest.
    pub(super) fn is_v1(self) -> bool {
        matches!(
            self,
            Self::Administrator | Self::OfflineEnrollment | Self::AuthenticationV1 | Self::TelephonyV1
        )
    }

    /// Whether `account_id` leads to a child account.
    pub(super) fn reaches_children(self) -> bool {
        matches!(self, Self::Authentication | Self::AuthenticationV1 | Self::TelephonyV1 | Self::TrustMonitor)
    }

    /// The list in a cursor endpoint's `response`.
    pub(super) fn list(self) -> &'static str {
        match self {
            Self::Authentication => "authlogs",
            Self::TrustMonitor => "events",
            _ => "items",
        }
    }
}
