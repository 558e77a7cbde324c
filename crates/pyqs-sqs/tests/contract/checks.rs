//! What every implementation of [`Sqs`] must do, as checks that panic where one does not.
//!
//! Each check makes queues of its own, whose names start with the given prefix, and deletes them;
//! checks may run at the same time. None takes more than a few seconds. What endpoints are known
//! to differ in (fair queues, limits in flight) is left out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pyqs_sqs::{AttributeValue, EntryError, Outgoing, QueueUrl, Receipt, ReceiveRequest, Received};
use pyqs_sqs::{BATCH_ENTRIES_MAX, Sqs, SqsError};

/// How long a message may take to become visible, above what it must.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs all checks, one after the other.
pub(crate) async fn check_all(sqs: &dyn Sqs, prefix: &str) {
    queues_are_created_found_and_deleted(sqs, prefix).await;
    what_is_not_there_is_missing(sqs, prefix).await;
    queues_are_listed_by_prefix(sqs, prefix).await;
    attributes_are_read_and_set(sqs, prefix).await;
    a_message_keeps_what_it_carries(sqs, prefix).await;
    a_delayed_message_comes_late(sqs, prefix).await;
    a_poll_ends_when_a_message_comes(sqs, prefix).await;
    batches_answer_in_order(sqs, prefix).await;
    a_message_is_hidden_until_its_visibility_ends(sqs, prefix).await;
    a_deleted_message_is_gone(sqs, prefix).await;
    a_bad_receipt_fails_alone(sqs, prefix).await;
    a_message_received_too_often_moves_on(sqs, prefix).await;
    a_purged_queue_is_empty(sqs, prefix).await;
    too_large_a_message_is_rejected(sqs, prefix).await;
    fifo_keeps_order_within_a_group(sqs, prefix).await;
    fifo_delivers_a_deduplication_id_once(sqs, prefix).await;
}

/// Creating twice is finding; a deleted queue is missing.
pub(crate) async fn queues_are_created_found_and_deleted(sqs: &dyn Sqs, prefix: &str) {
    let name = format!("{prefix}-life");
    let url = create(sqs, &name, &[]).await;
    assert_eq!(url.name(), name);
    assert_eq!(sqs.queue_url(&name).await.unwrap(), url);
    assert_eq!(create(sqs, &name, &[]).await, url);
    sqs.delete_queue(&url).await.unwrap();
    assert_missing(&sqs.queue_url(&name).await);
}

/// Names that nobody has, or can have, and URLs whose queue is gone.
pub(crate) async fn what_is_not_there_is_missing(sqs: &dyn Sqs, prefix: &str) {
    assert_missing(&sqs.queue_url(&format!("{prefix}-never")).await);
    assert_missing(&sqs.queue_url(&format!("{prefix}.dotted.name")).await);

    let url = create(sqs, &format!("{prefix}-gone"), &[]).await;
    sqs.delete_queue(&url).await.unwrap();
    assert_missing(&sqs.send(&url, Outgoing::new("x")).await);
    assert_missing(&sqs.receive(&url, receive_at_once()).await);
    assert_missing(&sqs.queue_attributes(&url).await);
    assert_missing(&sqs.send_batch(&url, vec![Outgoing::new("x")]).await);
}

/// Only those whose names start so.
pub(crate) async fn queues_are_listed_by_prefix(sqs: &dyn Sqs, prefix: &str) {
    let a = create(sqs, &format!("{prefix}-list-a"), &[]).await;
    let b = create(sqs, &format!("{prefix}-list-b"), &[]).await;
    let mut listed = sqs
        .list_queues(Some(&format!("{prefix}-list-")))
        .await
        .unwrap();
    listed.sort();
    assert_eq!(listed, [a.clone(), b.clone()]);
    assert!(sqs.list_queues(None).await.unwrap().contains(&a));
    assert!(
        sqs.list_queues(Some(&format!("{prefix}-nothing")))
            .await
            .unwrap()
            .is_empty()
    );
    delete(sqs, &[a, b]).await;
}

