//! Connections to a receiver: names, sockets, TLS.

use super::config::{Address, Config, SEND_BUFFER, Transport};
use crate::nodes::REST;
use crate::settings;
use chrono::{DateTime, Utc};
use rustls_platform_verifier::BuilderVerifierExt as _;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::distrusted;
use tidegate_core::http::resolve::resolve;
use tidegate_core::sink::DeliverError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, AlertDescription, ClientConfig};

/// How long a name, a connection and a handshake may take, each: what connecting takes with every other destination.
const CONNECT: Duration = Duration::from_secs(10);
/// Between probes of a silent connection. How many may stay without an answer is not counted: `stall` says how long.
const BETWEEN_PROBES: Duration = Duration::from_secs(10);

/// What a message is written to.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection, and its two ends.
pub(super) struct Connection {
    pub(super) stream: Box<dyn Stream>,
    pub(super) ends: Option<Ends>,
}

/// Our address and the receiver's: by them the system knows the connection.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// What the receiver's kernel has acknowledged of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// All but so many bytes (an end of ours counts as one).
    AllBut(u64),
    /// The connection is gone, and what it had not acknowledged with it.
    Gone,
    /// The system does not say.
    Unknown,
}

/// What Linux's table of sockets says of a connection. It is read rarely: with thousands of sockets it takes a millisecond.
#[cfg(target_os = "linux")]
pub(super) async fn acknowledged(ends: Option<Ends>) -> Acknowledged {
    let Some((ours, theirs)) = ends else { return Acknowledged::Unknown };
    let table = move || if ours.is_ipv4() { procfs::net::tcp() } else { procfs::net::tcp6() };
    let Ok(Ok(table)) = tokio::task::spawn_blocking(table).await else { return Acknowledged::Unknown };
    // The table has no scopes of IPv6.
    let plain = |end: SocketAddr| (end.ip(), end.port());
    let is_ours = |local, remote| (plain(local), plain(remote)) == (plain(ours), plain(theirs));
    match table.iter().find(|entry| is_ours(entry.local_address, entry.remote_address)) {
        Some(entry) => Acknowledged::AllBut(u64::from(entry.tx_queue)),
        None => Acknowledged::Gone,
    }
}

/// There is no such table.
#[cfg(not(target_os = "linux"))]
pub(super) async fn acknowledged(_: Option<Ends>) -> Acknowledged {
    Acknowledged::Unknown
}

/// Opens a connection to this receiver, with TLS where that is configured.
pub(super) async fn open(
    config: &Config,
    address: &Address,
    now: DateTime<Utc>,
) -> Result<Connection, DeliverError> {
    let tcp = tcp(config, address).await.map_err(|error| retry(unreachable(address, &error)))?;
    let mut ends = tcp.local_addr().ok().zip(tcp.peer_addr().ok());
    // A table that lacks it now (a sandbox has one of its own) says nothing when it lacks it later.
    if acknowledged(ends).await == Acknowledged::Gone {
        ends = None;
    }
    if config.transport != Transport::Tls {
        return Ok(Connection { stream: Box::new(tcp), ends });
    }
    let renewed = || config.client.as_ref().is_some_and(|client| client.renewed(now));
    let connector = match connector(config) {
        Err(_) if renewed() => connector(config),
        made => made,
    };
    let connector = connector.map_err(|cause| DeliverError::Halt { cause })?;
    let name = config.server_name.as_deref().unwrap_or(&address.host).to_owned();
    let name = ServerName::try_from(name).map_err(|error| {
        let cause = Fault::new(FaultKind::Configuration, format!("{address}: {error}"));
        DeliverError::Halt {
            cause: cause.remedy("set `server_name` to the name in the receiver's certificate"),
        }
    })?;
    match timeout(CONNECT, connector.connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok(Connection { stream: Box::new(stream), ends }),
        Ok(Err(error)) => Err(broken(config, address, &error, now)),
        Err(_) => Err(retry(Fault::new(
            FaultKind::Network,
            format!("{address}: no TLS handshake within {} s", CONNECT.as_secs()),
        ))),
    }
}

/// Addresses of names that refused datagrams lately.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Vec<(SocketAddr, Instant)>>);

impl Refusals {
    pub(super) fn add(&self, refused: SocketAddr) {
        let mut all = self.lately();
        all.retain(|(address, _)| *address != refused);
        all.push((refused, Instant::now()));
    }

    /// Whether all of these refused lately.
    pub(super) fn has_all(&self, addresses: &[SocketAddr]) -> bool {
        let all = self.lately();
        addresses.iter().all(|address| all.iter().any(|(refused, _)| refused == address))
    }

