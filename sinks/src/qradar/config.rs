//! The keys of a qradar sink, and what they may be.

use super::message::{self, Form, Framing};
use crate::settings::{self, ClientKeys, Size, Span};
use schemars::JsonSchema;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use tidegate_core::source::SettingsError;
use tidegate_core::units;

/// IBM's ports: 514 for syslog over TCP and UDP, 6514 for TLS Syslog.
const PORT: u16 = 514;
const TLS_PORT: u16 = 6514;
/// QRadar takes 4,096 bytes over TCP and 1,024 over UDP unless its System Settings say more; a few are left for the
/// framing and for a relay's additions.
const TCP_MESSAGE: usize = 4_000;
const UDP_MESSAGE: usize = 1_000;
/// No line of LEEF with its header is sensible below this.
const LEAST_MESSAGE: usize = 300;
/// The largest payload of a datagram over IPv4.
const DATAGRAM: usize = 65_507;
/// Linux refuses a longer wait before the first probe.
const KEEPALIVE: Duration = Duration::from_secs(32_767);
/// Linux counts it in milliseconds of 31 bits.
const STALL: Duration = Duration::from_secs(86_400);
/// The room that a socket has for what was not acknowledged, as it is asked for. Linux takes twice as much.
pub(super) const SEND_BUFFER: usize = 256 << 10;

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Transport {
    /// A connection.
    #[default]
    Tcp,
    /// A connection with TLS.
    Tls,
    /// Datagrams.
    Udp,
}

/// The table as it is written.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    /// The receiver, `host` or `host:port`; the port is 514, with TLS 6514.
    pub(super) address: Option<String>,
    /// Several receivers, instead of `address`; a failed one is left alone for 30 s.
    pub(super) addresses: Vec<String>,
    /// How messages travel: `tcp`, `tls` or `udp`.
    pub(super) transport: Transport,
    /// File of PEM certificates: the authorities that are trusted instead of the system's; with `tls`.
    pub(super) ca: Option<PathBuf>,
    /// Who we are, where the receiver asks for it: `{ certificate, private_key }`, references to PEM; with `tls`.
    pub(super) client: Option<ClientKeys>,
    /// The name that the receiver's certificate must bear, where it is not the address; with `tls`.
    pub(super) server_name: Option<String>,
    /// The header before each document: `rfc5424` (IBM's short form), `rfc5424_full` or `rfc3164`.
    pub(super) header: Form,
    /// What ends a message on a connection: `newline`, or `octet` (RFC 6587: its length in bytes stands before it).
    pub(super) framing: Framing,
    /// The log source identifier of all that this sink sends. Without this key: one for each source of each tenant.
    pub(super) host: Option<String>,
    /// Syslog's facility, 0 to 23; 13 is "log audit".
    pub(super) facility: u8,
    /// Largest message in bytes, header included. Without this key: 4,000, with `udp` 1,000.
    pub(super) max_message_bytes: Option<Size>,
    /// Largest batch.
    pub(super) batch_bytes: Size,
    /// Most messages in a batch.
    pub(super) batch_count: usize,
    /// Longest time that a document waits for companions.
    pub(super) batch_age: Span,
    /// Batches that are sent and may not have left the replay tail.
    pub(super) in_flight: usize,
    /// A batch has left the replay tail when this much was sent behind it on the same connection.
    pub(super) tail_bytes: Size,
    /// A batch has left the replay tail when its connection has stayed well for this long.
    pub(super) tail_time: Span,
    /// A silent connection is probed after this long.
    pub(super) keepalive: Span,
    /// A connection is given up when probes, or what was sent, stay without an answer or unread for this long.
    pub(super) stall: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: None,
            addresses: Vec::new(),
            transport: Transport::Tcp,
            ca: None,
            client: None,
            server_name: None,
            header: Form::Rfc5424,
            framing: Framing::Newline,
            host: None,
            facility: 13,
            max_message_bytes: None,
            batch_bytes: Size(256 << 10),
            batch_count: 2_000,
            batch_age: Span(Duration::from_secs(1)),
            // 10 MiB: the tail, and what is written meanwhile.
            in_flight: 40,
            // What may sit in kernels: 512 KiB here (twice the send buffer), and at the receiver at most the 6 MiB of
            // Linux's `tcp_rmem` by default. What lies further back has been read.
            tail_bytes: Size(8 << 20),
            tail_time: Span(Duration::from_secs(5)),
            keepalive: Span(Duration::from_secs(30)),
            // As long as a busy receiver may pause, since giving up repeats the tail.
            stall: Span(Duration::from_secs(120)),
        }
    }
}

