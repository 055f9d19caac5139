//! Google Workspace's activities, the same for all applications, and alerts.

use super::{Open, Str, reader, shapes};
use serde::Deserialize;

reader!(activity, Activity);
reader!(alert, Alert);

shapes! { "camelCase";
    Id { time unique_qualifier application_name customer_id ; ; }
    ApplicationInfo { oauth_client_id application_name ; impersonation: bool ; }
    Owner { email ; ; }
    AgentInfo { agent_id agent_name agent_type ; ; agent_owner: Owner<'a> }
    Actor { caller_type email profile_id key ; ;
        application_info: ApplicationInfo<'a>, agent_attribution_info: AgentInfo<'a> }
    NetworkInfo { region_code subdivision_code ; ip_asn: Vec<i64> ; }
    DeviceInfo { device_id device_type device_os_version ; ; }
    Message { ; ; parameter: Vec<Parameter<'a>> }
    Parameter { name value int_value ; bool_value: bool ;
        multi_value: Vec<Str<'a>>,
        multi_int_value: Vec<Str<'a>>,
        message_value: Message<'a>,
        multi_message_value: Vec<Message<'a>> }
    Status { event_status error_code error_message ; http_status_code: i64 ; }
    Event { r#type name ; ; parameters: Vec<Parameter<'a>>, resource_ids: Vec<Str<'a>>, status: Status<'a> }
    OwnerDetails { owner_type ; ; owner_identity: Vec<Str<'a>> }
    Resource { id title r#type ; ; owner_details: OwnerDetails<'a> }
    Activity { kind etag owner_domain ip_address ; is_agentic_action: bool ;
        id: Id<'a>,
        actor: Actor<'a>,
        network_info: NetworkInfo<'a>,
        user_device_info: DeviceInfo<'a>,
        events: Vec<Event<'a>>,
        resource_details: Vec<Resource<'a>> }
    Metadata { customer_id alert_id status assignee update_time severity etag ; ; }
    Alert { customer_id alert_id create_time start_time end_time r#type source security_investigation_tool_link
        update_time etag ; ;
        // Each type of alert has its own.
        data: Open<'a>,
        metadata: Metadata<'a> }
}
