//! Health and metrics of a running process, where `listen` says so. Only what the boards know; no secret, no record.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_core::board::Board;

/// The boards of all tenants that run.
#[derive(Clone, Default)]
pub struct Boards(Arc<Mutex<BTreeMap<String, Board>>>);

impl Boards {
    /// Shows a tenant's board.
    pub fn put(&self, tenant: &str, board: Board) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.to_owned(), board);
    }

    /// All boards, by tenant.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Board> {
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
        .route("/metrics", get(|State(boards): State<Boards>| async move { metrics(&boards) }))
        .with_state(boards);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// All boards in the Prometheus text format.
#[must_use]
pub fn metrics(boards: &Boards) -> String {
    let mut families: BTreeMap<&str, String> = BTreeMap::new();
    let mut add = |name: &'static str, labels: &str, value: f64| {
        let _ = writeln!(families.entry(name).or_default(), "{name}{{{labels}}} {value}");
    };
    for (tenant, board) in boards.all() {
        for (key, source) in board.sources() {
            let labels = format!("tenant=\"{tenant}\",source=\"{key}\"");
            add("tidegate_source_pages_total", &labels, source.polls as f64);
            add("tidegate_source_records_total", &labels, source.fetched as f64);
            add("tidegate_source_duplicates_total", &labels, source.duplicates as f64);
            add("tidegate_source_refused_total", &labels, source.refused as f64);
            add("tidegate_source_failing", &labels, f64::from(u8::from(source.fault.is_some())));
            if let Some(covered) = source.covered_to {
                add("tidegate_source_covered_to_seconds", &labels, covered.timestamp() as f64);
            }
        }
        for (key, sink) in board.sinks() {
            let labels = format!("tenant=\"{tenant}\",sink=\"{key}\"");
            add("tidegate_sink_delivered_total", &labels, sink.delivered as f64);
            add("tidegate_sink_duplicates_total", &labels, sink.duplicates as f64);
            add("tidegate_sink_dead_letters_total", &labels, sink.dead as f64);
            add("tidegate_sink_given_up_total", &labels, sink.given_up as f64);
            add("tidegate_sink_retries_total", &labels, sink.retries as f64);
            add("tidegate_sink_failing", &labels, f64::from(u8::from(sink.fault.is_some())));
        }
    }
    let kind = |name: &str| if name.ends_with("_total") { "counter" } else { "gauge" };
    families.iter().map(|(name, lines)| format!("# TYPE {name} {}\n{lines}", kind(name))).collect()
}
