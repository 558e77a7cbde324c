//! `pyqs send QUEUE TASK`: one message, from a shell.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use pyqs::{Client, ConnectOptions, DELAY_MAX, Outgoing};
use serde_json::Value;

use crate::connection::ConnectionArgs;
use crate::{input, output};

/// Send one task, or one message as it is
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The queue's name; it is created where it is missing, unless PYQS_CREATE_QUEUES=0
    #[arg(value_name = "QUEUE")]
    queue: String,
    /// The task's path, as in `tasks.send_email`
    #[arg(value_name = "TASK", required_unless_present = "body_file")]
    task: Option<String>,
    /// Positional arguments: a JSON array
    #[arg(long = "args", id = "args", value_name = "JSON", value_parser = json_array, default_value = "[]")]
    positional: String,
    /// Keyword arguments: a JSON object
    #[arg(long = "kwargs", id = "kwargs", value_name = "JSON", value_parser = json_object, default_value = "{}")]
    keyword: String,
    /// Have it run so many seconds later, at most 31622400, which is 366 days; above SQS's 900, workers of this version
    /// keep what is left
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=DELAY_MAX.as_secs()),
          allow_negative_numbers = true)]
    delay: Option<u64>,
    /// The message group: needed on FIFO queues, makes a standard queue fair
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// FIFO: what was sent with the same id within five minutes is not delivered again
    #[arg(long, value_name = "ID")]
    deduplication_id: Option<String>,
    /// Send what this file holds (- is standard input) instead of a task
    #[arg(long, value_name = "FILE", conflicts_with_all = ["task", "args", "kwargs"])]
    body_file: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Sends, and prints the message's id.
pub(crate) fn run(args: Args) -> Result<()> {
    let body = args.body()?;
    let delay = args.delay.map(Duration::from_secs);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let message = Outgoing {
        delay,
        group: args.group,
        deduplication_id: args.deduplication_id,
        ..Outgoing::new(body)
    };
    let id = runtime.block_on(send(&args.connection.into(), &args.queue, message))?;
    output::data(&id);
    Ok(())
}

async fn send(connection: &ConnectOptions, queue: &str, message: Outgoing) -> Result<String> {
    let client = Client::connect(connection).await?;
    let sent = client.send(queue, message).await;
    client.shutdown().await;
    Ok(sent?)
}

impl Args {
    /// The message's text: a task as PyQS writes it, or what the file holds.
    fn body(&self) -> Result<String> {
        match (&self.body_file, &self.task) {
            (Some(file), _) => input::read(file),
            (None, task) => Ok(format!(
                r#"{{"task": {}, "args": {}, "kwargs": {}}}"#,
                Value::from(task.as_deref().unwrap_or_default()),
                self.positional,
                self.keyword
            )),
        }
    }
}

/// Takes JSON text as it is: read into numbers and written again, a long one would lose digits.
fn json_array(text: &str) -> Result<String, String> {
    json_of(text, Value::is_array, "an array, as in '[1, \"two\"]'")
}

fn json_object(text: &str) -> Result<String, String> {
    json_of(
        text,
        Value::is_object,
        "an object, as in '{\"to\": \"ada\"}'",
    )
}

fn json_of(text: &str, is_wanted: fn(&Value) -> bool, wanted: &str) -> Result<String, String> {
    let value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    if is_wanted(&value) {
        Ok(text.to_owned())
    } else {
        Err(format!("JSON, but not {wanted}"))
    }
}
