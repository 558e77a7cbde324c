//! `Message`: a task with its arguments.

use crate::head::Head;
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
