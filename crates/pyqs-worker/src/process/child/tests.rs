//! The channel against a manager that a test plays.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::TaskChannel;
use crate::process::ledger::Ledger;
use crate::process::outcome::TaskOutcome;
use crate::process::successes::Mark;
use crate::process::wire::{
    FrameBuffer, FromProcess, JobFrame, TaskResult, TimeLimits, ToProcess, encode, encode_jobs,
};

struct Manager {
    socket: UnixStream,
    inbox: FrameBuffer,
    ledger: Ledger,
}

fn pair() -> (Manager, TaskChannel) {
    with_lanes(1)
}

fn with_lanes(lanes: u32) -> (Manager, TaskChannel) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let ledger = Ledger::new(lanes).unwrap();
    let channel = TaskChannel::open(theirs.into(), ledger.clone(), 0, lanes, None).unwrap();
    let manager = Manager {
        socket: ours,
        inbox: FrameBuffer::default(),
        ledger,
    };
    (manager, channel)
}

impl Manager {
    fn send(&mut self, sequences: impl IntoIterator<Item = u32>, lease_until_nanos: u64) {
        self.send_to(0, sequences, lease_until_nanos);
    }

    fn send_to(
        &mut self,
        lane: u32,
        sequences: impl IntoIterator<Item = u32>,
        lease_until_nanos: u64,
    ) {
        let jobs = sequences.into_iter().map(|sequence| JobFrame {
            lane,
            sequence,
            message_id: "id",
            receipt: "receipt",
            queue_url: "url",
            task: "task",
            body: "{}",
            fetch_time: 0.0,
            visibility_secs: 30,
            receive_count: 1,
            attempt: 1,
            lease_until_nanos,
            mark: Mark::of(&sequence.to_string()),
            limits: TimeLimits {
                hard: Some(Duration::from_mins(1)),
                soft: None,
            },
            retries_before: 0,
            system: None,
            behind: 0,
            group: None,
            attributes: Vec::new(),
        });
        let mut bytes = Vec::new();
        encode_jobs(jobs, &mut bytes);
        self.socket.write_all(&bytes).unwrap();
    }

    fn leave(&mut self) {
        let mut bytes = Vec::new();
        encode(&ToProcess::Leave, &mut bytes);
        self.socket.write_all(&bytes).unwrap();
    }

    fn frame(&mut self) -> FromProcess {
        loop {
            if let Some(frame) = self.inbox.next().unwrap() {
                return frame;
            }
            let mut bytes = [0; 1024];
            let count = self.socket.read(&mut bytes).unwrap();
            assert_ne!(count, 0, "the channel closed");
            self.inbox.extend(&bytes[..count]);
        }
    }

    fn results(&mut self) -> Vec<(u32, TaskOutcome)> {
        match self.frame() {
            FromProcess::Results(results) => results.iter().map(brief).collect(),
            other => panic!("{other:?} is no result"),
        }
    }
}

fn brief(result: &TaskResult) -> (u32, TaskOutcome) {
    (result.sequence, result.outcome)
}

#[test]
fn tasks_come_in_order_and_results_go_back_together() {
    let (mut manager, channel) = pair();
    manager.send([1, 2], u64::MAX);
    manager.leave();
    for _ in 0..2 {
        assert_eq!(channel.next().unwrap().unwrap().task, "task");
        channel.record(0, TaskOutcome::Succeeded);
        channel.record(0, TaskOutcome::Failed);
        channel.finish(0).unwrap();
    }
    assert_eq!(channel.next().unwrap(), None);
    assert_eq!(manager.frame(), FromProcess::Ready);
    let mut results = manager.results();
    if results.len() == 1 {
        // The first task took longer than results may wait.
        results.extend(manager.results());
    }
    let done = TaskOutcome::Succeeded;
    assert_eq!(results, [(1, done), (2, done)]);
}

#[test]
fn a_task_that_was_taken_back_is_passed_over() {
    let (mut manager, channel) = pair();
    manager.send([1, 2, 3], u64::MAX);
    assert_eq!(channel.next().unwrap().unwrap().sequence, 1);
    assert_eq!(manager.ledger.revoke(0, 3), 1);
    manager.send([4], u64::MAX);
    channel.record(0, TaskOutcome::Succeeded);
    channel.finish(0).unwrap();
    assert_eq!(channel.next().unwrap().unwrap().sequence, 4);
}

#[test]
fn a_lapsed_lease_is_answered_without_running() {
    let (mut manager, channel) = pair();
    manager.send([1], 0);
    manager.leave();
    assert_eq!(channel.next().unwrap(), None);
    assert_eq!(manager.frame(), FromProcess::Ready);
    assert_eq!(manager.results(), [(1, TaskOutcome::NotStarted)]);
}

#[test]
fn a_task_left_without_a_word_has_failed() {
    let (mut manager, channel) = pair();
    manager.send([1], u64::MAX);
    manager.leave();
    assert!(channel.next().unwrap().is_some());
    assert_eq!(channel.next().unwrap(), None);
    assert_eq!(manager.frame(), FromProcess::Ready);
    assert_eq!(manager.results(), [(1, TaskOutcome::Failed)]);
}

