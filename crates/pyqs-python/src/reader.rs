//! How a process reads messages: what not every reader has.

use pyo3::prelude::*;
use pyqs_formats::{Head, Message, Undecodable};
use pyqs_sqs::Received;
use pyqs_worker::{CertificateStore, Unmanaged};

use crate::errors::{self, SettingsInvalid};

/// See [`pyqs_formats::Reader`].
#[pyclass(frozen, module = "pyqs._pyqs")]
pub(crate) struct Reader {
    accepted: Option<Vec<String>>,
    certificates: Option<CertificateStore>,
    has_opaque_pickles: bool,
}

#[pymethods]
impl Reader {
    /// Without anything, reads all messages that need nothing else.
    #[new]
    #[pyo3(signature = (*, accepted=None, cert_store=None, opaque_pickles=false))]
    fn new(
        accepted: Option<Vec<String>>,
        cert_store: Option<&str>,
        opaque_pickles: bool,
    ) -> PyResult<Self> {
        let store = cert_store.map(CertificateStore::load).transpose();
        Ok(Self {
            accepted,
            certificates: store.map_err(|error| SettingsInvalid::new_err(error.to_string()))?,
            has_opaque_pickles: opaque_pickles,
        })
    }
}

/// A message's body.
pub(crate) struct Body {
    pub(crate) text: String,
    /// It was stored elsewhere, and may be larger than what SQS takes.
    pub(crate) is_stored: bool,
}

impl Reader {
    /// A message as a job, without a manager.
    pub(crate) fn open(
        &self,
        received: Received,
        queue: &str,
        attempt: u32,
        handler: Option<&str>,
    ) -> Result<Unmanaged, String> {
        Unmanaged::open(received, queue, attempt, handler, self.reader())
    }

    pub(crate) fn read(&self, body: &Body) -> PyResult<Message> {
        raised(self.reader_of(body).read(&body.text))
    }

    pub(crate) fn read_head(&self, body: &Body) -> PyResult<Head> {
        raised(self.reader_of(body).read_head(&body.text))
    }

    pub(crate) fn pickle(&self, body: &Body) -> PyResult<Option<Vec<u8>>> {
        raised(self.reader_of(body).pickle(&body.text))
    }

    fn reader_of(&self, body: &Body) -> pyqs_formats::Reader<'_> {
        let reader = self.reader();
        if body.is_stored {
            reader.of_stored()
        } else {
            reader
        }
    }

    fn reader(&self) -> pyqs_formats::Reader<'_> {
        let mut reader = pyqs_formats::Reader::default();
        if let Some(accepted) = &self.accepted {
            reader = reader.accepting(accepted);
        }
        if let Some(certificates) = &self.certificates {
            reader = reader.with_certificates(certificates);
        }
        if self.has_opaque_pickles {
            reader = reader.with_opaque_pickles();
        }
        reader
    }
}

fn raised<T>(read: Result<T, Undecodable>) -> PyResult<T> {
    read.map_err(|error| errors::undecodable(&error))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Reader>()
}
