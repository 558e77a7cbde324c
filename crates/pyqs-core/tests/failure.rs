//! Rules 6 to 8: failures, poison, and processes that die.

mod scene;

use std::time::Duration;

use pyqs_core::limits::POISON_GATHERED_MAX;
use pyqs_core::{
    Action, Arrival, Counters, Event, Outcome, ProcessId, RateLimit, Report, Settings, Share,
    TaskKind, Work,
};
use scene::{Q, Scene, ms, secs};

/// What visibility a message gets that fails so long after it was received.
fn check(own_secs: u64, ran: u64, expected: Option<u64>) {
    let mut scene = Scene::with(own_secs, 1);
    let keys = scene.receive(Q, 1);
    scene.wait(secs(ran));
    let before = scene.changes().len();
    scene.end(keys[0], Outcome::Failed, secs(ran));
    scene.wait(ms(10));
    let changes: Vec<u64> = scene.changes()[before..]
        .iter()
        .map(|&(_, _, length)| length)
        .collect();
    assert_eq!(
        changes,
        Vec::from_iter(expected),
        "{own_secs} s, ran {ran} s"
    );
    assert!(scene.is_forgotten(keys[0]));
    assert!(scene.deletes().is_empty());
}

#[test]
fn a_failed_message_is_left_to_the_queues_own_visibility_timeout() {
    // SQS brings it back by itself.
    check(30, 1, None);
    // It was extended: the timeout is set anew.
    check(30, 20, Some(30));
    check(30, 300, Some(30));
    // More than the queue's own was asked for.
    check(2, 1, Some(2));
    // Without a timeout it would come back at once, for ever.
    check(0, 1, Some(1));
}

fn poison(scene: &mut Scene, receive_count: u32) -> Arrival {
    Arrival {
        work: Work::Poison,
        receive_count,
        ..scene.arrival()
    }
}

#[test]
fn poison_is_hidden_longer_with_each_receive_and_told_once() {
    let check = |own_secs: u64, receive_count: u32, hidden: u64| {
        let mut scene = Scene::with(own_secs, 1);
        let arrival = poison(&mut scene, receive_count);
        scene.bring(Q, vec![arrival.clone()]);
        scene.wait(secs(2));
        let (message, hidden_for) = (arrival.key, secs(hidden));
        assert_eq!(
            scene.reports(),
            [Report::PoisonSeen {
                message,
                queue: Q,
                hidden_for
            }]
        );
        assert_eq!(
            scene
                .changes()
                .last()
                .map(|&(_, key, length)| (key, length)),
            Some((message, hidden))
        );
        assert!(scene.is_forgotten(message) && scene.dispatched().is_empty());
    };
    check(30, 1, 30);
    check(30, 2, 60);
    check(30, 5, 480);
    check(30, 6, 900);
    check(30, u32::MAX, 900);
    check(0, 1, 1);
    check(43_200, 1, 900);
}

#[test]
fn what_a_process_can_not_run_is_poison_too() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 1);
    scene.end(keys[0], Outcome::Unrunnable, ms(1));
    assert!(matches!(scene.reports()[..], [Report::PoisonSeen { .. }]));
    scene.wait(POISON_GATHERED_MAX);
    assert_eq!(scene.changes().len(), 1);
    assert_eq!(scene.consumer.snapshot().counters.poison, 1);
}

#[test]
fn a_task_known_to_be_unrunnable_holds_up_nothing_behind_it() {
    let mut scene = Scene::with(30, 1);
    let unknown = |scene: &mut Scene| Arrival {
        work: Work::Task(TaskKind(1)),
        ..scene.arrival()
    };
    let first = [unknown(&mut scene), scene.arrival()];
    scene.bring(Q, first.to_vec());
    let tiny = Duration::from_micros(10);
    scene.end(first[0].key, Outcome::Unrunnable, tiny);
    scene.end(first[1].key, Outcome::Succeeded, tiny);
    scene.wait(secs(21));
    // All are given to the one process at once, as tiny tasks are.
    let next: Vec<Arrival> = (0..9)
        .map(|number| match number % 3 {
            1 => unknown(&mut scene),
            _ => scene.arrival(),
        })
        .collect();
    scene.bring(Q, next.clone());
    let keys = next.iter().map(|arrival| arrival.key);
    assert_eq!(scene.dispatched()[2..], keys.collect::<Vec<_>>());
}

