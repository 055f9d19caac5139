//! What tests of all connectors share.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::Value as Json;

/// Strict JSON: no half surrogate pairs, no key twice in an object.
pub(crate) fn strict(text: &str) -> Json {
    struct Once(Json);
    impl<'de> serde::Deserialize<'de> for Once {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Visit;
            impl<'de> serde::de::Visitor<'de> for Visit {
                type Value = Json;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("JSON")
                }
                fn visit_bool<E>(self, v: bool) -> Result<Json, E> {
                    Ok(v.into())
                }
                fn visit_i64<E>(self, v: i64) -> Result<Json, E> {
                    Ok(v.into())
                }
                fn visit_u64<E>(self, v: u64) -> Result<Json, E> {
                    Ok(v.into())
                }
                fn visit_f64<E>(self, v: f64) -> Result<Json, E> {
                    Ok(v.into())
                }
                fn visit_str<E>(self, v: &str) -> Result<Json, E> {
                    Ok(v.into())
                }
                fn visit_unit<E>(self) -> Result<Json, E> {
                    Ok(Json::Null)
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                    let mut list = Vec::new();
                    while let Some(Once(value)) = seq.next_element()? {
                        list.push(value);
                    }
                    Ok(list.into())
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                    let mut object = serde_json::Map::new();
                    while let Some((key, Once(value))) = map.next_entry::<String, Once>()? {
                        assert!(!object.contains_key(&key), "{key} comes twice");
                        object.insert(key, value);
                    }
                    Ok(object.into())
                }
            }
            from.deserialize_any(Visit).map(Once)
        }
    }
    serde_json::from_str::<Once>(text).unwrap_or_else(|error| panic!("{error}: {text}")).0
}
