//! What the holder of a receipt handle does: delete, change visibility, give back.

use crate::broker::Broker;
use crate::change::Change;
use crate::effects::Effects;
use crate::error::{Error, invalid_parameter};
use crate::ids::{MessageKey, QueueId};
use crate::limits::VISIBILITY_SECS_MAX;
use crate::message::{Payload, Phase};
use crate::queue::Queue;
use crate::receipt::Receipt;
use crate::time::Timestamp;

impl<P: Payload> Broker<P> {
    /// `DeleteMessage`. A handle from an earlier receive succeeds and does nothing, as on AWS.
    pub fn delete(&mut self, now: Timestamp, id: QueueId, handle: &str) -> Result<(), Error> {
        self.advance(now);
        let receipt = self.receipt(id, handle)?;
        let (queue, effects) = self.queue_and_effects(id)?;
        let Some(message) = queue.message(receipt.message) else {
            return Ok(());
        };
        let is_current = message.state().generation == receipt.generation;
        let is_in_flight = matches!(message.state().phase, Phase::InFlight { .. });
        if queue.is_fifo() && !(is_current && is_in_flight) {
            // Deleting would break the order if the message is already with someone else
            // (`ReceiveMessage`, ReceiveRequestAttemptId).
            let reason = "The receipt handle has expired.";
            return Err(invalid_parameter(handle, "ReceiptHandle", reason));
        }
        if is_current {
            queue.remove(receipt.message, effects);
            effects.record(|| Change::MessageDeleted(receipt.message));
        }
        Ok(())
    }

    /// `ChangeMessageVisibility`: hidden for that many seconds from now, but no longer than 12
    /// hours from the receive; 0 gives it back.
    pub fn change_visibility(
        &mut self,
        now: Timestamp,
        id: QueueId,
        handle: &str,
        secs: u32,
    ) -> Result<(), Error> {
        check_visibility(secs)?;
        let now = self.advance(now);
        let receipt = self.receipt(id, handle)?;
        let (queue, effects) = self.queue_and_effects(id)?;
        let message = queue
            .message(receipt.message)
            .filter(|message| message.state().generation == receipt.generation)
            .ok_or_else(|| {
                let reason = "Message does not exist or is not available for visibility timeout \
                              change.";
                invalid_parameter(handle, "ReceiptHandle", reason)
            })?;
        let Phase::InFlight { since, .. } = message.state().phase else {
            // AWS takes the call on a standard queue, though it comes too late to do anything.
            if queue.is_fifo() {
                return Err(Error::MessageNotInflight);
            }
            return Ok(());
        };
        let until = now.plus_secs(secs);
        if until > since.plus_secs(VISIBILITY_SECS_MAX) {
            let reason = "Total VisibilityTimeout for the message is beyond the limit [43200 \
                          seconds]";
            return Err(invalid_parameter(secs, "VisibilityTimeout", reason));
        }
        let phase = if secs == 0 {
            Phase::Ready
        } else {
            Phase::InFlight { until, since }
        };
        queue.set_phase(receipt.message, phase, effects);
        record_update(queue, receipt.message, effects);
        Ok(())
    }

    /// Undoes a receive whose answer reached nobody: the message is visible at once and the
    /// receive does not count. Does nothing where the message is no longer in flight under this
    /// handle.
    pub fn release(&mut self, now: Timestamp, id: QueueId, handle: &str) {
        self.advance(now);
        let Ok(receipt) = self.receipt(id, handle) else {
            return;
        };
        let Ok((queue, effects)) = self.queue_and_effects(id) else {
            return;
        };
        let Some(message) = queue.message_mut(receipt.message) else {
            return;
        };
        let is_in_flight = matches!(message.state().phase, Phase::InFlight { .. });
        if message.state().generation != receipt.generation || !is_in_flight {
            return;
        }
        let state = message.state_mut();
        state.receives = state.receives.saturating_sub(1);
        if state.receives == 0 {
            state.first_received = None;
        }
        queue.set_phase(receipt.message, Phase::Ready, effects);
        record_update(queue, receipt.message, effects);
    }

    fn receipt(&self, id: QueueId, handle: &str) -> Result<Receipt, Error> {
        if !self.queues.contains_key(&id) {
            return Err(Error::QueueDoesNotExist);
        }
        let invalid = || Error::ReceiptHandleIsInvalid {
            handle: handle.to_owned(),
        };
        self.signer.verify(id, handle).ok_or_else(invalid)
    }
}

pub(crate) fn record_update<P>(queue: &Queue<P>, key: MessageKey, effects: &mut Effects<P>) {
    if let Some(message) = queue.message(key) {
        let state = message.state();
        effects.record(|| Change::MessageUpdated {
            key,
            phase: state.phase,
            receives: state.receives,
            generation: state.generation,
            first_received: state.first_received,
        });
    }
}

pub(crate) fn check_visibility(secs: u32) -> Result<(), Error> {
    if secs > VISIBILITY_SECS_MAX {
        let reason = "Must be between 0 and 43200, if provided.";
        return Err(invalid_parameter(secs, "VisibilityTimeout", reason));
    }
    Ok(())
}
