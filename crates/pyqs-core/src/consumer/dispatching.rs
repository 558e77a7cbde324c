//! Tasks to processes, and what comes back from them.

use std::time::Duration;

use super::Consumer;
use crate::action::{Action, Report};
use crate::deadlines::Deadline;
use crate::event::Outcome;
use crate::message::{MessageKey, Phase, ProcessId, QueueId, TaskKind, Work};
use crate::pool::{Expectation, PIPELINE_TASK_MAX};
use crate::queue::ACTIVE_FOR;
use crate::schedule::Pace;
use crate::stop::Stop;
use crate::time::Instant;

/// What a task is taken to last for its queue's share while nothing is known of it.
const UNKNOWN_CHARGE: Duration = Duration::from_millis(10);
/// Of this many kinds the pace is remembered.
pub const KINDS_MAX: usize = 10_000;

/// What the next turn brought.
enum Turn {
    Start {
        message: MessageKey,
        process: ProcessId,
        task: Expectation,
    },
    Lapsed(MessageKey),
    Poison(MessageKey),
    NotDue(MessageKey),
    Expired(MessageKey),
}

impl Consumer {
    /// Starts all that can be started.
    pub(super) fn dispatch(&mut self) {
        self.deadlines.set(Deadline::Reserve, None);
        while self.stop == Stop::No && self.fair_share.has_turns() && self.may_begin() > 0 {
            match self.next_turn() {
                Some(Turn::Start {
                    message,
                    process,
                    task,
                }) => self.start(message, process, task),
                Some(Turn::Lapsed(message)) => self.drop_lapsed(message),
                Some(Turn::Poison(message)) => self.poison(message),
                Some(Turn::NotDue(message)) => self.wait_as_group(message),
                Some(Turn::Expired(message)) => self.expire(message),
                None => break,
            }
        }
    }

    fn next_turn(&mut self) -> Option<Turn> {
        let (free, pipe) = (self.pool.first_free(), self.pool.first_pipe());
        if free.is_none() && pipe.is_none() {
            return None;
        }
        let is_last_free = self.pool.free() == 1 && self.pool.slots() > 1;
        let mut reserve_ends = None;
        let mut turn = None;
        for id in self.fair_share.turns() {
            let queue = &self.queues[&id];
            let Some(message) = queue.line.first().filter(|_| queue.may_start(self.now)) else {
                continue;
            };
            let held = &self.held[&message];
            let Work::Task(kind) = held.work else {
                turn = Some(Turn::Poison(message));
                break;
            };
            if held.is_expired(self.now) {
                turn = Some(Turn::Expired(message));
                break;
            }
            if !held.is_due(self.now) {
                turn = Some(Turn::NotDue(message));
                break;
            }
            if held.lease.left(self.now) < self.needed_to_start(held) {
                turn = Some(Turn::Lapsed(message));
                break;
            }
            let task = self.expectation(id, kind);
            let reserved_until = if is_last_free {
                self.reserved_until(id)
            } else {
                None
            };
            let process = free
                .filter(|_| reserved_until.is_none())
                .or(pipe.filter(|_| task.is_short));
            if let Some(process) = process {
                turn = Some(Turn::Start {
                    message,
                    process,
                    task,
                });
                break;
            }
            reserve_ends = reserve_ends.into_iter().chain(reserved_until).min();
        }
        if reserve_ends.is_some() {
            self.deadlines.set(Deadline::Reserve, reserve_ends);
        }
        turn
    }

    /// If the last free slot is not for this queue: until when.
    pub(super) fn reserved_until(&self, id: QueueId) -> Option<Instant> {
        let queue = &self.queues[&id];
        let others = self.queues.iter().filter(|&(&other, _)| other != id);
        let quicker = others.filter(|(_, other)| {
            other.share.priority <= queue.share.priority
                && other.is_active(self.now)
                // One at its cap could not use the slot.
                && other.allowance() > 0
                && queue.is_slow_beside(other)
        });
        quicker
            .filter_map(|(_, other)| Some(other.had_messages_at? + ACTIVE_FOR))
            .max()
    }

    fn expectation(&self, queue: QueueId, kind: TaskKind) -> Expectation {
        if let Some(pace) = self.paces.get(&kind) {
            return Expectation {
                takes: pace.mean(),
                is_short: pace.mean() <= PIPELINE_TASK_MAX,
            };
        }
        let takes = self.queues[&queue].task_mean().unwrap_or(UNKNOWN_CHARGE);
        Expectation {
            takes,
            is_short: false,
        }
    }

    fn start(&mut self, message: MessageKey, process: ProcessId, task: Expectation) {
        self.counters.dispatched += 1;
        let running = Phase::Running {
            process,
            since: self.now,
            twin: None,
            is_lease_lost: false,
        };
        self.set_phase(message, running);
        let held = &self.held[&message];
        let (id, lease_until) = (held.queue, held.lease.until());
        let attempt = self.attempts_before(held).saturating_add(1);
        let now = self.now;
        if let Some(quota) = &mut self.quota {
            quota.began();
        }
        let queue = self.queue_mut(id);
        queue.starts.observe(now);
        if let Some(throttle) = &mut queue.throttle {
            throttle.start(now);
        }
        self.fair_share.charge(id, task.takes);
        if let Some(ask_at) = self.pool.give(process, message, task, now) {
            self.deadlines.set(Deadline::Stuck(process), Some(ask_at));
        }
        self.actions.push(Action::Dispatch {
            process,
            message,
            lease_until,
            attempt,
        });
    }

