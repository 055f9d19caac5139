//! Which address is asked, and how many requests are out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// How long an address that failed is left alone while others are well.
pub(crate) const REST: Duration = Duration::from_secs(30);

/// A destination's addresses, in turn; those that failed lately come last.
#[derive(Debug)]
pub(crate) struct Nodes<T> {
    all: Vec<T>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: usize,
    /// Until when each is left alone.
    rests: Vec<Option<Instant>>,
}

impl<T> Nodes<T> {
    pub(crate) fn new(all: Vec<T>) -> Self {
        let rests = vec![None; all.len()];
        Self { all, state: Mutex::new(State { next: 0, rests }) }
    }

    pub(crate) fn all(&self) -> &[T] {
        &self.all
    }

    /// The next address in turn that is well; where none is, the one that failed first.
    pub(crate) fn pick(&self) -> (usize, &T) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, count) = (Instant::now(), self.all.len().max(1));
        let rest = |n: usize| state.rests.get(n).copied().flatten().filter(|until| *until > now);
        let turn = (0..count).map(|step| (state.next + step) % count);
        // `min_by_key` takes the first of equals: no rest sorts before any.
        let node = turn.min_by_key(|n| rest(*n)).unwrap_or(0);
        state.next = (node + 1) % count;
        let address = self.all.get(node).expect("a sink has at least one address");
        (node, address)
    }

    /// This address.
    pub(crate) fn at(&self, node: usize) -> Option<&T> {
        self.all.get(node)
    }

    /// Whether this address failed lately.
    pub(crate) fn rests(&self, node: usize) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rests.get(node).copied().flatten().is_some_and(|until| until > Instant::now())
    }

    pub(crate) fn failed(&self, node: usize) {
        self.set(node, Some(Instant::now() + REST));
    }

    pub(crate) fn well(&self, node: usize) {
        self.set(node, None);
    }

    fn set(&self, node: usize, until: Option<Instant>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rest) = state.rests.get_mut(node) {
            *rest = until;
        }
    }
}

/// Requests at the same time: halved when the destination is busy, one more after as many successes.
#[derive(Debug)]
pub(crate) struct Gate {
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
    pub(crate) fn new(widest: usize) -> Self {
        Self {
            semaphore: Semaphore::new(widest),
            widest,
            width: Mutex::new(Width { now: widest, successes: 0 }),
        }
    }

    pub(crate) async fn enter(&self) -> SemaphorePermit<'_> {
        self.semaphore.acquire().await.expect("the semaphore is never closed")
    }

    /// The destination was busy.
    pub(crate) fn narrow(&self, permit: SemaphorePermit<'_>) {
        let mut width = self.width.lock().unwrap_or_else(PoisonError::into_inner);
        width.successes = 0;
        let surplus = width.now - (width.now / 2).max(1);
        if surplus > 0 {
            permit.forget();
            width.now -= 1 + self.semaphore.forget_permits(surplus - 1);
        }
    }

    /// A request went well.
    pub(crate) fn widen(&self) {
        let mut width = self.width.lock().unwrap_or_else(PoisonError::into_inner);
        width.successes += 1;
        if width.now < self.widest && width.successes >= width.now {
            width.successes = 0;
            width.now += 1;
            self.semaphore.add_permits(1);
        }
    }

    #[cfg(test)]
    pub(crate) fn width(&self) -> usize {
        self.width.lock().unwrap_or_else(PoisonError::into_inner).now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: usize) -> Nodes<usize> {
        Nodes::new((0..count).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn takes_turns_and_prefers_the_well() {
        let nodes = nodes(3);
        let turn = |count: usize| (0..count).map(|_| nodes.pick().0).collect::<Vec<_>>();
        assert_eq!(turn(4), [0, 1, 2, 0]);
        nodes.failed(1);
        assert_eq!([0, 1, 2].map(|node| nodes.rests(node)), [false, true, false]);
        assert_eq!(turn(4), [2, 0, 2, 0]);
        tokio::time::advance(Duration::from_secs(1)).await;
        nodes.failed(0);
        nodes.failed(2);
        assert_eq!(turn(2), [1, 1], "the one that failed first, where none is well");
        nodes.well(2);
        assert_eq!(turn(2), [2, 2]);
        tokio::time::advance(REST).await;
        let mut all = turn(3);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
    }

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
