//! What a worker or a producer would find: queues and their names, the region.

use pyo3::prelude::*;
use pyqs::{ConnectOptions, blocking};

use crate::producer::waiting;
use crate::settings::WorkerSettings;

/// The URLs of the queues that these settings name now. Leaves no thread behind.
#[pyfunction]
fn find_queues(py: Python<'_>, settings: &WorkerSettings) -> PyResult<Vec<String>> {
    let settings = &settings.0;
    waiting(py, |keep_waiting| {
        let producer = blocking::Producer::new(settings.connection.clone());
        producer.find_queues(&settings.queues, settings.exact_patterns, keep_waiting)
    })
}

/// The region that the environment and the profile files name, else the default.
#[pyfunction]
fn region_name(py: Python<'_>) -> PyResult<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let options = ConnectOptions::default();
    Ok(py.detach(|| runtime.block_on(pyqs_sqs::region_name(&options))))
}

/// The name that kombu gives a queue in SQS.
#[pyfunction]
fn kombu_name(name: &str) -> String {
    pyqs_sqs::names::kombu_name(name)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(find_queues, module)?)?;
    module.add_function(wrap_pyfunction!(kombu_name, module)?)?;
    module.add_function(wrap_pyfunction!(region_name, module)?)
}
