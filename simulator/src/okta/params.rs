//! The parameters of `GET /api/v1/logs`: what is allowed, and with which error the rest is refused.

use chrono::{DateTime, TimeDelta, Utc};

use super::cursor::{self, Position};
use super::filter::{self, Filter};
use super::store::oldest_since;

/// A management error: code, summary, one cause per problem.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) summary: String,
    pub(crate) causes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By persistence, endless.
    Polling,
    /// By publication, finite.
    Bounded { descending: bool },
}

/// A checked query.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) mode: Mode,
    /// Epoch milliseconds.
    pub(crate) since: i64,
    /// Epoch milliseconds; only bounded queries look at it.
    pub(crate) until: i64,
    pub(crate) after: Option<(String, Position)>,
    pub(crate) limit: usize,
    pub(crate) filter: Option<Filter>,
    pub(crate) keywords: Vec<String>,
    /// As they came, for the rewritten link.
    pub(crate) pairs: Vec<(String, String)>,
}

/// The switches of the stand-in that concern parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) invalid_date_as_e0000030: bool,
    pub(crate) since_and_after_refused: bool,
    pub(crate) refuse_since_over_180_days: bool,
    pub(crate) seed: u64,
}

fn invalid(summary: &str, causes: Vec<String>) -> Problem {
    Problem { code: "E0000001", summary: format!("Api validation failed: {summary}"), causes }
}

/// Strict: a full date-time with a `T` and a zone.
fn date(text: &str) -> Option<DateTime<Utc>> {
    if text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

impl Query {
    pub(crate) fn parse(query: &str, now: DateTime<Utc>, rules: Rules) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let get = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let moment = |name: &str| {
            match get(name) {
            None => Ok(None),
            Some(text) => date(text).map(Some).ok_or_else(|| Problem {
                code: if rules.invalid_date_as_e0000030 { "E0000030" } else { "E0000001" },
                summary: format!("Api validation failed: {name}"),
                causes: vec![
                    format!("{name}: The date format in your query is not recognized. Please enter dates using ISO8601 string format."),
                    format!("{name}: must be a valid date-time or empty"),
                ],
            }),
        }
        };
        let since = moment("since")?;
        let until = moment("until")?;
        let limit = match get("limit") {
            None => 100,
            Some(text) => match text.parse::<usize>() {
                Ok(limit) if limit <= 1000 => limit,
                _ => {
                    return Err(invalid(
                        "limit",
                        vec!["limit: must be an integer from 0 to 1000".to_owned()],
                    ));
                }
            },
        };
        let descending = match get("sortOrder") {
            None | Some("ASCENDING") => false,
            Some("DESCENDING") => true,
            Some(_) => {
                return Err(invalid(
                    "sortOrder",
                    vec!["sortOrder: must be ASCENDING or DESCENDING".to_owned()],
                ));
            }
        };
        let keywords: Vec<String> =
            get("q").unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
        if keywords.len() > 10 {
            return Err(invalid("q", vec!["q: must not have more than 10 terms".to_owned()]));
        }
        if keywords.iter().any(|keyword| keyword.chars().count() > 40) {
            return Err(invalid("q", vec!["q: a term must not be longer than 40 characters".to_owned()]));
        }
        let filter = get("filter").map(filter::parse).transpose().map_err(|refused| Problem {
            code: refused.code,
            summary: format!("Invalid filter: {}", refused.cause),
            causes: vec![refused.cause],
        })?;
        let mode = if until.is_none() && !descending { Mode::Polling } else { Mode::Bounded { descending } };
        let after = get("after")
            .map(|text| {
                cursor::read(rules.seed, mode, text)
                    .map(|position| (text.to_owned(), position))
                    .ok_or_else(|| invalid("after", vec!["after: the cursor is not valid".to_owned()]))
            })
            .transpose()?;
        if after.is_some() && since.is_some() && rules.since_and_after_refused {
            return Err(invalid("after", vec!["since and after cannot both be given".to_owned()]));
        }
        // A next link may carry the `since` its chain began with, however old.
        if after.is_none()
            && rules.refuse_since_over_180_days
            && since.is_some_and(|since| since < oldest_since(now))
        {
            return Err(Problem {
                code: "E0000053",
                summary: "Invalid parameter: since is more than 180 days back".to_owned(),
                causes: vec!["since: must not be more than 180 days back".to_owned()],
            });
        }
        let until = until.unwrap_or(now);
        let since = since.unwrap_or(until - TimeDelta::days(7));
        Ok(Self {
            mode,
            since: since.timestamp_millis(),
            until: until.timestamp_millis(),
            after,
            limit,
            filter,
            keywords,
            pairs,
        })
    }
}
