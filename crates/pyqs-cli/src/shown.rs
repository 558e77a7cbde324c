//! A message as a person sees it: its layers, then its task.

use pyqs_formats::head::TimeLimit;
use pyqs_formats::{Format, Head, Message, Pointer, Value};
use serde_json::{Value as Json, json};

use crate::reading::Content;

/// Lines of `name  words`, all in one column.
pub(crate) fn lines(content: &Content) -> Vec<String> {
    let layers = match content {
        Content::Here(layers) => layers,
        Content::Stored { pointer, bytes } => return vec![stored_line(pointer, *bytes)],
    };
    let mut rows: Vec<(String, String)> = layers
        .opened
        .iter()
        .map(|(layer, words)| (layer.to_string(), words.clone()))
        .collect();
    match &layers.message {
        Ok(message) => rows.extend(facts(message)),
        Err(error) => rows.push((
            error.layer.to_string(),
            format!("can't be read: {}", error.reason),
        )),
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.into_iter()
        .map(|(name, words)| format!("{name:<width$}  {words}"))
        .collect()
}

fn stored_line(pointer: &Pointer, bytes: Option<u64>) -> String {
    let size = bytes.map_or_else(String::new, |bytes| format!(", {bytes} bytes"));
    format!("stored body  {}{size}", shown_text(&pointer.to_string()))
}

/// The same for scripts; arguments are text, as Python writes them.
pub(crate) fn json(content: &Content) -> Json {
    let layers = match content {
        Content::Here(layers) => layers,
        Content::Stored { pointer, bytes } => {
            return json!({"stored": {"store": pointer.store, "key": pointer.key, "bytes": bytes}});
        }
    };
    let opened = layers
        .opened
        .iter()
        .map(|(layer, words)| json!({"layer": layer.to_string(), "is": words}));
    let mut out = json!({ "layers": opened.collect::<Vec<_>>() });
    match &layers.message {
        Ok(message) => {
            let facts = facts(message).into_iter();
            out["message"] = facts
                .map(|(name, words)| (name, Json::from(words)))
                .collect();
        }
        Err(error) => {
            out["error"] = json!({"layer": error.layer.to_string(), "reason": error.reason});
        }
    }
    out
}

fn facts(message: &Message) -> Vec<(String, String)> {
    let head = &message.head;
    let mut facts = vec![
        ("task".to_owned(), shown_text(&head.task)),
        (
            "args".to_owned(),
            Value::List(message.args.clone()).to_string(),
        ),
        ("kwargs".to_owned(), kwargs(message)),
    ];
    let mut add = |name: &str, words: Option<String>| {
        facts.extend(words.map(|words| (name.to_owned(), words)));
    };
    add("id", head.id.as_deref().map(shown_text));
    add("format", Some(format(head.format).to_owned()));
    add(
        "retries",
        (head.retries > 0).then(|| head.retries.to_string()),
    );
    add("eta", head.eta.as_ref().map(|moment| moment.text.clone()));
    add(
        "expires",
        head.expires.as_ref().map(|moment| moment.text.clone()),
    );
    add("time limit", time_limit(head.time_limit));
    add_celery(head, &mut add);
    let canvas = &message.canvas;
    add("link", names(&canvas.callbacks));
    add("link_error", names(&canvas.errbacks));
    // The chain is in reverse: what runs next is last.
    add(
        "chain",
        names(&canvas.chain.iter().rev().cloned().collect::<Vec<_>>()),
    );
    add(
        "chord",
        canvas
            .chord
            .as_ref()
            .and_then(|body| names(std::slice::from_ref(body))),
    );
    facts
}

fn add_celery(head: &Head, add: &mut impl FnMut(&str, Option<String>)) {
    let Some(celery) = &head.celery else { return };
    for (name, text) in [
        ("root id", &celery.root_id),
        ("parent id", &celery.parent_id),
        ("group", &celery.group),
        ("shadow", &celery.shadow),
        ("origin", &celery.origin),
        ("reply to", &celery.reply_to),
        ("routing key", &celery.routing_key),
    ] {
        add(name, text.as_deref().map(shown_text));
    }
    add(
        "priority",
        celery.priority.map(|priority| priority.to_string()),
    );
}

fn format(format: Format) -> &'static str {
    match format {
        Format::Celery1 => "Celery, protocol 1",
        Format::Celery2 => "Celery, protocol 2",
        _ => "PyQS",
    }
}

fn kwargs(message: &Message) -> String {
    let members = message.kwargs.iter();
    let members = members.map(|(name, value)| (Value::Str(name.clone()), value.clone()));
    Value::Map(members.collect()).to_string()
}

fn time_limit(limit: TimeLimit) -> Option<String> {
    let told = |secs: Option<f64>| secs.map_or("none".to_owned(), |secs| format!("{secs} s"));
    let has_one = limit.hard_secs.is_some() || limit.soft_secs.is_some();
    has_one.then(|| {
        format!(
            "hard {}, soft {}",
            told(limit.hard_secs),
            told(limit.soft_secs)
        )
    })
}

/// The tasks that signatures name.
fn names(signatures: &[Value]) -> Option<String> {
    let name = |signature: &Value| match signature {
        Value::Map(members) => {
            let task = members
                .iter()
                .find(|(key, _)| *key == Value::Str("task".to_owned()));
            task.map_or("?".to_owned(), |(_, task)| unquoted(task))
        }
        _ => "?".to_owned(),
    };
    let names: Vec<String> = signatures.iter().map(name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Text of a message's, with nothing in it that a terminal would take for a command.
pub(crate) fn shown_text(text: &str) -> String {
    unquoted(&Value::Str(text.to_owned()))
}

fn unquoted(value: &Value) -> String {
    let literal = value.to_string();
    let quotes = ['\'', '"'];
    let inner = literal
        .strip_prefix(quotes)
        .and_then(|text| text.strip_suffix(quotes));
    inner.unwrap_or(&literal).to_owned()
}
