//! From the heap to a tree of values: what is shared is copied, what contains itself is refused.

use super::globals::Global;
use super::heap::{Heap, Item, Node, NodeId};
use super::{Objects, malformed};
use crate::budget::{Budget, check_depth};
use crate::calendar::UtcOffset;
use crate::undecodable::Flaw;
use crate::unique::{unique_members, unique_values};
use crate::value::Value;

/// Copies out what an item refers to.
pub(super) fn to_value(heap: &Heap<'_>, item: Item, objects: Objects) -> Result<Value, Flaw> {
    let mut output = Output {
        heap,
        budget: Budget::new(),
        progress: vec![Progress::New; heap.len()],
        depth: 0,
        objects,
    };
    output.value(item)
}

struct Output<'h, 'a> {
    heap: &'h Heap<'a>,
    budget: Budget,
    /// How far each node is.
    progress: Vec<Progress>,
    depth: usize,
    objects: Objects,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    New,
    /// It is being copied just now; if it is met again, it contains itself.
    Open,
    /// It was copied before; to do so again is to repeat it.
    Done,
}

impl Output<'_, '_> {
    fn value(&mut self, item: Item) -> Result<Value, Flaw> {
        self.budget.value()?;
        Ok(match item {
            Item::Null => Value::Null,
            Item::Bool(bool) => Value::Bool(bool),
            Item::Int(int) => Value::Int(int),
            Item::Float(float) => Value::Float(float),
            Item::Node(id) => return self.node(id),
        })
    }

    /// Only lists and maps come back to `value`, so that a level costs little stack.
    fn node(&mut self, id: NodeId) -> Result<Value, Flaw> {
        if self.objects == Objects::Opaque && self.progress[id.index()] == Progress::Open {
            return Ok(Value::Null); // an object that contains itself
        }
        match self.heap.node(id) {
            Node::List(items) => self.items(id, items).map(Value::List),
            Node::Tuple(items) => self.items(id, items).map(Value::Tuple),
            Node::Set(items) => self
                .items(id, items)
                .and_then(unique_values)
                .map(Value::Set),
            Node::FrozenSet(items) => self
                .items(id, items)
                .and_then(unique_values)
                .map(Value::FrozenSet),
            Node::Map(members) => self
                .members(id, members)
                .and_then(unique_members)
                .map(Value::Map),
            node => self.plain(node),
        }
    }

    fn plain(&mut self, node: &Node<'_>) -> Result<Value, Flaw> {
        Ok(match node {
            Node::Text(bytes) => match self.text(bytes)? {
                Ok(text) => Value::Str(text),
                Err(bytes) => Value::SurrogateStr(bytes),
            },
            Node::EightBit(bytes) => match self.text(bytes)? {
                Ok(text) => Value::Str(text),
                Err(bytes) => Value::Bytes(bytes),
            },
            Node::Bytes(bytes) => Value::Bytes(self.bytes(bytes)?),
            Node::ByteArray(bytes) => Value::ByteArray(self.bytes(bytes)?),
            Node::Leaf(value) => {
                if let Value::BigInt(text) | Value::Decimal(text) = value.as_ref() {
                    self.budget.chunk(text.len())?;
                }
                if let Value::ByteArray(bytes) = value.as_ref() {
                    self.budget.chunk(bytes.len())?;
                }
                value.as_ref().clone()
            }
            Node::Global(Global::Utc) => Value::TimeZone(UtcOffset::UTC),
            _ if self.objects == Objects::Opaque => Value::Null,
            _ => return Err(malformed("a class or function where a value is wanted")),
        })
    }

    fn items(&mut self, id: NodeId, items: &[Item]) -> Result<Vec<Value>, Flaw> {
        let outer = self.open(id, items.len())?;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            values.push(self.value(*item)?);
        }
        self.close(id, outer);
        Ok(values)
    }

    fn members(
        &mut self,
        id: NodeId,
        members: &[(Item, Item)],
    ) -> Result<Vec<(Value, Value)>, Flaw> {
        let outer = self.open(id, members.len())?;
        let mut values = Vec::with_capacity(members.len());
        for (key, value) in members {
            values.push((self.value(*key)?, self.value(*value)?));
        }
        self.close(id, outer);
        Ok(values)
    }

    /// Gives whether what is around is itself a repetition.
    fn open(&mut self, id: NodeId, length: usize) -> Result<bool, Flaw> {
        let before = std::mem::replace(&mut self.progress[id.index()], Progress::Open);
        let outer = self.budget.set_repeating(false);
        match before {
            Progress::Open => return Err(Flaw::refused("pickle: an object that contains itself")),
            Progress::Done => self.budget.set_repeating(true),
            Progress::New => self.budget.set_repeating(outer),
        };
        self.depth += 1;
        check_depth(self.depth)?;
        if length > 0 {
            self.budget.chunk(0)?;
        }
        Ok(outer)
    }

    fn close(&mut self, id: NodeId, outer: bool) {
        self.depth -= 1;
        self.budget.set_repeating(outer);
        self.progress[id.index()] = Progress::Done;
    }

    fn text(&mut self, bytes: &[u8]) -> Result<Result<String, Vec<u8>>, Flaw> {
        let owned = self.bytes(bytes)?;
        Ok(String::from_utf8(owned).map_err(std::string::FromUtf8Error::into_bytes))
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Flaw> {
        if !bytes.is_empty() {
            self.budget.chunk(bytes.len())?;
        }
        Ok(bytes.to_vec())
    }
}
