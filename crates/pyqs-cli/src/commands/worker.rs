//! `pyqs QUEUE...` and `pyqs worker QUEUE...`: the options of a worker.
//!
//! Its work is not here: the caller gets the settings and starts the processes.

use std::net::SocketAddr;
use std::sync::LazyLock;

use clap::builder::BoolishValueParser;
use pyqs_sqs::{QueueArgument, QueueArgumentError};
use pyqs_worker::{LogLevel, MESSAGE_BYTES_MAX, MemorySize, WorkerSettings};

use crate::connection::ConnectionArgs;
use crate::settings::{Seconds, seconds_above_zero};
use crate::usage::Usage;

/// Where the defaults are defined.
static DEFAULTS: LazyLock<WorkerSettings> = LazyLock::new(WorkerSettings::default);

/// Run a worker on queues of any name, also those of a command's
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a switch of the command's.
pub(crate) struct Args {
    /// Queue names and patterns (*, ?, [...]), apart by spaces or commas; `email:3` weighs a queue, `email=5` runs
    /// at most five of its tasks at once, `email@10/s` starts at most ten a second (or /m, /h)
    #[arg(value_name = "QUEUE", env = "PYQS_QUEUES", value_parser = queue_argument)]
    pub(crate) queues: Vec<String>,
    /// Task processes, over all queues; each runs --threads tasks at once
    #[arg(short, long, value_name = "N", env = "PYQS_CONCURRENCY", default_value_t = DEFAULTS.concurrency,
          value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    pub(crate) concurrency: u32,
    /// Tasks at once in each process: in threads, or on an event loop where they are `async def`
    #[arg(long, value_name = "N", env = "PYQS_THREADS", default_value_t = DEFAULTS.threads,
          value_parser = clap::value_parser!(u32).range(1..=1000), allow_negative_numbers = true)]
    pub(crate) threads: u32,
    /// What is logged: DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case
    #[arg(long, aliases = ["log-level", "log_level"], value_name = "LEVEL", env = "PYQS_LOGLEVEL",
          default_value_t = DEFAULTS.log_level)]
    pub(crate) loglevel: LogLevel,
    /// Modules to import before the first task, so that their tasks are known
    #[arg(
        short = 'I',
        long = "import",
        value_name = "MODULE",
        env = "PYQS_IMPORT",
        value_delimiter = ','
    )]
    pub(crate) imports: Vec<String>,
    /// Modules to import once, before the task processes are forked
    #[arg(
        long,
        value_name = "MODULE",
        env = "PYQS_PRELOAD",
        value_delimiter = ','
    )]
    pub(crate) preload: Vec<String>,
    /// Patterns of tasks that may run although their module is installed and not your own
    #[arg(
        long,
        value_name = "PATTERN",
        env = "PYQS_ALLOW",
        value_delimiter = ','
    )]
    pub(crate) allow: Vec<String>,
    /// Run only @task functions, and Celery's tasks, of imported modules
    #[arg(long, env = "PYQS_REGISTERED_ONLY", value_parser = BoolishValueParser::new())]
    pub(crate) registered_only: bool,
    /// A Celery application (proj.celery:app): its tasks are known by their names, only what it accepts is read, and
    /// without QUEUE its queues are worked on
    #[arg(long, value_name = "MODULE:APP", env = "PYQS_CELERY_APP")]
    pub(crate) celery_app: Option<String>,
    /// Certificates (a folder, a file, a pattern) of those whose messages, signed by Celery's `auth` serializer, are
    /// read [default: none is]
    #[arg(long, value_name = "PATH", env = "PYQS_CERT_STORE")]
    pub(crate) cert_store: Option<String>,
    /// DANGEROUS: let Python's loader make objects of these classes (myapp.*) of what is in pickled messages; whoever
    /// can send to the queue may then run code here [default: pickles are read as data]
    #[arg(
        long,
        value_name = "PATTERN",
        env = "PYQS_UNSAFE_PICKLE",
        value_delimiter = ','
    )]
    pub(crate) unsafe_pickle: Vec<String>,
    /// End when the queues are empty: two polls of each in a row brought nothing, and all that was taken is finished.
    /// What is delayed or hidden is not waited for
    #[arg(long, env = "PYQS_BURST", value_parser = BoolishValueParser::new())]
    pub(crate) burst: bool,
    /// End after N tasks, failed ones included, and give back what else was taken [default: never]
    #[arg(long, value_name = "N", env = "PYQS_MAX_TASKS", value_parser = clap::value_parser!(u32).range(1..),
          allow_negative_numbers = true)]
    pub(crate) max_tasks: Option<u32>,
    /// For development: start anew when a .py file changes below the current folder or beside an imported module; tasks
    /// in progress end first. Needs the package watchfiles (pip install watchfiles)
    #[arg(long, env = "PYQS_RELOAD", value_parser = BoolishValueParser::new())]
    pub(crate) reload: bool,
    /// The format in which tasks' own calls are written where a task declares none: pyqs or celery [default: pyqs]
    #[arg(long, value_name = "FORMAT", env = "PYQS_FORMAT", value_parser = format)]
    pub(crate) format: Option<String>,
    /// Whether `.delay` in a task creates a queue that is missing: yes or no [default: yes]
    #[arg(long, value_name = "YES|NO", env = "PYQS_CREATE_QUEUES", value_parser = BoolishValueParser::new(),
          action = clap::ArgAction::Set)]
    pub(crate) create_queues: Option<bool>,
    /// Exit 1 at the start when a name or pattern has no queue; else that is a warning
    #[arg(long, env = "PYQS_REQUIRE_QUEUES", value_parser = BoolishValueParser::new())]
    pub(crate) require_queues: bool,
    /// Let `email.*` not match the queue `email-x`
    #[arg(long, env = "PYQS_EXACT_PATTERNS", value_parser = BoolishValueParser::new())]
    pub(crate) exact_patterns: bool,
    /// Show /metrics (Prometheus), /healthz and /readyz at this address, as 127.0.0.1:9100
    #[arg(long, value_name = "ADDRESS", env = "PYQS_HTTP")]
    pub(crate) http: Option<SocketAddr>,
    /// What requests for /metrics must bear (Authorization: Bearer TOKEN); needed where other machines reach --http. Its
    /// variable keeps it out of the process list
    #[arg(long, value_name = "TOKEN", env = "PYQS_HTTP_TOKEN")]
    pub(crate) http_token: Option<String>,
    /// Set where the words named no command: commands, which a queue of that name can't be told from.
    #[arg(skip)]
    pub(crate) command_names: Vec<String>,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    #[command(flatten)]
    pub(crate) safety: SafetyArgs,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// How fast messages are fetched and worked on.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Pace")]
