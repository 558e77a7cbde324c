//! The command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pyqs_cli::Source;
use serde_json::Value;

use crate::errors::SettingsInvalid;
use crate::settings::WorkerSettings;

/// Carries out a command line without the program's name: an exit code, or a worker to be started.
#[pyfunction]
fn cli(py: Python<'_>, argv: Vec<String>) -> PyResult<Bound<'_, PyAny>> {
    let python: Option<PathBuf> = py.import("sys")?.getattr("executable")?.extract()?;
    let run = || match python {
        Some(python) => pyqs_cli::run_with_python(argv, &python),
        // A program that embeds Python.
        None => pyqs_cli::run(argv),
    };
    match py.detach(run) {
        pyqs_cli::Outcome::Exit(code) => code.into_bound_py_any(py),
        pyqs_cli::Outcome::Worker(settings) => {
            WorkerSettings::from(*settings).into_bound_py_any(py)
        }
    }
}

/// The settings of a worker by name, each with its environment variable.
#[pyfunction]
fn worker_variables() -> BTreeMap<String, String> {
    pyqs_cli::worker_variables().into_iter().collect()
}

/// What the variables and the project's file say of settings, by their names.
#[pyfunction]
fn ambient_settings(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let settings = py
        .detach(pyqs_cli::ambient)
        .map_err(SettingsInvalid::new_err)?;
    let said = PyDict::new(py);
    for setting in settings {
        if setting.source != Source::Default {
            said.set_item(setting.name, object(py, &setting.value)?)?;
        }
    }
    Ok(said)
}

fn object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Bool(is_on) => is_on.into_bound_py_any(py),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into_bound_py_any(py),
            None => number.as_f64().into_bound_py_any(py),
        },
        Value::String(text) => text.into_bound_py_any(py),
        Value::Array(values) => {
            let texts = values.iter().filter_map(Value::as_str);
            Ok(PyList::new(py, texts.collect::<Vec<_>>())?.into_any())
        }
        // Settings are not nested.
        Value::Null | Value::Object(_) => Ok(py.None().into_bound(py)),
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(ambient_settings, module)?)?;
    module.add_function(wrap_pyfunction!(worker_variables, module)?)?;
    module.add_function(wrap_pyfunction!(cli, module)?)
}
