//! Requests to SQS, each carried out beside the driver's loop; each comes back as one [`Inbound`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pyqs_core::{BatchReply, EntryReply, MessageKey, PollId, RequestId, Trouble};
use pyqs_sqs::{EntryError, QueueUrl, Receipt, ReceiveRequest, Sqs, SqsError};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::arrivals::Letter;
use crate::forwards::{self, Answers, Destinations, Forward};
use crate::inbound::{Inbound, PollFailure};
use crate::reading::Reading;

/// An endpoint that is to end a receive may not have seen it yet: it is asked again after this long.
const END_AGAIN_AFTER: Duration = Duration::from_millis(300);

/// An endpoint that ends receives and has not ended one after this long doesn't answer. The connection is closed then,
/// which such an endpoint handles when it goes on.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// The requests that are under way. Dropping it gives them all up.
pub(crate) struct Requests {
    sqs: Arc<dyn Sqs>,
    inbound: UnboundedSender<Inbound>,
    reading: Arc<Reading>,
    running: JoinSet<()>,
    destinations: Destinations,
    /// By dropping its sender a receive is ended.
    polls: HashMap<PollId, oneshot::Sender<()>>,
}

impl Requests {
    pub(crate) fn new(
        sqs: Arc<dyn Sqs>,
        inbound: UnboundedSender<Inbound>,
        reading: Reading,
    ) -> Self {
        Self {
            sqs,
            inbound,
            reading: Arc::new(reading),
            running: JoinSet::new(),
            destinations: Destinations::default(),
            polls: HashMap::new(),
        }
    }

    /// Receives messages, and reads their heads unless a handler takes them whatever they are.
    pub(crate) fn receive(
        &mut self,
        poll: PollId,
        queue: QueueUrl,
        request: ReceiveRequest,
        has_handler: bool,
    ) {
        let (keep, unwanted) = oneshot::channel();
        self.polls.insert(poll, keep);
        let sqs = Arc::clone(&self.sqs);
        let inbound = self.inbound.clone();
        let reading = Arc::clone(&self.reading);
        self.running.spawn(async move {
            let name = request.poll.clone().unwrap_or_default();
            let receive = sqs.receive(&queue, request);
            let end = async {
                // The sender says nothing: it is dropped.
                let _ = unwanted.await;
                let asked = async {
                    loop {
                        // One that fails is asked again, too.
                        let _ = sqs.end_poll(&queue, &name).await;
                        tokio::time::sleep(END_AGAIN_AFTER).await;
                    }
                };
                // It goes on until the receive is back, or the patience over.
                let _: Result<(), _> = tokio::time::timeout(END_PATIENCE, asked).await;
            };
            let reply = tokio::select! {
                reply = receive => reply.map_err(|error| PollFailure {
                    trouble: trouble(&error),
                    reason: error.to_string(),
                }),
                () = end => Err(PollFailure {
                    trouble: Trouble::TimedOut,
                    reason: "it was not ended in time".to_owned(),
                }),
            };
            let open = |received| {
                if has_handler {
                    Letter::unread(received)
                } else {
                    Letter::open(received, reading.reader())
                }
            };
            let reply = reply.map(|received| received.into_iter().map(open).collect());
            // The driver is gone only at the very end.
            let _ = inbound.send(Inbound::Polled { poll, reply });
        });
    }

    /// The core would rather not wait for this receive: it is ended where the endpoint can do that. Dropping it
    /// could strand messages that are on their way.
    pub(crate) fn abandon(&mut self, poll: PollId) {
        if self.sqs.can_end_polls() {
            self.polls.remove(&poll);
        }
    }

    /// A receive has come back.
    pub(crate) fn polled(&mut self, poll: PollId) {
        self.polls.remove(&poll);
        // What has ended is taken out now and then, so that the set does not grow.
        while let Some(ended) = self.running.try_join_next() {
            ended.expect("requests do not panic and are cancelled only with the whole set");
        }
    }

    /// Deletes messages.
    pub(crate) fn delete(
        &mut self,
        request: RequestId,
        queue: QueueUrl,
        messages: Vec<(MessageKey, Receipt)>,
    ) {
        let sqs = Arc::clone(&self.sqs);
        let inbound = self.inbound.clone();
        self.running.spawn(async move {
            let (keys, receipts): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
            let reply = batch_reply(&keys, sqs.delete_batch(&queue, &receipts).await);
            // The driver is gone only at the very end.
            let _ = inbound.send(Inbound::Deleted { request, reply });
        });
    }

