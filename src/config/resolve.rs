//! From the tree to a [`Config`]: templates, placeholders, and every check that needs no network.

use super::error::{ConfigError, ConfigErrors, unknown};
use super::raw::{
    self, DefaultsKeys, GeoIpKeys, HttpKeys, JournalKeys, Keys, RootKeys, SinkKeys, TenantJournalKeys,
    TenantKeys,
};
use super::tree::{self, Kind, Node, Origin};
use super::values::{self, Given, Size, is_name};
use super::{Config, Filter, GeoIpConfig, HttpConfig, JournalConfig, Reach, SCHEMAS, SinkConfig, Tenant};
use super::{files, own, placeholders, streams};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tidegate_core::sink::SinkKind;
use tidegate_core::source::Connector;

/// The keys of a source that `[defaults.source]` takes.
pub(super) const SOURCE_DEFAULTS: &[&str] =
    &["forget_after", "poll", "quota", "revisions", "settle", "start"];

/// How kinds call the address that credentials go to.
const ADDRESSES: &[&str] = &["address", "addresses", "url", "urls"];

/// Less than this holds no page of any vendor.
const SMALLEST_BUDGET: Size = Size(64 << 10);
const SMALLEST_BODY: Size = Size(64 << 10);

/// What is built in, as a tree like any other.
pub(super) fn built_in() -> Node {
    let node = tree::read_toml("default", include_str!("defaults.toml"));
    node.expect("a test reads defaults.toml").renamed(&Origin::new("default"))
}

/// See [`super::load`].
pub(super) fn load(
    path: &Path,
    env: impl Iterator<Item = (String, String)>,
    connectors: &[&'static dyn Connector],
    sinks: &[&'static dyn SinkKind],
) -> Result<Config, ConfigErrors> {
    let mut errors = Vec::new();
    let (root, files) = match files::read(path, env, &mut errors) {
        Some(read) => read,
        None => return Err(ConfigErrors(errors)),
    };
    let tenants = root.child("tenant").children().map(|(name, _)| name.to_owned()).collect();
    let mut resolver = Resolver { connectors, sinks, built_in: built_in(), tenants, errors };
    let config = resolver.root(&root, files);
    let mut errors = resolver.errors;
    // What a template, a shared sink or [http] has wrong is found again with every tenant.
    let mut seen = std::collections::BTreeSet::new();
    errors.retain(|error| {
        let key = error.key.rsplit('.').next().unwrap_or_default().to_owned();
        seen.insert((error.origin.clone(), key, error.message.clone()))
    });
    match config {
        Some(config) if errors.is_empty() => Ok(config),
        _ => {
            if errors.is_empty() {
                errors
                    .push(ConfigError::file(path.display().to_string(), "the configuration cannot be used"));
            }
            Err(ConfigErrors(errors))
        }
    }
}

/// A table that is being read: its place in the whole tree, and what stands there.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) path: &'a [&'a str],
    pub(super) node: &'a Node,
}

impl At<'_> {
    /// An error about a key below; dotted; empty: about the table.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> ConfigError {
        let keys: Vec<&str> = key.split('.').filter(|key| !key.is_empty()).collect();
        let origin = self.node.origin_of(&keys).to_string();
        let path: Vec<&str> = self.path.iter().copied().chain(keys).collect();
        ConfigError::at(&path, Some(origin), message)
    }
}

pub(super) struct Resolver<'r> {
    pub(super) connectors: &'r [&'static dyn Connector],
    sinks: &'r [&'static dyn SinkKind],
    pub(super) built_in: Node,
    /// The names of all.
    tenants: Vec<String>,
    pub(super) errors: Vec<ConfigError>,
}

/// What tenants get from outside of them.
pub(super) struct Shared<'a> {
    pub(super) root: &'a Node,
    journal: &'a Node,
    pub(super) http: &'a Node,
}

