//! `[tool.pyqs]` in a project's `pyproject.toml`: the worker's options by their names, for every command that has
//! them, and for whoever sends.
//!
//! As with `pyqs local --config`, what it says becomes words of the command line, for the options that neither the
//! command line nor a variable gives.

use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use toml::{Table, Value};

use crate::{args, file_options};

/// The file's name.
const NAME: &str = "pyproject.toml";

/// What a file says.
#[derive(Clone, Debug)]
pub(crate) struct ProjectFile {
    pub(crate) path: PathBuf,
    /// By the options' ids, each with its values; a switch that is on has none.
    options: Vec<(String, Vec<String>)>,
}

impl ProjectFile {
    /// The nearest that has a table of ours, from this folder up to the root of its repository. What is wrong with it
    /// is said in a line.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>, String> {
        for folder in folder.ancestors() {
            let path = folder.join(NAME);
            // What can't be read is as good as not there: it is another program's, or in a folder above the user's own.
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if let Some(table) = own_table(&text).map_err(|reason| named(&path, &reason))? {
                return Self::of_table(&path, table)
                    .map(Some)
                    .map_err(|reason| named(&path, &reason));
            }
            if folder.join(".git").exists() {
                break;
            }
        }
        Ok(None)
    }

    fn of_table(path: &Path, table: Table) -> Result<Self, String> {
        let command = worker();
        let mut options = Vec::new();
        for (key, value) in table {
            let Some((arg, is_negated)) = option(&command, &key) else {
                let known = command.get_arguments().filter(|arg| is_setting(arg));
                let names: Vec<String> = known
                    .map(|arg| name(arg.get_id().as_str()).to_owned())
                    .collect();
                return Err(file_options::unknown(
                    &key,
                    names.iter().map(String::as_str),
                ));
            };
            let value = match value {
                Value::Boolean(is_on) if is_negated => Value::Boolean(!is_on),
                value => value,
            };
            let values = file_options::values(arg, path, &key, value)?;
            options.extend(values.map(|values| (arg.get_id().to_string(), values)));
        }
        Ok(Self {
            path: path.to_owned(),
            options,
        })
    }

    /// The words for what a command line leaves to this file.
    pub(crate) fn words(&self, command: &clap::Command, matches: &ArgMatches) -> Vec<String> {
        let (mut words, mut positional) = (Vec::new(), Vec::new());
        for (id, values) in &self.options {
            let arg = command.get_arguments().find(|arg| arg.get_id() == id);
            let Some(arg) = arg.filter(|_| source(matches, id).is_none()) else {
                continue;
            };
            match arg.get_long() {
                Some(long) if values.is_empty() => words.push(format!("--{long}")),
                Some(long) => words.extend(values.iter().map(|value| format!("--{long}={value}"))),
                None => positional.extend(values.iter().cloned()),
            }
        }
        words.extend(positional);
        words
    }

    /// Whether it says something of this option.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.options.iter().any(|(own, _)| own == id)
    }
}

/// Who gives an option, if somebody does. An empty variable is how a compose file leaves one out.
pub(crate) fn source(matches: &ArgMatches, id: &str) -> Option<ValueSource> {
    let source = matches.value_source(id)?;
    let mut raw = matches.get_raw(id).into_iter().flatten();
    let is_empty = source == ValueSource::EnvVariable && raw.all(std::ffi::OsStr::is_empty);
    (source != ValueSource::DefaultValue && !is_empty).then_some(source)
}

/// The name of a setting: in a file, in Python and in what `pyqs config` prints.
pub(crate) fn name(id: &str) -> &str {
    match id {
        "loglevel" => "log_level",
        "no_extend_visibility" => "extend_visibility",
        id => id,
    }
}

/// Whether this is an option that a worker is set by.
pub(crate) fn is_setting(arg: &Arg) -> bool {
    !matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpLong | ArgAction::HelpShort | ArgAction::Version
    )
}

