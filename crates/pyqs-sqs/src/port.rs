//! The one trait through which SQS is spoken to.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    EntryError, Outgoing, QueueAttributes, QueueUrl, Receipt, ReceiveRequest, Received, SqsError,
};

/// Entries that SQS takes in one batch (AWS: quotas-messages).
pub const BATCH_ENTRIES_MAX: usize = 10;

/// Amazon SQS, or anything that speaks as it does.
///
/// Every call is one request, tried once, with a time limit: whoever calls owns retries. Dropping
/// a call's future gives the request up and closes its connection; whether SQS carried it out is
/// then unknown. Batches take 1 to 10 entries and answer for each, in the order given.
#[async_trait]
pub trait Sqs: Send + Sync + 'static {
    /// The URL of the queue of exactly this name; [`SqsError::QueueMissing`] where there is none,
    /// also for names that SQS does not accept.
    async fn queue_url(&self, name: &str) -> Result<QueueUrl, SqsError>;

    /// Creates a queue; `attributes` are by SQS's own names (`VisibilityTimeout`). A name that ends
    /// in `.fifo` makes a FIFO queue without being asked.
    async fn create_queue(
        &self,
        name: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<QueueUrl, SqsError>;

    /// Deletes a queue and all that is in it.
    async fn delete_queue(&self, queue: &QueueUrl) -> Result<(), SqsError>;

    /// Deletes all messages of a queue, those in flight too.
    async fn purge_queue(&self, queue: &QueueUrl) -> Result<(), SqsError>;

    /// All queues whose names start with `prefix`, over all pages.
    async fn list_queues(&self, prefix: Option<&str>) -> Result<Vec<QueueUrl>, SqsError>;

    /// What the queue is set to, and roughly how much it holds.
    async fn queue_attributes(&self, queue: &QueueUrl) -> Result<QueueAttributes, SqsError>;

    /// Changes attributes of a queue, by SQS's own names.
    async fn set_queue_attributes(
        &self,
        queue: &QueueUrl,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), SqsError>;

    /// Sends one message; answers with its id once SQS has it.
    async fn send(&self, queue: &QueueUrl, message: Outgoing) -> Result<String, SqsError>;

    /// Sends 1 to 10 messages of at most 1 MiB in sum; answers with the id of each, in order.
    async fn send_batch(
        &self,
        queue: &QueueUrl,
        messages: Vec<Outgoing>,
    ) -> Result<Vec<Result<String, EntryError>>, SqsError>;

    /// Receives up to `request.max` messages, waiting for the first up to `request.wait`.
    async fn receive(
        &self,
        queue: &QueueUrl,
        request: ReceiveRequest,
    ) -> Result<Vec<Received>, SqsError>;

    /// Deletes 1 to 10 messages; answers for each, in order.
    async fn delete_batch(
        &self,
        queue: &QueueUrl,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), EntryError>>, SqsError>;

    /// Sets how long 1 to 10 messages stay hidden from now on (whole seconds); answers for each, in
    /// order.
    async fn change_visibility_batch(
        &self,
        queue: &QueueUrl,
        entries: &[(Receipt, Duration)],
    ) -> Result<Vec<Result<(), EntryError>>, SqsError>;

    /// Whether the endpoint has said, by the response header `x-pyqs-ends-polls: yes`, that it knows
    /// [`end_poll`](Self::end_poll). Amazon's own does not.
    fn can_end_polls(&self) -> bool;

    /// Ends the wait of the receive of this name ([`ReceiveRequest::poll`]), which then comes back with what it has:
    /// so no message is stranded, as one may be where a receive is dropped. A receive that the endpoint has not
    /// seen yet is not ended: ask again until it is back. Only where [`can_end_polls`](Self::can_end_polls).
    async fn end_poll(&self, queue: &QueueUrl, poll: &str) -> Result<(), SqsError>;
}
