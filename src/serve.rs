//! Health and metrics of a running process, where `listen` says so. Only what the boards and the journals' small tables
//! know; no secret, no record.

use crate::cli::standing::{backfills, ledger, settled_to, works};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_core::board::{Board, StreamState};
use tidegate_core::journal::{self, Reader};

/// The boards of all tenants that run, and where their journals are.
#[derive(Clone, Default)]
pub struct Boards(Arc<Mutex<BTreeMap<String, (Board, PathBuf)>>>);

impl Boards {
    /// Shows a tenant's board. The journal is read beside its holder, so that nobody but the holder keeps it open.
    pub fn put(&self, tenant: &str, board: Board, journal: PathBuf) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.to_owned(), (board, journal));
    }

    /// Takes a tenant's board away: nobody works on it any more, and what it said would stand still.
    pub fn take_away(&self, tenant: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }

    /// All boards, by tenant.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Board> {
        self.with_journals().into_iter().map(|(tenant, (board, _))| (tenant, board)).collect()
    }

    fn with_journals(&self) -> BTreeMap<String, (Board, PathBuf)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves `/healthz` and `/metrics` for as long as the process runs.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(address: SocketAddr, boards: Boards) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(|State(boards): State<Boards>| async move { metrics(&boards).await }))
        .with_state(boards);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// Lines of metrics, by family.
#[derive(Default)]
struct Families(BTreeMap<&'static str, String>);

impl Families {
    fn add(&mut self, name: &'static str, labels: &str, value: f64) {
        let _ = writeln!(self.0.entry(name).or_default(), "{name}{{{labels}}} {value}");
    }
}

/// All boards in the Prometheus text format.
pub async fn metrics(boards: &Boards) -> String {
    let mut families = Families::default();
    for (tenant, (board, journal)) in boards.with_journals() {
        // A journal that cannot be read says so elsewhere; the boards speak on.
        let read = move || Reader::open(journal).and_then(|mut reader| reader.load());
        let state = tokio::task::spawn_blocking(read).await.ok().and_then(Result::ok).unwrap_or_default();
        for (key, source) in board.sources() {
            let labels = format!("tenant=\"{tenant}\",source=\"{key}\"");
            let mut add = |name, value| families.add(name, &labels, value);
            add("tidegate_source_pages_total", source.polls as f64);
            add("tidegate_source_records_total", source.fetched as f64);
            add("tidegate_source_duplicates_total", source.duplicates as f64);
            add("tidegate_source_refused_total", source.refused as f64);
            add("tidegate_source_failing", f64::from(u8::from(source.fault.is_some())));
            if let Some(covered) = source.covered_to {
                add("tidegate_source_covered_to_seconds", covered.timestamp() as f64);
            }
            for (stream, doing) in &source.streams {
                let labels = format!("{labels},stream=\"{stream}\"");
                streams(&mut families, &labels, doing, &state, (&key, stream));
            }
        }
        for (key, sink) in board.sinks() {
            let labels = format!("tenant=\"{tenant}\",sink=\"{key}\"");
            let mut add = |name, value| families.add(name, &labels, value);
            add("tidegate_sink_delivered_total", sink.delivered as f64);
            add("tidegate_sink_duplicates_total", sink.duplicates as f64);
            add("tidegate_sink_dead_letters_total", sink.dead as f64);
            add("tidegate_sink_given_up_total", sink.given_up as f64);
            add("tidegate_sink_retries_total", sink.retries as f64);
            add("tidegate_sink_failing", f64::from(u8::from(sink.fault.is_some())));
            add("tidegate_sink_parked_streams", sink.parked.len() as f64);
            add("tidegate_sink_held_bytes", sink.held as f64);
        }
    }
    let kind = |name: &str| if name.ends_with("_total") { "counter" } else { "gauge" };
    families.0.iter().map(|(name, lines)| format!("# TYPE {name} {}\n{lines}", kind(name))).collect()
}

/// One stream. Times are seconds since 1970. A quiet stream has a recent page and an old record; a broken one has an old page
/// and a fault, whose kind is a label.
fn streams(
    families: &mut Families,
    labels: &str,
    doing: &StreamState,
    state: &journal::State,
    (source, stream): (&str, &str),
) {
    let times = [
        ("tidegate_stream_last_page_seconds", doing.last_page),
        ("tidegate_stream_last_record_seconds", doing.last_record),
        ("tidegate_stream_covered_to_seconds", doing.covered_to),
        ("tidegate_stream_settled_to_seconds", settled_to(&ledger(state, source, stream))),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            families.add(name, labels, time.timestamp() as f64);
        }
    }
    let rest: i64 = backfills(&works(state, source, stream)).iter().map(|b| b.rest.num_seconds()).sum();
    families.add("tidegate_stream_backfill_remaining_seconds", labels, rest as f64);
    if let Some((fault, _)) = &doing.fault {
        let kind = crate::cli::report::kind_name(fault.kind);
        families.add("tidegate_stream_fault", &format!("{labels},kind=\"{kind}\""), 1.0);
    }
}
