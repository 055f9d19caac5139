//! The part of SCIM filters and of `q` that the stand-in understands: `eq ne sw co pr` on dotted attributes, `and`,
//! `or`, `not`, parentheses. Everything else is refused, so that no test passes by an ignored filter.

use serde_json::Value;

/// Top-level members of a log event.
const ROOTS: &[&str] = &[
    "actor",
    "authenticationContext",
    "client",
    "debugContext",
    "device",
    "displayMessage",
    "eventType",
    "legacyEventType",
    "outcome",
    "request",
    "securityContext",
    "severity",
    "target",
    "transaction",
    "uuid",
    "version",
];

/// Why a filter is refused: the error code and the cause.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) cause: String,
}

#[derive(Debug)]
pub(crate) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Test { path: Vec<String>, operator: Operator },
}

#[derive(Debug)]
pub(crate) enum Operator {
    Equal(Value),
    NotEqual(Value),
    StartsWith(String),
    Contains(String),
    Present,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Word(String),
    Text(String),
}

pub(crate) fn parse(text: &str) -> Result<Filter, Refused> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let filter = parser.either()?;
    match parser.take() {
        None => Ok(filter),
        Some(token) => Err(invalid(format!("unexpected {token:?}"))),
    }
}

fn invalid(cause: String) -> Refused {
    Refused { code: "E0000053", cause }
}

