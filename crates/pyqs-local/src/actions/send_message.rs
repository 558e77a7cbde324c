//! `SendMessage`.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyqs_broker::limits::DELAY_SECS_MAX;
use pyqs_broker::{NewMessage, Sent};
use serde::{Deserialize, Serialize};

use super::{Call, ranged};
use crate::content::{AttributeInput, Body, Content, md5_of_attributes};
use crate::error::ApiError;
use crate::object;

/// A single message or an entry of a batch: one type, since serde's `flatten` makes every field of
/// it a detour.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MessageInput {
    /// Of a single message.
    queue_url: Option<String>,
    /// Of an entry.
    #[serde(default)]
    pub(super) id: String,
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    #[serde(default, deserialize_with = "object::map")]
    message_attributes: Option<BTreeMap<String, AttributeInput>>,
    #[serde(default, deserialize_with = "object::map")]
    message_system_attributes: Option<BTreeMap<String, AttributeInput>>,
    message_deduplication_id: Option<String>,
    message_group_id: Option<String>,
}

/// What came of it, also as one type for both.
#[derive(Serialize)]
pub(super) struct Output {
    /// Of an entry.
    #[serde(rename = "Id", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "MD5OfMessageBody")]
    md5_of_body: String,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    md5_of_attributes: Option<String>,
    #[serde(
        rename = "MD5OfMessageSystemAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    md5_of_system_attributes: Option<String>,
    #[serde(rename = "MessageId")]
    message_id: String,
    #[serde(rename = "SequenceNumber", skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
}

pub(super) async fn handle(call: &Call, input: MessageInput) -> Result<Output, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let (message, content) = input.check(call)?;
    let send = call
        .engine
        .take_in(|broker, now| Ok(broker.send(now, queue, message)?));
    Ok(Output::of(None, &content, send.await?))
}

impl MessageInput {
    /// The message for the broker, and what it carries.
    pub(super) fn check(self, call: &Call) -> Result<(NewMessage<Body>, Arc<Content>), ApiError> {
        let mut content = Content::check(
            self.message_body,
            self.message_attributes,
            self.message_system_attributes,
        )?;
        if content.trace_header.is_none() {
            content.trace_header.clone_from(&call.trace_header);
        }
        let content = Arc::new(content);
        let reason = "DelaySeconds must be >= 0 and <= 900.";
        let delay_secs = ranged(
            "DelaySeconds",
            self.delay_seconds,
            0..=DELAY_SECS_MAX,
            reason,
        )?;
        let message = NewMessage {
            payload: Body::Held(Arc::clone(&content)),
            delay_secs,
            group: self.message_group_id,
            deduplication: self.message_deduplication_id,
        };
        Ok((message, content))
    }
}

impl Output {
    pub(super) fn of(id: Option<String>, content: &Content, sent: Sent) -> Self {
        let attributes = content.attributes.iter();
        Self {
            id,
            md5_of_body: content.md5_of_body(),
            md5_of_attributes: md5_of_attributes(attributes.map(|(name, a)| (name.as_str(), a))),
            md5_of_system_attributes: content.md5_of_system_attributes(),
            message_id: sent.message_id.to_string(),
            sequence_number: sent.sequence_number.map(|number| number.to_string()),
        }
    }
}
