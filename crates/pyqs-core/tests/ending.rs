//! Stops that nobody asks for: a burst's, and after so many tasks.

mod scene;

use std::collections::VecDeque;

use pyqs_core::limits::BURST_WAIT;
use pyqs_core::{Action, Ending, Event, MessageKey, Outcome, ProcessId, QueueId, Report};
use pyqs_core::{Settings, Share, Trouble};
use scene::{Q, Replies, Scene, ms, secs};

const OTHER: QueueId = QueueId(1);

/// A scene with so many queues, which are all that there are.
fn scene(settings: Settings, queues: u32, processes: u32) -> Scene {
    let mut scene = Scene::new(settings);
    scene.keeps_polls = true;
    for queue in 0..queues {
        scene.queue(QueueId(queue), 30, false, Share::default());
    }
    scene.processes(processes, None);
    scene.tell(Event::QueuesListed);
    scene
}

fn burst(queues: u32) -> Scene {
    let burst = Settings {
        burst: true,
        ..Settings::default()
    };
    scene(burst, queues, 1)
}

fn limited(tasks_max: u64, processes: u32) -> Scene {
    let limited = Settings {
        tasks_max: Some(tasks_max),
        ..Settings::default()
    };
    scene(limited, 1, processes)
}

/// The queue's open receive finds nothing.
fn find_nothing(scene: &mut Scene, queue: QueueId) {
    scene.wait(BURST_WAIT);
    scene.bring(queue, Vec::new());
}

fn has_ended(scene: &Scene, why: Ending) -> bool {
    scene.reports().contains(&Report::Ends(why))
}

#[test]
fn a_burst_ends_when_two_short_receives_in_a_row_found_nothing() {
    let mut scene = burst(1);
    find_nothing(&mut scene, Q);
    let keys = scene.receive(Q, 1);
    scene.succeed(keys[0]);
    scene.wait(ms(2));
    find_nothing(&mut scene, Q);
    assert!(!has_ended(&scene, Ending::Drained), "one is not enough");
    find_nothing(&mut scene, Q);
    assert!(has_ended(&scene, Ending::Drained) && scene.is_done());
    assert_eq!(scene.deletes(), [keys]);
    let is_short =
        |action: &Action| matches!(action, Action::Receive { wait, .. } if *wait == BURST_WAIT);
    assert_eq!(scene.count(is_short), 4);
    let is_other =
        |action: &Action| matches!(action, Action::Receive { wait, .. } if *wait != BURST_WAIT);
    assert_eq!(scene.count(is_other), 0);
}

#[test]
fn a_burst_looks_twice_again_after_the_last_task_has_ended() {
    let mut scene = burst(2);
    scene.processes(1, None);
    let keys = scene.receive(Q, 1);
    (0..2).for_each(|_| find_nothing(&mut scene, OTHER));
    (0..2).for_each(|_| find_nothing(&mut scene, Q));
    scene.wait(secs(100));
    assert!(!has_ended(&scene, Ending::Drained), "a task runs");
    assert!(scene.polls.values().all(VecDeque::is_empty));
    // It may have sent something, to either.
    scene.succeed(keys[0]);
    scene.wait(ms(2));
    for queue in [Q, OTHER] {
        (0..2).for_each(|_| find_nothing(&mut scene, queue));
    }
    assert!(scene.is_done());
}

#[test]
fn a_burst_waits_for_its_deletes_and_not_for_what_it_hides() {
    let mut scene = burst(1);
    let keys = scene.receive(Q, 2);
    let delay = secs(600);
    scene.end(keys[0], Outcome::Retry { delay }, ms(1));
    scene.replies = Replies::Never;
    scene.succeed(keys[1]);
    scene.wait(ms(2));
    (0..2).for_each(|_| find_nothing(&mut scene, Q));
    assert!(
        !has_ended(&scene, Ending::Drained),
        "a delete is not confirmed"
    );
    let is_delete = |(_, action): &(_, Action)| match action {
        Action::Delete { request, .. } => Some(*request),
        _ => None,
    };
    let request = scene.log.iter().find_map(is_delete).unwrap();
    let reply = Ok(vec![(keys[1], pyqs_core::EntryReply::Done)]);
    scene.tell(Event::Deleted { request, reply });
    assert!(scene.is_done());
    assert_eq!(scene.changes().last().unwrap().2, 600);
}

