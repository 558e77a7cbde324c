//! What a message carries: body and message attributes, their rules and their MD5s.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};
use pyqs_broker::Payload;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// Message attributes of one message (AWS: quotas-messages).
const ATTRIBUTES_MAX: usize = 10;
/// Characters of a message attribute's name, and of its type.
const ATTRIBUTE_NAME_CHARS_MAX: usize = 256;
/// Digits of a number's precision.
const NUMBER_DIGITS_MAX: usize = 38;
/// The one system attribute that a sender can set.
pub(crate) const TRACE_HEADER: &str = "AWSTraceHeader";

/// Message attributes by name, in the order in which their MD5 takes them.
pub(crate) type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// What a message carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) body: String,
    pub(crate) attributes: MessageAttributes,
    /// For X-Ray; does not count towards the size.
    pub(crate) trace_header: Option<String>,
}

/// One message attribute: a type, and a value of text or bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MessageAttribute {
    #[serde(rename = "DataType")]
    data_type: String,
    #[serde(flatten)]
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Value {
    #[serde(rename = "StringValue")]
    Text(String),
    #[serde(rename = "BinaryValue", with = "as_base64")]
    Binary(Vec<u8>),
}

/// A message attribute as it comes over the wire, not yet checked.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AttributeInput {
    data_type: Option<String>,
    string_value: Option<String>,
    binary_value: Option<String>,
}

/// A content as the broker holds it: in memory, or in the store under the message's key.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Held(Arc<Content>),
    Stored,
}

impl Payload for Body {
    fn size(&self) -> usize {
        match self {
            Self::Held(content) => content.size(),
            // Asked only at the send, when every content is held.
            Self::Stored => 0,
        }
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Held(content) => hex(&sha2::Sha256::digest(&content.body)),
            Self::Stored => String::new(),
        }
    }
}

impl Content {
    /// The content of a message to send, where SQS carries such.
    pub(crate) fn check(
        body: Option<String>,
        attributes: Option<BTreeMap<String, AttributeInput>>,
        system_attributes: Option<BTreeMap<String, AttributeInput>>,
    ) -> Result<Self, ApiError> {
        let body = body.ok_or(ApiError::missing("MessageBody"))?;
        if body.is_empty() {
            return Err(ApiError::missing("MessageBody"));
        }
        if !is_all_carried(&body) {
            return Err(ApiError::InvalidMessageContents);
        }
        let attributes = attributes.unwrap_or_default();
        if attributes.len() > ATTRIBUTES_MAX {
            return Err(ApiError::invalid(format!(
                "Number of message attributes [{}] exceeds the allowed maximum [{ATTRIBUTES_MAX}].",
                attributes.len()
            )));
        }
        let attributes = attributes
            .into_iter()
            .map(|(name, input)| {
                check_name(&name)?;
                let attribute = input.check(&name)?;
                Ok((name, attribute))
            })
            .collect::<Result<_, ApiError>>()?;
        Ok(Self {
            body,
            attributes,
            trace_header: check_system(system_attributes.unwrap_or_default())?,
        })
    }

    /// Bytes that count towards SQS's limits.
    pub(crate) fn size(&self) -> usize {
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(name, attribute)| {
            name.len() + attribute.data_type.len() + attribute.value.bytes().len()
        });
        self.body.len() + attributes.sum::<usize>()
    }

    pub(crate) fn md5_of_body(&self) -> String {
        hex(&Md5::digest(&self.body))
    }

    /// The MD5 over the system attributes, where there are any.
    pub(crate) fn md5_of_system_attributes(&self) -> Option<String> {
        let value = Value::Text(self.trace_header.clone()?);
        let attribute = MessageAttribute {
            data_type: "String".to_owned(),
            value,
        };
        md5_of_attributes([(TRACE_HEADER, &attribute)])
    }
}

/// The MD5 over message attributes (AWS: sqs-message-metadata, "Calculating the MD5 message digest
/// for message attributes"): each part with its length in front, sorted by name. `None` for none.
pub(crate) fn md5_of_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a str, &'a MessageAttribute)>,
) -> Option<String> {
    let mut digest = Md5::new();
    let mut is_empty = true;
    let part = |digest: &mut Md5, bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        digest.update(length.to_be_bytes());
        digest.update(bytes);
    };
    for (name, attribute) in attributes {
        is_empty = false;
        part(&mut digest, name.as_bytes());
        part(&mut digest, attribute.data_type.as_bytes());
        digest.update(match attribute.value {
            Value::Text(_) => [1],
            Value::Binary(_) => [2],
        });
        part(&mut digest, attribute.value.bytes());
    }
    (!is_empty).then(|| hex(&digest.finalize()))
}

