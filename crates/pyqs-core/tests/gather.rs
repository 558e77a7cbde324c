//! Messages that are run together: how many, when, and what becomes of each.

mod scene;

use std::time::Duration;

use pyqs_core::{
    Action, Arrival, Event, Gather, GroupId, MessageKey, Outcome, ProcessId, Share, TaskKind, Work,
};
use scene::{Q, Scene, ms, secs};

/// A run wants five, and waits two seconds for them.
const FIVE: Gather = Gather {
    max: 5,
    wait: Duration::from_secs(2),
};

fn receive(scene: &mut Scene, groups: &str) -> Vec<MessageKey> {
    let arrivals = groups.chars().map(|group| Arrival {
        group: (group != '-').then(|| GroupId::from(group.to_string())),
        work: Work::Task(TaskKind(7)),
        gather: Some(FIVE),
        ..scene.arrival()
    });
    let arrivals: Vec<_> = arrivals.collect();
    let keys = arrivals.iter().map(|arrival| arrival.key).collect();
    scene.bring(Q, arrivals);
    keys
}

/// The runs that were begun, each with its messages.
fn runs(scene: &Scene) -> Vec<Vec<MessageKey>> {
    let runs = scene.log.iter().filter_map(|(_, action)| match action {
        Action::DispatchTogether { messages, .. } => {
            Some(messages.iter().map(|&(message, _)| message).collect())
        }
        _ => None,
    });
    runs.collect()
}

fn end(scene: &mut Scene, outcomes: &[(MessageKey, Outcome)]) -> Vec<Action> {
    let ended = outcomes.iter().map(|&(message, outcome)| Event::TaskEnded {
        message,
        outcome,
        took: ms(10),
    });
    scene.tell_all(ended.collect())
}

fn fifo() -> Scene {
    let mut scene = Scene::new(pyqs_core::Settings::default());
    scene.queue(Q, 30, true, Share::default());
    scene.processes(2, None);
    scene
}

#[test]
fn a_run_begins_when_it_is_full() {
    let mut scene = Scene::with(30, 2);
    let keys = receive(&mut scene, "-------");
    assert_eq!(runs(&scene), [&keys[..5]]);
    scene.wait(ms(1900));
    assert_eq!(runs(&scene).len(), 1, "two wait for others");
    scene.wait(ms(200));
    assert_eq!(runs(&scene)[1], keys[5..]);
    assert_eq!(scene.consumer.snapshot().counters.dispatched, 7);
}

#[test]
fn what_waits_for_others_gets_them_at_once_although_nobody_knows_how_long_they_take() {
    let mut scene = Scene::with(30, 1);
    receive(&mut scene, "-");
    let asked = scene.log.iter().rev().find_map(|(_, action)| match action {
        Action::Receive { max, .. } => Some(*max),
        _ => None,
    });
    assert_eq!(asked, Some(4), "four are missing");
}

#[test]
fn others_of_the_queue_do_not_wait_with_them() {
    let mut scene = Scene::with(30, 2);
    receive(&mut scene, "--");
    let alone = scene.receive(Q, 1);
    assert_eq!(scene.dispatched(), alone);
    assert!(runs(&scene).is_empty());
}

#[test]
fn each_message_has_its_own_end_and_the_process_is_free_after_the_last() {
    let mut scene = Scene::with(30, 1);
    let keys = receive(&mut scene, "-----");
    let delay = secs(7);
    end(
        &mut scene,
        &[
            (keys[0], Outcome::Succeeded),
            (keys[1], Outcome::Retry { delay }),
            (keys[2], Outcome::Discarded),
            (keys[3], Outcome::DeadLetter),
        ],
    );
    assert_eq!(scene.consumer.snapshot().processes_busy, 1);
    end(&mut scene, &[(keys[4], Outcome::Succeeded)]);
    assert_eq!(scene.consumer.snapshot().processes_busy, 0);
    scene.wait(ms(100));
    let deleted: Vec<_> = scene.deletes().concat();
    assert!(
        [keys[0], keys[2], keys[3], keys[4]]
            .iter()
            .all(|key| deleted.contains(key))
    );
    assert!(!deleted.contains(&keys[1]));
    let hidden = scene.changes();
    assert!(
        hidden
            .iter()
            .any(|&(_, key, secs)| (key, secs) == (keys[1], 7))
    );
    assert_eq!(scene.forwards().concat().len(), 1);
}

#[test]
fn a_crash_charges_all_of_the_run_and_nothing_that_had_not_begun() {
    let mut scene = Scene::with(30, 1);
    let keys = receive(&mut scene, "-----");
    let culprits = keys.iter().map(|&key| (key, Outcome::Failed)).collect();
    let process = ProcessId(0);
    scene.tell(Event::ProcessGone { process, culprits });
    assert_eq!(scene.consumer.snapshot().counters.crashed, 5);
    assert_eq!(scene.consumer.snapshot().counters.failed, 5);

    let mut scene = Scene::with(30, 1);
    let keys = receive(&mut scene, "-----");
    let culprits = Vec::new();
    scene.tell(Event::ProcessGone { process, culprits });
    assert_eq!(scene.consumer.snapshot().counters.crashed, 0);
    scene.processes(1, None);
    assert_eq!(runs(&scene), [&keys[..], &keys[..]], "they run elsewhere");
}

