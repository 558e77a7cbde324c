//! The task processes: who is free, who has what, and who may be given more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::message::{MessageKey, ProcessId};
use crate::time::Instant;

/// Most tasks that one process has been given and has not ended.
pub const PIPELINE_MAX: usize = 64;
/// Tasks that take longer than this, as far as is known, are given one at a time.
pub const PIPELINE_TASK_MAX: Duration = Duration::from_millis(15);
/// About this much work is given to a process at once, or two tasks: while it runs one, it has the next.
pub const PIPELINE_WORK_MAX: Duration = Duration::from_millis(5);
/// When a task has run for this long, those given behind it are taken back.
pub const STUCK_AFTER: Duration = Duration::from_millis(20);

/// All processes that are there.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    processes: BTreeMap<ProcessId, Process>,
    free: BTreeSet<ProcessId>,
    /// Busy with short tasks only, and open for more; the one with the least work first.
    pipes: BTreeSet<(Duration, ProcessId)>,
    /// A process rests for this long after each task.
    interval: Duration,
}

#[derive(Debug)]
struct Process {
    given: VecDeque<Given>,
    /// The sum of what the given tasks are expected to take.
    work: Duration,
    /// How many more it may be given; no limit if none.
    budget: Option<u32>,
    /// When its present task began, as far as can be told.
    began: Instant,
    rests_until: Option<Instant>,
    is_taking_back: bool,
    /// Its present task has run for longer than was expected: nothing is given behind it.
    is_stuck: bool,
    /// It takes no more.
    is_retiring: bool,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
struct Given {
    /// The first of its run.
    message: MessageKey,
    /// Messages of the run that have not ended.
    left: usize,
    expected: Duration,
    is_short: bool,
}

/// In which of the pool's lists a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Nowhere,
    Free,
    Pipe(Duration),
}

/// What the pool knows of a task that is about to start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation {
    pub(crate) takes: Duration,
    /// It may be given to a process that has others like it.
    pub(crate) is_short: bool,
}

