//! `cargo xtask bench`: ours and its peers in one run; `cargo xtask bench speed` for a worker beside a loop written by
//! hand, `cargo xtask bench endpoint` for the endpoint alone, `cargo xtask bench chaos` for what is lost when things go
//! wrong, `cargo xtask bench decode` for reading Celery's messages, `cargo xtask bench fuzz [CASES]` for a million bodies that nobody would send.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::project::{Project, heading, pass_through};
use crate::venv::Venv;

/// Options of the benchmark.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to bench/run.py; after `speed`, `endpoint` or `chaos` to bench/speed.py, endpoint.py or chaos.py;
    /// `decode` runs bench/decode.py, and `fuzz CASES` the formats' properties
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Installs the package and runs the benchmark, which keeps its peers in an environment of their own (the original
/// PyQS has the same import name).
pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    if let [first, rest @ ..] = &args.args[..]
        && first == "fuzz"
    {
        return fuzz(project, rest.first().map(String::as_str));
    }
    let venv = Venv::of_project(project)?;
    venv.install_package()?;
    let (script, args) = match &args.args[..] {
        [first, rest @ ..] if first == "endpoint" => {
            venv.install_requirements("tests/requirements.txt")?;
            ("bench/endpoint.py", rest)
        }
        [first, rest @ ..] if first == "speed" => ("bench/speed.py", rest),
        [first, rest @ ..] if first == "chaos" => ("bench/chaos.py", rest),
        [first, rest @ ..] if first == "decode" => ("bench/decode.py", rest),
        all => ("bench/run.py", all),
    };
    heading(script);
    pass_through(venv.python().arg(script).args(args))
}

/// The properties of the formats, in release mode, over so many cases in all: arbitrary bytes, damaged samples, damaged
/// payloads inside of every encoding.
fn fuzz(project: &Project, cases: Option<&str>) -> Result<ExitCode> {
    const CASES: u32 = 1_000_000;
    const PROPERTIES: u32 = 6;
    let cases = cases.map_or(Ok(CASES), str::parse);
    let cases = cases.context("cases are a whole number")?;
    heading(&format!("the formats' properties over {cases} cases"));
    let words = "test --release --package pyqs-formats --test properties".split(' ');
    let mut command = project.cargo();
    command
        .args(words)
        .env("PYQS_CASES", cases.div_ceil(PROPERTIES).to_string());
    pass_through(&mut command)
}
