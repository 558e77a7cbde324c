//! What a request says of its signature: in the header `Authorization`, or in the query of a
//! presigned URL.

use std::borrow::Cow;
use std::fmt;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, request};

use super::{ALGORITHM, SignatureError, timestamp};
use crate::address::is_region;
use crate::http::query::unescape;

/// Presigned URLs live a week at most (AWS: IAM User Guide, "Authenticating requests").
const EXPIRES_SECS_MAX: i64 = 604_800;

/// A signature, with whose it is and what it covers; nothing of it is true yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) key_id: String,
    pub(super) scope: Scope,
    /// When it was made, in seconds since 1970.
    pub(super) time: i64,
    /// The same as the request has it, which is what is signed.
    pub(super) time_text: String,
    /// How long a presigned URL is good; `None` where the header has the signature.
    pub(super) expires_secs: Option<i64>,
    /// Names in lower case with `;` between them.
    pub(super) signed_headers: String,
    /// Hexadecimal digits.
    signature: String,
    /// What a presigned URL says of its body.
    pub(super) content_sha256: Option<String>,
}

/// What a credential is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) terminator: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            date,
            region,
            service,
            terminator,
        } = self;
        write!(f, "{date}/{region}/{service}/{terminator}")
    }
}

impl Claim {
    /// Reads the claim of a request, or says what it lacks.
    pub(super) fn of(head: &request::Parts) -> Result<Self, SignatureError> {
        let query = head.uri.query().unwrap_or_default();
        match (
            head.headers.contains_key(AUTHORIZATION),
            is_presigned(query),
        ) {
            (true, false) => Self::of_header(&head.headers),
            (false, true) => Self::of_query(query),
            (false, false) => Err(SignatureError::Missing),
            (true, true) => Err(SignatureError::incomplete(
                "Only one of the Authorization header and the query string may have a signature.",
            )),
        }
    }

    fn of_header(headers: &HeaderMap) -> Result<Self, SignatureError> {
        let parameters = only(headers, AUTHORIZATION.as_str())?;
        let parameters = parameters
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with(' '))
            .ok_or_else(|| {
                SignatureError::incomplete(format!(
                    "Authorization header requires the algorithm '{ALGORITHM}'."
                ))
            })?;
        let mut fields = Fields::default();
        for parameter in parameters.split(',') {
            let Some((name, value)) = parameter.trim().split_once('=') else {
                return Err(SignatureError::incomplete(
                    "Authorization header has a parameter that is no key=value pair.",
                ));
            };
            fields.put(name, value.into())?;
        }
        if headers.contains_key("x-amz-date") {
            fields.put("X-Amz-Date", only(headers, "x-amz-date")?.into())?;
        }
        fields.claim(|name| {
            format!("Authorization header requires '{name}', as a parameter or beside it.")
        })
    }

    fn of_query(query: &str) -> Result<Self, SignatureError> {
        let mut fields = Fields::default();
        for (name, value) in pairs(query) {
            match &*name {
                "X-Amz-Algorithm" if value != ALGORITHM => {
                    return Err(SignatureError::incomplete(format!(
                        "X-Amz-Algorithm must be '{ALGORITHM}'."
                    )));
                }
                "X-Amz-Expires" => fields.put_expires(&value)?,
                name => {
                    if let Some(name) = name.strip_prefix("X-Amz-") {
                        let name = if name == "Date" { "X-Amz-Date" } else { name };
                        fields.put(name, value)?;
                    }
                }
            }
        }
        let is_bounded = fields.expires_secs.is_some();
        let claim = fields.claim(|name| {
            let name = name.strip_prefix("X-Amz-").unwrap_or(name);
            format!("AWS query-string parameters must include 'X-Amz-{name}'.")
        })?;
        if !is_bounded {
            return Err(SignatureError::incomplete(
                "AWS query-string parameters must include 'X-Amz-Expires'.",
            ));
        }
        Ok(claim)
    }

    /// `None` where it is no signature: it has the wrong length, or other characters.
    pub(super) fn signature_bytes(&self) -> Option<[u8; 32]> {
        let digits = self.signature.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let value = digit(pair[0])? << 4 | digit(pair[1])?;
            *byte = u8::try_from(value).expect("two hexadecimal digits make a byte");
        }
        Some(bytes)
    }
}

/// The region that a request names for its signature, true or not.
pub(crate) fn region_named(head: &request::Parts) -> Option<String> {
    let header = head.headers.get(AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok());
    let credential = match header {
        Some(header) => {
            let (_, rest) = header.split_once("Credential=")?;
            rest.split(',').next().map(Cow::Borrowed)
        }
        None => pairs(head.uri.query()?)
            .find(|(name, _)| name == "X-Amz-Credential")
            .map(|(_, value)| value.into_owned().into()),
    }?;
    let region = credential.split('/').nth(2)?;
    is_region(region).then(|| region.to_owned())
}

