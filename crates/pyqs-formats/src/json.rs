//! JSON as Python reads it: `NaN` and `Infinity`, integers of any size, lone surrogates, the last of
//! equal keys; and kombu's typed values where asked for.
//!
//! [`Scanner`] goes over a text once. It can pass over a value without building it, which is what makes
//! reading a head cheap; `build` makes [`Value`](crate::Value)s.

mod build;
mod number;
mod scanner;
mod text;
mod typed;
pub(crate) mod write;

pub(crate) use scanner::{Dialect, Scanner};
