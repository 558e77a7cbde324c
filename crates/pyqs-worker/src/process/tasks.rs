//! What one lane of a task process was given, and how far it has come.

use std::collections::VecDeque;
use std::time::Duration;

use pyqs_core::{Event, MessageKey};

use super::ledger::{Ledger, OUTCOMES_KEPT, Sequence};
use super::outcome::{AfterDeath, TaskOutcome};
use super::successes::Mark;
use super::wire::{DeadLetter, MessageEnd, TaskResult};

/// The tasks of one lane. Each is reported as ended once, whether its frame or the ledger tells
/// first.
#[derive(Debug, Default)]
pub(crate) struct TasksSent {
    last_sequence: Sequence,
    /// Sent, not taken back, not reported as ended; in the order of their sequences.
    in_flight: VecDeque<InFlight>,
    /// Ended with all that follows a task, as the process's frames say.
    finished: u32,
    /// Reported as ended.
    ended: u32,
    took: Duration,
}

/// A task that was sent.
#[derive(Debug)]
struct InFlight {
    sequence: Sequence,
    message: MessageKey,
    /// Those that are run with it.
    others: Vec<MessageKey>,
    /// It is known what is to be sent after it.
    is_announced: bool,
    /// What becomes of each message, where the process has said that.
    ends: Vec<TaskOutcome>,
    /// And what would if the process died.
    after_death: Vec<AfterDeath>,
    /// Of one that another manager has sent: by these the success of each message is known, as its frames are read by
    /// nobody.
    marks: Vec<Mark>,
}

impl InFlight {
    fn messages(&self) -> impl Iterator<Item = MessageKey> + '_ {
        std::iter::once(self.message).chain(self.others.iter().copied())
    }
}

/// What a process has done, of what it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wear {
    /// Tasks that ended with all that follows a task.
    pub(crate) finished: u32,
    /// Tasks that ended.
    pub(crate) ended: u32,
    /// How long these took, together.
    pub(crate) took: Duration,
}

impl Wear {
    /// That of all lanes.
    pub(crate) fn of<'a>(lanes: impl Iterator<Item = &'a TasksSent>) -> Self {
        lanes.fold(Self::default(), |wear, lane| Self {
            finished: wear.finished + lane.finished,
            ended: wear.ended + lane.ended,
            took: wear.took + lane.took,
        })
    }

    /// Whether all was run that may be, hooks included.
    pub(crate) fn is_used_up(self, max: u32) -> bool {
        self.finished >= max
    }

    /// Whether all will have been run that may be within this time, if the process is kept busy. Never in the first
    /// fifth of its tasks: an idle worker that once ran a tiny task is not to keep a spare process for ever.
    pub(crate) fn is_near_its_end(self, max: u32, within: Duration) -> bool {
        let left = max.saturating_sub(self.ended);
        let knows_its_pace = self.ended > 0 && self.ended >= max / 5;
        left <= 1 || (knows_its_pace && self.took / self.ended * left <= within)
    }
}

impl TasksSent {
    /// Of a lane that was another manager's: what it runs.
    pub(crate) fn left_behind(sequence: Sequence, messages: &[(MessageKey, Mark)]) -> Self {
        let mut tasks = Self {
            last_sequence: sequence.saturating_sub(1),
            ..Self::default()
        };
        let mut keys = messages.iter().map(|&(message, _)| message);
        if let Some(first) = keys.next() {
            tasks.sent(first);
        }
        for other in keys {
            tasks.sent_with(other);
        }
        if let Some(task) = tasks.in_flight.back_mut() {
            task.marks = messages.iter().map(|&(_, mark)| mark).collect();
        }
        tasks
    }

    /// A task is on its way; this is its number.
    pub(crate) fn sent(&mut self, message: MessageKey) -> Sequence {
        self.last_sequence += 1;
        self.in_flight.push_back(InFlight {
            sequence: self.last_sequence,
            message,
            others: Vec::new(),
            is_announced: false,
            ends: Vec::new(),
            after_death: Vec::new(),
            marks: Vec::new(),
        });
        self.last_sequence
    }

    /// A message that is run with the one before is on its way, under the same number.
    pub(crate) fn sent_with(&mut self, message: MessageKey) -> Sequence {
        let last = self.in_flight.back_mut();
        last.expect("one was sent before").others.push(message);
        self.last_sequence
    }

    /// The number of a task that was sent and has not been reported as ended.
    pub(crate) fn sequence(&self, message: MessageKey) -> Option<Sequence> {
        let mut in_flight = self.in_flight.iter();
        let found = in_flight.find(|task| task.messages().any(|of_it| of_it == message));
        found.map(|task| task.sequence)
    }

