//! Fair queues: message groups on standard queues, through the public API.

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
