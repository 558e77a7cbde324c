//! `pyqs config`: each setting in force, and where it comes from.

use anyhow::Result;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Map, Value, json};

use super::worker;
use crate::output;
use crate::project_file::{self, ProjectFile};

/// What stands in place of a secret.
const MASK: &str = "********";

/// What is masked, by the options' ids.
const SECRETS: [&str; 3] = ["access_key_id", "secret_access_key", "http_token"];

/// Print each setting of a worker and of whoever sends, and where it comes from: an option given here, its variable,
/// [tool.pyqs] of a pyproject.toml, or the default
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) worker: worker::Args,
    /// Filled in when the words have been read.
    #[arg(skip)]
    pub(crate) settings: Vec<Setting>,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its name, as in a file and in Python.
    pub name: String,
    /// Text, number, true or false, a list of texts; null where nothing is set.
    pub value: Value,
    /// Where the value comes from.
    pub source: Source,
    is_secret: bool,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An option of the command line: how it is written there.
    Option(String),
    /// A variable of the environment: its name.
    Variable(String),
    /// A `pyproject.toml`: its path.
    File(String),
    /// Nobody says anything.
    Default,
}

impl Source {
    fn words(&self) -> &str {
        match self {
            Self::Option(words) | Self::Variable(words) | Self::File(words) => words,
            Self::Default => "default",
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Option(_) => "option",
            Self::Variable(_) => "variable",
            Self::File(_) => "file",
            Self::Default => "default",
        }
    }
}

/// Prints the settings.
pub(crate) fn run(args: &Args) -> Result<()> {
    let shown = args.settings.iter().map(|setting| {
        let value = match &setting.value {
            Value::Null => Value::Null,
            _ if setting.is_secret => json!(MASK),
            Value::String(text) => json!(without_password(text)),
            value => value.clone(),
        };
        (setting, value)
    });
    if args.json {
        let settings: Map<String, Value> = shown
            .map(|(setting, value)| {
                let of = json!({"value": value, "source": setting.source.kind(), "from": setting.source.words()});
                (setting.name.clone(), of)
            })
            .collect();
        output::data(&serde_json::to_string_pretty(&settings)?);
    } else {
        let rows: Vec<Vec<String>> = shown
            .map(|(setting, value)| {
                vec![
                    setting.name.clone(),
                    plain(&value),
                    setting.source.words().to_owned(),
                ]
            })
            .collect();
        output::data(&output::list(&["setting", "value", "from"], &rows));
    }
    Ok(())
}

/// A URL whose password is masked, if it has one.
fn without_password(text: &str) -> String {
    let masked = || {
        let (scheme, rest) = text.split_once("://")?;
        let (user, place) = rest.rsplit_once('@')?;
        let (name, _password) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:{MASK}@{place}"))
    };
    masked().unwrap_or_else(|| text.to_owned())
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// What is in force: `first` is what the words and the variables alone say, `all` with what the file adds.
pub(crate) fn in_force(
    command: &clap::Command,
    first: &ArgMatches,
    all: &ArgMatches,
    file: Option<&ProjectFile>,
) -> Vec<Setting> {
    let settings = command
        .get_arguments()
        .filter(|arg| project_file::is_setting(arg) && arg.get_id() != "json");
    settings
        .map(|arg| {
            let id = arg.get_id().as_str();
            let source = match project_file::source(first, id) {
                Some(ValueSource::EnvVariable) => {
                    let name = arg.get_env().unwrap_or_default();
                    Source::Variable(name.to_string_lossy().into_owned())
                }
                Some(_) => Source::Option(
                    arg.get_long()
                        .map_or("QUEUE".to_owned(), |long| format!("--{long}")),
                ),
                None => match file.filter(|file| file.has(id)) {
                    Some(file) => Source::File(file.path.display().to_string()),
                    None => Source::Default,
                },
            };
            Setting {
                name: project_file::name(id).to_owned(),
                value: value(arg, all),
                source,
                is_secret: SECRETS.contains(&id),
            }
        })
        .collect()
}

fn value(arg: &Arg, matches: &ArgMatches) -> Value {
    let id = arg.get_id().as_str();
    let raw = matches.get_raw(id).into_iter().flatten();
    let texts: Vec<String> = raw
        .map(|text| text.to_string_lossy().into_owned())
        .filter(|text| !text.is_empty())
        .collect();
    match arg.get_action() {
        ArgAction::SetTrue => json!(matches.get_flag(id) != id.starts_with("no_")),
        ArgAction::Append => json!(texts),
        // However it is written: yes, 0, off.
        _ if let Ok(Some(is_on)) = matches.try_get_one::<bool>(id) => json!(is_on),
        _ => match texts.into_iter().next_back() {
            None => Value::Null,
            Some(text) if is_text(arg) => json!(text),
            Some(text) => serde_json::from_str(&text).unwrap_or(json!(text)),
        },
    }
}

/// Whether a value that looks like a number is text nevertheless.
fn is_text(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == clap::builder::ValueParser::string().type_id()
}
