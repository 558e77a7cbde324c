//! One task to run.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use pyqs_formats::message::Canvas;
use pyqs_sqs::AttributeValue;

use crate::reader::Reader;
use crate::{errors, message};

/// See [`pyqs_worker::Job`].
#[pyclass(frozen, module = "pyqs._pyqs")]
pub(crate) struct Job(pyqs_worker::Job);

impl From<pyqs_worker::Job> for Job {
    fn from(job: pyqs_worker::Job) -> Self {
        Self(job)
    }
}

#[pymethods]
impl Job {
    #[getter]
    fn message_id(&self) -> &str {
        &self.0.message_id
    }

    #[getter]
    fn receipt_handle(&self) -> &str {
        &self.0.receipt
    }

    #[getter]
    fn queue_url(&self) -> &str {
        &self.0.queue_url
    }

    #[getter]
    fn task(&self) -> &str {
        &self.0.task
    }

    #[getter]
    fn fetch_time(&self) -> f64 {
        self.0.fetch_time
    }

    #[getter]
    fn timeout(&self) -> u32 {
        self.0.timeout
    }

    #[getter]
    fn time_limit(&self) -> Option<f64> {
        self.0.limits.hard.map(|limit| limit.as_secs_f64())
    }

    #[getter]
    fn soft_time_limit(&self) -> Option<f64> {
        self.0.limits.soft.map(|limit| limit.as_secs_f64())
    }

    #[getter]
    fn attempt(&self) -> u32 {
        self.0.attempt
    }

    #[getter]
    fn receive_count(&self) -> u32 {
        self.0.receive_count
    }

    #[getter]
    fn retries_before(&self) -> u32 {
        self.0.retries_before
    }

    /// The message's attributes: texts and numbers as text, the others as bytes.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let attributes = PyDict::new(py);
        for (name, value) in &self.0.attributes {
            match value {
                AttributeValue::Text { value, .. } => attributes.set_item(name, value)?,
                AttributeValue::Binary { value, .. } => {
                    attributes.set_item(name, PyBytes::new(py, value))?;
                }
            }
        }
        Ok(attributes)
    }

    /// Decodes what a task of Celery's finds in its request; `None` where the message is not Celery's.
    fn celery_request<'py>(
        &self,
        py: Python<'py>,
        reader: &Reader,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let body = &self.0.body;
        match reader.read(body) {
            Ok(message) => message::request(py, &message.head, &message.canvas, &message.headers),
            // Its arguments are a pickle that Python's own loader reads.
            Err(_) => message::request(py, &reader.read_head(body)?, &Canvas::default(), &[]),
        }
    }

    /// The pickle that a message of Celery's is, unread; `None` where it is none.
    fn pickle<'py>(
        &self,
        py: Python<'py>,
        reader: &Reader,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let pickle = reader.pickle(&self.0.body)?;
        Ok(pickle.map(|bytes| PyBytes::new(py, &bytes)))
    }

    /// Decodes the arguments, positional and by keyword. A message that asks for more than its task is
    /// undecodable too.
    fn arguments<'py>(
        &self,
        py: Python<'py>,
        reader: &Reader,
    ) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyDict>)> {
        let message = reader
            .read(&self.0.body)?
            .standing_alone()
            .map_err(|error| errors::undecodable(&error))?;
        message::arguments(py, &message)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Job>()
}
