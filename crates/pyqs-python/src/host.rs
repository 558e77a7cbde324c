//! What the operating system knows of this process.

use pyo3::prelude::*;

/// Whether orphans among this process's descendants become its children.
#[pyfunction]
fn is_subreaper() -> bool {
    // A system that can't say has no subreapers.
    rustix::process::child_subreaper().is_ok_and(|setting| setting.is_some())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(is_subreaper, module)?)
}
