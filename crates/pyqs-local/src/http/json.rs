//! AWS JSON 1.0: the action in a header, its parameters and its reply as JSON.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use pyqs_broker::Fault;
use serde::Serialize;

use super::add_common;
use crate::error::ApiError;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
/// What precedes the action's name in `X-Amz-Target`.
const TARGET_PREFIX: &str = "AmazonSQS.";

/// The action that the request is for.
pub(super) fn action_name(headers: &HeaderMap) -> Result<&str, ApiError> {
    let target = headers.get("x-amz-target").ok_or(ApiError::NotFound)?;
    let target = target.to_str().unwrap_or_default();
    target
        .strip_prefix(TARGET_PREFIX)
        .ok_or_else(|| ApiError::UnknownOperation {
            name: target.to_owned(),
        })
}

pub(super) fn response(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, MEDIA_TYPE);
    headers.insert("x-amzn-requestid", request_id());
    add_common(headers);
    response
}

#[derive(Serialize)]
struct RefusalBody {
    #[serde(rename = "__type")]
    shape: String,
    message: String,
}

pub(super) fn refusal(error: &ApiError) -> Response {
    let body = RefusalBody {
        shape: error.shape(),
        message: error.message(),
    };
    let body = serde_json::to_vec(&body).expect("a struct of texts is always JSON");
    let mut response = response(error.status(), body);
    let fault = match error.fault() {
        Fault::Sender => "Sender",
        Fault::Receiver => "Receiver",
    };
    let query_error = format!("{};{fault}", error.query_code());
    if let Ok(value) = HeaderValue::from_str(&query_error) {
        response.headers_mut().insert("x-amzn-query-error", value);
    }
    response
}

/// A request id in the form of a UUID: unique in this process, which is all that it is for.
fn request_id() -> HeaderValue {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let (high, low) = (count >> 48, count & 0xffff_ffff_ffff);
    let id = format!(
        "00000000-0000-4000-8{high:03x}-{low:012x}",
        high = high & 0xfff
    );
    HeaderValue::try_from(id).expect("hexadecimal digits and dashes make a header")
}
