//! Random interleavings of actions, against a model that is too simple and slow to be wrong: a
//! list of messages that every action walks through.

use std::collections::BTreeMap;

use proptest::prelude::*;
use pyqs_broker::limits::DEDUPLICATION_SECS;
use pyqs_broker::{
    Attribute, Broker, Counts, MessageId, NewMessage, QueueId, Receive, RedrivePolicy, Settings,
    Timestamp,
};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const VISIBILITY_SECS: u32 = 30;
const RETENTION_SECS: u32 = 400;
const RECEIVES_MAX: u32 = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    Send {
        group: u8,
        delay_secs: u32,
        /// On FIFO queues an id that may have been sent before; `None` is a new one.
        deduplication: Option<u8>,
    },
    Receive {
        max: u32,
        visibility_secs: Option<u32>,
    },
    ReceiveDead,
    /// Of the handles given out so far, the one at this place from the end.
    Delete {
        back: usize,
    },
    Change {
        back: usize,
        secs: u32,
    },
    Release {
        back: usize,
    },
    Wait {
        secs: u32,
    },
    Purge,
    /// The queue's own delay.
    SetDelay {
        secs: u32,
    },
    /// Dead letters go back, all of them.
    MoveBack,
}

fn step() -> impl Strategy<Value = Step> {
    let delay = prop_oneof![3 => Just(0), 1 => 1..60u32];
    prop_oneof![
        6 => (0..3u8, delay, proptest::option::of(0..4u8)).prop_map(
            |(group, delay_secs, deduplication)| Step::Send { group, delay_secs, deduplication }
        ),
        6 => (1..=10u32, proptest::option::of(0..60u32))
            .prop_map(|(max, visibility_secs)| Step::Receive { max, visibility_secs }),
        1 => Just(Step::ReceiveDead),
        3 => (0..6usize).prop_map(|back| Step::Delete { back }),
        2 => (0..6usize, prop_oneof![Just(0), 1..100u32])
            .prop_map(|(back, secs)| Step::Change { back, secs }),
        1 => (0..6usize).prop_map(|back| Step::Release { back }),
        4 => (0..40u32).prop_map(|secs| Step::Wait { secs }),
        1 => Just(Step::Purge),
        1 => prop_oneof![Just(0), 1..100u32].prop_map(|secs| Step::SetDelay { secs }),
        1 => Just(Step::MoveBack),
    ]
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Visible,
    Delayed { until: Timestamp },
    InFlight { until: Timestamp, since: Timestamp },
}

#[derive(Debug, Clone)]
struct ModelMessage {
    number: u32,
    group: u8,
    sent: Timestamp,
    state: State,
    receives: u32,
    /// Handles given out; only the last one is good.
    handles: u32,
    is_dead: bool,
}

struct Model {
    is_fifo: bool,
    now: Timestamp,
    /// In the order in which they are given out.
    messages: Vec<ModelMessage>,
    /// The queue's own delay.
    delay_secs: u32,
    /// Deduplication ids with the message that was sent with them, and until when they count.
    known: Vec<(u8, u32, Timestamp)>,
}

impl Model {
    /// What is due happens.
    fn advance(&mut self) {
        let now = self.now;
        for message in &mut self.messages {
            match message.state {
                State::Delayed { until } | State::InFlight { until, .. } if until <= now => {
                    message.state = State::Visible;
                }
                _ => {}
            }
        }
        self.known.retain(|(.., until)| *until > now);
        let expires = |m: &ModelMessage| m.is_dead || m.sent.plus_secs(RETENTION_SECS) > now;
        self.messages.retain(expires);
    }

