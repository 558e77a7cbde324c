//! `Input`: the bytes of a pickle, and the arguments of its instructions.

use super::malformed;
use crate::undecodable::Flaw;

/// What is still to be read.
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Flaw> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Flaw> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Flaw> {
        self.array().map(u32::from_le_bytes)
    }

    /// Bytes whose length comes first, in one byte.
    pub(super) fn sized1(&mut self) -> Result<&'a [u8], Flaw> {
        let length = self.byte()?;
        self.bytes(length.into())
    }

    /// Bytes whose length comes first, in four bytes.
    pub(super) fn sized4(&mut self) -> Result<&'a [u8], Flaw> {
        let length = self.u32()?;
        self.bytes(length.into())
    }

    /// Bytes whose length comes first, in eight bytes.
    pub(super) fn sized8(&mut self) -> Result<&'a [u8], Flaw> {
        let length = self.array().map(u64::from_le_bytes)?;
        self.bytes(length)
    }

    /// Up to the end of the line, which is not part of it.
    pub(super) fn line(&mut self) -> Result<&'a [u8], Flaw> {
        let length = self
            .rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or_else(ends_early)?;
        let line = &self.rest[..length];
        self.rest = &self.rest[length + 1..];
        Ok(line)
    }

    /// A line that is text.
    pub(super) fn text_line(&mut self) -> Result<&'a str, Flaw> {
        str::from_utf8(self.line()?).map_err(|_| malformed("a line that is no text"))
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], Flaw> {
        let length = usize::try_from(length).map_err(|_| ends_early())?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(bytes)
    }
}

fn ends_early() -> Flaw {
    malformed("the data ends early")
}
