//! The simulated SQS: the broker, the polls that wait at it, and the truth about every delivery.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pyqs_broker::{
    Attribute, Broker, Error, NewMessage, Payload, Receive, RedrivePolicy, Timestamp,
};
use pyqs_core::{EntryReply, Instant, MessageKey, Onward, PollId};

use crate::faults::QueuePlan;

/// What a message carries: which job it is, and what hops have added.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Body {
    pub(crate) job: usize,
    /// Runs before the hop.
    pub(crate) attempts: u32,
    /// When the job is due by the hop.
    pub(crate) due: Option<Instant>,
    pub(crate) is_hop: bool,
}

impl Payload for Body {
    fn size(&self) -> usize {
        8
    }

    fn fingerprint(&self) -> String {
        self.job.to_string()
    }
}

/// One delivery of a message, as it really is.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) body: Body,
    pub(crate) queue: u32,
    pub(crate) receipt: String,
    pub(crate) message_id: String,
    pub(crate) receives: u32,
    pub(crate) received_at: Instant,
    /// SQS shows the message to others from then on.
    pub(crate) visible_at: Timestamp,
    /// It was delivered again.
    pub(crate) is_superseded: bool,
    pub(crate) was_begun: bool,
}

/// A receive that waits for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) poll: PollId,
    pub(crate) queue: u32,
    pub(crate) max: u8,
    pub(crate) visibility: Duration,
    pub(crate) attempt: Option<u64>,
}

pub(crate) struct Sqs {
    broker: Broker<Body>,
    queues: Vec<pyqs_broker::QueueId>,
    /// The dead-letter queues; the first is where the core sends messages, the others are SQS's.
    dead: Vec<pyqs_broker::QueueId>,
    /// SQS's id of each job's first message.
    first_ids: BTreeMap<usize, String>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) deliveries: BTreeMap<MessageKey, Delivery>,
    /// The delivery that SQS holds a message by.
    current: BTreeMap<pyqs_broker::MessageKey, MessageKey>,
    keys: u64,
    pub(crate) receives: u64,
    pub(crate) requests: u64,
}

impl Sqs {
    pub(crate) fn new(seed: u64, plans: &[QueuePlan]) -> Self {
        let settings = pyqs_broker::Settings {
            seed: seed.into(),
            ..Default::default()
        };
        let mut broker = Broker::new(settings);
        let mut create = |name: &str, attributes: &[Attribute]| {
            let created = broker.create_queue(Timestamp::default(), name, attributes);
            created.expect("a proper queue")
        };
        let (mut queues, mut dead) = (Vec::new(), vec![create("dead", &[])]);
        for (number, plan) in plans.iter().enumerate() {
            let end = if plan.is_fifo { ".fifo" } else { "" };
            let fifo = plan.is_fifo.then_some(Attribute::FifoQueue(true));
            let mut attributes = vec![Attribute::VisibilityTimeout(plan.visibility_secs)];
            attributes.extend(fifo.clone());
            if let Some(receives_max) = plan.receives_max {
                let name = format!("q{number}-dead{end}");
                dead.push(create(&name, &Vec::from_iter(fifo)));
                let policy = RedrivePolicy::new(&name, receives_max);
                attributes.push(Attribute::RedrivePolicy(Some(policy)));
            }
            queues.push(create(&format!("q{number}{end}"), &attributes));
        }
        Self {
            queues,
            dead,
            first_ids: BTreeMap::new(),
            broker,
            waiting: Vec::new(),
            deliveries: BTreeMap::new(),
            current: BTreeMap::new(),
            keys: 0,
            receives: 0,
            requests: 0,
        }
    }

    pub(crate) fn send(&mut self, now: Instant, job: usize, queue: u32, group: Option<u32>) {
        let body = Body {
            job,
            ..Body::default()
        };
        let mut message = NewMessage::new(body);
        if let Some(group) = group {
            message = message
                .in_group(&group.to_string())
                .with_deduplication(&job.to_string());
        }
        let sent = self
            .broker
            .send(timestamp(now), self.queues[queue as usize], message)
            .expect("a proper message");
        self.first_ids.insert(job, sent.message_id.to_string());
    }

    /// Sends a message on: back to its queue, or to the one dead-letter queue.
    pub(crate) fn send_on(&mut self, now: Instant, key: MessageKey, onward: Onward) {
        let delivery = &self.deliveries[&key];
        let (queue, message) = match onward {
            Onward::Hop {
                delay,
                due,
                attempts,
            } => {
                assert_eq!(delay.subsec_nanos(), 0, "whole seconds");
                let secs = u32::try_from(delay.as_secs()).expect("15 minutes at most");
                let body = Body {
                    due: Some(due),
                    attempts,
                    is_hop: true,
                    ..delivery.body
                };
                let queue = self.queues[delivery.queue as usize];
                (queue, NewMessage::new(body).delayed(secs))
            }
            Onward::DeadLetter => (self.dead[0], NewMessage::new(delivery.body)),
            // They are no jobs of the plan; the checkers count them.
            Onward::Callbacks => return,
        };
        self.broker
            .send(timestamp(now), queue, message)
            .expect("a proper message");
    }

    /// The logical id of a delivery's message.
    pub(crate) fn logical_id(&self, key: MessageKey) -> &str {
        &self.first_ids[&self.deliveries[&key].body.job]
    }

