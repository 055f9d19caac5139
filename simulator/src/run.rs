//! All stand-ins together, as `tidegate simulate` starts them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::answer::Handler;
use crate::duo::{self, Duo, DuoConfig, Integration};
use crate::elasticsearch::{Elasticsearch, ElasticsearchConfig, Flavour};
use crate::entra::{self, DEFAULT_SECRET, Entra, EntraConfig};
use crate::faults::RandomFaults;
use crate::google::{self, Google, GoogleConfig, ServiceAccount};
use crate::known::{Known, Lateness, Version};
use crate::okta::{self, Client, Okta, OktaConfig, Token};
use crate::server::{ServerHandle, SimulatorError, Tls, serve};
use crate::splunk_hec::{self, SplunkHec, SplunkHecConfig};
use crate::syslog::{Syslog, SyslogConfig};

/// The streams that Tidegate reads unless told otherwise.
const ENTRA: [&str; 4] = ["sign_ins", "sign_ins_non_interactive", "directory_audits", "risk_detections"];
const DUO: [&str; 3] = ["authentication", "activity", "telephony"];
const GOOGLE: [&str; 7] = ["admin", "drive", "groups_enterprise", "login", "saml", "token", "user_accounts"];

/// A record that is not late becomes visible after this long: Duo holds its records back for that time, Entra most of them.
const PROMPT: TimeDelta = TimeDelta::minutes(2);

/// What has been there is this old at least, with the vendors beside Okta: Tidegate reads them two minutes behind their
/// clocks, and what is there is to be read at once.
const SETTLED: TimeDelta = TimeDelta::minutes(3);

/// What is to be simulated. A vendor whose address is `None` is not played.
#[derive(Debug, Clone)]
pub struct SimulateOptions {
    /// Where the Okta organisation listens; 127.0.0.1:4801 by default, port 0 takes a free one.
    pub okta: SocketAddr,
    /// Where the cluster listens; 127.0.0.1:4802 by default.
    pub elasticsearch: SocketAddr,
    /// Where Microsoft Graph and the login of Entra ID listen; not played by default.
    pub entra: Option<SocketAddr>,
    /// Where the Duo account listens; not played by default.
    pub duo: Option<SocketAddr>,
    /// Where the Google Workspace customer listens; not played by default.
    pub google: Option<SocketAddr>,
    /// Where Splunk's HTTP Event Collector listens; not played by default.
    pub splunk: Option<SocketAddr>,
    /// Where a receiver of syslog listens, over TCP, also where the others serve https; not played by default.
    pub syslog: Option<SocketAddr>,
    /// Seed of events, cursors and ids.
    pub seed: u64,
    /// Events of each vendor, spread evenly over the streams that Tidegate reads by default; 1,000 by default.
    pub events: usize,
    /// How many of them are late.
    pub late: usize,
    /// The generated events became visible within this time before the start (with the vendors beside Okta, within this
    /// time before three minutes before the start); an hour by default.
    pub spread: TimeDelta,
    /// How long before it became visible a late event happened: with Okta at most, with the others exactly.
    pub late_by: TimeDelta,
    /// The events appear from now on within `spread`, instead of having been there.
    pub live: bool,
    /// Raw records of Okta, one a line, instead of its generated events.
    pub file: Option<PathBuf>,
    /// The API token that Okta accepts. The other vendors accept what they accept by default.
    pub token: String,
    /// OAuth clients that Okta accepts.
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
            entra: None,
            duo: None,
            google: None,
            splunk: None,
            syslog: None,
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

/// The stand-ins, running.
#[derive(Debug)]
pub struct Simulation {
    /// Base URL of the Okta organisation.
    pub okta_url: String,
    /// Base URL of the cluster.
    pub elasticsearch_url: String,
    /// Base URL of Microsoft Graph and of the login of Entra ID, where they are played.
    pub entra_url: Option<String>,
    /// Base URL of the Duo account, where it is played.
    pub duo_url: Option<String>,
    /// Base URL of both APIs and of the token endpoint of Google Workspace, where they are played.
    pub google_url: Option<String>,
    /// Base URL of the collector, where it is played.
    pub splunk_url: Option<String>,
    /// Events the Okta organisation holds (of a file: lines that are not blank).
    pub events: usize,
    /// How many of them are late.
    pub late: usize,
    /// The authority's certificate, with TLS.
    pub ca_file: Option<PathBuf>,
    /// The Okta organisation, to look into.
    pub okta: Okta,
    /// The cluster, to look into.
    pub elasticsearch: Elasticsearch,
    /// The Entra directory, to look into; empty where it is not played.
    pub entra: Entra,
    /// The Duo account, to look into; empty where it is not played.
    pub duo: Duo,
    /// The Google Workspace customer, to look into; empty where it is not played.
    pub google: Google,
    /// The collector, to look into; empty where it is not played.
    pub splunk: SplunkHec,
    /// The receiver of syslog, to look into, where it is played.
    pub syslog: Option<Syslog>,
    servers: Vec<ServerHandle>,
}

/// A vendor that is played, and all that it holds.
#[derive(Debug)]
pub struct Vendor {
    /// Its name, as people write it.
    pub name: &'static str,
    /// Its base URL.
    pub url: String,
    /// Every record that there is or will be.
    pub records: Vec<Known>,
    /// How many of them became visible long after they happened.
    pub late: usize,
}

impl Simulation {
    /// The vendors that are played.
    #[must_use]
    pub fn vendors(&self) -> Vec<Vendor> {
        let events = self.okta.events().into_iter().map(|event| Known {
            stream: "system_log".to_owned(),
            occurred_at: event.published,
            versions: vec![Version {
                visible_at: event.persisted_at,
                raw: self.okta.record(&event.id).unwrap_or_default(),
            }],
            id: event.id,
        });
        let okta =
            Vendor { name: "Okta", url: self.okta_url.clone(), records: events.collect(), late: self.late };
        let others = [
            ("Entra ID", &self.entra_url, self.entra.known()),
            ("Duo", &self.duo_url, self.duo.known()),
            ("Google Workspace", &self.google_url, self.google.known()),
        ];
        let others = others.into_iter().filter_map(|(name, url, records)| {
            let is_late = |record: &&Known| {
                let first = record.versions.first();
                first.is_some_and(|first| first.visible_at - record.occurred_at > PROMPT)
            };
            let late = records.iter().filter(is_late).count();
            Some(Vendor { name, url: url.clone()?, records, late })
        });
        std::iter::once(okta).chain(others).collect()
    }

