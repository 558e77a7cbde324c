//! Rule 5: queues share the slots, and quick tasks do not wait behind slow ones.

mod scene;

use std::collections::BTreeMap;
use std::time::Duration;

use pyqs_core::limits::{PIPELINE_MAX, STUCK_AFTER};
use pyqs_core::{
    Action, Arrival, Event, Instant, MessageKey, Outcome, ProcessId, QueueId, RateLimit, Settings,
    Share, TaskKind, Work,
};
use scene::{Q, Scene, ms, secs};

/// Queues that are never empty, tasks of given lengths: how much slot time each queue gets, in
/// milliseconds of a minute.
fn slot_time(slots: u32, queues: &[(Share, u64)]) -> Vec<u64> {
    let mut scene = Scene::new(Settings::default());
    for (number, &(share, _)) in (0..).zip(queues) {
        scene.queue(QueueId(number), 600, false, share);
    }
    scene.processes(slots, None);
    let mut spent = vec![0; queues.len()];
    let mut running: BTreeMap<(Instant, MessageKey), (usize, Duration)> = BTreeMap::new();
    let mut queue_of: BTreeMap<MessageKey, usize> = BTreeMap::new();
    let mut seen = 0;
    while scene.now < Instant::ORIGIN + secs(60) {
        for number in 0..queues.len() {
            let id = QueueId(u32::try_from(number).expect("a few"));
            while let Some((_, max, _)) = scene
                .polls
                .get(&id)
                .and_then(|polls| polls.front().copied())
            {
                let work = Work::Task(TaskKind(id.0));
                let messages: Vec<Arrival> = (0..max)
                    .map(|_| Arrival {
                        work,
                        ..scene.arrival()
                    })
                    .collect();
                queue_of.extend(messages.iter().map(|arrival| (arrival.key, number)));
                scene.bring(id, messages);
            }
        }
        for (at, action) in &scene.log[seen..] {
            if let Action::Dispatch { message, .. } = action {
                let number = queue_of[message];
                let took = ms(queues[number].1);
                running.insert((*at + took, *message), (number, took));
            }
        }
        seen = scene.log.len();
        let Some((&(end, _), _)) = running.first_key_value() else {
            break;
        };
        scene.wait(end.saturating_since(scene.now));
        if let Some(((_, message), (number, took))) = running.pop_first() {
            spent[number] += u64::try_from(took.as_millis()).expect("a minute");
            scene.end(message, Outcome::Succeeded, took);
        }
    }
    spent
}

fn weighing(weight: u32) -> Share {
    Share {
        weight,
        ..Share::default()
    }
}

#[test]
fn slot_time_is_shared_by_weight() {
    let check = |slots: u32, queues: &[(Share, u64)], parts: &[u64]| {
        let spent = slot_time(slots, queues);
        let (sum, whole) = (spent.iter().sum::<u64>(), parts.iter().sum::<u64>());
        for (&spent, &part) in spent.iter().zip(parts) {
            let expected = sum * part / whole;
            assert!(
                spent.abs_diff(expected) * 10 <= sum,
                "{spent} ms, expected {expected} of {sum}"
            );
        }
    };
    let even = weighing(1);
    check(4, &[(even, 100), (even, 100)], &[1, 1]);
    check(4, &[(weighing(3), 100), (even, 100)], &[3, 1]);
    check(1, &[(even, 10), (even, 100)], &[1, 1]);
    check(1, &[(even, 1), (even, 100)], &[1, 1]);
    check(
        4,
        &[(even, 100), (even, 100), (weighing(2), 100)],
        &[1, 1, 2],
    );
}

#[test]
fn a_cap_is_kept_and_leaves_the_rest_to_others() {
    let capped = Share {
        tasks_max: Some(1),
        ..Share::default()
    };
    let spent = slot_time(4, &[(capped, 100), (weighing(1), 100)]);
    assert!(
        spent[0].abs_diff(60_000) < 3_000 && spent[1].abs_diff(180_000) < 3_000,
        "{spent:?}"
    );
}

