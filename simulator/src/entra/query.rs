//! The query of a list request: what may be asked, and the opaque place in a next link.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};

use super::filter::{Filter, Rules};
use super::problem::Problem;
use super::store::Position;
use super::streams::Resource;
use crate::rng::mix;

/// A list request that the resource takes.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) filter: Option<Filter>,
    pub(crate) top: usize,
    /// Place of the time in [`Resource::times`] that orders the rows; without `$orderby` the first that the filter
    /// bounds, as the vendor does not say which it is.
    pub(crate) field: usize,
    pub(crate) descending: bool,
    pub(crate) select: Option<Vec<String>>,
    pub(crate) token: Option<SkipToken>,
    /// All parameters but the token, as they came.
    pairs: Vec<(String, String)>,
}

/// What a `$skiptoken` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SkipToken {
    /// Where the page begins.
    pub(crate) after: Option<Position>,
    /// Where the page before it began.
    pub(crate) before: Option<Position>,
    pub(crate) salt: u64,
    /// Makes each token another one.
    pub(crate) number: u64,
    /// Milliseconds since the epoch.
    pub(crate) issued: i64,
}

impl Query {
    pub(crate) fn parse(
        query: &str,
        rules: Rules<'_>,
        seed: u64,
        now: DateTime<Utc>,
    ) -> Result<Self, Problem> {
        let resource = rules.resource;
        let (default_top, max_top) = resource.page();
        let mut parsed = Self {
            filter: None,
            top: default_top,
            field: 0,
            descending: true,
            select: None,
            token: None,
            pairs: Vec::new(),
        };
        let (mut token, mut ordered) = (None, false);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()).into_owned() {
            match name.to_ascii_lowercase().as_str() {
                "$skiptoken" => {
                    token = Some(value);
                    continue;
                }
                "$filter" => parsed.filter = Some(Filter::parse(&value, rules)?),
                "$top" => parsed.top = top(&value, max_top, rules.quirks.clamp_top)?,
                "$orderby" => {
                    (parsed.field, parsed.descending) = order(&value, resource)?;
                    ordered = true;
                }
                "$select" => {
                    parsed.select = resource
                        .is_risk()
                        .then(|| value.split(',').map(|name| name.trim().to_owned()).collect());
                }
                other if other.starts_with('$') => {
                    return Err(Problem::bad_request(format!(
                        "Query option '{name}' is not supported on this resource."
                    )));
                }
                // Such as `odata.streaming`.
                _ => {}
            }
            parsed.pairs.push((name, value));
        }
        let names_kind = parsed.filter.as_ref().is_some_and(|filter| filter.names_kind);
        if ordered && names_kind && rules.quirks.refuse_orderby_with_kind {
            return Err(Problem::bad_request("The query specified in the URI is not valid."));
        }
        if let (false, Some(filter)) = (ordered, &parsed.filter) {
            let bounded = |name: &&str| filter.range(name, resource) != (i64::MIN, i64::MAX);
            parsed.field = resource.times().iter().position(bounded).unwrap_or(0);
        }
        if let Some(token) = token {
            parsed.token = Some(parsed.read_token(&token, seed, rules.quirks.skiptoken_life, now)?);
        }
        Ok(parsed)
    }

    fn read_token(
        &self,
        text: &str,
        seed: u64,
        life: Option<TimeDelta>,
        now: DateTime<Utc>,
    ) -> Result<SkipToken, Problem> {
        if text.is_empty() {
            return Err(Problem::skip_token("Skip token is null."));
        }
        let invalid = || Problem::skip_token("Invalid Skip Token.");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
        let words: Vec<u64> =
            bytes.chunks(8).map_while(|chunk| chunk.try_into().ok().map(u64::from_be_bytes)).collect();
        let [number, salt, issued, after @ .., seal] = words.as_slice() else { return Err(invalid()) };
        let &[after_is, after_time, after_rank, before_is, before_time, before_rank] = after else {
            return Err(invalid());
        };
        let place =
            |is: u64, time: u64, rank| (is == 1).then_some(Position { time: time.cast_signed(), rank });
        let token = SkipToken {
            after: place(after_is, after_time, after_rank),
            before: place(before_is, before_time, before_rank),
            salt: *salt,
            number: *number,
            issued: issued.cast_signed(),
        };
        // The seal covers the other parameters too: a link is followed as it is, or not at all.
        if *seal != token.seal(seed, &self.pairs) {
            return Err(invalid());
        }
        let age = now.timestamp_millis() - token.issued;
        if life.is_some_and(|life| age > life.num_milliseconds()) {
            return Err(Problem::skip_token("Skip token is expired."));
        }
        Ok(token)
    }

    /// The query of a next link; the parameters asked with stay as they were.
    pub(crate) fn next_link(&self, seed: u64, token: SkipToken) -> String {
        self.link(&token.write(seed, &self.pairs))
    }

    /// As [`Query::next_link`], with this text as token.
    pub(crate) fn link(&self, token: &str) -> String {
        let mut link: String =
            self.pairs.iter().map(|(name, value)| format!("{}={}&", encoded(name), encoded(value))).collect();
        link.push_str("$skiptoken=");
        link.push_str(token);
        link
    }
}

impl SkipToken {
    fn words(self) -> [u64; 9] {
        let place = |place: Option<Position>| match place {
            Some(place) => [1, place.time.cast_unsigned(), place.rank],
            None => [0; 3],
        };
        let ([a, b, c], [d, e, f]) = (place(self.after), place(self.before));
        [self.number, self.salt, self.issued.cast_unsigned(), a, b, c, d, e, f]
    }

    fn seal(self, seed: u64, pairs: &[(String, String)]) -> u64 {
        let text = pairs.iter().flat_map(|(name, value)| [name.as_str(), "=", value.as_str(), "&"]);
        let start = self.words().into_iter().fold(mix(seed, 0x736b), mix);
        text.flat_map(str::bytes).fold(start, |sum, byte| mix(sum, u64::from(byte)))
    }

    fn write(self, seed: u64, pairs: &[(String, String)]) -> String {
        let words = self.words().into_iter().chain([self.seal(seed, pairs)]);
        URL_SAFE_NO_PAD.encode(words.flat_map(u64::to_be_bytes).collect::<Vec<u8>>())
    }
}

fn encoded(text: &str) -> String {
    let plain: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    plain.replace('+', "%20").replace("%24", "$")
}

fn top(value: &str, max: usize, clamp: bool) -> Result<usize, Problem> {
    match value.parse::<usize>() {
        Ok(top) if (1..=max).contains(&top) => Ok(top),
        Ok(top) if top > max && clamp => Ok(max),
        _ => Err(Problem::bad_request(format!(
            "Invalid page size specified: '{value}'. Must be between 1 and {max} inclusive."
        ))),
    }
}

/// Place of the time, and whether descending.
fn order(value: &str, resource: Resource) -> Result<(usize, bool), Problem> {
    let mut words = value.split_whitespace();
    let (name, direction, more) = (words.next().unwrap_or_default(), words.next(), words.next());
    let field = resource.times().iter().position(|time| *time == name);
    match (field, direction, more) {
        (Some(field), None | Some("asc"), None) => Ok((field, false)),
        (Some(field), Some("desc"), None) => Ok((field, true)),
        _ => Err(Problem::bad_request(format!("The orderby expression '{value}' is not supported."))),
    }
}
