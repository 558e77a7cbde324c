//! One task to run.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use pyqs_formats::message::Canvas;
use pyqs_formats::{Moment, Pointer};
use pyqs_sqs::AttributeValue;
use pyqs_worker::{AfterTask, CeleryQueues, TimeLimits};

use crate::errors::UndecodableMessage;
use crate::message;
use crate::reader::{Body, Reader};

/// See [`pyqs_worker::Job`].
#[pyclass(frozen, module = "pyqs._pyqs")]
pub(crate) struct Job {
    /// Without its body, which is beside it.
    inner: pyqs_worker::Job,
    body: Body,
    /// Of a body that was stored elsewhere: when it is due, and until when, in milliseconds since 1970.
    times: Times,
    /// Where what follows the task goes.
    queues: Arc<CeleryQueues>,
    /// Known once the message was read whole.
    after: OnceLock<Option<AfterTask>>,
}

/// See [`Job::times`].
#[derive(Clone, Copy, Default)]
struct Times {
    eta: Option<i64>,
    expires: Option<i64>,
}

impl Job {
    pub(crate) fn new(mut job: pyqs_worker::Job, queues: &Arc<CeleryQueues>) -> Self {
        let body = Body {
            text: std::mem::take(&mut job.body),
            is_stored: false,
        };
        Self {
            inner: job,
            body,
            times: Times::default(),
            queues: Arc::clone(queues),
            after: OnceLock::new(),
        }
    }

    /// What is to be sent after the task; none before its arguments were asked for.
    pub(crate) fn after(&self) -> Option<&AfterTask> {
        self.after.get()?.as_ref()
    }
}

#[pymethods]
impl Job {
    #[getter]
    fn message_id(&self) -> &str {
        &self.inner.message_id
    }

    #[getter]
    fn receipt_handle(&self) -> &str {
        &self.inner.receipt
    }

    #[getter]
    fn queue_url(&self) -> &str {
        &self.inner.queue_url
    }

    #[getter]
    fn task(&self) -> &str {
        &self.inner.task
    }

    /// Those that are run with it, in their order.
    #[getter]
    fn others(&self) -> Vec<Self> {
        let others = self.inner.others.iter();
        others
            .map(|other| Self::new(other.clone(), &self.queues))
            .collect()
    }

    /// The same job, which runs these with it.
    #[allow(clippy::needless_pass_by_value)] // As Python passes them.
    fn with_others(&self, others: Vec<PyRef<'_, Self>>) -> Self {
        let whole = |job: &Self| {
            let mut inner = job.inner.clone();
            inner.body.clone_from(&job.body.text);
            inner
        };
        let mut job = whole(self);
        job.others = others.iter().map(|other| whole(other)).collect();
        Self::new(job, &self.queues)
    }

    #[getter]
    fn body(&self) -> &str {
        &self.body.text
    }

