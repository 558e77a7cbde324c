//! `pyqs decode FILE`: what a saved message says.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::reading::ReadingArgs;
use crate::{input, output, shown};

/// Show what a saved message says, layer by layer; nothing in it is run
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A message body, or the JSON that a ReceiveMessage answers (- is standard input)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print a JSON array, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// Prints the messages; an error if one of them can't be read.
pub(crate) fn run(args: &Args) -> Result<()> {
    let text = input::read(&args.file)?;
    let bodies = bodies(&text);
    let reading = args.reading.load()?;
    let layers: Vec<_> = bodies.iter().map(|body| reading.layers(body)).collect();
    if args.json {
        output::data(
            &layers
                .iter()
                .map(shown::json)
                .collect::<Value>()
                .to_string(),
        );
    } else {
        let told: Vec<String> = layers
            .iter()
            .map(|layers| shown::lines(layers).join("\n"))
            .collect();
        output::data(&told.join("\n\n"));
    }
    let unread = layers
        .iter()
        .filter(|layers| layers.message.is_err())
        .count();
    match (unread, layers.len()) {
        (0, 0) => bail!("no message in {}", args.file.display()),
        (0, _) => Ok(()),
        (unread, all) => bail!("{unread} of {all} can't be read as a task"),
    }
}

/// The bodies in a ReceiveMessage's answer, in one message of it, or in a list of those; else the text is one.
fn bodies(text: &str) -> Vec<String> {
    let whole = || vec![text.trim_end_matches(['\n', '\r']).to_owned()];
    let Ok(json) = serde_json::from_str::<Value>(text) else {
        return whole();
    };
    let messages = match &json {
        Value::Array(messages) => messages.as_slice(),
        Value::Object(answer) => match answer.get("Messages") {
            Some(Value::Array(messages)) => messages.as_slice(),
            _ => std::slice::from_ref(&json),
        },
        _ => return whole(),
    };
    let bodies: Option<Vec<String>> = messages
        .iter()
        .map(|message| Some(message.get("Body")?.as_str()?.to_owned()))
        .collect();
    bodies.unwrap_or_else(whole)
}
