//! kombu's typed values: `{"__type__": "datetime", "__value__": "2026-01-31T10:00:00"}` and the like.

use crate::body::decode_base64;
use crate::calendar::{Date, DateTime, Time};
use crate::decimal;
use crate::undecodable::Flaw;
use crate::value::Value;

/// The value that a map stands for; the map itself, if it does not have exactly the two keys.
pub(super) fn resolve(members: Vec<(Value, Value)>) -> Result<Value, Flaw> {
    let is_key = |at: usize, name: &str| matches!(&members[at].0, Value::Str(key) if key == name);
    let type_at = match members.len() {
        2 if is_key(0, "__type__") && is_key(1, "__value__") => 0,
        2 if is_key(1, "__type__") && is_key(0, "__value__") => 1,
        _ => return Ok(Value::Map(members)),
    };
    let mut values: Vec<Value> = members.into_iter().map(|(_, value)| value).collect();
    let value = values.swap_remove(1 - type_at);
    match values.pop() {
        Some(Value::Str(name)) => typed_value(&name, value),
        _ => Err(Flaw::malformed("a typed value whose __type__ is no text")),
    }
}

fn typed_value(name: &str, value: Value) -> Result<Value, Flaw> {
    let bad = || Flaw::malformed(format!("a typed value of {name} that is none"));
    let text = |value: Value| match value {
        Value::Str(text) => Ok(text),
        _ => Err(bad()),
    };
    match name {
        "datetime" => DateTime::parse(&text(value)?)
            .map(Value::DateTime)
            .ok_or_else(bad),
        "date" => Date::parse(&text(value)?).map(Value::Date).ok_or_else(bad),
        "time" => Time::parse(&text(value)?).map(Value::Time).ok_or_else(bad),
        "decimal" => decimal::read(&text(value)?)
            .map(Value::Decimal)
            .ok_or_else(bad),
        "uuid" => uuid(&value).map(Value::Uuid).ok_or_else(bad),
        "bytes" => bytes(value).ok_or_else(bad),
        "base64" => decode_base64(text(value)?.as_bytes())
            .map(Value::Bytes)
            .ok_or_else(bad),
        _ => Err(Flaw::refused(format!(
            "a typed value of {name:?}, which only the sending application could build; \
             send a datetime, date, time, Decimal, UUID or bytes instead"
        ))),
    }
}

/// The bytes are the text's UTF-8; kombu writes this form only where they are.
fn bytes(value: Value) -> Option<Value> {
    match value {
        Value::Str(text) => Some(Value::Bytes(text.into_bytes())),
        _ => None,
    }
}

/// `{"hex": "32 hex digits"}`.
fn uuid(value: &Value) -> Option<[u8; 16]> {
    let Value::Map(members) = value else {
        return None;
    };
    let [(Value::Str(key), Value::Str(hex))] = members.as_slice() else {
        return None;
    };
    if key != "hex" || hex.len() != 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some(u128::from_str_radix(hex, 16).ok()?.to_be_bytes())
}
