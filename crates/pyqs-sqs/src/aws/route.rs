//! `Route`: requests that are made by the SDK's parts, without the SDK's way from a call to the connection.
//!
//! That way (operations as plug-ins, interceptors, retries, rules for endpoints, values behind `dyn Any`) costs several
//! times what the request itself does, and a worker makes one request for every five tasks. So the SDK prepares one
//! request of each client, which is not sent, and a `Route` takes over from it what the SDK has found out: where requests
//! go, in which scope they are signed, and by which parts: its connections, with their proxies and certificates, its cache
//! of credentials, which renews them in time. Signatures are `aws_sigv4`'s. What goes wrong is an [`SdkError`], as if the
//! SDK had met it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::SdkError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeId};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::identity::{
    Identity, ResolveCachedIdentity, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::error::ErrorMetadata;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::connect::CONNECT_TIMEOUT;
use super::observe::Observed;

/// What can go wrong with a request, in the SDK's terms.
pub(super) type RouteError = SdkError<ErrorMetadata, HttpResponse>;

/// See the module's doc.
pub(super) struct Route {
    uri: String,
    scope: Scope,
    /// What the SDK says of itself.
    user_agents: Vec<(&'static str, String)>,
    connector: SharedHttpConnector,
    identities: SharedIdentityResolver,
    components: RuntimeComponents,
}

/// Shows nothing of the credentials' source.
impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").finish_non_exhaustive()
    }
}

/// What a signature holds for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scope {
    region: String,
    service: String,
}

const SIGNATURE_V4: AuthSchemeId = AuthSchemeId::new("sigv4");
const AUTHORIZATION: &str = "authorization";
const USER_AGENTS: [&str; 2] = ["user-agent", "x-amz-user-agent"];

impl Route {
    /// That of a client's requests.
    pub(super) async fn of_client(client: &Client) -> Result<Self, RouteError> {
        let found = Arc::new(Mutex::new(None));
        let finder = Finder(Arc::clone(&found));
        let request = client.list_queues().customize().interceptor(finder);
        let prepared = request.send().await;
        // Taken out, since it holds the finder itself.
        let route = found.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (route, prepared) {
            (Some(route), _) => Ok(route),
            (None, Err(error)) => Err(error.map_service_error(|error| error.meta().clone())),
            (None, Ok(_)) => Err(SdkError::construction_failure(UNKNOWN_SIGNATURE)),
        }
    }

    /// The route of a request that the SDK is about to send; none if it is signed in a way that we don't know.
    fn of(request: &HttpRequest, components: &RuntimeComponents) -> Option<Self> {
        let headers = request.headers();
        let scope = Scope::read(headers.get(AUTHORIZATION)?)?;
        let scheme = components.auth_scheme(SIGNATURE_V4)?;
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .build();
        let user_agents = USER_AGENTS
            .iter()
            .filter_map(|&name| Some((name, headers.get(name)?.to_owned())));
        Some(Self {
            uri: request.uri().to_owned(),
            scope,
            user_agents: user_agents.collect(),
            connector: components
                .http_client()?
                .http_connector(&settings, components),
            identities: scheme.identity_resolver(components)?,
            components: components.clone(),
        })
    }

    /// Makes a request of SQS's JSON protocol, with a header of its own where one is given.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        action: &'static str,
        input: &impl Serialize,
        header: Option<(&'static str, String)>,
        observed: &Observed,
    ) -> Result<T, RouteError> {
        let identity = self
            .components
            .identity_cache()
            .resolve_cached_identity(
                self.identities.clone(),
                &self.components,
                &ConfigBag::base(),
            )
            .await
            .map_err(SdkError::construction_failure)?;
        let request = self
            .request(action, input, header, &identity)
            .map_err(SdkError::construction_failure)?;
        let mut response = self
            .connector
            .call(request)
            .await
            .map_err(SdkError::dispatch_failure)?;
        observed.answered(response.headers());
        let body = match ByteStream::new(response.take_body()).collect().await {
            Ok(body) => body.into_bytes(),
            Err(error) => return Err(SdkError::response_error(error, response)),
        };
        if !response.status().is_success() {
            let error = error_of(&response, &body);
            return Err(SdkError::service_error(error, response));
        }
        // An answer that has nothing to say may be no JSON at all.
        let body = if body.is_empty() { b"{}" } else { &*body };
        serde_json::from_slice(body)
            .map_err(|_| SdkError::service_error(ErrorMetadata::builder().build(), response))
    }

