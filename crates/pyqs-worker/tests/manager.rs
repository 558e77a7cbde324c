//! The manager as a whole, in the worlds of [`world`].

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pyqs_sqs::carried::{ATTEMPTS, DUE, ID, REASON};
use pyqs_sqs::{AttributeValue, Outgoing, SqsError};
use pyqs_worker::{AfterDeath, DeadLetter, LogLevel, WorkerSettings};

use world::fake_sqs::FakeSqs;
use world::{Do, Gate, World, body};

fn settings(concurrency: u32) -> WorkerSettings {
    WorkerSettings {
        queues: vec!["email".to_owned()],
        concurrency,
        log_level: LogLevel::Debug,
        ..WorkerSettings::default()
    }
}

fn put(sqs: &FakeSqs, task: &str, count: usize) -> Vec<String> {
    (0..count).map(|_| sqs.put("email", &body(task))).collect()
}

/// A queue with so many messages of a task.
fn queue_of(task: &str, count: usize) -> Arc<FakeSqs> {
    let sqs = FakeSqs::with(&["email"]);
    put(&sqs, task, count);
    Arc::new(sqs)
}

#[test]
fn a_queue_is_drained_in_batches() {
    let world = World::start(settings(2), queue_of("m.f", 500), |_| Do::Succeed);
    world.until("all is deleted", |w| w.sqs.deleted_count("email") == 500);
    assert!(world.running_max() <= 2);
    assert_eq!(world.begun().iter().collect::<BTreeSet<_>>().len(), 500);
    assert_eq!(world.begun().len(), 500, "each runs once");
    for part in [
        "Starting PyQS version",
        "[Queue]\temail",
        "Found matching SQS Queues: ['http://127.0.0.1/000000000000/email']",
    ] {
        assert!(world.has_logged(20, part), "{part}");
    }
    assert!(world.has_logged(10, "Successfully got 10 messages from SQS queue"));
    let sqs = world.stop_and_end();
    let requests = sqs.calls("receive") + sqs.calls("delete_batch");
    assert!(requests <= 125, "{requests} requests for 500 tasks");
    assert!(sqs.visible("email").is_empty());
}

#[test]
fn a_failed_task_is_left_to_its_visibility_timeout() {
    let sqs = queue_of("m.good", 20);
    let bad = put(&sqs, "m.bad", 1);
    put(&sqs, "m.good", 20);
    let world = World::start(settings(2), sqs, |job| match &*job.task {
        "m.bad" => Do::Fail,
        _ => Do::Succeed,
    });
    world.until("the rest is deleted", |w| {
        w.sqs.deleted_count("email") == 40
    });
    let sqs = world.stop_and_end();
    assert!(!sqs.deleted("email").contains(&bad[0]));
    assert!(!sqs.visible("email").contains(&bad[0]));
}

#[test]
fn poison_is_backed_off_and_named() {
    let sqs = FakeSqs::with(&["email"]);
    let unreadable = sqs.put("email", "no JSON");
    let unrunnable = sqs.put("email", &body("m.unknown"));
    let world = World::start(settings(1), Arc::new(sqs), |_| Do::Unrunnable);
    let is_hidden = |world: &World, id: &String| {
        let visibilities = world.sqs.visibilities("email");
        visibilities
            .iter()
            .any(|(its, hidden_for)| its == id && *hidden_for >= Duration::from_secs(29))
    };
    world.until("both are hidden", |w| {
        is_hidden(w, &unreadable) && is_hidden(w, &unrunnable)
    });
    world.until("one is named", |w| {
        w.has_logged(40, &format!("message {unreadable} from queue email"))
    });
    assert_eq!(world.begun(), [unrunnable]);
    let sqs = world.stop_and_end();
    assert!(sqs.deleted("email").is_empty());
}

#[test]
fn what_is_not_due_is_sent_on_with_all_that_it_carries() {
    let sqs = FakeSqs::with(&["email"]);
    let due = AttributeValue::number(4_000_000_000_000_i64);
    let picture = AttributeValue::Binary {
        data_type: "Binary".to_owned(),
        value: vec![0, 255],
    };
    let sent = sqs.put_message(
        "email",
        Outgoing {
            attributes: [(DUE, due.clone()), ("picture", picture.clone())]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            ..Outgoing::new(body("m.f"))
        },
    );
    let world = World::start(settings(1), Arc::new(sqs), |_| Do::Succeed);
    world.until("it is deleted", |w| {
        w.sqs.deleted("email") == [sent.clone()]
    });
    assert!(world.begun().is_empty());
    let sqs = world.stop_and_end();
    let [hop] = &sqs.sent("email")[..] else {
        panic!("one hop")
    };
    assert_eq!(hop.delay, Some(Duration::from_mins(15)));
    let expected = [
        (DUE, due),
        (ID, AttributeValue::text(sent)),
        ("picture", picture),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(hop.attributes, BTreeMap::from(expected));
}

#[test]
fn a_retry_beyond_sqs_s_twelve_hours_is_a_hop_that_counts_the_run() {
    let sqs = queue_of("m.f", 1);
    let world = World::start(settings(1), sqs, |_| {
        Do::Die(AfterDeath::Retry {
            delay_secs: 13 * 3600,
        })
    });
    world.until("it is deleted", |w| w.sqs.deleted_count("email") == 1);
    let sqs = world.stop_and_end();
    let sent = sqs.sent("email");
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].attributes[ATTEMPTS], AttributeValue::number(1));
}

