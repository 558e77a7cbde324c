//! `ReceiveMessage`, without the waiting.

use crate::broker::Broker;
use crate::error::{Error, invalid_parameter};
use crate::ids::{MessageKey, QueueId, SequenceNumber};
use crate::limits::{BATCH_MAX, DEDUPLICATION_SECS, IN_FLIGHT_MAX};
use crate::message::{Delivery, FifoFacts, Payload, Phase, Receive};
use crate::queue::Queue;
use crate::receipt::{Receipt, Signer};
use crate::send::{WRONG_TYPE, check_label};
use crate::settle::{check_visibility, record_update};
use crate::time::Timestamp;

impl<P: Payload> Broker<P> {
    /// `ReceiveMessage`, without the waiting: an empty answer is one to try again when
    /// [`take_woken`](Self::take_woken) names the queue. Its cost depends on how many messages it
    /// gives out, not on how many there are; a message that goes to the dead-letter queue instead
    /// is looked at once.
    pub fn receive(
        &mut self,
        now: Timestamp,
        id: QueueId,
        request: &Receive,
    ) -> Result<Vec<Delivery<P>>, Error> {
        check_receive(request)?;
        let now = self.advance(now);
        check_attempt(self.queue_and_effects(id)?.0, request.attempt.as_deref())?;
        if let Some(replayed) = self.replay(now, id, request)? {
            return Ok(replayed);
        }
        let (queue, _) = self.queue_and_effects(id)?;
        let room = IN_FLIGHT_MAX.saturating_sub(queue.counts().in_flight);
        if room == 0 && !queue.is_fifo() {
            return Err(Error::OverLimit);
        }
        let redrive = self.redrive_target(id);
        let max = room.min(request.max as usize);
        let mut deliveries = Vec::with_capacity(max);
        while deliveries.len() < max {
            let (queue, _) = self.queue_and_effects(id)?;
            let batch = queue.next_batch(now, max - deliveries.len());
            if batch.is_empty() {
                break;
            }
            for key in batch {
                match redrive {
                    Some(redrive) if redrive.is_due(&self.queues[&id], key) => {
                        self.move_dead_letter(now, id, redrive.target, key);
                    }
                    _ => deliveries.extend(self.deliver(now, id, key, request.visibility_secs)),
                }
            }
        }
        self.remember_attempt(now, id, request, &deliveries);
        Ok(deliveries)
    }

    /// The same messages once more, where this attempt has been answered already and all of them
    /// are still with whoever asked.
    fn replay(
        &mut self,
        now: Timestamp,
        id: QueueId,
        request: &Receive,
    ) -> Result<Option<Vec<Delivery<P>>>, Error> {
        let signer = &self.signer;
        let queue = self.queues.get_mut(&id).ok_or(Error::QueueDoesNotExist)?;
        let answer = request
            .attempt
            .as_ref()
            .and_then(|attempt| queue.attempts.answer(attempt));
        let Some(receipts) = answer.map(<[Receipt]>::to_vec) else {
            return Ok(None);
        };
        let is_unchanged = |receipt: &Receipt| {
            queue.message(receipt.message).is_some_and(|message| {
                let state = message.state();
                state.generation == receipt.generation
                    && matches!(state.phase, Phase::InFlight { .. })
            })
        };
        if !receipts.iter().all(is_unchanged) {
            return Ok(None);
        }
        let visibility_secs = visibility_of(queue, request.visibility_secs);
        let mut deliveries = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            let until = now.plus_secs(visibility_secs);
            let phase = Phase::InFlight { until, since: now };
            queue.set_phase(receipt.message, phase, &mut self.effects);
            record_update(queue, receipt.message, &mut self.effects);
            deliveries.extend(delivery(signer, queue, receipt.message));
        }
        Ok(Some(deliveries))
    }

    fn remember_attempt(
        &mut self,
        now: Timestamp,
        id: QueueId,
        request: &Receive,
        deliveries: &[Delivery<P>],
    ) {
        let Some(attempt) = &request.attempt else {
            return;
        };
        let receipts: Option<Vec<_>> = deliveries
            .iter()
            .map(|delivery| self.signer.verify(id, &delivery.receipt))
            .collect();
        let (Some(receipts), Ok((queue, effects))) = (receipts, self.queue_and_effects(id)) else {
            return;
        };
        if queue.is_fifo() && !receipts.is_empty() {
            let until = now.plus_secs(DEDUPLICATION_SECS);
            queue.attempts.remember(attempt, receipts, until);
            queue.schedule_memory(effects);
        }
    }

    fn deliver(
        &mut self,
        now: Timestamp,
        id: QueueId,
        key: MessageKey,
        visibility_secs: Option<u32>,
    ) -> Option<Delivery<P>> {
        let queue = self.queues.get_mut(&id)?;
        let until = now.plus_secs(visibility_of(queue, visibility_secs));
        let message = queue.message_mut(key)?;
        let state = message.state_mut();
        state.receives = state.receives.saturating_add(1);
        state.generation = state.generation.wrapping_add(1);
        state.first_received.get_or_insert(now);
        let phase = Phase::InFlight { until, since: now };
        queue.set_phase(key, phase, &mut self.effects);
        record_update(queue, key, &mut self.effects);
        delivery(&self.signer, queue, key)
    }
}

fn visibility_of<P>(queue: &Queue<P>, asked: Option<u32>) -> u32 {
    asked.unwrap_or(queue.record.attributes.visibility_secs)
}

fn delivery<P: Clone>(signer: &Signer, queue: &Queue<P>, key: MessageKey) -> Option<Delivery<P>> {
    let message = queue.message(key)?;
    let state = message.state();
    let traits = state.traits.as_deref();
    let receipt = Receipt {
        message: key,
        generation: state.generation,
    };
    Some(Delivery {
        key,
        message_id: signer.message_id(message.first_key(key)),
        receipt: signer.sign(queue.record.id, receipt),
        payload: message.payload.clone(),
        receives: state.receives,
        sent: message.sent,
        first_received: state.first_received.unwrap_or(message.sent),
        fifo: FifoFacts {
            group: message.group().cloned(),
            deduplication: traits.and_then(|traits| traits.deduplication.clone()),
            sequence_number: queue.is_fifo().then_some(SequenceNumber(key.0)),
        },
        dead_letter_source: traits.and_then(|traits| traits.dead_letter_source.clone()),
    })
}

/// Receive attempt ids are for FIFO queues (`ReceiveMessage`, `ReceiveRequestAttemptId`).
fn check_attempt<P>(queue: &Queue<P>, attempt: Option<&str>) -> Result<(), Error> {
    let parameter = "ReceiveRequestAttemptId";
    match attempt {
        Some(attempt) if !queue.is_fifo() => Err(invalid_parameter(attempt, parameter, WRONG_TYPE)),
        attempt => check_label(parameter, attempt),
    }
}

fn check_receive(request: &Receive) -> Result<(), Error> {
    if !(1..=BATCH_MAX).contains(&request.max) {
        let reason = "Must be between 1 and 10, if provided.";
        return Err(invalid_parameter(
            request.max,
            "MaxNumberOfMessages",
            reason,
        ));
    }
    request.visibility_secs.map_or(Ok(()), check_visibility)
}
