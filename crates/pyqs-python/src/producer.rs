//! Sending.

use std::time::Duration;

use pyo3::prelude::*;
use pyqs::client::blocking;
use pyqs_sqs::ConnectOptions;

use crate::errors;
use crate::settings::WorkerSettings;

/// See [`pyqs::client::blocking::Producer`].
#[pyclass(frozen, module = "pyqs._pyqs")]
struct Producer(blocking::Producer);

#[pymethods]
impl Producer {
    /// Starts nothing. What is not given is taken from the environment and the profile files.
    #[new]
    #[pyo3(signature = (*, region=None, access_key_id=None, secret_access_key=None, endpoint_url=None))]
    fn new(
        region: Option<String>,
        access_key_id: Option<String>,
        secret_access_key: Option<String>,
        endpoint_url: Option<String>,
    ) -> Self {
        Self(blocking::Producer::new(ConnectOptions {
            region,
            access_key_id,
            secret_access_key,
            endpoint_url,
        }))
    }

    /// Sends a message; its id comes back when SQS has it.
    fn send(
        &self,
        py: Python<'_>,
        queue: &str,
        body: String,
        delay_seconds: u64,
    ) -> PyResult<String> {
        let delay = Duration::from_secs(delay_seconds);
        waiting(py, |keep_waiting| {
            self.0.send(queue, body, Some(delay), keep_waiting)
        })
    }

    /// The URL of a queue, which is created where it is missing.
    fn queue_url(&self, py: Python<'_>, queue: &str) -> PyResult<String> {
        waiting(py, |keep_waiting| self.0.queue_url(queue, keep_waiting))
    }

    /// Ends and joins the threads.
    fn shutdown(&self, py: Python<'_>) {
        py.detach(|| self.0.shutdown());
    }
}
