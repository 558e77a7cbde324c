//! From the SDK's errors to ours.

use std::error::Error;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::{EntryError, Failure, SqsError};

/// The call that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) action: &'static str,
    pub(super) queue: Option<&'a str>,
    pub(super) endpoint: Option<&'a str>,
}

impl Call<'_> {
    pub(super) fn failure(&self, reason: impl Into<String>) -> Failure {
        Failure {
            action: self.action,
            queue: self.queue.map(str::to_owned),
            endpoint: self.endpoint.map(str::to_owned),
            code: None,
            reason: one_line(&reason.into()),
            source: None,
        }
    }
}

/// What the caller can do about an error of the SDK's.
pub(super) fn sqs_error<E>(call: Call<'_>, error: SdkError<E, HttpResponse>) -> SqsError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    if let Some(cause) = find::<CredentialsError>(&error) {
        let make = credentials_variant(cause);
        let failure = call.failure(root(cause).to_string());
        return make(Box::new(with_source(failure, error)));
    }
    match &error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().map(|code| short_code(code).to_owned());
            let mut failure = call.failure(service_reason(answer.err(), status));
            let make = service_variant(call.action, code.as_deref(), status);
            failure.code = code;
            make(Box::new(with_source(failure, error)))
        }
        SdkError::ResponseError(answer) => {
            let reason = format!("the answer is not one of SQS's: {}", root(&error));
            let is_broken_off = answer.raw().status().is_success();
            let failure = Box::new(with_source(call.failure(reason), error));
            if is_broken_off {
                SqsError::Unreachable(failure)
            } else {
                SqsError::ServerError(failure)
            }
        }
        SdkError::TimeoutError(_) => {
            let failure = call.failure(root(&error).to_string());
            SqsError::TimedOut(Box::new(with_source(failure, error)))
        }
        SdkError::DispatchFailure(cause) if !cause.is_user() => {
            let failure = call.failure(root(&error).to_string());
            SqsError::Unreachable(Box::new(with_source(failure, error)))
        }
        _ => {
            let failure = call.failure(root(&error).to_string());
            SqsError::Rejected(Box::new(with_source(failure, error)))
        }
    }
}

/// What the caller can do about one entry of a batch.
pub(super) fn entry_error(code: &str, message: Option<&str>, is_senders: bool) -> EntryError {
    let code = short_code(code).to_owned();
    let message = one_line(message.unwrap_or("no reason given"));
    let is_expired = match code.as_str() {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => true,
        // On FIFO queues the one code stands for all that is wrong with a value.
        "InvalidParameterValue" => message.contains("eceipt handle has expired"),
        _ => false,
    };
    if is_expired {
        EntryError::ReceiptExpired { code, message }
    } else if is_senders && !THROTTLED.contains(&code.as_str()) {
        EntryError::Refused { code, message }
    } else {
        EntryError::Failed { code, message }
    }
}

/// Makes a variant of [`SqsError`].
type MakeError = fn(Box<Failure>) -> SqsError;

fn service_variant(action: &str, code: Option<&str>, status: u16) -> MakeError {
    let code = code.unwrap_or_default();
    if THROTTLED.contains(&code) || status == 429 {
        SqsError::Throttled
    } else if QUEUE_MISSING.contains(&code) || (action == "GetQueueUrl" && BAD_NAME.contains(&code))
    {
        SqsError::QueueMissing
    } else if BAD_CREDENTIALS.contains(&code) {
        SqsError::BadCredentials
    } else if DENIED.contains(&code) {
        SqsError::Denied
    } else if SERVER_ERROR.contains(&code) || status >= 500 {
        SqsError::ServerError
    } else if status == 403 {
        SqsError::Denied
    } else if status < 400 {
        // Something between here and SQS answers in its place.
        SqsError::Unreachable
    } else {
        SqsError::Rejected
    }
}

fn credentials_variant(cause: &CredentialsError) -> MakeError {
    match cause {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
            SqsError::NoCredentials
        }
        _ => SqsError::CredentialsUnavailable,
    }
}

