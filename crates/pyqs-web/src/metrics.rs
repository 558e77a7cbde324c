//! A worker's status in Prometheus's text format.

use std::fmt::Write as _;

use pyqs_worker::{Counters, Instant, QueueSnapshot, Status};

/// A metric: its name after `pyqs_`, what it says, and where that stands.
struct Metric<T>(&'static str, &'static str, fn(&T) -> Option<f64>);

#[allow(clippy::cast_precision_loss)] // Exact up to 2^53.
const COUNTERS: &[Metric<Counters>] = &[
    Metric("messages_received", "Deliveries taken in", |c| {
        Some(c.received as f64)
    }),
    Metric("tasks_succeeded", "Tasks that succeeded", |c| {
        Some(c.succeeded as f64)
    }),
    Metric(
        "tasks_failed",
        "Tasks that failed, whatever was decided then",
        |c| Some(c.failed as f64),
    ),
    Metric(
        "tasks_crashed",
        "Of these, the ones whose process died of them",
        |c| Some(c.crashed as f64),
    ),
    Metric(
        "tasks_retried",
        "Of these, the ones to run again after a back-off",
        |c| Some(c.retried as f64),
    ),
    Metric(
        "tasks_exhausted",
        "Of these, the ones that had no retry left, and no dead-letter queue",
        |c| Some(c.exhausted as f64),
    ),
    Metric(
        "messages_dead_lettered",
        "Messages confirmed in the dead-letter queue of their task",
        |c| Some(c.dead_lettered as f64),
    ),
    Metric(
        "messages_discarded",
        "Messages whose tasks discarded them",
        |c| Some(c.discarded as f64),
    ),
    Metric(
        "messages_expired",
        "Messages deleted unrun since their time was over",
        |c| Some(c.expired as f64),
    ),
    Metric(
        "messages_sent_on",
        "Messages whose time had not come, confirmed in their queue again",
        |c| Some(c.hops as f64),
    ),
    Metric(
        "tasks_callbacks_sent",
        "Tasks of Celery's, what was to follow them confirmed in its queues",
        |c| Some(c.callbacks_sent as f64),
    ),
    Metric(
        "tasks_callbacks_given_up",
        "Tasks of Celery's, what was to follow them not sent in the end: their messages come again",
        |c| Some(c.callbacks_given_up as f64),
    ),
    Metric(
        "sends_refused",
        "Messages that could not be sent on, and stay",
        |c| Some(c.forwards_refused as f64),
    ),
    Metric(
        "sends_unsure",
        "Messages sent on again since the answer was lost: there may be two of each",
        |c| Some(c.forwards_unsure as f64),
    ),
    Metric(
        "messages_poison",
        "Deliveries that could not be read or run",
        |c| Some(c.poison as f64),
    ),
    Metric("messages_deleted", "Deletes confirmed", |c| {
        Some(c.deleted as f64)
    }),
    Metric("deletes_given_up", "Deletes given up", |c| {
        Some(c.deletes_given_up as f64)
    }),
    Metric(
        "duplicates_deleted",
        "Redeliveries deleted without running, since their task had succeeded",
        |c| Some(c.duplicates_deleted as f64),
    ),
    Metric(
        "messages_redelivered",
        "Redeliveries of a message that is still held",
        |c| Some(c.redelivered as f64),
    ),
    Metric(
        "messages_unexplained",
        "Messages that were received before, and by nothing that happened here: they may have run elsewhere",
        |c| Some(c.unexplained as f64),
    ),
    Metric(
        "messages_lapsed",
        "Messages dropped unstarted on a lapsed lease",
        |c| Some(c.lapsed_before_start as f64),
    ),
    Metric("leases_lost", "Leases lost while the task ran", |c| {
        Some(c.leases_lost as f64)
    }),
    Metric(
        "messages_given_back",
        "Messages made visible again unstarted",
        |c| Some(c.given_back as f64),
    ),
    Metric(
        "messages_held_back",
        "Messages hidden unstarted until the limits of their task let them run",
        |c| Some(c.held_back as f64),
    ),
    Metric("polls_failed", "Receives that failed", |c| {
        Some(c.polls_failed as f64)
    }),
    Metric(
        "polls_overdue",
        "Receives that did not come back in any reasonable time",
        |c| Some(c.polls_overdue as f64),
    ),
    Metric(
        "replies_slow",
        "Replies slower than the allowance for their transit",
        |c| Some(c.slow_replies as f64),
    ),
];

#[allow(clippy::cast_precision_loss)] // As above.
const GAUGES: &[Metric<Status>] = &[
    Metric("slots", "Tasks that could run at once", |s| {
        Some(s.snapshot.processes as f64)
    }),
    Metric(
        "slots_busy",
        "Of these, the ones that have something to run",
        |s| Some(s.snapshot.processes_busy as f64),
    ),
    Metric("stopping", "1 after a stop was asked for", |s| {
        Some(f64::from(u8::from(s.snapshot.is_stopping)))
    }),
];

/// A queue at the moment of its status.
struct Queue(QueueSnapshot, Instant);