impl Resolver<'_> {
    fn root(&mut self, root: &Node, files: Vec<PathBuf>) -> Option<Config> {
        let at = At { path: &[], node: root };
        let keys: RootKeys = self.keys(at)?;
        self.refuse_unknown(at, &raw::names::<RootKeys>());
        self.take(at, "include", keys.include);
        let listen = self.take(at, "listen", keys.listen);
        for (key, table) in [
            ("journal", keys.journal),
            ("http", keys.http),
            ("geoip", keys.geoip),
            ("defaults", keys.defaults),
            ("template", keys.template),
            ("tenant", keys.tenant),
            ("sink", keys.sink),
        ] {
            self.take(at, key, table);
        }
        self.defaults(root);
        let journal_node = self.over_built_in("journal", root);
        let http_node = self.over_built_in("http", root);
        let journal = self.journal(&journal_node);
        let http = self.http(&http_node);
        let geoip = self.geoip(&root.child("geoip"));
        let shared = Shared { root, journal: &journal_node, http: &http_node };
        self.templates(root);
        let mut tenants = BTreeMap::new();
        let tenant_nodes = root.child("tenant");
        for (name, node) in tenant_nodes.children() {
            if let Some(tenant) = self.tenant(name, node, &shared) {
                tenants.insert(name.to_owned(), tenant);
            }
        }
        if tenant_nodes.children().next().is_none() {
            let message = "no tenant is configured; define [tenant.NAME.source.NAME], or name tenants' files in \
                           `include`";
            let origin = files.first().map(|file| file.display().to_string());
            self.errors.push(ConfigError::at(&[], origin, message));
        }
        self.unused_sinks(&shared, &tenants);
        Some(Config { journal: journal?, http: http?, geoip: geoip?, listen, tenants, files })
    }

    /// Reads a table's keys; each of the wrong ones is told by `take`.
    pub(super) fn keys<K: Keys>(&mut self, at: At<'_>) -> Option<K> {
        match (&at.node.kind, serde_json::from_value(at.node.json())) {
            (Kind::Table(_), Ok(keys)) => Some(keys),
            _ => {
                self.errors.push(at.error("", "a table must stand here"));
                None
            }
        }
    }

    pub(super) fn take<T>(&mut self, at: At<'_>, key: &str, given: Given<T>) -> Option<T> {
        match given {
            Given::Absent => None,
            Given::Value(value) => Some(value),
            Given::Wrong(message) => {
                self.errors.push(at.error(key, message));
                None
            }
        }
    }

    /// A key that must be there and has one of these names.
    pub(super) fn choice(
        &mut self,
        at: At<'_>,
        key: &str,
        given: Given<String>,
        names: &[&str],
    ) -> Option<String> {
        let message = match given {
            Given::Value(name) if names.contains(&name.as_str()) => return Some(name),
            Given::Value(name) => unknown(key, &name, names),
            Given::Absent => format!("the key is missing; accepted: {}", names.join(", ")),
            Given::Wrong(_) => format!("this is no name; accepted: {}", names.join(", ")),
        };
        self.errors.push(at.error(key, message));
        None
    }

    pub(super) fn refuse_unknown(&mut self, at: At<'_>, accepted: &[String]) {
        let accepted: Vec<&str> = accepted.iter().map(String::as_str).collect();
        for (key, _) in at.node.children() {
            if !accepted.contains(&key) {
                self.errors.push(at.error(key, unknown("key", key, &accepted)));
            }
        }
    }

    /// A name of something; `what` for the message.
    pub(super) fn name(&mut self, at: At<'_>, what: &str, name: &str) -> bool {
        let right = is_name(name);
        if !right {
            let message = format!(
                "{name:?} is no name of a {what}; accepted: a small letter, then small letters, digits and underscores"
            );
            self.errors.push(at.error("", message));
        }
        right
    }

    /// A table of the root over what is built in for it.
    fn over_built_in(&self, key: &str, root: &Node) -> Node {
        let mut node = self.built_in.child(key);
        if let Some(over @ Node { kind: Kind::Table(_), .. }) = root.get(key) {
            node.overlay(over.clone());
        }
        node
    }

    fn defaults(&mut self, root: &Node) {
        let node = root.child("defaults");
        let at = At { path: &["defaults"], node: &node };
        let Some(keys) = self.keys::<DefaultsKeys>(at) else { return };
        self.refuse_unknown(at, &raw::names::<DefaultsKeys>());
        self.take(at, "source", keys.source);
        let source = node.child("source");
        let accepted: Vec<String> = SOURCE_DEFAULTS.iter().map(|key| (*key).to_owned()).collect();
        self.refuse_unknown(At { path: &["defaults", "source"], node: &source }, &accepted);
    }

    fn journal(&mut self, node: &Node) -> Option<JournalConfig> {
        let at = At { path: &["journal"], node };
        let keys: JournalKeys = self.keys(at)?;
        self.refuse_unknown(at, &raw::names::<JournalKeys>());
        let dir = self.take(at, "dir", keys.dir);
        let budget = self.take(at, "budget", keys.budget);
        let keep = self.take(at, "keep", keys.keep);
        if dir.as_ref().is_some_and(|dir| placeholders::has_any(&dir.to_string_lossy())) {
            let message =
                "placeholders have no meaning here; each tenant has a directory of its own in this one";
            self.errors.push(at.error("dir", message));
        }
        self.at_least(at, "budget", budget, SMALLEST_BUDGET);
        Some(JournalConfig { dir: dir?, budget: budget?, keep: keep? })
    }

    fn geoip(&mut self, node: &Node) -> Option<GeoIpConfig> {
        let at = At { path: &["geoip"], node };
        let keys: GeoIpKeys = self.keys(at)?;
        self.refuse_unknown(at, &raw::names::<GeoIpKeys>());
        let (city, asn) = (self.take(at, "city", keys.city), self.take(at, "asn", keys.asn));
        Some(GeoIpConfig { city, asn })
    }

    fn at_least(&mut self, at: At<'_>, key: &str, size: Option<Size>, least: Size) {
        if size.is_some_and(|size| size < least) {
            self.errors.push(
                at.error(key, format!("this is too little; accepted: \"{}KiB\" or more", least.0 >> 10)),
            );
        }
    }

    fn http(&mut self, node: &Node) -> Option<HttpConfig> {
        let at = At { path: &["http"], node };
        let keys: HttpKeys = self.keys(at)?;
        self.refuse_unknown(at, &raw::names::<HttpKeys>());
        self.take(at, "proxy", keys.proxy);
        self.take(at, "ca_file", keys.ca_file);
        let connect_timeout = self.take(at, "connect_timeout", keys.connect_timeout);
        let read_timeout = self.take(at, "read_timeout", keys.read_timeout);
        let timeout = self.take(at, "timeout", keys.timeout);
        let max_body = self.take(at, "max_body", keys.max_body);
        let page_slots = self.take(at, "page_slots", keys.page_slots);
        self.at_least(at, "max_body", max_body, SMALLEST_BODY);
        for (key, value) in
            [("connect_timeout", connect_timeout), ("read_timeout", read_timeout), ("timeout", timeout)]
        {
            if value.is_some_and(|value| value.is_zero()) {
                self.errors.push(at.error(key, "nothing can be done in no time; accepted: more than \"0s\""));
            }
        }
        Some(HttpConfig {
            connect_timeout: connect_timeout?,
            read_timeout: read_timeout?,
            timeout: timeout?,
            max_body: max_body?,
            page_slots: page_slots?.0,
        })
    }

    /// What can be said of a template before a tenant uses it.
    fn templates(&mut self, root: &Node) {
        let templates = root.child("template");
        for (name, node) in templates.children() {
            let path = ["template", name];
            let at = At { path: &path, node };
            self.name(at, "template", name);
            let Some(keys) = self.keys::<TenantKeys>(at) else { continue };
            let accepted: Vec<String> =
                raw::names::<TenantKeys>().into_iter().filter(|key| key != "template").collect();
            self.refuse_unknown(at, &accepted);
            self.take(at, "sinks", keys.sinks);
            for (key, table) in
                [("var", keys.var), ("journal", keys.journal), ("source", keys.source), ("sink", keys.sink)]
            {
                self.take(at, key, table);
            }
        }
    }

    fn tenant(&mut self, name: &str, own: &Node, shared: &Shared<'_>) -> Option<Tenant> {
        let path = ["tenant", name];
        let at = At { path: &path, node: own };
        if !self.name(at, "tenant", name) {
            return None;
        }
        let before = self.errors.len();
        let keys: TenantKeys = self.keys(at)?;
        self.refuse_unknown(at, &raw::names::<TenantKeys>());
        let template = self.take(at, "template", keys.template);
        for (key, table) in
            [("var", keys.var), ("journal", keys.journal), ("source", keys.source), ("sink", keys.sink)]
        {
            self.take(at, key, table);
        }
        self.take(at, "sinks", keys.sinks);
        let whole = self.with_template(at, template.as_deref(), shared.root)?;
        let at = At { path: &path, node: &whole };
        let vars = self.vars(at);
        let fill = placeholders::Values { tenant: name, vars: &vars };
        let mut effective = Node::table(whole.origin.clone());

        let (journal, journal_node) = self.tenant_journal(name, &whole, shared);
        effective.insert("journal", journal_node);
        effective.insert("http", shared.http.clone());
        let (sources, source_nodes) = self.sources(name, &whole, shared, &fill);
        effective.insert("source", source_nodes);
        if sources.is_empty() && self.errors.len() == before {
            let message =
                "the tenant has no source; define [source.NAME] in its file, or [tenant.NAME.source.NAME]";
            self.errors.push(at.error("source", message));
        }
        let (sinks, sink_nodes) = self.tenant_sinks(name, &whole, shared, &fill)?;
        effective.insert("sink", sink_nodes);
        Some(Tenant { template, journal: journal?, sources, sinks, effective })
    }

    /// A tenant's table over its template's.
    fn with_template(&mut self, at: At<'_>, template: Option<&str>, root: &Node) -> Option<Node> {
        let Some(template) = template else { return Some(at.node.clone()) };
        let templates = root.child("template");
        let Some(node @ Node { kind: Kind::Table(_), .. }) = templates.get(template) else {
            let names: Vec<&str> = templates.children().map(|(name, _)| name).collect();
            self.errors.push(at.error("template", unknown("template", template, &names)));
            return None;
        };
        let mut whole = node.remarked(&format!("template {template}"));
        whole.overlay(at.node.clone());
        Some(whole)
    }

    fn vars(&mut self, at: At<'_>) -> BTreeMap<String, String> {
        let table = at.node.child("var");
        let mut vars = BTreeMap::new();
        for (name, node) in table.children() {
            let key = format!("var.{name}");
            match &node.kind {
                _ if !is_name(name) => {
                    let message = "no name of a variable; accepted: a small letter, then small letters, digits and \
                                   underscores";
                    self.errors.push(at.error(&key, message));
                }
                // The text is not repeated: a variable may be put where a secret belongs.
                Kind::Leaf(Json::String(text)) if placeholders::has_any(text) => {
                    self.errors.push(
                        at.error(&key, "placeholders have no meaning in [var]; write the value itself"),
                    );
                }
                Kind::Leaf(Json::String(text)) => {
                    vars.insert(name.to_owned(), text.clone());
                }
                _ => self.errors.push(at.error(&key, "this is no string; accepted: a string")),
            }
        }
        vars
    }

    fn tenant_journal(
        &mut self,
        tenant: &str,
        whole: &Node,
        shared: &Shared<'_>,
    ) -> (Option<JournalConfig>, Node) {
        let own = whole.child("journal");
        let path = ["tenant", tenant, "journal"];
        self.refuse_unknown(At { path: &path, node: &own }, &raw::names::<TenantJournalKeys>());
        let mut node = shared.journal.clone();
        node.overlay(own);
        let at = At { path: &path, node: &node };
        let Some(keys) = self.keys::<JournalKeys>(at) else { return (None, node) };
        let dir = self.take(at, "dir", keys.dir);
        let budget = self.take(at, "budget", keys.budget);
        let keep = self.take(at, "keep", keys.keep);
        self.at_least(at, "budget", budget, SMALLEST_BUDGET);
        let config = (|| Some(JournalConfig { dir: dir?.join(tenant), budget: budget?, keep: keep? }))();
        (config, node)
    }

    /// Replaces placeholders in every string below.
    pub(super) fn fill(&mut self, path: &[&str], node: &mut Node, values: &placeholders::Values<'_>) {
        match &mut node.kind {
            Kind::Table(table) => {
                for (key, child) in table {
                    let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                    self.fill(&path, child, values);
                }
            }
            Kind::Leaf(value) => {
                if let Err(message) = fill_leaf(value, values) {
                    self.errors.push(ConfigError::at(path, Some(node.origin.to_string()), message));
                }
            }
        }
    }

    fn tenant_sinks(
        &mut self,
        tenant: &str,
        whole: &Node,
        shared: &Shared<'_>,
        fill: &placeholders::Values<'_>,
    ) -> Option<(BTreeMap<String, SinkConfig>, Node)> {
        let path = ["tenant", tenant];
        let at = At { path: &path, node: whole };
        let common = shared.root.child("sink");
        let own = whole.child("sink");
        let keys: TenantKeys = self.keys(at)?;
        let chosen = match keys.sinks {
            Given::Value(chosen) => Some(chosen),
            Given::Absent => None,
            // Told already.
            Given::Wrong(_) => return None,
        };
        let known: Vec<&str> = common.children().chain(own.children()).map(|(name, _)| name).collect();
        for name in chosen.iter().flatten() {
            if !known.contains(&name.as_str()) {
                self.errors.push(at.error("sinks", unknown("sink", name, &known)));
            }
        }
        let before = self.errors.len();
        let left_out = self.left_out(at, &common, &own, chosen.as_deref().unwrap_or_default());
        let wanted = |name: &str| match &chosen {
            _ if left_out.iter().any(|out| out == name) => false,
            Some(chosen) => chosen.iter().any(|one| one == name) || own.get(name).is_some(),
            None => true,
        };
        if known.is_empty() && chosen.is_none() {
            let message = "there is no sink; define [sink.NAME], or write sinks = [] to keep records in the journal \
                           alone";
            self.errors.push(at.error("sinks", message));
        } else if chosen.is_none() && before == self.errors.len() && !known.iter().any(|name| wanted(name)) {
            let message = "every sink leaves this tenant out (their `tenants`); define [sink.NAME] for it, or write sinks \
                           = [] to keep records in the journal alone";
            self.errors.push(at.error("sinks", message));
        }
        let mut sinks = BTreeMap::new();
        let mut effective = Node::table(own.origin.clone());
        for name in known.into_iter().filter(|name| wanted(name)) {
            if effective.get(name).is_some() {
                continue;
            }
            let mut node = self.sink_node(shared);
            let mut right = true;
            for part in [common.get(name), own.get(name)].into_iter().flatten() {
                let path = if own.get(name).is_some() {
                    &["tenant", tenant, "sink", name][..]
                } else {
                    &["sink", name]
                };
                right &= self.keys::<SinkKeys>(At { path, node: part }).is_some();
                node.overlay(part.clone());
            }
            if !right {
                continue;
            }
            let before = self.errors.len();
            if let (Some(common), Some(own)) = (common.get(name), own.get(name)) {
                let path = ["tenant", tenant, "sink", name];
                self.shared_secrets(At { path: &path, node: own }, name, common);
            }
            self.fill(&["tenant", tenant, "sink", name], &mut node, fill);
            let filled = self.errors.len() == before;
            let path =
                if own.get(name).is_some() { &["tenant", tenant, "sink", name][..] } else { &["sink", name] };
            if let Some(sink) = self.sink(path, name, &node)
                && filled
            {
                fill_in(&mut node, &sink);
                sinks.insert(name.to_owned(), sink);
            }
            effective.insert(name, node);
        }
        Some((sinks, effective))
    }

    /// The sinks outside tenants whose `tenants` leave this one out. That it asks for one of them is an error.
    fn left_out(&mut self, at: At<'_>, common: &Node, own: &Node, chosen: &[String]) -> Vec<String> {
        for (name, node) in own.children().filter(|(_, node)| node.get("tenants").is_some()) {
            let path: Vec<&str> = at.path.iter().copied().chain(["sink", name]).collect();
            let message = "a sink of a tenant is that tenant's alone; accepted: this key at the [sink.NAME] outside tenants";
            self.errors.push(At { path: &path, node }.error("tenants", message));
        }
        let tenant = at.path.last().copied().unwrap_or_default();
        let mut out = Vec::new();
        for (name, node) in common.children() {
            let path = ["sink", name];
            let shared = At { path: &path, node };
            let Some(patterns) = node.get("tenants").and_then(|_| self.keys::<SinkKeys>(shared)) else {
                continue;
            };
            let Some(patterns) = self.take(shared, "tenants", patterns.tenants) else { continue };
            match streams::Tenants::parse(&patterns, &self.tenants) {
                Ok(tenants) if tenants.takes(tenant) => {}
                Ok(_) => {
                    let asked = match own.get(name) {
                        Some(_) => Some(format!("sink.{name}")),
                        None => chosen.iter().any(|one| one == name).then(|| "sinks".to_owned()),
                    };
                    if let Some(key) = asked {
                        let message = format!(
                            "the `tenants` of [sink.{name}] leave this tenant out; let it in there, or define a sink of \
                             another name"
                        );
                        self.errors.push(at.error(&key, message));
                    }
                    out.push(name.to_owned());
                }
                Err(message) => self.errors.push(shared.error("tenants", message)),
            }
        }
        out
    }

    /// A tenant that turns a shared sink to an address of its own must bring its own credential: the one that all share
    /// would go there. One whose reference carries the tenant is its own already, and a private key is never sent.
    fn shared_secrets(&mut self, at: At<'_>, name: &str, common: &Node) {
        let Some(address) =
            ADDRESSES.iter().find(|key| at.node.get(key).is_some() && common.get(key).is_some())
        else {
            return;
        };
        common.leaves(&mut Vec::new(), &mut |path, node| {
            let key = path.join(".");
            let shared = |text: &str| values::is_reference(text) && !placeholders::has_any(text);
            let secret = path
                .last()
                .is_some_and(|last| own::is_secret_name(last) && !last.ends_with("private_key"));
            let replaced = path.iter().try_fold(at.node, |node, key| node.get(key)).is_some();
            if secret && !replaced && matches!(&node.kind, Kind::Leaf(Json::String(text)) if shared(text)) {
                let message = format!(
                    "the `{key}` of [sink.{name}], which other tenants share, would go to this address; set `{key}` here \
                     too, or let the shared one carry {{tenant}}"
                );
                self.errors.push(at.error(address, message));
            }
        });
    }

    /// What every sink has below its own keys.
    fn sink_node(&self, shared: &Shared<'_>) -> Node {
        let mut node = self.built_in.child("sink");
        node.overlay(reach_defaults(shared.http));
        node
    }

    /// Sinks that no tenant delivers to are looked at all the same.
    fn unused_sinks(&mut self, shared: &Shared<'_>, tenants: &BTreeMap<String, Tenant>) {
        if !self.errors.is_empty() {
            return;
        }
        for (name, own) in shared.root.child("sink").children() {
            if tenants.values().any(|tenant| tenant.sinks.contains_key(name)) {
                continue;
            }
            let path = ["sink", name];
            if self.keys::<SinkKeys>(At { path: &path, node: own }).is_none() {
                continue;
            }
            let mut node = self.sink_node(shared);
            node.overlay(own.clone());
            self.sink(&path, name, &node);
        }
    }

    fn sink(&mut self, path: &[&str], name: &str, node: &Node) -> Option<SinkConfig> {
        let at = At { path, node };
        if !self.name(at, "sink", name) {
            return None;
        }
        let keys: SinkKeys = self.keys(at)?;
        let common = raw::names::<SinkKeys>();
        let names: Vec<&str> = self.sinks.iter().map(|kind| kind.name()).collect();
        let kind = self.choice(at, "kind", keys.kind, &names);
        let schema = self.take(at, "schema", keys.schema);
        let patterns = self.take(at, "streams", keys.streams);
        let start = self.take(at, "start", keys.start);
        let required = self.take(at, "required", keys.required);
        let require = self.take(at, "require", keys.require);
        let give_up_after = self.take(at, "give_up_after", keys.give_up_after);
        let original = self.take(at, "original", keys.original);
        let entra_shape = self.take(at, "entra_shape", keys.entra_shape);
        let proxy = self.take(at, "proxy", keys.proxy);
        let ca_file = self.take(at, "ca_file", keys.ca_file);
        if let Some(schema) = schema.as_deref().filter(|schema| !SCHEMAS.contains(schema)) {
            self.errors.push(at.error("schema", unknown("schema", schema, SCHEMAS)));
        }
        let streams = match patterns.map(|patterns| Filter::parse(&patterns, self.connectors)) {
            Some(Ok(filter)) => Some(filter),
            Some(Err(message)) => {
                self.errors.push(at.error("streams", message));
                None
            }
            None => None,
        };
        let kind = kind?;
        let kind = self.sinks.iter().copied().find(|known| known.name() == kind)?;
        let own = without(node, &common);
        let rules = kind.schema();
        own::check(rules.as_value(), &common, path, &own, &mut self.errors);
        own::check_names(rules.as_value(), self.connectors, path, &own, &mut self.errors);
        let Json::Object(table) = own.json() else { return None };
        Some(SinkConfig {
            kind,
            schema,
            streams: streams?,
            start: start?,
            required: required?,
            require,
            give_up_after,
            original: original?,
            entra_shape: entra_shape?,
            reach: Reach { proxy: proxy.and_then(|proxy| proxy.0), ca_file },
            table,
        })
    }
}

