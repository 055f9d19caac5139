//! Microsoft Entra's logs, as Microsoft Graph's beta shows them.

use super::{Open, Str, reader, shapes};
use serde::Deserialize;

reader!(sign_in, SignIn);
reader!(directory_audit, DirectoryAudit);
reader!(risk_detection, RiskDetection);
reader!(service_principal_risk, ServicePrincipalRisk);
reader!(provisioning, Provisioning);

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read")]
struct Coordinates {
    altitude: Option<f64>,
    latitude: Option<f64>,
    longitude: Option<f64>,
}

shapes! { "camelCase";
    Location { city state country_or_region ; geo_coordinates: Coordinates ; }
    Pair { key value ; ; }
    Status { failure_reason additional_details ; error_code: i64 ; }
    Device { device_id display_name operating_system browser browser_id trust_type ;
        is_compliant: bool, is_managed: bool ; }
    Rule { conditional_access_condition rule_satisfied ; ; }
    Strength { authentication_strength_id display_name authentication_strength_result ; ; }
    Policy { id display_name result conditions_satisfied conditions_not_satisfied ; ;
        enforced_grant_controls: Vec<Str<'a>>,
        enforced_session_controls: Vec<Str<'a>>,
        session_controls_not_satisfied: Vec<Str<'a>>,
        include_rules_satisfied: Vec<Rule<'a>>,
        exclude_rules_satisfied: Vec<Rule<'a>>,
        authentication_strength: Strength<'a> }
    Step { authentication_step_date_time authentication_method authentication_method_detail
        authentication_step_result_detail authentication_step_requirement ; succeeded: bool ; }
    Requirement { requirement_provider detail ; ; }
    Lifetime { expiration_requirement detail ; ; }
    NetworkLocation { network_type ; ; network_names: Vec<Str<'a>> }
    MfaDetail { auth_method auth_detail ; ; }
    AppDevice { device_id app_version client_app operating_system ; ; }
    ContextClass { id detail ; ; }
    PrivateLink { policy_id policy_name resource_id policy_tenant_id ; ; }
    ManagedIdentity { msi_type associated_resource_id federated_token_id federated_token_issuer ; ; }
    Agent { agent_type agent_subject_type agent_subject_parent_id parent_app_id ; ; }
    TokenProtection { sign_in_session_status ; sign_in_session_status_code: i64 ; }
    Audience { application_id audience_reasons ; ; }
    SignIn { id created_date_time user_display_name user_principal_name user_id app_id app_display_name ip_address
        ip_address_from_resource_provider client_app_used user_agent correlation_id conditional_access_status
        original_request_id token_issuer_name token_issuer_type client_credential_type risk_detail
        risk_level_aggregated risk_level_during_sign_in risk_state resource_display_name resource_id
        resource_tenant_id home_tenant_id home_tenant_name authentication_requirement sign_in_identifier
        sign_in_identifier_type service_principal_id service_principal_name service_principal_credential_key_id
        service_principal_credential_thumbprint federated_credential_id user_type cross_tenant_access_type
        unique_token_identifier incoming_token_type authentication_protocol resource_service_principal_id
        sign_in_token_protection_status app_token_protection_status original_transfer_method
        global_secure_access_ip_address session_id client_session_id app_owner_tenant_id
        resource_owner_tenant_id azure_resource_id ;
        is_interactive: bool, processing_time_in_milliseconds: i64, flagged_for_review: bool,
        is_tenant_restricted: bool, autonomous_system_number: i64, is_through_global_secure_access: bool ;
        risk_event_types: Vec<Str<'a>>,
        #[serde(rename = "riskEventTypes_v2")] risk_event_types_v2: Vec<Str<'a>>,
        authentication_methods_used: Vec<Str<'a>>,
        sign_in_event_types: Vec<Str<'a>>,
        mfa_detail: MfaDetail<'a>,
        authentication_app_device_details: AppDevice<'a>,
        managed_service_identity: ManagedIdentity<'a>,
        status: Status<'a>,
        device_detail: Device<'a>,
        location: Location<'a>,
        applied_conditional_access_policies: Vec<Policy<'a>>,
        authentication_context_class_references: Vec<ContextClass<'a>>,
        authentication_processing_details: Vec<Pair<'a>>,
        network_location_details: Vec<NetworkLocation<'a>>,
        authentication_details: Vec<Step<'a>>,
        authentication_requirement_policies: Vec<Requirement<'a>>,
        session_lifetime_policies: Vec<Lifetime<'a>>,
        private_link_details: PrivateLink<'a>,
        applied_event_listeners: Vec<Open<'a>>,
        authentication_app_policy_evaluation_details: Vec<Open<'a>>,
        agent: Agent<'a>,
        token_protection_status_details: TokenProtection<'a>,
        conditional_access_audiences: Vec<Audience<'a>> }
    Modified { display_name old_value new_value ; ; }
    AuditUser { id display_name user_principal_name ip_address user_type home_tenant_id home_tenant_name ; ;
        roles: Vec<Str<'a>> }
    AuditApp { app_id display_name service_principal_id service_principal_name ; ; }
    Initiator { ; ; user: AuditUser<'a>, app: AuditApp<'a> }
    AuditTarget { id display_name r#type user_principal_name group_type ; ;
        modified_properties: Vec<Modified<'a>>, administrative_units: Vec<Open<'a>> }
    DirectoryAudit { id category correlation_id result result_reason activity_display_name activity_date_time
        logged_by_service operation_type user_agent ; ;
        initiated_by: Initiator<'a>,
        performed_by: Initiator<'a>,
        target_resources: Vec<AuditTarget<'a>>,
        additional_details: Vec<Pair<'a>> }
    RiskDetection { id request_id correlation_id risk_type risk_event_type risk_state risk_level risk_detail source
        detection_timing_type activity token_issuer_type ip_address activity_date_time detected_date_time
        last_updated_date_time user_id user_display_name user_principal_name additional_info user_type
        home_tenant_id resource_tenant_id cross_tenant_access_type mitre_technique_id is_processing ;
        is_deleted: bool, is_guest: bool ; location: Location<'a> }
    ServicePrincipalRisk { id request_id correlation_id risk_event_type risk_state risk_level risk_detail source
        detection_timing_type activity token_issuer_type ip_address activity_date_time detected_date_time
        last_updated_date_time app_id service_principal_id service_principal_display_name additional_info
        mitre_technique_id ; ; location: Location<'a>, key_ids: Vec<Str<'a>> }
    ErrorInformation { error_code reason additional_details error_category recommended_action ; ; }
    StatusInfo { status ; ; error_information: ErrorInformation<'a> }
    ProvisioningStep { name provisioning_step_type status description ; ; details: Open<'a> }
    Party { id display_name initiator_type identity_type ; ; details: Open<'a> }
    Provisioning { id activity_date_time tenant_id job_id cycle_id change_id provisioning_action ;
        duration_in_milliseconds: i64 ;
        provisioning_status_info: StatusInfo<'a>,
        provisioning_steps: Vec<ProvisioningStep<'a>>,
        modified_properties: Vec<Modified<'a>>,
        initiated_by: Party<'a>,
        service_principal: Party<'a>,
        source_system: Party<'a>,
        target_system: Party<'a>,
        source_identity: Party<'a>,
        target_identity: Party<'a> }
}
