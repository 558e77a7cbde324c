//! One task process as the manager sees it, and its lanes, each of which runs one task at a time.

use std::fmt;
use std::time::Duration;

use pyqs_core::{Event, Instant, MessageKey, ProcessId as LaneId};

use super::ledger::Ledger;
use super::link::Link;
use super::outcome::AfterDeath;
use super::tasks::{TasksSent, Wear};
use super::wire::{JobFrame, TaskResult, encode_jobs};

/// A task process, from the request for it until nothing of it is left.
#[derive(Debug)]
pub(super) struct TaskProcess {
    /// Where it says how far it has come.
    pub(super) ledger: Ledger,
    /// The slot of its first lane; those of the others follow. None of a process that was another manager's.
    pub(super) slot: Option<u32>,
    pub(super) asked_at: Instant,
    /// Since the supervisor has said `forked`.
    pub(super) up: Option<Up>,
    pub(super) role: Role,
    pub(super) lanes: Vec<Lane>,
    /// It uses more memory than it may, and leaves as soon as another can take its place.
    pub(super) is_too_large: bool,
    /// A task has run for longer than it may; the others have until then to end.
    pub(super) drains_until: Option<Instant>,
    pub(super) died: Option<Exit>,
}

#[derive(Debug)]
pub(super) struct Up {
    pub(super) pid: i32,
    /// To a process that was another manager's there is none.
    pub(super) link: Option<Link>,
    /// Its end of the socket is closed, since then.
    pub(super) closed_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Asked for, or importing.
    Starting,
    /// Ready, and held back until it is needed.
    Spare,
    /// Takes tasks.
    Active,
    /// Was told to leave; its lanes say whether tasks still run.
    Leaving { since: Instant },
    /// Is being killed by us, for the reason that was logged.
    Killed,
}

/// How a process ended, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) signal: Option<i32>,
    pub(crate) code: Option<i32>,
}

impl fmt::Display for Exit {
    /// What the process did: "died by SIGKILL".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal, self.code) {
            (Some(signal), _) => write!(f, "died by {}", signal_name(signal)),
            (None, Some(code)) => write!(f, "exited with code {code}"),
            (None, None) => f.write_str("is gone"),
        }
    }
}

/// A task that ended with its process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Victim {
    pub(crate) message: MessageKey,
    pub(crate) after_death: AfterDeath,
    /// Its limit, where the process was killed for that.
    pub(crate) overran: Option<Duration>,
}

impl Victim {
    /// Why its message goes to a dead-letter queue, if it does.
    pub(crate) fn reason(&self, exit: Exit) -> String {
        match self.overran {
            Some(limit) => format!(
                "it ran for longer than its time limit of {} s",
                limit.as_secs_f64()
            ),
            None => format!("its task process {exit}"),
        }
    }
}

/// One of the tasks that a process runs at once. To the core each is a process of its own.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: LaneId,
    pub(super) slot: u32,
    pub(super) tasks: TasksSent,
    standing: Standing,
    /// The task that has run for longer than its limit, and that limit.
    pub(super) overran: Option<(MessageKey, Duration)>,
}

/// What the core knows of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing yet.
    Unknown,
    /// It takes tasks.
    Known,
    /// It ends what it runs.
    Retiring,
    Gone,
}

impl TaskProcess {
    /// A process that was asked for, with lanes of these ids in the slots from `slot` on.
    pub(super) fn new(
        ledger: Ledger,
        slot: u32,
        lanes: impl Iterator<Item = LaneId>,
        now: Instant,
    ) -> Self {
        let lanes = (slot..).zip(lanes);
        Self {
            ledger,
            slot: Some(slot),
            asked_at: now,
            up: None,
            role: Role::Starting,
            lanes: lanes.map(|(slot, id)| Lane::new(id, slot)).collect(),
            is_too_large: false,
            drains_until: None,
            died: None,
        }
    }

