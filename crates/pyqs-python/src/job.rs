//! One task to run.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

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

    /// Decodes the arguments, positional and by keyword. A message that asks for more than its task is
    /// undecodable too.
    fn arguments<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyDict>)> {
        let message = message::read(&self.0.body)?
            .standing_alone()
            .map_err(|error| errors::undecodable(&error))?;
        message::arguments(py, &message)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Job>()
}