#[test]
fn a_burst_goes_on_through_trouble_but_a_queue_that_is_gone_is_empty() {
    let mut scene = burst(1);
    for trouble in [Trouble::Unreachable, Trouble::Denied, Trouble::Throttled] {
        let poll = scene.take_poll(Q);
        scene.tell(Event::ReceiveFailed { poll, trouble });
        scene.wait(secs(30));
        assert!(!has_ended(&scene, Ending::Drained), "{trouble:?}");
    }
    for _ in 0..2 {
        let poll = scene.take_poll(Q);
        let trouble = Trouble::QueueMissing;
        scene.tell(Event::ReceiveFailed { poll, trouble });
        scene.wait(secs(30));
    }
    assert!(scene.is_done());
}

#[test]
fn a_burst_without_queues_ends_when_all_are_listed() {
    let burst = Settings {
        burst: true,
        ..Settings::default()
    };
    let mut scene = Scene::new(burst);
    scene.processes(1, None);
    scene.wait(secs(10));
    assert!(!scene.is_done());
    scene.tell(Event::QueuesListed);
    assert!(scene.is_done());
}

#[test]
fn after_so_many_tasks_it_ends_and_gives_back_the_rest() {
    let mut scene = limited(2, 1);
    let poll = scene.log.iter().find_map(|(_, action)| match action {
        Action::Receive { max, .. } => Some(*max),
        _ => None,
    });
    assert!(poll.unwrap() <= 2, "no more is asked for than may run");
    // SQS keeps to that; another queue may bring more.
    let keys = scene.receive(Q, 5);
    scene.end(keys[0], Outcome::Failed, ms(1));
    assert_eq!(scene.dispatched(), keys[..2]);
    scene.wait(ms(2));
    assert!(keys[2..].iter().all(|&key| scene.is_forgotten(key)));
    let given_back: Vec<_> = scene
        .changes()
        .into_iter()
        .filter(|change| change.2 == 0)
        .collect();
    assert_eq!(given_back.len(), 3);
    scene.wait(secs(5));
    assert!(!has_ended(&scene, Ending::TasksMax), "the second one runs");
    assert!(scene.polls[&Q].is_empty(), "nothing more is asked for");
    scene.succeed(keys[1]);
    scene.wait(ms(2));
    assert!(has_ended(&scene, Ending::TasksMax) && scene.is_done());
    assert_eq!(scene.deletes(), [[keys[1]]]);
}

#[test]
fn what_did_not_run_does_not_count() {
    let mut scene = limited(1, 1);
    let ended = |scene: &mut Scene, outcome| {
        let key = scene.receive(Q, 1)[0];
        scene.end(key, outcome, ms(1));
        scene.wait(secs(1));
        key
    };
    ended(&mut scene, Outcome::Unrunnable);
    let refused = ended(&mut scene, Outcome::NotStarted);
    assert_eq!(
        scene.dispatched().last(),
        Some(&refused),
        "it is given once more"
    );
    let process = ProcessId(0);
    let messages = vec![refused];
    scene.tell(Event::TakenBack { process, messages });
    assert!(!has_ended(&scene, Ending::TasksMax));
    let culprits = vec![(refused, Outcome::Failed)];
    scene.tell(Event::ProcessGone { process, culprits });
    assert!(has_ended(&scene, Ending::TasksMax), "a crash is a run");
}

#[test]
fn several_processes_begin_no_more_than_so_many() {
    let mut scene = limited(3, 8);
    let keys: Vec<MessageKey> = scene.receive(Q, 8);
    assert_eq!(scene.dispatched(), keys[..3]);
    keys[..3].iter().for_each(|&key| drop(scene.succeed(key)));
    scene.wait(ms(2));
    assert!(scene.is_done());
}
