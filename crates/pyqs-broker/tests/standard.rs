//! Standard queues, through the public API.

use pyqs_broker::limits::IN_FLIGHT_MAX;
use pyqs_broker::{
    Attribute, Broker, Counts, Delivery, Error, NewMessage, QueueId, Receive, RedrivePolicy,
    Settings, Timestamp,
};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn at(secs: u32) -> Timestamp {
    START.plus_secs(secs)
}

fn broker_with(attributes: &[Attribute]) -> (Broker<&'static str>, QueueId) {
    let mut broker = Broker::new(Settings::default());
    let queue = broker.create_queue(START, "email", attributes).unwrap();
    (broker, queue)
}

fn receive_one(
    broker: &mut Broker<&'static str>,
    queue: QueueId,
    secs: u32,
) -> Option<Delivery<&'static str>> {
    broker
        .receive(at(secs), queue, &Receive::up_to(1))
        .unwrap()
        .pop()
}

#[test]
fn a_message_is_hidden_for_the_visibility_timeout_and_comes_back_with_a_new_handle() {
    let (mut broker, queue) = broker_with(&[Attribute::VisibilityTimeout(30)]);
    broker.send(START, queue, NewMessage::new("a")).unwrap();
    let first = receive_one(&mut broker, queue, 0).unwrap();
    assert_eq!(broker.next_wakeup(), Some(at(30)));
    assert!(receive_one(&mut broker, queue, 29).is_none());
    let second = receive_one(&mut broker, queue, 30).unwrap();
    assert_eq!(first.message_id, second.message_id);
    assert_ne!(first.receipt, second.receipt);
    assert_eq!((second.receives, second.first_received), (2, START));

    broker.delete(at(30), queue, &first.receipt).unwrap();
    assert_eq!(
        broker.view(queue).unwrap().counts.in_flight,
        1,
        "a stale handle deletes nothing"
    );
    broker.delete(at(30), queue, &second.receipt).unwrap();
    broker.delete(at(30), queue, &second.receipt).unwrap();
    assert_eq!(broker.view(queue).unwrap().counts, Counts::default());
}

#[test]
fn a_lapsed_message_can_still_be_deleted_until_it_is_received_again() {
    let (mut broker, queue) = broker_with(&[]);
    broker.send(START, queue, NewMessage::new("a")).unwrap();
    let delivery = receive_one(&mut broker, queue, 0).unwrap();
    broker.delete(at(31), queue, &delivery.receipt).unwrap();
    assert!(receive_one(&mut broker, queue, 31).is_none());
}

#[test]
fn delays_by_message_before_those_of_the_queue() {
    let (mut broker, queue) = broker_with(&[Attribute::DelaySeconds(10)]);
    broker
        .send(START, queue, NewMessage::new("queue's"))
        .unwrap();
    broker
        .send(START, queue, NewMessage::new("none").delayed(0))
        .unwrap();
    broker
        .send(START, queue, NewMessage::new("own").delayed(900))
        .unwrap();
    let refusal = broker.send(START, queue, NewMessage::new("long").delayed(901));
    assert_eq!(refusal.unwrap_err().code(), "InvalidParameterValue");
    assert_eq!(broker.view(queue).unwrap().counts.delayed, 2);
    assert_eq!(receive_one(&mut broker, queue, 0).unwrap().payload, "none");
    assert!(receive_one(&mut broker, queue, 9).is_none());
    assert_eq!(
        receive_one(&mut broker, queue, 10).unwrap().payload,
        "queue's"
    );
    let counts = |broker: &Broker<_>| broker.view(queue).unwrap().counts;
    broker.advance(at(899));
    assert_eq!(counts(&broker).delayed, 1);
    broker.advance(at(900));
    assert_eq!(counts(&broker).delayed, 0);
}

#[test]
fn visibility_is_changed_for_this_receive_and_at_most_to_12_hours_from_it() {
    let (mut broker, queue) = broker_with(&[]);
    broker.send(START, queue, NewMessage::new("a")).unwrap();
    let receipt = receive_one(&mut broker, queue, 0).unwrap().receipt;
    broker
        .change_visibility(at(29), queue, &receipt, 60)
        .unwrap();
    assert!(receive_one(&mut broker, queue, 88).is_none());
    broker
        .change_visibility(at(88), queue, &receipt, 43_200 - 88)
        .unwrap();
    let refusal = broker.change_visibility(at(89), queue, &receipt, 43_200 - 88);
    assert_eq!(refusal.unwrap_err().code(), "InvalidParameterValue");
    broker
        .change_visibility(at(90), queue, &receipt, 0)
        .unwrap();
    let late = broker.change_visibility(at(90), queue, &receipt, 5);
    assert_eq!(late, Ok(()), "taken, though it does nothing");

    let again = receive_one(&mut broker, queue, 90).unwrap();
    let refusal = broker
        .change_visibility(at(90), queue, &receipt, 5)
        .unwrap_err();
    assert_eq!(
        refusal.code(),
        "InvalidParameterValue",
        "the handle is stale"
    );
    assert!(receive_one(&mut broker, queue, 119).is_none());
    assert!(
        receive_one(&mut broker, queue, 120).is_some(),
        "back to the queue's timeout"
    );
    drop(again);
}

