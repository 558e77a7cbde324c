//! The SQS message body: a JSON text, or base64 of one.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::limits::BODY_BYTES_MAX;
use crate::undecodable::Flaw;

/// The standard alphabet, padded; unused bits of the last character may be set, as Python lets them.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The JSON text of a body: decoded if the whole of it is base64 of UTF-8, else the body as it is.
/// JSON objects start with a brace, which base64 lacks, so that the two can't be confused.
pub(crate) fn text(body: &str) -> Result<Cow<'_, str>, Flaw> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Flaw::over_limit(format!(
            "{} bytes, the limit is {BODY_BYTES_MAX}",
            body.len()
        )));
    }
    if body.trim_start().starts_with('{') {
        return Ok(Cow::Borrowed(body));
    }
    match BASE64.decode(body).map(String::from_utf8) {
        Ok(Ok(text)) if !text.is_empty() => Ok(Cow::Owned(text)),
        _ => Err(Flaw::malformed(format!(
            "neither a JSON object nor base64 of one: {}",
            shortened(body)
        ))),
    }
}

/// The beginning of a text, quoted, for an error line.
pub(crate) fn shortened(text: &str) -> String {
    const CHARS: usize = 40;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}
