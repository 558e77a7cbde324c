//! What waits to be sent to one queue, and how many requests should be under way for it.
//!
//! Batches come about by themselves: a message that finds nothing under way goes at once; what
//! comes meanwhile waits for that request's end, and then goes together. While full batches wait,
//! and where a request takes long, more requests start, so that latency bounds neither throughput
//! nor the wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyqs_sqs::{BATCH_ENTRIES_MAX, Outgoing, QueueAttributes};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{ClientError, lock};

/// Requests under way for one queue.
pub(super) const FLIGHTS_MAX: usize = 32;

/// What comes later than this after a request was made no longer waits for its end.
pub(super) const GATHER_MAX: Duration = Duration::from_millis(50);

/// The most bytes in one batch (SQS API: `SendMessageBatch`).
const BATCH_SIZE_MAX: usize = QueueAttributes::MESSAGE_SIZE_MAX_DEFAULT;

/// A message with whom to tell how it went.
pub(super) struct Entry {
    pub(super) message: Outgoing,
    pub(super) reply: oneshot::Sender<Result<String, ClientError>>,
    /// No attempt begins later.
    pub(super) deadline: Instant,
}

impl Entry {
    pub(super) fn answer(self, answer: Result<String, ClientError>) {
        let _ = self.reply.send(answer); // Whoever asked may no longer wait.
    }
}

/// What waits to be sent to one queue.
#[derive(Clone)]
pub(super) struct Outbox {
    state: Arc<Mutex<State>>,
    flights_max: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Entry>,
    waiting_size: usize,
    flights: usize,
    /// Of the flights: those that have not yet taken a batch.
    starting: usize,
    /// Of the flights: those whose request takes long.
    slow: usize,
}

impl Outbox {
    /// FIFO queues have one request at a time, since two would race for the order.
    pub(super) fn new(is_fifo: bool) -> Self {
        let flights_max = if is_fifo { 1 } else { FLIGHTS_MAX };
        Self {
            state: Arc::default(),
            flights_max,
        }
    }

    pub(super) fn push(&self, entries: Vec<Entry>) {
        let mut state = lock(&self.state);
        for entry in entries {
            state.waiting_size += entry.message.size();
            state.waiting.push_back(entry);
        }
    }

    /// The flights that should start now; each must run.
    pub(super) fn wanted_flights(&self) -> Vec<Flight> {
        let mut state = lock(&self.state);
        let full = state.full_batches();
        let prompt = state.flights - state.slow;
        let wanted = match (state.waiting.is_empty(), prompt) {
            (true, _) => 0,
            (false, 0) => full.max(1),
            (false, _) => full.saturating_sub(state.starting),
        };
        let wanted = wanted.min(self.flights_max - state.flights);
        state.flights += wanted;
        state.starting += wanted;
        let flight = |_| Flight {
            outbox: self.clone(),
            phase: Phase::Starting,
        };
        (0..wanted).map(flight).collect()
    }
}

impl State {
    fn full_batches(&self) -> usize {
        (self.waiting.len() / BATCH_ENTRIES_MAX).max(self.waiting_size / BATCH_SIZE_MAX)
    }

    fn take_batch(&mut self) -> Vec<Entry> {
        let mut batch = Vec::new();
        let mut size = 0;
        while batch.len() < BATCH_ENTRIES_MAX
            && let Some(next) = self.waiting.front()
        {
            let next_size = next.message.size();
            if !batch.is_empty() && size + next_size > BATCH_SIZE_MAX {
                break;
            }
            let entry = self.waiting.pop_front().expect("it is in front");
            self.waiting_size -= next_size;
            // Whoever no longer waits has taken the message back.
            if !entry.reply.is_closed() {
                size += next_size;
                batch.push(entry);
            }
        }
        batch
    }

    fn leave(&mut self, phase: Phase) {
        match phase {
            Phase::Starting => self.starting -= 1,
            Phase::Slow => self.slow -= 1,
            Phase::Prompt | Phase::Over => {}
        }
    }
}

/// The right to have one request under way; given back when dropped.
pub(super) struct Flight {
    outbox: Outbox,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Prompt,
    Slow,
    Over,
}

impl Flight {
    /// The next batch; `None`, and the flight is over, when nothing waits.
    pub(super) fn next_batch(mut self) -> Option<(Self, Vec<Entry>)> {
        let mut state = lock(&self.outbox.state);
        state.leave(self.phase);
        let batch = state.take_batch();
        if batch.is_empty() {
            // Under the same lock, so that who pushes next sees that nobody will come.
            state.flights -= 1;
            self.phase = Phase::Over;
        } else {
            self.phase = Phase::Prompt;
        }
        drop(state);
        (self.phase == Phase::Prompt).then_some((self, batch))
    }

    /// Says that the present request takes long.
    pub(super) fn is_slow(&mut self) {
        if self.phase == Phase::Prompt {
            self.phase = Phase::Slow;
            lock(&self.outbox.state).slow += 1;
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.phase == Phase::Over {
            return;
        }
        let mut state = lock(&self.outbox.state);
        state.leave(self.phase);
        state.flights -= 1;
    }
}
