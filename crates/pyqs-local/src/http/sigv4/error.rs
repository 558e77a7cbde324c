//! Refusals of signatures, as AWS names and words them.

use axum::http::StatusCode;

/// Why a request is not taken as signed. No variant carries anything of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignatureError {
    /// There is no signature.
    Missing,
    /// There is something, but not what a signature is made of.
    Incomplete { reason: String },
    /// No such access key.
    UnknownKey,
    /// It was made with another secret, of another request, at another time or for another scope.
    Mismatch { reason: String },
}

impl SignatureError {
    pub(super) fn incomplete(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Incomplete { reason }
    }

    pub(super) fn mismatch(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Mismatch { reason }
    }

    /// The shape's name in AWS JSON.
    pub(crate) fn shape(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete { .. } => "IncompleteSignatureException",
            Self::UnknownKey => "UnrecognizedClientException",
            Self::Mismatch { .. } => "InvalidSignatureException",
        }
    }

    /// The code in the Query protocol, which clients of AWS JSON see too.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationToken",
            Self::Incomplete { .. } => "IncompleteSignature",
            Self::UnknownKey => "InvalidClientTokenId",
            Self::Mismatch { .. } => "SignatureDoesNotMatch",
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Incomplete { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Missing => "Request is missing Authentication Token".to_owned(),
            Self::UnknownKey => "The security token included in the request is invalid.".to_owned(),
            Self::Incomplete { reason } | Self::Mismatch { reason } => reason.clone(),
        }
    }
}
