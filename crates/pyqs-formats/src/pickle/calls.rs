//! Calls: what the known names make of their arguments.

use std::borrow::Cow;

use super::globals::Global;
use super::heap::{Heap, Item, Node};
use super::{malformed, moments};
use crate::calendar::{TimeDelta, UtcOffset};
use crate::decimal;
use crate::undecodable::Flaw;
use crate::value::Value;

/// `REDUCE`: `callable(*arguments)`.
pub(super) fn call(heap: &mut Heap<'_>, callable: Item, arguments: Item) -> Result<Item, Flaw> {
    let global = heap.global(callable)?;
    let arguments = heap.arguments(arguments)?;
    match global {
        Global::Set => items(heap, &arguments).and_then(|items| heap.add(Node::Set(items))),
        Global::FrozenSet => {
            items(heap, &arguments).and_then(|items| heap.add(Node::FrozenSet(items)))
        }
        Global::Map => map(heap, &arguments),
        Global::DefaultDict => default_dict(heap, &arguments),
        Global::Signature => signature(heap, &arguments),
        Global::Bytes if arguments.is_empty() => heap.add(Node::Bytes(Cow::Borrowed(b""))),
        Global::Encode => {
            encode(heap, &arguments).and_then(|bytes| heap.add(Node::Bytes(Cow::Owned(bytes))))
        }
        Global::ByteArray => {
            let bytes = bytearray(heap, &arguments)?;
            heap.leaf(Value::ByteArray(bytes))
        }
        Global::Reconstructor => reconstruct(heap, &arguments),
        Global::Inert | Global::Uuid | Global::Bytes => Err(malformed("a call that is no data")),
        _ => scalar(heap, global, &arguments).and_then(|value| heap.leaf(value)),
    }
}

/// `NEWOBJ`: `class.__new__(class, *arguments)`; only UUIDs are made so.
pub(super) fn new_object(heap: &mut Heap<'_>, class: Item, arguments: Item) -> Result<Item, Flaw> {
    let is_empty = heap.arguments(arguments)?.is_empty();
    match heap.global(class)? {
        Global::Uuid if is_empty => heap.add(Node::RawUuid),
        _ => Err(malformed("an object of a class that is not made so")),
    }
}

/// `BUILD`: gives an object its state; only UUIDs have one.
pub(super) fn build(heap: &mut Heap<'_>, object: Item, state: Item) -> Result<(), Flaw> {
    let uuid =
        uuid_state(heap, state).ok_or_else(|| malformed("a state that is none of a UUID"))?;
    match heap.get_mut(object) {
        Some(node @ Node::RawUuid) => {
            *node = Node::Leaf(Box::new(Value::Uuid(uuid)));
            Ok(())
        }
        _ => Err(malformed("a state for what has none")),
    }
}

/// The values that hold no others.
fn scalar(heap: &Heap<'_>, global: Global, arguments: &[Item]) -> Result<Value, Flaw> {
    let value = match global {
        Global::Date => moments::date(heap, arguments).map(Value::Date),
        Global::Time => moments::time(heap, arguments).map(Value::Time),
        Global::DateTime => moments::datetime(heap, arguments).map(Value::DateTime),
        Global::TimeDelta => timedelta(arguments).map(Value::TimeDelta),
        Global::TimeZone => timezone(heap, arguments).map(Value::TimeZone),
        Global::Utc if arguments.is_empty() => Some(Value::TimeZone(UtcOffset::UTC)),
        Global::FixedOffset => fixed_offset(arguments).map(Value::TimeZone),
        Global::Decimal => decimal(heap, arguments),
        Global::Complex => complex(arguments),
        _ => None,
    };
    value.ok_or_else(|| malformed(&format!("a {global:?} of arguments that it does not take")))
}

/// The members of a `set([...])`.
fn items(heap: &mut Heap<'_>, arguments: &[Item]) -> Result<Vec<Item>, Flaw> {
    let items = match arguments {
        [] => Vec::new(),
        [list] => heap
            .sequence(*list)
            .ok_or_else(|| malformed("a set of what is no list"))?
            .to_vec(),
        _ => return Err(malformed("a set of several arguments")),
    };
    Ok(items)
}

/// `OrderedDict()`, or of a list of pairs.
fn map(heap: &mut Heap<'_>, arguments: &[Item]) -> Result<Item, Flaw> {
    let bad = || malformed("a dict of what are no pairs");
    let members = match arguments {
        [] => Vec::new(),
        [list] => {
            let pairs = heap.sequence(*list).ok_or_else(bad)?.iter();
            let pair = |pair: &Item| match heap.sequence(*pair) {
                Some([key, value]) => Ok((*key, *value)),
                _ => Err(bad()),
            };
            pairs.map(pair).collect::<Result<_, _>>()?
        }
        _ => return Err(bad()),
    };
    heap.add(Node::Map(members))
}

/// The factory is a builtin type or none; it makes no difference to what is there.
fn default_dict(heap: &mut Heap<'_>, arguments: &[Item]) -> Result<Item, Flaw> {
    let is_factory = |item: Item| item == Item::Null || heap.global(item).is_ok();
    match arguments {
        [] => map(heap, &[]),
        [factory, rest @ ..] if is_factory(*factory) => map(heap, rest),
        _ => Err(malformed("a defaultdict whose factory is no type")),
    }
}