    /// Receives, if there is anything.
    pub(crate) fn receive(&mut self, now: Instant, ask: Waiting) -> Vec<MessageKey> {
        let id = self.queues[ask.queue as usize];
        let secs = u32::try_from(ask.visibility.as_secs()).expect("within 12 hours");
        assert_eq!(
            Duration::from_secs(secs.into()),
            ask.visibility,
            "whole seconds"
        );
        let mut request = Receive::up_to(ask.max.into()).hidden_for(secs);
        request.attempt = ask.attempt.map(|attempt| attempt.to_string());
        let received = self
            .broker
            .receive(timestamp(now), id, &request)
            .expect("a proper receive");
        let keys = received.into_iter().map(|delivery| {
            self.keys += 1;
            let key = MessageKey(self.keys);
            if let Some(before) = self.current.insert(delivery.key, key)
                && let Some(before) = self.deliveries.get_mut(&before)
            {
                before.is_superseded = true;
            }
            let truth = Delivery {
                body: delivery.payload,
                queue: ask.queue,
                receipt: delivery.receipt,
                message_id: delivery.message_id.to_string(),
                receives: delivery.receives,
                received_at: now,
                visible_at: timestamp(now).plus_secs(secs),
                is_superseded: false,
                was_begun: false,
            };
            self.deliveries.insert(key, truth);
            key
        });
        keys.collect()
    }

    /// Polls that wait where something came, in order; they are not waiting any more.
    pub(crate) fn woken(&mut self, now: Instant) -> Vec<(Waiting, Vec<MessageKey>)> {
        self.broker.advance(timestamp(now));
        let woken = self.broker.take_woken();
        let mut answered = Vec::new();
        if woken.is_empty() {
            return answered;
        }
        for ask in std::mem::take(&mut self.waiting) {
            let keys = if woken.contains(&self.queues[ask.queue as usize]) {
                self.receive(now, ask)
            } else {
                Vec::new()
            };
            if keys.is_empty() {
                self.waiting.push(ask);
            } else {
                answered.push((ask, keys));
            }
        }
        answered
    }

    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        let at = self
            .broker
            .next_wakeup()
            .filter(|_| !self.waiting.is_empty())?;
        Some(Instant::from_nanos(at.as_millis() * 1_000_000))
    }

    pub(crate) fn delete(&mut self, now: Instant, key: MessageKey) -> EntryReply {
        let delivery = &self.deliveries[&key];
        let id = self.queues[delivery.queue as usize];
        match self.broker.delete(timestamp(now), id, &delivery.receipt) {
            Ok(()) => EntryReply::Done,
            Err(error) => entry_reply(&error),
        }
    }

    pub(crate) fn change_visibility(
        &mut self,
        now: Instant,
        key: MessageKey,
        length: Duration,
    ) -> EntryReply {
        assert_eq!(length.subsec_nanos(), 0, "whole seconds");
        let delivery = self.deliveries.get_mut(&key).expect("a known delivery");
        let id = self.queues[delivery.queue as usize];
        let secs = u32::try_from(length.as_secs()).expect("within 12 hours");
        match self
            .broker
            .change_visibility(timestamp(now), id, &delivery.receipt, secs)
        {
            Ok(()) => {
                delivery.visible_at = timestamp(now).plus_secs(secs);
                EntryReply::Done
            }
            Err(error) => entry_reply(&error),
        }
    }

    /// The jobs whose messages are still to be worked on.
    pub(crate) fn waiting_jobs(&self) -> BTreeSet<usize> {
        self.jobs_on(&self.queues)
    }

    /// The jobs whose messages are on dead-letter queues.
    pub(crate) fn dead_jobs(&self) -> BTreeSet<usize> {
        self.jobs_on(&self.dead)
    }

    fn jobs_on(&self, queues: &[pyqs_broker::QueueId]) -> BTreeSet<usize> {
        let messages = queues
            .iter()
            .flat_map(|&id| self.broker.messages(id).expect("it exists"));
        messages
            .map(|(_, _, message)| message.payload.job)
            .collect()
    }

    /// Deliveries that never began and that SQS still hides.
    pub(crate) fn hidden_unbegun(&mut self, now: Instant) -> Vec<MessageKey> {
        self.broker.advance(timestamp(now));
        let mut hidden = Vec::new();
        for &id in &self.queues {
            for (message, _, stored) in self.broker.messages(id).expect("it exists") {
                let is_hidden = matches!(stored.state().phase, pyqs_broker::Phase::InFlight { .. });
                let key = self.current.get(&message).filter(|_| is_hidden);
                hidden.extend(key.filter(|key| !self.deliveries[key].was_begun));
            }
        }
        hidden
    }

    /// How many messages are to be worked on.
    pub(crate) fn left(&self) -> usize {
        let views = self
            .queues
            .iter()
            .map(|&id| self.broker.view(id).expect("it exists").counts);
        views
            .map(|counts| counts.visible + counts.in_flight + counts.delayed)
            .sum()
    }
}

pub(crate) fn timestamp(now: Instant) -> Timestamp {
    Timestamp::from_millis(now.as_nanos() / 1_000_000)
}

fn entry_reply(error: &Error) -> EntryReply {
    match error {
        Error::MessageNotInflight
        | Error::ReceiptHandleIsInvalid { .. }
        | Error::InvalidParameterValue { .. } => EntryReply::ReceiptExpired,
        _ => EntryReply::Refused,
    }
}