/// The option that a key means, and whether it says the contrary.
fn option<'a>(command: &'a clap::Command, key: &str) -> Option<(&'a Arg, bool)> {
    let key = key.replace('-', "_");
    let mut settings = command.get_arguments().filter(|arg| is_setting(arg));
    settings.find_map(|arg| {
        let id = arg.get_id().as_str();
        let spellings = arg.get_long_and_visible_aliases().unwrap_or_default();
        let is_named = id == key
            || spellings
                .iter()
                .any(|spelling| spelling.replace('-', "_") == key);
        let is_its_name = name(id) == key;
        (is_named || is_its_name).then(|| (arg, !is_named && id.starts_with("no_")))
    })
}

/// The table of ours in a file, if there is one.
fn own_table(text: &str) -> Result<Option<Table>, String> {
    // Others' files need not be read, and can't be in our way.
    if !text.contains("pyqs") {
        return Ok(None);
    }
    let mut table: Table =
        toml::from_str(text).map_err(|error| file_options::located(text, &error))?;
    let tool = table.get_mut("tool").and_then(Value::as_table_mut);
    match tool.and_then(|tool| tool.remove("pyqs")) {
        None => Ok(None),
        Some(Value::Table(own)) => Ok(Some(own)),
        Some(_) => Err("[tool.pyqs] is no table".to_owned()),
    }
}

fn named(path: &Path, reason: &str) -> String {
    format!("{}: {reason}", path.display())
}

fn worker() -> clap::Command {
    let definition = args::definition();
    let worker = definition.find_subcommand("worker");
    worker.expect("it is a command").clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, String> {
        let path = Path::new("/shop/pyproject.toml");
        let Some(table) = own_table(text)? else {
            return Ok(vec!["no table".to_owned()]);
        };
        let options = ProjectFile::of_table(path, table)?.options.into_iter();
        Ok(options
            .map(|(name, values)| format!("{name} {}", values.join(" ")))
            .collect())
    }

    #[track_caller]
    fn check(own: &str, expected: &[&str]) {
        let text = format!("[project]\nname = 'shop'\n[tool.pyqs]\n{own}");
        assert_eq!(parse(&text).unwrap(), expected);
    }

    #[test]
    fn settings_go_by_the_names_of_options_and_of_pythons_arguments() {
        check("concurrency = 4", &["concurrency 4"]);
        check("queues = ['email*', 'sms']", &["queues email* sms"]);
        check(
            "time-limit = 1.5\nmax_tasks = 3",
            &["max_tasks 3", "time_limit 1.5"],
        );
        check("log-level = 'INFO'", &["loglevel INFO"]);
        check("loglevel = 'INFO'", &["loglevel INFO"]);
        check("import = ['a', 'b']", &["imports a b"]);
        check("imports = 'a'", &["imports a"]);
        check("burst = true\nstrict = false", &["burst "]);
        check("extend_visibility = false", &["no_extend_visibility "]);
        check("extend_visibility = true", &[]);
        check("no-extend-visibility = true", &["no_extend_visibility "]);
        check("", &[]);
    }

    #[test]
    fn files_of_others_are_none_of_ours() {
        assert_eq!(parse("not = toml = at all").unwrap(), ["no table"]);
        assert_eq!(
            parse("[project]\ndependencies = ['pyqs-rs']").unwrap(),
            ["no table"]
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (own, words) in [
            (
                "concurency = 1",
                "unknown key 'concurency' (is it concurrency?)",
            ),
            ("queue = 'a'", "unknown key 'queue' (is it queues?)"),
            ("help = true", "unknown key 'help' (is it "),
            ("burst = 1", "'burst' is true or false"),
            (
                "concurrency = []",
                "the value of 'concurrency' is no text or number",
            ),
            ("a = ", "line 2: "),
        ] {
            let error = parse(&format!("[tool.pyqs]\n{own}")).unwrap_err();
            assert!(error.starts_with(words), "{own}: {error}");
        }
        assert_eq!(
            parse("tool.pyqs = 1").unwrap_err(),
            "[tool.pyqs] is no table"
        );
    }
}
