//! What became of messages that were sent on, by SQS's own id of each.

use std::collections::BTreeMap;

use pyqs_core::{EntryReply, MessageKey, Onward};

use crate::sqs::{Delivery, Sqs};

#[derive(Debug, Default)]
pub(crate) struct Sends(BTreeMap<String, Record>);

#[derive(Debug, Default)]
struct Record {
    /// SQS has taken it.
    taken: u32,
    /// The answers to some of these were lost.
    unsure: u32,
    /// The core knows that SQS has it.
    is_confirmed: bool,
}

impl Sends {
    /// SQS has it.
    pub(crate) fn taken(&mut self, delivery: &Delivery) {
        let record = self.record(delivery);
        record.taken += 1;
        // A delivery whose lease was lost may be sent on again by the next one.
        assert!(
            record.taken <= record.unsure + delivery.receives,
            "{} was sent on {} times",
            delivery.message_id,
            record.taken
        );
    }

    /// The answer is lost.
    pub(crate) fn unsure(&mut self, sqs: &Sqs, messages: &[(MessageKey, Onward)]) {
        for (message, _) in messages {
            self.record(&sqs.deliveries[message]).unsure += 1;
        }
    }

    /// The core is told.
    pub(crate) fn told(&mut self, sqs: &Sqs, entries: &[(MessageKey, EntryReply)]) {
        for (message, entry) in entries {
            self.record(&sqs.deliveries[message]).is_confirmed |= *entry == EntryReply::Done;
        }
    }

    /// Whoever was to be told is gone: each may be on its way, and be sent once more.
    pub(crate) fn consumer_died(&mut self) {
        for record in self.0.values_mut() {
            record.unsure += 1;
        }
    }

    pub(crate) fn is_confirmed(&self, delivery: &Delivery) -> bool {
        let record = self.0.get(&delivery.message_id);
        record.is_some_and(|record| record.is_confirmed)
    }

    fn record(&mut self, delivery: &Delivery) -> &mut Record {
        self.0.entry(delivery.message_id.clone()).or_default()
    }
}
