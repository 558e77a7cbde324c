//! FIFO queues, through the public API.

use pyqs_broker::limits::IN_FLIGHT_MAX;
use pyqs_broker::{
    Attribute, Broker, DeduplicationScope, Delivery, FifoThroughputLimit, NewMessage, QueueId,
    Receive, RedrivePolicy, Settings, Timestamp,
};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn at(secs: u32) -> Timestamp {
    START.plus_secs(secs)
}

fn broker_with(attributes: &[Attribute]) -> (Broker<&'static str>, QueueId) {
    let mut broker = Broker::new(Settings::default());
    let attributes = [&[Attribute::FifoQueue(true)], attributes].concat();
    let queue = broker
        .create_queue(START, "orders.fifo", &attributes)
        .unwrap();
    (broker, queue)
}

/// Sends with the payload as deduplication id.
fn send(broker: &mut Broker<&'static str>, queue: QueueId, group: &str, payload: &'static str) {
    let new = NewMessage::new(payload)
        .in_group(group)
        .with_deduplication(payload);
    broker.send(START, queue, new).unwrap();
}

fn receive(
    broker: &mut Broker<&'static str>,
    queue: QueueId,
    secs: u32,
) -> Vec<Delivery<&'static str>> {
    broker
        .receive(at(secs), queue, &Receive::up_to(10))
        .unwrap()
}

