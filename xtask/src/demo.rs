//! `cargo xtask demo`: the package as a user gets it, at work.

use std::process::ExitCode;

use anyhow::Result;

use crate::project::{Project, heading, pass_through};
use crate::venv::Venv;

/// Options of the demo.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to demo/run.py
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Installs the package and runs the demo, whose exit code is ours.
pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let venv = Venv::of_project(project)?;
    venv.install_package()?;
    heading("demo/run.py");
    pass_through(venv.python().arg("demo/run.py").args(&args.args))
}
