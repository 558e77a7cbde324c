//! Numbers and bare words: `12`, `1e3`, `null`, `-Infinity`.

use crate::integer;
use crate::undecodable::Flaw;
use crate::value::Value;

/// `None` if the word is neither a number nor one of the words.
pub(super) fn read(word: &str) -> Result<Option<Value>, Flaw> {
    Ok(Some(match word {
        "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "NaN" => Value::Float(f64::NAN),
        "Infinity" => Value::Float(f64::INFINITY),
        "-Infinity" => Value::Float(f64::NEG_INFINITY),
        number => return read_number(number),
    }))
}

fn read_number(word: &str) -> Result<Option<Value>, Flaw> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let (whole, rest) = split_digits(digits);
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
        return Ok(None);
    }
    if !rest.is_empty() {
        return Ok(is_fraction(rest)
            .then(|| word.parse().ok())
            .flatten()
            .map(Value::Float));
    }
    integer::from_decimal(word)
}

/// What may follow the whole part: `.5`, `e10`, `.5E-3`.
fn is_fraction(rest: &str) -> bool {
    let exponent = match rest.strip_prefix('.') {
        Some(rest) => {
            let (digits, rest) = split_digits(rest);
            if digits.is_empty() {
                return false;
            }
            rest
        }
        None => rest,
    };
    let Some(exponent) = exponent.strip_prefix(['e', 'E']) else {
        return exponent.is_empty();
    };
    let (digits, rest) = split_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    !digits.is_empty() && rest.is_empty()
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.bytes()
            .position(|b| !b.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}
