//! What is logged, and in which words: those of `PyQS` where it has them.

mod rate_limit;

use std::collections::BTreeSet;
use std::time::Duration;

use pyqs_core::{Counters, Ending, Instant, Onward, Report, Trouble};

use crate::arrivals::Arrivals;
use crate::process::claim::Claim;
use crate::process::control::Supervisor;
use crate::process::outcome::AfterDeath;
use crate::process::overtime::Overtime;
use crate::process::pool::Crash;
use crate::queues::Queues;
use crate::settings::LogLevel;

use rate_limit::RateLimit;

/// As many lines that are told once are remembered.
const WARNED_MAX: usize = 1000;

/// Where log lines go: to the supervisor's logger. Texts are only made where their level is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    supervisor: Supervisor,
    level: LogLevel,
}

impl Log {
    pub(crate) fn new(supervisor: Supervisor, level: LogLevel) -> Self {
        Self { supervisor, level }
    }

    pub(crate) fn debug(&self, message: impl FnOnce() -> String) {
        self.log(LogLevel::Debug, message);
    }

    pub(crate) fn info(&self, message: impl FnOnce() -> String) {
        self.log(LogLevel::Info, message);
    }

    pub(crate) fn warning(&self, message: impl FnOnce() -> String) {
        self.log(LogLevel::Warning, message);
    }

    pub(crate) fn error(&self, message: impl FnOnce() -> String) {
        self.log(LogLevel::Error, message);
    }

    fn log(&self, level: LogLevel, message: impl FnOnce() -> String) {
        if level >= self.level {
            self.supervisor.log(level.number(), message());
        }
    }
}

/// Turns what the core and the pool report into log lines.
#[derive(Debug)]
pub(crate) struct Observer {
    log: Log,
    poison: RateLimit,
    /// Leases that ran out while a task ran.
    lost: RateLimit,
    /// Leases that ran out before a task began.
    lapsed: RateLimit,
    deletes_given_up: RateLimit,
    /// Messages that could not be sent on.
    refused: RateLimit,
    /// Messages that may have been sent twice.
    unsure: RateLimit,
    /// Lines that are told once.
    warnings: RateLimit,
    warned: BTreeSet<String>,
}

impl Observer {
    pub(crate) fn new(log: Log) -> Self {
        Self {
            log,
            poison: RateLimit::default(),
            lost: RateLimit::default(),
            lapsed: RateLimit::default(),
            deletes_given_up: RateLimit::default(),
            refused: RateLimit::default(),
            unsure: RateLimit::default(),
            warnings: RateLimit::default(),
            warned: BTreeSet::new(),
        }
    }

    /// A report of the core's.
    pub(crate) fn report(
        &mut self,
        report: Report,
        now: Instant,
        arrivals: &Arrivals,
        queues: &Queues,
    ) {
        let named = |message| Named::find(message, arrivals, queues);
        match report {
            Report::LeaseLost { message, .. } => {
                if self.lost.lets_pass(now) {
                    self.log.warning(|| {
                        format!(
                            "the visibility timeout of {} could not be extended while it runs; it \
                             may be delivered again",
                            named(message)
                        )
                    });
                }
            }
            Report::LeaseNearItsEnd { message, left, .. } => self.log.warning(|| {
                format!(
                    "{} has run for almost 12 hours, the longest that SQS hides a message: in {} s it may be \
                     delivered again, and run twice",
                    named(message),
                    left.as_secs()
                )
            }),
            Report::LeaseLapsedBeforeStart { message, .. } => {
                if self.lapsed.lets_pass(now) {
                    self.log.warning(|| {
                        format!(
                            "Discarding {} due to exceeding visibility timeout; it will be \
                             delivered again",
                            named(message)
                        )
                    });
                }
            }
            Report::PoisonSeen {
                message,
                hidden_for,
                ..
            } => {
                let reason = arrivals
                    .held(message)
                    .and_then(|held| held.poison.as_deref());
                self.poison(now, &named(message), reason, hidden_for);
            }
            Report::TaskCrashed { .. } => {
                // `crash` has told of it, with the signal.
            }
            Report::DuplicateDeleted { message, .. } => self.log.info(|| {
                format!(
                    "{} was delivered again after it was done with here; deleted without running it",
                    named(message)
                )
            }),
            Report::Redelivered { message, .. } => self.log.info(|| {
                format!(
                    "{} was delivered again while it is still held here",
                    named(message)
                )
            }),
            Report::DeleteGivenUp { message, .. } => {
                if self.deletes_given_up.lets_pass(now) {
                    self.log.error(|| {
                        format!(
                            "{} is done with but could not be deleted; it may run again",
                            named(message)
                        )
                    });
                }
            }
            Report::SentOn {
                message, onward, ..
            } => self.sent_on(&named(message), onward, dead_letter_queue(message, arrivals)),
            Report::CallbacksGivenUp { message, .. } => self.log.error(|| {
                format!(
                    "what is to follow {} was not sent; its message comes back, and its task runs again",
                    named(message)
                )
            }),
            Report::ForwardRefused { .. }
            | Report::ForwardUnsure { .. }
            | Report::GroupWaits { .. }
            | Report::Expired { .. } => self.not_now(report, now, arrivals, queues),
            Report::PollOverdue { .. }
            | Report::PollTrouble { .. }
            | Report::PollRecovered { .. }
            | Report::DeletesRefused { .. }
            | Report::DeletesTaken { .. } => self.queue_state(report, queues),
            Report::Ends(why) => self.log.info(|| told_end(why)),
        }
    }