impl Value {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl AttributeInput {
    fn check(self, name: &str) -> Result<MessageAttribute, ApiError> {
        let data_type = self.data_type.filter(|text| !text.is_empty());
        let data_type = data_type.ok_or_else(|| {
            ApiError::invalid(format!(
                "The message attribute '{name}' must contain a non-empty message attribute type."
            ))
        })?;
        let (base, label) = data_type.split_once('.').unwrap_or((&data_type, "x"));
        if data_type.len() > ATTRIBUTE_NAME_CHARS_MAX || label.is_empty() {
            return Err(ApiError::invalid(format!(
                "The message attribute '{name}' has an invalid message attribute type."
            )));
        }
        if !data_type.chars().all(is_carried) {
            return Err(ApiError::InvalidMessageContents);
        }
        let no_value = || {
            ApiError::invalid(format!(
                "Message (user) attribute '{name}' must contain a non-empty value of type '{base}'."
            ))
        };
        let value = match base {
            "String" | "Number" => {
                let text = self.string_value.filter(|text| !text.is_empty());
                Value::Text(text.ok_or_else(no_value)?)
            }
            "Binary" => {
                let text = self.binary_value.filter(|text| !text.is_empty());
                let bytes = BASE64.decode(text.ok_or_else(no_value)?);
                Value::Binary(bytes.map_err(|_| ApiError::Serialization {
                    reason: format!("The binary value of '{name}' is not base64."),
                })?)
            }
            _ => {
                return Err(ApiError::invalid(format!(
                    "The message attribute '{name}' has an invalid message attribute type, the \
                     set of supported type prefixes is Binary, Number, and String."
                )));
            }
        };
        check_value(name, base, &value)?;
        Ok(MessageAttribute { data_type, value })
    }
}

fn check_value(name: &str, base: &str, value: &Value) -> Result<(), ApiError> {
    let Value::Text(text) = value else {
        return Ok(());
    };
    if !is_all_carried(text) {
        return Err(ApiError::InvalidMessageContents);
    }
    if base == "Number" && !is_number(text) {
        return Err(ApiError::invalid(format!(
            "Can't cast the value of message (user) attribute '{name}' to a number."
        )));
    }
    Ok(())
}

/// Up to 38 digits of precision, between 10^-128 and 10^+126 (AWS: sqs-message-metadata). Rust's
/// own reading of numbers also takes `inf` and `nan`, which SQS does not.
fn is_number(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.trim_start_matches(['+', '-', '0', '.']);
    // Zeros at either end tell the size, not more.
    let digits = digits.trim_end_matches(['0', '.']);
    let digits = digits.chars().filter(char::is_ascii_digit).count();
    let size = text.parse::<f64>().map(f64::abs);
    text.chars().all(is_plain)
        && digits <= NUMBER_DIGITS_MAX
        && size.is_ok_and(|size| size == 0.0 || (1e-128..=1e126).contains(&size))
}

/// `SendMessage`: letters, digits, `_`, `-` and `.`, no dot at either end nor two together, not
/// starting with AWS's own prefixes.
fn check_name(name: &str) -> Result<(), ApiError> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let lower = name.to_ascii_lowercase();
    let is_wrong = name.is_empty()
        || name.len() > ATTRIBUTE_NAME_CHARS_MAX
        || !name.chars().all(is_allowed)
        || name.starts_with('.')
        || name.ends_with('.')
        || name.contains("..")
        || lower.starts_with("aws.")
        || lower.starts_with("amazon.");
    if is_wrong {
        return Err(ApiError::invalid(format!(
            "The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, \
             0-9, underscore (_), hyphen (-), and period (.) characters, and must not start with \
             AWS. or Amazon. or have periods at its ends or in succession."
        )));
    }
    Ok(())
}

fn check_system(attributes: BTreeMap<String, AttributeInput>) -> Result<Option<String>, ApiError> {
    let mut trace_header = None;
    for (name, input) in attributes {
        if name != TRACE_HEADER {
            return Err(ApiError::invalid(format!(
                "Message system attribute name '{name}' is invalid."
            )));
        }
        let attribute = input.check(&name)?;
        let is_string = attribute.data_type == "String";
        let (Value::Text(text), true) = (attribute.value, is_string) else {
            return Err(ApiError::invalid(format!(
                "The message system attribute '{name}' must be a String."
            )));
        };
        trace_header = Some(text);
    }
    Ok(trace_header)
}

fn is_all_carried(text: &str) -> bool {
    // Most texts are plain ASCII, which is told many bytes at a time.
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte);
    text.bytes().all(is_plain) || text.chars().all(is_carried)
}

