//! SQS in memory, as little of it as the worker needs: no clock, no limits; what is hidden stays hidden
//! until its visibility is set to zero, and what was sent with a delay stays out of sight.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pyqs_sqs::{
    EntryError, Failure, Outgoing, QueueAttributes, QueueUrl, Receipt, ReceiveRequest, Received,
    Sqs, SqsError,
};
use tokio::sync::Notify;

/// A queue's URL.
pub(crate) fn url(name: &str) -> QueueUrl {
    QueueUrl::new(format!("http://127.0.0.1/000000000000/{name}"))
}

#[derive(Default)]
pub(crate) struct FakeSqs {
    state: Mutex<State>,
    /// Something was sent or became visible, or polls are to end.
    changed: Notify,
    ends_polls: AtomicBool,
    /// Nothing is answered.
    is_hanging: AtomicBool,
    asked_to_end: AtomicUsize,
}

#[derive(Default)]
struct State {
    queues: BTreeMap<String, Queue>,
    failure: Option<fn(Box<Failure>) -> SqsError>,
    refusal: Option<fn(&Outgoing) -> Option<EntryError>>,
    calls: BTreeMap<&'static str, usize>,
    last_id: usize,
    polls_ended: usize,
}

#[derive(Default)]
struct Queue {
    attributes: QueueAttributes,
    visible: VecDeque<Message>,
    hidden: BTreeMap<String, Message>,
    deleted: Vec<String>,
    visibilities: Vec<(String, Duration)>,
    sent: Vec<Outgoing>,
}

#[derive(Clone)]
struct Message {
    id: String,
    content: Outgoing,
    receives: u32,
}

impl FakeSqs {
    /// With these queues.
    pub(crate) fn with(names: &[&str]) -> Self {
        let sqs = Self::default();
        sqs.ends_polls.store(true, Ordering::Relaxed);
        for name in names {
            sqs.create(name);
        }
        sqs
    }

    pub(crate) fn create(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        let queue = state.queues.entry(name.to_owned()).or_default();
        queue.attributes.is_fifo = pyqs_sqs::names::is_fifo(name);
    }

    /// Sets the `maxReceiveCount` of a queue's redrive policy.
    #[allow(dead_code, reason = "only the tests of discovery ask for it")]
    pub(crate) fn grant_receives(&self, name: &str, receives_max: Option<u32>) {
        let mut state = self.state.lock().unwrap();
        if let Some(queue) = state.queues.get_mut(name) {
            queue.attributes.receives_max = receives_max;
        }
    }

    /// Sends a body; its id.
    pub(crate) fn put(&self, queue: &str, body: &str) -> String {
        self.put_message(queue, Outgoing::new(body))
    }

    /// Sends a message; its id.
    pub(crate) fn put_message(&self, queue: &str, content: Outgoing) -> String {
        let id = self.state.lock().unwrap().send(queue, content);
        self.changed.notify_waiters();
        id
    }

    /// From now on messages are refused for which this gives a reason.
    #[allow(dead_code, reason = "only the tests of sends ask for it")]
    pub(crate) fn refuse_sends(&self, refusal: fn(&Outgoing) -> Option<EntryError>) {
        self.state.lock().unwrap().refusal = Some(refusal);
    }

    /// What the worker has sent, in order.
    pub(crate) fn sent(&self, queue: &str) -> Vec<Outgoing> {
        self.state.lock().unwrap().queues[queue].sent.clone()
    }

    /// From now on every call fails so.
    pub(crate) fn fail(&self, failure: fn(Box<Failure>) -> SqsError) {
        self.state.lock().unwrap().failure = Some(failure);
    }

    pub(crate) fn recover(&self) {
        self.state.lock().unwrap().failure = None;
    }

    /// As Amazon's: a poll ends when it ends.
    pub(crate) fn keeps_polls(&self) {
        self.ends_polls.store(false, Ordering::Relaxed);
    }

    /// From now on nothing is answered.
    pub(crate) fn hang(&self) {
        self.is_hanging.store(true, Ordering::Relaxed);
    }