#[test]
fn a_death_goes_by_what_the_process_had_said() {
    let sqs = FakeSqs::with(&["email", "dead"]);
    let retried = put(&sqs, "m.retried", 1);
    put(&sqs, "m.dead", 1);
    put(&sqs, "m.raises", 1);
    let queue = || "dead".to_owned();
    let world = World::start(settings(1), Arc::new(sqs), move |job| match &*job.task {
        "m.retried" => Do::Die(AfterDeath::Retry { delay_secs: 7 }),
        "m.dead" => Do::Die(AfterDeath::DeadLetter { queue: queue() }),
        _ => Do::DeadLetter(DeadLetter {
            queue: queue(),
            reason: "ValueError".to_owned(),
        }),
    });
    world.until("two are in the dead-letter queue", |w| {
        w.sqs.deleted_count("email") == 2
    });
    let sqs = world.stop_and_end();
    let is_retry = |(id, hidden_for): &(String, Duration)| {
        *id == retried[0] && *hidden_for == Duration::from_secs(7)
    };
    assert!(sqs.visibilities("email").iter().any(is_retry));
    let sent = sqs.sent("dead");
    let reasons: BTreeSet<_> = sent
        .iter()
        .filter_map(|message| message.attributes[REASON].as_text())
        .collect();
    let expected = ["ValueError", "its task process died by SIGKILL"];
    assert_eq!(reasons, BTreeSet::from(expected));
}

#[test]
fn a_crash_charges_what_ran_and_nothing_else() {
    let sqs = queue_of("m.good", 20);
    let bad = put(&sqs, "m.bad", 1);
    put(&sqs, "m.good", 20);
    let world = World::start(settings(1), sqs, |job| match &*job.task {
        "m.bad" => Do::Die(AfterDeath::Failed),
        _ => Do::Succeed,
    });
    world.until("the rest is deleted", |w| {
        w.sqs.deleted_count("email") == 40
    });
    assert_eq!(world.begun().len(), 41, "each runs once");
    let told = format!(
        "died by SIGKILL while running task m.bad (message {}",
        bad[0]
    );
    world.until("it is told", |w| w.has_logged(40, &told));
    let sqs = world.stop_and_end();
    assert!(!sqs.deleted("email").contains(&bad[0]));
}

#[test]
fn what_succeeded_before_a_crash_is_deleted() {
    let world = World::start(settings(1), queue_of("m.f", 5), |_| Do::SucceedAndDie);
    world.until("all is deleted", |w| w.sqs.deleted_count("email") == 5);
    assert_eq!(world.begun().len(), 5, "each runs once");
    world.stop_and_end();
}

#[test]
fn tasks_behind_a_long_one_go_to_another_process() {
    let gate = Arc::new(Gate::default());
    let sqs = queue_of("m.f", 200);
    let its_gate = Arc::clone(&gate);
    let world = World::start(settings(2), sqs, move |job| {
        if job.body.contains("long") {
            Do::Wait(Arc::clone(&its_gate))
        } else {
            Do::Succeed
        }
    });
    world.until("the kind is known to be short", |w| {
        w.sqs.deleted_count("email") == 200
    });
    let long = body("m.f").replace("[]", "[\"long\"]");
    world.sqs.put("email", &long);
    put(&world.sqs, "m.f", 200);
    world.until("all but one are deleted", |w| {
        w.sqs.deleted_count("email") == 400
    });
    gate.open();
    world.until("the last is deleted", |w| {
        w.sqs.deleted_count("email") == 401
    });
    assert_eq!(world.begun().len(), 401, "each runs once");
    world.stop_and_end();
}

#[test]
fn processes_are_replaced_after_exactly_their_tasks() {
    let limited = WorkerSettings {
        max_tasks_per_child: 5,
        ..settings(2)
    };
    let world = World::start(limited, queue_of("m.f", 200), |job| {
        if job.message_id.ends_with('7') {
            Do::Fail
        } else {
            Do::Succeed
        }
    });
    world.until("all has run", |w| w.begun().len() == 200);
    world.until("all but the failed are deleted", |w| {
        w.sqs.deleted_count("email") == 180
    });
    assert!(world.running_max() <= 2);
    let tasks = world.tasks_by_process();
    assert_eq!(tasks.iter().sum::<u32>(), 200);
    assert!(tasks.iter().all(|&tasks| tasks <= 5), "{tasks:?}");
    let unfinished = tasks.iter().filter(|&&tasks| tasks != 0 && tasks != 5);
    assert!(unfinished.count() <= 2, "{tasks:?}");
    world.stop_and_end();
}

