//! The chores of this project, as `cargo xtask NAME`.
//!
//! Light on purpose: it knows none of the project's crates, so that `cargo xtask` is there in seconds. What needs
//! them (the generated reference) is run by cargo as an example of the crate that defines it.
//!
//! Reading order: [`project`] and [`venv`] (the two things every chore stands on), one file a chore
//! ([`demo`], [`mod@test`], [`check`], [`docs`], [`mod@bench`]), then [`tidy`] with the architecture's rules.

mod bench;
mod check;
mod demo;
mod deny;
mod docs;
mod project;
mod test;
mod tidy;
mod venv;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::project::Project;

/// The chores of this project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
enum Chore {
    /// Build and install the package into .venv, then run the demo mailing
    Demo(demo::Args),
    /// Run every test, Rust and Python
    Test(test::Args),
    /// Run what CI runs besides the tests: formatting, lints, docs, types, licences, architecture
    Check,
    /// Check the architecture's rules, from `cargo metadata` and the sources
    Tidy,
    /// Write the generated reference pages into docs/
    GenDocs,
    /// Run the benchmark against its peers, which are installed into bench/.venv
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let chore = Chore::parse();
    carry_out(&chore, &Project::find()).unwrap_or_else(|error| {
        eprintln!("cargo xtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn carry_out(chore: &Chore, project: &Project) -> Result<ExitCode> {
    match chore {
        Chore::Demo(args) => demo::run(project, args),
        Chore::Test(args) => test::run(project, args),
        Chore::Check => check::run(project),
        Chore::Tidy => tidy::must_pass(project).map(|()| ExitCode::SUCCESS),
        Chore::GenDocs => docs::write(project),
        Chore::Bench(args) => bench::run(project, args),
    }
}
