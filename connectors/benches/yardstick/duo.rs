//! Duo's logs.

use super::{Flag, Raw, Str, reader, shapes};
use serde::Deserialize;

reader!(authentication, Authentication);
reader!(activity, Activity);
reader!(telephony, Telephony);
reader!(trust_monitor, TrustMonitor);
reader!(administrator, Administrator);

shapes! { "snake_case";
    Place { city country state ; ; }
    AccessDevice { browser browser_version epkey flash_version hostname ip java_version os os_version ; ;
        is_encryption_enabled: Flag<'a>,
        is_firewall_enabled: Flag<'a>,
        is_password_set: Flag<'a>,
        location: Place<'a>,
        // A list, or the word `unknown`.
        management_agents: Raw<'a>,
        security_agents: Raw<'a> }
    AuthDevice { ip key name ; ; location: Place<'a> }
    Application { key name r#type ; ; }
    User { key name ; ; groups: Vec<Str<'a>> }
    Assessment { features_version model_version reason trust_level ; policy_enabled: bool, preview_mode_enabled: bool ;
        detected_attack_detectors: Vec<Str<'a>> }
    Assessments { ; ; more_secure_auth: Assessment<'a>, remember_me: Assessment<'a> }
    Authentication { alias email event_type factor isotimestamp ood_software reason remembered_factor result
        trusted_endpoint_status txid ; timestamp: i64 ;
        access_device: AccessDevice<'a>,
        adaptive_trust_assessments: Assessments<'a>,
        application: Application<'a>,
        auth_device: AuthDevice<'a>,
        rbfs_triggered_attacks: Vec<Str<'a>>,
        user: User<'a> }
    Address { address ; ; }
    Terminal { browser browser_version epkey os os_version ; ; ip: Address<'a>, location: Place<'a> }
    Party { key name r#type details ; ; }
    OutcomeOf { result ; ; }
    Activity { activity_id akey ts ; ;
        access_device: Terminal<'a>,
        // A name, or an object around it.
        action: Raw<'a>,
        actor: Party<'a>,
        application: Application<'a>,
        old_target: Party<'a>,
        outcome: OutcomeOf<'a>,
        target: Party<'a> }
    Telephony { context phone telephony_id ts txid r#type ; credits: i64 ; }
    Explanation { r#type summary ; ; }
    Reason { r#type label ; ; }
    TrustMonitor { sekey state triage_event_uri r#type ;
        from_common_netblock: bool, from_new_user: bool, low_risk_ip: bool, priority_event: bool,
        state_updated_timestamp: i64, surfaced_timestamp: i64, triaged_as_interesting: bool,
        bypass_status_enabled: i64 ;
        explanations: Vec<Explanation<'a>>,
        priority_reasons: Vec<Reason<'a>>,
        enabled_by: User<'a>,
        enabled_for: User<'a>,
        surfaced_auth: Authentication<'a> }
    Administrator { action description isotimestamp object username ; timestamp: i64 ; }
}
