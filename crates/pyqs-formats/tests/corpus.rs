//! Every real message is read as what it says, by value and by type.

mod support;

use pyqs_formats::signed::{Certificates, Signed};
use pyqs_formats::undecodable::{Fault, Layer};
use pyqs_formats::{Format, Reader, read, read_head};
use serde_json::json;
use support::{corpus, described, tagged, tagged_list, written};

/// Takes every signature for good, as the samples' description does.
struct Trusting;

impl Certificates for Trusting {
    fn verify(&self, signed: &Signed<'_>) -> Result<(), String> {
        assert_eq!(
            signed.signature.len(),
            256,
            "the samples' keys have 2048 bits"
        );
        Ok(())
    }
}

#[test]
fn every_message_says_what_its_sender_meant() {
    let reader = Reader::default().with_certificates(&Trusting);
    for sample in corpus()
        .iter()
        .filter(|sample| sample["expect"]["kind"] == "task")
    {
        let id = &sample["id"];
        let body = sample["body"].as_str().expect("a text");
        let message = reader
            .read(body)
            .unwrap_or_else(|error| panic!("{id}: {error}"));
        // Compared as texts: as numbers -0.0 and 0.0 are equal.
        assert_eq!(
            described(&message).to_string(),
            sample["expect"].to_string(),
            "{id}"
        );
        assert_eq!(reader.read_head(body).as_ref(), Ok(&message.head), "{id}");
    }
}

#[test]
fn a_message_says_what_kombu_reads_from_it() {
    for sample in written() {
        let id = &sample["id"];
        let body = sample["body"].as_str().expect("a text");
        let message = read(body).unwrap_or_else(|error| panic!("{id}: {error}"));
        let found = described(&message);
        let expected = sample["expect"].as_object().expect("a map");
        for (name, value) in expected {
            assert_eq!(found[name].to_string(), value.to_string(), "{id}: {name}");
        }
        assert_eq!(read_head(body), Ok(message.head), "{id}");
    }
}

#[test]
fn signed_messages_are_refused_without_certificates() {
    let mut count = 0;
    for sample in corpus()
        .iter()
        .filter(|sample| sample["stratum"] == "auth-signed")
    {
        let body = sample["body"].as_str().expect("a text");
        for error in [
            read(body).expect_err("signed"),
            read_head(body).expect_err("signed"),
        ] {
            assert_eq!(
                (error.layer, error.fault),
                (Layer::Signature, Fault::Refused),
                "{error}"
            );
        }
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn what_is_no_task_of_celery_is_either_ours_or_none() {
    for sample in corpus()
        .iter()
        .filter(|sample| sample["expect"]["kind"] == "not-a-task")
    {
        let id = &sample["id"];
        let body = sample["body"].as_str().expect("a text");
        let native = &sample["expect"]["native"];
        if native.is_null() {
            let error = read(body).expect_err("no task");
            assert_eq!(error.fault, Fault::NotATask, "{id}: {error}");
            assert_eq!(read_head(body), Err(error), "{id}");
            continue;
        }
        let message = read(body).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(message.head.format, Format::Native);
        let kwargs = message
            .kwargs
            .iter()
            .map(|(name, value)| (name.clone(), tagged(value)));
        let found = json!({
            "task": message.head.task,
            "args": tagged_list(&message.args),
            "kwargs": kwargs.collect::<serde_json::Map<_, _>>(),
        });
        assert_eq!(found.to_string(), native.to_string(), "{id}");
        assert_eq!(read_head(body), Ok(message.head), "{id}");
    }
}
