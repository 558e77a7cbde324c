//! Whatever comes in: an answer, never a panic; and a head that agrees with the whole.

mod support;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use pyqs_formats::signed::{Certificates, Signed};
use pyqs_formats::{Reader, Value, read};
use serde_json::Value as Json;
use support::corpus;

/// The corpus's JSON texts, outer base64 taken off, so that a change hits something.
static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let decoded = |body: &str| {
        STANDARD
            .decode(body)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
    };
    let bodies = corpus()
        .into_iter()
        .map(|sample| sample["body"].as_str().expect("a text").to_owned());
    bodies.map(|body| decoded(&body).unwrap_or(body)).collect()
});

/// What is signed is to be read too.
struct Trusting;

impl Certificates for Trusting {
    fn verify(&self, _: &Signed<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// Reads both ways; what is read whole has the same head.
fn consistent(body: &str) {
    let reader = Reader::default().with_certificates(&Trusting);
    let head = reader.read_head(body);
    let opaque = reader.with_opaque_pickles().read_head(body);
    assert!(head.is_err() || opaque.is_ok());
    let _ = reader.pickle(body);
    if let Ok(message) = reader.read(body) {
        assert_eq!(head, Ok(message.head));
    }
}

/// A text of the corpus with some characters replaced, removed or doubled.
fn mutated() -> impl Strategy<Value = String> {
    let change = (
        any::<prop::sample::Index>(),
        0..3u8,
        prop::sample::select(b"{}[]\",:\\0e-.nN \x00A=".to_vec()),
    );
    (
        any::<prop::sample::Index>(),
        prop::collection::vec(change, 1..6),
    )
        .prop_map(|(which, changes)| {
            let mut bytes = which.get(&TEXTS).clone().into_bytes();
            for (at, kind, byte) in changes {
                let at = at.index(bytes.len().max(1));
                match kind {
                    _ if bytes.is_empty() => {}
                    0 => bytes[at] = byte,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, byte),
                }
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
}

/// Payloads of the samples, each with its serializer and its compression, damaged inside of all encodings.
static PAYLOADS: LazyLock<Vec<(Json, Vec<u8>)>> = LazyLock::new(|| {
    let envelopes = TEXTS
        .iter()
        .filter_map(|text| serde_json::from_str::<Json>(text).ok());
    envelopes
        .filter_map(|envelope| {
            let body = envelope["body"].as_str()?;
            let payload = STANDARD
                .decode(body)
                .unwrap_or_else(|_| body.as_bytes().to_vec());
            Some((envelope, payload)).filter(|(_, payload)| payload.len() > 4)
        })
        .collect()
});

fn damaged_payload() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0..3u8, any::<u8>());
    (
        any::<prop::sample::Index>(),
        prop::collection::vec(change, 1..6),
    )
        .prop_map(|(which, changes)| {
            let (mut envelope, mut payload) = which.get(&PAYLOADS).clone();
            for (at, kind, byte) in changes {
                let at = at.index(payload.len().max(1));
                match kind {
                    _ if payload.is_empty() => {}
                    0 => payload[at] = byte,
                    1 => drop(payload.remove(at)),
                    _ => payload.insert(at, byte),
                }
            }
            envelope["body"] = STANDARD.encode(payload).into();
            envelope["properties"]["body_encoding"] = "base64".into();
            envelope.to_string()
        })
}

/// Bytes that a serializer is told are its own.
fn garbage_payload() -> impl Strategy<Value = String> {
    let content_type = prop::sample::select(vec![
        "x-python-serialize",
        "x-yaml",
        "x-msgpack",
        "data",
        "json",
    ]);
    let codec = prop::sample::select(vec!["", "", "gzip", "bzip2", "lzma", "brotli", "zstd"]);
    let weighted = prop_oneof![
        any::<u8>(),
        prop::sample::select(b"()]}aestuRbqh012NIK.\x80\x81\x94[]{}-:&*! \n".to_vec())
    ];
    (content_type, codec, prop::collection::vec(weighted, 0..60)).prop_map(|(content_type, codec, bytes)| {
        let compression = if codec.is_empty() { Json::Null } else { codec.into() };
        serde_json::json!({
            "body": STANDARD.encode(bytes), "content-type": format!("application/{content_type}"),
            "properties": {"body_encoding": "base64"}, "headers": {"task": "t", "id": "i", "compression": compression},
        })
        .to_string()
    })
}

/// JSON values as a Python producer would send them.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn is_same(value: &Value, json: &serde_json::Value) -> bool {
    match (value, json) {
        (Value::Null, serde_json::Value::Null) => true,
        (Value::Bool(a), serde_json::Value::Bool(b)) => a == b,
        (Value::Int(a), serde_json::Value::Number(b)) => b.as_i64() == Some(*a),
        (Value::Float(a), serde_json::Value::Number(b)) => {
            b.is_f64() && b.as_f64().is_some_and(|b| b.to_bits() == a.to_bits())
        }
        (Value::Str(a), serde_json::Value::String(b)) => a == b,
        (Value::List(a), serde_json::Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Map(a), serde_json::Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((key, a), (name, b))| *key == Value::Str(name.clone()) && is_same(a, b))
        }
        _ => false,
    }
}

/// A few in CI; `PYQS_CASES=1000000 cargo test --release -p pyqs-formats --test properties` for a night.
fn cases() -> u32 {
    std::env::var("PYQS_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(2000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in any::<String>()) {
        consistent(&text);
        consistent(&STANDARD.encode(&text));
    }

    #[test]
    fn any_bytes_in_base64_get_an_answer(bytes in any::<Vec<u8>>()) {
        consistent(&STANDARD.encode(&bytes));
    }

    #[test]
    fn a_damaged_message_gets_an_answer(text in mutated()) {
        consistent(&text);
        consistent(&STANDARD.encode(&text));
    }

    #[test]
    fn a_damaged_payload_gets_an_answer(body in damaged_payload()) {
        consistent(&body);
    }

    #[test]
    fn any_payload_gets_an_answer(body in garbage_payload()) {
        consistent(&body);
    }

    #[test]
    fn arguments_come_back_as_they_were_sent(argument in json()) {
        let body = serde_json::json!({"task": "t", "args": [argument.clone()], "kwargs": {"k": argument.clone()}});
        let message = read(&body.to_string()).expect("native");
        prop_assert!(is_same(&message.args[0], &argument));
        prop_assert!(is_same(&message.kwargs[0].1, &argument));
    }
}