    fn request(
        &self,
        action: &'static str,
        input: &impl Serialize,
        header: Option<(&'static str, String)>,
        identity: &Identity,
    ) -> Result<HttpRequest, BoxError> {
        let body = serde_json::to_vec(input)?;
        let mut headers = vec![
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", format!("AmazonSQS.{action}")),
            // Errors by the names that they have in all of SQS's protocols.
            ("x-amzn-query-mode", "true".to_owned()),
            ("content-length", body.len().to_string()),
        ];
        headers.extend(self.user_agents.iter().cloned());
        headers.extend(header);
        let params = v4::SigningParams::builder()
            .identity(identity)
            .region(&self.scope.region)
            .name(&self.scope.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let signable = SignableRequest::new(
            "POST",
            self.uri.as_str(),
            headers.iter().map(|(name, value)| (*name, value.as_str())),
            SignableBody::Bytes(&body),
        )?;
        let (signature, _) = sign(signable, &params)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST")?;
        request.set_uri(self.uri.as_str())?;
        for (name, value) in headers {
            request.headers_mut().try_insert(name, value)?;
        }
        for header in signature.into_parts().0 {
            request
                .headers_mut()
                .try_insert(header.name(), header.value().to_owned())?;
        }
        Ok(request)
    }
}

/// Finds the route of the one request that it sees, which is not sent.
#[derive(Debug)]
struct Finder(Arc<Mutex<Option<Route>>>);

#[dyn_dispatch_hint]
impl Intercept for Finder {
    fn name(&self) -> &'static str {
        "Finder"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let route = Route::of(context.request(), components);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = route;
        Err(UNKNOWN_SIGNATURE.into())
    }
}

/// What is said where no route is found.
const UNKNOWN_SIGNATURE: &str = "requests to SQS are not signed by signature version 4";

impl Scope {
    /// From a header like `AWS4-HMAC-SHA256 Credential=KEY/20260101/eu-west-1/sqs/aws4_request, SignedHeaders=…`.
    fn read(authorization: &str) -> Option<Self> {
        let credential = authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=")?;
        let mut parts = credential.split(',').next()?.rsplit('/');
        let (Some("aws4_request"), Some(service), Some(region)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        Some(Self {
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: Option<String>,
    #[serde(rename = "__type")]
    kind: Option<String>,
    #[serde(alias = "Message", alias = "errorMessage")]
    message: Option<String>,
}

/// What SQS says is wrong, by the first of the three places where it may stand (AWS JSON protocol, "Operation error
/// serialization"; "AWS Query-compatible").
fn error_of(response: &HttpResponse, body: &[u8]) -> ErrorMetadata {
    let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let headers = response.headers();
    let of_query = headers
        .get("x-amzn-query-error")
        .and_then(|error| error.split_once(';'))
        .map(|(code, _)| code);
    let code = of_query
        .or(headers.get("x-amzn-errortype"))
        .or(body.code.as_deref())
        .or(body.kind.as_deref());
    let mut error = ErrorMetadata::builder();
    if let Some(code) = code {
        error = error.code(code.split(':').next().unwrap_or(code));
    }
    if let Some(message) = body.message {
        error = error.message(message);
    }
    error.build()
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn a_scope_is_read_from_the_signature() {
        let read =
            |authorization| Scope::read(authorization).map(|scope| (scope.region, scope.service));
        let sent = "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/sqs/aws4_request, \
            SignedHeaders=host;x-amz-date, Signature=abc";
        let expected = ("eu-west-1".to_owned(), "sqs".to_owned());
        assert_eq!(read(sent), Some(expected));
        assert_eq!(
            read("AWS4-ECDSA-P256-SHA256 Credential=AKID/20260101/sqs/aws4_request"),
            None
        );
        assert_eq!(
            read("AWS4-HMAC-SHA256 Credential=AKID/x, SignedHeaders=host"),
            None
        );
        assert_eq!(read("Bearer x"), None);
    }
}