    async fn hang_if_wanted(&self) {
        if self.is_hanging.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// How often it was asked whether polls can be ended.
    pub(crate) fn asked_to_end(&self) -> usize {
        self.asked_to_end.load(Ordering::SeqCst)
    }

    /// Open polls come back empty.
    pub(crate) fn end_polls(&self) {
        self.state.lock().unwrap().polls_ended += 1;
        self.changed.notify_waiters();
    }

    /// Ids of what was deleted, in order.
    pub(crate) fn deleted(&self, queue: &str) -> Vec<String> {
        self.state.lock().unwrap().queues[queue].deleted.clone()
    }

    pub(crate) fn deleted_count(&self, queue: &str) -> usize {
        self.state.lock().unwrap().queues[queue].deleted.len()
    }

    /// Ids of what is visible.
    pub(crate) fn visible(&self, queue: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let visible = state.queues[queue].visible.iter();
        visible.map(|message| message.id.clone()).collect()
    }

    /// What was set by changing visibility, in order.
    pub(crate) fn visibilities(&self, queue: &str) -> Vec<(String, Duration)> {
        self.state.lock().unwrap().queues[queue]
            .visibilities
            .clone()
    }

    /// How often an action was called.
    pub(crate) fn calls(&self, action: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.calls.get(action).copied().unwrap_or(0)
    }

    fn called<T>(
        &self,
        action: &'static str,
        answer: impl FnOnce(&mut State) -> T,
    ) -> Result<T, SqsError> {
        let mut state = self.state.lock().unwrap();
        *state.calls.entry(action).or_default() += 1;
        match state.failure {
            Some(failure) => Err(failure(Box::new(Failure {
                action,
                ..Failure::default()
            }))),
            None => Ok(answer(&mut state)),
        }
    }
}

fn missing() -> SqsError {
    SqsError::QueueMissing(Box::default())
}

#[async_trait]
impl Sqs for FakeSqs {
    async fn queue_url(&self, name: &str) -> Result<QueueUrl, SqsError> {
        let is_there = self.called("queue_url", |state| state.queues.contains_key(name))?;
        is_there.then(|| url(name)).ok_or_else(missing)
    }

    async fn create_queue(
        &self,
        name: &str,
        _: &BTreeMap<String, String>,
    ) -> Result<QueueUrl, SqsError> {
        self.create(name);
        Ok(url(name))
    }

    async fn delete_queue(&self, _: &QueueUrl) -> Result<(), SqsError> {
        unreachable!("the worker deletes no queue")
    }

    async fn purge_queue(&self, _: &QueueUrl) -> Result<(), SqsError> {
        unreachable!("the worker purges no queue")
    }

    async fn list_queues(&self, prefix: Option<&str>) -> Result<Vec<QueueUrl>, SqsError> {
        self.called("list_queues", |state| {
            let names = state.queues.keys();
            let prefix = prefix.unwrap_or_default();
            let names = names.filter(|name| name.starts_with(prefix));
            names.map(|name| url(name)).collect()
        })
    }

    async fn queue_attributes(&self, queue: &QueueUrl) -> Result<QueueAttributes, SqsError> {
        self.called("queue_attributes", |state| {
            let queue = state.queues.get(queue.name());
            queue.map(|queue| queue.attributes.clone())
        })?
        .ok_or_else(missing)
    }

    async fn set_queue_attributes(
        &self,
        _: &QueueUrl,
        _: &BTreeMap<String, String>,
    ) -> Result<(), SqsError> {
        unreachable!("the worker changes no queue")
    }

    async fn send(&self, _: &QueueUrl, _: Outgoing) -> Result<String, SqsError> {
        unreachable!("the worker sends in batches")
    }

    async fn send_batch(
        &self,
        queue: &QueueUrl,
        messages: Vec<Outgoing>,
    ) -> Result<Vec<Result<String, EntryError>>, SqsError> {
        assert!((1..=10).contains(&messages.len()));
        let answers = self.called("send_batch", |state| {
            let name = queue.name();
            if !state.queues.contains_key(name) {
                return Err(missing());
            }
            let answers = messages.into_iter().map(|message| {
                if let Some(refused) = state.refusal.and_then(|refusal| refusal(&message)) {
                    return Err(refused);
                }
                let queue = state.queues.get_mut(name).expect("looked up above");
                queue.sent.push(message.clone());
                Ok(state.send(name, message))
            });
            Ok(answers.collect())
        })?;
        self.changed.notify_waiters();
        answers
    }

