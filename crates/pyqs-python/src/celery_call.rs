//! Calls of tasks in Celery's format.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyqs_formats::head::TimeLimit;
use pyqs_formats::{CeleryCall, Value};

use crate::from_python::{datetime, from_python};

/// What is said of a call besides its arguments; attributes of a Python object.
#[derive(FromPyObject)]
struct Facts<'py> {
    task: String,
    id: String,
    queue: String,
    eta: Option<Bound<'py, PyAny>>,
    expires: Option<Bound<'py, PyAny>>,
    time_limit: Option<f64>,
    soft_time_limit: Option<f64>,
    origin: String,
    headers: Bound<'py, PyDict>,
}

/// The body of a message that a Celery worker runs.
#[pyfunction]
fn celery_body(
    facts: Facts<'_>,
    args: &Bound<'_, PyTuple>,
    kwargs: &Bound<'_, PyDict>,
) -> PyResult<String> {
    let args = args.iter().map(|value| from_python(&value));
    let call = CeleryCall {
        task: facts.task,
        id: facts.id,
        args: args.collect::<PyResult<_>>()?,
        kwargs: named(kwargs)?,
        queue: facts.queue,
        eta: facts.eta.as_ref().map(datetime).transpose()?,
        expires: facts.expires.as_ref().map(datetime).transpose()?,
        time_limit: TimeLimit {
            hard_secs: facts.time_limit,
            soft_secs: facts.soft_time_limit,
        },
        origin: facts.origin,
        headers: named(&facts.headers)?,
        ..CeleryCall::default()
    };
    call.to_body()
        .map_err(|error| PyTypeError::new_err(error.to_string()))
}

fn named(dict: &Bound<'_, PyDict>) -> PyResult<Vec<(String, Value)>> {
    dict.iter()
        .map(|(name, value)| Ok((name.extract()?, from_python(&value)?)))
        .collect()
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(celery_body, module)?)
}