/// SQS says what is wrong; anything else that listens there may not.
fn service_reason(error: &(impl Error + ProvideErrorMetadata), status: u16) -> String {
    match (error.message(), error.code()) {
        (Some(message), _) => message.to_owned(),
        (None, Some(_)) => format!("HTTP status {status}"),
        (None, None) if status < 400 => "the answer is not one of SQS's".to_owned(),
        (None, None) => format!("HTTP status {status} without an error of SQS's; is this SQS?"),
    }
}

/// `AWS.SimpleQueueService.NonExistentQueue` and `com.amazonaws.sqs#QueueDoesNotExist` without
/// what is before the name.
fn short_code(code: &str) -> &str {
    code.rsplit(['.', '#']).next().unwrap_or(code)
}

/// Keeps what is in the SDK's wrapper; the wrapper itself holds the whole response.
fn with_source<E>(failure: Failure, error: SdkError<E, HttpResponse>) -> Failure
where
    E: Error + Send + Sync + 'static,
{
    Failure {
        source: error.into_source().ok().map(Arc::from),
        ..failure
    }
}

/// The first error of this type in the chain.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(<dyn Error>::downcast_ref)
}

/// The last error of the chain, which says most.
fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .unwrap_or(error)
}

fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .trim_end_matches('.')
        .to_owned()
}

/// Codes by which SQS and the services around it ask to slow down. `OverLimit` is too many
/// messages in flight, which a little time cures too.
const THROTTLED: &[&str] = &[
    "KmsThrottled",
    "LimitExceededException",
    "OverLimit",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

const QUEUE_MISSING: &[&str] = &["InvalidAddress", "NonExistentQueue", "QueueDoesNotExist"];

/// From `GetQueueUrl`: a name that SQS does not accept can't be a queue's.
const BAD_NAME: &[&str] = &[
    "InvalidParameterValue",
    "InvalidParameterValueException",
    "ValidationException",
];

const BAD_CREDENTIALS: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "KmsAccessDenied",
    "KmsDisabled",
    "KmsInvalidKeyUsage",
    "KmsInvalidState",
    "KmsNotFound",
    "KmsOptInRequired",
    "NotAuthorized",
    "OptInRequired",
    "UnauthorizedOperation",
];

const SERVER_ERROR: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

#[cfg(test)]
mod tests {
    use super::{entry_error, one_line, short_code};
    use crate::EntryError;

    #[track_caller]
    fn check(code: &str, message: &str, sender_fault: bool, is_expected: fn(&EntryError) -> bool) {
        let error = entry_error(code, Some(message), sender_fault);
        assert!(is_expected(&error), "{error:?}");
    }

    #[test]
    fn entries_fail_by_what_can_be_done() {
        let expired = |error: &EntryError| matches!(error, EntryError::ReceiptExpired { .. });
        let failed = |error: &EntryError| matches!(error, EntryError::Failed { .. });
        let refused = |error: &EntryError| matches!(error, EntryError::Refused { .. });

        check("ReceiptHandleIsInvalid", "x", true, expired);
        check(
            "AWS.SimpleQueueService.MessageNotInflight",
            "x",
            true,
            expired,
        );
        let message = "Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt \
            handle has expired.";
        check("InvalidParameterValue", message, true, expired);
        let message = "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total \
            VisibilityTimeout for the message is beyond the limit [43200 seconds].";
        check("InvalidParameterValue", message, true, refused);
        check("InternalError", "x", false, failed);
        check("ThrottlingException", "x", true, failed);
    }

    #[test]
    fn codes_lose_their_namespace() {
        assert_eq!(
            short_code("AWS.SimpleQueueService.NonExistentQueue"),
            "NonExistentQueue"
        );
        assert_eq!(
            short_code("com.amazonaws.sqs#QueueDoesNotExist"),
            "QueueDoesNotExist"
        );
        assert_eq!(short_code("AccessDenied"), "AccessDenied");
    }

    #[test]
    fn reasons_are_one_line() {
        assert_eq!(one_line(" a\n  b.\r\n"), "a b");
    }
}
