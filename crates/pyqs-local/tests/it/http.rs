//! The endpoint over real HTTP: the protocol, its errors, and hostile clients.

use std::time::{Duration, Instant};

use crate::support::{Running, in_memory, request};
use pyqs_local::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_message_is_sent_received_and_deleted() {
    let server = Running::start(in_memory());
    let queue = server
        .queue("email", json!({"VisibilityTimeout": "7"}))
        .await;
    assert_eq!(queue, "http://sqs.test:9324/000000000000/email");
    let message = json!({
        "QueueUrl": queue,
        "MessageBody": "hällo",
        "MessageAttributes": {
            "n": {"DataType": "Number", "StringValue": "1"},
            "b": {"DataType": "Binary", "BinaryValue": "AAE="},
        },
        "MessageSystemAttributes": {
            "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"},
        },
    });
    let sent = server.ok("SendMessage", message).await;
    // The MD5s were computed by boto3, which refuses an answer with others.
    assert_eq!(sent["MD5OfMessageBody"], "38bbce5fb3d0aec801f9eab39182fa7a");
    assert_eq!(
        sent["MD5OfMessageAttributes"],
        "6d3e0b67e05bf94ede72102c4dc09565"
    );
    assert_eq!(
        sent["MD5OfMessageSystemAttributes"],
        "d6619b3d47b81d3fc72c0db005a70eda"
    );

    let receive = json!({
        "QueueUrl": queue,
        "AttributeNames": ["ApproximateReceiveCount", "AWSTraceHeader"],
        "MessageAttributeNames": ["b.*"],
    });
    let received = server.ok("ReceiveMessage", receive.clone()).await;
    let message = &received["Messages"][0];
    assert_eq!(message["MessageId"], sent["MessageId"]);
    assert_eq!(message["Body"], "hällo");
    let attributes = json!({"ApproximateReceiveCount": "1", "AWSTraceHeader": "Root=1"});
    assert_eq!(message["Attributes"], attributes);
    let attributes = json!({"b": {"DataType": "Binary", "BinaryValue": "AAE="}});
    assert_eq!(message["MessageAttributes"], attributes);
    assert_eq!(
        server.ok("ReceiveMessage", receive).await,
        json!({}),
        "no empty list"
    );

    let delete = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
    assert_eq!(server.ok("DeleteMessage", delete).await, json!({}));
    let counts = json!({"QueueUrl": queue, "AttributeNames": ["All"]});
    let attributes = server.ok("GetQueueAttributes", counts).await["Attributes"].take();
    assert_eq!(attributes["ApproximateNumberOfMessagesNotVisible"], "0");
    assert_eq!(
        attributes["QueueArn"],
        "arn:aws:sqs:us-east-1:000000000000:email"
    );
    server.stop().await;
}

