//! Why a message can't be read: the layer that failed, the kind of failure, one line for people.

use std::borrow::Cow;
use std::fmt;

/// A message that can't be read as a task.
///
/// Its text is one line: the layer, then the reason, then what the user can do where there is something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{layer}: {reason}")]
#[non_exhaustive]
pub struct Undecodable {
    /// The part of the message that failed.
    pub layer: Layer,
    /// What sort of failure it is, for those who treat some of them differently.
    pub fault: Fault,
    /// What is wrong there, in words, on one line.
    pub reason: String,
}

/// The parts of a message, from the outside in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// The SQS message body itself: base64 or text.
    Body,
    /// The JSON object around everything: PyQS's own, or kombu's envelope.
    Envelope,
    /// The envelope's `headers`, where protocol 2 keeps the task's fields.
    Headers,
    /// The compression named by `headers.compression`.
    Compression,
    /// The envelope's `body`: what the serializer wrote.
    Payload,
    /// The signature around an `application/data` payload.
    Signature,
    /// The task's fields and arguments inside the payload.
    Task,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The text or the bytes break the rules of their format.
    Malformed,
    /// Readable, but no task: a control message, an event, a result, another service's JSON.
    NotATask,
    /// Beyond one of [`limits`](crate::limits).
    OverLimit,
    /// Readable in principle, and refused: it would have to run something, or can't be trusted.
    Refused,
    /// A form that this version does not read.
    Unsupported,
}

/// A failure inside a decoder, which does not know in which layer of the message it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    fault: Fault,
    reason: Cow<'static, str>,
}

impl Flaw {
    pub(crate) fn malformed(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            fault: Fault::Malformed,
            reason: reason.into(),
        }
    }

    pub(crate) fn not_a_task(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            fault: Fault::NotATask,
            reason: reason.into(),
        }
    }

    pub(crate) fn over_limit(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            fault: Fault::OverLimit,
            reason: reason.into(),
        }
    }

    pub(crate) fn refused(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            fault: Fault::Refused,
            reason: reason.into(),
        }
    }

    pub(crate) fn unsupported(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            fault: Fault::Unsupported,
            reason: reason.into(),
        }
    }

    pub(crate) fn is_over_limit(&self) -> bool {
        self.fault == Fault::OverLimit
    }

    pub(crate) fn within(self, layer: Layer) -> Undecodable {
        Undecodable {
            layer,
            fault: self.fault,
            reason: one_line(self.reason.into_owned()),
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Body => "message body",
            Self::Envelope => "envelope",
            Self::Headers => "headers",
            Self::Compression => "compression",
            Self::Payload => "payload",
            Self::Signature => "signature",
            Self::Task => "task",
        })
    }
}

/// Texts from a message may be quoted in a reason; they must not break the line of a log.
fn one_line(reason: String) -> String {
    if reason.chars().any(char::is_control) {
        reason
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    } else {
        reason
    }
}
