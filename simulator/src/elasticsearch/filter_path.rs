//! `filter_path`: only the named parts of an answer, with `*` for one name and `**` for any depth.

use serde_json::{Map, Value};

/// What is left of an answer; an object without members where nothing matches.
pub(crate) fn apply(body: &Value, paths: &str) -> Value {
    let paths: Vec<Vec<&str>> = paths
        .split(',')
        .map(str::trim)
        .filter(|path| !path.is_empty() && !path.starts_with('-'))
        .map(|path| path.split('.').collect())
        .collect();
    let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
    if paths.is_empty() {
        return body.clone();
    }
    keep(body, &paths).unwrap_or_else(|| Value::Object(Map::new()))
}

fn keep(value: &Value, paths: &[&[&str]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value.clone());
    }
    match value {
        Value::Object(members) => {
            let mut kept = Map::new();
            for (name, inner) in members {
                let mut below: Vec<&[&str]> = Vec::new();
                for path in paths {
                    let Some((first, rest)) = path.split_first() else { continue };
                    if *first == "**" {
                        below.push(path);
                        if rest.first().is_some_and(|next| *next == name) {
                            below.push(rest.get(1..).unwrap_or_default());
                        }
                    } else if *first == "*" || first == name {
                        below.push(rest);
                    }
                }
                if let Some(inner) = (!below.is_empty()).then(|| keep(inner, &below)).flatten() {
                    kept.insert(name.clone(), inner);
                }
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(elements) => {
            let kept: Vec<Value> = elements.iter().filter_map(|element| keep(element, paths)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::apply;
    use serde_json::json;

    #[test]
    fn keeps_what_is_named_and_nothing_else() {
        let body = json!({"took": 3, "errors": true, "items": [
            {"create": {"_index": "a", "_id": "1", "status": 201}},
            {"create": {"_index": "a", "_id": "2", "status": 400, "error": {"type": "t", "reason": "r", "caused_by": {}}}},
        ]});
        let kept = apply(&body, "errors,items.*.status,items.*.error.type");
        let expected = json!({"errors": true, "items": [
            {"create": {"status": 201}},
            {"create": {"status": 400, "error": {"type": "t"}}},
        ]});
        assert_eq!(kept, expected);
        assert_eq!(apply(&body, "**.reason"), json!({"items": [{"create": {"error": {"reason": "r"}}}]}));
        assert_eq!(apply(&body, "nothing"), json!({}));
    }
}
