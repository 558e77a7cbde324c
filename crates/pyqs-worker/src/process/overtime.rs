//! Time limits, as far as the manager keeps them: a task that runs for too long is ended with its process.
//!
//! The task process says in the ledger when its present task is to be killed. Here is only looked whether that
//! moment has come, so that a task which holds the interpreter and blocks every signal is ended all the same.

use std::time::Duration;

use pyqs_core::{Event, Instant, MessageKey};

use super::outcome::AfterDeath;
use super::pool::Pool;
use super::task_process::{Role, TaskProcess};

/// A task that has run for longer than it may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overtime {
    pub(crate) pid: Option<i32>,
    pub(crate) message: MessageKey,
    pub(crate) limit: Duration,
    pub(crate) after_death: AfterDeath,
    /// Its process is killed at the latest after this long: others run in it. `None`: at once.
    pub(crate) killed_within: Option<Duration>,
}

impl Pool {
    /// Ends what runs for too long. A process that runs nothing else is killed at once. Another takes no more tasks,
    /// and is killed when the others have ended, or have had their time for it.
    pub(super) fn end_overtime(&mut self, now: Instant, events: &mut Vec<Event>) -> Vec<Overtime> {
        let mut found = Vec::new();
        let ids: Vec<_> = self.processes.keys().copied().collect();
        for id in ids {
            let Some(process) = self.processes.get_mut(&id) else {
                continue;
            };
            if !matches!(process.role, Role::Active | Role::Leaving { .. }) {
                continue;
            }
            let late = process.mark_overtime(now);
            if !late.is_empty() && process.role == Role::Active {
                self.leave(id, now, events);
            }
            let Some(process) = self.processes.get_mut(&id) else {
                continue;
            };
            if !process.is_overrun() {
                continue;
            }
            let drains_until = *process
                .drains_until
                .get_or_insert(now + self.settings.drain_timeout);
            let waits = process.has_others() && now < drains_until;
            let pid = process.up.as_ref().map(|up| up.pid);
            found.extend(late.into_iter().map(|late| Overtime {
                pid,
                message: late.message,
                limit: late.limit,
                after_death: late.after_death,
                killed_within: waits.then_some(self.settings.drain_timeout),
            }));
            if !waits {
                self.kill_process(id);
            }
        }
        self.overtime_at = self.next_overtime(now);
        found
    }

    /// When the next limit of a task that runs is reached, or the patience with its neighbours ends.
    fn next_overtime(&self, now: Instant) -> Option<Instant> {
        let lasting = self
            .processes
            .values()
            .filter(|process| matches!(process.role, Role::Active | Role::Leaving { .. }));
        lasting
            .flat_map(|process| {
                let limits = process.lanes.iter().filter(|lane| lane.overran.is_none());
                limits
                    .filter_map(|lane| process.ledger.limited(lane.slot))
                    .map(|(_, limit)| Instant::from_nanos(limit.kill_at_nanos))
                    .chain(process.drains_until)
            })
            .filter(|&at| at > now)
            .min()
    }
}

/// A task that was not known to be at its limit before.
struct Late {
    message: MessageKey,
    limit: Duration,
    after_death: AfterDeath,
}

impl TaskProcess {
    /// Notes which of its tasks are at their limit, and names those that were not noted before.
    fn mark_overtime(&mut self, now: Instant) -> Vec<Late> {
        let mut late = Vec::new();
        for lane in &mut self.lanes {
            let Some((sequence, limit)) = self.ledger.limited(lane.slot) else {
                continue;
            };
            let Some(message) = lane.tasks.message(sequence) else {
                continue;
            };
            let overran = Some((message, limit.length));
            if limit.kill_at_nanos <= now.as_nanos() && lane.overran != overran {
                lane.overran = overran;
                late.push(Late {
                    message,
                    limit: limit.length,
                    after_death: lane.tasks.after_death(&self.ledger, lane.slot),
                });
            }
        }
        late
    }
}
