//! NDJSON files: one document a line, for hosts without a SIEM, for archives, and for shippers that tail files.
//!
//! The file in hand is `<tenant>.<sink>.<time>.<n>.ndjson.part`; a finished one loses `.part` by a rename that never
//! replaces anything. A delivery returns after the file is synced (and, for a new one, its directory). After a crash the
//! `.part` file goes on where its last whole line ends: what follows the last newline is cut, nothing else is. So at
//! most the batch in hand is written twice.

mod writer;

use crate::settings::{self, Size, Span};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tidegate_core::clock::Clock;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::sink::{
    Batch, DeliverError, Delivery, Guarantee, Level, Limits, Meta, Render, Sink, SinkKind, SinkSettings,
    schema_defaults,
};
use tidegate_core::source::{Findings, NormalizeError, SettingsError};
use writer::Writer;

const DEFAULT_SCHEMA: &str = "ecs";

/// `kind = "file"`.
pub struct Kind;

/// The keys of a file sink.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Directory of the files; made when it is missing. Tenants and sinks may share one.
    dir: String,
    /// A file is finished when it would grow beyond this.
    rotate_bytes: Size,
    /// A file is finished when it is this old, also when nothing more comes.
    rotate_age: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: String::new(),
            rotate_bytes: Size(64 << 20),
            rotate_age: Span(Duration::from_secs(3_600)),
        }
    }
}

impl SinkKind for Kind {
    fn name(&self) -> &'static str {
        "file"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Config)
    }

    fn filled_in(&self, table: &Map<String, Value>) -> Map<String, Value> {
        let mut filled = schema_defaults(&self.schema(), table);
        filled.insert("schema".to_owned(), DEFAULT_SCHEMA.into());
        filled
    }

    fn open(&self, settings: SinkSettings) -> Result<Arc<dyn Sink>, SettingsError> {
        let SinkSettings { tenant, sink, table, http, .. } = settings;
        Ok(Arc::new(FileSink::build(&tenant, &sink, &table, http.clock().clone())?))
    }
}

/// One tenant's files.
struct FileSink {
    writer: Arc<Mutex<Writer>>,
    age: Duration,
}

impl FileSink {
    fn build(
        tenant: &str,
        sink: &str,
        table: &serde_json::Map<String, serde_json::Value>,
        clock: Clock,
    ) -> Result<Self, SettingsError> {
        let config: Config = settings::read(table)?;
        if config.dir.is_empty() {
            return Err(SettingsError::new("dir", "is missing: the directory of the files"));
        }
        if config.rotate_bytes.0 == 0 {
            return Err(SettingsError::new("rotate_bytes", "must be more than nothing"));
        }
        if config.rotate_age.0.is_zero() {
            return Err(SettingsError::new("rotate_age", "must be more than nothing"));
        }
        let stem = format!("{tenant}.{sink}");
        let writer = Writer::new(PathBuf::from(config.dir), stem, config.rotate_bytes.0 as u64, clock);
        Ok(Self { writer: Arc::new(Mutex::new(writer)), age: config.rotate_age.0 })
    }
}

/// Finishes the file of this number when it is old, unless it is finished or the sink is gone by then.
async fn finish_when_old(writer: Weak<Mutex<Writer>>, file: u64, wait: Duration) {
    tokio::time::sleep(wait).await;
    let Some(writer) = writer.upgrade() else { return };
    let done = tokio::task::spawn_blocking(move || {
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.number() == Some(file) { writer.finish() } else { Ok(()) }
    })
    .await;
    if let Ok(Err(error)) = done {
        tracing::warn!(error = %error, "an old file could not be finished; the next delivery tries again");
    }
}

#[async_trait]
impl Sink for FileSink {
    fn takes_text(&self) -> bool {
        true
    }
    fn default_schema(&self) -> Option<&'static str> {
        Some(DEFAULT_SCHEMA)
    }

    fn deterministic(&self) -> bool {
        false
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            level: Level::AtLeastOnce,
            because: "each batch is synced to the disk before it is acknowledged".to_owned(),
            except: vec!["after a crash the batch in hand is written again".to_owned()],
        }
    }

    fn limits(&self) -> Limits {
        // One sync a batch: a second of documents is a good trade between latency and syncs.
        Limits { bytes: 4 << 20, count: 5_000, age: Duration::from_secs(1), in_flight: 1 }
    }

    fn frame(
        &self,
        buf: &mut Vec<u8>,
        _meta: &Meta,
        document: &mut Render<'_>,
    ) -> Result<(), NormalizeError> {
        crate::one_line(buf, document)?;
        buf.push(b'\n');
        Ok(())
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliverError> {
        if batch.documents.is_empty() {
            return Ok(Delivery::default());
        }
        let body = crate::payload(batch);
        let (writer, age) = (Arc::clone(&self.writer), self.age);
        // The lock makes batches in flight wait for each other; all that blocks is on the blocking thread.
        let written = tokio::task::spawn_blocking(move || {
            writer.lock().unwrap_or_else(PoisonError::into_inner).append(&body, age)
        })
        .await
        .map_err(|_| DeliverError::Retry {
            after: None,
            cause: Fault::new(FaultKind::Server, "writing the file did not end well"),
        })?;
        let written = written.map_err(|error| error.verdict())?;
        if let Some((file, age)) = written.new_file {
            tokio::spawn(finish_when_old(Arc::downgrade(&self.writer), file, self.age.saturating_sub(age)));
        }
        Ok(Delivery { delivered: batch.documents.len(), warnings: written.warnings, ..Delivery::default() })
    }

    async fn check(&self) -> Findings {
        let writer = Arc::clone(&self.writer);
        let found = tokio::task::spawn_blocking(move || {
            writer.lock().unwrap_or_else(PoisonError::into_inner).check()
        })
        .await;
        match found {
            Ok(Ok(line)) => Findings { lines: vec![line], ..Findings::default() },
            Ok(Err(error)) => Findings { faults: vec![error.fault()], ..Findings::default() },
            Err(_) => Findings::default(),
        }
    }

    async fn close(&self) {
        let writer = Arc::clone(&self.writer);
        let closed = tokio::task::spawn_blocking(move || {
            writer.lock().unwrap_or_else(PoisonError::into_inner).finish()
        })
        .await;
        if let Ok(Err(error)) = closed {
            tracing::warn!(error = %error, "the last file keeps its .part; the next start goes on with it");
        }
    }
}

#[cfg(test)]
mod tests;
