//! How a process reads messages: what not every reader has.

use pyo3::prelude::*;
use pyqs_formats::Message;

use crate::errors;

/// See [`pyqs_formats::Reader`].
#[pyclass(frozen, module = "pyqs._pyqs")]
pub(crate) struct Reader {
    accepted: Option<Vec<String>>,
}

#[pymethods]
impl Reader {
    /// Without anything, reads all messages that need nothing else.
    #[new]
    #[pyo3(signature = (*, accepted=None))]
    fn new(accepted: Option<Vec<String>>) -> Self {
        Self { accepted }
    }
}

impl Reader {
    pub(crate) fn read(&self, body: &str) -> PyResult<Message> {
        let mut reader = pyqs_formats::Reader::default();
        if let Some(accepted) = &self.accepted {
            reader = reader.accepting(accepted);
        }
        reader
            .read(body)
            .map_err(|error| errors::undecodable(&error))
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Reader>()
}
