//! Who is served: signatures and TLS, over real connections.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use pyqs_local::{Access, AccessKey, Config, TlsFiles};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::{Answer, Connection, Running, in_memory, request};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG";

fn with_keys() -> Config {
    let key = AccessKey {
        id: "ADA".to_owned(),
        secret: SECRET.into(),
    };
    Config {
        access: Access::Keys(vec![key]),
        ..in_memory()
    }
}

/// An action's request, signed now with this key.
fn signed(action: &str, body: &[u8], id: &str, secret: &str) -> Vec<u8> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (date, time) = date_and_time(since_epoch.as_secs());
    let hash = hex(&Sha256::digest(body));
    let canonical = format!(
        "POST\n/\n\nhost:sqs.test:9324\nx-amz-date:{time}\nx-amz-target:AmazonSQS.{action}\n\n\
         host;x-amz-date;x-amz-target\n{hash}"
    );
    let scope = format!("{date}/eu-west-1/sqs/aws4_request");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/').chain([to_sign.as_str()]) {
        let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        key = mac.chain_update(part).finalize().into_bytes().to_vec();
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders=host;x-amz-date;x-amz-target, \
         Signature={}",
        hex(&key)
    );
    request(
        action,
        &[("X-Amz-Date", &time), ("Authorization", &authorization)],
        body,
    )
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}

/// Of a time since 1970, by counting.
fn date_and_time(secs: u64) -> (String, String) {
    let (mut days, mut year) = (secs / 86_400, 1970);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let date = format!("{year:04}{month:02}{:02}", days + 1);
    let (hour, minute) = (secs / 3600 % 24, secs / 60 % 60);
    let time = format!("{date}T{hour:02}{minute:02}{:02}Z", secs % 60);
    (date, time)
}

async fn ask(server: &Running, bytes: &[u8]) -> Answer {
    let mut connection = server.connect().await;
    connection.write(bytes).await;
    connection.answer().await
}

#[tokio::test]
async fn only_signed_requests_do_something() {
    let server = Running::start(with_keys());
    let create = json!({"QueueName": "email"}).to_string();
    let create = create.as_bytes();
    for (bytes, status, shape, code) in [
        (
            request("CreateQueue", &[], create),
            403,
            "MissingAuthenticationTokenException",
            "MissingAuthenticationToken",
        ),
        (
            signed("CreateQueue", create, "EVE", SECRET),
            403,
            "UnrecognizedClientException",
            "InvalidClientTokenId",
        ),
        (
            signed("CreateQueue", create, "ADA", "other"),
            403,
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
        ),
        (
            request("CreateQueue", &[("Authorization", "Basic QTpi")], create),
            400,
            "IncompleteSignatureException",
            "IncompleteSignature",
        ),
    ] {
        let answer = ask(&server, &bytes).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.json()["__type"],
            format!("com.amazon.coral.service#{shape}")
        );
        assert_eq!(
            answer.header("x-amzn-query-error"),
            Some(format!("{code};Sender").as_str())
        );
        assert!(!answer.text().contains(SECRET), "{}", answer.text());
    }
    let list = ask(&server, &signed("ListQueues", b"{}", "ADA", SECRET)).await;
    assert_eq!(
        (list.status, list.json()),
        (200, json!({})),
        "nothing was made"
    );
    let created = ask(&server, &signed("CreateQueue", create, "ADA", SECRET)).await;
    assert_eq!(created.status, 200, "{}", created.text());
    server.stop().await;
}

