//! `ReceiveMessage`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pyqs_broker::limits::{BATCH_MAX, VISIBILITY_SECS_MAX, WAIT_SECS_MAX};
use pyqs_broker::{Delivery, Error, Receive};
use serde::{Deserialize, Serialize, Serializer};

use super::{Call, ranged};
use crate::content::{Body, Content, MessageAttribute, TRACE_HEADER, md5_of_attributes};
use crate::engine::Unconfirmed;
use crate::error::ApiError;

/// What can be asked for beside body and message attributes.
const SYSTEM_NAMES: [&str; 10] = [
    "AWSTraceHeader",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "DeadLetterQueueSourceArn",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
    // Listed for `ReceiveMessage` (`AttributeNames`), though a message has none.
    "SqsManagedSseEnabled",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    /// The old name of `MessageSystemAttributeNames`.
    attribute_names: Option<Vec<String>>,
    message_system_attribute_names: Option<Vec<String>>,
    message_attribute_names: Option<Vec<String>>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    receive_request_attempt_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    /// Left out when empty, as AWS does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Message>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_field_names, reason = "the service model's names")]
struct Message {
    message_id: String,
    receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: String,
    body: BodyText,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    md5_of_attributes: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<String, MessageAttribute>,
}

/// A content's body, not copied.
struct BodyText(Arc<Content>);

impl Serialize for BodyText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0.body)
    }
}

/// Which attributes a request asks for.
struct Wanted {
    system: Vec<String>,
    message: Vec<String>,
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<(Output, Unconfirmed), ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    if let Some(name) = &call.ends_poll {
        let nothing = call.engine.end_poll(queue, name);
        return Ok((
            Output {
                messages: Vec::new(),
            },
            nothing,
        ));
    }
    let between = "Must be between 1 and 10, if provided.";
    let max = input.max_number_of_messages;
    let max = ranged("MaxNumberOfMessages", max, 1..=BATCH_MAX, between)?;
    let between = "Must be between 0 and 43200, if provided.";
    let visibility_secs = input.visibility_timeout;
    let visibility_secs = ranged(
        "VisibilityTimeout",
        visibility_secs,
        0..=VISIBILITY_SECS_MAX,
        between,
    )?;
    let between = "Must be >= 0 and <= 20, if provided.";
    let wait_secs = input.wait_time_seconds;
    let wait_secs = ranged("WaitTimeSeconds", wait_secs, 0..=WAIT_SECS_MAX, between)?;
    let wanted = Wanted::of(
        [input.attribute_names, input.message_system_attribute_names],
        input.message_attribute_names,
    )?;
    let wait_secs = match wait_secs {
        Some(secs) => secs,
        None => call
            .engine
            .look(|broker| Ok(broker.view(queue)?.record.attributes.wait_secs))?,
    };
    let request = Receive {
        max: max.unwrap_or(1),
        visibility_secs,
        attempt: input.receive_request_attempt_id,
    };
    let wait = Duration::from_secs(u64::from(wait_secs));
    let name = call.poll.clone();
    let handover = call.engine.receive(queue, request, wait, name).await?;
    let (messages, unconfirmed) = handover.open().await?;
    let messages = messages
        .iter()
        .map(|(delivery, content)| wanted.message(call, delivery, content));
    let output = Output {
        messages: messages.collect(),
    };
    Ok((output, unconfirmed))
}

impl Wanted {
    fn of(
        system: [Option<Vec<String>>; 2],
        message: Option<Vec<String>>,
    ) -> Result<Self, ApiError> {
        let system: Vec<_> = system.into_iter().flatten().flatten().collect();
        let is_known = |name: &str| name == "All" || SYSTEM_NAMES.contains(&name);
        if let Some(unknown) = system.iter().find(|name| !is_known(name)) {
            let attribute = unknown.clone();
            return Err(Error::InvalidAttributeName { attribute }.into());
        }
        Ok(Self {
            system,
            message: message.unwrap_or_default(),
        })
    }

    fn message(&self, call: &Call, delivery: &Delivery<Body>, content: &Arc<Content>) -> Message {
        let wanted = content
            .attributes
            .iter()
            .filter(|(name, _)| self.wants_message_attribute(name));
        let message_attributes: BTreeMap<_, _> = wanted
            .map(|(name, attribute)| (name.clone(), attribute.clone()))
            .collect();
        let named = message_attributes
            .iter()
            .map(|(name, a)| (name.as_str(), a));
        Message {
            message_id: delivery.message_id.to_string(),
            receipt_handle: delivery.receipt.clone(),
            md5_of_body: content.md5_of_body(),
            body: BodyText(Arc::clone(content)),
            attributes: self.system_attributes(call, delivery, content),
            md5_of_attributes: md5_of_attributes(named),
            message_attributes,
        }
    }

    /// `All`, `.*`, a name, or `prefix.*`. AWS also takes a `*` for all, which it doesn't say.
    fn wants_message_attribute(&self, name: &str) -> bool {
        self.message.iter().any(|wanted| match wanted.as_str() {
            "All" | ".*" | "*" => true,
            wanted => match wanted.strip_suffix(".*") {
                Some(prefix) => name.starts_with(prefix),
                None => name == wanted,
            },
        })
    }

    fn system_attributes(
        &self,
        call: &Call,
        delivery: &Delivery<Body>,
        content: &Content,
    ) -> BTreeMap<&'static str, String> {
        let mut attributes = BTreeMap::new();
        if self.system.is_empty() {
            return attributes;
        }
        let wants_all = self.system.iter().any(|name| name == "All");
        let mut add = |name: &'static str, value: Option<String>| {
            if let Some(value) = value
                && (wants_all || self.system.iter().any(|wanted| wanted == name))
            {
                attributes.insert(name, value);
            }
        };
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        let fifo = &delivery.fifo;
        let source = delivery.dead_letter_source.as_deref();
        let first_received = delivery.first_received.as_millis().to_string();
        add("SentTimestamp", Some(delivery.sent.as_millis().to_string()));
        add(
            "ApproximateReceiveCount",
            Some(delivery.receives.to_string()),
        );
        add("ApproximateFirstReceiveTimestamp", Some(first_received));
        // AWS gives the account for its root user, which is who everybody is here.
        add("SenderId", Some(call.address.account().to_owned()));
        add("MessageGroupId", text(&fifo.group));
        add("MessageDeduplicationId", text(&fifo.deduplication));
        add(
            "SequenceNumber",
            fifo.sequence_number.map(|number| number.to_string()),
        );
        add(
            "DeadLetterQueueSourceArn",
            source.map(|name| call.address.arn(name)),
        );
        add(TRACE_HEADER, content.trace_header.clone());
        attributes
    }
}
