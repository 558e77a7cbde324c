//! Tasks that run on when the consumer that started them is no more: their leases are kept, and they run once.

mod scene;

use std::time::Duration;

use pyqs_core::{
    Arrival, Event, GroupId, MessageKey, Outcome, ProcessId, QueueId, Report, Settings, Share,
    TaskKind, TaskLimits, Work,
};
use scene::{Q, Scene, ms, secs};

const LEFT_BEHIND: ProcessId = ProcessId(77);

/// Takes on a run of so many messages, received 20 s ago.
fn adopt(scene: &mut Scene, count: usize) -> Vec<MessageKey> {
    let messages: Vec<Arrival> = (0..count).map(|_| scene.arrival()).collect();
    let keys = messages.iter().map(|message| message.key).collect();
    scene.tell(Event::Adopted {
        process: LEFT_BEHIND,
        queue: Q,
        messages,
        received: scene.now - secs(20),
    });
    keys
}

/// A consumer that has taken on a task which another had started, on a queue of 30 s.
fn adopting() -> (Scene, MessageKey) {
    let mut scene = Scene::with(30, 1);
    scene.wait(secs(100));
    let keys = adopt(&mut scene, 1);
    scene.wait(ms(2));
    (scene, keys[0])
}

/// The same message, delivered again.
fn again(scene: &mut Scene) -> Arrival {
    Arrival {
        id: "1".into(),
        receive_count: 2,
        ..scene.arrival()
    }
}

fn last_change(scene: &Scene) -> Option<(MessageKey, u64)> {
    scene.changes().last().map(|&(_, key, secs)| (key, secs))
}

#[test]
fn its_lease_is_extended_at_once_and_until_it_ends() {
    let (mut scene, key) = adopting();
    let adopted = scene.now - ms(2);
    let [(at, of, secs_asked)] = scene.changes()[..] else {
        panic!("{:?}", scene.changes());
    };
    assert_eq!((of, secs_asked), (key, 30));
    assert!(at <= adopted + ms(1), "at {at}, and not at {adopted}");
    scene.wait(secs(300));
    let changes = scene.changes();
    assert!((15..=25).contains(&changes.len()), "{changes:?}");
    let all_its_own = changes
        .iter()
        .all(|&(_, of, length)| (of, length) == (key, 30));
    assert!(all_its_own, "{changes:?}");
    scene.end(key, Outcome::Succeeded, secs(300));
    scene.wait(secs(60));
    assert_eq!(scene.deletes(), [[key]]);
    assert!(scene.is_forgotten(key));
    assert_eq!(scene.changes().len(), changes.len());
}

#[test]
fn no_extension_reaches_beyond_the_twelve_hours_since_it_was_received() {
    let mut scene = Scene::with(30, 1);
    scene.wait(secs(100));
    let messages = vec![scene.arrival()];
    scene.now = scene.now + Duration::from_hours(13);
    let received = scene.now - Duration::from_hours(12) + secs(70);
    scene.tell(Event::Adopted {
        process: LEFT_BEHIND,
        queue: Q,
        messages,
        received,
    });
    scene.wait(secs(1));
    let asked: Vec<u64> = scene.changes().iter().map(|change| change.2).collect();
    assert!(asked.iter().all(|&secs| secs <= 10), "{asked:?}");
    let is_told = |report: &Report| matches!(report, Report::LeaseNearItsEnd { .. });
    assert!(scene.reports().iter().any(is_told));
}

#[test]
fn it_takes_no_slot_and_no_task_is_given_to_its_process() {
    let (mut scene, _) = adopting();
    let keys = scene.receive(Q, 1);
    assert_eq!(scene.dispatched(), keys);
    assert_eq!(scene.polls[&Q].len(), 0, "the only process is busy");
}

#[test]
fn a_failure_is_left_to_the_visibility_timeout_and_a_death_too() {
    for dies in [false, true] {
        let (mut scene, key) = adopting();
        if dies {
            scene.tell(Event::ProcessGone {
                process: LEFT_BEHIND,
                culprits: vec![(key, Outcome::DeadLetter)],
            });
        } else {
            scene.end(key, Outcome::Failed, secs(1));
        }
        scene.wait(ms(2));
        assert_eq!(last_change(&scene), Some((key, 30)));
        assert!(scene.is_forgotten(key));
    }
}

#[test]
fn nothing_that_needs_its_body_is_sent() {
    let delay = secs(60);
    for (outcome, hidden_secs) in [
        (Outcome::DeadLetter, 30),
        (Outcome::SucceededWithCallbacks, 30),
        (Outcome::FailedWithErrbacks, 30),
        (Outcome::Postponed { delay }, 60),
        (Outcome::Retry { delay }, 60),
    ] {
        let (mut scene, key) = adopting();
        scene.end(key, outcome, secs(1));
        scene.wait(secs(1));
        assert_eq!(last_change(&scene), Some((key, hidden_secs)), "{outcome:?}");
        assert_eq!(scene.forwards(), Vec::<Vec<_>>::new(), "{outcome:?}");
        assert_eq!(scene.deletes(), Vec::<Vec<_>>::new(), "{outcome:?}");
    }
}

