//! A vendor for tests: its records are ids, and happened at the epoch.

use super::render::Route;
use crate::event::{Emit, Event, Network, Next};
use crate::json::{Text, Value};
use crate::source::{
    Connector, Identity, NormalizeError, Settings, SettingsError, Source, Stream, StreamKind,
};
use crate::testkit::sink::NAMES;
use chrono::DateTime;
use std::sync::Arc;
use std::time::Duration;

static STREAMS: [Stream; 2] = [stream("log"), stream("mail")];
/// Taken where somebody names them, but not listed.
static NAMED: [Stream; 3] = [stream("chat"), stream("endless"), stream("unended")];

const fn stream(name: &'static str) -> Stream {
    Stream {
        name,
        kind: StreamKind::Feed,
        default: true,
        immutable: true,
        retention: Duration::from_secs(90 * 24 * 3600),
        poll: Duration::from_secs(60),
        names: &NAMES,
    }
}

/// A mail is two events; each event is from the same address. Of what is endless there is one more than was said, of what is
/// unended one less.
struct Vendor;

/// The way of a source of this vendor to a sink that takes these streams.
pub(super) fn route(takes: impl Fn(&str) -> bool + Send + Sync + 'static) -> Route {
    Route {
        connector: &Vendor,
        organisation: None,
        host: "vendor.example.com".into(),
        takes: Box::new(takes),
        revisions: true,
    }
}

impl Connector for Vendor {
    fn name(&self) -> &'static str {
        "vendor"
    }
    fn title(&self) -> &'static str {
        "Vendor"
    }
    fn streams(&self) -> &'static [Stream] {
        &STREAMS
    }
    fn stream(&self, name: &str) -> Option<&'static Stream> {
        STREAMS.iter().chain(&NAMED).find(|stream| stream.name == name)
    }
    fn schema(&self) -> schemars::Schema {
        schemars::Schema::default()
    }
    fn open(&self, _: Settings) -> Result<Arc<dyn Source>, SettingsError> {
        Err(SettingsError::new("url", "nobody is there"))
    }
    fn organisation(&self, _: &serde_json::Map<String, serde_json::Value>) -> Result<String, SettingsError> {
        Ok("vendor".to_owned())
    }
    fn identity<'r>(&self, _: &Stream, record: Value<'_, 'r>) -> Identity<'r> {
        let id = crate::event::text(record).map(Text::into_cow);
        Identity { id, time: Some(DateTime::UNIX_EPOCH) }
    }
    fn normalize<'r>(
        &self,
        stream: &Stream,
        record: Value<'r, 'r>,
        emit: &mut Emit<'_, 'r>,
    ) -> Result<(), NormalizeError> {
        let mut emit = |next| {
            let source = Network { ip: Some(Text::from_static("198.51.100.7")), ..Network::default() };
            let time = Some(DateTime::UNIX_EPOCH);
            emit(&mut Event { record: Some(record), time, source, ..Event::default() }, next);
        };
        match stream.name {
            "mail" => emit(Next::Another),
            "endless" => emit(Next::Nothing),
            "unended" => {
                emit(Next::Another);
                return Ok(());
            }
            _ => {}
        }
        emit(Next::Nothing);
        Ok(())
    }
}
