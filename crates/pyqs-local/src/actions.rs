//! The actions: one file each, with its input, its reply and what it does.
//!
//! Inputs and replies are plain serde types in the service model's words, so that a protocol only
//! brings them in and out. To add an action: its file, a line in [`Action`], a line in
//! [`Action::handle`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use pyqs_broker::{Attribute, Broker, Error as BrokerError, QueueId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address::{Address, parts_of_url};
use crate::attributes;
use crate::content::Body;
use crate::engine::{Engine, Unconfirmed};
use crate::error::ApiError;
use crate::object::Object;

mod add_permission;
mod batch;
mod cancel_message_move_task;
mod change_message_visibility;
mod change_message_visibility_batch;
mod create_queue;
mod delete_message;
mod delete_message_batch;
mod delete_queue;
mod get_queue_attributes;
mod get_queue_url;
mod list_dead_letter_source_queues;
mod list_message_move_tasks;
mod list_queue_tags;
mod list_queues;
mod move_handle;
mod page;
mod purge_queue;
mod receive_message;
mod remove_permission;
mod send_message;
mod send_message_batch;
mod set_queue_attributes;
mod start_message_move_task;
mod tag_queue;
mod tags;
mod untag_queue;

/// What a request can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    AddPermission,
    CancelMessageMoveTask,
    ChangeMessageVisibility,
    ChangeMessageVisibilityBatch,
    CreateQueue,
    DeleteMessage,
    DeleteMessageBatch,
    DeleteQueue,
    GetQueueAttributes,
    GetQueueUrl,
    ListDeadLetterSourceQueues,
    ListMessageMoveTasks,
    ListQueueTags,
    ListQueues,
    PurgeQueue,
    ReceiveMessage,
    RemovePermission,
    SendMessage,
    SendMessageBatch,
    SetQueueAttributes,
    StartMessageMoveTask,
    TagQueue,
    UntagQueue,
}

/// What an action works with.
pub(crate) struct Call {
    pub(crate) engine: Arc<Engine>,
    pub(crate) address: Address,
    /// The trace that the request is part of, in X-Ray's words.
    pub(crate) trace_header: Option<String>,
    /// A receive's name, by which another call may end it.
    pub(crate) poll: Option<String>,
    /// The receive that this call is to end, and nothing else.
    pub(crate) ends_poll: Option<String>,
}

/// An answer ready to be written.
pub(crate) struct Reply {
    pub(crate) body: Vec<u8>,
    /// Messages in it, which come back if it doesn't reach the client.
    pub(crate) unconfirmed: Option<Unconfirmed>,
}

impl Action {
    pub(crate) const ALL: [Self; 23] = [
        Self::AddPermission,
        Self::CancelMessageMoveTask,
        Self::ChangeMessageVisibility,
        Self::ChangeMessageVisibilityBatch,
        Self::CreateQueue,
        Self::DeleteMessage,
        Self::DeleteMessageBatch,
        Self::DeleteQueue,
        Self::GetQueueAttributes,
        Self::GetQueueUrl,
        Self::ListDeadLetterSourceQueues,
        Self::ListMessageMoveTasks,
        Self::ListQueueTags,
        Self::ListQueues,
        Self::PurgeQueue,
        Self::ReceiveMessage,
        Self::RemovePermission,
        Self::SendMessage,
        Self::SendMessageBatch,
        Self::SetQueueAttributes,
        Self::StartMessageMoveTask,
        Self::TagQueue,
        Self::UntagQueue,
    ];

    pub(crate) fn of_name(name: &str) -> Result<Self, ApiError> {
        let found = Self::ALL.into_iter().find(|action| action.name() == name);
        found.ok_or_else(|| ApiError::UnknownOperation {
            name: name.to_owned(),
        })
    }

