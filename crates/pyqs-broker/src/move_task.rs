//! Move tasks: dead letters go back to where they came from, or elsewhere, at a steady rate.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::attributes::name_of_arn;
use crate::broker::Broker;
use crate::change::Change;
use crate::effects::{Deadline, Effects};
use crate::error::{Error, invalid_parameter};
use crate::ids::{MessageKey, MoveTaskId, QueueId};
use crate::limits::{MOVE_TASK_RATE_MAX, MOVE_TASKS_LISTED_MAX};
use crate::message::{Message, Payload, Phase, State, Traits};
use crate::settle::record_update;
use crate::time::Timestamp;

/// Messages that are due to move are moved together this often, so that a task at full rate
/// doesn't wake its driver for each of them.
const STEP: Duration = Duration::from_millis(50);

/// A move task, running or over. Public for stores, which write and read it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveTask {
    /// Its id. Messages with a smaller key were there when it started: those are what it moves.
    pub id: MoveTaskId,
    /// The dead-letter queue.
    pub source: QueueId,
    /// The ARN of the queue to move to; `None` is each message's own source.
    pub destination_arn: Option<String>,
    /// Messages a second; `None` leaves it to the broker, which takes the most that SQS allows.
    pub rate: Option<u32>,
    /// When it was started.
    pub started: Timestamp,
    /// Messages that could be moved when it started.
    pub to_move: u64,
    /// Messages moved so far.
    pub moved: u64,
    /// Where it stands.
    pub status: MoveStatus,
}

/// Where a move task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveStatus {
    /// It moves messages.
    Running,
    /// Nothing is left that it could move.
    Completed,
    /// It was ended before that.
    Cancelled,
    /// It couldn't go on.
    Failed(MoveFailure),
}

/// Why a move task couldn't go on (AWS: troubleshooting-dlq-redrive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveFailure {
    /// The message didn't come from a queue: it was sent to the dead-letter queue itself.
    SourceUnknown,
    /// The queue to move to is gone.
    QueueMissing,
}

impl MoveFailure {
    /// AWS's word for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::SourceUnknown => "CouldNotDetermineMessageSource",
            Self::QueueMissing => "AWS.SimpleQueueService.NonExistentQueue",
        }
    }
}

/// Move tasks by the queue they take from, with their pace.
#[derive(Debug, Default)]
pub(crate) struct MoveTasks {
    tasks: BTreeMap<(QueueId, MoveTaskId), MoveTask>,
    running: BTreeMap<MoveTaskId, Pace>,
}

/// How far a running task may have got.
#[derive(Debug, Clone, Copy)]
struct Pace {
    source: QueueId,
    from: Timestamp,
    /// Moved since `from`.
    moved: u64,
    /// When the task's deadline stands.
    next: Timestamp,
}

impl MoveTasks {
    /// Takes in a task, new or restored.
    pub(crate) fn insert<P>(&mut self, now: Timestamp, task: MoveTask, effects: &mut Effects<P>) {
        if task.status == MoveStatus::Running {
            let pace = Pace {
                source: task.source,
                from: now,
                moved: 0,
                next: now + STEP,
            };
            self.running.insert(task.id, pace);
            effects.schedule(pace.next, Deadline::Move(task.id));
        }
        self.tasks.insert((task.source, task.id), task);
    }

    /// Drops the tasks of a queue that goes away. The store drops them with the queue.
    pub(crate) fn forget_source<P>(&mut self, source: QueueId, effects: &mut Effects<P>) {
        let ids: Vec<_> = self.of_source(source).map(|task| task.id).collect();
        for id in ids {
            self.tasks.remove(&(source, id));
            if let Some(pace) = self.running.remove(&id) {
                effects.cancel(pace.next, Deadline::Move(id));
            }
        }
    }

    fn of_source(&self, source: QueueId) -> impl DoubleEndedIterator<Item = &MoveTask> {
        let all = (source, MoveTaskId(0))..=(source, MoveTaskId(u64::MAX));
        self.tasks.range(all).map(|(_, task)| task)
    }
}

impl<P: Payload> Broker<P> {
    /// The queue that an ARN parameter names.
    pub fn queue_of_arn(&self, parameter: &'static str, arn: &str) -> Result<QueueId, Error> {
        if arn.split(':').count() != 6 || !arn.starts_with("arn:") {
            return Err(Error::InvalidParameterValue {
                message: format!(
                    "You must use this format to specify the {parameter}: \
                     arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
                ),
            });
        }
        self.queue(name_of_arn(arn))
            .map_err(|_| Error::resource_not_found(parameter))
    }

