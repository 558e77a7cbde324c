//! `cargo xtask gen-docs`: reference pages written from the definitions they describe.
//!
//! Each generator is an example of the crate that owns the definitions; with `--check` it only compares.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::project::{Project, must};

/// The crates with an example `gen-docs`.
const GENERATORS: &[&str] = &["pyqs-cli"];

/// Writes every generated page.
pub(crate) fn write(project: &Project) -> Result<ExitCode> {
    for package in GENERATORS {
        must(&mut generator(project, package))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The commands that fail when a generated page is stale.
pub(crate) fn checks(project: &Project) -> impl Iterator<Item = Command> {
    GENERATORS.iter().map(|package| {
        let mut command = generator(project, package);
        command.args(["--", "--check"]);
        command
    })
}

fn generator(project: &Project, package: &str) -> Command {
    let mut command = project.cargo();
    command.args([
        "run",
        "--quiet",
        "--package",
        package,
        "--example",
        "gen-docs",
    ]);
    command
}