#[test]
fn a_rate_is_kept_and_its_excess_is_never_fetched() {
    let limited = Share {
        rate: Some(RateLimit {
            tasks: 10,
            per: secs(1),
        }),
        ..Share::default()
    };
    // Ten a second of a millisecond each, and all the rest for the other.
    let spent = slot_time(4, &[(limited, 1), (weighing(1), 100)]);
    assert!((590..=601).contains(&spent[0]), "{spent:?}");
    assert!(spent[1] > 170_000, "{spent:?}");
}

#[test]
fn a_slow_rate_holds_no_message_that_may_not_start_within_a_second() {
    let mut scene = Scene::new(Settings::default());
    let rate = Some(RateLimit {
        tasks: 1,
        per: secs(60),
    });
    let share = Share {
        rate,
        ..Share::default()
    };
    scene.queue(Q, 30, false, share);
    scene.processes(4, None);
    for minute in 0..5 {
        assert_eq!(scene.polls[&Q].front().map(|&(_, max, _)| max), Some(1));
        let keys = scene.receive(Q, 1);
        scene.wait(secs(1));
        assert_eq!(scene.dispatched().len(), minute + 1);
        scene.succeed(keys[0]);
        assert_eq!(
            scene.polls[&Q].len(),
            0,
            "the next may not run for a minute"
        );
        let next = Instant::ORIGIN + secs(60) * u32::try_from(minute + 1).expect("a few");
        scene.wait((next - ms(1100)).saturating_since(scene.now));
        assert_eq!(scene.polls[&Q].len(), 0);
        scene.wait(ms(200));
    }
}

#[test]
fn with_priorities_the_first_queue_is_served_first_and_the_next_has_what_is_left() {
    let ranked = |priority| Share {
        priority,
        ..Share::default()
    };
    let spent = slot_time(4, &[(ranked(1), 100), (ranked(0), 100)]);
    assert!(spent[1] > 230_000 && spent[0] < 5_000, "{spent:?}");
    let capped = Share {
        tasks_max: Some(1),
        ..ranked(0)
    };
    let spent = slot_time(4, &[(ranked(1), 100), (capped, 100)]);
    assert!(spent[1] > 57_000 && spent[0] > 170_000, "{spent:?}");
}

const SLOW: QueueId = QueueId(0);
const QUICK: QueueId = QueueId(1);

/// Slow tasks wait in plenty, and the quick queue had a message just now.
fn slow_beside_quick(slots: u32) -> (Scene, Vec<MessageKey>) {
    let mut scene = Scene::new(Settings::default());
    scene.queue(SLOW, 600, false, Share::default());
    scene.queue(QUICK, 600, false, Share::default());
    scene.processes(slots, None);
    let first = scene.receive(SLOW, 1);
    scene.end(first[0], Outcome::Succeeded, ms(200));
    let arrival = Arrival {
        work: Work::Task(TaskKind(1)),
        ..scene.arrival()
    };
    let quick = arrival.key;
    scene.bring(QUICK, vec![arrival]);
    scene.succeed(quick);
    let before = scene.dispatched().len();
    scene.receive(SLOW, 10);
    let running = scene.dispatched().split_off(before);
    (scene, running)
}

#[test]
fn a_slow_queue_leaves_a_slot_free_while_a_quick_one_is_in_use() {
    let (mut scene, running) = slow_beside_quick(4);
    assert_eq!(running.len(), 3);
    // The quick queue's next task finds it.
    let arrival = Arrival {
        work: Work::Task(TaskKind(1)),
        ..scene.arrival()
    };
    let quick = arrival.key;
    scene.bring(QUICK, vec![arrival]);
    assert_eq!(scene.dispatched().last(), Some(&quick));
    scene.succeed(quick);
    // After ten seconds without messages there, all slots are used.
    scene.wait(secs(9));
    assert_eq!(scene.consumer.snapshot().processes_busy, 3);
    scene.wait(secs(2));
    assert_eq!(scene.consumer.snapshot().processes_busy, 4);
}

#[test]
fn a_single_slot_is_used_by_all() {
    let (_, running) = slow_beside_quick(1);
    assert_eq!(running.len(), 1);
}

