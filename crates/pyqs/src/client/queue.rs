//! A queue, by the name that its users know.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pyqs_sqs::{Outgoing, Pattern, QueueAttributes, QueueUrl, Sqs, SqsError, names};
use tokio::sync::Mutex;

use super::outbox::Outbox;
use super::{ClientError, Shared};

/// The longest delay of a message (SQS API: `SendMessage`).
const DELAY_MAX: Duration = Duration::from_mins(15);

/// A queue: its URL once that is known, and what waits to be sent to it.
pub(super) struct Queue {
    name: String,
    is_fifo: bool,
    size_max: AtomicUsize,
    /// Held while the URL is looked up, so that one lookup serves all who wait.
    url: Mutex<Option<QueueUrl>>,
    pub(super) outbox: Outbox,
}

impl Queue {
    pub(super) fn new(name: &str) -> Self {
        let is_fifo = names::is_fifo(name);
        Self {
            name: name.to_owned(),
            is_fifo,
            size_max: AtomicUsize::new(QueueAttributes::MESSAGE_SIZE_MAX_DEFAULT),
            url: Mutex::new(None),
            outbox: Outbox::new(is_fifo),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The message as SQS takes it, or why it would not.
    pub(super) fn checked(&self, mut message: Outgoing) -> Result<Outgoing, ClientError> {
        let queue = || self.name.clone();
        let (size, limit) = (message.size(), self.size_max.load(Ordering::Relaxed));
        if size > limit {
            return Err(ClientError::TooLarge {
                queue: queue(),
                size,
                limit,
            });
        }
        if self.is_fifo {
            // Even a delay of zero is one too many for SQS.
            if message.delay.take().is_some_and(|delay| !delay.is_zero()) {
                return Err(ClientError::FifoDelay { queue: queue() });
            }
            if message.group.is_none() {
                return Err(ClientError::FifoGroup { queue: queue() });
            }
        }
        match message.delay {
            Some(delay) if delay > DELAY_MAX => Err(ClientError::DelayTooLong {
                queue: queue(),
                delay_secs: delay.as_secs(),
            }),
            _ => Ok(message),
        }
    }

    /// Learns a smaller limit from SQS's refusal, and says it the caller's way.
    pub(super) fn learn_size_max(&self, error: &SqsError, size: usize) -> Option<ClientError> {
        let SqsError::Rejected(failure) = error else {
            return None;
        };
        let limit = stated_limit(&failure.reason).filter(|&limit| limit < size)?;
        self.size_max.fetch_min(limit, Ordering::Relaxed);
        Some(ClientError::TooLarge {
            queue: self.name.clone(),
            size,
            limit,
        })
    }

    /// The queue's URL; looked up, and created where it is missing, when it is not known. One
    /// attempt.
    pub(super) async fn url(&self, shared: &Shared) -> Result<QueueUrl, ClientError> {
        let mut known = self.url.lock().await;
        if let Some(url) = &*known {
            return Ok(url.clone());
        }
        let url = self.find_or_create(shared).await?;
        if url.name() != self.name {
            tracing::info!("queue \"{}\" is \"{}\" at SQS", self.name, url.name());
        }
        *known = Some(url.clone());
        Ok(url)
    }

    /// Forgets a URL whose queue is gone, so that it is looked up again.
    pub(super) async fn forget(&self, gone: &QueueUrl) {
        let mut known = self.url.lock().await;
        if known.as_ref() == Some(gone) {
            *known = None;
        }
    }

    async fn find_or_create(&self, shared: &Shared) -> Result<QueueUrl, ClientError> {
        match names::resolve(&*shared.sqs, &self.name).await {
            Err(SqsError::QueueMissing(_)) => {}
            found_or_failed => return Ok(found_or_failed?),
        }
        let name = names::sqs_name(&self.name)?;
        if !shared.settings.creates_queues {
            return Err(ClientError::QueueMissing {
                queue: self.name.clone(),
            });
        }
        tracing::info!("creating queue \"{name}\", which is not there");
        Ok(shared.sqs.create_queue(&name, &BTreeMap::new()).await?)
    }
}

/// The queues that are there for a name or pattern. One attempt.
pub(super) async fn find(sqs: &dyn Sqs, pattern: &Pattern) -> Result<Vec<QueueUrl>, ClientError> {
    if pattern.is_literal() {
        return match names::resolve(sqs, pattern.as_str()).await {
            Ok(url) => Ok(vec![url]),
            Err(SqsError::QueueMissing(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        };
    }
    let prefix = pattern.prefix();
    let mut queues = sqs
        .list_queues(Some(&*prefix).filter(|prefix| !prefix.is_empty()))
        .await?;
    queues.retain(|queue| pattern.matches(queue.name()));
    Ok(queues)
}

/// From `Message must be shorter than 262144 bytes`.
fn stated_limit(reason: &str) -> Option<usize> {
    let (_, after) = reason.split_once("shorter than ")?;
    after.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pyqs_sqs::{Failure, Outgoing, QueueAttributes, SqsError};

    use super::{ClientError, Queue};

    fn body(size: usize) -> Outgoing {
        Outgoing::new("x".repeat(size))
    }

    #[test]
    fn the_size_limit_is_inclusive() {
        let queue = Queue::new("email");
        let limit = QueueAttributes::MESSAGE_SIZE_MAX_DEFAULT;
        assert!(queue.checked(body(limit)).is_ok());
        let error = queue.checked(body(limit + 1)).unwrap_err();
        assert!(matches!(error, ClientError::TooLarge { .. }), "{error:?}");
        assert!(error.to_string().contains("1048577") && error.to_string().contains("\"email\""));
    }

    #[test]
    fn a_smaller_limit_is_learnt_from_a_refusal() {
        let queue = Queue::new("email");
        let reason = "One or more parameters are invalid. Reason: Message must be shorter than \
            2048 bytes";
        let refusal = SqsError::Rejected(Box::new(Failure {
            reason: reason.to_owned(),
            ..Failure::default()
        }));
        let error = queue.learn_size_max(&refusal, 3000).unwrap();
        assert!(matches!(
            error,
            ClientError::TooLarge {
                size: 3000,
                limit: 2048,
                ..
            }
        ));
        assert!(queue.checked(body(2049)).is_err());
        assert!(queue.checked(body(2048)).is_ok());
    }

    #[test]
    fn fifo_queues_take_a_group_and_no_delay() {
        let queue = Queue::new("a.fifo");
        let grouped = Outgoing {
            group: Some("g".to_owned()),
            ..Outgoing::new("x")
        };
        let delayed = |secs| Outgoing {
            delay: Some(Duration::from_secs(secs)),
            ..grouped.clone()
        };
        assert!(queue.checked(grouped.clone()).is_ok());
        assert_eq!(queue.checked(delayed(0)).unwrap().delay, None);
        assert!(matches!(
            queue.checked(delayed(1)),
            Err(ClientError::FifoDelay { .. })
        ));
        assert!(matches!(
            queue.checked(body(1)),
            Err(ClientError::FifoGroup { .. })
        ));
    }

    #[test]
    fn delays_end_at_fifteen_minutes() {
        let queue = Queue::new("a");
        let delayed = |secs| Outgoing {
            delay: Some(Duration::from_secs(secs)),
            ..Outgoing::new("x")
        };
        assert!(queue.checked(delayed(900)).is_ok());
        assert!(matches!(
            queue.checked(delayed(901)),
            Err(ClientError::DelayTooLong { .. })
        ));
    }
}
