//! What is to follow a task is sent before its message is deleted, and its task does not run again for it.

mod scene;

use std::time::Duration;

use pyqs_core::limits::LEASE_TOTAL_MAX;
use pyqs_core::{
    Action, Arrival, EntryReply, Event, MessageKey, Onward, Outcome, Report, RequestId, Trouble,
};
use scene::{Q, Replies, Scene, ms, secs};

/// A task has run, and its callbacks are on their way.
fn ended(outcome: Outcome) -> (Scene, MessageKey) {
    let mut scene = Scene::with(30, 1);
    scene.sends = Replies::Never;
    let keys = scene.receive(Q, 1);
    scene.end(keys[0], outcome, ms(1));
    (scene, keys[0])
}

fn forwards(scene: &Scene) -> Vec<(RequestId, Vec<(MessageKey, Onward)>)> {
    let forwards = scene.log.iter().filter_map(|(_, action)| match action {
        Action::Forward {
            request, messages, ..
        } => Some((*request, messages.clone())),
        _ => None,
    });
    forwards.collect()
}

/// Answers the last request to send.
fn answer(scene: &mut Scene, reply: Result<EntryReply, Trouble>) {
    let (request, messages) = forwards(scene).pop().expect("something was sent");
    let reply = reply.map(|entry| messages.iter().map(|&(key, _)| (key, entry)).collect());
    scene.tell(Event::Forwarded { request, reply });
}

#[test]
fn the_delete_follows_the_confirmed_send() {
    for outcome in [Outcome::SucceededWithCallbacks, Outcome::FailedWithErrbacks] {
        let (mut scene, key) = ended(outcome);
        assert_eq!(forwards(&scene).len(), 1);
        assert_eq!(forwards(&scene)[0].1, [(key, Onward::Callbacks)]);
        scene.wait(secs(100));
        assert_eq!(scene.deletes().len(), 0, "{outcome:?}");
        assert!(
            !scene.changes().is_empty(),
            "its lease is kept up meanwhile"
        );
        answer(&mut scene, Ok(EntryReply::Done));
        assert_eq!(scene.deletes(), [[key]]);
        let counters = scene.consumer.snapshot().counters;
        let succeeded = u64::from(outcome == Outcome::SucceededWithCallbacks);
        assert_eq!(
            (
                counters.succeeded,
                counters.failed,
                counters.callbacks_sent,
                counters.retried
            ),
            (succeeded, 1 - succeeded, 1, 0)
        );
    }
}

#[test]
fn what_is_refused_is_sent_again_and_told_once() {
    let (mut scene, key) = ended(Outcome::SucceededWithCallbacks);
    for sent in 1..=10 {
        assert_eq!(forwards(&scene).len(), sent);
        answer(&mut scene, Ok(EntryReply::Refused));
        scene.wait(secs(61));
    }
    let refused = |report: &Report| matches!(report, Report::ForwardRefused { .. });
    assert_eq!(scene.reports().iter().filter(|it| refused(it)).count(), 1);
    assert_eq!(scene.dispatched(), [key], "it does not run again");
    assert!(scene.deletes().is_empty() && !scene.is_forgotten(key));
    answer(&mut scene, Ok(EntryReply::Done));
    assert_eq!(scene.deletes(), [[key]]);
}

#[test]
fn a_lost_answer_is_told_and_sent_again() {
    let (mut scene, key) = ended(Outcome::SucceededWithCallbacks);
    answer(&mut scene, Err(Trouble::TimedOut));
    scene.wait(secs(5));
    assert_eq!(forwards(&scene).len(), 2);
    let unsure = Report::ForwardUnsure {
        message: key,
        queue: Q,
    };
    assert_eq!(scene.reports(), [unsure]);
    assert_eq!(scene.consumer.snapshot().counters.forwards_unsure, 1);
}

#[test]
fn a_delivery_that_comes_meanwhile_takes_over() {
    let (mut scene, key) = ended(Outcome::SucceededWithCallbacks);
    answer(&mut scene, Ok(EntryReply::Refused));
    let again = Arrival {
        receive_count: 2,
        id: key.0.to_string().as_str().into(),
        ..scene.arrival()
    };
    scene.bring(Q, vec![again.clone()]);
    let redelivered = Report::Redelivered {
        message: again.key,
        earlier: key,
    };
    assert!(scene.reports().contains(&redelivered));
    assert!(scene.is_forgotten(key));
    scene.wait(secs(2));
    let (_, sent) = forwards(&scene).pop().expect("sent again");
    assert_eq!(sent, [(again.key, Onward::Callbacks)]);
    answer(&mut scene, Ok(EntryReply::Done));
    assert_eq!(scene.deletes(), [[again.key]]);
    assert_eq!(scene.dispatched(), [key]);
}

#[test]
fn a_delivery_that_comes_after_it_is_deleted_without_running() {
    let (mut scene, key) = ended(Outcome::SucceededWithCallbacks);
    answer(&mut scene, Ok(EntryReply::Done));
    scene.wait(secs(1));
    let again = Arrival {
        receive_count: 2,
        id: key.0.to_string().as_str().into(),
        ..scene.arrival()
    };
    scene.bring(Q, vec![again.clone()]);
    assert_eq!(scene.dispatched(), [key]);
    assert_eq!(scene.deletes(), [[key], [again.key]]);
}

#[test]
fn the_group_goes_on_while_callbacks_are_sent() {
    let mut scene = Scene::new(pyqs_core::Settings::default());
    scene.queue(Q, 30, true, pyqs_core::Share::default());
    scene.processes(1, None);
    let keys = scene.receive_groups("aa");
    scene.end(keys[0], Outcome::SucceededWithCallbacks, ms(1));
    assert_eq!(scene.dispatched(), keys);
}

#[test]
fn it_is_given_up_at_the_end_of_twelve_hours_and_at_a_stop() {
    let given_up = |scene: &Scene, key: MessageKey| {
        let report = Report::CallbacksGivenUp {
            message: key,
            queue: Q,
        };
        scene.reports().contains(&report) && scene.is_forgotten(key)
    };
    let (mut scene, key) = ended(Outcome::SucceededWithCallbacks);
    let end = LEASE_TOTAL_MAX + Duration::from_mins(2);
    while scene.now < pyqs_core::Instant::ORIGIN + end && !given_up(&scene, key) {
        answer(&mut scene, Ok(EntryReply::Refused));
        scene.wait(Duration::from_mins(1));
    }
    assert!(given_up(&scene, key));

    let (mut scene, key) = ended(Outcome::SucceededWithCallbacks);
    answer(&mut scene, Ok(EntryReply::Refused));
    scene.tell(Event::Stop { now: false });
    scene.wait(secs(60));
    assert!(given_up(&scene, key));
    assert!(scene.is_done());
    assert!(scene.deletes().is_empty());
}
