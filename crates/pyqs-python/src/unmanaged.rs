//! A message that is run in the process that sent it.

use pyo3::prelude::*;
use pyqs_sqs::Received;
use pyqs_worker::{CeleryQueues, Unmanaged};

use crate::errors::{self, UndecodableMessage};
use crate::job::Job;
use crate::producer::Message;
use crate::reader::Reader;

/// The job that a worker would make of a message, without SQS in between, and the moment after which it would not be
/// run any more, in seconds since 1970. Raises what sending would raise for a message that SQS does not take, and
/// `UndecodableMessage`.
#[pyfunction]
#[pyo3(signature = (queue, message, reader, *, message_id, attempt=1, handler=None))]
#[allow(clippy::needless_pass_by_value)] // As Python passes them.
fn job_of_sent(
    queue: &str,
    message: Message<'_>,
    reader: &Reader,
    message_id: String,
    attempt: u32,
    handler: Option<&str>,
) -> PyResult<(Job, Option<f64>)> {
    let sent = pyqs::checked(queue, message.outgoing()?).map_err(|error| errors::client(&error))?;
    let received = Received {
        receive_count: attempt,
        group: sent.group,
        deduplication_id: sent.deduplication_id,
        attributes: sent.attributes,
        ..Received::new(message_id, "", sent.body)
    };
    let opened = reader.open(received, queue, attempt, handler);
    let Unmanaged {
        job,
        expires_unix_millis,
    } = opened.map_err(|reason| UndecodableMessage::new_err((reason,)))?;
    #[allow(clippy::cast_precision_loss)] // Milliseconds of our time are far below 2^53.
    let expires = expires_unix_millis.map(|millis| millis as f64 / 1000.0);
    Ok((Job::new(job, &CeleryQueues::default().into()), expires))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(job_of_sent, module)?)
}
