//! `tidegate simulate`: the stand-ins, until Ctrl-C.

use super::text::thousands;
use chrono::TimeDelta;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_simulator::duo::Integration;
use tidegate_simulator::elasticsearch::Flavour;
use tidegate_simulator::entra::{DEFAULT_APP, DEFAULT_TENANT};
use tidegate_simulator::okta::Client;
use tidegate_simulator::{SimulateOptions, Simulation, run as start};

/// Starts a local Okta, Entra ID, Duo, Google Workspace, Elasticsearch and Splunk HEC to try things out against; ends with
/// Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "All but the receiver of syslog answer a control API under /_sim/ (totals, ids, faults, clock, tokens, events, requests); see simulator/README.md"
)]
pub struct Args {
    /// Where the Okta organisation listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:4801")]
    okta: SocketAddr,
    /// Where the Elasticsearch (or OpenSearch) cluster listens
    #[arg(long, default_value = "127.0.0.1:4802")]
    elasticsearch: SocketAddr,
    /// Where Microsoft Graph and the login of Entra ID listen
    #[arg(long, default_value = "127.0.0.1:4803")]
    entra: SocketAddr,
    /// Where the Duo account listens
    #[arg(long, default_value = "127.0.0.1:4804")]
    duo: SocketAddr,
    /// Where the Google Workspace customer listens: both APIs and the token endpoint
    #[arg(long, default_value = "127.0.0.1:4805")]
    google: SocketAddr,
    /// Where Splunk's HTTP Event Collector listens
    #[arg(long, default_value = "127.0.0.1:4806")]
    splunk: SocketAddr,
    /// Plays a receiver of syslog, such as QRadar, too, over TCP (also with --tls): here, or at 127.0.0.1:4807
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:4807")]
    syslog: Option<SocketAddr>,
    /// Where the simulated credentials are written that a source reads from files
    #[arg(long, value_name = "DIR", default_value = "var/simulated")]
    keys: PathBuf,
    /// Raw records of Okta, one JSON object a line, instead of its generated events
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How many events are generated, of each vendor
    #[arg(long, default_value_t = 1_000)]
    events: usize,
    /// How many of them become visible long after they happened
    #[arg(long, default_value_t = 10)]
    late: usize,
    /// The time that the events spread over; late ones happened as long before
    #[arg(long, default_value = "10m", value_parser = super::duration)]
    spread: Duration,
    /// The events appear from now on, instead of having been there
    #[arg(long)]
    live: bool,
    /// The same seed makes the same events, links and faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The API token that Okta accepts
    #[arg(long, default_value = "simulated-token", env = "TIDEGATE_DEMO_TOKEN", hide_env_values = true)]
    token: String,
    /// An OAuth client that Okta accepts: its id
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Its public key: a PEM file, or a JWK
    #[arg(long, value_name = "FILE", requires = "client_id")]
    client_key: Option<PathBuf>,
    /// Its secret, instead of a key
    #[arg(long, value_name = "TEXT", requires = "client_id", conflicts_with = "client_key")]
    client_secret: Option<String>,
    /// The OAuth client must prove possession of a key (DPoP)
    #[arg(long, requires = "client_id")]
    dpop: bool,
    /// Serves https and writes ca.pem into this folder: a pipeline trusts it by `ca_file` below `[http]`
    #[arg(long, value_name = "DIR")]
    tls: Option<PathBuf>,
    /// Share of requests that fail in some way, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    fault_rate: f64,
    /// Requests a minute that the Okta organisation allows; a token gets half
    #[arg(long, default_value_t = 120)]
    org_limit: u32,
    /// Which product the cluster is: elasticsearch8, elasticsearch9, serverless, opensearch2, opensearch3
    #[arg(long, default_value = "elasticsearch9", value_parser = flavour)]
    flavour: Flavour,
}

fn flavour(text: &str) -> Result<Flavour, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| {
        "accepted are elasticsearch8, elasticsearch9, serverless, opensearch2, opensearch3".to_owned()
    })
}

