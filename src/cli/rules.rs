//! `tidegate rules`: which published detections can match our documents.

use crate::rules::{self, Fields, Verdict};
use crate::world::World;
use std::collections::BTreeMap;

/// Shows how many of Elastic's prebuilt detection rules can match documents of the schema `ecs`, and why the others
/// cannot.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0; 20 there is no such integration")]
pub struct Args {
    /// Only those of this integration: okta, azure or google_workspace
    pub integration: Option<String>,
    /// Names those that can match, too
    #[arg(long)]
    pub all: bool,
    /// As JSON, one rule a line
    #[arg(long)]
    pub json: bool,
}

/// Runs it; the exit code.
#[must_use]
pub fn run(world: &World, args: &Args) -> u8 {
    let fields = Fields::of(&world.connectors);
    let mut by: BTreeMap<String, Vec<(rules::Rule, Verdict)>> = BTreeMap::new();
    for rule in rules::all() {
        let verdict = fields.verdict(&rule);
        by.entry(rule.integration.clone()).or_default().push((rule, verdict));
    }
    if let Some(wanted) = &args.integration {
        by.retain(|integration, _| integration == wanted);
        if by.is_empty() {
            super::complain(&format!("{wanted}: there are rules for okta, azure and google_workspace"));
            return 20;
        }
    }
    let mut text = String::new();
    for (integration, rules) in &by {
        if args.json {
            rules.iter().for_each(|(rule, verdict)| text.push_str(&json(rule, verdict)));
        } else {
            text.push_str(&told(integration, rules, args.all));
        }
    }
    super::print(text.trim_end());
    0
}

fn json(rule: &rules::Rule, verdict: &Verdict) -> String {
    let (can, needs, missing) = match verdict {
        Verdict::Can => ("yes", Vec::new(), BTreeMap::new()),
        Verdict::WithGeoIp(fields) => ("geoip", fields.clone(), BTreeMap::new()),
        Verdict::Cannot(missing) => ("no", Vec::new(), missing.iter().cloned().collect()),
    };
    let rules::Rule { integration, name, severity, kind, fields: _ } = rule;
    let line = serde_json::json!({
        "integration": integration, "rule": name, "severity": severity, "kind": kind,
        "can_match": can, "needs": needs, "missing": missing,
    });
    format!("{line}\n")
}

fn told(integration: &str, rules: &[(rules::Rule, Verdict)], all: bool) -> String {
    let count = |wanted: fn(&Verdict) -> bool| rules.iter().filter(|(_, verdict)| wanted(verdict)).count();
    let can = count(|verdict| *verdict == Verdict::Can);
    let mut text = format!("{integration}: {can} of {} rules can match", rules.len());
    match count(|verdict| matches!(verdict, Verdict::WithGeoIp(_))) {
        0 => {}
        more => text.push_str(&format!(", {more} more with [geoip]")),
    }
    text.push('\n');
    for (rule, verdict) in rules {
        let (mark, why) = match verdict {
            Verdict::Can if !all => continue,
            Verdict::Can => ("+", String::new()),
            Verdict::WithGeoIp(fields) => ("~", format!("with [geoip]: {}", fields.join(", "))),
            Verdict::Cannot(missing) => ("-", reasons(missing)),
        };
        text.push_str(&format!("  {mark} {} ({})\n", rule.name, rule.severity));
        if !why.is_empty() {
            text.push_str(&format!("      {why}\n"));
        }
    }
    text
}

/// Fields that are missing for the same reason stand together.
fn reasons(missing: &[(String, &'static str)]) -> String {
    let mut by: Vec<(&str, Vec<&str>)> = Vec::new();
    for (field, why) in missing {
        match by.iter_mut().find(|(known, _)| known == why) {
            Some((_, fields)) => fields.push(field),
            None => by.push((why, vec![field])),
        }
    }
    let told: Vec<String> = by.iter().map(|(why, fields)| format!("{}: {why}", fields.join(", "))).collect();
    told.join("; ")
}
