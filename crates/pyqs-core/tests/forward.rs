//! Rules 6 and 12: messages that are sent on, by hops until they are due and to dead-letter queues.

mod scene;

use std::time::Duration;

use pyqs_core::{
    Arrival, Counters, EntryReply, Event, GroupId, Instant, MessageKey, Onward, Outcome, Report,
    Share, Trouble,
};
use scene::{Q, Replies, Scene, ms, secs};

const HOUR: u64 = 3600;

fn hop(delay: u64, due: Instant, attempts: u32) -> Onward {
    Onward::Hop {
        delay: secs(delay),
        due,
        attempts,
    }
}

/// Brings a message that is due so much later.
fn bring_due(scene: &mut Scene, left: Duration) -> MessageKey {
    let due = Some(scene.now + left);
    let arrival = Arrival {
        due,
        ..scene.arrival()
    };
    let key = arrival.key;
    scene.bring(Q, vec![arrival]);
    key
}

fn counters(scene: &Scene) -> Counters {
    scene.consumer.snapshot().counters
}

#[test]
fn what_is_not_due_hops_for_as_long_as_sqs_delays() {
    let check = |left: Duration, delay: u64| {
        let mut scene = Scene::with(30, 1);
        let due = scene.now + left;
        let key = bring_due(&mut scene, left);
        assert_eq!(scene.forwards(), [[(key, hop(delay, due, 0))]], "{left:?}");
        assert!(scene.deletes().is_empty(), "not before SQS has it again");
        scene.wait(ms(10));
        assert_eq!(scene.deletes(), [[key]]);
        assert!(scene.is_forgotten(key) && scene.dispatched().is_empty());
        assert_eq!((counters(&scene).hops, counters(&scene).given_back), (1, 0));
        assert!(matches!(scene.reports()[..], [Report::SentOn { .. }]));
    };
    check(ms(1), 1);
    check(secs(1), 1);
    check(ms(59_001), 60);
    check(secs(900), 900);
    check(ms(900_001), 900);
    check(secs(366 * 24 * HOUR), 900);
}

#[test]
fn what_is_due_runs() {
    let mut scene = Scene::with(30, 1);
    let key = bring_due(&mut scene, Duration::ZERO);
    assert!(scene.forwards().is_empty());
    assert_eq!(scene.dispatched(), [key]);
}

#[test]
fn hops_go_in_batches() {
    let mut scene = Scene::with(30, 1);
    for round in 0..3 {
        let messages = (0..10).map(|_| Arrival {
            due: Some(scene.now + secs(60)),
            ..scene.arrival()
        });
        let messages = messages.collect::<Vec<_>>();
        scene.bring(Q, messages);
        let sizes: Vec<usize> = scene.forwards().iter().map(Vec::len).collect();
        assert_eq!(sizes, vec![10; round + 1]);
        scene.wait(ms(10));
    }
}

#[test]
fn the_runs_before_a_hop_count() {
    let mut scene = Scene::with(30, 1);
    let arrival = Arrival {
        attempts_before: 3,
        hop_id: Some("hop".into()),
        receive_count: 2,
        ..scene.arrival()
    };
    scene.bring(Q, vec![arrival]);
    assert_eq!(scene.attempts(), [5]);
}

#[test]
fn nothing_is_deleted_before_the_send_is_confirmed() {
    let mut scene = Scene::with(30, 1);
    scene.sends = Replies::Never;
    let key = bring_due(&mut scene, secs(60));
    scene.wait(secs(20));
    assert!(scene.deletes().is_empty() && !scene.is_forgotten(key));
    assert!(!scene.changes().is_empty(), "its lease is kept meanwhile");
}

