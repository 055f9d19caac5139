//! The command line: one file a verb. This file holds what they share.

pub mod assets;
pub mod backfill;
pub mod check;
pub mod completions;
pub mod config;
pub mod coverage;
pub mod dead_letters;
#[cfg(feature = "simulator")]
pub mod demo;
pub mod drift;
pub mod explain;
pub mod guarantees;
pub mod init;
pub mod manage;
pub mod map;
pub mod probe;
pub mod replay;
pub mod report;
pub mod rules;
pub mod run;
#[cfg(feature = "simulator")]
pub mod simulate;
pub mod standing;
pub mod status;
pub mod sync;
pub mod text;

use crate::config::Config;
use crate::world::World;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::journal::JournalError;
use tidegate_core::source::Connector;
use tidegate_core::units;

/// Collects identity and MFA logs, proves that none is missing, and delivers them in the schema that your SIEM
/// already understands.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    /// The pipeline's file
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        default_value = "pipeline.toml",
        env = "TIDEGATE_CONFIG"
    )]
    pub config: PathBuf,
    /// The form of log lines (on standard error)
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `tidegate_core=debug`
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

/// Threads for blocking tasks. At 5 ms a commit four of them make 800 commits a second.
const BLOCKING_THREADS: usize = 4;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Sync(sync::Args),
    Check(check::Args),
    Map(map::Args),
    Rules(rules::Args),
    #[cfg(feature = "simulator")]
    Simulate(Box<simulate::Args>),
    #[cfg(feature = "simulator")]
    Demo(demo::Args),
    Status(status::Args),
    Coverage(coverage::Args),
    Guarantees(guarantees::Args),
    Backfill(backfill::Args),
    Replay(replay::Args),
    DeadLetters(dead_letters::Args),
    Source(manage::SourceArgs),
    Sinks(manage::SinksArgs),
    Reload(manage::ReloadArgs),
    Init(init::InitArgs),
    Assets(assets::Args),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
}

/// Parses the command line and carries it out; the exit code.
pub fn main(extra: &[&'static dyn Connector]) -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { 20 } else { 0 };
        }
    };
    logs(&cli);
    // Few threads: the C library keeps an arena of memory for each, and what runs in blocking tasks either computes (two
    // cores do not want more) or waits some milliseconds for the disk. Names are looked up elsewhere.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(carry_out(cli, World::new(extra)));
            // Blocking tasks that hang in the kernel must not keep a finished program.
            runtime.shutdown_timeout(Duration::from_secs(1));
            code
        }
        Err(error) => {
            complain(&format!("the runtime could not start: {error}"));
            70
        }
    }
}

async fn carry_out(cli: Cli, world: World) -> u8 {
    let path = cli.config.clone();
    match cli.verb {
        // These need no configuration.
        Verb::Map(args) => return tokio::task::block_in_place(|| map::run(&world, &args)),
        Verb::Rules(args) => return rules::run(&world, &args),
        #[cfg(feature = "simulator")]
        Verb::Simulate(args) => return simulate::run(&args).await,
        #[cfg(feature = "simulator")]
        Verb::Demo(args) => return demo::run(&args).await,
        Verb::Init(args) => return written(init::init(&args, &mut std::io::stdout().lock())),
        Verb::Completions(args) => {
            return written(completions::completions(
                &args,
                &mut Cli::command(),
                &mut std::io::stdout().lock(),
            ));
        }
        Verb::Assets(args) if !args.installs() => return assets::run(&world, None, &args).await,
        Verb::Config(config::ConfigArgs { command: config::ConfigCommand::Schema }) => {
            return written(config::schema(&world.connectors, world.kinds, &mut std::io::stdout().lock()));
        }
        _ => {}
    }
    let loaded = match world.load(&path) {
        Ok(config) => config,
        Err(errors) => {
            complain(&errors);
            if matches!(&cli.verb, Verb::Check(args) if args.json) {
                print(&check::unloaded(&path, &errors));
            }
            return 20;
        }
    };
    match cli.verb {
        Verb::Run(_) => {
            let again = world.clone();
            run::run(&world, Arc::new(loaded), move || again.load(&path)).await
        }
        Verb::Sync(args) => sync::run(&world, &Arc::new(loaded), &args).await,
        Verb::Check(args) => check::run(&world, &loaded, &args).await,
        Verb::Status(args) => status::run(&world, &loaded, &args),
        Verb::Coverage(args) => coverage::run(&world, &loaded, &args),
        Verb::Guarantees(args) => guarantees::run(&world, &loaded, &args),
        Verb::Backfill(args) => backfill::run(&world, &loaded, &args).await,
        Verb::Replay(args) => replay::run(&world, &loaded, &args).await,
        Verb::DeadLetters(args) => dead_letters::run(&world, &loaded, &args).await,
        Verb::Source(args) => manage::source(&world, &loaded, &args).await,
        Verb::Sinks(args) => manage::sinks(&world, &loaded, &args).await,
        Verb::Reload(args) => manage::reload(&world, &loaded, &args).await,
        Verb::Assets(args) => assets::run(&world, Some(&loaded), &args).await,
        Verb::Config(args) => {
            let out = &mut std::io::stdout().lock();
            match &args.command {
                config::ConfigCommand::Show { tenant, json: true } => {
                    written(config::show_json(&loaded, tenant, out))
                }
                config::ConfigCommand::Show { tenant, json: false } => {
                    written(config::show(&loaded, tenant, out))
                }
                config::ConfigCommand::Schema => written(config::schema(&world.connectors, world.kinds, out)),
            }
        }
        _ => 70,
    }
}

