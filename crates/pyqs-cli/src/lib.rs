//! The command line of pyqs: definitions and commands; the only crate that prints.
//!
//! A command is one file with its options and its work together. What a worker is told becomes a
//! [`WorkerSettings`](pyqs_worker::WorkerSettings) here, and is handed back to the caller: forking processes is the
//! business of whoever embeds this (the Python package), not of the command line.
//!
//! Modules in reading order: `entry`, from words to an [`Outcome`]; `args`, what there is to say; `usage`, what is
//! said to somebody who said it wrong; `project_file` and `file_options`, what files say; `connection` and `settings`, options as values; `commands`, one file each;
//! `input`, what is read from files, `shown`, messages for people, and `output`, the one place that prints; [`mod@reference`], the page that documents it all.
//!
//! ```
//! use pyqs_cli::{Outcome, run};
//!
//! let Outcome::Worker(settings) = run(["email*", "--concurrency", "4"]) else { panic!("this starts a worker") };
//! assert_eq!(settings.concurrency, 4);
//! ```

#![allow(
    clippy::doc_markdown,
    reason = "the doc comment of an option is its help, which is plain text"
)]

mod args;
mod commands;
mod connection;
mod entry;
mod file_options;
mod input;
mod output;
mod project_file;
mod reading;
pub mod reference;
mod settings;
mod shown;
mod usage;

pub use args::worker_variables;
pub use commands::config::{Setting, Source};
pub use entry::{Outcome, ambient, main_without_python, run, run_with_python};
pub use pyqs_local::RecyclingAllocator;
