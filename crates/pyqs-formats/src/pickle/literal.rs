//! Literals: the numbers and strings that protocol 0 writes as text, and binary integers of any size.

use super::heap::Item;
use super::malformed;
use crate::integer;
use crate::surrogates::push_code_point;
use crate::undecodable::Flaw;
use crate::value::Value;

/// `INT`: also how protocol 0 and 1 write booleans.
pub(super) fn int(line: &str) -> Result<Value, Flaw> {
    match line {
        "00" => Ok(Value::Bool(false)),
        "01" => Ok(Value::Bool(true)),
        _ => integer::from_decimal(line)?.ok_or_else(|| malformed("an integer that is none")),
    }
}

/// `LONG`: Python 2 ends it with an `L`.
pub(super) fn long(line: &str) -> Result<Value, Flaw> {
    integer::from_decimal(line.strip_suffix('L').unwrap_or(line))?
        .ok_or_else(|| malformed("an integer that is none"))
}

/// `FLOAT`.
pub(super) fn float(line: &str) -> Result<Item, Flaw> {
    line.parse()
        .map(Item::Float)
        .map_err(|_| malformed("a float that is none"))
}

/// `STRING`: the `repr` of an 8-bit string of Python 2.
pub(super) fn string(line: &[u8]) -> Result<Vec<u8>, Flaw> {
    let line = line.trim_ascii_end();
    let ([b'\'', quoted @ .., b'\''] | [b'"', quoted @ .., b'"']) = line else {
        return Err(malformed("a string without quotes"));
    };
    let mut out = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'\\' {
            escape(&mut rest, &mut out)?;
        } else {
            out.push(byte);
        }
    }
    Ok(out)
}

/// One escape of Python 2's `string_escape`, its backslash consumed.
fn escape(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Flaw> {
    let (&kind, after) = rest
        .split_first()
        .ok_or_else(|| malformed("a string that ends in a backslash"))?;
    *rest = after;
    let byte = match kind {
        b'\\' | b'\'' | b'"' => kind,
        b'a' => 0x07,
        b'b' => 0x08,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'r' => b'\r',
        b'x' => {
            let code = hex(rest, 2).ok_or_else(|| malformed("a \\x without two hex digits"))?;
            u8::try_from(code).map_err(|_| malformed("a \\x without two hex digits"))?
        }
        b'0'..=b'7' => octal(kind, rest),
        // Python 2 leaves an unknown escape as it is.
        _ => {
            out.push(b'\\');
            out.push(kind);
            return Ok(());
        }
    };
    out.push(byte);
    Ok(())
}

/// Up to three digits; what is beyond a byte is cut off, as Python 2 does.
fn octal(first: u8, rest: &mut &[u8]) -> u8 {
    let mut code = first - b'0';
    for _ in 0..2 {
        let Some((&digit @ b'0'..=b'7', after)) = rest.split_first() else {
            break;
        };
        code = code.wrapping_mul(8).wrapping_add(digit - b'0');
        *rest = after;
    }
    code
}

/// `UNICODE`: `raw-unicode-escape`, that is Latin-1 with `\u` and `\U`. Gives UTF-8 in which surrogates
/// may be.
pub(super) fn unicode(line: &[u8]) -> Result<Vec<u8>, Flaw> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = match (byte, after.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                push_code_point(&mut out, byte.into());
                rest = after;
                continue;
            }
        };
        rest = &after[1..];
        let code = hex(&mut rest, digits).filter(|&code| code <= char::MAX.into());
        push_code_point(
            &mut out,
            code.ok_or_else(|| malformed("a \\u without hex digits"))?,
        );
    }
    Ok(out)
}

fn hex(rest: &mut &[u8], digits: usize) -> Option<u32> {
    let (text, after) = rest.split_at_checked(digits)?;
    *rest = after;
    text.iter().try_fold(0, |code: u32, &digit| {
        Some(code << 4 | char::from(digit).to_digit(16)?)
    })
}