#[test]
fn slow_queues_alone_use_all_slots() {
    let mut scene = Scene::new(Settings::default());
    for queue in [SLOW, QUICK] {
        scene.queue(queue, 600, false, Share::default());
    }
    scene.processes(4, None);
    for queue in [SLOW, QUICK] {
        let first = scene.receive(queue, 1);
        scene.end(first[0], Outcome::Succeeded, ms(200));
    }
    scene.receive(SLOW, 10);
    assert_eq!(scene.consumer.snapshot().processes_busy, 4);
}

/// One process, ten messages of tasks known to take so long: how many it is given at once.
fn given(took: Duration, interval: Duration) -> usize {
    let mut scene = Scene::new(Settings {
        interval,
        ..Settings::default()
    });
    scene.queue(Q, 600, false, Share::default());
    scene.processes(1, None);
    let first = scene.receive(Q, 1);
    scene.end(first[0], Outcome::Succeeded, took);
    scene.wait(secs(21));
    let before = scene.dispatched().len();
    scene.receive(Q, 100);
    scene.dispatched().len() - before
}

#[test]
fn tiny_tasks_are_pipelined_short_ones_have_the_next_behind_them_and_others_nothing() {
    assert_eq!(given(Duration::from_micros(10), ms(0)), PIPELINE_MAX);
    assert_eq!(given(ms(1), ms(0)), 5);
    assert_eq!(given(ms(2), ms(0)), 3);
    assert_eq!(given(ms(3), ms(0)), 2);
    assert_eq!(given(ms(15), ms(0)), 2);
    assert_eq!(given(ms(16), ms(0)), 1);
    assert_eq!(
        given(Duration::from_micros(10), ms(1)),
        1,
        "a process rests after each task"
    );
}

#[test]
fn what_waits_behind_a_stuck_task_is_taken_back_and_runs_elsewhere() {
    let mut scene = Scene::with(600, 1);
    let first = scene.receive(Q, 1);
    scene.end(first[0], Outcome::Succeeded, Duration::from_micros(10));
    scene.wait(secs(21));
    let keys = scene.receive(Q, 10);
    scene.wait(STUCK_AFTER.saturating_sub(ms(1)));
    let take_back = Action::TakeBack {
        process: ProcessId(0),
    };
    assert_eq!(scene.count(|action| *action == take_back), 0);
    scene.wait(ms(2));
    assert_eq!(scene.count(|action| *action == take_back), 1);
    scene.tell(Event::TakenBack {
        process: ProcessId(0),
        messages: keys[1..].to_vec(),
    });
    scene.wait(secs(5));
    assert_eq!(
        scene.dispatched().len(),
        11,
        "nothing is given behind it again"
    );
    scene.processes(1, None);
    assert_eq!(scene.dispatched()[11..], keys[1..]);
}

#[test]
fn a_process_is_given_no_more_than_its_budget() {
    let mut scene = Scene::new(Settings::default());
    scene.queue(Q, 600, false, Share::default());
    scene.processes(1, Some(3));
    let first = scene.receive(Q, 1);
    scene.end(first[0], Outcome::Succeeded, Duration::from_micros(10));
    scene.wait(secs(21));
    let keys = scene.receive(Q, 10);
    assert_eq!(scene.dispatched().len(), 3);
    for &key in &keys[..2] {
        scene.end(key, Outcome::Succeeded, Duration::from_micros(10));
    }
    assert_eq!(scene.dispatched().len(), 3);
    scene.tell(Event::ProcessGone {
        process: ProcessId(0),
        culprits: Vec::new(),
    });
    scene.processes(1, Some(3));
    assert_eq!(scene.dispatched().len(), 6);
}

#[test]
fn a_process_rests_after_each_task() {
    let mut scene = Scene::new(Settings {
        interval: secs(2),
        ..Settings::default()
    });
    scene.queue(Q, 600, false, Share::default());
    scene.processes(1, None);
    let keys = scene.receive(Q, 2);
    scene.succeed(keys[0]);
    scene.wait(ms(1900));
    assert_eq!(scene.dispatched(), [keys[0]]);
    scene.wait(ms(200));
    assert_eq!(scene.dispatched(), keys);
}
