//! The two protocols: which one a request speaks, and answers in it.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode, request};
use axum::response::Response;

use super::{add_common, json, query};
use crate::actions::Action;
use crate::error::ApiError;

/// What a request is written in, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// AWS JSON 1.0.
    Json,
    /// Forms and XML.
    Query,
}

impl Protocol {
    /// Whatever doesn't look like a form is told in JSON what is wrong with it.
    pub(super) fn of(head: &request::Parts) -> Self {
        if head.headers.contains_key(json::TARGET) {
            return Self::Json;
        }
        let media_type = head.headers.get(CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok());
        let is_form = media_type.is_some_and(|text| {
            let text = text.split(';').next().unwrap_or_default();
            text.trim().eq_ignore_ascii_case(query::FORM)
        });
        let mut parameters = head.uri.query().unwrap_or_default().split('&');
        let has_action = parameters.any(|parameter| parameter.starts_with("Action="));
        if is_form || has_action {
            Self::Query
        } else {
            Self::Json
        }
    }

    /// The answer to an action that went well, from its reply in JSON.
    pub(super) fn reply(self, action: Action, body: Vec<u8>) -> Response {
        let id = request_id();
        let body = match self {
            Self::Json => body,
            Self::Query => query::reply(action.name(), &body, &id),
        };
        self.response(StatusCode::OK, body, &id)
    }

    pub(super) fn refusal(self, error: &ApiError) -> Response {
        let id = request_id();
        match self {
            Self::Json => {
                let mut response = self.response(error.status(), json::refusal(error), &id);
                if let Some(code) = json::query_error(error) {
                    response.headers_mut().insert("x-amzn-query-error", code);
                }
                response
            }
            Self::Query => self.response(query::status(error), query::refusal(error, &id), &id),
        }
    }

    fn response(self, status: StatusCode, body: Vec<u8>, request_id: &str) -> Response {
        let media_type = match self {
            Self::Json => json::MEDIA_TYPE,
            Self::Query => "text/xml",
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        let request_id = HeaderValue::try_from(request_id);
        let request_id = request_id.expect("hexadecimal digits and dashes make a header");
        headers.insert("x-amzn-requestid", request_id);
        add_common(headers);
        response
    }
}

/// A request id in the form of a UUID: unique in this process, which is all that it is for.
fn request_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let (high, low) = (count >> 48, count & 0xffff_ffff_ffff);
    format!(
        "00000000-0000-4000-8{high:03x}-{low:012x}",
        high = high & 0xfff
    )
}
