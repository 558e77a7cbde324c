//! An SQS in memory that fails as a test tells it to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pyqs_sqs::{
    EntryError, Failure, Outgoing, QueueAttributes, QueueUrl, Receipt, ReceiveRequest, Received,
    Sqs, SqsError,
};
use tokio::sync::Semaphore;

/// What one request comes to, instead of success.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Fail(SqsError),
    /// These entries of the batch fail.
    FailEntries(Vec<(usize, EntryError)>),
}

/// Queues with what was sent to each, and the requests that came.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) queues: BTreeMap<String, Vec<String>>,
    /// The messages themselves, in the order in which they came.
    pub(crate) messages: Vec<Outgoing>,
    pub(crate) requests: Vec<String>,
    pub(crate) batches: Vec<usize>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) underway: usize,
    pub(crate) underway_max: usize,
    /// Batches that hold this body are rejected as a whole.
    pub(crate) rejected_body: Option<String>,
}

pub(crate) struct FakeSqs {
    pub(crate) state: Mutex<State>,
    /// A send is answered when it has one of these.
    pub(crate) permits: Semaphore,
    /// How long every request takes.
    pub(crate) latency: Duration,
}

impl FakeSqs {
    pub(crate) fn new() -> Arc<Self> {
        Self::with(Semaphore::MAX_PERMITS, Duration::ZERO)
    }

    pub(crate) fn with(permits: usize, latency: Duration) -> Arc<Self> {
        let permits = Semaphore::new(permits);
        Arc::new(Self {
            state: Mutex::default(),
            permits,
            latency,
        })
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.state.lock().unwrap().faults.push_back(fault);
    }

    pub(crate) fn sent(&self, queue: &str) -> Vec<String> {
        self.state
            .lock()
            .unwrap()
            .queues
            .get(queue)
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    fn begin(&self, request: String) {
        self.state.lock().unwrap().requests.push(request);
    }

    fn find(&self, name: &str) -> Result<QueueUrl, SqsError> {
        let known = self.state.lock().unwrap().queues.contains_key(name);
        if known {
            Ok(url(name))
        } else {
            Err(SqsError::QueueMissing(failure("missing")))
        }
    }

    async fn deliver(
        &self,
        queue: &QueueUrl,
        messages: Vec<Outgoing>,
    ) -> Result<Vec<Result<String, EntryError>>, SqsError> {
        self.begin(format!("send {}", queue.name()));
        {
            let mut state = self.state.lock().unwrap();
            state.batches.push(messages.len());
            state.underway += 1;
            state.underway_max = state.underway_max.max(state.underway);
        }
        tokio::time::sleep(self.latency).await;
        self.permits.acquire().await.unwrap().forget();
        let state = &mut *self.state.lock().unwrap();
        state.underway -= 1;
        let failing = match state.faults.pop_front() {
            Some(Fault::Fail(error)) => return Err(error),
            Some(Fault::FailEntries(entries)) => entries,
            None => Vec::new(),
        };
        if let Some(rejected) = &state.rejected_body
            && messages.iter().any(|message| message.body == *rejected)
        {
            return Err(SqsError::Rejected(failure("bad body")));
        }
        let Some(sent) = state.queues.get_mut(queue.name()) else {
            return Err(SqsError::QueueMissing(failure("gone")));
        };
        let answers = messages.into_iter().enumerate().map(|(index, message)| {
            if let Some((_, error)) = failing.iter().find(|(failing, _)| *failing == index) {
                return Err(error.clone());
            }
            let id = format!("id-{}", message.body);
            sent.push(message.body.clone());
            state.messages.push(message);
            Ok(id)
        });
        Ok(answers.collect())
    }
}

#[allow(clippy::unnecessary_box_returns, reason = "errors hold it in a box")]
pub(crate) fn failure(reason: &str) -> Box<Failure> {
    Box::new(Failure {
        reason: reason.to_owned(),
        ..Failure::default()
    })
}

pub(crate) fn url(name: &str) -> QueueUrl {
    QueueUrl::new(format!("http://fake/0/{name}"))
}

#[async_trait]
impl Sqs for FakeSqs {
    async fn queue_url(&self, name: &str) -> Result<QueueUrl, SqsError> {
        self.begin(format!("url {name}"));
        self.find(name)
    }

    async fn create_queue(
        &self,
        name: &str,
        _: &BTreeMap<String, String>,
    ) -> Result<QueueUrl, SqsError> {
        self.begin(format!("create {name}"));
        self.state
            .lock()
            .unwrap()
            .queues
            .entry(name.to_owned())
            .or_default();
        Ok(url(name))
    }

    async fn list_queues(&self, prefix: Option<&str>) -> Result<Vec<QueueUrl>, SqsError> {
        self.begin(format!("list {}", prefix.unwrap_or_default()));
        Ok(self
            .state
            .lock()
            .unwrap()
            .queues
            .keys()
            .map(|name| url(name))
            .collect())
    }

    async fn send(&self, queue: &QueueUrl, message: Outgoing) -> Result<String, SqsError> {
        let answer = self.deliver(queue, vec![message]).await?.remove(0);
        answer.map_err(|error| SqsError::Rejected(failure(&error.to_string())))
    }

    async fn send_batch(
        &self,
        queue: &QueueUrl,
        messages: Vec<Outgoing>,
    ) -> Result<Vec<Result<String, EntryError>>, SqsError> {
        self.deliver(queue, messages).await
    }

    async fn delete_queue(&self, _: &QueueUrl) -> Result<(), SqsError> {
        unreachable!("a producer does not delete queues")
    }

    async fn purge_queue(&self, _: &QueueUrl) -> Result<(), SqsError> {
        unreachable!("a producer does not purge")
    }

    async fn queue_attributes(&self, _: &QueueUrl) -> Result<QueueAttributes, SqsError> {
        unreachable!("a producer asks for no attributes")
    }

    async fn set_queue_attributes(
        &self,
        _: &QueueUrl,
        _: &BTreeMap<String, String>,
    ) -> Result<(), SqsError> {
        unreachable!("a producer sets no attributes")
    }

    async fn receive(&self, _: &QueueUrl, _: ReceiveRequest) -> Result<Vec<Received>, SqsError> {
        unreachable!("a producer does not receive")
    }

    async fn delete_batch(
        &self,
        _: &QueueUrl,
        _: &[Receipt],
    ) -> Result<Vec<Result<(), EntryError>>, SqsError> {
        unreachable!("a producer does not delete")
    }

    async fn change_visibility_batch(
        &self,
        _: &QueueUrl,
        _: &[(Receipt, Duration)],
    ) -> Result<Vec<Result<(), EntryError>>, SqsError> {
        unreachable!("a producer hides nothing")
    }

    fn can_end_polls(&self) -> bool {
        false
    }

    async fn end_poll(&self, _: &QueueUrl, _: &str) -> Result<(), SqsError> {
        unreachable!("a producer polls nothing")
    }
}