#[test]
fn a_stop_awaits_what_runs_and_gives_back_the_rest() {
    let gate = Arc::new(Gate::default());
    let its_gate = Arc::clone(&gate);
    let world = World::start(settings(1), queue_of("m.f", 30), move |_| {
        Do::Wait(Arc::clone(&its_gate))
    });
    world.until("one runs", |w| w.running() == 1);
    world.stop(false);
    world.until("the rest is visible", |w| {
        w.sqs.visible("email").len() == 29
    });
    assert!(!world.is_over());
    gate.open();
    let (code, sqs) = world.end();
    assert_eq!(code, 0);
    assert_eq!(sqs.deleted("email"), ["m1"]);
    assert_eq!(sqs.visible("email").len(), 29);
}

#[test]
fn a_stop_does_not_wait_for_an_endpoint_that_hangs_where_nothing_can_be_stranded() {
    let world = World::start(settings(1), queue_of("m.f", 1), |_| Do::Succeed);
    world.until("it is deleted and polled again", |w| {
        w.sqs.deleted_count("email") == 1 && w.sqs.calls("receive") >= 2
    });
    world.sqs.hang();
    world.stop(false);
    // Its receive would hang for ever.
    let (code, _) = world.end();
    assert_eq!(code, 0);
}

#[test]
fn a_second_stop_does_not_wait() {
    let gate = Arc::new(Gate::default());
    let its_gate = Arc::clone(&gate);
    let world = World::start(settings(1), queue_of("m.f", 1), move |_| {
        Do::Wait(Arc::clone(&its_gate))
    });
    world.until("it runs", |w| w.running() == 1);
    world.stop(false);
    world.stop(false);
    world.until("the manager has ended", World::is_over);
    assert!(world.sqs.deleted("email").is_empty());
    gate.open();
    assert_eq!(world.end().0, 0);
}

#[test]
fn a_stop_awaits_polls_that_must_not_be_closed() {
    let sqs = FakeSqs::with(&["email"]);
    sqs.keeps_polls();
    let world = World::start(settings(1), Arc::new(sqs), |_| Do::Succeed);
    world.until("it polls", |w| w.sqs.calls("receive") == 1);
    world.stop(false);
    world.until("the stop is heard", |w| w.sqs.asked_to_end() == 1);
    // What the poll brings now is given back.
    let id = world.sqs.put("email", &body("m.f"));
    let (code, sqs) = world.end();
    assert_eq!(code, 0);
    assert_eq!(sqs.visible("email"), [id]);
    assert!(sqs.deleted("email").is_empty());
}

#[test]
fn the_end_of_the_supervisor_is_a_stop() {
    let gate = Arc::new(Gate::default());
    let its_gate = Arc::clone(&gate);
    let world = World::start(settings(1), queue_of("m.f", 11), move |_| {
        Do::Wait(Arc::clone(&its_gate))
    });
    world.until("one runs", |w| w.running() == 1);
    world.abandon();
    world.until("the rest is visible", |w| {
        w.sqs.visible("email").len() == 10
    });
    gate.open();
    let (code, sqs) = world.end();
    assert_eq!(code, 0);
    assert_eq!(sqs.deleted("email"), ["m1"]);
}

#[test]
fn a_worker_that_can_not_start_says_why() {
    let check = |settings: WorkerSettings, failure: Option<fn(_) -> SqsError>, part: &str| {
        let sqs = FakeSqs::with(&["other"]);
        if let Some(failure) = failure {
            sqs.fail(failure);
        }
        let world = World::start(settings, Arc::new(sqs), |_| Do::Succeed);
        world.until("it has ended", World::is_over);
        world.until("it says why", |w| w.fatal().is_some());
        let fatal = world.fatal().unwrap();
        assert!(fatal.contains(part), "{fatal}");
        assert_eq!(world.end().0, 1);
    };
    check(
        settings(1),
        Some(SqsError::BadCredentials),
        "does not accept these credentials",
    );
    check(
        settings(1),
        Some(SqsError::NoCredentials),
        "no AWS credentials",
    );
    let required = WorkerSettings {
        require_queues: true,
        ..settings(1)
    };
    check(required, None, "there is no queue \"email\"");
    let url = WorkerSettings {
        queues: vec!["http://127.0.0.1/0/email".to_owned()],
        ..settings(1)
    };
    check(url, None, "is a URL");
}

#[test]
fn trouble_is_told_once_and_survived() {
    let world = World::start(settings(1), queue_of("m.f", 1), |_| Do::Succeed);
    world.until("it works", |w| w.sqs.deleted_count("email") == 1);
    world.sqs.fail(SqsError::Unreachable);
    world.sqs.end_polls();
    world.until("it is told", |w| {
        w.has_logged(30, "receiving from email fails")
    });
    world.sqs.recover();
    world.sqs.put("email", &body("m.f"));
    world.until("it works again", |w| w.sqs.deleted_count("email") == 2);
    world.until("that is told", |w| {
        w.has_logged(30, "receiving from email works again")
    });
    world.stop_and_end();
}
