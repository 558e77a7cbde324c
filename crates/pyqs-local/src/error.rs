//! Refusals as they go over the wire: code, status, message.

use axum::http::StatusCode;
use pyqs_broker::{Error as BrokerError, Fault};

use crate::http::SignatureError;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// SQS's own refusals.
    Broker(BrokerError),
    /// The body is not what the protocol says.
    Serialization { reason: String },
    /// There is no such action.
    UnknownOperation { name: String },
    /// A queue URL that can't be one.
    InvalidAddress { address: String },
    /// The message has characters that SQS does not carry.
    InvalidMessageContents,
    /// Something about a batch as a whole.
    Batch(BatchError),
    /// More actions in one permission than SQS allows.
    TooManyActions { count: usize, max: usize },
    /// The request comes from another site's web page.
    CrossSite,
    /// It isn't signed by a key that may ask.
    Signature(SignatureError),
    /// The request is larger than any that SQS takes.
    TooLarge { bytes_max: usize },
    /// Neither an action nor one of the endpoint's own pages.
    NotFound,
    /// The store can't be written: nothing is taken in until it can.
    StoreUnavailable,
    /// The store's disk is full: nothing is sent until there is room; all else goes on.
    DiskFull,
    /// The endpoint is going down.
    Stopping,
    /// It was asked for that this request fails.
    Injected,
    /// It was asked for that this client is told to slow down.
    Throttled,
    /// It was asked for that this client's credentials have expired.
    ExpiredToken,
    /// Which faults are wanted can't be read.
    FaultFile { path: String, reason: String },
}

/// What can be wrong with a batch as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BatchError {
    Empty { entry: &'static str },
    TooMany { count: usize },
    IdInvalid,
    IdRepeated { id: String },
    TooLong { bytes: usize, bytes_max: usize },
}

impl From<BrokerError> for ApiError {
    fn from(error: BrokerError) -> Self {
        Self::Broker(error)
    }
}

impl From<SignatureError> for ApiError {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}

impl ApiError {
    pub(crate) fn missing(parameter: &'static str) -> Self {
        Self::Broker(BrokerError::MissingParameter { parameter })
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Broker(BrokerError::InvalidParameterValue { message })
    }

    /// The error's shape, with the namespace in which AWS has it: the service's model, or the
    /// framework below it for errors that all of its services share.
    pub(crate) fn shape(&self) -> String {
        let shared = |name| format!("com.amazon.coral.service#{name}");
        match self {
            Self::Broker(BrokerError::MissingParameter { .. }) => {
                shared("MissingRequiredParameterException")
            }
            Self::Broker(
                BrokerError::InvalidParameterValue { .. } | BrokerError::InvalidQueueName,
            ) => shared("InvalidParameterValueException"),
            Self::Serialization { .. } => shared("SerializationException"),
            Self::UnknownOperation { .. } | Self::NotFound => shared("UnknownOperationException"),
            Self::CrossSite => shared("AccessDeniedException"),
            Self::Signature(error) => shared(error.shape()),
            Self::TooLarge { .. } => shared("RequestEntityTooLargeException"),
            Self::StoreUnavailable | Self::Injected | Self::FaultFile { .. } => {
                shared("InternalFailure")
            }
            Self::Throttled => shared("ThrottlingException"),
            Self::ExpiredToken => shared("ExpiredTokenException"),
            Self::Stopping | Self::DiskFull => shared("ServiceUnavailableException"),
            _ => format!("com.amazonaws.sqs#{}", self.code()),
        }
    }

