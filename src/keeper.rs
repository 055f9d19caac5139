//! A tenant's keeper: signs of life, operators' requests, trimming, forgetting. Runs beside the two loops.

use crate::config::{Config, SourceConfig};
use chrono::TimeDelta;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::clock::Clock;
use tidegate_core::journal::{Handle, JournalError, Keep};
use tidegate_core::stop::Stop;
use tokio::sync::{Notify, watch};

/// What every sink has is taken away this often.
const TRIM: Duration = Duration::from_secs(60);

/// Keys of hours that no vendor can send again are forgotten this often.
const FORGET: Duration = Duration::from_secs(3600);

/// How long each stream's keys are remembered: as long as the vendor can send a record again, or as configured.
pub(crate) fn forget(config: &Config, tenant: &str) -> Vec<(String, &'static str, Duration)> {
    let sources = config.tenants.get(tenant).into_iter().flat_map(|ours| &ours.sources);
    let streams = |(key, source): (&String, &SourceConfig)| {
        let after = source.forget_after;
        let key = key.clone();
        source
            .streams
            .iter()
            .map(move |plan| {
                let after = after.unwrap_or(plan.retention.saturating_add(FORGET * 24));
                (key.clone(), plan.stream.name, after)
            })
            .collect()
    };
    sources.flat_map(|source| -> Vec<_> { streams(source) }).collect()
}

fn due(last: &mut Option<tokio::time::Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= every);
    if due {
        *last = Some(tokio::time::Instant::now());
    }
    due
}

/// The keeper of one tenant.
pub(crate) struct Keeper {
    pub(crate) journal: Handle,
    pub(crate) clock: Clock,
    pub(crate) keep: Keep,
    pub(crate) full: watch::Sender<bool>,
    pub(crate) bells: Vec<Arc<Notify>>,
    pub(crate) reload: Arc<Notify>,
    pub(crate) forget: Vec<(String, &'static str, Duration)>,
    pub(crate) every: Duration,
    pub(crate) stop: Stop,
}

impl Keeper {
    /// Until the next look. All tenants' keepers look at the same moment: one wake-up of the process for all.
    fn rest(&self) -> Duration {
        let every = self.every.as_millis().max(1);
        let now = u128::try_from(self.clock.now().timestamp_millis()).unwrap_or(0);
        Duration::from_millis(u64::try_from(every - now % every).unwrap_or(1))
    }

    /// Works until told to stop.
    pub(crate) async fn run(mut self) -> Result<(), JournalError> {
        let (mut trimmed, mut forgotten) = (None, None);
        loop {
            let requests = self.journal.heartbeat(self.clock.now()).await?;
            for request in requests {
                let carried_out = crate::requests::changes(&self.journal, &request).await?;
                self.journal.commit(carried_out.changes).await?;
                self.bells.iter().for_each(|bell| bell.notify_one());
                if carried_out.reload {
                    self.reload.notify_one();
                }
            }
            if due(&mut forgotten, FORGET) {
                for (source, stream, after) in &self.forget {
                    let after = TimeDelta::from_std(*after).unwrap_or(TimeDelta::MAX);
                    let Some(before) = self.clock.now().checked_sub_signed(after) else { continue };
                    self.journal.forget(source, stream, before.timestamp().div_euclid(3600)).await?;
                }
            }
            if due(&mut trimmed, TRIM) {
                let trim = self.journal.trim(self.keep, self.clock.now()).await?;
                self.full.send_replace(trim.full);
            }
            if self.stop.unless_stopped(tokio::time::sleep(self.rest())).await.is_none() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::forget;
    use crate::config;
    use std::time::Duration;

    const DAY: Duration = Duration::from_secs(86_400);

    fn forgotten(keys: &str) -> Vec<(String, &'static str, Duration)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipeline.toml");
        let text = format!(
            "[tenant.acme]\nsinks = []\n[tenant.acme.source.okta]\nconnector = \"okta\"\n\
             url = \"https://acme.okta.com\"\nauth = {{ token = \"env:T\" }}\n{keys}\n"
        );
        std::fs::write(&path, text).unwrap();
        let config =
            config::load(&path, std::iter::empty(), tidegate_connectors::ALL, tidegate_sinks::ALL).unwrap();
        forget(&config, "acme")
    }

    #[test]
    fn ids_are_remembered_a_day_longer_than_the_vendor_keeps_records_or_as_configured() {
        let of = |after: Duration| [("okta".to_owned(), "system_log", after)];
        assert_eq!(forgotten(""), of(91 * DAY));
        assert_eq!(forgotten("stream.system_log.retention = \"7d\""), of(8 * DAY));
        assert_eq!(forgotten("stream.system_log.retention = \"7d\"\nforget_after = \"3d\""), of(3 * DAY));
    }
}