#[test]
fn a_refused_hop_hides_the_message_until_it_is_due_and_is_no_run() {
    let check = |left: u64, hidden: u64, sends: Replies| {
        let mut scene = Scene::with(30, 1);
        scene.sends = sends;
        let due = scene.now + secs(left);
        let first = bring_due(&mut scene, secs(left));
        scene.wait(ms(10));
        let told = Report::ForwardRefused {
            message: first,
            queue: Q,
            onward: hop(left.min(900), due, 0),
            hidden_for: secs(hidden),
        };
        assert_eq!(scene.reports(), [told]);
        let changes = scene.changes();
        let last = changes.last().map(|&(_, key, length)| (key, length));
        assert_eq!(last, Some((first, hidden)));
        assert!(scene.deletes().is_empty() && scene.is_forgotten(first));
        assert_eq!(counters(&scene).forwards_refused, 1);

        scene.sleep(secs(left));
        scene.wait(secs(25));
        let again = Arrival {
            id: "1".into(),
            receive_count: 2,
            ..scene.arrival()
        };
        scene.bring(Q, vec![again]);
        assert_eq!(scene.attempts(), [1], "its first receive has run nothing");
    };
    check(60, 60, Replies::Each(EntryReply::Refused));
    check(60, 60, Replies::Trouble(Trouble::Denied));
    check(1200, 1200, Replies::Trouble(Trouble::QueueMissing));
    // SQS hides it for 12 hours in all, of which a minute is left to chance.
    // The millisecond that the answer took is gone.
    let longest = 12 * HOUR - 60 - 1;
    check(30 * HOUR, longest, Replies::Trouble(Trouble::Rejected));
}

#[test]
fn a_send_that_may_have_been_carried_out_is_told_of_and_repeated() {
    let check = |sends: Replies, unsure: u64| {
        let mut scene = Scene::with(30, 1);
        scene.sends = sends;
        let key = bring_due(&mut scene, secs(60));
        scene.wait(ms(10));
        assert!(scene.deletes().is_empty());
        assert_eq!(counters(&scene).forwards_unsure, unsure);
        scene.sends = Replies::Each(EntryReply::Done);
        scene.wait(secs(2));
        assert_eq!(scene.forwards().len(), 2);
        assert_eq!(scene.deletes(), [[key]]);
        assert_eq!(counters(&scene).hops, 1);
    };
    for lost in [
        Trouble::TimedOut,
        Trouble::Unreachable,
        Trouble::ServerError,
    ] {
        check(Replies::Trouble(lost), 1);
    }
    // These say that nothing was done.
    check(Replies::Trouble(Trouble::Throttled), 0);
    check(Replies::Each(EntryReply::Failed), 0);
}

#[test]
fn a_hop_whose_lease_is_lost_is_left_to_who_gets_the_message_next() {
    let mut scene = Scene::with(5, 1);
    scene.sends = Replies::Each(EntryReply::Failed);
    scene.replies = Replies::Each(EntryReply::Failed);
    let key = bring_due(&mut scene, secs(600));
    scene.wait(secs(6));
    assert!(scene.is_forgotten(key), "its heartbeats have failed");
    let tries = scene.forwards().len();
    scene.wait(secs(30));
    assert_eq!(scene.forwards().len(), tries);
}

#[test]
fn a_message_for_the_dead_letter_queue_is_sent_though_its_lease_is_lost() {
    let mut scene = Scene::with(5, 1);
    let keys = scene.receive(Q, 1);
    scene.sends = Replies::Each(EntryReply::Failed);
    scene.replies = Replies::Each(EntryReply::Failed);
    scene.end(keys[0], Outcome::DeadLetter, secs(1));
    scene.wait(secs(60));
    assert!(!scene.is_forgotten(keys[0]));
    scene.sends = Replies::Each(EntryReply::Done);
    scene.replies = Replies::Each(EntryReply::Done);
    scene.wait(secs(10));
    assert_eq!(scene.deletes().last(), Some(&vec![keys[0]]));
    assert_eq!(counters(&scene).dead_lettered, 1);
}

