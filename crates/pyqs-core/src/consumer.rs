//! The consumer: events in, actions out.

use crate::action::Action;
use crate::event::Event;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::time::Instant;

/// The consumer of any number of queues. See the crate's doc for the loop that drives it.
#[derive(Debug)]
pub struct Consumer {
    settings: Settings,
}

impl Consumer {
    /// A consumer without queues or processes. `seed` is all its randomness, which spreads retries.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let _ = seed;
        Self {
            settings: settings.in_range(),
        }
    }

    /// Takes in all events, in order, then acts on all of them at once, which is where batches
    /// come from. A call without events is harmless, and acts on what time has brought.
    ///
    /// `now` must not be earlier than at the last call; an earlier one is read as the same.
    #[must_use = "the actions must be carried out"]
    pub fn handle(&mut self, now: Instant, events: impl IntoIterator<Item = Event>) -> Vec<Action> {
        let _ = (now, events.into_iter().count(), self.settings);
        Vec::new()
    }

    /// When to call [`handle`](Self::handle) at the latest, if nothing happens before. Calling it
    /// earlier or needlessly is harmless.
    pub fn next_wakeup(&self) -> Option<Instant> {
        None
    }

    /// How things stand, for people and metrics.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }
}