    /// Places of up to `max` messages that may be received together.
    fn next_batch(&self, max: usize) -> Vec<usize> {
        let live = || (0..self.messages.len()).filter(|i| !self.messages[*i].is_dead);
        let is_visible = |i: &usize| self.messages[*i].state == State::Visible;
        if !self.is_fifo {
            return live().filter(is_visible).take(max).collect();
        }
        let mut groups: Vec<u8> = Vec::new();
        for i in live() {
            let group = self.messages[i].group;
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        let lane = |group: u8| live().filter(move |i| self.messages[*i].group == group);
        // What is hidden holds up all behind it, and nothing before it.
        let groups = groups.into_iter();
        groups
            .flat_map(|group| lane(group).take_while(is_visible))
            .take(max)
            .collect()
    }

    fn receive(&mut self, max: usize, visibility_secs: u32) -> Vec<(u32, u32)> {
        let mut received = Vec::new();
        while received.len() < max {
            let batch = self.next_batch(max - received.len());
            if batch.is_empty() {
                break;
            }
            let numbers: Vec<_> = batch.iter().map(|i| self.messages[*i].number).collect();
            for number in numbers {
                let place = self.place(number).unwrap();
                if self.messages[place].receives >= RECEIVES_MAX {
                    self.bury(place);
                } else {
                    received.push((number, self.take(place, visibility_secs)));
                }
            }
        }
        received
    }

    fn take(&mut self, place: usize, visibility_secs: u32) -> u32 {
        let (now, message) = (self.now, &mut self.messages[place]);
        message.receives += 1;
        message.handles += 1;
        let until = now.plus_secs(visibility_secs);
        message.state = State::InFlight { until, since: now };
        message.receives
    }

    fn bury(&mut self, place: usize) {
        let mut message = self.messages.remove(place);
        message.is_dead = true;
        message.state = State::Visible;
        self.messages.push(message);
    }

    fn place(&self, number: u32) -> Option<usize> {
        self.messages.iter().position(|m| m.number == number)
    }

    fn counts(&self) -> Counts {
        let count = |is: fn(&State) -> bool| {
            let live = self.messages.iter().filter(|m| !m.is_dead);
            live.filter(|m| is(&m.state)).count()
        };
        Counts {
            visible: count(|state| *state == State::Visible),
            in_flight: count(|state| matches!(state, State::InFlight { .. })),
            delayed: count(|state| matches!(state, State::Delayed { .. })),
        }
    }
}

/// The state of what is sent at that time with that delay.
fn delayed_for(sent: Timestamp, secs: u32) -> State {
    if secs == 0 {
        return State::Visible;
    }
    State::Delayed {
        until: sent.plus_secs(secs),
    }
}

/// Broker and model side by side.
struct Pair {
    broker: Broker<String>,
    queue: QueueId,
    dead: QueueId,
    model: Model,
    sent: u32,
    /// Ids by number.
    ids: Vec<MessageId>,
    /// Handle, message, and which of its handles.
    handles: Vec<(String, u32, u32)>,
}

impl Pair {
    fn new(is_fifo: bool) -> Self {
        let mut broker = Broker::new(Settings::default());
        let (name, dead_name) = if is_fifo {
            ("q.fifo", "dead.fifo")
        } else {
            ("q", "dead")
        };
        let fifo = [Attribute::FifoQueue(true)];
        let base = if is_fifo { &fifo[..] } else { &[] };
        let dead_attributes = [base, &[Attribute::MessageRetentionPeriod(1_209_600)]].concat();
        let dead = broker
            .create_queue(START, dead_name, &dead_attributes)
            .unwrap();
        let own = [
            Attribute::VisibilityTimeout(VISIBILITY_SECS),
            Attribute::MessageRetentionPeriod(RETENTION_SECS),
            Attribute::RedrivePolicy(Some(RedrivePolicy::new(dead_name, RECEIVES_MAX))),
        ];
        let queue = broker
            .create_queue(START, name, &[base, &own].concat())
            .unwrap();
        let model = Model {
            is_fifo,
            now: START,
            messages: Vec::new(),
            delay_secs: 0,
            known: Vec::new(),
        };
        Self {
            broker,
            queue,
            dead,
            model,
            sent: 0,
            ids: Vec::new(),
            handles: Vec::new(),
        }
    }

