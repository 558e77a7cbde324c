//! The file behind `--config`: options of `pyqs local` by their long names, and queues.
//!
//! What it says becomes words of the command line, for the options that neither the command line nor a variable
//! gives: so each option has one name, one meaning and one way to be refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};
use pyqs_local::QueueDeclaration;
use serde::Deserialize;
use toml::{Table, Value};

use super::queue;
use crate::{args, file_options};

/// The key whose values may be tables: `[[queue]]`.
const QUEUE: &str = "queue";

/// What a file says.
#[derive(Clone, Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    /// Options by their long names, each with its values; a switch that is on has none.
    options: Vec<(String, Vec<String>)>,
    /// Those of `[[queue]]`.
    pub(super) queues: Vec<QueueDeclaration>,
}

/// The words for what a command line leaves to its file, and the file; `None` where it names none.
pub(crate) fn words(matches: &ArgMatches) -> Option<(PathBuf, Vec<String>)> {
    let matches = matches.subcommand_matches("local")?;
    let file = matches.get_one::<ConfigFile>("config")?;
    let command = definition();
    let is_given = |arg: &Arg| {
        let source = matches.value_source(arg.get_id().as_str());
        source.is_some_and(|source| source != ValueSource::DefaultValue)
    };
    let mut words = Vec::new();
    for (name, values) in &file.options {
        let Some(arg) = option(&command, name) else {
            continue;
        };
        // An option that excludes this one, as --memory does --data, goes before it too.
        let names = |one: &Arg, other: &Arg| {
            let excluded = command.get_arg_conflicts_with(one);
            excluded.iter().any(|arg| arg.get_id() == other.get_id())
        };
        let excludes = |other: &Arg| names(other, arg) || names(arg, other);
        let mut others = command.get_arguments();
        if is_given(arg) || others.any(|other| is_given(other) && excludes(other)) {
            continue;
        }
        if values.is_empty() {
            words.push(format!("--{name}"));
        }
        words.extend(values.iter().map(|value| format!("--{name}={value}")));
    }
    Some((file.path.clone(), words))
}

impl ConfigFile {
    /// Reads a file, or says in a line what is wrong with it.
    pub(super) fn read(path: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Self::parse(Path::new(path), &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let table: Table =
            toml::from_str(text).map_err(|error| file_options::located(text, &error))?;
        let mut file = Self {
            path: path.to_owned(),
            options: Vec::new(),
            queues: Vec::new(),
        };
        let command = definition();
        for (key, value) in table {
            let Some(arg) = option(&command, &key).filter(|_| key != "config") else {
                let names = command.get_arguments().filter_map(Arg::get_long);
                return Err(file_options::unknown(
                    &key,
                    names.filter(|name| *name != "config"),
                ));
            };
            match value {
                Value::Array(values) if key == QUEUE && values.iter().any(Value::is_table) => {
                    let queues = values.into_iter().map(declaration);
                    file.queues = queues.collect::<Result<_, _>>()?;
                }
                value => {
                    let values = file_options::values(arg, path, &key, value)?;
                    file.options.extend(values.map(|values| (key, values)));
                }
            }
        }
        Ok(file)
    }
}

/// An entry of `[[queue]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct QueueTable {
    name: String,
    /// As after the first ':' of `--queue`: `email-dead` or `email-dead:3`.
    dead_letter_queue: Option<String>,
    /// In SQS's own words.
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
}

fn declaration(value: Value) -> Result<QueueDeclaration, String> {
    if let Value::String(text) = value {
        return queue(&text).map_err(str::to_owned);
    }
    let table: QueueTable = value
        .try_into()
        .map_err(|error: toml::de::Error| format!("in [[queue]]: {}", error.message()))?;
    let within = |reason: &str| format!("in [[queue]] '{}': {reason}", table.name);
    if table.name.contains(':') {
        return Err(within(
            "the dead-letter queue has a key of its own, dead-letter-queue",
        ));
    }
    let word = match &table.dead_letter_queue {
        Some(dead_letter) => format!("{}:{dead_letter}", table.name),
        None => table.name.clone(),
    };
    let mut declaration = queue(&word).map_err(within)?;
    for (name, value) in table.attributes {
        let text = file_options::plain(value).ok_or_else(|| {
            format!(
                "in [[queue]] '{}': {name} is no text, number, true or false",
                table.name
            )
        })?;
        declaration.attributes.insert(name, text);
    }
    Ok(declaration)
}

