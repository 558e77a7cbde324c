//! Signatures as SQS checks them, reckoned here from what arrives (AWS: "Create a signed AWS API request").

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use pyqs_sqs::{Outgoing, QueueUrl, Receipt, ReceiveRequest, Sqs};
use sha2::{Digest, Sha256};
use support::{Answer, Request, Server};

/// As [`support::connect`] has it.
const SECRET: &str = "not-a-secret";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The signature that a request should have, and the one that it has.
fn signatures(request: &Request) -> (String, String) {
    let authorization = request.header("authorization").unwrap();
    let (scheme, fields) = authorization.split_once(' ').unwrap();
    assert_eq!(scheme, "AWS4-HMAC-SHA256");
    let fields: BTreeMap<_, _> = fields
        .split(", ")
        .filter_map(|field| field.split_once('='))
        .collect();
    let (key, scope) = fields["Credential"].split_once('/').unwrap();
    assert_eq!(key, "AKIDEXAMPLE");
    let parts: Vec<_> = scope.split('/').collect();
    assert_eq!(parts[1..], ["eu-west-1", "sqs", "aws4_request"]);

    let signed = fields["SignedHeaders"];
    let headers = signed.split(';').map(|name| {
        let value = request.header(name).unwrap();
        format!("{name}:{value}\n")
    });
    let headers: String = headers.collect();
    let body = hex(&Sha256::digest(&request.body));
    let canonical = format!("POST\n/\n\n{headers}\n{signed}\n{body}");
    let date = request.header("x-amz-date").unwrap();
    let canonical = hex(&Sha256::digest(canonical));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}");
    let first = format!("AWS4{SECRET}").into_bytes();
    let key = parts.iter().fold(first, |key, part| hmac(&key, part));
    let expected = hex(&hmac(&key, &to_sign));
    (expected, fields["Signature"].to_owned())
}

#[tokio::test]
async fn every_request_is_signed_as_it_arrives() {
    let (seen, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |request| {
        seen.send(request).unwrap();
        Answer::ok(r#"{"QueueUrl":"http://127.0.0.1:1/0/email"}"#)
            .header("x-pyqs-ends-polls", "yes")
    })
    .await;
    let client = server.client().await;
    let email = QueueUrl::new("http://127.0.0.1:1/0/email");
    let receive = ReceiveRequest {
        max: 10,
        wait: Duration::from_secs(20),
        visibility: Duration::from_secs(30),
        poll: Some("mine".to_owned()),
        attempt_id: None,
    };
    client.send(&email, Outgoing::new("ä")).await.unwrap();
    client.queue_url("email").await.unwrap();
    client.receive(&email, receive).await.unwrap();
    let receipts = [Receipt::new("r/+=")];
    client.delete_batch(&email, &receipts).await.unwrap();

    for action in [
        "SendMessage",
        "GetQueueUrl",
        "ReceiveMessage",
        "DeleteMessageBatch",
    ] {
        let request = requests.recv().await.unwrap();
        assert_eq!(request.action(), action);
        let (expected, has) = signatures(&request);
        assert_eq!(has, expected, "{action}");
        let agent = request.header("user-agent").unwrap();
        assert!(agent.contains("aws-sdk-rust"), "{action}: {agent}");
        if action == "ReceiveMessage" {
            assert_eq!(request.header("x-pyqs-poll"), Some("mine"));
        }
    }
    assert!(requests.try_recv().is_err(), "nothing else was sent");
}
