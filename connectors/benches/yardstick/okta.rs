//! Okta's System Log.

use super::{Open, Raw, Str, reader, shapes};
use serde::Deserialize;

reader!(log_event, LogEvent);

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read")]
struct Geolocation {
    lat: Option<f64>,
    lon: Option<f64>,
}

shapes! { "camelCase";
    Geographical { city state country postal_code ; geolocation: Geolocation ; }
    Issuer { id r#type ; ; }
    Authentication { authentication_provider credential_provider credential_type external_session_id
        root_session_id interface ; authentication_step: i64 ; issuer: Issuer<'a> }
    ServiceCategory { operator r#type ; is_anonymous: bool ; }
    IpDetails { as_org domain isp ; as_number: i64 ; ip_service_categories: Vec<ServiceCategory<'a>> }
    RiskOf { level previous_level detection_name issuer ; ; reasons: Vec<Str<'a>> }
    Behavior { id name result ; ; }
    Security { as_org isp domain ; as_number: i64, is_proxy: bool ;
        ip_details: IpDetails<'a>, risk: RiskOf<'a>, user_behaviors: Vec<Behavior<'a>>, bot_protection: Open<'a> }
    ActorOf { id r#type alternate_id display_name ; ; detail_entry: Open<'a> }
    ChangeDetails { ; ; from: Open<'a>, to: Open<'a> }
    TargetOf { id r#type alternate_id display_name ; ; detail_entry: Open<'a>, change_details: ChangeDetails<'a> }
    OutcomeOf { result reason ; ; }
    UserAgent { raw_user_agent browser os ; ; }
    Client { ip_address zone device id ; ;
        user_agent: UserAgent<'a>, geographical_context: Geographical<'a> }
    Hop { ip version source ; ; geographical_context: Geographical<'a>, ip_details: IpDetails<'a> }
    Request { ; ; ip_chain: Vec<Hop<'a>> }
    DebugContext { ; ; debug_data: Open<'a> }
    TransactionOf { id r#type ; ; detail: Open<'a> }
    LogEvent { uuid published event_type version severity legacy_event_type display_message ; ;
        actor: ActorOf<'a>,
        target: Vec<TargetOf<'a>>,
        outcome: OutcomeOf<'a>,
        authentication_context: Authentication<'a>,
        client: Client<'a>,
        request: Request<'a>,
        security_context: Security<'a>,
        debug_context: DebugContext<'a>,
        transaction: TransactionOf<'a>,
        device: DeviceOf<'a> }
}

shapes! { "snake_case";
    DeviceOf { id name os_platform os_version screen_lock_type disk_encryption_type ;
        managed: bool, registered: bool, jailbreak: bool, secure_hardware_present: bool ;
        device_integrator: Raw<'a> }
}