#[test]
fn an_unrunnable_task_spends_no_turn_of_a_limited_rate() {
    let rate = RateLimit {
        tasks: 1,
        per: secs(60),
    };
    let mut scene = Scene::new(Settings::default());
    let share = Share {
        rate: Some(rate),
        ..Share::default()
    };
    scene.queue(Q, 30, false, share);
    scene.processes(1, None);
    for _ in 0..3 {
        let keys = scene.receive(Q, 1);
        assert_eq!(scene.dispatched().last(), keys.first());
        scene.end(keys[0], Outcome::Unrunnable, ms(1));
        scene.wait(ms(500));
    }
    let keys = scene.receive(Q, 1);
    assert_eq!(scene.dispatched().last(), keys.first());
}

#[test]
fn poison_is_hidden_in_full_requests_or_within_a_second() {
    let mut scene = Scene::with(30, 1);
    let requests =
        |scene: &Scene| scene.count(|action| matches!(action, Action::ChangeVisibility { .. }));
    for _ in 0..9 {
        let one = poison(&mut scene, 1);
        scene.bring(Q, vec![one]);
        scene.wait(ms(50));
    }
    assert_eq!(requests(&scene), 0);
    let tenth = poison(&mut scene, 1);
    scene.bring(Q, vec![tenth]);
    assert_eq!((requests(&scene), scene.changes().len()), (1, 10));
    let alone = poison(&mut scene, 1);
    scene.bring(Q, vec![alone.clone()]);
    scene.wait(POISON_GATHERED_MAX.saturating_sub(ms(1)));
    assert_eq!(requests(&scene), 1);
    scene.wait(ms(2));
    assert_eq!(requests(&scene), 2);
    // A stop does not wait for others.
    let last = poison(&mut scene, 1);
    scene.bring(Q, vec![last]);
    scene.tell(Event::Stop { now: false });
    assert_eq!(requests(&scene), 3);
}

#[test]
fn poison_costs_no_slot_and_no_time() {
    let mut scene = Scene::with(30, 1);
    let mut messages: Vec<Arrival> = (0..9).map(|_| poison(&mut scene, 1)).collect();
    let good = scene.arrival();
    messages.push(good.clone());
    scene.bring(Q, messages);
    assert_eq!(scene.dispatched(), [good.key]);
}

#[test]
fn a_crash_charges_the_culprit_and_runs_the_others_elsewhere() {
    let mut scene = Scene::with(30, 1);
    let first = scene.receive(Q, 1);
    scene.succeed(first[0]);
    scene.wait(secs(21));
    let keys = scene.receive(Q, 4);
    assert_eq!(scene.dispatched().len(), 5, "they are tiny");
    scene.processes(1, None);
    scene.succeed(keys[0]);
    scene.tell(Event::ProcessGone {
        process: ProcessId(0),
        culprits: vec![(keys[1], Outcome::Failed)],
    });
    assert_eq!(
        scene.reports(),
        [Report::TaskCrashed {
            message: keys[1],
            process: ProcessId(0)
        }]
    );
    assert_eq!(scene.dispatched()[5..], keys[2..]);
    assert!(scene.is_forgotten(keys[1]));
    let counters = scene.consumer.snapshot().counters;
    assert_eq!(
        (counters.failed, counters.crashed, counters.succeeded),
        (1, 1, 2)
    );
}

#[test]
fn a_crash_goes_by_the_rules_of_its_task() {
    let check = |outcome: Outcome, count: fn(&Counters) -> u64| {
        let mut scene = Scene::with(30, 1);
        let keys = scene.receive(Q, 1);
        scene.tell(Event::ProcessGone {
            process: ProcessId(0),
            culprits: vec![(keys[0], outcome)],
        });
        scene.wait(ms(10));
        let counters = scene.consumer.snapshot().counters;
        let counted = (counters.crashed, counters.failed, count(&counters));
        assert_eq!(counted, (1, 1, 1), "{outcome:?}");
        let changes = scene.changes();
        changes.last().map(|&(_, _, hidden_for)| hidden_for)
    };
    let retry = Outcome::Retry { delay: secs(7) };
    assert_eq!(check(retry, |counters| counters.retried), Some(7));
    assert_eq!(
        check(Outcome::Exhausted, |counters| counters.exhausted),
        None
    );
}

