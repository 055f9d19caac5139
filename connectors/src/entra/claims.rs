//! Claims challenges (continuous access evaluation): what Graph wants the next token to have been asked for with.
//!
//! Streams share a token, and each may be challenged for other claims. A token is asked for with all of them, or one stream's
//! answer would be the next one's challenge.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value as Json};
use tidegate_core::http::Response;

/// Base64 of either alphabet is made into the URL's; padding may be there or not.
pub(super) const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The claims that tokens are asked for with.
#[derive(Default)]
pub(super) struct Claims {
    /// Of the present token.
    present: Map<String, Json>,
    /// Of the next one.
    next: Map<String, Json>,
}

impl Claims {
    /// As the request for a token carries them; `None`: there are none.
    pub(super) fn asked(&self) -> Option<String> {
        (!self.next.is_empty()).then(|| Json::Object(self.next.clone()).to_string())
    }

    /// A token was granted that was asked for with these claims.
    pub(super) fn granted(&mut self) {
        self.present = std::mem::take(&mut self.next);
    }

    /// Adds a challenge, if the answer holds one, to what the present token was asked for with. Says whether that token
    /// had all of it already.
    pub(super) fn challenged(&mut self, response: &Response) -> bool {
        let Some(challenge) = challenge(response) else { return true };
        let mut all = self.present.clone();
        merge(&mut all, challenge);
        let had = all == self.present;
        merge(&mut self.next, all);
        had
    }
}

/// Both; where they differ the later one, of times the later time.
fn merge(into: &mut Map<String, Json>, from: Map<String, Json>) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Json::Object(into)), Json::Object(value)) => merge(into, value),
            (Some(old), value) if number(old) > number(&value) && number(&value).is_some() => {}
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

/// Times come as text.
fn number(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The claims of a challenge: JSON, carried in base64.
fn challenge(response: &Response) -> Option<Map<String, Json>> {
    response.headers.get_all(http::header::WWW_AUTHENTICATE).iter().find_map(|value| {
        let value = value.to_str().ok()?;
        if !value.contains("insufficient_claims") {
            return None;
        }
        let claims = value.split_once("claims=\"")?.1.split('"').next()?;
        let claims = LENIENT.decode(claims.replace('+', "-").replace('/', "_")).ok()?;
        serde_json::from_slice(&claims).ok()
    })
}