fn payloads(deliveries: &[Delivery<&'static str>]) -> Vec<&'static str> {
    deliveries.iter().map(|delivery| delivery.payload).collect()
}

#[test]
fn a_group_is_locked_until_all_of_it_that_was_received_is_deleted() {
    let (mut broker, queue) = broker_with(&[]);
    for payload in ["a1", "a2", "a3"] {
        send(&mut broker, queue, "a", payload);
    }
    send(&mut broker, queue, "b", "b1");
    let first = broker.receive(START, queue, &Receive::up_to(2)).unwrap();
    assert_eq!(payloads(&first), ["a1", "a2"]);
    assert!(first[0].fifo.sequence_number < first[1].fifo.sequence_number);
    assert_eq!(first[0].fifo.group.as_deref(), Some("a"));
    assert_eq!(payloads(&receive(&mut broker, queue, 0)), ["b1"]);
    broker.delete(START, queue, &first[0].receipt).unwrap();
    assert!(receive(&mut broker, queue, 0).is_empty());
    broker.take_woken();
    broker.delete(START, queue, &first[1].receipt).unwrap();
    assert!(broker.take_woken().contains(&queue), "the lock is off");
    assert_eq!(payloads(&receive(&mut broker, queue, 0)), ["a3"]);
}

#[test]
fn what_comes_back_comes_in_its_old_place() {
    let (mut broker, queue) = broker_with(&[]);
    for payload in ["a1", "a2", "a3"] {
        send(&mut broker, queue, "a", payload);
    }
    let first = broker.receive(START, queue, &Receive::up_to(2)).unwrap();
    broker
        .change_visibility(START, queue, &first[1].receipt, 0)
        .unwrap();
    assert!(
        receive(&mut broker, queue, 1).is_empty(),
        "a1 is still in flight"
    );
    broker
        .change_visibility(START, queue, &first[0].receipt, 0)
        .unwrap();
    assert_eq!(
        payloads(&receive(&mut broker, queue, 1)),
        ["a1", "a2", "a3"]
    );
}

#[test]
fn what_comes_back_waits_for_nothing_behind_it() {
    let (mut broker, queue) = broker_with(&[]);
    for payload in ["a1", "a2", "a3"] {
        send(&mut broker, queue, "a", payload);
    }
    let first = broker.receive(START, queue, &Receive::up_to(2)).unwrap();
    broker.take_woken();
    broker
        .change_visibility(START, queue, &first[0].receipt, 0)
        .unwrap();
    assert!(broker.take_woken().contains(&queue));
    let again = receive(&mut broker, queue, 1);
    assert_eq!(payloads(&again), ["a1"], "a2 and a3 behind it wait for a2");
    broker.delete(at(1), queue, &again[0].receipt).unwrap();
    assert!(receive(&mut broker, queue, 1).is_empty());
    assert_eq!(payloads(&receive(&mut broker, queue, 30)), ["a2", "a3"]);
}

#[test]
fn a_delete_after_the_timeout_is_an_error() {
    let (mut broker, queue) = broker_with(&[]);
    send(&mut broker, queue, "a", "a1");
    let delivery = receive(&mut broker, queue, 0).remove(0);
    let refusal = broker.delete(at(30), queue, &delivery.receipt).unwrap_err();
    assert_eq!(refusal.code(), "InvalidParameterValue");
    let refusal = broker.change_visibility(at(30), queue, &delivery.receipt, 30);
    assert_eq!(refusal.unwrap_err().code(), "MessageNotInflight");
    assert_eq!(receive(&mut broker, queue, 30).len(), 1);
}

#[test]
fn deduplication_lasts_five_minutes_and_outlives_the_message() {
    let (mut broker, queue) = broker_with(&[]);
    let new = || NewMessage::new("x").in_group("a").with_deduplication("id");
    let first = broker.send(START, queue, new()).unwrap();
    let delivery = receive(&mut broker, queue, 0).remove(0);
    broker.delete(START, queue, &delivery.receipt).unwrap();
    let second = broker.send(at(299), queue, new()).unwrap();
    assert_eq!(second.message_id, first.message_id);
    assert_eq!(second.sequence_number, first.sequence_number);
    assert_eq!(second.stored, None);
    let third = broker.send(at(300), queue, new()).unwrap();
    assert_ne!(third.message_id, first.message_id);
    assert_eq!(receive(&mut broker, queue, 300).len(), 1);
}

#[test]
fn content_and_scope_decide_what_is_a_duplicate() {
    let (mut broker, queue) = broker_with(&[
        Attribute::ContentBasedDeduplication(true),
        Attribute::DeduplicationScope(DeduplicationScope::MessageGroup),
    ]);
    let mut send = |group: &str, payload| {
        let new = NewMessage::new(payload).in_group(group);
        broker.send(START, queue, new).unwrap().stored.is_some()
    };
    assert!(send("a", "x"));
    assert!(!send("a", "x"));
    assert!(send("b", "x"), "another group, another scope");
    assert!(send("a", "y"));
}

#[test]
fn sends_without_group_or_deduplication_id_or_with_a_delay_are_refused() {
    let (mut broker, queue) = broker_with(&[]);
    let mut code = |new| broker.send(START, queue, new).map_err(|error| error.code());
    let complete = NewMessage::new("x").in_group("g").with_deduplication("d");
    assert_eq!(code(NewMessage::new("x")), Err("MissingParameter"));
    assert_eq!(
        code(NewMessage::new("x").in_group("g")),
        Err("InvalidParameterValue")
    );
    assert_eq!(
        code(complete.clone().delayed(1)),
        Err("InvalidParameterValue")
    );
    assert_eq!(
        code(complete.clone().in_group("a b")),
        Err("InvalidParameterValue")
    );
    assert_eq!(
        code(complete.clone().in_group(&"g".repeat(129))),
        Err("InvalidParameterValue")
    );
    assert!(code(complete.in_group(&"g".repeat(128)).delayed(0)).is_ok());
}

#[test]
fn the_queue_delay_holds_for_messages_already_there() {
    let (mut broker, queue) = broker_with(&[Attribute::DelaySeconds(100)]);
    send(&mut broker, queue, "a", "a1");
    send(&mut broker, queue, "a", "a2");
    broker
        .set_attributes(at(5), queue, &[Attribute::DelaySeconds(10)])
        .unwrap();
    assert!(receive(&mut broker, queue, 9).is_empty());
    assert_eq!(payloads(&receive(&mut broker, queue, 10)), ["a1", "a2"]);
}

#[test]
fn an_attempt_id_brings_the_same_messages_again() {
    let (mut broker, queue) = broker_with(&[]);
    send(&mut broker, queue, "a", "a1");
    send(&mut broker, queue, "b", "b1");
    let request = Receive {
        attempt: Some("lost".to_owned()),
        ..Receive::up_to(1)
    };
    let first = broker.receive(START, queue, &request).unwrap();
    let second = broker.receive(at(20), queue, &request).unwrap();
    assert_eq!(first[0].receipt, second[0].receipt);
    assert_eq!(second[0].receives, 1);
    assert_eq!(
        payloads(&receive(&mut broker, queue, 49)),
        ["b1"],
        "hidden anew at 20"
    );
    broker.delete(at(49), queue, &second[0].receipt).unwrap();
    assert!(broker.receive(at(49), queue, &request).unwrap().is_empty());
}

#[test]
fn an_attempt_id_is_remembered_for_five_minutes_from_its_answer() {
    let (mut broker, queue) = broker_with(&[Attribute::VisibilityTimeout(600)]);
    send(&mut broker, queue, "a", "a1");
    send(&mut broker, queue, "b", "b1");
    send(&mut broker, queue, "c", "c1");
    let request = Receive {
        attempt: Some("x".to_owned()),
        ..Receive::up_to(1)
    };
    let mut receive_at = |secs| broker.receive(at(secs), queue, &request).unwrap();
    assert_eq!(payloads(&receive_at(0)), ["a1"]);
    assert_eq!(payloads(&receive_at(299)), ["a1"]);
    let second = receive_at(300);
    assert_eq!(payloads(&second), ["b1"], "a new attempt");
    broker.delete(at(400), queue, &second[0].receipt).unwrap();
    let mut receive_at = |secs| broker.receive(at(secs), queue, &request).unwrap();
    assert_eq!(payloads(&receive_at(400)), ["c1"], "its answer has changed");
    assert_eq!(payloads(&receive_at(699)), ["c1"]);
    assert_eq!(payloads(&receive_at(700)), [""; 0]);
}

#[test]
fn attempt_ids_are_checked_and_are_for_fifo_queues_only() {
    let (mut broker, queue) = broker_with(&[]);
    let plain = broker.create_queue(START, "plain", &[]).unwrap();
    let mut is_taken = |queue, attempt: &str| {
        let request = Receive {
            attempt: Some(attempt.to_owned()),
            ..Receive::up_to(1)
        };
        broker.receive(START, queue, &request).is_ok()
    };
    assert!(is_taken(queue, "x") && is_taken(queue, &"~".repeat(128)));
    for wrong in ["", "a b", "\u{e4}", &"x".repeat(129)] {
        assert!(!is_taken(queue, wrong), "{wrong}");
    }
    assert!(!is_taken(plain, "x"));
}

#[test]
fn more_than_120_000_in_flight_are_not_received_and_not_refused() {
    let (mut broker, queue) = broker_with(&[]);
    for number in 0..=IN_FLIGHT_MAX {
        let new = NewMessage::new("a").in_group(&(number / 10).to_string());
        let new = new.with_deduplication(&number.to_string());
        broker.send(START, queue, new).unwrap();
    }
    let mut last = None;
    for _ in 0..IN_FLIGHT_MAX / 10 {
        let received = receive(&mut broker, queue, 0);
        assert_eq!(received.len(), 10);
        last = received.into_iter().next();
    }
    assert!(receive(&mut broker, queue, 0).is_empty());
    let last = last.unwrap().receipt;
    broker.delete(START, queue, &last).unwrap();
    assert_eq!(receive(&mut broker, queue, 0).len(), 1);
}

#[test]
fn high_throughput_needs_deduplication_by_group() {
    let (mut broker, queue) = broker_with(&[]);
    let limit = Attribute::FifoThroughputLimit(FifoThroughputLimit::PerMessageGroupId);
    let by = Attribute::DeduplicationScope;
    let mut set = |attributes: &[Attribute]| {
        let set = broker.set_attributes(START, queue, attributes);
        set.map_err(|error| error.code())
    };
    let refused = Err("InvalidAttributeValue");
    assert_eq!(set(std::slice::from_ref(&limit)), refused);
    let both = [limit.clone(), by(DeduplicationScope::MessageGroup)];
    assert_eq!(set(&both), Ok(()), "in any order");
    assert_eq!(set(&[by(DeduplicationScope::Queue)]), refused);
    let queue_type = Attribute::FifoQueue;
    assert_eq!(set(&[queue_type(true)]), Ok(()));
    assert_eq!(set(&[queue_type(false)]), refused);
}

#[test]
fn dead_letters_start_anew_in_a_fifo_queue() {
    let (mut broker, queue) = broker_with(&[Attribute::VisibilityTimeout(1)]);
    let fifo = [Attribute::FifoQueue(true)];
    let dead = broker.create_queue(START, "dead.fifo", &fifo).unwrap();
    broker.create_queue(START, "plain", &[]).unwrap();
    let policy = |name| Attribute::RedrivePolicy(Some(RedrivePolicy::new(name, 1)));
    assert!(
        broker
            .set_attributes(START, queue, &[policy("plain")])
            .is_err()
    );
    broker
        .set_attributes(START, queue, &[policy("dead.fifo")])
        .unwrap();
    send(&mut broker, queue, "a", "a1");
    send(&mut broker, queue, "a", "a2");

    let first = broker
        .receive(START, queue, &Receive::up_to(1))
        .unwrap()
        .remove(0);
    assert_eq!(
        payloads(&receive(&mut broker, queue, 1)),
        ["a2"],
        "a1 is moved on the way"
    );
    let letter = receive(&mut broker, dead, 1).remove(0);
    assert_eq!(letter.message_id, first.message_id);
    assert_eq!(letter.sent, at(1));
    assert_eq!(letter.fifo.group.as_deref(), Some("a"));
    assert_eq!(
        letter.fifo.deduplication.as_deref(),
        Some(&*first.message_id.to_string())
    );
}
