//! File descriptors that Python hands over as numbers: the one module here with `unsafe` of its own.
#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Takes over a descriptor that Python's side has detached (`socket.detach()`): from here it is closed by Rust.
pub(crate) fn take_over(fd: RawFd) -> PyResult<OwnedFd> {
    if fd < 0 {
        return Err(PyValueError::new_err(format!("{fd} is no file descriptor")));
    }
    // SAFETY: borrowed for this call only, to ask whether it is open; a closed one is an error, not undefined.
    let open = rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(fd) });
    open.map_err(std::io::Error::from)?;
    // SAFETY: it is open, as was just asked, and by this function's contract nobody else closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
