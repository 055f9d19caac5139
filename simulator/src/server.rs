//! Puts a stand-in on a socket: HTTP/1.1 with or without TLS, playing faults on the wire.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::answer::{Answer, BodyFault, Handler, InFlight};
use crate::control::LONGEST_WAIT;

/// Largest request body that is read at all.
const LARGEST_REQUEST: usize = 256 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;
/// How long a connection may wait for its next request: nginx's `keepalive_timeout` by default. The library's own 30 s are
/// shorter than any common server's.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Why a stand-in could not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be read or written.
    #[error("cannot use file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The certificate could not be made.
    #[error("cannot make the certificate: {0}")]
    Certificate(String),
}

/// A certificate authority made on the spot, and a server certificate of it for `localhost`, 127.0.0.1 and ::1.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    ca_pem: String,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Makes a new authority and certificate. The keys live in memory only.
    pub fn self_made() -> Result<Self, SimulatorError> {
        let failed = |error: rcgen::Error| SimulatorError::Certificate(error.to_string());
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "Tidegate simulator CA");
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().map_err(failed)?).map_err(failed)?;
        let mut server = CertificateParams::new(vec!["localhost".to_owned()]).map_err(failed)?;
        server.distinguished_name.push(DnType::CommonName, "localhost");
        server.subject_alt_names.push(SanType::IpAddress(IpAddr::from([127, 0, 0, 1])));
        server.subject_alt_names.push(SanType::IpAddress(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])));
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = server.signed_by(&key, &authority).map_err(failed)?;
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| SimulatorError::Certificate(error.to_string()))?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem: authority.pem() })
    }

    /// The authority's certificate, for clients to trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Writes `ca.pem` into a directory (made if missing) and returns its path.
    pub fn write_ca(&self, directory: &Path) -> Result<PathBuf, SimulatorError> {
        let path = directory.join("ca.pem");
        std::fs::create_dir_all(directory)
            .and_then(|()| std::fs::write(&path, &self.ca_pem))
            .map_err(|source| SimulatorError::File { path: path.clone(), source })?;
        Ok(path)
    }
}

/// A running server. Dropping it ends the server.
#[derive(Debug)]
pub struct ServerHandle {
    /// Scheme, host and port, without a trailing slash.
    pub url: String,
    /// The bound address.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl ServerHandle {
    /// Ends the server and its connections at once, and waits until it has ended.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        // A task that panicked has ended as well.
        let _ = self.task.await;
    }

    /// Waits until the server ends by itself, which it does not do before [`ServerHandle::shutdown`].
    pub async fn wait(&mut self) {
        let _ = (&mut self.task).await;
    }
}

/// Binds an address (port 0 takes a free one) and serves.
pub async fn serve<H: Handler>(
    handler: H,
    address: SocketAddr,
    tls: Option<Tls>,
) -> Result<ServerHandle, SimulatorError> {
    let bind = |source| SimulatorError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    serve_on(handler, listener, tls)
}

/// Serves on a bound listener. Links and audiences then use its address.
pub fn serve_on<H: Handler>(
    handler: H,
    listener: TcpListener,
    tls: Option<Tls>,
) -> Result<ServerHandle, SimulatorError> {
    let address = listener
        .local_addr()
        .map_err(|source| SimulatorError::Bind { address: SocketAddr::from(([0, 0, 0, 0], 0)), source })?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    handler.set_base_url(&url);
    let (stop, mut stopped) = watch::channel(false);
    let connections = stopped.clone();
    let task = tokio::spawn(async move {
        let in_flight = Arc::new(AtomicUsize::new(0));
        loop {
            tokio::select! {
                // Told to stop, or the handle is gone.
                _ = stopped.wait_for(|stop| *stop) => return,
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let connection = Connection {
                        handler: handler.clone(),
                        tls: tls.clone(),
                        in_flight: in_flight.clone(),
                    };
                    tokio::spawn(connection.run(stream, connections.clone()));
                }
            }
        }
    });
    Ok(ServerHandle { url, address, stop, task })
}

