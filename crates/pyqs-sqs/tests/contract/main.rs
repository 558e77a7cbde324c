//! The contract suite: the AWS SDK against this project's endpoint, and against any other that
//! `PYQS_CONTRACT_ENDPOINT` names (moto's server, say).

mod checks;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use pyqs_local::{Config, Server};
use pyqs_sqs::{AwsSqs, ConnectOptions, Sqs};

async fn connect(endpoint_url: String) -> AwsSqs {
    let options = ConnectOptions {
        region: Some("us-east-1".to_owned()),
        access_key_id: Some("AKIDEXAMPLE".to_owned()),
        secret_access_key: Some("secret".to_owned()),
        endpoint_url: Some(endpoint_url),
    };
    pyqs_sqs::connect(&options).await.unwrap()
}

async fn own_endpoint() -> AwsSqs {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::bind(Config {
        address,
        ..Config::default()
    })
    .unwrap();
    let address = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));
    connect(format!("http://{address}")).await
}

macro_rules! contract_tests {
    ($($check:ident)*) => { $(
        #[tokio::test]
        async fn $check() {
            checks::$check(&own_endpoint().await, "contract").await;
        }
    )* };
}

contract_tests! {
    queues_are_created_found_and_deleted
    what_is_not_there_is_missing
    queues_are_listed_by_prefix
    attributes_are_read_and_set
    a_message_keeps_what_it_carries
    a_delayed_message_comes_late
    a_poll_ends_when_a_message_comes
    batches_answer_in_order
    a_message_is_hidden_until_its_visibility_ends
    a_deleted_message_is_gone
    a_bad_receipt_fails_alone
    a_message_received_too_often_moves_on
    a_purged_queue_is_empty
    too_large_a_message_is_rejected
    fifo_keeps_order_within_a_group
    fifo_delivers_a_deduplication_id_once
}

#[tokio::test]
async fn the_own_endpoint_ends_polls() {
    let sqs = own_endpoint().await;
    let queue = sqs.create_queue("ended", &BTreeMap::new()).await.unwrap();
    assert!(sqs.can_end_polls());
    let request = pyqs_sqs::ReceiveRequest {
        max: 10,
        wait: Duration::from_secs(20),
        visibility: Duration::from_secs(30),
        poll: Some("mine".to_owned()),
        attempt_id: None,
    };
    let mut poll = sqs.receive(&queue, request);
    let received = loop {
        // The endpoint may not have it yet.
        match tokio::time::timeout(Duration::from_millis(20), &mut poll).await {
            Ok(received) => break received,
            Err(_) => sqs.end_poll(&queue, "mine").await.unwrap(),
        }
    };
    assert_eq!(received.unwrap(), []);
}

/// A second opinion, where one is at hand.
#[tokio::test]
async fn another_endpoint_does_the_same() {
    let Ok(endpoint_url) = std::env::var("PYQS_CONTRACT_ENDPOINT") else {
        return;
    };
    let prefix = format!("contract-{}", std::process::id());
    checks::check_all(&connect(endpoint_url).await, &prefix).await;
}
