//! The worker: drives the consumer on tokio, hands tasks to task processes.
//!
//! Three kinds of process make a worker. The supervisor forks and reaps and is not ours; the manager is
//! [`manager::run`]; a task process runs tasks and speaks through a [`TaskChannel`]. To this crate a
//! task process is whatever speaks [`process::wire`]: it knows nothing of Python.
//!
//! Modules in reading order: [`settings`], what a worker can be told, with `celery_queues`; [`manager`], its start and end;
//! `driver`, the loop around [`pyqs_core::Consumer`]; `inbound`, all that comes in to it; `arrivals`
//! and `queues`, what is kept of messages and queues; `reading` and `certificates`, how messages are read; `requests`, calls to SQS, of which `forwards` send messages on; `discover`, which queues
//! there are; `files`, how many may be open; `observe`, what is logged; `status`, what is shown by HTTP; [`process`], all about task processes; `clock`, what leases are
//! measured by.
//!
//! ```
//! use pyqs_worker::WorkerSettings;
//!
//! let settings = WorkerSettings {
//!     queues: vec!["email*".to_owned()],
//!     concurrency: 4,
//!     ..WorkerSettings::default()
//! };
//! assert_eq!(settings.batch_max(), 10);
//! assert_eq!(settings.tasks_max(), Some(100));
//! ```

mod arrivals;
mod celery_queues;
mod certificates;
mod clock;
mod declared;
mod discover;
mod driver;
mod files;
mod forwards;
mod http_options;
mod inbound;
pub mod manager;
mod memory_size;
mod observe;
pub mod process;
mod queues;
mod reading;
mod requests;
pub mod settings;
mod status;

#[cfg(test)]
#[path = "../tests/world/fake_sqs.rs"]
#[allow(dead_code, missing_docs)] // The whole is used by the tests in `tests/`.
mod fake_sqs;

pub use celery_queues::CeleryQueues;
pub use certificates::{BadCertificateStore, CertificateStore};
pub use http_options::{HttpOptions, OpenToAll};
pub use memory_size::{BadMemorySize, MemorySize};
pub use process::after_task::{AfterTask, Unsendable};
pub use process::child::TaskChannel;
pub use process::job::{Job, SystemAttributes};
pub use process::ledger::Ledger;
pub use process::outcome::{AfterDeath, TaskOutcome};
pub use process::unmanaged::Unmanaged;
pub use process::wire::{Batch, Callback, DeadLetter, Declaration, MessageEnd, TimeLimits};
pub use pyqs_core::{Counters, Instant, QueueId, QueueSnapshot, Snapshot};
pub use settings::{LogLevel, MESSAGE_BYTES_MAX, SoftLimitTooLong, WorkerSettings};
pub use status::{Board, Serve, Status};
