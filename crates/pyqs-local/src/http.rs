//! The way of a request: who may ask, what is asked, how it is answered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, request};
use axum::response::Response;
use axum::routing::get;
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};

use crate::actions::{Action, Call, Reply};
use crate::address::Site;
use crate::connection::Handovers;
use crate::engine::Engine;
use crate::error::ApiError;
use crate::metrics::Metrics;
use fault::{FaultPlan, Injector};
use protocol::Protocol;
pub(crate) use sigv4::{SignatureError, Verifier, region_named};

pub(crate) mod fault;
mod json;
mod protocol;
mod query;
mod sigv4;

/// The largest request that is read: SQS's 1 MiB of messages, with room for what JSON's escapes
/// and base64 make of it. Escapes for plain letters, which no client writes, may exceed it.
const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Tells clients that a receive with a name ([`POLL`]) can be ended ([`END_POLL`]).
const ENDS_POLLS: HeaderName = HeaderName::from_static("x-pyqs-ends-polls");
/// What a sent message gets as its `AWSTraceHeader`, unless it has one (AWS: xray-services-sqs).
const TRACE: &str = "x-amzn-trace-id";
/// A receive's name, by which its client may end it.
const POLL: &str = "x-pyqs-poll";
/// On a `ReceiveMessage` that receives nothing: the receive of this name on the same queue is to wait no longer.
const END_POLL: &str = "x-pyqs-end-poll";

/// What all requests share.
struct Shared {
    engine: Arc<Engine>,
    metrics: Metrics,
    /// There only where faults are wanted.
    faults: Option<Injector>,
    site: Site,
    /// `None` where anybody may ask.
    verifier: Option<Verifier>,
}

/// Everything that is served: SQS on every path, as SDKs post to `/` and to queue URLs.
pub(crate) fn routes(
    engine: Arc<Engine>,
    site: Site,
    verifier: Option<Verifier>,
    faults: FaultPlan,
) -> Router {
    let shared = Arc::new(Shared {
        engine,
        metrics: Metrics::default(),
        faults: Injector::new(faults),
        site,
        verifier,
    });
    Router::new()
        .route("/health", get(health).fallback(sqs))
        .route("/metrics", get(metrics).fallback(sqs))
        .fallback(sqs)
        .with_state(shared)
}

async fn health() -> Response {
    page("application/json", "{\"status\":\"ok\"}".to_owned())
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let mut text = shared.metrics.render();
    text.extend(shared.faults.as_ref().map(Injector::render));
    page("text/plain; version=0.0.4", text)
}

async fn sqs(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(handovers): ConnectInfo<Handovers>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let protocol = Protocol::of(&head);
    match answer(&shared, protocol, &head, body, &handovers).await {
        Ok((action, reply)) => {
            if let Some(unconfirmed) = reply.unconfirmed {
                handovers.expect(unconfirmed);
            }
            protocol.reply(action, reply.body)
        }
        Err(error) => protocol.refusal(&error),
    }
}

async fn answer(
    shared: &Shared,
    protocol: Protocol,
    head: &request::Parts,
    body: Body,
    connection: &Handovers,
) -> Result<(Action, Reply), ApiError> {
    refuse_cross_site(&head.headers, &shared.site)?;
    let verifier = shared.verifier.as_ref();
    let signed = verifier.map(|verifier| verifier.check_head(head, now_secs()));
    let signed = signed.transpose()?;
    let read = async {
        let body = read(&head.headers, body).await?;
        if let Some(signed) = signed {
            signed.check_body(&body)?;
        }
        Ok::<_, ApiError>(body)
    };
    let (action, parameters) = match protocol {
        Protocol::Json => {
            if head.method != Method::POST {
                return Err(ApiError::NotFound);
            }
            let action = Action::of_name(json::action_name(&head.headers)?)?;
            (action, read.await?)
        }
        Protocol::Query => {
            let body = read.await?;
            let request = query::read(head, &body, shared.site.listening_on())?;
            (Action::of_name(&request.action)?, request.parameters.into())
        }
    };
    shared.metrics.count(action);
    let text = |name| head.headers.get(name)?.to_str().ok().map(str::to_owned);
    let call = Call {
        engine: Arc::clone(&shared.engine),
        poll: text(POLL),
        ends_poll: text(END_POLL),
        address: shared.site.address(head),
        trace_header: text(TRACE).filter(|trace| !trace.is_empty()),
    };
    let reply = match &shared.faults {
        None => action.handle(&call, &parameters).await?,
        Some(injector) => {
            let handled = injector.handle(action, &call, &parameters, connection);
            handled.await?
        }
    };
    Ok((action, reply))
}

/// A web page anywhere can make a browser post here: browsers say so, and are refused
/// (`Sec-Fetch-Site`, and `Origin` for those that don't send it). A page whose own name leads here,
/// as by DNS rebinding, is of the same site to its browser: what a browser sends is taken only
/// under names that nobody else can have.
fn refuse_cross_site(headers: &HeaderMap, site: &Site) -> Result<(), ApiError> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(ApiError::CrossSite);
    }
    let host = text(HOST.as_str()).unwrap_or_default();
    let is_own = |origin: &str| {
        let parts = origin.split_once("://");
        parts.is_some_and(|parts| parts == (site.scheme(), host))
    };
    let is_browser = headers.contains_key("sec-fetch-site") || headers.contains_key(ORIGIN);
    let is_foreign = text(ORIGIN.as_str()).is_some_and(|origin| !is_own(origin));
    if is_foreign || (is_browser && !is_address(host)) {
        return Err(ApiError::CrossSite);
    }
    Ok(())
}

/// Whether a `Host` is this machine's name for itself, or an IP address.
fn is_address(host: &str) -> bool {
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    let ip = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || ip.parse::<IpAddr>().is_ok()
}

/// The clock that signatures are checked by.
fn now_secs() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 reads as 1970.
    i64::try_from(since_epoch.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}

/// The body, unless it is too large; one that says so is not read at all.
async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let too_large = ApiError::TooLarge {
        bytes_max: REQUEST_BYTES_MAX,
    };
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let length = length.and_then(|text| text.parse::<usize>().ok());
    if length.is_some_and(|length| length > REQUEST_BYTES_MAX) {
        return Err(too_large);
    }
    let read = Limited::new(body, REQUEST_BYTES_MAX).collect().await;
    read.map(Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            return too_large;
        }
        ApiError::Serialization {
            reason: format!("The body can't be read: {error}"),
        }
    })
}

fn page(content_type: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    add_common(headers);
    response
}

/// Headers of every answer.
fn add_common(headers: &mut HeaderMap) {
    headers.insert(ENDS_POLLS, HeaderValue::from_static("yes"));
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
}
