//! SQS by the AWS SDK. The only module that names an `aws_*` crate.
//!
//! The SDK's own retries are off, since the callers own retries and must see each failure. Every
//! call has a time limit here, over all that it does: credentials, connection, request, answer.
//! The SDK's protection against stalled streams is off: those limits do its work, and its watch
//! would wake an idle worker's long poll ten times a second. The SDK for Rust compares no MD5s, and nor do we: connections carry
//! checksums, and TLS more.
//!
//! Whatever is done for each message goes by a [`Route`]: on the SDK's connections, without the SDK's costs.

mod ca_bundle;
mod connect;
mod failure;
mod http;
mod observe;
mod proxy;
mod route;
mod translate;
mod wire;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::sync::OnceCell;

use self::connect::ClientSource;
pub use self::connect::{ConnectError, connect, region_name};
use self::failure::{Call, sqs_error};
use self::observe::Observed;
use self::route::Route;
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
    client: Arc<RwLock<RoutedClient>>,
    source: Arc<ClientSource>,
    observed: Arc<Observed>,
}

/// A client, and the route of its requests once it is known.
#[derive(Clone)]
struct RoutedClient {
    client: Client,
    route: Arc<OnceCell<Route>>,
}

impl From<Client> for RoutedClient {
    fn from(client: Client) -> Self {
        Self {
            client,
            route: Arc::default(),
        }
    }
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
            client: Arc::new(RwLock::new(client.into())),
            source: Arc::new(source),
            observed,
        }
    }

    /// The client of now, which is cheap to clone.
    fn client(&self) -> Client {
        self.routed().client
    }

    fn routed(&self) -> RoutedClient {
        let client = self.client.read();
        client.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a request by the client's route.
    async fn ask<T: DeserializeOwned>(
        &self,
        limit: Duration,
        action: &'static str,
        queue: &QueueUrl,
        input: impl Serialize,
        header: Option<(&'static str, String)>,
    ) -> Result<T, SqsError> {
        let RoutedClient { client, route } = self.routed();
        let answer = async {
            // The SDK's futures are large: on the heap, they are not copied on their way.
            let route = route.get_or_try_init(|| Box::pin(Route::of_client(&client)));
            let route = route.await?;
            route.call(action, &input, header, &self.observed).await
        };
        self.within(limit, action, Some(queue.name()), answer).await
    }

    /// Reads the credentials again for the next call. The SDK reads profile files once: keys that
    /// somebody changes there, before the old ones end, would never be seen.
    async fn renew(&self) {
        // What fails here has worked before; the old client goes on saying what is wrong.
        if let Ok(client) = self.source.client(&self.observed).await {
            *self.client.write().unwrap_or_else(PoisonError::into_inner) = client.into();
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

    async fn ask_batch(
        &self,
        action: &'static str,
        queue: &QueueUrl,
        batch: impl Serialize,
        count: usize,
    ) -> Result<Vec<Result<String, EntryError>>, SqsError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let answer: wire::BatchAnswer = self.ask(CALL_TIMEOUT, action, queue, batch, None).await?;
        Ok(answer.by_entry(count))
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

    async fn send(&self, queue: &QueueUrl, message: Outgoing) -> Result<String, SqsError> {
        let input = wire::Send::to(queue, message);
        let sent: wire::Sent = self
            .ask(CALL_TIMEOUT, "SendMessage", queue, input, None)
            .await?;
        Ok(sent.message_id.unwrap_or_default())
    }

    async fn send_batch(
        &self,
        queue: &QueueUrl,
        messages: Vec<Outgoing>,
    ) -> Result<Vec<Result<String, EntryError>>, SqsError> {
        let count = messages.len();
        let batch = wire::Batch::sends(queue, messages);
        self.ask_batch("SendMessageBatch", queue, batch, count)
            .await
    }

    async fn receive(
        &self,
        queue: &QueueUrl,
        request: ReceiveRequest,
    ) -> Result<Vec<Received>, SqsError> {
        let limit = request.wait + RECEIVE_SLACK;
        let name = request.poll.clone().filter(|_| self.can_end_polls());
        let header = name.map(|name| (POLL, name));
        let input = wire::Receive::new(queue, &request);
        let messages: wire::Messages = self
            .ask(limit, "ReceiveMessage", queue, input, header)
            .await?;
        Ok(messages.received())
    }

    async fn delete_batch(
        &self,
        queue: &QueueUrl,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), EntryError>>, SqsError> {
        let batch = wire::Batch::deletes(queue, receipts);
        let done = self
            .ask_batch("DeleteMessageBatch", queue, batch, receipts.len())
            .await?;
        Ok(done.into_iter().map(|entry| entry.map(drop)).collect())
    }

    async fn change_visibility_batch(
        &self,
        queue: &QueueUrl,
        entries: &[(Receipt, Duration)],
    ) -> Result<Vec<Result<(), EntryError>>, SqsError> {
        const ACTION: &str = "ChangeMessageVisibilityBatch";
        let batch = wire::Batch::visibilities(queue, entries);
        let done = self.ask_batch(ACTION, queue, batch, entries.len()).await?;
        Ok(done.into_iter().map(|entry| entry.map(drop)).collect())
    }

    fn can_end_polls(&self) -> bool {
        self.observed.can_end_polls()
    }

    async fn end_poll(&self, queue: &QueueUrl, poll: &str) -> Result<(), SqsError> {
        let header = Some((END_POLL, poll.to_owned()));
        let input = wire::EndPoll::of(queue);
        self.ask::<IgnoredAny>(CALL_TIMEOUT, "ReceiveMessage", queue, input, header)
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

/// SQS counts in whole seconds; what is beyond its limits it refuses by itself.
fn whole_secs(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
