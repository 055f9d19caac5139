//! Pages, links and times: the cases C33 and C39, and their kind.

use super::*;
use tidegate_simulator::{Fault, ScriptedFault};

/// Sixty pages of the last half hour, in one window. The very first request is a small one, for the vendor's clock.
fn sixty_pages() -> (Entra, Town) {
    let generate = plain("sign_ins", 33, 2_990, ago(24 * 60), TimeDelta::minutes(20));
    let entra = entra(EntraConfig { expires_in_as_text: true, ..generated(vec![generate]) });
    let town = town(&entra, "streams = [\"sign_ins\"]\nlimit = 50\nstart = \"25m\"\nsettle = [\"6h\"]");
    (entra, town)
}

fn served(entra: &Entra) -> Vec<RequestEntry> {
    asked(entra, "signIns").into_iter().skip(1).filter(|request| request.status == 200).collect()
}

async fn until_page(entra: &Entra, page: usize) {
    while served(entra).len() < page {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Asserts that each page was served once, `again` of them twice, and that the window follows the first page link by link.
fn assert_sixty(entra: &Entra, again: usize) {
    let mut pages: Vec<_> = served(entra).into_iter().map(|request| request.path).collect();
    pages.dedup_by(|a, b| a == b);
    let repeated = served(entra).len() - pages.len();
    assert!(repeated <= again, "{repeated} pages were asked again");
    assert!(pages[1..60].iter().all(|path| path.contains("$skiptoken=")), "the window was begun again");
    assert!(!pages[60].contains("$skiptoken="), "what follows is the next window");
    let mut all = pages.clone();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), pages.len(), "an earlier page was asked again");
}

#[tokio::test(start_paused = true)]
async fn c33_a_token_that_ends_at_page_40_of_60_is_renewed_once_and_the_page_repeated() {
    let (entra, town) = sixty_pages();
    let mut tenant = town.start().await;
    until_page(&entra, 39).await;
    entra.expire_tokens(town.clock.now());
    tenant.drain().await;
    tenant.stop().await;
    let log = asked(&entra, "signIns")[1..].to_vec();
    let refused: Vec<usize> = (0..log.len()).filter(|at| log[*at].status == 401).collect();
    assert_eq!(refused, [39], "one refusal, of page 40");
    assert_eq!(log[39].path, log[40].path, "its own link is repeated");
    assert_sixty(&entra, 0);
    assert_eq!(asked(&entra, "/oauth2/").len(), 2, "one token call for the renewal");
    assert_arrived(&entra, &town);
    let rows = ledger(&town, "sign_ins");
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_whole(&town, "sign_ins", ago(24 * 60), ago(180));
}

#[tokio::test(start_paused = true)]
async fn c33_killed_after_page_41_it_goes_on_with_page_42() {
    let (entra, town) = sixty_pages();
    let tenant = town.start().await;
    until_page(&entra, 39).await;
    entra.expire_tokens(town.clock.now());
    until_page(&entra, 41).await;
    drop(tenant);
    let (_, complete) = town.sync(HOUR).await;
    assert!(complete);
    // Page 41 itself may have been on its way into the journal.
    assert_sixty(&entra, 1);
    assert_eq!(asked(&entra, "/oauth2/").len(), 3, "two of the first life, one of the second");
    assert_arrived(&entra, &town);
    assert_eq!(town.elastic.conflicts(), 0);
    assert_whole(&town, "sign_ins", ago(24 * 60), ago(180));
}

#[tokio::test(start_paused = true)]
async fn tokens_that_live_for_a_tenth_of_the_walk_cost_a_call_each_and_no_page() {
    let generate = plain("sign_ins", 34, 2_990, ago(24 * 60), TimeDelta::minutes(20));
    let life = TimeDelta::seconds(30);
    let entra = entra(EntraConfig { access_token_life: life, ..generated(vec![generate]) });
    let town = town(&entra, "streams = [\"sign_ins\"]\nlimit = 50\nstart = \"25m\"\nsettle = [\"6h\"]");
    let (_, complete) = town.sync(HOUR).await;
    assert!(complete);
    assert_sixty(&entra, 0);
    assert!(asked(&entra, "signIns").iter().all(|request| request.status == 200), "renewed in time");
    assert_arrived(&entra, &town);
}

/// 1,200 sign-ins of one second, 5 of the one before and 5 of the one after.
fn one_second(at: DateTime<Utc>) -> Vec<Generate> {
    [(0, 1_200), (-1, 5), (1, 5)]
        .map(|(offset, records)| Generate {
            whole_seconds: true,
            ..plain("sign_ins", 39, records, at + TimeDelta::seconds(offset), TimeDelta::seconds(1))
        })
        .to_vec()
}

#[tokio::test(start_paused = true)]
async fn c39_a_second_of_1200_sign_ins_arrives_once_wherever_the_windows_edge_falls() {
    for offset in -2..=3 {
        // The first window ends two minutes back.
        let at = ago(120 + offset);
        let entra = entra(generated(one_second(at)));
        let times: Vec<_> = entra.known().iter().map(|known| known.occurred_at - at).collect();
        assert_eq!(times.iter().filter(|time| time.is_zero()).count(), 1_200);
        let town = town(&entra, "streams = [\"sign_ins\"]\nstart = \"20m\"");
        for _ in 0..3 {
            let (_, complete) = town.sync(10 * MINUTE).await;
            assert!(complete);
            tokio::time::sleep(61 * SECOND).await;
        }
        assert_eq!(town.elastic.created(), 1_210, "{offset}");
        assert_eq!(town.elastic.conflicts(), 0);
        assert_arrived(&entra, &town);
        let windows: Vec<_> = asked(&entra, "signIns").iter().filter_map(bounds).collect();
        assert!(windows.iter().all(|(from, to)| from < to), "{windows:?}");
        let rows = ledger(&town, "sign_ins");
        assert!(rows.windows(2).all(|pair| pair[0].to <= pair[1].from), "no time is in two rows: {rows:#?}");
        assert_whole(&town, "sign_ins", at - TimeDelta::minutes(10), at + TimeDelta::seconds(2));
    }
}

