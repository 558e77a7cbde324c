//! Rule 11: one message group runs in order, one at a time, and nothing hidden locks it.

mod scene;

use std::time::Duration;

use pyqs_core::{
    Action, Arrival, Event, GroupId, MessageKey, Outcome, ProcessId, QueueAttributes, Settings,
    Share, Trouble, Work,
};
use scene::{Q, Replies, Scene, ms, secs};

fn fifo(processes: u32) -> Scene {
    let mut scene = Scene::new(Settings::default());
    scene.queue(Q, 30, true, Share::default());
    scene.processes(processes, None);
    scene
}

/// What was given back at once, so far.
fn given_back(scene: &Scene) -> Vec<MessageKey> {
    scene
        .changes()
        .into_iter()
        .filter(|&(_, _, length)| length == 0)
        .map(|(_, key, _)| key)
        .collect()
}

#[test]
fn groups_run_in_order_and_beside_each_other() {
    let mut scene = fifo(4);
    let keys = scene.receive_groups("aabab");
    assert_eq!(scene.dispatched(), [keys[0], keys[2]]);
    scene.succeed(keys[0]);
    scene.succeed(keys[2]);
    assert_eq!(scene.dispatched()[2..], [keys[1], keys[4]]);
    scene.succeed(keys[1]);
    assert_eq!(scene.dispatched()[4..], [keys[3]]);
}

#[test]
fn when_one_does_not_succeed_its_followers_are_given_back_at_once() {
    let check = |end: &dyn Fn(&mut Scene, MessageKey)| {
        let mut scene = fifo(4);
        let keys = scene.receive_groups("aaab");
        end(&mut scene, keys[0]);
        assert_eq!(given_back(&scene), [keys[1], keys[2]]);
        scene.wait(secs(1));
        assert!(
            scene
                .dispatched()
                .iter()
                .all(|key| [keys[0], keys[3]].contains(key))
        );
        assert!(scene.is_forgotten(keys[1]) && scene.is_forgotten(keys[2]));
        let held = &scene.consumer.snapshot().queues[&Q];
        assert_eq!((held.buffered, held.releasing), (0, 0));
    };
    check(&|scene, key| drop(scene.end(key, Outcome::Failed, ms(1))));
    check(&|scene, key| drop(scene.end(key, Outcome::Unrunnable, ms(1))));
    check(&|scene, key| {
        scene.end(key, Outcome::NotStarted, ms(1));
        scene.end(key, Outcome::NotStarted, ms(1));
    });
    check(&|scene, key| {
        let (process, culprits) = (ProcessId(0), vec![(key, Outcome::Failed)]);
        scene.tell(Event::ProcessGone { process, culprits });
    });
}

#[test]
fn a_lease_lost_while_running_gives_back_the_followers() {
    let mut scene = fifo(1);
    let keys = scene.receive_groups("aa");
    scene.replies = Replies::Each(pyqs_core::EntryReply::ReceiptExpired);
    scene.wait(secs(16));
    assert!(scene.is_forgotten(keys[1]));
    scene.succeed(keys[0]);
    assert_eq!(scene.dispatched(), [keys[0]]);
}

#[test]
fn a_follower_that_is_given_back_gets_no_heartbeat_in_the_same_step() {
    let mut scene = fifo(2);
    scene.replies = Replies::Never;
    let first = scene.receive_groups("a");
    scene.wait(secs(10));
    let second = scene.receive_groups("a");
    scene.wait(secs(6));
    // The machine sleeps until the heartbeat of the second is due and the lease of the first, whose
    // heartbeat has no answer, has lapsed.
    scene.sleep(secs(15));
    scene.tell(Event::Timer);
    let changes: Vec<_> = scene
        .changes()
        .into_iter()
        .map(|(_, key, length)| (key, length))
        .collect();
    assert_eq!(changes, [(first[0], 30), (second[0], 0)]);
}

#[test]
fn poison_waits_for_its_turn_and_then_stops_its_group() {
    let mut scene = fifo(4);
    let group = Some(GroupId::from("a"));
    let messages: Vec<Arrival> = [
        Work::Task(pyqs_core::TaskKind(0)),
        Work::Poison,
        Work::Task(pyqs_core::TaskKind(0)),
    ]
    .into_iter()
    .map(|work| Arrival {
        work,
        group: group.clone(),
        ..scene.arrival()
    })
    .collect();
    let keys: Vec<MessageKey> = messages.iter().map(|arrival| arrival.key).collect();
    scene.bring(Q, messages);
    assert_eq!(scene.changes(), []);
    scene.succeed(keys[0]);
    let changes: Vec<_> = scene
        .changes()
        .into_iter()
        .map(|(_, key, length)| (key, length))
        .collect();
    assert_eq!(changes, [(keys[2], 0), (keys[1], 30)]);
    assert_eq!(scene.dispatched(), [keys[0]]);
}

#[test]
fn a_group_on_a_standard_queue_locks_nothing() {
    let mut scene = Scene::with(30, 4);
    scene.receive_groups("aaa");
    assert_eq!(scene.dispatched().len(), 3);
}

