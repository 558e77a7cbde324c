//! How parameters are called and shaped in the Query protocol, and how in AWS JSON: the one place
//! that knows. The names are those of botocore's service model before November 2023.

use serde_json::{Map, Value};

use super::form::Form;
use super::xml::Writer;
use crate::error::ApiError;

/// What is below a name that has more than a text.
#[derive(Clone, Copy)]
enum Shape {
    /// `AttributeName.1=All`.
    Texts,
    /// `DeleteMessageBatchRequestEntry.1.Id=a`.
    Structures,
    /// `Attribute.1.Name=a`, `Attribute.1.Value=b`, with the key's own name.
    TextMap(&'static str),
    /// `MessageAttribute.1.Name=a`, `MessageAttribute.1.Value.DataType=String`.
    StructureMap(&'static str),
}

/// Name here, name in AWS JSON, and shape.
const REQUEST: [(&str, &str, Shape); 13] = [
    ("AWSAccountId", "AWSAccountIds", Shape::Texts),
    ("ActionName", "Actions", Shape::Texts),
    ("Attribute", "Attributes", Shape::TextMap("Name")),
    ("AttributeName", "AttributeNames", Shape::Texts),
    (
        "ChangeMessageVisibilityBatchRequestEntry",
        "Entries",
        Shape::Structures,
    ),
    (
        "DeleteMessageBatchRequestEntry",
        "Entries",
        Shape::Structures,
    ),
    (
        "MessageAttribute",
        "MessageAttributes",
        Shape::StructureMap("Name"),
    ),
    (
        "MessageAttributeName",
        "MessageAttributeNames",
        Shape::Texts,
    ),
    (
        "MessageSystemAttribute",
        "MessageSystemAttributes",
        Shape::StructureMap("Name"),
    ),
    (
        "MessageSystemAttributeName",
        "MessageSystemAttributeNames",
        Shape::Texts,
    ),
    ("SendMessageBatchRequestEntry", "Entries", Shape::Structures),
    ("Tag", "Tags", Shape::TextMap("Key")),
    ("TagKey", "TagKeys", Shape::Texts),
];

/// Parameters that are numbers in AWS JSON.
const NUMBERS: [&str; 6] = [
    "DelaySeconds",
    "MaxNumberOfMessages",
    "MaxNumberOfMessagesPerSecond",
    "MaxResults",
    "VisibilityTimeout",
    "WaitTimeSeconds",
];

/// Lists and maps of replies: name in AWS JSON, name here, and how the key of a map is called.
const REPLY: [(&str, &str, &str); 8] = [
    ("Attributes", "Attribute", "Name"),
    ("Failed", "BatchResultErrorEntry", ""),
    ("MessageAttributes", "MessageAttribute", "Name"),
    ("Messages", "Message", ""),
    ("QueueUrls", "QueueUrl", ""),
    ("Results", "ListMessageMoveTasksResultEntry", ""),
    ("Tags", "Tag", "Key"),
    // Lower case in the model of AWS JSON.
    ("queueUrls", "QueueUrl", ""),
];

/// A form's parameters as AWS JSON has them. Those that nobody knows pass as texts.
pub(super) fn structure(form: Form) -> Result<Map<String, Value>, ApiError> {
    let mut members = Map::new();
    for (name, form) in form.below {
        if let Some((_, json_name, shape)) = REQUEST.iter().find(|(here, ..)| *here == name) {
            members.insert((*json_name).to_owned(), shaped(*shape, form)?);
        } else if REQUEST.iter().any(|(_, json_name, _)| *json_name == name) {
            // SDKs send `Entries=` where there are none; the list is called otherwise here.
        } else if let Some(text) = form.text {
            let value = if NUMBERS.contains(&name.as_str()) {
                number(&name, &text)?.into()
            } else {
                Value::String(text)
            };
            members.insert(name, value);
        }
    }
    Ok(members)
}

fn shaped(shape: Shape, form: Form) -> Result<Value, ApiError> {
    let elements = form.into_elements().into_iter();
    match shape {
        Shape::Texts => Ok(elements.filter_map(|form| form.text).collect()),
        Shape::Structures => {
            let structures = elements.map(|form| Ok(Value::Object(structure(form)?)));
            structures.collect()
        }
        Shape::TextMap(key) => map(key, elements, |value| {
            Ok(Value::String(value.text.unwrap_or_default()))
        }),
        Shape::StructureMap(key) => {
            map(key, elements, |value| Ok(Value::Object(structure(value)?)))
        }
    }
}

fn map(
    key: &'static str,
    elements: impl Iterator<Item = Form>,
    value_of: impl Fn(Form) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    let mut map = Map::new();
    for mut element in elements {
        let name = element.below.remove(key).and_then(|form| form.text);
        let name = name.ok_or(ApiError::missing(key))?;
        let value = value_of(element.below.remove("Value").unwrap_or_default())?;
        if map.contains_key(&name) {
            return Err(ApiError::invalid(format!("{key} {name} is there twice.")));
        }
        map.insert(name, value);
    }
    Ok(Value::Object(map))
}

fn number(name: &str, text: &str) -> Result<i64, ApiError> {
    text.parse().map_err(|_| {
        ApiError::invalid(format!(
            "Value {text} for parameter {name} is invalid. Reason: Must be an integer."
        ))
    })
}

/// Writes the members of a structure of an action's reply.
pub(super) fn write(xml: &mut Writer, action: &str, structure: &Value) {
    for (name, value) in structure.as_object().into_iter().flatten() {
        let known = REPLY.iter().find(|(json_name, ..)| json_name == name);
        let (here, key) = known.map_or((name.as_str(), ""), |(_, here, key)| (*here, *key));
        match value {
            Value::Null => {}
            Value::Array(elements) => {
                let of_batch = format!("{action}ResultEntry");
                let here = if name == "Successful" {
                    &of_batch
                } else {
                    here
                };
                for element in elements {
                    write_value(xml, action, here, element);
                }
            }
            Value::Object(map) if !key.is_empty() => {
                for (name, value) in map {
                    xml.element(here, |xml| {
                        xml.text(key, name);
                        write_value(xml, action, "Value", value);
                    });
                }
            }
            value => write_value(xml, action, here, value),
        }
    }
}

fn write_value(xml: &mut Writer, action: &str, name: &str, value: &Value) {
    match value {
        Value::Object(_) => xml.element(name, |xml| write(xml, action, value)),
        Value::String(text) => xml.text(name, text),
        value => xml.text(name, &value.to_string()),
    }
}
