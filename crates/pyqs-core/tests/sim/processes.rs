//! The simulated task processes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use pyqs_core::{Event, Instant, MessageKey, Outcome, ProcessId};

use crate::checkers::Checkers;
use crate::faults::{Ending, Job, Plan, Poison};
use crate::sqs::Sqs;

#[derive(Debug)]
pub(crate) struct Process {
    /// Given and not begun, the messages of each run with the end of their leases.
    line: VecDeque<(Vec<MessageKey>, Instant)>,
    running: Option<Running>,
    /// It leaves after this many.
    tasks_left: Option<u32>,
    /// Its manager is gone, to which it could say what is to be sent.
    is_left_behind: bool,
}

#[derive(Clone, Debug)]
struct Running {
    messages: Vec<MessageKey>,
    began: Instant,
    length: Duration,
}

/// What a process did.
pub(crate) enum Step {
    /// Tell the driver, all at once.
    Tell(Vec<Event>),
    /// Look at the process again then.
    Wait(Duration),
    /// The process is gone; the pool makes another.
    Gone {
        culprits: Vec<(MessageKey, Outcome)>,
    },
}

impl Step {
    /// A run has ended.
    pub(crate) fn ended(outcomes: Vec<(MessageKey, Outcome)>, took: Duration) -> Self {
        let ended = outcomes.into_iter();
        let ended = ended.map(|(message, outcome)| Event::TaskEnded {
            message,
            outcome,
            took,
        });
        Self::Tell(ended.collect())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Processes {
    alive: BTreeMap<ProcessId, Process>,
}

impl Processes {
    pub(crate) fn start(&mut self, id: ProcessId, tasks_max: Option<u32>) {
        let process = Process {
            line: VecDeque::new(),
            running: None,
            tasks_left: tasks_max,
            is_left_behind: false,
        };
        self.alive.insert(id, process);
    }

    /// A task arrives at a process, which may have died meanwhile.
    pub(crate) fn give(&mut self, id: ProcessId, run: Vec<MessageKey>, lease_until: Instant) {
        if let Some(process) = self.alive.get_mut(&id) {
            process.line.push_back((run, lease_until));
        }
    }

    pub(crate) fn take_back(&mut self, id: ProcessId) -> Option<Event> {
        let process = self.alive.get_mut(&id)?;
        let messages = process.line.drain(..).flat_map(|(run, _)| run).collect();
        Some(Event::TakenBack {
            process: id,
            messages,
        })
    }

    pub(crate) fn kill(
        &mut self,
        id: ProcessId,
        now: Instant,
        plan: &Plan,
        checkers: &mut Checkers,
        sqs: &Sqs,
    ) -> Option<Step> {
        let process = self.alive.remove(&id)?;
        let running = process.running.map(|running| running.messages);
        let culprits = died(&running.unwrap_or_default(), now, plan, checkers, sqs);
        Some(Step::Gone { culprits })
    }

    /// The consumer is gone: what has not begun never will, and a process ends after what it runs. Those that run
    /// something, each with what.
    pub(crate) fn leave_behind(&mut self) -> Vec<(ProcessId, Vec<MessageKey>)> {
        self.alive.retain(|_, process| process.running.is_some());
        for process in self.alive.values_mut() {
            process.line.clear();
            process.tasks_left = Some(0);
            process.is_left_behind = true;
        }
        let running = self.alive.iter().filter_map(|(&id, process)| {
            let running = process.running.as_ref()?;
            Some((id, running.messages.clone()))
        });
        running.collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.alive.len()
    }

    /// Those that are running something.
    pub(crate) fn running(&self) -> Vec<ProcessId> {
        self.alive
            .iter()
            .filter(|(_, process)| process.running.is_some())
            .map(|(&id, _)| id)
            .collect()
    }

    /// Ends what has had its time and begins the next.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        id: ProcessId,
        plan: &Plan,
        sqs: &mut Sqs,
        checkers: &mut Checkers,
    ) -> Vec<Step> {
        let Some(process) = self.alive.get_mut(&id) else {
            return Vec::new();
        };
        let mut steps = Vec::new();
        if let Some(running) = &process.running {
            let length = running.length;
            if now < running.began + length {
                return steps;
            }
            let run = std::mem::take(&mut process.running);
            let run = run.map(|running| running.messages).unwrap_or_default();
            let outcomes = run.iter().map(|&message| {
                let number = sqs.deliveries[&message].body.job;
                let job = &plan.jobs[number];
                if checkers.postponed(number) < job.postpones {
                    let delay = job.postponed_for;
                    return Some((message, Outcome::Postponed { delay }));
                }
                Some((message, outcome(job, checkers.runs(number))?))
            });
            let Some(mut outcomes) = outcomes.collect::<Option<Vec<_>>>() else {
                let culprits = died(&run, now, plan, checkers, sqs);
                self.alive.remove(&id);
                steps.push(Step::Gone { culprits });
                return steps;
            };
            if process.is_left_behind {
                outcomes = as_told_by_none(outcomes);
            }
            let outcomes = in_order(outcomes, plan, sqs);
            for &(message, outcome) in &outcomes {
                checkers.ended(now, sqs, message, outcome);
            }
            steps.push(Step::ended(outcomes, length));
        }
        if process.tasks_left == Some(0) {
            assert!(
                process.line.is_empty(),
                "{id:?} was given more than its budget"
            );
            self.alive.remove(&id);
            let culprits = Vec::new();
            steps.push(Step::Gone { culprits });
            return steps;
        }
        steps.extend(process.begin(now, plan, sqs, checkers));
        steps
    }
}

impl Process {
    /// Begins the next task whose lease still runs.
    fn begin(
        &mut self,
        now: Instant,
        plan: &Plan,
        sqs: &mut Sqs,
        checkers: &mut Checkers,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some((run, lease_until)) = self.line.pop_front() {
            self.tasks_left = self.tasks_left.map(|left| left - 1);
            if now < lease_until {
                checkers.begun_together(now, plan, sqs, &run);
                let length = length(&run, plan, sqs, checkers);
                steps.push(Step::Wait(length));
                self.running = Some(Running {
                    messages: run,
                    began: now,
                    length,
                });
                return steps;
            }
            let outcomes = run
                .into_iter()
                .map(|message| (message, Outcome::NotStarted));
            steps.push(Step::ended(outcomes.collect(), Duration::ZERO));
        }
        if self.tasks_left == Some(0) {
            steps.push(Step::Wait(Duration::ZERO));
        }
        steps
    }
}

/// How long a run takes. What is put off is so at once.
fn length(run: &[MessageKey], plan: &Plan, sqs: &Sqs, checkers: &Checkers) -> Duration {
    let jobs = run.iter().map(|message| sqs.deliveries[message].body.job);
    let lengths = jobs.map(|number| {
        let job = &plan.jobs[number];
        if checkers.postponed(number) < job.postpones {
            Duration::from_millis(1)
        } else {
            job.length
        }
    });
    lengths.max().unwrap_or_default()
}

/// What becomes of a run whose process dies.
fn died(
    run: &[MessageKey],
    now: Instant,
    plan: &Plan,
    checkers: &mut Checkers,
    sqs: &Sqs,
) -> Vec<(MessageKey, Outcome)> {
    let outcomes = run.iter().map(|&message| {
        let job = sqs.deliveries[&message].body.job;
        (message, after_death(&plan.jobs[job], checkers.runs(job)))
    });
    let outcomes = in_order(outcomes.collect(), plan, sqs);
    for &(message, outcome) in &outcomes {
        checkers.ended(now, sqs, message, outcome);
    }
    outcomes
}

/// What is behind one of its message group that is not done with is not done with either, as a task process has it.
fn in_order(
    outcomes: Vec<(MessageKey, Outcome)>,
    plan: &Plan,
    sqs: &Sqs,
) -> Vec<(MessageKey, Outcome)> {
    let mut broken = BTreeSet::new();
    let outcomes = outcomes.into_iter().map(|(message, outcome)| {
        let group = plan.jobs[sqs.deliveries[&message].body.job].group;
        let is_done = matches!(
            outcome,
            Outcome::Succeeded | Outcome::SucceededWithCallbacks | Outcome::Discarded
        );
        let Some(group) = group else {
            return (message, outcome);
        };
        if broken.contains(&group) {
            return (message, Outcome::Failed);
        }
        if !is_done {
            broken.insert(group);
        }
        (message, outcome)
    });
    outcomes.collect()
}

/// What comes of a run whose manager is gone: the ledger has its outcome, but of several only which of them are done; and
/// nobody can be told what is to be sent.
fn as_told_by_none(outcomes: Vec<(MessageKey, Outcome)>) -> Vec<(MessageKey, Outcome)> {
    let is_one = outcomes.len() == 1;
    let told = outcomes.into_iter().map(|(message, outcome)| {
        let outcome = match outcome {
            Outcome::Discarded if !is_one => Outcome::Succeeded,
            Outcome::Succeeded | Outcome::Discarded => outcome,
            Outcome::Retry { .. } | Outcome::Postponed { .. } | Outcome::Unrunnable if is_one => {
                outcome
            }
            _ => Outcome::Failed,
        };
        (message, outcome)
    });
    told.collect()
}

/// How a job's run ends, the `run`th; none if the process dies of it.
fn outcome(job: &Job, run: u32) -> Option<Outcome> {
    if job.poison == Poison::Unrunnable {
        Some(Outcome::Unrunnable)
    } else if run <= job.fails {
        Some(again(job))
    } else if run <= job.fails + job.crashes {
        None
    } else {
        Some(match job.ending {
            Ending::Success => Outcome::Succeeded,
            Ending::Discard => Outcome::Discarded,
            Ending::DeadLetter => Outcome::DeadLetter,
            Ending::Callbacks => Outcome::SucceededWithCallbacks,
            Ending::Errbacks => Outcome::FailedWithErrbacks,
        })
    }
}

/// What becomes of a job whose process dies in its `run`th run.
fn after_death(job: &Job, run: u32) -> Outcome {
    let is_last = run > job.fails + job.crashes;
    if is_last && job.ending == Ending::DeadLetter {
        Outcome::DeadLetter
    } else {
        again(job)
    }
}

fn again(job: &Job) -> Outcome {
    match job.backoff {
        Some(delay) => Outcome::Retry { delay },
        None => Outcome::Failed,
    }
}