/// What the next poll asks for once a task of the group took so long, on a queue with that
/// `maxReceiveCount`, when a message failed at that receive.
fn max_asked(took: Duration, receives_max: Option<u32>, failed_at: Option<u32>) -> Option<u8> {
    let mut scene = Scene::new(Settings::default());
    let attributes = QueueAttributes {
        visibility_timeout: secs(30),
        is_fifo: true,
        receives_max,
    };
    scene.tell(Event::QueueAdded {
        queue: Q,
        attributes,
        share: Share::default(),
    });
    scene.processes(2, None);
    let arrival = Arrival {
        group: Some(GroupId::from("a")),
        receive_count: failed_at.unwrap_or(1),
        ..scene.arrival()
    };
    scene.bring(Q, vec![arrival.clone()]);
    let outcome = if failed_at.is_some() {
        Outcome::Failed
    } else {
        Outcome::Succeeded
    };
    scene.end(arrival.key, outcome, took);
    scene.wait(secs(25));
    scene.polls[&Q].back().map(|&(_, max, _)| max)
}

#[test]
fn no_more_of_a_group_is_taken_than_one_slot_will_start_soon() {
    assert_eq!(max_asked(ms(1), None, None), Some(10));
    assert_eq!(max_asked(ms(200), None, None), Some(5));
    assert_eq!(max_asked(secs(5), None, None), Some(1));
    let mut unknown = fifo(8);
    assert_eq!(unknown.polls[&Q].back().map(|&(_, max, _)| max), Some(1));
    unknown.receive_groups("a");
    assert_eq!(unknown.polls[&Q].len(), 2, "a full batch: there is more");
}

#[test]
fn a_message_near_its_last_receive_takes_no_others_along() {
    assert_eq!(max_asked(ms(1), Some(10), Some(4)), Some(10));
    assert_eq!(max_asked(ms(1), Some(10), Some(5)), Some(1));
    assert_eq!(max_asked(ms(1), Some(1), Some(1)), Some(1));
    assert_eq!(max_asked(ms(1), None, Some(100)), Some(10));
}

/// The attempt ids of the polls so far.
fn attempts(scene: &Scene) -> Vec<Option<u64>> {
    let attempts = scene.log.iter().filter_map(|(_, action)| match action {
        Action::Receive { attempt, .. } => Some(*attempt),
        _ => None,
    });
    attempts.collect()
}

#[test]
fn an_attempt_id_is_used_again_only_after_a_lost_reply() {
    let check = |trouble: Option<Trouble>, wait: u64, is_same: bool| {
        let mut scene = fifo(1);
        let poll = scene.take_poll(Q);
        scene.tell(match trouble {
            Some(trouble) => Event::ReceiveFailed { poll, trouble },
            None => Event::Received {
                poll,
                messages: Vec::new(),
            },
        });
        scene.sleep(secs(wait));
        scene.wait(secs(1));
        let attempts = attempts(&scene);
        assert!(attempts[0].is_some() && attempts[1].is_some());
        assert_eq!(
            attempts[0] == attempts[1],
            is_same,
            "{trouble:?} after {wait} s"
        );
    };
    check(Some(Trouble::TimedOut), 0, true);
    check(Some(Trouble::Unreachable), 0, true);
    check(Some(Trouble::ServerError), 0, true);
    check(Some(Trouble::TimedOut), 300, false);
    check(Some(Trouble::Throttled), 0, false);
    check(None, 0, false);
    let mut standard = Scene::with(30, 1);
    standard.wait(secs(1));
    assert_eq!(attempts(&standard), [None]);
}

#[test]
fn a_receive_that_is_asked_again_is_the_same_request() {
    let mut scene = fifo(1);
    let poll = scene.take_poll(Q);
    let (visibility_timeout, is_fifo, receives_max) = (secs(60), true, None);
    let attributes = QueueAttributes {
        visibility_timeout,
        is_fifo,
        receives_max,
    };
    let queue = Q;
    scene.tell(Event::QueueChanged { queue, attributes });
    let trouble = Trouble::TimedOut;
    scene.tell(Event::ReceiveFailed { poll, trouble });
    scene.wait(secs(1));
    let poll = scene.take_poll(Q);
    let messages = Vec::new();
    scene.tell(Event::Received { poll, messages });
    scene.wait(secs(1));
    let asked: Vec<_> = scene
        .log
        .iter()
        .filter_map(|(_, action)| match action {
            Action::Receive { visibility, .. } => Some(visibility.as_secs()),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [30, 30, 60], "SQS knows it by its attempt id");
}

#[test]
fn what_comes_back_from_a_process_keeps_its_place() {
    let mut scene = fifo(1);
    let keys = scene.receive_groups("aa");
    scene.tell(Event::ProcessGone {
        process: ProcessId(0),
        culprits: Vec::new(),
    });
    scene.processes(1, None);
    assert_eq!(scene.dispatched(), [keys[0], keys[0]]);
    assert_eq!(given_back(&scene), []);
}
