//! Celery's protocols by hand: hybrids, missing fields, the smallest envelopes, forms of time.

use pyqs_formats::undecodable::{Fault, Layer};
use pyqs_formats::{Format, Head, Reader, Value, read, read_head};
use serde_json::{Value as Json, json};

#[track_caller]
fn both(envelope: &Json) -> pyqs_formats::Message {
    let message = read(&envelope.to_string()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read_head(&envelope.to_string()).as_ref(), Ok(&message.head));
    message
}

fn envelope(headers: &Json, payload: &Json) -> Json {
    json!({
        "body": payload.to_string(), "content-type": "application/json", "headers": headers, "properties": {}
    })
}

fn protocol2(field: &str, value: &Json) -> Head {
    both(&envelope(
        &json!({"task": "t", "id": "i", field: value}),
        &json!([[], {}, {}]),
    ))
    .head
}

fn protocol1(field: &str, value: &Json) -> Head {
    both(&envelope(
        &json!({}),
        &json!({"task": "t", "id": "i", field: value}),
    ))
    .head
}

#[test]
fn the_smallest_envelopes_are_read() {
    let two = both(&envelope(
        &json!({"task": "t", "id": "i"}),
        &json!([[1], {"k": 2}, null]),
    ));
    assert_eq!(
        (two.head.format, two.args, two.kwargs),
        (
            Format::Celery2,
            vec![Value::Int(1)],
            vec![("k".into(), Value::Int(2))]
        )
    );

    let one = both(
        &json!({"body": r#"{"task":"t","id":"i"}"#, "content-type": "application/json", "properties": {}}),
    );
    assert_eq!(
        (one.head.format, one.args, one.kwargs),
        (Format::Celery1, vec![], vec![])
    );

    both(
        &json!({"body": "W1tdLHt9LHt9XQ==", "content-type": "application/json",
        "headers": {"task": "t", "id": "i"}, "properties": {"body_encoding": "base64"}}),
    );
}

#[test]
fn a_hybrid_has_its_arguments_in_the_map_and_its_headers_first() {
    let headers =
        json!({"task": "new", "eta": null, "retries": 2, "args": "the user's own header"});
    let payload = json!({
        "task": "old", "id": "i", "args": [1], "kwargs": {"k": 2}, "eta": "2035-01-01T00:00:00", "retries": 1,
        "group": "g", "callbacks": [{"task": "next"}], "chord": {"task": "body"}, "chain": [{"task": "never"}],
        "timelimit": [3, 2.5],
    });
    let message = both(&envelope(&headers, &payload));
    assert_eq!(message.head.format, Format::Celery2);
    assert_eq!(message.head.task, "new");
    assert_eq!(message.head.id.as_deref(), Some("i"));
    assert_eq!(message.head.retries, 2);
    assert_eq!(message.head.eta, None);
    assert_eq!(
        (
            message.head.time_limit.hard_secs,
            message.head.time_limit.soft_secs
        ),
        (Some(3.0), Some(2.5))
    );
    assert_eq!(
        message
            .head
            .celery
            .as_ref()
            .and_then(|celery| celery.group.as_deref()),
        Some("g")
    );
    assert_eq!(message.args, [Value::Int(1)]);
    assert_eq!(message.canvas.callbacks.len(), 1);
    assert!(message.canvas.chord.is_some());
    assert!(message.canvas.chain.is_empty());
}

#[test]
fn a_hybrid_behind_white_space_is_seen() {
    let body = json!({"body": format!("{}{{\"id\": \"i\", \"args\": []}}", " ".repeat(500)),
        "content-type": "application/json", "headers": {"task": "t"}, "properties": {}});
    assert_eq!(both(&body).head.id.as_deref(), Some("i"));
}

#[test]
fn null_fields_are_missing_fields() {
    for field in [
        "retries",
        "eta",
        "expires",
        "timelimit",
        "group",
        "root_id",
        "shadow",
    ] {
        assert_eq!(protocol2(field, &Json::Null), protocol2("x", &Json::Null));
        assert_eq!(protocol1(field, &Json::Null), protocol1("x", &Json::Null));
    }
}

#[test]
fn the_taskset_wins_over_the_group_where_it_is_there() {
    let group = |payload: Json| {
        both(&envelope(&Json::Null, &payload))
            .head
            .celery
            .and_then(|celery| celery.group)
    };
    assert_eq!(
        group(json!({"task": "t", "id": "i", "group": "g"})).as_deref(),
        Some("g")
    );
    assert_eq!(
        group(json!({"task": "t", "id": "i", "group": "g", "taskset": "s"})).as_deref(),
        Some("s")
    );
    assert_eq!(
        group(json!({"task": "t", "id": "i", "group": "g", "taskset": null})),
        None
    );
}

#[test]
fn times_in_the_forms_that_celery_takes() {
    let micros = |text: &str| {
        protocol2("eta", &json!(text))
            .eta
            .expect("a time")
            .at
            .unix_micros()
    };
    let new_year = 2_051_222_400_000_000;
    for text in [
        "2035-01-01T00:00:00",
        "2035-01-01T00:00:00Z",
        "2035-01-01 00:00:00",
        "2035-01-01",
        "2035-01-01T00:00",
    ] {
        assert_eq!(micros(text), new_year, "{text}");
    }
    for text in [
        "2035-01-01T02:00:00+02:00",
        "2035-01-01T02:00:00+0200",
        "2034-12-31T19:00:00-05",
        "2035-01-01T05:30+05:30",
    ] {
        assert_eq!(micros(text), new_year, "{text}");
    }
    assert_eq!(micros("2035-01-01T00:00:00.250"), new_year + 250_000);
    assert_eq!(micros("1970-01-01T00:00:00.000001"), 1);
    assert_eq!(micros("1969-12-31T23:59:59"), -1_000_000);
    assert_eq!(micros("2000-03-01"), 951_868_800_000_000);
    assert_eq!(
        micros("9999-12-31T23:59:59.999999"),
        253_402_300_799_999_999
    );
}

#[test]
fn times_that_are_none_are_refused() {
    for text in [
        "",
        "2035",
        "2035-1-1",
        "2035-13-01",
        "2035-02-29",
        "2035-01-01T",
        "2035-01-01T24:00",
        "2035-01-01T00:00:60",
        "2035-01-01T00:00:00.",
        "2035-01-01T00:00:00+24:00",
        "2035-01-01T00:00:00 UTC",
        "0000-01-01",
        "2035-01-01x",
    ] {
        let body = envelope(
            &json!({"task": "t", "id": "i", "eta": text}),
            &json!([[], {}, {}]),
        );
        read_head(&body.to_string()).expect_err(text);
    }
}

#[test]
fn typed_values_in_headers_are_understood() {
    let eta = protocol2(
        "eta",
        &json!({"__type__": "datetime", "__value__": "2035-01-01T00:00:00+00:00"}),
    )
    .eta;
    assert_eq!(eta.expect("a time").text, "2035-01-01T00:00:00+00:00");
    let uuid =
        json!({"__type__": "uuid", "__value__": {"hex": "00112233445566778899aabbccddeeff"}});
    assert_eq!(
        protocol2("id", &uuid).id.as_deref(),
        Some("00112233-4455-6677-8899-aabbccddeeff")
    );
}

#[test]
fn stamps_are_those_that_the_headers_list() {
    let headers =
        json!({"task": "t", "id": "i", "stamped_headers": ["a"], "stamps": {"a": [1], "b": 2}});
    let message = both(&envelope(&headers, &json!([[], {}, {}])));
    assert_eq!(
        message.stamps,
        [("a".to_owned(), Value::List(vec![Value::Int(1)]))]
    );
}

#[test]
fn a_priority_of_old_releases_is_in_the_delivery_info() {
    let priority = |properties: Json| {
        let mut envelope = envelope(&json!({"task": "t", "id": "i"}), &json!([[], {}, {}]));
        envelope["properties"] = properties;
        both(&envelope)
            .head
            .celery
            .and_then(|celery| celery.priority)
    };
    assert_eq!(priority(json!({"delivery_info": {"priority": 3}})), Some(3));
    assert_eq!(
        priority(json!({"priority": 0, "delivery_info": {"priority": 3}})),
        Some(0)
    );
    assert_eq!(priority(json!({"priority": null})), None);
}

#[test]
fn other_content_types_than_those_accepted_are_refused_unread() {
    let accepted = ["application/json".to_owned()];
    let reader = Reader::default().accepting(&accepted);
    let mut envelope = envelope(&json!({"task": "t", "id": "i"}), &json!([[1], {}, {}]));
    assert!(reader.read(&envelope.to_string()).is_ok());
    envelope["content-type"] = json!("application/x-yaml");
    let error = reader.read(&envelope.to_string()).unwrap_err();
    assert_eq!((error.layer, error.fault), (Layer::Payload, Fault::Refused));
    assert_eq!(
        error.reason,
        r#"content type "application/x-yaml" is none of those accepted: application/json"#
    );
    assert!(
        reader
            .read(r#"{"task": "t", "args": [], "kwargs": {}}"#)
            .is_ok()
    );
}

#[test]
fn the_senders_own_headers_are_kept() {
    let headers = json!({"task": "t", "id": "i", "tenant": {"a": [1]}, "lang": "py"});
    let message = both(&envelope(&headers, &json!([[], {}, {}])));
    let mut names: Vec<_> = message
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["lang", "tenant"]);
    let one = envelope(
        &json!({"tenant": 1}),
        &json!({"task": "t", "id": "i", "other": 2}),
    );
    assert_eq!(both(&one).headers, [("tenant".to_owned(), Value::Int(1))]);
}
