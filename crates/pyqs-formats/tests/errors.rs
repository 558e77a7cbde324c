//! What a person reads when a message can't be: one line, with the layer, the reason and what to do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use insta::assert_snapshot;
use pyqs_formats::limits::{BODY_BYTES_MAX, TASK_NAME_BYTES_MAX};
use pyqs_formats::read;

fn error(body: &str) -> String {
    read(body).expect_err("undecodable").to_string()
}

/// Protocol 2 with one thing changed.
fn envelope(body: &str, headers: &str, properties: &str, content_type: &str) -> String {
    let body = serde_json::Value::from(body);
    format!(
        r#"{{"body": {body}, "content-type": {content_type}, "headers": {headers}, "properties": {properties}}}"#
    )
}

fn headers(headers: &str) -> String {
    error(&envelope(
        "[[], {}, {}]",
        headers,
        "{}",
        r#""application/json""#,
    ))
}

fn payload(body: &str) -> String {
    error(&envelope(
        body,
        r#"{"task": "t", "id": "i"}"#,
        "{}",
        r#""application/json""#,
    ))
}

fn content_type(content_type: &str) -> String {
    error(&envelope(
        "",
        r#"{"task": "t", "id": "i"}"#,
        "{}",
        content_type,
    ))
}

#[test]
fn bodies() {
    assert_snapshot!(error(""), @r#"message body: neither a JSON object nor base64 of one: """#);
    assert_snapshot!(error("hello\nworld, this is a text of some length, no message"), @r#"message body: neither a JSON object nor base64 of one: "hello\nworld, this is a text of some leng"..."#);
    assert_snapshot!(error(&STANDARD.encode(b"\xff\xfe")), @r#"message body: neither a JSON object nor base64 of one: "//4=""#);
    assert_snapshot!(error("{"), @"envelope: the JSON ends early");
    assert_snapshot!(error(r#"{"task": "t", "args": [], "kwargs": {}} x"#), @"envelope: not JSON: nothing more expected at byte 40, found 'x'");
    assert_snapshot!(error(&STANDARD.encode("[1]")), @"envelope: the message is JSON, but no object");
    assert_snapshot!(error("{}"), @"envelope: neither a PyQS message (task, args, kwargs) nor a Celery message (properties)");
    assert_snapshot!(error(&format!("{{{}", " ".repeat(BODY_BYTES_MAX))), @"message body: 4194305 bytes, the limit is 4194304");
}

#[test]
fn native_messages() {
    assert_snapshot!(error(r#"{"task": "t", "args": 5, "kwargs": {}}"#), @"task: args is no list");
    assert_snapshot!(error(r#"{"task": "t", "args": [], "kwargs": null}"#), @"task: kwargs is no map");
    assert_snapshot!(error(r#"{"task": " ", "args": [], "kwargs": {}}"#), @"task: the task's name is empty");
    assert_snapshot!(error(r#"{"task": "t", "args": [1, 02], "kwargs": {}}"#), @"task: not JSON: a value expected at byte 4, found '0'");
    assert_snapshot!(error(r#"{"task": "t", "args": [], "kwargs": {"\ud800": 1}}"#), @"task: a keyword with lone surrogates");
    let long = "n".repeat(TASK_NAME_BYTES_MAX + 1);
    assert_snapshot!(error(&format!(r#"{{"task": "{long}", "args": [], "kwargs": {{}}}}"#)), @"task: a task's name of 1025 bytes, the limit is 1024");
}

#[test]
fn envelopes() {
    let json = r#""application/json""#;
    assert_snapshot!(error(&envelope("[]", "5", "{}", json)), @"envelope: headers is no map");
    assert_snapshot!(error(&envelope("[]", "{}", r#"{"body_encoding": "rot13"}"#, json)), @r#"envelope: body_encoding is "rot13", where kombu writes "base64" or null"#);
    assert_snapshot!(error(&envelope("[]", "{}", r#"{"body_encoding": 5}"#, json)), @r#"envelope: body_encoding is of type int, where kombu writes "base64" or null"#);
    assert_snapshot!(error(&envelope("%", "{}", r#"{"body_encoding": "base64"}"#, json)), @"payload: not base64");
    assert_snapshot!(error(&envelope("//8=", "{}", r#"{"body_encoding": "base64"}"#, json)), @"payload: not UTF-8 from byte 0");
    assert_snapshot!(error(&envelope("{}", "{}", r#"{"delivery_info": {"exchange": "celeryev"}}"#, json)), @"envelope: an event of Celery, no task");
    assert_snapshot!(error(&envelope("{}", "{}", r#"{"delivery_info": {"exchange": "reply.celery.pidbox"}}"#, json)), @"envelope: a remote control message of Celery, no task");
    assert_snapshot!(error(&envelope("{}", "{}", "{}", json)), @"payload: a kombu message that is no task: no 'task' in headers or payload");
    assert_snapshot!(error(r#"{"body": 5, "content-type": "application/json", "properties": {}}"#), @"envelope: body is no text");
}

#[test]
fn content_types() {
    assert_snapshot!(content_type("null"), @"envelope: no content-type: plain text, never a task");
    assert_snapshot!(content_type("5"), @"envelope: content-type is of type int, not text");
    assert_snapshot!(content_type(r#""text/plain""#), @"payload: plain text, never a task");
    assert_snapshot!(content_type(r#""json""#), @r#"payload: content type "json" is none of Celery's; set task_serializer = "json" where it is sent"#);
    assert_snapshot!(content_type(r#""application/x-python-serialize""#), @"payload: not a pickle: the data ends early");
    assert_snapshot!(content_type(r#""application/x-yaml""#), @"payload: not YAML: no document");
    assert_snapshot!(content_type(r#""application/x-msgpack""#), @"payload: not msgpack: the data ends early");
    assert_snapshot!(content_type(r#""application/data""#), @"signature: bytes that are not in the form of Celery's signed messages");
    assert_snapshot!(headers(r#"{"task": "t", "id": "i", "compression": "application/x-gzip"}"#), @"compression: the data is broken: corrupt deflate stream");
    assert_snapshot!(headers(r#"{"task": "t", "id": "i", "compression": 5}"#), @"compression: its name is of type int, not text");
}

#[test]
fn fields() {
    assert_snapshot!(headers(r#"{"task": 5, "id": "i"}"#), @"task: task is of type int, not text");
    assert_snapshot!(headers(r#"{"task": "t"}"#), @"task: no id");
    assert_snapshot!(headers(r#"{"task": "t", "id": 5}"#), @"task: id is of type int, not text");
    assert_snapshot!(headers(r#"{"task": "t", "id": "i", "retries": -1}"#), @"task: retries is no whole number");
    assert_snapshot!(headers(r#"{"task": "t", "id": "i", "eta": "garbage"}"#), @r#"task: eta is no time: "garbage""#);
    assert_snapshot!(headers(r#"{"task": "t", "id": "i", "expires": 5}"#), @"task: expires is of type int, not time");
    assert_snapshot!(headers(r#"{"task": "t", "id": "i", "timelimit": "x"}"#), @"task: timelimit is no pair of seconds");
    assert_snapshot!(headers(r#"{"task": "t", "id": "i", "eta": {"__type__": "os.system", "__value__": "x"}}"#), @r#"headers: a typed value of "os.system", which only the sending application could build; send a datetime, date, time, Decimal, UUID or bytes instead"#);
}

#[test]
fn payloads() {
    assert_snapshot!(payload("[[1], {}]"), @"task: a payload of 2 parts, three expected");
    assert_snapshot!(payload("5"), @"payload: of type int, where Celery writes a list or a map");
    assert_snapshot!(payload(r#"{"kwargs": {}}"#), @"task: the payload is a map without args");
    assert_snapshot!(payload("[[1], [], {}]"), @"task: kwargs is of type list, not map");
    assert_snapshot!(payload("[{}, {}, {}]"), @"task: args is of type dict, not list");
    assert_snapshot!(payload("[[], {}, 5]"), @"task: the third part of the payload is of type int, not map");
    assert_snapshot!(payload(r#"[[], {}, {"callbacks": 5}]"#), @"task: callbacks has a value of type int, where signatures are maps");
    assert_snapshot!(payload(r#"[[{"__type__": "date", "__value__": "x"}], {}, {}]"#), @"payload: a typed value of date that is none");
    assert_snapshot!(payload("[[], {}, {}"), @"payload: the JSON ends early");
}
