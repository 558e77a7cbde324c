//! Reading what a command is given as a file.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};

/// Reads a file, or standard input where that is `-`.
pub(crate) fn read(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read a message from standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
        .with_context(|| format!("cannot read a message from {}", file.display()))
}
