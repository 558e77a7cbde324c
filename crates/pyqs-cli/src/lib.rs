//! The command line of pyqs: definitions and commands; the only crate that prints.