#[test]
fn a_dead_letter_that_can_not_be_sent_stays_for_the_queues_own_timeout() {
    let mut scene = Scene::with(30, 1);
    scene.sends = Replies::Each(EntryReply::Refused);
    let keys = scene.receive(Q, 1);
    scene.end(keys[0], Outcome::DeadLetter, secs(1));
    scene.wait(ms(10));
    let told = Report::ForwardRefused {
        message: keys[0],
        queue: Q,
        onward: Onward::DeadLetter,
        hidden_for: secs(30),
    };
    assert_eq!(scene.reports(), [told]);
    assert!(scene.deletes().is_empty() && scene.is_forgotten(keys[0]));
    let counters = counters(&scene);
    assert_eq!((counters.failed, counters.dead_lettered), (1, 0));
}

#[test]
fn a_retry_hides_the_message_or_hops_where_sqs_would_not_hide_it_for_so_long() {
    let check = |delay: Duration, ran: u64, hidden: Option<u64>| {
        let mut scene = Scene::with(30, 1);
        let keys = scene.receive(Q, 1);
        scene.wait(secs(ran));
        scene.end(keys[0], Outcome::Retry { delay }, secs(ran));
        let due = scene.now + secs(delay.as_secs());
        scene.wait(ms(10));
        if let Some(hidden) = hidden {
            let last = scene.changes().pop();
            assert_eq!(last.map(|(_, _, length)| length), Some(hidden));
            assert!(scene.forwards().is_empty());
        } else {
            assert_eq!(scene.forwards(), [[(keys[0], hop(900, due, 1))]]);
            assert_eq!(scene.deletes(), [[keys[0]]]);
        }
        assert!(scene.is_forgotten(keys[0]));
        assert_eq!(counters(&scene).retried, 1);
    };
    check(Duration::ZERO, 1, Some(0));
    check(ms(300), 1, Some(1));
    check(secs(11 * HOUR), 1, Some(11 * HOUR));
    check(secs(11 * HOUR), 2 * HOUR, None);
    check(secs(12 * HOUR), 1, None);
    check(secs(40 * 24 * HOUR), 1, None);
}

#[test]
fn what_is_postponed_hops_and_no_run_of_it_counts() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 1);
    let delay = ms(4_200);
    scene.end(keys[0], Outcome::Postponed { delay }, ms(1));
    let due = scene.now + secs(5);
    assert_eq!(scene.forwards(), [[(keys[0], hop(5, due, 0))]]);
    scene.wait(ms(10));
    assert_eq!(scene.deletes(), [[keys[0]]]);
    assert!(scene.is_forgotten(keys[0]));
    let counters = counters(&scene);
    assert_eq!(
        (counters.hops, counters.failed, counters.succeeded),
        (1, 0, 0)
    );
}

#[test]
fn on_a_fifo_queue_what_is_postponed_is_hidden_with_its_group() {
    let mut scene = Scene::new(pyqs_core::Settings::default());
    scene.queue(Q, 30, true, Share::default());
    scene.processes(1, None);
    let keys = scene.receive_groups("aa");
    let delay = Duration::ZERO;
    scene.end(keys[0], Outcome::Postponed { delay }, ms(1));
    scene.wait(ms(10));
    assert!(scene.forwards().is_empty(), "it would be behind its group");
    let changes = scene.changes().into_iter();
    let mut changes: Vec<_> = changes.map(|(_, key, length)| (key, length)).collect();
    changes.sort_unstable();
    assert_eq!(changes, [(keys[0], 1), (keys[1], 0)]);
}

#[test]
fn on_a_fifo_queue_a_long_retry_hides_the_group_for_as_long_as_sqs_does() {
    let mut scene = Scene::new(pyqs_core::Settings::default());
    scene.queue(Q, 30, true, Share::default());
    scene.processes(1, None);
    let keys = scene.receive_groups("a");
    let delay = secs(20 * HOUR);
    scene.end(keys[0], Outcome::Retry { delay }, secs(1));
    scene.wait(ms(10));
    assert!(scene.forwards().is_empty(), "it would be behind its group");
    let last = scene.changes().pop();
    assert_eq!(last.map(|(.., length)| length), Some(12 * HOUR - 60));
}

