//! Rule 11: one message group runs in order, one at a time, and nothing hidden locks it.

mod scene;

use pyqs_core::{
    Action, Arrival, Event, GroupId, MessageKey, Outcome, ProcessId, Settings, Share, Trouble, Work,
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
        let (process, culprit) = (ProcessId(0), Some(key));
        scene.tell(Event::ProcessGone { process, culprit });
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
fn what_comes_back_from_a_process_keeps_its_place() {
    let mut scene = fifo(1);
    let keys = scene.receive_groups("aa");
    scene.tell(Event::ProcessGone {
        process: ProcessId(0),
        culprit: None,
    });
    scene.processes(1, None);
    assert_eq!(scene.dispatched(), [keys[0], keys[0]]);
    assert_eq!(given_back(&scene), []);
}
