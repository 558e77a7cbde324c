//! Values as the JSON that kombu reads, its typed values included.

use std::fmt::Write as _;

use crate::calendar::DateTime;
use crate::value::Value;
use crate::write::Unwritable;

/// Appends a value.
///
/// Tuples become lists, as Python's JSON has it, and numbers, truths and `None` as keys become text. What
/// kombu's writer refuses is refused here too: sets, time spans, complex numbers.
pub(crate) fn write(value: &Value, out: &mut String) -> Result<(), Unwritable> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Value::Int(int) => append(out, format_args!("{int}")),
        Value::BigInt(digits) => out.push_str(digits),
        Value::Float(float) => write_float(*float, out),
        Value::Str(text) => write_text(text, out),
        Value::SurrogateStr(bytes) => write_surrogates(bytes, out),
        Value::List(list) | Value::Tuple(list) => write_list(list, out)?,
        Value::Map(members) => write_map(members, out)?,
        Value::Bytes(bytes) => match str::from_utf8(bytes) {
            Ok(text) => write_typed("bytes", text, out),
            Err(_) => write_typed(
                "base64",
                &base64_simd::STANDARD.encode_to_string(bytes),
                out,
            ),
        },
        Value::DateTime(at) => write_typed("datetime", &at.to_string(), out),
        Value::Date(date) => write_typed("date", &date.to_string(), out),
        Value::Time(time) => write_typed("time", &time.to_string(), out),
        Value::Decimal(text) => write_typed("decimal", text, out),
        Value::Uuid(uuid) => {
            let hex = u128::from_be_bytes(*uuid);
            append(
                out,
                format_args!(r#"{{"__type__": "uuid", "__value__": {{"hex": "{hex:032x}"}}}}"#),
            );
        }
        Value::ByteArray(_)
        | Value::Set(_)
        | Value::FrozenSet(_)
        | Value::TimeDelta(_)
        | Value::TimeZone(_)
        | Value::Complex(..) => return Err(Unwritable::value(value)),
    }
    Ok(())
}

/// Appends a text in quotes, in ASCII as Python's writer does.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    append(out, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

/// Appends `name: value` pairs as an object.
pub(crate) fn write_members<'a>(
    members: impl IntoIterator<Item = (&'a str, &'a Value)>,
    out: &mut String,
) -> Result<(), Unwritable> {
    out.push('{');
    for (at, (name, value)) in members.into_iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write_text(name, out);
        out.push_str(": ");
        write(value, out)?;
    }
    out.push('}');
    Ok(())
}

pub(crate) fn write_list(list: &[Value], out: &mut String) -> Result<(), Unwritable> {
    out.push('[');
    for (at, value) in list.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write(value, out)?;
    }
    out.push(']');
    Ok(())
}

fn write_map(members: &[(Value, Value)], out: &mut String) -> Result<(), Unwritable> {
    out.push('{');
    for (at, (key, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write_key(key, out)?;
        out.push_str(": ");
        write(value, out)?;
    }
    out.push('}');
    Ok(())
}

fn write_key(key: &Value, out: &mut String) -> Result<(), Unwritable> {
    match key {
        Value::Str(_) | Value::SurrogateStr(_) => write(key, out),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_) => {
            out.push('"');
            write(key, out)?;
            out.push('"');
            Ok(())
        }
        _ => Err(Unwritable::key(key)),
    }
}

fn write_float(float: f64, out: &mut String) {
    if float.is_nan() {
        out.push_str("NaN");
    } else if float.is_infinite() {
        out.push_str(if float > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        append(out, format_args!("{float:?}"));
    }
}

fn write_typed(name: &str, value: &str, out: &mut String) {
    append(
        out,
        format_args!(r#"{{"__type__": "{name}", "__value__": "#),
    );
    write_text(value, out);
    out.push('}');
}

/// Text with lone surrogates, each in three bytes: those are what UTF-8 refuses.
fn write_surrogates(mut bytes: &[u8], out: &mut String) {
    let mut quoted = String::from("\"");
    loop {
        let valid = str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        let (text, rest) = bytes.split_at(valid);
        let mut part = String::new();
        write_text(str::from_utf8(text).unwrap_or_default(), &mut part);
        quoted.push_str(&part[1..part.len() - 1]);
        let Some((&[_, high, low], after)) = rest.split_first_chunk::<3>() else {
            break;
        };
        let unit = 0xd000 | u16::from(high & 0x3f) << 6 | u16::from(low & 0x3f);
        append(&mut quoted, format_args!("\\u{unit:04x}"));
        bytes = after;
    }
    quoted.push('"');
    out.push_str(&quoted);
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a String does not fail");
}

/// A time as kombu's headers carry it.
pub(crate) fn write_moment(at: Option<&DateTime>, out: &mut String) {
    match at {
        Some(at) => write_text(&at.to_string(), out),
        None => out.push_str("null"),
    }
}
