//! Clocks, configurations and vendors that are not as they should be.

use super::*;

impl Bench {
    /// A record a minute, visible at once, from `start` on.
    fn fill(&self, minutes: i64) {
        for n in 0..minutes {
            self.vendor.add(u64::try_from(n).unwrap(), self.start + TimeDelta::minutes(n), TimeDelta::zero());
        }
    }

    /// The vendor as it is, but for what is changed.
    fn vendor(self, change: impl FnOnce(&mut Vendor)) -> Self {
        let mut vendor = Arc::into_inner(self.vendor).unwrap();
        change(&mut vendor);
        Self { vendor: Arc::new(vendor), ..self }
    }

    /// Collects what there is, as `sync` does.
    async fn drain(&self) {
        let (journal, signal) = (self.journal(), Signal::default());
        let (collector, _) = self.collector(&journal, &signal);
        signal.go(Phase::Drain);
        tokio::time::timeout(6 * HOUR, collector.run()).await.expect("a drain ends").unwrap();
    }
}

/// What of `[from, to)` the ledger does not call this.
fn lacks(
    state: &State,
    grade: Grade,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    window::missing(of(state, grade).into_iter().map(|row| (row.from, row.to)), from, to)
}

#[tokio::test(start_paused = true)]
async fn a_clock_of_ours_that_is_behind_stalls_nothing() {
    let bench = Bench::new();
    bench.fill(20 * 60);
    bench.run(HOUR).await;
    let bench = Bench { wrong_by: TimeDelta::hours(-3), ..bench };
    bench.run(10 * MINUTE).await;
    let visible = bench.now() - TimeDelta::minutes(5);
    bench.assert_all_once(visible).await;
    assert!(lacks(&bench.state().await, Grade::Fetched, visible - TimeDelta::minutes(9), visible).is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_drains_with_a_clock_that_is_behind_reads_all_the_same_and_due_sweeps_too() {
    let bench = Bench::new();
    bench.fill(20 * 60);
    bench.run(HOUR).await;
    tokio::time::sleep(2 * HOUR).await;
    let found = bench.now() - TimeDelta::hours(3);
    bench.vendor.add(9_999, found, TimeDelta::minutes(70));
    let bench = Bench { wrong_by: TimeDelta::hours(-5), ..bench };
    bench.vendor.asked.lock().unwrap().clear();
    bench.drain().await;
    assert!(!bench.vendor.asked().is_empty());
    bench.assert_all_once(bench.now() - TimeDelta::minutes(3)).await;
    assert!(bench.arrived().await.contains_key(&9_999), "the sweeps that were due are read");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_or_forward_while_we_read_stalls_nothing() {
    for hours in [-3, 3] {
        let bench = Bench::new();
        bench.fill(20 * 60);
        let (journal, signal) = (bench.journal(), Signal::default());
        let (collector, _) = bench.collector(&journal, &signal);
        let clock = collector.clock.clone();
        let task = tokio::spawn(collector.run());
        tokio::time::sleep(HOUR).await;
        clock.set(TimeDelta::hours(hours));
        tokio::time::sleep(HOUR).await;
        signal.go(Phase::Stop);
        task.await.unwrap().unwrap();
        drop(journal);
        bench.assert_all_once(bench.now() - TimeDelta::minutes(5)).await;
        let state = bench.state().await;
        assert_eq!(of(&state, Grade::Hole).len(), 0, "{hours}");
        let first = state.works.iter().filter(|work| work.lane == Lane::Sweep).map(|work| work.from).max();
        assert!(first.unwrap() > bench.now() - TimeDelta::minutes(22), "{hours}: sweeps go on");
    }
}

#[tokio::test(start_paused = true)]
async fn horizons_that_change_between_runs_leave_no_time_unsettled() {
    let changes: [(&[u32], &[u32]); 7] = [
        (&[15, 120], &[15, 120, 1440]),
        (&[15, 120, 1440], &[15, 120]),
        (&[15, 120, 1440], &[15]),
        (&[15, 1440], &[15, 240]),
        (&[15, 120], &[15, 360]),
        (&[120, 1440], &[15, 120, 1440]),
        (&[15], &[30, 1440]),
    ];
    for (before, after) in changes {
        let settle = |minutes: &[u32]| minutes.iter().map(|minutes| *minutes * MINUTE).collect::<Vec<_>>();
        let bench = Bench::new();
        let bench = Bench { start: bench.now() - TimeDelta::hours(20), ..bench };
        bench.fill(30 * 60);
        let plan = StreamPlan { settle: settle(before), poll: 5 * MINUTE, ..bench.plan.clone() };
        let bench = Bench { plan, ..bench };
        bench.run(5 * HOUR).await;
        let plan = StreamPlan { settle: settle(after), ..bench.plan.clone() };
        let bench = Bench { plan, ..bench };
        let end = bench.now();
        // The longest horizon and its batch.
        bench.run(31 * HOUR).await;
        let state = bench.state().await;
        let unsettled = lacks(&state, Grade::Settled, floor_second(bench.start), end);
        assert!(unsettled.is_empty(), "{before:?} to {after:?}: {unsettled:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn page_tokens_in_a_circle_begin_the_window_again_and_lose_nothing() {
    let bench = Bench::new().vendor(|vendor| vendor.circle = Some(TimeDelta::minutes(20)));
    *bench.vendor.page.lock().unwrap() = 10;
    let bench = Bench { start: bench.now() - TimeDelta::hours(10), ..bench };
    bench.fill(14 * 60);
    bench.run(3 * HOUR).await;
    bench.assert_all_once(bench.now() - TimeDelta::minutes(5)).await;
    let state = bench.state().await;
    assert!(!state.works.iter().any(|work| work.lane == Lane::Backfill), "the backfill is over");
    assert_eq!(of(&state, Grade::Hole).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_is_told_by_the_vendor_s_clock() {
    let bench = Bench { wrong_by: TimeDelta::hours(3), ..Bench::new() };
    bench.fill(4 * 60);
    bench.run(2 * HOUR).await;
    let tally = bench.journal().tally("fake", "log", 0, i64::MAX).await.unwrap();
    assert!(tally.records > 150, "{tally:?}");
    assert_eq!(tally.late, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_is_asked_ever_more_rarely_however_many_rows_there_are() {
    let bench = Bench::new().vendor(|vendor| vendor.latency = Duration::from_secs(20));
    *bench.vendor.page.lock().unwrap() = 10;
    let bench = Bench { start: bench.now() - TimeDelta::days(20), ..bench };
    bench.fill(20 * 24 * 60);
    // Live is not due at every try, so that other rows are asked too.
    let bench = Bench { plan: StreamPlan { poll: 10 * MINUTE, ..bench.plan.clone() }, ..bench };
    let begin = bench.now();
    // Many requests are in flight by then, and all of them are refused.
    let (refused, good) = (begin + TimeDelta::minutes(5), begin + TimeDelta::minutes(65));
    bench.vendor.twist(move |_, now| {
        let cause = Fault::new(FaultKind::Credential, "refused");
        (now >= refused && now < good).then_some(PollError::Halt { cause })
    });
    bench.run(90 * MINUTE).await;
    let asked: Vec<_> =
        bench.vendor.asked().into_iter().map(|(at, _, _)| at).filter(|at| *at >= refused).collect();
    let wave = asked.iter().filter(|at| **at < refused + TimeDelta::seconds(50)).count();
    assert!(wave >= 10, "{wave}");
    let tries: Vec<_> = asked[wave..].iter().map(|at| (*at - refused).num_minutes()).collect();
    let while_refused = tries.iter().filter(|minute| **minute < 60).count();
    // After 1, 2, 4, 8 minutes, then every 15.
    assert!((5..=7).contains(&while_refused), "{tries:?}");
    assert!(tries[0] <= 2, "the wave counts as one: {tries:?}");
    assert!(tries[while_refused] <= 76, "{tries:?}");
    assert!(tries.len() > 100, "it goes on with all rows: {tries:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_is_over_or_begun_is_not_taken_up_a_second_time() {
    for again in [false, true] {
        let bench = Bench::with(Budget { limit: 60, span: MINUTE });
        let (journal, signal) = (bench.journal(), Signal::default());
        let (collector, _) = bench.collector(&journal, &signal);
        let bell = Arc::clone(&collector.bell);
        let task = tokio::spawn(collector.run());
        tokio::time::sleep(MINUTE).await;
        let (from, to) = (bench.start - TimeDelta::hours(40), bench.start - TimeDelta::hours(30));
        // Twice before anything of it was read, twice in the middle, and once when it is over but hardly written down.
        for wait in [0, 0, 7, 1, 22, 2] {
            tokio::time::sleep(Duration::from_secs(wait)).await;
            if wait != 2 && (wait == 0 || !again) {
                let wish = feed::backfill("fake", "log", from, Some(to), again);
                journal.commit(vec![Change::Work(wish)]).await.unwrap();
            }
            bell.notify_one();
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(5 * MINUTE).await;
        signal.go(Phase::Stop);
        task.await.unwrap().unwrap();
        drop(journal);
        let mut asked: Vec<_> = bench
            .vendor
            .asked()
            .into_iter()
            .map(|(_, from, to)| (from, to))
            .filter(|row| row.1 <= to)
            .collect();
        asked.sort_unstable();
        assert!(asked.len() > 2);
        assert!(asked.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{again}: twice: {asked:?}");
        let state = bench.state().await;
        assert!(!state.works.iter().any(|work| work.lane == Lane::Backfill), "{:?}", state.works);
        let covered = state.coverage.iter().map(|row| (row.from, row.to));
        assert!(window::missing(covered, from, to).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_never_takes_the_name_of_another_one() {
    let bench = Bench::new();
    let (journal, signal) = (bench.journal(), Signal::default());
    let mut reading = Reading::new(bench.collector(&journal, &signal).0);
    let plan = Arc::new(bench.plan.clone());
    let row = || window::sweep("fake", &bench.plan, TimeDelta::hours(2), bench.start);
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let row = reading.distinct(row());
        names.insert(row.name.clone());
        reading.push(&plan, row, Duration::ZERO);
    }
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn of_backfills_that_expire_soon_the_oldest_goes_first() {
    let bench = Bench::with(Budget { limit: 4, span: MINUTE });
    *bench.vendor.page.lock().unwrap() = 10;
    let begin = bench.now();
    let ago = |hours: i64| begin - TimeDelta::days(29) - TimeDelta::hours(hours);
    let bench = Bench { start: begin, ..bench };
    for n in 0..20 * 60 {
        bench.vendor.add(n, ago(20) + TimeDelta::minutes(i64::try_from(n).unwrap()), TimeDelta::zero());
    }
    for (from, to) in [(ago(8), ago(3)), (ago(20), ago(15))] {
        let wish = feed::backfill("fake", "log", from, Some(to), false);
        // So that the younger one is taken up first.
        let wish = Work { name: format!("backfill-{}", u8::from(from < ago(10))), ..wish };
        bench.journal().commit(vec![Change::Work(wish)]).await.unwrap();
    }
    bench.run(3 * HOUR).await;
    let asked: Vec<_> =
        bench.vendor.asked().into_iter().map(|(_, from, _)| from).filter(|from| *from < ago(0)).collect();
    assert!(asked.len() > 20, "{}", asked.len());
    assert!(asked.is_sorted(), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_still_found_seven_days_later_never_counts_as_settled() {
    let bench = Bench::new();
    let plan = StreamPlan { settle: vec![15 * MINUTE, 6 * 24 * HOUR], ..bench.plan.clone() };
    let bench = Bench { plan, ..bench };
    let begin = bench.now();
    let odd = begin + TimeDelta::minutes(30);
    bench.vendor.add(1, odd, TimeDelta::hours(5 * 24 + 23));
    bench.vendor.add(2, odd, TimeDelta::hours(6 * 24 + 23));
    bench.run(9 * 24 * HOUR).await;
    assert_eq!(bench.arrived().await.len(), 2);
    let state = bench.state().await;
    let says = |grade| of(&state, grade).iter().any(|row| row.from <= odd && odd < row.to);
    assert!(says(Grade::Fetched) && !says(Grade::Settled), "{:?}", rows(&state));
    assert!(of(&state, Grade::Settled).iter().any(|row| row.from > odd), "what held nothing is settled");
}

#[tokio::test(start_paused = true)]
async fn a_second_that_the_vendor_cannot_answer_becomes_a_hole_that_can_be_repaired_and_the_rest_is_read() {
    let bench = Bench::new();
    let bench = Bench { start: bench.now() - TimeDelta::hours(5), ..bench };
    bench.fill(12 * 60);
    let odd =
        [floor_second(bench.now()) - TimeDelta::hours(2), floor_second(bench.now()) + TimeDelta::hours(1)];
    bench.vendor.twist(move |place, _| {
        let Place::Window { from, to, .. } = place else { return None };
        let cause = Fault::new(FaultKind::Server, "internal error");
        odd.iter().any(|odd| from <= odd && odd < to).then_some(PollError::Restart { cause })
    });
    bench.run(5 * HOUR).await;
    let state = bench.state().await;
    let holes: Vec<_> = of(&state, Grade::Hole).iter().map(|row| (row.from, row.to - row.from)).collect();
    assert_eq!(holes, odd.map(|odd| (odd, TimeDelta::seconds(1))), "{:?}", rows(&state));
    for hole in of(&state, Grade::Hole) {
        assert_eq!(hole.cause.as_deref(), Some("refused"));
        assert_eq!(hole.repairable_until, Some(hole.from + TimeDelta::days(30)));
    }
    assert!(!state.works.iter().any(|work| work.lane == Lane::Backfill), "the backfill is over");
    bench.assert_all_once(bench.now() - TimeDelta::minutes(40)).await;
    bench.vendor.twist(|_, _| None);
    for (from, length) in holes {
        let wish = feed::backfill("fake", "log", from, Some(from + length), false);
        bench.journal().commit(vec![Change::Work(wish)]).await.unwrap();
    }
    bench.run(MINUTE).await;
    assert_eq!(of(&bench.state().await, Grade::Hole).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_answers_nothing_at_all_makes_no_hole() {
    let bench = Bench::new();
    bench.fill(12 * 60);
    bench.run(HOUR).await;
    let cause = || Fault::new(FaultKind::Server, "internal error");
    bench.vendor.twist(move |_, _| Some(PollError::Restart { cause: cause() }));
    bench.run(5 * HOUR).await;
    assert_eq!(of(&bench.state().await, Grade::Hole).len(), 0);
    bench.vendor.twist(|_, _| None);
    bench.run(HOUR).await;
    bench.assert_all_once(bench.now() - TimeDelta::minutes(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_backfill_is_not_cut_into_ever_more_pieces_while_bodies_are_what_it_waits_for() {
    let bench = Bench::new().vendor(|vendor| vendor.body = Duration::from_secs(10));
    let bench = Bench { start: bench.now() - TimeDelta::days(20), ..bench };
    let begin = bench.now();
    for _ in 0..4 {
        bench.run(5 * MINUTE).await;
        let state = bench.state().await;
        let pieces = state.works.iter().filter(|work| work.lane == Lane::Backfill).count();
        assert!((2..=IN_FLIGHT).contains(&pieces), "{pieces} after {}", bench.now() - begin);
    }
}
