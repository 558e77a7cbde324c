//! `pyqs peek QUEUE`: what some of a queue's messages say.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use pyqs_sqs::{
    AttributeValue, BATCH_ENTRIES_MAX, QueueUrl, Receipt, ReceiveRequest, Received, Sqs, names,
};
use serde_json::Value;

use crate::connection::ConnectionArgs;
use crate::reading::{Content, ReadingArgs};
use crate::{output, shown};

/// How long a message is hidden if it can't be given back: enough for the requests, no more.
const HIDDEN: Duration = Duration::from_secs(10);

/// How long to wait for a first message: SQS asks all its servers where a receive waits at all.
const WAIT: Duration = Duration::from_secs(1);

/// Show what the next messages of a queue say, layer by layer, and give them back at once
///
/// SQS can't show a message without delivering it: each look hides the messages for a moment and counts as one of the
/// receives that the queue's redrive policy allows. On FIFO queues it holds up their groups for that moment.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The queue's name
    #[arg(value_name = "QUEUE")]
    queue: String,
    /// At most this many messages
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=100), allow_negative_numbers = true)]
    count: u8,
    /// Look although the queue's redrive policy moves a message away after one receive
    #[arg(long)]
    force: bool,
    /// Print a JSON array, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Prints the messages, and on standard error what the look has cost.
pub(crate) fn run(args: Args) -> Result<()> {
    // Before it has cost a receive.
    let reading = args.reading.load()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let is_json = args.json;
    let (messages, receives_max) = runtime.block_on(look(args))?;
    let contents: Vec<Content> = messages
        .iter()
        .map(|message| reading.content(&message.body, |name| text(message, name)))
        .collect();
    let both = || messages.iter().zip(&contents);
    if is_json {
        output::data(
            &both()
                .map(|(message, content)| as_json(message, content))
                .collect::<Value>()
                .to_string(),
        );
    } else if !messages.is_empty() {
        let told: Vec<String> = both()
            .map(|(message, content)| as_text(message, content))
            .collect();
        output::data(&told.join("\n\n"));
    }
    output::note(&cost(&messages, receives_max));
    Ok(())
}

async fn look(args: Args) -> Result<(Vec<Received>, Option<u32>)> {
    let sqs = pyqs_sqs::connect(&args.connection.into()).await?;
    let queue = names::resolve(&sqs, &args.queue).await?;
    let receives_max = sqs.queue_attributes(&queue).await?.receives_max;
    if receives_max == Some(1) && !args.force {
        bail!(
            "the redrive policy of {} moves a message away after one receive, and a look is one; --force looks anyway",
            queue.name()
        );
    }
    let mut messages = Vec::new();
    let found = receive(&sqs, &queue, args.count.into(), &mut messages).await;
    let given_back = give_back(&sqs, &queue, &messages).await;
    found.and(given_back)?;
    Ok((messages, receives_max))
}

/// Holds what it has until there are enough, or a receive brings nothing.
async fn receive(
    sqs: &impl Sqs,
    queue: &QueueUrl,
    count: usize,
    messages: &mut Vec<Received>,
) -> Result<()> {
    while messages.len() < count {
        let most = (count - messages.len()).min(BATCH_ENTRIES_MAX);
        let request = ReceiveRequest {
            max: u8::try_from(most).unwrap_or(1),
            wait: WAIT,
            visibility: HIDDEN,
            poll: None,
            attempt_id: None,
        };
        let some = sqs.receive(queue, request).await?;
        if some.is_empty() {
            break;
        }
        messages.extend(some);
    }
    Ok(())
}

async fn give_back(sqs: &impl Sqs, queue: &QueueUrl, messages: &[Received]) -> Result<()> {
    for some in messages.chunks(BATCH_ENTRIES_MAX) {
        let entries: Vec<(Receipt, Duration)> = some
            .iter()
            .map(|message| (message.receipt.clone(), Duration::ZERO))
            .collect();
        let secs = HIDDEN.as_secs();
        // An entry that is refused has been hidden for long enough to be visible again.
        sqs.change_visibility_batch(queue, &entries)
            .await
            .with_context(|| format!("what was looked at stays hidden for {secs} s"))?;
    }
    Ok(())
}

/// A message attribute that is text or a number.
fn text<'a>(message: &'a Received, name: &str) -> Option<&'a str> {
    match message.attributes.get(name)? {
        AttributeValue::Text { value, .. } => Some(value),
        AttributeValue::Binary { .. } => None,
    }
}

fn as_text(message: &Received, content: &Content) -> String {
    let heading = format!(
        "message {}, received {}",
        shown::shown_text(&message.message_id),
        times(message.receive_count)
    );
    let group = message
        .group
        .as_deref()
        .map(|group| format!("  group  {}", shown::shown_text(group)));
    let lines = shown::lines(content)
        .into_iter()
        .map(|line| format!("  {line}"));
    std::iter::once(heading)
        .chain(group)
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

fn as_json(message: &Received, content: &Content) -> Value {
    let mut out = shown::json(content);
    out["message_id"] = message.message_id.as_str().into();
    out["receive_count"] = message.receive_count.into();
    out["group"] = message.group.as_deref().into();
    out["body"] = message.body.as_str().into();
    out
}

fn cost(messages: &[Received], receives_max: Option<u32>) -> String {
    let Some(most) = messages.iter().map(|message| message.receive_count).max() else {
        return "no message is visible".to_owned();
    };
    let count = messages.len();
    let what = if count == 1 {
        "1 message was"
    } else {
        &format!("{count} messages were")
    };
    let told = format!("{what} looked at and given back; the look counts as a receive");
    match receives_max {
        None => told,
        Some(max) if most >= max => {
            format!(
                "{told}, and of {max} allowed none is left to a message that was received {}",
                times(most)
            )
        }
        Some(max) => format!("{told}, of {max} that the redrive policy allows"),
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}
