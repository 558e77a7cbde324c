//! Celery's settings and options against ours: the one table, for `pyqs doctor` and for the documentation.

use super::Verdict::{self, NotDone, Note, Option, Works};

/// What one setting of Celery's, or several of one beginning, comes to here.
pub(crate) struct Setting {
    /// Its name as of Celery 4; with a `*` at the end, all that begin so.
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
    /// What is done, or what to do.
    pub(crate) words: &'static str,
}

impl Setting {
    /// Whether it is about this name.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.name,
        }
    }
}

const fn row(name: &'static str, verdict: Verdict, words: &'static str) -> Setting {
    Setting {
        name,
        verdict,
        words,
    }
}

/// The first that fits counts.
pub(crate) const SETTINGS: &[Setting] = &[
    // Where the queues are.
    row(
        "broker_url",
        Option,
        "not read: region, keys and endpoint are --region, --endpoint-url, ... or the AWS environment",
    ),
    row("broker_read_url", Option, "as broker_url"),
    row("broker_write_url", Option, "as broker_url"),
    row(
        "broker_transport_options",
        Works,
        "queue_name_prefix and predefined_queues are read (with --celery-app); visibility_timeout is the queue's own, and messages are extended while they wait or run; polling_interval, wait_time_seconds and backoff_* are not needed",
    ),
    row(
        "broker_*",
        Note,
        "not read: connections are made again for ever, with backoff",
    ),
    row(
        "task_queues",
        Works,
        "worked on with --celery-app, under the names that kombu gives them in SQS; else name the queues",
    ),
    row(
        "task_default_queue",
        Works,
        "worked on with --celery-app where there are no task_queues; else name the queue",
    ),
    row(
        "task_create_missing_queues",
        Option,
        "a worker creates no queues; .delay does, unless PYQS_CREATE_QUEUES=0",
    ),
    row(
        "task_routes",
        Works,
        "with --celery-app, for what follows a task; @task(queue=...) says it for .delay",
    ),
    row(
        "task_default_exchange*",
        Note,
        "SQS has no exchanges: the queue is what counts",
    ),
    row(
        "task_default_routing_key",
        Note,
        "SQS has no routing keys: the queue is what counts",
    ),
    row(
        "task_create_missing_queue_*",
        Note,
        "SQS has no exchanges and no other types of queues",
    ),
    row(
        "task_default_delivery_mode",
        Note,
        "SQS keeps every message on disk",
    ),
    row(
        "task_default_queue_type",
        Note,
        "a queue of SQS is standard or, with .fifo at its end, FIFO",
    ),
    // What is read.
    row(
        "accept_content",
        Works,
        "with --celery-app other content types are refused; without, all that is data is read",
    ),
    row(
        "task_serializer",
        Works,
        "JSON, pickle as data, YAML and msgpack are read; pickled objects of other classes need --unsafe-pickle PATTERN",
    ),
    row(
        "task_compression",
        Works,
        "gzip, bzip2, lzma, brotli and zstd are read",
    ),
    row("task_protocol", Works, "1 and 2 are read"),
    row(
        "security_cert_store",
        Works,
        "taken over with --celery-app; else --cert-store: signed messages are read",
    ),
    row(
        "security_*",
        Note,
        "for signing, which is not done here; --cert-store reads what is signed",
    ),
    row(
        "enable_utc",
        Note,
        "a time without an offset is in UTC, unless a message of protocol 1 says that it is not",
    ),
    row("timezone", Note, "a time without an offset is in UTC"),
    row("imports", Works, "with --celery-app; else --import MODULE"),
    row("include", Works, "with --celery-app; else --import MODULE"),
    // How tasks are run.
    row(
        "task_acks_late",
        Works,
        "always: a message is deleted after its task's success only",
    ),
    row(
        "acks_late",
        Works,
        "always: a message is deleted after its task's success only",
    ),
    row(
        "task_acks_on_failure*",
        Option,
        "a failed message stays and comes again; discard_on= of @task, or raising Ignore, deletes it",
    ),
    row(
        "acks_on_failure_or_timeout",
        Option,
        "a failed message stays and comes again; discard_on= of @task, or raising Ignore, deletes it",
    ),
    row(
        "task_acks_on_timeout",
        Option,
        "a message whose task was ended comes again",
    ),
    row(
        "task_reject_on_worker_lost",
        Works,
        "always: the message of a task whose process dies comes again",
    ),
    row(
        "task_retry_on_worker_lost",
        Works,
        "always: the message of a task whose process dies comes again",
    ),
    row(
        "task_time_limit",
        Works,
        "kept for task objects; for others --time-limit or @task(time_limit=...)",
    ),
    row(
        "task_soft_time_limit",
        Works,
        "kept for task objects; for others --soft-time-limit or @task(soft_time_limit=...)",
    ),
    row(
        "task_annotations",
        Works,
        "Celery puts them into its task objects; a rate_limit among them is not kept",
    ),
    row(
        "task_always_eager",
        Note,
        "of the sender: Celery's own .delay runs the task, here nothing arrives",
    ),
    row("task_eager_propagates", Note, "of the sender"),
    row(
        "task_default_rate_limit",
        Option,
        "not read; `pyqs 'billing@10/m'` limits a queue",
    ),
    row(
        "rate_limit",
        Option,
        "not kept; a queue of its own, and `pyqs 'billing@10/m'`, limits it",
    ),
    row(
        "worker_disable_rate_limits",
        Works,
        "there are no rates unless a queue is given one",
    ),
    row(
        "task_default_priority",
        NotDone,
        "SQS has no priorities: use a queue for each, weighed (urgent:5) or in order (--strict)",
    ),
    row(
        "priority",
        NotDone,
        "SQS has no priorities: use a queue for each, weighed (urgent:5) or in order (--strict)",
    ),
    row(
        "task_queue_max_priority",
        NotDone,
        "SQS has no priorities: use a queue for each, weighed (urgent:5) or in order (--strict)",
    ),
    row(
        "task_inherit_parent_priority",
        NotDone,
        "SQS has no priorities",
    ),
    row(
        "task_publish_retry*",
        Works,
        "sending is tried five times within 30 s, then raised",
    ),
    row("queue", Works, "with --celery-app"),
    // The worker.
    row(
        "worker_concurrency",
        Option,
        "--concurrency N (1 where it is not given)",
    ),
    row(
        "worker_pool",
        Option,
        "processes; with --threads N threads or, for `async def`, an event loop in each; no gevent or eventlet",
    ),
    row(
        "worker_prefetch_multiplier",
        Works,
        "by the time that tasks take; --prefetch-multiplier bounds it",
    ),
    row(
        "worker_disable_prefetch",
        Option,
        "--simple-worker holds one message at a time",
    ),
    row(
        "worker_max_tasks_per_child",
        Option,
        "--max-tasks-per-child N (100 where it is not given, 0 is never)",
    ),
    row(
        "worker_max_memory_per_child",
        Option,
        "--max-memory-per-child SIZE, as in 512M (Celery's number is in KiB)",
    ),
    row(
        "worker_autoscaler",
        NotDone,
        "the number of processes is fixed; scale by the number of workers",
    ),
    row(
        "worker_soft_shutdown_timeout",
        Option,
        "--shutdown-timeout SECONDS; without it a stop waits for running tasks",
    ),
    row(
        "worker_enable_soft_shutdown_on_idle",
        Note,
        "a stop gives what has not begun back at once",
    ),
    row(
        "worker_log_format",
        Note,
        "the log has PyQS's format; --loglevel sets the level",
    ),
    row(
        "worker_task_log_format",
        Note,
        "the log has PyQS's format; --loglevel sets the level",
    ),
    row(
        "worker_hijack_root_logger",
        Note,
        "the root logger is set up as logging.basicConfig does; yours stay",
    ),
    row(
        "worker_redirect_stdouts*",
        Note,
        "standard output is left alone",
    ),
    row(
        "worker_enable_remote_control",
        NotDone,
        "control messages are not obeyed; signals stop a worker, `pyqs queues` shows queues",
    ),
    row(
        "worker_send_task_events",
        NotDone,
        "no events are sent; logs and metrics tell what happens",
    ),
    row("task_send_sent_event", NotDone, "no events are sent"),
    row("worker_state_db", NotDone, "there is no revoking of tasks"),
    row(
        "worker_eta_task_limit",
        Works,
        "tasks with an eta wait in SQS, not in the worker",
    ),
    row(
        "worker_deduplicate_successful_tasks",
        Works,
        "a message that succeeded here and is delivered again is deleted without running, whatever this says",
    ),
    row("worker_*", Note, "not read"),
    row("control_*", NotDone, "control messages are not obeyed"),
    row("event_*", NotDone, "no events are sent"),
    // Results and schedules.
    row(
        "result_backend",
        NotDone,
        "no results are stored: let the task write what is needed, or keep what waits for results on Celery workers; a chord's body needs one",
    ),
    row("result_*", NotDone, "no results are stored"),
    row("task_ignore_result", Works, "no results are stored"),
    row(
        "task_store_errors_even_if_ignored",
        NotDone,
        "no results are stored",
    ),
    row("task_store_eager_result", NotDone, "no results are stored"),
    row("task_track_started", NotDone, "no results are stored"),
    row("track_started", NotDone, "no results are stored"),
    row("task_remote_tracebacks", NotDone, "no results are stored"),
    row(
        "task_allow_error_cb_on_chord_header",
        NotDone,
        "a chord's body is not run",
    ),
    row(
        "beat_schedule",
        NotDone,
        "there is no scheduler: keep celery beat, which sends to the same queues, or use EventBridge Scheduler",
    ),
    row(
        "beat_*",
        Note,
        "there is no scheduler: keep celery beat, which sends to the same queues, or use EventBridge Scheduler",
    ),
    row("task_repr_maxlevels", Note, "not read"),
    row(
        "redis_*",
        NotDone,
        "of a result backend: no results are stored",
    ),
    row(
        "database_*",
        NotDone,
        "of a result backend: no results are stored",
    ),
    row(
        "cache_*",
        NotDone,
        "of a result backend: no results are stored",
    ),
];

#[cfg(test)]
mod tests {
    use super::SETTINGS;

    #[test]
    fn no_row_is_hidden_by_one_before_it() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            let hiding = SETTINGS[..at]
                .iter()
                .find(|earlier| earlier.is_for(setting.name));
            assert!(hiding.is_none(), "{} is never found", setting.name);
        }
    }
}
