//! The Query protocol by hand: forms in the body, in the query string and on a queue's path.

use serde_json::json;

use crate::support::{Answer, Running, in_memory};

async fn send(server: &Running, method: &str, path: &str, media_type: &str, body: &[u8]) -> Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: sqs.test:9324\r\nContent-Type: {media_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = server.connect().await;
    connection.write(&[head.as_bytes(), body].concat()).await;
    connection.answer().await
}

async fn form(server: &Running, path: &str, body: &str) -> Answer {
    let media_type = "application/x-www-form-urlencoded; charset=utf-8";
    send(server, "POST", path, media_type, body.as_bytes()).await
}

/// The text of the first element of a name.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml
        .split_once(&format!("<{name}>"))
        .unwrap_or_else(|| panic!("{name} in {xml}"));
    rest.split_once(&format!("</{name}>")).unwrap().0
}

#[tokio::test]
async fn a_message_goes_through_forms_and_comes_as_xml() {
    let server = Running::start(in_memory());
    let created = form(
        &server,
        "/",
        "Action=CreateQueue&QueueName=email&Version=2012-11-05",
    )
    .await;
    assert_eq!(created.status, 200, "{}", created.text());
    assert_eq!(created.header("content-type"), Some("text/xml"));
    let text = created.text();
    let id = created.header("x-amzn-requestid").unwrap();
    assert_eq!(element(&text, "RequestId"), id);
    assert_eq!(
        element(&text, "QueueUrl"),
        "http://sqs.test:9324/000000000000/email"
    );
    let path = "/000000000000/email";
    let sent = form(&server, path, "Action=SendMessage&MessageBody=a%3Cb%0D")
        .await
        .text();
    assert_eq!(
        element(&sent, "MD5OfMessageBody"),
        "84f3ad6019772beefce43ca7739928c1"
    );
    let uri = format!("{path}?Action=ReceiveMessage&AttributeName=All");
    let received = send(&server, "GET", &uri, "", b"").await.text();
    assert_eq!(element(&received, "Body"), "a&lt;b&#xD;");
    assert!(
        received.contains(
            "<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>"
        )
    );
    let handle = element(&received, "ReceiptHandle");
    let deleted = form(
        &server,
        path,
        &format!("Action=DeleteMessage&ReceiptHandle={handle}"),
    )
    .await;
    assert_eq!(deleted.status, 200);
    assert!(!deleted.text().contains("Result"), "{}", deleted.text());
    let empty = form(&server, path, "Action=ReceiveMessage").await.text();
    assert!(
        empty.contains("<ReceiveMessageResult></ReceiveMessageResult>"),
        "{empty}"
    );
    server.stop().await;
}

/// Path, form, status and code.
const REFUSALS: &str = "
/ | Version=2012-11-05 | 400 | MissingParameter
/ | Action=Dance | 400 | InvalidAction
/ | Action=GetQueueUrl&QueueName=nope | 400 | AWS.SimpleQueueService.NonExistentQueue
/1/nope | Action=SendMessage&MessageBody=x | 400 | AWS.SimpleQueueService.NonExistentQueue
/nope | Action=SendMessage&MessageBody=x | 400 | InvalidAddress
/000000000000/email | Action=SendMessage | 400 | MissingParameter
/000000000000/email | Action=SendMessage&MessageBody=%01 | 400 | InvalidMessageContents
/000000000000/email | Action=SendMessage&MessageBody=%FF | 400 | MalformedInput
/000000000000/email | Action=SendMessage&MessageBody=x&DelaySeconds=x | 400 | InvalidParameterValue
/000000000000/email | Action=SendMessage&MessageBody=x&DelaySeconds=901 | 400 | InvalidParameterValue
/000000000000/email | Action=SendMessage&MessageBody=x&MessageAttribute=x | 400 | MissingParameter
/000000000000/email | Action=SendMessage&MessageBody=x&MessageAttribute.1.Name=a | 400 | InvalidParameterValue
/000000000000/email | Action=PurgeQueue&Action=SendMessage&MessageBody=x | 400 | MalformedInput
/000000000000/email | Action=SendMessage&MessageBody=x&MessageBody=y | 400 | MalformedInput
/000000000000/email | Action=SendMessageBatch&Entries= | 400 | AWS.SimpleQueueService.EmptyBatchRequest
/000000000000/email | Action=SendMessageBatch&SendMessageBatchRequestEntry=x | 400 | AWS.SimpleQueueService.InvalidBatchEntryId
/000000000000/email | Action=DeleteMessage&ReceiptHandle=x | 400 | ReceiptHandleIsInvalid
/000000000000/email | Action=GetQueueAttributes&AttributeName.1=x | 400 | InvalidAttributeName
";

#[tokio::test]
async fn refusals_are_xml_with_the_codes_of_old() {
    let server = Running::start(in_memory());
    server.queue("email", json!({})).await;
    for row in REFUSALS.lines().filter(|line| !line.is_empty()) {
        let columns: Vec<_> = row.split(" | ").collect();
        let [path, body, status, code] = columns[..] else {
            panic!("four columns: {row}");
        };
        let answer = form(&server, path, body).await;
        let text = answer.text();
        assert_eq!(answer.status.to_string(), status, "{row}: {text}");
        assert_eq!(answer.header("content-type"), Some("text/xml"), "{row}");
        assert_eq!(element(&text, "Code"), code, "{row}: {text}");
        assert_eq!(element(&text, "Type"), "Sender", "{row}");
        assert!(!element(&text, "Message").is_empty(), "{row}");
    }
    server.stop().await;
}

#[tokio::test]
async fn hostile_forms_get_an_answer() {
    let server = Running::start(in_memory());
    server.queue("email", json!({})).await;
    let deep = format!("Action=SendMessage&{}=x", "a.".repeat(100_000));
    let many = format!("Action=SendMessage&{}", "a=b&".repeat(100_000));
    let bodies: [&[u8]; 8] = [
        b"",
        b"\0\xff\xfe",
        b"%",
        b"&&&===",
        b"Action=SendMessageBatch&SendMessageBatchRequestEntry.99999999999.Id=a",
        b"Action=SendMessage&MessageAttribute.1.Value.StringListValue.1=x",
        deep.as_bytes(),
        many.as_bytes(),
    ];
    for body in bodies {
        for path in [
            "/",
            "/000000000000/email",
            "/%00/%ff",
            "/health",
            "/?Action=%ff",
            "//",
        ] {
            let media_type = "application/x-www-form-urlencoded";
            let answer = send(&server, "POST", path, media_type, body).await;
            assert!(
                (400..500).contains(&answer.status),
                "{path}: {}",
                answer.text()
            );
        }
    }
    let put = send(&server, "PUT", "/?Action=ListQueues", "", b"").await;
    assert_eq!(put.status, 404);
    server.stop().await;
}
