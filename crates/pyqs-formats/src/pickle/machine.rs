//! `Machine`: runs the instructions.

use super::calls;
use super::globals::Global;
use super::heap::{Heap, Item, Node};
use super::input::Input;
use super::memo::Memo;
use super::opcodes::{
    ADDITEMS, APPEND, APPENDS, BINBYTES, BINBYTES8, BINFLOAT, BINGET, BININT, BININT1, BININT2,
    BINPERSID, BINPUT, BINSTRING, BINUNICODE, BINUNICODE8, BUILD, BYTEARRAY8, DICT, DUP,
    EMPTY_DICT, EMPTY_LIST, EMPTY_SET, EMPTY_TUPLE, EXT1, EXT2, EXT4, FLOAT, FRAME, FROZENSET, GET,
    GLOBAL, INST, INT, LIST, LONG, LONG_BINGET, LONG_BINPUT, LONG1, LONG4, MARK, MEMOIZE, NEWFALSE,
    NEWOBJ, NEWOBJ_EX, NEWTRUE, NEXT_BUFFER, NONE, OBJ, PERSID, POP, POP_MARK, PROTO, PROTOCOL_MAX,
    PUT, READONLY_BUFFER, REDUCE, SETITEM, SETITEMS, SHORT_BINBYTES, SHORT_BINSTRING,
    SHORT_BINUNICODE, STACK_GLOBAL, STOP, STRING, TUPLE, TUPLE1, TUPLE2, TUPLE3, UNICODE,
};
use super::{Objects, literal, malformed};
use crate::integer;
use crate::limits::PICKLE_STACK_MAX;
use crate::surrogates::is_text_with_surrogates;
use crate::undecodable::Flaw;
use std::borrow::Cow;

/// Runs a pickle to its end; gives what it leaves.
pub(super) fn run(bytes: &[u8], objects: Objects) -> Result<(Heap<'_>, Item), Flaw> {
    let mut machine = Machine {
        input: Input::new(bytes),
        heap: Heap::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Memo::default(),
        objects,
        failures_left: FAILURES_MAX,
    };
    loop {
        let opcode = machine.input.byte()?;
        if opcode == STOP {
            break;
        }
        machine.step(opcode)?;
    }
    let result = machine.pop()?;
    if !machine.stack.is_empty() {
        return Err(malformed("more than one value is left"));
    }
    Ok((machine.heap, result))
}

struct Machine<'a> {
    input: Input<'a>,
    heap: Heap<'a>,
    stack: Vec<Item>,
    /// The heights of the stack at which marks are.
    marks: Vec<usize>,
    memo: Memo,
    objects: Objects,
    failures_left: u32,
}

/// Calls of known names that may fail where objects are opaque: with an object for an argument, say.
const FAILURES_MAX: u32 = 100;

impl<'a> Machine<'a> {
    /// Runs one instruction: those that push a value first, the others by what they do.
    fn step(&mut self, opcode: u8) -> Result<(), Flaw> {
        if let Some(item) = self.simple_value(opcode)? {
            return self.push(item);
        }
        if let Some(node) = self.node_value(opcode)? {
            return self.push_node(node);
        }
        match opcode {
            MARK => self.mark(),
            POP => self.pop_or_unmark(),
            POP_MARK => self.pop_mark().map(drop),
            DUP => self.top().and_then(|top| self.push(top)),
            PROTO => self.protocol(),
            FRAME => self.input.array::<8>().map(drop),
            APPEND => self.append(),
            APPENDS => self.pop_mark().and_then(|items| self.extend_list(items)),
            ADDITEMS => self.pop_mark().and_then(|items| self.extend_set(items)),
            SETITEM => self.set_item(),
            SETITEMS => self.pop_mark().and_then(|items| self.extend_map(&items)),
            PUT => self.put_line(),
            BINPUT => self.input.byte().and_then(|key| self.put(key.into())),
            LONG_BINPUT => self.input.u32().and_then(|key| self.put(key)),
            MEMOIZE => self.memoize(),
            GET => self.get_line(),
            BINGET => self.input.byte().and_then(|key| self.get(key.into())),
            LONG_BINGET => self.input.u32().and_then(|key| self.get(key)),
            REDUCE => self.reduce(),
            NEWOBJ => self.new_object(),
            BUILD => self.build(),
            _ if self.objects == Objects::Opaque => self.opaque(opcode),
            _ => Err(refusal(opcode)),
        }
    }

