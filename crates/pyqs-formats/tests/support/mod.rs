//! What several test files share: the sample files, and values as the samples spell them.

#![allow(dead_code, reason = "each test file uses a part")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pyqs_formats::{Format, Head, Message, Value};
use serde_json::{Map, Value as Json, json};

/// Real messages with what they say; `data/README.md` describes the form.
pub(crate) fn corpus() -> Vec<Json> {
    lines(include_str!("../data/corpus.jsonl"))
}

/// Bodies that must do no harm.
pub(crate) fn hostile() -> Vec<Json> {
    lines(include_str!("../data/hostile.jsonl"))
}

/// More messages by many releases of Celery, each with what kombu itself read from it.
pub(crate) fn written() -> Vec<Json> {
    lines(include_str!("../data/written.jsonl"))
}

/// Values as `CPython` 3.11's pickle, `PyYAML`'s safe dumper and msgpack wrote them, and texts that
/// `PyYAML`'s safe loader read, each the one argument of a task.
pub(crate) fn values() -> Vec<Json> {
    lines(include_str!("../data/values.jsonl"))
}

fn lines(text: &str) -> Vec<Json> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

/// A message of Celery's in the words of the corpus's `expect`.
pub(crate) fn described(message: &Message) -> Json {
    let Message { head, canvas, .. } = message;
    let mut out = described_head(head);
    out["args"] = tagged_list(&message.args);
    out["kwargs"] = tagged_kwargs(&message.kwargs);
    out["callbacks"] = json!(canvas.callbacks.len());
    out["errbacks"] = json!(canvas.errbacks.len());
    out["chain"] = if canvas.chain.is_empty() {
        Json::Null
    } else {
        json!(canvas.chain.len())
    };
    out["chord"] = json!(canvas.chord.is_some());
    if !message.stamps.is_empty() {
        out["stamps"] = tagged_kwargs(&message.stamps);
    }
    out
}

fn described_head(head: &Head) -> Json {
    let celery = head.celery.as_ref().expect("a message of Celery's");
    let limit = &head.time_limit;
    let has_limit = limit.hard_secs.is_some() || limit.soft_secs.is_some();
    let mut out = json!({
        "kind": "task",
        "protocol": if head.format == Format::Celery1 { 1 } else { 2 },
        "task": head.task,
        "id": head.id,
        "retries": head.retries,
        "eta": head.eta.as_ref().map(|moment| &moment.text),
        "expires": head.expires.as_ref().map(|moment| &moment.text),
        "timelimit": has_limit.then(|| [seconds(limit.hard_secs), seconds(limit.soft_secs)]),
        "root_id": celery.root_id,
        "parent_id": celery.parent_id,
        "group": celery.group,
        "shadow": celery.shadow,
        "ignore_result": celery.ignores_result,
        "exchange": celery.exchange,
        "routing_key": celery.routing_key,
        "reply_to": celery.reply_to,
        "correlation_id": celery.correlation_id,
        "priority": celery.priority,
        "content_type": celery.content_type,
        "compression": celery.compression,
    });
    if head.format == Format::Celery1 {
        out["utc"] = json!(celery.is_utc);
    }
    out
}

/// A limit as the corpus writes it: whole seconds as an integer.
#[expect(clippy::cast_possible_truncation, reason = "limits are small")]
fn seconds(limit: Option<f64>) -> Json {
    match limit {
        Some(secs) if secs.fract() == 0.0 => json!(secs as i64),
        other => json!(other),
    }
}

fn tagged_kwargs(kwargs: &[(String, Value)]) -> Json {
    let pairs: Vec<_> = kwargs
        .iter()
        .map(|(name, value)| (Value::Str(name.clone()), value.clone()))
        .collect();
    tagged(&Value::Map(pairs))
}

pub(crate) fn tagged_list(list: &[Value]) -> Json {
    list.iter().map(tagged).collect()
}