#[tokio::test]
async fn batches_fail_entry_by_entry() {
    let server = Running::start(in_memory());
    let queue = server
        .queue("email", json!({"MaximumMessageSize": "1024"}))
        .await;
    let entries = json!([
        {"Id": "good", "MessageBody": "a"},
        {"Id": "control", "MessageBody": "\u{2}"},
        {"Id": "late", "MessageBody": "a", "DelaySeconds": 901},
        {"Id": "long", "MessageBody": "x".repeat(1025)},
    ]);
    let body = json!({"QueueUrl": queue, "Entries": entries});
    let sent = server.ok("SendMessageBatch", body).await;
    assert_eq!(sent["Successful"].as_array().unwrap().len(), 1);
    assert_eq!(sent["Successful"][0]["Id"], "good");
    assert_eq!(
        sent["Successful"][0]["MD5OfMessageBody"],
        "0cc175b9c0f1b6a831c399e269772661"
    );
    let failed = sent["Failed"].as_array().unwrap().iter();
    let failed: Vec<_> = failed
        .map(|f| (&f["Id"], &f["Code"], &f["SenderFault"]))
        .collect();
    let failure = |id: &str, code: &str| (json!(id), json!(code), json!(true));
    let expected = [
        failure("control", "InvalidMessageContents"),
        failure("late", "InvalidParameterValue"),
        failure("long", "InvalidParameterValue"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(id, code, fault)| (id, code, fault))
        .collect();
    assert_eq!(failed, expected);

    let receipt = server.receive(&queue, 0).await[0]["ReceiptHandle"].take();
    let entries = json!([
        {"Id": "a", "ReceiptHandle": receipt, "VisibilityTimeout": 0},
        {"Id": "b", "ReceiptHandle": "x", "VisibilityTimeout": 0},
        {"Id": "c", "ReceiptHandle": receipt, "VisibilityTimeout": 43201},
    ]);
    let body = json!({"QueueUrl": queue, "Entries": entries});
    let changed = server.ok("ChangeMessageVisibilityBatch", body).await;
    assert_eq!(changed["Successful"], json!([{"Id": "a"}]));
    assert_eq!(changed["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
    assert_eq!(changed["Failed"][1]["Code"], "InvalidParameterValue");

    let receipt = server.receive(&queue, 0).await[0]["ReceiptHandle"].take();
    let entries = json!([{"Id": "a", "ReceiptHandle": receipt}, {"Id": "b", "ReceiptHandle": ""}]);
    let body = json!({"QueueUrl": queue, "Entries": entries});
    let deleted = server.ok("DeleteMessageBatch", body).await;
    assert_eq!(deleted["Successful"], json!([{"Id": "a"}]));
    assert_eq!(deleted["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
    server.stop().await;
}

#[tokio::test]
async fn sizes_at_the_limit_and_one_beyond() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    let half = "x".repeat(524_288);
    let send = |body: String| json!({"QueueUrl": queue, "MessageBody": body});
    assert_eq!(
        server
            .call("SendMessage", send(half.repeat(2)))
            .await
            .status,
        200
    );
    assert_eq!(
        server
            .call("SendMessage", send(half.repeat(2) + "x"))
            .await
            .status,
        400
    );
    let batch = |last: &str| {
        let entries = json!([{"Id": "a", "MessageBody": half}, {"Id": "b", "MessageBody": last}]);
        json!({"QueueUrl": queue, "Entries": entries})
    };
    assert_eq!(
        server.call("SendMessageBatch", batch(&half)).await.status,
        200
    );
    let refused = server
        .call("SendMessageBatch", batch(&format!("{half}x")))
        .await;
    assert_eq!(
        refused.json()["__type"],
        "com.amazonaws.sqs#BatchRequestTooLong"
    );
    server.stop().await;
}

#[tokio::test]
async fn queues_are_listed_by_prefix_and_page() {
    let server = Running::start(in_memory());
    for name in ["a-1", "a-2", "a-3", "b"] {
        server.queue(name, json!({})).await;
    }
    let first = json!({"QueueNamePrefix": "a-", "MaxResults": 2});
    let first = server.ok("ListQueues", first).await;
    let url = |name: &str| format!("http://sqs.test:9324/000000000000/{name}");
    assert_eq!(first["QueueUrls"], json!([url("a-1"), url("a-2")]));
    let token = &first["NextToken"];
    let rest = json!({"QueueNamePrefix": "a-", "MaxResults": 2, "NextToken": token});
    let rest = server.ok("ListQueues", rest).await;
    assert_eq!(rest, json!({"QueueUrls": [url("a-3")]}));
    assert_eq!(
        server
            .ok("ListQueues", json!({"QueueNamePrefix": "c"}))
            .await,
        json!({})
    );
    let bad = json!({"MaxResults": 2, "NextToken": "%"});
    assert_eq!(server.call("ListQueues", bad).await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn the_region_comes_from_the_signature() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    let scope = "AWS4-HMAC-SHA256 Credential=AK/20261101/eu-west-3/sqs/aws4_request, Signature=x";
    let body = json!({"QueueUrl": queue, "AttributeNames": ["QueueArn"]}).to_string();
    let bytes = request(
        "GetQueueAttributes",
        &[("Authorization", scope)],
        body.as_bytes(),
    );
    let mut connection = server.connect().await;
    connection.write(&bytes).await;
    let arn = &connection.answer().await.json()["Attributes"]["QueueArn"];
    assert_eq!(arn, "arn:aws:sqs:eu-west-3:000000000000:email");
    server.stop().await;
}

#[tokio::test]
async fn garbage_is_answered_with_4xx() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    let deep = "[".repeat(100_000);
    let bodies = [
        "",
        "null",
        "[]",
        "1",
        "{",
        "\"",
        "{}}",
        "\u{0}",
        "{\"QueueUrl\": 1}",
        &deep,
        "{\"QueueUrl\": \"\u{0}\"}",
        "{\"QueueUrl\": \"\\ud800\"}",
        "{\"QueueUrl\":\"http://a/b/c\"}",
    ];
    for action in [
        "SendMessage",
        "ReceiveMessage",
        "CreateQueue",
        "DeleteMessageBatch",
        "",
    ] {
        for body in bodies
            .iter()
            .map(|body| body.as_bytes())
            .chain([&b"\xff\xfe{}"[..]])
        {
            let mut connection = server.connect().await;
            connection.write(&request(action, &[], body)).await;
            let answer = connection.answer().await;
            let what = String::from_utf8_lossy(&body[..body.len().min(40)]);
            assert!(
                (400..500).contains(&answer.status),
                "{action} {what}: {}",
                answer.status
            );
        }
    }
    let numbers = [
        "-1",
        "1e400",
        "99999999999999999999",
        "1.5",
        "true",
        "[]",
        "{}",
        "\"\"",
    ];
    for number in numbers {
        let body = format!("{{\"QueueUrl\":\"{queue}\",\"MaxNumberOfMessages\":{number}}}");
        let mut connection = server.connect().await;
        connection
            .write(&request("ReceiveMessage", &[], body.as_bytes()))
            .await;
        assert_eq!(connection.answer().await.status, 400, "{number}");
    }
    for head in [
        "GET / HTTP/1.1\r\n",
        "DELETE /x HTTP/1.1\r\n",
        "POST /a/b HTTP/1.1\r\n",
        "\u{1}\u{2} nonsense",
    ] {
        let mut connection = server.connect().await;
        connection
            .write(format!("{head}Host: x\r\n\r\n").as_bytes())
            .await;
        assert!(
            (400..500).contains(&connection.answer().await.status),
            "{head}"
        );
    }
    assert_eq!(
        server.receive(&queue, 0).await,
        Vec::<Value>::new(),
        "it still serves"
    );
    server.stop().await;
}

#[tokio::test]
async fn an_array_is_no_structure() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    for (action, body) in [
        ("PurgeQueue", json!([queue])),
        (
            "DeleteMessageBatch",
            json!({"QueueUrl": queue, "Entries": [["id", "handle"]]}),
        ),
        (
            "ChangeMessageVisibilityBatch",
            json!({"QueueUrl": queue, "Entries": [["id", "handle", 1]]}),
        ),
        (
            "SendMessageBatch",
            json!({"QueueUrl": queue, "Entries":
                [[null, "id", "body", null, null, null, null, null]]}),
        ),
        (
            "SendMessage",
            json!({"QueueUrl": queue, "MessageBody": "x", "MessageAttributes":
                {"a": ["String", "x", null]}}),
        ),
    ] {
        let answer = server.call(action, body).await;
        let code = answer.header("x-amzn-query-error");
        assert_eq!(code, Some("MalformedInput;Sender"), "{action}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_too_large() {
    let server = Running::start(in_memory());
    let mut connection = server.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.ListQueues\r\n";
    connection
        .write(format!("{head}Content-Length: 20\r\n\r\n{{}}").as_bytes())
        .await;
    connection.0.shutdown().await.unwrap();
    let answer = connection.answer().await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("body"), "{}", answer.text());
    server.stop().await;
}

#[tokio::test]
async fn a_request_above_the_limit_is_refused_unread() {
    let server = Running::start(in_memory());
    let mut connection = server.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.SendMessage\r\n";
    connection
        .write(format!("{head}Content-Length: 8388609\r\n\r\n").as_bytes())
        .await;
    assert_eq!(connection.answer().await.status, 413);

    let mut connection = server.connect().await;
    connection
        .write(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
        .await;
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1_048_576));
    for _ in 0..8 {
        connection.write(chunk.as_bytes()).await;
    }
    connection.write(b"1\r\nx\r\n").await;
    assert_eq!(connection.answer().await.status, 413);
    server.stop().await;
}

#[tokio::test]
async fn cross_site_requests_are_refused() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    // The page's own name may lead here too: then the browser takes it for the same site.
    let named = "sqs.test:9324";
    let local = server.address.to_string();
    let table: [(&str, (&str, &str), u16); 13] = [
        (named, ("Accept", "*/*"), 200),
        (named, ("Origin", "http://evil.test"), 403),
        (named, ("Origin", "null"), 403),
        (named, ("Origin", "http://sqs.test:9324.evil.test"), 403),
        (named, ("Origin", "http://sqs.test:9324"), 403),
        (named, ("Sec-Fetch-Site", "same-origin"), 403),
        (named, ("Sec-Fetch-Site", "none"), 403),
        (&local, ("Origin", "http://evil.test"), 403),
        (&local, ("Sec-Fetch-Site", "cross-site"), 403),
        (&local, ("Sec-Fetch-Site", "same-site"), 403),
        (&local, ("Sec-Fetch-Site", "same-origin"), 200),
        ("localhost:9324", ("Origin", "http://localhost:9324"), 200),
        ("[::1]", ("Sec-Fetch-Site", "none"), 200),
    ];
    let body = json!({"QueueUrl": queue}).to_string();
    for (host, header, status) in table {
        let request = request("PurgeQueue", &[header], body.as_bytes());
        let request = String::from_utf8(request).unwrap();
        let request = request.replacen("Host: sqs.test:9324", &format!("Host: {host}"), 1);
        let mut connection = server.connect().await;
        connection.write(request.as_bytes()).await;
        let answer = connection.answer().await;
        assert_eq!(answer.status, status, "{host} {header:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    server.stop().await;
}

#[tokio::test]
async fn health_and_metrics_are_served() {
    let server = Running::start(in_memory());
    server.queue("email", json!({})).await;
    let get = async |path: &str| {
        let mut connection = server.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        connection.write(head.as_bytes()).await;
        connection.answer().await
    };
    let health = get("/health").await;
    assert_eq!(
        (health.status, health.text().as_str()),
        (200, "{\"status\":\"ok\"}")
    );
    let metrics = get("/metrics").await.text();
    assert!(
        metrics.contains("pyqs_local_requests_total{action=\"CreateQueue\"} 1\n"),
        "{metrics}"
    );
    server.stop().await;
}

#[tokio::test]
async fn dotted_names_are_taken_where_lenient() {
    let server = Running::start(Config {
        lenient_names: true,
        ..in_memory()
    });
    let queue = server.queue("email.tasks.send", json!({})).await;
    assert!(queue.ends_with("/000000000000/email.tasks.send"));
    server
        .ok("GetQueueUrl", json!({"QueueName": "email.tasks.send"}))
        .await;
    server.stop().await;
}

#[tokio::test]
async fn a_stop_ends_long_polls_and_half_requests() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", json!({})).await;
    let mut poll = server.connect().await;
    let body = json!({"QueueUrl": queue, "WaitTimeSeconds": 20}).to_string();
    poll.write(&request("ReceiveMessage", &[], body.as_bytes()))
        .await;
    // The poll is there once a second request of the same queue has been answered behind it.
    server.receive(&queue, 0).await;
    let started = Instant::now();
    server.stop().await;
    assert_eq!(poll.answer().await.json(), json!({}));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(
        poll.0.read(&mut [0]).await.unwrap(),
        0,
        "closed in good order"
    );
}
