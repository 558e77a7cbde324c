//! From a message body to a task: which of the formats it is.

use crate::body;
use crate::celery::{Celery, Part};
use crate::head::Head;
use crate::limits::{BODY_BYTES_MAX, STORED_BYTES_MAX};
use crate::message::Message;
use crate::native::Native;
use crate::outline::Outline;
use crate::signed::Certificates;
use crate::undecodable::{Layer, Undecodable};

/// Reads what a worker must know before it runs the task.
///
/// Cheap: arguments are passed over, not built and not checked beyond finding their end, so that
/// [`read`] may still refuse a body whose head was readable.
pub fn read_head(body: &str) -> Result<Head, Undecodable> {
    Reader::default().read_head(body)
}

/// Reads the whole message.
pub fn read(body: &str) -> Result<Message, Undecodable> {
    Reader::default().read(body)
}

/// Reads messages, with what not every reader has.
#[derive(Clone, Copy, Default)]
pub struct Reader<'c> {
    pub(crate) certificates: Option<&'c dyn Certificates>,
    pub(crate) accepted: Option<&'c [String]>,
    pub(crate) has_opaque_pickles: bool,
    pub(crate) is_stored: bool,
}

impl<'c> Reader<'c> {
    /// Signed messages are read if their signature holds. Without certificates they are refused.
    #[must_use]
    pub fn with_certificates(self, certificates: &'c dyn Certificates) -> Self {
        Self {
            certificates: Some(certificates),
            ..self
        }
    }

    /// Celery's payloads of other content types than these are refused, unread. Without, all are read.
    #[must_use]
    pub fn accepting(self, content_types: &'c [String]) -> Self {
        Self {
            accepted: Some(content_types),
            ..self
        }
    }

    /// Heads are read of messages whose pickled arguments hold objects too: these are passed over, none is made.
    /// [`read`](Self::read) refuses such a message all the same; [`pickle`](Self::pickle) gives it to who takes the
    /// risk.
    #[must_use]
    pub fn with_opaque_pickles(self) -> Self {
        Self {
            has_opaque_pickles: true,
            ..self
        }
    }

    /// Bodies were stored elsewhere, since SQS would not take them: they may have up to
    /// [`STORED_BYTES_MAX`] bytes.
    #[must_use]
    pub fn of_stored(self) -> Self {
        Self {
            is_stored: true,
            ..self
        }
    }

    pub(crate) fn bytes_max(&self) -> usize {
        if self.is_stored {
            STORED_BYTES_MAX
        } else {
            BODY_BYTES_MAX
        }
    }

    /// The payload of a message of Celery's that is a pickle, out of its encoding, compression and signature, but
    /// unread; `None` where it is none. Who loads it with Python's own loader lets the sender run code.
    pub fn pickle(&self, body: &str) -> Result<Option<Vec<u8>>, Undecodable> {
        let text = body::text(body, self.bytes_max()).map_err(|flaw| flaw.within(Layer::Body))?;
        let mut outline = Outline::read(&text, Part::Head)?;
        match outline.properties.take() {
            Some(properties) => Celery::open(properties, outline, *self)?.pickle(),
            None => Ok(None),
        }
    }

    /// As the function [`read_head`].
    pub fn read_head(&self, body: &str) -> Result<Head, Undecodable> {
        let text = body::text(body, self.bytes_max()).map_err(|flaw| flaw.within(Layer::Body))?;
        let mut outline = Outline::read(&text, Part::Head)?;
        match outline.properties.take() {
            Some(properties) => Celery::open(properties, outline, *self)?.head(),
            None => Ok(Native::read(outline)?.into_head()),
        }
    }

    /// As the function [`read`].
    pub fn read(&self, body: &str) -> Result<Message, Undecodable> {
        let text = body::text(body, self.bytes_max()).map_err(|flaw| flaw.within(Layer::Body))?;
        let mut outline = Outline::read(&text, Part::All)?;
        match outline.properties.take() {
            Some(properties) => Celery::open(properties, outline, *self)?.message(),
            None => Native::read(outline)?.into_message(self.is_stored),
        }
    }
}