#[test]
fn a_run_that_had_not_begun_comes_back_whole_and_spends_nothing_of_its_process() {
    let mut scene = Scene::new(pyqs_core::Settings::default());
    scene.queue(Q, 30, false, Share::default());
    scene.processes(1, Some(1));
    let keys = receive(&mut scene, "-----");
    let (process, messages) = (ProcessId(0), keys.clone());
    scene.tell(Event::TakenBack { process, messages });
    assert_eq!(runs(&scene), [&keys[..], &keys[..]]);
}

#[test]
fn a_run_counts_as_one_of_its_queues_tasks() {
    let mut scene = Scene::new(pyqs_core::Settings::default());
    let share = Share {
        tasks_max: Some(1),
        ..Share::default()
    };
    scene.queue(Q, 30, false, share);
    scene.processes(2, None);
    let keys = receive(&mut scene, "----------");
    assert_eq!(runs(&scene), [&keys[..5]], "one run at a time");
    let done: Vec<_> = keys[..5]
        .iter()
        .map(|&key| (key, Outcome::Succeeded))
        .collect();
    end(&mut scene, &done);
    assert_eq!(runs(&scene)[1], keys[5..]);
}

#[test]
fn of_a_message_group_what_is_behind_one_that_failed_comes_back_at_once() {
    let mut scene = fifo();
    let keys = receive(&mut scene, "aabab");
    assert_eq!(runs(&scene), [&keys[..]], "in order, and all together");
    end(
        &mut scene,
        &[
            (keys[0], Outcome::Succeeded),
            (keys[1], Outcome::Retry { delay: secs(9) }),
            (keys[2], Outcome::Succeeded),
            (keys[3], Outcome::Succeeded),
            (keys[4], Outcome::Succeeded),
        ],
    );
    scene.wait(ms(100));
    let mut deleted = scene.deletes().concat();
    deleted.sort();
    assert_eq!(deleted, [keys[0], keys[2], keys[4]]);
    let changes: Vec<_> = scene
        .changes()
        .iter()
        .map(|&(_, key, secs)| (key, secs))
        .collect();
    assert_eq!(changes, [(keys[1], 9), (keys[3], 0)]);
}

#[test]
fn a_message_group_goes_on_when_the_whole_run_has_ended() {
    let mut scene = fifo();
    let keys = receive(&mut scene, "aaaaaaa");
    assert_eq!(runs(&scene), [&keys[..5]]);
    scene.wait(secs(3));
    assert_eq!(runs(&scene).len(), 1, "the group is locked");
    let done: Vec<_> = keys[..5]
        .iter()
        .map(|&key| (key, Outcome::Succeeded))
        .collect();
    end(&mut scene, &done);
    assert_eq!(runs(&scene)[1], keys[5..], "they have waited");
}

#[test]
fn leases_are_extended_while_messages_wait_for_others_and_run() {
    let mut scene = Scene::with(5, 1);
    let gather = Gather {
        max: 5,
        wait: secs(60),
    };
    let arrival = Arrival {
        gather: Some(gather),
        ..scene.arrival()
    };
    let key = arrival.key;
    scene.bring(Q, vec![arrival]);
    scene.wait(secs(59));
    assert!(runs(&scene).is_empty());
    assert!(
        scene.changes().len() >= 15,
        "{} heartbeats",
        scene.changes().len()
    );
    scene.wait(secs(1));
    assert_eq!(runs(&scene), [[key]]);
}

#[test]
fn leases_that_are_not_extended_leave_time_for_the_run() {
    let settings = pyqs_core::Settings {
        extend_visibility: false,
        ..pyqs_core::Settings::default()
    };
    let mut scene = Scene::new(settings);
    scene.queue(Q, 30, false, Share::default());
    scene.processes(1, None);
    let gather = Some(Gather {
        max: 5,
        wait: secs(300),
    });
    let arrival = Arrival {
        gather,
        ..scene.arrival()
    };
    let key = arrival.key;
    scene.bring(Q, vec![arrival]);
    scene.wait(secs(14));
    assert!(runs(&scene).is_empty());
    scene.wait(secs(2));
    assert_eq!(runs(&scene), [[key]]);
}

#[test]
fn what_waits_for_others_is_given_back_at_a_stop() {
    let mut scene = Scene::with(30, 1);
    let keys = receive(&mut scene, "--");
    scene.tell(Event::Stop { now: false });
    let changes: Vec<_> = scene
        .changes()
        .iter()
        .map(|&(_, key, secs)| (key, secs))
        .collect();
    assert_eq!(changes, [(keys[0], 0), (keys[1], 0)]);
}

/// As after a lost answer to a hop there may be; each is delivered again before the other has waited its two seconds.
#[test]
fn two_messages_of_one_logical_id_do_not_keep_each_other_waiting() {
    let mut scene = Scene::with(30, 2);
    let arrival = |scene: &mut Scene, number: u32| Arrival {
        id: "same".into(),
        hop_id: Some(number.to_string().into()),
        work: Work::Task(TaskKind(7)),
        gather: Some(FIVE),
        ..scene.arrival()
    };
    for number in [1, 2, 1] {
        let message = arrival(&mut scene, number);
        scene.bring(Q, vec![message]);
        assert_eq!(runs(&scene).len(), 0);
        scene.wait(ms(700));
    }
    assert_eq!(runs(&scene).len(), 1, "the first would have begun by now");
}