#[test]
fn a_receive_with_visibility_0_leaves_the_message_receivable() {
    let (mut broker, queue) = broker_with(&[]);
    broker.send(START, queue, NewMessage::new("a")).unwrap();
    for receives in 1..4 {
        let found = broker
            .receive(START, queue, &Receive::up_to(10).hidden_for(0))
            .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].receives, receives);
    }
}

#[test]
fn received_too_often_a_message_moves_to_the_dead_letter_queue() {
    let (mut broker, queue) = broker_with(&[Attribute::VisibilityTimeout(0)]);
    let policy = |name| Attribute::RedrivePolicy(Some(RedrivePolicy::new(name, 2)));
    let refusal = broker.set_attributes(START, queue, &[policy("dead")]);
    assert_eq!(
        refusal.unwrap_err().code(),
        "InvalidParameterValue",
        "it must exist"
    );
    let dead = broker.create_queue(START, "dead", &[]).unwrap();
    broker
        .set_attributes(START, queue, &[policy("dead")])
        .unwrap();
    assert_eq!(broker.dead_letter_sources(dead).unwrap(), ["email"]);

    let sent = broker.send(START, queue, NewMessage::new("a")).unwrap();
    assert!(receive_one(&mut broker, queue, 1).is_some());
    assert!(receive_one(&mut broker, queue, 2).is_some());
    broker.take_woken();
    assert!(receive_one(&mut broker, queue, 3).is_none());
    assert!(
        broker.take_woken().contains(&dead),
        "a poll waiting there must be told"
    );
    let letter = receive_one(&mut broker, dead, 4).unwrap();
    assert_eq!(letter.message_id, sent.message_id);
    assert_eq!(
        (letter.receives, letter.sent, letter.first_received),
        (3, START, at(1))
    );
    assert_eq!(letter.dead_letter_source.as_deref(), Some("email"));
}

#[test]
fn messages_are_dropped_after_the_retention_period_even_in_flight() {
    let (mut broker, queue) = broker_with(&[Attribute::MessageRetentionPeriod(60)]);
    broker.send(START, queue, NewMessage::new("a")).unwrap();
    broker.send(at(30), queue, NewMessage::new("b")).unwrap();
    let delivery = receive_one(&mut broker, queue, 59).unwrap();
    assert_eq!(delivery.payload, "a");
    broker.advance(at(60));
    let counts = broker.view(queue).unwrap().counts;
    assert_eq!((counts.visible, counts.in_flight), (1, 0));
    broker
        .set_attributes(at(60), queue, &[Attribute::MessageRetentionPeriod(120)])
        .unwrap();
    broker.advance(at(149));
    assert_eq!(broker.view(queue).unwrap().counts.visible, 1);
    broker.advance(at(150));
    assert_eq!(broker.view(queue).unwrap().counts.visible, 0);
    assert_eq!(broker.next_wakeup(), None);
}

#[test]
fn an_undone_receive_leaves_no_trace() {
    let (mut broker, queue) = broker_with(&[]);
    broker.send(START, queue, NewMessage::new("a")).unwrap();
    let lost = receive_one(&mut broker, queue, 1).unwrap();
    broker.take_woken();
    broker.release(at(2), queue, &lost.receipt);
    assert!(broker.take_woken().contains(&queue));
    let found = receive_one(&mut broker, queue, 3).unwrap();
    assert_eq!((found.receives, found.first_received), (1, at(3)));
    assert_ne!(found.receipt, lost.receipt);
    broker.release(at(3), queue, &lost.receipt);
    assert!(
        receive_one(&mut broker, queue, 3).is_none(),
        "the lost handle is stale"
    );
}

#[test]
fn more_than_120_000_in_flight_are_refused() {
    let (mut broker, queue) = broker_with(&[]);
    for _ in 0..=IN_FLIGHT_MAX {
        broker.send(START, queue, NewMessage::new("a")).unwrap();
    }
    for _ in 0..IN_FLIGHT_MAX / 10 {
        assert_eq!(
            broker
                .receive(START, queue, &Receive::up_to(10))
                .unwrap()
                .len(),
            10
        );
    }
    let refusal = broker.receive(START, queue, &Receive::up_to(10));
    assert_eq!(refusal.unwrap_err(), Error::OverLimit);
}