/// What was set, SQS's defaults for the rest, and counts.
pub(crate) async fn attributes_are_read_and_set(sqs: &dyn Sqs, prefix: &str) {
    let url = create(
        sqs,
        &format!("{prefix}-attributes"),
        &[("VisibilityTimeout", "7".into())],
    )
    .await;
    let attributes = sqs.queue_attributes(&url).await.unwrap();
    assert_eq!(attributes.visibility_timeout, Duration::from_secs(7));
    assert_eq!((attributes.is_fifo, attributes.receives_max), (false, None));
    assert!(attributes.message_size_max >= 256 * 1024, "{attributes:?}");
    assert!(attributes.arn.is_some(), "{attributes:?}");

    let change = BTreeMap::from([("VisibilityTimeout".to_owned(), "9".to_owned())]);
    sqs.set_queue_attributes(&url, &change).await.unwrap();
    sqs.send(&url, Outgoing::new("x")).await.unwrap();
    let attributes = sqs.queue_attributes(&url).await.unwrap();
    assert_eq!(attributes.visibility_timeout, Duration::from_secs(9));
    assert_eq!(
        (attributes.counts.visible, attributes.counts.in_flight),
        (1, 0)
    );

    receive_one(sqs, &url).await;
    let counts = sqs.queue_attributes(&url).await.unwrap().counts;
    assert_eq!((counts.visible, counts.in_flight), (0, 1));
    delete(sqs, &[url]).await;
}

/// Body, attributes of every type, ids, counts and times.
pub(crate) async fn a_message_keeps_what_it_carries(sqs: &dyn Sqs, prefix: &str) {
    let url = create(sqs, &format!("{prefix}-carry"), &[]).await;
    let binary = AttributeValue::Binary {
        data_type: "Binary".into(),
        value: vec![0, 255, 10],
    };
    let number = AttributeValue::Text {
        data_type: "Number.int".into(),
        value: "42".into(),
    };
    let message = Outgoing {
        attributes: BTreeMap::from([
            ("text".to_owned(), AttributeValue::text("grüße")),
            ("number".to_owned(), number),
            ("binary".to_owned(), binary),
        ]),
        trace_header: Some("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1".to_owned()),
        ..Outgoing::new("{\"a\": \"\u{e4}\\u0000 \u{1f40d}\"}\n\t\r\"<&>")
    };
    let id = sqs.send(&url, message.clone()).await.unwrap();
    let received = receive_one(sqs, &url).await;
    assert_eq!((&received.message_id, &received.body), (&id, &message.body));
    assert_eq!(received.attributes, message.attributes);
    assert_eq!(received.trace_header, message.trace_header);
    assert_eq!(received.receive_count, 1);
    assert!(
        received
            .sent_at_millis
            .is_some_and(|sent_at| sent_at > 1_600_000_000_000)
    );
    assert!(received.first_received_at_millis >= received.sent_at_millis);
    delete(sqs, &[url]).await;
}

/// A delay hides a message from its sending on.
pub(crate) async fn a_delayed_message_comes_late(sqs: &dyn Sqs, prefix: &str) {
    let url = create(sqs, &format!("{prefix}-delay"), &[]).await;
    let message = Outgoing {
        delay: Some(Duration::from_secs(1)),
        ..Outgoing::new("late")
    };
    let sent = Instant::now();
    sqs.send(&url, message).await.unwrap();
    assert!(
        sqs.receive(&url, receive_at_once())
            .await
            .unwrap()
            .is_empty()
    );
    receive_one(sqs, &url).await;
    // Endpoints count from their own clock's whole milliseconds.
    assert!(
        sent.elapsed() > Duration::from_millis(900),
        "{:?}",
        sent.elapsed()
    );
    delete(sqs, &[url]).await;
}