    /// `StartMessageMoveTask`: from now on [`advance`](Self::advance) moves the messages that are
    /// there, at `rate` a second.
    pub fn start_move_task(
        &mut self,
        now: Timestamp,
        source: QueueId,
        destination_arn: Option<&str>,
        rate: Option<u32>,
    ) -> Result<MoveTaskId, Error> {
        let now = self.advance(now);
        if let Some(rate) = rate.filter(|rate| !(1..=MOVE_TASK_RATE_MAX).contains(rate)) {
            let reason = "Must be between 1 and 500, if provided.";
            return Err(invalid_parameter(
                rate,
                "MaxNumberOfMessagesPerSecond",
                reason,
            ));
        }
        self.check_move(source, destination_arn)?;
        let to_move = self.view(source)?.counts.visible as u64;
        let task = MoveTask {
            id: MoveTaskId(self.next_key()),
            source,
            destination_arn: destination_arn.map(str::to_owned),
            rate,
            started: now,
            to_move,
            moved: 0,
            status: MoveStatus::Running,
        };
        let id = task.id;
        self.effects
            .record(|| Change::MoveTaskStored(Box::new(task.clone())));
        self.moves.insert(now, task, &mut self.effects);
        self.forget_old_move_tasks(source);
        Ok(id)
    }

    /// `CancelMessageMoveTask`: what has moved stays moved. Returns how many that were. A task
    /// that is over has no handle any more (`ListMessageMoveTasks`, `TaskHandle`), and so is none.
    pub fn cancel_move_task(
        &mut self,
        now: Timestamp,
        source: QueueId,
        name: &str,
    ) -> Result<u64, Error> {
        self.advance(now);
        let is_meant = |task: &&MoveTask| {
            task.status == MoveStatus::Running && self.move_task_name(task.id) == name
        };
        let task = self.moves.of_source(source).find(is_meant);
        let task = task.ok_or_else(|| Error::ResourceNotFound {
            message: "Task does not exist.".to_owned(),
        })?;
        let mut task = task.clone();
        task.status = MoveStatus::Cancelled;
        let moved = task.moved;
        self.end_move_task(task);
        Ok(moved)
    }

    /// `ListMessageMoveTasks`: those of this dead-letter queue, the latest first.
    pub fn move_tasks(&self, source: QueueId) -> impl Iterator<Item = &MoveTask> {
        self.moves.of_source(source).rev()
    }

    /// What clients know a task by: a UUID.
    pub fn move_task_name(&self, id: MoveTaskId) -> String {
        self.signer.message_id(MessageKey(id.0)).to_string()
    }

    /// Whether there is a task that moves messages while nobody asks for anything.
    pub fn is_moving(&self) -> bool {
        !self.moves.running.is_empty()
    }

    fn check_move(&self, source: QueueId, destination_arn: Option<&str>) -> Result<(), Error> {
        let refuse = |message: &str| Error::InvalidParameterValue {
            message: message.to_owned(),
        };
        if self.dead_letter_sources(source)?.is_empty() {
            let reason = "Source queue must be configured as a Dead Letter Queue.";
            return Err(refuse(reason));
        }
        if let Some(arn) = destination_arn {
            let destination = self.queue_of_arn("DestinationArn", arn)?;
            if destination == source {
                let reason = "Source queue arn and destination queue arn cannot be the same.";
                return Err(refuse(reason));
            }
            if self.queues[&destination].is_fifo() != self.queues[&source].is_fifo() {
                let reason =
                    "The source queue and destination queue must be of the same queue type.";
                return Err(refuse(reason));
            }
        }
        let mut tasks = self.moves.of_source(source);
        if tasks.any(|task| task.status == MoveStatus::Running) {
            return Err(refuse(
                "There is already a task running. Only one active task is allowed for a source \
                 queue arn at a given time.",
            ));
        }
        Ok(())
    }

    /// `Deadline::Move`: moves what is due, and sets the next deadline or ends the task.
    pub(crate) fn step_move_task(&mut self, now: Timestamp, id: MoveTaskId) {
        let Some(mut pace) = self.moves.running.get(&id).copied() else {
            return;
        };
        let Some(mut task) = self.moves.tasks.get(&(pace.source, id)).cloned() else {
            return;
        };
        let before = task.moved;
        for _ in 0..pace.due(now, rate_of(&task)) {
            match self.move_next(now, &task) {
                Ok(true) => task.moved += 1,
                Ok(false) => break,
                Err(failure) => {
                    task.status = MoveStatus::Failed(failure);
                    break;
                }
            }
        }
        if task.status == MoveStatus::Running && self.next_to_move(&task).is_none() {
            task.status = MoveStatus::Completed;
        }
        if task.status != MoveStatus::Running {
            return self.end_move_task(task);
        }
        pace.moved += task.moved - before;
        pace.next = pace.next_due(rate_of(&task)).max(now + STEP);
        self.effects.schedule(pace.next, Deadline::Move(id));
        self.moves.running.insert(id, pace);
        if task.moved > before {
            self.effects
                .record(|| Change::MoveTaskStored(Box::new(task.clone())));
            self.moves.tasks.insert((task.source, id), task);
        }
    }

