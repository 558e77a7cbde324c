//! A queue: its messages, the phases they are in, and what that means for line and deadlines.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::attempts::Attempts;
use crate::change::{Change, QueueRecord};
use crate::dedup::Deduplication;
use crate::effects::{Deadline, Effects};
use crate::ids::MessageKey;
use crate::line::Line;
use crate::message::{Message, Phase};
use crate::time::Timestamp;

/// How many messages a queue has, by phase: SQS's three `Approximate...` attributes, exact here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Can be received, or could if their group weren't locked.
    pub visible: usize,
    /// Received and neither deleted nor given back.
    pub in_flight: usize,
    /// Sent with a delay that isn't over.
    pub delayed: usize,
}

/// All changes of a message's phase go through `insert`, `set_phase` and `remove`, which keep
/// line, counts and deadlines in step. What is to be journaled is the callers' business.
#[derive(Debug)]
pub(crate) struct Queue<P> {
    pub(crate) record: QueueRecord,
    pub(crate) deduplication: Deduplication,
    pub(crate) attempts: Attempts,
    /// When it was purged last.
    pub(crate) purged: Option<Timestamp>,
    messages: BTreeMap<MessageKey, Message<P>>,
    line: Line,
    in_flight: usize,
    delayed: usize,
    /// When `Deadline::Retention` stands for this queue: never later than the oldest expires.
    retention_at: Option<Timestamp>,
    /// When `Deadline::Memory` stands for this queue.
    memory_at: Option<Timestamp>,
}

impl<P> Queue<P> {
    pub(crate) fn new(record: QueueRecord) -> Self {
        Self {
            line: Line::new(record.attributes.is_fifo),
            record,
            deduplication: Deduplication::default(),
            attempts: Attempts::default(),
            purged: None,
            messages: BTreeMap::new(),
            in_flight: 0,
            delayed: 0,
            retention_at: None,
            memory_at: None,
        }
    }