    /// How a queue answers, where that has changed.
    fn queue_state(&self, report: Report, queues: &Queues) {
        match report {
            Report::PollOverdue { queue } => self.log.error(|| {
                format!(
                    "receiving from {} is overdue: a receive has neither come back nor failed; nothing is read from it",
                    queues.name(queue)
                )
            }),
            Report::PollTrouble { queue, .. } => self.log.warning(|| {
                format!(
                    "receiving from {} fails, trying again until it works: {}",
                    queues.name(queue),
                    queues.last_failure(queue)
                )
            }),
            Report::PollRecovered { queue } => self
                .log
                .warning(|| format!("receiving from {} works again", queues.name(queue))),
            Report::DeletesRefused { queue, trouble } => self.log.warning(|| {
                let why = match trouble {
                    Trouble::Denied => "these credentials may not; allow sqs:DeleteMessage",
                    _ => "SQS rejects the request",
                };
                format!(
                    "deleting from {} fails, trying again until it works: {why}; what has \
                     succeeded may run again",
                    queues.name(queue)
                )
            }),
            Report::DeletesTaken { queue } => self
                .log
                .warning(|| format!("deleting from {} works again", queues.name(queue))),
            // `report` gives no others.
            _ => {}
        }
    }

    /// A line of a task process's, told once for all of them. What was told is forgotten when there is much of it.
    pub(crate) fn warn_once(&mut self, now: Instant, line: String) {
        if self.warned.len() >= WARNED_MAX {
            self.warned.clear();
        }
        if self.warned.insert(line.clone()) && self.warnings.lets_pass(now) {
            self.log.warning(|| line);
        }
    }

    /// The last line of a stop: all that there was.
    pub(crate) fn summary(&self, counters: &Counters) {
        self.log.info(|| {
            let Counters {
                received,
                succeeded,
                failed,
                crashed,
                retried,
                exhausted,
                discarded,
                expired,
                dead_lettered,
                hops,
                poison,
                given_back,
                lapsed_before_start,
                duplicates_deleted,
                redelivered,
                unexplained,
                ..
            } = counters;
            format!(
                "Stopped. Messages received: {received}; tasks succeeded: {succeeded}, failed: {failed}, of these by the \
                 end of their process: {crashed}, to run again: {retried}, without a retry left: {exhausted}; sent to \
                 dead-letter queues: {dead_lettered}; discarded: {discarded}, expired: {expired}; sent on until due: \
                 {hops}; can't be read or run: {poison}; given back: {given_back}, lapsed: {lapsed_before_start}. \
                 Delivered again after success, and deleted without running: {duplicates_deleted}, while held: \
                 {redelivered}; received by others before: {unexplained}"
            )
        });
    }

