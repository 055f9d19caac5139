//! Which streams a source runs and a sink takes.

use super::error::unknown;
use super::values::is_name;
use tidegate_core::source::{Connector, Stream};

/// What a sink takes, by connector and stream. The last rule that fits decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    take: bool,
    connector: Option<String>,
    stream: Option<String>,
}

impl Filter {
    /// Whether records of this connector's stream go to the sink.
    #[must_use]
    pub fn takes(&self, connector: &str, stream: &str) -> bool {
        let fits = |rule: &&Rule| {
            rule.connector.as_deref().is_none_or(|name| name == connector)
                && rule.stream.as_deref().is_none_or(|name| name == stream)
        };
        // A list of exceptions alone is exceptions from everything.
        let without = self.0.first().is_some_and(|rule| !rule.take);
        self.0.iter().rev().find(fits).map_or(without, |rule| rule.take)
    }

    pub(super) fn parse(patterns: &[String], connectors: &[&'static dyn Connector]) -> Result<Self, String> {
        if patterns.is_empty() {
            return Err(
                "an empty list takes nothing; to leave the sink out, use the tenant's `sinks`".to_owned()
            );
        }
        patterns.iter().map(|pattern| rule(pattern, connectors)).collect::<Result<_, _>>().map(Self)
    }
}

fn rule(pattern: &str, connectors: &[&'static dyn Connector]) -> Result<Rule, String> {
    let (take, what) = match pattern.strip_prefix('!') {
        Some(what) => (false, what),
        None => (true, pattern),
    };
    if what == "*" {
        return Ok(Rule { take, connector: None, stream: None });
    }
    let (name, stream) = match what.split_once('/') {
        Some((name, stream)) => (name, Some(stream).filter(|stream| *stream != "*")),
        None => (what, None),
    };
    let Some(connector) = connectors.iter().find(|connector| connector.name() == name) else {
        let names: Vec<&str> = connectors.iter().map(|connector| connector.name()).collect();
        return Err(format!("in {pattern:?}: {}, or \"*\" for all", unknown("connector", name, &names)));
    };
    if let Some(stream) = stream
        && by_name(*connector, stream).is_none()
    {
        return Err(format!("in {pattern:?}: {}, or \"*\" for all", no_stream(*connector, stream)));
    }
    Ok(Rule { take, connector: Some(name.to_owned()), stream: stream.map(str::to_owned) })
}

/// Which tenants deliver to a sink. The last rule that fits decides.
pub(super) struct Tenants(Vec<(bool, Option<String>)>);

impl Tenants {
    /// Whether this one does.
    pub(super) fn takes(&self, tenant: &str) -> bool {
        let fits = |(_, name): &&(bool, Option<String>)| name.as_deref().is_none_or(|name| name == tenant);
        // A list of exceptions alone is exceptions from everybody.
        let without = self.0.first().is_some_and(|(take, _)| !take);
        self.0.iter().rev().find(fits).map_or(without, |(take, _)| *take)
    }

    /// `known`: all tenants. A name that is none of them is refused: `"!nortwind"` would let northwind in.
    pub(super) fn parse(patterns: &[String], known: &[String]) -> Result<Self, String> {
        if patterns.is_empty() {
            return Err("an empty list takes nobody; accepted: \"*\", names of tenants, \"!name\"".to_owned());
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let rule = |pattern: &String| match pattern
            .strip_prefix('!')
            .map_or((true, &**pattern), |what| (false, what))
        {
            (take, "*") => Ok((take, None)),
            (take, name) if known.contains(&name) => Ok((take, Some(name.to_owned()))),
            (_, name) => {
                Err(format!("in {pattern:?}: {}, or \"*\" for all", unknown("tenant", name, &known)))
            }
        };
        patterns.iter().map(rule).collect::<Result<_, _>>().map(Self)
    }
}

/// A stream by its name, also one that the connector does not list but takes.
pub(super) fn by_name(connector: &dyn Connector, name: &str) -> Option<&'static Stream> {
    is_name(name).then(|| connector.stream(name)).flatten()
}

/// That the connector has no stream of this name, and which it lists.
pub(super) fn no_stream(connector: &dyn Connector, name: &str) -> String {
    let names: Vec<&str> = connector.streams().iter().map(|stream| stream.name).collect();
    unknown("stream", name, &names)
}

/// The streams that a source names or runs by default: those that the connector lists, in its order, then the others.
pub(super) fn of_source(
    connector: &'static dyn Connector,
    patterns: Option<&[String]>,
) -> Result<Vec<&'static Stream>, String> {
    let all = connector.streams();
    let Some(patterns) = patterns else {
        return Ok(all.iter().filter(|stream| stream.default).collect());
    };
    // Exceptions alone are exceptions from what is on by default.
    let exceptions = patterns.first().is_some_and(|pattern| pattern.starts_with('!'));
    let mut on: Vec<(bool, &'static Stream)> =
        all.iter().map(|stream| (exceptions && stream.default, stream)).collect();
    for pattern in patterns {
        let (take, name) = match pattern.strip_prefix('!') {
            Some(name) => (false, name),
            None => (true, pattern.as_str()),
        };
        if name != "*" && !on.iter().any(|(_, stream)| stream.name == name) {
            let Some(beside) = by_name(connector, name) else {
                return Err(format!("{}, \"*\", or one of them with ! in front", no_stream(connector, name)));
            };
            on.extend(take.then_some((true, beside)));
        }
        for (on, stream) in &mut on {
            if name == "*" || stream.name == name {
                *on = take;
            }
        }
    }
    let streams: Vec<_> = on.into_iter().filter(|(on, _)| *on).map(|(_, stream)| stream).collect();
    if streams.is_empty() {
        return Err("no stream is left; to stop collecting, write the reason: off = \"…\"".to_owned());
    }
    Ok(streams)
}
