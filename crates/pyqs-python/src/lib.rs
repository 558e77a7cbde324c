//! The extension module `pyqs._pyqs`: translates between Python and the Rust crates, and decides nothing.
//!
//! It does not know what a task is allowed to run, how a worker's processes are forked, or what is logged: that is
//! Python's, in `python/pyqs`. Whatever waits releases the interpreter lock, and where a person may be waiting for it
//! answers Ctrl-C.
//!
//! Modules in reading order: `cli`, the command line; `settings`, a worker's settings as one object; `manager`, the
//! manager's process and the ledger; `channel` and `job`, a task process's work; `reader`, `message` and `values`,
//! bodies as Python objects; `from_python` and `celery_call`, Python objects as a body of Celery's; `producer`,
//! sending; `discovery`, queues and the region; `errors`, Rust's errors as Python's; `descriptor`, files passed as
//! numbers; `unmanaged` and `endpoint`, what users' tests stand on: a message that is run where it was sent, and our
//! endpoint on a thread;
//! `host`, what the operating system knows of this process. `_pyqs.pyi` beside the Python package says the same in
//! Python's words, and a test compares the two.

mod celery_call;
mod channel;
mod cli;
mod declarations;
mod descriptor;
mod discovery;
mod endpoint;
mod errors;
mod from_python;
mod host;
mod interrupt;
mod job;
mod manager;
mod message;
mod producer;
mod reader;
mod settings;
mod unmanaged;
mod values;

use pyo3::prelude::*;

/// Without locks: a process that forks with threads running may go on allocating.
#[global_allocator]
static ALLOCATOR: pyqs_cli::RecyclingAllocator = pyqs_cli::RecyclingAllocator;

/// The module as Python imports it. Importing it starts nothing.
#[pymodule]
fn _pyqs(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    cli::register(module)?;
    settings::register(module)?;
    manager::register(module)?;
    channel::register(module)?;
    job::register(module)?;
    reader::register(module)?;
    message::register(module)?;
    celery_call::register(module)?;
    producer::register(module)?;
    discovery::register(module)?;
    endpoint::register(module)?;
    unmanaged::register(module)?;
    host::register(module)
}
