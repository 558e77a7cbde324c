//! Options as a TOML file gives them: by their long names, each as the words that the command line would have.

use std::path::Path;

use clap::{Arg, ArgAction, ValueHint};
use toml::Value;

/// The option's values as words; nothing for a switch that is off.
pub(crate) fn values(
    arg: &Arg,
    file: &Path,
    key: &str,
    value: Value,
) -> Result<Option<Vec<String>>, String> {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let values = match (value, arg.get_action()) {
        (Value::Boolean(true), ArgAction::SetTrue) => Vec::new(),
        (Value::Boolean(false), ArgAction::SetTrue) => return Ok(None),
        (_, ArgAction::SetTrue) => return Err(format!("'{key}' is true or false")),
        (Value::Array(values), ArgAction::Append) => values,
        (value, _) => vec![value],
    };
    let mut words = Vec::new();
    for value in values {
        let text =
            plain(value).ok_or_else(|| format!("the value of '{key}' is no text or number"))?;
        // A path is meant from where the file is.
        let is_path = arg.get_value_hint() == ValueHint::AnyPath;
        let folder = file.parent().filter(|_| is_path);
        words.push(match folder {
            Some(folder) => folder.join(text).display().to_string(),
            None => text,
        });
    }
    let is_empty = words.is_empty() && !is_switch;
    Ok((!is_empty).then_some(words))
}

/// A value as a word.
pub(crate) fn plain(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(is_on) => Some(is_on.to_string()),
        _ => None,
    }
}

/// A key that there is not, with the one that is most like it.
pub(crate) fn unknown<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> String {
    let likeness =
        |name: &&str| strsim::jaro_winkler(&key.replace('_', "-"), &name.replace('_', "-"));
    let nearest = known.max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    match nearest {
        Some(nearest) => format!("unknown key '{key}' (is it {nearest}?)"),
        None => format!("unknown key '{key}'"),
    }
}

/// A syntax error with its line.
pub(crate) fn located(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.unwrap_or_default().matches('\n').count() + 1;
    format!("line {line}: {}", error.message())
}
