//! Writes `docs/cli.md`; with `--check`, fails where it is stale. `cargo xtask gen-docs` runs it.

use std::path::Path;

use anyhow::{Context, Result, ensure};

fn main() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let wanted = pyqs_cli::reference::markdown();
    if std::env::args().any(|word| word == "--check") {
        let present = std::fs::read_to_string(&page).unwrap_or_default();
        ensure!(
            present == wanted,
            "docs/cli.md is stale: run `cargo xtask gen-docs` and commit it"
        );
        return Ok(());
    }
    let folder = page.parent().context("the page is in a folder")?;
    std::fs::create_dir_all(folder).context("cannot make docs/")?;
    std::fs::write(&page, wanted).context("cannot write docs/cli.md")
}