fn logs(cli: &Cli) {
    let default = match cli.verb {
        Verb::Run(_) => "info",
        _ => "error",
    };
    let filter = tracing_subscriber::EnvFilter::try_new(cli.log_level.as_deref().unwrap_or(default))
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match cli.log_format {
        LogFormat::Json => logs.json().flatten_event(true).init(),
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            logs.with_ansi(colour).init();
        }
    }
}

/// Prints a line on standard output. Nobody reading it is no error.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a line on standard error.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// `"4m"` and the like, as the configuration reads them.
fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).ok_or_else(|| format!("accepted is {}", units::DURATION))
}

/// A time as people write it: RFC 3339, a day, or an age such as `30d`.
///
/// # Errors
/// Says which forms are accepted.
pub fn time(text: &str, now: chrono::DateTime<chrono::Utc>) -> Result<chrono::DateTime<chrono::Utc>, String> {
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    if let Ok(day) = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    if let Ok(age) = duration(text)
        && let Ok(age) = chrono::TimeDelta::from_std(age)
    {
        return Ok(now - age);
    }
    Err(format!("{text:?} is no time; accepted are 2026-01-31, 2026-01-31T12:00:00Z or an age such as 30d"))
}

/// Returns at Ctrl-C or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

/// Hears SIGHUP from now on; a signal between two looks is not lost.
struct Hangup(Option<tokio::signal::unix::Signal>);

impl Hangup {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self(signal(SignalKind::hangup()).ok())
    }

    /// Returns at SIGHUP or when an operator asked for a reload.
    async fn heard(&mut self, reload: &tokio::sync::Notify) {
        match &mut self.0 {
            Some(hangup) => tokio::select! {
                _ = hangup.recv() => {}
                () = reload.notified() => {}
            },
            None => reload.notified().await,
        }
    }
}

/// The tenant of that name, or a complaint that names those there are.
fn tenant<'c>(config: &'c Config, name: &str) -> Result<&'c crate::config::Tenant, u8> {
    config.tenant(name).map_err(|error| {
        complain(&error.to_string());
        20
    })
}

/// The tenants of these names, or all of them.
fn chosen<'c>(
    config: &'c Config,
    names: &'c [String],
) -> Result<Vec<(&'c String, &'c crate::config::Tenant)>, u8> {
    if names.is_empty() {
        return Ok(config.tenants.iter().collect());
    }
    names.iter().map(|name| Ok((name, tenant(config, name)?))).collect()
}

/// What a command on one tenant ends with: the exit code, and what is said.
type Answer = (u8, Vec<String>);

/// One line about a tenant.
fn answer(tenant: &str, code: u8, text: impl std::fmt::Display) -> Answer {
    (code, vec![format!("{tenant}: {text}")])
}

/// Says it: on standard output where the code is one of these, else on standard error. The exit code.
fn tell((code, lines): Answer, done: &[u8]) -> u8 {
    let say = if done.contains(&code) { print } else { complain };
    lines.iter().for_each(|line| say(line));
    code
}

/// Prints what goes to standard output; the exit code.
fn said((code, lines): Answer) -> u8 {
    lines.iter().for_each(|line| print(line));
    code
}

/// What a command shows of a tenant.
enum Shown {
    Lines(Vec<String>),
    Json(serde_json::Value),
}

/// What `show` says of each of these tenants (none named: of all), one after the other, or as one JSON object. The exit
/// code, and what goes to standard output.
fn of_each(
    config: &Config,
    names: &[String],
    json: bool,
    show: impl Fn(&str, &crate::config::Tenant) -> Result<Shown, JournalError>,
) -> Answer {
    let tenants = match chosen(config, names) {
        Ok(tenants) => tenants,
        Err(code) => return (code, Vec::new()),
    };
    let (mut code, mut out, mut objects) = (0, Vec::new(), serde_json::Map::new());
    for (name, tenant) in tenants {
        match show(name, tenant) {
            Ok(Shown::Lines(lines)) => out.extend(lines),
            Ok(Shown::Json(object)) => drop(objects.insert(name.clone(), object)),
            Err(error) => {
                code = 50;
                complain(&format!("{name}: {error}"));
            }
        }
    }
    if json {
        out.push(serde_json::Value::Object(objects).to_string());
    }
    (code, out)
}

/// Whether a tenant never ran, so that there is nothing to read.
fn no_journal(error: &JournalError) -> bool {
    matches!(error, JournalError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// The exit code of a command that only writes: its errors are about what it was given.
fn written<E: std::fmt::Display>(done: Result<(), E>) -> u8 {
    match done {
        Ok(()) => 0,
        Err(error) => {
            complain(&error.to_string());
            20
        }
    }
}
