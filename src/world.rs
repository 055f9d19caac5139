//! What the program is made of: the connectors and sinks that it knows, the clock, the way out. Turns a tenant's
//! configuration into sources and sinks; knows none of them by name.

use crate::config::{
    self, Config, EntraShape, GeoIpConfig, Reach, Revisions, SinkConfig, SinkStart, SourceConfig,
};
use crate::pipeline::StartError;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tidegate_core::clock::Clock;
use tidegate_core::collect::StreamPlan;
use tidegate_core::deliver::Start;
use tidegate_core::deliver::render::{Renderer, Route};
use tidegate_core::geoip::GeoIp;
use tidegate_core::http::{Client, HttpSettings, Reqwest, Transport, TransportSettings};
use tidegate_core::journal::{Change, Fingerprint};
use tidegate_core::quota::{Buckets, Quota, Share};
use tidegate_core::schema;
use tidegate_core::secret::SecretRef;
use tidegate_core::sink::{Guarantee, Sink, SinkKind, SinkSettings};
use tidegate_core::source::{Bucket, Connector, Settings, SettingsError, Source};
use tokio::sync::{Notify, Semaphore};

/// Everything that exists once a process. Cheap to clone.
#[derive(Clone)]
pub struct World {
    /// All connectors: the tree's own and the caller's.
    pub connectors: Vec<&'static dyn Connector>,
    /// All kinds of sinks.
    pub kinds: &'static [&'static dyn SinkKind],
    /// The time.
    pub clock: Clock,
    /// Rings when an operator asks for the configuration to be read again.
    pub reload: Arc<Notify>,
    /// What the tenants that run say of themselves.
    pub boards: crate::serve::Boards,
    /// How often a tenant gives a sign of life and looks for operators' requests, which are promised within a second.
    pub keeper: Duration,
    outward: Arc<Mutex<Outward>>,
}

/// Connections are shared by everything that is reached in the same way, page slots by all sources of the process.
#[derive(Default)]
struct Outward {
    fixed: Option<Arc<dyn Transport>>,
    transports: Vec<(Reach, Duration, Arc<dyn Transport>)>,
    slots: Option<Arc<Semaphore>>,
    /// The databases of addresses, and their files' times when they were read.
    geoip: Option<(GeoIpConfig, [Option<SystemTime>; 2], Arc<GeoIp>)>,
    /// By connector, bucket and scope.
    quotas: HashMap<(&'static str, &'static str, String), Quota>,
}

/// A source, ready to be collected.
pub struct OpenSource {
    /// Its key.
    pub key: String,
    /// Its code.
    pub connector: &'static dyn Connector,
    /// The configured connector.
    pub api: Arc<dyn Source>,
    /// The streams that it runs.
    pub streams: Vec<StreamPlan>,
    /// Connections and quota.
    pub http: Client,
    /// Where a new stream begins.
    pub start: DateTime<Utc>,
    /// Whether later meanings of a record are delivered.
    pub revisions: bool,
    /// What the key stands for.
    pub fingerprint: Fingerprint,
}

impl OpenSource {
    /// A source's key stands for one organisation for ever; pointing it elsewhere must be said.
    ///
    /// # Errors
    /// The journal holds another organisation under this key.
    pub fn claim(&self, tenant: &str, known: &[Fingerprint]) -> Result<Option<Change>, StartError> {
        let ours = &self.fingerprint;
        match known.iter().find(|known| known.source == ours.source) {
            None => Ok(Some(Change::Fingerprint(ours.clone()))),
            Some(known) if known == ours => Ok(None),
            Some(known) => Err(StartError::Config(format!(
                "tenant {tenant}, source {source}: the journal holds {} of {}, the configuration says {} of {}\n  \
                 If it is the same organisation under a new address: tidegate source reset {tenant} {source}\n  \
                 If the old data belongs to another key: tidegate source rename {tenant} {source} NEW",
                known.connector,
                known.organisation,
                ours.connector,
                ours.organisation,
                source = ours.source,
            ))),
        }
    }
}

/// A sink, ready to be delivered to.
pub struct OpenSink {
    /// Its key.
    pub key: String,
    /// Its kind.
    pub kind: &'static str,
    /// The name of its schema.
    pub schema: String,
    /// The configured sink.
    pub sink: Arc<dyn Sink>,
    /// How records become documents.
    pub renderer: Renderer,
    /// Where it begins if the journal does not know it.
    pub start: Start,
    /// How long records wait for it.
    pub give_up_after: Option<Duration>,
    /// Whether a full journal waits for it.
    pub required: bool,
}

