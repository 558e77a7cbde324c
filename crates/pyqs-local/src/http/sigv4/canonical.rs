//! The canonical form of a request, which is what is signed.

use axum::http::{HeaderMap, HeaderValue, request};
use sha2::{Digest, Sha256};

use super::SignatureError;
use super::claim::Claim;
use crate::content::hex;
use crate::http::query::unescape;

const CONTENT_SHA256: &str = "x-amz-content-sha256";
/// In place of the body's hash: the body is not covered.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// Some clients add it after signing. It says nothing here.
const SECURITY_TOKEN: &str = "x-amz-security-token";

/// The names of signed headers: in order, each once (so that they can't make the canonical form
/// larger than the request), `host` among them, and all of AWS's own that the request has.
pub(super) fn check_signed_headers(
    headers: &HeaderMap,
    signed: &str,
) -> Result<(), SignatureError> {
    let names: Vec<_> = signed.split(';').collect();
    let has_upper_case = signed.bytes().any(|byte| byte.is_ascii_uppercase());
    if has_upper_case || !names.is_sorted_by(|before, after| before < after) {
        return Err(SignatureError::incomplete(
            "SignedHeaders must be names in lower case, sorted, each once.",
        ));
    }
    if names.binary_search(&"host").is_err() {
        return Err(SignatureError::mismatch(
            "'Host' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    let own = headers.keys().map(axum::http::HeaderName::as_str);
    let mut own = own.filter(|name| name.starts_with("x-amz-") && *name != SECURITY_TOKEN);
    match own.find(|name| names.binary_search(name).is_err()) {
        None => Ok(()),
        Some(name) => Err(SignatureError::mismatch(format!(
            "'{name}' must be a 'SignedHeader' in the AWS Authorization."
        ))),
    }
}

/// What a request says of its body, and has been found true.
pub(super) struct Payload(String);

impl Payload {
    pub(super) fn of(
        head: &request::Parts,
        claim: &Claim,
        body: &[u8],
    ) -> Result<Self, SignatureError> {
        let header = head.headers.get(CONTENT_SHA256).map(HeaderValue::as_bytes);
        let declared = header.or(claim.content_sha256.as_deref().map(str::as_bytes));
        if declared == Some(UNSIGNED_PAYLOAD.as_bytes()) {
            return Ok(Self(UNSIGNED_PAYLOAD.to_owned()));
        }
        let hash = hex(&Sha256::digest(body));
        match declared {
            Some(declared) if declared != hash.as_bytes() => Err(SignatureError::mismatch(
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )),
            _ => Ok(Self(hash)),
        }
    }
}

/// The canonical form: method, path, query, headers, their names, the body's hash.
pub(super) fn request(head: &request::Parts, claim: &Claim, payload: &Payload) -> Vec<u8> {
    let signed = &claim.signed_headers;
    let query = head.uri.query().unwrap_or_default();
    let is_presigned = claim.expires_secs.is_some();
    [
        head.method.as_str().as_bytes(),
        &path(head.uri.path()),
        &query_string(query, is_presigned),
        &header_lines(&head.headers, signed),
        signed.as_bytes(),
        payload.0.as_bytes(),
    ]
    .join(&b'\n')
}

/// The path without empty and dot segments, and with the escapes that it has escaped again, as all
/// services but S3 have it.
fn path(path: &str) -> Vec<u8> {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut plain = format!("/{}", segments.join("/"));
    if path.ends_with('/') && !segments.is_empty() {
        plain.push('/');
    }
    let mut encoded = Vec::new();
    encode(plain.as_bytes(), b"/", &mut encoded);
    encoded
}

/// The query's pairs in their order, without the signature itself.
fn query_string(query: &str, is_presigned: bool) -> Vec<u8> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (escaped_anew(name), escaped_anew(value))
        })
        .filter(|(name, _)| !(is_presigned && name == b"X-Amz-Signature"))
        .collect();
    pairs.sort();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| [&name[..], value].join(&b'='))
        .collect();
    pairs.join(&b'&')
}

/// With exactly the escapes that the canonical form has.
fn escaped_anew(text: &str) -> Vec<u8> {
    let mut encoded = Vec::new();
    encode(&unescape(text.as_bytes()), b"", &mut encoded);
    encoded
}

/// `name:value` and a line feed for each signed header; one that the request lacks has no value.
fn header_lines(headers: &HeaderMap, signed: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    for name in signed.split(';') {
        lines.extend_from_slice(name.as_bytes());
        lines.push(b':');
        for (count, value) in headers.get_all(name).iter().enumerate() {
            if count > 0 {
                lines.push(b',');
            }
            push_collapsed(value.as_bytes(), &mut lines);
        }
        lines.push(b'\n');
    }
    lines
}

/// Without white space around it, and with one space for several within.
fn push_collapsed(value: &[u8], line: &mut Vec<u8>) {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t'));
    for (count, word) in words.filter(|word| !word.is_empty()).enumerate() {
        if count > 0 {
            line.push(b' ');
        }
        line.extend_from_slice(word);
    }
}

/// Escapes all but RFC 3986's unreserved characters, and those of `kept`.
fn encode(bytes: &[u8], kept: &[u8], encoded: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            encoded.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            encoded.extend([b'%', DIGITS[high], DIGITS[low]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (wire, canonical) in [
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
            ("/a//b/", "/a/b/"),
            ("/./a/../b", "/b"),
            ("/../..", "/"),
            ("/a%20b/%2e%2E", "/a%2520b/%252e%252E"),
            ("/\u{1234}*", "/%E1%88%B4%2A"),
        ] {
            assert_eq!(String::from_utf8_lossy(&path(wire)), canonical, "{wire}");
        }
    }

    #[test]
    fn queries() {
        for (wire, canonical) in [
            ("", ""),
            ("&&", ""),
            ("b&a=", "a=&b="),
            ("a=2&a=1&A=3", "A=3&a=1&a=2"),
            ("a=b=c", "a=b%3Dc"),
            ("a=%2f%c3%a9+%7e", "a=%2F%C3%A9%20~"),
            ("a=%&b=%zz&c=%ff", "a=%25&b=%25zz&c=%FF"),
            ("X-Amz-Signature=1&a", "a="),
        ] {
            let found = query_string(wire, true);
            assert_eq!(String::from_utf8_lossy(&found), canonical, "{wire}");
        }
        assert_eq!(
            query_string("X-Amz-Signature=1", false),
            b"X-Amz-Signature=1"
        );
    }
}