/// Runs it; the exit code.
pub async fn run(args: &Args) -> u8 {
    let clients = match clients(args) {
        Ok(clients) => clients,
        Err(error) => {
            super::complain(&error);
            return 20;
        }
    };
    let spread = TimeDelta::from_std(args.spread).unwrap_or(TimeDelta::minutes(10));
    let options = SimulateOptions {
        okta: args.okta,
        elasticsearch: args.elasticsearch,
        entra: Some(args.entra),
        duo: Some(args.duo),
        google: Some(args.google),
        splunk: Some(args.splunk),
        syslog: args.syslog,
        seed: args.seed,
        events: args.events,
        late: args.late.min(args.events),
        spread,
        // So that a pipeline that begins twice the spread ago finds all of them.
        late_by: spread,
        live: args.live,
        file: args.file.clone(),
        token: args.token.clone(),
        clients,
        tls: args.tls.clone(),
        fault_rate: args.fault_rate,
        flavour: args.flavour,
        org_limit: args.org_limit,
        ..SimulateOptions::default()
    };
    let simulation = match start(options).await {
        Ok(simulation) => simulation,
        Err(error) => {
            super::complain(&format!("simulate: {error}"));
            return 20;
        }
    };
    if let Err(error) = simulation.write_keys(&args.keys) {
        super::complain(&format!("simulate: {error}"));
        return 20;
    }
    for vendor in simulation.vendors() {
        super::print(&format!(
            "{:16}  {}  {} events, {} late",
            vendor.name,
            vendor.url,
            thousands(vendor.records.len() as u64),
            thousands(vendor.late as u64)
        ));
    }
    super::print(&format!("{:16}  {}", "Elasticsearch", simulation.elasticsearch_url));
    if let Some(url) = &simulation.splunk_url {
        super::print(&format!("{:16}  {url}", "Splunk HEC"));
    }
    let syslog = simulation.syslog.as_ref().map(|syslog| syslog.address().to_string());
    let syslog = syslog.unwrap_or_else(|| "not played (--syslog)".to_owned());
    super::print(&format!("{:16}  {syslog}", "syslog (QRadar)"));
    super::print(&format!("\nEach of these sinks delivers to them:\n{}", sinks(&simulation, &args.keys)));
    super::print(
        "What arrived is at /_sim/documents of Elasticsearch and of Splunk; messages of syslog are counted at the end.",
    );
    super::print(&format!("\nThese lines of a pipeline read them:\n{}", sources(&simulation, &args.keys)));
    super::print("Next: tidegate sync    (Ctrl-C ends the stand-ins)");
    super::interrupted().await;
    if let Some(syslog) = &simulation.syslog {
        let arrived = syslog.arrived();
        super::print(&format!("{} messages of syslog arrived", thousands(arrived.len() as u64)));
        if let Some(last) = arrived.last() {
            super::print(&format!("the last: {}", String::from_utf8_lossy(&last.bytes)));
        }
    }
    simulation.shutdown().await;
    0
}

/// The vendors that are played, as sources of a pipeline; with TLS also whom they have to trust, as the cluster's sink has
/// to. `keys` is where [`Simulation::write_keys`] wrote to.
pub(super) fn sources(simulation: &Simulation, keys: &Path) -> String {
    let file = |name: &str| {
        let reference = format!("file:{}", keys.join(name).display());
        serde_json::Value::String(reference).to_string()
    };
    let mut text = String::new();
    if let Some(ca) = &simulation.ca_file {
        let ca = serde_json::Value::String(ca.display().to_string());
        let _ = write!(text, "\n[http]\nca_file = {ca}\n");
    }
    let mut source = |key: &str, connector: &str, lines: String| {
        let _ = write!(text, "\n[tenant.acme.source.{key}]\nconnector = \"{connector}\"\n{lines}");
    };
    source(
        "okta",
        "okta",
        format!(
            "url       = \"{}\"\nauth      = {{ token = \"env:TIDEGATE_DEMO_TOKEN\" }}\n",
            simulation.okta_url
        ),
    );
    if let Some(url) = &simulation.entra_url {
        source(
            "entra",
            "entra",
            format!(
                "directory = \"{DEFAULT_TENANT}\"\nurl       = \"{url}\"\nlogin_url = \"{url}\"\n\
                 auth      = {{ client_id = \"{DEFAULT_APP}\", client_secret = {} }}\n",
                file("entra_client_secret")
            ),
        );
    }
    if let Some(url) = &simulation.duo_url {
        source(
            "duo",
            "duo",
            format!(
                "url       = \"{url}\"\nauth      = {{ integration_key = \"{}\", secret_key = {} }}\n",
                Integration::simulated().ikey,
                file("duo_secret_key")
            ),
        );
    }
    if let Some(url) = &simulation.google_url {
        source(
            "google",
            "google_workspace",
            format!(
                "url        = \"{url}\"\nalerts_url = \"{url}\"\n\
                 auth       = {{ service_account = {}, subject = \"admin@example.com\" }}\n",
                file("google.json")
            ),
        );
    }
    text
}

