//! `pyqs decode FILE`: what a saved message says.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::reading::{Content, ReadingArgs};
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
    let messages = messages(&text);
    let reading = args.reading.load()?;
    let contents: Vec<Content> = messages
        .iter()
        .map(|message| reading.content(&message.body, |name| message.attribute(name)))
        .collect();
    if args.json {
        output::data(
            &contents
                .iter()
                .map(shown::json)
                .collect::<Value>()
                .to_string(),
        );
    } else {
        let told: Vec<String> = contents
            .iter()
            .map(|content| shown::lines(content).join("\n"))
            .collect();
        output::data(&told.join("\n\n"));
    }
    let unread = contents
        .iter()
        .filter(|content| matches!(content, Content::Here(layers) if layers.message.is_err()))
        .count();
    match (unread, contents.len()) {
        (0, 0) => bail!("no message in {}", args.file.display()),
        (0, _) => Ok(()),
        (unread, all) => bail!("{unread} of {all} can't be read as a task"),
    }
}

/// A message as it was saved.
struct Saved {
    body: String,
    /// Its `MessageAttributes`, or null.
    attributes: Value,
}

impl Saved {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes[name]["StringValue"].as_str()
    }
}

/// The messages of a ReceiveMessage's answer, one message of it, or those of a list; else the text is a body.
fn messages(text: &str) -> Vec<Saved> {
    let whole = || {
        vec![Saved {
            body: text.trim_end_matches(['\n', '\r']).to_owned(),
            attributes: Value::Null,
        }]
    };
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
    let saved = |message: &Value| {
        Some(Saved {
            body: message.get("Body")?.as_str()?.to_owned(),
            attributes: message["MessageAttributes"].clone(),
        })
    };
    let found: Option<Vec<Saved>> = messages.iter().map(saved).collect();
    found.unwrap_or_else(whole)
}
