//! `cargo xtask tidy`: what is absent is the architecture, so it is checked.
//!
//! Rules about crates come from `cargo metadata` ([`dependencies`]), rules about text from the files ([`sources`],
//! which reads Rust through [`tokens`]). Every finding says why the rule is there: whoever meets it should be able
//! to judge whether the code or the rule is wrong.

mod dependencies;
mod sources;
mod tokens;

use std::fmt;

use anyhow::{Result, bail};

use crate::project::Project;

/// One place where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A crate, or a file with its line.
    place: String,
    /// What is wrong there.
    what: String,
    /// Why that is a rule, and so what to do instead.
    why: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.place, self.what, self.why)
    }
}

/// Checks all rules and prints the findings.
pub(crate) fn must_pass(project: &Project) -> Result<()> {
    let mut findings = dependencies::check(&dependencies::read(project)?);
    let (files, found) = sources::check(project.root())?;
    findings.extend(found);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} places to mend", findings.len());
    }
    eprintln!("tidy: {files} files keep the rules");
    Ok(())
}
