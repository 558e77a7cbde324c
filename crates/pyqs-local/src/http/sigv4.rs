//! AWS Signature Version 4: is a request signed with one of the keys that may ask?
//!
//! AWS's rules, in AWS's order and words (IAM User Guide: "Create a signed AWS API request" and
//! "Troubleshoot signed requests for AWS APIs"). What the head alone tells is checked before the
//! body is read ([`Verifier::check_head`]), the signature itself when it is there
//! ([`Signed::check_body`]). A signed request can be repeated within [`SKEW_SECS_MAX`], as on AWS.
//!
//! A session token is taken and not looked at: there are no sessions here.

use std::collections::BTreeMap;

use axum::http::request;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::address::is_region;
use crate::config::{Access, Secret};
use canonical::Payload;
use claim::Claim;
pub(crate) use claim::region_named;
pub(crate) use error::SignatureError;

mod canonical;
mod claim;
mod error;
#[cfg(test)]
mod tests;
mod timestamp;

/// The only algorithm: version 4a's asymmetric keys are for several regions at once.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What ends a credential's scope.
const TERMINATOR: &str = "aws4_request";
/// The service in a credential's scope.
const SERVICE: &str = "sqs";
/// How far a client's clock may be from ours, either way.
const SKEW_SECS_MAX: i64 = 15 * 60;

/// The keys that may ask, and for which region.
pub(crate) struct Verifier {
    secrets: BTreeMap<String, Secret>,
    /// The only region that requests may be signed for; `None` takes any.
    region: Option<String>,
    service: &'static str,
}

/// A request whose head is in order: what is left to check is its signature.
pub(crate) struct Signed<'a> {
    claim: Claim,
    secret: &'a Secret,
    head: &'a request::Parts,
}

impl Verifier {
    /// `None` where anybody may ask.
    pub(crate) fn new(access: Access, region: Option<String>) -> Option<Self> {
        let Access::Keys(keys) = access else {
            return None;
        };
        let secrets = keys.into_iter().map(|key| (key.id, key.secret));
        Some(Self {
            secrets: secrets.collect(),
            region,
            service: SERVICE,
        })
    }

    /// Checks all that the head tells, at `now` in seconds since 1970.
    pub(crate) fn check_head<'a>(
        &'a self,
        head: &'a request::Parts,
        now: i64,
    ) -> Result<Signed<'a>, SignatureError> {
        let claim = Claim::of(head)?;
        self.check_scope(&claim)?;
        let secret = self.secrets.get(&claim.key_id);
        let secret = secret.ok_or(SignatureError::UnknownKey)?;
        check_time(&claim, now)?;
        canonical::check_signed_headers(&head.headers, &claim.signed_headers)?;
        Ok(Signed {
            claim,
            secret,
            head,
        })
    }

    fn check_scope(&self, claim: &Claim) -> Result<(), SignatureError> {
        let scope = &claim.scope;
        if scope.terminator != TERMINATOR {
            return Err(SignatureError::mismatch(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'.",
                scope.terminator
            )));
        }
        if scope.service != self.service {
            return Err(SignatureError::mismatch(format!(
                "Credential should be scoped to correct service: '{}'.",
                self.service
            )));
        }
        let is_ours = self
            .region
            .as_deref()
            .is_none_or(|ours| ours == scope.region);
        if !is_region(&scope.region) || !is_ours {
            return Err(SignatureError::mismatch(format!(
                "Credential should be scoped to a valid region, not '{}'.",
                scope.region
            )));
        }
        if !claim.time_text.starts_with(&scope.date) || scope.date.len() != 8 {
            return Err(SignatureError::mismatch(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{}' != '{}', from '{}'.",
                scope.date,
                claim.time_text.get(..8).unwrap_or_default(),
                claim.time_text
            )));
        }
        Ok(())
    }
}

impl Signed<'_> {
    /// Checks the signature over head and body.
    pub(crate) fn check_body(self, body: &[u8]) -> Result<(), SignatureError> {
        let payload = Payload::of(self.head, &self.claim, body)?;
        let canonical = canonical::request(self.head, &self.claim, &payload);
        let scope = &self.claim.scope;
        let string_to_sign = format!(
            "{ALGORITHM}\n{}\n{scope}\n{}",
            self.claim.time_text,
            crate::content::hex(&Sha256::digest(&canonical))
        );
        let key = format!("AWS4{}", self.secret.reveal());
        let key = [
            &scope.date,
            &scope.region,
            &scope.service,
            &scope.terminator,
        ]
        .into_iter()
        .fold(key.into_bytes(), |key, part| sign(&key, part.as_bytes()));
        let expected = keyed(&key).chain_update(&string_to_sign);
        let signature = self.claim.signature_bytes().unwrap_or_default();
        // In constant time: how far a guess was right must not show.
        expected.verify_slice(&signature).map_err(|_| {
            let canonical = String::from_utf8_lossy(&canonical);
            SignatureError::mismatch(format!(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details.\n\nThe Canonical String for this request should have \
                 been\n'{canonical}'\n\nThe String-to-Sign should have been\n'{string_to_sign}'\n"
            ))
        })
    }
}

fn check_time(claim: &Claim, now: i64) -> Result<(), SignatureError> {
    let late_secs = claim.expires_secs.unwrap_or(SKEW_SECS_MAX);
    let text = timestamp::format;
    let signed = &claim.time_text;
    if claim.time < now - late_secs {
        return Err(SignatureError::mismatch(format!(
            "Signature expired: {signed} is now earlier than {} ({} - {}.)",
            text(now - late_secs),
            text(now),
            minutes(late_secs)
        )));
    }
    if claim.time > now + SKEW_SECS_MAX {
        return Err(SignatureError::mismatch(format!(
            "Signature not yet current: {signed} is still later than {} ({} + {}.)",
            text(now + SKEW_SECS_MAX),
            text(now),
            minutes(SKEW_SECS_MAX)
        )));
    }
    Ok(())
}

fn minutes(secs: i64) -> String {
    match secs % 60 {
        0 => format!("{} min", secs / 60),
        _ => format!("{secs} sec"),
    }
}

fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
    keyed(key)
        .chain_update(message)
        .finalize()
        .into_bytes()
        .to_vec()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}
