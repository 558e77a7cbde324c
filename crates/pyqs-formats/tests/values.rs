//! Values as Python itself writes them, in each serializer, come back as what they were.

mod support;

use pyqs_formats::{Message, Undecodable, read, read_head};
use serde_json::{Value as Json, json};
use support::{tagged, values};

/// A payload in an envelope of protocol 2, or of protocol 1 for a map with a task.
fn read_payload(serializer: &str, data: &Json) -> Result<Message, Undecodable> {
    let content_type = match serializer {
        "pickle" => "application/x-python-serialize",
        "yaml" => "application/x-yaml",
        _ => "application/x-msgpack",
    };
    let mut envelope = json!({
        "body": data, "content-type": content_type, "properties": {"body_encoding": "base64"},
        "headers": {"task": "t", "id": "i"},
    });
    let message = read(&envelope.to_string());
    assert_eq!(
        read_head(&envelope.to_string()),
        message
            .as_ref()
            .map(|message| message.head.clone())
            .map_err(Clone::clone)
    );
    message.or_else(|_| {
        envelope["headers"] = Json::Null;
        read(&envelope.to_string())
    })
}

#[test]
fn every_value_that_python_writes_is_read() {
    let mut failed = Vec::new();
    for sample in values() {
        let serializer = sample["serializer"].as_str().expect("a name");
        let found = match read_payload(serializer, &sample["data"]) {
            Ok(message) => tagged(&message.args[0]).to_string(),
            Err(error) => error.to_string(),
        };
        let expected = sample["expect"].to_string();
        if found != expected {
            failed.push(format!(
                "{serializer} {}\n  is   {found}\n  not  {}",
                sample["data"], expected
            ));
        }
    }
    assert!(
        failed.is_empty(),
        "{} values:\n{}",
        failed.len(),
        failed.join("\n")
    );
}
