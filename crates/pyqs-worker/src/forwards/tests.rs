//! What goes out for a message, and what is made of SQS's answers.

use std::collections::BTreeMap;
use std::time::Duration;

use pyqs_core::{EntryReply, Instant, MessageKey, Onward, QueueId, Trouble};
use pyqs_sqs::carried::{ATTEMPTS, DUE, ID, REASON, SOURCE};
use pyqs_sqs::{AttributeValue, EntryError, Outgoing, Received, SqsError};

use super::{Answers, Destination, Destinations, Forward, REASON_BYTES_MAX, send};
use crate::arrivals::{Arrivals, Held, Letter};
use crate::clock::Clocks;
use crate::fake_sqs::{FakeSqs, url};
use crate::process::wire::DeadLetter;

const NOW: Clocks = Clocks {
    now: Instant::ORIGIN,
    unix_millis: 1_700_000_000_000,
};
const BODY: &str = r#"{"task": "m.f", "args": [], "kwargs": {}}"#;

/// A message as it was received, changed by the test.
fn held(change: impl FnOnce(&mut Received)) -> Held {
    let mut received = Received::new("first", "receipt", BODY);
    change(&mut received);
    let mut arrivals = Arrivals::default();
    let arrival = arrivals.take_in(
        QueueId(0),
        false,
        None,
        Letter::open(received, pyqs_formats::Reader::default()),
        NOW,
    );
    arrivals.take(arrival.key)
}

fn dead(queue: &str, reason: &str, change: impl FnOnce(&mut Received)) -> Held {
    let (queue, reason) = (queue.to_owned(), reason.to_owned());
    Held {
        dead_letter: Some(DeadLetter { queue, reason }),
        ..held(change)
    }
}

fn bytes(value: &[u8]) -> AttributeValue {
    AttributeValue::Binary {
        data_type: "Binary.png".to_owned(),
        value: value.to_vec(),
    }
}

fn numbered(count: usize) -> BTreeMap<String, AttributeValue> {
    let named = (0..count).map(|number| (format!("a{number}"), AttributeValue::text("x")));
    named.collect()
}

fn hop(attempts: u32) -> Onward {
    Onward::Hop {
        delay: Duration::from_mins(15),
        due: Instant::ORIGIN + Duration::from_hours(1),
        attempts,
    }
}

fn forward(held: &Held, onward: Onward) -> Result<Forward, String> {
    forward_of(1, held, onward, NOW)
}

/// The one thing that goes out for a message that is sent on itself.
fn forward_of(key: u64, held: &Held, onward: Onward, now: Clocks) -> Result<Forward, String> {
    let mut all = Forward::all(MessageKey(key), held, &url("email"), onward, now)?;
    assert_eq!(all.len(), 1);
    Ok(all.remove(0))
}

/// The attributes of what goes out.
fn names(message: &Outgoing) -> Vec<&str> {
    message.attributes.keys().map(String::as_str).collect()
}

#[test]
fn a_hop_carries_on_all_that_the_message_has() {
    let held = held(|received| {
        received.group = Some("tenant".to_owned());
        received.trace_header = Some("Root=1-5f".to_owned());
        received.attributes = BTreeMap::from([
            ("picture".to_owned(), bytes(&[0, 255, 7])),
            ("tries".to_owned(), AttributeValue::number(3)),
        ]);
    });
    let forward = forward(&held, hop(2)).unwrap();
    assert_eq!(forward.to, Destination::Url(url("email")));
    let expected = Outgoing {
        delay: Some(Duration::from_mins(15)),
        group: Some("tenant".to_owned()),
        trace_header: Some("Root=1-5f".to_owned()),
        attributes: BTreeMap::from([
            ("picture".to_owned(), bytes(&[0, 255, 7])),
            ("tries".to_owned(), AttributeValue::number(3)),
            (
                DUE.to_owned(),
                AttributeValue::number(1_700_003_600_000_i64),
            ),
            (ID.to_owned(), AttributeValue::text("first")),
            (ATTEMPTS.to_owned(), AttributeValue::number(2)),
        ]),
        ..Outgoing::new(BODY)
    };
    assert_eq!(forward.message, expected);
}

