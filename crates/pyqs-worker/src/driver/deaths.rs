//! What is left of managers and of task processes that are gone.

use std::time::Duration;

use pyqs_core::{Arrival, Event, Instant, QueueId};
use pyqs_sqs::QueueUrl;

use super::Driver;
use crate::clock::{self, Clocks};
use crate::process::outcome::AfterDeath;
use crate::process::pool::Crash;
use crate::process::task_crash::TaskCrash;
use crate::process::wire::DeadLetter;

impl Driver {
    /// These processes of an earlier manager live: what they run is taken on, of each queue when it is found.
    pub(super) fn left_behind(&mut self, pids: &[i32], now: Instant) {
        self.pool.left_behind(pids);
        for queue in self.queues.ids() {
            self.adopt(queue, now);
        }
    }

    /// Takes on what an earlier manager has left running of a queue's messages.
    pub(super) fn adopt(&mut self, queue: QueueId, now: Instant) {
        let url = self.queues.url(queue).map_or("", QueueUrl::as_str);
        for left in self.pool.take_left_running(url) {
            let claim = &left.claim;
            self.observer.still_runs(claim);
            let clocks = Clocks::at(now);
            let is_fifo = self.queues.is_fifo(queue);
            let claimed = claim.messages.iter();
            let messages: Vec<Arrival> = claimed
                .map(|message| self.arrivals.adopt(queue, is_fifo, claim, message, clocks))
                .collect();
            let marks = messages.iter().filter_map(|message| {
                let held = self.arrivals.held(message.key)?;
                Some((message.key, held.mark))
            });
            let marks: Vec<_> = marks.collect();
            let ages = claim.messages.iter().map(|message| {
                let age = clock::unix_secs() - message.fetch_time;
                Duration::try_from_secs_f64(age).unwrap_or_default()
            });
            let received = now - ages.max().unwrap_or_default();
            let process = self.pool.adopt(left, &marks, now);
            self.events.append(&mut self.arrivals.take_news());
            self.events.push(Event::Adopted {
                process,
                queue,
                messages,
                received,
            });
        }
    }

    /// Tells the core which of these have succeeded under a manager before this one.
    pub(super) fn recall(&mut self, messages: &[Arrival]) {
        let succeeded = messages.iter().filter(|message| {
            let held = self.arrivals.held(message.key);
            held.is_some_and(|held| self.pool.successes().contains(held.mark))
        });
        let events = succeeded.map(|message| Event::KnownToHaveSucceeded {
            message: message.id.clone(),
        });
        self.events.extend(events);
    }

    /// A process is gone, and what it was running can't say any more what becomes of its message.
    pub(super) fn bury(&mut self, crash: Option<Crash>) {
        let Some(crash) = crash else { return };
        if !crash.is_told {
            self.observer.crash(&crash, &self.arrivals, &self.queues);
        }
        for victim in crash.victims {
            if let Some(held) = self.arrivals.held(victim.message) {
                let queue = self.queues.name(held.queue);
                let told = TaskCrash::of(&victim, crash.pid, crash.exit, held, queue);
                self.pool.tell_crash(told);
            }
            let reason = victim.reason(crash.exit);
            if let AfterDeath::DeadLetter { queue } = victim.after_death {
                self.arrivals
                    .dead_letter(victim.message, DeadLetter { queue, reason });
            }
        }
    }
}
