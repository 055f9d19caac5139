//! Which address is asked, and how many requests are out.

use std::sync::{Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

/// The cluster's addresses.
pub(super) type Nodes = crate::nodes::Nodes<Url>;

/// Requests at the same time: halved when the cluster is busy, one more after as many successes.
#[derive(Debug)]
pub(super) struct Gate {
    semaphore: Semaphore,
    widest: usize,
    width: Mutex<Width>,
}

#[derive(Debug)]
struct Width {
    now: usize,
    successes: usize,
}

impl Gate {
    pub(super) fn new(widest: usize) -> Self {
        Self {
            semaphore: Semaphore::new(widest),
            widest,
            width: Mutex::new(Width { now: widest, successes: 0 }),
        }
    }

    pub(super) async fn enter(&self) -> SemaphorePermit<'_> {
        self.semaphore.acquire().await.expect("the semaphore is never closed")
    }

    /// The cluster was busy.
    pub(super) fn narrow(&self, permit: SemaphorePermit<'_>) {
        let mut width = self.width.lock().unwrap_or_else(PoisonError::into_inner);
        width.successes = 0;
        let surplus = width.now - (width.now / 2).max(1);
        if surplus > 0 {
            permit.forget();
            width.now -= 1 + self.semaphore.forget_permits(surplus - 1);
        }
    }

    /// A request went well.
    pub(super) fn widen(&self) {
        let mut width = self.width.lock().unwrap_or_else(PoisonError::into_inner);
        width.successes += 1;
        if width.now < self.widest && width.successes >= width.now {
            width.successes = 0;
            width.now += 1;
            self.semaphore.add_permits(1);
        }
    }

    #[cfg(test)]
    pub(super) fn width(&self) -> usize {
        self.width.lock().unwrap_or_else(PoisonError::into_inner).now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn halves_and_grows_by_one() {
        let gate = Gate::new(8);
        let permit = gate.enter().await;
        gate.narrow(permit);
        assert_eq!((gate.width(), gate.semaphore.available_permits()), (4, 4));
        for _ in 0..4 {
            gate.narrow(gate.enter().await);
        }
        assert_eq!((gate.width(), gate.semaphore.available_permits()), (1, 1));
        gate.widen();
        assert_eq!(gate.width(), 2);
        for _ in 0..100 {
            gate.widen();
        }
        assert_eq!((gate.width(), gate.semaphore.available_permits()), (8, 8));
    }
}
