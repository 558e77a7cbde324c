//! Message bodies as Python objects.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pyqs_formats::head::CeleryHead;
use pyqs_formats::message::Canvas;
use pyqs_formats::{Format, Head, Message, Moment, Value};

use crate::errors::UndecodableMessage;
use crate::reader::{Body, Reader};
use crate::values;

/// The task in a message body: the dict that `PyQS` writes, and for one of Celery's what that says besides.
#[pyfunction]
fn decode_message<'py>(
    py: Python<'py>,
    body: &str,
    reader: &Reader,
) -> PyResult<Bound<'py, PyDict>> {
    let body = Body {
        text: body.to_owned(),
        is_stored: false,
    };
    let message = reader.read(&body)?;
    let (args, kwargs) = arguments(py, &message)?;
    let decoded = PyDict::new(py);
    decoded.set_item("task", &message.head.task)?;
    decoded.set_item("args", args)?;
    decoded.set_item("kwargs", kwargs)?;
    if let Some(protocol) = protocol(message.head.format) {
        decoded.set_item("protocol", protocol)?;
        set_heading(&decoded, &message.head)?;
    }
    Ok(decoded)
}

/// What only Celery's messages have, of those facts that [`decode_message`] gives.
fn set_heading(decoded: &Bound<'_, PyDict>, head: &Head) -> PyResult<()> {
    let text = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.text.clone());
    decoded.set_item("id", &head.id)?;
    decoded.set_item("retries", head.retries)?;
    decoded.set_item("eta", text(&head.eta))?;
    decoded.set_item("expires", text(&head.expires))?;
    let limits = [head.time_limit.hard_secs, head.time_limit.soft_secs];
    let py = decoded.py();
    let limits = match limits {
        [None, None] => None,
        limits => Some(limits.map(|limit| limit.map(|secs| seconds(py, secs)))),
    };
    let limits = limits.map(|[hard, soft]| PyList::new(py, [hard.transpose()?, soft.transpose()?]));
    decoded.set_item("timelimit", limits.transpose()?)
}

/// What a task of Celery's finds in its request, beside its arguments; `None` where the message is not Celery's.
pub(crate) fn request<'py>(
    py: Python<'py>,
    head: &Head,
    canvas: &Canvas,
    headers: &[(String, Value)],
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(celery) = &head.celery else {
        return Ok(None);
    };
    let request = PyDict::new(py);
    set_heading(&request, head)?;
    let own = PyDict::new(py);
    for (name, value) in headers {
        own.set_item(name, values::to_python(py, value)?)?;
    }
    request.set_item("headers", own)?;
    set_celery_heading(&request, celery)?;
    let signatures = |signatures: &[Value]| {
        let list = signatures.iter().map(|value| values::to_python(py, value));
        list.collect::<PyResult<Vec<_>>>()
    };
    request.set_item("callbacks", signatures(&canvas.callbacks)?)?;
    request.set_item("errbacks", signatures(&canvas.errbacks)?)?;
    request.set_item("chain", signatures(&canvas.chain)?)?;
    let chord = canvas.chord.as_ref();
    request.set_item(
        "chord",
        chord
            .map(|value| values::to_python(py, value))
            .transpose()?,
    )?;
    Ok(Some(request))
}

fn set_celery_heading(request: &Bound<'_, PyDict>, celery: &CeleryHead) -> PyResult<()> {
    request.set_item("root_id", &celery.root_id)?;
    request.set_item("parent_id", &celery.parent_id)?;
    request.set_item("group", &celery.group)?;
    request.set_item("shadow", &celery.shadow)?;
    request.set_item("origin", &celery.origin)?;
    request.set_item("ignore_result", celery.ignores_result)?;
    request.set_item("utc", celery.is_utc)?;
    request.set_item("reply_to", &celery.reply_to)?;
    request.set_item("correlation_id", &celery.correlation_id)?;
    let delivery_info = PyDict::new(request.py());
    delivery_info.set_item("exchange", &celery.exchange)?;
    delivery_info.set_item("routing_key", &celery.routing_key)?;
    delivery_info.set_item("priority", celery.priority)?;
    request.set_item("delivery_info", delivery_info)
}

/// Celery's number of a layout.
fn protocol(format: Format) -> Option<u8> {
    match format {
        Format::Celery1 => Some(1),
        Format::Celery2 => Some(2),
        // PyQS's own has none.
        _ => None,
    }
}

/// A limit as it is written: whole seconds are an `int`.
fn seconds(py: Python<'_>, secs: f64) -> PyResult<Bound<'_, PyAny>> {
    let float = secs.into_bound_py_any(py)?;
    if secs.fract() == 0.0 {
        float.call_method0("__int__")
    } else {
        Ok(float)
    }
}

/// A message's arguments, positional and by keyword. What Python can't hold (a list as a key) is undecodable too.
pub(crate) fn arguments<'py>(
    py: Python<'py>,
    message: &Message,
) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyDict>)> {
    build(py, message)
        .map_err(|error| UndecodableMessage::new_err((error.value(py).to_string(), "arguments")))
}

fn build<'py>(
    py: Python<'py>,
    message: &Message,
) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyDict>)> {
    let args = PyList::empty(py);
    for value in &message.args {
        args.append(values::to_python(py, value)?)?;
    }
    let kwargs = PyDict::new(py);
    for (name, value) in &message.kwargs {
        kwargs.set_item(name, values::to_python(py, value)?)?;
    }
    Ok((args, kwargs))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(decode_message, module)?)
}
