//! What is to go wrong, as a person writes it: `DeleteMessageBatch:drop-after:0.05`.

use std::str::FromStr;
use std::time::Duration;

use crate::actions::Action;

/// The longest delay that can be asked for: no client waits longer for anything.
const DELAY_MAX: Duration = Duration::from_mins(10);

/// One fault to inject, read from `ACTION:KIND[=MS[-MS]][:RATE]`.
///
/// `ACTION` is an SQS action or `*` for all of them, `RATE` the share of its requests that are hit,
/// 0 to 1 (default: 1). The kinds:
///
/// | kind | what the client sees |
/// | --- | --- |
/// | `error` | status 500, `InternalFailure`; nothing was done |
/// | `throttle` | status 400, `ThrottlingException`; nothing was done |
/// | `expired` | status 403, `ExpiredTokenException`; nothing was done |
/// | `drop-before` | the connection closes without an answer; nothing was done |
/// | `drop-after` | the connection closes without an answer; the work is done |
/// | `delay-before=MS` | the work begins so many milliseconds later |
/// | `delay-after=MS` | the work is done at once and answered so many milliseconds later |
/// | `partial` | in batch actions, an entry fails with `InternalError`; `RATE` is the share of entries |
///
/// `delay-before=200-2000` draws each delay from that range.
///
/// ```
/// use pyqs_local::FaultRule;
///
/// let rule: FaultRule = "DeleteMessageBatch:drop-after:0.05".parse()?;
/// let all_slow: FaultRule = "*:delay-after=200-2000".parse()?;
/// assert!("Receive:error".parse::<FaultRule>().is_err());
/// # Ok::<(), pyqs_local::FaultError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRule {
    /// Every action where none is named.
    pub(super) action: Option<Action>,
    pub(super) kind: Kind,
    /// The share of requests, or of entries, that are hit.
    pub(super) rate: f64,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Throttle,
    Expired,
    DropBefore,
    DropAfter,
    DelayBefore(Span),
    DelayAfter(Span),
    Partial,
}

/// The shortest and the longest delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) least: Duration,
    pub(super) most: Duration,
}

/// Why a text is not a fault to inject.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultError {
    /// It has too few or too many parts.
    #[error("a fault is ACTION:KIND or ACTION:KIND:RATE, as in DeleteMessageBatch:drop-after:0.05")]
    Form,
    /// There is no such action.
    #[error("\"{0}\" is not an SQS action; * stands for all of them")]
    Action(String),
    /// There is no such kind.
    #[error(
        "\"{0}\" is not a kind of fault; there are error, throttle, expired, drop-before, \
         drop-after, delay-before=MS, delay-after=MS and partial"
    )]
    Kind(String),
    /// The delay is not one.
    #[error("\"{0}\" is not a delay: give milliseconds, as in 2000 or 200-2000, at most 600000")]
    Delay(String),
    /// The rate is not one.
    #[error("\"{0}\" is not a rate: 0 for none to 1 for all, as in 0.05")]
    Rate(String),
    /// Only entries of batches can fail one by one.
    #[error("{0} has no entries that could fail: partial is for batch actions")]
    NoBatch(&'static str),
}

impl FaultRule {
    /// Whether requests of this action may be hit.
    pub(super) fn is_for(&self, action: Action) -> bool {
        self.action.is_none_or(|mine| mine == action)
    }
}

impl FromStr for FaultRule {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut parts = text.trim().split(':');
        let (Some(action), Some(kind), rate, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(FaultError::Form);
        };
        let action = match action {
            "*" => None,
            name => {
                let found = Action::of_name(name);
                Some(found.map_err(|_| FaultError::Action(name.to_owned()))?)
            }
        };
        let kind: Kind = kind.parse()?;
        if let (Some(action), Kind::Partial) = (action, kind)
            && !action.is_batch()
        {
            return Err(FaultError::NoBatch(action.name()));
        }
        let rate = rate.map_or(Ok(1.0), |text| {
            let rate = text.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
            rate.ok_or_else(|| FaultError::Rate(text.to_owned()))
        })?;
        Ok(Self { action, kind, rate })
    }
}

impl Kind {
    /// Its name in metrics and on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Throttle => "throttle",
            Self::Expired => "expired",
            Self::DropBefore => "drop-before",
            Self::DropAfter => "drop-after",
            Self::DelayBefore(_) => "delay-before",
            Self::DelayAfter(_) => "delay-after",
            Self::Partial => "partial",
        }
    }
}

impl FromStr for Kind {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        Ok(match text.split_once('=') {
            Some(("delay-before", span)) => Self::DelayBefore(span.parse()?),
            Some(("delay-after", span)) => Self::DelayAfter(span.parse()?),
            Some(_) => return Err(FaultError::Kind(text.to_owned())),
            None => match text {
                "error" => Self::Error,
                "throttle" => Self::Throttle,
                "expired" => Self::Expired,
                "drop-before" => Self::DropBefore,
                "drop-after" => Self::DropAfter,
                "partial" => Self::Partial,
                "delay-before" | "delay-after" => return Err(FaultError::Delay(String::new())),
                _ => return Err(FaultError::Kind(text.to_owned())),
            },
        })
    }
}

impl FromStr for Span {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let millis = |text: &str| text.parse().ok().map(Duration::from_millis);
        match (millis(least), millis(most)) {
            (Some(least), Some(most)) if least <= most && most <= DELAY_MAX => {
                Ok(Self { least, most })
            }
            _ => Err(FaultError::Delay(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, action: Option<Action>, kind: Kind, rate: f64) {
        let expected = FaultRule { action, kind, rate };
        assert_eq!(text.parse(), Ok(expected));
    }

    fn span(least: u64, most: u64) -> Span {
        Span {
            least: Duration::from_millis(least),
            most: Duration::from_millis(most),
        }
    }

    #[test]
    fn rules_as_they_are_written() {
        let delete = Some(Action::DeleteMessageBatch);
        check("*:error", None, Kind::Error, 1.0);
        check("*:throttle:0", None, Kind::Throttle, 0.0);
        check(" *:expired:1 ", None, Kind::Expired, 1.0);
        let text = "DeleteMessageBatch:drop-after:0.05";
        check(text, delete, Kind::DropAfter, 0.05);
        check("*:drop-before:.5", None, Kind::DropBefore, 0.5);
        check("*:partial:1", None, Kind::Partial, 1.0);
        check("DeleteMessageBatch:partial", delete, Kind::Partial, 1.0);
        let slow = Kind::DelayBefore(span(2000, 2000));
        check("*:delay-before=2000", None, slow, 1.0);
        let slow = Kind::DelayAfter(span(0, 600_000));
        check("*:delay-after=0-600000:0.1", None, slow, 0.1);
    }

    #[test]
    fn rules_that_are_refused() {
        for text in [
            "",
            "*",
            "error",
            "*:error:0.5:1",
            "Receive:error",
            "receivemessage:error",
            ":error",
            "*:",
            "*:oops",
            "*:error=5",
            "*:delay-before",
            "*:delay-before=",
            "*:delay-before=x",
            "*:delay-before=-1",
            "*:delay-before=2-1",
            "*:delay-after=600001",
            "*:error:",
            "*:error:1.01",
            "*:error:-0.1",
            "*:error:NaN",
            "*:error:5%",
            "DeleteMessage:partial",
        ] {
            assert!(text.parse::<FaultRule>().is_err(), "{text}");
        }
    }
}
