//! The simulated task processes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use pyqs_core::{Event, Instant, MessageKey, Outcome, ProcessId};

use crate::checkers::Checkers;
use crate::faults::{Ending, Job, Plan, Poison};
use crate::sqs::Sqs;

#[derive(Debug)]
pub(crate) struct Process {
    /// Given and not begun, each with the end of its lease.
    line: VecDeque<(MessageKey, Instant)>,
    running: Option<Running>,
    /// It leaves after this many.
    tasks_left: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    message: MessageKey,
    began: Instant,
}

/// What a process did.
pub(crate) enum Step {
    /// Tell the driver.
    Tell(Event),
    /// Look at the process again then.
    Wait(Duration),
    /// The process is gone; the pool makes another.
    Gone {
        culprit: Option<(MessageKey, Outcome)>,
    },
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
        };
        self.alive.insert(id, process);
    }

    /// A task arrives at a process, which may have died meanwhile.
    pub(crate) fn give(&mut self, id: ProcessId, message: MessageKey, lease_until: Instant) {
        if let Some(process) = self.alive.get_mut(&id) {
            process.line.push_back((message, lease_until));
        }
    }

    pub(crate) fn take_back(&mut self, id: ProcessId) -> Option<Event> {
        let process = self.alive.get_mut(&id)?;
        let messages = process.line.drain(..).map(|(message, _)| message).collect();
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
        let culprit = process.running.map(|Running { message, .. }| {
            let job = sqs.deliveries[&message].body.job;
            let outcome = after_death(&plan.jobs[job], checkers.runs(job));
            checkers.ended(now, sqs, message, outcome);
            (message, outcome)
        });
        Some(Step::Gone { culprit })
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
        if let Some(running) = process.running {
            let number = sqs.deliveries[&running.message].body.job;
            let job = &plan.jobs[number];
            if now < running.began + job.length {
                return steps;
            }
            process.running = None;
            let runs = checkers.runs(number);
            let Some(outcome) = outcome(job, runs) else {
                let outcome = after_death(job, runs);
                checkers.ended(now, sqs, running.message, outcome);
                self.alive.remove(&id);
                steps.push(Step::Gone {
                    culprit: Some((running.message, outcome)),
                });
                return steps;
            };
            checkers.ended(now, sqs, running.message, outcome);
            steps.push(Step::Tell(Event::TaskEnded {
                message: running.message,
                outcome,
                took: job.length,
            }));
        }
        if process.tasks_left == Some(0) {
            assert!(
                process.line.is_empty(),
                "{id:?} was given more than its budget"
            );
            self.alive.remove(&id);
            steps.push(Step::Gone { culprit: None });
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
        while let Some((message, lease_until)) = self.line.pop_front() {
            self.tasks_left = self.tasks_left.map(|left| left - 1);
            if now < lease_until {
                checkers.begun(now, plan, sqs, message);
                self.running = Some(Running {
                    message,
                    began: now,
                });
                steps.push(Step::Wait(
                    plan.jobs[sqs.deliveries[&message].body.job].length,
                ));
                return steps;
            }
            let (outcome, took) = (Outcome::NotStarted, Duration::ZERO);
            steps.push(Step::Tell(Event::TaskEnded {
                message,
                outcome,
                took,
            }));
        }
        if self.tasks_left == Some(0) {
            steps.push(Step::Wait(Duration::ZERO));
        }
        steps
    }
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