    /// A process that was another manager's, of which no lane is known yet: it ends what it runs.
    pub(super) fn left_behind(ledger: Ledger, pid: i32, now: Instant) -> Self {
        Self {
            slot: None,
            up: Some(Up {
                pid,
                link: None,
                closed_at: Some(now),
            }),
            role: Role::Leaving { since: now },
            ..Self::new(ledger, 0, std::iter::empty(), now)
        }
    }

    /// A lane of it runs a task; the core is told by `Event::Adopted`.
    pub(super) fn adopt(&mut self, id: LaneId, slot: u32, tasks: TasksSent) {
        self.lanes.push(Lane {
            tasks,
            standing: Standing::Retiring,
            ..Lane::new(id, slot)
        });
    }

    /// Whether it was another manager's.
    pub(super) fn is_left_behind(&self) -> bool {
        self.slot.is_none()
    }

    /// The way to it, while there is one.
    pub(super) fn link(&self) -> Option<&Link> {
        self.up.as_ref()?.link.as_ref()
    }

    /// Lanes of which the core knows.
    pub(super) fn known(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.is_known()).count()
    }

    pub(super) fn wear(&self) -> Wear {
        Wear::of(self.lanes.iter().map(|lane| &lane.tasks))
    }

    /// Makes up to so many lanes known to the core; says how many.
    pub(super) fn introduce(
        &mut self,
        lanes_max: usize,
        tasks_max: Option<u32>,
        events: &mut Vec<Event>,
    ) -> usize {
        let unknown = self
            .lanes
            .iter_mut()
            .filter(|lane| lane.standing == Standing::Unknown);
        let mut count = 0;
        for lane in unknown.take(lanes_max) {
            lane.standing = Standing::Known;
            events.push(Event::ProcessReady {
                process: lane.id,
                tasks_max,
            });
            count += 1;
        }
        count
    }

    /// Gives tasks to a lane: the bytes that tell the process. Each job's lane and sequence are filled in here.
    pub(super) fn give<'a>(
        &mut self,
        lane: usize,
        jobs: impl Iterator<Item = (MessageKey, JobFrame<'a>)>,
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let tasks = &mut self.lanes[lane].tasks;
        let number = u32::try_from(lane).expect("as many lanes as a u32 says");
        let mut behind = 0;
        let jobs = jobs.map(|(message, job)| {
            let sequence = if behind > 0 {
                behind -= 1;
                tasks.sent_with(message)
            } else {
                behind = job.behind;
                tasks.sent(message)
            };
            JobFrame {
                lane: number,
                sequence,
                ..job
            }
        });
        encode_jobs(jobs, &mut bytes);
        bytes
    }

    /// Takes in what the process says has ended.
    pub(super) fn take_results(&mut self, results: &[TaskResult], events: &mut Vec<Event>) {
        for &result in results {
            // Only a process that writes at random names a lane that is not there.
            if let Some(lane) = self.lanes.get_mut(result.lane as usize) {
                lane.tasks.take_result(result, events);
            }
        }
        self.let_go(events);
    }

    /// Takes in what has ended by the ledger, and not yet by a frame.
    pub(super) fn harvest(&mut self, events: &mut Vec<Event>) {
        for lane in &mut self.lanes {
            lane.tasks.harvest(&self.ledger, lane.slot, events);
        }
        self.let_go(events);
    }

    /// Takes back what a lane has not begun.
    pub(super) fn take_back(&mut self, lane: usize, events: &mut Vec<Event>) -> Vec<MessageKey> {
        self.harvest(events);
        let lane = &mut self.lanes[lane];
        lane.tasks.take_back(&self.ledger, lane.slot)
    }

    /// No lane takes tasks any more: what has not begun goes back to the core, and an idle lane is gone at once,
    /// so that another process's can take its place in the same step.
    pub(super) fn retire(&mut self, events: &mut Vec<Event>) {
        self.harvest(events);
        for lane in &mut self.lanes {
            let messages = lane.tasks.take_back(&self.ledger, lane.slot);
            if lane.standing != Standing::Known {
                continue;
            }
            let process = lane.id;
            if !messages.is_empty() {
                events.push(Event::TakenBack { process, messages });
            }
            events.push(Event::ProcessRetiring { process });
            lane.standing = Standing::Retiring;
        }
        self.let_go(events);
    }

    /// The last look: what had ended, and what was running, which is charged. Where it was killed for a task at its
    /// limit, that one alone is.
    pub(super) fn end(&mut self, events: &mut Vec<Event>) -> Vec<Victim> {
        self.harvest(events);
        let was_killed_for_limit = self.was_killed_for_limit();
        let mut victims = Vec::new();
        for lane in self.lanes.iter().filter(|lane| lane.is_known()) {
            let of_lane = lane.victims(&self.ledger, was_killed_for_limit);
            let outcome = |victim: &Victim| victim.after_death.outcome().into();
            let late = of_lane.iter().filter_map(|victim| {
                Some(Event::TaskEnded {
                    message: victim.message,
                    outcome: outcome(victim),
                    took: victim.overran?,
                })
            });
            events.extend(late);
            let culprits = of_lane.iter().filter(|_| !was_killed_for_limit);
            events.push(Event::ProcessGone {
                process: lane.id,
                culprits: culprits
                    .map(|victim| (victim.message, outcome(victim)))
                    .collect(),
            });
            victims.extend(of_lane);
        }
        victims
    }

    /// Whether we have killed it since a task had overrun its limit.
    pub(super) fn was_killed_for_limit(&self) -> bool {
        self.role == Role::Killed && self.lanes.iter().any(|lane| lane.overran.is_some())
    }

    /// Whether some task runs that has overrun its limit.
    pub(super) fn is_overrun(&self) -> bool {
        let ledger = &self.ledger;
        self.lanes.iter().any(|lane| lane.is_overrun(ledger))
    }

    /// Whether some task runs that may go on.
    pub(super) fn has_others(&self) -> bool {
        let ledger = &self.ledger;
        self.lanes
            .iter()
            .any(|lane| lane.tasks.running(ledger, lane.slot).is_some() && !lane.is_overrun(ledger))
    }

    /// Retiring lanes that have ended what they ran are gone.
    fn let_go(&mut self, events: &mut Vec<Event>) {
        for lane in &mut self.lanes {
            if lane.standing == Standing::Retiring && lane.tasks.is_idle() {
                lane.standing = Standing::Gone;
                events.push(Event::ProcessGone {
                    process: lane.id,
                    culprits: Vec::new(),
                });
            }
        }
    }
}

