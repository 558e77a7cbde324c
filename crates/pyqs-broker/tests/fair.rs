//! Fair queues: message groups on standard queues, through the public API.

use proptest::prelude::*;
use pyqs_broker::{Broker, Delivery, NewMessage, QueueId, Receive, Settings, Timestamp};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct World {
    broker: Broker<&'static str>,
    queue: QueueId,
}

impl World {
    fn new() -> Self {
        let mut broker = Broker::new(Settings::default());
        let queue = broker.create_queue(START, "email", &[]).unwrap();
        Self { broker, queue }
    }

    /// Sends `count` messages of a group, or of none where its name is empty.
    fn send(&mut self, secs: u32, group: &'static str, count: usize) {
        for _ in 0..count {
            let mut new = NewMessage::new(group);
            if !group.is_empty() {
                new = new.in_group(group);
            }
            self.broker
                .send(START.plus_secs(secs), self.queue, new)
                .unwrap();
        }
    }

    fn receive(&mut self, secs: u32, max: u32) -> Vec<Delivery<&'static str>> {
        let ask = Receive::up_to(max).hidden_for(3600);
        self.broker
            .receive(START.plus_secs(secs), self.queue, &ask)
            .unwrap()
    }

    fn groups(&mut self, secs: u32, max: u32) -> Vec<&'static str> {
        let deliveries = self.receive(secs, max);
        deliveries.into_iter().map(|d| d.payload).collect()
    }

    /// Receives that many messages, which stay in flight.
    fn hold(&mut self, secs: u32, count: u32) -> Vec<Delivery<&'static str>> {
        (0..count).flat_map(|_| self.receive(secs, 1)).collect()
    }
}

#[test]
fn a_noisy_group_lets_the_others_go_first() {
    let mut world = World::new();
    world.send(0, "noisy", 100);
    world.hold(0, 30);
    world.send(1, "a", 2);
    world.send(1, "", 1);
    world.send(1, "b", 1);
    assert_eq!(world.groups(1, 3), ["a", "a", ""]);
    assert_eq!(world.groups(1, 3), ["b", "noisy", "noisy"]);
}

#[test]
fn a_group_with_29_in_flight_is_quiet() {
    let mut world = World::new();
    world.send(0, "large", 100);
    world.hold(0, 29);
    world.send(1, "a", 1);
    assert_eq!(world.groups(1, 1), ["large"], "the oldest goes first");
    assert_eq!(world.groups(1, 1), ["a"], "now it has 30 in flight");
}

#[test]
fn a_group_with_a_tenth_of_all_in_flight_is_quiet() {
    let mut world = World::new();
    world.send(0, "", 270);
    world.hold(0, 270);
    world.send(1, "large", 100);
    world.hold(1, 30);
    world.send(2, "a", 1);
    assert_eq!(world.groups(2, 1), ["large"], "30 of 300 are quiet");
    assert_eq!(world.groups(2, 1), ["a"], "31 of 301 are not");
}

#[test]
fn noise_ends_five_minutes_after_the_last_send() {
    let mut world = World::new();
    world.send(0, "noisy", 100);
    world.hold(0, 30);
    world.send(100, "noisy", 1);
    world.send(100, "a", 2);
    assert_eq!(world.groups(399, 1), ["a"]);
    assert_eq!(world.groups(400, 1), ["noisy"], "older than the other a");
}

#[test]
fn noise_ends_with_the_backlog() {
    let mut world = World::new();
    world.send(0, "noisy", 31);
    let held = world.hold(0, 31);
    for delivery in &held[1..] {
        world
            .broker
            .delete(START, world.queue, &delivery.receipt)
            .unwrap();
    }
    world.send(1, "noisy", 1);
    world.send(1, "a", 1);
    assert_eq!(world.groups(1, 2), ["noisy", "a"]);
}

#[test]
fn without_noise_the_oldest_of_all_groups_go_first() {
    let mut world = World::new();
    for group in ["a", "", "b", "a", "c", "b", ""] {
        world.send(0, group, 1);
    }
    assert_eq!(world.groups(0, 4), ["a", "", "b", "a"]);
    assert_eq!(world.groups(0, 10), ["c", "b", ""]);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The large tenant sends that many.
    Flood(usize),
    /// So many others send one each.
    Few(usize),
    Receive(u32),
    /// The oldest deliveries are done.
    Delete(usize),
    Wait(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1..60usize).prop_map(Step::Flood),
        3 => (1..4usize).prop_map(Step::Few),
        9 => (1..=10u32).prop_map(Step::Receive),
        1 => (1..20usize).prop_map(Step::Delete),
        1 => (1..20u32).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// While a tenant is noisy, none of its messages is given out before one of the others that
    /// waits, whatever has happened; and nobody gets an empty answer while something waits.
    #[test]
    fn a_noisy_group_never_goes_before_another(
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        let mut world = World::new();
        let (mut now, mut held) = (0, Vec::new());
        let (mut large_waits, mut large_held, mut others_wait) = (0, 0_usize, 0_usize);
        for step in steps {
            match step {
                Step::Flood(count) => {
                    world.send(now, "large", count);
                    large_waits += count;
                }
                Step::Few(count) => {
                    for name in ["", "a", "b"].iter().take(count) {
                        world.send(now, name, 1);
                        others_wait += 1;
                    }
                }
                Step::Wait(secs) => now += secs,
                Step::Delete(count) => {
                    for delivery in held.drain(..count.min(held.len())) {
                        let Delivery { receipt, payload, .. } = delivery;
                        world.broker.delete(START.plus_secs(now), world.queue, &receipt).unwrap();
                        large_held -= usize::from(payload == "large");
                    }
                }
                Step::Receive(max) => {
                    // Its share is looked at whenever something of it changes, as each of its sends.
                    let was_sent_just_now = large_waits > 0;
                    if was_sent_just_now {
                        world.send(now, "large", 1);
                        large_waits += 1;
                    }
                    let is_noisy = large_held >= 30 && large_held * 10 > held.len() && was_sent_just_now;
                    let got = world.receive(now, max);
                    let waited = large_waits + others_wait;
                    prop_assert_eq!(got.len(), waited.min(max as usize));
                    let large = got.iter().filter(|d| d.payload == "large").count();
                    let others = got.len() - large;
                    if is_noisy {
                        prop_assert_eq!(others, others_wait.min(max as usize));
                    }
                    large_waits -= large;
                    large_held += large;
                    others_wait -= others;
                    held.extend(got);
                }
            }
        }
    }
}