#[tokio::test(start_paused = true)]
async fn c39_equal_times_that_change_their_order_between_pages_are_all_found_by_the_sweeps() {
    let quirks = Quirks { reorder_within_walk: true, ..Quirks::default() };
    let at = ago(300);
    let entra = entra(EntraConfig { quirks, ..generated(one_second(at)) });
    let town = town(&entra, "streams = [\"sign_ins\"]\nstart = \"20m\"");
    let (_, complete) = town.sync(10 * MINUTE).await;
    assert!(complete);
    let first = town.elastic.created();
    assert!(first < 1_210, "the cut of the pages lost some");
    // A sweep that finds something is followed by another one, twice as late.
    town.run(8 * DAY).await;
    assert_eq!(town.elastic.created(), 1_210, "{first} at first");
    assert_arrived(&entra, &town);
    let rows = ledger(&town, "sign_ins");
    assert!(rows.iter().any(|row| row.grade == Grade::Settled && row.from <= at && at < row.to), "{rows:#?}");
}

#[tokio::test(start_paused = true)]
async fn empty_pages_with_a_next_link_are_not_the_end() {
    let quirks = Quirks { empty_pages: 0.4, ..Quirks::default() };
    let generate = STREAMS.map(|(stream, _)| plain(stream, 8, 120, ago(6_000), TimeDelta::minutes(90)));
    let entra = entra(EntraConfig { quirks, ..generated(generate.to_vec()) });
    let town = town(&entra, "streams = [\"*\"]\nlimit = 20");
    let (_, complete) = town.sync(2 * HOUR).await;
    assert!(complete);
    assert_arrived(&entra, &town);
}

#[tokio::test(start_paused = true)]
async fn skip_tokens_that_die_young_begin_a_narrower_window_until_it_fits() {
    // Four pages in a life of a token, one request in five seconds.
    let quirks = Quirks { skiptoken_life: Some(TimeDelta::seconds(4)), ..Quirks::default() };
    let generate = plain("directory_audits", 12, 300, ago(1_500), TimeDelta::minutes(20));
    let entra = entra(EntraConfig { quirks, ..generated(vec![generate]) });
    let town = town(&entra, "streams = [\"directory_audits\"]\nlimit = 50\nstart = \"25m\"");
    town.run(2 * HOUR).await;
    assert_arrived(&entra, &town);
    assert_whole(&town, "directory_audits", ago(1_500), base() + TimeDelta::hours(1));
    assert!(asked(&entra, "directoryAudits").iter().any(|request| request.status == 400));
}

#[tokio::test(start_paused = true)]
async fn a_window_of_too_many_rows_is_halved_until_graph_answers() {
    let quirks = Quirks { timeout_rows: Some(400), ..Quirks::default() };
    let generate = plain("sign_ins", 5, 4_000, ago(80_000), TimeDelta::hours(20));
    let entra = entra(EntraConfig { quirks, ..generated(vec![generate]) });
    let town = town(&entra, "streams = [\"sign_ins\"]");
    let (_, complete) = town.sync(6 * HOUR).await;
    assert!(complete);
    assert!(asked(&entra, "signIns").iter().any(|request| request.status == 504));
    assert_arrived(&entra, &town);
    assert_whole(&town, "sign_ins", ago(80_000), ago(300));
}

#[tokio::test(start_paused = true)]
async fn the_deprecation_link_of_beta_is_no_page() {
    let generate = plain("sign_ins", 14, 250, ago(1_200), TimeDelta::minutes(15));
    let entra = entra(generated(vec![generate]));
    let town = town(&entra, "streams = [\"sign_ins\"]\nlimit = 100\nstart = \"25m\"");
    let (_, complete) = town.sync(10 * MINUTE).await;
    assert!(complete);
    assert!(entra.requests().iter().all(|request| !request.path.contains("graph/changes")));
    assert_arrived(&entra, &town);
}

#[tokio::test(start_paused = true)]
async fn near_duplicates_of_one_login_are_all_delivered() {
    let generate =
        Generate { near_duplicates: 1.0, ..plain("sign_ins", 13, 100, ago(3_000), TimeDelta::minutes(40)) };
    let entra = entra(generated(vec![generate]));
    let town = town(&entra, "streams = [\"sign_ins\"]");
    town.run(4 * HOUR).await;
    assert!(entra.known().len() >= 200);
    assert_eq!(documents(&town.elastic).len(), entra.known().len());
    assert_arrived(&entra, &town);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_ends_too_early_is_made_good_by_the_next_horizon() {
    let generate = plain("sign_ins", 15, 400, ago(1_300), TimeDelta::minutes(15));
    let entra = entra(generated(vec![generate]));
    entra.push_fault(ScriptedFault { path: "signIns".into(), after: 1, times: 1, fault: Fault::NoNextLink });
    let town = town(&entra, "streams = [\"sign_ins\"]\nlimit = 50\nstart = \"25m\"");
    town.run(2 * MINUTE).await;
    assert!(town.elastic.created() < 400);
    town.run(HOUR).await;
    assert_arrived(&entra, &town);
}
