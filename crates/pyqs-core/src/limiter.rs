//! Limits of tasks: so many of one at once, so many of it in so long, over all queues.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::fetch::PREFETCH;
use crate::message::{MessageKey, Phase, RateLimit, TaskKind, Work};
use crate::queue::UNKNOWN_TASK;
use crate::schedule::{Pace, Throttle, starts_within};
use crate::time::{Instant, whole_secs_up};

/// How long a message is hidden at most for a limit of how many run at once: when its turn comes is a guess.
pub const HELD_BACK_MAX: Duration = Duration::from_mins(15);

/// What a task may do at most, in one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskLimits {
    /// So many of it run at once. Zero is read as one.
    pub tasks_max: Option<u32>,
    /// So many of it start in so long.
    pub rate: Option<RateLimit>,
}

/// The tasks that are limited, and those of which nobody has said yet whether they are.
#[derive(Debug, Default)]
pub(crate) struct Limiters {
    by_kind: BTreeMap<TaskKind, u32>,
    all: BTreeMap<u32, Limiter>,
    last: u32,
}

/// One task's limits, and what they hold back. Its kinds are those of its name, one a queue.
#[derive(Debug)]
struct Limiter {
    limits: TaskLimits,
    throttle: Option<Throttle>,
    running: usize,
    /// Received, not started.
    waiting: BTreeSet<MessageKey>,
    /// Of these, the ones that are kept from starting.
    aside: BTreeSet<MessageKey>,
    /// Until then turns were promised to messages that were given back.
    promised_until: Instant,
    /// The starts of what runs already are not counted yet.
    is_fresh: bool,
    /// Its kinds that start together and are kept from it.
    blocked: BTreeSet<TaskKind>,
    /// Nothing has been said of it: one runs, alone, and its process says.
    is_undeclared: bool,
}

impl Limiter {
    fn new(limits: TaskLimits, is_undeclared: bool) -> Self {
        Self {
            limits,
            throttle: limits.rate.map(Throttle::new),
            running: 0,
            waiting: BTreeSet::new(),
            aside: BTreeSet::new(),
            promised_until: Instant::ORIGIN,
            is_fresh: true,
            blocked: BTreeSet::new(),
            is_undeclared,
        }
    }

    /// So many may start now.
    fn allowance(&self, now: Instant) -> usize {
        let by_number = self.limits.tasks_max.map_or(usize::MAX, |max| {
            (max.max(1) as usize).saturating_sub(self.running)
        });
        let by_rate = self
            .throttle
            .map_or(usize::MAX, |throttle| throttle.starts_now(now));
        by_number.min(by_rate)
    }

    /// The time from one start to the next, at least, where each task takes `mean`.
    fn spacing(&self, mean: Option<Duration>) -> Duration {
        let by_number = self.limits.tasks_max.map_or(Duration::ZERO, |max| {
            mean.unwrap_or(UNKNOWN_TASK) / max.max(1)
        });
        let by_rate = self
            .throttle
            .map_or(Duration::ZERO, |throttle| throttle.interval());
        by_number.max(by_rate)
    }

    /// So many messages wait here at most: a batch, or what starts within a second.
    fn keeps(&self, batch_max: u8, mean: Option<Duration>) -> usize {
        if self.is_undeclared {
            return usize::MAX;
        }
        usize::from(batch_max).max(starts_within(PREFETCH, self.spacing(mean)))
    }
}

