//! From a command line to what comes of it.

use std::path::Path;
use std::process::ExitCode;

use pyqs::ClientError;
use pyqs_sqs::SqsError;
use pyqs_worker::WorkerSettings;

use crate::args::{Command, parse};
use crate::commands::config::Setting;
use crate::commands::{config, decode, doctor, local, peek, queues, send};
use crate::output;
use crate::usage::{Refusal, Usage};

/// Exit code of a command that could not do its work.
const EXIT_FAILED: i32 = 1;
/// Exit code of a command line that cannot be read, as with Python's argparse.
const EXIT_USAGE: i32 = 2;

/// What a command line comes to.
#[derive(Debug)]
pub enum Outcome {
    /// The command is done, or was refused: the process ends with this code.
    Exit(i32),
    /// A worker is wanted: the caller starts it with these settings.
    Worker(Box<WorkerSettings>),
}

/// Carries out a command line, given without the program's name. Blocks until the command is done; only a worker
/// is left to the caller.
///
/// Options are taken from `argv`, else from their `PYQS_*` variables, else they have their defaults.
pub fn run(argv: impl IntoIterator<Item = impl Into<String>>) -> Outcome {
    run_with(argv, None)
}

/// The same beside a Python, whose path is given: for commands that ask it about the user's code, in a process of
/// its own.
pub fn run_with_python(
    argv: impl IntoIterator<Item = impl Into<String>>,
    python: &Path,
) -> Outcome {
    run_with(argv, Some(python))
}

fn run_with(argv: impl IntoIterator<Item = impl Into<String>>, python: Option<&Path>) -> Outcome {
    let argv: Vec<String> = argv.into_iter().map(Into::into).collect();
    match parse(&argv) {
        Ok(command) => carry_out(command, python),
        Err(Usage::Asked(text)) => {
            output::help(&text);
            Outcome::Exit(0)
        }
        Err(Usage::Wrong(Refusal(line))) => {
            output::error(&line);
            Outcome::Exit(EXIT_USAGE)
        }
    }
}

/// The whole of a `pyqs` that comes without Python, as from `cargo install`: it does everything but run a worker.
pub fn main_without_python() -> ExitCode {
    // Words that are not text become text that fits nothing, and so are named in an error.
    let argv = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned());
    let code = match run(argv) {
        Outcome::Exit(code) => code,
        Outcome::Worker(_) => {
            output::error(
                "this pyqs comes without Python and runs no worker; `pip install pyqs-rs` gives one that does",
            );
            EXIT_FAILED
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// What variables and the project's file say, for programs that run a worker or send without the command line; the
/// defaults are among it. An error is one line.
pub fn ambient() -> Result<Vec<Setting>, String> {
    match parse(&["config".to_owned()]) {
        Ok(Command::Config(config)) => Ok(config.settings),
        Err(Usage::Wrong(Refusal(line))) => Err(line),
        Ok(_) | Err(Usage::Asked(_)) => unreachable!("the words are those of `pyqs config`"),
    }
}

fn carry_out(command: Command, python: Option<&Path>) -> Outcome {
    let done = match command {
        Command::Worker(args) => return start_worker(args.into_settings()),
        Command::Local(args) => local::run(args),
        Command::Queues(args) => queues::run(args),
        Command::Send(args) => send::run(args),
        Command::Peek(args) => peek::run(args),
        Command::Decode(args) => decode::run(&args),
        Command::Doctor(args) => doctor::run(args, python),
        Command::Config(args) => config::run(&args),
    };
    match done {
        Ok(()) => Outcome::Exit(0),
        Err(error) => {
            output::error(&told(&error));
            Outcome::Exit(EXIT_FAILED)
        }
    }
}

fn start_worker(settings: WorkerSettings) -> Outcome {
    let refused = settings
        .check_time_limits()
        .err()
        .map(|error| error.to_string());
    let http = settings.http.as_ref();
    let refused = refused.or_else(|| Some(http?.check().err()?.to_string()));
    match refused {
        None => Outcome::Worker(Box::new(settings)),
        Some(reason) => {
            output::error(&reason);
            Outcome::Exit(EXIT_USAGE)
        }
    }
}

/// An error with its causes. One about SQS says itself what a person can use of its causes.
fn told(error: &anyhow::Error) -> String {
    if error.is::<SqsError>() || error.is::<ClientError>() {
        return error.to_string();
    }
    format!("{error:#}")
}