    /// The instructions that push a small value.
    fn simple_value(&mut self, opcode: u8) -> Result<Option<Item>, Flaw> {
        Ok(Some(match opcode {
            NONE => Item::Null,
            NEWTRUE => Item::Bool(true),
            NEWFALSE => Item::Bool(false),
            BININT => Item::Int(i32::from_le_bytes(self.input.array()?).into()),
            BININT1 => Item::Int(self.input.byte()?.into()),
            BININT2 => Item::Int(self.input.u16()?.into()),
            BINFLOAT => Item::Float(f64::from_be_bytes(self.input.array()?)),
            FLOAT => literal::float(self.input.text_line()?)?,
            INT => literal::int(self.input.text_line()?).and_then(|int| self.heap.leaf(int))?,
            LONG => literal::long(self.input.text_line()?).and_then(|int| self.heap.leaf(int))?,
            LONG1 => self
                .input
                .sized1()
                .and_then(integer::from_le_bytes)
                .and_then(|int| self.heap.leaf(int))?,
            LONG4 => self
                .input
                .sized4()
                .and_then(integer::from_le_bytes)
                .and_then(|int| self.heap.leaf(int))?,
            _ => return Ok(None),
        }))
    }

    /// The instructions that push a new object.
    fn node_value(&mut self, opcode: u8) -> Result<Option<Node<'a>>, Flaw> {
        Ok(Some(match opcode {
            BINUNICODE => self.input.sized4().and_then(text)?,
            SHORT_BINUNICODE => self.input.sized1().and_then(text)?,
            BINUNICODE8 => self.input.sized8().and_then(text)?,
            UNICODE => {
                literal::unicode(self.input.line()?).map(|bytes| Node::Text(Cow::Owned(bytes)))?
            }
            STRING => literal::string(self.input.line()?)
                .map(|bytes| Node::EightBit(Cow::Owned(bytes)))?,
            BINSTRING => Node::EightBit(Cow::Borrowed(self.input.sized4()?)),
            SHORT_BINSTRING => Node::EightBit(Cow::Borrowed(self.input.sized1()?)),
            BINBYTES => Node::Bytes(Cow::Borrowed(self.input.sized4()?)),
            SHORT_BINBYTES => Node::Bytes(Cow::Borrowed(self.input.sized1()?)),
            BINBYTES8 => Node::Bytes(Cow::Borrowed(self.input.sized8()?)),
            BYTEARRAY8 => Node::ByteArray(self.input.sized8()?),
            EMPTY_LIST => Node::List(Vec::new()),
            EMPTY_TUPLE => Node::Tuple(Vec::new()),
            EMPTY_DICT => Node::Map(Vec::new()),
            EMPTY_SET => Node::Set(Vec::new()),
            LIST => Node::List(self.pop_mark()?),
            TUPLE => Node::Tuple(self.pop_mark()?),
            TUPLE1 => Node::Tuple(self.pop_many(1)?),
            TUPLE2 => Node::Tuple(self.pop_many(2)?),
            TUPLE3 => Node::Tuple(self.pop_many(3)?),
            DICT => Node::Map(pairs(&self.pop_mark()?)?),
            FROZENSET => Node::FrozenSet(self.pop_mark()?),
            GLOBAL => {
                let (module, name) = (self.input.text_line()?, self.input.text_line()?);
                Node::Global(self.global(module, name)?)
            }
            STACK_GLOBAL => self.stack_global()?,
            _ => return Ok(None),
        }))
    }

    fn push(&mut self, item: Item) -> Result<(), Flaw> {
        check_stack(self.stack.len())?;
        self.stack.push(item);
        Ok(())
    }

    fn push_node(&mut self, node: Node<'a>) -> Result<(), Flaw> {
        let item = self.heap.add(node)?;
        self.push(item)
    }

    fn top(&self) -> Result<Item, Flaw> {
        self.above_mark().last().copied().ok_or_else(underflow)
    }

    fn pop(&mut self) -> Result<Item, Flaw> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Item>, Flaw> {
        let height = self
            .above_mark()
            .len()
            .checked_sub(count)
            .ok_or_else(underflow)?;
        Ok(self
            .stack
            .split_off(self.stack.len() - self.above_mark().len() + height))
    }

    /// What was pushed since the last mark; nothing below it may be touched.
    fn above_mark(&self) -> &[Item] {
        &self.stack[self.marks.last().copied().unwrap_or(0)..]
    }

    fn mark(&mut self) -> Result<(), Flaw> {
        check_stack(self.marks.len())?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop_mark(&mut self) -> Result<Vec<Item>, Flaw> {
        let height = self
            .marks
            .pop()
            .ok_or_else(|| malformed("a mark is missing"))?;
        Ok(self.stack.split_off(height))
    }

    /// Python's machine takes a mark off with the same instruction.
    fn pop_or_unmark(&mut self) -> Result<(), Flaw> {
        if self.above_mark().is_empty() {
            self.pop_mark().map(drop)
        } else {
            self.pop().map(drop)
        }
    }

    fn protocol(&mut self) -> Result<(), Flaw> {
        match self.input.byte()? {
            0..=PROTOCOL_MAX => Ok(()),
            other => Err(malformed(&format!(
                "protocol {other}, where {PROTOCOL_MAX} is the highest"
            ))),
        }
    }

    fn append(&mut self) -> Result<(), Flaw> {
        let item = self.pop()?;
        self.extend_list(vec![item])
    }

    fn extend_list(&mut self, items: Vec<Item>) -> Result<(), Flaw> {
        self.heap.hold(items.len())?;
        match self.heap.get_mut(self.top()?) {
            Some(Node::List(list)) => list.extend(items),
            Some(Node::Opaque) => {}
            _ => return Err(malformed("items are appended to what is no list")),
        }
        Ok(())
    }

    fn extend_set(&mut self, items: Vec<Item>) -> Result<(), Flaw> {
        self.heap.hold(items.len())?;
        match self.heap.get_mut(self.top()?) {
            Some(Node::Set(set)) => set.extend(items),
            Some(Node::Opaque) => {}
            _ => return Err(malformed("items are added to what is no set")),
        }
        Ok(())
    }

    fn set_item(&mut self) -> Result<(), Flaw> {
        let items = self.pop_many(2)?;
        self.extend_map(&items)
    }

    fn extend_map(&mut self, items: &[Item]) -> Result<(), Flaw> {
        self.heap.hold(items.len())?;
        let members = pairs(items)?;
        match self.heap.get_mut(self.top()?) {
            Some(Node::Map(map)) => map.extend(members),
            Some(Node::Opaque) => {}
            _ => return Err(malformed("items are set in what is no dict")),
        }
        Ok(())
    }

    fn put(&mut self, key: u32) -> Result<(), Flaw> {
        self.heap.hold(1)?;
        let top = self.top()?;
        self.memo.put(key, top);
        Ok(())
    }

    fn put_line(&mut self) -> Result<(), Flaw> {
        let key = memo_key(self.input.text_line()?)?;
        self.put(key)
    }

    fn memoize(&mut self) -> Result<(), Flaw> {
        self.put(self.memo.next_key())
    }

    fn get(&mut self, key: u32) -> Result<(), Flaw> {
        let item = self
            .memo
            .get(key)
            .ok_or_else(|| malformed("a reference to nothing"))?;
        self.push(item)
    }

    fn get_line(&mut self) -> Result<(), Flaw> {
        let key = memo_key(self.input.text_line()?)?;
        self.get(key)
    }

    fn stack_global(&mut self) -> Result<Node<'a>, Flaw> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (self.heap.text(module), self.heap.text(name)) {
            (Some(module), Some(name)) => Ok(Node::Global(self.global(module, name)?)),
            _ => Err(malformed("a name that is no text")),
        }
    }

    fn reduce(&mut self) -> Result<(), Flaw> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        // What is no data costs nothing to pass over; a call that should have been data may have cost much.
        let is_data = !matches!(
            self.heap.global(callable),
            Ok(Global::Opaque | Global::Reconstructor) | Err(_)
        );
        let item = calls::call(&mut self.heap, callable, arguments);
        if is_data && item.is_err() {
            self.failures_left = self.failures_left.saturating_sub(1);
        }
        self.push_made(item)
    }

    fn new_object(&mut self) -> Result<(), Flaw> {
        let (arguments, class) = (self.pop()?, self.pop()?);
        let item = calls::new_object(&mut self.heap, class, arguments);
        self.push_made(item)
    }

    fn build(&mut self) -> Result<(), Flaw> {
        let state = self.pop()?;
        let object = self.top()?;
        match calls::build(&mut self.heap, object, state) {
            Err(flaw) if self.is_passed_over(&flaw) => Ok(()),
            other => other,
        }
    }

    fn global(&self, module: &str, name: &str) -> Result<Global, Flaw> {
        match Global::named(module, name) {
            Err(flaw) if self.is_passed_over(&flaw) => Ok(Global::Opaque),
            other => other,
        }
    }

    fn push_made(&mut self, made: Result<Item, Flaw>) -> Result<(), Flaw> {
        match made {
            Err(flaw) if self.is_passed_over(&flaw) => self.push_node(Node::Opaque),
            other => other.and_then(|item| self.push(item)),
        }
    }

    /// Limits hold for opaque objects too.
    fn is_passed_over(&self, flaw: &Flaw) -> bool {
        self.objects == Objects::Opaque && !flaw.is_over_limit() && self.failures_left > 0
    }

    /// The instructions that make objects which are no data.
    fn opaque(&mut self, opcode: u8) -> Result<(), Flaw> {
        match opcode {
            INST => {
                self.input.text_line()?;
                self.input.text_line()?;
                self.pop_mark()?;
            }
            OBJ => drop(self.pop_mark()?),
            NEWOBJ_EX => drop(self.pop_many(3)?),
            PERSID => drop(self.input.text_line()?),
            BINPERSID => drop(self.pop()?),
            EXT1 => drop(self.input.byte()?),
            EXT2 => drop(self.input.u16()?),
            EXT4 => drop(self.input.u32()?),
            _ => return Err(refusal(opcode)),
        }
        self.push_node(Node::Opaque)
    }
}

