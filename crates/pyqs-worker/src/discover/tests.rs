//! What is found, told and survived.

use std::sync::Arc;
use std::time::Duration;

use pyqs_core::{RateLimit, Share};
use pyqs_sqs::{Failure, SqsError};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{ATTRIBUTES_PERIOD, Discovery, LOOK_PERIOD, START_MAX};
use crate::fake_sqs::FakeSqs;
use crate::inbound::Inbound;
use crate::observe::Log;
use crate::process::control::{Supervisor, ToSupervisor};
use crate::settings::{LogLevel, WorkerSettings};

struct Running {
    news: UnboundedReceiver<Inbound>,
    lines: UnboundedReceiver<ToSupervisor>,
    _task: JoinHandle<()>,
}

fn run(sqs: &Arc<FakeSqs>, queues: &[&str]) -> Running {
    run_with(sqs, queues, WorkerSettings::default())
}

fn run_with(sqs: &Arc<FakeSqs>, queues: &[&str], settings: WorkerSettings) -> Running {
    let settings = WorkerSettings {
        queues: queues.iter().map(ToString::to_string).collect(),
        ..settings
    };
    let (supervisor, lines) = Supervisor::in_a_test();
    let (sender, news) = unbounded_channel();
    let log = Log::new(supervisor, LogLevel::Info);
    let discovery = Discovery::new(&settings, sqs.clone(), sender, log).unwrap();
    Running {
        news,
        lines,
        _task: tokio::spawn(discovery.run()),
    }
}

/// As a manager that takes another's place.
fn run_successor(sqs: &Arc<FakeSqs>) -> Running {
    let settings = WorkerSettings {
        queues: vec!["email".to_owned()],
        require_queues: true,
        ..WorkerSettings::default()
    };
    let (supervisor, lines) = Supervisor::in_a_test();
    let (sender, news) = unbounded_channel();
    let log = Log::new(supervisor, LogLevel::Info);
    let discovery = Discovery::new(&settings, sqs.clone(), sender, log).unwrap();
    Running {
        news,
        lines,
        _task: tokio::spawn(discovery.for_successor().run()),
    }
}

impl Running {
    /// The next queue that is found.
    async fn found(&mut self) -> (String, Share) {
        match self.next().await {
            Inbound::QueueFound { url, share, .. } => (url.name().to_owned(), share),
            other => panic!("{other:?}"),
        }
    }

    /// The next news but that all queues were found.
    async fn next(&mut self) -> Inbound {
        loop {
            match self.news.recv().await.unwrap() {
                Inbound::QueuesListed => {}
                news => return news,
            }
        }
    }

