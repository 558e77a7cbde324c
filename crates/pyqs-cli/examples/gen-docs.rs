//! Writes `docs/cli.md` and `docs/celery-settings.md`; with `--check`, fails where one is stale. `cargo xtask gen-docs`
//! runs it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use pyqs_cli::reference;

fn main() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let only_checks = std::env::args().any(|word| word == "--check");
    for (name, wanted) in [
        ("cli.md", reference::markdown()),
        ("celery-settings.md", reference::celery_settings()),
    ] {
        let page = folder.join(name);
        if only_checks {
            let present = std::fs::read_to_string(&page).unwrap_or_default();
            ensure!(
                present == wanted,
                "docs/{name} is stale: run `cargo xtask gen-docs` and commit it"
            );
            continue;
        }
        std::fs::create_dir_all(&folder).context("cannot make docs/")?;
        std::fs::write(&page, wanted).with_context(|| format!("cannot write docs/{name}"))?;
    }
    Ok(())
}
