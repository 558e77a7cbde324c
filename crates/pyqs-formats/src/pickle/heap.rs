//! `Heap`: the objects of a pickle while it is read. They may share and contain each other, and grow after
//! they were referred to, so that they are nodes in one list, and references are places in it.

use std::borrow::Cow;

use super::globals::Global;
use super::malformed;
use crate::budget::Budget;
use crate::undecodable::Flaw;
use crate::value::Value;

/// As many as `datetime` takes: more than any other.
const ARGUMENTS_MAX: usize = 8;

/// What the stack and containers hold: a small value, or a reference to a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Item {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Node(NodeId),
}

/// The place of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(u32);

impl NodeId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// An object.
#[derive(Debug)]
pub(super) enum Node<'a> {
    /// Text, as UTF-8 in which surrogates may be.
    Text(Cow<'a, [u8]>),
    /// Python 2's `str`: text if it is UTF-8, else bytes, and raw bytes where a state is wanted.
    EightBit(Cow<'a, [u8]>),
    Bytes(Cow<'a, [u8]>),
    ByteArray(&'a [u8]),
    List(Vec<Item>),
    Tuple(Vec<Item>),
    Map(Vec<(Item, Item)>),
    Set(Vec<Item>),
    FrozenSet(Vec<Item>),
    /// A value that holds no other: a date, a big integer.
    Leaf(Box<Value>),
    /// One of the names on the list.
    Global(Global),
    /// An object that is no data.
    Opaque,
    /// A UUID that waits for its state.
    RawUuid,
}

/// All nodes of one pickle.
pub(super) struct Heap<'a> {
    nodes: Vec<Node<'a>>,
    budget: Budget,
}

impl<'a> Heap<'a> {
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            budget: Budget::new(),
        }
    }

    pub(super) fn add(&mut self, node: Node<'a>) -> Result<Item, Flaw> {
        self.budget.value()?;
        match &node {
            // The only bytes that are made and not read: they count more than they take, for the time.
            Node::Bytes(Cow::Owned(bytes)) => self.budget.chunk(4 * bytes.len())?,
            Node::List(items) | Node::Tuple(items) | Node::Set(items) | Node::FrozenSet(items) => {
                self.hold(items.len())?;
            }
            Node::Map(members) => self.hold(2 * members.len())?,
            _ => {}
        }
        let id = u32::try_from(self.nodes.len()).expect("the budget allows far fewer nodes");
        self.nodes.push(node);
        Ok(Item::Node(NodeId(id)))
    }

    pub(super) fn leaf(&mut self, value: Value) -> Result<Item, Flaw> {
        match value {
            Value::Null => Ok(Item::Null),
            Value::Bool(bool) => Ok(Item::Bool(bool)),
            Value::Int(int) => Ok(Item::Int(int)),
            Value::Float(float) => Ok(Item::Float(float)),
            other => {
                self.budget.chunk(size_of::<Value>())?;
                self.budget.chunk(match &other {
                    Value::BigInt(text) | Value::Decimal(text) => text.len(),
                    Value::ByteArray(bytes) => 4 * bytes.len(),
                    _ => 0,
                })?;
                self.add(Node::Leaf(Box::new(other)))
            }
        }
    }

    /// Counts items that a container takes in.
    pub(super) fn hold(&mut self, items: usize) -> Result<(), Flaw> {
        match items {
            0 => Ok(()),
            _ => self.budget.chunk(items.saturating_mul(size_of::<Item>())),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, id: NodeId) -> &Node<'a> {
        &self.nodes[id.index()]
    }

    /// The node, if the item refers to one.
    pub(super) fn get(&self, item: Item) -> Option<&Node<'a>> {
        match item {
            Item::Node(id) => Some(self.node(id)),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, item: Item) -> Option<&mut Node<'a>> {
        match item {
            Item::Node(id) => Some(&mut self.nodes[id.index()]),
            _ => None,
        }
    }

    /// Text, of either sort, without surrogates.
    pub(super) fn text(&self, item: Item) -> Option<&str> {
        match self.get(item)? {
            Node::Text(bytes) | Node::EightBit(bytes) => str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Whether it is this text. Cheap, however long the other is.
    pub(super) fn is_text(&self, item: Item, text: &str) -> bool {
        match self.get(item) {
            Some(Node::Text(bytes) | Node::EightBit(bytes)) => bytes.as_ref() == text.as_bytes(),
            _ => false,
        }
    }

    /// The items of a list or a tuple.
    pub(super) fn sequence(&self, item: Item) -> Option<&[Item]> {
        match self.get(item)? {
            Node::List(items) | Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The items of a tuple, which is what calls have for arguments. A long one is refused here, so that
    /// calling with it again and again costs nothing.
    pub(super) fn arguments(&self, item: Item) -> Result<Vec<Item>, Flaw> {
        match self.get(item) {
            Some(Node::Tuple(items)) if items.len() <= ARGUMENTS_MAX => Ok(items.clone()),
            Some(Node::Tuple(_)) => Err(malformed("a call with too many arguments")),
            _ => Err(malformed("arguments that are no tuple")),
        }
    }

    pub(super) fn global(&self, item: Item) -> Result<Global, Flaw> {
        match self.get(item) {
            Some(Node::Global(global)) => Ok(*global),
            _ => Err(malformed("a call of what can't be called")),
        }
    }
}
