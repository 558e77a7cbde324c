//! SQS by the AWS SDK. The only module that names an `aws_*` crate.
//!
//! The SDK's own retries are off, since the callers own retries and must see each failure. Every
//! call has a time limit here, over all that it does: credentials, connection, request, answer.
//! The SDK's protection against stalled streams is off: those limits do its work, and its watch
//! would wake an idle worker's long poll ten times a second. The SDK for Rust compares no MD5s, and nor do we: connections carry
//! checksums, and TLS more.

mod ca_bundle;
mod connect;
mod failure;
mod http;
mod observe;
mod proxy;
mod translate;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, QueueAttributeName, SendMessageBatchRequestEntry,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use self::connect::ClientSource;
pub use self::connect::{ConnectError, connect, region_name};
use self::failure::{Call, entry_error, sqs_error};
use self::observe::Observed;
use crate::{
    EntryError, Outgoing, QueueAttributes, QueueUrl, Receipt, ReceiveRequest, Received, Sqs,
    SqsError, names,
};

/// How long any call but a receive may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer than its wait a receive may take.
pub const RECEIVE_SLACK: Duration = Duration::from_secs(5);

/// SQS by the AWS SDK; made by [`connect()`]. Clones share their connections.
#[derive(Clone)]
pub struct AwsSqs {
    client: Arc<RwLock<Client>>,
    source: Arc<ClientSource>,
    observed: Arc<Observed>,
}

/// Shows no settings: the SDK's may hold more than a log should.
impl fmt::Debug for AwsSqs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSqs")
            .field("endpoint", &self.observed.endpoint())
            .finish_non_exhaustive()
    }
}

impl AwsSqs {
    fn new(client: Client, source: ClientSource, observed: Arc<Observed>) -> Self {
        Self {
            client: Arc::new(RwLock::new(client)),
            source: Arc::new(source),
            observed,
        }
    }

    /// The client of now, which is cheap to clone.
    fn client(&self) -> Client {
        let client = self.client.read();
        client.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the credentials again for the next call. The SDK reads profile files once: keys that
    /// somebody changes there, before the old ones end, would never be seen.
    async fn renew(&self) {
        // What fails here has worked before; the old client goes on saying what is wrong.
        if let Ok(client) = self.source.client(&self.observed).await {
            *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        }
    }

    async fn within<T, E>(
        &self,
        limit: Duration,
        action: &'static str,
        queue: Option<&str>,
        answer: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, SqsError>
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        // The SDK's futures are large: on the heap, they are not copied on their way.
        let answer = tokio::time::timeout(limit, Box::pin(answer)).await;
        let call = Call {
            action,
            queue,
            endpoint: self.observed.endpoint(),
        };
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let error = sqs_error(call, error);
                if matches!(error, SqsError::BadCredentials(_)) {
                    Box::pin(self.renew()).await;
                }
                Err(error)
            }
            Err(_) => {
                let reason = format!("no answer within {} s", limit.as_secs());
                Err(SqsError::TimedOut(Box::new(call.failure(reason))))
            }
        }
    }

    async fn call<T, E>(
        &self,
        action: &'static str,
        queue: Option<&str>,
        answer: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, SqsError>
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.within(CALL_TIMEOUT, action, queue, answer).await
    }
}

#[async_trait]
impl Sqs for AwsSqs {
    async fn queue_url(&self, name: &str) -> Result<QueueUrl, SqsError> {
        let request = self.client().get_queue_url().queue_name(name);
        let answer = self.call("GetQueueUrl", Some(name), request.send()).await?;
        self.url("GetQueueUrl", name, answer.queue_url)
    }

    async fn create_queue(
        &self,
        name: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<QueueUrl, SqsError> {
        let mut request = self.client().create_queue().queue_name(name);
        if names::is_fifo(name) {
            request = request.attributes(QueueAttributeName::FifoQueue, "true");
        }
        for (attribute, value) in attributes {
            request = request.attributes(attribute.as_str().into(), value);
        }
        let answer = self.call("CreateQueue", Some(name), request.send()).await?;
        self.url("CreateQueue", name, answer.queue_url)
    }

    async fn delete_queue(&self, queue: &QueueUrl) -> Result<(), SqsError> {
        let request = self.client().delete_queue().queue_url(queue.as_str());
        self.call("DeleteQueue", Some(queue.name()), request.send())
            .await
            .map(drop)
    }

    async fn purge_queue(&self, queue: &QueueUrl) -> Result<(), SqsError> {
        let request = self.client().purge_queue().queue_url(queue.as_str());
        self.call("PurgeQueue", Some(queue.name()), request.send())
            .await
            .map(drop)
    }

    async fn list_queues(&self, prefix: Option<&str>) -> Result<Vec<QueueUrl>, SqsError> {
        let mut queues = Vec::new();
        let mut next = None;
        loop {
            let request = self
                .client()
                .list_queues()
                .set_queue_name_prefix(prefix.map(str::to_owned))
                .max_results(LIST_PAGE_MAX)
                .set_next_token(next);
            let page = self.call("ListQueues", None, request.send()).await?;
            queues.extend(
                page.queue_urls
                    .unwrap_or_default()
                    .into_iter()
                    .map(QueueUrl::new),
            );
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(queues);
            }
        }
    }

