//! Named scenes in the simulated world: what users would measure.

use std::collections::BTreeMap;
use std::time::Duration;

use pyqs_core::{Instant, Settings, Share};

use crate::faults::{Ending, Faults, Job, Plan, Poison, QueuePlan};
use crate::world::World;

const MS: Duration = Duration::from_millis(1);

fn queue(visibility_secs: u32) -> QueuePlan {
    QueuePlan {
        visibility_secs,
        is_fifo: false,
        share: Share::default(),
        receives_max: None,
    }
}

fn job(queue: u32, length: Duration, sent_at: Duration) -> Job {
    let (kind, poison) = (queue, Poison::No);
    Job {
        queue,
        group: None,
        kind,
        length,
        sent_at,
        fails: 0,
        crashes: 0,
        backoff: None,
        postpones: 0,
        postponed_for: Duration::ZERO,
        ending: Ending::Success,
        due: None,
        expires: None,
        poison,
    }
}

/// A world without any fault.
fn world(processes: u32, queues: Vec<QueuePlan>, jobs: Vec<Job>) -> World {
    World::new(Plan {
        seed: 1,
        settings: Settings::default(),
        queues,
        jobs,
        bytes: Vec::new(),
        gathers: BTreeMap::new(),
        kind_max: None,
        processes,
        tasks_max: None,
        faults: Faults::none(),
        heal_at: Duration::ZERO,
        stop: None,
    })
}

/// Runs these jobs without any fault; returns the world when all is done.
fn run(processes: u32, queues: Vec<QueuePlan>, jobs: Vec<Job>) -> World {
    let mut world = world(processes, queues, jobs);
    let is_over = |world: &World| world.checkers.is_idle() && world.sqs.left() == 0;
    world.run(Instant::ORIGIN + Duration::from_hours(1), is_over);
    assert!(is_over(&world), "not done within an hour");
    assert_eq!(world.checkers.duplicates, 0);
    world
}

#[test]
fn quick_tasks_do_not_wait_behind_slow_ones() {
    let slow = (0..200).map(|_| job(0, MS * 200, Duration::ZERO));
    let quick = (0..2000).map(|number| job(1, MS / 20, MS * (1000 + number * 5)));
    let world = run(4, vec![queue(30), queue(30)], slow.chain(quick).collect());
    let mut waits: Vec<Duration> = (200..2200)
        .map(|number| {
            world
                .checkers
                .began(number)
                .saturating_since(Instant::ORIGIN + world.plan.jobs[number].sent_at)
        })
        .collect();
    waits.sort();
    assert!(
        waits[1979] < MS * 50,
        "p99 of the quick tasks' waits: {:?}",
        waits[1979]
    );
    // Three slots for the slow ones would need 13.4 s.
    let done = (0..200).map(|number| world.checkers.ended_at(number)).max();
    let done = done
        .expect("there are some")
        .saturating_since(Instant::ORIGIN);
    assert!(done < MS * 14_740, "the slow queue was done after {done:?}");
}

#[test]
fn a_task_much_longer_than_its_lease_runs_once_while_others_wait() {
    let long = job(0, Duration::from_mins(1), Duration::ZERO);
    let others = (0..500).map(|_| job(0, MS * 10, Duration::ZERO));
    run(
        1,
        vec![queue(5)],
        std::iter::once(long).chain(others).collect(),
    );
}

#[test]
fn tiny_tasks_cost_at_most_a_quarter_of_a_request_each() {
    let jobs = (0..5000).map(|_| job(0, MS / 50, Duration::ZERO)).collect();
    let world = run(2, vec![queue(30)], jobs);
    let requests = world.sqs.requests;
    assert!(requests * 4 <= 5000, "{requests} requests for 5000 tasks");
    let took = world.now.saturating_since(Instant::ORIGIN);
    assert!(took < Duration::from_secs(2), "took {took:?}");
}

#[test]
fn a_hundred_queues_are_served_by_one_worker() {
    let queues = (0..100).map(|_| queue(30)).collect();
    let jobs = (0..2000)
        .map(|number| job(number % 100, MS, Duration::ZERO))
        .collect();
    let world = run(4, queues, jobs);
    let took = world.now.saturating_since(Instant::ORIGIN);
    assert!(took < Duration::from_secs(20), "took {took:?}");
}

