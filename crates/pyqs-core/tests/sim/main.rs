//! The core in a simulated world: a virtual clock, the broker as SQS, seeded faults, and checkers
//! after every step. A failure prints its seed; `PYQS_SIM_SEED=n` runs that one alone, and
//! `PYQS_SIM_SEEDS=n` runs so many.

mod checkers;
mod faults;
mod jobs;
mod network;
mod paces;
mod processes;
mod rng;
mod scenarios;
mod sends;
mod sqs;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use pyqs_core::limits::{HELD_BACK_MAX, POISON_HIDDEN_MAX};
use pyqs_core::{Instant, MessageKey};

use faults::{Plan, Poison, QueuePlan};
use world::World;

const SEEDS: u64 = 10_000;
/// A thread that saw so many seeds fail looks no further.
const FAILED_MAX: usize = 10;
/// After the faults have healed, everything must be done within this, and the time that the work
/// itself takes.
const FINISH_WITHIN: Duration = Duration::from_mins(10);

#[test]
fn nothing_is_lost_or_stalls_whatever_goes_wrong() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok())
    };
    if let Some(seed) = number("PYQS_SIM_SEED") {
        run(seed);
        return;
    }
    let seeds = number("PYQS_SIM_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || failed.len() >= FAILED_MAX {
                return failed;
            }
            match catch_unwind(AssertUnwindSafe(|| run(seed))) {
                Ok(its_steps) => drop(steps.fetch_add(its_steps, Ordering::Relaxed)),
                Err(_) => failed.push(seed),
            }
        }
    };
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let failed = workers.into_iter().map(ScopedJoinHandle::join);
        failed
            .flat_map(|failed| failed.expect("a seed's panic is caught"))
            .collect()
    });
    assert!(
        failed.is_empty(),
        "failed seeds, each to be run with PYQS_SIM_SEED: {failed:?}"
    );
    println!(
        "{seeds} seeds of {} steps on average, on {threads} threads",
        steps.into_inner() / seeds.max(1)
    );
}

/// Runs one seed; returns its number of steps: calls of the core, and what happened in its world.
fn run(seed: u64) -> u64 {
    let plan = Plan::random(seed);
    // What a limit holds back may be hidden for long, and again.
    let held_back = plan.kind_max.map_or(Duration::ZERO, |_| HELD_BACK_MAX * 4);
    let finish_within = FINISH_WITHIN + work(&plan) + held_back;
    let heal_at = Instant::ORIGIN + plan.heal_at;
    let has_stop = plan.stop.is_some() || plan.settings.burst;
    let mut world = World::new(plan);
    world.is_calm = world.plan.is_calm();
    world.run(heal_at, |_| false);
    world.heal();
    if has_stop {
        world.run(heal_at + finish_within, |_| false);
        check_stopped(&mut world);
        return world.steps_in_all();
    }
    let poison = (0..world.plan.jobs.len()).filter(|&job| world.plan.is_poison(job));
    let poison = poison.count();
    world.run(heal_at + finish_within, |world| {
        world.checkers.is_idle()
            && world.sqs.left() <= poison
            && world
                .sqs
                .waiting_jobs()
                .into_iter()
                .all(|job| world.plan.is_poison(job))
    });
    check_finished(&world);
    if world.sqs.left() == 0 {
        check_idle(&mut world);
    }
    world.steps_in_all()
}

/// How long the jobs may take if one runs after the other, with all that hides them.
fn work(plan: &Plan) -> Duration {
    let lengths = plan.jobs.iter().map(|job| {
        let queue = &plan.queues[job.queue as usize];
        // On a FIFO queue each failed run hides its whole group.
        let hidden = Duration::from_secs(queue.visibility_secs.max(1).into());
        let poison = match queue.receives_max {
            Some(receives_max) if queue.is_fifo && job.poison != Poison::No => {
                POISON_HIDDEN_MAX.min(hidden * (1 << receives_max)) * (receives_max + 1)
            }
            _ => Duration::ZERO,
        };
        job.span(hidden) + poison
    });
    let last_due = plan.jobs.iter().filter_map(|job| job.due).max();
    // Whatever runs when a process is killed backs off once more.
    let longest = plan.jobs.iter().filter_map(|job| job.backoff).max();
    let kills = u32::try_from(plan.faults.kills.len()).expect("a few");
    let deaths = u32::try_from(plan.faults.deaths.len()).expect("a few");
    let backoffs = longest.unwrap_or_default() * (kills + deaths * plan.processes);
    lengths.sum::<Duration>() + last_due.unwrap_or_default() + backoffs + pacing(plan) + waits(plan)
}

