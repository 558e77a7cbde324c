//! `ChangeMessageVisibilityBatch`.

use serde::Deserialize;

use super::Call;
use super::batch::{self, Success};
use super::change_message_visibility::visibility_secs;
use crate::error::ApiError;
use crate::object;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    #[serde(default, deserialize_with = "object::list")]
    entries: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    id: String,
    #[serde(default)]
    receipt_handle: String,
    visibility_timeout: Option<i64>,
}

impl batch::Entry for Entry {
    const NAME: &'static str = "ChangeMessageVisibilityBatchRequestEntry";

    fn id(&self) -> &str {
        &self.id
    }
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<batch::Output<Success>, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let entries = batch::checked(input.entries)?;
    let change = call.engine.act(|broker, now| {
        let results = entries.into_iter().map(|entry| {
            let result = visibility_secs(entry.visibility_timeout).and_then(|secs| {
                Ok(broker.change_visibility(now, queue, &entry.receipt_handle, secs)?)
            });
            let id = entry.id.clone();
            (entry.id, result.map(|()| Success { id }))
        });
        Ok(batch::Output::of(results))
    });
    change.await
}
