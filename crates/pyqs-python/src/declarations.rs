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
    max_concurrency: Option<u32>,
    /// So many starts in so many seconds.
    rate: Option<(u32, f64)>,
}

/// As the channel takes them.
pub(crate) fn declarations(declared: Vec<Declared>) -> Vec<Declaration> {
    let declared = declared.into_iter();
    declared
        .map(|declared| Declaration {
            name: declared.name,
            queue: declared.queue,
            batch: declared.batch.map(|(max, wait)| Batch {
                max,
                wait: Duration::try_from_secs_f64(wait).unwrap_or_default(),
            }),
            max_concurrency: declared.max_concurrency,
            // Python has checked it.
            rate: declared
                .rate
                .and_then(|(tasks, secs)| Some((tasks, Duration::try_from_secs_f64(secs).ok()?))),
        })
        .collect()
}