/// One receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// A name or an address, without the brackets of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What the keys come to.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) addresses: Vec<Address>,
    pub(super) max_message: usize,
    /// The log source identifier of each source that is known.
    pub(super) identifiers: HashMap<String, String>,
    pub(super) config: Config,
}

impl Options {
    pub(super) fn read(
        tenant: &str,
        sources: &[String],
        table: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, SettingsError> {
        let config: Config = settings::read(table)?;
        let addresses = config.receivers()?;
        let max_message = config.checked()?;
        let mut identifiers = HashMap::new();
        for source in sources {
            let name = config.identifier(source, tenant).map_err(|why| SettingsError::new("host", why))?;
            identifiers.insert(source.clone(), name);
        }
        Ok(Self { addresses, max_message, identifiers, config })
    }
}

impl Config {
    /// The log source identifier of a source's events.
    pub(super) fn identifier(&self, source: &str, tenant: &str) -> Result<String, String> {
        self.host.clone().map_or_else(|| message::identifier(source, tenant), Ok)
    }

    fn max_message(&self) -> Size {
        self.max_message_bytes.unwrap_or(match self.transport {
            Transport::Udp => Size(UDP_MESSAGE),
            Transport::Tcp | Transport::Tls => Size(TCP_MESSAGE),
        })
    }

    /// Batches that may be out at the same time. Datagrams have no tail that they could wait in.
    pub(super) fn batches_at_once(&self) -> usize {
        if self.transport == Transport::Udp { 1 } else { self.in_flight }
    }

    fn port(&self) -> u16 {
        if self.transport == Transport::Tls { TLS_PORT } else { PORT }
    }

    /// What depends on other keys: ports, the bound of a message, and that datagrams have no connection to look after.
    pub(super) fn fill_in(&self, table: &Map<String, Value>, filled: &mut Map<String, Value>) {
        let complete = |text: &String| {
            address(text, self.port()).map_or_else(|_| text.clone(), |address| address.to_string())
        };
        if let Some(one) = &self.address {
            filled.insert("address".to_owned(), complete(one).into());
        }
        if !self.addresses.is_empty() {
            filled.insert("addresses".to_owned(), self.addresses.iter().map(complete).collect());
        }
        let mut unset = |key: &str, value: Value| {
            if !table.contains_key(key) {
                filled.insert(key.to_owned(), value);
            }
        };
        unset("max_message_bytes", units::size_text(self.max_message().0 as u64).into());
        if self.transport == Transport::Udp {
            unset("in_flight", self.batches_at_once().into());
            for key in ["framing", "tail_bytes", "tail_time", "keepalive", "stall"] {
                filled.remove(key);
            }
        }
    }

    fn receivers(&self) -> Result<Vec<Address>, SettingsError> {
        let (key, texts) = match (&self.address, self.addresses.as_slice()) {
            (Some(_), [_, ..]) => {
                return Err(SettingsError::new("addresses", "`address` is there too; keep one of them"));
            }
            (Some(one), []) => ("address", std::slice::from_ref(one)),
            (None, several) => ("addresses", several),
        };
        if texts.is_empty() {
            let missing = "is missing: the receiver, such as \"qradar.example.com:6514\"";
            return Err(SettingsError::new("address", missing));
        }
        texts
            .iter()
            .map(|text| address(text, self.port()).map_err(|why| SettingsError::new(key, why)))
            .collect()
    }