#[test]
fn a_crash_of_a_process_that_had_begun_nothing_charges_nobody() {
    let mut scene = Scene::with(30, 2);
    let keys = scene.receive(Q, 2);
    scene.tell(Event::ProcessGone {
        process: ProcessId(1),
        culprits: Vec::new(),
    });
    assert_eq!(scene.consumer.snapshot().counters.failed, 0);
    scene.processes(1, None);
    assert_eq!(scene.dispatched(), [keys[0], keys[1], keys[1]]);
}

#[test]
fn a_retiring_process_is_given_nothing_more() {
    let mut scene = Scene::with(30, 1);
    let first = scene.receive(Q, 1);
    scene.succeed(first[0]);
    scene.wait(secs(21));
    let keys = scene.receive(Q, 3);
    assert_eq!(scene.dispatched().len(), 4, "they are tiny");
    let process = ProcessId(0);
    let messages = keys[1..].to_vec();
    scene.tell_all(vec![
        Event::TakenBack { process, messages },
        Event::ProcessRetiring { process },
    ]);
    scene.succeed(keys[0]);
    scene.wait(secs(5));
    assert_eq!(scene.dispatched().len(), 4, "nor when it is idle");
    scene.tell(Event::ProcessGone {
        process,
        culprits: Vec::new(),
    });
    scene.processes(1, None);
    assert_eq!(scene.dispatched()[4..], keys[1..]);
    let counters = scene.consumer.snapshot().counters;
    assert_eq!((counters.failed, counters.given_back), (0, 0));
}

#[test]
fn what_is_interrupted_without_guilt_runs_elsewhere_at_once() {
    let mut scene = Scene::with(30, 2);
    let keys = scene.receive(Q, 2);
    // Two lanes of one process, which is killed for the first one's task.
    let outcome = Outcome::Failed;
    scene.tell_all(vec![
        Event::TaskEnded {
            message: keys[0],
            outcome,
            took: secs(1),
        },
        Event::ProcessGone {
            process: ProcessId(0),
            culprits: Vec::new(),
        },
        Event::ProcessGone {
            process: ProcessId(1),
            culprits: Vec::new(),
        },
    ]);
    scene.processes(2, None);
    assert_eq!(scene.dispatched(), [keys[0], keys[1], keys[1]]);
    let counters = scene.consumer.snapshot().counters;
    assert_eq!((counters.failed, counters.crashed), (1, 0));
}

#[test]
fn events_about_unknown_things_are_harmless() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 1);
    let key = keys[0];
    scene.succeed(key);
    scene.wait(secs(1));
    let before = scene.log.len();
    for event in [
        Event::TaskEnded {
            message: key,
            outcome: Outcome::Failed,
            took: ms(1),
        },
        Event::TakenBack {
            process: ProcessId(77),
            messages: vec![key],
        },
        Event::ProcessGone {
            process: ProcessId(77),
            culprits: vec![(key, Outcome::Failed)],
        },
        Event::ProcessRetiring {
            process: ProcessId(77),
        },
        Event::Received {
            poll: pyqs_core::PollId(999),
            messages: vec![scene.arrival()],
        },
        Event::ReceiveFailed {
            poll: pyqs_core::PollId(999),
            trouble: pyqs_core::Trouble::Denied,
        },
        Event::Deleted {
            request: pyqs_core::RequestId(999),
            reply: Ok(Vec::new()),
        },
        Event::VisibilityChanged {
            request: pyqs_core::RequestId(999),
            reply: Ok(Vec::new()),
        },
        Event::ProcessReady {
            process: ProcessId(0),
            tasks_max: Some(0),
        },
        Event::Timer,
    ] {
        scene.tell(event);
    }
    let later = scene.log[before..]
        .iter()
        .filter(|(_, action)| !matches!(action, Action::Receive { .. }));
    assert_eq!(later.count(), 0);
}