    pub(super) fn task_ended(&mut self, key: MessageKey, outcome: Outcome, took: Duration) {
        let Some((process, queue, work)) = self.running(key) else {
            return;
        };
        self.quiet_since = self.now;
        if let Some((expected, rests_until)) = self.pool.ended(process, key, self.now) {
            self.deadlines.set(Deadline::Rested(process), rests_until);
            self.fair_share.correct(queue, expected, took);
        }
        match outcome {
            Outcome::NotStarted => {}
            // Of its name it is known that it takes no time: the next one need not wait for a free
            // process, and keep all that waits behind it from those that are quickly done.
            Outcome::Unrunnable => self.learn_kind(work, took),
            _ => self.learn(queue, work, took),
        }
        self.conclude(key, outcome);
    }

    fn conclude(&mut self, key: MessageKey, outcome: Outcome) {
        if let Some(quota) = &mut self.quota
            && !matches!(outcome, Outcome::NotStarted | Outcome::Unrunnable)
        {
            quota.ended();
        }
        match outcome {
            Outcome::Succeeded => self.succeed(key),
            Outcome::SucceededWithCallbacks => self.succeed_with_callbacks(key),
            Outcome::Failed => self.fail(key),
            Outcome::Retry { delay } => self.retry(key, delay),
            Outcome::Exhausted => self.exhaust(key),
            Outcome::DeadLetter => self.dead_letter(key),
            Outcome::FailedWithErrbacks => self.fail_with_errbacks(key),
            Outcome::Discarded => self.discard(key),
            Outcome::Unrunnable => self.unrunnable(key),
            Outcome::NotStarted => self.not_started(key),
        }
    }

    /// No task of that name, or not with such arguments: nothing ran, which spends no turn of a limited rate.
    fn unrunnable(&mut self, key: MessageKey) {
        self.came_back(key);
        self.poison(key);
    }

    /// It was given to a process and did not run: that spends nothing of any limit.
    pub(super) fn came_back(&mut self, key: MessageKey) {
        if let Some(quota) = &mut self.quota {
            quota.came_back();
        }
        let queue = self.held[&key].queue;
        if let Some(throttle) = &mut self.queue_mut(queue).throttle {
            throttle.came_back();
        }
    }

    /// The process saw a lapsed lease. If it has been extended since, the message may wait again,
    /// once: two clocks that disagree must not play ball with it.
    fn not_started(&mut self, key: MessageKey) {
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        let is_second = std::mem::replace(&mut held.was_refused, true);
        if is_second || held.lease.has_lapsed(self.now) {
            self.came_back(key);
            self.drop_lapsed(key);
        } else {
            self.put_back(key);
        }
    }

    pub(super) fn taken_back(&mut self, process: ProcessId, messages: &[MessageKey]) {
        for &key in messages {
            if self.running(key).is_some_and(|(of, ..)| of == process) {
                self.pool.came_back(process, key);
                self.put_back(key);
            }
        }
        self.pool.took_back(process);
    }

    pub(super) fn process_gone(
        &mut self,
        process: ProcessId,
        culprit: Option<(MessageKey, Outcome)>,
    ) {
        self.deadlines.set(Deadline::Stuck(process), None);
        self.deadlines.set(Deadline::Rested(process), None);
        let given = self.pool.remove(process);
        self.quiet_since = self.now;
        // The culprit first: what waits of its group goes back, and is not put in line again.
        let culprit = culprit.filter(|(key, _)| given.contains(key));
        match culprit {
            Some((key, _)) if self.has_killed_busy => self.interrupt(key),
            Some((key, outcome)) => {
                self.counters.crashed += 1;
                self.report(Report::TaskCrashed {
                    message: key,
                    process,
                });
                self.conclude(key, outcome);
            }
            None => {}
        }
        for key in given {
            if culprit.is_none_or(|(culprit, _)| culprit != key) {
                self.put_back(key);
            }
        }
    }

    /// Takes back what waits behind a task that runs long.
    pub(super) fn look_for_stuck(&mut self, process: ProcessId) {
        match self.pool.is_stuck(process, self.now) {
            Ok(()) => self.take_back(process),
            Err(ask_at) => self.deadlines.set(Deadline::Stuck(process), ask_at),
        }
    }

    pub(super) fn take_back(&mut self, process: ProcessId) {
        self.pool.take_back(process);
        self.actions.push(Action::TakeBack { process });
    }

    fn running(&self, key: MessageKey) -> Option<(ProcessId, QueueId, Work)> {
        let held = self.held.get(&key)?;
        match held.phase {
            Phase::Running { process, .. } => Some((process, held.queue, held.work)),
            _ => None,
        }
    }

    fn learn(&mut self, queue: QueueId, work: Work, took: Duration) {
        self.learn_kind(work, took);
        self.queue_mut(queue)
            .pace
            .get_or_insert(Pace::new(took))
            .observe(took);
    }

    fn learn_kind(&mut self, work: Work, took: Duration) {
        if let Work::Task(kind) = work {
            if self.paces.len() >= KINDS_MAX && !self.paces.contains_key(&kind) {
                self.paces.clear();
            }
            self.paces
                .entry(kind)
                .or_insert(Pace::new(took))
                .observe(took);
        }
    }
}
