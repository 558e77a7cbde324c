//! What a worker can be told. Every default is defined here, once: the command line, Python and the
//! documentation read them from [`WorkerSettings::default`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use pyqs_core::Settings;
use pyqs_core::limits::{BATCH_MAX, BUFFER_BYTES_MAX, BUFFER_MESSAGES_MAX};
use pyqs_sqs::ConnectOptions;
use serde::{Deserialize, Serialize};

use crate::celery_queues::CeleryQueues;
use crate::http_options::HttpOptions;

/// The settings of a worker: the manager's, and those that the task processes read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools)] // Each is a switch of the command's.
pub struct WorkerSettings {
    /// Queue names and patterns, as given: each may hold several, apart by commas, and a share
    /// (`email:3`, `email=5`, `email@10/s`). No default: at least one is needed, unless
    /// [`celery_app`](Self::celery_app) has some.
    pub queues: Vec<String>,
    /// Each of [`queues`](Self::queues) goes before all after it, which starve while it has messages;
    /// the queues of one pattern share. Default off: all share, by weight.
    pub strict: bool,
    /// Task processes, over all queues; at least 1. Default 1.
    pub concurrency: u32,
    /// Tasks that each process runs at once, in threads, or on an event loop where they are `async def`; at
    /// least 1. Default 1.
    pub threads: u32,
    /// What is logged. Default [`LogLevel::Warning`].
    pub log_level: LogLevel,
    /// How to reach SQS. Default: as the environment and the profile files say.
    pub connection: ConnectOptions,
    /// How long a process rests after each task. Default none.
    pub interval: Duration,
    /// Messages a request asks for: 1 to 10, values beyond are brought into that range. Default 10;
    /// with [`simple_worker`](Self::simple_worker) 1, unless another one is given.
    pub batchsize: Option<u32>,
    /// Holds at most concurrency × threads × this × batchsize messages that have not started. Default: the
    /// engine decides, by the time that tasks take. (`PyQS` had 2.)
    pub prefetch_multiplier: Option<u32>,
    /// Bytes of messages that are held and not running, at most, however many they are. Default 64 MiB.
    pub prefetch_memory: u64,
    /// One message at a time: the same engine, which asks for one message a request and holds one
    /// at most. Default off.
    ///
    /// `PyQS` had another architecture here, with processes for each queue. Ours shares the processes
    /// among all queues in either mode; what stays is that nothing is fetched in numbers.
    pub simple_worker: bool,
    /// A task process is replaced after this many tasks, failed ones included; 0 is never.
    /// Default 100. With several [`threads`](Self::threads) it may have begun some more by then.
    pub max_tasks_per_child: u32,
    /// A task process that uses more bytes of memory is replaced after its present tasks. Default: never.
    /// Only where the system says what a process uses, as Linux does.
    pub max_memory_per_child: Option<u64>,
    /// A task that has run for this long is ended, with its process. Default: no limit. Where a task or a
    /// message has a limit too, the smallest holds.
    pub time_limit: Option<Duration>,
    /// After this long an exception is raised in a task. Default: none. As above, the smallest holds.
    pub soft_time_limit: Option<Duration>,
    /// When a task is at its time limit, others in its process have this long to end. Default 30 s.
    pub drain_timeout: Duration,
    /// Whether the visibility timeout is extended while a message waits or runs. Default on.
    pub extend_visibility: bool,
    /// A task's visibility is extended for no longer than this. Default: up to SQS's 12 hours.
    pub extend_visibility_max: Option<Duration>,
    /// At a stop, tasks that still run after this long are killed. Default: they are waited for.
    pub shutdown_timeout: Option<Duration>,
    /// The worker ends by itself, with exit code 0, when all that it took is finished and two polls in a row of each
    /// queue have brought nothing. What is delayed or hidden then is not waited for. Default off.
    pub burst: bool,
    /// The worker ends by itself, with exit code 0, when so many tasks have ended, failed ones included; at least 1.
    /// No more are begun, and what else was received is given back. Default: never.
    pub max_tasks: Option<u32>,
    /// How long a receive waits for messages, at most; whole seconds, and fewer in a burst. Default: SQS's longest, 20 s.
    pub receive_wait: Duration,
    /// The worker starts anew when a Python file changes. Default off.
    pub reload: bool,
    /// A name or pattern without a queue at the start is an error (exit 1) and not a warning.
    /// Default off.
    pub require_queues: bool,
    /// Names of commands: the log warns where such a queue is worked on, since naming it as the command
    /// line's first word would start the command. Default none.
    pub command_names: Vec<String>,
    /// `email.*` does not match the queue `email-x`. Default off: patterns match a queue's dashed
    /// spelling too.
    pub exact_patterns: bool,
    /// Modules that each task process imports before its first task. Default none.
    pub imports: Vec<String>,
    /// Modules that the supervisor imports before the first fork. Default none.
    pub preload: Vec<String>,
    /// Patterns of tasks that may run although their module is not the user's own. Default none.
    pub allow: Vec<String>,
    /// Where metrics and health are shown. Default: nowhere.
    pub http: Option<HttpOptions>,
    /// The format, `pyqs` or `celery`, in which tasks' own calls are written where a task declares none. Default: as
    /// the environment of the task processes says.
    pub format: Option<String>,
    /// Whether tasks' own calls create queues that are missing. Default: likewise.
    pub create_queues: Option<bool>,
    /// Runs only functions marked `@task` in imported modules. Default off.
    pub registered_only: bool,
    /// The Celery application, `module:name`, whose tasks, accepted content types and routes hold, and whose queues
    /// are worked on where [`queues`](Self::queues) names none. Default none.
    pub celery_app: Option<String>,
    /// What [`celery_app`](Self::celery_app) says of its queues: filled in by who has loaded it.
    pub celery_queues: CeleryQueues,
    /// Where the certificates of those lie whose signed messages are read: a folder, a file, or a pattern. Default
    /// none: signed messages are refused.
    pub cert_store: Option<String>,
    /// Patterns of classes that Python's own loader may make of a pickled message. Default none: pickles are read as
    /// data.
    pub unsafe_pickle: Vec<String>,
    /// The URL of the store where message bodies are that SQS does not take. Default: none.
    pub payload_store: Option<String>,
    /// Bytes of a message, its attributes included, above which its body goes to [`payload_store`](Self::payload_store),
    /// up to [`MESSAGE_BYTES_MAX`]. Default 1,032,192: 16 KiB are left for the attributes that a message gets on its
    /// way, as when it is due, or why it is a dead letter.
    pub payload_threshold: u32,
    /// What is stored is not deleted after its task. Default off.
    pub keep_payloads: bool,
    /// The URL of the store of idempotency keys. Default: none.
    pub idempotency_store: Option<String>,
}

