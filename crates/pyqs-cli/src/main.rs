//! `pyqs` without Python: the endpoint and the commands about queues.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: pyqs_cli::RecyclingAllocator = pyqs_cli::RecyclingAllocator;

fn main() -> ExitCode {
    pyqs_cli::main_without_python()
}