struct Connection<H> {
    handler: H,
    tls: Option<Tls>,
    in_flight: Arc<AtomicUsize>,
}

impl<H: Handler> Connection<H> {
    async fn run(self, stream: TcpStream, mut stopped: watch::Receiver<bool>) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| answer(&self.handler, &self.in_flight, request));
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).keep_alive(true).header_read_timeout(KEEP_ALIVE);
        // A client that goes away, or a fault that cuts the connection, is no error of the server.
        match &self.tls {
            None => tokio::select! {
                _ = http.serve_connection(TokioIo::new(stream), service) => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            },
            Some(tls) => {
                let Ok(stream) = tls.acceptor.accept(stream).await else { return };
                tokio::select! {
                    _ = http.serve_connection(TokioIo::new(stream), service) => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            }
        }
    }
}

type Body = BoxBody<Bytes, std::io::Error>;

async fn answer<H: Handler>(
    handler: &H,
    in_flight: &AtomicUsize,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_REQUEST).collect().await.map_err(std::io::Error::other)?.to_bytes();
    let mut request = Request::from_parts(parts, body);
    if request.uri().path() == "/_sim/wait" {
        let reached = handler.notices().wait(LONGEST_WAIT).await;
        let answer = Answer::json(http::StatusCode::OK, &json!({"reached": reached}));
        return play(answer).await;
    }
    request.extensions_mut().insert(InFlight(in_flight.fetch_add(1, Ordering::SeqCst) + 1));
    let _leave = Leave(in_flight);
    play(handler.handle(&request, Utc::now())).await
}

struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An error here closes the connection without an answer.
async fn play(answer: Answer) -> Result<Response<Body>, std::io::Error> {
    let Answer { status, headers, body, fault } = answer;
    let full = |body: Bytes| Full::new(body).map_err(|never: Infallible| match never {}).boxed();
    let length = body.len();
    let mut response = match fault {
        Some(BodyFault::DropBeforeAnswer) => return Err(std::io::Error::other("dropped on purpose")),
        Some(BodyFault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            Response::new(full(body))
        }
        None => Response::new(full(body)),
        Some(BodyFault::CutAfter(bytes)) => {
            let start = body.slice(..bytes.min(length));
            let frames = [Ok(Frame::data(start)), Err(std::io::Error::other("cut on purpose"))];
            // Between the two the start must leave, or hyper would drop it with the connection.
            let frames = stream::unfold(frames.into_iter().enumerate(), |mut frames| async {
                let (at, frame) = frames.next()?;
                if at > 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Some((frame, frames))
            });
            let mut response = Response::new(streamed(frames));
            response.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
            response
        }
        Some(BodyFault::SlowBody { bytes_per_s }) => {
            let step = usize::try_from(bytes_per_s / 10).unwrap_or(CHUNK).max(1);
            let frames = stream::unfold(body, move |mut rest| async move {
                if rest.is_empty() {
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                let chunk = rest.split_to(step.min(rest.len()));
                Some((Ok(Frame::data(chunk)), rest))
            });
            let mut response = Response::new(streamed(frames));
            response.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
            response
        }
        Some(BodyFault::Endless { total }) => {
            let chunk = if body.is_empty() { Bytes::from_static(&[b' '; CHUNK]) } else { body };
            let frames = stream::unfold(total, move |left| {
                let chunk = chunk.clone();
                async move {
                    let size = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    (size > 0).then(|| (Ok(Frame::data(chunk.slice(..size))), left - size as u64))
                }
            });
            Response::new(streamed(frames))
        }
    };
    *response.status_mut() = status;
    for (name, value) in &headers {
        response.headers_mut().append(name, value.clone());
    }
    Ok(response)
}

/// hyper asks for a body that may be shared, though nobody shares it; all streams here can be.
fn streamed<S>(frames: S) -> Body
where
    S: futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + Sync + 'static,
{
    BoxBody::new(StreamBody::new(frames))
}