    async fn queue_attributes(&self, queue: &QueueUrl) -> Result<QueueAttributes, SqsError> {
        let request = self
            .client()
            .get_queue_attributes()
            .queue_url(queue.as_str())
            .attribute_names(QueueAttributeName::All);
        let answer = self
            .call("GetQueueAttributes", Some(queue.name()), request.send())
            .await?;
        let attributes = translate::queue_attributes(&answer.attributes.unwrap_or_default());
        // Only FIFO queues are named `.fifo`, whether or not the endpoint says so here.
        Ok(QueueAttributes {
            is_fifo: attributes.is_fifo || queue.is_fifo(),
            ..attributes
        })
    }

    async fn set_queue_attributes(
        &self,
        queue: &QueueUrl,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), SqsError> {
        let mut request = self
            .client()
            .set_queue_attributes()
            .queue_url(queue.as_str());
        for (attribute, value) in attributes {
            request = request.attributes(attribute.as_str().into(), value);
        }
        self.call("SetQueueAttributes", Some(queue.name()), request.send())
            .await
            .map(drop)
    }

    async fn send(&self, queue: &QueueUrl, mut message: Outgoing) -> Result<String, SqsError> {
        let request = self
            .client()
            .send_message()
            .queue_url(queue.as_str())
            .set_message_system_attributes(translate::system_attributes_out(&mut message))
            .set_message_attributes(translate::attributes_out(message.attributes))
            .set_delay_seconds(message.delay.map(whole_secs))
            .set_message_group_id(message.group)
            .set_message_deduplication_id(message.deduplication_id)
            .message_body(message.body);
        let answer = self
            .call("SendMessage", Some(queue.name()), request.send())
            .await?;
        Ok(answer.message_id.unwrap_or_default())
    }

    async fn send_batch(
        &self,
        queue: &QueueUrl,
        messages: Vec<Outgoing>,
    ) -> Result<Vec<Result<String, EntryError>>, SqsError> {
        let count = messages.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let entries = messages.into_iter().enumerate().map(send_entry).collect();
        let request = self
            .client()
            .send_message_batch()
            .queue_url(queue.as_str())
            .set_entries(Some(entries));
        let answer = self
            .call("SendMessageBatch", Some(queue.name()), request.send())
            .await?;
        let done = answer
            .successful
            .into_iter()
            .map(|entry| (entry.id, entry.message_id));
        Ok(by_entry(count, done, &answer.failed))
    }

    async fn receive(
        &self,
        queue: &QueueUrl,
        request: ReceiveRequest,
    ) -> Result<Vec<Received>, SqsError> {
        let limit = request.wait + RECEIVE_SLACK;
        let poll = request.poll;
        let request = self
            .client()
            .receive_message()
            .queue_url(queue.as_str())
            .max_number_of_messages(i32::from(request.max))
            .wait_time_seconds(whole_secs(request.wait))
            .visibility_timeout(whole_secs(request.visibility))
            .set_message_system_attribute_names(Some(translate::SYSTEM_ATTRIBUTES.to_vec()))
            .message_attribute_names("All")
            .set_receive_request_attempt_id(request.attempt_id);
        let name = poll.filter(|_| self.can_end_polls());
        let request = request.customize().mutate_request(move |request| {
            if let Some(name) = &name {
                request.headers_mut().insert(POLL, name.clone());
            }
        });
        let answer = self
            .within(limit, "ReceiveMessage", Some(queue.name()), request.send())
            .await?;
        // An empty answer has no list at all.
        Ok(answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(translate::received)
            .collect())
    }