pub(crate) struct PaceArgs {
    /// Serve queues in the order given: one has its turn when those before it are empty, and may starve
    #[arg(long, env = "PYQS_STRICT", value_parser = BoolishValueParser::new())]
    pub(crate) strict: bool,
    /// How long a task process rests after each task
    #[arg(long, value_name = "SECONDS", env = "PYQS_INTERVAL", default_value_t = Seconds(DEFAULTS.interval),
          allow_negative_numbers = true)]
    pub(crate) interval: Seconds,
    /// Messages asked for in one request, 1 to 10 (else brought into that range) [default: 10; with
    /// --simple-worker 1]
    #[arg(
        long,
        value_name = "N",
        env = "PYQS_BATCHSIZE",
        allow_negative_numbers = true
    )]
    pub(crate) batchsize: Option<i64>,
    /// Hold at most concurrency x N x batchsize messages that have not started [default: by the time tasks take]
    #[arg(
        long,
        value_name = "N",
        env = "PYQS_PREFETCH_MULTIPLIER",
        allow_negative_numbers = true
    )]
    pub(crate) prefetch_multiplier: Option<u32>,
    /// Hold no more than this of messages that do not run, however many they are (64M, 1G)
    #[arg(
        long,
        value_name = "SIZE",
        env = "PYQS_PREFETCH_MEMORY",
        default_value = "64M"
    )]
    pub(crate) prefetch_memory: MemorySize,
    /// One message at a time: one a request, one held
    #[arg(long, env = "PYQS_SIMPLE_WORKER", value_parser = BoolishValueParser::new())]
    pub(crate) simple_worker: bool,
}

