//! How bytes get out and back. The one file that names reqwest; tests put their own [`Transport`] in its place.

use crate::secret::Secret;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use std::error::Error as _;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// A body on its way, decoded.
pub type Body = BoxStream<'static, Result<Bytes, TransportError>>;

/// Sends one request. Follows no redirect, tries nothing twice. Time-outs beyond that of connecting are the
/// [`super::Client`]'s, so that they run on tokio's clock whatever is underneath.
#[async_trait]
pub trait Transport: Send + Sync {
    /// One request; returns at the answer's headers.
    ///
    /// # Errors
    /// No headers came.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, TransportError>;

    /// The same, showing a certificate to servers that ask for one. `None`: this transport has no use for one (a played
    /// other side).
    ///
    /// # Errors
    /// The certificate or its key cannot be used.
    fn with_certificate(
        &self,
        _certificate: &ClientCertificate,
    ) -> Result<Option<Arc<dyn Transport>>, TransportSettingsError> {
        Ok(None)
    }
}

/// Who we are, for servers that ask for a certificate (mutual TLS).
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The certificate and those between it and its authority, in PEM.
    pub certificate: Secret,
    /// Its private key, in PEM (PKCS #8, PKCS #1 or SEC 1).
    pub private_key: Secret,
}

/// No answer, or only a part of one. Messages hold no path, no query and no header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The other side's certificate is not trusted, or TLS failed otherwise.
    #[error("TLS: {0}")]
    Tls(String),
    /// Nothing came in time.
    #[error("timed out: {0}")]
    Timeout(String),
    /// The connection broke.
    #[error("connection broken: {0}")]
    Broken(String),
    /// The body broke off, or does not decode (cut or false gzip).
    #[error("the body broke off or does not decode: {0}")]
    Decode(String),
    /// The request cannot be sent as it is.
    #[error("the request cannot be sent: {0}")]
    Request(String),
}

/// What a [`Reqwest`] transport is made with.
#[derive(Clone)]
pub struct TransportSettings {
    /// A proxy for all connections; may name a user, so it is never printed (a literal password in a file is the
    /// configuration's to refuse). Without one `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are honoured, though never
    /// for this machine's own addresses.
    pub proxy: Option<String>,
    /// PEM certificates of private authorities, trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// How long connecting may take; 10 s by default.
    pub connect: Duration,
}

impl fmt::Debug for TransportSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportSettings")
            .field("proxy", &self.proxy.is_some())
            .field("ca_file", &self.ca_file)
            .field("connect", &self.connect)
            .finish()
    }
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self { proxy: None, ca_file: None, connect: Duration::from_secs(10) }
    }
}

/// The key of [`TransportSettings`] that is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct TransportSettingsError {
    /// `proxy`, `ca_file` or `client`.
    pub key: &'static str,
    /// What is wrong and what is accepted.
    pub message: String,
}

/// How long a connection waits for its next request: longer than the slowest default poll (Duo's 120 s) and its spread, or
/// every poll would begin with a handshake. Shorter than the 4 minutes after which common gateways (Azure's is the
/// quickest of the large clouds) forget a silent connection. Many servers close theirs sooner, after 60 to 75 s by the
/// defaults of load balancers and nginx: that is heard and costs a handshake; a request that crosses it is retried like
/// any other.
const POOL_IDLE: Duration = Duration::from_secs(150);

/// Real connections: rustls with ring, HTTP/1.1, gzip.
pub struct Reqwest {
    settings: TransportSettings,
    outside: reqwest::Client,
    /// This machine's own addresses: no proxy from the environment, no certificates from the system.
    inside: reqwest::Client,
}

impl Reqwest {
    /// Opens no connection yet. A machine without certificates of public authorities is no error: plain HTTP and
    /// private authorities work there, everything else fails at its handshake.
    ///
    /// # Errors
    /// The proxy or the CA file cannot be used.
    pub fn new(settings: &TransportSettings) -> Result<Arc<Self>, TransportSettingsError> {
        Self::with(settings, None).map(Arc::new)
    }

