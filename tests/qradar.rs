//! From the Okta stand-in through the binary to a receiver of syslog: nothing is missing whatever breaks, and no more comes
//! twice than lay in the replay tail.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

use common::{Stage, text};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;
use tidegate_simulator::SimulateOptions;
use tidegate_simulator::syslog::{
    Arrived, Ended, Fault, Framing, Listen, Parsed, Pki, Syslog, SyslogConfig, parse,
};

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Okta with so many events, and the binary's configuration with nothing but a qradar sink.
struct Scene {
    stage: Stage,
}

impl Scene {
    async fn new(events: usize, receivers: &[SocketAddr], more: &str) -> Self {
        let options =
            SimulateOptions { events, late: 5, org_limit: 60_000, seed: 71, ..SimulateOptions::default() };
        Self::with(options, "acme", receivers, more).await
    }

    async fn with(options: SimulateOptions, tenant: &str, receivers: &[SocketAddr], more: &str) -> Self {
        let scene = Self { stage: Stage::new(options).await };
        scene.configure(tenant, receivers, more);
        scene
    }

    fn configure(&self, tenant: &str, receivers: &[SocketAddr], more: &str) {
        let text = format!(
            "[journal]\ndir = \"{dir}/journal\"\n\n[sink.qradar]\nkind = \"qradar\"\naddresses = {addresses:?}\n\
             batch_bytes = \"32KiB\"\n{more}\n\n[tenant.{tenant}.source.okta]\nconnector = \"okta\"\nurl = \"{okta}\"\n\
             auth = {{ token = \"file:{dir}/token\" }}\nstart = \"30d\"\npoll = \"1s\"\nlimit = 100\n",
            dir = self.stage.dir.path().display(),
            addresses = receivers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            okta = self.stage.simulation.okta_url,
        );
        std::fs::write(&self.stage.file, text).unwrap();
    }

    async fn sync(&self) -> Output {
        let output = self.stage.tidegate(&["sync", "--json", "--max-duration", "120s"]).await;
        assert!(output.status.success(), "{}", text(&output));
        output
    }

    fn child(&self) -> tokio::process::Child {
        let command = self.stage.command(&["sync", "--json", "--max-duration", "120s"]);
        tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap()
    }

    fn existed(&self) -> BTreeSet<String> {
        self.stage.simulation.okta.events().into_iter().map(|event| event.id).collect()
    }
}

fn read(arrived: &[Arrived]) -> Vec<Parsed> {
    let parsed = arrived.iter().map(|arrived| {
        assert!(!arrived.rest, "a message was too long: {}", String::from_utf8_lossy(&arrived.bytes));
        parse(&arrived.bytes)
            .unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(&arrived.bytes)))
    });
    parsed.collect()
}

/// How often each event came.
fn times(arrived: &[Arrived]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for message in read(arrived) {
        *times.entry(message.leef.unwrap().attributes["eventUid"].clone()).or_default() += 1;
    }
    times
}

