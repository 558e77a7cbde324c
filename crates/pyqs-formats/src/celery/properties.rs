//! `Properties`: how kombu carried the message.

use crate::json::Scanner;
use crate::undecodable::Flaw;
use crate::value::Value;

/// What is read of the envelope's `properties`.
#[derive(Default)]
pub(crate) struct Properties {
    pub(super) body_encoding: BodyEncoding,
    pub(super) exchange: Option<String>,
    pub(super) routing_key: Option<String>,
    pub(super) priority: Option<i64>,
    pub(super) correlation_id: Option<String>,
    pub(super) reply_to: Option<String>,
}

/// What the envelope's `body` is.
#[derive(Default)]
pub(super) enum BodyEncoding {
    Base64,
    /// Missing or null: the payload as text.
    #[default]
    Plain,
    /// Something else, in words.
    Other(String),
}

impl Properties {
    /// `None` if they are no object, which then is no envelope of kombu's.
    pub(crate) fn read(scanner: &mut Scanner<'_>) -> Result<Option<Self>, Flaw> {
        if scanner.peek()? != b'{' {
            scanner.skip()?;
            return Ok(None);
        }
        let mut properties = Self::default();
        let mut delivery_priority = None;
        let mut opened = scanner.open_map()?;
        while let Some(key) = scanner.next_key(&mut opened)? {
            match key.as_name() {
                "body_encoding" => {
                    properties.body_encoding = BodyEncoding::from_value(scanner.value()?);
                }
                "delivery_info" => delivery_priority = properties.read_delivery_info(scanner)?,
                "priority" => properties.priority = int(&scanner.value()?),
                "correlation_id" => properties.correlation_id = non_empty(scanner.value()?),
                "reply_to" => properties.reply_to = non_empty(scanner.value()?),
                _ => {
                    scanner.skip()?;
                }
            }
        }
        properties.priority = properties.priority.or(delivery_priority);
        Ok(Some(properties))
    }

    /// Messages that are not tasks by where they were sent.
    pub(super) fn what_else(&self) -> Option<&'static str> {
        match self.exchange.as_deref()? {
            "celeryev" => Some("an event of Celery, no task"),
            exchange if exchange.ends_with(".pidbox") => {
                Some("a remote control message of Celery, no task")
            }
            _ => None,
        }
    }

    /// Gives the priority that old releases wrote here.
    fn read_delivery_info(&mut self, scanner: &mut Scanner<'_>) -> Result<Option<i64>, Flaw> {
        if scanner.peek()? != b'{' {
            scanner.skip()?;
            return Ok(None);
        }
        let mut priority = None;
        let mut opened = scanner.open_map()?;
        while let Some(key) = scanner.next_key(&mut opened)? {
            match key.as_name() {
                "exchange" => self.exchange = optional_text(scanner.value()?),
                "routing_key" => self.routing_key = optional_text(scanner.value()?),
                "priority" => priority = int(&scanner.value()?),
                _ => {
                    scanner.skip()?;
                }
            }
        }
        Ok(priority)
    }
}

impl BodyEncoding {
    fn from_value(value: Value) -> Self {
        match value {
            Value::Null => Self::Plain,
            Value::Str(name) if name == "base64" => Self::Base64,
            Value::Str(name) => Self::Other(format!("{name:?}")),
            other => Self::Other(format!("of type {}", other.type_name())),
        }
    }
}

/// Text, or an id that kombu wrote as a typed value; anything else counts as missing.
pub(super) fn optional_text(value: Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text),
        Value::Uuid(uuid) => Some(uuid_text(uuid)),
        _ => None,
    }
}

fn non_empty(value: Value) -> Option<String> {
    optional_text(value).filter(|text| !text.is_empty())
}

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(int) => Some(*int),
        _ => None,
    }
}

fn uuid_text(uuid: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(uuid));
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}
