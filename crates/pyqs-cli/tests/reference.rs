//! The generated reference is what the definitions say.

use std::path::Path;

#[test]
fn docs_cli_is_current() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let present = std::fs::read_to_string(page).unwrap_or_default();
    assert!(
        present == pyqs_cli::reference::markdown(),
        "docs/cli.md is stale: run `cargo xtask gen-docs`"
    );
}

#[test]
fn the_reference_names_every_spelling_and_no_value_of_a_variable() {
    let page = pyqs_cli::reference::markdown();
    for spelling in [
        "`--log_level LEVEL`",
        "`--log-level`",
        "`-c`",
        "`PYQS_SECRET_ACCESS_KEY`",
        "`--no-extend-visibility`",
    ] {
        assert!(page.contains(spelling), "{spelling} is missing");
    }
}
