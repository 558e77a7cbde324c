//! What an action leaves behind for later: deadlines, changes to store, queues to wake.

use std::collections::BTreeSet;

use crate::change::Change;
use crate::ids::{MessageKey, MoveTaskId, QueueId};
use crate::time::Timestamp;

/// What is due at a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// A delayed or received message becomes receivable.
    Visible(QueueId, MessageKey),
    /// The queue's oldest message may have outlived its retention.
    Retention(QueueId),
    /// The queue's oldest deduplication or attempt id may be forgotten.
    Memory(QueueId),
    /// A move task has messages to move.
    Move(MoveTaskId),
}

#[derive(Debug)]
pub(crate) struct Effects<P> {
    deadlines: BTreeSet<(Timestamp, Deadline)>,
    changes: Vec<Change<P>>,
    keeps_journal: bool,
    woken: BTreeSet<QueueId>,
}

impl<P> Effects<P> {
    pub(crate) fn new(keeps_journal: bool) -> Self {
        Self {
            deadlines: BTreeSet::new(),
            changes: Vec::new(),
            keeps_journal,
            woken: BTreeSet::new(),
        }
    }

    pub(crate) fn schedule(&mut self, at: Timestamp, deadline: Deadline) {
        self.deadlines.insert((at, deadline));
    }

    pub(crate) fn cancel(&mut self, at: Timestamp, deadline: Deadline) {
        self.deadlines.remove(&(at, deadline));
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes the earliest deadline that is due.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<Deadline> {
        let (at, deadline) = *self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.deadlines.pop_first();
        Some(deadline)
    }

    /// `change` is made only where somebody keeps it.
    pub(crate) fn record(&mut self, change: impl FnOnce() -> Change<P>) {
        if self.keeps_journal {
            self.changes.push(change());
        }
    }

    pub(crate) fn keep_journal(&mut self, keeps_journal: bool) {
        self.keeps_journal = keeps_journal;
    }

    pub(crate) fn wake(&mut self, queue: QueueId) {
        self.woken.insert(queue);
    }

    pub(crate) fn take_changes(&mut self) -> Vec<Change<P>> {
        std::mem::take(&mut self.changes)
    }

    pub(crate) fn take_woken(&mut self) -> BTreeSet<QueueId> {
        std::mem::take(&mut self.woken)
    }
}