impl Pool {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            ..Self::default()
        }
    }

    /// A process that was not known before can take tasks.
    pub(crate) fn add(&mut self, id: ProcessId, budget: Option<u32>, now: Instant) {
        self.processes.entry(id).or_insert(Process {
            given: VecDeque::new(),
            work: Duration::ZERO,
            budget,
            began: now,
            rests_until: None,
            is_taking_back: false,
            is_stuck: false,
            is_retiring: false,
            place: Place::Nowhere,
        });
        self.replace(id);
    }

    /// The process takes no more tasks.
    pub(crate) fn retire(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.is_retiring = true;
            self.replace(id);
        }
    }

    /// The process is gone; what it had been given and had not ended, in order.
    pub(crate) fn remove(&mut self, id: ProcessId) -> Vec<MessageKey> {
        let Some(process) = self.processes.remove(&id) else {
            return Vec::new();
        };
        self.leave(id, process.place);
        process
            .given
            .into_iter()
            .map(|given| given.message)
            .collect()
    }

    /// How many tasks could run at once.
    pub(crate) fn slots(&self) -> usize {
        self.processes.len()
    }

    pub(crate) fn busy(&self) -> usize {
        self.processes
            .values()
            .filter(|process| !process.given.is_empty())
            .count()
    }

    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    pub(crate) fn first_free(&self) -> Option<ProcessId> {
        self.free.first().copied()
    }

    /// The process with the least work among those that take one more short task.
    pub(crate) fn first_pipe(&self) -> Option<ProcessId> {
        self.pipes.first().map(|&(_, id)| id)
    }

    /// Gives a task, for one message or a run of several, to a process that [`first_free`](Self::first_free) or
    /// [`first_pipe`](Self::first_pipe) named. If it now has several, tells when to ask
    /// [`is_stuck`](Self::is_stuck).
    pub(crate) fn give(
        &mut self,
        id: ProcessId,
        message: MessageKey,
        count: usize,
        task: Expectation,
        now: Instant,
    ) -> Option<Instant> {
        let process = self.processes.get_mut(&id)?;
        if process.given.is_empty() {
            process.began = now;
        }
        process.given.push_back(Given {
            message,
            left: count,
            expected: task.takes,
            is_short: task.is_short,
        });
        process.work += task.takes;
        process.budget = process.budget.map(|budget| budget.saturating_sub(1));
        let asked_at = (process.given.len() == 2).then_some(process.began + STUCK_AFTER);
        self.replace(id);
        asked_at
    }

    /// A message of a run has ended. If that was the last, returns what the task was expected to take and when
    /// the process has rested, if it must.
    pub(crate) fn ended(
        &mut self,
        id: ProcessId,
        message: MessageKey,
        now: Instant,
    ) -> Option<(Duration, Option<Instant>)> {
        let expected = self.take_out(id, message)?;
        let process = self.processes.get_mut(&id)?;
        process.began = now;
        process.is_stuck = false;
        if self.interval > Duration::ZERO {
            process.rests_until = Some(now + self.interval);
        }
        let rests_until = process.rests_until;
        self.replace(id);
        Some((expected, rests_until))
    }

    /// A message of a run had not begun and came back, as all others of it do: it does not count.
    pub(crate) fn came_back(&mut self, id: ProcessId, message: MessageKey) {
        if self.take_out(id, message).is_some()
            && let Some(process) = self.processes.get_mut(&id)
        {
            process.budget = process.budget.map(|budget| budget + 1);
            self.replace(id);
        }
    }

    /// The process has rested.
    pub(crate) fn rested(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.rests_until = None;
            self.replace(id);
        }
    }

    /// Whether tasks wait behind one that has run long: `Ok` if so, else when to ask again.
    pub(crate) fn is_stuck(&self, id: ProcessId, now: Instant) -> Result<(), Option<Instant>> {
        let Some(process) = self.processes.get(&id) else {
            return Err(None);
        };
        if process.given.len() < 2 || process.is_taking_back {
            return Err(None);
        }
        let at = process.began + STUCK_AFTER;
        if at <= now { Ok(()) } else { Err(Some(at)) }
    }

    /// Asks for what has not begun; nothing more is given until it has come.
    pub(crate) fn take_back(&mut self, id: ProcessId) {
        self.set_taking_back(id, true);
    }

    /// The process has answered.
    pub(crate) fn took_back(&mut self, id: ProcessId) {
        self.set_taking_back(id, false);
    }

    /// Those that have been given several, and have not been asked to give back.
    pub(crate) fn with_several(&self) -> Vec<ProcessId> {
        let several = self
            .processes
            .iter()
            .filter(|(_, process)| process.given.len() > 1 && !process.is_taking_back);
        several.map(|(&id, _)| id).collect()
    }

    /// Those that have been given something.
    pub(crate) fn with_any(&self) -> Vec<ProcessId> {
        self.processes
            .iter()
            .filter(|(_, process)| !process.given.is_empty())
            .map(|(&id, _)| id)
            .collect()
    }

    fn set_taking_back(&mut self, id: ProcessId, is_taking_back: bool) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.is_taking_back = is_taking_back;
            process.is_stuck |= is_taking_back;
            self.replace(id);
        }
    }

    /// Takes out a run, unless some of its messages are left.
    fn take_out(&mut self, id: ProcessId, message: MessageKey) -> Option<Duration> {
        let process = self.processes.get_mut(&id)?;
        // Tasks end in the order in which they were given, so this looks at the first only.
        let place = process
            .given
            .iter()
            .position(|given| given.message == message)?;
        let given = process.given.get_mut(place)?;
        given.left = given.left.saturating_sub(1);
        if given.left > 0 {
            return None;
        }
        let given = process.given.remove(place)?;
        process.work = process.work.saturating_sub(given.expected);
        Some(given.expected)
    }

    /// Puts the process in the list in which it belongs now.
    fn replace(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let place = process.place_now(self.interval);
        let before = std::mem::replace(&mut process.place, place);
        if place == before {
            return;
        }
        self.leave(id, before);
        match place {
            Place::Nowhere => {}
            Place::Free => {
                self.free.insert(id);
            }
            Place::Pipe(work) => {
                self.pipes.insert((work, id));
            }
        }
    }

    fn leave(&mut self, id: ProcessId, place: Place) {
        match place {
            Place::Nowhere => {}
            Place::Free => {
                self.free.remove(&id);
            }
            Place::Pipe(work) => {
                self.pipes.remove(&(work, id));
            }
        }
    }
}

impl Process {
    fn place_now(&self, interval: Duration) -> Place {
        let is_closed = self.budget == Some(0) || self.is_taking_back || self.is_retiring;
        if is_closed || self.rests_until.is_some() {
            return Place::Nowhere;
        }
        // Short ones are only ever given behind short ones, so the first speaks for all.
        let Some(first) = self.given.front() else {
            return Place::Free;
        };
        let is_open = first.is_short
            && !self.is_stuck
            && interval.is_zero()
            && self.given.len() < PIPELINE_MAX
            && (self.work < PIPELINE_WORK_MAX || self.given.len() < 2);
        if is_open {
            Place::Pipe(self.work)
        } else {
            Place::Nowhere
        }
    }
}