impl World {
    /// The stock world with some connectors more.
    #[must_use]
    pub fn new(extra: &[&'static dyn Connector]) -> Self {
        let connectors = tidegate_connectors::ALL.iter().chain(extra).copied().collect();
        Self {
            connectors,
            kinds: tidegate_sinks::ALL,
            clock: Clock::system(),
            reload: Arc::default(),
            boards: crate::serve::Boards::default(),
            keeper: Duration::from_millis(800),
            outward: Arc::default(),
        }
    }

    /// The same world with one way out for everything, on this clock: for tests that play the other side in process.
    #[must_use]
    pub fn within(mut self, transport: Arc<dyn Transport>, clock: Clock) -> Self {
        self.clock = clock;
        self.outward = Arc::new(Mutex::new(Outward { fixed: Some(transport), ..Outward::default() }));
        self
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, for a person.
    pub fn load(&self, path: &Path) -> Result<Config, String> {
        config::load(path, config::environment(), &self.connectors, self.kinds)
            .map_err(|errors| errors.to_string())
    }

    /// A tenant's sources that are not declared off.
    ///
    /// # Errors
    /// A connector's own key is wrong.
    pub fn sources(&self, config: &Config, tenant: &str) -> Result<Vec<OpenSource>, StartError> {
        let Some(ours) = config.tenants.get(tenant) else { return Ok(Vec::new()) };
        let now = self.clock.now();
        let mut out = Vec::new();
        for (key, source) in ours.sources.iter().filter(|(_, source)| source.off.is_none()) {
            let wrong = |error: SettingsError| {
                StartError::Config(config.source_error(tenant, key, &error).to_string())
            };
            let http = self.client(config, &source.reach, true).map_err(wrong)?;
            let http = http.with_buckets(self.buckets(source).map_err(wrong)?);
            let settings = Settings {
                tenant: tenant.to_owned(),
                source: key.clone(),
                table: source.table.clone(),
                http: http.clone(),
            };
            out.push(OpenSource {
                key: key.clone(),
                connector: source.connector,
                api: source.connector.open(settings).map_err(wrong)?,
                streams: source.streams.clone(),
                http,
                start: match source.start {
                    config::Start::Ago(age) => now - TimeDelta::from_std(age).unwrap_or(TimeDelta::zero()),
                    config::Start::At(time) => time,
                },
                revisions: source.revisions == Revisions::All,
                fingerprint: Fingerprint {
                    source: key.clone(),
                    connector: source.connector.name().to_owned(),
                    organisation: source.organisation.clone(),
                },
            });
        }
        Ok(out)
    }

    /// A tenant's sinks, with routes from its sources. A source that is off still has stored records to deliver.
    ///
    /// # Errors
    /// A kind's own key is wrong, or the schema does not fit.
    pub fn sinks(&self, config: &Config, tenant: &str) -> Result<Vec<OpenSink>, StartError> {
        let Some(ours) = config.tenants.get(tenant) else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        let geoip = self.geoip(&config.geoip)?;
        for (key, sink) in &ours.sinks {
            let wrong =
                |error: SettingsError| StartError::Config(config.sink_error(tenant, key, &error).to_string());
            let open = self.open(config, tenant, key, sink).map_err(wrong)?;
            sink.suffices(open.as_ref()).map_err(wrong)?;
            let name = sink.schema_for(open.as_ref()).map_err(wrong)?.to_owned();
            let schema = schema::by_name(&name)
                .ok_or_else(|| wrong(SettingsError::new("schema", format!("{name:?} is not a schema"))))?;
            let mut routes = HashMap::new();
            for (source, settings) in &ours.sources {
                let connector = settings.connector;
                let filter = sink.streams.clone();
                let takes = Box::new(move |stream: &str| filter.takes(connector.name(), stream));
                let revisions = settings.revisions == Revisions::All;
                let organisation = connector.organisation_id(&settings.table);
                let host = organisation.clone().unwrap_or_else(|| host_of(&settings.organisation)).into();
                routes.insert(source.clone(), Route { connector, organisation, host, takes, revisions });
            }
            let namespace = open.namespace().to_owned();
            let renderer = Renderer {
                tenant: tenant.into(),
                schema,
                routes,
                original: sink.original,
                as_sent: sink.entra_shape == EntraShape::Graph,
                namespace,
                geoip: geoip.clone(),
            };
            let start = match sink.start {
                SinkStart::Now => Start::Now,
                SinkStart::Kept => Start::Kept,
                SinkStart::At(time) => Start::At(time),
            };
            out.push(OpenSink {
                key: key.clone(),
                kind: sink.kind.name(),
                schema: name,
                sink: open,
                renderer,
                start,
                give_up_after: sink.give_up_after,
                required: sink.required,
            });
        }
        Ok(out)
    }

    /// What the way to each of a tenant's sinks promises, by the sink's key, as far as its configuration says it. Nobody
    /// is asked; a sink that cannot be opened is left out (`check` says why).
    #[must_use]
    pub fn promises(&self, config: &Config, tenant: &str) -> BTreeMap<String, Guarantee> {
        let sinks = config.tenants.get(tenant).into_iter().flat_map(|ours| &ours.sinks);
        let promise = |(key, sink): (&String, &SinkConfig)| {
            let open = self.open(config, tenant, key, sink).ok()?;
            Some((key.clone(), sink.promise(open.as_ref())))
        };
        sinks.filter_map(promise).collect()
    }

    fn open(
        &self,
        config: &Config,
        tenant: &str,
        key: &str,
        sink: &SinkConfig,
    ) -> Result<Arc<dyn Sink>, SettingsError> {
        let sources = config.tenants.get(tenant).map(|ours| ours.sources.keys().cloned().collect());
        sink.kind.open(SinkSettings {
            tenant: tenant.to_owned(),
            sink: key.to_owned(),
            sources: sources.unwrap_or_default(),
            table: sink.table.clone(),
            http: self.client(config, &sink.reach, false)?,
        })
    }

    /// The vendor's budgets that the source spends from: one a process each, however many sources share it.
    fn buckets(&self, source: &SourceConfig) -> Result<Buckets, SettingsError> {
        let share: Share = format!("{}%", source.quota.value())
            .parse()
            .map_err(|error: String| SettingsError::new("quota", error))?;
        let mut outward = self.outward.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of = |bucket: Bucket| {
            let Bucket { name, scope, budget, organisation, streams } = bucket;
            let key = (source.connector.name(), name, scope);
            let quota = outward.quotas.entry(key).or_default().held(share);
            quota.configure(budget, organisation);
            (name, streams, quota)
        };
        Ok(Buckets::new(source.connector.buckets(&source.table)?.into_iter().map(&mut of).collect()))
    }

    /// All tenants share what is read once, until a file is replaced.
    fn geoip(&self, config: &GeoIpConfig) -> Result<Option<Arc<GeoIp>>, StartError> {
        let GeoIpConfig { city, asn } = config;
        if city.is_none() && asn.is_none() {
            return Ok(None);
        }
        let time = |path: &Option<PathBuf>| path.as_ref()?.metadata().ok()?.modified().ok();
        let times = [time(city), time(asn)];
        let mut outward = self.outward.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, geoip)) =
            outward.geoip.as_ref().filter(|(known, then, _)| known == config && *then == times)
        {
            return Ok(Some(Arc::clone(geoip)));
        }
        let geoip = GeoIp::open(city.as_deref(), asn.as_deref())
            .map_err(|error| StartError::Config(format!("[geoip]: {error}")))?;
        let geoip = Arc::new(geoip);
        outward.geoip = Some((config.clone(), times, Arc::clone(&geoip)));
        Ok(Some(geoip))
    }

