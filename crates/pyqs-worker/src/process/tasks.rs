//! What one task process was given, and how far it has come.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use pyqs_core::{Event, MessageKey, Outcome};

use super::ledger::{Ledger, OUTCOMES_KEPT, Sequence, TaskOutcome};
use super::wire::TaskResult;

/// The tasks of one process. Each is reported as ended once, whether its frame or the ledger tells
/// first.
#[derive(Debug)]
pub(crate) struct TasksSent {
    /// Tasks that the process runs in all.
    max: Option<u32>,
    last_sequence: Sequence,
    /// Sent, not taken back, not reported as ended; in the order of their sequences.
    in_flight: VecDeque<(Sequence, MessageKey)>,
    /// Of these, the ones whose dead-letter queue is known.
    dead_letters: BTreeSet<Sequence>,
    /// Ended with all that follows a task, as the process's frames say.
    finished: u32,
    /// Reported as ended.
    ended: u32,
    took: Duration,
}

impl TasksSent {
    pub(crate) fn new(max: Option<u32>) -> Self {
        Self {
            max,
            last_sequence: 0,
            in_flight: VecDeque::new(),
            dead_letters: BTreeSet::new(),
            finished: 0,
            ended: 0,
            took: Duration::ZERO,
        }
    }

    /// A task is on its way; this is its number.
    pub(crate) fn sent(&mut self, message: MessageKey) -> Sequence {
        self.last_sequence += 1;
        self.in_flight.push_back((self.last_sequence, message));
        self.last_sequence
    }

    /// How many tasks were reported as ended.
    pub(crate) fn ended(&self) -> u32 {
        self.ended
    }

    /// Whether the process has run all that it may, hooks included.
    pub(crate) fn is_used_up(&self) -> bool {
        self.max.is_some_and(|max| self.finished >= max)
    }

    /// Whether it will have run all that it may within this time, if it is kept busy. Never in the first half of its
    /// tasks: an idle worker that once ran a tiny task is not to keep a spare process for ever.
    pub(crate) fn is_near_its_end(&self, within: Duration) -> bool {
        let Some(left) = self.max.map(|max| max.saturating_sub(self.ended)) else {
            return false;
        };
        left <= 1 || (self.ended >= left && self.took / self.ended * left <= within)
    }

    /// The process has said where a task's message is to go; which message that is.
    pub(crate) fn dead_letter(&mut self, sequence: Sequence) -> Option<MessageKey> {
        let mut in_flight = self.in_flight.iter();
        let &(_, message) = in_flight.find(|&&(sent, _)| sent == sequence)?;
        self.dead_letters.insert(sequence);
        Some(message)
    }

    /// Takes in what the process says.
    pub(crate) fn take_results(&mut self, results: &[TaskResult], events: &mut Vec<Event>) {
        for result in results {
            self.finished += 1;
            let took = Duration::from_nanos(result.took_nanos);
            self.report(result.sequence, result.outcome, took, events);
        }
    }

    /// Takes in what the ledger says has ended.
    pub(crate) fn harvest(&mut self, ledger: &Ledger, slot: u32, events: &mut Vec<Event>) {
        let finished = ledger.progress(slot).finished;
        while let Some(&(sequence, _)) = self.in_flight.front()
            && sequence <= finished
        {
            let ended = ledger.ended(slot, sequence);
            let begun = ledger.progress(slot).begun;
            if begun.wrapping_sub(sequence) as usize >= OUTCOMES_KEPT {
                // It may have been written over; the process has sent it before it went so far.
                return;
            }
            // Only a process that writes at random leaves no outcome here.
            let (outcome, took) = ended.unwrap_or((TaskOutcome::Failed, Duration::ZERO));
            if outcome == TaskOutcome::DeadLetter && !self.dead_letters.contains(&sequence) {
                // The process has said whereto, and that is still to be read.
                return;
            }
            self.report(sequence, outcome, took, events);
        }
    }

    /// Takes back what has not begun. Harvest first.
    pub(crate) fn take_back(&mut self, ledger: &Ledger, slot: u32) -> Vec<MessageKey> {
        let begun = ledger.revoke(slot, self.last_sequence);
        let first = self
            .in_flight
            .partition_point(|&(sequence, _)| sequence <= begun);
        self.in_flight
            .drain(first..)
            .map(|(_, message)| message)
            .collect()
    }

    /// What has begun and not ended. Harvest first.
    pub(crate) fn running(&self, ledger: &Ledger, slot: u32) -> Option<MessageKey> {
        let begun = ledger.progress(slot).begun;
        let &(sequence, message) = self.in_flight.front()?;
        (sequence <= begun).then_some(message)
    }

    fn report(
        &mut self,
        sequence: Sequence,
        outcome: TaskOutcome,
        took: Duration,
        events: &mut Vec<Event>,
    ) {
        match self.in_flight.front() {
            Some(&(first, message)) if first == sequence => {
                self.in_flight.pop_front();
                self.dead_letters.remove(&sequence);
                self.ended += 1;
                self.took += took;
                events.push(Event::TaskEnded {
                    message,
                    outcome: outcome.into(),
                    took,
                });
            }
            // It was reported before.
            _ => {}
        }
    }
}

