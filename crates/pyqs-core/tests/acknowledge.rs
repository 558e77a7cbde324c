//! Rule 3: a success is deleted once, in good company, and never runs again.

mod scene;

use pyqs_core::{Action, Arrival, EntryReply, Event, MessageKey, Outcome, Report, Trouble};
use scene::{Q, Replies, Scene, ms, secs};

/// The sizes of the delete requests, when so many tasks end in one step, then so many more in
/// another before any reply.
fn check(ended: &[usize], expected: &[usize]) {
    let mut scene = Scene::with(30, 100);
    scene.replies = Replies::Never;
    for &count in ended {
        let keys = scene.receive(Q, count);
        let ends = keys.into_iter().map(|message| {
            let (outcome, took) = (Outcome::Succeeded, ms(1));
            Event::TaskEnded {
                message,
                outcome,
                took,
            }
        });
        let ends = ends.collect();
        scene.tell_all(ends);
    }
    let sizes: Vec<usize> = scene.deletes().iter().map(Vec::len).collect();
    assert_eq!(sizes, expected, "{ended:?} ended");
}

#[test]
fn deletes_go_at_once_when_idle_and_gather_while_others_are_under_way() {
    check(&[1], &[1]);
    check(&[10], &[10]);
    check(&[1, 9], &[1]);
    check(&[1, 5, 5], &[1, 10]);
    check(&[35], &[10, 10, 10]);
}

#[test]
fn nothing_is_deleted_that_did_not_succeed() {
    for outcome in [Outcome::Failed, Outcome::Unrunnable, Outcome::NotStarted] {
        let mut scene = Scene::with(30, 1);
        let keys = scene.receive(Q, 1);
        scene.end(keys[0], outcome, ms(1));
        scene.wait(secs(10));
        assert!(scene.deletes().is_empty(), "{outcome:?}");
    }
}

#[test]
fn failed_entries_are_tried_again_with_backoff_and_the_heartbeat_goes_on() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 1);
    scene.replies = Replies::Each(EntryReply::Failed);
    scene.succeed(keys[0]);
    scene.wait(secs(60));
    let (deletes, beats) = (scene.deletes().len(), scene.changes().len());
    assert!((12..=30).contains(&deletes), "{deletes} tries in a minute");
    assert!(beats >= 3, "{beats} heartbeats");
    assert!(!scene.is_forgotten(keys[0]));
    scene.replies = Replies::Each(EntryReply::Done);
    scene.wait(secs(6));
    assert!(scene.is_forgotten(keys[0]));
    let beats = scene.changes().len();
    scene.wait(secs(60));
    assert_eq!(scene.changes().len(), beats);
}

#[test]
fn a_lost_reply_is_asked_again() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 1);
    scene.replies = Replies::Trouble(Trouble::TimedOut);
    scene.succeed(keys[0]);
    scene.replies = Replies::Each(EntryReply::Done);
    scene.wait(secs(1));
    assert_eq!(scene.deletes(), [[keys[0]], [keys[0]]]);
    assert!(scene.is_forgotten(keys[0]));
}

#[test]
fn an_entry_that_the_reply_does_not_name_counts_as_failed() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 1);
    scene.replies = Replies::Never;
    let actions = scene.succeed(keys[0]);
    let request = actions.iter().find_map(|action| match action {
        Action::Delete { request, .. } => Some(*request),
        _ => None,
    });
    let request = request.expect("it is deleted");
    scene.tell(Event::Deleted {
        request,
        reply: Ok(vec![(MessageKey(999), EntryReply::Done)]),
    });
    scene.wait(secs(1));
    assert_eq!(scene.deletes().len(), 2);
}

#[test]
fn what_can_not_be_deleted_is_told_and_forgotten() {
    let check = |replies: Replies, is_told: bool| {
        let mut scene = Scene::with(30, 1);
        let keys = scene.receive(Q, 1);
        scene.replies = replies;
        scene.succeed(keys[0]);
        scene.wait(secs(1));
        assert!(scene.is_forgotten(keys[0]));
        let report = Report::DeleteGivenUp {
            message: keys[0],
            queue: Q,
        };
        let told = if is_told { vec![report] } else { Vec::new() };
        assert_eq!(scene.reports(), told);
    };
    check(Replies::Each(EntryReply::ReceiptExpired), true);
    check(Replies::Each(EntryReply::Refused), true);
    // With its queue the message is gone too: it will not run again.
    check(Replies::Trouble(Trouble::QueueMissing), false);
}

/// A later delivery of a message.
fn again(scene: &mut Scene, message: &Arrival) -> Arrival {
    Arrival {
        id: message.id.clone(),
        receive_count: message.receive_count + 1,
        ..scene.arrival()
    }
}

