//! `cargo xtask bench`: ours and its peers in one run; `cargo xtask bench endpoint` for the endpoint alone,
//! `cargo xtask bench chaos` for what is lost when things go wrong.

use std::process::ExitCode;

use anyhow::Result;

use crate::project::{Project, heading, pass_through};
use crate::venv::Venv;

/// Options of the benchmark.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to bench/run.py, after `endpoint` to bench/endpoint.py, after `chaos` to bench/chaos.py
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Installs the package and runs the benchmark, which keeps its peers in an environment of their own (the original
/// PyQS has the same import name).
pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let venv = Venv::of_project(project)?;
    venv.install_package()?;
    let (script, args) = match &args.args[..] {
        [first, rest @ ..] if first == "endpoint" => {
            venv.install_requirements("tests/requirements.txt")?;
            ("bench/endpoint.py", rest)
        }
        [first, rest @ ..] if first == "chaos" => ("bench/chaos.py", rest),
        all => ("bench/run.py", all),
    };
    heading(script);
    pass_through(venv.python().arg(script).args(args))
}
