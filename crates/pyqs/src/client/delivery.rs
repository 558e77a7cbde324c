//! How batches get to SQS.

use std::sync::Arc;

use pyqs_sqs::{EntryError, Failure, Outgoing, QueueUrl, Sqs, SqsError};
use tokio::time::Instant;

use super::backoff::{Backoff, is_throttled};
use super::outbox::{Entry, Flight, GATHER_MAX};
use super::queue::Queue;
use super::{ClientError, Shared};

/// Sends batch after batch until nothing waits.
pub(super) async fn fly(shared: Arc<Shared>, queue: Arc<Queue>, mut flight: Flight) {
    while let Some((mut present, batch)) = flight.next_batch() {
        let mut delivery = std::pin::pin!(deliver(&shared, &queue, batch));
        tokio::select! {
            biased;
            () = &mut delivery => {}
            () = tokio::time::sleep(GATHER_MAX) => {
                present.is_slow();
                shared.start_flights(&queue);
                delivery.await;
            }
        }
        flight = present;
    }
}

/// Tries to send these messages until each is answered.
async fn deliver(shared: &Shared, queue: &Queue, entries: Vec<Entry>) {
    let Some(deadline) = entries.iter().map(|entry| entry.deadline).min() else {
        return;
    };
    if Instant::now() >= deadline {
        // Other messages blocked the way for all of this one's time.
        return answer_all(entries, &too_late(queue));
    }
    let mut backoff = Backoff::new(&shared.settings, deadline);
    let mut batches = vec![entries];
    while let Some(batch) = batches.pop() {
        match attempt(shared, queue, batch).await {
            Outcome::Answered => {}
            Outcome::Split(first, second) => batches.extend([second, first]),
            Outcome::Again { mut entries, error } => {
                let wait = backoff.wait(is_throttled(&error));
                match while_awaited(&mut entries, wait).await {
                    Some(true) => batches.push(entries),
                    Some(false) => answer_all(entries, &ClientError::Sqs(error)),
                    None => {}
                }
            }
        }
    }
}

/// What came of one request.
enum Outcome {
    /// All its messages are answered, or nobody waits for an answer.
    Answered,
    /// These remain, and may yet succeed.
    Again {
        entries: Vec<Entry>,
        error: SqsError,
    },
    /// SQS refused the batch, which may be the fault of one message: try halves.
    Split(Vec<Entry>, Vec<Entry>),
}

async fn attempt(shared: &Shared, queue: &Queue, mut entries: Vec<Entry>) -> Outcome {
    let url = match while_awaited(&mut entries, queue.url(shared)).await {
        None => return Outcome::Answered,
        Some(Ok(url)) => url,
        Some(Err(ClientError::Sqs(error))) if error.is_retryable() => {
            return Outcome::Again { entries, error };
        }
        Some(Err(error)) => {
            answer_all(entries, &error);
            return Outcome::Answered;
        }
    };
    let messages = entries.iter().map(|entry| entry.message.clone()).collect();
    let sending = send(&*shared.sqs, &url, messages);
    let Some(sent) = while_awaited(&mut entries, sending).await else {
        return Outcome::Answered;
    };
    match sent {
        Ok(answers) => answer_each(entries, answers, queue),
        Err(error @ SqsError::QueueMissing(_)) => {
            // The URL was right once; or the queue is so new that not all of SQS knows it.
            queue.forget(&url).await;
            Outcome::Again { entries, error }
        }
        Err(error) if error.is_retryable() => Outcome::Again { entries, error },
        Err(SqsError::Rejected(_)) if entries.len() > 1 => {
            let second = entries.split_off(entries.len() / 2);
            Outcome::Split(entries, second)
        }
        Err(error) => {
            let size = entries.first().map_or(0, |entry| entry.message.size());
            let error = queue
                .learn_size_max(&error, size)
                .unwrap_or(ClientError::Sqs(error));
            answer_all(entries, &error);
            Outcome::Answered
        }
    }
}

async fn send(
    sqs: &dyn Sqs,
    url: &QueueUrl,
    mut messages: Vec<Outgoing>,
) -> Result<Vec<Result<String, EntryError>>, SqsError> {
    if messages.len() > 1 {
        return sqs.send_batch(url, messages).await;
    }
    let message = messages.pop().expect("no batch is empty");
    Ok(vec![Ok(sqs.send(url, message).await?)])
}

/// Works on for as long as someone waits for one of these messages' answers. Nobody does after
/// Ctrl-C: then neither a slow request nor a wait keeps a program from ending.
async fn while_awaited<T>(entries: &mut [Entry], work: impl Future<Output = T>) -> Option<T> {
    let nobody_waits = async {
        for entry in entries {
            entry.reply.closed().await;
        }
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = nobody_waits => None,
    }
}

/// Passes the answers on; what failed on SQS's side remains.
fn answer_each(
    entries: Vec<Entry>,
    answers: Vec<Result<String, EntryError>>,
    queue: &Queue,
) -> Outcome {
    let mut remaining = Vec::new();
    let mut last_error = None;
    for (entry, answer) in entries.into_iter().zip(answers) {
        match answer {
            Ok(id) => entry.answer(Ok(id)),
            Err(failed @ EntryError::Failed { .. }) => {
                last_error = Some(SqsError::ServerError(Box::new(failure(queue, failed))));
                remaining.push(entry);
            }
            Err(refused) => {
                let error = SqsError::Rejected(Box::new(failure(queue, refused)));
                let size = entry.message.size();
                let error = queue
                    .learn_size_max(&error, size)
                    .unwrap_or(ClientError::Sqs(error));
                entry.answer(Err(error));
            }
        }
    }
    match last_error {
        Some(error) => Outcome::Again {
            entries: remaining,
            error,
        },
        None => Outcome::Answered,
    }
}

fn answer_all(entries: Vec<Entry>, error: &ClientError) {
    for entry in entries {
        entry.answer(Err(error.clone()));
    }
}

fn too_late(queue: &Queue) -> ClientError {
    let reason = "other messages, which could not be sent, blocked the way for too long";
    let failure = Failure {
        action: "SendMessage",
        queue: Some(queue.name().to_owned()),
        reason: reason.to_owned(),
        ..Failure::default()
    };
    ClientError::Sqs(SqsError::TimedOut(Box::new(failure)))
}

fn failure(queue: &Queue, error: EntryError) -> Failure {
    let (code, reason) = error.into_code_and_message();
    Failure {
        action: "SendMessageBatch",
        queue: Some(queue.name().to_owned()),
        code: Some(code),
        reason,
        ..Failure::default()
    }
}
