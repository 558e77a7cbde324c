//! Every URL.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pyqs_worker::Board;

use crate::{health, metrics};

/// Prometheus's text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
struct Shared {
    board: Board,
    token: Option<String>,
}

pub(crate) fn router(board: Board, token: Option<String>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Shared { board, token })
}

async fn show_metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if !is_let_in(shared.token.as_deref(), &headers) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge, "a token is needed\n").into_response();
    }
    match shared.board.read() {
        Some((status, _)) => {
            let content_type = [(header::CONTENT_TYPE, METRICS_TYPE)];
            (content_type, metrics::render(&status)).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
    }
}

/// Whether the worker itself is alive: to start another would help if not. SQS out of reach is no such reason.
async fn healthz(State(shared): State<Shared>) -> Response {
    answer(health::alive(shared.board.read().as_ref()))
}

/// Whether it works on its queues.
async fn readyz(State(shared): State<Shared>) -> Response {
    answer(health::ready(shared.board.read().as_ref()))
}

fn answer(health: Result<(), String>) -> Response {
    match health {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()).into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

fn is_let_in(token: Option<&str>, headers: &HeaderMap) -> bool {
    let Some(token) = token else { return true };
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    given.is_some_and(|given| is_same(given, token.as_bytes()))
}

/// Takes as long for a near guess as for a wild one.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one
        .iter()
        .zip(other)
        .fold(0, |differing, (a, b)| differing | (a ^ b));
    one.len() == other.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::is_let_in;

    #[test]
    fn the_token_is_borne_or_there_is_none() {
        let check = |token: Option<&str>, given: Option<&'static str>, expected| {
            let mut headers = HeaderMap::new();
            if let Some(given) = given {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_static(given));
            }
            assert_eq!(is_let_in(token, &headers), expected, "{given:?}");
        };
        check(None, None, true);
        check(Some("open sesame"), Some("Bearer open sesame"), true);
        check(Some("open sesame"), None, false);
        check(Some("open sesame"), Some("Bearer open sesam"), false);
        check(Some("open sesame"), Some("Bearer open sesame2"), false);
        check(Some("open sesame"), Some("Bearer open SESAME"), false);
        check(Some("open sesame"), Some("Basic open sesame"), false);
    }
}