    /// The shape's name in the service's model.
    fn code(&self) -> &'static str {
        match self {
            Self::Broker(error) => error.code(),
            Self::InvalidAddress { .. } => "InvalidAddress",
            Self::InvalidMessageContents => "InvalidMessageContents",
            Self::Batch(error) => error.code(),
            Self::TooManyActions { .. } => "OverLimit",
            Self::Serialization { .. } => "MalformedInput",
            Self::UnknownOperation { .. } | Self::NotFound => "InvalidAction",
            Self::CrossSite => "AccessDenied",
            Self::Signature(error) => error.code(),
            Self::TooLarge { .. } => "RequestEntityTooLarge",
            Self::StoreUnavailable | Self::Injected | Self::FaultFile { .. } => "InternalFailure",
            Self::Throttled => "Throttling",
            Self::ExpiredToken => "ExpiredToken",
            Self::Stopping | Self::DiskFull => "ServiceUnavailable",
        }
    }

    /// The code of the Query protocol, which typed clients still see beside the new one.
    pub(crate) fn query_code(&self) -> String {
        match self {
            Self::Broker(error) => error.query_code().to_owned(),
            Self::Batch(_) => {
                format!("AWS.SimpleQueueService.{}", self.code())
            }
            _ => self.code().to_owned(),
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        if self.status().is_server_error() {
            Fault::Receiver
        } else {
            Fault::Sender
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::CrossSite
            | Self::ExpiredToken
            | Self::TooManyActions { .. }
            | Self::Broker(BrokerError::OverLimit | BrokerError::PurgeQueueInProgress { .. }) => {
                StatusCode::FORBIDDEN
            }
            Self::Signature(error) => error.status(),
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownOperation { .. }
            | Self::NotFound
            | Self::Broker(BrokerError::ResourceNotFound { .. }) => StatusCode::NOT_FOUND,
            Self::StoreUnavailable | Self::Injected | Self::FaultFile { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Stopping | Self::DiskFull => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Broker(error) => error.to_string(),
            Self::Serialization { reason } => reason.clone(),
            Self::UnknownOperation { name } => format!("The action {name} is not valid."),
            Self::InvalidAddress { address } => {
                format!("The address {address} is not valid for this endpoint.")
            }
            Self::InvalidMessageContents => "Invalid characters found. Valid unicode characters \
                                             are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to \
                                             #xFFFD | #x10000 to #x10FFFF"
                .to_owned(),
            Self::Batch(error) => error.message(),
            Self::Signature(error) => error.message(),
            Self::TooManyActions { count, max } => {
                format!("{count} Actions were found, maximum allowed is {max}.")
            }
            Self::CrossSite => "Requests from other sites' web pages are refused.".to_owned(),
            Self::TooLarge { bytes_max } => {
                format!("The request is larger than {bytes_max} bytes.")
            }
            Self::NotFound => {
                "There is nothing here: send requests of AWS JSON 1.0 or the Query protocol to /."
                    .to_owned()
            }
            Self::StoreUnavailable => {
                "The data folder can't be written; is its disk full?".to_owned()
            }
            Self::DiskFull => {
                "The disk of the data folder is full: nothing can be sent until there is room. \
                 Receiving and deleting go on."
                    .to_owned()
            }
            Self::Stopping => "The endpoint is stopping.".to_owned(),
            Self::Injected => "This request fails by a fault that was asked for.".to_owned(),
            Self::Throttled => "Rate exceeded".to_owned(),
            Self::ExpiredToken => {
                "The security token included in the request is expired".to_owned()
            }
            Self::FaultFile { path, reason } => {
                format!("The file of faults {path} can't be read: {reason}")
            }
        }
    }
}

impl BatchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "EmptyBatchRequest",
            Self::TooMany { .. } => "TooManyEntriesInBatchRequest",
            Self::IdInvalid => "InvalidBatchEntryId",
            Self::IdRepeated { .. } => "BatchEntryIdsNotDistinct",
            Self::TooLong { .. } => "BatchRequestTooLong",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Empty { entry } => {
                format!("There should be at least one {entry} in the request.")
            }
            Self::TooMany { count } => {
                format!("Maximum number of entries per request are 10. You have sent {count}.")
            }
            Self::IdInvalid => "A batch entry id can only contain alphanumeric characters, \
                                hyphens and underscores. It can be at most 80 letters long."
                .to_owned(),
            Self::IdRepeated { id } => format!("Id {id} repeated."),
            Self::TooLong { bytes, bytes_max } => format!(
                "Batch requests cannot be longer than {bytes_max} bytes. You have sent {bytes} \
                 bytes."
            ),
        }
    }
}