#[tokio::test]
async fn the_query_protocol_is_refused_in_xml() {
    let server = Running::start(with_keys());
    let form = b"Action=ListQueues";
    let head = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n",
        form.len()
    );
    let answer = ask(&server, &[head.as_bytes(), form].concat()).await;
    assert_eq!(answer.status, 403);
    let text = answer.text();
    assert!(
        text.contains("<Type>Sender</Type><Code>MissingAuthenticationToken</Code>"),
        "{text}"
    );
    let get = ask(
        &server,
        b"GET /?Action=ListQueues HTTP/1.1\r\nHost: h\r\n\r\n",
    )
    .await;
    assert_eq!(get.status, 403);
    // What says nothing of queues' contents is answered to monitors, which can't sign.
    for path in ["/health", "/metrics"] {
        let page = ask(
            &server,
            format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes(),
        )
        .await;
        assert_eq!(page.status, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn strange_signatures_get_4xx() {
    let server = Running::start(with_keys());
    let body = b"{}";
    let good = String::from_utf8(signed("ListQueues", body, "ADA", SECRET)).unwrap();
    let long = "a".repeat(60_000);
    let many = (0..9_000)
        .map(|n| format!("h{n:05}"))
        .collect::<Vec<_>>()
        .join(";");
    let changes: [(&str, &str); 17] = [
        ("Signature=", "Signature=0"),
        ("Signature=", "Signature=\u{e9}"),
        ("Signature=", "Signature=,"),
        ("Signature=", &long),
        ("Credential=ADA", &format!("Credential={long}")),
        ("Credential=ADA/", "Credential=ADA/\u{1f98a}/"),
        ("Credential=ADA/", "Credential=%41DA/"),
        ("SignedHeaders=host;", "SignedHeaders=;host;"),
        ("SignedHeaders=host;", "SignedHeaders=\u{0}host;"),
        (
            "SignedHeaders=host;",
            &format!("SignedHeaders={many};host;"),
        ),
        ("SignedHeaders=host;", "SignedHeaders=HOST;HOSt;host;"),
        ("X-Amz-Date: 2", "X-Amz-Date: 9"),
        ("X-Amz-Date: 2", "X-Amz-Date: \u{663}"),
        (
            "X-Amz-Date: 2",
            "X-Amz-Date: 20150830T123600Z\r\nX-Amz-Date: 2",
        ),
        ("POST / ", "POST /?X-Amz-Signature=%&X-Amz-Expires=%00 "),
        ("POST / ", "POST /%2e%2e/%ff//..?%=%zz&=&& "),
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256\t"),
    ];
    for (from, to) in changes {
        let bytes = good.replacen(from, to, 1);
        let answer = ask(&server, bytes.as_bytes()).await;
        assert!(
            (400..500).contains(&answer.status),
            "{}",
            &to[..to.len().min(60)]
        );
    }
    for cut in [1, 20, 60, 63] {
        let (head, rest) = good.split_once("\r\n\r\n").unwrap();
        let bytes = format!("{}\r\n\r\n{rest}", &head[..head.len() - cut]);
        let answer = ask(&server, bytes.as_bytes()).await;
        assert!((400..500).contains(&answer.status), "cut by {cut}");
    }
    let huge = good.replacen("Signature=", &"s".repeat(2_000_000), 1);
    let mut connection = server.connect().await;
    // The answer may come before all of it is written.
    let _ = connection.0.write_all(huge.as_bytes()).await;
    assert_eq!(connection.answer().await.status, 431);

    // A body in pieces is signed as a whole.
    let pieces = good
        .replacen("Content-Length: 2", "Transfer-Encoding: chunked", 1)
        .replacen("\r\n\r\n{}", "\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 1);
    assert_eq!(ask(&server, pieces.as_bytes()).await.status, 200);
    let other = pieces.replacen("1\r\n}\r\n", "2\r\n }\r\n", 1);
    assert_eq!(ask(&server, other.as_bytes()).await.status, 403);
    server.stop().await;
}

#[tokio::test]
async fn a_region_and_an_account_are_in_all_arns() {
    let server = Running::start(Config {
        region: Some("eu-west-3".to_owned()),
        account: "123456789012".to_owned(),
        ..in_memory()
    });
    let dead = server.queue("dead", json!({})).await;
    assert_eq!(dead, "http://sqs.test:9324/123456789012/dead");
    let policy = json!({"deadLetterTargetArn": "arn:aws:sqs:eu-west-3:123456789012:dead", "maxReceiveCount": 3});
    let queue = server
        .queue("email", json!({"RedrivePolicy": policy.to_string()}))
        .await;
    let body = json!({"QueueUrl": queue, "AttributeNames": ["All"]});
    let attributes = server.ok("GetQueueAttributes", body).await["Attributes"].take();
    assert_eq!(
        attributes["QueueArn"],
        "arn:aws:sqs:eu-west-3:123456789012:email"
    );
    let policy: Value =
        serde_json::from_str(attributes["RedrivePolicy"].as_str().unwrap()).unwrap();
    assert_eq!(
        policy["deadLetterTargetArn"],
        "arn:aws:sqs:eu-west-3:123456789012:dead"
    );
    server.stop().await;
}

#[tokio::test]
async fn cooldowns_are_as_sqs_has_them() {
    let server = Running::start(Config {
        purge_cooldown: true,
        deletion_cooldown: true,
        ..in_memory()
    });
    let queue = server.queue("email", json!({})).await;
    server.ok("PurgeQueue", json!({"QueueUrl": queue})).await;
    let again = server.call("PurgeQueue", json!({"QueueUrl": queue})).await;
    assert_eq!(
        again.json()["__type"],
        "com.amazonaws.sqs#PurgeQueueInProgress"
    );
    server.ok("DeleteQueue", json!({"QueueUrl": queue})).await;
    let again = server
        .call("CreateQueue", json!({"QueueName": "email"}))
        .await;
    assert_eq!(
        again.json()["__type"],
        "com.amazonaws.sqs#QueueDeletedRecently"
    );
    server.stop().await;
}

fn tls_file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../pyqs-sqs/tests/tls")
        .join(name)
}

fn with_tls() -> Config {
    Config {
        tls: Some(TlsFiles {
            certificate: tls_file("server.pem"),
            key: tls_file("server.key"),
        }),
        ..in_memory()
    }
}

async fn connect_tls(server: &Running) -> Connection<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(tls_file("ca.pem")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    Connection(connector.connect(name, stream).await.unwrap())
}

#[tokio::test]
async fn a_certificate_makes_it_https() {
    let server = Running::start(with_tls());
    let mut client = connect_tls(&server).await;
    let created = client
        .call("CreateQueue", &json!({"QueueName": "email"}))
        .await;
    assert_eq!(
        created.json()["QueueUrl"],
        "https://sqs.test:9324/000000000000/email"
    );
    for (origin, status) in [
        ("https://sqs.test:9324", 403),
        ("http://sqs.test:9324", 403),
    ] {
        client
            .write(&request("ListQueues", &[("Origin", origin)], b"{}"))
            .await;
        assert_eq!(client.answer().await.status, status, "{origin}");
    }
    server.stop().await;
}

#[tokio::test]
async fn handshakes_that_fail_or_hang_harm_nobody() {
    let server = Running::start(with_tls());
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    half.write(&[22, 3, 1, 0]).await;
    let mut plain = server.connect().await;
    plain.write(&request("ListQueues", &[], b"{}")).await;
    let answer = plain.answer().await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().ends_with("use https:// in its URL.\n"),
        "{:?}",
        answer.text()
    );
    let mut garbage = server.connect().await;
    garbage
        .write(&[22, 3, 1, 0, 5, 255, 255, 255, 255, 255])
        .await;
    let mut rest = Vec::new();
    // An alert, then the end, or a reset.
    let _ = garbage.0.read_to_end(&mut rest).await;

    let mut client = connect_tls(&server).await;
    assert_eq!(client.call("ListQueues", &json!({})).await.status, 200);
    // Those that hang are ended at their limit, or with the server.
    server.stop().await;
    assert_eq!(silent.0.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(half.0.read(&mut [0]).await.unwrap_or(0), 0);
}

/// What a receive tells of who has the message: `None` while it is in flight.
async fn message_after(
    server: &Running,
    leave: impl AsyncFnOnce(Connection<TlsStream<TcpStream>>),
) -> Option<Value> {
    let mut client = connect_tls(server).await;
    let created = client
        .call("CreateQueue", &json!({"QueueName": "email"}))
        .await;
    let queue = created.json()["QueueUrl"].take();
    let message = json!({"QueueUrl": queue, "MessageBody": "a"});
    client.call("SendMessage", &message).await;
    let mut leaving = connect_tls(server).await;
    let receive = json!({"QueueUrl": queue, "VisibilityTimeout": 600}).to_string();
    leaving
        .write(&request("ReceiveMessage", &[], receive.as_bytes()))
        .await;
    leave(leaving).await;
    let receive = json!({"QueueUrl": queue, "WaitTimeSeconds": 2});
    let received = client.call("ReceiveMessage", &receive).await.json();
    received.pointer("/Messages/0").cloned()
}

#[tokio::test]
async fn encrypted_answers_are_tracked_too() {
    let server = Running::start(with_tls());
    let read_and_end = async |mut client: Connection<TlsStream<TcpStream>>| {
        assert_eq!(client.answer().await.json()["Messages"][0]["Body"], "a");
        client.0.shutdown().await.unwrap();
    };
    assert_eq!(message_after(&server, read_and_end).await, None);
    server.stop().await;

    // As Python's clients do, without TLS's farewell.
    let server = Running::start(with_tls());
    let read_and_drop = async |mut client: Connection<TlsStream<TcpStream>>| {
        assert_eq!(client.answer().await.json()["Messages"][0]["Body"], "a");
        drop(client);
    };
    assert_eq!(message_after(&server, read_and_drop).await, None);
    server.stop().await;

    // As hyper does with a poll that is given up: the answer is there, unread.
    let server = Running::start(with_tls());
    let end_unread = async |mut client: Connection<TlsStream<TcpStream>>| {
        client.0.get_ref().0.readable().await.unwrap();
        let mut first = [0; 5];
        while client.0.get_ref().0.peek(&mut first).await.unwrap() < 5 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        client.0.shutdown().await.unwrap();
    };
    let found = message_after(&server, end_unread).await;
    assert!(found.is_some(), "it came back");
    server.stop().await;
}
