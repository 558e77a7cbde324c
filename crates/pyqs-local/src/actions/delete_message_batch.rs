//! `DeleteMessageBatch`.

use serde::Deserialize;

use super::Call;
use super::batch::{self, Success};
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
}

impl batch::Entry for Entry {
    const NAME: &'static str = "DeleteMessageBatchRequestEntry";

    fn id(&self) -> &str {
        &self.id
    }
}

pub(super) async fn handle(call: &Call, input: Input) -> Result<batch::Output<Success>, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let entries = batch::checked(input.entries)?;
    let delete = call.engine.act(|broker, now| {
        let results = entries.into_iter().map(|entry| {
            let result = broker.delete(now, queue, &entry.receipt_handle);
            let id = entry.id.clone();
            (
                entry.id,
                result.map(|()| Success { id }).map_err(ApiError::from),
            )
        });
        Ok(batch::Output::of(results))
    });
    delete.await
}
