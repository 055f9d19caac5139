//! `tidegate assets`: what a destination should have before the first document: templates and lifecycle policies.

use crate::config::Config;
use crate::world::World;

/// Prints or installs what destinations need: index templates, component templates, lifecycle policies.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: AssetsVerb,
}

#[derive(Debug, clap::Subcommand)]
enum AssetsVerb {
    /// Prints a kind's assets
    Print {
        /// The kind of sink, such as elasticsearch
        kind: String,
        /// Only this one, without its heading
        #[arg(long)]
        name: Option<String>,
    },
    /// Installs a kind's assets at every sink of that kind in the configuration
    Install {
        /// The kind of sink, such as elasticsearch
        kind: String,
        /// Also installs the lifecycle policies, which decide when data is deleted
        #[arg(long)]
        policies: bool,
    },
}

impl Args {
    /// Whether it needs the configuration's sinks.
    #[must_use]
    pub fn installs(&self) -> bool {
        matches!(self.verb, AssetsVerb::Install { .. })
    }
}

/// Runs it; the exit code. Without a configuration it can only print.
pub async fn run(world: &World, config: Option<&Config>, args: &Args) -> u8 {
    let kind = match &args.verb {
        AssetsVerb::Print { kind, .. } | AssetsVerb::Install { kind, .. } => kind,
    };
    let Some(found) = world.kinds.iter().find(|known| known.name() == kind) else {
        let known: Vec<&str> = world.kinds.iter().map(|known| known.name()).collect();
        super::complain(&format!("{kind}: no such kind of sink; there are {}", known.join(", ")));
        return 20;
    };
    match (&args.verb, config) {
        (AssetsVerb::Print { name, .. }, _) => print(&found.assets(), name.as_deref()),
        (AssetsVerb::Install { policies, .. }, Some(config)) => install(world, config, kind, *policies).await,
        (AssetsVerb::Install { .. }, None) => 20,
    }
}

fn print(assets: &[(String, String)], only: Option<&str>) -> u8 {
    if assets.is_empty() {
        super::complain("this kind of sink needs nothing installed");
        return 0;
    }
    let mut found = false;
    for (name, text) in assets.iter().filter(|(name, _)| only.is_none_or(|only| only == name)) {
        found = true;
        if only.is_none() {
            super::print(&format!("# {name}"));
        }
        super::print(text);
    }
    if !found {
        let names: Vec<&str> = assets.iter().map(|(name, _)| name.as_str()).collect();
        super::complain(&format!("there is no asset of that name; there are {}", names.join(", ")));
        return 20;
    }
    0
}

async fn install(world: &World, config: &Config, kind: &str, policies: bool) -> u8 {
    let (mut code, mut seen) = (0, Vec::new());
    for name in config.tenants.keys() {
        let sinks = match world.sinks(config, name) {
            Ok(sinks) => sinks,
            Err(error) => {
                super::complain(&format!("{name}: {error}"));
                return 20;
            }
        };
        for sink in sinks.into_iter().filter(|sink| sink.kind == kind) {
            if seen.contains(&sink.key) {
                continue;
            }
            match sink.sink.install(policies).await {
                Ok(lines) => lines.iter().for_each(|line| super::print(&format!("{}: {line}", sink.key))),
                Err(fault) => {
                    super::complain(&format!("{}: {fault}", sink.key));
                    code = 40;
                }
            }
            seen.push(sink.key);
        }
    }
    if seen.is_empty() {
        super::complain(&format!("the configuration has no sink of kind {kind:?}"));
        code = 20;
    }
    code
}
