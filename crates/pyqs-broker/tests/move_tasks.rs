//! Move tasks, through the public API.

use pyqs_broker::limits::MOVE_TASKS_LISTED_MAX;
use pyqs_broker::{
    Attribute, Broker, Change, MoveFailure, MoveStatus, MoveTask, NewMessage, QueueId, Receive,
    RedrivePolicy, Settings, Timestamp,
};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct World {
    broker: Broker<String>,
    source: QueueId,
    dead: QueueId,
    other: QueueId,
}

fn millis(millis: u64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + millis)
}

fn arn(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{name}")
}

/// A queue with a dead-letter queue in which `count` of its messages are, and a third queue.
fn world(count: usize, is_fifo: bool) -> World {
    let journal = true;
    let mut broker = Broker::new(Settings {
        journal,
        ..Settings::default()
    });
    let suffix = if is_fifo { ".fifo" } else { "" };
    let type_of: Vec<_> = is_fifo
        .then_some(Attribute::FifoQueue(true))
        .into_iter()
        .collect();
    let mut make = |name: &str| {
        let name = format!("{name}{suffix}");
        broker.create_queue(START, &name, &type_of).unwrap()
    };
    let (dead, other, source) = (make("dead"), make("other"), make("source"));
    let policy = RedrivePolicy::new(format!("dead{suffix}"), 1);
    let policy = [Attribute::RedrivePolicy(Some(policy))];
    broker.set_attributes(START, source, &policy).unwrap();
    for i in 0..count {
        let mut new = NewMessage::new(format!("{i:04}"));
        if is_fifo {
            new = new.in_group("g").with_deduplication(&i.to_string());
        }
        broker.send(START, source, new).unwrap();
    }
    let hidden = Receive::up_to(10).hidden_for(0);
    // Each receive of a FIFO queue with visibility 0 moves on what was received before.
    while broker.view(dead).unwrap().counts.visible < count {
        broker.receive(START, source, &hidden).unwrap();
    }
    World {
        broker,
        source,
        dead,
        other,
    }
}

impl World {
    fn visible(&self, queue: QueueId) -> usize {
        self.broker.view(queue).unwrap().counts.visible
    }

    fn latest(&self) -> &MoveTask {
        self.broker.move_tasks(self.dead).next().unwrap()
    }
}

#[test]
fn messages_go_back_to_their_source_at_the_rate_as_new_ones() {
    let mut world = world(25, false);
    let old: Vec<_> = world
        .broker
        .messages(world.dead)
        .unwrap()
        .map(|m| m.1)
        .collect();
    let (dead, source) = (world.dead, world.source);
    world
        .broker
        .start_move_task(START, dead, None, Some(10))
        .unwrap();
    for (at, moved) in [(99, 1), (150, 2), (1050, 11), (2050, 21)] {
        world.broker.advance(millis(at));
        assert_eq!(
            (world.visible(source), world.visible(dead)),
            (moved, 25 - moved),
            "{at}"
        );
    }
    assert_eq!(world.latest().status, MoveStatus::Running);
    world.broker.advance(millis(2600));
    assert_eq!(
        (world.latest().status, world.latest().moved),
        (MoveStatus::Completed, 25)
    );
    assert_eq!(world.latest().to_move, 25);

    let new: Vec<_> = world
        .broker
        .messages(source)
        .unwrap()
        .map(|m| m.1)
        .collect();
    assert!(new.iter().all(|id| !old.contains(id)), "new ids");
    let delivery = world
        .broker
        .receive(millis(3000), source, &Receive::up_to(1))
        .unwrap()
        .remove(0);
    assert_eq!((delivery.payload.as_str(), delivery.receives), ("0000", 1));
    assert_eq!(delivery.dead_letter_source, None);
    assert!(delivery.sent > START);
}

#[test]
fn fifo_messages_keep_group_and_order() {
    let mut world = world(12, true);
    let (dead, other) = (world.dead, world.other);
    let arn = arn("other.fifo");
    world
        .broker
        .start_move_task(START, dead, Some(&arn), None)
        .unwrap();
    world.broker.advance(millis(60_000));
    let deliveries = world
        .broker
        .receive(millis(60_000), other, &Receive::up_to(10))
        .unwrap();
    let payloads: Vec<_> = deliveries.iter().map(|d| d.payload.as_str()).collect();
    let expected: Vec<_> = (0..10).map(|i| format!("{i:04}")).collect();
    assert_eq!(payloads, expected);
    assert_eq!(deliveries[0].fifo.group.as_deref(), Some("g"));
}

#[test]
fn time_that_nobody_saw_is_made_up_for_by_a_second_at_most() {
    let mut world = world(1200, false);
    let (dead, source) = (world.dead, world.source);
    world
        .broker
        .start_move_task(START, dead, None, None)
        .unwrap();
    world.broker.advance(millis(3_600_000));
    assert_eq!(world.visible(source), 500);
}

#[test]
fn only_what_was_there_at_the_start_moves_and_nothing_in_flight() {
    let mut world = world(3, false);
    let (dead, source) = (world.dead, world.source);
    let held = world
        .broker
        .receive(START, dead, &Receive::up_to(1))
        .unwrap();
    world
        .broker
        .start_move_task(START, dead, None, None)
        .unwrap();
    world
        .broker
        .send(START, dead, NewMessage::new("late".to_owned()))
        .unwrap();
    world.broker.advance(millis(1000));
    assert_eq!(world.latest().status, MoveStatus::Completed);
    assert_eq!((world.latest().to_move, world.latest().moved), (2, 2));
    assert_eq!((world.visible(source), world.visible(dead)), (2, 1));
    world
        .broker
        .delete(millis(1000), dead, &held[0].receipt)
        .unwrap();
}

