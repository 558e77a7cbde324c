//! Long polls: when they end, and what happens to messages whose client has gone.

use std::time::{Duration, Instant};

use crate::support::{Connection, Running, in_memory, request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A long poll of 20 s on a connection of its own, not yet answered.
async fn poll(server: &Running, queue: &str) -> Connection {
    let mut connection = server.connect().await;
    let body = json!({"QueueUrl": queue, "WaitTimeSeconds": 20, "MaxNumberOfMessages": 10});
    let bytes = request("ReceiveMessage", &[], body.to_string().as_bytes());
    connection.write(&bytes).await;
    connection
}

async fn send(server: &Running, queue: &str, body: &str, delay_secs: u32) {
    let body = json!({"QueueUrl": queue, "MessageBody": body, "DelaySeconds": delay_secs});
    server.ok("SendMessage", body).await;
}

/// Tries a receive until it brings something: what a client that goes away leaves behind comes
/// back as soon as the server notices.
async fn receive_soon(server: &Running, queue: &str) -> Value {
    for _ in 0..20 {
        if let Some(message) = server.receive(queue, 1).await.pop() {
            return message;
        }
    }
    panic!("the message is stranded");
}

#[tokio::test]
async fn a_poll_ends_at_the_first_message_or_after_its_wait() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    let mut waiting = poll(&server, &queue).await;
    let started = Instant::now();
    assert!(server.receive(&queue, 1).await.is_empty());
    assert!(started.elapsed() >= Duration::from_secs(1));
    send(&server, &queue, "a", 0).await;
    assert_eq!(waiting.answer().await.json()["Messages"][0]["Body"], "a");
    assert!(started.elapsed() < Duration::from_secs(10));
    server.stop().await;
}

#[tokio::test]
async fn the_queue_s_own_wait_holds_where_none_is_given() {
    let server = Running::start(in_memory());
    let attributes = json!({"ReceiveMessageWaitTimeSeconds": "1"});
    let queue = server.queue("email", attributes).await;
    let started = Instant::now();
    server
        .ok("ReceiveMessage", json!({"QueueUrl": queue}))
        .await;
    assert!(started.elapsed() >= Duration::from_secs(1));
    server.stop().await;
}

#[tokio::test]
async fn a_poll_sees_the_end_of_a_delay_and_of_a_visibility_timeout() {
    let server = Running::start(in_memory());
    let queue = server
        .queue("email", json!({"VisibilityTimeout": "1"}))
        .await;
    send(&server, &queue, "a", 1).await;
    let mut first = poll(&server, &queue).await;
    assert_eq!(first.answer().await.json()["Messages"][0]["Body"], "a");
    let mut second = poll(&server, &queue).await;
    assert_eq!(second.answer().await.json()["Messages"][0]["Body"], "a");
    server.stop().await;
}

#[tokio::test]
async fn one_message_goes_to_one_poll() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    let mut polls = [poll(&server, &queue).await, poll(&server, &queue).await];
    send(&server, &queue, "a", 0).await;
    send(&server, &queue, "b", 0).await;
    let mut bodies = Vec::new();
    for poll in &mut polls {
        let mut answer = poll.answer().await.json();
        let messages = answer["Messages"].take();
        bodies.extend(
            messages
                .as_array()
                .unwrap()
                .iter()
                .map(|m| m["Body"].to_string()),
        );
    }
    bodies.sort();
    assert_eq!(bodies, ["\"a\"", "\"b\""]);
    server.stop().await;
}

#[tokio::test]
async fn a_poll_is_ended_by_its_name() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    let body = json!({"QueueUrl": queue, "WaitTimeSeconds": 20}).to_string();
    let mut polls = Vec::new();
    for name in ["first", "second"] {
        let mut connection = server.connect().await;
        let headers = [("x-pyqs-poll", name)];
        let bytes = request("ReceiveMessage", &headers, body.as_bytes());
        connection.write(&bytes).await;
        polls.push(connection);
    }
    // Until the server has the poll, there is nothing to end: clients ask again.
    let ends_first = request(
        "ReceiveMessage",
        &[("x-pyqs-end-poll", "first")],
        body.as_bytes(),
    );
    let mut asking = server.connect().await;
    let ended = loop {
        asking.write(&ends_first).await;
        assert_eq!(asking.answer().await.json(), json!({}));
        let answer = tokio::time::timeout(Duration::from_millis(20), polls[0].answer()).await;
        if let Ok(answer) = answer {
            break answer;
        }
    };
    assert_eq!(ended.json(), json!({}));

    send(&server, &queue, "a", 0).await;
    assert_eq!(
        polls[1].answer().await.json()["Messages"][0]["Body"],
        "a",
        "the other one waits on"
    );
    asking.write(&ends_first).await;
    assert_eq!(
        asking.answer().await.status,
        200,
        "one that is not there is no error"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_poll_that_is_closed_strands_nothing() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    for round in 0..50 {
        let closed = poll(&server, &queue).await;
        if round % 2 == 0 {
            // Also with the poll surely waiting.
            server.receive(&queue, 0).await;
        }
        drop(closed);
        send(&server, &queue, "a", 0).await;
        let message = receive_soon(&server, &queue).await;
        let count = &message["Attributes"]["ApproximateReceiveCount"];
        assert_eq!(count, "1", "nobody has seen it before, round {round}");
        let delete = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
        server.ok("DeleteMessage", delete).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_comes_back() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    let unread = poll(&server, &queue).await;
    send(&server, &queue, "a", 0).await;
    // The answer is in this client's socket; it closes without reading it.
    unread.0.readable().await.unwrap();
    drop(unread);
    let message = receive_soon(&server, &queue).await;
    assert_eq!(message["Attributes"]["ApproximateReceiveCount"], "1");
    server.stop().await;
}

/// As hyper closes, and with it the AWS SDK for Rust, when a request is given up.
#[tokio::test]
async fn an_answer_that_is_not_read_comes_back_when_the_client_shuts_down_before_it_closes() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    for read_bytes in [0, 10] {
        let mut unread = poll(&server, &queue).await;
        send(&server, &queue, "a", 0).await;
        unread.0.readable().await.unwrap();
        unread.0.read_exact(&mut vec![0; read_bytes]).await.unwrap();
        unread.0.shutdown().await.unwrap();
        drop(unread);
        let message = receive_soon(&server, &queue).await;
        assert_eq!(message["Attributes"]["ApproximateReceiveCount"], "1");
        let delete = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
        server.ok("DeleteMessage", delete).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_read_half_comes_back() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    // More than both sockets' buffers hold: the server is left in the middle of its write.
    for _ in 0..10 {
        send(&server, &queue, &"x".repeat(1_000_000), 0).await;
    }
    let stalled = poll(&server, &queue).await;
    stalled.0.readable().await.unwrap();
    assert!(
        server.receive(&queue, 0).await.is_empty(),
        "all ten are on their way"
    );
    drop(stalled);
    receive_soon(&server, &queue).await;
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_was_read_stays_received() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    send(&server, &queue, "a", 0).await;
    let mut read = poll(&server, &queue).await;
    assert_eq!(read.answer().await.status, 200);
    read.0.shutdown().await.unwrap();
    drop(read);
    // Longer than a reset would be awaited.
    assert!(server.receive(&queue, 2).await.is_empty());
    server.stop().await;
}
