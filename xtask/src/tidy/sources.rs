//! Rules about the text of the project's files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Finding, tokens};

/// The longest source file; STYLE asks for fewer than 500, tests included.
const FILE_LINES_MAX: usize = 600;

/// Folders that are no part of the project.
const FOLDERS_SKIPPED: &[&str] = &["target", "node_modules", "__pycache__", "build", "dist"];

/// What is read as text; everything else is data.
const TEXT_EXTENSIONS: &[&str] = &[
    "rs", "py", "pyi", "toml", "md", "sh", "yml", "yaml", "txt", "cfg", "ini", "html", "css", "js",
    "sql",
];

/// Words that have no place in the code of some files.
struct Ban {
    words: &'static [&'static str],
    applies: fn(&str) -> bool,
    why: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        words: &[
            "println!",
            "print!",
            "eprintln!",
            "eprint!",
            "io::stdout",
            "io::stderr",
        ],
        applies: |path| {
            !path.starts_with("xtask/")
                && !is_beside_the_library(path)
                && path != "crates/pyqs-cli/src/output.rs"
        },
        why: "one module prints, crates/pyqs-cli/src/output.rs; everywhere else a report is an event or an error",
    },
    Ban {
        words: &["dbg!", "todo!", "unimplemented!", "#[ignore"],
        applies: |_| true,
        why: "unfinished work is not committed: finish it, or leave it out and say so in the issue",
    },
    Ban {
        words: &["unsafe", "allow(unsafe_code)"],
        applies: |path| !UNSAFE_FILES.contains(&path),
        why: "unsafe code is fenced into the files that tidy names, each with its reasons written down",
    },
    Ban {
        words: &["aws_"],
        applies: |path| {
            path.starts_with("crates/")
                && path != "crates/pyqs-sqs/src/aws.rs"
                && !path.starts_with("crates/pyqs-sqs/src/aws/")
        },
        why: "only the adapter pyqs_sqs::aws names the SDK; everybody else sees plain types",
    },
    Ban {
        words: &["rusqlite"],
        applies: |path| {
            path.starts_with("crates/") && !path.starts_with("crates/pyqs-local/src/store")
        },
        why: "only pyqs_local::store knows that there is SQLite",
    },
];

/// The files that may hold `unsafe`: memory shared with forked processes, descriptors that came over a border, an
/// exception for another thread, an allocator, and a test's allocator that measures what a hostile message takes.
const UNSAFE_FILES: &[&str] = &[
    "crates/pyqs-local/src/allocator.rs",
    "crates/pyqs-worker/src/process/shared.rs",
    "crates/pyqs-python/src/descriptor.rs",
    "crates/pyqs-python/src/interrupt.rs",
    "crates/pyqs-formats/tests/hostile.rs",
    "crates/pyqs/tests/support/fork.rs",
];

/// The beginnings of a person's or a machine's own paths, in pieces, so that this file has none.
const PRIVATE_PATHS: &[&str] = &[
    concat!("/", "home/"),
    concat!("/", "root/"),
    concat!("/", "work/"),
    concat!("/", "Users/"),
];
const WHY_PRIVATE_PATHS: &str = "the project runs in any folder of any machine: make the path from the project's root, or take it as an argument";
const WHY_FILE_LINES: &str =
    "a file holds one noun: cut out a type with a job of its own, not a part two";

/// Checks every file below the root; tells how many there are.
pub(super) fn check(root: &Path) -> Result<(usize, Vec<Finding>)> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    let mut findings = Vec::new();
    for file in &files {
        let text =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let path = file.strip_prefix(root).unwrap_or(file).to_string_lossy();
        findings.extend(check_file(&path, &String::from_utf8_lossy(&text)));
    }
    Ok((files.len(), findings))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
            if !hidden && !FOLDERS_SKIPPED.contains(&name.as_str()) {
                collect(&entry.path(), files)?;
            }
        } else if kind.is_file() && is_text(&name) {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// By its extension; a file without one is a script.
fn is_text(name: &str) -> bool {
    name.rsplit_once('.')
        .is_none_or(|(_, extension)| TEXT_EXTENSIONS.contains(&extension))
}

/// All rules for one file, given by its path below the root and its text.
fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    find_private_paths(path, text, &mut findings);
    let is_rust = has_extension(path, "rs");
    if is_rust || has_extension(path, "py") || has_extension(path, "pyi") {
        check_length(path, text, &mut findings);
    }
    if is_rust {
        find_banned_words(path, &tokens::code_only(text), &mut findings);
    }
    findings
}

fn has_extension(path: &str, wanted: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == wanted)
}

/// Tests, examples and benches are programs of their own, whose output their runner takes.
fn is_beside_the_library(path: &str) -> bool {
    ["/tests/", "/examples/", "/benches/"]
        .iter()
        .any(|folder| path.contains(folder))
}

fn find_private_paths(path: &str, text: &str, findings: &mut Vec<Finding>) {
    for (number, line) in text.lines().enumerate() {
        for private in PRIVATE_PATHS {
            // Inside a longer path or an address it is somebody's folder of that name, which is fine.
            let absolute = line.match_indices(private).any(|(at, _)| {
                line[..at]
                    .chars()
                    .next_back()
                    .is_none_or(|before| !before.is_alphanumeric() && !"._-~}/".contains(before))
            });
            if absolute {
                findings.push(Finding {
                    place: format!("{path}:{}", number + 1),
                    what: format!("names a path below {private}"),
                    why: WHY_PRIVATE_PATHS,
                });
            }
        }
    }
}

