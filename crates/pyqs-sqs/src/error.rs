//! What can go wrong, by what the caller can do about it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a call to SQS failed. The text is one line for a person; causes hang below as `source`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SqsError {
    /// SQS asks to slow down. Try again, more slowly.
    Throttled(Box<Failure>),
    /// No connection could be made, or it broke. Try again; SQS may have carried the call out.
    Unreachable(Box<Failure>),
    /// No answer came in time. Try again; SQS may have carried the call out.
    TimedOut(Box<Failure>),
    /// SQS answered that it is in trouble itself. Try again.
    ServerError(Box<Failure>),
    /// These credentials may not do this. A person must change a policy.
    Denied(Box<Failure>),
    /// SQS does not know these credentials, or they have expired. A person must give others.
    BadCredentials(Box<Failure>),
    /// No credentials were found. A person must give some.
    NoCredentials(Box<Failure>),
    /// A source of credentials was found, but it gave none this time. Try again.
    CredentialsUnavailable(Box<Failure>),
    /// The queue is not there.
    QueueMissing(Box<Failure>),
    /// SQS will never take this call as it is.
    Rejected(Box<Failure>),
}

impl fmt::Display for SqsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failure = self.failure();
        match self {
            Self::Throttled(_) => write!(f, "SQS throttles {failure}; try again at a lower rate"),
            Self::Unreachable(_) => {
                write!(
                    f,
                    "can't reach SQS{} for {failure}; {CHECK_THE_WAY}",
                    At(failure)
                )
            }
            Self::TimedOut(_) => {
                write!(
                    f,
                    "SQS{} did not answer {failure}; {CHECK_THE_WAY}",
                    At(failure)
                )
            }
            Self::ServerError(_) => write!(f, "SQS is in trouble at {failure}; try again later"),
            Self::Denied(_) => write!(
                f,
                "SQS refuses {failure}; allow `sqs:{}` to these credentials",
                failure.action
            ),
            Self::BadCredentials(_) => write!(
                f,
                "SQS does not accept these credentials for {failure}; {GIVE_CREDENTIALS}"
            ),
            Self::NoCredentials(_) => {
                write!(f, "no AWS credentials for {failure}; {GIVE_CREDENTIALS}")
            }
            Self::CredentialsUnavailable(_) => write!(
                f,
                "no AWS credentials could be had for {failure}; check the profile, the role or \
                 the command that is to give them"
            ),
            Self::QueueMissing(_) => write!(
                f,
                "no such queue at {failure}; create it, or check its name and the region"
            ),
            Self::Rejected(_) => write!(f, "SQS rejects {failure}"),
        }
    }
}

impl Error for SqsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failure().source.as_deref().map(|source| source as _)
    }
}

const CHECK_THE_WAY: &str = "check the endpoint URL, the region and the network";

const GIVE_CREDENTIALS: &str = "give --access-key-id and --secret-access-key, or set \
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run `aws configure`, or attach \
    a role to this machine";

impl SqsError {
    /// Whether the same call may well succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Throttled(_)
            | Self::Unreachable(_)
            | Self::TimedOut(_)
            | Self::ServerError(_)
            | Self::CredentialsUnavailable(_) => true,
            Self::Denied(_)
            | Self::BadCredentials(_)
            | Self::NoCredentials(_)
            | Self::QueueMissing(_)
            | Self::Rejected(_) => false,
        }
    }

    /// Whether only other credentials can help.
    pub fn is_about_credentials(&self) -> bool {
        matches!(
            self,
            Self::BadCredentials(_) | Self::NoCredentials(_) | Self::CredentialsUnavailable(_)
        )
    }

    /// Whether the credentials were good once: what gives them may have others by now.
    pub fn is_about_expiry(&self) -> bool {
        match self {
            Self::BadCredentials(failure) => {
                let code = failure.code.as_deref().unwrap_or_default();
                matches!(
                    code,
                    "ExpiredToken" | "ExpiredTokenException" | "RequestExpired"
                )
            }
            _ => false,
        }
    }

    /// What failed, on which queue.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Throttled(failure)
            | Self::Unreachable(failure)
            | Self::TimedOut(failure)
            | Self::ServerError(failure)
            | Self::Denied(failure)
            | Self::BadCredentials(failure)
            | Self::NoCredentials(failure)
            | Self::CredentialsUnavailable(failure)
            | Self::QueueMissing(failure)
            | Self::Rejected(failure) => failure,
        }
    }
}

/// What failed, on which queue. Displays as `SendMessage on queue "email": reason (Code)`.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// The SQS action (`ReceiveMessage`).
    pub action: &'static str,
    /// The name of the queue, where the action is about one.
    pub queue: Option<String>,
    /// Scheme, host and port of the endpoint, where a request was made.
    pub endpoint: Option<String>,
    /// SQS's error code without its namespace, where SQS answered with one.
    pub code: Option<String>,
    /// What SQS or the network said; one line.
    pub reason: String,
    /// The underlying error.
    pub source: Option<Arc<dyn Error + Send + Sync>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action)?;
        if let Some(queue) = &self.queue {
            write!(f, " on queue \"{queue}\"")?;
        }
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        Ok(())
    }
}

/// ` at http://127.0.0.1:9324`, where the endpoint is known.
struct At<'a>(&'a Failure);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.endpoint {
            Some(endpoint) => write!(f, " at {endpoint}"),
            None => Ok(()),
        }
    }
}

/// Why one entry of a batch failed, while the request as a whole was answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The receipt no longer stands: the message is another's by now, or gone.
    #[error("the receipt has expired: {message} ({code})")]
    ReceiptExpired {
        /// SQS's error code.
        code: String,
        /// What SQS said.
        message: String,
    },
    /// Trouble on the side of SQS: worth trying again.
    #[error("SQS failed: {message} ({code})")]
    Failed {
        /// SQS's error code.
        code: String,
        /// What SQS said.
        message: String,
    },
    /// SQS will never take this entry as it is.
    #[error("SQS rejects it: {message} ({code})")]
    Refused {
        /// SQS's error code.
        code: String,
        /// What SQS said.
        message: String,
    },
}

impl EntryError {
    /// What SQS said.
    pub fn into_code_and_message(self) -> (String, String) {
        match self {
            Self::ReceiptExpired { code, message }
            | Self::Failed { code, message }
            | Self::Refused { code, message } => (code, message),
        }
    }
}