    async fn delete_batch(
        &self,
        queue: &QueueUrl,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), EntryError>>, SqsError> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let entries = receipts.iter().enumerate().map(delete_entry).collect();
        let request = self
            .client()
            .delete_message_batch()
            .queue_url(queue.as_str())
            .set_entries(Some(entries));
        let answer = self
            .call("DeleteMessageBatch", Some(queue.name()), request.send())
            .await?;
        let done = answer.successful.into_iter().map(|entry| (entry.id, ()));
        Ok(by_entry(receipts.len(), done, &answer.failed))
    }

    async fn change_visibility_batch(
        &self,
        queue: &QueueUrl,
        entries: &[(Receipt, Duration)],
    ) -> Result<Vec<Result<(), EntryError>>, SqsError> {
        const ACTION: &str = "ChangeMessageVisibilityBatch";
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let request = self
            .client()
            .change_message_visibility_batch()
            .queue_url(queue.as_str())
            .set_entries(Some(
                entries.iter().enumerate().map(visibility_entry).collect(),
            ));
        let answer = self
            .call(ACTION, Some(queue.name()), request.send())
            .await?;
        let done = answer.successful.into_iter().map(|entry| (entry.id, ()));
        Ok(by_entry(entries.len(), done, &answer.failed))
    }

    fn can_end_polls(&self) -> bool {
        self.observed.can_end_polls()
    }

    async fn end_poll(&self, queue: &QueueUrl, poll: &str) -> Result<(), SqsError> {
        let poll = poll.to_owned();
        let request = self.client().receive_message().queue_url(queue.as_str());
        let request = request.customize().mutate_request(move |request| {
            request.headers_mut().insert(END_POLL, poll.clone());
        });
        self.call("ReceiveMessage", Some(queue.name()), request.send())
            .await
            .map(drop)
    }
}

/// The header of a receive that can be ended, and of the request that ends it, with its name.
const POLL: &str = "x-pyqs-poll";
/// See [`POLL`].
const END_POLL: &str = "x-pyqs-end-poll";

/// As many as SQS gives on one page (SQS API: `ListQueues`).
const LIST_PAGE_MAX: i32 = 1000;

impl AwsSqs {
    fn url(
        &self,
        action: &'static str,
        name: &str,
        url: Option<String>,
    ) -> Result<QueueUrl, SqsError> {
        url.map(QueueUrl::new).ok_or_else(|| {
            let call = Call {
                action,
                queue: Some(name),
                endpoint: self.observed.endpoint(),
            };
            SqsError::ServerError(Box::new(call.failure("the answer holds no URL")))
        })
    }
}

fn send_entry((index, mut message): (usize, Outgoing)) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .set_message_system_attributes(translate::system_attributes_out(&mut message))
        .set_message_attributes(translate::attributes_out(message.attributes))
        .set_delay_seconds(message.delay.map(whole_secs))
        .set_message_group_id(message.group)
        .set_message_deduplication_id(message.deduplication_id)
        .message_body(message.body)
        .build()
        .expect("id and body are given")
}

fn delete_entry((index, receipt): (usize, &Receipt)) -> DeleteMessageBatchRequestEntry {
    DeleteMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .receipt_handle(receipt.as_str())
        .build()
        .expect("id and receipt are given")
}

fn visibility_entry(
    (index, (receipt, visibility)): (usize, &(Receipt, Duration)),
) -> ChangeMessageVisibilityBatchRequestEntry {
    ChangeMessageVisibilityBatchRequestEntry::builder()
        .id(index.to_string())
        .receipt_handle(receipt.as_str())
        .visibility_timeout(whole_secs(*visibility))
        .build()
        .expect("id and receipt are given")
}

/// Puts the answers to a batch, whose ids are the entries' places, back in order.
fn by_entry<T>(
    count: usize,
    done: impl IntoIterator<Item = (String, T)>,
    failed: &[BatchResultErrorEntry],
) -> Vec<Result<T, EntryError>> {
    let mut answers: Vec<_> = (0..count).map(|_| Err(not_answered())).collect();
    let mut put = |id: &str, answer| {
        if let Some(place) = id
            .parse()
            .ok()
            .and_then(|index: usize| answers.get_mut(index))
        {
            *place = answer;
        }
    };
    for (id, value) in done {
        put(&id, Ok(value));
    }
    for entry in failed {
        put(entry.id(), Err(entry_error(entry)));
    }
    answers
}

fn not_answered() -> EntryError {
    EntryError::Failed {
        code: "NoAnswer".to_owned(),
        message: "SQS's answer does not mention this entry".to_owned(),
    }
}

/// SQS counts in whole seconds; what is beyond its limits it refuses by itself.
fn whole_secs(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
