//! Values as Python writes them: what `repr` gives, for people to read.

use std::fmt;

use crate::value::Value;

impl fmt::Display for Value {
    /// As Python's `repr`, in one line: nothing that is not printable is left as it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(int) => write!(f, "{int}"),
            Self::BigInt(digits) => f.write_str(digits),
            Self::Float(float) => write_float(f, *float),
            Self::Str(text) => write_text(f, text),
            Self::SurrogateStr(bytes) => write_text(f, &String::from_utf8_lossy(bytes)),
            Self::Bytes(bytes) => write_bytes(f, bytes),
            Self::ByteArray(bytes) => {
                f.write_str("bytearray(")?;
                write_bytes(f, bytes)?;
                f.write_str(")")
            }
            Self::List(items) => write_all(f, "[", items, "]"),
            Self::Tuple(items) if items.len() == 1 => write_all(f, "(", items, ",)"),
            Self::Tuple(items) => write_all(f, "(", items, ")"),
            Self::Set(items) if items.is_empty() => f.write_str("set()"),
            Self::Set(items) => write_all(f, "{", items, "}"),
            Self::FrozenSet(items) if items.is_empty() => f.write_str("frozenset()"),
            Self::FrozenSet(items) => write_all(f, "frozenset({", items, "})"),
            Self::Map(members) => write_map(f, members),
            Self::DateTime(at) => write!(f, "datetime({at})"),
            Self::Date(date) => write!(f, "date({date})"),
            Self::Time(time) => write!(f, "time({time})"),
            Self::TimeDelta(delta) => write!(
                f,
                "timedelta(days={}, seconds={}, microseconds={})",
                delta.days, delta.seconds, delta.micros
            ),
            Self::TimeZone(offset) => write!(f, "timezone({offset})"),
            Self::Decimal(text) => write!(f, "Decimal('{text}')"),
            Self::Uuid(uuid) => write!(f, "UUID('{:032x}')", u128::from_be_bytes(*uuid)),
            Self::Complex(real, imaginary) => write!(f, "complex({real:?}, {imaginary:?})"),
        }
    }
}

fn write_float(f: &mut fmt::Formatter<'_>, float: f64) -> fmt::Result {
    if float.is_nan() {
        return f.write_str("nan");
    }
    write!(f, "{float:?}")
}

fn write_all(f: &mut fmt::Formatter<'_>, open: &str, items: &[Value], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (at, item) in items.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    f.write_str(close)
}

fn write_map(f: &mut fmt::Formatter<'_>, members: &[(Value, Value)]) -> fmt::Result {
    f.write_str("{")?;
    for (at, (key, value)) in members.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(f, "{comma}{key}: {value}")?;
    }
    f.write_str("}")
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    write!(f, "{quote}")?;
    for character in text.chars() {
        match character {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            _ if character == quote => write!(f, "\\{quote}")?,
            ' '..='~' => write!(f, "{character}")?,
            _ if character.is_alphanumeric() => write!(f, "{character}")?,
            _ => write_escaped(f, character.into())?,
        }
    }
    write!(f, "{quote}")
}

/// What a terminal may take for a command, or what can't be seen.
fn write_escaped(f: &mut fmt::Formatter<'_>, code: u32) -> fmt::Result {
    match code {
        0..=0xff => write!(f, "\\x{code:02x}"),
        0x100..=0xffff => write!(f, "\\u{code:04x}"),
        _ => write!(f, "\\U{code:08x}"),
    }
}

fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("b'")?;
    for &byte in bytes {
        match byte {
            b'\\' | b'\'' => write!(f, "\\{}", char::from(byte))?,
            b' '..=b'~' => write!(f, "{}", char::from(byte))?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    f.write_str("'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_python_writes_them() {
        let text = |text: &str| Value::Str(text.to_owned());
        let value = Value::Map(vec![
            (text("it's"), Value::Tuple(vec![Value::Float(1.0)])),
            (text("\u{1b}[2J\u{202e}"), Value::Bytes(b"\x00'a".to_vec())),
            (
                Value::Int(1),
                Value::FrozenSet(vec![Value::Bool(true), Value::Null]),
            ),
        ]);
        assert_eq!(
            value.to_string(),
            r#"{"it's": (1.0,), '\x1b[2J\u202e': b'\x00\'a', 1: frozenset({True, None})}"#
        );
    }
}
