//! How what goes wrong is told apart, against a server that answers as each test wants.

mod support;

use std::error::Error as _;

use pyqs_sqs::{EntryError, Outgoing, QueueUrl, Receipt, Sqs, SqsError};
use support::{Answer, Server};

fn email() -> QueueUrl {
    QueueUrl::new("http://127.0.0.1:1/000000000000/email")
}

async fn send_to(answer: Answer) -> SqsError {
    let server = Server::start(move |_| answer.clone()).await;
    server
        .client()
        .await
        .send(&email(), Outgoing::new("x"))
        .await
        .unwrap_err()
}

macro_rules! check {
    ($answer:expr, $variant:ident, $($part:expr),*) => {{
        let error = send_to($answer).await;
        let text = error.to_string();
        assert!(matches!(error, SqsError::$variant(_)), "{error:?}");
        assert!(!text.contains('\n'), "{text}");
        $(assert!(text.contains($part), "{:?} is not in {text}", $part);)*
        assert_eq!(error.failure().action, "SendMessage");
        assert_eq!(error.failure().queue.as_deref(), Some("email"));
    }};
}

#[tokio::test]
async fn codes_say_what_can_be_done() {
    check!(
        Answer::error(400, "RequestThrottled", "slow down"),
        Throttled,
        "slow down",
        "\"email\""
    );
    check!(
        Answer::error(400, "ThrottlingException", "x"),
        Throttled,
        "lower rate"
    );
    check!(Answer::error(403, "OverLimit", "x"), Throttled, "OverLimit");
    check!(
        Answer::error(400, "QueueDoesNotExist", "it is not there."),
        QueueMissing,
        "not there ("
    );
    check!(
        Answer::error(400, "InvalidAddress", "x"),
        QueueMissing,
        "create it"
    );
    check!(
        Answer::error(403, "AccessDenied", "user a may not"),
        Denied,
        "user a may not",
        "allow `sqs:SendMessage`"
    );
    check!(
        Answer::error(
            403,
            "InvalidClientTokenId",
            "The security token is invalid."
        ),
        BadCredentials,
        "security token is invalid",
        "AWS_ACCESS_KEY_ID",
        "--access-key-id"
    );
    check!(
        Answer::error(403, "SignatureDoesNotMatch", "x"),
        BadCredentials,
        "AWS_PROFILE"
    );
    check!(
        Answer::error(403, "ExpiredToken", "x"),
        BadCredentials,
        "ExpiredToken"
    );
    check!(
        Answer::error(500, "InternalFailure", "x"),
        ServerError,
        "try again"
    );
    check!(
        Answer::error(503, "ServiceUnavailable", "x"),
        ServerError,
        "try again"
    );
    check!(
        Answer::error(400, "InvalidMessageContents", "bad char"),
        Rejected,
        "bad char"
    );
}

#[tokio::test]
async fn what_is_not_sqs_is_told_by_its_status() {
    check!(
        Answer::status(404, "<html>not here</html>"),
        Rejected,
        "HTTP status 404",
        "is this SQS?"
    );
    check!(
        Answer::status(502, "<html>bad gateway</html>"),
        ServerError,
        "502"
    );
    check!(Answer::status(429, ""), Throttled, "429");
    check!(Answer::status(403, ""), Denied, "403");
    check!(
        Answer::status(200, "<html>hello</html>"),
        Unreachable,
        "not one of SQS's"
    );
}

#[tokio::test]
async fn a_broken_connection_is_unreachable_and_names_the_endpoint() {
    check!(Answer::broken_off(), Unreachable, "http://127.0.0.1:");
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = support::connect(&format!("http://{address}")).await;

    let error = client.send(&email(), Outgoing::new("x")).await.unwrap_err();
    assert!(matches!(error, SqsError::Unreachable(_)), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("refused"),
        "{text}"
    );
    assert!(error.source().is_some());
}

#[tokio::test]
async fn names_that_sqs_does_not_accept_are_not_there() {
    for code in [
        "QueueDoesNotExist",
        "InvalidParameterValue",
        "InvalidAddress",
    ] {
        let server = Server::start(move |_| Answer::error(400, code, "x")).await;
        let error = server.client().await.queue_url("a.b").await.unwrap_err();
        assert!(matches!(error, SqsError::QueueMissing(_)), "{error:?}");
    }
    let server = Server::start(|_| Answer::error(400, "InvalidParameterValue", "x")).await;
    let error = server
        .client()
        .await
        .send(&email(), Outgoing::new("x"))
        .await
        .unwrap_err();
    assert!(matches!(error, SqsError::Rejected(_)), "{error:?}");
}

#[tokio::test]
async fn nothing_is_tried_twice() {
    let (seen, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |request| {
        seen.send(request).unwrap();
        Answer::error(503, "ServiceUnavailable", "x")
    })
    .await;
    server
        .client()
        .await
        .send(&email(), Outgoing::new("x"))
        .await
        .unwrap_err();

    assert_eq!(requests.recv().await.unwrap().action(), "SendMessage");
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn batches_answer_for_each_entry_in_order() {
    let server = Server::start(|_| {
        Answer::ok(
            r#"{"Successful":[{"Id":"2"},{"Id":"0"},{"Id":"77"}],"Failed":[
            {"Id":"1","Code":"ReceiptHandleIsInvalid","Message":"stale","SenderFault":true},
            {"Id":"3","Code":"InternalError","SenderFault":false}]}"#,
        )
    })
    .await;
    let receipts: Vec<_> = (0..5).map(|n| Receipt::new(n.to_string())).collect();
    let answers = server
        .client()
        .await
        .delete_batch(&email(), &receipts)
        .await
        .unwrap();

    assert_eq!((&answers[0], &answers[2]), (&Ok(()), &Ok(())));
    assert!(
        matches!(answers[1], Err(EntryError::ReceiptExpired { .. })),
        "{answers:?}"
    );
    assert!(
        matches!(answers[3], Err(EntryError::Failed { .. })),
        "{answers:?}"
    );
    assert!(
        matches!(answers[4], Err(EntryError::Failed { .. })),
        "{answers:?}"
    );
    assert_eq!(answers.len(), 5);
}

#[tokio::test]
async fn secrets_are_in_no_error_and_no_debug() {
    let server = Server::start(|_| Answer::error(403, "SignatureDoesNotMatch", "x")).await;
    let client = server.client().await;
    let error = client.send(&email(), Outgoing::new("x")).await.unwrap_err();
    for shown in [
        format!("{error:?}"),
        error.to_string(),
        format!("{client:?}"),
    ] {
        assert!(!shown.contains("not-a-secret"), "{shown}");
    }
}
