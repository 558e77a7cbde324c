//! Values from JSON.

use super::number;
use super::scanner::{Dialect, Scanner};
use super::typed;
use crate::budget::tight;
use crate::undecodable::Flaw;
use crate::unique::unique_members;
use crate::value::Value;

impl Scanner<'_> {
    /// Builds the next value.
    pub(crate) fn value(&mut self) -> Result<Value, Flaw> {
        self.budget.value()?;
        match self.peek()? {
            b'"' => self.text_value(),
            b'{' => self.map(),
            b'[' => self.list(),
            _ => self.word(),
        }
    }

    /// Passes over the next value and gives an empty one of the same type: enough to see whether it has
    /// the right shape. Words and numbers are given as they are.
    pub(crate) fn hollow(&mut self) -> Result<Value, Flaw> {
        let hollow = match self.peek()? {
            b'"' => Value::Str(String::new()),
            b'{' => Value::Map(Vec::new()),
            b'[' => Value::List(Vec::new()),
            _ => return self.word(),
        };
        self.skip()?;
        Ok(hollow)
    }

    fn word(&mut self) -> Result<Value, Flaw> {
        let start = self.position();
        match number::read(self.bare_word()?)? {
            Some(value) => Ok(value),
            None => Err(self.unexpected_at(start, "a value")),
        }
    }

    fn text_value(&mut self) -> Result<Value, Flaw> {
        let text = self.text()?;
        match text.len() {
            0 => {}
            length => self.budget.chunk(length)?,
        }
        Ok(text.into_value())
    }

    fn list(&mut self) -> Result<Value, Flaw> {
        let mut list = Vec::new();
        let mut opened = self.open_list()?;
        while self.next_element(&mut opened)? {
            list.push(self.value()?);
        }
        if !list.is_empty() {
            self.budget.chunk(0)?;
        }
        Ok(Value::List(tight(list)))
    }

    fn map(&mut self) -> Result<Value, Flaw> {
        let mut members = Vec::new();
        let mut opened = self.open_map()?;
        while let Some(key) = self.next_key(&mut opened)? {
            self.budget.value()?;
            self.budget.chunk(key.len())?;
            members.push((key.into_value(), self.value()?));
        }
        let members = unique_members(tight(members))?;
        match self.dialect {
            Dialect::Python => Ok(Value::Map(members)),
            Dialect::Kombu => typed::resolve(members),
        }
    }
}