/// What happens to messages and processes over time.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Safety")]
pub(crate) struct SafetyArgs {
    /// Replace a task process after N tasks; 0 is never
    #[arg(long, value_name = "N", env = "PYQS_MAX_TASKS_PER_CHILD", default_value_t = DEFAULTS.max_tasks_per_child,
          allow_negative_numbers = true)]
    pub(crate) max_tasks_per_child: u32,
    /// Replace a task process that uses more memory (512M, 2G), after its present tasks [default: never]
    #[arg(long, value_name = "SIZE", env = "PYQS_MAX_MEMORY_PER_CHILD")]
    pub(crate) max_memory_per_child: Option<MemorySize>,
    /// End a task that runs for longer, by killing its process [default: no limit]
    #[arg(long, value_name = "SECONDS", env = "PYQS_TIME_LIMIT", value_parser = seconds_above_zero,
          allow_negative_numbers = true)]
    pub(crate) time_limit: Option<Seconds>,
    /// Raise SoftTimeLimitExceeded in a task that runs for longer [default: no limit]
    #[arg(long, value_name = "SECONDS", env = "PYQS_SOFT_TIME_LIMIT", value_parser = seconds_above_zero,
          allow_negative_numbers = true)]
    pub(crate) soft_time_limit: Option<Seconds>,
    /// With --threads: when a task is at its time limit, let the others in its process run on for so long
    #[arg(long, value_name = "SECONDS", env = "PYQS_DRAIN_TIMEOUT",
          default_value_t = Seconds(DEFAULTS.drain_timeout), allow_negative_numbers = true)]
    pub(crate) drain_timeout: Seconds,
    /// Leave the visibility timeout alone while a task runs, as PyQS did
    #[arg(long, env = "PYQS_NO_EXTEND_VISIBILITY", value_parser = BoolishValueParser::new())]
    pub(crate) no_extend_visibility: bool,
    /// Extend a message's visibility for no longer than this [default: SQS's 12 hours]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "PYQS_EXTEND_VISIBILITY_MAX",
        allow_negative_numbers = true
    )]
    pub(crate) extend_visibility_max: Option<Seconds>,
    /// At a stop, end tasks that still run after this long [default: wait for them]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "PYQS_SHUTDOWN_TIMEOUT",
        allow_negative_numbers = true
    )]
    pub(crate) shutdown_timeout: Option<Seconds>,
}

/// What is kept elsewhere than in SQS.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Stores")]
pub(crate) struct StoreArgs {
    /// Where message bodies are that SQS does not take: s3://BUCKET/PREFIX or file:///FOLDER [default: nowhere]
    #[arg(long, value_name = "URL", env = "PYQS_PAYLOAD_STORE")]
    pub(crate) payload_store: Option<String>,
    /// Bytes of a message, attributes included, above which its body goes there; 0 stores all
    #[arg(long, value_name = "BYTES", env = "PYQS_PAYLOAD_THRESHOLD", default_value_t = DEFAULTS.payload_threshold,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(MESSAGE_BYTES_MAX)),
          allow_negative_numbers = true)]
    pub(crate) payload_threshold: u32,
    /// Delete nothing there after its task
    #[arg(long, env = "PYQS_KEEP_PAYLOADS", value_parser = BoolishValueParser::new())]
    pub(crate) keep_payloads: bool,
    /// Where the keys of tasks with an idempotency_key are: sqlite:///FILE, redis://HOST/0 or dynamodb://TABLE; the
    /// variable keeps a password in it out of the process list [default: nowhere]
    #[arg(long, value_name = "URL", env = "PYQS_IDEMPOTENCY_STORE")]
    pub(crate) idempotency_store: Option<String>,
}

impl Args {
    /// Refuses a worker that has nothing to work on.
    pub(crate) fn check_queues(&self, argv: &[String]) -> Result<(), Usage> {
        if self.queues.is_empty() && self.celery_app.is_none() {
            return Err(Usage::no_queue(argv));
        }
        Ok(())
    }
}

/// Lets through what the worker will be able to read.
fn queue_argument(word: &str) -> Result<String, QueueArgumentError> {
    if QueueArgument::parse_all([word])?.is_empty() {
        // Such as a shell's unset variable: a worker without queues would wait for ever, and say nothing.
        return Err(QueueArgumentError::NoName {
            argument: word.to_owned(),
        });
    }
    Ok(word.to_owned())
}

/// The name of a format. An empty variable is how a compose file leaves one out.
fn format(name: &str) -> Result<String, String> {
    match name {
        "" | "pyqs" | "celery" => Ok(name.to_owned()),
        _ => Err("the formats are pyqs (the default) and celery".to_owned()),
    }
}
