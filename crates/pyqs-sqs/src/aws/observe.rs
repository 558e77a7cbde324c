//! What is learnt from requests as they pass.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_sqs::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::http::Headers;

/// By which an endpoint says that receives can be ended.
const ENDS_POLLS: &str = "x-pyqs-ends-polls";
const YES: &str = "yes";

/// What the requests of one client have shown so far.
#[derive(Debug, Default)]
pub(super) struct Observed {
    can_end_polls: AtomicBool,
    endpoint: OnceLock<String>,
}

impl Observed {
    /// Whether the last answer said that receives can be ended.
    pub(super) fn can_end_polls(&self) -> bool {
        self.can_end_polls.load(Ordering::Relaxed)
    }

    /// Takes in an answer's headers.
    pub(super) fn answered(&self, headers: &Headers) {
        let says_so = headers.get(ENDS_POLLS) == Some(YES);
        self.can_end_polls.store(says_so, Ordering::Relaxed);
    }

    /// Where the first request went, for error messages.
    pub(super) fn endpoint(&self) -> Option<&str> {
        self.endpoint.get().map(String::as_str)
    }
}

/// Feeds [`Observed`].
#[derive(Debug)]
pub(super) struct Observer(pub(super) std::sync::Arc<Observed>);

#[dyn_dispatch_hint]
impl Intercept for Observer {
    fn name(&self) -> &'static str {
        "Observer"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0
            .endpoint
            .get_or_init(|| origin(context.request().uri()));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.answered(context.response().headers());
        Ok(())
    }
}

/// Scheme, host and port of a URL, without a user's name and password.
fn origin(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    format!(
        "{scheme}://{}",
        authority.rsplit('@').next().unwrap_or(authority)
    )
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn an_origin_has_no_path_and_no_password() {
        assert_eq!(origin("http://127.0.0.1:9324/"), "http://127.0.0.1:9324");
        assert_eq!(
            origin("https://user:hunter2@sqs.test/x?y"),
            "https://sqs.test"
        );
    }
}
