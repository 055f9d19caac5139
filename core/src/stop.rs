//! How a running loop is told to end.

use std::future::Future;
use tokio::sync::watch;

/// How far a loop should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Go on for ever.
    Run,
    /// Finish what there is, then end.
    Drain,
    /// End at the next step. What is not committed will be done again.
    Stop,
}

/// The sending end: only ever moves forward.
#[derive(Clone, Debug)]
pub struct Signal(watch::Sender<Phase>);

impl Default for Signal {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Run))
    }
}

impl Signal {
    /// Moves to this phase; moving back is ignored.
    pub fn go(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let forward = phase > *now;
            if forward {
                *now = phase;
            }
            forward
        });
    }

    /// A receiving end.
    #[must_use]
    pub fn watch(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

/// The receiving end.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Phase>);

impl Stop {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Returns when the phase is at least `phase`.
    pub async fn reached(&mut self, phase: Phase) {
        if self.0.wait_for(|now| *now >= phase).await.is_err() {
            // The sender is gone without a word: nobody will ever say stop.
            std::future::pending::<()>().await;
        }
    }

    /// Waits for `future`, or gives up (`None`) when told to stop.
    pub async fn unless_stopped<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.reached(Phase::Stop) => None,
            value = future => Some(value),
        }
    }
}
