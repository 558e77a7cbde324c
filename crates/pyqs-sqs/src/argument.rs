//! Queues as they are given on the command line.

use std::time::Duration;

use crate::names::{NameError, sqs_name};
use crate::pattern::Pattern;

/// The largest weight of a queue.
pub const WEIGHT_MAX: u32 = 1000;

/// One queue argument: a name or pattern, maybe with its weight (`email:3`), the most tasks of it
/// that may run at once (`email=5`), and the most that may start in a time (`email@10/s`), in this
/// order where there are several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueArgument {
    /// The name or pattern.
    pub name: String,
    /// Its weight against other queues, 1 to [`WEIGHT_MAX`]; 1 where none is given.
    pub weight: u32,
    /// The most tasks at once, at least 1; `None` for no limit of its own.
    pub tasks_max: Option<u32>,
    /// The most starts in a time; `None` for no limit.
    pub rate: Option<Rate>,
}

/// So many in a second, a minute or an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub tasks: u32,
    /// The time.
    pub per: Duration,
}

/// What is wrong with a queue argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueArgumentError {
    /// There is no name, but maybe a weight or a limit.
    #[error("\"{argument}\" names no queue; write NAME, NAME:WEIGHT, NAME=TASKS or NAME@RATE")]
    NoName {
        /// What was given.
        argument: String,
    },
    /// It is a URL or an ARN.
    #[error("\"{argument}\" is a URL or an ARN; give the queue's name, which is its last part")]
    NotAName {
        /// What was given.
        argument: String,
    },
    /// SQS can have no queue of this name, so that waiting for one would be for ever.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The weight is no number from 1 to 1000.
    #[error("the weight in \"{argument}\" is not a whole number from 1 to {WEIGHT_MAX}")]
    Weight {
        /// What was given.
        argument: String,
    },
    /// The limit is no number from 1.
    #[error("the most tasks at once in \"{argument}\" is not a whole number from 1")]
    TasksMax {
        /// What was given.
        argument: String,
    },
    /// The rate can't be read.
    #[error(
        "the rate in \"{argument}\" is not a whole number from 1 with a time; write 10/s, 10/m or 10/h"
    )]
    Rate {
        /// What was given.
        argument: String,
    },
}

