//! `Fields`: the named facts of a task, from headers or from a payload.

use std::collections::BTreeSet;

use super::Part;
use crate::json::Scanner;
use crate::message::Canvas;
use crate::undecodable::Flaw;
use crate::value::Value;

/// The fields that are read, each by its name in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Task,
    Id,
    Retries,
    Eta,
    Expires,
    TimeLimit,
    Utc,
    RootId,
    ParentId,
    Group,
    TaskSet,
    Shadow,
    Origin,
    IgnoreResult,
    Compression,
    StampedHeaders,
    Stamps,
    Args,
    Kwargs,
    Callbacks,
    Errbacks,
    Chain,
    Chord,
}

const COUNT: usize = Field::Chord as usize + 1;

impl Field {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "task" => Self::Task,
            "id" => Self::Id,
            "retries" => Self::Retries,
            "eta" => Self::Eta,
            "expires" => Self::Expires,
            "timelimit" => Self::TimeLimit,
            "utc" => Self::Utc,
            "root_id" => Self::RootId,
            "parent_id" => Self::ParentId,
            "group" => Self::Group,
            "taskset" => Self::TaskSet,
            "shadow" => Self::Shadow,
            "origin" => Self::Origin,
            "ignore_result" => Self::IgnoreResult,
            "compression" => Self::Compression,
            "stamped_headers" => Self::StampedHeaders,
            "stamps" => Self::Stamps,
            "args" => Self::Args,
            "kwargs" => Self::Kwargs,
            "callbacks" => Self::Callbacks,
            "errbacks" => Self::Errbacks,
            "chain" => Self::Chain,
            "chord" => Self::Chord,
            _ => return None,
        })
    }

    /// Of any size, and no part of a head.
    fn is_content(self) -> bool {
        use Field::{Args, Callbacks, Chain, Chord, Errbacks, Kwargs, StampedHeaders, Stamps};
        matches!(
            self,
            Args | Kwargs | Callbacks | Errbacks | Chain | Chord | StampedHeaders | Stamps
        )
    }
}

/// In a hybrid these are the payload's alone, whatever the user's own headers say.
const PAYLOAD_FIELDS: [Field; 5] = [
    Field::Args,
    Field::Kwargs,
    Field::Callbacks,
    Field::Errbacks,
    Field::Chord,
];

/// A set of fields, each missing or with its value.
pub(crate) struct Fields {
    known: [Option<Value>; COUNT],
    /// Members of other names, where everything is wanted.
    others: Vec<(String, Value)>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            known: [const { None }; COUNT],
            others: Vec::new(),
        }
    }
}

impl Fields {
    /// Reads a JSON object; for the head, members of other names are passed over.
    pub(crate) fn scan(scanner: &mut Scanner<'_>, part: Part) -> Result<Self, Flaw> {
        let mut fields = Self::default();
        let mut opened = scanner.open_map()?;
        while let Some(key) = scanner.next_key(&mut opened)? {
            match Field::named(key.as_name()) {
                Some(field) if part == Part::Head && field.is_content() => {
                    fields.known[field as usize] = Some(scanner.hollow()?);
                }
                Some(field) => fields.known[field as usize] = Some(scanner.value()?),
                None if part == Part::All => {
                    let name = key.as_name().to_owned();
                    fields.others.push((name, scanner.value()?));
                }
                None => {
                    scanner.skip()?;
                }
            }
        }
        Ok(fields)
    }

    pub(crate) fn from_members(members: Vec<(Value, Value)>) -> Self {
        let mut fields = Self::default();
        for (key, value) in members {
            if let Value::Str(name) = key
                && let Some(field) = Field::named(&name)
            {
                fields.known[field as usize] = Some(if field.is_content() {
                    value
                } else {
                    field_text(value)
                });
            }
        }
        fields
    }

    pub(super) fn has(&self, field: Field) -> bool {
        self.known[field as usize].is_some()
    }

    pub(super) fn take(&mut self, field: Field) -> Option<Value> {
        self.known[field as usize].take()
    }

    /// A hybrid: takes from the payload's map what is the payload's, and what the headers lack.
    pub(super) fn complete(&mut self, mut map: Self) {
        for field in PAYLOAD_FIELDS {
            self.known[field as usize] = map.take(field);
        }
        for (own, other) in self.known.iter_mut().zip(map.known) {
            *own = own.take().or(other);
        }
    }

    /// Takes the members of other names.
    pub(super) fn take_others(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.others)
    }

    pub(super) fn canvas(&mut self) -> Result<Canvas, Flaw> {
        Ok(Canvas {
            callbacks: signatures("callbacks", self.take(Field::Callbacks))?,
            errbacks: signatures("errbacks", self.take(Field::Errbacks))?,
            chain: signatures("chain", self.take(Field::Chain))?,
            chord: signatures("chord", self.take(Field::Chord))?.pop(),
        })
    }

    /// The stamps whose names `stamped_headers` lists.
    pub(super) fn stamps(&mut self) -> Vec<(String, Value)> {
        let (Some(Value::List(names)), Some(Value::Map(stamps))) =
            (self.take(Field::StampedHeaders), self.take(Field::Stamps))
        else {
            return Vec::new();
        };
        // A set: both may be long, and each is looked for in the other.
        let names: BTreeSet<String> = names.into_iter().filter_map(text).collect();
        let stamps = stamps
            .into_iter()
            .filter_map(|(name, value)| Some((text(name)?, value)));
        stamps.filter(|(name, _)| names.contains(name)).collect()
    }
}

/// Python 2 wrote its texts as bytes in msgpack; in a field they are text.
fn field_text(value: Value) -> Value {
    match value {
        Value::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Value::Str(text),
            Err(error) => Value::Bytes(error.into_bytes()),
        },
        other => other,
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text),
        _ => None,
    }
}

/// Null, a list of signatures, or one.
fn signatures(name: &str, value: Option<Value>) -> Result<Vec<Value>, Flaw> {
    let list = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::List(list) | Value::Tuple(list)) => list,
        Some(one) => vec![one],
    };
    match list
        .iter()
        .find(|signature| !matches!(signature, Value::Map(_)))
    {
        None => Ok(list),
        Some(other) => {
            let reason = format!(
                "{name} has a value of type {}, where signatures are maps",
                other.type_name()
            );
            Err(Flaw::malformed(reason))
        }
    }
}
