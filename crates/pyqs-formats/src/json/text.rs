//! Strings in JSON: borrowed where they have no escapes.

use std::borrow::Cow;

use crate::surrogates::push_code_point;
use crate::value::Value;

/// A string as read.
pub(crate) enum Text<'a> {
    /// Text without lone surrogates.
    Whole(Cow<'a, str>),
    /// With lone surrogates, in the form of [`Value::SurrogateStr`].
    Surrogates(Vec<u8>),
}

impl<'a> Text<'a> {
    /// The text for comparing with a name; one with lone surrogates equals no name.
    pub(crate) fn as_name(&self) -> &str {
        match self {
            Self::Whole(text) => text,
            Self::Surrogates(_) => "",
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Whole(text) => text.len(),
            Self::Surrogates(bytes) => bytes.len(),
        }
    }

    pub(crate) fn whole(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Whole(text) => Some(text),
            Self::Surrogates(_) => None,
        }
    }

    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Whole(text) => Value::Str(text.into_owned()),
            Self::Surrogates(bytes) => Value::SurrogateStr(bytes),
        }
    }
}

/// Reads a string whose opening quote is already consumed; gives it and its length with the closing quote.
pub(super) fn read(rest: &str) -> Result<(Text<'_>, usize), &'static str> {
    let plain = plain_length(rest.as_bytes());
    match rest.as_bytes().get(plain) {
        Some(b'"') => Ok((Text::Whole(Cow::Borrowed(&rest[..plain])), plain + 1)),
        Some(b'\\') => unescape(rest, plain),
        Some(_) => Err("a control character"),
        None => Err("no closing quote"),
    }
}

/// The length of a string, closing quote included, whose opening quote is consumed; escapes are not checked.
pub(super) fn length(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += plain_length(&rest[at..]);
        match rest.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
        if at > rest.len() {
            return None;
        }
    }
}

fn unescape(rest: &str, plain: usize) -> Result<(Text<'_>, usize), &'static str> {
    let bytes = rest.as_bytes();
    let mut out = Vec::with_capacity(plain + 32);
    let mut at = 0;
    let mut has_surrogates = false;
    loop {
        let length = plain_length(&bytes[at..]);
        out.extend_from_slice(&bytes[at..at + length]);
        at += length;
        match bytes.get(at) {
            Some(b'"') => break,
            Some(b'\\') => at += 1,
            Some(_) => return Err("a control character"),
            None => return Err("no closing quote"),
        }
        let escape = *bytes.get(at).ok_or("no closing quote")?;
        at += 1;
        if escape == b'u' {
            let (code, length) = code_point(&bytes[at..])?;
            at += length;
            has_surrogates |= push_code_point(&mut out, code);
        } else {
            out.push(simple_escape(escape).ok_or("an unknown escape")?);
        }
    }
    let text = if has_surrogates {
        Text::Surrogates(out)
    } else {
        // Can't fail: pieces of a `str` between ASCII characters, and whole characters.
        Text::Whole(Cow::Owned(String::from_utf8(out).map_err(|_| "no UTF-8")?))
    };
    Ok((text, at + 1))
}

/// Bytes up to the first quote, backslash or control character.
fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks_exact(8) gives eight bytes"));
        let stops = stop_bits(word);
        if stops != 0 {
            return length + (stops.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let rest = chunks.remainder();
    length
        + rest
            .iter()
            .position(|&b| b == b'"' || b == b'\\' || b < 0x20)
            .unwrap_or(rest.len())
}

/// Eight bytes at once: the top bit of each byte that is a quote, a backslash or below 0x20. Bytes above
/// the lowest hit may be wrong by a borrow, which is why only the lowest is used.
fn stop_bits(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    let zero_in = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zero_in(word ^ (ONES * 0x22));
    let backslash = zero_in(word ^ (ONES * 0x5c));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & TOPS
}

fn simple_escape(escape: u8) -> Option<u8> {
    Some(match escape {
        b'"' | b'\\' | b'/' => escape,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// The code point after `\u`, a pair of surrogates joined, and how many bytes it took.
fn code_point(bytes: &[u8]) -> Result<(u32, usize), &'static str> {
    let first = hex4(bytes)?;
    if (0xd800..0xdc00).contains(&first) && bytes[4..].starts_with(b"\\u") {
        let second = hex4(&bytes[6..])?;
        if (0xdc00..0xe000).contains(&second) {
            return Ok((0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), 10));
        }
    }
    Ok((first, 4))
}

fn hex4(bytes: &[u8]) -> Result<u32, &'static str> {
    let digits = bytes.get(..4).ok_or("no closing quote")?;
    digits.iter().try_fold(0, |code, &digit| {
        let value = char::from(digit)
            .to_digit(16)
            .ok_or("a \\u without four hex digits")?;
        Ok(code << 4 | value)
    })
}