#[test]
fn lanes_begin_and_end_apart() {
    let (mut manager, channel) = with_lanes(2);
    manager.send_to(1, [1, 2], u64::MAX);
    assert_eq!(channel.wait().unwrap(), Some(vec![1]));
    assert_eq!(channel.begin(1).unwrap().unwrap().sequence, 1);
    assert!(!channel.is_running(0));
    manager.send_to(0, [1], u64::MAX);
    manager.send_to(1, [3], u64::MAX);
    assert_eq!(channel.wait().unwrap(), Some(vec![0]), "1 is attended to");
    assert_eq!(channel.begin(0).unwrap().unwrap().sequence, 1);
    manager.leave();
    channel.record(1, TaskOutcome::Succeeded);
    assert!(!channel.is_running(1), "only its hooks may");
    assert!(channel.is_running(0));
    assert_eq!(channel.begin(1).unwrap().unwrap().sequence, 2);
    assert_eq!(channel.wait().unwrap(), None);
    assert_eq!(channel.begin(1).unwrap().unwrap().sequence, 3);
    assert_eq!(channel.begin(1).unwrap(), None);
    assert!(!channel.wait_until_idle(Duration::ZERO));
    assert_eq!(channel.begin(0).unwrap(), None);
    assert!(channel.wait_until_idle(Duration::ZERO));
    assert_eq!(manager.ledger.progress(0).finished, 1);
    assert_eq!(manager.ledger.progress(1).finished, 3);
}

#[test]
fn the_shortest_limit_holds_from_when_the_task_began() {
    let (mut manager, channel) = pair();
    manager.send([1], u64::MAX);
    let before = crate::clock::now_nanos();
    assert!(channel.next().unwrap().is_some());
    let secs = Duration::from_secs;
    let limit = |manager: &Manager| manager.ledger.limited(0).unwrap().1;
    assert_eq!(limit(&manager).length, secs(60), "the message's");
    channel.limit(0, secs(90), Duration::ZERO);
    assert_eq!(limit(&manager).length, secs(60));
    channel.limit(0, secs(5), secs(1));
    assert_eq!(limit(&manager).length, secs(5));
    let kill_in = limit(&manager).kill_at_nanos - before;
    assert!((6_000_000_000..8_000_000_000).contains(&kill_in));
    channel.extend(0, secs(10));
    assert_eq!(limit(&manager).length, secs(15));
    assert_eq!(
        limit(&manager).kill_at_nanos - before - kill_in,
        10_000_000_000
    );
    manager.ledger.lose_lease(0, 1);
    assert!(channel.is_lease_lost(0));
    channel.record(0, TaskOutcome::Failed);
    assert_eq!(manager.ledger.limited(0), None);
}

#[test]
fn a_manager_that_is_gone_ends_it() {
    let (mut manager, channel) = pair();
    manager.send([1, 2], u64::MAX);
    assert!(channel.next().unwrap().is_some());
    let ledger = manager.ledger.clone();
    drop(manager);
    channel.record(0, TaskOutcome::Succeeded);
    channel.finish(0).unwrap();
    assert_eq!(ledger.progress(0).finished, 1);
    assert!(
        ledger.successes().contains(Mark::of("1")),
        "for the next manager"
    );
    // The second task is here already, but nobody would acknowledge it.
    assert_eq!(channel.next().unwrap(), None);
    assert_eq!(ledger.progress(0).begun, 1);
}

#[test]
fn a_frame_that_is_none_is_an_error_not_a_panic() {
    let (mut manager, channel) = pair();
    manager.socket.write_all(&[2, 0, 0, 0, 9, 9]).unwrap();
    assert!(channel.next().is_err());
}

#[test]
fn a_slot_beyond_the_ledger_is_refused() {
    let (_ours, theirs) = UnixStream::pair().unwrap();
    let ledger = Ledger::new(1).unwrap();
    assert!(TaskChannel::open(theirs.into(), ledger, 0, 2, None).is_err());
}

/// A task that arrives while its lane's thread is told that there is none must be seen by one of the two.
#[test]
fn no_task_is_left_between_two_threads() {
    const TASKS: u32 = 2_000;
    let (mut manager, channel) = with_lanes(1);
    let channel = std::sync::Arc::new(channel);
    let (attend, attended) = std::sync::mpsc::channel();
    let runner = std::thread::spawn({
        let channel = std::sync::Arc::clone(&channel);
        move || {
            let mut run = 0;
            for lane in attended {
                while channel.begin(lane).unwrap().is_some() {
                    channel.record(lane, TaskOutcome::Succeeded);
                    run += 1;
                }
            }
            run
        }
    });
    let waiter = std::thread::spawn(move || {
        while let Some(lanes) = channel.wait().unwrap() {
            for lane in lanes {
                attend.send(lane).unwrap();
            }
        }
    });
    assert_eq!(manager.frame(), FromProcess::Ready);
    for sequence in 1..=TASKS {
        manager.send([sequence], u64::MAX);
        // The next is sent in the very moment in which the lane finds nothing more to do.
        assert_eq!(manager.results(), [(sequence, TaskOutcome::Succeeded)]);
    }
    manager.leave();
    waiter.join().unwrap();
    assert_eq!(runner.join().unwrap(), TASKS);
}