/// A long poll answers as soon as there is something.
pub(crate) async fn a_poll_ends_when_a_message_comes(sqs: &dyn Sqs, prefix: &str) {
    let url = create(sqs, &format!("{prefix}-poll"), &[]).await;
    let started = Instant::now();
    let request = ReceiveRequest {
        wait: Duration::from_secs(20),
        ..receive_at_once()
    };
    let send_later = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        sqs.send(&url, Outgoing::new("now")).await.unwrap();
    };
    let (received, ()) = tokio::join!(sqs.receive(&url, request), send_later);
    assert_eq!(received.unwrap()[0].body, "now");
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    delete(sqs, &[url]).await;
}

/// Ten at once, each with its own answer.
pub(crate) async fn batches_answer_in_order(sqs: &dyn Sqs, prefix: &str) {
    let url = create(sqs, &format!("{prefix}-batch"), &[]).await;
    let messages = (0..BATCH_ENTRIES_MAX)
        .map(|n| Outgoing::new(n.to_string()))
        .collect();
    let ids = sqs.send_batch(&url, messages).await.unwrap();
    let received = receive_count(sqs, &url, BATCH_ENTRIES_MAX).await;
    for message in &received {
        let n: usize = message.body.parse().unwrap();
        assert_eq!(ids[n].as_ref().unwrap(), &message.message_id);
    }
    let receipts: Vec<_> = received
        .into_iter()
        .map(|message| message.receipt)
        .collect();
    let deleted = sqs.delete_batch(&url, &receipts).await.unwrap();
    assert_eq!(deleted, vec![Ok(()); BATCH_ENTRIES_MAX]);

    assert!(sqs.send_batch(&url, Vec::new()).await.unwrap().is_empty());
    assert!(sqs.delete_batch(&url, &[]).await.unwrap().is_empty());
    assert!(
        sqs.change_visibility_batch(&url, &[])
            .await
            .unwrap()
            .is_empty()
    );
    delete(sqs, &[url]).await;
}

/// Hidden for as long as the receive said, or a change said later; and counted.
pub(crate) async fn a_message_is_hidden_until_its_visibility_ends(sqs: &dyn Sqs, prefix: &str) {
    let url = create(sqs, &format!("{prefix}-hidden"), &[]).await;
    sqs.send(&url, Outgoing::new("x")).await.unwrap();
    let short = ReceiveRequest {
        visibility: Duration::from_secs(1),
        ..receive_at_once()
    };
    let first = receive_until(sqs, &url, &short).await.remove(0);
    assert!(
        sqs.receive(&url, receive_at_once())
            .await
            .unwrap()
            .is_empty()
    );

    let second = receive_one(sqs, &url).await;
    assert_eq!(
        (&second.message_id, second.receive_count),
        (&first.message_id, 2)
    );
    assert_eq!(
        second.first_received_at_millis,
        first.first_received_at_millis
    );

    let now = [(second.receipt, Duration::ZERO)];
    assert_eq!(
        sqs.change_visibility_batch(&url, &now).await.unwrap(),
        [Ok(())]
    );
    let third = receive_until(sqs, &url, &receive_at_once()).await.remove(0);
    assert_eq!(third.receive_count, 3);
    delete(sqs, &[url]).await;
}

/// Deleted is gone, also after the visibility would have ended.
pub(crate) async fn a_deleted_message_is_gone(sqs: &dyn Sqs, prefix: &str) {
    let url = create(sqs, &format!("{prefix}-deleted"), &[]).await;
    sqs.send(&url, Outgoing::new("x")).await.unwrap();
    let short = ReceiveRequest {
        visibility: Duration::from_secs(1),
        ..receive_at_once()
    };
    let message = receive_until(sqs, &url, &short).await.remove(0);
    let receipts = [message.receipt];
    assert_eq!(sqs.delete_batch(&url, &receipts).await.unwrap(), [Ok(())]);
    let later = ReceiveRequest {
        wait: Duration::from_secs(2),
        ..receive_at_once()
    };
    assert!(sqs.receive(&url, later).await.unwrap().is_empty());
    delete(sqs, &[url]).await;
}

