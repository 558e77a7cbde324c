//! `GetQueueAttributes`.

use std::collections::BTreeMap;

use pyqs_broker::{Error, QueueView};
use serde::{Deserialize, Serialize};

use super::Call;
use crate::attributes;
use crate::error::ApiError;

/// What can be asked for but not set.
const READ_ONLY: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    attribute_names: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    /// Left out when empty, as AWS does.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
}

pub(super) fn handle(call: &Call, input: &Input) -> Result<Output, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let names = input.attribute_names.as_deref().unwrap_or_default();
    for name in names {
        if name != "All" && !READ_ONLY.contains(&name.as_str()) && !attributes::is_name(name) {
            let attribute = name.clone();
            return Err(Error::InvalidAttributeName { attribute }.into());
        }
    }
    let mut attributes = call.engine.look(|broker| {
        let view = broker.view(queue)?;
        Ok(all(call, &view))
    })?;
    if !names.iter().any(|name| name == "All") {
        attributes.retain(|present, _| names.iter().any(|name| name == present));
    }
    Ok(Output { attributes })
}

fn all(call: &Call, view: &QueueView<'_>) -> BTreeMap<&'static str, String> {
    let QueueView { record, counts } = view;
    let read_only = [
        ("ApproximateNumberOfMessages", counts.visible.to_string()),
        (
            "ApproximateNumberOfMessagesDelayed",
            counts.delayed.to_string(),
        ),
        (
            "ApproximateNumberOfMessagesNotVisible",
            counts.in_flight.to_string(),
        ),
        ("CreatedTimestamp", record.created.as_secs().to_string()),
        (
            "LastModifiedTimestamp",
            record.modified.as_secs().to_string(),
        ),
        ("QueueArn", call.address.arn(&record.name)),
    ];
    let set = attributes::render(&record.attributes);
    let mut all: BTreeMap<_, _> = set.into_iter().chain(read_only).collect();
    if let Some(policy) = &record.attributes.redrive {
        // The dead-letter queue's ARN is the one that this client knows it by.
        let arn = call.address.arn(policy.dead_letter_name());
        let text = attributes::redrive_text(&arn, policy.receives_max);
        all.insert("RedrivePolicy", text);
    }
    all
}
