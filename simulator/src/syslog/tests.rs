#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use std::io::{Read as _, Write as _};

async fn receiver(config: SyslogConfig) -> Syslog {
    Syslog::start(config).await.unwrap()
}

/// Talks on a plain blocking socket, on a thread of its own.
async fn say(address: SocketAddr, text: &'static str) -> io::Result<usize> {
    tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(text.as_bytes())?;
        stream.shutdown(std::net::Shutdown::Write)?;
        stream.read(&mut [0; 16])
    })
    .await
    .unwrap()
}

fn texts(arrived: &[Arrived]) -> Vec<String> {
    arrived.iter().map(|arrived| String::from_utf8(arrived.bytes.clone()).unwrap()).collect()
}

#[tokio::test]
async fn what_is_said_arrives_and_the_end_is_answered() {
    let server = receiver(SyslogConfig::default()).await;
    assert_eq!(say(server.address(), "one\ntwo\nhalf").await.unwrap(), 0);
    server.until(|_, connections| connections == [Some(Ended::InOrder)]).await;
    assert_eq!(texts(&server.arrived()), ["one", "two"], "half a message is none");
}

#[tokio::test]
async fn a_connection_is_closed_or_reset_where_the_script_says() {
    let server = receiver(SyslogConfig::default()).await;
    server.script([Fault::CloseAfter(1), Fault::ResetAfter(1, 2)]);
    let _ = say(server.address(), "a1\na2\n").await;
    server.until(|_, connections| connections == [Some(Ended::ByUs)]).await;
    say(server.address(), "b1\nb2").await.unwrap_err();
    assert_eq!(say(server.address(), "c1\nc2\n").await.unwrap(), 0);
    assert_eq!(texts(&server.arrived()), ["a1", "b1", "c1", "c2"]);
}

#[tokio::test]
async fn a_paused_receiver_reads_nothing_until_it_goes_on() {
    let server = receiver(SyslogConfig::default()).await;
    server.pause();
    let said = tokio::spawn(say(server.address(), "one\n"));
    server.until(|_, connections| connections.len() == 1).await;
    assert!(server.arrived().is_empty());
    server.resume();
    server.until(|arrived, _| arrived.len() == 1).await;
    said.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_killed_receiver_is_gone_with_what_it_did_not_read_and_can_come_back_on_its_port() {
    let server = receiver(SyslogConfig::default()).await;
    let address = server.address();
    server.pause();
    let said = tokio::spawn(say(address, "one\n"));
    server.until(|_, connections| connections.len() == 1).await;
    assert!(server.kill().await.is_empty());
    said.await.unwrap().unwrap_err();
    let again = receiver(SyslogConfig { address, ..SyslogConfig::default() }).await;
    say(address, "two\n").await.unwrap();
    again.until(|arrived, _| texts(arrived) == ["two"]).await;
}

#[tokio::test]
async fn datagrams_are_messages_and_long_ones_lose_their_end() {
    let config = SyslogConfig { listen: Listen::Udp, limit: 4, ..SyslogConfig::default() };
    let server = receiver(config).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server.address()).await.unwrap();
    socket.send(b"abcdef").await.unwrap();
    server.until(|arrived, _| arrived.len() == 1).await;
    assert_eq!(texts(&server.arrived()), ["abcd"]);
}
