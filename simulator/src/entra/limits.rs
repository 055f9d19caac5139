//! Buckets of requests: the last ones within a span, refused ones among them.

use std::collections::{HashMap, VecDeque};

use super::config::{Foreign, Limits};

/// Span of the reports' buckets, in milliseconds.
const REPORTS_SPAN: i64 = 10_000;
/// Span of identity protection's bucket.
const IDENTITY_PROTECTION_SPAN: i64 = 1_000;

/// Times of the requests within the span.
#[derive(Debug, Default)]
struct Bucket(VecDeque<i64>);

impl Bucket {
    /// Counts a request. `Some`: refused, and so many milliseconds later one will be answered if none comes before.
    fn take(&mut self, limit: u32, foreign: u32, span: i64, now: i64) -> Option<i64> {
        while self.0.front().is_some_and(|at| *at <= now - span) {
            self.0.pop_front();
        }
        let own = usize::try_from(limit.saturating_sub(foreign)).unwrap_or(usize::MAX);
        let refused = self.0.len() >= own;
        self.0.push_back(now);
        if !refused {
            return None;
        }
        // So many have to leave before there is room for one.
        let leave = (self.0.len() + 1).saturating_sub(own);
        let last = leave.checked_sub(1).and_then(|at| self.0.get(at));
        Some(last.map_or(span, |at| at + span - now))
    }
}

/// All buckets there are.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    reports: HashMap<(String, String), Bucket>,
    reports_of_app: HashMap<String, Bucket>,
    identity_protection: HashMap<String, Bucket>,
    pub(crate) refused: u64,
}

impl Buckets {
    /// One request for a report. `Some`: refused, with the whole seconds to wait.
    pub(crate) fn report(
        &mut self,
        (app, tenant): (&str, &str),
        limits: Limits,
        foreign: Option<Foreign>,
        now: i64,
    ) -> Option<i64> {
        // Any stretch of ten seconds holds exactly one of the foreign bursts, which come every ten seconds.
        let (taken, taken_of_app) =
            foreign.map_or((0, 0), |foreign| (foreign.reports, foreign.reports_of_app));
        let own = self.reports.entry((app.to_owned(), tenant.to_owned())).or_default();
        let own = own.take(limits.reports, taken, REPORTS_SPAN, now);
        let of_app = self.reports_of_app.entry(app.to_owned()).or_default();
        let of_app = of_app.take(limits.reports_of_app, taken_of_app, REPORTS_SPAN, now);
        let wait = own.max(of_app)?;
        self.refused += 1;
        Some((wait + 999).div_euclid(1_000).max(1))
    }

    /// One request to identity protection. Whether it is answered.
    pub(crate) fn identity_protection(
        &mut self,
        tenant: &str,
        limits: Limits,
        foreign: Option<Foreign>,
        now: i64,
    ) -> bool {
        let every = foreign.and_then(|foreign| foreign.identity_protection_every_s).filter(|s| *s > 0);
        let taken = every.map_or(0, |every| {
            let every = i64::from(every) * 1_000;
            let bursts = now.div_euclid(every) - (now - IDENTITY_PROTECTION_SPAN).div_euclid(every);
            u32::try_from(bursts).unwrap_or(0)
        });
        let bucket = self.identity_protection.entry(tenant.to_owned()).or_default();
        let refused = bucket.take(limits.identity_protection, taken, IDENTITY_PROTECTION_SPAN, now).is_some();
        self.refused += u64::from(refused);
        !refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_requests_count_and_the_wait_is_honest() {
        let mut bucket = Bucket::default();
        for at in [0, 1_000, 2_000] {
            assert_eq!(bucket.take(3, 0, 10_000, at), None);
        }
        // 0, 1, 2 and itself: two have to leave, the second at 11 s.
        assert_eq!(bucket.take(3, 0, 10_000, 4_000), Some(7_000));
        assert_eq!(bucket.take(3, 0, 10_000, 11_000), None);
    }

    #[test]
    fn a_bucket_that_others_use_up_never_answers() {
        assert_eq!(Bucket::default().take(2, 2, 10_000, 0), Some(10_000));
    }
}
