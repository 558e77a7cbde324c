//! Wire formats of task messages: bytes in, values out, nothing is run.
//!
//! Reads PyQS's own JSON and what Celery writes to SQS, and writes calls that Celery reads. A message body goes
//! in, a [`Head`] or a whole [`Message`] comes out, or an [`Undecodable`] that says which layer failed and why. The
//! crate knows no queues, no processes, no Python and no clock; it imports, calls and opens nothing that a message
//! names.
//!
//! ```
//! let body = r#"{"task": "shop.tasks.pay", "args": [7], "kwargs": {"currency": "EUR"}}"#;
//! let head = pyqs_formats::read_head(body)?;
//! assert_eq!(head.task, "shop.tasks.pay");
//!
//! let message = pyqs_formats::read(body)?;
//! assert_eq!(message.args, [pyqs_formats::Value::Int(7)]);
//! # Ok::<(), pyqs_formats::Undecodable>(())
//! ```
//!
//! Modules in reading order: [`mod@read`] chooses the format, of what `body` and `outline` find; `native` and
//! `celery` read one each, into [`head`] and [`message`]. [`value`] and [`calendar`] are what arguments are
//! made of. A payload of Celery's goes through `compress`, [`signed`] and one of the serializers: `json`,
//! `pickle`, `yaml`, `msgpack`. What is sent in Celery's format is written by [`mod@write`]; [`signature`] says what
//! that is after a task with links or a chain. `budget` and [`limits`] bound all of them; [`undecodable`] is the one
//! error. [`mod@pointer`] is a message whose body is elsewhere. [`layers`] takes a message apart for people, who see
//! values as `literal` writes them.

mod body;
mod budget;
pub mod calendar;
mod celery;
mod compress;
mod decimal;
pub mod head;
mod integer;
mod json;
pub mod layers;
pub mod limits;
mod literal;
pub mod message;
mod msgpack;
mod native;
mod outline;
mod pickle;
pub mod pointer;
pub mod read;
mod serializer;
pub mod signature;
pub mod signed;
mod surrogates;
pub mod undecodable;
mod unique;
pub mod value;
pub mod write;
mod yaml;

pub use head::{Format, Head, Moment};
pub use layers::Layers;
pub use message::Message;
pub use pointer::Pointer;
pub use read::{Reader, read, read_head};
pub use undecodable::Undecodable;
pub use value::Value;
pub use write::CeleryCall;