#[test]
fn on_a_fifo_queue_what_is_not_due_waits_hidden_and_its_group_goes_back() {
    let mut scene = Scene::new(pyqs_core::Settings::default());
    scene.queue(Q, 30, true, Share::default());
    scene.processes(1, None);
    let of_group = |scene: &mut Scene, due| Arrival {
        group: Some(GroupId::from("a")),
        due,
        ..scene.arrival()
    };
    let due = Some(scene.now + secs(600));
    let (first, second) = (of_group(&mut scene, due), of_group(&mut scene, None));
    scene.bring(Q, vec![first.clone(), second.clone()]);
    scene.wait(ms(10));
    assert!(scene.dispatched().is_empty() && scene.forwards().is_empty());
    let mut changes: Vec<_> = scene.changes().into_iter().collect();
    changes.sort_by_key(|&(_, key, _)| key);
    let changes: Vec<_> = changes
        .iter()
        .map(|&(_, key, length)| (key, length))
        .collect();
    assert_eq!(changes, [(first.key, 600), (second.key, 0)]);
}

#[test]
fn what_was_sent_on_and_comes_again_is_deleted_and_what_was_made_of_it_runs() {
    let mut scene = Scene::with(30, 1);
    let first = bring_due(&mut scene, secs(60));
    scene.wait(secs(61));
    let duplicate = Arrival {
        id: "1".into(),
        receive_count: 2,
        ..scene.arrival()
    };
    let hopped = Arrival {
        id: "1".into(),
        hop_id: Some("hop".into()),
        ..scene.arrival()
    };
    scene.bring(Q, vec![duplicate.clone(), hopped.clone()]);
    assert_eq!(scene.dispatched(), [hopped.key]);
    scene.wait(ms(10));
    assert_eq!(scene.deletes(), [[first], [duplicate.key]]);
    assert_eq!(counters(&scene).duplicates_deleted, 1);

    scene.succeed(hopped.key);
    scene.wait(ms(10));
    assert_eq!(scene.deletes().last(), Some(&vec![hopped.key]));
}

#[test]
fn a_delivery_of_what_is_being_sent_on_waits_for_the_outcome() {
    let mut scene = Scene::with(30, 1);
    scene.sends = Replies::Never;
    let first = bring_due(&mut scene, secs(600));
    scene.wait(secs(21));
    let again = Arrival {
        id: "1".into(),
        receive_count: 2,
        due: Some(scene.now + secs(579)),
        ..scene.arrival()
    };
    scene.bring(Q, vec![again.clone()]);
    let told = Report::Redelivered {
        message: again.key,
        earlier: first,
    };
    assert_eq!(scene.reports(), [told]);
    assert!(scene.is_forgotten(again.key) && !scene.is_forgotten(first));
    assert_eq!(scene.forwards().len(), 1, "one is enough");
}

#[test]
fn a_stop_waits_for_what_is_being_sent_on() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 1);
    scene.tell(Event::Stop { now: false });
    scene.end(keys[0], Outcome::DeadLetter, secs(1));
    assert!(!scene.is_done());
    scene.wait(secs(25));
    assert!(scene.is_done());
    assert_eq!(scene.deletes(), [[keys[0]]]);
}

#[test]
fn a_retry_at_a_stop_is_sent_on_as_well() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 1);
    scene.tell(Event::Stop { now: false });
    let delay = secs(24 * HOUR);
    scene.end(keys[0], Outcome::Retry { delay }, secs(1));
    scene.wait(secs(25));
    assert!(scene.is_done());
    assert_eq!((scene.forwards().len(), scene.deletes().len()), (1, 1));
}

#[test]
fn what_has_expired_is_deleted_unrun() {
    let mut scene = Scene::with(30, 1);
    scene.wait(secs(21));
    let arrival = Arrival {
        expires: Some(scene.now),
        due: Some(scene.now + secs(600)),
        ..scene.arrival()
    };
    scene.bring(Q, vec![arrival.clone()]);
    scene.wait(ms(10));
    assert_eq!(scene.deletes(), [[arrival.key]]);
    assert!(scene.forwards().is_empty() && scene.dispatched().is_empty());
    assert_eq!(counters(&scene).expired, 1);
}