/// One bad receipt in a batch spoils nothing else.
pub(crate) async fn a_bad_receipt_fails_alone(sqs: &dyn Sqs, prefix: &str) {
    let url = create(sqs, &format!("{prefix}-receipt"), &[]).await;
    sqs.send(&url, Outgoing::new("x")).await.unwrap();
    let good = receive_one(sqs, &url).await.receipt;
    let bad = Receipt::new("no-receipt-of-yours");
    let minute = Duration::from_mins(1);

    let entries = [(bad.clone(), minute), (good.clone(), minute)];
    let changed = sqs.change_visibility_batch(&url, &entries).await.unwrap();
    assert_bad_receipt(&changed[0]);
    assert_eq!(changed[1], Ok(()));

    let deleted = sqs.delete_batch(&url, &[bad, good]).await.unwrap();
    assert_bad_receipt(&deleted[0]);
    assert_eq!(deleted[1], Ok(()));
    delete(sqs, &[url]).await;
}

/// The redrive policy's count is kept, and read back.
pub(crate) async fn a_message_received_too_often_moves_on(sqs: &dyn Sqs, prefix: &str) {
    let dead = create(sqs, &format!("{prefix}-dead"), &[]).await;
    let arn = sqs.queue_attributes(&dead).await.unwrap().arn.unwrap();
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"1"}}"#);
    let url = create(
        sqs,
        &format!("{prefix}-redrive"),
        &[("RedrivePolicy", policy)],
    )
    .await;
    let attributes = sqs.queue_attributes(&url).await.unwrap();
    assert_eq!(
        (attributes.receives_max, attributes.dead_letter_arn),
        (Some(1), Some(arn))
    );

    sqs.send(&url, Outgoing::new("x")).await.unwrap();
    let first = receive_one(sqs, &url).await;
    let now = [(first.receipt, Duration::ZERO)];
    assert_eq!(
        sqs.change_visibility_batch(&url, &now).await.unwrap(),
        [Ok(())]
    );
    assert!(
        sqs.receive(&url, receive_at_once())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(receive_one(sqs, &dead).await.body, "x");
    delete(sqs, &[url, dead]).await;
}

/// Purged is empty, what is in flight too.
pub(crate) async fn a_purged_queue_is_empty(sqs: &dyn Sqs, prefix: &str) {
    let url = create(sqs, &format!("{prefix}-purge"), &[]).await;
    sqs.send_batch(&url, vec![Outgoing::new("a"), Outgoing::new("b")])
        .await
        .unwrap();
    receive_count(sqs, &url, 1).await;
    sqs.purge_queue(&url).await.unwrap();
    assert!(
        sqs.receive(&url, receive_at_once())
            .await
            .unwrap()
            .is_empty()
    );
    delete(sqs, &[url]).await;
}

/// One byte above the limit is too many.
pub(crate) async fn too_large_a_message_is_rejected(sqs: &dyn Sqs, prefix: &str) {
    let limit = [("MaximumMessageSize", "1024".to_owned())];
    let url = create(sqs, &format!("{prefix}-large"), &limit).await;
    assert_eq!(
        sqs.queue_attributes(&url).await.unwrap().message_size_max,
        1024
    );
    sqs.send(&url, Outgoing::new("x".repeat(1024)))
        .await
        .unwrap();
    let error = sqs
        .send(&url, Outgoing::new("x".repeat(1025)))
        .await
        .unwrap_err();
    assert!(matches!(error, SqsError::Rejected(_)), "{error:?}");
    delete(sqs, &[url]).await;
}

