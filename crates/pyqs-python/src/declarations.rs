//! What a task process tells the manager of the modules that it has imported.

use pyo3::prelude::*;
use pyqs_worker::Declaration;

/// Attributes of a Python object.
#[derive(FromPyObject)]
pub(crate) struct Declared {
    name: String,
    queue: Option<String>,
}

/// As the channel takes them.
pub(crate) fn declarations(declared: Vec<Declared>) -> Vec<Declaration> {
    let declared = declared.into_iter();
    declared
        .map(|Declared { name, queue }| Declaration { name, queue })
        .collect()
}
