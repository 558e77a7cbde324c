//! From a message body to a task: which of the formats it is.

use crate::body;
use crate::celery::{Celery, Part};
use crate::head::Head;
use crate::message::Message;
use crate::native::Native;
use crate::outline::Outline;
use crate::undecodable::{Layer, Undecodable};

/// Reads what a worker must know before it runs the task.
///
/// Cheap: arguments are passed over, not built and not checked beyond finding their end, so that
/// [`read`] may still refuse a body whose head was readable.
pub fn read_head(body: &str) -> Result<Head, Undecodable> {
    let text = body::text(body).map_err(|flaw| flaw.within(Layer::Body))?;
    let mut outline = Outline::read(&text, Part::Head)?;
    match outline.properties.take() {
        Some(properties) => Celery::open(properties, outline)?.head(),
        None => Ok(Native::read(outline)?.into_head()),
    }
}

/// Reads the whole message.
pub fn read(body: &str) -> Result<Message, Undecodable> {
    let text = body::text(body).map_err(|flaw| flaw.within(Layer::Body))?;
    let mut outline = Outline::read(&text, Part::All)?;
    match outline.properties.take() {
        Some(properties) => Celery::open(properties, outline)?.message(),
        None => Native::read(outline)?.into_message(),
    }
}
