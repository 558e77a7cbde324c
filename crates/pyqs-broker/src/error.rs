//! What SQS answers when it refuses, with AWS's codes and words.

use std::fmt;

/// Whose fault a refusal is; travels in `x-amzn-query-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request is wrong.
    Sender,
    /// The service is.
    Receiver,
}

/// Why an action was refused. `Display` gives AWS's message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no queue of that name or id.
    QueueDoesNotExist,
    /// `CreateQueue` for a queue that exists with another value of this attribute.
    QueueNameExists {
        /// The attribute that differs.
        attribute: &'static str,
    },
    /// `CreateQueue` within 60 seconds of `DeleteQueue`.
    QueueDeletedRecently,
    /// The queue's name has other characters than SQS accepts, or too many.
    InvalidQueueName,
    /// The attribute's value is out of range or doesn't fit the queue's type.
    InvalidAttributeValue {
        /// The attribute's name.
        attribute: &'static str,
        /// The value as the client sent it.
        value: String,
        /// AWS's reason, empty where AWS gives none.
        reason: &'static str,
    },
    /// The attribute can't be set, or not on this queue.
    InvalidAttributeName {
        /// The attribute's name.
        attribute: String,
    },
    /// A queue is to be encrypted in two ways at once.
    SseConflict,
    /// A parameter is out of range or doesn't fit the queue's type.
    InvalidParameterValue {
        /// The whole message.
        message: String,
    },
    /// A parameter that this queue needs is missing.
    MissingParameter {
        /// The parameter's name.
        parameter: &'static str,
    },
    /// The handle was not given out by this queue.
    ReceiptHandleIsInvalid {
        /// The handle as the client sent it.
        handle: String,
    },
    /// `ChangeMessageVisibility` on a FIFO queue of a message whose timeout is over.
    MessageNotInflight,
    /// Too many messages in flight on a standard queue.
    OverLimit,
    /// An ARN or a task's handle names nothing that there is.
    ResourceNotFound {
        /// The whole message.
        message: String,
    },
    /// `PurgeQueue` within 60 seconds of the last.
    PurgeQueueInProgress {
        /// The queue's name.
        queue: String,
    },
}

impl Error {
    /// The refusal of an ARN that names nothing.
    pub fn resource_not_found(parameter: &str) -> Self {
        Self::ResourceNotFound {
            message: format!(
                "The resource that you specified for the {parameter} parameter doesn't exist."
            ),
        }
    }

    /// A message for a FIFO queue has nothing to tell duplicates by.
    pub fn deduplication_missing() -> Self {
        Self::InvalidParameterValue {
            message: "The queue should either have ContentBasedDeduplication enabled or \
                      MessageDeduplicationId provided explicitly"
                .to_owned(),
        }
    }

    /// The name of the error's shape in the service model (`__type`'s last part).
    pub fn code(&self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "QueueDoesNotExist",
            Self::QueueNameExists { .. } => "QueueNameExists",
            Self::QueueDeletedRecently => "QueueDeletedRecently",
            Self::InvalidAttributeValue { .. } => "InvalidAttributeValue",
            Self::InvalidAttributeName { .. } | Self::SseConflict => "InvalidAttributeName",
            Self::InvalidQueueName | Self::InvalidParameterValue { .. } => "InvalidParameterValue",
            Self::MissingParameter { .. } => "MissingParameter",
            Self::ReceiptHandleIsInvalid { .. } => "ReceiptHandleIsInvalid",
            Self::MessageNotInflight => "MessageNotInflight",
            Self::OverLimit => "OverLimit",
            Self::ResourceNotFound { .. } => "ResourceNotFoundException",
            Self::PurgeQueueInProgress { .. } => "PurgeQueueInProgress",
        }
    }

    /// The code that the Query protocol had for it, where that differs.
    pub fn query_code(&self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "AWS.SimpleQueueService.NonExistentQueue",
            Self::QueueNameExists { .. } => "QueueAlreadyExists",
            Self::QueueDeletedRecently => "AWS.SimpleQueueService.QueueDeletedRecently",
            Self::MessageNotInflight => "AWS.SimpleQueueService.MessageNotInflight",
            Self::PurgeQueueInProgress { .. } => "AWS.SimpleQueueService.PurgeQueueInProgress",
            _ => self.code(),
        }
    }

    /// Every refusal of the broker is about the request.
    pub fn fault(&self) -> Fault {
        Fault::Sender
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueDoesNotExist => f.write_str("The specified queue does not exist."),
            Self::QueueNameExists { attribute } => write!(
                f,
                "A queue already exists with the same name and a different value for attribute \
                 {attribute}"
            ),
            Self::QueueDeletedRecently => f.write_str(
                "You must wait 60 seconds after deleting a queue before you can create another \
                 with the same name.",
            ),
            Self::InvalidQueueName => f.write_str(
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in \
                 length",
            ),
            Self::InvalidAttributeValue {
                attribute,
                value,
                reason,
            } => {
                write!(f, "Invalid value for the parameter {attribute}.")?;
                if reason.is_empty() {
                    write!(f, " Value: {value}")
                } else {
                    write!(f, " Reason: {reason}")
                }
            }
            Self::InvalidAttributeName { attribute } => write!(f, "Unknown Attribute {attribute}."),
            Self::SseConflict => f.write_str(
                "You can use one type of server-side encryption (SSE) at one time. You can either \
                 enable KMS SSE or SQS SSE.",
            ),
            Self::InvalidParameterValue { message } | Self::ResourceNotFound { message } => {
                f.write_str(message)
            }
            Self::MissingParameter { parameter } => {
                write!(f, "The request must contain the parameter {parameter}.")
            }
            Self::ReceiptHandleIsInvalid { handle } => {
                write!(
                    f,
                    "The input receipt handle \"{handle}\" is not a valid receipt handle."
                )
            }
            Self::MessageNotInflight => f.write_str("The specified message isn't in flight."),
            Self::OverLimit => f.write_str(
                "The maximum number of in flight messages is reached: delete messages or let \
                 their visibility timeout run out.",
            ),
            Self::PurgeQueueInProgress { queue } => write!(
                f,
                "Only one PurgeQueue operation on {queue} is allowed every 60 seconds."
            ),
        }
    }
}

impl std::error::Error for Error {}

/// AWS's sentence for a parameter whose value is refused.
pub(crate) fn invalid_parameter(value: impl fmt::Display, parameter: &str, reason: &str) -> Error {
    Error::InvalidParameterValue {
        message: format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}"),
    }
}