    /// Checks what one key's type cannot; the bound of a message.
    fn checked(&self) -> Result<usize, SettingsError> {
        let wrong = |key: &str, message: String| Err(SettingsError::new(key, message));
        if self.transport != Transport::Tls {
            for (key, given) in [
                ("ca", self.ca.is_some()),
                ("client", self.client.is_some()),
                ("server_name", self.server_name.is_some()),
            ] {
                if given {
                    return wrong(key, "is for `transport = \"tls\"` only".to_owned());
                }
            }
        }
        if let Some(name) = &self.server_name
            && tokio_rustls::rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
        {
            return wrong("server_name", format!("{name:?} is neither a host's name nor an address"));
        }
        if self.transport == Transport::Udp && self.framing == Framing::Octet {
            return wrong("framing", "a datagram holds one message and needs no framing".to_owned());
        }
        if let Some(host) = &self.host {
            message::check_identifier(host).map_err(|why| SettingsError::new("host", why))?;
        }
        if self.facility > 23 {
            return wrong("facility", format!("{} is not one; accepted are 0 to 23", self.facility));
        }
        let most = match self.transport {
            Transport::Udp => DATAGRAM,
            Transport::Tcp | Transport::Tls => 1 << 20,
        };
        let max_message = self.max_message().0;
        if !(LEAST_MESSAGE..=most).contains(&max_message) {
            return wrong("max_message_bytes", format!("must be from {LEAST_MESSAGE}B to {most}B"));
        }
        for (key, number) in [
            ("batch_bytes", self.batch_bytes.0),
            ("batch_count", self.batch_count),
            ("in_flight", self.in_flight),
            ("tail_time", usize::from(!self.tail_time.0.is_zero())),
            ("keepalive", usize::from(self.keepalive.0 >= Duration::from_secs(1))),
            ("stall", usize::from(self.stall.0 >= Duration::from_secs(1))),
        ] {
            if number == 0 {
                let least = if matches!(key, "keepalive" | "stall") {
                    "at least \"1s\""
                } else {
                    "more than nothing"
                };
                return wrong(key, format!("must be {least}"));
            }
        }
        for (key, fits, most) in [
            ("batch_bytes", self.batch_bytes.0 <= 16 << 20, "\"16MiB\""),
            ("batch_count", self.batch_count <= 100_000, "100000"),
            // All of these are in memory.
            ("in_flight", self.in_flight <= 1_024, "1024"),
            ("tail_time", self.tail_time.0 <= Duration::from_secs(3_600), "\"1h\""),
            ("keepalive", self.keepalive.0 <= KEEPALIVE, "\"32767s\""),
            ("stall", self.stall.0 <= STALL, "\"24h\""),
        ] {
            if !fits {
                return wrong(key, format!("must be at most {most}"));
            }
        }
        if self.tail_bytes.0 < 2 * SEND_BUFFER {
            return wrong(
                "tail_bytes",
                "must be at least \"512KiB\", which may still lie in our own socket".to_owned(),
            );
        }
        Ok(max_message)
    }
}

fn address(text: &str, port: u16) -> Result<Address, String> {
    let wrong = || {
        format!(
            "{text:?} is not a receiver; write \"qradar.example.com\", \"192.0.2.10:514\" or \"[2001:db8::1]:514\""
        )
    };
    let authority: http::uri::Authority = text.parse().map_err(|_| wrong())?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    // A user's name would be a credential, which syslog has no place for; a colon without a number behind it is a slip.
    let rest = text.strip_prefix(authority.host()).unwrap_or("@");
    let port = match (rest, authority.port_u16()) {
        ("", _) => port,
        (_, Some(port)) if port > 0 && rest.starts_with(':') => port,
        _ => return Err(wrong()),
    };
    if tokio_rustls::rustls::pki_types::ServerName::try_from(host).is_err() {
        return Err(wrong());
    }
    Ok(Address { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(table: &str) -> Result<Options, SettingsError> {
        Options::read("acme", &["okta".to_owned()], &serde_json::from_str(table).unwrap())
    }

    #[test]
    fn the_readme_lists_every_key_as_it_is() {
        let readme = include_str!("README.md");
        settings::check_option_table::<Config>(readme, &schemars::schema_for!(Config), serde_json::json!({}));
    }

    #[test]
    fn a_port_that_is_not_said_is_that_of_the_transport() {
        for (table, expected) in [
            (r#"{"address":"qradar.example.com"}"#, "qradar.example.com:514"),
            (r#"{"address":"qradar.example.com","transport":"tls"}"#, "qradar.example.com:6514"),
            (r#"{"address":"192.0.2.10:1514"}"#, "192.0.2.10:1514"),
            (r#"{"address":"[2001:db8::1]:1514"}"#, "[2001:db8::1]:1514"),
            (r#"{"addresses":["[2001:db8::1]"]}"#, "[2001:db8::1]:514"),
        ] {
            assert_eq!(read(table).unwrap().addresses[0].to_string(), expected, "{table}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_key() {
        for (more, key) in [
            (r#""transport":"dtls""#, "transport"),
            (r#""ca":"x.pem""#, "ca"),
            (r#""server_name":"a""#, "server_name"),
            (r#""transport":"tls","server_name":"a b""#, "server_name"),
            (r#""transport":"tls","client":{"certificate":"file:/c","private_key":"-----BEGIN"}"#, "client"),
            (r#""transport":"tls","client":{"certificate":"file:/c"}"#, "client"),
            (r#""transport":"udp","framing":"octet""#, "framing"),
            (r#""header":"cef""#, "header"),
            (r#""framing":"nul""#, "framing"),
            (r#""host":"a b""#, "host"),
            (r#""host":"2001:db8::1""#, "host"),
            (r#""facility":24"#, "facility"),
            (r#""max_message_bytes":4000"#, "max_message_bytes"),
            (r#""max_message_bytes":"299B""#, "max_message_bytes"),
            (r#""transport":"udp","max_message_bytes":"64KiB""#, "max_message_bytes"),
            (r#""batch_bytes":"0B""#, "batch_bytes"),
            (r#""batch_count":0"#, "batch_count"),
            (r#""in_flight":0"#, "in_flight"),
            (r#""tail_bytes":"511KiB""#, "tail_bytes"),
            (r#""tail_time":"0s""#, "tail_time"),
            (r#""keepalive":"10ms""#, "keepalive"),
            (r#""stall":"10ms""#, "stall"),
            (r#""batch_count":100001"#, "batch_count"),
            (r#""in_flight":1025"#, "in_flight"),
            (r#""tail_time":"2h""#, "tail_time"),
            (r#""keepalive":"10h""#, "keepalive"),
            (r#""stall":"25h""#, "stall"),
            (r#""addresses":["b"]"#, "addresses"),
            (r#""port":514"#, "port"),
        ] {
            let error = read(&format!(r#"{{"address":"qradar.example.com",{more}}}"#)).unwrap_err();
            assert_eq!(error.key, key, "{error}");
            assert!(!error.to_string().contains("BEGIN"), "{error}");
        }
        for text in ["", "a b", "u:p@a", "a:", "a:0", "a:99999", "tcp://a:514", "a/b", ":514", "2001:db8::1"]
        {
            let error = read(&format!(r#"{{"address":{text:?}}}"#)).unwrap_err();
            assert_eq!(error.key, "address", "{text}: {error}");
        }
        assert_eq!(read("{}").unwrap_err().key, "address");
        assert_eq!(read(r#"{"addresses":[]}"#).unwrap_err().key, "address");
    }
}
