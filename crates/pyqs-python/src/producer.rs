//! Sending.

use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;

/// See [`pyqs::client::blocking::Producer`].
#[pyclass(frozen, module = "pyqs._pyqs")]
struct Producer;

#[pymethods]
impl Producer {
    #[new]
    #[pyo3(signature = (*, region=None, access_key_id=None, secret_access_key=None, endpoint_url=None))]
    fn new(
        region: Option<String>,
        access_key_id: Option<String>,
        secret_access_key: Option<String>,
        endpoint_url: Option<String>,
    ) -> Self {
        let _ = (region, access_key_id, secret_access_key, endpoint_url);
        Self
    }

    fn send(&self, queue: &str, body: String, delay_seconds: u64) -> PyResult<String> {
        let _ = (queue, body, delay_seconds);
        Err(PyNotImplementedError::new_err("soon"))
    }

    fn queue_url(&self, queue: &str) -> PyResult<String> {
        let _ = queue;
        Err(PyNotImplementedError::new_err("soon"))
    }

    fn shutdown(&self) {}
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Producer>()
}