    /// Sets how long messages stay hidden.
    pub(crate) fn change_visibility(
        &mut self,
        request: RequestId,
        queue: QueueUrl,
        messages: Vec<(MessageKey, (Receipt, Duration))>,
    ) {
        let sqs = Arc::clone(&self.sqs);
        let inbound = self.inbound.clone();
        self.running.spawn(async move {
            let (keys, entries): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
            let reply = batch_reply(&keys, sqs.change_visibility_batch(&queue, &entries).await);
            // The driver is gone only at the very end.
            let _ = inbound.send(Inbound::VisibilityChanged { request, reply });
        });
    }
}

impl Requests {
    /// Sends messages on. Of what needs no request the answers are known.
    pub(crate) fn forward(
        &mut self,
        request: RequestId,
        forwards: Vec<Forward>,
        mut answers: Answers,
    ) {
        let sqs = Arc::clone(&self.sqs);
        let inbound = self.inbound.clone();
        let destinations = self.destinations.clone();
        self.running.spawn(async move {
            forwards::send(&*sqs, &destinations, forwards, &mut answers).await;
            let reply = answers.reply();
            let sent = answers.sent();
            let reasons = answers.reasons;
            // The driver is gone only at the very end.
            let _ = inbound.send(Inbound::Forwarded {
                request,
                reply,
                reasons,
                sent,
            });
        });
    }
}

/// What a failure means to the core.
pub(crate) fn trouble(error: &SqsError) -> Trouble {
    match error {
        SqsError::Throttled(_) => Trouble::Throttled,
        // What gives credentials is out of reach, which passes as SQS's being out of reach does.
        SqsError::Unreachable(_) | SqsError::CredentialsUnavailable(_) => Trouble::Unreachable,
        SqsError::TimedOut(_) => Trouble::TimedOut,
        SqsError::ServerError(_) => Trouble::ServerError,
        SqsError::Denied(_) | SqsError::BadCredentials(_) | SqsError::NoCredentials(_) => {
            Trouble::Denied
        }
        SqsError::QueueMissing(_) => Trouble::QueueMissing,
        _ => Trouble::Rejected,
    }
}

fn batch_reply(
    keys: &[MessageKey],
    reply: Result<Vec<Result<(), EntryError>>, SqsError>,
) -> BatchReply {
    let entries = reply.map_err(|error| trouble(&error))?;
    let entries = entries.into_iter().map(|entry| match entry {
        Ok(()) => EntryReply::Done,
        Err(EntryError::ReceiptExpired { .. }) => EntryReply::ReceiptExpired,
        Err(EntryError::Failed { .. }) => EntryReply::Failed,
        Err(_) => EntryReply::Refused,
    });
    Ok(keys.iter().copied().zip(entries).collect())
}

#[cfg(test)]
mod tests {
    use super::{batch_reply, trouble};
    use pyqs_core::{EntryReply, MessageKey, Trouble};
    use pyqs_sqs::{EntryError, SqsError};

    #[test]
    fn credentials_that_cannot_be_had_just_now_are_trouble_that_passes() {
        let error = SqsError::CredentialsUnavailable(Box::default());
        assert!(error.is_retryable());
        assert_eq!(trouble(&error), Trouble::Unreachable);
        let error = SqsError::BadCredentials(Box::default());
        assert_eq!(trouble(&error), Trouble::Denied);
    }

    #[test]
    fn entries_answer_for_their_keys() {
        let keys = [MessageKey(1), MessageKey(2), MessageKey(3)];
        let expired = EntryError::ReceiptExpired {
            code: String::new(),
            message: String::new(),
        };
        let reply = batch_reply(&keys, Ok(vec![Ok(()), Err(expired)]));
        let expected = vec![
            (MessageKey(1), EntryReply::Done),
            (MessageKey(2), EntryReply::ReceiptExpired),
        ];
        assert_eq!(reply, Ok(expected));

        let reply = batch_reply(&keys, Err(SqsError::Throttled(Box::default())));
        assert_eq!(reply, Err(Trouble::Throttled));
    }
}
