//! Requests to SQS, each carried out beside the driver's loop; each comes back as one [`Inbound`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pyqs_core::{BatchReply, EntryReply, MessageKey, PollId, RequestId, Trouble};
use pyqs_sqs::{EntryError, QueueUrl, Receipt, ReceiveRequest, Sqs, SqsError};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::arrivals::Letter;
use crate::inbound::{Inbound, PollFailure};

/// A receive that is to be given up may still come back within this time. Where the queue has
/// messages its answer is on its way, and one of which a part was read can't be left to the
/// endpoint any more: to it that looks as if the client had it.
const GIVE_UP_AFTER: Duration = Duration::from_millis(300);

/// The requests that are under way. Dropping it gives them all up.
pub(crate) struct Requests {
    sqs: Arc<dyn Sqs>,
    inbound: UnboundedSender<Inbound>,
    running: JoinSet<()>,
    /// By dropping its sender a receive is given up.
    polls: HashMap<PollId, oneshot::Sender<()>>,
}

impl Requests {
    pub(crate) fn new(sqs: Arc<dyn Sqs>, inbound: UnboundedSender<Inbound>) -> Self {
        Self {
            sqs,
            inbound,
            running: JoinSet::new(),
            polls: HashMap::new(),
        }
    }

    /// Receives messages and reads their heads.
    pub(crate) fn receive(&mut self, poll: PollId, queue: QueueUrl, request: ReceiveRequest) {
        let (keep, given_up) = oneshot::channel();
        self.polls.insert(poll, keep);
        let sqs = Arc::clone(&self.sqs);
        let inbound = self.inbound.clone();
        self.running.spawn(async move {
            let mut receive = sqs.receive(&queue, request);
            let reply = tokio::select! {
                biased;
                reply = &mut receive => Some(reply),
                _ = given_up => timeout(GIVE_UP_AFTER, receive).await.ok(),
            };
            let reply = match reply {
                Some(Ok(received)) => Ok(received.into_iter().map(Letter::open).collect()),
                Some(Err(error)) => Err(PollFailure {
                    trouble: trouble(&error),
                    reason: error.to_string(),
                }),
                None => Err(PollFailure {
                    trouble: Trouble::Unreachable,
                    reason: "it was given up".to_owned(),
                }),
            };
            // The driver is gone only at the very end.
            let _ = inbound.send(Inbound::Polled { poll, reply });
        });
    }

    /// The core would rather not wait for this receive: it is closed where that strands no message.
    pub(crate) fn abandon(&mut self, poll: PollId) {
        if self.sqs.closes_polls_cleanly() {
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

/// What a failure means to the core.
pub(crate) fn trouble(error: &SqsError) -> Trouble {
    match error {
        SqsError::Throttled(_) => Trouble::Throttled,
        SqsError::Unreachable(_) => Trouble::Unreachable,
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
    use super::batch_reply;
    use pyqs_core::{EntryReply, MessageKey, Trouble};
    use pyqs_sqs::{EntryError, SqsError};

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
