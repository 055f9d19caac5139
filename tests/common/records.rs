//! Records of every stream, as the stand-ins make them from a seed.

use chrono::{DateTime, TimeDelta};
use tidegate_simulator::{Known, duo, entra, google, okta};

/// All versions of so many records of a connector's stream; none where the stand-in does not know it. Without `odd`, none
/// that bends the vendor's schema.
pub(crate) fn records(connector: &str, stream: &str, count: usize, odd: bool) -> Vec<Vec<u8>> {
    let (start, spread) =
        (DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default(), TimeDelta::hours(1));
    let raw = |all: Vec<Known>| {
        all.iter().flat_map(|known| &known.versions).map(|version| version.raw.to_vec()).collect()
    };
    match connector {
        "okta" => {
            let mut plan = okta::Generate::new(7, count, spread);
            plan.odd *= usize::from(odd);
            okta::generate(&plan).into_iter().map(|event| event.raw.to_vec()).collect()
        }
        "entra" => {
            let mut plan = entra::Generate::new(stream, 7, count, start, spread);
            plan.odd *= f64::from(u8::from(odd));
            let generate = vec![plan];
            raw(entra::Entra::new(entra::EntraConfig { generate, ..Default::default() }).known())
        }
        "duo" => {
            let mut plan = duo::Generate::new(stream, 7, count, start, spread);
            plan.odd *= f64::from(u8::from(odd));
            let generate = vec![plan];
            raw(duo::Duo::new(duo::DuoConfig { generate, ..Default::default() }).known())
        }
        _ => {
            let mut plan = google::Generate::new(stream, 7, count, start, spread);
            plan.odd *= f64::from(u8::from(odd));
            let generate = vec![plan];
            raw(google::Google::new(google::GoogleConfig { generate, ..Default::default() }).known())
        }
    }
}
