//! A town whose only vendor is a Duo account: windows.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use crate::common::{Town, answering, base};
use chrono::TimeDelta;
use tidegate_simulator::duo::{Duo, DuoConfig, Generate};
use tidegate_simulator::elasticsearch::ElasticsearchConfig;

pub const HOST: &str = "api-simulated.example.com";
const SECRET: &str = "simulated-secret-key-of-forty-characters";

pub struct DuoRig {
    pub duo: Duo,
    pub town: Town,
}

impl std::ops::Deref for DuoRig {
    type Target = Town;

    fn deref(&self) -> &Town {
        &self.town
    }
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
        let source = format!(
            "[tenant.acme.source.duo]\nconnector = \"duo\"\nurl = \"https://{HOST}\"\n\
             auth = {{ integration_key = \"DISIMULATED000000001\", secret_key = \"file:DIR/secret\" }}\n{more}\n",
        );
        let files = [("secret", SECRET)];
        let town = Town::new(&[(HOST, answering(&duo))], ElasticsearchConfig::default(), &files, "", &source);
        Self { duo, town }
    }
}
