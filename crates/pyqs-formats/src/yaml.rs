//! YAML 1.1 with the safe tags, as `PyYAML`'s safe loader reads it. A tag that would build an object is
//! refused.
//!
//! The events come from a parser of YAML 1.2, which takes all that `PyYAML` writes; what 1.1 and 1.2 see
//! differently, the types of plain scalars, is decided here, in `scalar`.

mod scalar;

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, Tag};

use crate::body::shortened;
use crate::budget::{Budget, check_depth, tight};
use crate::undecodable::Flaw;
use crate::unique::{unique_members, unique_values};
use crate::value::Value;

/// The beginning of the standard tags.
const STANDARD: &str = "tag:yaml.org,2002:";

/// Reads the one document of a text.
pub(crate) fn read(text: &str) -> Result<Value, Flaw> {
    let mut builder = Builder {
        open: Vec::new(),
        anchors: BTreeMap::new(),
        budget: Budget::new(),
        document: None,
    };
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| Flaw::malformed(format!("not YAML: {error}")))?;
        builder.event(event)?;
    }
    builder
        .document
        .ok_or_else(|| Flaw::malformed("not YAML: no document"))
}

struct Builder {
    /// The collections that are open, the innermost last.
    open: Vec<Collection>,
    anchors: BTreeMap<usize, Built>,
    budget: Budget,
    document: Option<Value>,
}

/// A value with what it takes to repeat it.
#[derive(Clone)]
struct Built {
    value: Value,
    /// What it took of the budget.
    cost: usize,
    /// Levels of lists and maps.
    height: usize,
}

/// A list, map or set that is not complete.
struct Collection {
    kind: Kind,
    anchor: usize,
    /// What was left of the budget when it began.
    left_before: usize,
    height: usize,
}

enum Kind {
    List(Vec<Value>),
    Map(Members),
    /// A map of which only the keys count.
    Set(Members),
}

#[derive(Default)]
struct Members {
    pairs: Vec<(Value, Value)>,
    /// From `<<` keys; they come first, so that the map's own win.
    merged: Vec<(Value, Value)>,
    key: Key,
}

/// What is known of the next member.
#[derive(Default)]
enum Key {
    #[default]
    Missing,
    Read(Value),
    Merge,
}