impl Lane {
    fn new(id: LaneId, slot: u32) -> Self {
        Self {
            id,
            slot,
            tasks: TasksSent::default(),
            standing: Standing::Unknown,
            overran: None,
        }
    }

    fn is_known(&self) -> bool {
        matches!(self.standing, Standing::Known | Standing::Retiring)
    }

    /// The messages of what it was running, if that is charged.
    fn victims(&self, ledger: &Ledger, was_killed_for_limit: bool) -> Vec<Victim> {
        let running = self.tasks.running_all(ledger, self.slot);
        let first = running.first().map(|&(message, _)| message);
        let overran = self.overran.filter(|(late, _)| Some(*late) == first);
        if was_killed_for_limit && overran.is_none() {
            return Vec::new();
        }
        let limit = overran.map(|(_, limit)| limit);
        let victims = running.into_iter().map(|(message, after_death)| Victim {
            message,
            after_death,
            overran: limit.filter(|_| was_killed_for_limit),
        });
        victims.collect()
    }

    fn is_overrun(&self, ledger: &Ledger) -> bool {
        let overran = self.overran.map(|(message, _)| message);
        overran.is_some() && self.tasks.running(ledger, self.slot) == overran
    }
}

/// The names that are the same on all systems; others by number.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn ends_have_words() {
        let check = |signal, code, words: &str| {
            assert_eq!(Exit { signal, code }.to_string(), words);
        };
        check(Some(9), None, "died by SIGKILL");
        check(Some(64), None, "died by signal 64");
        check(None, Some(3), "exited with code 3");
        check(None, None, "is gone");
    }
}