    pub(crate) fn is_fifo(&self) -> bool {
        self.record.attributes.is_fifo
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            visible: self.messages.len() - self.in_flight - self.delayed,
            in_flight: self.in_flight,
            delayed: self.delayed,
        }
    }

    pub(crate) fn message(&self, key: MessageKey) -> Option<&Message<P>> {
        self.messages.get(&key)
    }

    pub(crate) fn message_mut(&mut self, key: MessageKey) -> Option<&mut Message<P>> {
        self.messages.get_mut(&key)
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = (MessageKey, &Message<P>)> {
        self.messages.iter().map(|(key, message)| (*key, message))
    }

    /// Up to `max` messages that may be received now.
    pub(crate) fn next_batch(&mut self, now: Timestamp, max: usize) -> Vec<MessageKey> {
        self.line.next_batch(now, max)
    }

    /// The oldest message that could be received now.
    pub(crate) fn oldest_available(&self) -> Option<MessageKey> {
        self.line.oldest()
    }

    pub(crate) fn insert(
        &mut self,
        key: MessageKey,
        message: Message<P>,
        effects: &mut Effects<P>,
    ) {
        let expires = message
            .sent
            .plus_secs(self.record.attributes.retention_secs);
        let (phase, sent) = (message.state().phase, message.sent);
        let group = message.group().cloned();
        self.messages.insert(key, message);
        self.enter(key, group.as_ref(), phase, effects);
        self.line.sent(group.as_ref(), sent);
        if self.retention_at.is_none_or(|at| expires < at) {
            self.schedule_retention(effects);
        }
    }

    pub(crate) fn remove(
        &mut self,
        key: MessageKey,
        effects: &mut Effects<P>,
    ) -> Option<Message<P>> {
        let message = self.messages.remove(&key)?;
        self.leave(key, message.group(), message.state().phase, effects);
        if self.is_fifo() {
            self.wake_if_any(effects);
        }
        Some(message)
    }

    pub(crate) fn set_phase(&mut self, key: MessageKey, phase: Phase, effects: &mut Effects<P>) {
        let Some(message) = self.messages.get_mut(&key) else {
            return;
        };
        let before = std::mem::replace(&mut message.state_mut().phase, phase);
        let group = message.group().cloned();
        self.leave(key, group.as_ref(), before, effects);
        self.enter(key, group.as_ref(), phase, effects);
    }

    /// `Deadline::Visible`: the delay or the visibility timeout is over.
    pub(crate) fn show(&mut self, key: MessageKey, effects: &mut Effects<P>) {
        self.set_phase(key, Phase::Ready, effects);
    }

    /// `Deadline::Retention`: drops what is too old. Keys grow with age, so the oldest is first.
    pub(crate) fn expire(&mut self, now: Timestamp, effects: &mut Effects<P>) {
        self.retention_at = None;
        let retention_secs = self.record.attributes.retention_secs;
        while let Some((&key, message)) = self.messages.first_key_value()
            && message.sent.plus_secs(retention_secs) <= now
        {
            self.remove(key, effects);
            effects.record(|| Change::MessageDeleted(key));
        }
        self.schedule_retention(effects);
    }

    /// Puts the retention deadline where the oldest message expires.
    pub(crate) fn schedule_retention(&mut self, effects: &mut Effects<P>) {
        let deadline = Deadline::Retention(self.record.id);
        if let Some(at) = self.retention_at.take() {
            effects.cancel(at, deadline);
        }
        let Some((_, oldest)) = self.messages.first_key_value() else {
            return;
        };
        let at = oldest.sent.plus_secs(self.record.attributes.retention_secs);
        self.retention_at = Some(at);
        effects.schedule(at, deadline);
    }

    /// `Deadline::Memory`: forgets deduplication and attempt ids.
    pub(crate) fn forget(&mut self, now: Timestamp, effects: &mut Effects<P>) {
        self.memory_at = None;
        self.deduplication.forget_until(now);
        self.attempts.forget_until(now);
        self.schedule_memory(effects);
    }

    /// To be called after something was remembered.
    pub(crate) fn schedule_memory(&mut self, effects: &mut Effects<P>) {
        let expiries = [
            self.deduplication.next_expiry(),
            self.attempts.next_expiry(),
        ];
        let next = expiries.into_iter().flatten().min();
        if next == self.memory_at {
            return;
        }
        let deadline = Deadline::Memory(self.record.id);
        if let Some(at) = self.memory_at {
            effects.cancel(at, deadline);
        }
        if let Some(at) = next {
            effects.schedule(at, deadline);
        }
        self.memory_at = next;
    }

    /// FIFO: a new delay holds for messages already there (AWS: sqs-delay-queues).
    pub(crate) fn reschedule_delayed(&mut self, now: Timestamp, effects: &mut Effects<P>) {
        let delay_secs = self.record.attributes.delay_secs;
        let delayed: Vec<_> = self
            .messages()
            .filter(|(_, message)| matches!(message.state().phase, Phase::Delayed { .. }))
            .map(|(key, message)| (key, message.sent.plus_secs(delay_secs)))
            .collect();
        for (key, until) in delayed {
            let phase = if until <= now {
                Phase::Ready
            } else {
                Phase::Delayed { until }
            };
            self.set_phase(key, phase, effects);
        }
    }

    /// Drops all messages, and every deadline but that of the memory.
    pub(crate) fn clear(&mut self, effects: &mut Effects<P>) {
        for (key, message) in std::mem::take(&mut self.messages) {
            if let Some(at) = hidden_until(message.state().phase) {
                effects.cancel(at, Deadline::Visible(self.record.id, key));
            }
        }
        self.line.clear();
        self.in_flight = 0;
        self.delayed = 0;
        self.schedule_retention(effects);
    }

    /// Drops the memory too: the queue goes away.
    pub(crate) fn close(&mut self, effects: &mut Effects<P>) {
        self.clear(effects);
        self.deduplication = Deduplication::default();
        self.attempts = Attempts::default();
        self.schedule_memory(effects);
    }

    fn enter(
        &mut self,
        key: MessageKey,
        group: Option<&Arc<str>>,
        phase: Phase,
        effects: &mut Effects<P>,
    ) {
        match phase {
            Phase::Delayed { .. } => self.delayed += 1,
            Phase::InFlight { .. } => self.in_flight += 1,
            Phase::Ready => {}
        }
        if let Some(at) = hidden_until(phase) {
            effects.schedule(at, Deadline::Visible(self.record.id, key));
        }
        self.line.enter(key, group, phase);
        if phase == Phase::Ready {
            self.wake_if_any(effects);
        }
    }

    fn leave(
        &mut self,
        key: MessageKey,
        group: Option<&Arc<str>>,
        phase: Phase,
        effects: &mut Effects<P>,
    ) {
        match phase {
            Phase::Delayed { .. } => self.delayed -= 1,
            Phase::InFlight { .. } => self.in_flight -= 1,
            Phase::Ready => {}
        }
        if let Some(at) = hidden_until(phase) {
            effects.cancel(at, Deadline::Visible(self.record.id, key));
        }
        self.line.leave(key, group, phase);
    }

    fn wake_if_any(&self, effects: &mut Effects<P>) {
        if self.line.has_any() {
            effects.wake(self.record.id);
        }
    }
}

fn hidden_until(phase: Phase) -> Option<Timestamp> {
    match phase {
        Phase::Delayed { until } | Phase::InFlight { until, .. } => Some(until),
        Phase::Ready => None,
    }
}
