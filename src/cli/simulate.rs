//! `tidegate simulate`: the stand-ins, until Ctrl-C.

use super::text::thousands;
use chrono::TimeDelta;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tidegate_simulator::elasticsearch::Flavour;
use tidegate_simulator::okta::Client;
use tidegate_simulator::{SimulateOptions, run as start};

/// Starts a local Okta and a local Elasticsearch to try things out against; ends with Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Both answer a control API under /_sim/ (totals, ids, faults, clock, tokens, events, requests); see simulator/README.md"
)]
pub struct Args {
    /// Where the Okta organisation listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:4801")]
    okta: SocketAddr,
    /// Where the Elasticsearch (or OpenSearch) cluster listens
    #[arg(long, default_value = "127.0.0.1:4802")]
    elasticsearch: SocketAddr,
    /// Raw records, one JSON object a line, instead of generated events
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How many events are generated
    #[arg(long, default_value_t = 1_000)]
    events: usize,
    /// How many of them become visible long after they happened
    #[arg(long, default_value_t = 10)]
    late: usize,
    /// The time that the events spread over
    #[arg(long, default_value = "1h", value_parser = super::duration)]
    spread: Duration,
    /// The events appear from now on, instead of having been there
    #[arg(long)]
    live: bool,
    /// The same seed makes the same events, links and faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The API token that is accepted
    #[arg(long, default_value = "simulated-token", env = "TIDEGATE_DEMO_TOKEN", hide_env_values = true)]
    token: String,
    /// An OAuth client that is accepted: its id
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
    /// Serves https and writes ca.pem into this folder
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
    let options = SimulateOptions {
        okta: args.okta,
        elasticsearch: args.elasticsearch,
        seed: args.seed,
        events: args.events,
        late: args.late.min(args.events),
        spread: TimeDelta::from_std(args.spread).unwrap_or(TimeDelta::hours(1)),
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
    super::print(&format!(
        "Okta           {}  {} events, {} late",
        simulation.okta_url,
        thousands(simulation.events as u64),
        thousands(simulation.late as u64)
    ));
    super::print(&format!("Elasticsearch  {}", simulation.elasticsearch_url));
    if let Some(ca) = &simulation.ca_file {
        super::print(&format!("CA             {}", ca.display()));
    }
    super::print("Next: tidegate sync    (Ctrl-C ends the stand-ins)");
    super::interrupted().await;
    simulation.shutdown().await;
    0
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
