//! The `filter` of `alerts.list`: comparisons joined by AND and OR, with parentheses; AND binds tighter.

use std::cmp::Ordering;

use chrono::DateTime;

use super::alerts::Facts;

/// A member of an alert that can be filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    AlertId,
    Type,
    Source,
    CreateTime,
    UpdateTime,
    StartTime,
    EndTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    Text(String),
    /// Epoch microseconds.
    Time(i64),
}

/// A parsed filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    /// All of them; of none: everything.
    All(Vec<Expression>),
    /// Any of them.
    Any(Vec<Expression>),
    /// One comparison.
    Comparison(Comparison),
}

/// Member, operator, value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    field: Field,
    operator: &'static str,
    value: Operand,
}

impl Expression {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim_start();
        if rest.is_empty() {
            return Ok(Self::All(Vec::new()));
        }
        let expression = any(&mut rest)?;
        if rest.is_empty() { Ok(expression) } else { Err(format!("unexpected: {rest}")) }
    }

    pub(crate) fn matches(&self, facts: &Facts) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(facts)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(facts)),
            Self::Comparison(comparison) => comparison.matches(facts),
        }
    }

    /// Between which times (epoch microseconds, inclusive) a member of every match lies.
    pub(crate) fn bounds(&self, field: Field) -> (i64, i64) {
        let whole = (i64::MIN, i64::MAX);
        match self {
            Self::All(parts) => parts
                .iter()
                .map(|part| part.bounds(field))
                .fold(whole, |(from, to), (a, b)| (from.max(a), to.min(b))),
            Self::Any(_) => whole,
            Self::Comparison(comparison) => match &comparison.value {
                Operand::Time(at) if comparison.field == field => match comparison.operator {
                    "=" => (*at, *at),
                    ">" => (at + 1, i64::MAX),
                    ">=" => (*at, i64::MAX),
                    "<" => (i64::MIN, at - 1),
                    "<=" => (i64::MIN, *at),
                    _ => whole,
                },
                _ => whole,
            },
        }
    }
}

impl Comparison {
    fn matches(&self, facts: &Facts) -> bool {
        let order = match (&self.value, self.field) {
            (Operand::Text(text), Field::AlertId) => Some(facts.id.cmp(text)),
            (Operand::Text(text), Field::Type) => Some(facts.kind.cmp(text)),
            (Operand::Text(text), Field::Source) => Some(facts.source.cmp(text)),
            (Operand::Time(at), Field::CreateTime) => Some(facts.created.cmp(at)),
            (Operand::Time(at), Field::UpdateTime) => Some(facts.updated.cmp(at)),
            (Operand::Time(at), Field::StartTime) => facts.started.map(|started| started.cmp(at)),
            (Operand::Time(at), Field::EndTime) => facts.ended.map(|ended| ended.cmp(at)),
            _ => None,
        };
        order.is_some_and(|order| match self.operator {
            "=" => order == Ordering::Equal,
            "!=" => order != Ordering::Equal,
            "<" => order == Ordering::Less,
            "<=" => order != Ordering::Greater,
            ">" => order == Ordering::Greater,
            _ => order != Ordering::Less,
        })
    }
}

fn word<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (word, tail) = rest.split_at_checked(end).unwrap_or((*rest, ""));
    *rest = tail.trim_start();
    word
}

/// Takes a keyword if it comes next.
fn keyword(rest: &mut &str, wanted: &str) -> bool {
    let mut ahead = *rest;
    let found = word(&mut ahead) == wanted;
    if found {
        *rest = ahead;
    }
    found
}

fn any(rest: &mut &str) -> Result<Expression, String> {
    let mut parts = vec![all(rest)?];
    while keyword(rest, "OR") {
        parts.push(all(rest)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Any(parts) })
}

fn all(rest: &mut &str) -> Result<Expression, String> {
    let mut parts = vec![one(rest)?];
    while keyword(rest, "AND") {
        parts.push(one(rest)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::All(parts) })
}

fn one(rest: &mut &str) -> Result<Expression, String> {
    if let Some(tail) = rest.strip_prefix('(') {
        *rest = tail.trim_start();
        let expression = any(rest)?;
        *rest = rest.strip_prefix(')').ok_or("a parenthesis is open")?.trim_start();
        return Ok(expression);
    }
    let name = word(rest);
    let field = match name {
        "alertId" => Field::AlertId,
        "type" => Field::Type,
        "source" => Field::Source,
        "createTime" => Field::CreateTime,
        "updateTime" => Field::UpdateTime,
        "startTime" => Field::StartTime,
        "endTime" => Field::EndTime,
        _ => return Err(format!("unknown field: {name}")),
    };
    let operator = ["!=", "<=", ">=", "=", "<", ">"].into_iter().find(|operator| rest.starts_with(operator));
    let operator = operator.ok_or("an operator is missing")?;
    let tail = rest.strip_prefix(operator).unwrap_or_default().trim_start();
    let (text, tail) = tail
        .strip_prefix('"')
        .and_then(|quoted| quoted.split_once('"'))
        .ok_or("a value must stand in double quotes")?;
    *rest = tail.trim_start();
    let value = match field {
        Field::AlertId | Field::Type | Field::Source => Operand::Text(text.to_owned()),
        _ => {
            let at = DateTime::parse_from_rfc3339(text).map_err(|_| format!("not a time: {text}"))?;
            Operand::Time(at.timestamp_micros())
        }
    };
    Ok(Expression::Comparison(Comparison { field, operator, value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            kind: "Leaked password".to_owned(),
            created: 1_000_000,
            updated: 5_000_000,
            ..Facts::default()
        }
    }

    #[test]
    fn comparisons_are_joined_with_and_before_or() {
        for (text, expected) in [
            ("", true),
            (r#"type = "Leaked password""#, true),
            (r#"type != "Leaked password""#, false),
            (r#"createTime >= "1970-01-01T00:00:01Z" AND updateTime < "1970-01-01T00:00:05Z""#, false),
            (r#"type="x" AND type="y" OR createTime<="1970-01-01T01:00:01+01:00""#, true),
            (r#"type="x" AND (type="y" OR createTime<="1970-01-01T00:00:01Z")"#, false),
            (r#"endTime > "1970-01-01T00:00:00Z""#, false),
        ] {
            let expression = Expression::parse(text).unwrap_or_else(|error| unreachable!("{text}: {error}"));
            assert_eq!(expression.matches(&facts()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for text in [
            r#"create_time > "2026-01-01T00:00:00Z""#,
            "createTime > 2026-01-01T00:00:00Z",
            r#"createTime > "yesterday""#,
            r#"type "x""#,
            r#"(type = "x""#,
            r#"type = "x" type = "y""#,
            r#"type = "x" AND"#,
        ] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bounds_hold_for_every_match() {
        let text =
            r#"updateTime > "1970-01-01T00:00:01Z" AND updateTime <= "1970-01-01T00:00:09Z" AND type = "x""#;
        let bounds = |text: &str| Expression::parse(text).map(|parsed| parsed.bounds(Field::UpdateTime));
        assert_eq!(bounds(text), Ok((1_000_001, 9_000_000)));
        let either = format!(r#"{text} OR type = "y""#);
        assert_eq!(bounds(&either), Ok((i64::MIN, i64::MAX)));
    }
}
