//! Pickle as data: protocols 0 to 5, by Python 2 and 3, read without running anything.
//!
//! A pickle is a program for a stack machine, two of whose instructions import and call what it names.
//! Here they name a short list of known values (dates, decimals, sets, ...) that are built in Rust; any
//! other name, and every instruction that could only serve classes, is refused.
//!
//! In reading order: `opcodes` names the instructions and `input` their arguments; `machine` runs them on
//! a `heap` of nodes, which may refer to each other in any way; `globals` lists what may be named and
//! `calls` builds it, `moments` for dates and times; `output` copies the result out, as a tree.

mod calls;
mod globals;
mod heap;
mod input;
mod literal;
mod machine;
mod memo;
mod moments;
mod opcodes;
mod output;

use crate::undecodable::Flaw;
use crate::value::Value;

/// Reads one pickle. What follows it is not looked at, as with Python.
pub(crate) fn read(bytes: &[u8], objects: Objects) -> Result<Value, Flaw> {
    let (heap, result) = machine::run(bytes, objects)?;
    output::to_value(&heap, result, objects)
}

/// What becomes of objects that are no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Objects {
    /// The pickle is refused.
    Refused,
    /// Each is read as `None`, and what is done to it as nothing. None is made, none is imported.
    Opaque,
}

/// What someone can do whose pickle is refused.
const REMEDY: &str = "send plain data, or start the worker with --unsafe-pickle";

fn malformed(what: &str) -> Flaw {
    Flaw::malformed(format!("not a pickle: {what}"))
}