fn definition() -> clap::Command {
    let definition = args::definition();
    let local = definition.find_subcommand("local");
    local.expect("it is this command").clone()
}

fn option<'a>(command: &'a clap::Command, name: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, String> {
        ConfigFile::parse(Path::new("/etc/pyqs/local.toml"), text)
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let options = parse(text).unwrap().options.into_iter();
        let words = options.map(|(name, values)| format!("{name} {}", values.join(" ")));
        assert_eq!(words.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn options_are_taken_by_their_long_names() {
        check("port = 1\nhost = '0.0.0.0'", &["host 0.0.0.0", "port 1"]);
        check("memory = true\ninsecure = false", &["memory "]);
        check("queue = ['a', 'b:dead:3']", &["queue a b:dead:3"]);
        check("queue = 'a'", &["queue a"]);
        check("queue = []", &[]);
    }

    #[test]
    fn paths_are_meant_from_the_files_folder() {
        check("data = 'data'", &["data /etc/pyqs/data"]);
        check(
            "credentials = '/k'\ntls-cert = '../c'",
            &["credentials /k", "tls-cert /etc/pyqs/../c"],
        );
    }

    #[test]
    fn queues_have_attributes() {
        let text = "
            [[queue]]
            name = 'orders.fifo'
            dead-letter-queue = 'orders-dead.fifo:3'
            attributes = { VisibilityTimeout = 60, ContentBasedDeduplication = true, Policy = '{}' }
            [[queue]]
            name = 'email'";
        let queues = parse(text).unwrap().queues;
        let dead_letter = queues[0].dead_letter.as_ref().unwrap();
        assert_eq!(
            (dead_letter.queue.as_str(), dead_letter.receives_max),
            ("orders-dead.fifo", 3)
        );
        let attributes: Vec<_> = queues[0].attributes.iter().collect();
        assert_eq!(
            format!("{attributes:?}"),
            "[(\"ContentBasedDeduplication\", \"true\"), \
            (\"Policy\", \"{}\"), (\"VisibilityTimeout\", \"60\")]"
        );
        assert_eq!(queues[1].name, "email");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("prot = 1", "unknown key 'prot'"),
            (
                "lenient_names = true",
                "unknown key 'lenient_names' (is it lenient-names?)",
            ),
            ("config = 'x'", "unknown key 'config'"),
            ("help = true", "unknown key 'help'"),
            ("a = ", "line 1: "),
            ("port = 1\n\nport = 2", "line 3: duplicate key"),
            ("memory = 1", "'memory' is true or false"),
            ("port = [1]", "the value of 'port' is no text or number"),
            (
                "port = 2020-01-01",
                "the value of 'port' is no text or number",
            ),
            ("[port]\nx = 1", "the value of 'port' is no text or number"),
            (
                "[[queue]]\nname = 'a'\nnope = 1",
                "in [[queue]]: unknown field `nope`",
            ),
            ("[[queue]]\n", "in [[queue]]: missing field `name`"),
            (
                "[[queue]]\nname = 'a:b'",
                "in [[queue]] 'a:b': the dead-letter queue has a key",
            ),
            (
                "[[queue]]\nname = 'a'\ndead-letter-queue = 'b:0'",
                "in [[queue]] 'a': the number of",
            ),
            (
                "[[queue]]\nname = 'a'\nattributes = { X = [] }",
                "in [[queue]] 'a': X is no text",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(words), "{text}: {error}");
        }
    }
}