    /// Writes what sources of the vendors played need beside Okta's token into a directory (made if missing):
    /// `entra_client_secret`, `duo_secret_key`, `google.json`, the key file of the service account, and `splunk_token` for a sink. They open nothing but
    /// the stand-ins. The paths written.
    pub fn write_keys(&self, directory: &Path) -> Result<Vec<PathBuf>, SimulatorError> {
        let google = self.google_url.as_ref().map(|url| {
            let key = json!({
                "type": "service_account",
                "project_id": "example-project",
                "private_key_id": "example-key",
                "private_key": include_str!("../tests/keys/example_rsa.pem"),
                "client_email": ServiceAccount::example().email,
                "client_id": "100000000000000000001",
                "token_uri": format!("{url}/token"),
            });
            format!("{key:#}\n")
        });
        let files = [
            ("entra_client_secret", self.entra_url.as_ref().map(|_| DEFAULT_SECRET.to_owned())),
            ("duo_secret_key", self.duo_url.as_ref().map(|_| Integration::simulated().skey)),
            ("google.json", google),
            ("splunk_token", self.splunk_url.as_ref().map(|_| splunk_hec::DEFAULT_TOKEN.to_owned())),
        ];
        let mut written = Vec::new();
        for (name, text) in files {
            let Some(text) = text else { continue };
            let path = directory.join(name);
            std::fs::create_dir_all(directory)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|source| SimulatorError::File { path: path.clone(), source })?;
            written.push(path);
        }
        Ok(written)
    }

    /// Ends all servers.
    pub async fn shutdown(self) {
        for server in self.servers {
            server.shutdown().await;
        }
    }

    /// Waits until all servers have ended, which they do not do by themselves.
    pub async fn wait(&mut self) {
        for server in &mut self.servers {
            server.wait().await;
        }
    }
}

/// Starts the stand-ins. Prints nothing; what is to be told is in the [`Simulation`].
pub async fn run(options: SimulateOptions) -> Result<Simulation, SimulatorError> {
    let records = match &options.file {
        None => None,
        Some(path) => {
            let bytes = tokio::fs::read(path).await;
            Some(Bytes::from(bytes.map_err(|source| SimulatorError::File { path: path.clone(), source })?))
        }
    };
    let now = Utc::now();
    let start = if options.live { now } else { now - options.spread };
    let (entra, duo, google) = others(&options, if options.live { now } else { start - SETTLED });
    let generate = records.is_none().then(|| okta::Generate {
        late: options.late,
        start,
        late_by: options.late_by,
        ..okta::Generate::new(options.seed, options.events, options.spread)
    });
    let okta = Okta::new(OktaConfig {
        seed: options.seed,
        generate,
        tokens: vec![Token::new(&options.token)],
        clients: options.clients.clone(),
        org_limit: options.org_limit,
        principal_limit: options.org_limit / 2,
        random_faults: faults(&options),
        ..OktaConfig::default()
    });
    if let Some(records) = &records {
        okta.add_records(records, now);
    }
    let elasticsearch = Elasticsearch::new(ElasticsearchConfig {
        flavour: options.flavour,
        random_faults: faults(&options),
        ..ElasticsearchConfig::default()
    });
    let splunk =
        SplunkHec::new(SplunkHecConfig { random_faults: faults(&options), ..SplunkHecConfig::default() });
    let tls = options.tls.as_ref().map(|_| Tls::self_made()).transpose()?;
    let ca_file = match (&tls, &options.tls) {
        (Some(tls), Some(directory)) => Some(tls.write_ca(directory)?),
        _ => None,
    };
    let mut servers = Servers { tls, running: Vec::new() };
    let okta_url = servers.start(&okta, options.okta).await?;
    let elasticsearch_url = servers.start(&elasticsearch, options.elasticsearch).await?;
    let entra_url = servers.start_if(&entra, options.entra).await?;
    let duo_url = servers.start_if(&duo, options.duo).await?;
    let google_url = servers.start_if(&google, options.google).await?;
    let splunk_url = servers.start_if(&splunk, options.splunk).await?;
    let syslog = match options.syslog {
        Some(address) => Some(Syslog::start(SyslogConfig { address, ..SyslogConfig::default() }).await?),
        None => None,
    };
    let known = okta.events();
    Ok(Simulation {
        okta_url,
        elasticsearch_url,
        entra_url,
        duo_url,
        google_url,
        splunk_url,
        events: known.len(),
        late: known.iter().filter(|event| event.late).count(),
        ca_file,
        okta,
        elasticsearch,
        entra,
        duo,
        google,
        splunk,
        syslog,
        servers: servers.running,
    })
}

