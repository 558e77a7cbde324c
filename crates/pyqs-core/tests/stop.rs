//! Rule 9: a stop waits for what runs, and gives back everything else at once.

mod scene;

use pyqs_core::limits::{STOP_NOW_PATIENCE, STOP_PATIENCE, STOP_POLL_GRACE, WAIT_MAX};
use pyqs_core::{Action, Event, MessageKey, Outcome, ProcessId, Report, Settings, Share, Trouble};
use scene::{Q, Replies, Scene, ms, secs};

fn stop(scene: &mut Scene, now: bool) -> Vec<Action> {
    scene.tell(Event::Stop { now })
}

/// A scene with a running task, and two that wait.
fn busy() -> (Scene, Vec<MessageKey>) {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 3);
    (scene, keys)
}

#[test]
fn with_nothing_to_do_a_stop_is_done_at_once() {
    let mut scene = Scene::new(Settings::default());
    assert_eq!(stop(&mut scene, false), [Action::Done]);
    assert_eq!(scene.consumer.next_wakeup(), None);
    assert_eq!(scene.tell(Event::Timer), []);
}

#[test]
fn what_waits_is_given_back_at_once_and_what_runs_may_finish() {
    let (mut scene, keys) = busy();
    stop(&mut scene, false);
    let given_back = [(scene.now, keys[1], 0), (scene.now, keys[2], 0)];
    assert_eq!(scene.changes(), given_back);
    scene.wait(secs(3600));
    assert!(!scene.is_done());
    scene.succeed(keys[0]);
    assert!(!scene.is_done(), "the delete is not confirmed");
    scene.wait(ms(2));
    assert!(scene.is_done());
    assert_eq!(scene.deletes(), [[keys[0]]]);
    assert_eq!(scene.dispatched(), [keys[0]]);
}

#[test]
fn open_polls_are_awaited_and_what_they_bring_is_given_back() {
    let mut scene = Scene::with(30, 1);
    let poll = scene.polls[&Q][0].0;
    assert_eq!(stop(&mut scene, false), [Action::AbandonReceive { poll }]);
    scene.wait(secs(5));
    let keys = scene.receive(Q, 3);
    assert_eq!(scene.changes().len(), 3);
    assert!(!scene.is_done());
    scene.wait(ms(2));
    assert!(scene.is_done() && keys.iter().all(|&key| scene.is_forgotten(key)));
    assert_eq!(scene.consumer.snapshot().counters.given_back, 3);
}

#[test]
fn a_poll_that_hangs_holds_up_a_stop_for_its_own_time_only() {
    let mut scene = Scene::with(30, 1);
    scene.keeps_polls = true;
    scene.wait(secs(15));
    stop(&mut scene, false);
    scene.wait((secs(5) + STOP_POLL_GRACE).saturating_sub(ms(10)));
    assert!(!scene.is_done(), "it may bring something yet");
    scene.wait(ms(20));
    assert!(scene.is_done());
}

#[test]
fn nothing_that_hangs_holds_up_a_stop_for_long() {
    let (mut scene, keys) = busy();
    scene.keeps_polls = true;
    scene.replies = Replies::Never;
    scene.sends = Replies::Never;
    stop(&mut scene, false);
    scene.succeed(keys[0]);
    scene.wait(WAIT_MAX + STOP_POLL_GRACE + STOP_NOW_PATIENCE + ms(10));
    assert!(scene.is_done());
}

#[test]
fn what_a_late_poll_brings_while_a_task_runs_on_is_given_back() {
    let mut scene = Scene::with(30, 2);
    let keys = scene.receive(Q, 1);
    scene.keeps_polls = true;
    stop(&mut scene, false);
    scene.wait(secs(24));
    assert!(!scene.is_done());
    let late = scene.receive(Q, 1);
    scene.wait(ms(10));
    assert!(scene.is_forgotten(late[0]));
    assert_given_back_last(&scene, late[0]);
    scene.succeed(keys[0]);
    scene.wait(ms(10));
    assert!(scene.is_done());
}

#[test]
fn an_abandoned_poll_is_no_trouble() {
    let mut scene = Scene::with(30, 1);
    stop(&mut scene, false);
    let poll = scene.take_poll(Q);
    scene.tell(Event::ReceiveFailed {
        poll,
        trouble: Trouble::Unreachable,
    });
    assert!(scene.is_done());
    assert_eq!(scene.reports(), []);
}

#[test]
fn no_queue_is_polled_and_no_task_started_after_a_stop() {
    let (mut scene, keys) = busy();
    stop(&mut scene, false);
    let polls = scene.count(|action| matches!(action, Action::Receive { .. }));
    scene.processes(4, None);
    scene.succeed(keys[0]);
    scene.wait(secs(60));
    assert_eq!(
        scene.count(|action| matches!(action, Action::Receive { .. })),
        polls
    );
    assert_eq!(scene.dispatched().len(), 1);
}

