//! Signed messages, and the certificates that tell whose they are. Celery 5.7 and `cryptography` wrote them.

use proptest::prelude::*;
use pyqs_formats::signed::{BadCertificate, Certificate, Certificates, Signed};
use pyqs_formats::undecodable::{Fault, Layer};
use pyqs_formats::{Reader, Value};
use serde_json::Value as Json;

/// A certificate of `data/signed`.
fn pem(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/signed");
    std::fs::read_to_string(format!("{folder}/{name}.pem")).expect("a file of the tests")
}

fn message(id: &str) -> Json {
    let lines = include_str!("data/signed/messages.jsonl").lines();
    let mut messages = lines.map(|line| serde_json::from_str::<Json>(line).expect("JSON"));
    messages
        .find(|message| message["id"] == id)
        .expect("a message of the tests")
}

struct Only(Certificate);

impl Certificates for Only {
    fn verify(&self, signed: &Signed<'_>) -> Result<(), String> {
        if signed.signer != self.0.id() {
            return Err("its certificate is not in the store".to_owned());
        }
        let is_signed = self.0.has_signed(signed);
        is_signed
            .then_some(())
            .ok_or_else(|| "the signature is not its own".to_owned())
    }
}

fn only(name: &str) -> Only {
    Only(Certificate::from_pem(&pem(name)).expect("a certificate"))
}

#[test]
fn what_was_signed_is_read() {
    for (id, name) in [
        ("signer", "signer"),
        ("signer-raw", "signer"),
        ("signer-sha512", "signer"),
        ("big", "big"),
        ("odd", "odd"),
        ("expired", "expired"),
    ] {
        let store = only(name);
        let message = message(id);
        assert_eq!(Json::from(store.0.id()), message["signer"], "{id}");
        let reader = Reader::default().with_certificates(&store);
        let read = reader.read(message["body"].as_str().expect("text"));
        let read = read.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(read.args, [Value::Int(7), Value::Str("ä".to_owned())]);
    }
}

#[test]
fn what_others_signed_is_refused() {
    let store = only("signer");
    let reader = Reader::default().with_certificates(&store);
    for id in ["stranger", "big"] {
        let error = reader.read(message(id)["body"].as_str().expect("text"));
        let error = error.expect_err("of another signer");
        assert_eq!(
            (error.layer, error.fault),
            (Layer::Signature, Fault::Refused)
        );
    }
}

#[test]
fn when_a_certificate_ends_is_known() {
    assert_eq!(only("signer").0.expires_unix_secs(), 4_102_444_800);
    assert_eq!(only("expired").0.expires_unix_secs(), 1_609_459_200);
}

#[test]
fn what_is_no_certificate_of_a_signer_says_so() {
    let check = |text: &str, expected| assert_eq!(Certificate::from_pem(text), Err(expected));
    check("", BadCertificate::NoPem);
    check("-----BEGIN CERTIFICATE-----\nAAAA", BadCertificate::NoPem);
    check(
        "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----",
        BadCertificate::NoPem,
    );
    check(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        BadCertificate::Malformed,
    );
    check(&pem("elliptic"), BadCertificate::NoRsaKey);
}

/// The parts of the message `signer`, by way of a store that keeps them.
fn parts() -> (Vec<u8>, Vec<u8>) {
    use std::sync::Mutex;
    struct Keeping(Mutex<(Vec<u8>, Vec<u8>)>);
    impl Certificates for Keeping {
        fn verify(&self, signed: &Signed<'_>) -> Result<(), String> {
            *self.0.lock().unwrap() = (signed.signature.clone(), signed.payload.to_vec());
            Ok(())
        }
    }
    let keeping = Keeping(Mutex::default());
    let message = message("signer");
    let body = message["body"].as_str().expect("text");
    let reader = Reader::default().with_certificates(&keeping);
    reader.read(body).expect("a message that can be read");
    keeping.0.into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_signature_holds_for_its_message_alone(at: prop::sample::Index, bit in 0_u8..8, in_payload: bool) {
        let (mut signature, mut payload) = parts();
        let changed = if in_payload { &mut payload } else { &mut signature };
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        let signed = Signed::new("", signature, "application/json", &payload);
        prop_assert!(!only("signer").0.has_signed(&signed));
    }

    #[test]
    fn signatures_of_any_length_are_judged(signature: Vec<u8>, payload: Vec<u8>) {
        let signed = Signed::new("", signature, "application/json", &payload);
        prop_assert!(!only("signer").0.has_signed(&signed));
        prop_assert!(!only("odd").0.has_signed(&signed));
    }

    #[test]
    fn any_change_of_a_certificate_is_survived(at: prop::sample::Index, byte: u8) {
        let mut text = pem("signer").into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let _ = Certificate::from_pem(&String::from_utf8_lossy(&text));
    }
}