    /// Reports about messages that are not run where and when they came.
    fn not_now(&mut self, report: Report, now: Instant, arrivals: &Arrivals, queues: &Queues) {
        let named = |message| Named::find(message, arrivals, queues);
        match report {
            Report::ForwardRefused {
                message,
                onward,
                hidden_for,
                ..
            } if self.refused.lets_pass(now) => self.log.error(|| {
                let refusal = arrivals
                    .held(message)
                    .and_then(|held| held.refusal.as_deref());
                let why = refusal.unwrap_or("SQS refuses it");
                let whereto = match onward {
                    Onward::Hop { .. } => "its own queue, to wait until it is due".to_owned(),
                    Onward::DeadLetter => {
                        format!("dead-letter queue {}", dead_letter_queue(message, arrivals))
                    }
                    Onward::Callbacks => {
                        return format!(
                            "what is to follow {} can't be sent: {why}; its message stays, its task has run, and \
                             this is tried again until it works",
                            named(message)
                        );
                    }
                };
                format!(
                    "{} can't be sent to {whereto}: {why}; it stays where it is, and comes back in \
                     {} s",
                    named(message),
                    hidden_for.as_secs()
                )
            }),
            Report::ForwardUnsure { message, .. } if self.unsure.lets_pass(now) => {
                self.log.warning(|| {
                    format!(
                        "no answer came when {} was sent on; it is sent again, so there may be \
                         two of it",
                        named(message)
                    )
                });
            }
            Report::GroupWaits {
                message,
                hidden_for,
                ..
            } => self.log.info(|| {
                format!(
                    "{} is not due for {} s; on a FIFO queue it waits hidden, and its group with it",
                    named(message),
                    hidden_for.as_secs()
                )
            }),
            Report::Expired { message, .. } => self.log.info(|| {
                format!(
                    "{} has expired; deleted without running it",
                    named(message)
                )
            }),
            // Held back by their rate limits.
            _ => {}
        }
    }

    fn sent_on(&self, message: &Named, onward: Onward, dead_letter_queue: &str) {
        match onward {
            Onward::Hop {
                delay, attempts: 0, ..
            } => self.log.debug(|| {
                format!(
                    "{message} is not due; it comes back in {} s",
                    delay.as_secs()
                )
            }),
            Onward::Hop { delay, .. } => self.log.info(|| {
                format!(
                    "{message} was sent again; it comes back in {} s",
                    delay.as_secs()
                )
            }),
            Onward::DeadLetter => self
                .log
                .info(|| format!("{message} was sent to dead-letter queue {dead_letter_queue}")),
            Onward::Callbacks => self
                .log
                .info(|| format!("what is to follow {message} was sent")),
        }
    }

    /// A task process ended without having been told to.
    pub(crate) fn crash(&self, crash: &Crash, arrivals: &Arrivals, queues: &Queues) {
        self.log.error(|| {
            let process = match crash.pid {
                Some(pid) => format!("task process {pid}"),
                None => "a task process".to_owned(),
            };
            let how = crash.exit;
            let victims: Vec<String> = crash
                .victims
                .iter()
                .map(|victim| {
                    let task = Named::find(victim.message, arrivals, queues);
                    let follows = what_follows(&victim.after_death);
                    format!("{task}; {follows}")
                })
                .collect();
            if victims.is_empty() {
                format!("{process} {how} while running nothing")
            } else {
                format!("{process} {how} while running {}", victims.join(", "))
            }
        });
    }

    /// A task that has outlived its manager is taken on.
    pub(crate) fn still_runs(&self, claim: &Claim) {
        self.log.info(|| {
            let pid = claim.pid;
            let task = match claim.task.as_str() {
                "" => "a task".to_owned(),
                name => format!("task {}", in_a_line(name)),
            };
            let messages = match &claim.messages[..] {
                [message] => format!("message {}", message.id),
                several => format!("{} messages", several.len()),
            };
            format!("process {pid} of an earlier manager still runs {task}: keeping the lease of {messages}")
        });
    }

    /// A task has run for longer than it may.
    pub(crate) fn overtime(&self, overtime: &Overtime, arrivals: &Arrivals, queues: &Queues) {
        self.log.error(|| {
            let task = Named::find(overtime.message, arrivals, queues);
            let limit = overtime.limit.as_secs_f64();
            let process = match overtime.pid {
                Some(pid) => format!("task process {pid}"),
                None => "its task process".to_owned(),
            };
            let when = match overtime.killed_within {
                None => "is killed".to_owned(),
                Some(patience) => format!(
                    "takes no more tasks, and is killed when its others have ended, after {} s at the latest",
                    patience.as_secs_f64()
                ),
            };
            let follows = what_follows(&overtime.after_death);
            format!(
                "{task} has run for longer than its time limit of {limit} s: {process} {when}; {follows}"
            )
        });
    }