impl Limiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_kind.is_empty()
    }

    /// Whether the limits of its task let one more start now.
    pub(crate) fn may_start(&self, kind: TaskKind, now: Instant) -> bool {
        self.of(kind)
            .is_none_or(|limiter| limiter.allowance(now) > 0)
    }

    /// Whether as many messages of its task wait already as are kept.
    pub(crate) fn is_full(&self, kind: TaskKind, batch_max: u8, pace: Option<&Pace>) -> bool {
        let mean = pace.map(Pace::mean);
        self.of(kind)
            .is_some_and(|limiter| limiter.waiting.len() >= limiter.keeps(batch_max, mean))
    }

    /// Whether its task is limited and more than the half of what is kept has started, so that more may be fetched.
    pub(crate) fn has_room(&self, kind: TaskKind, batch_max: u8, pace: Option<&Pace>) -> bool {
        let mean = pace.map(Pace::mean);
        self.of(kind)
            .is_some_and(|limiter| limiter.waiting.len() <= limiter.keeps(batch_max, mean) / 2)
    }

    /// How many messages of its task wait beyond what is kept; the last ones.
    pub(crate) fn beyond(
        &self,
        kind: TaskKind,
        batch_max: u8,
        pace: Option<&Pace>,
    ) -> Vec<MessageKey> {
        let mean = pace.map(Pace::mean);
        let Some(limiter) = self.of(kind) else {
            return Vec::new();
        };
        let kept = limiter.keeps(batch_max, mean);
        limiter.waiting.iter().copied().skip(kept).collect()
    }

    /// A message is kept from starting.
    pub(crate) fn put_aside(&mut self, kind: TaskKind, key: MessageKey) {
        if let Some(limiter) = self.of_mut(kind) {
            limiter.aside.insert(key);
        }
    }

    /// Those that were kept from starting and may start now, in order.
    pub(crate) fn recall(&mut self, now: Instant) -> Vec<MessageKey> {
        let mut recalled = Vec::new();
        for limiter in self
            .all
            .values_mut()
            .filter(|limiter| !limiter.aside.is_empty())
        {
            let first: Vec<_> = limiter
                .aside
                .iter()
                .copied()
                .take(limiter.allowance(now))
                .collect();
            for key in first {
                limiter.aside.remove(&key);
                recalled.push(key);
            }
        }
        recalled
    }

    /// What starts together of a kind is kept from it.
    pub(crate) fn block(&mut self, kind: TaskKind) {
        if let Some(limiter) = self.of_mut(kind) {
            limiter.blocked.insert(kind);
        }
    }

    /// The kinds that were kept so and may start now.
    pub(crate) fn unblock(&mut self, now: Instant) -> Vec<TaskKind> {
        let free = self.all.values_mut();
        let free = free.filter(|limiter| !limiter.blocked.is_empty() && limiter.allowance(now) > 0);
        free.flat_map(|limiter| std::mem::take(&mut limiter.blocked))
            .collect()
    }

    /// When a rate, and nothing else, lets something start that is kept from it now.
    pub(crate) fn next_start(&self, now: Instant) -> Option<Instant> {
        let held_back = self
            .all
            .values()
            .filter(|limiter| !limiter.aside.is_empty() || !limiter.blocked.is_empty());
        let moments = held_back.filter_map(|limiter| Some(limiter.throttle?.next_at()));
        moments.filter(|&at| at > now).min()
    }

    /// A message is given back: for how long it is hidden until its turn. Turns are given one after the other, behind
    /// all that waits here.
    pub(crate) fn promise_turn(
        &mut self,
        kind: TaskKind,
        now: Instant,
        pace: Option<&Pace>,
    ) -> Duration {
        let mean = pace.map(Pace::mean);
        let Some(limiter) = self.of_mut(kind) else {
            return Duration::ZERO;
        };
        let spacing = limiter.spacing(mean);
        let next = limiter
            .throttle
            .map_or(now, |throttle| throttle.next_at().max(now));
        // It is among those that wait.
        let ahead = limiter.waiting.len().saturating_sub(1);
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let turn = limiter
            .promised_until
            .max(next + spacing.saturating_mul(ahead));
        limiter.promised_until = turn + spacing;
        let hidden_for = whole_secs_up(turn.saturating_since(now)).max(Duration::from_secs(1));
        match limiter.throttle {
            Some(_) => hidden_for,
            None => hidden_for.min(HELD_BACK_MAX),
        }
    }

    pub(crate) fn entered(&mut self, work: Work, key: MessageKey, phase: Phase) {
        let Some(limiter) = self.of_work(work) else {
            return;
        };
        match phase {
            Phase::Buffered => drop(limiter.waiting.insert(key)),
            // A run is one, however many messages it has.
            Phase::Running { run, .. } if run == key => limiter.running += 1,
            _ => {}
        }
    }

    pub(crate) fn left(&mut self, work: Work, key: MessageKey, phase: Phase) {
        let Some(limiter) = self.of_work(work) else {
            return;
        };
        match phase {
            Phase::Buffered => {
                limiter.waiting.remove(&key);
                limiter.aside.remove(&key);
            }
            Phase::Running { run, .. } if run == key => {
                limiter.running = limiter.running.saturating_sub(1);
            }
            _ => {}
        }
    }

    /// One starts.
    pub(crate) fn start(&mut self, work: Work, now: Instant) {
        if let Some(throttle) = self
            .of_work(work)
            .and_then(|limiter| limiter.throttle.as_mut())
        {
            throttle.start(now);
        }
    }

    /// One that had started came back and did not run.
    pub(crate) fn came_back(&mut self, work: Work) {
        if let Some(throttle) = self
            .of_work(work)
            .and_then(|limiter| limiter.throttle.as_mut())
        {
            throttle.came_back();
        }
    }

    /// Whether nobody has said yet what limits it.
    pub(crate) fn is_undeclared(&self, kind: TaskKind) -> bool {
        self.of(kind).is_some_and(|limiter| limiter.is_undeclared)
    }

    /// One of these kinds, which are one task's, runs alone until its limits are known; gives those that are new.
    pub(crate) fn undeclared(&mut self, kinds: &[TaskKind]) -> Vec<TaskKind> {
        let new = kinds.iter().copied();
        let new: Vec<_> = new
            .filter(|kind| !self.by_kind.contains_key(kind))
            .collect();
        let known = kinds
            .iter()
            .find_map(|kind| self.by_kind.get(kind))
            .copied();
        if let Some(id) = known {
            self.by_kind.extend(new.iter().map(|&kind| (kind, id)));
        } else {
            let alone = TaskLimits {
                tasks_max: Some(1),
                rate: None,
            };
            self.add(&new, Limiter::new(alone, true));
        }
        new
    }

    /// The kinds of the task of this one.
    pub(crate) fn kinds_of(&self, kind: TaskKind) -> Vec<TaskKind> {
        let id = self.by_kind.get(&kind);
        let all = self.by_kind.iter();
        let kinds = all.filter(|(_, own)| Some(*own) == id);
        kinds.map(|(&kind, _)| kind).collect()
    }

    /// Counts the starts of what ran when the limits became known.
    pub(crate) fn count_running(&mut self, kind: TaskKind, now: Instant) {
        let Some(limiter) = self.of_mut(kind).filter(|limiter| limiter.is_fresh) else {
            return;
        };
        limiter.is_fresh = false;
        if let Some(throttle) = &mut limiter.throttle {
            (0..limiter.running).for_each(|_| throttle.start(now));
        }
    }

    /// Sets the limits of these kinds, which are one task's. What waits and runs is to be [`entered`](Self::entered)
    /// anew; what was kept from starting comes back. `None`: they are so already.
    pub(crate) fn declare(
        &mut self,
        kinds: &[TaskKind],
        limits: TaskLimits,
    ) -> Option<Vec<MessageKey>> {
        let of_kinds = |kind: &TaskKind| self.by_kind.get(kind).copied();
        let before: BTreeSet<Option<u32>> = kinds.iter().map(of_kinds).collect();
        let is_limited = limits != TaskLimits::default();
        let is_same = |id: &Option<u32>| match id {
            None => !is_limited,
            Some(id) => !self.all[id].is_undeclared && self.all[id].limits == limits,
        };
        if before.len() == 1 && before.iter().all(is_same) {
            return None;
        }
        let mut limiter = Limiter::new(limits, false);
        let mut recalled = Vec::new();
        for id in before.into_iter().flatten() {
            if let Some(old) = self.all.remove(&id) {
                recalled.extend(old.aside);
                if old.limits.rate == limits.rate {
                    limiter.throttle = old.throttle;
                    limiter.promised_until = old.promised_until;
                    limiter.is_fresh = false;
                }
            }
            self.by_kind.retain(|_, own| *own != id);
        }
        if is_limited {
            self.add(kinds, limiter);
        }
        recalled.sort_unstable();
        Some(recalled)
    }

    fn add(&mut self, kinds: &[TaskKind], limiter: Limiter) {
        self.last += 1;
        self.all.insert(self.last, limiter);
        self.by_kind
            .extend(kinds.iter().map(|&kind| (kind, self.last)));
    }

    fn of(&self, kind: TaskKind) -> Option<&Limiter> {
        self.all.get(self.by_kind.get(&kind)?)
    }

    fn of_mut(&mut self, kind: TaskKind) -> Option<&mut Limiter> {
        self.all.get_mut(self.by_kind.get(&kind)?)
    }

    fn of_work(&mut self, work: Work) -> Option<&mut Limiter> {
        match work {
            Work::Task(kind) => self.of_mut(kind),
            Work::Poison => None,
        }
    }
}