#[test]
fn a_tenth_of_poison_leaves_nine_tenths_of_the_speed() {
    let took = |poison_every: u32| {
        let jobs = (0..5000).map(|number| {
            let poison = match number {
                number if poison_every == 0 || number % poison_every != 0 => Poison::No,
                number if number % (2 * poison_every) == 0 => Poison::Unreadable,
                _ => Poison::Unrunnable,
            };
            Job {
                kind: u32::from(poison == Poison::Unrunnable),
                poison,
                ..job(0, MS / 50, Duration::ZERO)
            }
        });
        let mut world = world(2, vec![queue(30)], jobs.collect());
        let is_over = |world: &World| world.checkers.unfinished().is_empty();
        // Not looked at in each step, since it looks at each job.
        while !is_over(&world) && world.now < Instant::ORIGIN + Duration::from_mins(1) {
            let until = world.now + MS;
            world.run(until, |_| false);
        }
        assert!(is_over(&world), "not done within a minute");
        let poison = world.consumer.snapshot().counters.poison;
        assert!(poison_every == 0 || poison >= 500, "{poison} of 500");
        world.now.saturating_since(Instant::ORIGIN)
    };
    let (clean, poisoned) = (took(0), took(10));
    assert!(poisoned <= clean * 10 / 9, "{poisoned:?} against {clean:?}");
}

/// What can't be run takes no slot's time, so no more than reading it keeps a worker from the rest.
#[test]
fn a_queue_of_nothing_but_poison_is_gone_through_as_quickly_as_any_other() {
    const COUNT: u64 = 5000;
    let took = |poison: Poison| {
        let jobs = (0..COUNT).map(|_| Job {
            poison,
            ..job(0, MS / 50, Duration::ZERO)
        });
        let mut world = world(4, vec![queue(30)], jobs.collect());
        let gone_through = |world: &World| {
            let counters = world.consumer.snapshot().counters;
            counters.succeeded + counters.poison
        };
        while gone_through(&world) < COUNT && world.now < Instant::ORIGIN + Duration::from_mins(1) {
            let until = world.now + MS;
            world.run(until, |_| false);
        }
        assert_eq!(gone_through(&world), COUNT, "{poison:?} within a minute");
        world.now.saturating_since(Instant::ORIGIN)
    };
    let clean = took(Poison::No);
    for poison in [Poison::Unreadable, Poison::Unrunnable] {
        let poisoned = took(poison);
        assert!(
            poisoned <= clean * 3 / 2,
            "{poison:?}: {poisoned:?} against {clean:?}"
        );
    }
}

#[test]
fn a_backlog_of_groups_takes_hardly_longer_than_one_without() {
    let took = |is_fifo: bool| {
        let queue = QueuePlan {
            is_fifo,
            ..queue(30)
        };
        let jobs = (0..5000).map(|number| Job {
            group: is_fifo.then_some(number % 500),
            ..job(0, MS / 50, Duration::ZERO)
        });
        let world = run(2, vec![queue], jobs.collect());
        world.now.saturating_since(Instant::ORIGIN)
    };
    let (standard, fifo) = (took(false), took(true));
    assert!(fifo < standard * 5 / 4, "{fifo:?} against {standard:?}");
}

#[test]
fn a_backoff_of_a_day_goes_by_hops_and_each_run_counts() {
    let day = Duration::from_hours(24);
    let jobs = [Ending::Success, Ending::DeadLetter].map(|ending| Job {
        fails: 1,
        crashes: 1,
        backoff: Some(day),
        ending,
        ..job(0, MS, Duration::ZERO)
    });
    let mut world = world(1, vec![queue(30)], jobs.into());
    world.is_calm = true;
    let is_over = |world: &World| world.checkers.is_idle() && world.sqs.left() == 0;
    world.run(Instant::ORIGIN + day * 3, is_over);
    assert!(is_over(&world), "not done within three days");
    for number in 0..2 {
        assert_eq!(world.checkers.runs(number), 3);
        let took = world.checkers.ended_at(number);
        assert!(took >= Instant::ORIGIN + day * 2, "job {number}: {took}");
    }
    assert_eq!(world.sqs.dead_jobs().into_iter().collect::<Vec<_>>(), [1]);
    let counters = world.consumer.snapshot().counters;
    // Of 96 each, and one more where the last is a little short.
    assert!(
        (4 * 96..=4 * 98).contains(&counters.hops),
        "{}",
        counters.hops
    );
    let counted = (counters.failed, counters.retried, counters.dead_lettered);
    assert_eq!(counted, (5, 4, 1));
}
