//! The options of a worker as its settings: the one place where the two meet.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use pyqs_worker::{CeleryQueues, HttpOptions, MemorySize, WorkerSettings};

use crate::commands::worker::Args;

impl Args {
    /// What the worker is told.
    pub(crate) fn into_settings(self) -> WorkerSettings {
        WorkerSettings {
            queues: self.queues,
            strict: self.pace.strict,
            command_names: self.command_names,
            concurrency: self.concurrency,
            threads: self.threads,
            log_level: self.loglevel,
            connection: self.connection.into(),
            interval: self.pace.interval.0,
            batchsize: self.pace.batchsize.and_then(batchsize),
            prefetch_multiplier: self.pace.prefetch_multiplier,
            prefetch_memory: self.pace.prefetch_memory.bytes(),
            simple_worker: self.pace.simple_worker,
            max_tasks_per_child: self.safety.max_tasks_per_child,
            max_memory_per_child: self.safety.max_memory_per_child.map(MemorySize::bytes),
            time_limit: self.safety.time_limit.map(Duration::from),
            soft_time_limit: self.safety.soft_time_limit.map(Duration::from),
            drain_timeout: self.safety.drain_timeout.0,
            extend_visibility: !self.safety.no_extend_visibility,
            extend_visibility_max: self.safety.extend_visibility_max.map(Duration::from),
            shutdown_timeout: self.safety.shutdown_timeout.map(Duration::from),
            burst: self.burst,
            max_tasks: self.max_tasks,
            receive_wait: WorkerSettings::default().receive_wait,
            reload: self.reload,
            require_queues: self.require_queues,
            exact_patterns: self.exact_patterns,
            imports: self.imports,
            preload: self.preload,
            allow: self.allow,
            format: self.format.filter(|format| !format.is_empty()),
            create_queues: self.create_queues,
            registered_only: self.registered_only,
            celery_app: self.celery_app,
            celery_queues: CeleryQueues::default(),
            cert_store: self.cert_store,
            unsafe_pickle: self.unsafe_pickle,
            payload_store: self.stores.payload_store.filter(|url| !url.is_empty()),
            payload_threshold: self.stores.payload_threshold,
            keep_payloads: self.stores.keep_payloads,
            idempotency_store: self.stores.idempotency_store.filter(|url| !url.is_empty()),
            http: self.http.map(|address| HttpOptions {
                address,
                token: self.http_token.filter(|token| !token.is_empty()),
            }),
        }
    }
}

/// A batch size as PyQS took it on its command line: 0 is the default, and what is below 1 is 1. What is above
/// 10 is 10, which is the settings' own rule.
fn batchsize(asked: i64) -> Option<u32> {
    match asked {
        0 => None,
        i64::MIN..=-1 => Some(1),
        1.. => Some(u32::try_from(asked).unwrap_or(u32::MAX)),
    }
}

/// A time as people type it: seconds, with a fraction where wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let secs: f64 = text.parse().map_err(|_| "seconds are a number")?;
        Duration::try_from_secs_f64(secs)
            .map(Self)
            .map_err(|_| "seconds are 0 or more")
    }
}

/// The same for what can't be 0.
pub(crate) fn seconds_above_zero(text: &str) -> Result<Seconds, &'static str> {
    match text.parse()? {
        Seconds(Duration::ZERO) => Err("seconds are above 0; leave the option out for no limit"),
        seconds => Ok(seconds),
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_secs_f64())
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}
