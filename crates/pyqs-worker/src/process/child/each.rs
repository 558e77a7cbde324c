//! Tasks that are run for several messages at once: one job for the channel, and an end for each message.

use std::collections::BTreeSet;

use super::{Lane, TaskChannel};
use crate::process::job::Job;
use crate::process::outcome::{AfterDeath, TaskOutcome};
use crate::process::successes::Mark;
use crate::process::wire::{FromProcess, JobFrame, MessageEnd};

/// What is to be known of a message that is run, alone or with others.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) mark: Mark,
    /// Its message group, where that orders.
    group: Option<String>,
}

/// All messages of a job, its own first.
pub(super) fn members(job: &Job) -> Vec<Member> {
    let jobs = std::iter::once(job).chain(&job.others);
    let members = jobs.map(|job| Member {
        mark: job.mark,
        group: job.group.clone(),
    });
    members.collect()
}

impl Lane {
    /// Takes in a job, or the next message of the last one.
    pub(super) fn take_in(&mut self, frame: JobFrame<'_>) {
        match self.jobs.back_mut() {
            Some(job) if self.missing > 0 => {
                self.missing -= 1;
                job.others.push(frame.into());
            }
            _ => {
                self.missing = frame.behind;
                self.jobs.push_back(frame.into());
            }
        }
    }

    /// Whether there is a job of which nothing is missing.
    pub(super) fn has_job(&self) -> bool {
        self.jobs.len() > usize::from(self.missing > 0)
    }

    /// The first that is whole.
    pub(super) fn next_job(&mut self) -> Option<Job> {
        if self.has_job() {
            self.jobs.pop_front()
        } else {
            None
        }
    }
}

impl TaskChannel {
    /// Says what becomes of each message of the lane's running task, in their order. The manager has that before the
    /// ledger has the outcome. Of a message group that orders, none is done with before all before it are: those behind
    /// one that is not have failed, whatever is said of them.
    pub fn record_each(&self, lane: u32, mut ends: Vec<MessageEnd>) {
        let mut desk = self.desk();
        let place = &desk.lanes[lane as usize];
        let Some(running) = place.running.filter(|running| running.result.is_none()) else {
            return;
        };
        keep_order(&place.members, &mut ends);
        let members = place.members.iter().zip(&ends);
        let done = members.filter(|(_, end)| end.outcome.is_done());
        let done: Vec<Mark> = done.map(|(member, _)| member.mark).collect();
        // A manager that is gone deletes nothing; `finish` finds that out.
        let outcome = match self.send(&FromProcess::Each(lane, running.sequence, ends)) {
            Ok(()) => TaskOutcome::Each,
            Err(_) => TaskOutcome::Failed,
        };
        for mark in done {
            self.ledger.successes().add(mark);
        }
        self.record_at(&mut desk, lane, outcome);
    }

    /// Says what becomes of each message of the lane's running task if this process dies meanwhile.
    pub fn foresee_each(&self, lane: u32, after_death: Vec<AfterDeath>) {
        let desk = self.desk();
        if let Some(running) = desk.lanes[lane as usize].running {
            // As above.
            let _ = self.send(&FromProcess::EachAfterDeath(
                lane,
                running.sequence,
                after_death,
            ));
        }
    }
}

/// What is behind one of its message group that is not done with is not done with either.
fn keep_order(members: &[Member], ends: &mut [MessageEnd]) {
    let mut broken = BTreeSet::new();
    for (member, end) in members.iter().zip(ends) {
        let Some(group) = &member.group else {
            continue;
        };
        if broken.contains(group) {
            end.outcome = TaskOutcome::Failed;
            end.letter = None;
        } else if !end.outcome.is_done() {
            broken.insert(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Member, keep_order};
    use crate::process::outcome::TaskOutcome::{self, Discarded, Failed, Succeeded};
    use crate::process::successes::Mark;
    use crate::process::wire::MessageEnd;

    #[test]
    fn what_is_behind_one_that_failed_in_its_group_has_failed_too() {
        let check = |groups: &str, said: &[TaskOutcome], kept: &[TaskOutcome]| {
            let members = groups.chars().map(|group| Member {
                mark: Mark::of("id"),
                group: (group != '-').then(|| group.to_string()),
            });
            let ends = said.iter().map(|&outcome| MessageEnd {
                outcome,
                letter: None,
            });
            let mut ends: Vec<_> = ends.collect();
            keep_order(&members.collect::<Vec<_>>(), &mut ends);
            let outcomes: Vec<_> = ends.iter().map(|end| end.outcome).collect();
            assert_eq!(outcomes, kept, "{groups}");
        };
        check(
            "aba",
            &[Failed, Succeeded, Succeeded],
            &[Failed, Succeeded, Failed],
        );
        check(
            "aaa",
            &[Discarded, Failed, Discarded],
            &[Discarded, Failed, Failed],
        );
        check("--", &[Failed, Succeeded], &[Failed, Succeeded]);
    }
}
