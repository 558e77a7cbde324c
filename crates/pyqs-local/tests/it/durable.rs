//! The endpoint with a data folder: what is there after a restart, and who may have the folder.

use std::error::Error as _;

use pyqs_local::{Config, DeadLetter, QueueDeclaration, ServeError, Server};
use serde_json::{Value, json};

use crate::support::{Running, durable, in_memory};

#[tokio::test]
async fn queues_messages_leases_and_receipts_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(durable(&folder));
    let dead = server.queue("dead", json!({})).await;
    let policy =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":9}"#;
    let attributes = json!({"RedrivePolicy": policy, "VisibilityTimeout": "1000"});
    let queue = server.queue("email", attributes).await;
    let tags = json!({"QueueUrl": queue, "Tags": {"team": "a"}});
    server.ok("TagQueue", tags).await;
    let body = json!({
        "QueueUrl": queue,
        "MessageBody": "in flight",
        "MessageAttributes": {"b": {"DataType": "Binary.x", "BinaryValue": "AAE="}},
    });
    let sent = server.ok("SendMessage", body).await;
    let received = server.receive(&queue, 0).await.remove(0);
    for (body, delay) in [("waiting", 0), ("delayed", 900)] {
        let body = json!({"QueueUrl": queue, "MessageBody": body, "DelaySeconds": delay});
        server.ok("SendMessage", body).await;
    }
    let all = |queue: &str| json!({"QueueUrl": queue, "AttributeNames": ["All"]});
    let before = server.ok("GetQueueAttributes", all(&queue)).await;
    server.stop().await;

    let server = Running::start(durable(&folder));
    assert_eq!(server.ok("GetQueueAttributes", all(&queue)).await, before);
    let tags = server.ok("ListQueueTags", json!({"QueueUrl": queue})).await;
    assert_eq!(tags, json!({"Tags": {"team": "a"}}));
    let waiting = server.receive(&queue, 0).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["Body"], "waiting");

    let receipt = &received["ReceiptHandle"];
    let show = json!({"QueueUrl": queue, "ReceiptHandle": receipt, "VisibilityTimeout": 0});
    server.ok("ChangeMessageVisibility", show).await;
    let again =
        json!({"QueueUrl": queue, "MessageAttributeNames": ["All"], "AttributeNames": ["All"]});
    let again = server.ok("ReceiveMessage", again).await["Messages"][0].take();
    assert_eq!(again["MessageId"], sent["MessageId"]);
    assert_eq!(again["Attributes"]["ApproximateReceiveCount"], "2");
    assert_eq!(
        again["Attributes"]["SentTimestamp"],
        received["Attributes"]["SentTimestamp"]
    );
    assert_eq!(again["MessageAttributes"]["b"]["BinaryValue"], "AAE=");
    assert_ne!(&again["ReceiptHandle"], receipt);
    let sources = server
        .ok("ListDeadLetterSourceQueues", json!({"QueueUrl": dead}))
        .await;
    assert_eq!(sources["queueUrls"], json!([queue]));
    server.stop().await;
}

#[tokio::test]
async fn what_was_deleted_stays_deleted_and_keys_are_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut ids: Vec<Value> = Vec::new();
    for _ in 0..3 {
        let server = Running::start(durable(&folder));
        let queue = server.queue("email", json!({})).await;
        assert!(server.receive(&queue, 0).await.is_empty());
        let body = json!({"QueueUrl": queue, "MessageBody": "a"});
        ids.push(server.ok("SendMessage", body).await["MessageId"].take());
        let message = server.receive(&queue, 0).await.remove(0);
        let delete = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
        server.ok("DeleteMessage", delete).await;
        server.stop().await;
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[tokio::test]
async fn fifo_queues_keep_order_lock_and_deduplication_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(durable(&folder));
    let fifo = json!({"FifoQueue": "true", "ContentBasedDeduplication": "true"});
    let queue = server.queue("orders.fifo", fifo).await;
    let send = |body: &str| json!({"QueueUrl": queue, "MessageBody": body, "MessageGroupId": "g"});
    for body in ["1", "2", "3"] {
        server.ok("SendMessage", send(body)).await;
    }
    let one = json!({"QueueUrl": queue, "MaxNumberOfMessages": 1});
    let first = server.ok("ReceiveMessage", one).await["Messages"][0].take();
    server.stop().await;

    let server = Running::start(durable(&folder));
    server.ok("SendMessage", send("2")).await;
    assert!(
        server.receive(&queue, 0).await.is_empty(),
        "the group is locked"
    );
    let delete = json!({"QueueUrl": queue, "ReceiptHandle": first["ReceiptHandle"]});
    server.ok("DeleteMessage", delete).await;
    let rest = server.receive(&queue, 0).await;
    let bodies: Vec<_> = rest
        .iter()
        .map(|message| message["Body"].as_str().unwrap())
        .collect();
    assert_eq!(bodies, ["2", "3"], "the second 2 was a duplicate");
    server.stop().await;
}

