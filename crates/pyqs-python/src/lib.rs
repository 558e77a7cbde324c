//! The extension module `pyqs._pyqs`: translation only.