/// Everything is there, and at most so many messages came again.
fn assert_all_there(existed: &BTreeSet<String>, arrived: &[Arrived], at_most_again: usize) {
    let times = times(arrived);
    let there: BTreeSet<String> = times.keys().cloned().collect();
    let missing: Vec<_> = existed.difference(&there).take(5).collect();
    assert!(missing.is_empty(), "{} are missing: {missing:?}", existed.len() - there.len());
    let again = arrived.len() - times.len();
    assert!(again <= at_most_again, "{again} messages came again, at most {at_most_again} may");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_arrives_once_in_messages_that_qradar_understands() {
    for (header, framing, split) in
        [("rfc5424", "newline", Framing::Newline), ("rfc3164", "octet", Framing::Octet)]
    {
        let server = Syslog::start(SyslogConfig { framing: split, ..SyslogConfig::default() }).await.unwrap();
        let more = format!("header = \"{header}\"\nframing = \"{framing}\"\ntail_time = \"500ms\"");
        let scene = Scene::new(500, &[server.address()], &more).await;
        scene.sync().await;
        let arrived = server.arrived();
        assert_all_there(&scene.existed(), &arrived, 0);
        for message in read(&arrived) {
            assert_eq!((message.host.as_str(), message.priority / 8), ("okta-acme", 13));
            let leef = message.leef.unwrap();
            assert_eq!(leef.vendor, "Okta");
            if header == "rfc5424" {
                let time = chrono::DateTime::parse_from_rfc3339(&message.time).unwrap();
                assert_eq!(
                    leef.attributes["devTime"],
                    time.timestamp_millis().to_string(),
                    "the event's time"
                );
            }
        }
        assert!(server.connections().iter().all(|ended| *ended == Some(Ended::InOrder)));
        scene.stage.simulation.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_close_or_break_at_seeded_points_lose_nothing_and_repeat_at_most_their_tails() {
    let mut seed = 20_260_701;
    for _ in 0..3 {
        let server = Syslog::start(SyslogConfig::default()).await.unwrap();
        let faults: Vec<Fault> = (0..4)
            .map(|_| {
                let dice = splitmix(&mut seed);
                let messages = usize::try_from(dice % 200).unwrap();
                let within = usize::try_from((dice >> 16) % 300).unwrap();
                if dice & (1 << 40) == 0 {
                    Fault::CloseAfter(messages)
                } else {
                    Fault::ResetAfter(messages, within)
                }
            })
            .collect();
        server.script(faults.clone());
        let scene = Scene::new(600, &[server.address()], "tail_time = \"500ms\"").await;
        scene.sync().await;
        let arrived = server.arrived();
        let broken = server.connections().iter().filter(|ended| **ended == Some(Ended::ByUs)).count();
        assert_eq!(broken, faults.len(), "all of {faults:?} were played");
        // What a connection had brought when it broke comes again, where it had not left the tail.
        let tails = arrived.iter().filter(|message| message.connection < broken).count();
        assert_all_there(&scene.existed(), &arrived, tails);
        scene.stage.simulation.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_the_program_lose_nothing_and_repeat_at_most_what_had_not_left_the_tail() {
    let server = Syslog::start(SyslogConfig::default()).await.unwrap();
    let scene = Scene::new(1_500, &[server.address()], "tail_time = \"500ms\"").await;
    let mut tails = 0;
    for messages in [1, 150, 400] {
        let before = server.arrived().len();
        let mut child = scene.child();
        server.until(|arrived, _| arrived.len() >= before + messages).await;
        child.kill().await.unwrap();
        server.until(|_, connections| connections.iter().all(Option::is_some)).await;
        tails += server.arrived().len() - before;
    }
    scene.sync().await;
    assert_all_there(&scene.existed(), &server.arrived(), tails);
    let all = server.arrived().len();
    scene.sync().await;
    assert_eq!(server.arrived().len(), all, "what has left the tail never comes again");
    scene.stage.simulation.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_killed_with_messages_that_it_has_not_read_gets_them_when_it_is_back() {
    let server = Syslog::start(SyslogConfig::default()).await.unwrap();
    let (address, mut arrived) = (server.address(), Vec::new());
    let scene = Scene::new(900, &[address], "tail_time = \"1s\"").await;
    let mut child = scene.child();
    server.until(|arrived, _| arrived.len() >= 100).await;
    server.pause();
    arrived.extend(server.kill().await);
    let server = Syslog::start(SyslogConfig { address, ..SyslogConfig::default() }).await.unwrap();
    assert!(child.wait().await.unwrap().success());
    let tail = arrived.len();
    arrived.extend(server.arrived());
    assert_all_there(&scene.existed(), &arrived, tail);
    scene.stage.simulation.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_stops_reading_is_waited_for_in_bounded_memory() {
    let config = SyslogConfig { receive_buffer: Some(64 << 10), ..SyslogConfig::default() };
    let server = Syslog::start(config).await.unwrap();
    server.pause();
    let scene = Scene::new(6_000, &[server.address()], "tail_time = \"1s\"").await;
    let mut child = scene.child();
    server.until(|_, connections| connections.len() == 1).await;
    // Others whose receiver reads are done meanwhile, with tails as long, one after the other: the time of the tail is over.
    // Nothing was taken for delivered; what it is doing is waiting.
    let reads = Syslog::start(SyslogConfig::default()).await.unwrap();
    for _ in 0..3 {
        let other = Scene::new(20, &[reads.address()], "tail_time = \"1s\"").await;
        other.sync().await;
        other.stage.simulation.shutdown().await;
    }
    assert!(child.try_wait().unwrap().is_none(), "it waits for the receiver");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes < 200 << 10, "{peak}");
    assert!(server.arrived().is_empty());
    server.resume();
    assert!(child.wait().await.unwrap().success());
    assert_all_there(&scene.existed(), &server.arrived(), 0);
    assert_eq!(server.connections().len(), 1, "the same connection went on");
    scene.stage.simulation.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_receiver_gets_what_the_first_may_not_have_read() {
    let first = Syslog::start(SyslogConfig::default()).await.unwrap();
    let second = Syslog::start(SyslogConfig::default()).await.unwrap();
    let scene = Scene::new(900, &[first.address(), second.address()], "tail_time = \"1s\"").await;
    let mut child = scene.child();
    first.until(|arrived, _| arrived.len() >= 50).await;
    let mut arrived = first.kill().await;
    assert!(child.wait().await.unwrap().success());
    let tail = arrived.len();
    arrived.extend(second.arrived());
    assert_all_there(&scene.existed(), &arrived, tail);
    scene.stage.simulation.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_client_certificates_delivers_all_and_a_stranger_is_told_what_to_do() {
    let pki = Arc::new(Pki::new(&[]).unwrap());
    let listen = Listen::Tls { pki: Arc::clone(&pki), client_certificates: true };
    let server = Syslog::start(SyslogConfig { listen, ..SyslogConfig::default() }).await.unwrap();
    let scene = Scene::new(300, &[server.address()], "").await;
    let write = |name: &str, text: &str| {
        let path = scene.stage.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = pki.client_pem();
    let (ca, certificate, key) =
        (write("ca.pem", &pki.ca_pem()), write("client.pem", certificate), write("client.key", key));
    let tls = format!("transport = \"tls\"\nca = \"{ca}\"\ntail_time = \"500ms\"\n");
    scene.configure("acme", &[server.address()], &tls);
    let check = scene.stage.tidegate(&["check", "--online"]).await;
    assert!(!check.status.success() && text(&check).contains("`client`"), "{}", text(&check));
    let client =
        format!("client = {{ certificate = \"file:{certificate}\", private_key = \"file:{key}\" }}\n");
    scene.configure("acme", &[server.address()], &(tls + &client));
    let check = scene.stage.tidegate(&["check", "--online"]).await;
    assert!(check.status.success() && text(&check).contains("okta-acme"), "{}", text(&check));
    assert!(server.arrived().is_empty(), "a check sends nothing");
    scene.sync().await;
    assert_all_there(&scene.existed(), &server.arrived(), 0);
    let connections = server.connections();
    let ended = connections.last().copied().flatten();
    assert_eq!(ended, Some(Ended::InOrder), "with close_notify: {connections:?}");
    scene.stage.simulation.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_bring_one_message_each_and_no_more_than_they_may_hold() {
    let config = SyslogConfig { listen: Listen::Udp, ..SyslogConfig::default() };
    let server = Syslog::start(config).await.unwrap();
    let scene = Scene::new(60, &[server.address()], "transport = \"udp\"").await;
    scene.sync().await;
    server.until(|arrived, _| arrived.len() == 60).await;
    assert_all_there(&scene.existed(), &server.arrived(), 0);
    assert!(server.arrived().iter().all(|arrived| arrived.bytes.len() <= 1_000));
    scene.stage.simulation.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_that_is_too_long_is_a_dead_letter_that_names_the_key() {
    let server = Syslog::start(SyslogConfig::default()).await.unwrap();
    let keys = "schema = \"raw\"\nmax_message_bytes = \"300B\"\ntail_time = \"200ms\"";
    let scene = Scene::new(20, &[server.address()], keys).await;
    scene.stage.tidegate(&["sync", "--max-duration", "60s"]).await;
    assert!(server.arrived().is_empty());
    let letters = scene.stage.tidegate(&["dead-letters", "list", "acme", "--json"]).await;
    let letters = String::from_utf8(letters.stdout).unwrap();
    assert_eq!(letters.lines().count(), 20, "{letters}");
    assert!(letters.lines().all(|letter| letter.contains("max_message_bytes is 300")), "{letters}");
    scene.stage.simulation.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c48_the_host_is_the_tenants_and_not_the_containers() {
    let mut hosts = BTreeSet::new();
    for name in ["838d200e52ab", "f00dbabe0001"] {
        let server = Syslog::start(SyslogConfig::default()).await.unwrap();
        let options =
            SimulateOptions { events: 20, late: 0, org_limit: 60_000, ..SimulateOptions::default() };
        let scene = Scene::with(options, "acme_corp", &[server.address()], "tail_time = \"200ms\"").await;
        let mut command = scene.stage.command(&["sync", "--max-duration", "60s"]);
        command.env("HOSTNAME", name);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert_all_there(&scene.existed(), &server.arrived(), 0);
        hosts.extend(read(&server.arrived()).into_iter().map(|message| message.host));
        let check = scene.stage.tidegate(&["check", "--online"]).await;
        assert!(text(&check).contains("okta.acme-corp"), "check says what to enter: {}", text(&check));
        scene.stage.simulation.shutdown().await;
    }
    assert_eq!(hosts.into_iter().collect::<Vec<_>>(), ["okta.acme-corp"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c50_octet_counts_and_bounds_are_bytes() {
    let name = format!("\u{1D15F}\u{1F600} Kim {}", "ä".repeat(40));
    for (max, cut) in [(4_000, false), (400, true)] {
        let record = |n: usize| {
            serde_json::json!({
                "uuid": format!("5a1f0000-0000-4000-8000-00000000000{n}"),
                "published": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                "eventType": "user.session.start",
                "version": "0",
                "severity": "INFO",
                "displayMessage": format!("Sign-in of {name}"),
                "actor": { "id": "00u1example0000005", "type": "User", "alternateId": "kim.roe@example.com", "displayName": name },
                "client": { "ipAddress": "192.0.2.10", "userAgent": { "rawUserAgent": "Mozilla/5.0" } },
                "outcome": { "result": "SUCCESS" },
                "authenticationContext": { "externalSessionId": "102exampleSession" },
            })
        };
        let config = SyslogConfig { framing: Framing::Octet, ..SyslogConfig::default() };
        let server = Syslog::start(config).await.unwrap();
        let options = SimulateOptions { events: 0, late: 0, org_limit: 60_000, ..SimulateOptions::default() };
        let more = format!("framing = \"octet\"\nmax_message_bytes = \"{max}B\"\ntail_time = \"200ms\"");
        let scene = Scene::with(options, "acme", &[server.address()], &more).await;
        let lines = format!("{}\n{}\n", record(1), record(2));
        assert_eq!(scene.stage.simulation.okta.add_records(&lines.into(), chrono::Utc::now()), 2);
        scene.sync().await;
        // The stand-in cuts by the counts and knows nothing else: were one wrong, nothing behind it could be read.
        let arrived = server.arrived();
        assert_all_there(&scene.existed(), &arrived, 0);
        assert_eq!(server.connections(), [Some(Ended::InOrder)]);
        for (arrived, message) in arrived.iter().zip(read(&arrived)) {
            assert!(arrived.bytes.len() <= max, "{} bytes", arrived.bytes.len());
            let leef = message.leef.unwrap();
            assert_eq!(leef.attributes.get("truncated").is_some_and(|mark| mark == "true"), cut, "{leef:?}");
            assert_eq!(
                leef.attributes.get("actorName").is_some_and(|whole| *whole == name),
                !cut,
                "{leef:?}"
            );
            assert_eq!(leef.attributes["usrName"], "kim.roe@example.com");
        }
        scene.stage.simulation.shutdown().await;
    }
}
