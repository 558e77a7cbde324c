//! Where the project is, and how its programs are run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};

/// The work tree that this binary was built from.
pub(crate) struct Project {
    root: PathBuf,
}

impl Project {
    /// Finds the project: by cargo's word where cargo started us, else by where we were compiled.
    pub(crate) fn find() -> Self {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        Self { root }
    }

    /// The folder with the root `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the project.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A program to run in the project's root.
    ///
    /// What `cargo run` told this process about xtask itself is not passed on: a build script that asks cargo to
    /// watch one of those variables would otherwise be built anew on every change between here and a plain shell.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        for (name, _) in std::env::vars_os() {
            let told_about_xtask = name.to_str().is_some_and(|name| {
                [
                    "CARGO_PKG_",
                    "CARGO_MANIFEST_",
                    "CARGO_BIN_",
                    "CARGO_CRATE_",
                ]
                .iter()
                .any(|prefix| name.starts_with(prefix))
            });
            if told_about_xtask {
                command.env_remove(name);
            }
        }
        command
    }

    /// The same cargo that started us, in the project's root.
    pub(crate) fn cargo(&self) -> Command {
        self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }
}

/// Says what comes next, so that a long log can be read by its headings.
pub(crate) fn heading(what: &str) {
    eprintln!("\n=== {what}");
}

/// Runs a program that must succeed.
pub(crate) fn must(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// Runs a program whose exit code is ours.
pub(crate) fn pass_through(command: &mut Command) -> Result<ExitCode> {
    let status = status(command)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    if code.is_none() {
        eprintln!("{} ended by a signal ({status})", line(command));
    }
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// Runs a program and says how it ended.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command
        .status()
        .with_context(|| format!("cannot start {}", line(command)))
}

/// The command as one would type it, for messages.
fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    words.join(" ")
}