    fn run(&mut self, step: Step) {
        let now = self.model.now;
        self.model.advance();
        match step {
            Step::Send {
                group,
                delay_secs,
                deduplication,
            } => self.send(group, delay_secs, deduplication),
            Step::Receive {
                max,
                visibility_secs,
            } => self.receive(max, visibility_secs),
            Step::ReceiveDead => self.receive_dead(),
            Step::Delete { back } => self.delete(back),
            Step::Change { back, secs } => self.change(back, secs),
            Step::Release { back } => self.release(back),
            Step::Wait { secs } => self.model.now = now.plus_secs(secs),
            Step::Purge => {
                self.broker.purge(now, self.queue).unwrap();
                self.model.messages.retain(|message| message.is_dead);
            }
            Step::SetDelay { secs } => self.set_delay(secs),
            Step::MoveBack => self.move_back(),
        }
        self.model.advance();
        self.broker.advance(self.model.now);
        let counts = self.broker.view(self.queue).unwrap().counts;
        assert_eq!(counts, self.model.counts());
        assert_eq!(
            self.broker.messages(self.dead).unwrap().count(),
            self.model.messages.iter().filter(|m| m.is_dead).count()
        );
    }

    fn send(&mut self, group: u8, delay_secs: u32, deduplication: Option<u8>) {
        let number = self.sent;
        self.sent += 1;
        let text = number.to_string();
        let (is_fifo, now) = (self.model.is_fifo, self.model.now);
        let mut new = NewMessage::new(text.clone());
        let mut delay = self.model.delay_secs;
        if is_fifo {
            let id = deduplication.map_or(text, |id| format!("again-{id}"));
            new = new.in_group(&group.to_string()).with_deduplication(&id);
        } else if delay_secs > 0 {
            new = new.delayed(delay_secs);
            delay = delay_secs;
        }
        let sent = self.broker.send(now, self.queue, new).unwrap();
        let deduplication = deduplication.filter(|_| is_fifo);
        let known = self.model.known.iter();
        let mut known = known.filter(|(id, ..)| Some(*id) == deduplication);
        let original = known.next().map(|(_, number, _)| *number);
        assert_eq!(sent.stored.is_none(), original.is_some());
        if let Some(original) = original {
            assert_eq!(sent.message_id, self.ids[original as usize]);
            self.ids.push(sent.message_id);
            return;
        }
        self.ids.push(sent.message_id);
        if let Some(id) = deduplication {
            let until = now.plus_secs(DEDUPLICATION_SECS);
            self.model.known.push((id, number, until));
        }
        let state = delayed_for(now, delay);
        self.model.messages.push(ModelMessage {
            number,
            group,
            sent: now,
            state,
            receives: 0,
            handles: 0,
            is_dead: false,
        });
    }

    fn receive(&mut self, max: u32, visibility_secs: Option<u32>) {
        let request = Receive {
            visibility_secs,
            ..Receive::up_to(max)
        };
        let found = self
            .broker
            .receive(self.model.now, self.queue, &request)
            .unwrap();
        let visibility_secs = visibility_secs.unwrap_or(VISIBILITY_SECS);
        let expected = self.model.receive(max as usize, visibility_secs);
        let mut numbers = Vec::new();
        for delivery in found {
            let number = delivery.payload.parse().unwrap();
            numbers.push((number, delivery.receives));
            let place = self.model.place(number).unwrap();
            let handle = self.model.messages[place].handles;
            self.handles.push((delivery.receipt, number, handle));
        }
        assert_eq!(numbers, expected);
    }

    /// A new delay holds for messages already there on FIFO queues only.
    fn set_delay(&mut self, secs: u32) {
        let now = self.model.now;
        let delay = [Attribute::DelaySeconds(secs)];
        self.broker.set_attributes(now, self.queue, &delay).unwrap();
        self.model.delay_secs = secs;
        if !self.model.is_fifo {
            return;
        }
        for message in &mut self.model.messages {
            if matches!(message.state, State::Delayed { .. }) {
                let until = message.sent.plus_secs(secs);
                message.state = State::Delayed { until };
            }
        }
    }

