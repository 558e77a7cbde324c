//! `pyqs queues [PATTERN]`: what is in the queues, as far as SQS tells.

use std::sync::Arc;

use anyhow::{Context, Result};
use pyqs_sqs::{Pattern, QueueAttributes, QueueUrl, Sqs, SqsError};
use serde_json::json;
use tokio::task::JoinSet;

use crate::connection::ConnectionArgs;
use crate::output;

/// Queues that are asked for their attributes at once: enough to hide latency, few enough not to be throttled.
const QUEUES_AT_ONCE: usize = 16;

/// List queues: messages waiting, in flight and delayed, and the dead-letter queue
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only queues whose name this pattern (*, ?, [...]) fits
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    /// Print a JSON array, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// A queue as it is printed.
struct Row {
    queue: QueueUrl,
    attributes: QueueAttributes,
}

/// Prints the queues, in order of their names.
pub(crate) fn run(args: Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let rows = runtime.block_on(look(args.connection, args.pattern.as_deref()))?;
    if args.json {
        output::data(
            &rows
                .iter()
                .map(Row::as_json)
                .collect::<serde_json::Value>()
                .to_string(),
        );
    } else if rows.is_empty() {
        output::note("no queues");
    } else {
        let headings = [
            "queue",
            "visible",
            "in flight",
            "delayed",
            "dead-letter queue",
        ];
        output::data(&output::table(
            &headings,
            &rows.iter().map(Row::as_cells).collect::<Vec<_>>(),
        ));
    }
    Ok(())
}

async fn look(connection: ConnectionArgs, pattern: Option<&str>) -> Result<Vec<Row>> {
    let sqs = Arc::new(pyqs_sqs::connect(&connection.into()).await?);
    let pattern = Pattern::new(pattern.unwrap_or("*"));
    let prefix = Some(pattern.prefix()).filter(|prefix| !prefix.is_empty());
    let mut queues = sqs.list_queues(prefix.as_deref()).await?;
    queues.retain(|queue| pattern.matches(queue.name()));
    let mut rows = Vec::with_capacity(queues.len());
    for some in queues.chunks(QUEUES_AT_ONCE) {
        let mut asked = JoinSet::new();
        for queue in some {
            let (sqs, queue) = (Arc::clone(&sqs), queue.clone());
            asked.spawn(async move { (sqs.queue_attributes(&queue).await, queue) });
        }
        for (answer, queue) in asked.join_all().await {
            match answer {
                Ok(attributes) => rows.push(Row { queue, attributes }),
                // Deleted since it was listed.
                Err(SqsError::QueueMissing(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    rows.sort_by(|a, b| a.queue.name().cmp(b.queue.name()));
    Ok(rows)
}

impl Row {
    /// The name of the dead-letter queue: the last part of its ARN.
    fn dead_letter_queue(&self) -> Option<&str> {
        self.attributes
            .dead_letter_arn
            .as_deref()?
            .rsplit(':')
            .next()
    }

    fn as_cells(&self) -> Vec<String> {
        let counts = self.attributes.counts;
        vec![
            self.queue.name().to_owned(),
            counts.visible.to_string(),
            counts.in_flight.to_string(),
            counts.delayed.to_string(),
            self.dead_letter_queue().unwrap_or_default().to_owned(),
        ]
    }

    fn as_json(&self) -> serde_json::Value {
        let counts = self.attributes.counts;
        json!({
            "name": self.queue.name(),
            "url": self.queue.as_str(),
            "visible": counts.visible,
            "in_flight": counts.in_flight,
            "delayed": counts.delayed,
            "dead_letter_queue": self.dead_letter_queue(),
        })
    }
}