fn text(bytes: &[u8]) -> Result<Node<'_>, Flaw> {
    if is_text_with_surrogates(bytes) {
        Ok(Node::Text(Cow::Borrowed(bytes)))
    } else {
        Err(malformed("a text that is no UTF-8"))
    }
}

fn pairs(items: &[Item]) -> Result<Vec<(Item, Item)>, Flaw> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(malformed("a key without a value"));
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

fn check_stack(height: usize) -> Result<(), Flaw> {
    if height >= PICKLE_STACK_MAX {
        return Err(Flaw::over_limit(format!(
            "pickle: more than {PICKLE_STACK_MAX} values on the stack"
        )));
    }
    Ok(())
}

fn memo_key(line: &str) -> Result<u32, Flaw> {
    line.parse()
        .map_err(|_| malformed("a reference that is no number"))
}

fn underflow() -> Flaw {
    malformed("the stack is empty")
}

fn refusal(opcode: u8) -> Flaw {
    let what = match opcode {
        INST | OBJ | NEWOBJ_EX => "it makes an object of a class",
        PERSID | BINPERSID => "it refers to an object outside of the message",
        EXT1..=EXT4 => "it names a class by a registered number",
        NEXT_BUFFER | READONLY_BUFFER => "it refers to a buffer outside of the message",
        _ => return malformed(&format!("instruction 0x{opcode:02x}")),
    };
    Flaw::refused(format!(
        "pickle: {what}, which is not data; {}",
        super::REMEDY
    ))
}
