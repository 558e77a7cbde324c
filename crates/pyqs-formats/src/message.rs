//! `Message`: a task with its arguments.

use crate::head::Head;
use crate::undecodable::Flaw;
use crate::value::Value;

/// A message read whole.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// The same as [`read_head`](crate::read_head) gives.
    pub head: Head,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments, in order; no name twice.
    pub kwargs: Vec<(String, Value)>,
    /// What Celery is to do after the task.
    pub canvas: Canvas,
    /// `stamps` of the headers whose names `stamped_headers` lists.
    pub stamps: Vec<(String, Value)>,
    /// The headers that are none of Celery's which are read here: the sender's own, and what is for logs.
    pub headers: Vec<(String, Value)>,
}

/// Celery's workflow around a task. Each signature is a map with `task`, `args`, `kwargs`, `options` and more.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Canvas {
    /// Signatures to send after success (`link`).
    pub callbacks: Vec<Value>,
    /// Signatures to send after failure (`link_error`).
    pub errbacks: Vec<Value>,
    /// The tasks still to come, in reverse: the last one runs next.
    pub chain: Vec<Value>,
    /// The chord's body, if this task is a member of its header.
    pub chord: Option<Value>,
}

impl Message {
    /// Checks the shapes of the arguments.
    pub(crate) fn new(
        head: Head,
        args: Value,
        kwargs: Value,
        canvas: Canvas,
    ) -> Result<Self, Flaw> {
        let args = match args {
            Value::List(args) | Value::Tuple(args) => args,
            other => {
                return Err(Flaw::malformed(format!(
                    "args is of type {}, not list",
                    other.type_name()
                )));
            }
        };
        let kwargs = match kwargs {
            Value::Map(kwargs) => kwargs.into_iter().map(keyword).collect::<Result<_, _>>()?,
            other => {
                return Err(Flaw::malformed(format!(
                    "kwargs is of type {}, not map",
                    other.type_name()
                )));
            }
        };
        Ok(Self {
            head,
            args,
            kwargs,
            canvas,
            stamps: Vec::new(),
            headers: Vec::new(),
        })
    }
}

fn keyword((name, value): (Value, Value)) -> Result<(String, Value), Flaw> {
    match name {
        Value::Str(name) => Ok((name, value)),
        Value::SurrogateStr(_) => Err(Flaw::malformed("a keyword with lone surrogates")),
        other => Err(Flaw::malformed(format!(
            "a keyword of type {}",
            other.type_name()
        ))),
    }
}
