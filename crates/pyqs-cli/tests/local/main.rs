//! `pyqs local`, and the commands that talk to it, as processes.

mod commands;
mod options;
mod process;
