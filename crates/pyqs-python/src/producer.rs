//! Sending.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use pyqs::{AttributeValue, ClientError, ConnectOptions, Outgoing, blocking};
use pyqs_sqs::carried;

use crate::errors;

/// See [`pyqs::blocking::Producer`].
#[pyclass(frozen, module = "pyqs._pyqs")]
struct Producer(blocking::Producer);

/// A message as Python gives it: an object with these attributes.
#[derive(FromPyObject)]
pub(crate) struct Message<'py> {
    body: String,
    delay_seconds: u64,
    group: Option<String>,
    dedup_id: Option<String>,
    attributes: Bound<'py, PyDict>,
}

impl Message<'_> {
    pub(crate) fn outgoing(self) -> PyResult<Outgoing> {
        let attributes = self
            .attributes
            .iter()
            .map(|(name, value)| Ok((name.extract()?, attribute(&value)?)));
        Ok(Outgoing {
            delay: Some(Duration::from_secs(self.delay_seconds)),
            group: self.group,
            deduplication_id: self.dedup_id,
            attributes: attributes.collect::<PyResult<_>>()?,
            ..Outgoing::new(self.body)
        })
    }
}

/// Text, bytes, or a number in Python's own words.
fn attribute(value: &Bound<'_, PyAny>) -> PyResult<AttributeValue> {
    if let Ok(text) = value.extract::<String>() {
        return Ok(AttributeValue::text(text));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(AttributeValue::Binary {
            data_type: "Binary".to_owned(),
            value: bytes.as_bytes().to_vec(),
        });
    }
    Ok(AttributeValue::Text {
        data_type: "Number".to_owned(),
        value: value.repr()?.extract()?,
    })
}

#[pymethods]
impl Producer {
    /// Starts nothing. What is not given is taken from the environment and the profile files.
    #[new]
    #[pyo3(signature = (*, region=None, access_key_id=None, secret_access_key=None, endpoint_url=None, create_queues=None))]
    fn new(
        region: Option<String>,
        access_key_id: Option<String>,
        secret_access_key: Option<String>,
        endpoint_url: Option<String>,
        create_queues: Option<bool>,
    ) -> Self {
        let options = ConnectOptions {
            region,
            access_key_id,
            secret_access_key,
            endpoint_url,
        };
        Self(blocking::Producer::new(options).creating_queues(create_queues))
    }

    /// Sends a message; its id comes back when SQS has it.
    fn send(&self, py: Python<'_>, queue: &str, message: Message<'_>) -> PyResult<String> {
        let message = message.outgoing()?;
        waiting(py, |keep_waiting| self.0.send(queue, message, keep_waiting))
    }

    /// Sends messages in parallel batches; the id or the exception of each, in order.
    fn send_many<'py>(
        &self,
        py: Python<'py>,
        queue: &str,
        messages: Vec<Message<'py>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let messages = messages.into_iter().map(Message::outgoing);
        let messages = messages.collect::<PyResult<Vec<_>>>()?;
        let answers = waiting(py, |keep_waiting| {
            self.0.send_many(queue, messages, keep_waiting)
        })?;
        let results = PyList::empty(py);
        for answer in answers {
            match answer {
                Ok(id) => results.append(id)?,
                Err(error) => results.append(errors::client(&error).into_value(py))?,
            }
        }
        Ok(results)
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

/// Makes a call that waits, without the interpreter lock; a signal whose handler raises (Ctrl-C) ends the wait.
pub(crate) fn waiting<T: Send>(
    py: Python<'_>,
    call: impl FnOnce(&mut dyn FnMut() -> bool) -> Result<T, ClientError> + Send,
) -> PyResult<T> {
    let mut raised = None;
    // The method itself is not general enough over the interpreter's lifetime.
    #[allow(clippy::redundant_closure_for_method_calls)]
    let check_signals = || Python::attach(|py| py.check_signals());
    let outcome = py.detach(|| {
        call(&mut || match check_signals() {
            Ok(()) => true,
            Err(error) => {
                raised = Some(error);
                false
            }
        })
    });
    match raised {
        Some(error) => Err(error),
        None => outcome.map_err(|error| errors::client(&error)),
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("EXPIRES_ATTRIBUTE", carried::EXPIRES)?;
    module.add_class::<Producer>()
}
