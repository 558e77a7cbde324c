//! `SendMessage`.

use std::sync::Arc;

use crate::attributes::DeduplicationScope;
use crate::broker::Broker;
use crate::change::{Change, MessageRecord};
use crate::dedup::DeduplicationKey;
use crate::effects::Effects;
use crate::error::{Error, invalid_parameter};
use crate::ids::{MessageKey, QueueId, SequenceNumber};
use crate::limits::{DEDUPLICATION_SECS, DELAY_SECS_MAX};
use crate::message::{Message, NewMessage, Payload, Phase, Sent, State, Traits};
use crate::queue::Queue;
use crate::time::Timestamp;

/// Why a parameter of the other type of queue is refused.
pub(crate) const WRONG_TYPE: &str =
    "The request include parameter that is not valid for this queue type.";

impl<P: Payload> Broker<P> {
    /// `SendMessage`.
    pub fn send(&mut self, now: Timestamp, id: QueueId, new: NewMessage<P>) -> Result<Sent, Error> {
        let now = self.advance(now);
        let (queue, _) = self.queue_and_effects(id)?;
        check_new(queue, &new)?;
        let deduplication = deduplication_key(queue, &new)?;
        let duplicate = deduplication
            .as_ref()
            .and_then(|key| queue.deduplication.message(key));
        let is_fifo = queue.is_fifo();
        let key = match duplicate {
            Some(key) => key,
            None => self.store(now, id, new, deduplication)?,
        };
        Ok(Sent {
            message_id: self.signer.message_id(key),
            sequence_number: is_fifo.then_some(SequenceNumber(key.0)),
            stored: duplicate.is_none().then_some(key),
        })
    }

    /// Undoes a send that could not be kept: the message is gone, and another send with its
    /// deduplication id is no duplicate. Nothing is journaled.
    pub fn unsend(&mut self, id: QueueId, key: MessageKey) {
        if let Ok((queue, effects)) = self.queue_and_effects(id) {
            queue.remove(key, effects);
            queue.deduplication.forget_message(key);
            queue.schedule_memory(effects);
        }
    }

    fn store(
        &mut self,
        now: Timestamp,
        id: QueueId,
        new: NewMessage<P>,
        deduplication: Option<DeduplicationKey>,
    ) -> Result<MessageKey, Error> {
        let key = MessageKey(self.next_key());
        let (queue, effects) = self.queue_and_effects(id)?;
        let group: Option<Arc<str>> = new.group.map(Arc::from);
        let deduplication_id = deduplication.as_ref().map(|key| Arc::clone(&key.id));
        let queue_delay = queue.record.attributes.delay_secs;
        // FIFO queues know only the queue's delay; 0 is let pass there.
        let delay_secs = match new.delay_secs {
            Some(secs) if !queue.is_fifo() => secs,
            _ => queue_delay,
        };
        let phase = if delay_secs == 0 {
            Phase::Ready
        } else {
            let until = now.plus_secs(delay_secs);
            Phase::Delayed { until }
        };
        let has_traits = group.is_some() || deduplication_id.is_some();
        let state = State {
            phase,
            traits: has_traits.then(|| {
                Box::new(Traits {
                    group,
                    deduplication: deduplication_id,
                    ..Traits::default()
                })
            }),
            ..State::default()
        };
        let message = Message::new(new.payload, now, state);
        effects.record(|| {
            Change::MessageStored(MessageRecord {
                queue: id,
                key,
                message: message.clone(),
            })
        });
        queue.insert(key, message, effects);
        if let Some(deduplication) = deduplication {
            remember(queue, effects, deduplication, key, now);
        }
        Ok(key)
    }
}

/// The id by which a FIFO queue knows the message again; `None` on standard queues.
fn deduplication_key<P: Payload>(
    queue: &Queue<P>,
    new: &NewMessage<P>,
) -> Result<Option<DeduplicationKey>, Error> {
    if !queue.is_fifo() {
        return Ok(None);
    }
    let attributes = &queue.record.attributes;
    let id = match &new.deduplication {
        Some(id) => Arc::from(id.as_str()),
        None if attributes.deduplicates_by_content => Arc::from(new.payload.fingerprint()),
        None => {
            return Err(Error::deduplication_missing());
        }
    };
    let scope = match attributes.deduplication_scope {
        DeduplicationScope::Queue => None,
        DeduplicationScope::MessageGroup => new.group.as_deref().map(Arc::from),
    };
    Ok(Some(DeduplicationKey { scope, id }))
}

fn remember<P>(
    queue: &mut Queue<P>,
    effects: &mut Effects<P>,
    key: DeduplicationKey,
    message: MessageKey,
    now: Timestamp,
) {
    let until = now.plus_secs(DEDUPLICATION_SECS);
    effects.record(|| Change::Deduplicated {
        queue: queue.record.id,
        scope: key.scope.clone(),
        id: Arc::clone(&key.id),
        message,
        until,
    });
    queue.deduplication.remember(key, message, until);
    queue.schedule_memory(effects);
}

fn check_new<P: Payload>(queue: &Queue<P>, new: &NewMessage<P>) -> Result<(), Error> {
    let bytes_max = queue.record.attributes.message_bytes_max;
    if new.payload.size() > bytes_max as usize {
        return Err(Error::InvalidParameterValue {
            message: format!(
                "One or more parameters are invalid. Reason: Message must be shorter than \
                 {bytes_max} bytes."
            ),
        });
    }
    check_label("MessageGroupId", new.group.as_deref())?;
    check_label("MessageDeduplicationId", new.deduplication.as_deref())?;
    match (queue.is_fifo(), new.delay_secs, &new.deduplication) {
        (true, _, _) if new.group.is_none() => Err(Error::MissingParameter {
            parameter: "MessageGroupId",
        }),
        (true, Some(secs @ 1..), _) => Err(invalid_parameter(secs, "DelaySeconds", WRONG_TYPE)),
        (false, _, Some(id)) => Err(invalid_parameter(id, "MessageDeduplicationId", WRONG_TYPE)),
        (false, Some(secs), _) if secs > DELAY_SECS_MAX => {
            let reason = "DelaySeconds must be >= 0 and <= 900.";
            Err(invalid_parameter(secs, "DelaySeconds", reason))
        }
        _ => Ok(()),
    }
}

/// Group and deduplication ids: 1 to 128 letters, digits and punctuation (`SendMessage`).
pub(crate) fn check_label(parameter: &str, label: Option<&str>) -> Result<(), Error> {
    match label {
        Some(label) if !(1..=128).contains(&label.len()) || !is_graphic(label) => {
            let reason = format!(
                "{parameter} can only include alphanumeric and punctuation characters. 1 to 128 \
                 in length."
            );
            Err(invalid_parameter(label, parameter, &reason))
        }
        _ => Ok(()),
    }
}

fn is_graphic(label: &str) -> bool {
    label.bytes().all(|byte| byte.is_ascii_graphic())
}