#[tokio::test]
async fn purged_and_deleted_queues_leave_nothing_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(durable(&folder));
    for name in ["purged", "deleted"] {
        let queue = server.queue(name, json!({})).await;
        server
            .ok(
                "SendMessage",
                json!({"QueueUrl": queue, "MessageBody": "a"}),
            )
            .await;
        let action = if name == "purged" {
            "PurgeQueue"
        } else {
            "DeleteQueue"
        };
        server.ok(action, json!({"QueueUrl": queue})).await;
    }
    server.stop().await;
    let server = Running::start(durable(&folder));
    let queues = server.ok("ListQueues", json!({})).await;
    let url = "http://sqs.test:9324/000000000000/purged";
    assert_eq!(queues, json!({"QueueUrls": [url]}));
    assert!(server.receive(url, 0).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn declared_queues_are_there_also_at_the_second_start() {
    let folder = tempfile::tempdir().unwrap();
    for visibility_secs in [7, 8] {
        let queues = vec![
            QueueDeclaration {
                name: "email".to_owned(),
                attributes: [("VisibilityTimeout".to_owned(), visibility_secs.to_string())].into(),
                dead_letter: Some(DeadLetter {
                    queue: "email-dead".to_owned(),
                    receives_max: 2,
                }),
            },
            QueueDeclaration {
                name: "orders.fifo".to_owned(),
                ..QueueDeclaration::default()
            },
        ];
        let server = Running::start(Config {
            queues,
            ..durable(&folder)
        });
        let queues = server.ok("ListQueues", json!({})).await;
        assert_eq!(queues["QueueUrls"].as_array().unwrap().len(), 3);
        let body = json!({"QueueUrl": queues["QueueUrls"][0], "AttributeNames": ["All"]});
        let attributes = server.ok("GetQueueAttributes", body).await["Attributes"].take();
        assert_eq!(attributes["VisibilityTimeout"], visibility_secs.to_string());
        let policy = attributes["RedrivePolicy"].as_str().unwrap();
        assert!(policy.contains("email-dead"), "{policy}");
        server.stop().await;
    }
}

fn refusal(config: Config) -> ServeError {
    let address = "127.0.0.1:0".parse().unwrap();
    match Server::bind(Config { address, ..config }) {
        Ok(_) => panic!("it starts"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_second_server_on_the_folder_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(durable(&folder));
    let error = refusal(durable(&folder));
    let reason = error.source().unwrap().to_string();
    assert!(reason.contains("another server uses"), "{reason}");
    server.stop().await;
    Running::start(durable(&folder)).stop().await;
}

#[test]
fn files_of_others_and_of_later_versions_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pyqs.sqlite3");
    std::fs::write(
        &path,
        "not a database at all, but long enough to look like one",
    )
    .unwrap();
    assert!(matches!(refusal(durable(&folder)), ServeError::Store(_)));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(refusal(durable(&folder)), ServeError::Store(_)));
    let config = Config {
        data: Some("/dev/null/data".into()),
        ..in_memory()
    };
    assert!(matches!(refusal(config), ServeError::Store(_)));
}

#[tokio::test]
async fn a_taken_port_and_an_open_address_are_refused() {
    let server = Running::start(in_memory());
    let taken = Config {
        address: server.address,
        ..in_memory()
    };
    assert!(matches!(Server::bind(taken), Err(ServeError::Bind { .. })));
    let open = Config {
        address: "0.0.0.0:0".parse().unwrap(),
        ..in_memory()
    };
    assert!(matches!(Server::bind(open), Err(ServeError::Open { .. })));
    server.stop().await;
}

#[test]
fn a_queue_that_cannot_be_declared_is_named() {
    let bad = Config {
        queues: vec![QueueDeclaration {
            name: "a.b".to_owned(),
            ..QueueDeclaration::default()
        }],
        ..in_memory()
    };
    assert_eq!(refusal(bad).to_string(), "can't make queue a.b");
}