    /// The task of this number, likewise: its first message.
    pub(crate) fn message(&self, sequence: Sequence) -> Option<MessageKey> {
        let mut in_flight = self.in_flight.iter();
        let found = in_flight.find(|task| task.sequence == sequence);
        found.map(|task| task.message)
    }

    fn of_mut(&mut self, sequence: Sequence) -> Option<&mut InFlight> {
        let mut in_flight = self.in_flight.iter_mut();
        in_flight.find(|task| task.sequence == sequence)
    }

    /// Whether all that was sent was taken back or reported as ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The process has said what is to be sent after a task, or where its message is to go; which message that is.
    pub(crate) fn announced(&mut self, sequence: Sequence) -> Option<MessageKey> {
        let task = self.of_mut(sequence)?;
        task.is_announced = true;
        Some(task.message)
    }

    /// The process has said what becomes of each message of a task; which of them are to go to a dead-letter queue.
    pub(crate) fn each(
        &mut self,
        sequence: Sequence,
        ends: Vec<MessageEnd>,
    ) -> Vec<(MessageKey, DeadLetter)> {
        let Some(task) = self.of_mut(sequence) else {
            return Vec::new();
        };
        task.is_announced = true;
        task.ends = ends.iter().map(|end| end.outcome).collect();
        let letters = task.messages().zip(ends);
        let letters = letters.filter_map(|(message, end)| Some((message, end.letter?)));
        letters.collect()
    }

    /// The process has said what becomes of each if it dies.
    pub(crate) fn each_after_death(&mut self, sequence: Sequence, after_death: Vec<AfterDeath>) {
        if let Some(task) = self.of_mut(sequence) {
            task.after_death = after_death;
        }
    }

    /// Takes in what the process says has ended.
    pub(crate) fn take_result(&mut self, result: TaskResult, events: &mut Vec<Event>) {
        self.finished += 1;
        let took = Duration::from_nanos(result.took_nanos);
        self.report(result.sequence, result.outcome, took, events);
    }