impl Builder {
    fn event(&mut self, event: Event<'_>) -> Result<(), Flaw> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == saphyr_parser::ScalarStyle::Plain;
                if is_plain && tag.is_none() && text == "<<" && self.begins_merge() {
                    return Ok(());
                }
                let left_before = self.budget.left();
                self.budget.value()?;
                self.budget.chunk(text.len())?;
                let value = scalar::read(&text, is_plain, tag_name(tag.as_deref())?)?;
                self.built(value, anchor, left_before, 0)
            }
            Event::SequenceStart(anchor, tag) => match tag_name(tag.as_deref())? {
                None | Some("seq" | "!") => self.begin(Kind::List(Vec::new()), anchor),
                Some(other) => Err(unknown_tag(other)),
            },
            Event::MappingStart(anchor, tag) => match tag_name(tag.as_deref())? {
                None | Some("map" | "!") => self.begin(Kind::Map(Members::default()), anchor),
                Some("set") => self.begin(Kind::Set(Members::default()), anchor),
                Some(other) => Err(unknown_tag(other)),
            },
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, kind: Kind, anchor: usize) -> Result<(), Flaw> {
        let left_before = self.budget.left();
        self.budget.value()?;
        self.budget.chunk(0)?;
        self.open.push(Collection {
            kind,
            anchor,
            left_before,
            height: 0,
        });
        check_depth(self.open.len())
    }

    fn end(&mut self) -> Result<(), Flaw> {
        let Some(collection) = self.open.pop() else {
            return Err(Flaw::malformed("not YAML: an end without a beginning"));
        };
        let value = match collection.kind {
            Kind::List(list) => Value::List(tight(list)),
            Kind::Map(members) => Value::Map(unique_members(tight(members.all()))?),
            Kind::Set(members) => Value::Set(unique_values(
                members.all().into_iter().map(|(key, _)| key).collect(),
            )?),
        };
        self.built(
            value,
            collection.anchor,
            collection.left_before,
            collection.height + 1,
        )
    }

    /// Repeats what was anchored before. A collection that is still open has no such entry, and thus
    /// can't contain itself.
    fn alias(&mut self, anchor: usize) -> Result<(), Flaw> {
        let Some(built) = self.anchors.get(&anchor) else {
            return Err(Flaw::refused("YAML: a list or map that contains itself"));
        };
        self.budget.take_repeated(built.cost)?;
        let built = built.clone();
        self.place(built.value, built.height)
    }

    fn built(
        &mut self,
        value: Value,
        anchor: usize,
        left_before: usize,
        height: usize,
    ) -> Result<(), Flaw> {
        if anchor != 0 {
            let cost = left_before - self.budget.left();
            // The copy that is kept for aliases.
            self.budget.take_repeated(cost)?;
            self.anchors.insert(
                anchor,
                Built {
                    value: value.clone(),
                    cost,
                    height,
                },
            );
        }
        self.place(value, height)
    }

    /// Puts a value where the next one belongs.
    fn place(&mut self, value: Value, height: usize) -> Result<(), Flaw> {
        check_depth(self.open.len() + height)?;
        match self.open.last_mut() {
            None if self.document.is_some() => {
                Err(Flaw::malformed("not YAML: more than one document"))
            }
            None => {
                self.document = Some(value);
                Ok(())
            }
            Some(collection) => {
                collection.height = collection.height.max(height);
                match &mut collection.kind {
                    Kind::List(list) => {
                        list.push(value);
                        Ok(())
                    }
                    Kind::Map(members) | Kind::Set(members) => members.place(value),
                }
            }
        }
    }

    /// Whether a `<<` is the key of a map's member here.
    fn begins_merge(&mut self) -> bool {
        match self.open.last_mut().map(|collection| &mut collection.kind) {
            Some(Kind::Map(members)) if matches!(members.key, Key::Missing) => {
                members.key = Key::Merge;
                true
            }
            _ => false,
        }
    }
}

impl Members {
    fn place(&mut self, value: Value) -> Result<(), Flaw> {
        match std::mem::take(&mut self.key) {
            Key::Missing => self.key = Key::Read(value),
            Key::Read(key) => self.pairs.push((key, value)),
            Key::Merge => self.merge(value)?,
        }
        Ok(())
    }

    /// A map, or a list of maps of which earlier ones win.
    fn merge(&mut self, value: Value) -> Result<(), Flaw> {
        let maps = match value {
            Value::List(maps) => maps,
            map => vec![map],
        };
        for map in maps.into_iter().rev() {
            match map {
                Value::Map(members) => self.merged.extend(members),
                _ => return Err(Flaw::malformed("YAML: << of what is no map")),
            }
        }
        Ok(())
    }

    fn all(mut self) -> Vec<(Value, Value)> {
        if self.merged.is_empty() {
            return self.pairs;
        }
        self.merged.append(&mut self.pairs);
        self.merged
    }
}

/// The name of a standard tag, or `!`, which turns off the types of plain scalars.
fn tag_name(tag: Option<&Tag>) -> Result<Option<&str>, Flaw> {
    let Some(tag) = tag else { return Ok(None) };
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        (STANDARD, name) if !name.contains('/') => Ok(Some(name)),
        ("", "!") => Ok(Some("!")),
        ("", name) if name.starts_with(STANDARD) => Ok(name.strip_prefix(STANDARD)),
        (STANDARD, name) => Err(unknown_tag(name)),
        (handle, suffix) => Err(unknown_tag(&format!("{handle}{suffix}"))),
    }
}

fn unknown_tag(name: &str) -> Flaw {
    let name = shortened(name);
    Flaw::refused(format!(
        "YAML: the tag {name} is no plain data and builds nothing here; send plain data"
    ))
}
