//! Integers of any size, up to a limit: from decimal text, and from the bytes of a binary one.

use crate::limits::INTEGER_DIGITS_MAX;
use crate::undecodable::Flaw;
use crate::value::Value;

/// Reads `-123`. `None` if it is no integer; leading zeros are dropped.
pub(crate) fn from_decimal(text: &str) -> Result<Option<Value>, Flaw> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    if let Ok(int) = text.parse() {
        return Ok(Some(Value::Int(int)));
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > INTEGER_DIGITS_MAX {
        return Err(too_long());
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    Ok(Some(Value::BigInt(format!("{sign}{digits}"))))
}

/// Reads a little-endian integer in two's complement, as pickle writes them; no bytes are 0.
pub(crate) fn from_le_bytes(bytes: &[u8]) -> Result<Value, Flaw> {
    /// More bytes than this have more digits than the limit: log10(256) is 2.408.
    const BYTES_MAX: usize = INTEGER_DIGITS_MAX * 1000 / 2408 + 1;
    let is_negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    if bytes.len() <= 8 {
        let mut padded = [if is_negative { 0xff } else { 0 }; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        return Ok(Value::Int(i64::from_le_bytes(padded)));
    }
    if bytes.len() > BYTES_MAX {
        return Err(too_long());
    }
    let digits = decimal_digits(magnitude(bytes, is_negative));
    if digits.len() > INTEGER_DIGITS_MAX {
        return Err(too_long());
    }
    let text = if is_negative {
        format!("-{digits}")
    } else {
        digits
    };
    // Short ones may be padded.
    Ok(text.parse().map_or(Value::BigInt(text), Value::Int))
}

/// The absolute value, as little-endian 32-bit digits.
fn magnitude(bytes: &[u8], is_negative: bool) -> Vec<u32> {
    let sign = if is_negative { 0xff } else { 0 };
    let mut carry = is_negative;
    let limb = |chunk: &[u8]| {
        let mut limb = [sign; 4];
        limb[..chunk.len()].copy_from_slice(chunk);
        u32::from_le_bytes(limb)
    };
    bytes
        .chunks(4)
        .map(|chunk| {
            if !is_negative {
                return limb(chunk);
            }
            let (negated, overflowed) = (!limb(chunk)).overflowing_add(carry.into());
            carry = overflowed;
            negated
        })
        .collect()
}

fn decimal_digits(mut limbs: Vec<u32>) -> String {
    const STEP: u64 = 1_000_000_000;
    let mut groups = Vec::new();
    while !limbs.is_empty() {
        let mut rest = 0;
        for limb in limbs.iter_mut().rev() {
            let number = rest << 32 | u64::from(*limb);
            *limb = u32::try_from(number / STEP)
                .expect("the rest is below the step, so that the quotient fits");
            rest = number % STEP;
        }
        groups.push(rest);
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
    }
    let digits: String = groups.iter().rev().fold(String::new(), |digits, group| {
        digits + &format!("{group:09}")
    });
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() {
        "0".to_owned()
    } else {
        trimmed.to_owned()
    }
}

fn too_long() -> Flaw {
    Flaw::over_limit(format!(
        "an integer of more than {INTEGER_DIGITS_MAX} digits"
    ))
}
