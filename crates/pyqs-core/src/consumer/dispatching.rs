//! Tasks to processes, and what comes back from them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Consumer;
use crate::action::{Action, Report};
use crate::deadlines::Deadline;
use crate::event::Outcome;
use crate::line::Next;
use crate::message::{GroupId, MessageKey, Phase, ProcessId, QueueId, TaskKind, Work};
use crate::pool::{Expectation, PIPELINE_TASK_MAX};
use crate::queue::ACTIVE_FOR;
use crate::schedule::Pace;
use crate::stop::Stop;
use crate::time::{Instant, whole_secs_up};

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
    StartTogether {
        messages: Vec<MessageKey>,
        process: ProcessId,
        task: Expectation,
    },
    Lapsed(MessageKey),
    Poison(MessageKey),
    NotDue(MessageKey),
    Expired(MessageKey),
    HeldBack(MessageKey),
    HeldBackTogether(QueueId, TaskKind),
}

impl Consumer {
    /// Starts all that can be started.
    pub(super) fn dispatch(&mut self) {
        self.deadlines.set(Deadline::Reserve, None);
        self.recall_kept();
        while self.stop == Stop::No && self.fair_share.has_turns() && self.may_begin() > 0 {
            match self.next_turn() {
                Some(Turn::Start {
                    message,
                    process,
                    task,
                }) => self.start(message, process, task),
                Some(Turn::StartTogether {
                    messages,
                    process,
                    task,
                }) => self.start_together(messages, process, task),
                Some(Turn::Lapsed(message)) => self.drop_lapsed(message),
                Some(Turn::Poison(message)) => self.poison(message),
                Some(Turn::NotDue(message)) => self.wait_as_group(message),
                Some(Turn::Expired(message)) => self.expire(message),
                Some(Turn::HeldBack(message)) => self.keep(message),
                Some(Turn::HeldBackTogether(queue, kind)) => self.keep_together(queue, kind),
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
            let next = queue.line.next(self.now);
            let Some(next) = next.filter(|_| queue.may_start(self.now)) else {
                continue;
            };
            let fit = match next {
                Next::One(message) => self.unfit(message).map_or(Ok(vec![]), Err),
                Next::Several(kind) => self.fit_together(id, kind),
            };
            let (message, several) = match (next, fit) {
                (_, Err(unfit)) => {
                    turn = Some(unfit);
                    break;
                }
                (Next::One(message), Ok(several)) => (message, several),
                (Next::Several(_), Ok(several)) => (several[0], several),
            };
            let Work::Task(kind) = self.held[&message].work else {
                unreachable!("poison is unfit");
            };
            if !self.limiters.may_start(kind, self.now) {
                turn = Some(match next {
                    Next::One(message) => Turn::HeldBack(message),
                    Next::Several(kind) => Turn::HeldBackTogether(id, kind),
                });
                break;
            }
            let task = self.expectation(id, kind, &several);
            let waits_for_slot = free.is_none() && !task.is_short;
            let reserved_until = if is_last_free || (waits_for_slot && self.pool.slots() > 1) {
                self.reserved_until(id)
            } else {
                None
            };
            if waits_for_slot && reserved_until.is_none() {
                // The next free slot is this queue's: short tasks of others, one behind the other, would leave none.
                break;
            }
            let process = free
                .filter(|_| reserved_until.is_none())
                .or(pipe.filter(|_| task.is_short));
            if let Some(process) = process {
                turn = Some(if several.is_empty() {
                    Turn::Start {
                        message,
                        process,
                        task,
                    }
                } else {
                    Turn::StartTogether {
                        messages: several,
                        process,
                        task,
                    }
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

    /// What is to become of a message instead of its start, if it may not start.
    fn unfit(&self, message: MessageKey) -> Option<Turn> {
        let held = &self.held[&message];
        if held.work == Work::Poison {
            Some(Turn::Poison(message))
        } else if held.is_expired(self.now) {
            Some(Turn::Expired(message))
        } else if !held.is_due(self.now) {
            Some(Turn::NotDue(message))
        } else if held.lease.left(self.now) < self.needed_to_start(held) {
            Some(Turn::Lapsed(message))
        } else {
            None
        }
    }

    /// The messages that start together, at least one; or what is to become first of one that may not. That waits
    /// until nothing of its group is before it.
    fn fit_together(&self, id: QueueId, kind: TaskKind) -> Result<Vec<MessageKey>, Turn> {
        let line = &self.queues[&id].line;
        let mut cut: BTreeSet<&GroupId> = BTreeSet::new();
        let mut fit = Vec::new();
        for message in line.gathered(kind).take(self.may_begin()) {
            let group = self.held[&message].group.as_ref();
            if group.is_some_and(|group| cut.contains(group)) {
                continue;
            }
            match (self.unfit(message), group) {
                (None, _) => fit.push(message),
                (Some(_), Some(group)) if !line.is_head(message, Some(group)) => {
                    cut.insert(group);
                }
                (Some(unfit), _) => return Err(unfit),
            }
        }
        Ok(fit)
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

    /// Several are never given to a process that has something else.
    fn expectation(&self, queue: QueueId, kind: TaskKind, several: &[MessageKey]) -> Expectation {
        if let Some(pace) = self.paces.get(&kind) {
            return Expectation {
                takes: pace.mean(),
                is_short: pace.mean() <= PIPELINE_TASK_MAX && several.is_empty(),
            };
        }
        let takes = self.queues[&queue].task_mean().unwrap_or(UNKNOWN_CHARGE);
        Expectation {
            takes,
            is_short: false,
        }
    }

    fn start(&mut self, message: MessageKey, process: ProcessId, task: Expectation) {
        let (attempt, lease_until) = self.start_one(message, message, process);
        self.start_run(message, 1, process, task);
        self.actions.push(Action::Dispatch {
            process,
            message,
            lease_until,
            attempt,
        });
    }

    fn start_together(&mut self, messages: Vec<MessageKey>, process: ProcessId, task: Expectation) {
        let run = messages[0];
        let (mut given, mut lease_until) = (Vec::new(), None);
        for &message in &messages {
            let (attempt, until) = self.start_one(message, run, process);
            given.push((message, attempt));
            lease_until = lease_until.into_iter().chain([until]).min();
        }
        self.start_run(run, messages.len(), process, task);
        self.runs.insert(run, messages);
        self.actions.push(Action::DispatchTogether {
            process,
            messages: given,
            lease_until: lease_until.expect("there is at least one"),
        });
    }

    /// Which run of the message it is, and until when it may begin.
    fn start_one(
        &mut self,
        message: MessageKey,
        run: MessageKey,
        process: ProcessId,
    ) -> (u32, Instant) {
        self.counters.dispatched += 1;
        let running = Phase::Running {
            process,
            run,
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
        self.queue_mut(id).starts.observe(now);
        (attempt, lease_until)
    }

    fn start_run(&mut self, run: MessageKey, count: usize, process: ProcessId, task: Expectation) {
        let (id, now) = (self.held[&run].queue, self.now);
        if let Some(throttle) = &mut self.queue_mut(id).throttle {
            throttle.start(now);
        }
        self.count_start(run);
        self.fair_share.charge(id, task.takes);
        if let Some(ask_at) = self.pool.give(process, run, count, task, now) {
            self.deadlines.set(Deadline::Stuck(process), Some(ask_at));
        }
    }

    pub(super) fn task_ended(&mut self, key: MessageKey, outcome: Outcome, took: Duration) {
        let Some((process, run, queue, work)) = self.running(key) else {
            return;
        };
        self.quiet_since = self.now;
        if let Some((expected, rests_until)) = self.pool.ended(process, run, self.now) {
            self.runs.remove(&run);
            self.deadlines.set(Deadline::Rested(process), rests_until);
            self.fair_share.correct(queue, expected, took);
        }
        match outcome {
            Outcome::NotStarted | Outcome::Postponed { .. } => {}
            _ if run != key => {}
            // Of its name it is known that it takes no time: the next one need not wait for a free
            // process, and keep all that waits behind it from those that are quickly done. Of the queue's
            // tasks nothing is known by it.
            Outcome::Unrunnable => {
                self.learn_kind(work, took);
                learn(&mut self.queue_mut(queue).unrunnable_pace, took);
            }
            _ => self.learn(queue, work, took),
        }
        if outcome != Outcome::NotStarted {
            self.ended_undeclared(work);
        }
        self.conclude_in_order(key, outcome);
    }

    /// Of those of a message group that were run together, none is done with before all that come before it are.
    fn conclude_in_order(&mut self, key: MessageKey, outcome: Outcome) {
        let outcome = self.held[&key].possible(outcome);
        let has_run = !matches!(
            outcome,
            Outcome::NotStarted | Outcome::Unrunnable | Outcome::Postponed { .. }
        );
        if has_run && let Some(quota) = &mut self.quota {
            quota.ended();
        }
        let held = &self.held[&key];
        let (id, group) = (held.queue, held.group.clone());
        if let Some(group) = group {
            let is_left = match outcome {
                Outcome::Succeeded | Outcome::SucceededWithCallbacks | Outcome::Discarded => false,
                Outcome::NotStarted => held.was_refused || held.lease.has_lapsed(self.now),
                _ => true,
            };
            let line = &mut self.queue_mut(id).line;
            if line.is_broken(&group) {
                if !has_run {
                    self.spend_no_quota();
                }
                return self.hold_back(key);
            }
            if is_left {
                line.break_group(&group);
            }
        }
        self.conclude(key, outcome);
    }

    fn conclude(&mut self, key: MessageKey, outcome: Outcome) {
        match outcome {
            Outcome::Succeeded => self.succeed(key),
            Outcome::SucceededWithCallbacks => self.succeed_with_callbacks(key),
            Outcome::Failed => self.fail(key),
            Outcome::Retry { delay } => self.retry(key, delay),
            Outcome::Exhausted => self.exhaust(key),
            Outcome::DeadLetter => self.dead_letter(key),
            Outcome::FailedWithErrbacks => self.fail_with_errbacks(key),
            Outcome::Discarded => self.discard(key),
            Outcome::Postponed { delay } => self.postpone(key, delay),
            Outcome::Unrunnable => self.unrunnable(key),
            Outcome::NotStarted => self.not_started(key),
        }
    }

    /// No task of that name, or not with such arguments: nothing ran, which spends no turn of a limited rate.
    fn unrunnable(&mut self, key: MessageKey) {
        let is_of_several = matches!(
            self.held[&key].phase,
            Phase::Running { run, .. } if run != key || self.runs.contains_key(&key)
        );
        if is_of_several {
            // Others of its run may have run.
            self.spend_no_quota();
        } else {
            self.came_back(key);
        }
        self.poison(key);
    }

    /// Nothing ran, likewise. It is sent on until its time has come, so that the wait spends no receive.
    fn postpone(&mut self, key: MessageKey, delay: Duration) {
        self.came_back(key);
        let delay = whole_secs_up(delay).max(Duration::from_secs(1));
        let key = self.settle_twin(key, delay);
        let due = self.now + delay;
        let held = self.held.get_mut(&key).expect("it was running");
        held.due = Some(due);
        if held.group.is_some() {
            return self.wait_as_group(key);
        }
        if held.is_adopted {
            self.note_unrun(key);
            return self.release(key, delay);
        }
        let attempts = self.attempts_before(&self.held[&key]);
        self.hop(key, due, attempts);
    }

    fn spend_no_quota(&mut self) {
        if let Some(quota) = &mut self.quota {
            quota.came_back();
        }
    }

    /// It was given to a process and did not run: that spends nothing of any limit.
    pub(super) fn came_back(&mut self, key: MessageKey) {
        self.spend_no_quota();
        let held = &self.held[&key];
        let (queue, work) = (held.queue, held.work);
        // A run is one start, however many messages it has; that of an adopted one was counted elsewhere.
        let is_run = matches!(held.phase, Phase::Running { run, .. } if run == key);
        let is_run = is_run && !held.is_adopted;
        if is_run {
            self.limiters.came_back(work);
        }
        if is_run && let Some(throttle) = &mut self.queue_mut(queue).throttle {
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
            if let Some((of, run, ..)) = self.running(key)
                && of == process
            {
                self.pool.came_back(process, run);
                self.runs.remove(&run);
                self.put_back(key);
            }
        }
        self.pool.took_back(process);
    }

    pub(super) fn process_gone(&mut self, process: ProcessId, culprits: &[(MessageKey, Outcome)]) {
        self.deadlines.set(Deadline::Stuck(process), None);
        self.deadlines.set(Deadline::Rested(process), None);
        let runs = self.pool.remove(process);
        self.quiet_since = self.now;
        let runs = runs
            .into_iter()
            .map(|run| self.runs.remove(&run).unwrap_or_else(|| vec![run]));
        let given: Vec<MessageKey> = runs.flatten().collect();
        let is_running =
            |key: &MessageKey| self.running(*key).is_some_and(|(of, ..)| of == process);
        let mut given: BTreeSet<MessageKey> = given.into_iter().filter(is_running).collect();
        // The culprits first: what waits of their groups goes back, and is not put in line again.
        for &(key, outcome) in culprits {
            if !given.remove(&key) {
                continue;
            }
            if self.has_killed_busy {
                self.interrupt(key);
                continue;
            }
            self.counters.crashed += 1;
            self.report(Report::TaskCrashed {
                message: key,
                process,
            });
            self.conclude_in_order(key, outcome);
        }
        for key in given {
            self.put_back(key);
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

    /// Where it runs, with which run, and what it is.
    fn running(&self, key: MessageKey) -> Option<(ProcessId, MessageKey, QueueId, Work)> {
        let held = self.held.get(&key)?;
        match held.phase {
            Phase::Running { process, run, .. } => Some((process, run, held.queue, held.work)),
            _ => None,
        }
    }

    fn learn(&mut self, queue: QueueId, work: Work, took: Duration) {
        self.learn_kind(work, took);
        learn(&mut self.queue_mut(queue).pace, took);
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

fn learn(pace: &mut Option<Pace>, took: Duration) {
    pace.get_or_insert(Pace::new(took)).observe(took);
}