/// What the kind fills in stands beside what the files say.
fn fill_in(node: &mut Node, sink: &SinkConfig) {
    let default = Origin::new(format!("default of sink kind {}", sink.kind.name()));
    for (key, value) in sink.kind.filled_in(&sink.table) {
        match node.get(&key) {
            None => node.insert(&key, Node { origin: default.clone(), kind: Kind::Leaf(value) }),
            // `schema` is not the kind's own.
            Some(_) if !sink.table.contains_key(&key) => {}
            Some(said) if said.json() == value => {}
            Some(said) => {
                let whole = Node { origin: said.origin.clone(), kind: Kind::Leaf(value) };
                node.insert(&key, whole.remarked("completed"));
            }
        }
    }
}

/// `proxy` and `ca_file` of `[http]`, as every source and sink has them unless it says otherwise.
pub(super) fn reach_defaults(http: &Node) -> Node {
    let mut node = Node::table(http.origin.clone());
    for key in ["proxy", "ca_file"] {
        if let Some(value) = http.get(key) {
            node.insert(key, value.clone());
        }
    }
    node
}

fn fill_leaf(value: &mut Json, values: &placeholders::Values<'_>) -> Result<(), String> {
    match value {
        Json::String(text) => {
            *text = values.fill(text)?;
            Ok(())
        }
        Json::Array(items) => items.iter_mut().try_for_each(|item| fill_leaf(item, values)),
        _ => Ok(()),
    }
}

/// A table without the keys of these names.
pub(super) fn without(node: &Node, keys: &[String]) -> Node {
    let mut rest = Node::table(node.origin.clone());
    for (key, child) in node.children().filter(|(key, _)| !keys.iter().any(|name| name == key)) {
        rest.insert(key, child.clone());
    }
    rest
}
