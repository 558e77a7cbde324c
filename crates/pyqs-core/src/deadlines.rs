//! All that is to happen at a certain time, in one order.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::{ProcessId, QueueId};
use crate::time::Instant;

/// What is to happen. At most one moment is kept for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// Some lease of the queue wants a heartbeat, or lapses.
    Upkeep(QueueId),
    /// The queue may be polled again.
    Poll(QueueId),
    /// A message of the queue may be sent on again.
    Forwards(QueueId),
    /// A delete of the queue may be tried again.
    Deletes(QueueId),
    /// A change of visibility of the queue may be tried again.
    Releases(QueueId),
    /// The queue's rate lets it start or fetch again.
    Paced(QueueId),
    /// Something of the queue waits no longer for others to start with.
    Ripe(QueueId),
    /// The rate of a task lets one start again.
    TaskRates,
    /// The process has rested.
    Rested(ProcessId),
    /// The process's present task may be holding up others.
    Stuck(ProcessId),
    /// The slot that was left free for a quick queue is free for all.
    Reserve,
    /// Running tasks have had their time to finish.
    ShutdownTimeout,
    /// The stop has waited long enough for open receives.
    LastPoll,
    /// The stop has waited long enough for replies.
    Patience,
}

/// The deadlines, each at one moment, and the moments in order.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    moments: BTreeMap<Deadline, Instant>,
    order: BTreeSet<(Instant, Deadline)>,
}

impl Deadlines {
    /// Moves the deadline, sets it, or takes it away.
    pub(crate) fn set(&mut self, deadline: Deadline, at: Option<Instant>) {
        let before = self.moments.get(&deadline).copied();
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, deadline));
        }
        match at {
            Some(at) => {
                self.moments.insert(deadline, at);
                self.order.insert((at, deadline));
            }
            None => {
                self.moments.remove(&deadline);
            }
        }
    }

    /// Takes the earliest deadline that has been reached.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Deadline> {
        let &(at, deadline) = self.order.first()?;
        (at <= now).then(|| {
            self.set(deadline, None);
            deadline
        })
    }

    /// The earliest moment of all.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.order.first().map(|&(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_has_one_moment_and_is_taken_once() {
        let at = Instant::from_nanos;
        let mut deadlines = Deadlines::default();
        deadlines.set(Deadline::Patience, Some(at(5)));
        deadlines.set(Deadline::Patience, Some(at(7)));
        deadlines.set(Deadline::Reserve, Some(at(6)));
        deadlines.set(Deadline::ShutdownTimeout, Some(at(1)));
        deadlines.set(Deadline::ShutdownTimeout, None);
        assert_eq!(deadlines.first(), Some(at(6)));
        assert_eq!(deadlines.pop_due(at(5)), None);
        assert_eq!(deadlines.pop_due(at(7)), Some(Deadline::Reserve));
        assert_eq!(deadlines.pop_due(at(7)), Some(Deadline::Patience));
        assert_eq!(deadlines.pop_due(at(9)), None);
    }
}