#[test]
fn a_cancelled_task_leaves_what_has_not_moved() {
    let mut world = world(10, false);
    let (dead, source) = (world.dead, world.source);
    let id = world
        .broker
        .start_move_task(START, dead, None, Some(1))
        .unwrap();
    let name = world.broker.move_task_name(id);
    for at in [50, 1000, 2000] {
        world.broker.advance(millis(at));
    }
    let mut cancel = |at, queue, name: &str| {
        let cancelled = world.broker.cancel_move_task(millis(at), queue, name);
        cancelled.map_err(|refusal| refusal.code())
    };
    let unknown = Err("ResourceNotFoundException");
    assert_eq!(cancel(2500, dead, "x"), unknown);
    assert_eq!(cancel(2500, source, &name), unknown, "another queue's");
    assert_eq!(cancel(2500, dead, &name), Ok(3));
    assert_eq!(cancel(60_000, dead, &name), unknown, "it is over");
    assert_eq!((world.visible(source), world.visible(dead)), (3, 7));
    assert_eq!(world.latest().status, MoveStatus::Cancelled);
}

#[test]
fn what_can_not_be_moved_fails_the_task() {
    let mut world = world(1, false);
    let dead = world.dead;
    world.broker.delete_queue(START, world.source).unwrap();
    let policy = RedrivePolicy::new("dead", 1);
    let policy = [Attribute::RedrivePolicy(Some(policy))];
    world
        .broker
        .set_attributes(START, world.other, &policy)
        .unwrap();
    world
        .broker
        .start_move_task(START, dead, None, None)
        .unwrap();
    world.broker.advance(millis(100));
    let missing = MoveFailure::QueueMissing;
    assert_eq!(world.latest().status, MoveStatus::Failed(missing));

    world.broker.purge(millis(100), dead).unwrap();
    world
        .broker
        .send(millis(100), dead, NewMessage::new("direct".to_owned()))
        .unwrap();
    world
        .broker
        .start_move_task(millis(100), dead, None, None)
        .unwrap();
    world.broker.advance(millis(200));
    let unknown = MoveFailure::SourceUnknown;
    assert_eq!(world.latest().status, MoveStatus::Failed(unknown));
    assert_eq!(world.visible(dead), 1, "and stays where it is");
}

#[test]
fn refusals() {
    let mut world = world(2, false);
    let fifo = [Attribute::FifoQueue(true)];
    world.broker.create_queue(START, "x.fifo", &fifo).unwrap();
    let mut check = |source, destination: Option<&str>, rate, code: &str, reason: &str| {
        let refusal = world
            .broker
            .start_move_task(START, source, destination, rate);
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.code(), code);
        assert!(refusal.to_string().contains(reason), "{refusal}");
    };
    let (dead, source) = (world.dead, world.source);
    let value = "InvalidParameterValue";
    check(
        source,
        None,
        None,
        value,
        "must be configured as a Dead Letter Queue",
    );
    check(dead, None, Some(0), value, "between 1 and 500");
    check(dead, None, Some(501), value, "between 1 and 500");
    check(
        dead,
        Some("nowhere"),
        None,
        value,
        "specify the DestinationArn: arn:",
    );
    check(
        dead,
        Some(&arn("nowhere")),
        None,
        "ResourceNotFoundException",
        "DestinationArn",
    );
    check(dead, Some(&arn("dead")), None, value, "cannot be the same");
    check(dead, Some(&arn("x.fifo")), None, value, "same queue type");
    world
        .broker
        .start_move_task(START, dead, None, Some(500))
        .unwrap();
    let second = world
        .broker
        .start_move_task(START, dead, None, None)
        .unwrap_err();
    assert!(
        second.to_string().contains("already a task running"),
        "{second}"
    );
}

#[test]
fn the_last_ten_are_listed() {
    let mut world = world(0, false);
    let mut ids = Vec::new();
    for i in 0..MOVE_TASKS_LISTED_MAX as u64 + 2 {
        let at = millis(i * 100);
        ids.push(
            world
                .broker
                .start_move_task(at, world.dead, None, None)
                .unwrap(),
        );
    }
    let listed: Vec<_> = world
        .broker
        .move_tasks(world.dead)
        .map(|task| task.id)
        .collect();
    ids.reverse();
    assert_eq!(listed, ids[..MOVE_TASKS_LISTED_MAX]);
}

#[test]
fn a_task_goes_on_after_a_restart() {
    let mut world = world(20, false);
    let _ = world.broker.take_changes();
    let dead = world.dead;
    world
        .broker
        .start_move_task(START, dead, None, Some(10))
        .unwrap();
    world.broker.advance(millis(550));
    let moved = world.latest().moved;
    let mut tasks: Vec<_> = world.broker.take_changes().into_iter().collect();
    let task = loop {
        if let Change::MoveTaskStored(task) = tasks.pop().unwrap() {
            break task;
        }
    };
    assert_eq!((task.moved, moved), (6, 6));

    let view =
        |queue| Change::QueueStored(Box::new(world.broker.view(queue).unwrap().record.clone()));
    let mut facts = vec![Change::KeysReserved { below: 1_000_000 }];
    facts.extend([world.dead, world.other, world.source].map(view));
    for (key, _, message) in world.broker.messages(dead).unwrap() {
        facts.push(Change::MessageStored(pyqs_broker::MessageRecord {
            queue: dead,
            key,
            message: message.clone(),
        }));
    }
    facts.push(Change::MoveTaskStored(task));
    let mut again = Broker::restore(Settings::default(), facts).unwrap();
    assert!(again.is_moving());
    for step in 0..20 {
        again.advance(millis(10_000 + step * 100));
    }
    let task = again.move_tasks(dead).next().unwrap();
    assert_eq!((task.status, task.moved), (MoveStatus::Completed, 20));
}
