//! The yardstick of all benchmarks: reading a System Log record with serde into one struct with every member, without
//! writing anything. Shared by the bench of this package and by that of the whole program.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Reads a record and drops it.
pub(crate) fn read(record: &[u8]) {
    std::hint::black_box(serde_json::from_slice::<LogEvent<'_>>(std::hint::black_box(record)).unwrap());
}

type Str<'a> = Option<Cow<'a, str>>;

/// An open map: its keys, and the raw text of its values.
#[derive(Default)]
struct Open<'a>(#[expect(dead_code, reason = "only read")] Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Open<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> serde::de::Visitor<'de> for Visit {
            type Value = Open<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Open<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Key<'k>(#[serde(borrow)] Cow<'k, str>);
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(Open(members))
            }
        }
        from.deserialize_map(Visit)
    }
}

macro_rules! typed {
    ($($name:ident { $($strings:ident)* ; $($field:ident: $type:ty),* })*) => {$(
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[expect(dead_code, reason = "only read")]
        struct $name<'a> {
            $(#[serde(borrow, default)] $strings: Str<'a>,)*
            $(#[serde(borrow, default)] $field: $type,)*
        }
    )*};
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read")]
struct Geolocation {
    lat: Option<f64>,
    lon: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only read")]
struct Security<'a> {
    as_number: Option<i64>,
    is_proxy: Option<bool>,
    #[serde(borrow)]
    as_org: Str<'a>,
    #[serde(borrow)]
    isp: Str<'a>,
    #[serde(borrow)]
    domain: Str<'a>,
    #[serde(borrow, default)]
    ip_details: Option<IpDetails<'a>>,
    #[serde(borrow, default)]
    risk: Option<RiskOf<'a>>,
    #[serde(borrow, default)]
    user_behaviors: Option<Vec<Behavior<'a>>>,
    #[serde(borrow, default)]
    bot_protection: Option<Open<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only read")]
struct Geographical<'a> {
    #[serde(borrow)]
    city: Str<'a>,
    #[serde(borrow)]
    state: Str<'a>,
    #[serde(borrow)]
    country: Str<'a>,
    #[serde(borrow)]
    postal_code: Str<'a>,
    geolocation: Option<Geolocation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only read")]
struct Authentication<'a> {
    authentication_step: Option<i64>,
    #[serde(borrow)]
    authentication_provider: Str<'a>,
    #[serde(borrow)]
    credential_provider: Str<'a>,
    #[serde(borrow)]
    credential_type: Str<'a>,
    #[serde(borrow)]
    external_session_id: Str<'a>,
    #[serde(borrow, default)]
    root_session_id: Str<'a>,
    #[serde(borrow)]
    interface: Str<'a>,
    #[serde(borrow)]
    issuer: Option<Issuer<'a>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read")]
struct DeviceOf<'a> {
    #[serde(borrow)]
    id: Str<'a>,
    #[serde(borrow)]
    name: Str<'a>,
    #[serde(borrow)]
    os_platform: Str<'a>,
    #[serde(borrow)]
    os_version: Str<'a>,
    managed: Option<bool>,
    registered: Option<bool>,
    jailbreak: Option<bool>,
    secure_hardware_present: Option<bool>,
    #[serde(borrow)]
    screen_lock_type: Str<'a>,
    #[serde(borrow)]
    disk_encryption_type: Str<'a>,
    #[serde(borrow)]
    device_integrator: Option<&'a RawValue>,
}

typed! {
    Issuer { id r#type ; }
    IpDetails { as_org domain isp ; ip_service_categories: Option<Vec<Open<'a>>> }
    RiskOf { level previous_level detection_name issuer ; reasons: Option<Vec<Cow<'a, str>>> }
    Behavior { id name result ; }
    ActorOf { id r#type alternate_id display_name ; detail_entry: Option<Open<'a>> }
    ChangeDetails { ; from: Option<Open<'a>>, to: Option<Open<'a>> }
    TargetOf { id r#type alternate_id display_name ;
        detail_entry: Option<Open<'a>>, change_details: Option<ChangeDetails<'a>> }
    OutcomeOf { result reason ; }
    UserAgent { raw_user_agent browser os ; }
    Client { ip_address zone device id ;
        user_agent: Option<UserAgent<'a>>, geographical_context: Option<Geographical<'a>> }
    Hop { ip version source ;
        geographical_context: Option<Geographical<'a>>, ip_details: Option<IpDetails<'a>> }
    Request { ; ip_chain: Option<Vec<Hop<'a>>> }
    DebugContext { ; debug_data: Option<Open<'a>> }
    TransactionOf { id r#type ; detail: Option<Open<'a>> }
    LogEvent { uuid published event_type version severity legacy_event_type display_message ;
        actor: Option<ActorOf<'a>>,
        target: Option<Vec<TargetOf<'a>>>,
        outcome: Option<OutcomeOf<'a>>,
        authentication_context: Option<Authentication<'a>>,
        client: Option<Client<'a>>,
        request: Option<Request<'a>>,
        security_context: Option<Security<'a>>,
        debug_context: Option<DebugContext<'a>>,
        transaction: Option<TransactionOf<'a>>,
        device: Option<DeviceOf<'a>> }
}
