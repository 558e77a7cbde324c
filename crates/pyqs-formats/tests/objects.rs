//! Pickles that hold objects of a user's classes: their heads are read where that is asked for, and no more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pyqs_formats::undecodable::{Fault, Layer};
use pyqs_formats::{Reader, read, read_head};
use serde_json::{Value as Json, json};

/// `{"task": "shop.pay", "id": "c-1", "args": [[...]], "retries": 2}`, as `CPython` 3.11 writes it in its protocols
/// 0 to 5: instances, one with slots, a list that holds itself, classes, functions, an exception, objects that are
/// made by calls.
fn payloads() -> Vec<&'static str> {
    include_str!("data/objects.txt").lines().collect()
}

fn envelope(payload: &str, headers: &Json) -> String {
    json!({
        "body": payload, "content-type": "application/x-python-serialize", "headers": headers,
        "properties": {"body_encoding": "base64", "delivery_info": {}},
    })
    .to_string()
}

#[test]
fn such_messages_are_refused() {
    for payload in payloads() {
        for headers in [json!({}), json!({"task": "shop.pay", "id": "c-1"})] {
            let body = envelope(payload, &headers);
            for error in [read(&body).unwrap_err(), read_head(&body).unwrap_err()] {
                assert_eq!((error.layer, error.fault), (Layer::Payload, Fault::Refused));
            }
        }
    }
}

#[test]
fn their_heads_are_read_where_objects_are_opaque() {
    let reader = Reader::default().with_opaque_pickles();
    for payload in payloads() {
        for headers in [json!({}), json!({"task": "shop.pay", "id": "c-1"})] {
            let body = envelope(payload, &headers);
            let head = reader.read_head(&body).unwrap();
            assert_eq!((head.task.as_str(), head.retries), ("shop.pay", 2));
            // The arguments are for Python's loader alone.
            assert_eq!(reader.read(&body).unwrap_err().fault, Fault::Refused);
        }
    }
}

#[test]
fn the_pickle_comes_out_unread() {
    for payload in payloads() {
        let body = envelope(payload, &json!({}));
        let pickle = Reader::default().pickle(&body).unwrap().unwrap();
        assert_eq!(STANDARD.encode(pickle), payload);
    }
    let json =
        json!({"body": "[]", "content-type": "application/json", "headers": {}, "properties": {}});
    assert_eq!(Reader::default().pickle(&json.to_string()), Ok(None));
    let native = r#"{"task": "a.b", "args": [], "kwargs": {}}"#;
    assert_eq!(Reader::default().pickle(native), Ok(None));
    assert!(Reader::default().pickle("{}").is_ok());
    assert!(Reader::default().pickle("no json").is_err());
}