/// A value in the corpus's spelling: JSON, and one-key maps for what JSON lacks.
pub(crate) fn tagged(value: &Value) -> Json {
    const EXACT: i64 = (1 << 53) - 1;
    match value {
        Value::Null => Json::Null,
        Value::Bool(bool) => json!(bool),
        Value::Int(int) if (-EXACT..=EXACT).contains(int) => json!(int),
        Value::Int(int) => json!({ "$bigint": int.to_string() }),
        Value::BigInt(text) => json!({ "$bigint": text }),
        Value::Float(float) if float.is_nan() => json!({ "$float": "nan" }),
        Value::Float(float) if float.is_infinite() => {
            json!({ "$float": if *float > 0.0 { "inf" } else { "-inf" } })
        }
        Value::Float(float) => json!(float),
        Value::Str(text) => json!(text),
        Value::SurrogateStr(bytes) => json!({ "$str_u16": utf16_hex(bytes) }),
        Value::Bytes(bytes) => json!({ "$bytes": STANDARD.encode(bytes) }),
        Value::ByteArray(bytes) => json!({ "$bytearray": STANDARD.encode(bytes) }),
        Value::List(list) => tagged_list(list),
        Value::Tuple(list) => json!({ "$tuple": tagged_list(list) }),
        Value::Map(members) => tagged_map(members),
        Value::Set(members) => json!({ "$set": ordered(members) }),
        Value::FrozenSet(members) => json!({ "$frozenset": ordered(members) }),
        Value::DateTime(at) => json!({ "$datetime": at.to_string() }),
        Value::Date(date) => json!({ "$date": date.to_string() }),
        Value::Time(time) => json!({ "$time": time.to_string() }),
        Value::TimeDelta(delta) => {
            json!({ "$timedelta": [delta.days, delta.seconds, delta.micros] })
        }
        Value::Decimal(text) => json!({ "$decimal": text }),
        Value::Uuid(uuid) => json!({ "$uuid": dashed(*uuid) }),
        Value::Complex(real, imaginary) => json!({ "$complex": [real, imaginary] }),
        other => panic!("the corpus has no spelling for {other:?}"),
    }
}

fn tagged_map(members: &[(Value, Value)]) -> Json {
    let names: Option<Vec<&str>> = members.iter().map(|(key, _)| plain_name(key)).collect();
    if let Some(names) = names {
        let values = members.iter().map(|(_, value)| tagged(value));
        return Json::Object(
            names
                .into_iter()
                .map(str::to_owned)
                .zip(values)
                .collect::<Map<_, _>>(),
        );
    }
    let mut pairs: Vec<Json> = members
        .iter()
        .map(|(key, value)| json!([tagged(key), tagged(value)]))
        .collect();
    pairs.sort_by_key(ToString::to_string);
    json!({ "$map": pairs })
}

fn plain_name(key: &Value) -> Option<&str> {
    match key {
        Value::Str(name) if !name.starts_with('$') => Some(name),
        _ => None,
    }
}

fn ordered(members: &[Value]) -> Vec<Json> {
    let mut members: Vec<Json> = members.iter().map(tagged).collect();
    members.sort_by_key(ToString::to_string);
    members
}

fn dashed(uuid: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(uuid));
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

/// UTF-16BE in hex, of UTF-8 that may hold surrogates.
fn utf16_hex(bytes: &[u8]) -> String {
    let mut units = Vec::new();
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let length = match first {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        let (one, after) = rest.split_at(length);
        match str::from_utf8(one) {
            Ok(text) => units.extend(text.encode_utf16()),
            Err(_) => units.push(
                u16::from(one[0] & 0x0f) << 12
                    | u16::from(one[1] & 0x3f) << 6
                    | u16::from(one[2] & 0x3f),
            ),
        }
        rest = after;
    }
    units
        .iter()
        .fold(String::new(), |hex, unit| hex + &format!("{unit:04x}"))
}