impl QueueArgument {
    /// Reads all queues of a command line, each word of which may hold several, apart by commas or
    /// white space.
    ///
    /// ```
    /// use pyqs_sqs::QueueArgument;
    /// let queues = QueueArgument::parse_all(["email:3,sms", "report=1"]).unwrap();
    /// assert_eq!(queues.len(), 3);
    /// assert_eq!((queues[0].weight, queues[2].tasks_max), (3, Some(1)));
    /// ```
    pub fn parse_all(
        words: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Vec<Self>, QueueArgumentError> {
        let mut queues = Vec::new();
        for word in words {
            let pieces = word.as_ref().split(|c: char| c == ',' || c.is_whitespace());
            for piece in pieces.filter(|piece| !piece.is_empty()) {
                queues.push(Self::parse(piece)?);
            }
        }
        Ok(queues)
    }

    /// The pattern that it is.
    pub fn pattern(&self, is_exact: bool) -> Pattern {
        if is_exact {
            Pattern::exact(&*self.name)
        } else {
            Pattern::new(&*self.name)
        }
    }

    fn parse(argument: &str) -> Result<Self, QueueArgumentError> {
        let own = || argument.to_owned();
        if argument.contains("://") || argument.starts_with("arn:") {
            return Err(QueueArgumentError::NotAName { argument: own() });
        }
        let (rest, rate) = match argument.rsplit_once('@') {
            Some((rest, rate)) => {
                let error = || QueueArgumentError::Rate { argument: own() };
                (rest, Some(Rate::parse(rate).ok_or_else(error)?))
            }
            None => (argument, None),
        };
        let (rest, tasks_max) = match rest.rsplit_once('=') {
            Some((rest, tasks_max)) => {
                let tasks_max = whole_number(tasks_max, u32::MAX);
                let error = || QueueArgumentError::TasksMax { argument: own() };
                (rest, Some(tasks_max.ok_or_else(error)?))
            }
            None => (rest, None),
        };
        let (name, weight) = match rest.rsplit_once(':') {
            Some((name, weight)) => {
                let error = || QueueArgumentError::Weight { argument: own() };
                (name, whole_number(weight, WEIGHT_MAX).ok_or_else(error)?)
            }
            None => (rest, 1),
        };
        if name.is_empty() {
            return Err(QueueArgumentError::NoName { argument: own() });
        }
        if Pattern::exact(name).is_literal() {
            sqs_name(name)?;
        }
        Ok(Self {
            name: name.to_owned(),
            weight,
            tasks_max,
            rate,
        })
    }
}

impl Rate {
    /// Reads `10/s`, `10/m` or `10/h`.
    fn parse(text: &str) -> Option<Self> {
        let (tasks, unit) = text.split_once('/')?;
        let secs = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        Some(Self {
            tasks: whole_number(tasks, u32::MAX)?,
            per: Duration::from_secs(secs),
        })
    }
}

/// 1 to `max`.
fn whole_number(text: &str, max: u32) -> Option<u32> {
    text.parse()
        .ok()
        .filter(|number| (1..=max).contains(number))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{QueueArgument, QueueArgumentError, Rate};

    #[track_caller]
    fn check(words: &[&str], expected: &[(&str, u32, Option<u32>)]) {
        let got = QueueArgument::parse_all(words).unwrap();
        let got: Vec<_> = got
            .iter()
            .map(|queue| (&*queue.name, queue.weight, queue.tasks_max))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn commas_and_spaces_divide() {
        check(&["a", "b"], &[("a", 1, None), ("b", 1, None)]);
        check(
            &["a,b c"],
            &[("a", 1, None), ("b", 1, None), ("c", 1, None)],
        );
        check(&["a,, b ,"], &[("a", 1, None), ("b", 1, None)]);
        check(&["", ","], &[]);
        check(
            &["email*", "[!a]x"],
            &[("email*", 1, None), ("[!a]x", 1, None)],
        );
    }

    #[test]
    fn weights_and_limits() {
        check(&["email=5"], &[("email", 1, Some(5))]);
        check(&["email:3"], &[("email", 3, None)]);
        check(&["email*:3=5"], &[("email*", 3, Some(5))]);
        check(&["a:1000"], &[("a", 1000, None)]);
    }

    #[test]
    fn rates() {
        let check = |argument: &str, tasks, secs, tasks_max| {
            let queues = QueueArgument::parse_all([argument]).unwrap();
            let per = Duration::from_secs(secs);
            assert_eq!(queues[0].rate, Some(Rate { tasks, per }), "{argument}");
            assert_eq!(
                (&*queues[0].name, queues[0].tasks_max),
                ("email", tasks_max)
            );
        };
        check("email@10/s", 10, 1, None);
        check("email@100/m", 100, 60, None);
        check("email:3=5@1/h", 1, 3600, Some(5));
    }

    #[test]
    fn errors_name_what_was_given() {
        let check = |argument: &str, is_it: fn(&QueueArgumentError) -> bool| {
            let error = QueueArgument::parse_all([argument]).unwrap_err();
            assert!(is_it(&error), "{error:?}");
            assert!(error.to_string().contains(argument), "{error}");
        };
        check("a=0", |e| matches!(e, QueueArgumentError::TasksMax { .. }));
        check("a=", |e| matches!(e, QueueArgumentError::TasksMax { .. }));
        check("a=5:3", |e| {
            matches!(e, QueueArgumentError::TasksMax { .. })
        });
        check("a:x", |e| matches!(e, QueueArgumentError::Weight { .. }));
        check("a:0", |e| matches!(e, QueueArgumentError::Weight { .. }));
        check("a:1001", |e| matches!(e, QueueArgumentError::Weight { .. }));
        for argument in [
            "a@", "a@10", "a@0/s", "a@x/s", "a@1/d", "a@1/s=5", "a@1.5/s",
        ] {
            check(argument, |e| matches!(e, QueueArgumentError::Rate { .. }));
        }
        check("@1/s", |e| matches!(e, QueueArgumentError::NoName { .. }));
        check("=5", |e| matches!(e, QueueArgumentError::NoName { .. }));
        check("http://h:1/0/a", |e| {
            matches!(e, QueueArgumentError::NotAName { .. })
        });
        check("arn:aws:sqs:a:0:q", |e| {
            matches!(e, QueueArgumentError::NotAName { .. })
        });
        check("no/slashes", |e| matches!(e, QueueArgumentError::Name(_)));
        check(&"a".repeat(81), |e| {
            matches!(e, QueueArgumentError::Name(_))
        });
    }

    #[test]
    fn a_pattern_may_be_longer_than_a_name() {
        let pattern = format!("{}[ab]", "?".repeat(79));
        assert!(QueueArgument::parse_all([pattern]).is_ok());
    }
}
