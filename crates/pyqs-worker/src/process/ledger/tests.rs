use super::{AfterDeath, Ledger, Limit, PREDECESSORS_MAX, Progress, TaskOutcome};
use crate::process::job::Job;
use crate::process::successes::Mark;
use std::time::Duration;

#[test]
fn a_task_is_either_begun_or_taken_back() {
    let ledger = Ledger::new(1).unwrap();
    assert!(ledger.begin(0, 1));
    assert_eq!(ledger.revoke(0, 3), 1);
    assert!(!ledger.begin(0, 2));
    assert!(!ledger.begin(0, 3));
    assert!(ledger.begin(0, 4));
}

#[test]
fn two_threads_racing_never_both_get_a_task() {
    let ledger = Ledger::new(1).unwrap();
    let child = ledger.clone();
    let runner = std::thread::spawn(move || {
        (1..=10_000_u32)
            .filter(|&sequence| child.begin(0, sequence))
            .collect::<Vec<_>>()
    });
    let mut taken_back = Vec::new();
    for upto in (10..=10_000).step_by(10) {
        let begun = ledger.revoke(0, upto);
        let from = begun.max(taken_back.last().copied().unwrap_or(0)) + 1;
        taken_back.extend(from..=upto);
    }
    let run = runner.join().unwrap();
    let mut all = run;
    all.extend(taken_back);
    all.sort_unstable();
    assert_eq!(all, (1..=10_000).collect::<Vec<_>>());
}

#[test]
fn outcomes_and_durations_survive() {
    let ledger = Ledger::new(2).unwrap();
    for (sequence, outcome) in [
        (1, TaskOutcome::Succeeded),
        (2, TaskOutcome::Failed),
        (3, TaskOutcome::Unrunnable),
        (4, TaskOutcome::NotStarted),
        (
            5,
            TaskOutcome::Retry {
                delay_secs: u32::MAX,
            },
        ),
        (6, TaskOutcome::Exhausted),
        (7, TaskOutcome::DeadLetter),
        (8, TaskOutcome::Discarded),
    ] {
        let took = Duration::from_micros(u64::from(sequence));
        assert!(ledger.begin(1, sequence));
        ledger.finish(1, sequence, outcome, took);
        assert_eq!(ledger.ended(1, sequence), Some((outcome, took)));
    }
    let progress = Progress {
        begun: 8,
        finished: 8,
    };
    assert_eq!(ledger.progress(1), progress);
    assert_eq!(ledger.ended(1, 9), None);
    assert_eq!(ledger.progress(0).begun, 0, "slots are apart");

    ledger.reset(1);
    assert_eq!(ledger.progress(1).finished, 0);
}

#[test]
fn a_limit_is_that_of_the_task_that_runs() {
    let ledger = Ledger::new(1).unwrap();
    let limit = |secs| Limit {
        length: Duration::from_secs(secs),
        kill_at_nanos: secs * 1_000_000_000,
    };
    ledger.limit(0, limit(9));
    assert_eq!(ledger.limited(0), None, "nothing runs");
    assert!(ledger.begin(0, 1));
    assert_eq!(ledger.limited(0), None, "the next task has none yet");
    ledger.limit(0, limit(5));
    ledger.limit(0, limit(3));
    assert_eq!(ledger.limited(0), Some((1, limit(3))));
    ledger.finish(0, 1, TaskOutcome::Succeeded, Duration::ZERO);
    assert_eq!(ledger.limited(0), None, "it has ended");
    assert!(ledger.begin(0, 2));
    assert_eq!(ledger.limited(0), None);
    ledger.limit(0, limit(4));
    ledger.reset(0);
    assert_eq!(ledger.limited(0), None);
}

