//! The command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

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

/// The worker's options by name, each with its environment variable.
#[pyfunction]
fn worker_variables() -> BTreeMap<String, String> {
    pyqs_cli::worker_variables().into_iter().collect()
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(worker_variables, module)?)?;
    module.add_function(wrap_pyfunction!(cli, module)?)
}
