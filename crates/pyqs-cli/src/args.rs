//! What there is to say: the program with its commands, and how its words are read.

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::local::config_file;
use crate::commands::{config, decode, doctor, local, peek, queues, send, worker};
use crate::project_file::{self, ProjectFile};
use crate::usage::{Refusal, Usage};

/// Task queues on Amazon SQS: a worker on the queues named, or one of the commands
#[derive(Debug, Parser)]
#[command(
    name = "pyqs",
    bin_name = "pyqs",
    version,
    max_term_width = 100,
    after_help = "A first word that is a command is that command; `pyqs worker QUEUE...` takes queues of any name.",
    args_conflicts_with_subcommands = true,
    override_usage = "pyqs [OPTIONS] QUEUE...\n       pyqs COMMAND ..."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    worker: worker::Args,
}

/// The commands. The plain form, without one, is the worker.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Worker(worker::Args),
    Local(local::Args),
    Queues(queues::Args),
    Send(send::Args),
    Peek(peek::Args),
    Decode(decode::Args),
    Doctor(doctor::Args),
    Config(config::Args),
}

/// The whole definition, from which words are read, help is shown and the reference is written.
pub(crate) fn definition() -> clap::Command {
    tune(Cli::command()).mut_subcommands(tune)
}

/// What holds for every command: the last of a repeated option counts and a beginning that fits one option is
/// enough, both as with argparse; and the value of a variable is never shown, since it may be a secret.
fn tune(command: clap::Command) -> clap::Command {
    command
        .infer_long_args(true)
        .args_override_self(true)
        .mut_args(|arg| arg.hide_env_values(true))
}

/// Reads words (without the program's name) as a command.
pub(crate) fn parse(argv: &[String]) -> Result<Command, Usage> {
    let first = matches_of(argv)?;
    if let Some((file, words)) = config_file::words(&first) {
        let all = matches_of(&[argv, &words].concat()).map_err(|usage| usage.within(&file))?;
        return command(&all, argv);
    }
    let definition = definition();
    let name = first.subcommand_name().unwrap_or("worker");
    let own = definition.find_subcommand(name).filter(|command| {
        let mut arguments = command.get_arguments();
        // Whoever reaches SQS goes by the project's file.
        arguments.any(|arg| arg.get_id() == "endpoint_url")
    });
    let Some(own) = own else {
        return command(&first, argv);
    };
    let given = first.subcommand_matches(name).unwrap_or(&first);
    let file = project_file()?;
    let words = file
        .as_ref()
        .map(|file| file.words(own, given))
        .unwrap_or_default();
    let (before, after) = argv.split_at(usize::from(first.subcommand_name().is_some()));
    let all = matches_of(&[before, &words, after].concat()).map_err(|usage| match &file {
        Some(file) if !words.is_empty() => usage.within(&file.path),
        _ => usage,
    })?;
    let mut command = command(&all, argv)?;
    match &mut command {
        Command::Worker(worker) => worker.check_queues(argv)?,
        Command::Config(config) => {
            let all = all.subcommand_matches(name).unwrap_or(&all);
            config.settings = config::in_force(own, given, all, file.as_ref());
        }
        _ => {}
    }
    Ok(command)
}

fn command(matches: &ArgMatches, argv: &[String]) -> Result<Command, Usage> {
    let cli = Cli::from_arg_matches(matches).map_err(|error| Usage::of(&error, argv))?;
    Ok(cli.command.unwrap_or_else(|| {
        let mut worker = cli.worker;
        worker.command_names = command_names();
        Command::Worker(worker)
    }))
}

fn project_file() -> Result<Option<ProjectFile>, Usage> {
    let Ok(folder) = std::env::current_dir() else {
        return Ok(None); // it was deleted, and holds no files
    };
    ProjectFile::find(&folder).map_err(|line| Usage::Wrong(Refusal(line)))
}

/// What can't be the plain form's first queue.
fn command_names() -> Vec<String> {
    let commands = Cli::command();
    let names = commands.get_subcommands().map(clap::Command::get_name);
    names.map(str::to_owned).collect()
}

/// The settings of a worker by name, each with its environment variable.
///
/// For programs that keep them among settings of their own.
#[must_use]
pub fn worker_variables() -> Vec<(String, String)> {
    let definition = definition();
    let variable = |arg: &clap::Arg| {
        let name = project_file::name(arg.get_id().as_str());
        Some((name.to_owned(), arg.get_env()?.to_str()?.to_owned()))
    };
    definition.get_arguments().filter_map(variable).collect()
}

fn matches_of(argv: &[String]) -> Result<ArgMatches, Usage> {
    let words = std::iter::once("pyqs").chain(argv.iter().map(String::as_str));
    let matches = definition().try_get_matches_from(words);
    matches.map_err(|error| Usage::of(&error, argv))
}
