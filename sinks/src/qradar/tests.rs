use super::*;
use futures_util::FutureExt as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use tidegate_core::clock::Clock;
use tidegate_core::testkit::script::Script;
use tidegate_core::testkit::sink::{self as kit, NAMES};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

/// A sink for the tenant `acme` with the source `okta`; `more` are keys beside the addresses.
fn sink(addresses: &[SocketAddr], more: &str) -> Qradar {
    let table = format!(
        "{{\"addresses\":{:?}{more}}}",
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
    let settings = SinkSettings {
        tenant: "acme".to_owned(),
        sink: "qradar".to_owned(),
        sources: vec!["okta".to_owned()],
        table: serde_json::from_str(&table).unwrap(),
        http: Script::start().client().with_clock(Clock::system()),
    };
    let options = Options::read(&settings.tenant, &settings.sources, &settings.table).unwrap();
    Qradar::new(options, &settings)
}

/// So many lines of LEEF, numbered from there.
fn batch(sink: &Qradar, from: usize, count: usize) -> Batch {
    let lines: Vec<_> = (from..from + count)
        .map(|n| {
            let line =
                format!("LEEF:2.0|Okta|Okta|1.0|user.session.start|x09|devTime=1\tsev=3\teventUid=e-{n}");
            (format!("e-{n}"), line)
        })
        .collect();
    kit::batch(sink, &NAMES, &lines)
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Reads from a connection until so many lines have come; their `eventUid`s.
async fn lines(stream: &mut (impl tokio::io::AsyncRead + Unpin), count: usize) -> Vec<String> {
    let mut bytes = Vec::new();
    while bytes.iter().filter(|byte| **byte == b'\n').count() < count {
        let mut some = [0; 4_096];
        let length = stream.read(&mut some).await.unwrap();
        assert!(length > 0, "the sink closed after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&some[..length]);
    }
    let text = String::from_utf8(bytes).unwrap();
    text.lines().map(|line| line.split_once("eventUid=").map_or(line, |(_, id)| id).to_owned()).collect()
}

fn ids(from: usize, count: usize) -> Vec<String> {
    (from..from + count).map(|n| format!("e-{n}")).collect()
}

/// Whether it is over when everything that can be done now has been done.
async fn is_over<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> Option<F::Output> {
    tokio::time::timeout(Duration::from_millis(200), future).await.ok()
}

fn wait_of(outcome: &Result<Delivery, DeliverError>) -> Duration {
    match outcome {
        Err(DeliverError::Retry { after: Some(after), .. }) => *after,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn takes_what_it_is_given() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        }
    });
    kit::takes_what_it_is_given(&sink(&[address], r#","tail_time":"50ms""#)).await;
}

#[tokio::test]
async fn a_batch_is_delivered_when_its_connection_stayed_well_for_the_time_of_the_tail() {
    let (listener, address) = listener().await;
    let sink = sink(&[address], r#","tail_time":"1500ms""#);
    let batch = batch(&sink, 0, 3);
    let mut delivery = Box::pin(sink.deliver(&batch));
    assert!(is_over(&mut delivery).await.is_none());
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(lines(&mut stream, 3).await, ids(0, 3));
    assert!(is_over(&mut delivery).await.is_none(), "that it was read is not known yet");
    kit::covers_each_once(&delivery.await.unwrap(), 3);
}

#[tokio::test]
async fn a_broken_connection_gives_the_whole_tail_back_and_it_comes_again_in_order() {
    let (listener, address) = listener().await;
    let sink = sink(&[address], r#","tail_time":"1h""#);
    let batches: Vec<_> = (0..4).map(|n| batch(&sink, n * 2, 2)).collect();
    let deliveries = futures_util::future::join_all(batches.iter().map(|batch| sink.deliver(batch)));
    let (broken, ()) = tokio::join!(deliveries, async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(lines(&mut stream, 8).await, ids(0, 8));
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let waits: Vec<_> = broken.iter().map(wait_of).collect();
    assert!(waits.iter().all(|wait| *wait == waits[0]), "they come back together: {waits:?}");
    let cause = broken[0].as_ref().unwrap_err().cause().clone();
    assert!(cause.message.contains(&address.to_string()), "{cause}");
    // Core's waits end in any order; the sink remembers which batch was first.
    let again = futures_util::future::join_all(batches.iter().rev().map(|batch| sink.deliver(batch)));
    let (_, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(2), again), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(lines(&mut stream, 8).await, ids(0, 8));
    });
}

#[tokio::test]
async fn a_receiver_that_closes_in_order_has_not_said_that_it_read_everything() {
    let (listener, address) = listener().await;
    let sink = sink(&[address], r#","tail_time":"1h""#);
    let batch = batch(&sink, 0, 2);
    let (outcome, ()) = tokio::join!(sink.deliver(&batch), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        lines(&mut stream, 2).await;
    });
    let cause = outcome.unwrap_err().cause().clone();
    assert!(
        cause.message.contains("closed the connection") && cause.message.contains("sent again"),
        "{cause}"
    );
}

#[tokio::test]
async fn what_lies_further_back_than_the_tail_is_delivered_while_the_rest_waits() {
    let (listener, address) = listener().await;
    let sink = sink(&[address], r#","tail_time":"1h","tail_bytes":"512KiB""#);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    });
    let batches: Vec<_> = (0..8).map(|n| batch(&sink, n * 1_000, 1_000)).collect();
    let size = batches[0].body.len();
    let mut deliveries: Vec<_> = batches.iter().map(|batch| Box::pin(sink.deliver(batch))).collect();
    for delivery in &mut deliveries {
        assert!(delivery.now_or_never().is_none());
    }
    let behind = (512_usize << 10).div_ceil(size);
    assert!((2..7).contains(&behind), "{size}");
    for (n, delivery) in deliveries.iter_mut().enumerate() {
        if n + behind < 8 {
            kit::covers_each_once(&delivery.await.unwrap(), 1_000);
        } else {
            assert!(is_over(delivery).await.is_none(), "batch {n} of {size} bytes");
        }
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_read_stops_the_clock_of_the_tail() {
    let (listener, address) = listener().await;
    socket2::SockRef::from(&listener).set_recv_buffer_size(64 << 10).unwrap();
    let sink = sink(&[address], r#","tail_time":"1s","tail_bytes":"64MiB""#);
    let batches: Vec<_> = (0..40).map(|n| batch(&sink, n * 1_000, 1_000)).collect();
    let mut deliveries =
        Box::pin(futures_util::future::join_all(batches.iter().map(|batch| sink.deliver(batch))));
    assert!(is_over(&mut deliveries).await.is_none());
    let (first, _) = listener.accept().await.unwrap();
    let stuck = tokio::time::timeout(Duration::from_secs(3), &mut deliveries).await;
    assert!(stuck.is_err(), "nobody has read a byte, and the last of them is not even sent");
    // Nothing of it was read: all of it comes back, also what was handed over more than a second ago.
    socket2::SockRef::from(&first).set_linger(Some(Duration::ZERO)).unwrap();
    drop(first);
    let broken = deliveries.await;
    assert!(broken.iter().all(|outcome| matches!(outcome, Err(DeliverError::Retry { .. }))), "{broken:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_the_other_kernel_has_not_acknowledged_is_not_delivered_however_long_it_has_been_there() {
    let (listener, address) = listener().await;
    socket2::SockRef::from(&listener).set_recv_buffer_size(4 << 10).unwrap();
    let sink = sink(&[address], r#","tail_time":"100ms""#);
    // More than their buffer takes, and less than ours: the write itself does not have to wait.
    let batch = batch(&sink, 0, 2_000);
    assert!(((64 << 10)..(256 << 10)).contains(&batch.body.len()), "{}", batch.body.len());
    let mut delivery = Box::pin(sink.deliver(&batch));
    // Deliveries whose receiver reads are done meanwhile, one after the other: the time of the tail is over.
    let others = async {
        for n in 0..3 {
            let (listener, address) = self::listener().await;
            let reads = self::sink(&[address], r#","tail_time":"100ms""#);
            let few = self::batch(&reads, n, 2);
            let accept = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                lines(&mut stream, 2).await;
                stream
            };
            let (delivery, _open) = tokio::join!(reads.deliver(&few), accept);
            kit::covers_each_once(&delivery.unwrap(), 2);
        }
    };
    tokio::select! {
        biased;
        early = &mut delivery => panic!("{early:?}"),
        () = others => {}
    }
    let (mut stream, _) = listener.accept().await.unwrap();
    let (delivery, read) = tokio::join!(delivery, lines(&mut stream, 2_000));
    kit::covers_each_once(&delivery.unwrap(), 2_000);
    assert_eq!(read, ids(0, 2_000));
}

#[tokio::test]
async fn closing_waits_for_the_receiver_and_delivers_the_tail() {
    let (listener, address) = listener().await;
    let sink = Arc::new(sink(&[address], r#","tail_time":"1h""#));
    let batch = batch(&sink, 0, 2);
    let mut delivery = Box::pin(sink.deliver(&batch));
    assert!(is_over(&mut delivery).await.is_none());
    let (mut stream, _) = listener.accept().await.unwrap();
    let ours = Arc::clone(&sink);
    let mut close = Box::pin(async move { ours.close().await });
    assert!(is_over(&mut close).await.is_none(), "the receiver has not closed its side");
    assert_eq!(lines(&mut stream, 2).await, ids(0, 2));
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "nothing more comes");
    drop(stream);
    close.await;
    kit::covers_each_once(&delivery.await.unwrap(), 2);
}

#[tokio::test]
async fn the_second_receiver_takes_over_and_the_failed_one_rests() {
    let (gone, first) = listener().await;
    drop(gone);
    let (listener, second) = listener().await;
    let sink = sink(&[first, second], r#","tail_time":"50ms""#);
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        (lines(&mut stream, 4).await, stream)
    });
    for n in [0, 2] {
        kit::covers_each_once(&sink.deliver(&batch(&sink, n, 2)).await.unwrap(), 2);
    }
    assert_eq!(server.await.unwrap().0, ids(0, 4), "both came over one connection");
    assert_eq!(sink.way.nodes.pick().0, 1);
}

#[tokio::test]
async fn nobody_there_means_again_with_growing_waits_and_a_remedy() {
    let (gone, address) = listener().await;
    drop(gone);
    let sink = sink(&[address], "");
    let mut waits = Vec::new();
    for _ in 0..6 {
        let outcome = sink.deliver(&batch(&sink, 0, 1)).await;
        waits.push(wait_of(&outcome));
        let cause = outcome.unwrap_err().cause().clone();
        assert_eq!(cause.kind, FaultKind::Network);
        assert!(cause.message.contains(&address.to_string()) && cause.remedy.is_some(), "{cause}");
    }
    assert!(waits.iter().max().unwrap() > &Duration::from_secs(2), "{waits:?}");
}

#[tokio::test]
async fn datagrams_hold_one_message_each_and_no_framing() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let sink = sink(&[socket.local_addr().unwrap()], r#","transport":"udp""#);
    let batch = batch(&sink, 0, 3);
    assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 3);
    for n in 0..3 {
        let mut bytes = [0; 2_048];
        let length = socket.recv(&mut bytes).await.unwrap();
        let text = std::str::from_utf8(&bytes[..length]).unwrap();
        assert!(text.starts_with("<109>1 1970-01-01T00:00:00.000Z okta-acme LEEF:2.0|"), "{text}");
        assert!(text.ends_with(&format!("eventUid=e-{n}")), "{text}");
    }
    assert!(sink.guarantee().because.contains("UDP"), "{:?}", sink.guarantee());
}

#[tokio::test]
async fn a_batch_of_datagrams_that_nobody_listens_for_is_not_delivered() {
    let address = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let sink = sink(&[address], r#","transport":"udp""#);
    for count in [1, 3] {
        let batch = batch(&sink, 0, count);
        // When the refusal comes is the kernel's affair; on one machine it is nearly always at once.
        let mut tries = 0;
        let delivery = loop {
            let delivery = sink.deliver(&batch).await.unwrap();
            kit::covers_each_once(&delivery, count);
            tries += 1;
            if !delivery.retry.is_empty() || tries == 100 {
                break delivery;
            }
        };
        let again: Vec<_> = delivery.retry.iter().map(|(at, _)| *at).collect();
        assert_eq!(again, (0..count).collect::<Vec<_>>(), "{delivery:?}");
    }
}

#[tokio::test]
async fn an_address_of_a_name_that_refuses_datagrams_is_left_for_the_next_one() {
    // Held until both are known, so that they differ.
    let (gone, here) =
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let of_the_name = [gone.local_addr().unwrap(), here.local_addr().unwrap()];
    drop(gone);
    let sink = sink(&of_the_name[..1], r#","transport":"udp""#);
    let batch = batch(&sink, 0, 3);
    // When the refusal comes is the kernel's affair; on one machine it is nearly always at once.
    let mut tries = 0;
    while tries < 100 {
        let delivery = sink.deliver_datagrams_to(&batch, 0, of_the_name.to_vec()).await.unwrap();
        kit::covers_each_once(&delivery, 3);
        tries += 1;
        if delivery.retry.is_empty() && is_over(&mut Box::pin(here.readable())).await.is_some() {
            break;
        }
    }
    assert!(tries < 100, "the second address never got a datagram");
    for n in 0..3 {
        let mut bytes = [0; 2_048];
        let length = here.recv(&mut bytes).await.unwrap();
        assert!(std::str::from_utf8(&bytes[..length]).unwrap().ends_with(&format!("eventUid=e-{n}")));
    }
    assert!(!sink.way.nodes.rests(0), "the receiver is well while one of its addresses is");
    drop(here);
    let mut tries = 0;
    while !sink.way.nodes.rests(0) && tries < 100 {
        let delivery = sink.deliver_datagrams_to(&batch, 0, of_the_name.to_vec()).await.unwrap();
        kit::covers_each_once(&delivery, 3);
        tries += 1;
    }
    assert!(tries < 100, "nobody is left, and nobody noticed");
}

#[tokio::test]
async fn a_message_that_lost_attributes_is_counted() {
    let (listener, address) = listener().await;
    let sink = sink(&[address], r#","tail_time":"50ms","max_message_bytes":"400B""#);
    let line = |n: usize, more: &str| {
        (format!("e-{n}"), format!("LEEF:2.0|Okta|Okta|1.0|x|x09|devTime=1\tsev=3\teventUid=e-{n}{more}"))
    };
    let long = format!("\tmessage={}", "x".repeat(500));
    let batch = kit::batch(&sink, &NAMES, &[line(0, ""), line(1, &long), line(2, &long)]);
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        (lines(&mut stream, 3).await, stream)
    });
    let delivery = sink.deliver(&batch).await.unwrap();
    assert_eq!(delivery.warnings.len(), 1, "{delivery:?}");
    assert!(delivery.warnings[0].starts_with("2 of 3 messages"), "{delivery:?}");
    assert_eq!(server.await.unwrap().0, ["e-0", "e-1\ttruncated=true", "e-2\ttruncated=true"]);
}

#[tokio::test]
async fn the_host_is_the_same_in_every_container_and_check_says_it() {
    let (listener, address) = listener().await;
    let sink = sink(&[address], "");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let findings = sink.check().await;
    assert!(findings.faults.is_empty(), "{findings:?}");
    assert!(
        findings.lines.iter().any(|line| line == "log source identifier of acme/okta: okta-acme"),
        "{findings:?}"
    );
    let open = |tenant: &str, host: Option<&str>| {
        let mut table = serde_json::json!({ "address": "qradar.example.com" });
        if let Some(host) = host {
            table["host"] = host.into();
        }
        Options::read(tenant, &["okta".to_owned()], table.as_object().unwrap())
    };
    assert_eq!(open("acme_corp", None).unwrap().identifiers["okta"], "okta.acme-corp");
    for tenant in ["acme corp", "acmé", &"a".repeat(300)] {
        let error = open(tenant, None).unwrap_err();
        assert_eq!(error.key, "host", "{error}");
        assert_eq!(open(tenant, Some("okta-1")).unwrap().identifiers["okta"], "okta-1");
    }
}

/// An authority with a server's and a client's certificate, written into a directory.
struct Pki {
    dir: tempfile::TempDir,
    acceptor: TlsAcceptor,
}

impl Pki {
    fn new(client_certificates: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            (CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap(), key)
        };
        let (server, server_key) = issue("qradar.example.com");
        let (client, client_key) = issue("tidegate.example.com");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("ca.pem", &authority.pem());
        write("client.pem", &client.pem());
        write("client.key", &client_key.serialize_pem());
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if client_certificates {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let config = builder.with_single_cert(vec![server.der().clone()], key).unwrap();
        Self { dir, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    fn keys(&self, client: bool, server_name: &str) -> String {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let mut keys = serde_json::json!({
            "transport": "tls",
            "ca": path("ca.pem"),
            "server_name": server_name,
            "tail_time": "300ms",
        });
        if client {
            keys["client"] = serde_json::json!({
                "certificate": format!("file:{}", path("client.pem")),
                "private_key": format!("file:{}", path("client.key")),
            });
        }
        let keys = keys.to_string();
        format!(",{}", &keys[1..keys.len() - 1])
    }

    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> std::io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        let (stream, _) = listener.accept().await?;
        self.acceptor.accept(stream).await
    }
}

const NAME: &str = "qradar.example.com";

#[tokio::test]
async fn tls_with_a_client_certificate_ends_with_a_word_and_waits_for_the_answer() {
    let pki = Pki::new(true);
    let (listener, address) = listener().await;
    let sink = sink(&[address], &pki.keys(true, NAME));
    let batch = batch(&sink, 0, 3);
    let (delivery, ()) = tokio::join!(
        async {
            let delivery = sink.deliver(&batch).await;
            sink.close().await;
            delivery
        },
        async {
            let mut stream = pki.accept(&listener).await.unwrap();
            assert_eq!(lines(&mut stream, 3).await, ids(0, 3));
            // Without close_notify this would be an error: the text might have been cut.
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
            stream.shutdown().await.unwrap();
        }
    );
    kit::covers_each_once(&delivery.unwrap(), 3);
}

#[tokio::test]
async fn a_refused_client_certificate_and_an_unknown_receiver_halt_with_the_key_that_mends_it() {
    let (strict, stranger) = (Pki::new(true), Pki::new(true));
    for (keys, key) in [
        (strict.keys(false, NAME), "`client`"),
        (stranger.keys(true, NAME), "`ca`"),
        (strict.keys(true, "elsewhere.example.com"), "`server_name`"),
    ] {
        let (listener, address) = listener().await;
        let sink = sink(&[address], &keys);
        let batch = batch(&sink, 0, 1);
        let server = async {
            loop {
                if let Ok(mut stream) = strict.accept(&listener).await {
                    while stream.read(&mut [0; 64]).await.is_ok_and(|length| length > 0) {}
                }
            }
        };
        let outcome = tokio::select! {
            outcome = sink.deliver(&batch) => outcome,
            () = server => unreachable!("it accepts for ever"),
        };
        let Err(DeliverError::Halt { cause }) = outcome else { unreachable!("{key}: {outcome:?}") };
        assert!(cause.remedy.as_ref().is_some_and(|remedy| remedy.contains(key)), "{key}: {cause:?}");
        let server = async {
            loop {
                if let Ok(mut stream) = strict.accept(&listener).await {
                    while stream.read(&mut [0; 64]).await.is_ok_and(|length| length > 0) {}
                }
            }
        };
        let findings = tokio::select! {
            findings = sink.check() => findings,
            () = server => unreachable!("it accepts for ever"),
        };
        assert!(!findings.faults.is_empty(), "{key}: check finds it too: {findings:?}");
    }
}

#[tokio::test]
async fn a_certificate_and_a_key_that_were_read_while_they_were_exchanged_are_read_again() {
    let (old, pki) = (Pki::new(true), Pki::new(true));
    let path = |name: &str| pki.dir.path().join(name);
    let key = std::fs::read(path("client.key")).unwrap();
    std::fs::copy(old.dir.path().join("client.key"), path("client.key")).unwrap();
    let (listener, address) = listener().await;
    let sink = sink(&[address], &pki.keys(true, NAME));
    let keys = sink.way.config.client.as_ref().unwrap();
    keys.certificate.read().unwrap();
    keys.private_key.read().unwrap();
    std::fs::write(path("client.key"), key).unwrap();
    let server = tokio::spawn(async move {
        let mut stream = pki.accept(&listener).await.unwrap();
        (lines(&mut stream, 1).await, stream)
    });
    kit::covers_each_once(&sink.deliver(&batch(&sink, 0, 1)).await.unwrap(), 1);
    assert_eq!(server.await.unwrap().0, ids(0, 1));
}

#[tokio::test]
async fn files_are_looked_at_before_anything_is_sent() {
    let pki = Pki::new(true);
    let address = SocketAddr::from(([192, 0, 2, 1], 6514));
    let readable = |keys: &str| sink(&[address], keys).readable();
    let keys = pki.keys(true, NAME);
    assert_eq!(readable(&keys), Ok(()));
    assert_eq!(readable(""), Ok(()), "without files there is nothing to look at");
    let elsewhere = r#","transport":"tls","client":{"certificate":"env:TIDEGATE_NONE","private_key":"env:TIDEGATE_NONE"}"#;
    assert_eq!(readable(elsewhere), Ok(()), "a variable may be set elsewhere");
    for (file, key, text) in [
        ("client.key", "client", Some("hunter2")),
        ("client.key", "client", None),
        ("client.pem", "client", Some("hunter2")),
        ("client.pem", "client", None),
        ("ca.pem", "ca", Some("hunter2")),
        ("ca.pem", "ca", None),
    ] {
        match text {
            Some(text) => std::fs::write(pki.dir.path().join(file), text).unwrap(),
            None => std::fs::remove_file(pki.dir.path().join(file)).unwrap(),
        }
        let error = readable(&keys).unwrap_err();
        assert_eq!(error.key, key, "{file}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(text.is_some() || error.to_string().contains(file), "{error}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_files_is_said_without_quoting_them() {
    let pki = Pki::new(true);
    let break_it = |name: &str, text: &str| std::fs::write(pki.dir.path().join(name), text).unwrap();
    let tell = async |pki: &Pki| {
        let (_listener, address) = listener().await;
        let sink = sink(&[address], &pki.keys(true, NAME));
        let outcome = sink.deliver(&batch(&sink, 0, 1)).await;
        let Err(DeliverError::Halt { cause }) = outcome else { unreachable!("{outcome:?}") };
        assert!(!format!("{cause:?}").contains("hunter2"), "{cause:?}");
        format!("{cause:?}")
    };
    break_it("client.key", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n");
    assert!(tell(&pki).await.contains("private_key"));
    break_it("client.pem", "hunter2");
    assert!(tell(&pki).await.contains("`certificate`"));
    break_it("ca.pem", "nothing");
    assert!(tell(&pki).await.contains("ca.pem"));
    std::fs::remove_file(Path::new(&pki.dir.path().join("ca.pem"))).unwrap();
    assert!(tell(&pki).await.contains("ca.pem"));
}
