//! Permissions as the policy shows them, and move tasks with a server that keeps time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::support::{Running, durable, in_memory};

const DEAD_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:dead";
const EMAIL_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:email";

/// A queue with a dead-letter queue, and that many messages in it.
async fn with_dead_letters(server: &Running, count: usize) -> (String, String) {
    let dead = server.queue("dead", json!({})).await;
    let policy = json!({"deadLetterTargetArn": DEAD_ARN, "maxReceiveCount": 1}).to_string();
    let attributes = json!({"RedrivePolicy": policy, "VisibilityTimeout": "0"});
    let queue = server.queue("email", attributes).await;
    for i in 0..count {
        let body = json!({"QueueUrl": queue, "MessageBody": i.to_string()});
        server.ok("SendMessage", body).await;
    }
    let all = json!(count.to_string());
    while visible(server, &dead).await != all {
        server.receive(&queue, 0).await;
    }
    let keep = json!({"QueueUrl": queue, "Attributes": {"VisibilityTimeout": "600"}});
    server.ok("SetQueueAttributes", keep).await;
    (queue, dead)
}

async fn attribute(server: &Running, queue: &str, name: &str) -> Value {
    let body = json!({"QueueUrl": queue, "AttributeNames": [name]});
    let mut answer = server.ok("GetQueueAttributes", body).await;
    answer["Attributes"][name].take()
}

async fn visible(server: &Running, queue: &str) -> Value {
    attribute(server, queue, "ApproximateNumberOfMessages").await
}

async fn latest_task(server: &Running) -> Value {
    let body = json!({"SourceArn": DEAD_ARN});
    let mut answer = server.ok("ListMessageMoveTasks", body).await;
    answer["Results"][0].take()
}

#[tokio::test]
async fn permissions_are_statements_of_the_policy() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    let add = |label: &str, accounts: &[&str], actions: &[&str]| json!({"QueueUrl": queue, "Label": label, "AWSAccountIds": accounts, "Actions": actions});
    let one = add("one", &["123456789012"], &["SendMessage"]);
    server.ok("AddPermission", one.clone()).await;
    let two = add(
        "two",
        &["111122223333", "444455556666"],
        &["*", "ReceiveMessage"],
    );
    server.ok("AddPermission", two).await;
    let policy = attribute(&server, &queue, "Policy").await;
    let policy: Value = serde_json::from_str(policy.as_str().unwrap()).unwrap();
    let arn = "arn:aws:sqs:us-east-1:000000000000:email";
    let expected = json!({
        "Version": "2008-10-17",
        "Id": format!("{arn}/SQSDefaultPolicy"),
        "Statement": [
            {
                "Sid": "one",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Action": "SQS:SendMessage",
                "Resource": arn,
            },
            {
                "Sid": "two",
                "Effect": "Allow",
                "Principal": {"AWS": ["arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:root"]},
                "Action": ["SQS:*", "SQS:ReceiveMessage"],
                "Resource": arn,
            },
        ],
    });
    assert_eq!(policy, expected);
    let twice = server.call("AddPermission", one).await;
    assert_eq!(twice.status, 400);
    assert!(twice.text().contains("Already exists."), "{}", twice.text());
    for label in ["one", "two"] {
        let body = json!({"QueueUrl": queue, "Label": label});
        server.ok("RemovePermission", body).await;
    }
    assert_eq!(attribute(&server, &queue, "Policy").await, Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn moved_messages_reach_those_who_wait_for_them() {
    let server = Running::start(in_memory());
    let (queue, dead) = with_dead_letters(&server, 3).await;
    let start = json!({"SourceArn": DEAD_ARN, "MaxNumberOfMessagesPerSecond": 500});
    server.ok("StartMessageMoveTask", start).await;
    let mut received = Vec::new();
    while received.len() < 3 {
        received.extend(server.receive(&queue, 20).await);
    }
    assert_eq!(received[0]["Attributes"]["ApproximateReceiveCount"], "1");
    assert_eq!(visible(&server, &dead).await, "0");
    let task = latest_task(&server).await;
    assert_eq!(
        (&task["Status"], &task["ApproximateNumberOfMessagesMoved"]),
        (&json!("COMPLETED"), &json!(3))
    );
    assert_eq!(task["TaskHandle"], Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn a_move_task_survives_a_restart_and_is_cancelled_by_its_handle() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(durable(&folder));
    let (_, dead) = with_dead_letters(&server, 5).await;
    let start = json!({"SourceArn": DEAD_ARN, "DestinationArn": EMAIL_ARN, "MaxNumberOfMessagesPerSecond": 1});
    let started = server.ok("StartMessageMoveTask", start.clone()).await;
    let twice = server.call("StartMessageMoveTask", start).await;
    assert!(
        twice.text().contains("already a task running"),
        "{}",
        twice.text()
    );
    server.stop().await;

    let server = Running::start(durable(&folder));
    let task = latest_task(&server).await;
    assert_eq!(task["TaskHandle"], started["TaskHandle"]);
    assert_eq!(
        (&task["Status"], &task["ApproximateNumberOfMessagesToMove"]),
        (&json!("RUNNING"), &json!(5))
    );
    let handle = started["TaskHandle"].as_str().unwrap();
    let elsewhere = BASE64.decode(handle).unwrap();
    let elsewhere = String::from_utf8(elsewhere).unwrap();
    let elsewhere = BASE64.encode(elsewhere.replace(DEAD_ARN, EMAIL_ARN));
    let of_another_queue = server.call("CancelMessageMoveTask", json!({"TaskHandle": elsewhere}));
    assert_eq!(of_another_queue.await.status, 404);
    let cancel = json!({"TaskHandle": handle});
    let cancelled = server.ok("CancelMessageMoveTask", cancel.clone()).await;
    let moved = cancelled["ApproximateNumberOfMessagesMoved"]
        .as_u64()
        .unwrap();
    assert_eq!(visible(&server, &dead).await, (5 - moved).to_string());
    let again = server.call("CancelMessageMoveTask", cancel).await;
    assert_eq!(again.status, 404, "{}", again.text());
    assert_eq!(latest_task(&server).await["Status"], "CANCELLED");
    server.stop().await;
}