fn check_length(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        findings.push(Finding {
            place: path.to_owned(),
            what: format!("has {lines} lines, {FILE_LINES_MAX} are the end"),
            why: WHY_FILE_LINES,
        });
    }
}

fn find_banned_words(path: &str, code: &str, findings: &mut Vec<Finding>) {
    for ban in BANS.iter().filter(|ban| (ban.applies)(path)) {
        for (number, line) in code.lines().enumerate() {
            for word in ban.words.iter().filter(|word| has_word(line, word)) {
                findings.push(Finding {
                    place: format!("{path}:{}", number + 1),
                    what: format!("has {word}"),
                    why: ban.why,
                });
            }
        }
    }
}

/// Whether a line has the word, not as part of a longer one. A word that ends in `_` is meant as a beginning.
fn has_word(line: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_letter)
            && (!word.ends_with(is_letter) || word.ends_with('_') || !after.is_some_and(is_letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a file, as `line: what`; a finding about the whole file has no line.
    fn found(path: &str, text: &str) -> Vec<String> {
        check_file(path, text)
            .into_iter()
            .map(|finding| match finding.place.rsplit_once(':') {
                Some((_, line)) => format!("{line}: {}", finding.what),
                None => finding.what,
            })
            .collect()
    }

    #[test]
    fn only_the_output_module_prints() {
        let text = "fn f() {\n    println!(\"x\");\n}\n";
        assert_eq!(
            found("crates/pyqs-worker/src/manager.rs", text),
            ["2: has println!"]
        );
        assert_eq!(
            found("crates/pyqs-cli/src/commands/send.rs", text),
            ["2: has println!"]
        );
        assert!(found("crates/pyqs-cli/src/output.rs", text).is_empty());
        assert!(found("crates/pyqs-core/tests/sim.rs", text).is_empty());
        assert_eq!(
            found("crates/pyqs/src/a.rs", "std::io::stderr().lock()"),
            ["1: has io::stderr"]
        );
        assert!(
            found(
                "crates/pyqs/src/a.rs",
                "/// println!(\"x\")\nlet s = \"eprintln!\";"
            )
            .is_empty()
        );
    }

    #[test]
    fn unsafe_is_fenced() {
        let text = "unsafe { f() }";
        assert_eq!(found("crates/pyqs-core/src/a.rs", text), ["1: has unsafe"]);
        assert!(found("crates/pyqs-worker/src/process/shared.rs", text).is_empty());
        assert!(
            found(
                "crates/pyqs-core/src/a.rs",
                "#![forbid(unsafe_code)] // unsafe"
            )
            .is_empty()
        );
        assert_eq!(
            found("crates/pyqs-core/src/a.rs", "#![allow(unsafe_code)]"),
            ["1: has allow(unsafe_code)"]
        );
    }

    #[test]
    fn unfinished_work_is_found() {
        assert_eq!(found("crates/a/src/b.rs", "todo!()"), ["1: has todo!"]);
        assert_eq!(
            found("xtask/src/b.rs", "\n#[ignore = \"slow\"]"),
            ["2: has #[ignore"]
        );
        assert!(found("crates/a/src/b.rs", "not_todo!()").is_empty());
    }

    #[test]
    fn adapters_are_fenced() {
        assert_eq!(
            found("crates/pyqs-worker/src/a.rs", "use aws_config::x;"),
            ["1: has aws_"]
        );
        assert!(found("crates/pyqs-sqs/src/aws/errors.rs", "use aws_sdk_sqs::x;").is_empty());
        assert!(found("crates/pyqs-worker/src/a.rs", "let my_aws_thing = 1;").is_empty());
        assert_eq!(
            found("crates/pyqs-local/src/engine.rs", "use rusqlite::C;"),
            ["1: has rusqlite"]
        );
        assert!(found("crates/pyqs-local/src/store/sqlite.rs", "use rusqlite::C;").is_empty());
    }

    #[test]
    fn private_paths_are_found_in_any_text() {
        let path = format!("cd {}someone/project", PRIVATE_PATHS[0]);
        assert_eq!(
            found("docs/start.md", &path),
            [format!("1: names a path below {}", PRIVATE_PATHS[0])]
        );
        assert!(
            found(
                "docs/start.md",
                &format!("https://example.org{}x", PRIVATE_PATHS[2])
            )
            .is_empty()
        );
        assert!(found("docs/start.md", &format!("~{}x", PRIVATE_PATHS[0])).is_empty());
    }

    #[test]
    fn long_files_are_named_at_the_limit_and_not_before() {
        assert!(found("python/pyqs/a.py", &"x\n".repeat(FILE_LINES_MAX)).is_empty());
        assert_eq!(
            found("python/pyqs/a.py", &"x\n".repeat(FILE_LINES_MAX + 1)).len(),
            1
        );
        assert!(found("CHANGELOG.md", &"x\n".repeat(FILE_LINES_MAX + 1)).is_empty());
    }

    #[test]
    fn scripts_and_hidden_files() {
        assert!(is_text("run"));
        assert!(is_text("clippy.toml"));
        assert!(!is_text("mails.jsonl.gz"));
    }
}
