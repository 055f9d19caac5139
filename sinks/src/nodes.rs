//! Which of a destination's addresses is next.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an address that failed is left alone while others are well.
const REST: Duration = Duration::from_secs(30);

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
}