/// A signature of Celery's is its map.
fn signature(heap: &mut Heap<'_>, arguments: &[Item]) -> Result<Item, Flaw> {
    match arguments {
        [map] if matches!(heap.get(*map), Some(Node::Map(_))) => Ok(*map),
        _ => Err(malformed("a signature that is no map")),
    }
}

/// `encode(text, "latin1")`.
fn encode(heap: &Heap<'_>, arguments: &[Item]) -> Result<Vec<u8>, Flaw> {
    let [text, codec] = arguments else {
        return Err(malformed("encode() without a codec"));
    };
    if !heap.is_text(*codec, "latin1") && !heap.is_text(*codec, "latin-1") {
        return Err(malformed("encode() to something else than Latin-1"));
    }
    latin1(
        heap.text(*text)
            .ok_or_else(|| malformed("encode() of what is no text"))?,
    )
}

fn latin1(text: &str) -> Result<Vec<u8>, Flaw> {
    if text.is_ascii() {
        return Ok(text.as_bytes().to_vec());
    }
    let byte =
        |character: char| u8::try_from(character).map_err(|_| malformed("Latin-1 that is none"));
    text.chars().map(byte).collect()
}

/// `bytearray(b"...")`, or of Latin-1 text. A number would be a size, and is refused.
fn bytearray(heap: &Heap<'_>, arguments: &[Item]) -> Result<Vec<u8>, Flaw> {
    match arguments {
        [] => Ok(Vec::new()),
        [bytes] => match heap.get(*bytes) {
            Some(Node::Bytes(bytes) | Node::EightBit(bytes)) => Ok(bytes.to_vec()),
            _ => Err(malformed("a bytearray of what are no bytes")),
        },
        _ => encode(heap, arguments),
    }
}

/// `_reconstructor(UUID, object, None)`.
fn reconstruct(heap: &mut Heap<'_>, arguments: &[Item]) -> Result<Item, Flaw> {
    match arguments {
        [class, base, Item::Null]
            if heap.global(*class)? == Global::Uuid && heap.global(*base)? == Global::Inert =>
        {
            heap.add(Node::RawUuid)
        }
        _ => Err(malformed("an object of a class that is not made so")),
    }
}

/// `{"int": n}`, or with slots a pair of maps.
fn uuid_state(heap: &Heap<'_>, state: Item) -> Option<[u8; 16]> {
    let members = match heap.get(state)? {
        Node::Map(members) => members,
        Node::Tuple(maps) => {
            let mut maps = maps.iter().filter_map(|map| match heap.get(*map)? {
                Node::Map(members) => Some(members),
                _ => None,
            });
            maps.next_back()?
        }
        _ => return None,
    };
    // At most `int` and `is_safe`; a long map must not be searched again and again.
    let (_, int) = members
        .iter()
        .take(2)
        .find(|(key, _)| heap.is_text(*key, "int"))?;
    let int: u128 = match (int, heap.get(*int)) {
        (Item::Int(int), _) => u128::try_from(*int).ok()?,
        (_, Some(Node::Leaf(leaf))) => match leaf.as_ref() {
            Value::BigInt(digits) => digits.parse().ok()?,
            _ => return None,
        },
        _ => return None,
    };
    Some(int.to_be_bytes())
}

/// Days, seconds, microseconds; later ones may be missing.
fn timedelta(arguments: &[Item]) -> Option<TimeDelta> {
    let mut parts = [0; 3];
    if arguments.len() > parts.len() {
        return None;
    }
    for (part, argument) in parts.iter_mut().zip(arguments) {
        let Item::Int(int) = argument else {
            return None;
        };
        *part = *int;
    }
    TimeDelta::new(parts[0], parts[1], parts[2])
}

/// `timezone(timedelta)`, maybe with a name; `timezone()` is UTC.
fn timezone(heap: &Heap<'_>, arguments: &[Item]) -> Option<UtcOffset> {
    let delta = match arguments {
        [] => return Some(UtcOffset::UTC),
        [delta] => *delta,
        [delta, name] if matches!(heap.get(*name), Some(Node::Text(_) | Node::EightBit(_))) => {
            *delta
        }
        _ => return None,
    };
    match heap.get(delta)? {
        Node::Leaf(leaf) => match leaf.as_ref() {
            Value::TimeDelta(delta) => UtcOffset::from_micros(delta.total_micros()),
            _ => None,
        },
        _ => None,
    }
}

fn fixed_offset(arguments: &[Item]) -> Option<UtcOffset> {
    match arguments {
        [Item::Int(minutes)] => UtcOffset::from_micros(minutes.checked_mul(60_000_000)?),
        _ => None,
    }
}

fn decimal(heap: &Heap<'_>, arguments: &[Item]) -> Option<Value> {
    match arguments {
        [text] => decimal::read(heap.text(*text)?).map(Value::Decimal),
        _ => None,
    }
}

fn complex(arguments: &[Item]) -> Option<Value> {
    match arguments {
        [Item::Float(real), Item::Float(imaginary)] => Some(Value::Complex(*real, *imaginary)),
        _ => None,
    }
}
