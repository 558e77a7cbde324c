//! Every real message is read as what it says, by value and by type.

mod support;

use pyqs_formats::undecodable::Fault;
use pyqs_formats::{Format, read, read_head};
use serde_json::{Value as Json, json};
use support::{corpus, described, tagged, tagged_list};

/// What this version reads; all else is refused as unsupported.
fn is_read(expect: &Json) -> bool {
    let read = ["application/json", "application/x-msgpack"];
    expect["content_type"]
        .as_str()
        .is_some_and(|name| read.contains(&name))
}

#[test]
fn every_message_says_what_its_sender_meant() {
    let mut count = 0;
    for sample in corpus()
        .iter()
        .filter(|sample| sample["expect"]["kind"] == "task")
    {
        let id = &sample["id"];
        let body = sample["body"].as_str().expect("a text");
        if !is_read(&sample["expect"]) {
            assert_eq!(
                read(body).expect_err("not read").fault,
                Fault::Unsupported,
                "{id}"
            );
            assert_eq!(
                read_head(body).expect_err("not read").fault,
                Fault::Unsupported,
                "{id}"
            );
            continue;
        }
        let message = read(body).unwrap_or_else(|error| panic!("{id}: {error}"));
        // Compared as texts: as numbers -0.0 and 0.0 are equal.
        assert_eq!(
            described(&message).to_string(),
            sample["expect"].to_string(),
            "{id}"
        );
        assert_eq!(read_head(body).as_ref(), Ok(&message.head), "{id}");
        count += 1;
    }
    assert!(count > 120, "only {count} messages were compared");
}

#[test]
fn what_is_no_task_of_celery_is_either_ours_or_none() {
    for sample in corpus()
        .iter()
        .filter(|sample| sample["expect"]["kind"] == "not-a-task")
    {
        let id = &sample["id"];
        let body = sample["body"].as_str().expect("a text");
        let native = &sample["expect"]["native"];
        if native.is_null() {
            let error = read(body).expect_err("no task");
            assert!(
                matches!(error.fault, Fault::NotATask | Fault::Unsupported),
                "{id}: {error}"
            );
            assert_eq!(read_head(body), Err(error), "{id}");
            continue;
        }
        let message = read(body).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(message.head.format, Format::Native);
        let kwargs = message
            .kwargs
            .iter()
            .map(|(name, value)| (name.clone(), tagged(value)));
        let found = json!({
            "task": message.head.task,
            "args": tagged_list(&message.args),
            "kwargs": kwargs.collect::<serde_json::Map<_, _>>(),
        });
        assert_eq!(found.to_string(), native.to_string(), "{id}");
        assert_eq!(read_head(body), Ok(message.head), "{id}");
    }
}
