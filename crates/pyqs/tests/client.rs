//! What a client does with queues, batches and failures, over an SQS in memory.

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyqs::{Client, ClientError, ClientSettings, Outgoing};
use pyqs_sqs::carried::{Carried, DUE};
use pyqs_sqs::{AttributeValue, EntryError, SqsError};
use support::{FakeSqs, Fault, failure};
use tokio::time::Instant;

fn client(sqs: &Arc<FakeSqs>) -> Client {
    Client::over(Arc::clone(sqs) as _, ClientSettings::default())
}

fn throttled() -> SqsError {
    SqsError::Throttled(failure("slow down"))
}

fn bodies(count: usize) -> impl Iterator<Item = Outgoing> {
    (0..count).map(|n| Outgoing::new(n.to_string()))
}

/// Lets every other task run until nothing more happens.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_queue_is_created_once_and_its_url_kept() {
    let sqs = FakeSqs::new();
    let client = client(&sqs);
    assert_eq!(
        client
            .send("email.tasks.send", Outgoing::new("a"))
            .await
            .unwrap(),
        "id-a"
    );
    assert_eq!(
        client
            .send("email.tasks.send", Outgoing::new("b"))
            .await
            .unwrap(),
        "id-b"
    );
    assert_eq!(
        sqs.requests(),
        [
            "url email.tasks.send",
            "url email-tasks-send",
            "create email-tasks-send",
            "send email-tasks-send",
            "send email-tasks-send",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_used_by_the_name_that_is_there() {
    let sqs = FakeSqs::new();
    sqs.state
        .lock()
        .unwrap()
        .queues
        .insert("a.b".to_owned(), Vec::new());
    client(&sqs).send("a.b", Outgoing::new("x")).await.unwrap();
    assert_eq!(sqs.sent("a.b"), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_queue_is_an_error_where_none_may_be_created() {
    let sqs = FakeSqs::new();
    let settings = ClientSettings {
        creates_queues: false,
        ..ClientSettings::default()
    };
    let client = Client::over(Arc::clone(&sqs) as _, settings);
    let error = client.send("email", Outgoing::new("a")).await.unwrap_err();
    assert!(
        matches!(error, ClientError::QueueMissing { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("PYQS_CREATE_QUEUES=0"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_that_sqs_would_not_take_is_an_error() {
    let error = client(&FakeSqs::new())
        .send("a b", Outgoing::new("x"))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::BadName(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_gone_is_looked_up_again() {
    let sqs = FakeSqs::new();
    let client = client(&sqs);
    client.send("email", Outgoing::new("a")).await.unwrap();
    sqs.state.lock().unwrap().queues.clear();
    client.send("email", Outgoing::new("b")).await.unwrap();
    assert_eq!(sqs.sent("email"), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn what_may_yet_succeed_is_tried_five_times() {
    let sqs = FakeSqs::new();
    let client = client(&sqs);
    for _ in 0..4 {
        sqs.fault(Fault::Fail(throttled()));
    }
    assert_eq!(
        client.send("email", Outgoing::new("a")).await.unwrap(),
        "id-a"
    );

    for _ in 0..5 {
        sqs.fault(Fault::Fail(throttled()));
    }
    let error = client.send("email", Outgoing::new("b")).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Sqs(SqsError::Throttled(_))),
        "{error:?}"
    );
    assert_eq!(sqs.sent("email"), ["a"]);
    assert!(sqs.state.lock().unwrap().faults.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_can_not_succeed_is_tried_once() {
    let sqs = FakeSqs::new();
    sqs.fault(Fault::Fail(SqsError::Denied(failure("no"))));
    let error = client(&sqs)
        .send("email", Outgoing::new("a"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Sqs(SqsError::Denied(_))),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn thirty_seconds_are_the_end_for_all_who_wait() {
    let sqs = FakeSqs::with(usize::MAX >> 4, Duration::from_secs(9));
    sqs.state
        .lock()
        .unwrap()
        .queues
        .insert("email".to_owned(), Vec::new());
    for _ in 0..1000 {
        sqs.fault(Fault::Fail(SqsError::TimedOut(failure("no answer"))));
    }
    let settings = ClientSettings {
        attempts_max: 100,
        ..ClientSettings::default()
    };
    let client = Client::over(Arc::clone(&sqs) as _, settings);
    let started = Instant::now();
    let answers = client.send_many("email", bodies(1000)).await;
    assert!(answers.iter().all(Result::is_err));
    assert!(
        started.elapsed() < Duration::from_secs(41),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn what_comes_during_a_request_goes_together() {
    let sqs = FakeSqs::with(0, Duration::ZERO);
    let client = client(&sqs);
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.send("email", Outgoing::new("first")).await }
    });
    settle().await;
    let rest: Vec<_> = bodies(7)
        .map(|message| {
            let client = client.clone();
            tokio::spawn(async move { client.send("email", message).await })
        })
        .collect();
    settle().await;
    assert_eq!(sqs.state.lock().unwrap().batches, [1]);

    sqs.permits.add_permits(2);
    first.await.unwrap().unwrap();
    for (n, send) in rest.into_iter().enumerate() {
        assert_eq!(send.await.unwrap().unwrap(), format!("id-{n}"));
    }
    assert_eq!(sqs.state.lock().unwrap().batches, [1, 7]);
}

#[tokio::test(start_paused = true)]
async fn full_batches_do_not_wait_for_each_other() {
    let sqs = FakeSqs::with(1000, Duration::from_millis(20));
    let answers = client(&sqs).send_many("email", bodies(1000)).await;
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), format!("id-{n}"));
    }
    let state = sqs.state.lock().unwrap();
    assert_eq!(state.batches, [10; 100]);
    assert_eq!(state.underway_max, 32);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_long_does_not_hold_others_up() {
    let sqs = FakeSqs::with(1000, Duration::from_millis(400));
    sqs.state
        .lock()
        .unwrap()
        .queues
        .insert("email".to_owned(), Vec::new());
    let client = client(&sqs);
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.send("email", Outgoing::new("first")).await }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let started = Instant::now();
    client.send("email", Outgoing::new("second")).await.unwrap();
    assert!(
        started.elapsed() < Duration::from_millis(450),
        "{:?}",
        started.elapsed()
    );
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn fifo_queues_have_one_request_at_a_time() {
    let sqs = FakeSqs::with(1000, Duration::from_millis(200));
    let messages = bodies(45).map(|m| Outgoing {
        group: Some("g".to_owned()),
        ..m
    });
    let answers = client(&sqs).send_many("a.fifo", messages).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(sqs.state.lock().unwrap().underway_max, 1);
    let expected: Vec<_> = (0..45).map(|n| n.to_string()).collect();
    assert_eq!(sqs.sent("a.fifo"), expected);
}

#[tokio::test(start_paused = true)]
async fn batches_hold_at_most_a_mebibyte() {
    let sqs = FakeSqs::new();
    let messages = (0..6).map(|_| Outgoing::new("x".repeat(400 * 1024)));
    let answers = client(&sqs).send_many("email", messages).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(sqs.state.lock().unwrap().batches, [2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn failed_entries_alone_are_tried_again() {
    let sqs = FakeSqs::new();
    let code_and_message = || ("InternalError".to_owned(), "oops".to_owned());
    let (code, message) = code_and_message();
    let failed = EntryError::Failed { code, message };
    let (code, message) = code_and_message();
    let refused = EntryError::Refused { code, message };
    sqs.fault(Fault::FailEntries(vec![(1, failed), (2, refused)]));
    let answers = client(&sqs).send_many("email", bodies(4)).await;
    assert!(
        answers[0].is_ok() && answers[1].is_ok() && answers[3].is_ok(),
        "{answers:?}"
    );
    assert!(
        matches!(answers[2], Err(ClientError::Sqs(SqsError::Rejected(_)))),
        "{answers:?}"
    );
    assert_eq!(sqs.sent("email"), ["0", "3", "1"]);
}

#[tokio::test(start_paused = true)]
async fn one_bad_message_does_not_spoil_its_batch() {
    let sqs = FakeSqs::new();
    sqs.state.lock().unwrap().rejected_body = Some("6".to_owned());
    let answers = client(&sqs).send_many("email", bodies(10)).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_err(), n == 6, "{n}: {answer:?}");
    }
    assert_eq!(sqs.sent("email").len(), 9);
}

#[tokio::test(start_paused = true)]
async fn too_large_a_message_is_refused_before_it_is_sent() {
    let sqs = FakeSqs::new();
    let message = Outgoing::new("x".repeat(1024 * 1024 + 1));
    let error = client(&sqs).send("email", message).await.unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::TooLarge {
                size: 1_048_577,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(sqs.requests().is_empty());
}

fn delayed(secs: u64) -> Outgoing {
    Outgoing {
        delay: Some(Duration::from_secs(secs)),
        ..Outgoing::new("x")
    }
}

fn unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_delay_above_sqss_goes_out_as_sqss_longest_and_the_time_at_which_it_is_due() {
    let sqs = FakeSqs::new();
    let before = unix_millis();
    let answers = client(&sqs)
        .send_many("email", [delayed(900), delayed(3600)])
        .await;
    let after = unix_millis();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");

    let state = sqs.state.lock().unwrap();
    let [short, long] = &state.messages[..] else {
        panic!("{:?}", state.messages)
    };
    assert_eq!(*short, delayed(900));
    assert_eq!(long.delay, short.delay);
    assert_eq!(long.attributes.keys().collect::<Vec<_>>(), [DUE]);
    let due = Carried::read(&long.attributes).due_unix_millis.unwrap();
    assert!((before..=after).contains(&(due - 3_600_000)), "{due}");
}

#[tokio::test(start_paused = true)]
async fn a_delay_that_can_not_be_kept_is_refused_before_it_is_sent() {
    let sqs = FakeSqs::new();
    let mut full = delayed(901);
    let attribute = |n: u8| (n.to_string(), AttributeValue::text("x"));
    full.attributes = (0..10).map(attribute).collect();
    let grouped = Outgoing {
        group: Some("g".to_owned()),
        ..delayed(901)
    };
    for (queue, message, said) in [
        ("email", full, "all ten message attributes"),
        ("email.fifo", grouped, "is FIFO and takes no delay"),
        ("email", delayed(1_800_000_000), "366 days"),
    ] {
        let error = client(&sqs).send(queue, message).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(sqs.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_no_longer_waits_has_taken_the_message_back() {
    let sqs = FakeSqs::with(0, Duration::ZERO);
    let client = client(&sqs);
    let send = |body: &'static str| {
        let client = client.clone();
        tokio::spawn(async move { client.send("email", Outgoing::new(body)).await })
    };
    let first = send("first");
    settle().await;
    let dropped = send("dropped");
    let kept = send("kept");
    settle().await;
    dropped.abort();
    settle().await;
    sqs.permits.add_permits(2);
    first.await.unwrap().unwrap();
    kept.await.unwrap().unwrap();
    assert_eq!(sqs.sent("email"), ["first", "kept"]);
}

#[tokio::test(start_paused = true)]
async fn shutdown_awaits_what_was_sent_and_refuses_more() {
    let sqs = FakeSqs::with(1000, Duration::from_millis(200));
    let client = client(&sqs);
    let sends = tokio::spawn({
        let client = client.clone();
        async move { client.send_many("email", bodies(100)).await }
    });
    settle().await;
    client.shutdown().await;
    assert_eq!(sqs.sent("email").len(), 100);
    assert!(sends.await.unwrap().iter().all(Result::is_ok));

    let error = client.send("email", Outgoing::new("x")).await.unwrap_err();
    assert!(matches!(error, ClientError::ShutDown), "{error:?}");
    client.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn found_queues_are_those_of_a_worker() {
    let sqs = FakeSqs::new();
    for name in ["email", "email-send", "sms", "report.fifo"] {
        sqs.state
            .lock()
            .unwrap()
            .queues
            .insert(name.to_owned(), Vec::new());
    }
    let find = async |arguments: &[&str], is_exact| {
        let arguments: Vec<_> = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        let found = client(&sqs)
            .find_queues(&arguments, is_exact)
            .await
            .unwrap();
        found
            .iter()
            .map(|queue| queue.name().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        find(&["email.*,nothing", "sms"], false).await,
        ["email-send", "sms"]
    );
    assert_eq!(find(&["email.*"], true).await, Vec::<String>::new());
    assert_eq!(find(&["*", "sms"], false).await.len(), 4);
}
