//! What is said to somebody who asked for help, or who said something wrong: then one line that says what is wrong
//! and what to do.

use std::num::ParseIntError;
use std::path::Path;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::args;

/// Why a command line is no command.
#[derive(Debug)]
pub(crate) enum Usage {
    /// Help or the version was asked for: this is it.
    Asked(StyledStr),
    /// The words cannot be read.
    Wrong(Refusal),
}

/// One line for a person.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) String);

impl Usage {
    /// What clap has to say about these words.
    pub(crate) fn of(error: &clap::Error, argv: &[String]) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Self::Asked(error.render()),
            _ => Self::wrong(&what_is_wrong(error), argv),
        }
    }

    /// A worker has nothing to work on.
    pub(crate) fn no_queue(argv: &[String]) -> Self {
        let line = "no queue given: name at least one, as in `pyqs email`, or a pattern, as in `pyqs 'email*'`";
        Self::wrong(line, argv)
    }

    fn wrong(line: &str, argv: &[String]) -> Self {
        Self::Wrong(Refusal(format!("{line}; see `{}`", help_command(argv))))
    }
}

impl Usage {
    /// The same, of what a file says.
    pub(crate) fn within(self, file: &Path) -> Self {
        match self {
            Self::Wrong(Refusal(line)) => {
                Self::Wrong(Refusal(format!("{}: {line}", file.display())))
            }
            asked @ Self::Asked(_) => asked,
        }
    }
}

fn what_is_wrong(error: &clap::Error) -> String {
    let arg = context(error, ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument if arg.starts_with('-') => {
            let suggested = context(error, ContextKind::SuggestedArg);
            let hint = if suggested.is_empty() {
                String::new()
            } else {
                format!(" (is it {suggested}?)")
            };
            format!("unknown option {arg}{hint}")
        }
        ErrorKind::UnknownArgument => format!("'{arg}' is one word too many"),
        ErrorKind::MissingRequiredArgument => format!("{arg} is missing"),
        ErrorKind::ArgumentConflict => {
            format!(
                "{arg} and {} exclude each other",
                context(error, ContextKind::PriorArg)
            )
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => bad_value(error, &arg),
        _ => first_line(error),
    }
}

fn bad_value(error: &clap::Error, arg: &str) -> String {
    let value = context(error, ContextKind::InvalidValue);
    let variable = variable_with(arg, &value)
        .map(|name| format!(" (from {name})"))
        .unwrap_or_default();
    let valid = context(error, ContextKind::ValidValue);
    if value.is_empty() {
        return format!("{arg} needs a value{variable}");
    }
    let reason = match std::error::Error::source(error) {
        Some(source) => in_our_words(source),
        None if !valid.is_empty() => format!("use one of {valid}"),
        None => "not valid".to_owned(),
    };
    format!("bad value '{value}' for {arg}{variable}: {reason}")
}

/// Parsers of the standard library and of clap speak to programmers.
fn in_our_words(source: &(dyn std::error::Error + 'static)) -> String {
    match source.to_string().as_str() {
        "value was not a boolean" => "say yes or no".to_owned(),
        _ if source.is::<ParseIntError>() => "a whole number is wanted".to_owned(),
        text => text.to_owned(),
    }
}

/// The variable that the value was taken from, if any: a person who did not type it looks there.
fn variable_with(arg: &str, value: &str) -> Option<String> {
    let mut definition = args::definition();
    definition.build();
    let commands = std::iter::once(&definition).chain(definition.get_subcommands());
    commands
        .flat_map(clap::Command::get_arguments)
        .filter(|candidate| candidate.to_string() == arg)
        .filter_map(|candidate| candidate.get_env()?.to_str())
        .find(|name| std::env::var(name).is_ok_and(|found| found == value))
        .map(str::to_owned)
}

fn context(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    }
}

/// For kinds of mistakes that have no words of their own here.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn help_command(argv: &[String]) -> String {
    let definition = args::definition();
    match argv
        .first()
        .filter(|word| definition.find_subcommand(word).is_some())
    {
        Some(command) => format!("pyqs {command} --help"),
        None => "pyqs --help".to_owned(),
    }
}
