//! An exception raised in another thread.
#![allow(unsafe_code)] // Python's C API has the only way, and pyo3 does not wrap it.

use pyo3::ffi;
use pyo3::prelude::*;

/// Has this thread, by Python's `threading.get_ident()`, raise the exception at its next bytecode. Says whether there
/// is such a thread.
pub(crate) fn raise_in(thread: std::ffi::c_long, class: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a `Bound` proves that the interpreter's lock is held, and that the object lives; the call takes a reference
    // of its own. A number that is no thread's is answered with 0.
    let count = unsafe { ffi::PyThreadState_SetAsyncExc(thread, class.as_ptr()) };
    count > 0
}
