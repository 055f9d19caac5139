//! Access tokens of the OAuth kind: kept until four fifths of their life are over, renewed by one at a time.
//!
//! A token endpoint that fails, or refuses us, does not stop a log while the old token is good. A refused token is
//! forgotten once, however many requests it was refused to.

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderValue;
use serde::Deserialize;
use serde_json::Value as Json;
use std::time::Duration;
use tidegate_core::clock::Clock;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::Response;
use tidegate_core::secret::Secret;
use tidegate_core::source::PollError;

/// The share of a token's life after which a new one is fetched.
const REFRESH: f64 = 0.8;
/// How long a good token is used on when its renewal failed.
const AGAIN: TimeDelta = TimeDelta::seconds(60);
/// A token endpoint that failed is left alone for so long, however many streams want a token.
const REST: TimeDelta = TimeDelta::seconds(5);
/// What a token lives where the answer does not say.
const USUAL_LIFE: f64 = 3600.0;

/// What a token endpoint gave.
pub(crate) struct Granted {
    value: Secret,
    life: Duration,
    bound: bool,
    scope: Option<String>,
}

impl Granted {
    /// Reads the answer of a token endpoint; `expires_in` may be a number or text. `whose` is the vendor, for messages.
    pub(crate) fn read(response: &Response, whose: &str, request_id: &str) -> Result<Self, PollError> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
            #[serde(default)]
            expires_in: Option<Life>,
            #[serde(default)]
            token_type: Json,
            #[serde(default)]
            scope: Json,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Life {
            Number(f64),
            Text(String),
            Other(serde::de::IgnoredAny),
        }
        let Ok(answer) = serde_json::from_slice::<Answer>(&response.body) else {
            let message = format!("{whose}'s token endpoint answered with something that is no token");
            let cause = response.fault(FaultKind::Answer, message, None, request_id);
            return Err(PollError::Retry { after: None, cause });
        };
        let life = match answer.expires_in {
            Some(Life::Number(life)) => Some(life),
            Some(Life::Text(life)) => life.trim().parse().ok(),
            Some(Life::Other(_)) | None => None,
        };
        let life = life.filter(|life: &f64| life.is_finite()).unwrap_or(USUAL_LIFE).clamp(10.0, 86_400.0);
        Ok(Self {
            value: Secret::new(answer.access_token.into_bytes()),
            life: Duration::from_secs_f64(life),
            bound: answer.token_type.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("dpop")),
            scope: answer.scope.as_str().map(str::to_owned),
        })
    }
}

/// The header of one request.
pub(crate) struct Bearer {
    /// `Authorization`.
    pub(crate) header: HeaderValue,
    /// The secret in it, to keep it out of quoted words.
    pub(crate) secret: Secret,
    /// The token is worth nothing without a proof of possession (DPoP).
    pub(crate) bound: bool,
    /// What it may be used for, where the answer said so.
    pub(crate) scope: Option<String>,
    number: u64,
}

struct Token {
    value: Secret,
    bound: bool,
    scope: Option<String>,
    refresh: DateTime<Utc>,
    end: DateTime<Utc>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// How many tokens there were; tells a refused one from its successor.
    number: u64,
    /// What the token endpoint said last, while it is left alone.
    failed: Option<(DateTime<Utc>, PollError)>,
}

/// A source's present token.
#[derive(Default)]
pub(crate) struct Tokens(tokio::sync::Mutex<State>);

impl Tokens {
    /// The present token, or the one that `renew` fetches. Others who ask meanwhile wait for the same one.
    pub(crate) async fn bearer(
        &self,
        clock: &Clock,
        renew: impl AsyncFnOnce() -> Result<Granted, PollError>,
    ) -> Result<Bearer, PollError> {
        let mut state = self.0.lock().await;
        let now = clock.now();
        if state.token.as_ref().is_none_or(|token| now >= token.refresh) {
            if let Some((_, error)) = state.failed.as_ref().filter(|(until, _)| now < *until) {
                return Err(error.clone());
            }
            state.failed = None;
            match renew().await {
                Ok(granted) => {
                    let after = |share: f64| {
                        TimeDelta::from_std(granted.life.mul_f64(share)).unwrap_or(TimeDelta::zero())
                    };
                    let (refresh, end) = (now + after(REFRESH), now + after(1.0));
                    state.number += 1;
                    let Granted { value, bound, scope, .. } = granted;
                    state.token = Some(Token { value, bound, scope, refresh, end });
                }
                Err(error) => match &mut state.token {
                    Some(token) if now < token.end => {
                        tracing::warn!(%error, "keeping the access token, its renewal failed");
                        // A vendor that counts refusals is not to be provoked.
                        let rest = match error {
                            PollError::Retry { .. } => AGAIN,
                            _ => ((token.end - now) / 2).max(AGAIN),
                        };
                        token.refresh = now + rest;
                    }
                    _ => {
                        if let PollError::Retry { after, .. } = &error {
                            let rest = after.and_then(|after| TimeDelta::from_std(after).ok());
                            state.failed = Some((now + rest.unwrap_or(REST), error.clone()));
                        }
                        return Err(error);
                    }
                },
            }
        }
        let number = state.number;
        let unusable =
            |message: &str| PollError::Retry { after: None, cause: Fault::new(FaultKind::Answer, message) };
        let token = state.token.as_ref().ok_or_else(|| unusable("no token was granted"))?;
        let Token { value, bound, scope, .. } = token;
        let scheme = if *bound { "DPoP " } else { "Bearer " };
        let header =
            value.header_value(scheme).map_err(|_| unusable("the access token fits in no header"))?;
        Ok(Bearer { header, secret: value.clone(), bound: *bound, scope: scope.clone(), number })
    }

    /// The API refused this token: the next [`Tokens::bearer`] fetches another one, unless somebody did already.
    pub(crate) async fn refused(&self, bearer: &Bearer) {
        self.refused_unless(bearer, || true).await;
    }

    /// The same where a younger token may not do either: `younger_does` is asked whether it does.
    pub(crate) async fn refused_unless(&self, bearer: &Bearer, younger_does: impl FnOnce() -> bool) {
        let mut state = self.0.lock().await;
        let younger = state.number != bearer.number;
        if !(younger_does() && younger) {
            state.token = None;
        }
    }
}
