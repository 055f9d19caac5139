//! The older logs: seconds, no page tokens, no ids.

use super::*;
use serde_json::{Value, json};

const STREAMS: [&str; 2] = ["administrator", "offline_enrollment"];

fn deed(stream: &str, second: i64, n: usize) -> (DateTime<Utc>, Value) {
    let at = base() + TimeDelta::seconds(second);
    let value = json!({
        "action": format!("{stream}_update"), "description": json!({ "n": n }).to_string(),
        "isotimestamp": at.format("%Y-%m-%dT%H:%M:%S+00:00").to_string(), "object": "ada",
        "timestamp": at.timestamp(), "username": "API",
    });
    (at, value)
}

fn add(duo: &Duo, second: i64, n: usize) {
    for stream in STREAMS {
        let (at, value) = deed(stream, second, n);
        record(duo, stream, at, &value);
    }
}

const V1: &str = "start = \"1h\"\nstreams = [\"administrator\", \"offline_enrollment\"]";

#[tokio::test(start_paused = true)]
async fn two_equal_records_of_one_second_are_two_and_stay_two() {
    let duo = Duo::new(DuoConfig::default());
    for n in [1, 1, 1, 2] {
        add(&duo, 600, n);
    }
    let town = town(&duo, V1);
    town.run(2 * HOUR).await;
    // Read again at both horizons, which finds nothing new.
    let tenant = town.run(6 * HOUR).await;
    assert_eq!(tenant.board.sources()["duo"].fetched, 0);
    everything_arrived(&duo, &town);
    assert_eq!(town.elastic.created(), 8);
    assert_eq!(town.elastic.conflicts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_third_equal_record_that_becomes_visible_late_is_the_third() {
    let duo = Duo::new(DuoConfig::default());
    add(&duo, 600, 1);
    add(&duo, 600, 1);
    for stream in STREAMS {
        let (at, value) = deed(stream, 600, 1);
        let raw = Bytes::from(value.to_string());
        duo.add_record(stream, at, vec![Version { visible_at: at + TimeDelta::hours(3), raw }]);
    }
    let town = town(&duo, V1);
    town.run(8 * HOUR).await;
    everything_arrived(&duo, &town);
    assert_eq!(town.elastic.created(), 6);
}

/// D6
#[tokio::test(start_paused = true)]
async fn pages_of_a_thousand_that_end_within_a_second_lose_and_double_nothing() {
    let duo = Duo::new(DuoConfig::default());
    // 3,360 records in 8 seconds: every cut falls within a second; of three, two are alike.
    for n in 0..3_360 {
        add(&duo, 600 + n / 420, usize::try_from(n / 3 * 2 + n % 3 / 2).unwrap());
    }
    for n in 0..50 {
        add(&duo, 700 + n, 0);
    }
    let town = town(&duo, V1);
    town.run(8 * HOUR).await;
    everything_arrived(&duo, &town);
    assert_eq!(town.elastic.created(), 2 * 3_410);
    assert!(holes(&town).is_empty(), "{:#?}", holes(&town));
}

#[tokio::test(start_paused = true)]
async fn a_second_with_more_than_a_page_is_a_hole_that_stays_and_all_else_arrives() {
    let duo = Duo::new(DuoConfig::default());
    for n in 0..300 {
        add(&duo, 590 + n / 30, usize::try_from(n).unwrap());
    }
    for n in 0..1_200 {
        add(&duo, 600, n);
    }
    for n in 0..300 {
        add(&duo, 601 + n / 30, usize::try_from(n).unwrap());
    }
    let town = town(&duo, V1);
    for hours in [1, 9] {
        town.run(hours * HOUR).await;
        for stream in STREAMS {
            let rows = rows(&town, stream);
            let hole: Vec<_> = rows.iter().filter(|row| row.grade == Grade::Hole).collect();
            assert_eq!(hole.len(), 1, "after {hours} h: {rows:#?}");
            let begin = base() + TimeDelta::seconds(600);
            assert_eq!((hole[0].from, hole[0].to), (begin, begin + TimeDelta::seconds(1)));
            assert_eq!((hole[0].cause.as_deref(), hole[0].repairable_until), (Some("burst"), None));
            assert!(rows.iter().any(|row| row.grade != Grade::Hole && row.to == begin), "{rows:#?}");
            assert!(rows.iter().any(|row| row.grade != Grade::Hole && row.from == hole[0].to), "{rows:#?}");
        }
    }
    assert_eq!(town.elastic.created(), 2 * 1_600, "a thousand of the second, and all others");
    // Nothing is said of more than there is: what was read and what was not make up the whole time.
    let rows = rows(&town, "administrator");
    assert!(rows.windows(2).all(|pair| pair[0].to == pair[1].from), "{rows:#?}");
    assert!(rows.iter().filter(|row| row.grade == Grade::Settled).count() >= 2, "{rows:#?}");
}