#[test]
fn a_hop_of_a_hop_keeps_the_first_id_and_has_its_own_time() {
    let hopped = held(|received| {
        received.message_id = "second".to_owned();
        received.attributes = BTreeMap::from([
            (DUE.to_owned(), AttributeValue::number(1)),
            (ID.to_owned(), AttributeValue::text("first")),
        ]);
    });
    let message = forward(&hopped, hop(0)).unwrap().message;
    assert_eq!(names(&message), [DUE, ID], "no run, so no attempts");
    assert_eq!(message.attributes[ID], AttributeValue::text("first"));
    assert_eq!(
        message.attributes[DUE],
        AttributeValue::number(1_700_003_600_000_i64)
    );
}

#[test]
fn a_time_is_sent_on_as_it_came_whatever_the_clocks_do_meanwhile() {
    let millis = 1_700_003_600_123_i64;
    let hopped = held(|received| {
        let due = (DUE.to_owned(), AttributeValue::number(millis));
        received.attributes = BTreeMap::from([due]);
    });
    let (due, _) = hopped.due.expect("it says so");
    let later = Clocks {
        now: Instant::ORIGIN + Duration::from_nanos(1_999_999),
        unix_millis: NOW.unix_millis - 1_000_000,
    };
    let carried = |due, attempts| {
        let delay = Duration::from_mins(15);
        let onward = Onward::Hop {
            delay,
            due,
            attempts,
        };
        let forward = forward_of(1, &hopped, onward, later);
        forward.unwrap().message.attributes[DUE].clone()
    };
    assert_eq!(carried(due, 0), AttributeValue::number(millis));
    let retry = later.now + Duration::from_secs(5);
    let expected = AttributeValue::number(later.unix_millis + 5000);
    assert_eq!(carried(retry, 1), expected, "a retry has a time of its own");
}

#[test]
fn where_attributes_are_taken_the_time_comes_first() {
    let with = |count| held(move |received| received.attributes = numbered(count));
    let check = |count, attempts, carried: &[&str]| {
        let message = forward(&with(count), hop(attempts)).unwrap().message;
        let ours = names(&message)
            .into_iter()
            .filter(|name| !name.starts_with('a'));
        assert_eq!(ours.collect::<Vec<_>>(), carried, "beside {count}");
    };
    check(7, 1, &[ATTEMPTS, DUE, ID]);
    check(8, 1, &[DUE, ID]);
    check(9, 1, &[DUE]);
    let refused = forward(&with(10), hop(1)).unwrap_err();
    assert!(refused.contains("all ten"), "{refused}");
}

#[test]
fn where_the_body_has_the_time_no_attribute_need_carry_it() {
    let of_celery = Held {
        is_pointer: false,
        is_due_by_body: true,
        ..held(|received| received.attributes = numbered(10))
    };
    assert_eq!(
        forward(&of_celery, hop(0))
            .unwrap()
            .message
            .attributes
            .len(),
        10
    );
    let retried = forward(&of_celery, hop(1));
    assert!(retried.is_err(), "the body's time is not that of the retry");
}

#[test]
fn a_dead_letter_says_where_it_was_and_why_and_is_not_due_there() {
    let held = dead("email-dead", "ValueError: no", |received| {
        received.group = Some("tenant".to_owned());
        received.attributes = BTreeMap::from([
            ("picture".to_owned(), bytes(b"png")),
            (DUE.to_owned(), AttributeValue::number(1)),
            (ATTEMPTS.to_owned(), AttributeValue::number(4)),
        ]);
    });
    let forward = forward(&held, Onward::DeadLetter).unwrap();
    assert_eq!(forward.to, Destination::Name("email-dead".to_owned()));
    let message = forward.message;
    assert_eq!(names(&message), ["picture", ID, REASON, SOURCE]);
    assert_eq!(
        message.attributes[REASON],
        AttributeValue::text("ValueError: no")
    );
    assert_eq!(message.attributes[SOURCE], AttributeValue::text("email"));
    assert_eq!((message.delay, message.deduplication_id), (None, None));
    assert_eq!(message.group.as_deref(), Some("tenant"));
}

