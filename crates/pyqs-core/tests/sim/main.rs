//! The core in a simulated world: a virtual clock, the broker as SQS, seeded faults, and checkers
//! after every step. A failure prints its seed; `PYQS_SIM_SEED=n` runs that one alone, and
//! `PYQS_SIM_SEEDS=n` runs so many.

mod checkers;
mod faults;
mod network;
mod processes;
mod rng;
mod scenarios;
mod sqs;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use pyqs_core::{Instant, MessageKey};

use faults::{Plan, Poison};
use world::World;

const SEEDS: u64 = 500;
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
        return run(seed);
    }
    let seeds = number("PYQS_SIM_SEEDS").unwrap_or(SEEDS);
    let failed: Vec<u64> = (0..seeds)
        .filter(|&seed| catch_unwind(AssertUnwindSafe(|| run(seed))).is_err())
        .collect();
    assert!(
        failed.is_empty(),
        "failed seeds, each to be run with PYQS_SIM_SEED: {failed:?}"
    );
}

fn run(seed: u64) {
    let plan = Plan::random(seed);
    // On a FIFO queue each failed run hides its whole group for the visibility timeout.
    let work = plan.jobs.iter().map(|job| {
        let runs = 1 + job.fails + job.crashes;
        let hidden = Duration::from_secs(plan.queues[job.queue as usize].visibility_secs.into());
        job.length * 2 * runs + hidden * (runs - 1)
    });
    let finish_within = FINISH_WITHIN + work.sum::<Duration>();
    let heal_at = Instant::ORIGIN + plan.heal_at;
    let has_stop = plan.stop.is_some();
    let is_calm = plan.faults.is_none() && plan.settings.extend_visibility;
    let mut world = World::new(plan);
    world.run(heal_at, |_| false);
    world.heal();
    if has_stop {
        world.run(heal_at + finish_within, |_| false);
        assert!(
            world.checkers.is_done,
            "the stop is not over at {}",
            world.now
        );
        world.checkers.nothing_is_lost(&mut world.sqs, world.now);
        let hidden = world.sqs.hidden_unbegun(world.now);
        let is_poison =
            |key: &MessageKey| world.plan.jobs[world.sqs.deliveries[key].job].poison != Poison::No;
        assert!(
            !is_calm || hidden.iter().all(is_poison),
            "{hidden:?} are hidden after the stop"
        );
        return;
    }
    let deadline = heal_at + finish_within;
    let poison = world
        .plan
        .jobs
        .iter()
        .filter(|job| job.poison != Poison::No)
        .count();
    world.run(deadline, |world| {
        world.checkers.is_finished(&world.plan) && world.sqs.left() == poison
    });
    let unfinished = world.checkers.unfinished(&world.plan);
    assert!(
        unfinished.is_empty(),
        "stalled: jobs {unfinished:?} at {}",
        world.now
    );
    assert_eq!(
        world.sqs.left(),
        poison,
        "messages are left over at {}",
        world.now
    );
    world.checkers.nothing_is_lost(&mut world.sqs, world.now);
    assert!(
        !is_calm || world.checkers.duplicates == 0,
        "a task ran twice without a fault"
    );
    if poison == 0 {
        check_idle(&mut world);
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