    /// What SQS says of the message, where its queue has a handler.
    #[getter]
    fn system<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(system) = &self.inner.system else {
            return Ok(None);
        };
        let dict = PyDict::new(py);
        dict.set_item("sent_at_millis", system.sent_at_millis)?;
        dict.set_item("first_received_at_millis", system.first_received_at_millis)?;
        dict.set_item("group", &system.group)?;
        dict.set_item("deduplication_id", &system.deduplication_id)?;
        dict.set_item("sequence_number", &system.sequence_number)?;
        dict.set_item("trace_header", &system.trace_header)?;
        dict.set_item("dead_letter_source", &system.dead_letter_source)?;
        Ok(Some(dict))
    }

    #[getter]
    fn fetch_time(&self) -> f64 {
        self.inner.fetch_time
    }

    #[getter]
    fn timeout(&self) -> u32 {
        self.inner.timeout
    }

    #[getter]
    fn time_limit(&self) -> Option<f64> {
        self.inner.limits.hard.map(|limit| limit.as_secs_f64())
    }

    #[getter]
    fn soft_time_limit(&self) -> Option<f64> {
        self.inner.limits.soft.map(|limit| limit.as_secs_f64())
    }

    #[getter]
    fn attempt(&self) -> u32 {
        self.inner.attempt
    }

    #[getter]
    fn receive_count(&self) -> u32 {
        self.inner.receive_count
    }

    #[getter]
    fn retries_before(&self) -> u32 {
        self.inner.retries_before
    }

    /// The message's attributes: texts and numbers as text, the others as bytes.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let attributes = PyDict::new(py);
        for (name, value) in &self.inner.attributes {
            match value {
                AttributeValue::Text { value, .. } => attributes.set_item(name, value)?,
                AttributeValue::Binary { value, .. } => {
                    attributes.set_item(name, PyBytes::new(py, value))?;
                }
            }
        }
        Ok(attributes)
    }

    /// Where the body is stored, if that is not in the message: the store's name, and the key there.
    #[getter]
    fn pointer(&self) -> Option<(String, String)> {
        let pointer = Pointer::read(&self.body.text)?;
        Some((pointer.store, pointer.key))
    }

    /// The same job with the body that it points to. Without a reader that may be anything.
    fn opened(&self, body: String, reader: Option<&Reader>) -> PyResult<Self> {
        let body = Body {
            text: body,
            is_stored: true,
        };
        let mut inner = self.inner.clone();
        let mut times = Times::default();
        if let Some(reader) = reader {
            let head = reader.read_head(&body)?;
            let millis = |moment: &Option<Moment>| moment.as_ref().map(Moment::unix_millis);
            times = Times {
                eta: millis(&head.eta),
                expires: millis(&head.expires),
            };
            inner.limits = TimeLimits::of(&head);
            inner.task = head.task;
            inner.retries_before = head.retries;
        }
        Ok(Self {
            inner,
            body,
            times,
            queues: Arc::clone(&self.queues),
            after: OnceLock::new(),
        })
    }

    /// When an opened body is due, in seconds since 1970.
    #[getter]
    fn eta(&self) -> Option<f64> {
        self.times.eta.map(seconds)
    }

    /// Until when an opened body may run, in seconds since 1970.
    #[getter]
    fn expires(&self) -> Option<f64> {
        self.times.expires.map(seconds)
    }

    /// Decodes what a task of Celery's finds in its request; `None` where the message is not Celery's.
    fn celery_request<'py>(
        &self,
        py: Python<'py>,
        reader: &Reader,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        match reader.read(&self.body) {
            Ok(message) => message::request(py, &message.head, &message.canvas, &message.headers),
            // Its arguments are a pickle that Python's own loader reads.
            Err(_) => message::request(py, &reader.read_head(&self.body)?, &Canvas::default(), &[]),
        }
    }

    /// The pickle that a message of Celery's is, unread; `None` where it is none.
    fn pickle<'py>(
        &self,
        py: Python<'py>,
        reader: &Reader,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let pickle = reader.pickle(&self.body)?;
        Ok(pickle.map(|bytes| PyBytes::new(py, &bytes)))
    }

    /// Whether messages are to be sent when the task has succeeded.
    #[getter]
    fn has_callbacks(&self) -> bool {
        self.after().is_some_and(AfterTask::has_callbacks)
    }

    /// For people: what of its workflow will not be done.
    #[getter]
    fn left_out(&self) -> Option<String> {
        self.after()?.left_out()
    }

    /// Whether messages are to be sent when the task fails for good.
    #[getter]
    fn has_errbacks(&self) -> bool {
        self.after().is_some_and(AfterTask::has_errbacks)
    }

    /// Decodes the arguments, positional and by keyword. A message that asks for what can't be done after its task
    /// is undecodable too.
    fn arguments<'py>(
        &self,
        py: Python<'py>,
        reader: &Reader,
    ) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyDict>)> {
        let message = reader.read(&self.body)?;
        let after = AfterTask::of(&message, &self.inner, &self.queues)
            .map_err(|error| UndecodableMessage::new_err((error.to_string(), "task")))?;
        self.after.get_or_init(|| after);
        message::arguments(py, &message)
    }
}

#[allow(clippy::cast_precision_loss)] // Milliseconds of this age have 41 bits.
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Job>()
}
