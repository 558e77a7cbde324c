//! Rule 5: what the limits of a task hold back fills no buffer, and holds up nobody.

mod scene;

use std::time::Duration;

use pyqs_core::limits::HELD_BACK_MAX;
use pyqs_core::{
    Arrival, Event, GroupId, MessageKey, Outcome, QueueAttributes, RateLimit, Share, TaskKind,
    TaskLimits, Work,
};
use scene::{Q, Scene, ms, secs};

const LIMITED: TaskKind = TaskKind(7);
const OTHER: TaskKind = TaskKind(8);

fn declare(scene: &mut Scene, limits: TaskLimits) {
    let kinds = vec![LIMITED];
    scene.tell(Event::TaskDeclared { kinds, limits });
}

fn at_once(tasks_max: u32) -> TaskLimits {
    TaskLimits {
        tasks_max: Some(tasks_max),
        rate: None,
    }
}

fn every(per: Duration) -> TaskLimits {
    TaskLimits {
        tasks_max: None,
        rate: Some(RateLimit { tasks: 1, per }),
    }
}

/// A receive brings so many of the kind.
fn receive(scene: &mut Scene, kind: TaskKind, count: usize) -> Vec<MessageKey> {
    receive_with(scene, count, |arrival| Arrival {
        work: Work::Task(kind),
        ..arrival
    })
}

fn receive_with(
    scene: &mut Scene,
    count: usize,
    change: impl Fn(Arrival) -> Arrival,
) -> Vec<MessageKey> {
    let messages: Vec<Arrival> = (0..count).map(|_| change(scene.arrival())).collect();
    let keys = messages.iter().map(|arrival| arrival.key).collect();
    scene.bring(Q, messages);
    keys
}

#[test]
fn no_more_than_so_many_run_and_others_of_the_queue_do_not_wait() {
    let mut scene = Scene::with(30, 4);
    declare(&mut scene, at_once(1));
    let limited = receive(&mut scene, LIMITED, 3);
    assert_eq!(scene.dispatched(), limited[..1]);
    let others = receive(&mut scene, OTHER, 2);
    assert_eq!(scene.dispatched(), [limited[0], others[0], others[1]]);
    scene.succeed(limited[0]);
    assert_eq!(scene.dispatched().last(), Some(&limited[1]));
    scene.end(limited[1], Outcome::Failed, ms(1));
    assert_eq!(scene.dispatched().last(), Some(&limited[2]));
}

#[test]
fn a_rate_spreads_the_starts() {
    let mut scene = Scene::with(30, 4);
    declare(&mut scene, every(secs(10)));
    let keys = receive(&mut scene, LIMITED, 3);
    for started in 1..=3 {
        assert_eq!(scene.dispatched(), keys[..started]);
        scene.succeed(keys[started - 1]);
        scene.wait(secs(9));
        assert_eq!(scene.dispatched().len(), started);
        scene.wait(ms(1010));
    }
}

#[test]
fn beyond_a_batch_they_are_given_back_until_their_turn() {
    let mut scene = Scene::with(30, 20);
    declare(&mut scene, every(secs(60)));
    let kept = receive(&mut scene, LIMITED, 10);
    let begun = receive(&mut scene, LIMITED, 1);
    scene.wait(ms(1));
    assert_eq!(scene.changes(), [], "one runs, so a batch may wait");
    let beyond = receive(&mut scene, LIMITED, 3);
    scene.wait(ms(2));
    let hidden: Vec<_> = scene
        .changes()
        .into_iter()
        .map(|(_, key, secs)| (key, secs))
        .collect();
    let turns = [660, 720, 780].map(|turn: u64| turn);
    assert_eq!(hidden.len(), 3);
    for ((key, hidden), (expected, turn)) in hidden.into_iter().zip(beyond.iter().zip(turns)) {
        assert_eq!(key, *expected);
        assert!(hidden.abs_diff(turn) <= 1, "{hidden} for {turn}");
    }
    assert_eq!(scene.dispatched(), kept[..1]);
    assert!(!scene.is_forgotten(begun[0]) && beyond.iter().all(|&key| scene.is_forgotten(key)));
    assert_eq!(scene.consumer.snapshot().counters.held_back, 3);
}

#[test]
fn a_queue_of_nothing_else_is_not_swept_through() {
    let mut scene = Scene::with(30, 20);
    declare(&mut scene, every(secs(3600)));
    receive(&mut scene, LIMITED, 10);
    receive(&mut scene, LIMITED, 1);
    let mut receives = 0;
    let end = scene.now + secs(60);
    while scene.now < end {
        if scene.polls[&Q].is_empty() {
            scene.wait(ms(10));
        } else {
            receives += 1;
            receive(&mut scene, LIMITED, 10);
        }
    }
    assert!(receives < 40, "{receives} receives in a minute");
    assert!(scene.consumer.snapshot().queues[&Q].buffered <= 10);
}

