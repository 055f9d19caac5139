//! Events that others recorded lose nothing: each value is in the document, or there is a reason why not.

use super::ocsf::{samples, shared};
use tidegate_core::json::Tape;
use tidegate_core::schema;
use tidegate_core::testkit::sink::context;

#[test]
fn no_value_of_a_sample_is_lost_without_a_reason() {
    let Some(shared) = shared("no_value_of_a_sample_is_lost_without_a_reason") else { return };
    let mut lost = Vec::new();
    let mut seen = 0;
    for sample in samples(&shared) {
        let connector = tidegate_connectors::ALL.iter().find(|c| c.name() == sample.connector).unwrap();
        let stream = connector.stream(&sample.stream).unwrap();
        let record = sample.record.to_string();
        let mut tape = Tape::new();
        let root = tape.cut(record.as_bytes()).unwrap();
        let mut events = Vec::new();
        connector.normalize(stream, root, &mut |event, _| events.push(std::mem::take(event))).unwrap();
        let context = context(stream.names);
        for name in ["ecs", "ocsf", "raw"] {
            let schema = schema::by_name(name).unwrap();
            for event in &events {
                let lines = schema::explain(schema, event, &context).unwrap();
                seen += lines.len();
                for absent in schema::absent(event, &lines).into_iter().filter(|absent| absent.why.is_none())
                {
                    lost.push(format!(
                        "{name} {}/{}: {} = {}",
                        sample.connector, sample.stream, absent.path, absent.value
                    ));
                }
            }
        }
    }
    lost.sort();
    lost.dedup();
    assert!(seen > 20_000, "{seen} values");
    assert!(lost.is_empty(), "{} lost:\n{}", lost.len(), lost.join("\n"));
}