    /// How many of the lines so far have this in them.
    fn logged(&mut self, part: &str) -> usize {
        let lines = std::iter::from_fn(|| self.lines.try_recv().ok());
        lines
            .filter(|line| match line {
                ToSupervisor::Log { message, .. } => message.contains(part),
                _ => false,
            })
            .count()
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_asked_for_and_never_listed() {
    let sqs = Arc::new(FakeSqs::with(&["email", "m-f", "other"]));
    let mut running = run(&sqs, &["email:3=5@10/m,m.f"]);
    let share = Share {
        weight: 3,
        tasks_max: Some(5),
        rate: Some(RateLimit {
            tasks: 10,
            per: Duration::from_mins(1),
        }),
        priority: 0,
    };
    assert_eq!(running.found().await, ("email".to_owned(), share));
    assert_eq!(running.found().await.0, "m-f");
    tokio::time::sleep(LOOK_PERIOD * 3).await;
    assert_eq!(sqs.calls("list_queues"), 0);
    assert_eq!(
        sqs.calls("queue_url"),
        3,
        "what was found is not asked again"
    );
    assert_eq!(running.logged("\"m.f\" is \"m-f\" on SQS"), 1);
}

#[tokio::test(start_paused = true)]
async fn with_strict_the_order_given_is_the_order_of_priorities() {
    let sqs = Arc::new(FakeSqs::with(&["a", "b1", "b2", "c"]));
    for is_strict in [true, false] {
        let settings = WorkerSettings {
            strict: is_strict,
            ..WorkerSettings::default()
        };
        let mut running = run_with(&sqs, &["c,a", "b*"], settings);
        let mut found = Vec::new();
        for _ in 0..4 {
            let (name, share) = running.found().await;
            found.push((name, share.priority));
        }
        let priorities = found.iter().map(|(name, priority)| (&**name, *priority));
        let expected = [("c", 0), ("a", 1), ("b1", 2), ("b2", 2)];
        assert!(
            priorities
                .eq(expected.map(|(name, strict)| (name, if is_strict { strict } else { 0 })))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_with_the_name_of_a_command_is_warned_of() {
    let sqs = Arc::new(FakeSqs::with(&["send", "sends"]));
    let settings = WorkerSettings {
        command_names: vec!["send".to_owned(), "local".to_owned()],
        ..WorkerSettings::default()
    };
    let mut running = run_with(&sqs, &["s*"], settings);
    running.found().await;
    running.found().await;
    assert_eq!(running.logged("`pyqs worker send` works on the queue"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fifo_queue_that_grants_few_receives_is_warned_of() {
    let check = |name: &'static str, receives_max, expected| async move {
        let sqs = Arc::new(FakeSqs::with(&[name]));
        sqs.grant_receives(name, receives_max);
        let mut running = run(&sqs, &[name]);
        running.found().await;
        assert_eq!(running.logged("has a maxReceiveCount of"), expected);
    };
    check("a.fifo", Some(3), 1).await;
    check("a.fifo", Some(4), 0).await;
    check("a.fifo", None, 0).await;
    check("a", Some(1), 0).await;
}

#[tokio::test(start_paused = true)]
async fn queues_made_later_are_found_within_a_period() {
    let sqs = Arc::new(FakeSqs::with(&["email-a"]));
    let mut running = run(&sqs, &["email*", "sms"]);
    assert_eq!(running.found().await.0, "email-a");
    tokio::time::sleep(LOOK_PERIOD * 2).await;
    assert_eq!(running.logged("there is no queue \"sms\" yet"), 1);
    let start = Instant::now();
    sqs.create("sms");
    sqs.create("email-b");
    assert_eq!(running.found().await.0, "email-b");
    assert_eq!(running.found().await.0, "sms");
    assert!(start.elapsed() <= LOOK_PERIOD);
    assert_eq!(running.logged("Found new queue\t"), 2);
}

#[tokio::test(start_paused = true)]
async fn attributes_are_read_again() {
    let sqs = Arc::new(FakeSqs::with(&["email"]));
    let mut running = run(&sqs, &["email"]);
    running.found().await;
    let start = Instant::now();
    assert!(matches!(running.next().await, Inbound::QueueRead { .. }));
    assert!(start.elapsed() <= ATTRIBUTES_PERIOD + LOOK_PERIOD);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_does_not_answer_at_the_start_is_fatal() {
    let sqs = Arc::new(FakeSqs::with(&["email"]));
    sqs.fail(SqsError::Unreachable);
    let start = Instant::now();
    let mut running = run(&sqs, &["email"]);
    let news = running.news.recv().await;
    let Some(Inbound::Fatal(reason)) = news else {
        panic!("{news:?}")
    };
    assert!(reason.contains("can't reach SQS"), "{reason}");
    assert_eq!(start.elapsed(), START_MAX);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_comes_in_time_is_used() {
    let sqs = Arc::new(FakeSqs::with(&["email"]));
    sqs.fail(SqsError::Unreachable);
    let mut running = run(&sqs, &["email"]);
    tokio::time::sleep(START_MAX / 2).await;
    sqs.recover();
    assert_eq!(running.found().await.0, "email");
}

#[tokio::test(start_paused = true)]
async fn later_trouble_is_told_once_and_survived() {
    let sqs = Arc::new(FakeSqs::with(&["email-a"]));
    let mut running = run(&sqs, &["email*"]);
    running.found().await;
    tokio::time::sleep(LOOK_PERIOD / 2).await;
    sqs.fail(SqsError::BadCredentials);
    tokio::time::sleep(LOOK_PERIOD * 3).await;
    assert_eq!(running.logged("looking for queues fails"), 1);
    sqs.recover();
    sqs.create("email-b");
    assert_eq!(running.found().await.0, "email-b");
    tokio::task::yield_now().await;
    assert_eq!(running.logged("looking for queues works again"), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fatal_to_a_manager_that_takes_anothers_place() {
    for failure in [
        SqsError::Unreachable,
        SqsError::BadCredentials,
        SqsError::NoCredentials,
    ] {
        let sqs = Arc::new(FakeSqs::with(&["email"]));
        sqs.fail(failure);
        let mut running = run_successor(&sqs);
        tokio::time::sleep(START_MAX * 10).await;
        assert_eq!(running.logged("looking for queues fails"), 1);
        let asked = sqs.calls("queue_url");
        assert!(asked <= 15, "asked {asked} times in 150 s");
        sqs.recover();
        assert_eq!(running.found().await.0, "email");
    }
    let mut running = run_successor(&Arc::new(FakeSqs::default()));
    tokio::time::sleep(START_MAX).await;
    let news = running.news.try_recv();
    assert!(matches!(news, Ok(Inbound::QueuesListed)), "{news:?}");
    assert!(running.news.try_recv().is_err(), "not even a missing queue");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_have_expired_at_the_start_are_asked_for_again() {
    let expired = |mut failure: Box<Failure>| {
        failure.code = Some("ExpiredToken".to_owned());
        SqsError::BadCredentials(failure)
    };
    let sqs = Arc::new(FakeSqs::with(&["email"]));
    sqs.fail(expired);
    let mut running = run(&sqs, &["email"]);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    sqs.recover();
    assert_eq!(running.found().await.0, "email");

    sqs.fail(expired);
    let mut running = run(&sqs, &["email"]);
    assert!(matches!(running.news.recv().await, Some(Inbound::Fatal(_))));
    assert_eq!(sqs.calls("queue_url"), 2 + 1 + 3);
}

#[tokio::test(start_paused = true)]
async fn it_says_when_all_queues_of_the_start_were_found() {
    let sqs = Arc::new(FakeSqs::with(&["email", "sms"]));
    let mut running = run(&sqs, &["email", "sms", "later"]);
    for _ in 0..2 {
        running.found().await;
    }
    let news = running.news.recv().await;
    assert!(matches!(news, Some(Inbound::QueuesListed)), "{news:?}");
}
