//! A document, for a person: where its fields came from, and how two schemas differ.

use crate::rules::{self, Fields, Verdict};
use std::collections::BTreeMap;
use tidegate_core::event::Event;
use tidegate_core::schema::{Explained, absent};
use tidegate_core::source::Names;

/// What is told of one document.
pub struct Told<'a, 'r> {
    /// Its event.
    pub event: &'a Event<'r>,
    /// Its leaves.
    pub lines: &'a [Explained],
    /// What schemas know of its stream.
    pub names: &'static Names,
    /// What rules can ask for.
    pub fields: &'a Fields,
}

impl Told<'_, '_> {
    /// What the event means, each field with the record field that it came from, what is not there, and how much that is.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (what, meaning) in self.event.summary() {
            text.push_str(&format!("{what}: {meaning}\n"));
        }
        let width = self.lines.iter().map(|line| line.path.chars().count()).max().unwrap_or(0).min(48);
        for Explained { path, from, value } in self.lines {
            let from = from.as_deref().unwrap_or("(tidegate)");
            text.push_str(&format!("  {path:width$}  {value}  ← {from}\n"));
        }
        let absent = absent(self.event, self.lines);
        for value in &absent {
            let why = value.why.unwrap_or("has no place here");
            text.push_str(&format!("  {:width$}  ← {} {} {why}\n", "(absent)", value.path, value.value));
        }
        let lost = absent.iter().filter(|value| value.why.is_none()).count();
        // Where the vendor's own fields stand: in ECS, and in OCSF.
        for namespace in [format!("{}.", self.names.namespace), "unmapped.".to_owned()] {
            let kept = self.lines.iter().filter(|line| line.path.starts_with(&namespace)).count();
            if kept > 0 {
                text.push_str(&format!("kept {namespace}*: {kept} · "));
            }
        }
        text.push_str(&format!("dropped: {lost}"));
        if let Some(able) = self.able() {
            let now = able.iter().filter(|rule| self.fields.verdict(rule) == Verdict::Can).count();
            text.push_str(&format!(" · rules able to match: {now} (list: --rules)"));
        }
        text.push('\n');
        text
    }

    /// The rules that look at this document, a line each.
    #[must_use]
    pub fn rules(&self) -> String {
        let Some(able) = self.able() else { return "rules ask for documents of the schema ecs\n".to_owned() };
        if able.is_empty() {
            return "no rule looks at such a document\n".to_owned();
        }
        let geoip = |rule: &rules::Rule| match self.fields.verdict(rule) {
            Verdict::WithGeoIp(_) => ", with [geoip]",
            _ => "",
        };
        able.iter().map(|rule| format!("{} ({}{})\n", rule.name, rule.severity, geoip(rule))).collect()
    }

    /// Rules, with a database of addresses or without, that look at documents of this data set and action, and whose fields documents have; `None`: not of this
    /// schema.
    fn able(&self) -> Option<Vec<rules::Rule>> {
        let value = |path: &str| {
            self.lines
                .iter()
                .find(|line| line.path == path)
                .map(|line| line.value.trim_matches('"').to_owned())
        };
        let dataset = value("data_stream.dataset")?;
        let action = value("event.action").unwrap_or_default();
        let looks = |rule: &rules::Rule| rule.looks_at(self.names.namespace, &dataset, &action);
        let can = |rule: &rules::Rule| !matches!(self.fields.verdict(rule), Verdict::Cannot(_));
        Some(rules::all().into_iter().filter(|rule| looks(rule) && can(rule)).collect())
    }
}

/// By record field: where it stands in one schema's document and where in the other's. What both have alike is left out.
#[must_use]
pub fn difference((a, one): (&str, &[Explained]), (b, two): (&str, &[Explained])) -> String {
    let alike = |line: &Explained, other: &[Explained]| {
        other.iter().any(|other| other.path == line.path && other.value == line.value)
    };
    let mut by: BTreeMap<&str, [Vec<&Explained>; 2]> = BTreeMap::new();
    for line in one.iter().filter(|line| !alike(line, two)) {
        by.entry(line.from.as_deref().unwrap_or_default()).or_default()[0].push(line);
    }
    for line in two.iter().filter(|line| !alike(line, one)) {
        by.entry(line.from.as_deref().unwrap_or_default()).or_default()[1].push(line);
    }
    let width = a.len().max(b.len());
    let mut text = String::new();
    for (from, lines) in by {
        text.push_str(if from.is_empty() { "(tidegate)" } else { from });
        text.push('\n');
        for (name, lines) in [a, b].into_iter().zip(lines) {
            for Explained { path, value, from: _ } in lines {
                text.push_str(&format!("  {name:width$}  {path} = {value}\n"));
            }
        }
    }
    if text.is_empty() {
        text.push_str("no difference\n");
    }
    text
}
