//! msgpack, as kombu writes it: no extension types but for what they say, text and bytes apart.

use crate::budget::{Budget, check_depth, tight};
use crate::undecodable::Flaw;
use crate::unique::unique_members;
use crate::value::Value;

/// The longest prefix of memory that is set aside on the word of a length that is not yet seen to be true.
const RESERVED_ITEMS_MAX: usize = 1024;

/// Reads one value, which must be all there is.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, Flaw> {
    let mut reader = Reader {
        rest: bytes,
        depth: 0,
        budget: Budget::new(),
    };
    let value = reader.value()?;
    if reader.rest.is_empty() {
        return Ok(value);
    }
    Err(Flaw::malformed(format!(
        "not msgpack: {} bytes after the value",
        reader.rest.len()
    )))
}

struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
    budget: Budget,
}

impl<'a> Reader<'a> {
    /// Reads the next value. Only lists and maps come back here, so that a level costs little stack.
    fn value(&mut self) -> Result<Value, Flaw> {
        self.budget.value()?;
        let [tag] = self.array()?;
        match tag {
            0x80..=0x8f => self.map(usize::from(tag & 0x0f)),
            0x90..=0x9f => self.list(usize::from(tag & 0x0f)),
            0xdc | 0xdd => self
                .length(tag - 0xdc + 1)
                .and_then(|length| self.list(length)),
            0xde | 0xdf => self
                .length(tag - 0xde + 1)
                .and_then(|length| self.map(length)),
            _ => self.scalar(tag),
        }
    }

    fn scalar(&mut self, tag: u8) -> Result<Value, Flaw> {
        Ok(match tag {
            0x00..=0x7f => Value::Int(tag.into()),
            0xe0..=0xff => Value::Int(tag.cast_signed().into()),
            0xc0 => Value::Null,
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xca => Value::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Value::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Value::Int(u8::from_be_bytes(self.array()?).into()),
            0xcd => Value::Int(u16::from_be_bytes(self.array()?).into()),
            0xce => Value::Int(u32::from_be_bytes(self.array()?).into()),
            0xcf => unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => Value::Int(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Value::Int(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Value::Int(i64::from_be_bytes(self.array()?)),
            0xa0..=0xbf => return self.text(usize::from(tag & 0x1f)),
            0xd9..=0xdb => return self.length(tag - 0xd9).and_then(|length| self.text(length)),
            0xc4..=0xc6 => {
                let length = self.length(tag - 0xc4)?;
                Value::Bytes(self.owned(length)?)
            }
            _ => return Err(extension(tag)),
        })
    }

    /// A length of one, two or four bytes.
    fn length(&mut self, width: u8) -> Result<usize, Flaw> {
        Ok(match width {
            0 => u8::from_be_bytes(self.array()?).into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => usize::try_from(u32::from_be_bytes(self.array()?)).unwrap_or(usize::MAX),
        })
    }

    /// Python's msgpack refuses text that is no UTF-8; lone surrogates are written by nobody.
    fn text(&mut self, length: usize) -> Result<Value, Flaw> {
        match String::from_utf8(self.owned(length)?) {
            Ok(text) => Ok(Value::Str(text)),
            Err(_) => Err(Flaw::malformed("not msgpack: a text that is no UTF-8")),
        }
    }

    fn list(&mut self, length: usize) -> Result<Value, Flaw> {
        self.open(length)?;
        let mut list = Vec::with_capacity(length.min(RESERVED_ITEMS_MAX));
        for _ in 0..length {
            list.push(self.value()?);
        }
        self.depth -= 1;
        Ok(Value::List(tight(list)))
    }

    fn map(&mut self, length: usize) -> Result<Value, Flaw> {
        self.open(length)?;
        let mut members = Vec::with_capacity(length.min(RESERVED_ITEMS_MAX));
        for _ in 0..length {
            members.push((key(self.value()?), self.value()?));
        }
        self.depth -= 1;
        Ok(Value::Map(unique_members(tight(members))?))
    }

    fn open(&mut self, length: usize) -> Result<(), Flaw> {
        self.depth += 1;
        check_depth(self.depth)?;
        // Each element has a byte at least.
        if length > self.rest.len() {
            return Err(ends_early());
        }
        if length > 0 {
            self.budget.chunk(0)
        } else {
            Ok(())
        }
    }

    fn owned(&mut self, length: usize) -> Result<Vec<u8>, Flaw> {
        let bytes = self.bytes(length)?;
        self.budget.chunk(length)?;
        Ok(bytes.to_vec())
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Flaw> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

fn unsigned(number: u64) -> Value {
    match i64::try_from(number) {
        Ok(int) => Value::Int(int),
        Err(_) => Value::BigInt(number.to_string()),
    }
}

/// Python 2 wrote its texts as bytes; as a key they are text.
fn key(key: Value) -> Value {
    match key {
        Value::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Value::Str(text),
            Err(error) => Value::Bytes(error.into_bytes()),
        },
        other => other,
    }
}

fn extension(tag: u8) -> Flaw {
    Flaw::refused(format!(
        "msgpack's extension types are not read (tag 0x{tag:02x}); kombu writes none"
    ))
}

fn ends_early() -> Flaw {
    Flaw::malformed("not msgpack: the data ends early")
}
