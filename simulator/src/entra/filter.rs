//! The filter language of the reports: what is parsed, what each resource refuses, and what a row answers.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::config::Quirks;
use super::problem::Problem;
use super::store::Row;
use super::streams::Resource;

/// Deepest nesting, and most words, that are parsed.
const DEEPEST: usize = 40;
const MOST_TOKENS: usize = 1_000;
const KINDS: &str = "signInEventTypes";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Eq,
    Ne,
    Ge,
    Gt,
    Le,
    Lt,
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(String),
    Number(f64),
    Bool(bool),
    Null,
    Time(DateTime<Utc>),
    /// A bare word, such as a GUID.
    Word(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Compare(Vec<String>, Op, Literal),
    /// `startsWith`, and with `true` `contains`.
    Part(Vec<String>, String, bool),
    /// Collection, name of the variable, condition.
    Any(Vec<String>, String, Box<Expr>),
}

/// A filter that its resource takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    expr: Expr,
    /// It has a predicate on `signInEventTypes`, so the default kind does not apply.
    pub(crate) names_kind: bool,
}

/// What a filter is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) resource: Resource,
    pub(crate) beta: bool,
    pub(crate) quirks: &'a Quirks,
    /// Earliest lower bound.
    pub(crate) oldest: DateTime<Utc>,
}

impl Filter {
    pub(crate) fn parse(text: &str, rules: Rules<'_>) -> Result<Self, Problem> {
        let tokens = tokens(text)?;
        if tokens.len() > MOST_TOKENS {
            return Err(bad("The node count limit has been exceeded."));
        }
        let mut parser = Parser { tokens, at: 0, depth: 0 };
        let expr = parser.or()?;
        if parser.at < parser.tokens.len() {
            return Err(syntax(text));
        }
        let mut names_kind = false;
        check(&expr, None, rules, &mut names_kind)?;
        Ok(Self { expr, names_kind })
    }

    /// The range of a time that rows must lie in, as far as top-level conditions say, both ends included (nanoseconds).
    pub(crate) fn range(&self, field: &str, resource: Resource) -> (i64, i64) {
        let mut range = (i64::MIN, i64::MAX);
        narrow(&self.expr, field, resource, &mut range);
        range
    }

    pub(crate) fn matches(&self, row: &Row<'_>, resource: Resource) -> bool {
        holds(&self.expr, row, resource, None)
    }
}

fn bad(message: impl Into<String>) -> Problem {
    Problem::bad_request(format!("Invalid filter clause: {}", message.into()))
}

fn syntax(text: &str) -> Problem {
    bad(format!("Syntax error in '{text}'."))
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    Comma,
}

