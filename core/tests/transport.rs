//! The real transport on real sockets: what tests in process cannot show.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use bytes::Bytes;
use std::io::Write as _;
use std::sync::Arc;
use tidegate_core::clock::Clock;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::{
    Client, ClientCertificate, HttpError, HttpSettings, Reqwest, TransportError, TransportSettings,
};
use tidegate_core::secret::Secret;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

/// Reads one request's head and writes these bytes; returns the head.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) > 0 {
        head.extend_from_slice(&byte);
    }
    // The client may have seen enough.
    let _gone = stream.write_all(answer).await;
    let _gone = stream.shutdown().await;
    String::from_utf8(head).unwrap()
}

async fn once(answer: Vec<u8>) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, tokio::spawn(async move { serve(listener.accept().await.unwrap().0, &answer).await }))
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {headers}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn client(settings: &TransportSettings) -> Client {
    let http = HttpSettings { max_body: 1 << 20, ..HttpSettings::default() };
    Client::new(Reqwest::new(settings).unwrap(), Clock::system(), http)
}

fn get(url: &str) -> http::Request<Bytes> {
    http::Request::get(url).body(Bytes::new()).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn unpacks_gzip_and_bounds_what_comes_out() {
    let client = client(&TransportSettings::default());
    let (port, head) = once(answer("200 OK\r\ncontent-encoding: gzip", &gzip(b"[1,2]"))).await;
    let response = client.send(get(&format!("http://127.0.0.1:{port}/x"))).await.unwrap();
    assert_eq!(response.body, "[1,2]");
    assert!(head.await.unwrap().to_ascii_lowercase().contains("accept-encoding: gzip"));
    let bomb = gzip(&vec![b' '; 8 << 20]);
    assert!(bomb.len() < 1 << 16);
    let (port, _) = once(answer("200 OK\r\ncontent-encoding: gzip", &bomb)).await;
    let error = client.send(get(&format!("http://127.0.0.1:{port}/x"))).await.unwrap_err();
    assert_eq!(error, HttpError::TooLarge(1 << 20));
}

#[tokio::test]
async fn follows_no_redirect() {
    let (port, _) = once(answer("302 Found\r\nlocation: http://127.0.0.1:9/x", b"")).await;
    let response =
        client(&TransportSettings::default()).send(get(&format!("http://127.0.0.1:{port}/"))).await.unwrap();
    assert_eq!(response.status, 302);
    assert_eq!(response.redirect_origin().unwrap(), "http://127.0.0.1:9");
}

#[tokio::test]
async fn cut_bodies_and_closed_ports_are_told_without_the_query() {
    let client = client(&TransportSettings::default());
    let (port, _) = once(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[1,2".to_vec()).await;
    let mut cut = gzip(&vec![b'x'; 4096]);
    cut.truncate(20);
    let (zipped, _) = once(answer("200 OK\r\ncontent-encoding: gzip", &cut)).await;
    for port in [port, zipped] {
        let error = client.send(get(&format!("http://127.0.0.1:{port}/?token=hidden"))).await.unwrap_err();
        assert!(matches!(error, HttpError::Transport(_)), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("hidden"));
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = client.send(get(&format!("http://127.0.0.1:{closed}/?token=hidden"))).await.unwrap_err();
    assert!(matches!(error, HttpError::Transport(TransportError::Connect(_))), "{error:?}");
    assert!(error.to_string().contains("refused") && !error.to_string().contains("hidden"), "{error}");
}

/// A server that answers `[]` over TLS, to anybody or to whoever shows one of these certificates. Its address, and the file
/// with its authority's certificate, gone with the directory.
async fn over_tls(known: Option<&rcgen::Certificate>) -> (String, TransportSettings, tempfile::TempDir) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match known {
        None => builder.with_no_client_auth(),
        Some(known) => {
            let mut roots = RootCertStore::empty();
            roots.add(known.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, &answer("200 OK", b"[]")).await;
            }
        }
    });
    (url, TransportSettings { ca_file: Some(ca_file), ..TransportSettings::default() }, dir)
}

#[tokio::test]
async fn trusts_a_private_authority_only_when_it_is_named() {
    let (url, trusted, _dir) = over_tls(None).await;
    let trusting = client(&trusted);
    assert_eq!(trusting.send(get(&url)).await.unwrap().body, "[]");
    let error = client(&TransportSettings::default()).send(get(&url)).await.unwrap_err();
    assert!(matches!(error, HttpError::Transport(TransportError::Tls(_))), "{error:?}");
    let fault = Fault::from(error);
    assert_eq!(fault.kind, FaultKind::Network);
    assert!(fault.remedy.unwrap().contains("ca_file"));
}

#[tokio::test]
async fn a_certificate_is_shown_to_a_server_that_asks_for_one_and_its_key_to_nobody() {
    let ours = rcgen::generate_simple_self_signed(vec!["tidegate".to_owned()]).unwrap();
    let (url, trusted, _dir) = over_tls(Some(&ours.cert)).await;
    let bare = client(&trusted);
    assert!(matches!(bare.send(get(&url)).await, Err(HttpError::Transport(_))));
    let secret = |text: String| Secret::new(text.into_bytes());
    let key = ours.signing_key.serialize_pem();
    let certificate =
        ClientCertificate { certificate: secret(ours.cert.pem()), private_key: secret(key.clone()) };
    assert!(!format!("{certificate:?}").contains(key.lines().nth(1).unwrap()));
    let shown = bare.with_certificate(&certificate).unwrap();
    assert_eq!(shown.send(get(&url)).await.unwrap().body, "[]");
    for (pem, key) in [("no certificate".to_owned(), key.clone()), (ours.cert.pem(), "hunter2".to_owned())] {
        let wrong = ClientCertificate { certificate: secret(pem), private_key: secret(key) };
        let error = bare.with_certificate(&wrong).unwrap_err();
        assert_eq!(error.key, "client");
        assert!(error.to_string().contains("PEM") && !error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_carries_everything_and_its_password_is_not_printed() {
    let (port, head) = once(answer("200 OK", b"[]")).await;
    let settings = TransportSettings {
        proxy: Some(format!("http://user:hunter2@127.0.0.1:{port}")),
        ..TransportSettings::default()
    };
    assert!(!format!("{settings:?}").contains("hunter2"));
    let response = client(&settings).send(get("http://acme.example.com/x?y=1")).await.unwrap();
    assert_eq!(response.body, "[]");
    let head = head.await.unwrap();
    assert!(head.starts_with("GET http://acme.example.com/x?y=1 HTTP/1.1"), "{head}");
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic dxnlcjpodw50zxiy"), "{head}");
}

#[test]
fn wrong_settings_name_their_key() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("ca.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for (settings, key) in [
        (TransportSettings { proxy: Some("proxy".to_owned()), ..TransportSettings::default() }, "proxy"),
        (
            TransportSettings {
                proxy: Some("socks5://192.0.2.1".to_owned()),
                ..TransportSettings::default()
            },
            "proxy",
        ),
        (
            TransportSettings { ca_file: Some(dir.path().join("none")), ..TransportSettings::default() },
            "ca_file",
        ),
        (TransportSettings { ca_file: Some(empty), ..TransportSettings::default() }, "ca_file"),
    ] {
        let error = Reqwest::new(&settings).err().unwrap();
        assert_eq!(error.key, key, "{error}");
    }
}

#[test]
fn names_are_found_while_all_blocking_threads_are_busy() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
    let (end, busy) = std::sync::mpsc::channel::<()>();
    let _journal = runtime.spawn_blocking(move || busy.recv());
    let response = runtime.block_on(async {
        let (port, _head) = once(answer("200 OK", b"[]")).await;
        let settings =
            TransportSettings { connect: std::time::Duration::from_secs(5), ..TransportSettings::default() };
        client(&settings).send(get(&format!("http://localhost:{port}/"))).await
    });
    end.send(()).unwrap();
    assert_eq!(response.unwrap().body, "[]");
}

#[tokio::test]
async fn a_name_that_cannot_be_found_is_no_connection() {
    // Too long for a name, so that no name server is asked.
    let url = format!("http://{}.example.com/?token=hidden", "x".repeat(64));
    let error = client(&TransportSettings::default()).send(get(&url)).await.unwrap_err();
    assert!(matches!(error, HttpError::Transport(TransportError::Connect(_))), "{error:?}");
    assert!(!error.to_string().contains("hidden"), "{error}");
}