#[test]
fn message_size_at_the_limit_and_one_beyond() {
    let mut broker = Broker::new(Settings::default());
    let queue = broker
        .create_queue(START, "small", &[Attribute::MaximumMessageSize(1024)])
        .unwrap();
    assert!(
        broker
            .send(START, queue, NewMessage::new("x".repeat(1024)))
            .is_ok()
    );
    let refusal = broker.send(START, queue, NewMessage::new("x".repeat(1025)));
    assert_eq!(refusal.unwrap_err().code(), "InvalidParameterValue");
}

#[test]
fn receive_parameters_at_the_limit_and_one_beyond() {
    let (mut broker, queue) = broker_with(&[]);
    let mut check = |request: &Receive| broker.receive(START, queue, request).is_ok();
    assert!(check(&Receive::up_to(1)) && check(&Receive::up_to(10)));
    assert!(!check(&Receive::up_to(0)) && !check(&Receive::up_to(11)));
    assert!(check(&Receive::up_to(1).hidden_for(43_200)));
    assert!(!check(&Receive::up_to(1).hidden_for(43_201)));
}

#[test]
fn queues_are_made_found_listed_and_deleted() {
    let (mut broker, queue) = broker_with(&[]);
    assert_eq!(
        broker.create_queue(START, "email", &[]),
        Ok(queue),
        "the same again"
    );
    let refusal = broker.create_queue(START, "email", &[Attribute::VisibilityTimeout(7)]);
    assert_eq!(refusal.unwrap_err().code(), "QueueNameExists");
    assert!(broker.create_queue(START, "e.mail", &[]).is_err());
    assert!(
        broker.create_queue(START, "email.fifo", &[]).is_err(),
        "not asked to be FIFO"
    );
    for name in ["email-2", "else", "email-1"] {
        broker.create_queue(START, name, &[]).unwrap();
    }
    let names: Vec<_> = broker.queue_names("email", None).collect();
    assert_eq!(names, ["email", "email-1", "email-2"]);
    let rest: Vec<_> = broker.queue_names("email", Some("email-1")).collect();
    assert_eq!(rest, ["email-2"]);

    broker.send(START, queue, NewMessage::new("a")).unwrap();
    broker.delete_queue(START, queue).unwrap();
    assert_eq!(broker.queue("email"), Err(Error::QueueDoesNotExist));
    assert_eq!(broker.next_wakeup(), None);
    assert!(broker.receive(START, queue, &Receive::up_to(1)).is_err());
    assert_ne!(broker.create_queue(START, "email", &[]).unwrap(), queue);
}

#[test]
fn cooldowns_of_purge_and_deletion_are_kept_where_asked_for() {
    let mut broker: Broker<&str> = Broker::new(Settings {
        purge_cooldown: true,
        deletion_cooldown: true,
        ..Settings::default()
    });
    let queue = broker.create_queue(START, "email", &[]).unwrap();
    broker.purge(START, queue).unwrap();
    assert_eq!(
        broker.purge(at(59), queue).unwrap_err().code(),
        "PurgeQueueInProgress"
    );
    broker.purge(at(60), queue).unwrap();
    broker.delete_queue(at(60), queue).unwrap();
    let refusal = broker.create_queue(at(119), "email", &[]);
    assert_eq!(refusal, Err(Error::QueueDeletedRecently));
    assert!(broker.create_queue(at(120), "email", &[]).is_ok());
}

#[test]
fn purge_takes_everything() {
    let (mut broker, queue) = broker_with(&[]);
    broker.send(START, queue, NewMessage::new("a")).unwrap();
    broker
        .send(START, queue, NewMessage::new("b").delayed(5))
        .unwrap();
    broker.send(START, queue, NewMessage::new("c")).unwrap();
    let delivery = receive_one(&mut broker, queue, 0).unwrap();
    broker.purge(START, queue).unwrap();
    assert_eq!(broker.view(queue).unwrap().counts, Counts::default());
    assert_eq!(broker.next_wakeup(), None);
    assert_eq!(broker.delete(START, queue, &delivery.receipt), Ok(()));
}

#[test]
fn a_clock_that_steps_back_stops_instead() {
    let (mut broker, queue) = broker_with(&[]);
    broker.send(at(100), queue, NewMessage::new("a")).unwrap();
    assert_eq!(broker.advance(at(50)), at(100));
    let delivery = receive_one(&mut broker, queue, 50).unwrap();
    assert_eq!(delivery.first_received, at(100));
}