    async fn receive(
        &self,
        queue: &QueueUrl,
        request: ReceiveRequest,
    ) -> Result<Vec<Received>, SqsError> {
        let polls_ended = self.called("receive", |state| state.polls_ended)?;
        let waited = tokio::time::timeout(request.wait, async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                {
                    let mut state = self.state.lock().unwrap();
                    let is_ended = state.polls_ended > polls_ended;
                    let queue = state.queues.get_mut(queue.name()).ok_or_else(missing)?;
                    let received = queue.take(request.max.into());
                    if !received.is_empty() || is_ended {
                        return Ok(received);
                    }
                }
                changed.await;
            }
        });
        let answer = waited.await.unwrap_or_else(|_| Ok(Vec::new()));
        self.hang_if_wanted().await;
        answer
    }

    async fn delete_batch(
        &self,
        queue: &QueueUrl,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), EntryError>>, SqsError> {
        assert!((1..=10).contains(&receipts.len()));
        self.called("delete_batch", |state| {
            let queue = state.queues.get_mut(queue.name()).unwrap();
            let entries = receipts.iter().map(|receipt| {
                let message = queue.hidden.remove(receipt.as_str()).ok_or_else(expired)?;
                queue.deleted.push(message.id);
                Ok(())
            });
            entries.collect()
        })
    }

    async fn change_visibility_batch(
        &self,
        queue: &QueueUrl,
        entries: &[(Receipt, Duration)],
    ) -> Result<Vec<Result<(), EntryError>>, SqsError> {
        assert!((1..=10).contains(&entries.len()));
        let answers = self.called("change_visibility_batch", |state| {
            let queue = state.queues.get_mut(queue.name()).unwrap();
            let answers = entries.iter().map(|(receipt, hidden_for)| {
                let message = queue.hidden.get(receipt.as_str()).ok_or_else(expired)?;
                queue.visibilities.push((message.id.clone(), *hidden_for));
                if hidden_for.is_zero() {
                    let message = queue.hidden.remove(receipt.as_str());
                    queue.visible.extend(message);
                }
                Ok(())
            });
            answers.collect()
        });
        self.changed.notify_waiters();
        answers
    }

    fn can_end_polls(&self) -> bool {
        self.asked_to_end.fetch_add(1, Ordering::SeqCst);
        self.ends_polls.load(Ordering::Relaxed)
    }

    async fn end_poll(&self, _: &QueueUrl, _: &str) -> Result<(), SqsError> {
        self.hang_if_wanted().await;
        self.end_polls();
        Ok(())
    }
}

impl State {
    fn send(&mut self, queue: &str, content: Outgoing) -> String {
        self.last_id += 1;
        let id = format!("m{}", self.last_id);
        let is_delayed = content.delay.is_some_and(|delay| !delay.is_zero());
        let message = Message {
            id: id.clone(),
            content,
            receives: 0,
        };
        let queue = self.queues.get_mut(queue).expect("the queue is there");
        if !is_delayed {
            queue.visible.push_back(message);
        }
        id
    }
}

impl Queue {
    fn take(&mut self, max: usize) -> Vec<Received> {
        let count = self.visible.len().min(max);
        let taken: Vec<_> = self.visible.drain(..count).collect();
        let received = taken.into_iter().map(|mut message| {
            message.receives += 1;
            let receipt = format!("{}-{}", message.id, message.receives);
            let content = message.content.clone();
            let mut received = Received::new(&*message.id, receipt.as_str(), content.body);
            received.receive_count = message.receives;
            received.attributes = content.attributes;
            received.group = content.group;
            received.trace_header = content.trace_header;
            self.hidden.insert(receipt, message);
            received
        });
        received.collect()
    }
}

fn expired() -> EntryError {
    EntryError::ReceiptExpired {
        code: "ReceiptHandleIsInvalid".to_owned(),
        message: "it was deleted, or received again".to_owned(),
    }
}
