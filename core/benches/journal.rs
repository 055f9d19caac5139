//! What a commit costs: CPU and time an event as keys grow, and how much longer than a bare sync it takes.
//!
//! `cargo bench -p tidegate-core --bench journal` takes about a minute; `-- --long` goes on to 10⁷ keys. The directory is
//! made in `$TIDEGATE_BENCH_DIR`, or beside the build: a file system in memory would tell nothing about syncs.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::panic,
    reason = "a bench prints figures, and stops where it cannot go on"
)]
#![allow(missing_docs, reason = "not a library")]

use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use tidegate_core::journal::{
    Appended, Change, FileJournal, Journal, Key, Lane, NewPage, NewRecord, OpenOptions, Outcome, Range, Work,
};

/// Events of one page, as a busy vendor sends them.
const PAGE: u64 = 1000;
/// Events of one stream in an hour.
const HOUR: u64 = 50_000;

fn main() {
    let long = std::env::args().any(|a| a == "--long");
    let parent =
        std::env::var_os("TIDEGATE_BENCH_DIR").map_or_else(|| "../target".into(), std::path::PathBuf::from);
    let dir = tempfile::tempdir_in(parent).unwrap();
    compression();
    growth(dir.path(), if long { &[100_000, 1_000_000, 10_000_000] } else { &[100_000, 1_000_000] });
    latency(dir.path());
    opening(dir.path());
}

/// What of a new event's CPU is zstd's, whoever calls it.
fn compression() {
    let lines: Vec<_> = (0..PAGE).flat_map(|id| record(id).to_vec()).collect();
    let mut zstd = zstd::bulk::Compressor::new(1).unwrap();
    let mut small = 0;
    let (cpu, _) = timed(|| (0..200).for_each(|_| small = zstd.compress(&lines).unwrap().len()));
    println!(
        "zstd-1 alone: {:.2} µs an event, {} → {} bytes\n",
        cpu.as_secs_f64() * 1e6 / (200 * PAGE) as f64,
        lines.len() as u64 / PAGE,
        small as u64 / PAGE
    );
}

fn growth(dir: &Path, levels: &[u64]) {
    println!("keys        new event: cpu, wall     duplicate: cpu     read: wall (disk)");
    let journal = open(&dir.join("growth"));
    let mut next = 0;
    for level in levels {
        while next < level - 100 * PAGE {
            let n = (level - 100 * PAGE - next).min(20 * PAGE);
            commit(&journal, vec![page(next, n, small)]);
            next += n;
        }
        let (mut cpu, mut wall) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..100 {
            let page = vec![page(next, PAGE, record)];
            let (c, w) = timed(|| assert_eq!(commit(&journal, page).new as u64, PAGE));
            (cpu, wall, next) = (cpu + c, wall + w, next + PAGE);
        }
        let again: Vec<_> = (0..100).map(|n| vec![page(next - (n % 20 + 1) * PAGE, PAGE, small)]).collect();
        let (known, _) = timed(|| {
            for page in again {
                assert_eq!(commit(&journal, page).duplicates as u64, PAGE);
            }
        });
        let end = journal.load().unwrap().pages.1;
        let mut read = 0u32;
        let (_, reading) = timed(|| {
            let from = end - 100;
            for page in
                journal.read(Range { lane: Lane::Live, from, to: Some(from + 40) }, usize::MAX).unwrap()
            {
                read += u32::try_from(page.records.len()).unwrap();
            }
        });
        let us = |d: Duration, n: u64| d.as_secs_f64() * 1e6 / n as f64;
        println!(
            "{level:>9}   {:>8.2} µs {:>8.2} µs   {:>12.3} µs   {:>14.2} µs",
            us(cpu, 100 * PAGE),
            us(wall, 100 * PAGE),
            us(known, 100 * PAGE),
            us(reading, u64::from(read)),
        );
    }
    let bytes: u64 = std::fs::metadata(dir.join("growth/state.db")).unwrap().len();
    println!("state.db    {:.1} B a key\n", bytes as f64 / next as f64);
}

fn latency(dir: &Path) {
    let journal = open(&dir.join("latency"));
    let mut bare = std::fs::File::create(dir.join("bare")).unwrap();
    let block = vec![7; 30 << 10];
    let (mut commits, mut syncs) = (Vec::new(), Vec::new());
    for n in 0..1000 {
        let changes = vec![page(n * 100, 100, record), work(n)];
        commits.push(timed(|| assert_eq!(commit(&journal, changes).new, 100)).1);
        syncs.push(
            timed(|| {
                bare.write_all(&block).unwrap();
                bare.sync_data().unwrap();
            })
            .1,
        );
    }
    println!("1,000 commits of 100 events and a cursor, in turn with a bare append and fdatasync:");
    let mut at99 = [0.0; 2];
    for ((name, times), p99) in [("commit", &mut commits), ("bare", &mut syncs)].into_iter().zip(&mut at99) {
        times.sort_unstable();
        let ms = |p: usize| times.get(times.len() * p / 1000).unwrap().as_secs_f64() * 1e3;
        *p99 = ms(990);
        println!("  {name:<7} p50 {:.2} ms   p99 {:.2} ms   p99.9 {:.2} ms", ms(500), ms(990), ms(999));
    }
    println!("  p99 of a commit is {:.1} × that of a bare fdatasync\n", at99[0] / at99[1]);
}

