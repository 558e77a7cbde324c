//! The types of scalars: by their tag, or for plain ones by YAML 1.1's patterns as `PyYAML` has them.

use super::unknown_tag;
use crate::body::decode_base64;
use crate::calendar::{Date, DateTime, Time, UtcOffset};
use crate::integer;
use crate::undecodable::Flaw;
use crate::value::Value;

/// Reads a scalar.
pub(super) fn read(text: &str, is_plain: bool, tag: Option<&str>) -> Result<Value, Flaw> {
    match tag {
        // PyYAML resolves by its patterns after a lone `!`, even with quotes.
        None if is_plain => plain(text),
        Some("!") => plain(text),
        None | Some("str") => Ok(Value::Str(text.to_owned())),
        Some("null") => Ok(Value::Null),
        Some("bool") => bool(text).map(Value::Bool).ok_or_else(|| no_such("bool")),
        Some("int") => int(text)?.ok_or_else(|| no_such("int")),
        Some("float") => tagged_float(text)
            .map(Value::Float)
            .ok_or_else(|| no_such("float")),
        Some("timestamp") => timestamp(text).ok_or_else(|| no_such("timestamp")),
        Some("binary") => binary(text).ok_or_else(|| no_such("binary")),
        Some(other) => Err(unknown_tag(other)),
    }
}

fn plain(text: &str) -> Result<Value, Flaw> {
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Ok(Value::Null);
    }
    if let Some(bool) = resolved_bool(text) {
        return Ok(Value::Bool(bool));
    }
    // All other patterns begin so; most texts don't.
    if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        if let Some(int) = int(text)? {
            return Ok(int);
        }
        if let Some(value) = float(text).map(Value::Float).or_else(|| timestamp(text)) {
            return Ok(value);
        }
    }
    Ok(Value::Str(text.to_owned()))
}

/// The words in the three spellings that the patterns have.
fn resolved_bool(text: &str) -> Option<bool> {
    const LONGEST: usize = "false".len();
    if text.len() > LONGEST {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let mut capital = lower.clone();
    capital.get_mut(..1)?.make_ascii_uppercase();
    let is_spelled = text == lower || text == capital || text == text.to_ascii_uppercase();
    bool(&lower).filter(|_| is_spelled)
}

fn bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" => Some(true),
        "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// Decimal, octal with a leading 0, `0x`, `0b`, and base 60 with colons; underscores anywhere.
fn int(text: &str) -> Result<Option<Value>, Flaw> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { "-" } else { "" };
    let digits = unsigned.replace('_', "");
    match unsigned.as_bytes() {
        [b'0', b'x', ..] => return radix(sign, &digits[2..], 16),
        [b'0', b'b', ..] => return radix(sign, &digits[2..], 2),
        [b'0', _, ..] => return radix(sign, &digits[1..], 8),
        [b'0'..=b'9', ..] => {}
        _ => return Ok(None),
    }
    if digits.contains(':') {
        return Ok(sexagesimal(sign, &digits));
    }
    integer::from_decimal(&format!("{sign}{digits}"))
}

fn radix(sign: &str, digits: &str, radix: u32) -> Result<Option<Value>, Flaw> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Ok(None);
    }
    match i128::from_str_radix(&format!("{sign}{digits}"), radix) {
        Ok(int) => integer::from_decimal(&int.to_string()),
        Err(_) => Err(Flaw::over_limit(
            "YAML: a hexadecimal, octal or binary integer of more than 127 bits",
        )),
    }
}

/// `1:30` is 90.
fn sexagesimal(sign: &str, digits: &str) -> Option<Value> {
    let mut parts = digits.split(':');
    let first: i64 = parts.next()?.parse().ok()?;
    let total = parts.try_fold(first, |total, part| {
        let part: i64 = part.parse().ok().filter(|part| (0..60).contains(part))?;
        total.checked_mul(60)?.checked_add(part)
    })?;
    Some(Value::Int(if sign == "-" { -total } else { total }))
}

/// What the pattern takes: it needs a point, and a sign in the exponent.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            });
        }
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = number.split_once('.')?;
    if whole.contains(':') && exponent.is_none() {
        return sexagesimal_float(text, whole, fraction);
    }
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let has_digit = match whole {
        "" => unsigned.len() == text.len() && fraction.starts_with(|c: char| c.is_ascii_digit()),
        _ => whole.starts_with(|c: char| c.is_ascii_digit()),
    };
    let exponent_is_fine = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']);
        digits
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    });
    if !has_digit || !is_number(whole) || !is_number(fraction) || !exponent_is_fine {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// `1:30.5` is 90.5.
fn sexagesimal_float(text: &str, whole: &str, fraction: &str) -> Option<f64> {
    let Value::Int(int) = sexagesimal("", &whole.replace('_', ""))? else {
        return None;
    };
    let float: f64 = format!("{int}.{}", fraction.replace('_', ""))
        .parse()
        .ok()?;
    Some(if text.starts_with('-') { -float } else { float })
}

/// With a tag an integer is a float too, as is an exponent without a point.
fn tagged_float(text: &str) -> Option<f64> {
    let is_number = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'));
    float(text).or_else(|| text.parse().ok().filter(|_| is_number))
}

/// `2026-01-31`, or with a time: months, days and hours may have one digit, blanks may come before the zone.
fn timestamp(text: &str) -> Option<Value> {
    if text.len() == 10
        && let Some(date) = Date::parse(text)
    {
        return Some(Value::Date(date));
    }
    let day_end = text.find(['T', 't', ' ', '\t'])?;
    let (day, rest) = text.split_at(day_end);
    let date = day_of(day)?;
    let clock = match rest.strip_prefix(['T', 't']) {
        Some(clock) => clock,
        None => rest.trim_start_matches([' ', '\t']),
    };
    let clock_end = clock
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.'))
        .unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(clock_end);
    let time = Time {
        offset: zone_of(zone.trim_start_matches([' ', '\t']))?,
        ..clock_of(clock)?
    };
    Some(Value::DateTime(DateTime { date, time }))
}

fn day_of(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    Date::new(
        number(year)?,
        u8::try_from(number(month)?).ok()?,
        u8::try_from(number(day)?).ok()?,
    )
}

fn clock_of(text: &str) -> Option<Time> {
    let (hour, rest) = text.split_once(':')?;
    let hour: u16 = number(hour).filter(|_| hour.len() <= 2)?;
    Time::parse(&format!("{hour:02}:{rest}"))
        .filter(|_| rest.len() >= 5)
        .or_else(|| {
            // A point without digits after it.
            Time::parse(&format!("{hour:02}:{}", rest.strip_suffix('.')?))
        })
}

#[expect(
    clippy::option_option,
    reason = "no zone, and a text that is none, are different"
)]
fn zone_of(text: &str) -> Option<Option<UtcOffset>> {
    if text.is_empty() {
        return Some(None);
    }
    if text == "Z" {
        return Some(Some(UtcOffset::UTC));
    }
    let unsigned = text.strip_prefix(['-', '+'])?;
    let (hours, minutes) = unsigned.split_once(':').unwrap_or((unsigned, "00"));
    let total = (i64::from(number(hours)?) * 60 + i64::from(number(minutes)?)) * 60_000_000;
    UtcOffset::from_micros(if text.starts_with('-') { -total } else { total }).map(Some)
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u16> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// base64 over several lines.
fn binary(text: &str) -> Option<Value> {
    let joined: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    decode_base64(&joined).map(Value::Bytes)
}

fn no_such(kind: &str) -> Flaw {
    Flaw::malformed(format!("YAML: a {kind} that is none"))
}