#[test]
fn a_reason_is_made_such_that_sqs_takes_it() {
    let check = |reason: &str, expected: &str| {
        let held = dead("dead", reason, |_| {});
        let message = forward(&held, Onward::DeadLetter).unwrap().message;
        assert_eq!(message.attributes[REASON], AttributeValue::text(expected));
    };
    check("", "?");
    check("a\0b\u{fffe}", "a\u{fffd}b\u{fffd}");
    check(
        &"ü".repeat(REASON_BYTES_MAX),
        &"ü".repeat(REASON_BYTES_MAX / 2),
    );
}

#[test]
fn a_dead_letter_without_room_goes_all_the_same() {
    let full = dead("dead", "why", |received| received.attributes = numbered(10));
    let message = forward(&full, Onward::DeadLetter).unwrap().message;
    assert_eq!(message.attributes, numbered(10));

    let large = dead("dead", "why", |received| {
        received.body = "x".repeat(super::REQUEST_BYTES_MAX - 4);
    });
    let message = forward(&large, Onward::DeadLetter).unwrap().message;
    assert!(message.attributes.is_empty());
}

#[test]
fn a_fifo_dead_letter_queue_needs_a_group() {
    let held = dead("dead.fifo", "why", |_| {});
    let refused = forward(&held, Onward::DeadLetter).unwrap_err();
    assert!(refused.contains("has no group"), "{refused}");

    let held = dead("dead.fifo", "why", |received| {
        received.group = Some("a".to_owned());
    });
    let message = forward(&held, Onward::DeadLetter).unwrap().message;
    assert_eq!(message.deduplication_id.as_deref(), Some("first"));

    let nowhere = self::held(|_| {});
    assert!(forward(&nowhere, Onward::DeadLetter).is_err());
}

/// So many hops on the queue `email`, and a dead letter to each of these.
fn forwards(hops: u64, dead_letters: &[&str]) -> Vec<Forward> {
    let hop = (0..hops).map(|number| (number, held(|_| {}), self::hop(0)));
    let dead_letters = (hops..)
        .zip(dead_letters)
        .map(|(number, queue)| (number, dead(queue, "why", |_| {}), Onward::DeadLetter));
    let all = hop
        .chain(dead_letters)
        .map(|(number, held, onward)| forward_of(number, &held, onward, NOW).unwrap());
    all.collect()
}

struct Sender {
    sqs: FakeSqs,
    destinations: Destinations,
}

impl Sender {
    fn with(queues: &[&str]) -> Self {
        Self {
            sqs: FakeSqs::with(queues),
            destinations: Destinations::default(),
        }
    }

    fn send(&self, forwards: Vec<Forward>) -> Answers {
        let mut answers = Answers::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let sending = send(&self.sqs, &self.destinations, forwards, &mut answers);
        runtime.unwrap().block_on(sending);
        answers
    }
}

fn entries(answers: &Answers) -> Vec<(u64, EntryReply)> {
    let entries = answers.reply().unwrap().into_iter();
    entries.map(|(key, entry)| (key.0, entry)).collect()
}

