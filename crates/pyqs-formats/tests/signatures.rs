//! What follows a task: links, chains and groups become calls.

mod support;

use pyqs_formats::calendar::DateTime;
use pyqs_formats::signature::Sender;
use pyqs_formats::{CeleryCall, Undecodable, Value, read};
use serde_json::{Value as Json, json};

/// A signature as a message carries it.
fn value(signature: &Json) -> Value {
    let body = json!({"task": "t", "args": [signature], "kwargs": {}}).to_string();
    read(&body).unwrap().args.remove(0)
}

fn with_sender<T>(work: impl FnOnce(&mut Sender<'_>) -> T) -> T {
    let mut made = 0;
    let mut new_id = || {
        made += 1;
        format!("new-{made}")
    };
    work(&mut Sender {
        result: Value::Int(42),
        root_id: "root".to_owned(),
        parent_id: "parent".to_owned(),
        queue_of: &|_| "here".to_owned(),
        now_unix_micros: 0,
        origin: "tests".to_owned(),
        new_id: &mut new_id,
    })
}

fn calls(signature: &Json) -> Result<Vec<CeleryCall>, Undecodable> {
    with_sender(|sender| sender.calls(&value(signature)))
}

fn refusal(signature: &Json) -> String {
    calls(signature).unwrap_err().to_string()
}

#[test]
fn a_link_gets_the_result_before_its_own_arguments() {
    let signature = json!({
        "task": "a", "args": [1], "kwargs": {"k": 2}, "immutable": false, "subtask_type": null,
        "options": {"task_id": "i", "queue": "there", "countdown": 1.5, "expires": "1970-01-02T00:00:00",
                    "time_limit": 10, "soft_time_limit": 5.5, "link": [{"task": "b"}]},
    });
    let call = calls(&signature).unwrap().remove(0);
    assert_eq!(call.args, [Value::Int(42), Value::Int(1)]);
    assert_eq!(call.kwargs, [("k".to_owned(), Value::Int(2))]);
    assert_eq!((call.id.as_str(), call.queue.as_str()), ("i", "there"));
    assert_eq!(call.root_id.as_deref(), Some("root"));
    assert_eq!(call.parent_id.as_deref(), Some("parent"));
    assert_eq!(call.eta.map(DateTime::unix_micros), Some(1_500_000));
    assert_eq!(
        call.expires.map(DateTime::unix_micros),
        Some(86_400_000_000)
    );
    assert_eq!(call.time_limit.hard_secs, Some(10.0));
    assert_eq!(call.time_limit.soft_secs, Some(5.5));
    assert_eq!(call.canvas.callbacks.len(), 1);
}

#[test]
fn an_immutable_one_gets_only_its_own() {
    let call = calls(&json!({"task": "a", "args": [1], "immutable": true}))
        .unwrap()
        .remove(0);
    assert_eq!(call.args, [Value::Int(1)]);
    assert_eq!((call.id.as_str(), call.queue.as_str()), ("new-1", "here"));
}

#[test]
fn a_group_is_all_its_members() {
    let member = |name: &str| json!({"task": name, "options": {"task_id": name}});
    let group = json!({
        "task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": [member("a"), member("b")]},
        "options": {"task_id": "g"},
    });
    let calls = calls(&group).unwrap();
    let ids: Vec<_> = calls
        .iter()
        .map(|call| (call.id.as_str(), call.group.as_deref()))
        .collect();
    assert_eq!(ids, [("a", Some("g")), ("b", Some("g"))]);
}

#[test]
fn a_chain_is_its_first_with_the_others_behind_it() {
    let link = |name: &str| json!({"task": name});
    let chain = json!({
        "task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": [link("a"), link("b"), link("c")]},
    });
    let first = calls(&chain).unwrap().remove(0);
    assert_eq!(first.task, "a");
    assert_eq!(first.canvas.chain, [value(&link("c")), value(&link("b"))]);
    let second = with_sender(|sender| sender.chain(first.canvas.chain))
        .unwrap()
        .remove(0);
    assert_eq!((second.task.as_str(), second.canvas.chain.len()), ("b", 1));
    assert_eq!(second.args, [Value::Int(42)]);
    let third = with_sender(|sender| sender.chain(second.canvas.chain))
        .unwrap()
        .remove(0);
    assert_eq!((third.task.as_str(), third.canvas.chain.len()), ("c", 0));
    assert_eq!(
        with_sender(|sender| sender.chain(Vec::new())),
        Ok(Vec::new())
    );
}