    fn client(&self, config: &Config, reach: &Reach, pages: bool) -> Result<Client, SettingsError> {
        let mut outward = self.outward.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = Arc::clone(
            outward.slots.get_or_insert_with(|| Arc::new(Semaphore::new(config.http.page_slots.max(1)))),
        );
        let connect = config.http.connect_timeout;
        let known = outward.transports.iter().find(|(known, time, _)| known == reach && *time == connect);
        let transport = match (&outward.fixed, known) {
            (Some(transport), _) | (None, Some((_, _, transport))) => Arc::clone(transport),
            (None, None) => {
                let proxy = reach.proxy.as_deref().map(proxy_url).transpose()?;
                let settings = TransportSettings { proxy, ca_file: reach.ca_file.clone(), connect };
                let made: Arc<dyn Transport> =
                    Reqwest::new(&settings).map_err(|error| SettingsError::new(error.key, error.message))?;
                outward.transports.push((reach.clone(), connect, Arc::clone(&made)));
                made
            }
        };
        let settings = HttpSettings {
            max_body: usize::try_from(config.http.max_body.0).unwrap_or(usize::MAX),
            idle: config.http.read_timeout,
            total: config.http.timeout,
            slots: pages.then_some(slots),
            ..HttpSettings::default()
        };
        Ok(Client::new(transport, self.clock.clone(), settings))
    }
}