fn opening(dir: &Path) {
    let mut times: Vec<_> = (0..50).map(|_| timed(|| drop(open(&dir.join("growth")))).1).collect();
    times.sort_unstable();
    println!("open and close the large journal: p50 {:.2} ms", times.get(25).unwrap().as_secs_f64() * 1e3);
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

fn open(dir: &Path) -> FileJournal {
    FileJournal::open(dir, OpenOptions::new("bench", now())).unwrap()
}

fn commit(journal: &FileJournal, changes: Vec<Change>) -> Appended {
    match journal.commit(&changes).unwrap().first() {
        Some(Outcome::Appended(appended)) => *appended,
        other => panic!("{other:?}"),
    }
}

fn page(first: u64, n: u64, bytes: fn(u64) -> Bytes) -> Change {
    let records = (first..first + n)
        .map(|id| {
            let hash = (u128::from(mix(id)) << 64) | u128::from(mix(id ^ 0xABCD));
            let key = Key { hour: i64::try_from(id / HOUR).unwrap(), id: hash, meaning: mix(id + 1) };
            NewRecord { bytes: bytes(id), key, occurrence: 0, late: false }
        })
        .collect();
    Change::Page(NewPage {
        source: "okta".into(),
        stream: "system_log".into(),
        lane: Lane::Live,
        at: now(),
        records,
        reread: false,
        immutable: true,
    })
}

fn work(n: u64) -> Change {
    Change::Work(Work {
        source: "okta".into(),
        stream: "system_log".into(),
        lane: Lane::Live,
        name: "live".into(),
        from: now(),
        to: None,
        cursor: Some(format!("https://acme.okta.com/api/v1/logs?after={n}").into_bytes()),
        wait_until: None,
        reason: None,
        memo: String::new(),
    })
}

/// Not a hash, but as spread as one.
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x7FB5_D329_728E_A185);
    (n ^ (n >> 27)).wrapping_mul(0x81DA_DEF4_BC2D_D44D) ^ (n >> 33)
}

fn small(id: u64) -> Bytes {
    Bytes::from(format!("{{\"uuid\":{id}}}"))
}

/// An invented record of the size and the randomness of an Okta one.
fn record(id: u64) -> Bytes {
    let (a, b, c, d) = (mix(id), mix(id ^ 0x7777), mix(id ^ 0xFFFF_0000), mix(id ^ 0x1_2345_6789));
    Bytes::from(format!(
        r#"{{"actor":{{"id":"00u{a:016x}","type":"User","alternateId":"user{:05}@example.com","displayName":"User {:05}","detailEntry":null}},"client":{{"userAgent":{{"rawUserAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36","os":"Mac OS X","browser":"CHROME"}},"zone":"null","device":"Computer","ipAddress":"203.0.113.{}","geographicalContext":{{"city":"Lisbon","state":"Lisboa","country":"Portugal","postalCode":"1000-001","geolocation":{{"lat":38.7,"lon":-9.1}}}}}},"authenticationContext":{{"authenticationStep":0,"externalSessionId":"102{b:016x}"}},"displayMessage":"User login to Okta","eventType":"user.session.start","outcome":{{"result":"SUCCESS","reason":null}},"published":"2026-01-0{}T{:02}:{:02}:{:02}.{:03}Z","severity":"INFO","debugContext":{{"debugData":{{"requestId":"{c:016x}{d:016x}","dtHash":"{:016x}{:016x}{:016x}{:016x}","requestUri":"/idp/idx/challenge/answer","threatSuspected":"false"}}}},"uuid":"{a:016x}{b:016x}","version":"0"}}"#,
        a % 5000,
        a % 5000,
        100 + b % 30,
        a % 250,
        1 + a % 9,
        b % 24,
        a % 60,
        b % 60,
        a % 1000,
        mix(c),
        mix(d),
        mix(c ^ d),
        mix(c ^ a),
    ))
}

/// CPU time of this thread, and wall time.
fn timed(run: impl FnOnce()) -> (Duration, Duration) {
    let (cpu, wall) = (cpu(), Instant::now());
    run();
    (self::cpu().saturating_sub(cpu), wall.elapsed())
}

fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0))
}
