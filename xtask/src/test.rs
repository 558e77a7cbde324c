//! `cargo xtask test`: every test, Rust and Python, with nothing to install by hand.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::project::{Project, heading, must, pass_through};
use crate::venv::Venv;

/// Options of the tests.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only `cargo test --workspace`
    #[arg(long, conflicts_with = "python")]
    rust: bool,
    /// Only pytest, on the package installed from this work tree
    #[arg(long)]
    python: bool,
    /// With --rust or --python: passed on to cargo test, or to pytest
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    passed_on: Vec<String>,
}

/// Runs what was asked for; a failure in Rust ends the run, since Python tests the same code from further away.
pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    if !args.passed_on.is_empty() && !args.rust && !args.python {
        bail!(
            "which runner is '{}' for? say `cargo xtask test --rust ...` or `--python ...`",
            args.passed_on.join(" ")
        );
    }
    if !args.python {
        heading("cargo test --workspace");
        let mut cargo = project.cargo();
        cargo.args(["test", "--workspace"]).args(&args.passed_on);
        must(without_ambient_settings(&mut cargo))?;
    }
    if args.rust {
        return Ok(ExitCode::SUCCESS);
    }
    let venv = Venv::of_project(project)?;
    venv.install_package()?;
    venv.install_requirements("tests/requirements.txt")?;
    heading("pytest");
    let mut pytest = venv.python();
    // The tests mostly wait, for processes and for long polls. `-n 0` runs them one after the other.
    pytest.args(["-m", "pytest", "-n", "4"]);
    pytest.args(&args.passed_on);
    pass_through(without_ambient_settings(&mut pytest))
}

/// Takes the caller's own AWS and PyQS settings out of a test's environment: a test that talks to a real account
/// because somebody's profile was active is the worst kind of surprise. No test asks the machine for a role either.
fn without_ambient_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let ambient = name.to_str().is_some_and(|name| {
            (name.starts_with("AWS_") && name != "AWS_CA_BUNDLE") || name.starts_with("PYQS_")
        });
        if ambient {
            command.env_remove(name);
        }
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true")
}