    /// They come as if sent anew, behind all that is there, in their order.
    fn move_back(&mut self) {
        let started = self
            .broker
            .start_move_task(self.model.now, self.dead, None, None);
        started.unwrap();
        let before = self.model.now;
        self.model.now = before.plus_secs(5);
        self.broker.advance(self.model.now);
        let mut found = BTreeMap::new();
        for (place, (_, id, message)) in self.broker.messages(self.queue).unwrap().enumerate() {
            let number: u32 = message.payload.parse().unwrap();
            found.insert(number, (place, id, message.sent));
        }
        let (dead, live) = self.model.messages.drain(..).partition(|m| m.is_dead);
        self.model.messages = live;
        self.model.advance();
        let mut dead: Vec<ModelMessage> = dead;
        if self.model.is_fifo {
            assert!(dead.is_sorted_by_key(|message| found[&message.number].0));
        }
        dead.sort_by_key(|message| found[&message.number].0);
        for mut message in dead {
            let (_, id, sent) = found[&message.number];
            assert!(sent > before && sent <= self.model.now);
            assert_ne!(id, self.ids[message.number as usize], "a new id");
            // Handles of its former life are good for nothing.
            for (_, number, _) in &mut self.handles {
                if *number == message.number {
                    *number = u32::MAX;
                }
            }
            message.sent = sent;
            message.state = delayed_for(sent, self.model.delay_secs);
            message.receives = 0;
            message.is_dead = false;
            message.handles = 0;
            self.model.messages.push(message);
        }
    }

    /// Dead letters are there, whole, and gone when received and deleted.
    fn receive_dead(&mut self) {
        let found = self
            .broker
            .receive(self.model.now, self.dead, &Receive::up_to(1))
            .unwrap();
        for delivery in found {
            let number = delivery.payload.parse().unwrap();
            let place = self
                .model
                .place(number)
                .expect("a dead letter that was never sent");
            let message = self.model.messages.remove(place);
            assert!(message.is_dead);
            assert_eq!(delivery.receives, message.receives + 1);
            self.broker
                .delete(self.model.now, self.dead, &delivery.receipt)
                .unwrap();
        }
    }

    /// A handle, and the place of its message if that is still in the queue, with whether the
    /// handle is its last.
    fn handle(&self, back: usize) -> Option<(String, Option<(usize, bool)>)> {
        let (handle, number, count) = self.handles.iter().rev().nth(back)?;
        let place = self.model.place(*number);
        let live = place.filter(|place| !self.model.messages[*place].is_dead);
        let found = live.map(|place| (place, self.model.messages[place].handles == *count));
        Some((handle.clone(), found))
    }

    fn delete(&mut self, back: usize) {
        let Some((handle, found)) = self.handle(back) else {
            return;
        };
        let result = self.broker.delete(self.model.now, self.queue, &handle);
        let Some((place, is_last)) = found else {
            return assert_eq!(result, Ok(()));
        };
        let is_in_flight = matches!(self.model.messages[place].state, State::InFlight { .. });
        let is_refused = self.model.is_fifo && !(is_last && is_in_flight);
        assert_eq!(result.is_err(), is_refused);
        if is_last && !is_refused {
            self.model.messages.remove(place);
        }
    }

    fn change(&mut self, back: usize, secs: u32) {
        let Some((handle, found)) = self.handle(back) else {
            return;
        };
        let now = self.model.now;
        let result = self
            .broker
            .change_visibility(now, self.queue, &handle, secs);
        let message = found.filter(|(_, is_last)| *is_last);
        let message = message.map(|(place, _)| &mut self.model.messages[place]);
        match message {
            Some(ModelMessage { state, .. }) if matches!(state, State::InFlight { .. }) => {
                assert_eq!(result, Ok(()));
                let State::InFlight { since, .. } = *state else {
                    return;
                };
                let until = now.plus_secs(secs);
                *state = State::InFlight { until, since };
            }
            // Too late: taken on standard queues, and without effect.
            Some(_) if !self.model.is_fifo => assert_eq!(result, Ok(())),
            _ => assert!(result.is_err()),
        }
    }

    fn release(&mut self, back: usize) {
        let Some((handle, found)) = self.handle(back) else {
            return;
        };
        self.broker.release(self.model.now, self.queue, &handle);
        if let Some((place, true)) = found {
            let message = &mut self.model.messages[place];
            if matches!(message.state, State::InFlight { .. }) {
                message.state = State::Visible;
                message.receives -= 1;
            }
        }
    }
}

proptest! {
    #[test]
    fn standard_queues_do_as_the_model(steps in proptest::collection::vec(step(), 0..200)) {
        let mut pair = Pair::new(false);
        for step in steps {
            pair.run(step);
        }
    }

    #[test]
    fn fifo_queues_do_as_the_model(steps in proptest::collection::vec(step(), 0..200)) {
        let mut pair = Pair::new(true);
        for step in steps {
            pair.run(step);
        }
    }
}