#[test]
fn a_shutdown_timeout_kills_what_still_runs() {
    let mut scene = Scene::new(Settings {
        shutdown_timeout: Some(secs(10)),
        ..Settings::default()
    });
    scene.queue(Q, 30, false, Share::default());
    scene.processes(1, None);
    let keys = scene.receive(Q, 1);
    stop(&mut scene, false);
    scene.wait(ms(9_900));
    let kill = Action::Kill {
        process: ProcessId(0),
    };
    assert_eq!(scene.count(|action| *action == kill), 0);
    scene.wait(ms(200));
    assert_eq!(scene.count(|action| *action == kill), 1);
    scene.tell(Event::ProcessGone {
        process: ProcessId(0),
        culprits: vec![(keys[0], Outcome::Failed)],
    });
    scene.wait(ms(2));
    assert!(scene.is_done() && scene.deletes().is_empty());
    assert_given_back_last(&scene, keys[0]);
}

#[test]
fn what_a_second_stop_has_killed_is_given_back() {
    let (mut scene, keys) = busy();
    stop(&mut scene, false);
    stop(&mut scene, true);
    scene.tell(Event::ProcessGone {
        process: ProcessId(0),
        culprits: vec![(keys[0], Outcome::Failed)],
    });
    scene.wait(ms(2));
    assert!(scene.is_done());
    assert_given_back_last(&scene, keys[0]);
    assert_eq!(scene.consumer.snapshot().counters.failed, 0);
}

fn assert_given_back_last(scene: &Scene, key: MessageKey) {
    let last = scene
        .changes()
        .last()
        .map(|&(_, key, length)| (key, length));
    assert_eq!(last, Some((key, 0)));
}

#[test]
fn a_second_stop_kills_at_once_and_waits_for_replies_only_shortly() {
    let (mut scene, keys) = busy();
    scene.replies = Replies::Never;
    stop(&mut scene, false);
    scene.wait(secs(1));
    let actions = stop(&mut scene, true);
    assert!(actions.contains(&Action::Kill {
        process: ProcessId(0)
    }));
    assert_eq!(stop(&mut scene, true), []);
    scene.tell(Event::ProcessGone {
        process: ProcessId(0),
        culprits: vec![(keys[0], Outcome::Failed)],
    });
    scene.wait(STOP_NOW_PATIENCE + ms(1));
    assert!(scene.is_done());
    assert!(keys.iter().all(|&key| scene.is_forgotten(key)));
}

#[test]
fn replies_that_never_come_do_not_hold_up_a_stop_for_ever() {
    let (mut scene, keys) = busy();
    scene.replies = Replies::Trouble(Trouble::Unreachable);
    stop(&mut scene, false);
    scene.succeed(keys[0]);
    scene.wait(STOP_PATIENCE.saturating_sub(ms(10)));
    assert!(!scene.is_done());
    scene.wait(ms(20));
    assert!(scene.is_done());
    assert_eq!(
        scene.reports(),
        [Report::DeleteGivenUp {
            message: keys[0],
            queue: Q
        }]
    );
}

#[test]
fn what_was_given_ahead_to_a_process_comes_back_too() {
    let mut scene = Scene::with(30, 1);
    let first = scene.receive(Q, 1);
    scene.succeed(first[0]);
    scene.wait(secs(21));
    let keys = scene.receive(Q, 3);
    let actions = stop(&mut scene, false);
    assert!(actions.contains(&Action::TakeBack {
        process: ProcessId(0)
    }));
    scene.tell(Event::TakenBack {
        process: ProcessId(0),
        messages: keys[1..].to_vec(),
    });
    scene.succeed(keys[0]);
    scene.wait(ms(10));
    assert!(scene.is_done());
    let given_back: Vec<_> = scene
        .changes()
        .into_iter()
        .map(|(_, key, length)| (key, length))
        .collect();
    assert_eq!(given_back, [(keys[1], 0), (keys[2], 0)]);
}

#[test]
fn a_task_that_fails_during_a_stop_is_left_to_its_timeout() {
    let (mut scene, keys) = busy();
    scene.wait(secs(20));
    stop(&mut scene, false);
    scene.end(keys[0], Outcome::Failed, secs(20));
    scene.wait(ms(10));
    assert!(scene.is_done());
    let last = scene
        .changes()
        .last()
        .map(|&(_, key, length)| (key, length));
    assert_eq!(last, Some((keys[0], 30)));
}
