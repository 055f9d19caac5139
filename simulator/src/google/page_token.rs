//! Page tokens: opaque to the client, bound to the query they came from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// A place in an order: the sort key, what breaks ties, and the record's number.
pub(crate) type Place = (i64, i64, u64);

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageToken {
    /// Epoch milliseconds.
    pub(crate) issued: i64,
    /// Last record served; `None` where none was.
    pub(crate) after: Option<Place>,
    /// The page before this one came empty for no reason.
    pub(crate) was_empty: bool,
}

impl PageToken {
    /// The token as text. `query` is every parameter that must not change.
    pub(crate) fn write(&self, seed: u64, query: &str) -> String {
        let mut bytes = vec![u8::from(self.was_empty) | (u8::from(self.after.is_some()) << 1)];
        let (key, tie, number) = self.after.unwrap_or_default();
        bytes.extend(self.issued.to_be_bytes());
        bytes.extend(key.to_be_bytes());
        bytes.extend(tie.to_be_bytes());
        bytes.extend(number.to_be_bytes());
        bytes.extend(seal(seed, query, &bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None`: not a token of this query.
    pub(crate) fn read(text: &str, seed: u64, query: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (said, sealed) = bytes.split_at_checked(33)?;
        if sealed != seal(seed, query, said) {
            return None;
        }
        let number = |at: usize| Some(i64::from_be_bytes(said.get(at..at + 8)?.try_into().ok()?));
        let flags = *said.first()?;
        let place = (number(9)?, number(17)?, number(25)?.cast_unsigned());
        Some(Self { issued: number(1)?, after: (flags & 2 != 0).then_some(place), was_empty: flags & 1 != 0 })
    }
}

fn seal(seed: u64, query: &str, bytes: &[u8]) -> [u8; 8] {
    let digest =
        Sha256::new().chain_update(seed.to_be_bytes()).chain_update(query).chain_update(bytes).finalize();
    let mut short = [0; 8];
    short.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    short
}
