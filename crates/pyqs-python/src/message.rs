//! Message bodies as Python objects.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pyqs_formats::Message;

use crate::errors::{self, UndecodableMessage};
use crate::values;

/// The task in a message body, as the dict that `PyQS` writes.
#[pyfunction]
fn decode_message<'py>(py: Python<'py>, body: &str) -> PyResult<Bound<'py, PyDict>> {
    let message = read(body)?;
    let (args, kwargs) = arguments(py, &message)?;
    let decoded = PyDict::new(py);
    decoded.set_item("task", &message.head.task)?;
    decoded.set_item("args", args)?;
    decoded.set_item("kwargs", kwargs)?;
    Ok(decoded)
}

pub(crate) fn read(body: &str) -> PyResult<Message> {
    pyqs_formats::read(body).map_err(|error| errors::undecodable(&error))
}

/// A message's arguments, positional and by keyword. What Python can't hold (a list as a key) is undecodable too.
pub(crate) fn arguments<'py>(
    py: Python<'py>,
    message: &Message,
) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyDict>)> {
    build(py, message)
        .map_err(|error| UndecodableMessage::new_err(format!("arguments: {}", error.value(py))))
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
