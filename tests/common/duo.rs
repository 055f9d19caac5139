//! One tenant `acme` in process: a Duo account (windows), its journal, files; virtual time.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use crate::common::{base, play};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tidegate::config::Config;
use tidegate::world::World;
use tidegate_core::clock::Clock;
use tidegate_core::http::{Body, Transport, TransportError};
use tidegate_simulator::duo::{Duo, DuoConfig, Generate};

pub const HOST: &str = "api-simulated.example.com";
const SECRET: &str = "simulated-secret-key-of-forty-characters";

struct Inside {
    clock: Clock,
    duo: Duo,
}

#[async_trait]
impl Transport for Inside {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Body>, TransportError> {
        play(self.duo.handle(&request, self.clock.now())).await
    }
}

pub struct DuoRig {
    pub duo: Duo,
    pub dir: TempDir,
    pub clock: Clock,
    pub world: World,
    pub config: Config,
}

/// Records of a stream, in the `hours` before [`base`].
pub fn generated(stream: &str, records: usize, hours: i64) -> Generate {
    let spread = TimeDelta::hours(hours);
    Generate::new(stream, 11, records, base() - spread, spread)
}

impl DuoRig {
    /// `more` stands behind the source's keys.
    pub fn new(duo: DuoConfig, more: &str) -> Self {
        let duo = Duo::new(DuoConfig { base_url: Some(format!("https://{HOST}")), gzip: false, ..duo });
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("secret"), SECRET).unwrap();
        let clock = Clock::starting_at(base());
        let inside = Inside { clock: clock.clone(), duo: duo.clone() };
        let mut world = World::new(&[]).within(Arc::new(inside), clock.clone());
        world.keeper = Duration::from_secs(30);
        let text = format!(
            "[journal]\ndir = \"{dir}/journal\"\n\n[sink.files]\nkind = \"file\"\nschema = \"ecs\"\ndir = \"{dir}/out\"\n\n\
             [tenant.acme.source.duo]\nconnector = \"duo\"\nurl = \"https://{HOST}\"\n\
             auth = {{ integration_key = \"DISIMULATED000000001\", secret_key = \"file:{dir}/secret\" }}\n{more}\n",
            dir = dir.path().display(),
        );
        let path = dir.path().join("pipeline.toml");
        std::fs::write(&path, text).unwrap();
        let config = world.load(&path).unwrap();
        Self { duo, dir, clock, world, config }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}
