//! Payloads signed by Celery's `auth` serializer: opened only for those who can check the signature.

mod certificate;
mod der;
mod pss;

pub use certificate::{BadCertificate, Certificate};

use crate::body::decode_base64;
use crate::serializer::Serializer;
use crate::undecodable::Flaw;

/// Between the fields.
const SEPARATOR: &[u8] = b"\0\x01";

/// Longer than any content type of Celery's.
const CONTENT_TYPE_BYTES_MAX: usize = 64;

/// Who knows the signers' certificates.
pub trait Certificates {
    /// Whether the signature is the signer's, over this payload; the reason if it is not, in words for a log.
    fn verify(&self, signed: &Signed<'_>) -> Result<(), String>;
}

/// A signed payload, its parts not yet trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signed<'a> {
    /// The certificate's id as Celery writes it: its issuer, a blank, its serial number.
    pub signer: String,
    /// The signature: RSA over the payload.
    pub signature: Vec<u8>,
    /// The content type of the payload.
    pub content_type: &'a str,
    /// What the signature is over.
    pub payload: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Of these parts.
    pub fn new(
        signer: impl Into<String>,
        signature: Vec<u8>,
        content_type: &'a str,
        payload: &'a [u8],
    ) -> Self {
        Self {
            signer: signer.into(),
            signature,
            content_type,
            payload,
        }
    }
}

/// Takes the base64 off; what is inside is for [`split`].
pub(crate) fn unwrap(data: &[u8]) -> Result<Vec<u8>, Flaw> {
    decode_base64(data).ok_or_else(no_signature)
}

/// The five fields: signer, signature, content type, content encoding, payload.
pub(crate) fn split(fields: &[u8]) -> Result<Signed<'_>, Flaw> {
    let (signer, rest) = split_once(fields).ok_or_else(no_signature)?;
    let (signature, content_type, rest) = split_signature(rest).ok_or_else(no_signature)?;
    let (_encoding, payload) = split_once(rest).ok_or_else(no_signature)?;
    // From Celery 5.5 on signer and signature are base64; before, a signer has a blank, which that lacks.
    let (signer, signature) = match (decode_base64(signer), decode_base64(signature)) {
        (Some(signer), Some(signature)) => (signer, signature),
        _ => (signer.to_vec(), signature.to_vec()),
    };
    let signer = String::from_utf8(signer).map_err(|_| no_signature())?;
    if signer.is_empty() || signature.is_empty() {
        return Err(no_signature());
    }
    Ok(Signed {
        signer,
        signature,
        content_type,
        payload,
    })
}

/// The signature ends where a content type of Celery's follows: old ones are raw bytes, the separator
/// among them.
fn split_signature(rest: &[u8]) -> Option<(&[u8], &str, &[u8])> {
    let ends = rest
        .windows(SEPARATOR.len())
        .enumerate()
        .filter(|(_, window)| *window == SEPARATOR);
    ends.map(|(end, _)| rest.split_at(end))
        .find_map(|(signature, after)| {
            let after = &after[SEPARATOR.len()..];
            // Looked for in the next few bytes only: there may be a hundred thousand separators.
            let (content_type, _) = split_once(&after[..after.len().min(CONTENT_TYPE_BYTES_MAX)])?;
            let rest = &after[content_type.len() + SEPARATOR.len()..];
            let content_type = str::from_utf8(content_type).ok()?;
            Serializer::named(content_type)
                .is_ok()
                .then_some((signature, content_type, rest))
        })
}

fn split_once(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes
        .windows(SEPARATOR.len())
        .position(|window| window == SEPARATOR)?;
    Some((&bytes[..end], &bytes[end + SEPARATOR.len()..]))
}

fn no_signature() -> Flaw {
    Flaw::not_a_task("bytes that are not in the form of Celery's signed messages")
}
