//! From a message body to a task: which of the formats it is.

use crate::head::Head;
use crate::message::Message;
use crate::undecodable::{Layer, Undecodable};

/// Reads what a worker must know before it runs the task.
///
/// Cheap: arguments are passed over, not built and not checked beyond finding their end, so that
/// [`read`] may still refuse a body whose head was readable.
pub fn read_head(body: &str) -> Result<Head, Undecodable> {
    let _ = body;
    Err(Undecodable::not_a_task(
        Layer::Body,
        "no format is read yet",
    ))
}

/// Reads the whole message.
pub fn read(body: &str) -> Result<Message, Undecodable> {
    let _ = body;
    Err(Undecodable::not_a_task(
        Layer::Body,
        "no format is read yet",
    ))
}
