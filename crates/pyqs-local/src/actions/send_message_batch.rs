//! `SendMessageBatch`.

use std::sync::Arc;

use pyqs_broker::limits::MESSAGE_BYTES_MAX;
use pyqs_broker::{NewMessage, QueueAttributes};
use serde::Deserialize;

use super::send_message::{MessageInput, Output};
use super::{Call, batch};
use crate::content::{Body, Content};
use crate::error::{ApiError, BatchError};
use crate::object;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    #[serde(default, deserialize_with = "object::list")]
    entries: Option<Vec<MessageInput>>,
}

impl batch::Entry for MessageInput {
    const NAME: &'static str = "SendMessageBatchRequestEntry";

    fn id(&self) -> &str {
        &self.id
    }
}

type Message = (NewMessage<Body>, Arc<Content>);

/// On a FIFO queue AWS refuses the whole batch where an entry lacks its group, or an id to tell
/// duplicates by.
fn check_fifo(
    attributes: &QueueAttributes,
    messages: &[(String, Result<Message, ApiError>)],
) -> Result<(), ApiError> {
    let messages = messages
        .iter()
        .filter_map(|(_, message)| message.as_ref().ok());
    let mut messages = messages.map(|(message, _)| message);
    if !attributes.is_fifo {
        return Ok(());
    }
    if messages.clone().any(|message| message.group.is_none()) {
        let missing = ApiError::missing("MessageGroupId").message();
        return Err(ApiError::invalid(missing));
    }
    if !attributes.deduplicates_by_content
        && messages.any(|message| message.deduplication.is_none())
    {
        return Err(pyqs_broker::Error::deduplication_missing().into());
    }
    Ok(())
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<batch::Output<Output>, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let entries = batch::checked(input.entries)?;
    let messages: Vec<_> = entries
        .into_iter()
        .map(|mut entry| (std::mem::take(&mut entry.id), entry.check(call)))
        .collect();
    let contents = messages
        .iter()
        .filter_map(|(_, message)| message.as_ref().ok());
    let bytes = contents.map(|(_, content)| content.size()).sum();
    let bytes_max = MESSAGE_BYTES_MAX as usize;
    if bytes > bytes_max {
        return Err(ApiError::Batch(BatchError::TooLong { bytes, bytes_max }));
    }
    let send = call.engine.take_in(|broker, now| {
        check_fifo(&broker.view(queue)?.record.attributes, &messages)?;
        let sent = messages.into_iter().map(|(id, message)| {
            let sent = message
                .and_then(|(message, content)| Ok((content, broker.send(now, queue, message)?)));
            (id, sent)
        });
        Ok(sent.collect::<Vec<_>>())
    });
    let results = send.await?.into_iter().map(|(id, sent)| {
        let success = sent.map(|(content, sent)| Output::of(Some(id.clone()), &content, sent));
        (id, success)
    });
    Ok(batch::Output::of(results))
}
