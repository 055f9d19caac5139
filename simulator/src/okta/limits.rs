//! Minute buckets: one for the organisation (others use it too), one for each principal.

use std::collections::HashMap;

/// What the three rate headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateHeaders {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Epoch seconds.
    pub(crate) reset: i64,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    started: i64,
    used: u32,
}

impl Bucket {
    /// The bucket's present window; a new one begins with the first request after the old one ended.
    fn at(&mut self, now: i64) -> &mut Self {
        if now >= self.started + 60_000 || now < self.started {
            *self = Self { started: now, used: 0 };
        }
        self
    }

    fn headers(&self, limit: u32, foreign: u32) -> RateHeaders {
        RateHeaders {
            limit,
            remaining: limit.saturating_sub(self.used).saturating_sub(foreign),
            reset: (self.started + 60_000 + 999) / 1000,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Limits {
    org: Option<Bucket>,
    principals: HashMap<String, Bucket>,
}

/// Sizes of the buckets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) org: u32,
    pub(crate) principal: u32,
    /// Requests a minute that other clients take out of the organisation's bucket.
    pub(crate) foreign: u32,
}

impl Limits {
    /// Takes one request out of both buckets. `Err`: refused, and nothing was taken.
    pub(crate) fn take(
        &mut self,
        principal: &str,
        sizes: Sizes,
        now: i64,
    ) -> Result<RateHeaders, RateHeaders> {
        let (org, own) = self.both(principal, sizes, now);
        if org.remaining == 0 {
            return Err(org);
        }
        if own.remaining == 0 {
            return Err(own);
        }
        for bucket in self.org.iter_mut().chain(self.principals.get_mut(principal)) {
            bucket.used += 1;
        }
        Ok(self.look(principal, sizes, now))
    }

    /// The tighter of the two buckets, as it is.
    pub(crate) fn look(&mut self, principal: &str, sizes: Sizes, now: i64) -> RateHeaders {
        let (org, own) = self.both(principal, sizes, now);
        if own.remaining <= org.remaining { own } else { org }
    }

    fn both(&mut self, principal: &str, sizes: Sizes, now: i64) -> (RateHeaders, RateHeaders) {
        let fresh = Bucket { started: now, used: 0 };
        let org = self.org.get_or_insert(fresh).at(now);
        let elapsed = u64::try_from(now - org.started).unwrap_or(0).min(60_000);
        let foreign = u64::from(sizes.foreign) * elapsed / 60_000;
        let org = org.headers(sizes.org, u32::try_from(foreign).unwrap_or(u32::MAX));
        let own = self.principals.entry(principal.to_owned()).or_insert(fresh).at(now);
        (org, own.headers(sizes.principal, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { org: 6, principal: 3, foreign: 0 };

    #[test]
    fn the_principal_runs_dry_before_the_organisation() {
        let mut limits = Limits::default();
        for remaining in [2, 1, 0] {
            assert_eq!(
                limits.take("a", SIZES, 5_000).map(|rate| (rate.limit, rate.remaining)),
                Ok((3, remaining))
            );
        }
        let refused = limits.take("a", SIZES, 6_000).expect_err("dry");
        assert_eq!((refused.limit, refused.remaining, refused.reset), (3, 0, 65));
        assert!(limits.take("b", SIZES, 6_000).is_ok(), "the organisation has some left");
        assert!(limits.take("a", SIZES, 65_000).is_ok(), "the minute is over");
    }

    #[test]
    fn others_use_up_the_organisation_as_the_minute_goes_on() {
        let sizes = Sizes { org: 100, principal: 90, foreign: 60 };
        let mut limits = Limits::default();
        assert_eq!(limits.take("a", sizes, 0).map(|rate| rate.remaining), Ok(89));
        let later = limits.take("a", sizes, 30_000).expect("some left");
        assert_eq!((later.limit, later.remaining), (100, 100 - 2 - 30));
    }
}
