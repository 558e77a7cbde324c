//! msgpack's edges: lengths that lie, extension types, keys of Python 2, depth.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use insta::assert_snapshot;
use pyqs_formats::limits::DEPTH_MAX;
use pyqs_formats::undecodable::Fault;
use pyqs_formats::{Message, Undecodable, Value, read, read_head};
use serde_json::json;

fn payload(payload: &[u8], headers: &serde_json::Value) -> Result<Message, Undecodable> {
    let body = json!({
        "body": STANDARD.encode(payload), "content-type": "application/x-msgpack",
        "properties": {"body_encoding": "base64"}, "headers": headers,
    })
    .to_string();
    let message = read(&body);
    assert_eq!(
        message.as_ref().map(|message| &message.head).ok(),
        read_head(&body).as_ref().ok()
    );
    message
}

/// The one argument in `[[argument], {}, nil]`.
fn argument(argument: &[u8]) -> Result<Value, Undecodable> {
    let message = payload(
        &[b"\x93\x91", argument, b"\x80\xc0"].concat(),
        &json!({"task": "t", "id": "i"}),
    )?;
    Ok(message.args.into_iter().next().expect("one argument"))
}

fn error(bytes: &[u8]) -> String {
    argument(bytes).expect_err("refused").to_string()
}

#[test]
fn broken_data_is_refused() {
    assert_snapshot!(error(b"\xdb\xff\xff\xff\xffabc"), @"payload: not msgpack: the data ends early");
    assert_snapshot!(error(b"\xdd\xff\xff\xff\xff"), @"payload: not msgpack: the data ends early");
    assert_snapshot!(error(b"\xdf\xff\xff\xff\xff"), @"payload: not msgpack: the data ends early");
    assert_snapshot!(error(b"\xa1\xff"), @"payload: not msgpack: a text that is no UTF-8");
    assert_snapshot!(error(b"\xd4\x01\x00"), @"payload: msgpack's extension types are not read (tag 0xd4); kombu writes none");
    assert_snapshot!(error(b"\xc1"), @"payload: msgpack's extension types are not read (tag 0xc1); kombu writes none");
    assert_snapshot!(error(b"\x81\x90\x01"), @"payload: a list as a key or in a set");
    assert_snapshot!(error(b"\xc0\x80\xc0\xc0"), @"payload: not msgpack: 3 bytes after the value");
}

#[test]
fn texts_of_python_2_are_text_as_keys_and_fields_and_bytes_in_arguments() {
    let map = b"\x84\xc4\x04task\xc4\x01t\xc4\x02id\xc4\x01i\xc4\x04args\x91\xc4\x01a\xc4\x06kwargs\x81\xc4\x01k\xc4\x01v";
    let message = payload(map, &json!({})).expect("protocol 1");
    assert_eq!(
        (message.head.task.as_str(), message.head.id.as_deref()),
        ("t", Some("i"))
    );
    assert_eq!(message.args, [Value::Bytes(b"a".to_vec())]);
    assert_eq!(
        message.kwargs,
        [("k".to_owned(), Value::Bytes(b"v".to_vec()))]
    );
}

#[test]
fn depth_is_limited() {
    let nested = |levels: usize| [b"\x91".repeat(levels - 1), b"\x90".to_vec()].concat();
    argument(&nested(DEPTH_MAX - 2)).expect("at the limit");
    assert_eq!(
        argument(&nested(DEPTH_MAX - 1))
            .expect_err("one beyond")
            .fault,
        Fault::OverLimit
    );
}
