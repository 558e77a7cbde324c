//! The reference pages of the command line and of Celery's settings, written from their definitions.
//!
//! `cargo xtask gen-docs` writes them to `docs/cli.md` and `docs/celery-settings.md`; a test fails when one is stale.

use std::fmt::Write;

use clap::{Arg, ArgAction};

use crate::args;
use crate::commands::doctor::settings::{SETTINGS, Setting};

/// What stands above the commands.
const INTRODUCTION: &str = "\
<!-- Written by `cargo xtask gen-docs` from crates/pyqs-cli; edits here are lost. -->

# Command line

An option can also be given by its environment variable, where it has one, and a worker's by `[tool.pyqs]` in
pyproject.toml ([configuration.md](configuration.md)): the command line goes before the variable, the variable before
the file, and the file before the default. Switches take `1`, `true`, `yes` or `on`, and `0`, `false`, `no` or `off`;
lists are separated by commas. A beginning of a long option is enough where it fits only one.

Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 a command line that
cannot be read.
";

/// The whole page, as Markdown.
pub fn markdown() -> String {
    let mut definition = args::definition();
    definition.build();
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "pyqs QUEUE...", &definition);
    let commands = definition
        .get_subcommands()
        .filter(|command| command.get_name() != "help");
    for command in commands {
        let title = format!("pyqs {}", command.get_name());
        if command.get_name() == "worker" {
            let about = command
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default();
            let _infallible = write!(
                page,
                "\n## {title}\n\n{about}. The options are those above.\n"
            );
        } else {
            section(&mut page, &title, command);
        }
    }
    variables(&mut page, &definition);
    page
}

/// What Celery's settings come to: the page `docs/celery-settings.md`.
pub fn celery_settings() -> String {
    let mut page = "\
<!-- Written by `cargo xtask gen-docs` from crates/pyqs-cli; edits here are lost. -->

# Celery's settings, and what they come to here

`pyqs doctor --celery-app proj.celery:app` says this of the settings that an application changes. Names are those of
Celery 4 and later; in capitals, or with a namespace, they are the same settings. Of several rows that fit, the first
counts; settings that are not here are not read.

| setting | here | |
| --- | --- | --- |
"
    .to_owned();
    for Setting {
        name,
        verdict,
        words,
    } in SETTINGS
    {
        let _infallible = writeln!(page, "| `{name}` | {} | {} |", verdict.word(), cell(words));
    }
    page
}

/// One command: what it does, and a table of what it takes.
fn section(page: &mut String, title: &str, command: &clap::Command) {
    let about = command
        .get_long_about()
        .or(command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default();
    let _infallible = write!(page, "\n## {title}\n\n{about}\n\n");
    page.push_str("| option | variable | default | what it does |\n| --- | --- | --- | --- |\n");
    for arg in shown(command) {
        let _infallible = writeln!(
            page,
            "| {} | {} | {} | {} |",
            spellings(arg),
            variable(arg)
                .map(|name| format!("`{name}`"))
                .unwrap_or_default(),
            default(arg)
                .map(|value| format!("`{value}`"))
                .unwrap_or_default(),
            cell(&arg.get_help().map(ToString::to_string).unwrap_or_default()),
        );
    }
}

/// All variables in one list, for whoever looks one up.
fn variables(page: &mut String, definition: &clap::Command) {
    page.push_str("\n## Environment variables\n\n| variable | option of |\n| --- | --- |\n");
    let commands = std::iter::once(definition).chain(definition.get_subcommands());
    let mut rows = std::collections::BTreeMap::<String, Vec<String>>::new();
    for command in commands {
        let title = match command.get_name() {
            "pyqs" => "`pyqs QUEUE...`".to_owned(),
            name => format!("`pyqs {name}`"),
        };
        for name in shown(command).filter_map(variable) {
            rows.entry(name).or_default().push(title.clone());
        }
    }
    for (name, titles) in rows {
        let _infallible = writeln!(page, "| `{name}` | {} |", titles.join(", "));
    }
}

fn shown(command: &clap::Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        !matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        )
    })
}

/// Every way to write an option, with the name of its value.
fn spellings(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .map(|names| names.join(" "))
        .unwrap_or_default();
    if arg.is_positional() {
        return format!("`{value}`");
    }
    let short = arg.get_short().map(|short| format!("-{short}"));
    let longs = arg
        .get_long_and_visible_aliases()
        .into_iter()
        .flatten()
        .chain(hidden_aliases(arg));
    let mut words: Vec<String> = short
        .into_iter()
        .chain(longs.map(|long| format!("--{long}")))
        .collect();
    if let Some(last) = words.last_mut().filter(|_| arg.get_action().takes_values()) {
        *last = format!("{last} {value}");
    }
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn hidden_aliases(arg: &Arg) -> impl Iterator<Item = &str> {
    let visible = arg.get_visible_aliases().unwrap_or_default();
    arg.get_all_aliases()
        .unwrap_or_default()
        .into_iter()
        .filter(move |alias| !visible.contains(alias))
}

fn variable(arg: &Arg) -> Option<String> {
    Some(arg.get_env()?.to_string_lossy().into_owned())
}

fn default(arg: &Arg) -> Option<String> {
    let value = arg
        .get_default_values()
        .first()?
        .to_string_lossy()
        .into_owned();
    arg.get_action().takes_values().then_some(value)
}

/// Text that stays in its table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