    /// Takes in what the ledger says has ended.
    pub(crate) fn harvest(&mut self, ledger: &Ledger, slot: u32, events: &mut Vec<Event>) {
        let finished = ledger.progress(slot).finished;
        while let Some(&InFlight {
            sequence,
            is_announced,
            ..
        }) = self.in_flight.front()
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
            if outcome.is_announced() && !is_announced {
                // The process has said what, and that is still to be read.
                return;
            }
            let outcome = self.known_by_marks(ledger, outcome);
            self.report(sequence, outcome, took, events);
        }
    }

    /// What the process could tell nobody of the first task counts as failed; which of its messages have succeeded is
    /// remembered all the same.
    fn known_by_marks(&mut self, ledger: &Ledger, outcome: TaskOutcome) -> TaskOutcome {
        match self.in_flight.front_mut() {
            Some(task) if outcome == TaskOutcome::Failed && !task.marks.is_empty() => {
                let ends = task.marks.iter().map(|&mark| {
                    if ledger.successes().contains(mark) {
                        TaskOutcome::Succeeded
                    } else {
                        outcome
                    }
                });
                task.ends = ends.collect();
                TaskOutcome::Each
            }
            _ => outcome,
        }
    }

    /// Takes back what has not begun. Harvest first.
    pub(crate) fn take_back(&mut self, ledger: &Ledger, slot: u32) -> Vec<MessageKey> {
        let begun = ledger.revoke(slot, self.last_sequence);
        let first = self
            .in_flight
            .partition_point(|task| task.sequence <= begun);
        let back = self.in_flight.drain(first..);
        back.flat_map(|task| task.messages().collect::<Vec<_>>())
            .collect()
    }

    /// What has begun and not ended: its first message. Harvest first.
    pub(crate) fn running(&self, ledger: &Ledger, slot: u32) -> Option<MessageKey> {
        let begun = ledger.progress(slot).begun;
        let task = self.in_flight.front()?;
        (task.sequence <= begun).then_some(task.message)
    }

    /// All messages of what has begun and not ended, each with what becomes of it if the process dies. Harvest first.
    pub(crate) fn running_all(&self, ledger: &Ledger, slot: u32) -> Vec<(MessageKey, AfterDeath)> {
        let Some(task) = self.in_flight.front() else {
            return Vec::new();
        };
        if self.running(ledger, slot).is_none() {
            return Vec::new();
        }
        let of_all = ledger.after_death(slot);
        let running = task.messages().enumerate().map(|(place, message)| {
            let own = task.after_death.get(place);
            (message, own.unwrap_or(&of_all).clone())
        });
        running.collect()
    }

    /// What becomes of the first message of what runs if the process dies.
    pub(crate) fn after_death(&self, ledger: &Ledger, slot: u32) -> AfterDeath {
        let running = self.running_all(ledger, slot);
        let first = running.into_iter().next();
        first
            .map(|(_, after_death)| after_death)
            .unwrap_or_default()
    }

    fn report(
        &mut self,
        sequence: Sequence,
        outcome: TaskOutcome,
        took: Duration,
        events: &mut Vec<Event>,
    ) {
        // Else it was reported before.
        let is_first = |task: &mut InFlight| task.sequence == sequence;
        let Some(task) = self.in_flight.pop_front_if(is_first) else {
            return;
        };
        self.ended += 1;
        self.took += took;
        let ended = task.messages().enumerate().map(|(place, message)| {
            let own = task
                .ends
                .get(place)
                .filter(|_| outcome == TaskOutcome::Each);
            Event::TaskEnded {
                message,
                outcome: own.copied().unwrap_or(outcome).into(),
                took,
            }
        });
        events.extend(ended);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pyqs_core::{Event, MessageKey, Outcome};

    use super::{TasksSent, Wear};
    use crate::process::ledger::{Ledger, OUTCOMES_KEPT};
    use crate::process::outcome::TaskOutcome;
    use crate::process::successes::Mark;
    use crate::process::wire::TaskResult;

    fn sent(count: u64) -> (TasksSent, Ledger) {
        let mut tasks = TasksSent::default();
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
            lane: 0,
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
        tasks.take_result(results[0], &mut events);
        tasks.harvest(&ledger, 0, &mut events);
        tasks.take_result(results[1], &mut events);
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
        tasks.take_result(first, &mut events);
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
        assert_eq!(tasks.announced(2), None);
        assert_eq!(tasks.announced(1), Some(MessageKey(1)));
        tasks.harvest(&ledger, 0, &mut events);
        assert_eq!(ended(&events), [(1, Outcome::DeadLetter)]);
    }

    #[test]
    fn what_another_manager_left_running_ends_as_ledger_and_marks_say() {
        let ledger = Ledger::new(1).unwrap();
        let messages = [1, 2].map(|key| (MessageKey(key), Mark::of(&key.to_string())));
        let mut tasks = TasksSent::left_behind(7, &messages);
        assert!(ledger.begin(0, 7));
        let mut events = Vec::new();
        tasks.harvest(&ledger, 0, &mut events);
        assert_eq!(events, []);
        assert_eq!(tasks.running(&ledger, 0), Some(MessageKey(1)));
        assert_eq!(tasks.sequence(MessageKey(2)), Some(7));
        // Of several, the process has told nobody what becomes of each.
        ledger.successes().add(messages[1].1);
        ledger.finish(0, 7, TaskOutcome::Failed, Duration::ZERO);
        tasks.harvest(&ledger, 0, &mut events);
        assert_eq!(
            ended(&events),
            [(1, Outcome::Failed), (2, Outcome::Succeeded)]
        );
        assert!(tasks.is_idle());
    }

    #[test]
    fn the_end_is_near_by_count_or_by_time() {
        let wear = |ended: u32| Wear {
            finished: ended,
            ended,
            took: Duration::from_millis(10) * ended,
        };
        let second = Duration::from_secs(1);
        assert!(!wear(0).is_near_its_end(4, second), "nothing is known yet");
        assert!(!wear(3).is_near_its_end(20, second), "17 of 20 left");
        assert!(wear(4).is_near_its_end(20, second), "16 left of 10 ms each");
        assert!(wear(2).is_near_its_end(4, second), "two left of 10 ms each");
        assert!(!wear(2).is_near_its_end(4, Duration::from_millis(19)));
        assert!(wear(3).is_near_its_end(4, Duration::ZERO), "one left");
        assert!(!wear(3).is_used_up(4));
        assert!(wear(4).is_used_up(4));
    }

    #[test]
    fn a_process_wears_by_what_all_its_lanes_do() {
        let (mut one, ledger) = sent(2);
        let (other, _) = sent(2);
        one.take_result(run(&ledger, 1), &mut Vec::new());
        assert!(run(&ledger, 2).outcome == TaskOutcome::Succeeded);
        one.harvest(&ledger, 0, &mut Vec::new());
        let wear = Wear {
            finished: 1,
            ended: 2,
            took: Duration::from_millis(20),
        };
        assert_eq!(Wear::of([one, other].iter()), wear);
    }
}