#[test]
fn the_start_of_an_unlimited_task_ends_no_pause() {
    let mut scene = Scene::with(30, 20);
    declare(&mut scene, every(secs(3600)));
    let limited = receive(&mut scene, LIMITED, 10);
    let other = receive(&mut scene, OTHER, 1)[0];
    receive(&mut scene, LIMITED, 1);
    receive(&mut scene, LIMITED, 10);
    assert!(scene.polls[&Q].is_empty(), "nothing of that could be used");
    // It waits again, and so it starts again.
    scene.end(other, Outcome::NotStarted, ms(1));
    assert_eq!(scene.dispatched(), [limited[0], other, other]);
    assert!(scene.polls[&Q].is_empty());
    scene.wait(ms(100));
    assert!(!scene.polls[&Q].is_empty());
}

#[test]
fn what_is_held_back_by_a_number_is_hidden_for_a_quarter_of_an_hour_at_most() {
    let mut scene = Scene::with(30, 20);
    declare(&mut scene, at_once(1));
    let first = receive(&mut scene, LIMITED, 1)[0];
    scene.wait(secs(3600));
    scene.end(first, Outcome::Succeeded, secs(3600));
    receive(&mut scene, LIMITED, 11);
    receive(&mut scene, LIMITED, 1);
    scene.wait(ms(2));
    let last = scene.changes().last().unwrap().2;
    assert_eq!(Duration::from_secs(last), HELD_BACK_MAX);
}

#[test]
fn the_last_receive_is_not_spent_unrun() {
    let mut scene = Scene::with(30, 20);
    let attributes = QueueAttributes {
        visibility_timeout: secs(30),
        is_fifo: false,
        receives_max: Some(3),
    };
    scene.tell(Event::QueueChanged {
        queue: Q,
        attributes,
    });
    declare(&mut scene, every(secs(60)));
    receive(&mut scene, LIMITED, 10);
    receive(&mut scene, LIMITED, 1);
    let last = receive_with(&mut scene, 2, |arrival| Arrival {
        work: Work::Task(LIMITED),
        receive_count: 3,
        ..arrival
    });
    scene.wait(secs(1));
    assert_eq!(scene.changes(), []);
    assert!(last.iter().all(|&key| !scene.is_forgotten(key)));
}

#[test]
fn of_an_unknown_task_one_runs_until_its_limits_are_known() {
    let mut scene = Scene::with(30, 4);
    scene.tell(Event::TaskUndeclared {
        kinds: vec![LIMITED],
    });
    let keys = receive(&mut scene, LIMITED, 4);
    assert_eq!(scene.dispatched(), keys[..1]);
    declare(&mut scene, at_once(2));
    assert_eq!(scene.dispatched(), keys[..2], "the first one counts");
    declare(&mut scene, TaskLimits::default());
    assert_eq!(scene.dispatched(), keys);
}

#[test]
fn an_unknown_task_that_ends_and_says_nothing_has_no_limits() {
    let mut scene = Scene::with(30, 4);
    scene.tell(Event::TaskUndeclared {
        kinds: vec![LIMITED],
    });
    let keys = receive(&mut scene, LIMITED, 4);
    scene.end(keys[0], Outcome::Unrunnable, ms(1));
    assert_eq!(scene.dispatched(), keys);
}

#[test]
fn a_group_waits_with_its_head_and_keeps_its_order() {
    let mut scene = Scene::new(pyqs_core::Settings::default());
    scene.queue(Q, 30, true, Share::default());
    scene.processes(4, None);
    declare(&mut scene, at_once(1));
    let of = |kind, group: &str| {
        let group = Some(GroupId::from(group.to_owned()));
        move |arrival| Arrival {
            work: Work::Task(kind),
            group: group.clone(),
            ..arrival
        }
    };
    let running = receive_with(&mut scene, 1, of(LIMITED, "a"))[0];
    let head = receive_with(&mut scene, 1, of(LIMITED, "b"))[0];
    let follower = receive_with(&mut scene, 1, of(OTHER, "b"))[0];
    assert_eq!(scene.dispatched(), [running]);
    scene.succeed(running);
    assert_eq!(scene.dispatched(), [running, head]);
    scene.succeed(head);
    assert_eq!(scene.dispatched(), [running, head, follower]);
}

#[test]
fn an_unknown_task_of_several_queues_runs_once_at_a_time_too() {
    let mut scene = Scene::with(30, 4);
    let kinds = vec![LIMITED];
    scene.tell(Event::TaskUndeclared { kinds });
    let first = receive(&mut scene, LIMITED, 1)[0];
    let kinds = vec![LIMITED, OTHER];
    scene.tell(Event::TaskUndeclared { kinds });
    let second = receive(&mut scene, OTHER, 1)[0];
    assert_eq!(scene.dispatched(), [first]);
    scene.end(first, Outcome::Succeeded, ms(1));
    assert_eq!(scene.dispatched(), [first, second]);
}