#[test]
fn messages_of_one_destination_go_together_and_names_are_looked_up_once() {
    let sender = Sender::with(&["email", "dead-a", "dead-b"]);
    for round in 1..=2 {
        let answers = sender.send(forwards(12, &["dead-a", "dead-b", "dead-a"]));
        let mut entries = entries(&answers);
        entries.sort_unstable_by_key(|&(key, _)| key);
        let all: Vec<_> = (0..15).map(|key| (key, EntryReply::Done)).collect();
        assert_eq!(entries, all);
        assert_eq!(sender.sqs.calls("send_batch"), round * 4);
        assert_eq!(sender.sqs.sent("dead-a").len(), round * 2);
    }
    assert_eq!(sender.sqs.calls("queue_url"), 2);
}

#[test]
fn no_request_is_larger_than_sqs_takes() {
    let sender = Sender::with(&["email"]);
    let large = (0..5).map(|number| {
        let held = held(|received| received.body = "x".repeat(400_000));
        forward_of(number, &held, hop(0), NOW).unwrap()
    });
    let answers = sender.send(large.collect());
    assert_eq!(entries(&answers).len(), 5);
    assert_eq!(sender.sqs.calls("send_batch"), 3, "two, two and one");
}

#[test]
fn each_entry_has_its_own_answer() {
    let sender = Sender::with(&["email", "dead"]);
    sender.sqs.refuse_sends(|message| {
        let (code, text) = ("InvalidMessageContents".to_owned(), "no".to_owned());
        match message.delay {
            None => Some(EntryError::Failed {
                code,
                message: text,
            }),
            Some(_) => Some(EntryError::Refused {
                code,
                message: text,
            }),
        }
    });
    let answers = sender.send(forwards(1, &["dead"]));
    let expected = [(0, EntryReply::Refused), (1, EntryReply::Failed)];
    assert_eq!(entries(&answers), expected);
    let reason = "InvalidMessageContents: no".to_owned();
    assert_eq!(answers.reasons, [(MessageKey(0), reason)]);
}

#[test]
fn a_failure_is_unsure_only_where_the_message_may_be_there() {
    let check = |failure: fn(Box<pyqs_sqs::Failure>) -> SqsError, expected| {
        let sender = Sender::with(&["email"]);
        sender.sqs.fail(failure);
        let reply = sender.send(forwards(1, &[])).reply();
        assert_eq!(reply, expected);
    };
    let all = |entry| Ok(vec![(MessageKey(0), entry)]);
    check(SqsError::TimedOut, Err(Trouble::TimedOut));
    check(SqsError::Unreachable, Err(Trouble::Unreachable));
    check(SqsError::ServerError, Err(Trouble::ServerError));
    check(SqsError::Throttled, all(EntryReply::Failed));
    check(SqsError::CredentialsUnavailable, all(EntryReply::Failed));
    check(SqsError::Denied, all(EntryReply::Refused));
    check(SqsError::Rejected, all(EntryReply::Refused));
}

#[test]
fn where_the_name_can_not_be_looked_up_nothing_was_sent() {
    let sender = Sender::with(&["dead"]);
    sender.sqs.fail(SqsError::TimedOut);
    let answers = sender.send(forwards(0, &["dead"]));
    assert_eq!(entries(&answers), [(0, EntryReply::Failed)]);

    sender.sqs.recover();
    let answers = sender.send(forwards(0, &["dead", "not-there"]));
    let mut entries = entries(&answers);
    entries.sort_unstable_by_key(|&(key, _)| key);
    assert_eq!(entries, [(0, EntryReply::Done), (1, EntryReply::Refused)]);
}

#[test]
fn a_queue_that_was_deleted_is_looked_up_again() {
    let sender = Sender::with(&["dead"]);
    sender.send(forwards(0, &["dead"]));
    sender.sqs.fail(SqsError::QueueMissing);
    let answers = sender.send(forwards(0, &["dead"]));
    assert_eq!(entries(&answers), [(0, EntryReply::Refused)]);
    sender.sqs.recover();
    let answers = sender.send(forwards(0, &["dead"]));
    assert_eq!(entries(&answers), [(0, EntryReply::Done)]);
    assert_eq!(sender.sqs.calls("queue_url"), 2);
}
