//! What there is to say of a queue.

use std::time::Duration;

use anyhow::Result;
use pyqs_sqs::{QueueAttributes, QueueUrl, Receipt, Sqs, SqsError};

use super::{Finding, Verdict};
use crate::shown::shown_text;

/// A lease shorter than this is hard to keep: the worker asks for 5 s at least.
const SHORT_VISIBILITY: Duration = Duration::from_secs(5);

/// Asks SQS about one queue. An error is one that all queues would meet: no credentials, no endpoint.
pub(super) async fn findings(
    sqs: &impl Sqs,
    name: &str,
    queue: Result<QueueUrl, SqsError>,
) -> Result<Vec<Finding>> {
    let about = format!("queue {}", shown_text(name));
    let finding = |verdict, words: String| Finding {
        verdict,
        about: about.clone(),
        words,
    };
    let attributes = match &queue {
        Ok(queue) => sqs.queue_attributes(queue).await,
        Err(_) => Ok(QueueAttributes::default()),
    };
    let (queue, attributes) = match (queue, attributes) {
        (Ok(queue), Ok(attributes)) => (queue, attributes),
        (Err(SqsError::QueueMissing(_)), _) => {
            let words = format!(
                "is not there; create it, as in `aws sqs create-queue --queue-name {}`, or check region and account",
                shown_text(name)
            );
            return Ok(vec![finding(Verdict::Problem, words)]);
        }
        (Err(error), _) | (_, Err(error)) if matches!(error, SqsError::Denied(_)) => {
            return Ok(vec![finding(Verdict::Problem, error.to_string())]);
        }
        (Err(error), _) | (_, Err(error)) => return Err(error.into()),
    };
    let mut found = vec![finding(Verdict::Works, settings(&queue, &attributes))];
    found.push(match redrive(&queue, &attributes) {
        Ok(words) => finding(Verdict::Works, words),
        Err(words) => finding(Verdict::Note, words),
    });
    if attributes.visibility_timeout < SHORT_VISIBILITY {
        let words = "its visibility timeout is very short: messages that wait are extended every second or two";
        found.push(finding(Verdict::Note, words.to_owned()));
    }
    found.extend(
        permissions(sqs, &queue)
            .await?
            .into_iter()
            .map(|(verdict, words)| finding(verdict, words)),
    );
    Ok(found)
}

fn settings(queue: &QueueUrl, attributes: &QueueAttributes) -> String {
    let kind = if attributes.is_fifo {
        "FIFO"
    } else {
        "standard"
    };
    format!(
        "{kind}, {} in SQS, visibility timeout {} s, {} waiting, {} in flight, {} delayed",
        queue.name(),
        attributes.visibility_timeout.as_secs(),
        attributes.counts.visible,
        attributes.counts.in_flight,
        attributes.counts.delayed
    )
}

/// What becomes of a message that always fails.
fn redrive(queue: &QueueUrl, attributes: &QueueAttributes) -> Result<String, String> {
    let (Some(max), Some(arn)) = (attributes.receives_max, &attributes.dead_letter_arn) else {
        let days = attributes.retention.as_secs() / 86_400;
        return Err(format!(
            "no redrive policy: a message that always fails comes again for {days} days, then is lost; add one, as in \
             `aws sqs set-queue-attributes --queue-url {} --attributes RedrivePolicy=...`",
            queue.as_str()
        ));
    };
    let dead = arn.rsplit(':').next().unwrap_or(arn);
    if max < 3 {
        return Err(format!(
            "after {max} receives a message goes to {dead}; a stop, a crash or a look is a receive too, so allow 5"
        ));
    }
    Ok(format!("after {max} receives a message goes to {dead}"))
}

/// Tries what does nothing: with a receipt of no message, SQS refuses the entry of who may call, and the call of who
/// may not.
async fn permissions(sqs: &impl Sqs, queue: &QueueUrl) -> Result<Vec<(Verdict, String)>> {
    let none = Receipt::new("pyqs-doctor");
    let delete = sqs
        .delete_batch(queue, std::slice::from_ref(&none))
        .await
        .map(drop);
    let hide = sqs
        .change_visibility_batch(queue, &[(none, Duration::ZERO)])
        .await
        .map(drop);
    let mut found = Vec::new();
    for answer in [delete, hide] {
        match answer {
            Err(error @ SqsError::Denied(_)) => found.push((Verdict::Problem, error.to_string())),
            Err(SqsError::Rejected(_)) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if found.is_empty() {
        let words = "these credentials may read attributes, delete, and change visibility; whether they may receive \
                     and send is not tried";
        found.push((Verdict::Works, words.to_owned()));
    }
    Ok(found)
}