struct Servers {
    tls: Option<Tls>,
    running: Vec<ServerHandle>,
}

impl Servers {
    /// Its base URL.
    async fn start<H: Handler>(
        &mut self,
        handler: &H,
        address: SocketAddr,
    ) -> Result<String, SimulatorError> {
        let server = serve(handler.clone(), address, self.tls.clone()).await?;
        let url = server.url.clone();
        self.running.push(server);
        Ok(url)
    }

    async fn start_if<H: Handler>(
        &mut self,
        handler: &H,
        address: Option<SocketAddr>,
    ) -> Result<Option<String>, SimulatorError> {
        match address {
            Some(address) => self.start(handler, address).await.map(Some),
            None => Ok(None),
        }
    }
}

fn faults(options: &SimulateOptions) -> Option<RandomFaults> {
    (options.fault_rate > 0.0).then(|| RandomFaults {
        seed: options.fault_seed.unwrap_or(options.seed),
        rate: options.fault_rate,
        kinds: Vec::new(),
        path: String::new(),
    })
}

/// Records of one stream that are to be made: prompt ones, or late ones.
struct Part {
    stream: &'static str,
    seed: u64,
    records: usize,
    start: DateTime<Utc>,
    lateness: Lateness,
}

/// Divides what is asked for over a vendor's streams, so that all of it becomes visible between `start` and the spread's
/// end.
fn parts(options: &SimulateOptions, streams: &[&'static str], start: DateTime<Utc>) -> Vec<Part> {
    let late = options.late.min(options.events);
    let prompt = (options.events - late, PROMPT, options.seed);
    let late = (late, options.late_by, options.seed.wrapping_add(1));
    let share = |total: usize, at: usize| total / streams.len() + usize::from(at < total % streams.len());
    let of = |(total, delay, seed): (usize, TimeDelta, u64)| {
        let part = move |(at, stream): (usize, &&'static str)| Part {
            stream,
            seed,
            records: share(total, at),
            start: start - delay,
            // An empty first step, so that the second one is exactly this long.
            lateness: Lateness(vec![(0.0, delay), (1.0, delay)]),
        };
        streams.iter().enumerate().map(part)
    };
    of(prompt).chain(of(late)).collect()
}

/// The vendors beside Okta; those that are not played are empty.
fn others(options: &SimulateOptions, start: DateTime<Utc>) -> (Entra, Duo, Google) {
    let of = |address: Option<SocketAddr>, streams: &[&'static str]| {
        address.map(|_| parts(options, streams, start)).unwrap_or_default().into_iter()
    };
    let spread = options.spread;
    let entra = of(options.entra, &ENTRA).map(|part| entra::Generate {
        lateness: part.lateness,
        ..entra::Generate::new(part.stream, part.seed, part.records, part.start, spread)
    });
    let duo = of(options.duo, &DUO).map(|part| duo::Generate {
        lateness: part.lateness,
        ..duo::Generate::new(part.stream, part.seed, part.records, part.start, spread)
    });
    let google = of(options.google, &GOOGLE).map(|part| google::Generate {
        lateness: part.lateness,
        ..google::Generate::new(part.stream, part.seed, part.records, part.start, spread)
    });
    let (seed, random_faults) = (options.seed, faults(options));
    (
        Entra::new(EntraConfig {
            seed,
            generate: entra.collect(),
            random_faults: random_faults.clone(),
            ..EntraConfig::default()
        }),
        Duo::new(DuoConfig {
            seed,
            generate: duo.collect(),
            random_faults: random_faults.clone(),
            ..DuoConfig::default()
        }),
        Google::new(GoogleConfig {
            seed,
            generate: google.collect(),
            random_faults,
            ..GoogleConfig::default()
        }),
    )
}
