//! What a task process tells the manager of the modules that it has imported.

use std::time::Duration;

use pyo3::prelude::*;
use pyqs_worker::{Batch, Declaration};

/// Attributes of a Python object.
#[derive(FromPyObject)]
pub(crate) struct Declared {
    name: String,
    queue: Option<String>,
    batch: Option<(u32, f64)>,
}

/// As the channel takes them.
pub(crate) fn declarations(declared: Vec<Declared>) -> Vec<Declaration> {
    let declared = declared.into_iter();
    declared
        .map(|Declared { name, queue, batch }| Declaration {
            name,
            queue,
            batch: batch.map(|(max, wait)| Batch {
                max,
                wait: Duration::try_from_secs_f64(wait).unwrap_or_default(),
            }),
        })
        .collect()
}
