//! A queue, by the name that its users know.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyqs_sqs::carried::{ATTRIBUTES_MAX, DUE};
use pyqs_sqs::{
    AttributeValue, Outgoing, Pattern, QueueAttributes, QueueUrl, Sqs, SqsError, names,
};
use tokio::sync::Mutex;

use super::outbox::Outbox;
use super::{ClientError, Shared};

/// The longest delay that SQS itself keeps (SQS API: `SendMessage`).
const SQS_DELAY_MAX: Duration = Duration::from_mins(15);

/// The longest delay that is taken. Workers could keep any; this one tells milliseconds and moments
/// from seconds, and bounds the cost: a message is sent on 96 times a day.
pub const DELAY_MAX: Duration = Duration::from_hours(366 * 24);

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

    /// The message as SQS takes it, or why it would not. Delays count from `now`.
    pub(super) fn checked(
        &self,
        mut message: Outgoing,
        now: SystemTime,
    ) -> Result<Outgoing, ClientError> {
        let queue = || self.name.clone();
        if self.is_fifo {
            // Even a delay of zero is one too many for SQS.
            if message.delay.take().is_some_and(|delay| !delay.is_zero()) {
                return Err(ClientError::FifoDelay { queue: queue() });
            }
            if message.group.is_none() {
                return Err(ClientError::FifoGroup { queue: queue() });
            }
        } else if message.deduplication_id.is_some() {
            return Err(ClientError::DeduplicationNotFifo { queue: queue() });
        }
        if let Some(delay) = message.delay.filter(|&delay| delay > SQS_DELAY_MAX) {
            message.delay = Some(SQS_DELAY_MAX);
            self.carry_due(&mut message, delay, now)?;
        }
        let count = message.attributes.len();
        if count > ATTRIBUTES_MAX {
            return Err(ClientError::TooManyAttributes {
                queue: queue(),
                count,
            });
        }
        let (size, limit) = (message.size(), self.size_max.load(Ordering::Relaxed));
        if size > limit {
            return Err(ClientError::TooLarge {
                queue: queue(),
                size,
                limit,
            });
        }
        Ok(message)
    }

    /// Workers keep what is left after SQS's delay, by this attribute.
    fn carry_due(
        &self,
        message: &mut Outgoing,
        delay: Duration,
        now: SystemTime,
    ) -> Result<(), ClientError> {
        let queue = || self.name.clone();
        if delay > DELAY_MAX {
            return Err(ClientError::DelayTooLong {
                queue: queue(),
                delay_secs: delay.as_secs(),
            });
        }
        let attributes = &mut message.attributes;
        if attributes.len() >= ATTRIBUTES_MAX && !attributes.contains_key(DUE) {
            return Err(ClientError::AttributesTaken {
                queue: queue(),
                delay_secs: delay.as_secs(),
            });
        }
        let due = (now + delay).duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = i64::try_from(due.as_millis()).unwrap_or(i64::MAX);
        attributes.insert(DUE.to_owned(), AttributeValue::number(millis));
        Ok(())
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

/// The message as [`Client::send`](super::Client::send) would give it to SQS, or why it would not: by the queue's name
/// and SQS's own limits. Asks nobody, so it does not know of a queue with a lower limit.
pub fn checked(queue: &str, message: Outgoing) -> Result<Outgoing, ClientError> {
    names::sqs_name(queue)?;
    Queue::new(queue).checked(message, SystemTime::now())
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
    use std::time::{Duration, UNIX_EPOCH};

    use pyqs_sqs::carried::DUE;
    use pyqs_sqs::{AttributeValue, Failure, Outgoing, QueueAttributes, SqsError};

    use super::{ATTRIBUTES_MAX, ClientError, DELAY_MAX, Queue, SQS_DELAY_MAX};

    const SECOND: Duration = Duration::from_secs(1);

    /// At half a second past 1000 s.
    fn checked(queue: &Queue, message: Outgoing) -> Result<Outgoing, ClientError> {
        queue.checked(message, UNIX_EPOCH + Duration::from_millis(1_000_500))
    }

    fn body(size: usize) -> Outgoing {
        Outgoing::new("x".repeat(size))
    }

    fn delayed(delay: Duration) -> Outgoing {
        Outgoing {
            delay: Some(delay),
            ..Outgoing::new("x")
        }
    }

    fn with_attributes(count: usize, mut message: Outgoing) -> Outgoing {
        let attribute = |n: usize| (n.to_string(), AttributeValue::text("x"));
        message.attributes.extend((0..count).map(attribute));
        message
    }

    #[test]
    fn the_size_limit_is_inclusive() {
        let queue = Queue::new("email");
        let limit = QueueAttributes::MESSAGE_SIZE_MAX_DEFAULT;
        assert!(checked(&queue, body(limit)).is_ok());
        let error = checked(&queue, body(limit + 1)).unwrap_err();
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
        assert!(checked(&queue, body(2049)).is_err());
        assert!(checked(&queue, body(2048)).is_ok());
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
        assert!(checked(&queue, grouped.clone()).is_ok());
        assert_eq!(checked(&queue, delayed(0)).unwrap().delay, None);
        assert!(matches!(
            checked(&queue, delayed(1)),
            Err(ClientError::FifoDelay { .. })
        ));
        assert!(matches!(
            checked(&queue, delayed(901)),
            Err(ClientError::FifoDelay { .. })
        ));
        assert!(matches!(
            checked(&queue, body(1)),
            Err(ClientError::FifoGroup { .. })
        ));
    }

    #[test]
    fn standard_queues_take_a_group_and_no_deduplication_id() {
        let queue = Queue::new("a");
        let tenant = Outgoing {
            group: Some("g".to_owned()),
            ..body(1)
        };
        assert_eq!(checked(&queue, tenant.clone()).unwrap(), tenant);
        let deduplicated = Outgoing {
            deduplication_id: Some("d".to_owned()),
            ..tenant
        };
        let error = checked(&queue, deduplicated).unwrap_err();
        assert!(matches!(error, ClientError::DeduplicationNotFifo { .. }));
    }

    #[test]
    fn ten_attributes_go_and_eleven_do_not() {
        let queue = Queue::new("a");
        assert!(checked(&queue, with_attributes(ATTRIBUTES_MAX, body(1))).is_ok());
        let error = checked(&queue, with_attributes(ATTRIBUTES_MAX + 1, body(1))).unwrap_err();
        assert!(matches!(
            error,
            ClientError::TooManyAttributes { count: 11, .. }
        ));
    }

    #[test]
    fn sqs_keeps_fifteen_minutes_alone() {
        let queue = Queue::new("a");
        let message = delayed(SQS_DELAY_MAX);
        assert_eq!(checked(&queue, message.clone()).unwrap(), message);
    }

    #[test]
    fn longer_delays_travel_as_the_time_at_which_the_message_is_due() {
        let queue = Queue::new("a");
        for (delay, due) in [
            (SQS_DELAY_MAX + SECOND, "1901500"),
            (Duration::from_hours(24), "87400500"),
            (DELAY_MAX, "31623400500"),
        ] {
            let sent = checked(&queue, delayed(delay)).unwrap();
            assert_eq!(sent.delay, Some(SQS_DELAY_MAX));
            let expected = AttributeValue::Text {
                data_type: "Number".to_owned(),
                value: due.to_owned(),
            };
            assert_eq!(sent.attributes[DUE], expected);
        }
        let error = checked(&queue, delayed(DELAY_MAX + SECOND)).unwrap_err();
        assert!(matches!(error, ClientError::DelayTooLong { .. }));
        assert!(error.to_string().contains("31622401 s"), "{error}");
    }

    #[test]
    fn the_time_needs_one_of_the_ten_attributes() {
        let queue = Queue::new("a");
        let long = |count| with_attributes(count, delayed(SQS_DELAY_MAX + SECOND));
        let sent = checked(&queue, long(ATTRIBUTES_MAX - 1)).unwrap();
        assert_eq!(sent.attributes.len(), ATTRIBUTES_MAX);
        let error = checked(&queue, long(ATTRIBUTES_MAX)).unwrap_err();
        assert!(matches!(error, ClientError::AttributesTaken { .. }));

        let short = with_attributes(ATTRIBUTES_MAX, delayed(SQS_DELAY_MAX));
        assert!(checked(&queue, short).is_ok());
        // A message that says already when it is due has the place.
        let again = with_attributes(ATTRIBUTES_MAX - 1, sent);
        assert!(checked(&queue, again).is_ok());
    }

    #[test]
    fn the_time_counts_towards_the_size() {
        let queue = Queue::new("a");
        let delay = Some(Duration::from_hours(1));
        let attribute = DUE.len() + "Number".len() + "4600500".len();
        let fitting = QueueAttributes::MESSAGE_SIZE_MAX_DEFAULT - attribute;
        let message = |size| Outgoing {
            delay,
            ..body(size)
        };
        assert!(checked(&queue, message(fitting)).is_ok());
        assert!(matches!(
            checked(&queue, message(fitting + 1)),
            Err(ClientError::TooLarge { .. })
        ));
    }
}