/// A proxy's URL, which may hold credentials and then stands behind a reference.
fn proxy_url(text: &str) -> Result<String, SettingsError> {
    if !(text.starts_with("env:") || text.starts_with("file:")) {
        return Ok(text.to_owned());
    }
    let wrong = |error: String| SettingsError::new("proxy", error);
    let reference: SecretRef = text.parse().map_err(|error| wrong(format!("{error}")))?;
    let secret = reference.read().map_err(|error| wrong(error.to_string()))?;
    Ok(secret.for_signing(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

/// Where a tenant's journal is.
#[must_use]
pub fn journal_dir(config: &Config, tenant: &str) -> PathBuf {
    match config.tenants.get(tenant) {
        Some(ours) => ours.journal.dir.clone(),
        None => config.journal.dir.join(tenant),
    }
}

/// The host of an organisation that is known by its address, or else its name.
fn host_of(organisation: &str) -> String {
    let address = url::Url::parse(organisation).ok();
    address.as_ref().and_then(url::Url::host_str).unwrap_or(organisation).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use tidegate_core::journal::DeadLetter;

    /// Files stand in `DIR`, which is there as long as it is held.
    fn world(text: &str) -> (World, Config, tempfile::TempDir) {
        let (world, dir) = (World::new(&[]), tempfile::tempdir().unwrap());
        let (path, place) = (dir.path().join("pipeline.toml"), dir.path().display().to_string());
        std::fs::write(dir.path().join("token"), "secret").unwrap();
        std::fs::write(&path, text.replace("DIR", &place)).unwrap();
        let config = config::load(&path, std::iter::empty(), &world.connectors, world.kinds).unwrap();
        (world, config, dir)
    }

    #[test]
    fn sources_of_one_organisation_share_its_budget_and_the_smallest_share_of_it() {
        let tenant = |name: &str, quota: &str| {
            format!(
                "[tenant.{name}]\nsinks = []\n[tenant.{name}.source.okta]\nconnector = \"okta\"\nquota = \"{quota}\"\n\
                 url = \"https://acme.okta.com\"\nauth = {{ token = \"file:DIR/token\" }}\n"
            )
        };
        let (world, config, _dir) = world(&(tenant("one", "80%") + &tenant("two", "20%")));
        let budget =
            |tenant: &str| world.sources(&config, tenant).unwrap().remove(0).http.quota().unwrap().clone();
        let one = budget("one");
        let alone = one.period();
        let two = budget("two");
        assert_eq!((one.id(), one.period(), two.period()), (two.id(), alone * 4, alone * 4));
        drop(two);
        assert_eq!(one.period(), alone, "a tenant that is gone wants nothing");
    }

    #[test]
    fn what_is_stored_of_a_stream_that_is_configured_no_more_still_goes_to_sinks_that_take_it() {
        let (world, config, _dir) = world(
            "[tenant.acme.source.google]\nconnector = \"google_workspace\"\nstreams = [\"login\"]\n\
             auth = { service_account = \"file:/none.json\", subject = \"auditor@example.com\" }\n\
             [sink.files]\nkind = \"file\"\ndir = \"DIR/out\"\nstreams = [\"*\", \"!google_workspace/meet\"]\n",
        );
        let sink = world.sinks(&config, "acme").unwrap().remove(0);
        let takes = |stream: &str| {
            let letter = DeadLetter {
                id: 1,
                sink: "files".to_owned(),
                source: "google".to_owned(),
                stream: stream.to_owned(),
                page: 1,
                record: 0,
                event: None,
                kind: "rejected".to_owned(),
                reason: String::new(),
                at: DateTime::UNIX_EPOCH,
                copy: bytes::Bytes::new(),
                revision: None,
                occurrence: 0,
                retry: true,
                mark: None,
            };
            sink.renderer.takes(&letter)
        };
        assert!(takes("login") && takes("drive") && takes("chat"));
        assert!(!takes("meet"), "declined");
    }
}
