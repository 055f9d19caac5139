//! The bulk body: parsed strictly as a whole before anything is stored.

use serde_json::Value;

/// One action with its document.
#[derive(Debug)]
pub(crate) struct Action {
    /// `create`, `index`, `update` or `delete`.
    pub(crate) operation: &'static str,
    pub(crate) index: String,
    pub(crate) id: Option<String>,
    pub(crate) require_data_stream: bool,
    pub(crate) source: Vec<u8>,
}

/// Why the whole request is refused (400).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) kind: &'static str,
    pub(crate) reason: String,
}

fn malformed(reason: impl Into<String>) -> Malformed {
    Malformed { kind: "illegal_argument_exception", reason: reason.into() }
}

pub(crate) fn parse(body: &[u8], target: Option<&str>) -> Result<Vec<Action>, Malformed> {
    if body.is_empty() {
        return Err(Malformed { kind: "parse_exception", reason: "request body is required".to_owned() });
    }
    if body.last() != Some(&b'\n') {
        return Err(malformed("The bulk request must be terminated by a newline [\\n]"));
    }
    let mut actions = Vec::new();
    let mut problems = Vec::new();
    let mut lines = body.strip_suffix(b"\n").unwrap_or(body).split(|byte| *byte == b'\n').enumerate();
    while let Some((at, line)) = lines.next() {
        let number = at + 1;
        let (operation, meta) = action_line(line, number)?;
        let text = |name: &str| meta.get(name).and_then(Value::as_str).map(str::to_owned);
        for name in meta.as_object().into_iter().flat_map(|object| object.keys()) {
            let known = [
                "_index",
                "_id",
                "routing",
                "require_alias",
                "require_data_stream",
                "pipeline",
                "dynamic_templates",
                "list_executed_pipelines",
                "version",
                "version_type",
                "if_seq_no",
                "if_primary_term",
            ];
            if !known.contains(&name.as_str()) {
                return Err(malformed(format!(
                    "Action/metadata line [{number}] contains an unknown parameter [{name}]"
                )));
            }
        }
        let index = text("_index").or_else(|| target.map(str::to_owned));
        let id = match meta.get("_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(other) => Some(other.to_string()),
        };
        let item = actions.len() + 1;
        if index.as_ref().is_none_or(String::is_empty) {
            problems.push(format!("{item}: index is missing;"));
        }
        if let Some(id) = &id {
            if id.is_empty() {
                problems.push(format!("{item}: if _id is specified it must not be empty;"));
            }
            if id.len() > 512 {
                problems.push(format!(
                    "{item}: id [{id}] is too long, must be no longer than 512 bytes but was: {};",
                    id.len()
                ));
            }
        }
        let source = if operation == "delete" {
            Vec::new()
        } else {
            let (_, line) = lines
                .next()
                .ok_or_else(|| malformed("The bulk request must be terminated by a newline [\\n]"))?;
            line.to_vec()
        };
        actions.push(Action {
            operation,
            index: index.unwrap_or_default(),
            id,
            require_data_stream: meta.get("require_data_stream").and_then(Value::as_bool).unwrap_or(false),
            source,
        });
    }
    if !problems.is_empty() {
        let reason = format!("Validation Failed: {}", problems.join(""));
        return Err(Malformed { kind: "action_request_validation_exception", reason });
    }
    Ok(actions)
}

fn action_line(line: &[u8], number: usize) -> Result<(&'static str, Value), Malformed> {
    let found = |what: &str| {
        malformed(format!(
            "Malformed action/metadata line [{number}], expected START_OBJECT but found [{what}]"
        ))
    };
    if line.trim_ascii().is_empty() {
        return Err(found("an empty line"));
    }
    let value = super::strict::parse(line).map_err(|problem| found(&problem))?;
    let object = value.as_object().ok_or_else(|| found("no object"))?;
    let mut members = object.iter();
    let (Some((name, meta)), None) = (members.next(), members.next()) else {
        return Err(malformed(format!("Malformed action/metadata line [{number}], expected one action")));
    };
    let operation = ["create", "index", "update", "delete"].into_iter().find(|known| known == name);
    match operation {
        Some(operation) if meta.is_object() => Ok((operation, meta.clone())),
        _ => Err(malformed(format!(
            "Malformed action/metadata line [{number}], expected field [create], [delete], [index] or [update] but found [{name}]"
        ))),
    }
}