#[test]
fn what_was_interrupted_is_given_back_and_not_started_here() {
    let (mut scene, key) = adopting();
    scene.tell(Event::ProcessGone {
        process: LEFT_BEHIND,
        culprits: Vec::new(),
    });
    scene.wait(ms(2));
    assert_eq!(last_change(&scene), Some((key, 0)));
    assert!(scene.dispatched().is_empty());
}

#[test]
fn when_it_is_delivered_again_it_does_not_run_again() {
    let (mut scene, key) = adopting();
    let message = again(&mut scene);
    let second = message.key;
    scene.bring(Q, vec![message]);
    assert!(scene.dispatched().is_empty());
    let is_told = |report: &Report| matches!(report, Report::Redelivered { .. });
    assert!(scene.reports().iter().any(is_told));
    scene.end(key, Outcome::Succeeded, secs(1));
    scene.wait(ms(5));
    let mut deleted = scene.deletes().concat();
    deleted.sort();
    assert_eq!(deleted, [key, second]);
}

#[test]
fn each_message_of_a_run_has_its_own_lease_and_end() {
    let mut scene = Scene::with(30, 1);
    scene.wait(secs(100));
    let keys = adopt(&mut scene, 3);
    scene.wait(secs(100));
    for key in &keys {
        let own = scene
            .changes()
            .iter()
            .filter(|change| change.1 == *key)
            .count();
        assert!((5..=9).contains(&own), "{own} extensions of {key:?}");
    }
    let ended = [Outcome::Succeeded, Outcome::Failed, Outcome::Succeeded];
    let ended = keys
        .iter()
        .zip(ended)
        .map(|(&message, outcome)| Event::TaskEnded {
            message,
            outcome,
            took: secs(100),
        });
    scene.tell_all(ended.collect());
    scene.wait(ms(5));
    assert_eq!(scene.deletes().concat(), [keys[0], keys[2]]);
    assert_eq!(last_change(&scene), Some((keys[1], 30)));
    assert!(keys.iter().all(|&key| scene.is_forgotten(key)));
}

#[test]
fn its_message_group_waits_for_it() {
    let mut scene = Scene::new(Settings::default());
    scene.queue(Q, 30, true, Share::default());
    scene.processes(2, None);
    let of_group = |scene: &mut Scene| Arrival {
        group: Some(GroupId::from("g")),
        ..scene.arrival()
    };
    let first = of_group(&mut scene);
    let (key, received) = (first.key, scene.now);
    scene.tell(Event::Adopted {
        process: LEFT_BEHIND,
        queue: Q,
        messages: vec![first],
        received,
    });
    let second = of_group(&mut scene);
    let behind = second.key;
    scene.bring(Q, vec![second]);
    assert!(scene.dispatched().is_empty());
    scene.end(key, Outcome::Succeeded, secs(1));
    assert_eq!(scene.dispatched(), [behind]);
}

#[test]
fn it_counts_for_the_limit_of_its_task() {
    let mut scene = Scene::with(30, 2);
    scene.tell(Event::TaskDeclared {
        kinds: vec![TaskKind(0)],
        limits: TaskLimits {
            tasks_max: Some(1),
            rate: None,
        },
    });
    let keys = adopt(&mut scene, 1);
    let waiting = scene.receive(Q, 1);
    assert!(scene.dispatched().is_empty());
    scene.end(keys[0], Outcome::Succeeded, secs(1));
    assert_eq!(scene.dispatched(), waiting);
}

#[test]
fn what_is_not_known_is_let_go() {
    let (mut scene, _) = adopting();
    let known = again(&mut scene);
    let of_no_queue = Arrival {
        work: Work::Poison,
        ..scene.arrival()
    };
    let received = scene.now;
    for (queue, message) in [(Q, known), (QueueId(9), of_no_queue)] {
        let key = message.key;
        scene.tell(Event::Adopted {
            process: ProcessId(78),
            queue,
            messages: vec![message],
            received,
        });
        assert!(scene.is_forgotten(key), "in {queue:?}");
    }
}

#[test]
fn a_stop_waits_for_it() {
    let (mut scene, key) = adopting();
    scene.tell(Event::Stop { now: false });
    scene.wait(secs(60));
    assert!(!scene.is_done());
    scene.end(key, Outcome::Succeeded, secs(60));
    scene.wait(secs(1));
    assert!(scene.is_done());
}