    /// To be called about twice a second: tells of messages that were not named.
    pub(crate) fn tick(&mut self, now: Instant) {
        if let Some(count) = self.poison.roll_over(now) {
            self.log
                .error(|| format!("{count} more messages can't be read"));
        }
        if let Some(count) = self.lost.roll_over(now) {
            self.log.warning(|| {
                format!("the visibility timeout of {count} more messages could not be extended")
            });
        }
        if let Some(count) = self.lapsed.roll_over(now) {
            self.log.warning(|| {
                format!("Discarding {count} more tasks due to exceeding visibility timeout")
            });
        }
        if let Some(count) = self.refused.roll_over(now) {
            self.log
                .error(|| format!("{count} more messages could not be sent on, and stay"));
        }
        if let Some(count) = self.unsure.roll_over(now) {
            self.log
                .warning(|| format!("{count} more messages were sent on twice, or may have been"));
        }
        if let Some(count) = self.warnings.roll_over(now) {
            self.log
                .warning(|| format!("{count} more warnings of task processes"));
        }
        if let Some(count) = self.deletes_given_up.roll_over(now) {
            self.log
                .error(|| format!("{count} more messages are done with but could not be deleted"));
        }
    }

    fn poison(
        &mut self,
        now: Instant,
        message: &Named,
        reason: Option<&str>,
        hidden_for: Duration,
    ) {
        let hidden_secs = hidden_for.as_secs();
        match reason {
            Some(reason) if self.poison.lets_pass(now) => self.log.error(|| {
                format!(
                    "{message} can't be read: {reason}; it comes back in {hidden_secs} s, and is \
                     left for the dead-letter queue"
                )
            }),
            Some(_) => {}
            // The task process has logged the reason.
            None => self
                .log
                .info(|| format!("{message} comes back in {hidden_secs} s")),
        }
    }
}

fn told_end(why: Ending) -> String {
    match why {
        Ending::Drained => "The queues are empty, and all that was taken is finished (--burst)",
        Ending::TasksMax => "As many tasks have ended as --max-tasks says",
    }
    .to_owned()
}

fn what_follows(after_death: &AfterDeath) -> String {
    match after_death {
        AfterDeath::Failed => "it will be delivered again".to_owned(),
        AfterDeath::Retry { delay_secs } => format!("it runs again in {delay_secs} s"),
        AfterDeath::Exhausted => "no retry is left: its message stays in its queue".to_owned(),
        AfterDeath::DeadLetter { queue } => {
            format!("its message goes to dead-letter queue {}", in_a_line(queue))
        }
    }
}

fn dead_letter_queue(message: pyqs_core::MessageKey, arrivals: &Arrivals) -> &str {
    let letter = arrivals
        .held(message)
        .and_then(|held| held.dead_letter.as_ref());
    letter.map_or("", |letter| &letter.queue)
}

/// A message as people know it: `task mail.send (message 1234-abcd from queue email)`.
struct Named(String);

impl Named {
    fn find(message: pyqs_core::MessageKey, arrivals: &Arrivals, queues: &Queues) -> Self {
        let Some(held) = arrivals.held(message) else {
            return Self("a message that is gone".to_owned());
        };
        let queue = queues.name(held.queue);
        let id = &held.message_id;
        Self(if held.task.is_empty() {
            format!("message {id} from queue {queue}")
        } else {
            let task = in_a_line(&held.task);
            format!("task {task} (message {id} from queue {queue})")
        })
    }
}

/// A task's name as a log line can bear it: whoever may send may choose it, line breaks and terminal codes included.
fn in_a_line(name: &str) -> String {
    const CHARS_MAX: usize = 200;
    let mut shown: String = name
        .chars()
        .take(CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect();
    if name.chars().nth(CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::in_a_line;

    #[test]
    fn a_task_s_name_forges_no_line_of_the_log() {
        assert_eq!(in_a_line("mail.send_é"), "mail.send_é");
        assert_eq!(
            in_a_line("a\n[ERROR]: b\u{1b}[2J\u{202e}"),
            r"a\n[ERROR]: b\u{1b}[2J\u{202e}"
        );
        assert_eq!(in_a_line(&"x".repeat(200)), "x".repeat(200));
        assert_eq!(
            in_a_line(&"x".repeat(201)),
            format!("{}...", "x".repeat(200))
        );
    }
}