/// The largest message that SQS takes, in bytes, attributes included (SQS API: `SendMessage`).
pub const MESSAGE_BYTES_MAX: u32 = 1024 * 1024;

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            strict: false,
            concurrency: 1,
            threads: 1,
            log_level: LogLevel::Warning,
            connection: ConnectOptions::default(),
            interval: Duration::ZERO,
            batchsize: None,
            prefetch_multiplier: None,
            prefetch_memory: BUFFER_BYTES_MAX as u64,
            simple_worker: false,
            max_tasks_per_child: 100,
            max_memory_per_child: None,
            time_limit: None,
            soft_time_limit: None,
            drain_timeout: Duration::from_secs(30),
            extend_visibility: true,
            extend_visibility_max: None,
            shutdown_timeout: None,
            burst: false,
            receive_wait: Settings::default().wait,
            max_tasks: None,
            reload: false,
            require_queues: false,
            command_names: Vec::new(),
            exact_patterns: false,
            imports: Vec::new(),
            preload: Vec::new(),
            allow: Vec::new(),
            http: None,
            format: None,
            create_queues: None,
            registered_only: false,
            celery_app: None,
            celery_queues: CeleryQueues::default(),
            cert_store: None,
            unsafe_pickle: Vec::new(),
            payload_store: None,
            payload_threshold: MESSAGE_BYTES_MAX - 16 * 1024,
            keep_payloads: false,
            idempotency_store: None,
        }
    }
}

impl WorkerSettings {
    /// Messages a request asks for, within SQS's range.
    pub fn batch_max(&self) -> u8 {
        let default = if self.simple_worker { 1 } else { BATCH_MAX };
        self.batchsize.map_or(default, |size| {
            u8::try_from(size.clamp(1, BATCH_MAX.into())).unwrap_or(BATCH_MAX)
        })
    }

    /// Tasks that one process runs; `None` without a limit.
    pub fn tasks_max(&self) -> Option<u32> {
        (self.max_tasks_per_child > 0).then_some(self.max_tasks_per_child)
    }

    /// Refuses a soft limit that the hard one leaves no time for.
    pub fn check_time_limits(&self) -> Result<(), SoftLimitTooLong> {
        match (self.soft_time_limit, self.time_limit) {
            (Some(soft), Some(hard)) if soft >= hard => Err(SoftLimitTooLong { soft, hard }),
            _ => Ok(()),
        }
    }

