//! Both stand-ins together, as `tidegate simulate` starts them.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use chrono::{TimeDelta, Utc};

use crate::elasticsearch::{Elasticsearch, ElasticsearchConfig, Flavour};
use crate::faults::RandomFaults;
use crate::okta::{Client, Generate, Okta, OktaConfig, Token};
use crate::server::{ServerHandle, SimulatorError, Tls, serve};

/// What is to be simulated.
#[derive(Debug, Clone)]
pub struct SimulateOptions {
    /// Where the Okta organisation listens; 127.0.0.1:4801 by default, port 0 takes a free one.
    pub okta: SocketAddr,
    /// Where the cluster listens; 127.0.0.1:4802 by default.
    pub elasticsearch: SocketAddr,
    /// Seed of events, cursors and ids.
    pub seed: u64,
    /// Events generated; 1,000 by default.
    pub events: usize,
    /// How many of them are late.
    pub late: usize,
    /// The generated events became persisted within this time before the start; an hour by default.
    pub spread: TimeDelta,
    /// How long before its persistence a late event was published, at most.
    pub late_by: TimeDelta,
    /// The events appear from now on within `spread`, instead of having been there.
    pub live: bool,
    /// Raw records, one a line, instead of generated events.
    pub file: Option<PathBuf>,
    /// The API token that is accepted.
    pub token: String,
    /// OAuth clients that are accepted.
    pub clients: Vec<Client>,
    /// Serves https and writes `ca.pem` into this directory.
    pub tls: Option<PathBuf>,
    /// Share of requests that fail, 0 to 1.
    pub fault_rate: f64,
    /// Seed of the faults; the other seed where absent.
    pub fault_seed: Option<u64>,
    /// Which product the cluster is.
    pub flavour: Flavour,
    /// Requests a minute of the Okta organisation; a principal gets half.
    pub org_limit: u32,
}

impl Default for SimulateOptions {
    fn default() -> Self {
        Self {
            okta: SocketAddr::from(([127, 0, 0, 1], 4801)),
            elasticsearch: SocketAddr::from(([127, 0, 0, 1], 4802)),
            seed: 1,
            events: 1_000,
            late: 10,
            spread: TimeDelta::hours(1),
            late_by: TimeDelta::hours(6),
            live: false,
            file: None,
            token: "simulated-token".to_owned(),
            clients: Vec::new(),
            tls: None,
            fault_rate: 0.0,
            fault_seed: None,
            flavour: Flavour::default(),
            org_limit: 120,
        }
    }
}

/// Both stand-ins, running.
#[derive(Debug)]
pub struct Simulation {
    /// Base URL of the Okta organisation.
    pub okta_url: String,
    /// Base URL of the cluster.
    pub elasticsearch_url: String,
    /// Events the organisation holds (of a file: lines that are not blank).
    pub events: usize,
    /// How many of them are late.
    pub late: usize,
    /// The authority's certificate, with TLS.
    pub ca_file: Option<PathBuf>,
    /// The organisation, to look into.
    pub okta: Okta,
    /// The cluster, to look into.
    pub elasticsearch: Elasticsearch,
    servers: [ServerHandle; 2],
}

impl Simulation {
    /// Ends both servers.
    pub async fn shutdown(self) {
        for server in self.servers {
            server.shutdown().await;
        }
    }

    /// Waits until both servers have ended, which they do not do by themselves.
    pub async fn wait(&mut self) {
        for server in &mut self.servers {
            server.wait().await;
        }
    }
}

/// Starts both stand-ins. Prints nothing; what is to be told is in the [`Simulation`].
pub async fn run(options: SimulateOptions) -> Result<Simulation, SimulatorError> {
    let records = match &options.file {
        None => None,
        Some(path) => {
            let bytes = tokio::fs::read(path).await;
            Some(Bytes::from(bytes.map_err(|source| SimulatorError::File { path: path.clone(), source })?))
        }
    };
    let now = Utc::now();
    let generate = records.is_none().then(|| Generate {
        late: options.late,
        start: if options.live { now } else { now - options.spread },
        late_by: options.late_by,
        ..Generate::new(options.seed, options.events, options.spread)
    });
    let faults = (options.fault_rate > 0.0).then(|| RandomFaults {
        seed: options.fault_seed.unwrap_or(options.seed),
        rate: options.fault_rate,
        kinds: Vec::new(),
        path: String::new(),
    });
    let okta = Okta::new(OktaConfig {
        seed: options.seed,
        generate,
        tokens: vec![Token::new(&options.token)],
        clients: options.clients,
        org_limit: options.org_limit,
        principal_limit: options.org_limit / 2,
        random_faults: faults.clone(),
        ..OktaConfig::default()
    });
    if let Some(records) = &records {
        okta.add_records(records, now);
    }
    let elasticsearch = Elasticsearch::new(ElasticsearchConfig {
        flavour: options.flavour,
        random_faults: faults,
        ..ElasticsearchConfig::default()
    });
    let tls = options.tls.as_ref().map(|_| Tls::self_made()).transpose()?;
    let ca_file = match (&tls, &options.tls) {
        (Some(tls), Some(directory)) => Some(tls.write_ca(directory)?),
        _ => None,
    };
    let okta_server = serve(okta.clone(), options.okta, tls.clone()).await?;
    let cluster_server = serve(elasticsearch.clone(), options.elasticsearch, tls).await?;
    let known = okta.events();
    Ok(Simulation {
        okta_url: okta_server.url.clone(),
        elasticsearch_url: cluster_server.url.clone(),
        events: known.len(),
        late: known.iter().filter(|event| event.late).count(),
        ca_file,
        okta,
        elasticsearch,
        servers: [okta_server, cluster_server],
    })
}
