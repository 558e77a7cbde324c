//! A task process's end of the socket to the manager.

use std::io::ErrorKind;
use std::os::fd::RawFd;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyqs_worker::TaskOutcome;

use crate::descriptor;
use crate::job::Job;
use crate::manager::Ledger;

/// See [`pyqs_worker::TaskChannel`].
#[pyclass(module = "pyqs._pyqs")]
struct TaskChannel(pyqs_worker::TaskChannel);

#[pymethods]
impl TaskChannel {
    #[new]
    fn new(fd: RawFd, ledger: &Ledger, slot: u32) -> PyResult<Self> {
        let socket = descriptor::take_over(fd)?;
        let channel = pyqs_worker::TaskChannel::open(socket, ledger.0.clone(), slot)?;
        Ok(Self(channel))
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    /// Waits for the next task, and lets Python handle the signals that come meanwhile.
    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Job>> {
        loop {
            match py.detach(|| self.0.next()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => py.check_signals()?,
                other => return Ok(other?.map(Job::from)),
            }
        }
    }

    /// Says why this process can't run tasks; it is to end then.
    fn cannot_start(&mut self, reason: &str) -> PyResult<()> {
        Ok(self.0.cannot_start(reason)?)
    }

    /// Says how the running task ended.
    fn record(&mut self, outcome: &str) -> PyResult<()> {
        self.0.record(match outcome {
            "succeeded" => TaskOutcome::Succeeded,
            "failed" => TaskOutcome::Failed,
            "unrunnable" => TaskOutcome::Unrunnable,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "no outcome is called {outcome:?}"
                )));
            }
        });
        Ok(())
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<TaskChannel>()
}
