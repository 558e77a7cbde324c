//! `Certificate`: whose messages are to be read, as an X.509 certificate in PEM (RFC 5280, RFC 7468).

use num_bigint::BigInt;

use super::Signed;
use super::der::{Der, tag};
use super::pss::PublicKey;
use crate::body::decode_base64;
use crate::calendar::{Date, DateTime, Time};

/// A signer's certificate: what is used of it. Who has issued it is not asked, as Celery does not: what lies in the
/// store is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    id: String,
    expires_unix_secs: i64,
    key: PublicKey,
}

/// A text that holds no certificate of a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCertificate {
    /// There is no `-----BEGIN CERTIFICATE-----`, or no end, or no base64 between.
    #[error("no certificate in PEM is there")]
    NoPem,
    /// It is not what a certificate looks like.
    #[error("it is no X.509 certificate that can be read")]
    Malformed,
    /// Celery signs with RSA alone.
    #[error("its key is none of RSA of 1024 to 8192 bits, which is what Celery signs with")]
    NoRsaKey,
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// 1.2.840.113549.1.1.1
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

impl Certificate {
    /// Reads the first certificate of a text in PEM.
    pub fn from_pem(text: &str) -> Result<Self, BadCertificate> {
        let (_, text) = text.split_once(BEGIN).ok_or(BadCertificate::NoPem)?;
        let (text, _) = text.split_once(END).ok_or(BadCertificate::NoPem)?;
        let base64: Vec<u8> = text
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        let der = decode_base64(&base64).ok_or(BadCertificate::NoPem)?;
        Self::from_der(&der)
    }

    fn from_der(der: &[u8]) -> Result<Self, BadCertificate> {
        let fields = Fields::read(der).ok_or(BadCertificate::Malformed)?;
        let issuer = names(fields.issuer).ok_or(BadCertificate::Malformed)?;
        let serial = BigInt::from_signed_bytes_be(fields.serial);
        Ok(Self {
            id: format!("{} {serial}", issuer.join(" ")),
            expires_unix_secs: expiry(fields.validity).ok_or(BadCertificate::Malformed)?,
            key: rsa_key(fields.key).ok_or(BadCertificate::NoRsaKey)?,
        })
    }

    /// By which messages name it: its issuer's names and its serial number.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// From when on it is not valid any more, in seconds since 1970.
    pub fn expires_unix_secs(&self) -> i64 {
        self.expires_unix_secs
    }

    /// Whether the message was signed with its key.
    pub fn has_signed(&self, signed: &Signed<'_>) -> bool {
        self.key.verify(signed.payload, &signed.signature)
    }
}

/// `TBSCertificate` (RFC 5280, 4.1), as far as it is used.
struct Fields<'a> {
    serial: &'a [u8],
    issuer: Der<'a>,
    validity: Der<'a>,
    key: Der<'a>,
}

impl<'a> Fields<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let mut certificate = Der::new(der).inside(tag::SEQUENCE)?;
        let mut body = certificate.inside(tag::SEQUENCE)?;
        body.skip_if(tag::CONTEXT_0)?; // the version
        let serial = body.take(tag::INTEGER)?;
        body.take(tag::SEQUENCE)?; // how it is signed
        let issuer = body.inside(tag::SEQUENCE)?;
        let validity = body.inside(tag::SEQUENCE)?;
        body.take(tag::SEQUENCE)?; // the subject
        let key = body.inside(tag::SEQUENCE)?;
        Some(Self {
            serial,
            issuer,
            validity,
            key,
        })
    }
}

/// The values of a name's attributes, in order.
fn names(mut issuer: Der<'_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while !issuer.is_empty() {
        let mut set = issuer.inside(tag::SET)?;
        while !set.is_empty() {
            let mut attribute = set.inside(tag::SEQUENCE)?;
            attribute.take(tag::OBJECT_ID)?;
            names.push(text(attribute.element()?)?);
        }
    }
    Some(names)
}

fn text((kind, content): (u8, &[u8])) -> Option<String> {
    match kind {
        tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING => {
            String::from_utf8(content.to_vec()).ok()
        }
        // Latin-1 is what is in them.
        tag::T61_STRING => Some(content.iter().copied().map(char::from).collect()),
        tag::BMP_STRING => {
            let (units, rest) = content.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            rest.is_empty()
                .then(|| String::from_utf16(&units).ok())
                .flatten()
        }
        _ => None,
    }
}

/// The second time of two.
fn expiry(mut validity: Der<'_>) -> Option<i64> {
    validity.element()?;
    let (kind, digits) = validity.element()?;
    let digits = str::from_utf8(digits).ok()?.strip_suffix('Z')?;
    let digits = match kind {
        // Two digits of the year: from 50 on it is 19xx (RFC 5280, 4.1.2.5.1).
        tag::UTC_TIME if digits.get(..2)? >= "50" => format!("19{digits}"),
        tag::UTC_TIME => format!("20{digits}"),
        tag::GENERALIZED_TIME => digits.to_owned(),
        _ => return None,
    };
    if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let two = |at: usize| digits[at..at + 2].parse::<u8>().ok();
    let at = DateTime {
        date: Date::new(digits[..4].parse().ok()?, two(4)?, two(6)?)?,
        time: Time::new(two(8)?, two(10)?, two(12)?, 0, None)?,
    };
    Some(at.unix_micros() / 1_000_000)
}

fn rsa_key(mut key: Der<'_>) -> Option<PublicKey> {
    let mut algorithm = key.inside(tag::SEQUENCE)?;
    if algorithm.take(tag::OBJECT_ID)? != RSA_ENCRYPTION {
        return None;
    }
    let (&0, bytes) = key.take(tag::BIT_STRING)?.split_first()? else {
        return None;
    };
    let mut numbers = Der::new(bytes).inside(tag::SEQUENCE)?;
    PublicKey::new(numbers.take(tag::INTEGER)?, numbers.take(tag::INTEGER)?)
}
