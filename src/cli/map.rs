//! `tidegate map`: records on standard input, documents on standard output.

use super::explain;
use crate::rules::Fields;
use crate::world::World;
use std::io::{BufRead, BufWriter, Write};
use tidegate_core::deliver::render::{bare_id, nth_id};
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks};
use tidegate_core::source::{Connector, Stream};

/// Turns vendors' records on standard input into documents on standard output; one a line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose records these are: the connector's name, such as okta
    #[arg(long)]
    pub connector: String,
    /// Which of its logs, such as system_log
    #[arg(long)]
    pub stream: String,
    /// The schema of the documents: ecs, leef, ocsf, ocsf_1_9 (a preview), raw or raw_for_integration
    #[arg(long, default_value = "ecs")]
    pub schema: String,
    /// Exits with 0 although some records could not be mapped
    #[arg(long)]
    pub keep_going: bool,
    /// Shows each field with the record field that it came from, and what of the record is not there
    #[arg(long)]
    pub explain: bool,
    /// Shows how the documents of two schemas differ, by record field
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["schema", "explain"])]
    pub diff: Option<Vec<String>>,
    /// Names Elastic's prebuilt rules that look at such a document and can match it
    #[arg(long, conflicts_with_all = ["explain", "diff"])]
    pub rules: bool,
    /// With --schema raw, how Entra's records stand: diagnostic, in the envelope of Azure's diagnostic logs, or graph, as
    /// Graph sends them
    #[arg(long, value_parser = ["diagnostic", "graph"])]
    pub entra_shape: Option<String>,
    /// Keeps the vendor's record, as `event.original` or `raw_data`
    #[arg(long)]
    pub original: bool,
    /// The tenant that documents name
    #[arg(long, default_value = "default")]
    pub tenant: String,
    /// The vendor's name for the organisation, where its records do not say it, such as Entra's directory id
    #[arg(long)]
    pub organisation: Option<String>,
    /// The data stream namespace that documents name
    #[arg(long, default_value = "default")]
    pub namespace: String,
}

/// Runs it; the exit code.
pub fn run(world: &World, args: &Args) -> u8 {
    let Some(connector) = world.connectors.iter().find(|c| c.name() == args.connector) else {
        let known: Vec<&str> = world.connectors.iter().map(|c| c.name()).collect();
        super::complain(&format!(
            "--connector {}: not known; known are {}",
            args.connector,
            known.join(", ")
        ));
        return 20;
    };
    let Some(stream) = connector.stream(&args.stream) else {
        let known: Vec<&str> = connector.streams().iter().map(|s| s.name).collect();
        super::complain(&format!("--stream {}: {} has {}", args.stream, connector.title(), known.join(", ")));
        return 20;
    };
    let (one, two) = match args.diff.as_deref() {
        Some([one, two]) => (one.as_str(), Some(two.as_str())),
        _ => (args.schema.as_str(), None),
    };
    let named = |name: &str| {
        let schema = schema::by_name(name);
        if schema.is_none() {
            let known = schema::ALL.map(|schema| schema.name()).join(", ");
            super::complain(&format!("schema {name}: not known; known are {known}"));
        }
        schema
    };
    let Some(schema) = named(one) else { return 20 };
    let other = match two.map(named) {
        Some(None) => return 20,
        Some(other) => other,
        None => None,
    };
    let fields = Fields::of(&world.connectors);
    let mapper = Mapper { world, args, connector: *connector, stream, schema, other, fields };
    match mapper.all() {
        Ok(0) => 0,
        Ok(_) if args.keep_going => 0,
        Ok(_) => 10,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            super::complain(&format!("map: {error}"));
            70
        }
    }
}

struct Mapper<'a> {
    world: &'a World,
    args: &'a Args,
    connector: &'static dyn Connector,
    stream: &'static Stream,
    schema: &'static dyn schema::Schema,
    other: Option<&'static dyn schema::Schema>,
    fields: Fields,
}

impl Mapper<'_> {
    /// All records; how many could not be mapped.
    fn all(&self) -> std::io::Result<u64> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        let mut input = std::io::stdin().lock();
        let (mut line, mut document) = (Vec::new(), Vec::new());
        let (mut number, mut bad) = (0_u64, 0_u64);
        loop {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            document.clear();
            match self.record(line.trim_ascii(), &mut document) {
                Ok(()) => out.write_all(&document)?,
                Err(error) => {
                    bad += 1;
                    super::complain(&format!("line {number}: {error}"));
                }
            }
        }
        out.flush()?;
        Ok(bad)
    }

    /// All documents of one record, or none.
    fn record(&self, line: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let mut tape = Tape::default();
        let record = tape.cut(line).map_err(|error| format!("not JSON: {error}"))?;
        let now = self.world.clock.now();
        let identity = self.connector.identity(self.stream, record);
        let id = bare_id(&identity, line, 0);
        let mut events = Vec::new();
        self.connector
            .normalize(self.stream, record, &mut |event, _| events.push(std::mem::take(event)))
            .map_err(|error| error.0)?;
        let context = Context {
            tenant: &self.args.tenant,
            organisation: self.args.organisation.as_deref(),
            namespace: &self.args.namespace,
            names: self.stream.names,
            ingested: now.into(),
            fetched: now.into(),
            id: None,
            original: self.args.original,
            as_sent: self.args.entra_shape.as_deref() == Some("graph"),
            marks: Marks::default(),
        };
        for (nth, event) in events.iter().enumerate() {
            let several = (events.len() > 1).then(|| nth_id(&id, nth));
            let context = Context { id: Some(several.as_ref().unwrap_or(&id)), ..context.clone() };
            if self.args.explain || self.args.rules {
                let lines = schema::explain(self.schema, event, &context).map_err(|error| error.0)?;
                let told =
                    explain::Told { event, lines: &lines, names: self.stream.names, fields: &self.fields };
                let text = if self.args.rules { told.rules() } else { told.text() };
                out.extend_from_slice(text.as_bytes());
            } else if let Some(other) = self.other {
                let explain = |schema| schema::explain(schema, event, &context).map_err(|error| error.0);
                let (one, two) = (explain(self.schema)?, explain(other)?);
                let text = explain::difference((self.schema.name(), &one), (other.name(), &two));
                out.extend_from_slice(text.as_bytes());
            } else {
                self.schema.render(event, &context, out).map_err(|error| error.0)?;
            }
            out.push(b'\n');
        }
        Ok(())
    }
}
