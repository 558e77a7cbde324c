//! `cargo xtask bench`: ours and its peers, each in an environment of its own, in one run.

use std::process::ExitCode;

use anyhow::Result;

use crate::project::{Project, heading, pass_through};
use crate::venv::Venv;

/// Options of the benchmark.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to bench/run.py
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Installs ours into `.venv` and the peers into `bench/.venv` (the original PyQS has the same import name), then
/// runs `bench/run.py` with the peers' interpreter. `PYQS_BENCH_PYTHON` names the interpreter that has ours.
pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let ours = Venv::of_project(project)?;
    ours.install_package()?;
    let peers = Venv::at(project, "bench/.venv")?;
    peers.install_requirements("bench/requirements.txt")?;
    heading("bench/run.py");
    pass_through(
        peers
            .python()
            .arg("bench/run.py")
            .args(&args.args)
            .env("PYQS_BENCH_PYTHON", ours.bin("python")),
    )
}