    /// What the core must know of all this.
    pub(crate) fn core(&self) -> Settings {
        Settings {
            batch_max: self.batch_max(),
            buffer_max: self.buffer_max(),
            buffer_bytes_max: usize::try_from(self.prefetch_memory).unwrap_or(usize::MAX),
            extend_visibility: self.extend_visibility,
            extend_visibility_max: self.extend_visibility_max,
            interval: self.interval,
            shutdown_timeout: self.shutdown_timeout,
            burst: self.burst,
            wait: self.receive_wait,
            tasks_max: self.max_tasks.map(u64::from),
        }
    }

    fn buffer_max(&self) -> usize {
        let batch = usize::from(self.batch_max());
        let held = match self.prefetch_multiplier {
            _ if self.simple_worker => batch,
            Some(multiplier) => (self.concurrency as usize)
                .saturating_mul(self.threads.max(1) as usize)
                .saturating_mul(multiplier as usize)
                .saturating_mul(batch),
            None => BUFFER_MESSAGES_MAX,
        };
        held.clamp(1, BUFFER_MESSAGES_MAX)
    }
}

/// A soft time limit that would never come to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the soft time limit of {} s is not below the time limit of {} s, which ends a task before; lower the soft one or \
     raise the other",
    soft.as_secs_f64(), hard.as_secs_f64()
)]
pub struct SoftLimitTooLong {
    soft: Duration,
    hard: Duration,
}

/// What is logged: this and what is graver. The names and numbers are those of Python's `logging`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LogLevel {
    /// Every receive.
    Debug,
    /// Starts, stops, queues found, tasks done.
    Info,
    /// What a person should look at.
    #[default]
    Warning,
    /// Tasks that failed.
    Error,
    /// Nothing but the end.
    Critical,
}

impl LogLevel {
    /// Python's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Debug => 10,
            Self::Info => 20,
            Self::Warning => 30,
            Self::Error => 40,
            Self::Critical => 50,
        }
    }

    /// Python's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

/// A word that names no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no log level; use DEBUG, INFO, WARNING, ERROR or CRITICAL")]
pub struct UnknownLogLevel(String);

impl FromStr for LogLevel {
    type Err = UnknownLogLevel;

    /// Takes Python's names in any case, `WARN` and `FATAL` included.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_ascii_uppercase().as_str() {
            "DEBUG" | "NOTSET" => Ok(Self::Debug),
            "INFO" => Ok(Self::Info),
            "WARN" | "WARNING" => Ok(Self::Warning),
            "ERROR" => Ok(Self::Error),
            "CRITICAL" | "FATAL" => Ok(Self::Critical),
            _ => Err(UnknownLogLevel(name.to_owned())),
        }
    }
}

impl TryFrom<String> for LogLevel {
    type Error = UnknownLogLevel;

    fn try_from(name: String) -> Result<Self, UnknownLogLevel> {
        name.parse()
    }
}

impl From<LogLevel> for String {
    fn from(level: LogLevel) -> Self {
        level.name().to_owned()
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::{LogLevel, WorkerSettings};

    #[test]
    fn batchsize_is_brought_into_sqs_range() {
        let check = |batchsize, simple_worker, expected| {
            let settings = WorkerSettings {
                batchsize,
                simple_worker,
                ..WorkerSettings::default()
            };
            assert_eq!(settings.batch_max(), expected, "{batchsize:?}");
        };
        check(None, false, 10);
        check(None, true, 1);
        check(Some(4), true, 4);
        check(Some(0), false, 1);
        check(Some(11), false, 10);
    }

    #[test]
    fn the_buffer_is_capped_by_the_prefetch_options() {
        let check = |prefetch_multiplier, simple_worker, expected| {
            let settings = WorkerSettings {
                concurrency: 3,
                prefetch_multiplier,
                simple_worker,
                ..WorkerSettings::default()
            };
            assert_eq!(settings.core().buffer_max, expected);
        };
        check(None, false, 1000);
        check(Some(2), false, 60);
        check(Some(0), false, 1);
        check(Some(u32::MAX), false, 1000);
        check(Some(2), true, 1);
    }

    #[test]
    fn log_levels_are_pythons() {
        let check = |name: &str, number| {
            let level: LogLevel = name.parse().unwrap();
            assert_eq!(level.number(), number);
        };
        check("warn", 30);
        check("WARNING", 30);
        check("Debug", 10);
        check("fatal", 50);
        assert!("loud".parse::<LogLevel>().is_err());
    }

    #[test]
    fn settings_may_be_written_in_part() {
        let settings: WorkerSettings =
            serde_json::from_str(r#"{"queues": ["email*"], "log_level": "info"}"#).unwrap();
        assert_eq!(settings.queues, ["email*"]);
        assert_eq!(settings.log_level, LogLevel::Info);
        assert_eq!(settings.concurrency, 1);
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<WorkerSettings>(&text).unwrap(),
            settings
        );
    }
}
