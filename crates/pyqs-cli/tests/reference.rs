//! The generated reference is what the definitions say.

use std::path::Path;

#[test]
fn generated_pages_are_current() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (name, wanted) in [
        ("cli.md", pyqs_cli::reference::markdown()),
        ("celery-settings.md", pyqs_cli::reference::celery_settings()),
    ] {
        let present = std::fs::read_to_string(docs.join(name)).unwrap_or_default();
        assert!(
            present == wanted,
            "docs/{name} is stale: run `cargo xtask gen-docs`"
        );
    }
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
