//! `tidegate check`: what an operator learns before the first record is kept.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;
#[path = "common/duo.rs"]
mod duo;

use common::base;
use duo::{DuoRig, generated};
use serde_json::Value;
use std::time::Duration;
use tidegate::cli::check::{Args, lines};
use tidegate::world::World;
use tidegate_core::journal::{Change, FileJournal, Journal as _, OpenOptions, QuotaRow};
use tidegate_simulator::duo::{Access, DuoConfig, Limits};

const ONLINE: Args = Args { online: true, json: false };

async fn said(rig: &DuoRig, args: &Args) -> (u8, String) {
    let (code, lines) = lines(&rig.world, &rig.config, args).await;
    (code, lines.join("\n"))
}

fn steady() -> DuoConfig {
    let generate = vec![generated("authentication", 300, 3), generated("activity", 3_600, 3)];
    DuoConfig { generate, ..DuoConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn every_stream_is_probed_and_what_is_expected_is_compared_with_our_share() {
    let rig = DuoRig::new(steady(), "streams = [\"authentication\", \"activity\"]\nquota = \"100%\"");
    let (code, text) = said(&rig, &ONLINE).await;
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!(text.replace(&rig.dir.path().display().to_string(), "DIR"));
    let (_, object) = said(&rig, &Args { json: true, ..ONLINE }).await;
    let object: Value = serde_json::from_str(&object).unwrap();
    let checked = &object["checked"][0];
    assert_eq!(checked["streams"][0]["stream"], "authentication");
    assert!(checked["streams"][0]["records_an_hour"].as_u64().unwrap().abs_diff(100) < 30, "{checked}");
    assert!(checked["streams"][1]["records_an_hour"].as_u64().unwrap().abs_diff(1_200) < 300, "{checked}");
    for member in ["name", "what", "ok", "lines", "faults"] {
        assert!(checked.get(member).is_some(), "{member}: {checked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_may_not_be_read_is_named_with_its_remedy_and_the_others_are_still_tried() {
    let access = [("authentication".to_owned(), Access::Forbidden)].into();
    let rig = DuoRig::new(DuoConfig { access, ..steady() }, "streams = [\"authentication\", \"activity\"]");
    let (code, text) = said(&rig, &ONLINE).await;
    assert_eq!(code, 21, "{text}");
    assert!(text.contains("acme/duo  FAILS"), "{text}");
    assert!(text.contains("  authentication  FAILS: ") && text.contains("  Fix: "), "{text}");
    assert!(text.contains("  activity  ok"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_is_tried_and_said_once() {
    let rig = DuoRig::new(steady(), "");
    std::fs::write(rig.dir.path().join("secret"), "0123456789012345678901234567890123456789").unwrap();
    let (code, text) = said(&rig, &ONLINE).await;
    assert_eq!(code, 21, "{text}");
    assert_eq!(text.matches("Fix: ").count(), 1, "{text}");
    assert!(text.contains("  activity  not tried: the credential was refused"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_the_vendors_limit_a_minute_at_most_and_then_says_how_long_it_would_take() {
    let quota = |seconds: i64| {
        let until = (base() + chrono::TimeDelta::seconds(seconds)).to_rfc3339();
        let state = format!(
            "{{\"authentication\": {{\"not_before\": \"{until}\"}}, \"requests\": {{\"not_before\": \"{until}\"}}}}"
        );
        Change::Quota(QuotaRow { source: "duo".to_owned(), not_before: None, state })
    };
    for (seconds, code) in [(40, 0), (600, 30)] {
        let rig = DuoRig::new(steady(), "streams = [\"authentication\"]");
        let dir = rig.journal();
        FileJournal::open(&dir, OpenOptions::new("test", base())).unwrap().commit(&[quota(seconds)]).unwrap();
        let began = tokio::time::Instant::now();
        let (said_code, text) = said(&rig, &ONLINE).await;
        assert_eq!(said_code, code, "{text}");
        if code == 0 {
            assert!(
                began.elapsed() >= Duration::from_secs(40) && text.contains("authentication  ok"),
                "{text}"
            );
        } else {
            assert!(began.elapsed() < Duration::from_secs(60));
            assert!(text.contains("not tried: the limit lets the next request go in 60"), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_too_small_is_warned_of() {
    let rig = DuoRig::new(
        DuoConfig { limits: Limits::off(), ..steady() },
        "streams = [\"authentication\"]\nquota = \"50%\"\npoll = \"20s\"",
    );
    let (code, text) = said(&rig, &ONLINE).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("warning: ") && text.contains("our share allows 1,416: raise `quota`"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_is_trouble() {
    let clock_offset = chrono::TimeDelta::seconds(-90);
    let rig = DuoRig::new(DuoConfig { clock_offset, ..steady() }, "streams = [\"authentication\"]");
    let (code, text) = said(&rig, &ONLINE).await;
    assert_eq!(code, 20, "{text}");
    assert!(text.contains("s ahead of Duo's") && text.contains("Fix: synchronise the clock (NTP)"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn offline_it_says_what_is_off_and_what_cannot_work_as_it_is_meant() {
    let rig = DuoRig::new(
        DuoConfig::default(),
        "forget_after = \"3d\"\nstream.telephony.off = \"no telephony\"\nstream.activity.retention = \"1d\"\n\
         stream.activity.settle = [\"1h\", \"48h\"]",
    );
    let (code, text) = said(&rig, &Args { online: false, json: false }).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("acme/duo/telephony  off: no telephony"), "{text}");
    assert!(text.contains("warning: authentication: ids are forgotten after 3 d, but sweeps may read a record again until 7 d 6 h after it"), "{text}");
    assert!(
        !text.contains("activity: ids are forgotten"),
        "who shows a day cannot show it again after three: {text}"
    );
    assert!(
        text.contains("warning: activity: the horizon 2 d is longer than the vendor keeps records (1 d)"),
        "{text}"
    );
    assert!(rig.duo.requests().is_empty(), "nothing is asked");
}

mod expiring {
    use super::{ONLINE, base, lines};
    use async_trait::async_trait;
    use bytes::Bytes;
    use chrono::TimeDelta;
    use serde_json::{Map, Value as Json};
    use std::sync::Arc;
    use std::time::Duration;
    use tidegate::world::World;
    use tidegate_core::clock::Clock;
    use tidegate_core::event::Emit;
    use tidegate_core::json::Value;
    use tidegate_core::source::{
        Connector, Cursor, Findings, Identity, Names, NormalizeError, Page, Place, PollError, Settings,
        SettingsError, Source, Stream, StreamKind,
    };

    static NAMES: Names = Names {
        dataset: "fake.log",
        namespace: "fake",
        vendor: "Fake",
        product: "Fake",
        sourcetype: "fake",
        leef: ("Fake", "Fake"),
    };
    static STREAMS: &[Stream] = &[Stream {
        name: "log",
        kind: StreamKind::Feed,
        default: true,
        immutable: true,
        retention: Duration::from_secs(90 * 86_400),
        poll: Duration::from_secs(60),
        names: &NAMES,
    }];

    /// A vendor whose certificate ends after so many days (its `days`), and whose log never ends: six records a minute.
    struct Fake;
    struct FakeSource(i64, Clock);

    impl Connector for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }
        fn title(&self) -> &'static str {
            "Fake"
        }
        fn streams(&self) -> &'static [Stream] {
            STREAMS
        }
        fn schema(&self) -> schemars::Schema {
            schemars::json_schema!({ "type": "object", "properties": { "days": { "type": "integer" } } })
        }
        fn open(&self, settings: Settings) -> Result<Arc<dyn Source>, SettingsError> {
            Ok(Arc::new(FakeSource(settings.table["days"].as_i64().unwrap(), settings.http.clock().clone())))
        }
        fn organisation(&self, _: &Map<String, Json>) -> Result<String, SettingsError> {
            Ok("fake".to_owned())
        }
        fn identity<'r>(&self, _: &Stream, record: Value<'_, 'r>) -> Identity<'r> {
            let time = record.get("t").and_then(|time| time.raw().trim_matches('"').parse().ok());
            Identity { id: None, time }
        }
        fn normalize<'r>(
            &self,
            _: &Stream,
            _: Value<'r, 'r>,
            _: &mut Emit<'_, 'r>,
        ) -> Result<(), NormalizeError> {
            Ok(())
        }
    }

    #[async_trait]
    impl Source for FakeSource {
        async fn poll(&self, _: &Stream, place: &Place) -> Result<Page, PollError> {
            let Place::Feed { cursor, since } = place else { panic!("a feed") };
            let begin =
                cursor.as_ref().map_or(*since, |at| std::str::from_utf8(&at.0).unwrap().parse().unwrap());
            let (mut body, mut records) = (String::new(), Vec::new());
            for n in 0..10 {
                let from = body.len();
                body.push_str(&format!(
                    "{{\"t\":\"{}\"}}",
                    (begin + TimeDelta::seconds(n * 10)).to_rfc3339()
                ));
                records.push(from..body.len());
            }
            let next = Some(Cursor((begin + TimeDelta::seconds(100)).to_rfc3339().into_bytes()));
            let (body, date) = (Bytes::from(body), Some(self.1.now()));
            Ok(Page { body, records, next, wait: Duration::ZERO, date, unread: None })
        }
        async fn check(&self) -> Findings {
            Findings { expires: Some(base() + TimeDelta::days(self.0)), ..Findings::default() }
        }
        fn remedy(&self) -> String {
            "none".to_owned()
        }
    }

    async fn said(days: i64) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipeline.toml");
        let dir = dir.path().display();
        let text = format!(
            "[journal]\ndir = \"{dir}/journal\"\n[sink.files]\nkind = \"file\"\nschema = \"ecs\"\ndir = \"{dir}/out\"\n\
             [tenant.acme.source.fake]\nconnector = \"fake\"\ndays = {days}\n"
        );
        std::fs::write(&path, text).unwrap();
        let mut world = World::new(&[&Fake]);
        world.clock = Clock::starting_at(base());
        let config = world.load(&path).unwrap();
        let (code, lines) = lines(&world, &config, &ONLINE).await;
        assert_eq!(code, 0, "{lines:#?}");
        lines.join("\n")
    }

    #[tokio::test(start_paused = true)]
    async fn a_credential_that_expires_within_a_month_is_warned_of() {
        let soon = said(20).await;
        assert!(soon.contains("warning: the credential expires on 2026-06-21 (in 20 d)"), "{soon}");
        let later = said(31).await;
        assert!(!later.contains("warning"), "{later}");
    }

    /// Three pages of ten records each, ten seconds apart.
    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_within_three_pages_is_estimated_from_the_times_of_its_records() {
        let said = said(99).await;
        assert!(said.contains("log  ok, about 372 records an hour"), "{said}");
        assert!(
            said.contains("requests (log): about 1,440 requests a day, our share allows 43,200"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_file_that_a_sink_needs_and_cannot_be_read_is_found_without_asking_anybody() {
    const OKTA: &str = "[tenant.acme.source.okta]\nconnector = \"okta\"\nurl = \"https://acme.okta.com\"\n\
                        auth = { token = \"file:DIR/token\" }\n[sink.siem]\n";
    let client = "client = { certificate = \"file:DIR/gone.pem\", private_key = \"file:DIR/gone.pem\" }";
    let qradar = "kind = \"qradar\"\naddress = \"192.0.2.1\"\ntransport = \"tls\"";
    let splunk = "kind = \"splunk_hec\"\nurl = \"https://192.0.2.1:8088\"\ntoken = \"file:DIR/token\"";
    let elastic = "kind = \"elasticsearch\"\nurls = [\"https://192.0.2.1:9200\"]";
    for (sink, more, key) in [
        (qradar, "ca = \"DIR/gone.pem\"", "ca"),
        (qradar, "ca = \"DIR/pipeline.toml\"", "ca"),
        (qradar, client, "client"),
        (splunk, client, "client"),
        (splunk, "ca_file = \"DIR/gone.pem\"", "ca_file"),
        (elastic, "ca_file = \"DIR/gone.pem\"", "ca_file"),
        // Secrets may be elsewhere.
        (elastic, "api_key = \"file:DIR/gone.pem\"", ""),
        (qradar, "", ""),
        (splunk, "", ""),
        (elastic, "", ""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().display().to_string();
        let path = dir.path().join("pipeline.toml");
        std::fs::write(dir.path().join("token"), "invented").unwrap();
        std::fs::write(&path, format!("{OKTA}{sink}\n{more}\n").replace("DIR", &place)).unwrap();
        let world = World::new(&[]);
        let config = world.load(&path).unwrap();
        for online in [false, true] {
            if key.is_empty() && online {
                continue;
            }
            let (code, text) = lines(&world, &config, &Args { online, json: true }).await;
            assert_eq!(code, if key.is_empty() { 0 } else { 20 }, "{sink} {more}: {text:?}");
            if !key.is_empty() {
                let file = if more.contains("gone") { "gone.pem" } else { "pipeline.toml" };
                let at = format!(": tenant acme, sink siem: {key}: ");
                assert!(text[0].contains(file) && text[0].contains(&at), "{more}: {text:?}");
            }
        }
    }
}
