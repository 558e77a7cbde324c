//! `Scanner`: one pass over a JSON text, by hand.

use super::text::{self, Text};
use crate::budget::{Budget, check_depth};
use crate::undecodable::Flaw;

/// Goes over one JSON text from left to right.
///
/// A map is read by [`open_map`](Self::open_map), then [`next_key`](Self::next_key) until it gives none;
/// after each key the caller reads or skips exactly one value. Lists likewise.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    pub(super) budget: Budget,
    pub(super) dialect: Dialect,
}

/// Which JSON it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// What Python's `json` reads.
    Python,
    /// With kombu's typed values: `{"__type__": ..., "__value__": ...}`.
    Kombu,
}

/// The state between two members of a map or elements of a list.
pub(crate) struct Opened {
    is_first: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            budget: Budget::new(),
            dialect,
        }
    }

    /// Over the text of a body that was stored elsewhere, if it is one.
    pub(crate) fn of_stored(self, is_stored: bool) -> Self {
        if !is_stored {
            return self;
        }
        let budget = Budget::for_stored(self.text);
        Self { budget, ..self }
    }

    /// The next byte that is no white space; it is not consumed.
    pub(crate) fn peek(&mut self) -> Result<u8, Flaw> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(Flaw::malformed("the JSON ends early"))
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Flaw> {
        match self.peek() {
            Err(_) => Ok(()),
            Ok(_) => Err(self.unexpected("nothing more")),
        }
    }

    pub(crate) fn open_map(&mut self) -> Result<Opened, Flaw> {
        self.open(b'{', "a JSON object")
    }

    pub(crate) fn open_list(&mut self) -> Result<Opened, Flaw> {
        self.open(b'[', "a JSON array")
    }

    /// The next key, its colon consumed; `None` once the map is closed.
    pub(crate) fn next_key(&mut self, opened: &mut Opened) -> Result<Option<Text<'a>>, Flaw> {
        if !self.next(opened, b'}')? {
            return Ok(None);
        }
        let key = self.text()?;
        if self.peek()? != b':' {
            return Err(self.unexpected("':'"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Whether there is one more element to read; `false` once the list is closed.
    pub(crate) fn next_element(&mut self, opened: &mut Opened) -> Result<bool, Flaw> {
        self.next(opened, b']')
    }

    /// Reads a string.
    pub(crate) fn text(&mut self) -> Result<Text<'a>, Flaw> {
        if self.peek()? != b'"' {
            return Err(self.unexpected("a string"));
        }
        let (text, length) =
            text::read(&self.text[self.at + 1..]).map_err(|what| self.bad_string(what))?;
        self.at += 1 + length;
        Ok(text)
    }

    /// Passes over one value, and gives its text. What is inside is checked only as far as is needed to
    /// find its end: strings are closed, and as many brackets are closed as were opened.
    pub(crate) fn skip(&mut self) -> Result<&'a str, Flaw> {
        match self.peek()? {
            b'"' => {
                let start = self.at;
                self.skip_string()?;
                Ok(&self.text[start..self.at])
            }
            b'{' | b'[' => self.skip_nested(),
            _ => self.bare_word(),
        }
    }

    /// A number or a word (`null`, `NaN`): all up to the next delimiter.
    pub(super) fn bare_word(&mut self) -> Result<&'a str, Flaw> {
        let rest = &self.text[self.at..];
        let length = rest
            .bytes()
            .position(|b| matches!(b, b',' | b']' | b'}' | b':' | b' ' | b'\n' | b'\r' | b'\t'))
            .unwrap_or(rest.len());
        if length == 0 {
            return Err(self.unexpected("a value"));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn unexpected_at(&self, at: usize, wanted: &str) -> Flaw {
        let found = match self.text[at..].chars().next() {
            Some(found) => format!("{found:?}"),
            None => "the end".to_owned(),
        };
        Flaw::malformed(format!(
            "not JSON: {wanted} expected at byte {at}, found {found}"
        ))
    }

    fn unexpected(&self, wanted: &str) -> Flaw {
        self.unexpected_at(self.at, wanted)
    }

    fn bad_string(&self, what: &str) -> Flaw {
        Flaw::malformed(format!(
            "not JSON: {what} in the string at byte {}",
            self.at
        ))
    }

    fn open(&mut self, bracket: u8, wanted: &str) -> Result<Opened, Flaw> {
        if self.peek()? != bracket {
            return Err(self.unexpected(wanted));
        }
        self.at += 1;
        self.depth += 1;
        check_depth(self.depth)?;
        Ok(Opened { is_first: true })
    }

    fn next(&mut self, opened: &mut Opened, closing: u8) -> Result<bool, Flaw> {
        let byte = self.peek()?;
        if byte == closing {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        if opened.is_first {
            opened.is_first = false;
            return Ok(true);
        }
        if byte != b',' {
            return Err(self.unexpected(if closing == b'}' {
                "',' or '}'"
            } else {
                "',' or ']'"
            }));
        }
        self.at += 1;
        if self.peek()? == closing {
            return Err(self.unexpected("another value"));
        }
        Ok(true)
    }

    fn skip_string(&mut self) -> Result<(), Flaw> {
        let length = text::length(&self.text.as_bytes()[self.at + 1..])
            .ok_or_else(|| self.bad_string("no closing quote"))?;
        self.at += 1 + length;
        Ok(())
    }

    fn skip_nested(&mut self) -> Result<&'a str, Flaw> {
        let start = self.at;
        let mut depth = 0;
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                b'{' | b'[' => {
                    depth += 1;
                    check_depth(self.depth + depth)?;
                }
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(&self.text[start..self.at]);
            }
        }
        Err(Flaw::malformed("the JSON ends early"))
    }
}
