//! A tenant's sources, and how each of them runs its connector's streams.

use super::raw::{self, SourceKeys, StreamKeys};
use super::resolve::{At, Resolver, Shared, reach_defaults, without};
use super::tree::{Kind, Node, Origin};
use super::{Reach, SourceConfig, own, placeholders, streams};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_core::collect::StreamPlan;
use tidegate_core::source::{Connector, Stream, StreamKind};
use tidegate_core::units::duration_text;

/// More often than this no stream is asked, whatever the file says.
const SHORTEST_POLL: Duration = Duration::from_secs(1);
/// No vendor shows a record later than this to the fast lane; what comes later is for the second readings.
const LONGEST_UNSEEN: Duration = Duration::from_secs(3600);
/// No vendor keeps records for less.
const SHORTEST_RETENTION: Duration = Duration::from_secs(86_400);

/// A source's streams: those that run, and those that are declared off with their reasons.
type Streams = (Vec<StreamPlan>, BTreeMap<String, String>);

/// What a source sets for all of its streams.
struct ForAll {
    poll: Option<Duration>,
    settle: Option<Vec<Duration>>,
}

impl Resolver<'_> {
    pub(super) fn sources(
        &mut self,
        tenant: &str,
        whole: &Node,
        shared: &Shared<'_>,
        fill: &placeholders::Values<'_>,
    ) -> (BTreeMap<String, SourceConfig>, Node) {
        let table = whole.child("source");
        let mut sources = BTreeMap::new();
        let mut effective = Node::table(table.origin.clone());
        let mut organisations: BTreeMap<(&str, String), String> = BTreeMap::new();
        for (name, own) in table.children() {
            let path = ["tenant", tenant, "source", name];
            let at = At { path: &path, node: own };
            if !self.name(at, "source", name) || self.keys::<SourceKeys>(at).is_none() {
                continue;
            }
            let mut node = self.built_in.child("source");
            node.overlay(reach_defaults(shared.http));
            let defaults = shared.root.child("defaults");
            if defaults.get("source").is_some() {
                node.overlay(defaults.child("source").remarked("defaults.source"));
            }
            node.overlay(own.clone());
            let before = self.errors.len();
            self.fill(&path, &mut node, fill);
            let Some(source) = self.source(at, &mut node, before) else { continue };
            let organisation = (source.connector.name(), source.organisation.clone());
            if let Some(other) = organisations.get(&organisation) {
                let key = if own.get("url").is_some() { "url" } else { "" };
                let message = format!(
                    "source {other} collects from {} already; a vendor organisation has one source, since that owns \
                     the quota there",
                    organisation.1
                );
                self.errors.push(At { path: &path, node: &node }.error(key, message));
            } else {
                organisations.insert(organisation, format!("{name} ({})", own.origin));
            }
            sources.insert(name.to_owned(), source);
            effective.insert(name, node);
        }
        (sources, effective)
    }

    /// `own`: the source's table without what is below it. `before`: how many errors there were before this source was
    /// looked at. The connector is asked only about a table that is right so far. What it and its streams decide is
    /// added to `node`.
    fn source(&mut self, own: At<'_>, node: &mut Node, before: usize) -> Option<SourceConfig> {
        let at = At { path: own.path, node };
        let keys: SourceKeys = self.keys(at)?;
        let common = raw::names::<SourceKeys>();
        let names: Vec<&str> = self.connectors.iter().map(|connector| connector.name()).collect();
        let name = self.choice(at, "connector", keys.connector, &names);
        let patterns = self.take(at, "streams", keys.streams);
        self.take(at, "stream", keys.stream);
        let start = self.take(at, "start", keys.start);
        let poll = self.take(at, "poll", keys.poll);
        let quota = self.take(at, "quota", keys.quota);
        let off = self.take(at, "off", keys.off);
        let revisions = self.take(at, "revisions", keys.revisions);
        let forget_after = self.take(at, "forget_after", keys.forget_after);
        let settle = self.take(at, "settle", keys.settle);
        let proxy = self.take(at, "proxy", keys.proxy);
        let ca_file = self.take(at, "ca_file", keys.ca_file);
        self.poll(at, poll);
        let name = name?;
        let connector = self.connectors.iter().copied().find(|connector| connector.name() == name)?;
        let rest = without(at.node, &common);
        own::check(connector.schema().as_value(), &common, at.path, &rest, &mut self.errors);
        let chosen = match streams::of_source(connector, patterns.as_deref()) {
            Ok(chosen) => chosen,
            Err(message) => {
                self.errors.push(at.error("streams", message));
                return None;
            }
        };
        let decided = Origin::new(format!("default of connector {name}"));
        if patterns.is_none() {
            let names = chosen.iter().map(|stream| stream.name).collect::<Vec<_>>();
            node.insert("streams", Node { origin: decided.clone(), kind: Kind::Leaf(Json::from(names)) });
        }
        let (streams, off_streams) =
            self.streams(own, node, connector, chosen, &decided, &ForAll { poll, settle });
        if self.errors.len() > before {
            return None;
        }
        let Json::Object(table) = rest.json() else { return None };
        let organisation = match connector.organisation(&table) {
            Ok(organisation) => organisation,
            Err(error) => {
                self.errors.push(At { path: own.path, node }.error(&error.key, error.message));
                return None;
            }
        };
        Some(SourceConfig {
            connector,
            organisation,
            streams,
            off_streams,
            start: start?,
            quota: quota?,
            off,
            revisions: revisions?,
            forget_after,
            reach: Reach { proxy: proxy.and_then(|proxy| proxy.0), ca_file },
            table,
        })
    }

    /// The `chosen` streams as the source runs them. In `node`, each gets all of its keys.
    fn streams(
        &mut self,
        own: At<'_>,
        node: &mut Node,
        connector: &'static dyn Connector,
        mut chosen: Vec<&'static Stream>,
        decided: &Origin,
        for_all: &ForAll,
    ) -> Streams {
        if chosen.iter().all(|stream| stream.kind == StreamKind::Feed) {
            if own.node.get("settle").is_some() {
                let message =
                    "this source's streams are feeds, which need no second reading; leave the key out";
                self.errors.push(own.error("settle", message));
            }
            // In [defaults.source] it is meant for other sources.
            *node = without(node, &["settle".to_owned()]);
        }
        let tables = node.child("stream");
        for (name, table) in tables.children() {
            let runs = chosen.iter().any(|stream| stream.name == name);
            let message = match streams::by_name(connector, name) {
                Some(_) if runs => continue,
                Some(stream) if table.get("off").is_some() => {
                    chosen.push(stream);
                    continue;
                }
                Some(_) => {
                    let names: Vec<&str> = chosen.iter().map(|stream| stream.name).collect();
                    format!(
                        "the source does not run this stream; accepted: {}, or {name:?} once `streams` names it",
                        names.join(", ")
                    )
                }
                None => streams::no_stream(connector, name),
            };
            let path: Vec<&str> = own.path.iter().copied().chain(["stream", name]).collect();
            self.errors.push(At { path: &path, node: table }.error("", message));
        }
        let (mut plans, mut off) = (Vec::new(), BTreeMap::new());
        let mut shown = Node::table(tables.origin.clone());
        for stream in chosen {
            let mut table =
                tables.get(stream.name).cloned().unwrap_or_else(|| Node::table(tables.origin.clone()));
            let path: Vec<&str> = own.path.iter().copied().chain(["stream", stream.name]).collect();
            let Some((plan, reason)) = self.stream(At { path: &path, node: &table }, stream, for_all) else {
                continue;
            };
            match reason {
                Some(reason) => {
                    off.insert(stream.name.to_owned(), reason);
                }
                None => {
                    complete(&mut table, &plan, node, decided);
                    plans.push(plan);
                }
            }
            shown.insert(stream.name, table);
        }
        if plans.is_empty() && !off.is_empty() {
            let message =
                "every stream is off; to stop collecting, write the reason once: off = \"…\" of the source";
            self.errors.push(At { path: own.path, node }.error("stream", message));
        }
        node.insert("stream", shown);
        (plans, off)
    }

    /// A stream's own table: how it runs, and the reason why it does not.
    fn stream(
        &mut self,
        at: At<'_>,
        stream: &'static Stream,
        for_all: &ForAll,
    ) -> Option<(StreamPlan, Option<String>)> {
        let keys: StreamKeys = self.keys(at)?;
        self.refuse_unknown(at, &raw::names::<StreamKeys>());
        let poll = self.take(at, "poll", keys.poll);
        let settle = self.take(at, "settle", keys.settle);
        let visible_after = self.take(at, "visible_after", keys.visible_after);
        let retention = self.take(at, "retention", keys.retention);
        let off = self.take(at, "off", keys.off);
        self.poll(at, poll);
        if visible_after.is_some_and(|delay| delay > LONGEST_UNSEEN) {
            self.errors.push(at.error("visible_after", "this is too long; accepted: \"1h\" or less"));
        }
        if retention.is_some_and(|kept| kept < SHORTEST_RETENTION) {
            self.errors.push(at.error("retention", "this is too short; accepted: \"1d\" or more"));
        }
        let mut plan = StreamPlan::of(stream);
        plan.poll = poll.or(for_all.poll).unwrap_or(plan.poll);
        plan.retention = retention.unwrap_or(plan.retention);
        if stream.kind == StreamKind::Feed {
            for (key, given) in [("settle", settle.is_some()), ("visible_after", visible_after.is_some())] {
                if given {
                    let message = "this stream is a feed: its server keeps the place, and nothing comes late; leave the \
                                   key out";
                    self.errors.push(at.error(key, message));
                }
            }
        } else {
            plan.settle = settle.or_else(|| for_all.settle.clone()).unwrap_or(plan.settle);
            plan.visible_after = visible_after.unwrap_or(plan.visible_after);
        }
        Some((plan, off))
    }

    fn poll(&mut self, at: At<'_>, poll: Option<Duration>) {
        if poll.is_some_and(|poll| poll < SHORTEST_POLL) {
            self.errors.push(at.error("poll", "this is too often; accepted: \"1s\" or more"));
        }
    }
}

/// Adds to a stream's table what the source's or the connector decided.
fn complete(table: &mut Node, plan: &StreamPlan, source: &Node, decided: &Origin) {
    let text = |value: Duration| Json::from(duration_text(value));
    let settle = Json::Array(plan.settle.iter().copied().map(text).collect());
    let mut values =
        vec![("poll", text(plan.poll), source.get("poll")), ("retention", text(plan.retention), None)];
    if plan.stream.kind != StreamKind::Feed {
        values.push(("settle", settle, source.get("settle")));
        values.push(("visible_after", text(plan.visible_after), None));
    }
    for (key, value, inherited) in values {
        if table.get(key).is_none() {
            let leaf = || Node { origin: decided.clone(), kind: Kind::Leaf(value) };
            table.insert(key, inherited.cloned().unwrap_or_else(leaf));
        }
    }
}