    fn end_move_task(&mut self, task: MoveTask) {
        if let Some(pace) = self.moves.running.remove(&task.id) {
            self.effects.cancel(pace.next, Deadline::Move(task.id));
        }
        self.effects
            .record(|| Change::MoveTaskStored(Box::new(task.clone())));
        self.moves.tasks.insert((task.source, task.id), task);
    }

    fn forget_old_move_tasks(&mut self, source: QueueId) {
        let latest_first = self.moves.of_source(source).rev().map(|task| task.id);
        let old: Vec<_> = latest_first.skip(MOVE_TASKS_LISTED_MAX).collect();
        for id in old {
            self.moves.tasks.remove(&(source, id));
            self.effects.record(|| Change::MoveTaskForgotten(id));
        }
    }

    fn next_to_move(&self, task: &MoveTask) -> Option<MessageKey> {
        let key = self.queues.get(&task.source)?.oldest_available()?;
        (key.0 < task.id.0).then_some(key)
    }

    /// Moves one message; false when none is left. It is sent anew: new id, new time, as if never
    /// received (AWS: sqs-configure-dead-letter-queue-redrive).
    fn move_next(&mut self, now: Timestamp, task: &MoveTask) -> Result<bool, MoveFailure> {
        let Some(key) = self.next_to_move(task) else {
            return Ok(false);
        };
        let source = &self.queues[&task.source];
        let traits = source
            .message(key)
            .and_then(|m| m.state().traits.as_deref());
        let own_source = traits.and_then(|traits| traits.dead_letter_source.as_deref());
        let name = match &task.destination_arn {
            Some(arn) => name_of_arn(arn),
            None => own_source.ok_or(MoveFailure::SourceUnknown)?,
        };
        let target = self.queue(name).map_err(|_| MoveFailure::QueueMissing)?;
        if self.queues[&target].is_fifo() != source.is_fifo() {
            return Err(MoveFailure::QueueMissing);
        }
        let new_key = MessageKey(self.next_key());
        let (source, effects) = self
            .queue_and_effects(task.source)
            .map_err(|_| MoveFailure::QueueMissing)?;
        let Some(mut message) = source.remove(key, effects) else {
            return Ok(false);
        };
        let mut traits = message.state_mut().traits.take().unwrap_or_default();
        traits.first_key = None;
        traits.dead_letter_source = None;
        traits.receives_elsewhere = 0;
        let (target, effects) = self
            .queue_and_effects(target)
            .map_err(|_| MoveFailure::QueueMissing)?;
        let delay_secs = target.record.attributes.delay_secs;
        let phase = if delay_secs == 0 {
            Phase::Ready
        } else {
            let until = now.plus_secs(delay_secs);
            Phase::Delayed { until }
        };
        effects.record(|| Change::MessageMoved {
            from: key,
            key: new_key,
            queue: target.record.id,
            sent: now,
            traits: traits.clone(),
        });
        let state = State {
            phase,
            traits: (*traits != Traits::default()).then_some(traits),
            ..State::default()
        };
        let message = Message::new(message.payload, now, state);
        target.insert(new_key, message, effects);
        record_update(target, new_key, effects);
        Ok(true)
    }
}

fn rate_of(task: &MoveTask) -> u64 {
    u64::from(task.rate.unwrap_or(MOVE_TASK_RATE_MAX))
}

impl Pace {
    /// How many messages may move by now. Time in which nobody advanced the broker is made up for
    /// by a second's worth at most.
    fn due(&mut self, now: Timestamp, rate: u64) -> u64 {
        let allowed = |pace: &Self| {
            let elapsed = now.as_millis().saturating_sub(pace.from.as_millis());
            elapsed.saturating_mul(rate) / 1000 + 1
        };
        if allowed(self).saturating_sub(self.moved) > rate {
            self.from = now;
            self.moved = 0;
            return rate;
        }
        allowed(self).saturating_sub(self.moved)
    }

    /// When the message after those moved so far is due.
    fn next_due(&self, rate: u64) -> Timestamp {
        self.from + Duration::from_millis((self.moved * 1000).div_ceil(rate))
    }
}