/// Characters that SQS carries (model: `SendMessage`).
fn is_carried(c: char) -> bool {
    matches!(c,
        '\u{9}' | '\u{A}' | '\u{D}' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}'
        | '\u{10000}'..='\u{10FFFF}')
}

/// Bytes as hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let digits = digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(digits);
    text
}

mod as_base64 {
    use base64::Engine as _;
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::BASE64;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64.decode(text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(data_type: &str, text: &str) -> AttributeInput {
        AttributeInput {
            data_type: Some(data_type.to_owned()),
            string_value: (!data_type.starts_with("Binary")).then(|| text.to_owned()),
            binary_value: data_type.starts_with("Binary").then(|| text.to_owned()),
        }
    }

    fn content(body: &str, attributes: &[(&str, &str, &str)]) -> Result<Content, ApiError> {
        let attributes = attributes
            .iter()
            .map(|(name, data_type, text)| ((*name).to_owned(), attribute(data_type, text)));
        Content::check(Some(body.to_owned()), Some(attributes.collect()), None)
    }

    fn md5(content: &Content) -> Option<String> {
        md5_of_attributes(content.attributes.iter().map(|(n, a)| (n.as_str(), a)))
    }

    /// The attributes' values are those that moto's tests have from AWS.
    #[test]
    fn md5s_are_those_of_aws() {
        let plain = content("hello world", &[]).unwrap();
        assert_eq!(plain.md5_of_body(), "5eb63bbbe01eeed093cb22bb8f5acdc3");
        assert_eq!(md5(&plain), None);
        let of_timestamp = |data_type| {
            let timestamp = [("timestamp", data_type, "1493147359900")];
            md5(&content("x", &timestamp).unwrap()).unwrap()
        };
        let labelled = of_timestamp("Number.java.lang.Long");
        assert_eq!(of_timestamp("Number"), "235c5c510d26fb653d073faed50ae77c");
        assert_eq!(labelled, "2e2e4876d8e0bd6b8c2c8f556831c349");
    }

    #[test]
    fn characters_at_the_edges_of_what_is_carried() {
        for carried in [
            "\t",
            "\n",
            "\r",
            " ",
            "\u{d7ff}",
            "\u{e000}",
            "\u{fffd}",
            "\u{10000}",
        ] {
            assert!(content(carried, &[]).is_ok(), "{carried:?}");
        }
        for refused in [
            "\0", "\u{8}", "\u{b}", "\u{c}", "\u{1f}", "\u{fffe}", "\u{ffff}",
        ] {
            let refusal = content(refused, &[]).unwrap_err();
            assert_eq!(refusal, ApiError::InvalidMessageContents, "{refused:?}");
        }
        assert_eq!(
            content("", &[]).unwrap_err(),
            ApiError::missing("MessageBody")
        );
    }

    #[test]
    fn attributes_that_are_taken_and_refused() {
        let check = |name: &str, data_type: &str, text: &str| {
            content("x", &[(name, data_type, text)]).is_ok()
        };
        assert!(check("a", "String", "x") && check("a.b-c_d", "String.label", "x"));
        assert!(check("a", "Number", "-1.5e3") && check("a", "Binary.png", "AAEC"));
        let long = "a".repeat(257);
        for name in ["", ".a", "a.", "a..b", "AWS.a", "amazon.a", "a b", &long] {
            assert!(!check(name, "String", "x"), "{name}");
        }
        assert!(check(&long[..256], "String", "x"));
        assert!(!check("a", "String", "") && !check("a", "Text", "x") && !check("a", "", "x"));
        let is_number = |text: &str| check("a", "Number", text);
        let long = "1".repeat(39);
        for number in ["0", "-0.0", "+1", ".5", "1e126", "1e-128", &long[..38]] {
            assert!(is_number(number), "{number}");
        }
        assert!(is_number(&format!("{}000", &long[..38])) && is_number("0.0001"));
        for text in [
            "one", "inf", "nan", "1e127", "1e-129", "1e999", " 1", "1_0", "0x1", &long,
        ] {
            assert!(!is_number(text), "{text}");
        }
        assert!(!check("a", "String.\u{1}", "x"));
        assert!(!check("a", "Binary", "***") && !check("a", "String.", "x"));
    }

    #[test]
    fn ten_attributes_and_no_more() {
        let names: Vec<_> = (0..11).map(|i| i.to_string()).collect();
        let all: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), "String", "x"))
            .collect();
        assert!(content("x", &all[..10]).is_ok());
        assert!(content("x", &all).is_err());
    }

    #[test]
    fn size_counts_names_types_and_values() {
        let content = content("body", &[("ab", "String", "cde"), ("f", "Binary", "AAEC")]).unwrap();
        assert_eq!(content.size(), 4 + (2 + 6 + 3) + (1 + 6 + 3));
    }
}