    /// The name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AddPermission => "AddPermission",
            Self::CancelMessageMoveTask => "CancelMessageMoveTask",
            Self::ChangeMessageVisibility => "ChangeMessageVisibility",
            Self::ChangeMessageVisibilityBatch => "ChangeMessageVisibilityBatch",
            Self::CreateQueue => "CreateQueue",
            Self::DeleteMessage => "DeleteMessage",
            Self::DeleteMessageBatch => "DeleteMessageBatch",
            Self::DeleteQueue => "DeleteQueue",
            Self::GetQueueAttributes => "GetQueueAttributes",
            Self::GetQueueUrl => "GetQueueUrl",
            Self::ListDeadLetterSourceQueues => "ListDeadLetterSourceQueues",
            Self::ListMessageMoveTasks => "ListMessageMoveTasks",
            Self::ListQueueTags => "ListQueueTags",
            Self::ListQueues => "ListQueues",
            Self::PurgeQueue => "PurgeQueue",
            Self::ReceiveMessage => "ReceiveMessage",
            Self::RemovePermission => "RemovePermission",
            Self::SendMessage => "SendMessage",
            Self::SendMessageBatch => "SendMessageBatch",
            Self::SetQueueAttributes => "SetQueueAttributes",
            Self::StartMessageMoveTask => "StartMessageMoveTask",
            Self::TagQueue => "TagQueue",
            Self::UntagQueue => "UntagQueue",
        }
    }

    /// Whether it works on entries, each with a result of its own.
    pub(crate) fn is_batch(self) -> bool {
        self.name().ends_with("Batch")
    }

    pub(crate) async fn handle(self, call: &Call, body: &[u8]) -> Result<Reply, ApiError> {
        let cx = call;
        match self {
            Self::AddPermission => reply(add_permission::handle(cx, input(body)?).await),
            Self::CancelMessageMoveTask => {
                reply(cancel_message_move_task::handle(cx, input(body)?).await)
            }
            Self::ChangeMessageVisibility => {
                reply(change_message_visibility::handle(cx, input(body)?).await)
            }
            Self::ChangeMessageVisibilityBatch => {
                reply(change_message_visibility_batch::handle(cx, input(body)?).await)
            }
            Self::CreateQueue => reply(create_queue::handle(cx, input(body)?).await),
            Self::DeleteMessage => reply(delete_message::handle(cx, input(body)?).await),
            Self::DeleteMessageBatch => reply(delete_message_batch::handle(cx, input(body)?).await),
            Self::DeleteQueue => reply(delete_queue::handle(cx, input(body)?).await),
            Self::GetQueueAttributes => reply(get_queue_attributes::handle(cx, &input(body)?)),
            Self::GetQueueUrl => reply(get_queue_url::handle(cx, &input(body)?)),
            Self::ListDeadLetterSourceQueues => {
                reply(list_dead_letter_source_queues::handle(cx, &input(body)?))
            }
            Self::ListMessageMoveTasks => reply(list_message_move_tasks::handle(cx, &input(body)?)),
            Self::ListQueueTags => reply(list_queue_tags::handle(cx, &input(body)?)),
            Self::ListQueues => reply(list_queues::handle(cx, &input(body)?)),
            Self::PurgeQueue => reply(purge_queue::handle(cx, input(body)?).await),
            Self::ReceiveMessage => {
                let (output, unconfirmed) = receive_message::handle(cx, input(body)?).await?;
                let mut reply = reply(Ok(output))?;
                reply.unconfirmed = Some(unconfirmed);
                Ok(reply)
            }
            Self::RemovePermission => reply(remove_permission::handle(cx, input(body)?).await),
            Self::SendMessage => reply(send_message::handle(cx, input(body)?).await),
            Self::SendMessageBatch => reply(send_message_batch::handle(cx, input(body)?).await),
            Self::SetQueueAttributes => reply(set_queue_attributes::handle(cx, input(body)?).await),
            Self::StartMessageMoveTask => {
                reply(start_message_move_task::handle(cx, input(body)?).await)
            }
            Self::TagQueue => reply(tag_queue::handle(cx, input(body)?).await),
            Self::UntagQueue => reply(untag_queue::handle(cx, input(body)?).await),
        }
    }
}

impl Call {
    /// The queue that a `QueueUrl` parameter names.
    fn queue(&self, url: Option<&str>) -> Result<QueueId, ApiError> {
        let (account, name) = parts_of_url(url.ok_or(ApiError::missing("QueueUrl"))?)?;
        self.check_owner(Some(account))?;
        self.engine.look(|broker| Ok(broker.queue(name)?))
    }

    /// Other accounts have no queues here.
    fn check_owner(&self, account: Option<&str>) -> Result<(), ApiError> {
        if account.is_some_and(|account| account != self.address.account()) {
            return Err(BrokerError::QueueDoesNotExist.into());
        }
        Ok(())
    }

    /// The queue that an ARN parameter names.
    fn queue_of_arn(
        &self,
        broker: &Broker<Body>,
        parameter: &'static str,
        arn: &str,
    ) -> Result<QueueId, ApiError> {
        let queue = broker.queue_of_arn(parameter, arn)?;
        if self.address.owns(arn) {
            return Ok(queue);
        }
        Err(BrokerError::resource_not_found(parameter).into())
    }

    /// Queue attributes, with a dead-letter queue of this account and region if any.
    fn attributes(&self, texts: &BTreeMap<String, String>) -> Result<Vec<Attribute>, ApiError> {
        let attributes = attributes::parse_all(texts)?;
        for attribute in &attributes {
            if let Attribute::RedrivePolicy(Some(policy)) = attribute
                && !self.address.owns(&policy.dead_letter_arn)
            {
                return Err(policy.refusal("Dead letter target does not exist.").into());
            }
        }
        Ok(attributes)
    }
}

/// A larger reply's room is given back.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    /// Where replies are written before their length is known: growing a buffer for each of them
    /// costs more than the copy.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The reply of actions that have none.
#[derive(Serialize)]
struct Nothing {}

fn input<I: DeserializeOwned>(body: &[u8]) -> Result<I, ApiError> {
    let input = serde_json::from_slice(body).map(|Object(input)| input);
    input.map_err(|error| ApiError::Serialization {
        reason: error.to_string(),
    })
}

fn reply<O: Serialize>(output: Result<O, ApiError>) -> Result<Reply, ApiError> {
    let output = output?;
    let body = SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        serde_json::to_writer(&mut *scratch, &output)
            .expect("replies have texts and numbers, keyed by text");
        let body = scratch.clone();
        if scratch.capacity() > SCRATCH_BYTES_MAX {
            *scratch = Vec::new();
        }
        body
    });
    Ok(Reply {
        body,
        unconfirmed: None,
    })
}

/// A number within its range, or AWS's sentence about it.
fn ranged(
    parameter: &str,
    value: Option<i64>,
    range: RangeInclusive<u32>,
    reason: &str,
) -> Result<Option<u32>, ApiError> {
    let Some(value) = value else {
        return Ok(None);
    };
    match u32::try_from(value) {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => Err(ApiError::invalid(format!(
            "Value {value} for parameter {parameter} is invalid. Reason: {reason}"
        ))),
    }
}
