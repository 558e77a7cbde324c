//! Rust's errors as the classes of `pyqs.errors`: one match an enum, by what the caller can do.

use pyo3::prelude::*;
use pyqs::ClientError;
use pyqs_formats::Undecodable;
use pyqs_sqs::SqsError;

/// The classes, which are defined in Python. Each is looked up when it is first raised.
mod classes {
    #![allow(missing_docs, unreachable_pub)] // Their documentation is Python's.

    use pyo3::import_exception;

    import_exception!(pyqs.errors, AccessDenied);
    import_exception!(pyqs.errors, CredentialsError);
    import_exception!(pyqs.errors, EndpointTimeout);
    import_exception!(pyqs.errors, EndpointUnreachable);
    import_exception!(pyqs.errors, MessageTooLarge);
    import_exception!(pyqs.errors, PyqsError);
    import_exception!(pyqs.errors, QueueMissing);
    import_exception!(pyqs.errors, QueueNameInvalid);
    import_exception!(pyqs.errors, RequestRejected);
    import_exception!(pyqs.errors, ServiceError);
    import_exception!(pyqs.errors, SettingsInvalid);
    import_exception!(pyqs.errors, Throttled);
    import_exception!(pyqs.errors, UndecodableMessage);
}

pub(crate) use classes::{SettingsInvalid, UndecodableMessage};

pub(crate) fn undecodable(error: &Undecodable) -> PyErr {
    UndecodableMessage::new_err((error.reason.clone(), error.layer.to_string()))
}

pub(crate) fn client(error: &ClientError) -> PyErr {
    let text = error.to_string();
    match error {
        ClientError::Sqs(error) => sqs(error),
        ClientError::TooLarge { .. } => classes::MessageTooLarge::new_err(text),
        ClientError::BadName(_) => classes::QueueNameInvalid::new_err(text),
        ClientError::QueueMissing { .. } => classes::QueueMissing::new_err(text),
        ClientError::FifoDelay { .. }
        | ClientError::FifoGroup { .. }
        | ClientError::DeduplicationNotFifo { .. }
        | ClientError::TooManyAttributes { .. }
        | ClientError::AttributesTaken { .. } => classes::RequestRejected::new_err(text),
        ClientError::DelayTooLong { .. }
        | ClientError::BadMaxAttempts { .. }
        | ClientError::Connect(_)
        | ClientError::Argument(_) => SettingsInvalid::new_err(text),
        // A runtime that can't be made or was shut down, and what clients may come to say later.
        _ => classes::PyqsError::new_err(text),
    }
}

fn sqs(error: &SqsError) -> PyErr {
    let text = error.to_string();
    match error {
        SqsError::Throttled(_) => classes::Throttled::new_err(text),
        SqsError::Unreachable(_) => classes::EndpointUnreachable::new_err(text),
        SqsError::TimedOut(_) => classes::EndpointTimeout::new_err(text),
        SqsError::ServerError(_) => classes::ServiceError::new_err(text),
        SqsError::Denied(_) => classes::AccessDenied::new_err(text),
        SqsError::BadCredentials(_)
        | SqsError::NoCredentials(_)
        | SqsError::CredentialsUnavailable(_) => classes::CredentialsError::new_err(text),
        SqsError::QueueMissing(_) => classes::QueueMissing::new_err(text),
        // `Rejected`, and what SQS may come to say later.
        _ => classes::RequestRejected::new_err(text),
    }
}
