//! Long polls: receives that wait for a message.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pyqs_broker::{QueueId, Receive};
use tokio::sync::oneshot;

use super::{Engine, Handover, State, Ticket, Unconfirmed, now};
use crate::error::ApiError;

/// What a poll is answered with: messages and the commit to wait for.
type Answer = Result<(Handover, Ticket), ApiError>;

/// The polls that wait, by queue, the longest waiting first.
#[derive(Default)]
pub(super) struct Polls {
    waiting: BTreeMap<QueueId, VecDeque<Poll>>,
    last_id: u64,
}

struct Poll {
    id: u64,
    /// What its client calls it, so as to end it.
    name: Option<String>,
    request: Receive,
    answer: oneshot::Sender<Answer>,
}

impl Polls {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Answers all with nothing.
    pub(super) fn end_all(&mut self) {
        // Whoever waits takes a dropped sender for the end.
        self.waiting.clear();
    }

    fn add(
        &mut self,
        queue: QueueId,
        request: Receive,
        name: Option<String>,
    ) -> (u64, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        self.last_id += 1;
        let id = self.last_id;
        self.waiting.entry(queue).or_default().push_back(Poll {
            id,
            name,
            request,
            answer,
        });
        (id, answered)
    }

    fn remove(&mut self, queue: QueueId, is_meant: impl Fn(&Poll) -> bool) {
        if let Some(polls) = self.waiting.get_mut(&queue) {
            polls.retain(|poll| !is_meant(poll));
            if polls.is_empty() {
                self.waiting.remove(&queue);
            }
        }
    }

    /// Takes the next poll whose client is still there.
    fn pop(&mut self, queue: QueueId) -> Option<Poll> {
        let polls = self.waiting.get_mut(&queue)?;
        let next = loop {
            match polls.pop_front() {
                Some(poll) if poll.answer.is_closed() => {}
                other => break other,
            }
        };
        if polls.is_empty() {
            self.waiting.remove(&queue);
        }
        next
    }

    fn push_front(&mut self, queue: QueueId, poll: Poll) {
        self.waiting.entry(queue).or_default().push_front(poll);
    }
}

impl Engine {
    /// `ReceiveMessage`: what is there, else what comes first within `wait`, else nothing.
    pub(crate) async fn receive(
        self: &Arc<Self>,
        queue: QueueId,
        request: Receive,
        wait: Duration,
        name: Option<String>,
    ) -> Result<Handover, ApiError> {
        let (handover, ticket) = match self.receive_or_wait(queue, request, wait, name)? {
            Received::Now(handover, ticket) => (handover, ticket),
            Received::Later(poll, answered) => poll.answered_within(wait, answered).await?,
        };
        ticket.kept().await?;
        Ok(handover)
    }

    /// Ends the wait of the receive that its client calls so: unless it is being answered just now, it is answered
    /// with nothing. So its client reads its answer in any case, and no message is lost to it.
    pub(crate) fn end_poll(self: &Arc<Self>, queue: QueueId, name: &str) -> Unconfirmed {
        // Whoever waits takes a dropped sender for the end.
        let is_meant = |poll: &Poll| poll.name.as_deref() == Some(name);
        self.lock().polls.remove(queue, is_meant);
        Unconfirmed::nothing(self, queue)
    }

    fn receive_or_wait(
        self: &Arc<Self>,
        queue: QueueId,
        request: Receive,
        wait: Duration,
        name: Option<String>,
    ) -> Result<Received, ApiError> {
        let mut state = self.lock();
        state.refuse_if_unable()?;
        let deliveries = state.broker.receive(now(), queue, &request);
        let ticket = state.submit();
        self.settle(&mut state);
        let deliveries = deliveries?;
        if !deliveries.is_empty() || wait.is_zero() {
            return Ok(Received::Now(
                Handover::new(self, queue, deliveries),
                ticket,
            ));
        }
        let (id, answered) = state.polls.add(queue, request, name);
        // The end of a delay or a timeout may be awaited now.
        self.settle(&mut state);
        let engine = Arc::clone(self);
        Ok(Received::Later(Waiting { engine, queue, id }, answered))
    }
}

enum Received {
    Now(Handover, Ticket),
    Later(Waiting, oneshot::Receiver<Answer>),
}

/// A poll that waits. Dropped with the connection, it takes the poll out; an answer that was
/// already under way is dropped with its receiver, and [`Handover`] gives the messages back.
struct Waiting {
    engine: Arc<Engine>,
    queue: QueueId,
    id: u64,
}

impl Waiting {
    async fn answered_within(
        self,
        wait: Duration,
        mut answered: oneshot::Receiver<Answer>,
    ) -> Answer {
        let nothing = || {
            Ok((
                Handover::new(&self.engine, self.queue, Vec::new()),
                Ticket::Kept,
            ))
        };
        match tokio::time::timeout(wait, &mut answered).await {
            Ok(Ok(answer)) => answer,
            // The endpoint stops, or the client wants it to end.
            Ok(Err(_)) => nothing(),
            Err(_) => {
                self.leave();
                // It may have been answered in the very last moment.
                answered.try_recv().unwrap_or_else(|_| nothing())
            }
        }
    }
}

impl Waiting {
    fn leave(&self) {
        let mut state = self.engine.lock();
        state.polls.remove(self.queue, |poll| poll.id == self.id);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.leave();
    }
}

impl State {
    /// Gives what can be received to the polls that wait for it.
    pub(super) fn serve_polls(&mut self, engine: &Arc<Engine>) {
        loop {
            let woken = self.broker.take_woken();
            if woken.is_empty() {
                return;
            }
            for queue in woken {
                while let Some(poll) = self.polls.pop(queue) {
                    if !self.serve(engine, queue, poll) {
                        break;
                    }
                }
            }
        }
    }

    /// Whether the poll was served; one that got nothing waits on in its place.
    fn serve(&mut self, engine: &Arc<Engine>, queue: QueueId, poll: Poll) -> bool {
        let deliveries = match self.broker.receive(now(), queue, &poll.request) {
            Ok(deliveries) if deliveries.is_empty() => {
                self.polls.push_front(queue, poll);
                return false;
            }
            Ok(deliveries) => deliveries,
            Err(error) => {
                // A client that has gone needs no refusal.
                let _ = poll.answer.send(Err(error.into()));
                return true;
            }
        };
        let ticket = self.submit();
        let handover = Handover::new(engine, queue, deliveries);
        if let Err(Ok((handover, _))) = poll.answer.send(Ok((handover, ticket))) {
            // The client has gone just now. The state is locked here: undo it in place.
            for receipt in handover.into_receipts() {
                self.broker.release(now(), queue, &receipt);
            }
        }
        true
    }
}