    fn with(
        settings: &TransportSettings,
        identity: Option<reqwest::Identity>,
    ) -> Result<Self, TransportSettingsError> {
        // Already installed by an embedding program or by an earlier call: both are fine.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let authorities = authorities(settings)?;
        let proxy = settings.proxy.as_deref().map(proxy).transpose()?;
        let base = |proxy: Option<&reqwest::Proxy>| {
            let builder = reqwest::Client::builder()
                .connect_timeout(settings.connect)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .gzip(true)
                .dns_resolver(Resolver)
                .pool_idle_timeout(POOL_IDLE);
            let builder = match &identity {
                Some(identity) => builder.identity(identity.clone()),
                None => builder,
            };
            match proxy {
                Some(proxy) => builder.proxy(proxy.clone()),
                None => builder,
            }
        };
        let wrong = |key| move |error: reqwest::Error| TransportSettingsError { key, message: chain(error) };
        let outside = match base(proxy.as_ref()).tls_certs_merge(authorities.clone()).build() {
            Ok(client) => client,
            Err(_no_system_certificates) => {
                base(proxy.as_ref()).tls_certs_only(authorities.clone()).build().map_err(wrong("ca_file"))?
            }
        };
        let inside = match &proxy {
            Some(_) => outside.clone(),
            None => base(None).no_proxy().tls_certs_only(authorities).build().map_err(wrong("ca_file"))?,
        };
        Ok(Self { settings: settings.clone(), outside, inside })
    }
}

struct Resolver;

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let found = super::resolve::resolve(name.as_str().to_owned());
        Box::pin(async move { Ok(Box::new(found.await?.into_iter()) as reqwest::dns::Addrs) })
    }
}

fn authorities(settings: &TransportSettings) -> Result<Vec<reqwest::Certificate>, TransportSettingsError> {
    let Some(path) = &settings.ca_file else { return Ok(Vec::new()) };
    let wrong = |what: String| TransportSettingsError {
        key: "ca_file",
        message: format!("{}: {what}; a file of PEM certificates is expected", path.display()),
    };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong(chain(error)))?;
    if found.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    Ok(found)
}

fn proxy(text: &str) -> Result<reqwest::Proxy, TransportSettingsError> {
    let wrong = |message: &str| TransportSettingsError { key: "proxy", message: message.to_owned() };
    let url = Url::parse(text).map_err(|_| wrong("not a URL; write \"http://proxy.example.com:3128\""))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("the scheme is not known; accepted are http and https"));
    }
    reqwest::Proxy::all(url)
        .map(|proxy| proxy.no_proxy(reqwest::NoProxy::from_env()))
        .map_err(|_| wrong("not a proxy that can be used"))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[async_trait]
impl Transport for Reqwest {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, TransportError> {
        let client = if request.uri().host().is_some_and(is_loopback) { &self.inside } else { &self.outside };
        let request = reqwest::Request::try_from(request.map(reqwest::Body::from)).map_err(classify)?;
        let response = client.execute(request).await.map_err(classify)?;
        let mut out = http::Response::new(());
        *out.status_mut() = response.status();
        *out.headers_mut() = response.headers().clone();
        let body: Body = response.bytes_stream().map(|chunk| chunk.map_err(classify)).boxed();
        Ok(out.map(|()| body))
    }

    fn with_certificate(
        &self,
        certificate: &ClientCertificate,
    ) -> Result<Option<Arc<dyn Transport>>, TransportSettingsError> {
        let ClientCertificate { certificate, private_key } = certificate;
        let identity = private_key.for_signing(|key| {
            certificate.for_signing(|certificate| {
                let pem = Zeroizing::new([key, b"\n", certificate].concat());
                reqwest::Identity::from_pem(&pem)
            })
        });
        let identity = identity.map_err(|error| TransportSettingsError {
            key: "client",
            message: format!("{}; a certificate and its private key in PEM are expected", chain(error)),
        })?;
        Ok(Some(Arc::new(Self::with(&self.settings, Some(identity))?)))
    }
}

fn classify(error: reqwest::Error) -> TransportError {
    let (timeout, connect, decode) = (error.is_timeout(), error.is_connect(), error.is_decode());
    let builder = error.is_builder();
    let tls = is_tls(&error);
    let text = chain(error);
    match () {
        () if tls => TransportError::Tls(text),
        () if timeout => TransportError::Timeout(text),
        () if connect => TransportError::Connect(text),
        () if decode => TransportError::Decode(text),
        () if builder => TransportError::Request(text),
        () => TransportError::Broken(text),
    }
}

fn is_tls(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return true;
        }
        // An I/O error hides what it wraps from `source`, and may wrap another I/O error.
        cause = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    false
}

/// All causes in one line, without the URL.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let one = error.to_string();
        if !text.contains(&one) {
            text.push_str(": ");
            text.push_str(&one);
        }
        cause = error.source();
    }
    text
}
