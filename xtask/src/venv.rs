//! The project's virtual environment, `.venv`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::{Project, heading, must};

/// The oldest Python that the package supports.
const PYTHON_MIN: (u32, u32) = (3, 9);

/// Asks an interpreter for its version, and whether it can make an environment with pip in it. Debian ships
/// `venv` without `ensurepip` until python3-venv is installed, which fails only after the folder was half made.
const PROBE: &str = "\
import importlib.util, sys
print(*sys.version_info[:2], all(importlib.util.find_spec(name) for name in ('venv', 'ensurepip')))";

/// The environment, made and working.
pub(crate) struct Venv<'project> {
    project: &'project Project,
    folder: PathBuf,
}

impl<'project> Venv<'project> {
    /// The project's own environment, made where it is missing, broken or of another Python.
    pub(crate) fn of_project(project: &'project Project) -> Result<Self> {
        let venv = Self {
            project,
            folder: project.path(".venv"),
        };
        let base = Interpreter::find()?;
        if venv.works_with(&base) {
            return Ok(venv);
        }
        if !base.makes_environments {
            bail!(
                "{} has no venv module with pip; on Debian and Ubuntu: apt-get install python3-venv",
                base.program
            );
        }
        heading(&format!(
            "making .venv with {} (Python {})",
            base.program,
            base.version_text()
        ));
        must(
            project
                .command(&base.program)
                .args(["-m", "venv", "--clear"])
                .arg(&venv.folder),
        )?;
        Ok(venv)
    }

    /// A program in the environment's `bin`.
    pub(crate) fn program(&self, name: &str) -> Command {
        self.project.command(self.bin(name))
    }

    /// The environment's interpreter.
    pub(crate) fn python(&self) -> Command {
        self.program("python")
    }

    /// The path of a program in the environment.
    pub(crate) fn bin(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// Installs what a requirements file lists.
    pub(crate) fn install_requirements(&self, file: &str) -> Result<()> {
        heading(&format!("pip install -r {file}"));
        must(self.pip_install().args(["-r", file]))
    }

    /// Builds the package in release mode and installs it, always: cargo knows what is up to date, and a wheel
    /// that is one edit behind its sources costs more than the seconds it takes to ask.
    ///
    /// All that does not need Python is built before, since pip shows nothing while it builds, and the first build
    /// takes minutes.
    pub(crate) fn install_package(&self) -> Result<()> {
        heading("cargo build --release (the first time takes some minutes)");
        must(
            self.project
                .cargo()
                .args(["build", "--release", "--package", "pyqs-cli", "--lib"]),
        )?;
        heading("pip install . (release build)");
        must(self.pip_install().arg("."))
    }

    fn pip_install(&self) -> Command {
        let mut pip = self.python();
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ]);
        pip
    }

    /// Whether the environment has pip and the base interpreter's version. An environment whose interpreter was
    /// removed or upgraded below it, or that was left half made, does not.
    fn works_with(&self, base: &Interpreter) -> bool {
        let has_pip = self.bin("python").exists()
            && self
                .python()
                .args(["-c", "import pip"])
                .output()
                .is_ok_and(|output| output.status.success());
        has_pip
            && Interpreter::probe(&self.bin("python")).is_ok_and(|own| own.version == base.version)
    }
}

/// A Python on this machine.
struct Interpreter {
    program: String,
    version: (u32, u32),
    makes_environments: bool,
}

impl Interpreter {
    /// The interpreter that `PYTHON` names, else `python3`.
    fn find() -> Result<Self> {
        let chosen = std::env::var("PYTHON").ok().filter(|name| !name.is_empty());
        let program = chosen.as_deref().unwrap_or("python3");
        let (major, minor) = PYTHON_MIN;
        let found = Self::probe(Path::new(program)).with_context(|| {
            format!("no usable Python: install Python {major}.{minor} or later, or name one with PYTHON=/path/to/python3")
        })?;
        if found.version < PYTHON_MIN {
            bail!(
                "{program} is Python {}, the package needs {major}.{minor} or later; name another with PYTHON=/path/to/python3",
                found.version_text()
            );
        }
        Ok(found)
    }

    fn probe(program: &Path) -> Result<Self> {
        let name = program.to_string_lossy().into_owned();
        let output = Command::new(program)
            .args(["-c", PROBE])
            .output()
            .with_context(|| format!("cannot start {name}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (version, makes_environments) =
            parse_probe(&text).with_context(|| format!("{name} did not tell its version"))?;
        Ok(Self {
            program: name,
            version,
            makes_environments,
        })
    }

    fn version_text(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }
}

/// Reads the answer of [`PROBE`].
fn parse_probe(text: &str) -> Option<((u32, u32), bool)> {
    let mut words = text.split_whitespace();
    let version = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((version, words.next()? == "True"))
}

#[cfg(test)]
mod tests {
    use super::parse_probe;

    #[test]
    fn probe_answers_are_read() {
        assert_eq!(parse_probe("3 11 True\n"), Some(((3, 11), true)));
        assert_eq!(parse_probe("3 9 False\n"), Some(((3, 9), false)));
        assert_eq!(parse_probe(""), None);
        assert_eq!(parse_probe("Python 3.11"), None);
    }
}