/// The destinations that are played, as sinks of a pipeline; `keys` as for [`sources`].
fn sinks(simulation: &Simulation, keys: &Path) -> String {
    let mut text = format!(
        "\n[sink.elastic]\nkind = \"elasticsearch\"\nurls = [\"{}\"]\n",
        simulation.elasticsearch_url
    );
    if let Some(url) = &simulation.splunk_url {
        let token = serde_json::Value::String(format!("file:{}", keys.join("splunk_token").display()));
        let _ = write!(text, "\n[sink.splunk]\nkind  = \"splunk_hec\"\nurl   = \"{url}\"\ntoken = {token}\n");
    }
    if let Some(syslog) = &simulation.syslog {
        let _ = write!(text, "\n[sink.qradar]\nkind    = \"qradar\"\naddress = \"{}\"\n", syslog.address());
    }
    text
}

fn clients(args: &Args) -> Result<Vec<Client>, String> {
    let Some(id) = &args.client_id else { return Ok(Vec::new()) };
    let mut client = match (&args.client_key, &args.client_secret) {
        (Some(file), _) => {
            let key =
                std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            Client::with_key(id, &key)
        }
        (None, Some(secret)) => Client::with_secret(id, secret),
        (None, None) => return Err("--client-id needs --client-key or --client-secret".to_owned()),
    };
    client.dpop_required = args.dpop;
    Ok(vec![client])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::{SimulateOptions, sinks, sources, start};
    use crate::world::World;
    use std::net::SocketAddr;
    use tidegate_core::http::{Reqwest, TransportSettings};

    #[tokio::test]
    async fn with_tls_the_printed_lines_say_whom_to_trust() {
        let dir = tempfile::tempdir().unwrap();
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let options =
            SimulateOptions { okta: free, elasticsearch: free, events: 1, ..SimulateOptions::default() };
        let plain = start(options.clone()).await.unwrap();
        assert!(!sources(&plain, dir.path()).contains("[http]"));
        let tls = Some(dir.path().join("tls"));
        let secure = start(SimulateOptions { tls, ..options }).await.unwrap();
        let printed: toml::Table = toml::from_str(&sources(&secure, dir.path())).unwrap();
        let ca_file = printed["http"]["ca_file"].as_str().unwrap();
        assert!(printed["tenant"]["acme"]["source"]["okta"]["url"].as_str().unwrap().starts_with("https://"));
        let trust = TransportSettings { ca_file: Some(ca_file.into()), ..TransportSettings::default() };
        assert!(Reqwest::new(&trust).is_ok());
    }

    #[tokio::test]
    async fn the_printed_sinks_reach_the_stand_ins() {
        let dir = tempfile::tempdir().unwrap();
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let plain = SimulateOptions {
            okta: free,
            elasticsearch: free,
            splunk: Some(free),
            syslog: Some(free),
            events: 1,
            ..SimulateOptions::default()
        };
        let tls = SimulateOptions { tls: Some(dir.path().join("tls")), ..plain.clone() };
        for options in [plain, tls] {
            let simulation = start(options).await.unwrap();
            simulation.write_keys(dir.path()).unwrap();
            let path = dir.path().join("pipeline.toml");
            let text = sources(&simulation, dir.path()) + &sinks(&simulation, dir.path());
            std::fs::write(&path, text).unwrap();
            let world = World::new(&[]);
            let config = world.load(&path).unwrap();
            let open = world.sinks(&config, "acme").unwrap();
            assert_eq!(open.len(), 3);
            for sink in open {
                assert_eq!(sink.sink.readable(), Ok(()), "{}", sink.key);
                let findings = sink.sink.check().await;
                assert!(
                    findings.faults.is_empty() && !findings.lines.is_empty(),
                    "{}: {findings:?}",
                    sink.key
                );
            }
            simulation.shutdown().await;
        }
    }
}
