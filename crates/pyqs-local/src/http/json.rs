//! AWS JSON 1.0: the action in a header, its parameters and its reply as JSON.

use axum::http::{HeaderMap, HeaderValue};
use pyqs_broker::Fault;
use serde::Serialize;

use crate::error::ApiError;

pub(super) const MEDIA_TYPE: &str = "application/x-amz-json-1.0";
/// The header that names the action, and says that this is the protocol.
pub(super) const TARGET: &str = "x-amz-target";
/// What precedes the action's name in it.
const TARGET_PREFIX: &str = "AmazonSQS.";

/// The action that the request is for.
pub(super) fn action_name(headers: &HeaderMap) -> Result<&str, ApiError> {
    let target = headers.get(TARGET).ok_or(ApiError::NotFound)?;
    let target = target.to_str().unwrap_or_default();
    target
        .strip_prefix(TARGET_PREFIX)
        .ok_or_else(|| ApiError::UnknownOperation {
            name: target.to_owned(),
        })
}

#[derive(Serialize)]
struct RefusalBody {
    #[serde(rename = "__type")]
    shape: String,
    message: String,
}

/// The body of a refusal.
pub(super) fn refusal(error: &ApiError) -> Vec<u8> {
    let body = RefusalBody {
        shape: error.shape(),
        message: error.message(),
    };
    serde_json::to_vec(&body).expect("a struct of texts is always JSON")
}

/// The header beside a refusal with the Query protocol's code, after which older programs ask.
pub(super) fn query_error(error: &ApiError) -> Option<HeaderValue> {
    let fault = match error.fault() {
        Fault::Sender => "Sender",
        Fault::Receiver => "Receiver",
    };
    HeaderValue::from_str(&format!("{};{fault}", error.query_code())).ok()
}