/// How long jobs may wait for others to start with, if each does.
fn waits(plan: &Plan) -> Duration {
    let gathers = (0..plan.jobs.len()).filter_map(|job| Some((job, plan.gather(job)?)));
    let waits = gathers.map(|(job, gather)| {
        let job = &plan.jobs[job];
        gather.wait * job.starts(&plan.queues[job.queue as usize])
    });
    waits.sum()
}

/// How long the starts alone may take where a limited rate spreads them most. Queues keep their
/// rates side by side, so this is no sum; at one start in 10 seconds a queue of a hundred jobs is
/// rightly at work for longer than [`FINISH_WITHIN`].
fn pacing(plan: &Plan) -> Duration {
    let of_queue = |(number, queue): (u32, &QueuePlan)| {
        let rate = queue.share.rate?;
        let jobs = plan.jobs.iter().filter(|job| job.queue == number);
        let starts: u32 = jobs.map(|job| job.starts(queue)).sum();
        Some(rate.per * starts / rate.tasks)
    };
    let paced = (0..).zip(&plan.queues).filter_map(of_queue);
    paced.max().unwrap_or_default()
}

fn check_stopped(world: &mut World) {
    assert!(
        world.checkers.is_done,
        "the stop is not over at {}",
        world.now
    );
    world.checkers.nothing_is_lost(&world.sqs);
    if let Some(tasks_max) = world.plan.settings.tasks_max {
        let begun = world.checkers.begun;
        assert!(begun <= tasks_max, "{begun} of {tasks_max} tasks were run");
    }
    let hidden = world.sqs.hidden_unbegun(world.now);
    // What is not due on a FIFO queue waits hidden too, and what a limit of its task held back.
    let may_be_hidden = |key: &MessageKey| {
        let number = world.sqs.deliveries[key].body.job;
        let job = &world.plan.jobs[number];
        let is_limited = matches!(world.plan.kind_max, Some((kind, _)) if kind == job.kind);
        world.plan.is_poison(number) || job.due.is_some() || is_limited
    };
    assert!(
        !world.is_calm || hidden.iter().all(may_be_hidden),
        "{hidden:?} are hidden after the stop"
    );
}

fn check_finished(world: &World) {
    let (waiting, dead) = (world.sqs.waiting_jobs(), world.sqs.dead_jobs());
    let mut left = waiting.iter().filter(|&&job| !world.plan.is_poison(job));
    assert_eq!(left.next(), None, "is left over at {}", world.now);
    let mut unfinished = world.checkers.unfinished();
    unfinished.retain(|job| !dead.contains(job));
    assert!(
        unfinished.is_empty(),
        "stalled: jobs {unfinished:?} at {}",
        world.now
    );
    world.checkers.nothing_is_lost(&world.sqs);
    if world.is_calm {
        assert_eq!(
            world.checkers.duplicates, 0,
            "a task ran twice without a fault"
        );
        let spent = dead.into_iter().find(|&job| world.plan.is_innocent(job));
        assert_eq!(spent, None, "had its receives spent by others");
    }
}

/// With nothing to do, each queue costs three polls a minute, and the driver only ticks.
fn check_idle(world: &mut World) {
    let awake = world.now.max(world.paused_until);
    world.run(awake + Duration::from_mins(1), |_| false);
    assert!(
        world.checkers.held.is_empty(),
        "deliveries are kept for ever: {:?}",
        world.checkers.held
    );
    let (receives, steps) = (world.sqs.receives, world.steps);
    world.run(world.now + Duration::from_mins(2), |_| false);
    let queues = world.plan.queues.len() as u64;
    let polls = world.sqs.receives - receives;
    assert!(
        (5 * queues..=7 * queues).contains(&polls),
        "{polls} polls of {queues} queues in 2 minutes"
    );
    let calls = world.steps - steps;
    assert!(
        calls <= 2 * 120 + 3 * polls,
        "{calls} calls in 2 idle minutes"
    );
}