/// What is found of a claim, each thing once.
#[derive(Default)]
struct Fields<'a> {
    credential: Option<Cow<'a, str>>,
    signed_headers: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    content_sha256: Option<Cow<'a, str>>,
    expires_secs: Option<i64>,
}

impl<'a> Fields<'a> {
    fn put(&mut self, name: &str, value: Cow<'a, str>) -> Result<(), SignatureError> {
        let field = match name {
            "Credential" => &mut self.credential,
            "SignedHeaders" => &mut self.signed_headers,
            "Signature" => &mut self.signature,
            "X-Amz-Date" => &mut self.time,
            "Content-Sha256" => &mut self.content_sha256,
            // What a later version may say besides is covered by the signature, or of no use.
            _ => return Ok(()),
        };
        match field.replace(value) {
            None => Ok(()),
            Some(_) => Err(repeated(name)),
        }
    }

    fn put_expires(&mut self, value: &str) -> Result<(), SignatureError> {
        let secs = value.parse::<u32>().ok().map(i64::from);
        let secs = secs.filter(|secs| (1..=EXPIRES_SECS_MAX).contains(secs));
        let secs = secs.ok_or_else(|| {
            SignatureError::incomplete(format!(
                "X-Amz-Expires must be a number of seconds from 1 to {EXPIRES_SECS_MAX}."
            ))
        })?;
        match self.expires_secs.replace(secs) {
            None => Ok(()),
            Some(_) => Err(repeated("X-Amz-Expires")),
        }
    }

    /// All of it, or in words (`requires`) what is not there.
    fn claim(self, requires: impl Fn(&str) -> String) -> Result<Claim, SignatureError> {
        let missing: Vec<_> = [
            ("Credential", self.credential.is_none()),
            ("Signature", self.signature.is_none()),
            ("SignedHeaders", self.signed_headers.is_none()),
            ("X-Amz-Date", self.time.is_none()),
        ]
        .into_iter()
        .filter(|(_, is_missing)| *is_missing)
        .map(|(name, _)| requires(name))
        .collect();
        let (Some(credential), Some(signature), Some(signed_headers), Some(time)) = (
            self.credential,
            self.signature,
            self.signed_headers,
            self.time,
        ) else {
            return Err(SignatureError::incomplete(missing.join(" ")));
        };
        let (key_id, scope) = credential_parts(&credential)?;
        let seconds = timestamp::parse(&time).ok_or_else(|| {
            SignatureError::incomplete(
                "Date must be in ISO-8601 'basic format', as in 20150830T123600Z.",
            )
        })?;
        Ok(Claim {
            key_id,
            scope,
            time: seconds,
            time_text: time.into_owned(),
            expires_secs: self.expires_secs,
            signed_headers: signed_headers.into_owned(),
            signature: signature.into_owned(),
            content_sha256: self.content_sha256.map(Cow::into_owned),
        })
    }
}

fn credential_parts(credential: &str) -> Result<(String, Scope), SignatureError> {
    let parts: Vec<_> = credential.split('/').collect();
    let [key_id, date, region, service, terminator] = parts[..] else {
        return Err(SignatureError::incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term.",
        ));
    };
    let scope = Scope {
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        terminator: terminator.to_owned(),
    };
    Ok((key_id.to_owned(), scope))
}

/// A header that is there once, as text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().and_then(|value| value.to_str().ok());
    match (first, values.next()) {
        (Some(text), None) => Ok(text),
        (None, None) => Err(SignatureError::incomplete(format!(
            "The header '{name}' is not text."
        ))),
        (_, Some(_)) => Err(repeated(name)),
    }
}

fn repeated(name: &str) -> SignatureError {
    SignatureError::incomplete(format!("'{name}' is there more than once."))
}

fn is_presigned(query: &str) -> bool {
    let mut names = pairs(query).map(|(name, _)| name);
    names.any(|name| {
        matches!(
            &*name,
            "X-Amz-Algorithm" | "X-Amz-Credential" | "X-Amz-Signature"
        )
    })
}

/// Names and values of a query, without escapes; what isn't UTF-8 is no name or value of ours.
fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((text(name)?, text(value)?))
    })
}

fn text(escaped: &str) -> Option<Cow<'_, str>> {
    if !escaped.contains(['%', '+']) {
        return Some(escaped.into());
    }
    let bytes = unescape(escaped.as_bytes());
    String::from_utf8(bytes).ok().map(Cow::Owned)
}
