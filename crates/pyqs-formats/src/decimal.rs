//! The texts that Python's `Decimal` takes.

use crate::limits::INTEGER_DIGITS_MAX;

/// The longest exponent that `Decimal` can hold (`decimal.MAX_EMAX`) has this many digits.
const EXPONENT_DIGITS_MAX: usize = 18;

/// The text, if it is a number as `str(Decimal)` writes it.
pub(crate) fn read(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    (is_number(unsigned) || is_special(unsigned)).then(|| text.to_owned())
}

fn is_special(text: &str) -> bool {
    let digits = text
        .strip_prefix("NaN")
        .or_else(|| text.strip_prefix("sNaN"));
    match digits {
        Some(digits) => {
            digits.len() <= INTEGER_DIGITS_MAX && digits.bytes().all(|b| b.is_ascii_digit())
        }
        None => matches!(text, "Infinity" | "Inf"),
    }
}

fn is_number(text: &str) -> bool {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let digits = whole.len() + fraction.len();
    let exponent_is_fine = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        (1..=EXPONENT_DIGITS_MAX).contains(&exponent.len()) && all_digits(exponent)
    });
    (1..=INTEGER_DIGITS_MAX).contains(&digits)
        && all_digits(whole)
        && all_digits(fraction)
        && exponent_is_fine
}