fn tokens(text: &str) -> Result<Vec<Token>, Refused> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        match first {
            '(' | ')' => {
                tokens.push(if first == '(' { Token::Open } else { Token::Close });
                rest = rest.get(1..).unwrap_or_default();
            }
            '"' => {
                let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let value =
                    stream.next().and_then(Result::ok).ok_or_else(|| invalid("unterminated text".into()))?;
                rest = rest.get(stream.byte_offset()..).unwrap_or_default();
                tokens.push(Token::Text(value));
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "()\"".contains(c)).unwrap_or(rest.len());
                let (word, tail) = rest.split_at(end);
                tokens.push(Token::Word(word.to_owned()));
                rest = tail;
            }
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn word_ahead(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Word(ahead)) if ahead.eq_ignore_ascii_case(word))
    }

    fn either(&mut self) -> Result<Filter, Refused> {
        let mut left = self.both()?;
        while self.word_ahead("or") {
            self.at += 1;
            left = Filter::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Filter, Refused> {
        let mut left = self.one()?;
        while self.word_ahead("and") {
            self.at += 1;
            left = Filter::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Filter, Refused> {
        self.depth += 1;
        if self.depth > 64 {
            return Err(invalid("too deep".into()));
        }
        let filter = match self.take() {
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("not") => Filter::Not(Box::new(self.one()?)),
            Some(Token::Word(attribute)) => self.test(&attribute)?,
            Some(Token::Open) => {
                let inner = self.either()?;
                if self.take() != Some(Token::Close) {
                    return Err(invalid("missing )".into()));
                }
                inner
            }
            other => return Err(invalid(format!("expected an attribute, found {other:?}"))),
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn test(&mut self, attribute: &str) -> Result<Filter, Refused> {
        let path: Vec<String> = attribute.split('.').map(str::to_owned).collect();
        let root = path.first().map(String::as_str).unwrap_or_default();
        if root == "published" {
            return Err(invalid("published cannot be filtered, use since and until".into()));
        }
        if !ROOTS.contains(&root) || attribute.contains('[') {
            return Err(invalid(format!("unknown attribute {attribute}")));
        }
        let Some(Token::Word(operator)) = self.take() else { return Err(invalid("missing operator".into())) };
        let operator = match operator.to_ascii_lowercase().as_str() {
            "pr" => Operator::Present,
            "eq" => Operator::Equal(self.value()?),
            "ne" => Operator::NotEqual(self.value()?),
            "sw" => Operator::StartsWith(self.text()?),
            "co" => {
                if matches!(attribute, "debugContext.debugData.url" | "debugContext.debugData.requestUri") {
                    return Err(Refused {
                        code: "E0000031",
                        cause: format!("co is not supported on {attribute}"),
                    });
                }
                Operator::Contains(self.text()?)
            }
            other => return Err(invalid(format!("unsupported operator {other}"))),
        };
        Ok(Filter::Test { path, operator })
    }

    fn value(&mut self) -> Result<Value, Refused> {
        match self.take() {
            Some(Token::Text(text)) => Ok(Value::String(text)),
            Some(Token::Word(word)) => {
                serde_json::from_str(&word).map_err(|_| invalid(format!("{word} is no value")))
            }
            other => Err(invalid(format!("expected a value, found {other:?}"))),
        }
    }

    fn text(&mut self) -> Result<String, Refused> {
        match self.value()? {
            Value::String(text) => Ok(text),
            other => Err(invalid(format!("expected text, found {other}"))),
        }
    }
}

impl Filter {
    pub(crate) fn matches(&self, event: &Value) -> bool {
        match self {
            Self::And(left, right) => left.matches(event) && right.matches(event),
            Self::Or(left, right) => left.matches(event) || right.matches(event),
            Self::Not(inner) => !inner.matches(event),
            Self::Test { path, operator } => {
                let mut leaves = Vec::new();
                walk(event, path, &mut leaves);
                match operator {
                    Operator::Present => leaves.iter().any(|leaf| !leaf.is_null()),
                    Operator::Equal(value) => leaves.contains(&value),
                    Operator::NotEqual(value) => !leaves.contains(&value),
                    Operator::StartsWith(text) => {
                        leaves.iter().any(|leaf| text_of(leaf).starts_with(text.as_str()))
                    }
                    Operator::Contains(text) => {
                        leaves.iter().any(|leaf| text_of(leaf).contains(text.as_str()))
                    }
                }
            }
        }
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// All values at a path; an array stands for each of its elements.
fn walk<'v>(value: &'v Value, path: &[String], leaves: &mut Vec<&'v Value>) {
    if let Value::Array(elements) = value {
        for element in elements {
            walk(element, path, leaves);
        }
        return;
    }
    match path.split_first() {
        None => leaves.push(value),
        Some((name, rest)) => {
            if let Some(inner) = value.get(name) {
                walk(inner, rest, leaves);
            }
        }
    }
}

/// Every keyword must equal a value (or a part of a hyphenated one), whatever the case; changes are not searched.
pub(crate) fn matches_keywords(event: &Value, keywords: &[String]) -> bool {
    let mut values = Vec::new();
    collect(event, &mut values);
    keywords.iter().all(|keyword| values.contains(keyword))
}

fn collect(value: &Value, values: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let text = text.to_lowercase();
            values.extend(text.split('-').filter(|part| !part.is_empty()).map(str::to_owned));
            values.push(text);
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, values)),
        Value::Object(members) => {
            members
                .iter()
                .filter(|(name, _)| *name != "changeDetails")
                .for_each(|(_, inner)| collect(inner, values));
        }
        Value::Number(number) => values.push(number.to_string()),
        Value::Bool(value) => values.push(value.to_string()),
        Value::Null => {}
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> Value {
        json!({
            "eventType": "user.authentication.auth_via_mfa",
            "actor": {"id": "00u1", "alternateId": "jo.park@example.com", "detailEntry": null},
            "target": [{"id": "a", "type": "User"}, {"id": "b", "type": "AppInstance", "changeDetails": {"to": "hidden"}}],
            "outcome": {"result": "FAILURE"}
        })
    }

    fn matches(filter: &str) -> bool {
        parse(filter)
            .map(|filter| filter.matches(&event()))
            .unwrap_or_else(|refused| panic!("{filter}: {refused:?}"))
    }

    #[test]
    fn operators_and_their_precedence() {
        assert!(matches(r#"eventType eq "user.authentication.auth_via_mfa""#));
        assert!(matches(r#"eventType SW "user.auth" and outcome.result eq "FAILURE""#));
        assert!(!matches(r#"eventType sw "user.mfa." and outcome.result eq "FAILURE""#));
        assert!(matches(r#"eventType eq "x" and actor.id eq "y" or outcome.result eq "FAILURE""#));
        assert!(!matches(r#"eventType eq "x" and (actor.id eq "y" or outcome.result eq "FAILURE")"#));
        assert!(matches(r#"actor.alternateId co "park""#));
        assert!(matches("actor.id pr") && !matches("actor.detailEntry pr"));
        assert!(matches(r#"not (outcome.result eq "SUCCESS")"#));
    }

    #[test]
    fn a_target_filter_matches_any_element() {
        assert!(matches(r#"target.id eq "a" and target.id eq "b""#));
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        let code = |filter: &str| parse(filter).map(|_| "accepted").unwrap_or_else(|refused| refused.code);
        assert_eq!(code(r#"published gt "2026-01-01T00:00:00.000Z""#), "E0000053");
        assert_eq!(code(r#"nonsense eq "x""#), "E0000053");
        assert_eq!(code(r#"EventType eq "x""#), "E0000053", "attribute names are case sensitive");
        assert_eq!(code(r#"eventType gt "x""#), "E0000053");
        assert_eq!(code(r#"eventType eq "x"#), "E0000053");
        assert_eq!(code(r#"target[0].id eq "x""#), "E0000053");
        assert_eq!(code(r#"debugContext.debugData.url co "x""#), "E0000031");
        assert_eq!(code(""), "E0000053");
    }

    #[test]
    fn keywords_match_whole_values_or_hyphenated_parts() {
        let event = json!({"a": "Blue-Green", "b": ["x y"], "changeDetails": {"to": "hidden"}});
        let found = |words: &[&str]| {
            matches_keywords(&event, &words.iter().map(|word| word.to_lowercase()).collect::<Vec<_>>())
        };
        assert!(found(&["blue"]) && found(&["GREEN", "blue-green"]));
        assert!(!found(&["blu"]) && !found(&["hidden"]));
    }
}
