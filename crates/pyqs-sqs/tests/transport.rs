//! Time limits, long polls and closed connections, against a server that answers as told.

mod support;

use std::time::{Duration, Instant};

use pyqs_sqs::{CALL_TIMEOUT, Outgoing, QueueUrl, RECEIVE_SLACK, ReceiveRequest, Sqs, SqsError};
use support::{Answer, Server};

const MESSAGE: &str = r#"{"Messages":[{"MessageId":"m","ReceiptHandle":"r","Body":"hello",
    "Attributes":{"ApproximateReceiveCount":"3","SentTimestamp":"1700000000000",
        "ApproximateFirstReceiveTimestamp":"1700000000001","MessageGroupId":"g",
        "SomethingNew":"?"},
    "MessageAttributes":{"n":{"DataType":"Number.int","StringValue":"7"},
        "b":{"DataType":"Binary","BinaryValue":"AAEC"}}}]}"#;

fn email() -> QueueUrl {
    QueueUrl::new("http://127.0.0.1:1/000000000000/email")
}

fn long_poll() -> ReceiveRequest {
    ReceiveRequest {
        max: 10,
        wait: Duration::from_secs(20),
        visibility: Duration::from_secs(30),
        poll: None,
        attempt_id: None,
    }
}

/// In real time, since the SDK's protection against stalled streams reads the system's clock.
#[tokio::test]
async fn a_poll_of_twenty_seconds_is_not_cut_off() {
    let server = Server::start(|_| Answer::ok(MESSAGE).after(Duration::from_secs(20))).await;
    let client = server.client().await;

    let started = Instant::now();
    let messages = client.receive(&email(), long_poll()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(20));
    assert_eq!(messages[0].body, "hello");
}

#[tokio::test]
async fn a_message_is_read_with_all_that_was_asked_for() {
    let (seen, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |request| {
        seen.send(request).unwrap();
        Answer::ok(MESSAGE)
    })
    .await;
    let message = server
        .client()
        .await
        .receive(&email(), long_poll())
        .await
        .unwrap()
        .remove(0);
    assert_eq!((&*message.message_id, message.receipt.as_str()), ("m", "r"));
    assert_eq!(
        (message.receive_count, message.sent_at_millis),
        (3, Some(1_700_000_000_000))
    );
    assert_eq!(message.first_received_at_millis, Some(1_700_000_000_001));
    assert_eq!(message.group.as_deref(), Some("g"));
    assert_eq!(message.attributes["n"].as_text(), Some("7"));
    assert_eq!(message.attributes["b"].as_text(), None);

    let asked = requests.recv().await.unwrap().json();
    assert_eq!(asked["WaitTimeSeconds"], 20);
    assert_eq!(asked["VisibilityTimeout"], 30);
    assert_eq!(asked["MaxNumberOfMessages"], 10);
    assert_eq!(asked["MessageAttributeNames"][0], "All");
    let names = asked["MessageSystemAttributeNames"].as_array().unwrap();
    assert!(
        names.iter().any(|name| name == "ApproximateReceiveCount"),
        "{names:?}"
    );
    assert!(
        names.iter().any(|name| name == "DeadLetterQueueSourceArn"),
        "{names:?}"
    );
}

#[tokio::test]
async fn an_empty_answer_is_no_messages() {
    for nothing in ["{}", r#"{"Messages":[]}"#, r#"{"Messages":null}"#] {
        let server = Server::start(move |_| Answer::ok(nothing)).await;
        assert!(
            server
                .client()
                .await
                .receive(&email(), long_poll())
                .await
                .unwrap()
                .is_empty()
        );
    }
}

/// The clock is paused: it jumps to the next limit as soon as nothing else can happen.
#[tokio::test(start_paused = true)]
async fn calls_without_an_answer_time_out() {
    let server = Server::start(|_| Answer::ok("").after(Duration::from_hours(1))).await;
    let client = server.client().await;
    let started = tokio::time::Instant::now();
    let error = client.send(&email(), Outgoing::new("x")).await.unwrap_err();
    assert!(matches!(error, SqsError::TimedOut(_)), "{error:?}");
    assert!(
        error.to_string().contains("no answer within 10 s"),
        "{error}"
    );
    assert!(started.elapsed() >= CALL_TIMEOUT);

    let started = tokio::time::Instant::now();
    let error = client.receive(&email(), long_poll()).await.unwrap_err();
    assert!(matches!(error, SqsError::TimedOut(_)), "{error:?}");
    assert!(started.elapsed() >= Duration::from_secs(20) + RECEIVE_SLACK);
}

#[tokio::test]
async fn a_dropped_receive_closes_its_connection() {
    let (seen, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let mut server = Server::start(move |request| {
        seen.send(request).unwrap();
        Answer::ok("{}").after(Duration::from_hours(1))
    })
    .await;
    let client = server.client().await;
    let poll = tokio::spawn(async move { client.receive(&email(), long_poll()).await });
    requests.recv().await.unwrap();
    poll.abort();
    server.hang_ups.recv().await.unwrap();
}

#[tokio::test]
async fn an_endpoint_says_that_it_ends_polls() {
    let server = Server::start(|request| match request.action() {
        "PurgeQueue" => Answer::ok("{}"),
        _ => Answer::ok("{}").header("x-pyqs-ends-polls", "yes"),
    })
    .await;
    let client = server.client().await;
    assert!(!client.can_end_polls());
    client.receive(&email(), long_poll()).await.unwrap();
    assert!(client.can_end_polls());
    assert!(client.clone().can_end_polls());
    client.purge_queue(&email()).await.unwrap();
    assert!(!client.can_end_polls());
}
