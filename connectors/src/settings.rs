//! What the connectors' own keys of a `source` table have in common.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use tidegate_core::secret::{SecretError, SecretRef};
use tidegate_core::source::SettingsError;
use url::{Host, Url};

/// Reads a connector's table whose credential stands under `auth`; an error names the key, also one below `auth`.
/// `accepted` says which forms of `auth` there are.
pub(crate) fn read_with_auth<T: DeserializeOwned, A: DeserializeOwned>(
    table: &Map<String, Json>,
    accepted: &str,
) -> Result<T, SettingsError> {
    // serde's message for a wrong type prints the value, which under `auth` may be a secret.
    if table.get("auth").is_some_and(|auth| !auth.is_object()) {
        return Err(SettingsError::new("auth", format!("not a table; {accepted}")));
    }
    read(table).map_err(|mut error| {
        if error.key == "auth"
            && let Some(Json::Object(auth)) = table.get("auth")
            && let Err(inner) = read::<A>(auth)
        {
            error = SettingsError::new(format!("auth.{}", inner.key), inner.message);
        }
        error
    })
}

/// Reads a table, and on an error finds the key that it is about: the one that cannot be read alone.
pub(crate) fn read<T: DeserializeOwned>(table: &Map<String, Json>) -> Result<T, SettingsError> {
    let error = match serde_json::from_value(Json::Object(table.clone())) {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    for (key, value) in table {
        let alone = Json::Object(Map::from_iter([(key.clone(), value.clone())]));
        if let Err(error) = serde_json::from_value::<T>(alone) {
            return Err(SettingsError::new(key.as_str(), error.to_string()));
        }
    }
    Err(SettingsError::new("", error.to_string()))
}

/// An address to which credentials go: https (http only on this machine), a host, nothing behind it.
pub(crate) fn origin(key: &str, text: Option<&str>, example: &str) -> Result<Url, SettingsError> {
    let wrong = |message: String| SettingsError::new(key, message);
    let text = text.ok_or_else(|| wrong(format!("missing; write \"{example}\"")))?;
    let mut url = Url::parse(text).map_err(|error| wrong(format!("{error}; write \"{example}\"")))?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("names a user; write only https:// and the host".to_owned()));
    }
    match url.scheme() {
        "https" => {}
        "http" if here => {}
        "http" => {
            let host = url.host_str().unwrap_or_default();
            return Err(wrong(format!("unencrypted; write \"https://{host}\"")));
        }
        _ => return Err(wrong("the scheme is not https".to_owned())),
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        let origin = url.origin().ascii_serialization();
        return Err(wrong(format!("has a path or a query; write \"{origin}\"")));
    }
    url.set_path("/");
    Ok(url)
}

/// A variable that is not set stays so until a restart, so it is an error of the configuration; a file may still come.
pub(crate) fn set(key: &str, secret: Option<&SecretRef>) -> Result<(), SettingsError> {
    match secret.map(SecretRef::read) {
        Some(Err(error @ SecretError::NotSet(_))) => Err(SettingsError::new(key, error.to_string())),
        _ => Ok(()),
    }
}
