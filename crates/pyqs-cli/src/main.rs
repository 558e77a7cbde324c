//! `pyqs` without Python: the endpoint and the commands about queues.

use std::process::ExitCode;

fn main() -> ExitCode {
    pyqs_cli::main_without_python()
}
