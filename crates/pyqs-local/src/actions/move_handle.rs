//! Handles of move tasks, in AWS's form: the task's id and its source's ARN as JSON in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MoveHandle {
    pub(super) task_id: String,
    pub(super) source_arn: String,
}

impl MoveHandle {
    pub(super) fn encode(&self) -> String {
        let json = serde_json::to_vec(self).expect("a struct of texts is always JSON");
        BASE64.encode(json)
    }

    pub(super) fn decode(handle: &str) -> Result<Self, ApiError> {
        let json = BASE64.decode(handle).ok();
        json.and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or_else(|| ApiError::invalid("Value for parameter TaskHandle is invalid."))
    }
}