#[test]
fn a_success_that_comes_again_is_deleted_without_running() {
    for is_confirmed in [true, false] {
        let mut scene = Scene::with(30, 2);
        let message = scene.arrival();
        scene.bring(Q, vec![message.clone()]);
        if !is_confirmed {
            scene.replies = Replies::Never;
        }
        scene.succeed(message.key);
        scene.wait(ms(5));
        let second = again(&mut scene, &message);
        scene.bring(Q, vec![second.clone()]);
        scene.replies = Replies::Each(EntryReply::Done);
        assert_eq!(scene.dispatched(), [message.key]);
        assert_eq!(
            scene.reports(),
            [Report::DuplicateDeleted {
                message: second.key,
                queue: Q
            }]
        );
        if is_confirmed {
            assert_eq!(scene.deletes(), [[message.key], [second.key]]);
        }
    }
}

#[test]
fn a_message_that_runs_and_comes_again_shares_the_fate_of_the_run() {
    let check = |outcome: Outcome, deleted: usize, changed: usize| {
        let mut scene = Scene::with(30, 2);
        let message = scene.arrival();
        scene.bring(Q, vec![message.clone()]);
        let second = again(&mut scene, &message);
        scene.bring(Q, vec![second.clone()]);
        assert_eq!(
            scene.reports(),
            [Report::Redelivered {
                message: second.key,
                earlier: message.key
            }]
        );
        scene.wait(secs(20));
        let changes = scene.changes().len();
        scene.end(message.key, outcome, secs(20));
        scene.wait(secs(2));
        assert_eq!(scene.dispatched(), [message.key]);
        assert_eq!(scene.deletes().concat().len(), deleted, "{outcome:?}");
        assert_eq!(scene.changes().len() - changes, changed, "{outcome:?}");
        assert!(scene.is_forgotten(message.key) && scene.is_forgotten(second.key));
    };
    check(Outcome::Succeeded, 2, 0);
    check(Outcome::Failed, 0, 2);
    check(Outcome::Unrunnable, 0, 2);
}

#[test]
fn a_buffered_message_that_comes_again_is_held_by_its_later_delivery() {
    let mut scene = Scene::with(30, 2);
    scene.receive(Q, 2);
    assert!(
        scene.polls[&Q].is_empty(),
        "all slots are busy with tasks of unknown length"
    );
    for key in [MessageKey(1), MessageKey(2)] {
        scene.end(key, Outcome::Succeeded, ms(50));
    }
    let held: Vec<Arrival> = (0..4).map(|_| scene.arrival()).collect();
    let second = again(&mut scene, &held[3]);
    scene.bring(Q, held.iter().chain([&second]).cloned().collect());
    assert!(scene.is_forgotten(held[3].key));
    for key in [held[0].key, held[1].key, held[2].key] {
        scene.succeed(key);
    }
    assert_eq!(scene.dispatched().last(), Some(&second.key));
}

#[test]
fn deletes_that_are_never_taken_stop_the_polls_before_memory_fills() {
    let mut scene = Scene::with(30, 4);
    scene.replies = Replies::Trouble(Trouble::Denied);
    let mut received = 0;
    for _ in 0..20_000 {
        if scene.polls.get(&Q).is_some_and(|polls| !polls.is_empty()) {
            let max = usize::from(scene.polls[&Q][0].1);
            for key in scene.receive(Q, max) {
                scene.succeed(key);
                received += 1;
            }
        }
        scene.wait(ms(1));
    }
    let limit = pyqs_core::limits::UNCONFIRMED_MAX;
    assert!(
        (limit..limit + 200).contains(&received),
        "{received} were taken in"
    );
}

#[test]
fn what_succeeded_under_a_consumer_before_this_one_is_deleted_without_running() {
    let mut scene = Scene::with(30, 1);
    let (told, other) = (scene.arrival(), scene.arrival());
    let poll = scene.take_poll(Q);
    let known = Event::KnownToHaveSucceeded {
        message: told.id.clone(),
    };
    let messages = vec![told.clone(), other.clone()];
    scene.tell_all(vec![known, Event::Received { poll, messages }]);
    scene.wait(secs(1));
    assert_eq!(scene.dispatched(), [other.key]);
    assert_eq!(scene.deletes(), [[told.key]]);
    assert_eq!(scene.consumer.snapshot().counters.duplicates_deleted, 1);
}

#[test]
fn a_message_that_was_received_before_is_counted_unless_it_failed_here() {
    let mut scene = Scene::with(30, 1);
    let first = scene.arrival();
    scene.bring(Q, vec![first.clone()]);
    scene.end(first.key, Outcome::Failed, ms(1));
    let mut failed_here = again(&mut scene, &first);
    failed_here.receive_count = 2;
    scene.bring(Q, vec![failed_here.clone()]);
    assert_eq!(scene.consumer.snapshot().counters.unexplained, 0);
    scene.succeed(failed_here.key);
    scene.wait(secs(1));

    let mut from_elsewhere = scene.arrival();
    from_elsewhere.receive_count = 2;
    scene.bring(Q, vec![from_elsewhere]);
    assert_eq!(scene.consumer.snapshot().counters.unexplained, 1);
}