fn tokens(text: &str) -> Result<Vec<Token>, Problem> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let single = match first {
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            ',' => Some(Token::Comma),
            _ => None,
        };
        if first.is_whitespace() || single.is_some() {
            tokens.extend(single);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        } else if first == '\'' {
            // A quote inside is doubled.
            let mut value = String::new();
            let mut tail = rest.get(1..).unwrap_or_default();
            loop {
                let (before, after) =
                    tail.split_once('\'').ok_or_else(|| bad("There is an unterminated string literal."))?;
                value.push_str(before);
                tail = after;
                match tail.strip_prefix('\'') {
                    Some(after) => {
                        value.push('\'');
                        tail = after;
                    }
                    None => break,
                }
            }
            tokens.push(Token::Text(value));
            rest = tail;
        } else {
            let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '\'');
            // `any(t:t` : the colon ends the variable, but not a time.
            let end = rest.find(ends).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            match word.split_once(':') {
                Some((variable, condition)) if variable.chars().all(|c| c.is_ascii_alphabetic()) => {
                    tokens.push(Token::Word(format!("{variable}:")));
                    if !condition.is_empty() {
                        tokens.push(Token::Word(condition.to_owned()));
                    }
                }
                _ => tokens.push(Token::Word(word.to_owned())),
            }
            rest = tail;
        }
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn next(&mut self) -> Result<Token, Problem> {
        let token = self.tokens.get(self.at).cloned().ok_or_else(|| bad("The expression ends early."))?;
        self.at += 1;
        Ok(token)
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(next)) if next == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token) -> Result<(), Problem> {
        let next = self.next()?;
        if next == *token { Ok(()) } else { Err(bad(format!("Expected {token:?}, found {next:?}."))) }
    }

    fn or(&mut self) -> Result<Expr, Problem> {
        let mut left = self.and()?;
        while self.word("or") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, Problem> {
        let mut left = self.unary()?;
        while self.word("and") {
            left = Expr::And(Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, Problem> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(bad("The recursion limit has been exceeded."));
        }
        let expr = if self.word("not") {
            Expr::Not(Box::new(self.unary()?))
        } else {
            match self.next()? {
                Token::Open => {
                    let inner = self.or()?;
                    self.expect(&Token::Close)?;
                    inner
                }
                Token::Word(word) => self.condition(&word)?,
                token => return Err(bad(format!("Unexpected {token:?}."))),
            }
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn condition(&mut self, word: &str) -> Result<Expr, Problem> {
        let call = self.tokens.get(self.at) == Some(&Token::Open);
        if call && (word.eq_ignore_ascii_case("startswith") || word.eq_ignore_ascii_case("contains")) {
            self.at += 1;
            let Token::Word(property) = self.next()? else { return Err(bad("A property is expected.")) };
            self.expect(&Token::Comma)?;
            let Token::Text(text) = self.next()? else { return Err(bad("A string is expected.")) };
            self.expect(&Token::Close)?;
            return Ok(Expr::Part(path(&property), text, word.eq_ignore_ascii_case("contains")));
        }
        if let Some(collection) = word.strip_suffix("/any").filter(|_| call) {
            self.at += 1;
            let Token::Word(variable) = self.next()? else { return Err(bad("A variable is expected.")) };
            let variable = match variable.strip_suffix(':') {
                Some(variable) => variable.to_owned(),
                None => {
                    self.expect(&Token::Word(":".to_owned()))?;
                    variable
                }
            };
            let condition = self.or()?;
            self.expect(&Token::Close)?;
            return Ok(Expr::Any(path(collection), variable, Box::new(condition)));
        }
        let Token::Word(op) = self.next()? else { return Err(bad("An operator is expected.")) };
        let op = match op.as_str() {
            "eq" => Op::Eq,
            "ne" => Op::Ne,
            "ge" => Op::Ge,
            "gt" => Op::Gt,
            "le" => Op::Le,
            "lt" => Op::Lt,
            _ => return Err(bad(format!("'{op}' is no operator."))),
        };
        let literal = match self.next()? {
            Token::Text(text) => Literal::Text(text),
            Token::Word(word) => literal(word),
            token => return Err(bad(format!("Unexpected {token:?}."))),
        };
        Ok(Expr::Compare(path(word), op, literal))
    }
}

fn path(text: &str) -> Vec<String> {
    text.split('/').map(str::to_owned).collect()
}

fn literal(word: String) -> Literal {
    match word.as_str() {
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        "null" => Literal::Null,
        _ => match (DateTime::parse_from_rfc3339(&word), word.parse()) {
            (Ok(at), _) => Literal::Time(at.to_utc()),
            (_, Ok(number)) => Literal::Number(number),
            _ => Literal::Word(word),
        },
    }
}

/// What the resource refuses.
fn check(
    expr: &Expr,
    variable: Option<&str>,
    rules: Rules<'_>,
    names_kind: &mut bool,
) -> Result<(), Problem> {
    match expr {
        Expr::And(left, right) | Expr::Or(left, right) => {
            check(left, variable, rules, names_kind)?;
            check(right, variable, rules, names_kind)
        }
        Expr::Not(inner) => check(inner, variable, rules, names_kind),
        Expr::Part(path, ..) => known(path, variable, rules, names_kind),
        Expr::Any(path, variable, condition) => {
            known(path, None, rules, names_kind)?;
            check(condition, Some(variable), rules, names_kind)
        }
        Expr::Compare(path, op, literal) => {
            known(path, variable, rules, names_kind)?;
            compare_allowed(path, *op, literal, rules)
        }
    }
}

fn known(
    path: &[String],
    variable: Option<&str>,
    rules: Rules<'_>,
    names_kind: &mut bool,
) -> Result<(), Problem> {
    let root = path.first().map(String::as_str).unwrap_or_default();
    *names_kind |= root == KINDS;
    let members = rules.resource.members().contains(&root)
        || rules.beta && rules.resource.beta_members().contains(&root);
    if members || variable == Some(root) {
        return Ok(());
    }
    Err(bad(format!("Could not find a property named '{root}' on type '{}'.", rules.resource.type_name())))
}

fn compare_allowed(path: &[String], op: Op, literal: &Literal, rules: Rules<'_>) -> Result<(), Problem> {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let unsupported =
        || Err(bad(format!("Operator {op:?} is not supported for property '{}'.", path.join("/"))));
    match names.as_slice() {
        ["status", "errorCode"] if rules.resource == Resource::SignIns && op != Op::Eq => unsupported(),
        [name] if rules.resource.times().contains(name) => {
            let at = match literal {
                Literal::Time(at) => *at,
                Literal::Text(_) => {
                    return Err(bad(format!(
                        "A binary operator with incompatible types was detected. Found operand types 'Edm.DateTimeOffset' and 'Edm.String' for operator kind '{op:?}'."
                    )));
                }
                _ => return Err(bad(format!("Unrecognized literal for property '{name}'."))),
            };
            let refused = match (rules.resource, op) {
                (_, Op::Ne) => true,
                (Resource::SignIns, Op::Gt | Op::Lt) => rules.quirks.refuse_gt_lt,
                (Resource::Provisioning, Op::Ge | Op::Le) => rules.quirks.provisioning_gt_lt_only,
                _ => false,
            };
            if refused {
                return unsupported();
            }
            let ignored = rules.resource == Resource::SignIns && op == Op::Gt;
            let lower = matches!(op, Op::Ge | Op::Gt | Op::Eq) && !ignored;
            if lower && !rules.resource.is_risk() && at < rules.oldest {
                return Err(Problem::too_old(name, rules.oldest));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What an operator on a time of this resource really does.
fn effective(op: Op, resource: Resource) -> Option<Op> {
    match (resource, op) {
        // Silently ignored: everything comes back.
        (Resource::SignIns, Op::Gt | Op::Lt) => None,
        // Rows equal to the bound come back all the same.
        (Resource::RiskDetections | Resource::ServicePrincipalRiskDetections, Op::Gt) => Some(Op::Ge),
        _ => Some(op),
    }
}

fn narrow(expr: &Expr, field: &str, resource: Resource, range: &mut (i64, i64)) {
    match expr {
        Expr::And(left, right) => {
            narrow(left, field, resource, range);
            narrow(right, field, resource, range);
        }
        Expr::Compare(path, op, Literal::Time(at)) if path.len() == 1 && path.iter().all(|p| p == field) => {
            let at = nanos(*at);
            let op = effective(*op, resource);
            if matches!(op, Some(Op::Ge | Op::Gt | Op::Eq)) {
                range.0 = range.0.max(at);
            }
            if matches!(op, Some(Op::Le | Op::Lt | Op::Eq)) {
                range.1 = range.1.min(at);
            }
        }
        _ => {}
    }
}

/// Nanoseconds since the epoch; what lies beyond the range of 64 bits is cut to it.
pub(crate) fn nanos(at: DateTime<Utc>) -> i64 {
    at.timestamp_nanos_opt().unwrap_or(if at.timestamp() < 0 { i64::MIN } else { i64::MAX })
}

/// `bound`: the variable of the lambda around, and the element it stands for.
fn holds(expr: &Expr, row: &Row<'_>, resource: Resource, bound: Option<(&str, &Value)>) -> bool {
    match expr {
        Expr::And(left, right) => holds(left, row, resource, bound) && holds(right, row, resource, bound),
        Expr::Or(left, right) => holds(left, row, resource, bound) || holds(right, row, resource, bound),
        Expr::Not(inner) => !holds(inner, row, resource, bound),
        Expr::Compare(path, op, literal) => {
            if let ([name], Literal::Time(at)) = (path.as_slice(), literal)
                && let Some(which) = resource.times().iter().position(|time| time == name)
            {
                let own = row.times.get(which).copied().unwrap_or_default();
                return effective(*op, resource).is_none_or(|op| ordered(op, own.cmp(&nanos(*at))));
            }
            compare(value_at(path, row, bound), *op, literal)
        }
        Expr::Part(path, text, anywhere) => {
            value_at(path, row, bound).and_then(Value::as_str).is_some_and(|value| {
                let (value, text) = (value.to_lowercase(), text.to_lowercase());
                if *anywhere { value.contains(&text) } else { value.starts_with(&text) }
            })
        }
        Expr::Any(path, variable, condition) => {
            // The kind is known without looking into the record.
            if path.len() == 1 && path.iter().all(|name| name == KINDS) {
                let kind = Value::from(row.kind.unwrap_or_default());
                return holds(condition, row, resource, Some((variable, &kind)));
            }
            value_at(path, row, bound).and_then(Value::as_array).is_some_and(|elements| {
                elements.iter().any(|element| holds(condition, row, resource, Some((variable, element))))
            })
        }
    }
}

fn value_at<'a>(path: &[String], row: &'a Row<'_>, bound: Option<(&str, &'a Value)>) -> Option<&'a Value> {
    let (root, rest) = path.split_first()?;
    let start = match bound {
        Some((variable, element)) if variable == root => element,
        _ => row.json().get(root)?,
    };
    rest.iter().try_fold(start, |value, name| value.get(name))
}

fn compare(value: Option<&Value>, op: Op, literal: &Literal) -> bool {
    let value = value.unwrap_or(&Value::Null);
    let order = match literal {
        Literal::Null => return (op == Op::Eq) == value.is_null(),
        Literal::Text(text) | Literal::Word(text) => {
            value.as_str().map(|own| own.to_lowercase().cmp(&text.to_lowercase()))
        }
        Literal::Number(number) => value.as_f64().and_then(|own| own.partial_cmp(number)),
        Literal::Bool(wanted) => value.as_bool().map(|own| own.cmp(wanted)),
        Literal::Time(at) => value
            .as_str()
            .and_then(|own| DateTime::parse_from_rfc3339(own).ok())
            .map(|own| own.to_utc().cmp(at)),
    };
    order.map_or(op == Op::Ne, |order| ordered(op, order))
}

fn ordered(op: Op, order: std::cmp::Ordering) -> bool {
    match op {
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        Op::Ge => order.is_ge(),
        Op::Gt => order.is_gt(),
        Op::Le => order.is_le(),
        Op::Lt => order.is_lt(),
    }
}