#[test]
fn a_member_of_a_header_takes_the_body_along() {
    let options = json!({"chord": {"task": "b"}, "group_id": "g", "group_index": 3});
    let call = calls(&json!({"task": "a", "options": options}))
        .unwrap()
        .remove(0);
    assert_eq!(call.canvas.chord, Some(value(&json!({"task": "b"}))));
    assert_eq!(
        (call.group.as_deref(), call.group_index),
        (Some("g"), Some(3))
    );
    let message = read(&call.to_body().unwrap()).unwrap();
    assert!(message.canvas.chord.is_some());
}

#[test]
fn a_chord_is_refused_with_the_reason() {
    let reason = "task: a chord's body needs the results of other tasks, which are not kept here; \
                  leave this queue to a Celery worker";
    assert_eq!(
        refusal(&json!({"task": "celery.chord", "subtask_type": "chord"})),
        reason
    );
    let group = json!({"task": "celery.group", "kwargs": {"tasks": [{"task": "a"}]}});
    let then = [json!({"task": "b"}), group].map(|signature| value(&signature));
    assert_eq!(
        with_sender(|sender| sender.chain(then.to_vec()))
            .unwrap_err()
            .to_string(),
        reason
    );
}

#[test]
fn what_is_no_signature_is_an_error() {
    for (signature, reason) in [
        (
            json!({"args": []}),
            "task: a signature without a task's name",
        ),
        (
            json!({"task": 5}),
            "task: task of a signature is of type int, not text",
        ),
        (
            json!({"task": "a", "args": 5}),
            "task: a signature has a value of type int, not list",
        ),
        (
            json!({"task": "a", "kwargs": []}),
            "task: a signature's kwargs is of type list, not map",
        ),
        (
            json!({"task": "a", "options": {"countdown": "x"}}),
            "task: a countdown is no number of seconds",
        ),
        (
            json!({"task": "a", "options": {"countdown": 1e300}}),
            "task: a countdown beyond the calendar",
        ),
        (
            json!({"task": "a", "options": {"eta": "x"}}),
            "task: an option of a signature is no time",
        ),
        (
            json!({"task": "celery.chain", "kwargs": {}}),
            "task: a chain without tasks",
        ),
    ] {
        assert_eq!(refusal(&signature), reason);
    }
    let mut deep = json!({"task": "a"});
    for _ in 0..40 {
        deep = json!({"task": "celery.group", "kwargs": {"tasks": [deep]}});
    }
    assert_eq!(
        refusal(&deep),
        "task: signatures inside signatures without end"
    );
}

/// Every workflow that Celery wrote can be taken one step further, or is refused as a chord.
#[test]
fn the_corpus_goes_on() {
    let (mut sent, mut chords) = (0, 0);
    for sample in support::corpus() {
        let Ok(message) = read(sample["body"].as_str().unwrap()) else {
            continue;
        };
        let canvas = message.canvas;
        let next = with_sender(|sender| {
            let mut calls = sender.chain(canvas.chain.clone())?;
            for signature in canvas.callbacks.iter().chain(&canvas.errbacks) {
                calls.extend(sender.calls(signature)?);
            }
            Ok::<_, Undecodable>(calls)
        });
        match next {
            Ok(calls) => {
                for call in &calls {
                    let again = read(&call.to_body().unwrap()).unwrap();
                    assert_eq!(again.head.task, call.task);
                }
                sent += calls.len();
            }
            Err(error) => {
                assert!(
                    error.to_string().contains("chord"),
                    "{}: {error}",
                    sample["id"]
                );
                chords += 1;
            }
        }
    }
    assert!(sent > 20 && chords > 0, "{sent} sent, {chords} chords");
}
