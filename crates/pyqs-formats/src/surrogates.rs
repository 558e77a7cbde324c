//! Lone surrogates, which Python's text may hold: UTF-8 that writes each in three bytes.

/// Appends a code point; whether it was a surrogate.
pub(crate) fn push_code_point(out: &mut Vec<u8>, code: u32) -> bool {
    if let Some(character) = char::from_u32(code) {
        let mut buffer = [0; 4];
        out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        return false;
    }
    // The three-byte pattern of UTF-8, which `char` refuses for surrogates.
    let [_, _, high, low] = code.to_be_bytes();
    out.extend_from_slice(&[
        0xe0 | high >> 4,
        0x80 | (high & 0x0f) << 2 | low >> 6,
        0x80 | low & 0x3f,
    ]);
    true
}

/// Whether bytes are UTF-8 but for surrogates, as Python's `surrogatepass` writes.
pub(crate) fn is_text_with_surrogates(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Err(error) = str::from_utf8(rest) {
        match &rest[error.valid_up_to()..] {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] => rest = after,
            _ => return false,
        }
    }
    true
}