#[test]
fn what_follows_a_death_is_said_of_the_task_that_runs() {
    let ledger = Ledger::new(2).unwrap();
    let dead_letter = |queue: &str| AfterDeath::DeadLetter {
        queue: queue.to_owned(),
    };
    let longest = "q".repeat(80);
    for said in [
        AfterDeath::Retry {
            delay_secs: u32::MAX,
        },
        AfterDeath::Exhausted,
        dead_letter(&longest),
        dead_letter("email-dead"),
        AfterDeath::Failed,
    ] {
        ledger.foresee(1, &said);
        assert_eq!(ledger.after_death(1), said);
    }
    assert_eq!(ledger.after_death(0), AfterDeath::Failed, "slots are apart");

    ledger.foresee(1, &dead_letter(&format!("{longest}q")));
    assert_eq!(ledger.after_death(1), AfterDeath::Exhausted, "no queue");
    assert!(ledger.begin(1, 1));
    assert_eq!(ledger.after_death(1), AfterDeath::Failed, "the next task");
    ledger.foresee(1, &AfterDeath::Exhausted);
    ledger.reset(1);
    assert_eq!(ledger.after_death(1), AfterDeath::Failed, "another process");
}

#[test]
fn a_task_that_ran_for_ever_has_the_longest_time_that_fits() {
    let ledger = Ledger::new(1).unwrap();
    ledger.finish(0, 1, TaskOutcome::Failed, Duration::MAX);
    let (outcome, took) = ledger.ended(0, 1).unwrap();
    assert_eq!(outcome, TaskOutcome::Failed);
    assert!(took > Duration::from_hours(800 * 24));
}

#[test]
fn a_successor_has_empty_slots_and_knows_what_succeeded() {
    let first = Ledger::new(3).unwrap();
    assert!(first.begin(2, 7));
    let next = first.successor().unwrap();
    assert_eq!(next.slots(), 3);
    assert_eq!(next.progress(2).begun, 0);
    // The task ends under the old ledger, when its manager is gone.
    first.successes().add(Mark::of("a"));
    assert!(next.successes().contains(Mark::of("a")));
}

#[test]
fn a_successor_knows_what_was_left_running() {
    let begin = |ledger: &Ledger, slot, sequence| {
        let job = Job {
            sequence,
            ..Job::for_tests("id", "http://localhost/1/email", "{}")
        };
        ledger.claim(slot, &job);
        assert!(ledger.begin(slot, sequence));
    };
    let left = |ledger: &Ledger| {
        let left = ledger.left_running();
        let left = left.iter().map(|left| (left.slot, left.claim.sequence));
        left.collect::<Vec<_>>()
    };
    let first = Ledger::new(4).unwrap();
    begin(&first, 0, 7);
    begin(&first, 1, 3);
    first.finish(1, 3, TaskOutcome::Succeeded, Duration::ZERO);
    assert!(first.begin(2, 1), "of which no word was left");
    let second = first.successor().unwrap();
    assert_eq!(left(&second), [(0, 7)]);
    begin(&second, 3, 1);
    let third = second.successor().unwrap();
    assert_eq!(left(&third), [(3, 1), (0, 7)]);
    first.finish(0, 7, TaskOutcome::Succeeded, Duration::ZERO);
    assert_eq!(left(&third), [(3, 1)]);
    assert_eq!(left(&third.successor().unwrap()), [(3, 1)]);
    begin(&first, 0, 8);
    first.reset(0);
    assert_eq!(left(&third), [(3, 1)]);
    assert_eq!(left(&first), [], "what it runs itself is not left");
}

#[test]
fn not_all_ledgers_that_there_ever_were_are_kept() {
    let mut ledger = Ledger::new(1).unwrap();
    for _ in 0..2 * PREDECESSORS_MAX {
        ledger.claim(0, &Job::for_tests("id", "http://localhost/1/email", "{}"));
        assert!(ledger.begin(0, 1));
        ledger = ledger.successor().unwrap();
    }
    assert_eq!(ledger.left_running().len(), PREDECESSORS_MAX);
}

#[test]
fn an_empty_ledger_is_refused() {
    assert!(Ledger::new(0).is_err());
    assert_eq!(Ledger::slots_for(0, 0), 7);
    assert_eq!(Ledger::slots_for(2, 4), 40);
}