impl From<TaskOutcome> for Outcome {
    fn from(outcome: TaskOutcome) -> Self {
        match outcome {
            TaskOutcome::Succeeded => Self::Succeeded,
            TaskOutcome::Failed => Self::Failed,
            TaskOutcome::Unrunnable => Self::Unrunnable,
            TaskOutcome::NotStarted => Self::NotStarted,
            TaskOutcome::Retry { delay_secs } => Self::Retry {
                delay: Duration::from_secs(delay_secs.into()),
            },
            TaskOutcome::Exhausted => Self::Exhausted,
            TaskOutcome::DeadLetter => Self::DeadLetter,
            TaskOutcome::Discarded => Self::Discarded,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pyqs_core::{Event, MessageKey, Outcome};

    use super::TasksSent;
    use crate::process::ledger::{Ledger, OUTCOMES_KEPT, TaskOutcome};
    use crate::process::wire::TaskResult;

    fn sent(count: u64) -> (TasksSent, Ledger) {
        let mut tasks = TasksSent::new(Some(4));
        for key in 1..=count {
            tasks.sent(MessageKey(key));
        }
        (tasks, Ledger::new(1).unwrap())
    }

    fn run(ledger: &Ledger, sequence: u32) -> TaskResult {
        let took = Duration::from_millis(10);
        let outcome = TaskOutcome::Succeeded;
        assert!(ledger.begin(0, sequence));
        ledger.finish(0, sequence, outcome, took);
        TaskResult {
            sequence,
            outcome,
            took_nanos: 10_000_000,
        }
    }

    fn ended(events: &[Event]) -> Vec<(u64, Outcome)> {
        let ended = events.iter().map(|event| match event {
            Event::TaskEnded {
                message, outcome, ..
            } => (message.0, *outcome),
            other => panic!("{other:?}"),
        });
        ended.collect()
    }

    #[test]
    fn a_task_is_reported_once_by_frame_or_ledger() {
        let (mut tasks, ledger) = sent(3);
        let results = [run(&ledger, 1), run(&ledger, 2)];
        let mut events = Vec::new();
        tasks.take_results(&results[..1], &mut events);
        tasks.harvest(&ledger, 0, &mut events);
        tasks.take_results(&results[1..], &mut events);
        let done = Outcome::Succeeded;
        assert_eq!(ended(&events), [(1, done), (2, done)]);
        assert_eq!(tasks.running(&ledger, 0), None);
        assert!(ledger.begin(0, 3));
        assert_eq!(tasks.running(&ledger, 0), Some(MessageKey(3)));
    }

    #[test]
    fn what_has_begun_is_not_taken_back() {
        let (mut tasks, ledger) = sent(3);
        assert!(ledger.begin(0, 1));
        let back = tasks.take_back(&ledger, 0);
        assert_eq!(back, [MessageKey(2), MessageKey(3)]);
        assert_eq!(tasks.running(&ledger, 0), Some(MessageKey(1)));
        assert!(tasks.take_back(&ledger, 0).is_empty());
    }

    #[test]
    fn an_outcome_that_may_be_written_over_is_left_to_its_frame() {
        let (mut tasks, ledger) = sent(1 + OUTCOMES_KEPT as u64);
        let first = run(&ledger, 1);
        assert!(ledger.begin(0, 1 + u32::try_from(OUTCOMES_KEPT).unwrap()));
        let mut events = Vec::new();
        tasks.harvest(&ledger, 0, &mut events);
        assert_eq!(events, []);
        tasks.take_results(&[first], &mut events);
        assert_eq!(ended(&events), [(1, Outcome::Succeeded)]);
    }

    #[test]
    fn a_dead_letter_waits_until_it_is_known_whereto() {
        let (mut tasks, ledger) = sent(1);
        assert!(ledger.begin(0, 1));
        ledger.finish(0, 1, TaskOutcome::DeadLetter, Duration::ZERO);
        let mut events = Vec::new();
        tasks.harvest(&ledger, 0, &mut events);
        assert_eq!(events, []);
        assert_eq!(tasks.dead_letter(2), None);
        assert_eq!(tasks.dead_letter(1), Some(MessageKey(1)));
        tasks.harvest(&ledger, 0, &mut events);
        assert_eq!(ended(&events), [(1, Outcome::DeadLetter)]);
    }

    #[test]
    fn the_end_is_near_by_count_or_by_time() {
        let (mut tasks, ledger) = sent(4);
        let second = Duration::from_secs(1);
        assert!(!tasks.is_near_its_end(second), "nothing is known yet");
        tasks.take_results(&[run(&ledger, 1)], &mut Vec::new());
        assert!(!tasks.is_near_its_end(second), "three of four left");
        tasks.take_results(&[run(&ledger, 2)], &mut Vec::new());
        assert!(tasks.is_near_its_end(second), "two left of 10 ms each");
        assert!(!tasks.is_near_its_end(Duration::from_millis(19)));
        tasks.take_results(&[run(&ledger, 3)], &mut Vec::new());
        assert!(tasks.is_near_its_end(Duration::ZERO), "one left");
        assert!(!tasks.is_used_up());
        tasks.take_results(&[run(&ledger, 4)], &mut Vec::new());
        assert!(tasks.is_used_up());
    }

    #[test]
    fn a_process_that_is_never_replaced_has_no_end() {
        let mut tasks = TasksSent::new(None);
        tasks.sent(MessageKey(1));
        assert!(!tasks.is_near_its_end(Duration::MAX));
        assert!(!tasks.is_used_up());
    }
}