#[allow(clippy::cast_precision_loss)] // As above.
const QUEUE_GAUGES: &[Metric<Queue>] = &[
    Metric("queue_buffered", "Messages received and not started", |q| {
        Some(q.0.buffered as f64)
    }),
    Metric("queue_running", "Messages given to task processes", |q| {
        Some(q.0.running as f64)
    }),
    Metric(
        "queue_forwarding",
        "Messages to be sent on, which is not confirmed",
        |q| Some(q.0.forwarding as f64),
    ),
    Metric(
        "queue_deleting",
        "Messages done with, whose delete is not confirmed",
        |q| Some(q.0.deleting as f64),
    ),
    Metric(
        "queue_releasing",
        "Messages failed or given back, which is not confirmed",
        |q| Some(q.0.releasing as f64),
    ),
    Metric("queue_polls", "Receives that are open", |q| {
        Some(q.0.polls as f64)
    }),
    Metric(
        "queue_poll_age_seconds",
        "Seconds since SQS last answered a receive",
        |q| Some(q.1.saturating_since(q.0.polled_at?).as_secs_f64()),
    ),
    Metric("queue_troubled", "1 while receives fail", |q| {
        Some(f64::from(u8::from(q.0.is_troubled)))
    }),
    Metric(
        "queue_task_seconds",
        "How long its tasks take, by a moving mean",
        |q| Some(q.0.task_mean?.as_secs_f64()),
    ),
];

/// The text of a status.
pub(crate) fn render(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a string can't fail, here and below.
    for Metric(name, help, value) in COUNTERS {
        let _ = write!(
            text,
            "# HELP pyqs_{name}_total {help}.\n# TYPE pyqs_{name}_total counter\n"
        );
        let value = value(&status.snapshot.counters).unwrap_or_default();
        let _ = writeln!(text, "pyqs_{name}_total {value}");
    }
    for Metric(name, help, value) in GAUGES {
        head(&mut text, name, help);
        let value = value(status).unwrap_or_default();
        let _ = writeln!(text, "pyqs_{name} {value}");
    }
    for Metric(name, help, value) in QUEUE_GAUGES {
        head(&mut text, name, help);
        for (&id, queue) in &status.snapshot.queues {
            if let Some(value) = value(&Queue(queue.clone(), status.now)) {
                // SQS lets nothing into a queue's name that would have to be quoted.
                let queue = status.name(id);
                let _ = writeln!(text, "pyqs_{name}{{queue=\"{queue}\"}} {value}");
            }
        }
    }
    text
}

fn head(text: &mut String, name: &str, help: &str) {
    let _ = write!(
        text,
        "# HELP pyqs_{name} {help}.\n# TYPE pyqs_{name} gauge\n"
    );
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use pyqs_worker::{Counters, Instant, QueueId, QueueSnapshot, Snapshot, Status};

    use super::{COUNTERS, GAUGES, QUEUE_GAUGES, render};

    pub(crate) fn status() -> Status {
        let queue = QueueSnapshot {
            buffered: 3,
            polled_at: Some(Instant::ORIGIN),
            task_mean: Some(Duration::from_millis(250)),
            ..QueueSnapshot::default()
        };
        Status {
            snapshot: Snapshot {
                queues: BTreeMap::from([(QueueId(1), queue)]),
                processes: 2,
                counters: Counters {
                    received: 7,
                    unexplained: 1,
                    ..Counters::default()
                },
                ..Snapshot::default()
            },
            names: BTreeMap::from([(QueueId(1), "email".to_owned())]),
            now: Instant::ORIGIN + Duration::from_secs(9),
        }
    }

    #[test]
    fn a_status_is_lines() {
        let text = render(&status());
        for line in [
            "# HELP pyqs_messages_received_total Deliveries taken in.",
            "# TYPE pyqs_messages_received_total counter",
            "pyqs_messages_received_total 7",
            "pyqs_messages_unexplained_total 1",
            "# TYPE pyqs_slots gauge",
            "pyqs_slots 2",
            "pyqs_queue_buffered{queue=\"email\"} 3",
            "pyqs_queue_poll_age_seconds{queue=\"email\"} 9",
            "pyqs_queue_task_seconds{queue=\"email\"} 0.25",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn what_is_not_known_has_no_line() {
        let mut status = status();
        let queues = status.snapshot.queues.values_mut();
        queues.for_each(|queue| (queue.polled_at, queue.task_mean) = (None, None));
        let text = render(&status);
        assert!(!text.contains("age_seconds{") && !text.contains("task_seconds{"));
    }

    #[test]
    fn the_page_on_metrics_has_each_of_them() {
        let page = include_str!("../../../docs/metrics.md");
        let described: BTreeSet<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
        let counters = COUNTERS
            .iter()
            .map(|metric| format!("| `pyqs_{}_total` | {} |", metric.0, metric.1));
        let gauges = GAUGES.iter().map(|metric| (metric.0, metric.1));
        let queue_gauges = QUEUE_GAUGES.iter().map(|metric| (metric.0, metric.1));
        let gauges = gauges
            .chain(queue_gauges)
            .map(|(name, help)| format!("| `pyqs_{name}` | {help} |"));
        let missing: Vec<String> = counters
            .chain(gauges)
            .filter(|line| !described.contains(line.as_str()))
            .collect();
        assert!(
            missing.is_empty(),
            "docs/metrics.md lacks\n{}",
            missing.join("\n")
        );
    }
}