    /// In the order in which they are to be tried: as they came, and last those that refused lately, the first first.
    fn sort(&self, addresses: &mut [SocketAddr]) {
        let all = self.lately();
        addresses.sort_by_key(|address| all.iter().position(|(refused, _)| refused == address));
    }

    fn lately(&self) -> MutexGuard<'_, Vec<(SocketAddr, Instant)>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, since)| since.elapsed() < REST);
        all
    }
}

/// A socket whose datagrams go to the first of these addresses of the receiver that did not refuse lately, and which that
/// is. Opening it asks nobody: only a datagram that was sent can be refused.
pub(super) async fn datagrams(
    address: &Address,
    mut to: Vec<SocketAddr>,
    refusals: &Refusals,
) -> Result<(UdpSocket, SocketAddr), DeliverError> {
    refusals.sort(&mut to);
    let open = async {
        let mut last = None;
        for to in to {
            let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
            let socket = UdpSocket::bind(any).await?;
            match socket.connect(to).await {
                Ok(()) => return Ok((socket, to)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_address))
    };
    let opened = timeout(CONNECT, open).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    opened.map_err(|error| retry(unreachable(address, &error)))
}

/// What an error on a connection means: the receiver refuses our certificate, is not who it should be, or is gone.
pub(super) fn broken(
    config: &Config,
    address: &Address,
    error: &io::Error,
    now: DateTime<Utc>,
) -> DeliverError {
    let Some(tls) = error.get_ref().and_then(|inside| inside.downcast_ref::<rustls::Error>()) else {
        return retry(Fault::new(FaultKind::Network, format!("{address}: the connection broke: {error}")));
    };
    let fault = |kind, what: &str| Fault::new(kind, format!("{address}: {what}: {tls}"));
    match tls {
        rustls::Error::InvalidCertificate(why) => {
            let remedy = distrusted(&format!("{why:?}")).unwrap_or(
                "put its authority's certificate into `ca`, or the name in the certificate into `server_name`",
            );
            let cause = fault(FaultKind::Network, "the receiver's certificate is not trusted");
            DeliverError::Halt { cause: cause.remedy(remedy) }
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => {
            let cause = fault(FaultKind::Credential, "the receiver refuses our certificate");
            // It may have been renewed on the disk since it was read.
            if config.client.as_ref().is_some_and(|client| client.renewed(now)) {
                return retry(cause);
            }
            DeliverError::Halt {
                cause: cause.remedy(
                    "set `client` to a certificate, and its key, that the receiver's authority has signed",
                ),
            }
        }
        _ => retry(fault(FaultKind::Network, "TLS failed")),
    }
}

pub(super) fn retry(cause: Fault) -> DeliverError {
    DeliverError::Retry { after: None, cause }
}

pub(super) fn unreachable(address: &Address, error: &io::Error) -> Fault {
    Fault::new(FaultKind::Network, format!("{address}: cannot connect: {error}"))
        .remedy("see that the receiver listens there and that no firewall is between")
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

/// The addresses of a receiver's name, in the system's order.
pub(super) async fn addresses(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut found = timeout(CONNECT, resolve(address.host.clone())).await.map_err(late)??;
    for one in &mut found {
        one.set_port(address.port);
    }
    Ok(found)
}

async fn tcp(config: &Config, address: &Address) -> io::Result<TcpStream> {
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let all = addresses(address).await?;
    let mut last = None;
    for one in all {
        match timeout(CONNECT, TcpStream::connect(one)).await.unwrap_or_else(|_| Err(late())) {
            Ok(stream) => {
                prepare(config, &stream)?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_address))
}

/// Nagle's algorithm stays on: batches are written as a whole, and nobody waits for an answer.
fn prepare(config: &Config, stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(false)?;
    // Fixed, so that what may lie in it is known; it would grow to 4 MiB by itself.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    let probes = TcpKeepalive::new().with_time(config.keepalive.0).with_interval(BETWEEN_PROBES);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(config.stall.0))?;
    Ok(())
}

fn connector(config: &Config) -> Result<TlsConnector, Fault> {
    let wrong = |key: &str, what: String| Fault::new(FaultKind::Configuration, format!("{key}: {what}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("transport", error.to_string()))?;
    let builder = match &config.ca {
        Some(path) => builder.with_root_certificates(settings::authorities(path)?),
        None => builder.with_platform_verifier().map_err(|error| {
            wrong("ca", format!("this system has no authorities of its own: {error}"))
                .remedy("set `ca` to a file with the certificate of the receiver's authority")
        })?,
    };
    let tls = match &config.client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let (chain, key) = client.identity()?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                Fault::new(FaultKind::Credential, format!("client: the certificate cannot be used: {error}"))
                    .remedy("see that `private_key` is the key of `certificate`")
            })?
        }
    };
    Ok(TlsConnector::from(Arc::new(tls)))
}
