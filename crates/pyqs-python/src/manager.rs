//! The manager's process, and the memory that it shares with its task processes.

use std::os::fd::RawFd;

use pyo3::prelude::*;

use crate::descriptor;
use crate::settings::WorkerSettings;

/// Is the manager, until it is told to stop. The process was forked for this and has nothing else to do.
#[pyfunction]
fn run_manager(
    py: Python<'_>,
    settings: &WorkerSettings,
    control_fd: RawFd,
    ledger: &Ledger,
) -> PyResult<i32> {
    let control = descriptor::take_over(control_fd)?;
    let (settings, ledger) = (settings.0.clone(), ledger.0.clone());
    Ok(py.detach(|| pyqs_worker::manager::run(settings, control, ledger, pyqs_web::serve)))
}

/// See [`pyqs_worker::Ledger`].
#[pyclass(frozen, module = "pyqs._pyqs")]
pub(crate) struct Ledger(pub(crate) pyqs_worker::Ledger);

#[pymethods]
impl Ledger {
    /// A ledger with as many slots as these settings may need.
    #[staticmethod]
    fn for_settings(settings: &WorkerSettings) -> PyResult<Self> {
        let slots = pyqs_worker::Ledger::slots_for(settings.0.concurrency, settings.0.threads);
        Ok(Self(pyqs_worker::Ledger::new(slots)?))
    }

    /// The ledger of the next manager, which knows what has succeeded under this one.
    fn successor(&self) -> PyResult<Self> {
        Ok(Self(self.0.successor()?))
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Ledger>()?;
    module.add_function(wrap_pyfunction!(run_manager, module)?)
}
