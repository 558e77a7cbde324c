//! What is written is read again as the same, and real messages' contents survive being written.

mod support;

use proptest::prelude::*;
use pyqs_formats::calendar::DateTime;
use pyqs_formats::message::Canvas;
use pyqs_formats::{CeleryCall, Format, Message, Value, read};

fn again(message: &Message) -> CeleryCall {
    let head = &message.head;
    let celery = head.celery.clone().unwrap_or_default();
    CeleryCall {
        task: head.task.clone(),
        id: head.id.clone().unwrap_or_default(),
        args: message.args.clone(),
        kwargs: message.kwargs.clone(),
        queue: celery.routing_key.clone().unwrap_or_default(),
        retries: head.retries,
        eta: head.eta.as_ref().map(|moment| moment.at),
        expires: head.expires.as_ref().map(|moment| moment.at),
        time_limit: head.time_limit,
        root_id: celery.root_id.clone(),
        parent_id: celery.parent_id.clone(),
        group: celery.group.clone(),
        group_index: None,
        reply_to: celery.reply_to.clone(),
        message_group: None,
        origin: "tests".to_owned(),
        headers: Vec::new(),
        canvas: message.canvas.clone(),
    }
}

/// JSON has no tuples; kombu's has no time spans or sets, which are refused.
fn as_json_has_it(value: &Value) -> Option<Value> {
    let all = |list: &[Value]| list.iter().map(as_json_has_it).collect::<Option<Vec<_>>>();
    Some(match value {
        Value::List(list) | Value::Tuple(list) => Value::List(all(list)?),
        Value::Map(members) => Value::Map(
            members
                .iter()
                .map(|(key, value)| match key {
                    Value::Str(_) => Some((key.clone(), as_json_has_it(value)?)),
                    _ => None,
                })
                .collect::<Option<_>>()?,
        ),
        Value::ByteArray(_)
        | Value::Set(_)
        | Value::FrozenSet(_)
        | Value::TimeDelta(_)
        | Value::TimeZone(_)
        | Value::Complex(..) => return None,
        other => other.clone(),
    })
}

#[test]
fn the_corpus_survives_being_written() {
    let mut written = 0;
    for sample in support::corpus() {
        let body = sample["body"].as_str().unwrap();
        let Ok(message) = read(body) else { continue };
        if message.head.format == Format::Native {
            continue;
        }
        let call = again(&message);
        let args: Option<Vec<Value>> = message.args.iter().map(as_json_has_it).collect();
        let kwargs = message
            .kwargs
            .iter()
            .map(|(name, value)| Some((name.clone(), as_json_has_it(value)?)));
        let (Some(args), Some(kwargs)) = (args, kwargs.collect::<Option<Vec<_>>>()) else {
            // Keys that are no text are written as text, as Python's JSON does; the rest is refused.
            continue;
        };
        let read_again = read(&call.to_body().unwrap()).unwrap();
        let id = &sample["id"];
        assert_eq!(
            format!("{:?}", read_again.args),
            format!("{args:?}"),
            "{id}"
        );
        assert_eq!(
            format!("{:?}", read_again.kwargs),
            format!("{kwargs:?}"),
            "{id}"
        );
        let facts = |message: &Message| {
            let head = &message.head;
            let eta = head.eta.as_ref().map(|moment| moment.at.unix_micros());
            (
                head.task.clone(),
                head.id.clone(),
                head.retries,
                eta,
                head.time_limit,
            )
        };
        assert_eq!(facts(&read_again), facts(&message), "{id}");
        let sizes = |canvas: &Canvas| {
            let lists = [&canvas.callbacks, &canvas.errbacks, &canvas.chain];
            (lists.map(Vec::len), canvas.chord.is_some())
        };
        assert_eq!(sizes(&read_again.canvas), sizes(&message.canvas), "{id}");
        written += 1;
    }
    assert!(written > 100, "{written} of the corpus were written");
}

#[test]
fn what_json_cant_carry_is_refused_by_its_type() {
    let call = |value| CeleryCall {
        task: "t".to_owned(),
        args: vec![Value::List(vec![value])],
        ..CeleryCall::default()
    };
    let refused = |value| call(value).to_body().unwrap_err().to_string();
    let set = refused(Value::Set(vec![Value::Int(1)]));
    assert!(
        set.starts_with("a set as a value can't be written as JSON"),
        "{set}"
    );
    let key = refused(Value::Map(vec![(Value::Tuple(Vec::new()), Value::Null)]));
    assert!(
        key.starts_with("a tuple as a key of a map can't be written"),
        "{key}"
    );
}

#[test]
fn keys_become_text_as_in_python() {
    let members = [
        Value::Int(1),
        Value::Bool(true),
        Value::Null,
        Value::Float(1.5),
    ];
    let members = members.map(|key| (key, Value::Null)).to_vec();
    let call = CeleryCall {
        task: "t".to_owned(),
        args: vec![Value::Map(members)],
        ..CeleryCall::default()
    };
    let names = ["1", "true", "null", "1.5"].map(|name| (name.into(), Value::Null));
    let names = names
        .map(|(name, value): (String, Value)| (Value::Str(name), value))
        .to_vec();
    assert_eq!(
        read(&call.to_body().unwrap()).unwrap().args,
        [Value::Map(names)]
    );
}

fn values() -> impl Strategy<Value = Value> {
    let moment = (0..253_000_000_000_000_000_i64).prop_filter_map("the calendar", |micros| {
        DateTime::from_unix_micros(micros).map(Value::DateTime)
    });
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>()
            .prop_filter("equal to itself", |float| !float.is_nan())
            .prop_map(Value::Float),
        any::<String>().prop_map(Value::Str),
        any::<Vec<u8>>().prop_map(Value::Bytes),
        any::<[u8; 16]>().prop_map(Value::Uuid),
        moment,
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let map = prop::collection::btree_map("[a-z]{0,4}", inner.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::List),
            map.prop_map(|members| {
                let text = |(key, value)| (Value::Str(key), value);
                Value::Map(members.into_iter().map(text).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_read_as_it_was_written(args in prop::collection::vec(values(), 0..4), task in "\\PC{1,20}") {
        prop_assume!(!task.trim().is_empty());
        let call = CeleryCall { task, id: "i".to_owned(), args, ..CeleryCall::default() };
        let message = read(&call.to_body().unwrap()).unwrap();
        prop_assert_eq!(message.args, call.args);
        prop_assert_eq!(message.head.task, call.task);
    }

    #[test]
    fn moments_are_counted_both_ways(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
        let at = DateTime::from_unix_micros(micros).unwrap();
        prop_assert_eq!(at.unix_micros(), micros);
        prop_assert_eq!(DateTime::parse(&at.to_string()), Some(at));
    }
}

#[test]
fn the_calendar_has_ends() {
    assert_eq!(DateTime::from_unix_micros(-62_135_596_800_000_001), None);
    assert_eq!(DateTime::from_unix_micros(253_402_300_800_000_000), None);
    assert_eq!(DateTime::from_unix_micros(i64::MIN), None);
    assert_eq!(DateTime::from_unix_micros(i64::MAX), None);
}
