//! Dead letters: what was received too often moves to another queue.

use std::sync::Arc;

use crate::broker::Broker;
use crate::change::Change;
use crate::ids::{MessageKey, QueueId};
use crate::message::{Payload, Phase};
use crate::queue::Queue;
use crate::time::Timestamp;

/// A redrive policy whose target exists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Redrive {
    pub(crate) target: QueueId,
    receives_max: u32,
}

impl Redrive {
    /// Whether this message has been received as often as the policy allows.
    pub(crate) fn is_due<P>(self, queue: &Queue<P>, key: MessageKey) -> bool {
        queue
            .message(key)
            .is_some_and(|message| message.receives_here() >= self.receives_max)
    }
}

impl<P: Payload> Broker<P> {
    /// The queue to which this one's dead letters go, where there is one.
    pub(crate) fn redrive_target(&self, id: QueueId) -> Option<Redrive> {
        let policy = self.queues.get(&id)?.record.attributes.redrive.as_ref()?;
        let target = self.queue(policy.dead_letter_name()).ok()?;
        // A queue deleted and made anew may have another type than when the policy was set.
        let fits = self.queues[&target].is_fifo() == self.queues[&id].is_fifo();
        fits.then_some(Redrive {
            target,
            receives_max: policy.receives_max,
        })
    }

    /// On standard queues the message keeps key and time of sending, so that retention runs on;
    /// on FIFO queues it starts anew, with its id as deduplication id
    /// (AWS: sqs-dead-letter-queues, sqs-configure-dead-letter-queue).
    pub(crate) fn move_dead_letter(
        &mut self,
        now: Timestamp,
        from: QueueId,
        to: QueueId,
        key: MessageKey,
    ) {
        let Some(source) = self.queues.get_mut(&from) else {
            return;
        };
        let source_name = Arc::clone(&source.record.name);
        let Some(mut message) = source.remove(key, &mut self.effects) else {
            return;
        };
        let first_key = message.first_key(key);
        let state = message.state_mut();
        let mut traits = state.traits.take().unwrap_or_default();
        traits.dead_letter_source = Some(source_name);
        traits.receives_elsewhere = state.receives;
        let mut new_key = key;
        if self.queues[&to].is_fifo() {
            new_key = MessageKey(self.next_key());
            traits.first_key = Some(first_key);
            traits.deduplication = Some(self.signer.message_id(first_key).to_string().into());
            message.sent = now;
        }
        let state = message.state_mut();
        state.phase = Phase::Ready;
        state.traits = Some(traits.clone());
        self.effects.record(|| Change::MessageMoved {
            from: key,
            key: new_key,
            queue: to,
            sent: message.sent,
            traits,
        });
        if let Some(target) = self.queues.get_mut(&to) {
            target.insert(new_key, message, &mut self.effects);
        }
    }
}