/// Nothing of a group comes while one of its messages is out; then the next in order.
pub(crate) async fn fifo_keeps_order_within_a_group(sqs: &dyn Sqs, prefix: &str) {
    let url = create(sqs, &format!("{prefix}-order.fifo"), &[]).await;
    assert!(sqs.queue_attributes(&url).await.unwrap().is_fifo);
    for n in 0..3 {
        sqs.send(&url, in_group("g", n)).await.unwrap();
    }
    let one = ReceiveRequest {
        max: 1,
        ..receive_at_once()
    };
    for n in 0..3 {
        let message = receive_until(sqs, &url, &one).await.remove(0);
        assert_eq!(
            (message.body, message.group.as_deref()),
            (n.to_string(), Some("g"))
        );
        assert!(message.sequence_number.is_some() && message.deduplication_id.is_some());
        assert!(sqs.receive(&url, one.clone()).await.unwrap().is_empty());
        assert_eq!(
            sqs.delete_batch(&url, &[message.receipt]).await.unwrap(),
            [Ok(())]
        );
    }
    delete(sqs, &[url]).await;
}

/// Sent twice under one id, delivered once.
pub(crate) async fn fifo_delivers_a_deduplication_id_once(sqs: &dyn Sqs, prefix: &str) {
    let url = create(sqs, &format!("{prefix}-once.fifo"), &[]).await;
    sqs.send(&url, in_group("g", 1)).await.unwrap();
    sqs.send(&url, in_group("g", 1)).await.unwrap();
    let message = receive_one(sqs, &url).await;
    assert_eq!(
        sqs.delete_batch(&url, &[message.receipt]).await.unwrap(),
        [Ok(())]
    );
    assert!(
        sqs.receive(&url, receive_at_once())
            .await
            .unwrap()
            .is_empty()
    );
    delete(sqs, &[url]).await;
}

async fn create(sqs: &dyn Sqs, name: &str, attributes: &[(&str, String)]) -> QueueUrl {
    let attributes = attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    sqs.create_queue(name, &attributes.collect()).await.unwrap()
}

async fn delete(sqs: &dyn Sqs, queues: &[QueueUrl]) {
    for queue in queues {
        sqs.delete_queue(queue).await.unwrap();
    }
}

fn in_group(group: &str, n: u32) -> Outgoing {
    Outgoing {
        group: Some(group.to_owned()),
        deduplication_id: Some(format!("{group}-{n}")),
        ..Outgoing::new(n.to_string())
    }
}

fn receive_at_once() -> ReceiveRequest {
    ReceiveRequest {
        max: 10,
        wait: Duration::ZERO,
        visibility: Duration::from_secs(30),
        poll: None,
        attempt_id: None,
    }
}

async fn receive_one(sqs: &dyn Sqs, queue: &QueueUrl) -> Received {
    receive_count(sqs, queue, 1).await.remove(0)
}

async fn receive_count(sqs: &dyn Sqs, queue: &QueueUrl, count: usize) -> Vec<Received> {
    let max = u8::try_from(count).expect("no test receives more");
    let mut received = Vec::new();
    while received.len() < count {
        received.extend(
            receive_until(
                sqs,
                queue,
                &ReceiveRequest {
                    max,
                    ..receive_at_once()
                },
            )
            .await,
        );
    }
    assert_eq!(received.len(), count);
    received
}

/// Receives, by one-second polls, until something comes.
async fn receive_until(sqs: &dyn Sqs, queue: &QueueUrl, request: &ReceiveRequest) -> Vec<Received> {
    let started = Instant::now();
    loop {
        let poll = ReceiveRequest {
            wait: Duration::from_secs(1),
            ..request.clone()
        };
        let received = sqs.receive(queue, poll).await.unwrap();
        if !received.is_empty() {
            return received;
        }
        assert!(started.elapsed() < PATIENCE, "nothing came from {queue}");
    }
}

fn assert_missing<T: std::fmt::Debug>(answer: &Result<T, SqsError>) {
    assert!(
        matches!(answer, Err(SqsError::QueueMissing(_))),
        "{answer:?}"
    );
}

fn assert_bad_receipt(answer: &Result<(), EntryError>) {
    assert!(
        matches!(
            answer,
            Err(EntryError::ReceiptExpired { .. } | EntryError::Refused { .. })
        ),
        "{answer:?}"
    );
}
