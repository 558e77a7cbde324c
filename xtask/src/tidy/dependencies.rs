//! Which crate may know which, as `cargo metadata` tells it.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Finding;
use crate::project::Project;

/// What one of our crates may know of our others.
struct Rule {
    name: &'static str,
    /// Crates of ours that it may depend on.
    knows: &'static [&'static str],
    /// Crates of ours that its tests may use besides.
    tests_know: &'static [&'static str],
}

/// The map in ARCHITECTURE.md, for the machine. A crate that is not here may not exist.
const RULES: &[Rule] = &[
    Rule {
        name: "pyqs-core",
        knows: &[],
        tests_know: &["pyqs-broker"],
    },
    Rule {
        name: "pyqs-formats",
        knows: &[],
        tests_know: &[],
    },
    Rule {
        name: "pyqs-broker",
        knows: &[],
        tests_know: &[],
    },
    Rule {
        name: "pyqs-sqs",
        knows: &[],
        tests_know: &["pyqs-local"],
    },
    Rule {
        name: "pyqs-worker",
        knows: &["pyqs-core", "pyqs-formats", "pyqs-sqs"],
        tests_know: &["pyqs-local"],
    },
    Rule {
        name: "pyqs-macros",
        knows: &[],
        tests_know: &[],
    },
    Rule {
        name: "pyqs",
        knows: &["pyqs-formats", "pyqs-macros", "pyqs-sqs", "pyqs-worker"],
        tests_know: &["pyqs-local"],
    },
    Rule {
        name: "pyqs-local",
        knows: &["pyqs-broker"],
        tests_know: &["pyqs-sqs"],
    },
    Rule {
        name: "pyqs-web",
        knows: &["pyqs-sqs", "pyqs-worker"],
        tests_know: &["pyqs-local"],
    },
    Rule {
        name: "pyqs-cli",
        knows: &[
            "pyqs",
            "pyqs-formats",
            "pyqs-local",
            "pyqs-sqs",
            "pyqs-web",
            "pyqs-worker",
        ],
        tests_know: &[],
    },
    Rule {
        name: "pyqs-python",
        knows: &[
            "pyqs",
            "pyqs-cli",
            "pyqs-formats",
            "pyqs-local",
            "pyqs-sqs",
            "pyqs-web",
            "pyqs-worker",
        ],
        tests_know: &[],
    },
    Rule {
        name: "xtask",
        knows: &[],
        tests_know: &[],
    },
];

const WHY_RULES: &str = "who may know whom is the architecture: move the code to where it is known, or change the \
     table in xtask and the map in ARCHITECTURE.md in the same commit, saying why";

/// An external crate, or a family of them, that few may name.
struct Fence {
    /// The crate's name, or its beginning with a `*`.
    pattern: &'static str,
    only: &'static [&'static str],
    why: &'static str,
}

const FENCES: &[Fence] = &[
    Fence {
        pattern: "aws-*",
        only: &["pyqs-sqs"],
        why: "everybody else talks to SQS through the trait in pyqs-sqs, so that the SDK can be replaced or faked",
    },
    Fence {
        pattern: "rusqlite",
        only: &["pyqs-local"],
        why: "SQLite is how the endpoint's store keeps its data, and nobody else's business",
    },
    Fence {
        pattern: "pyo3*",
        only: &["pyqs-python"],
        why: "the binding crate translates; what it translates must build and be tested without Python",
    },
    Fence {
        pattern: "clap*",
        only: &["pyqs-cli", "xtask"],
        why: "options are defined in pyqs-cli; libraries take settings",
    },
    Fence {
        pattern: "anyhow",
        only: &["pyqs-cli", "xtask"],
        why: "libraries have typed errors, by what the caller can do",
    },
];

/// Crates that may use the standard library only.
const STD_ONLY: &[&str] = &["pyqs-core", "pyqs-broker"];
const WHY_STD_ONLY: &str = "the state machines know no tokio, logging, bodies, HTTP or disk; what they need comes in as \
     an event and leaves as an action";

/// Crates that do no input or output, and what would do some for them.
const NO_IO: &[&str] = &["pyqs-formats"];
const IO_CRATES: &[&str] = &[
    "tokio", "tracing", "log", "axum", "hyper", "reqwest", "rand",
];
const WHY_NO_IO: &str =
    "formats are bytes in, values out: nothing waits, logs or depends on chance";

/// One of our crates with its direct dependencies.
#[derive(Debug)]
pub(super) struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    only_for_tests: bool,
}

/// Asks cargo for the workspace's crates.
pub(super) fn read(project: &Project) -> Result<Vec<Package>> {
    let output = project
        .cargo()
        .args(["metadata", "--format-version=1", "--no-deps"])
        .output()
        .context("cannot start cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    parse(&serde_json::from_slice(&output.stdout)?).context("cargo metadata has an unknown form")
}

fn parse(metadata: &Value) -> Option<Vec<Package>> {
    let packages = metadata["packages"].as_array()?;
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"]
                .as_array()?
                .iter()
                .map(|dependency| {
                    Some(Dependency {
                        name: dependency["name"].as_str()?.to_owned(),
                        only_for_tests: dependency["kind"].as_str() == Some("dev"),
                    })
                });
            Some(Package {
                name: package["name"].as_str()?.to_owned(),
                dependencies: dependencies.collect::<Option<_>>()?,
            })
        })
        .collect()
}

/// Holds every dependency against the rules.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Some(rule) = RULES.iter().find(|rule| rule.name == package.name) else {
            findings.push(Finding {
                place: package.name.clone(),
                what: "this crate is not on the map".to_owned(),
                why: WHY_RULES,
            });
            continue;
        };
        for dependency in &package.dependencies {
            let mut broken = |why| {
                findings.push(Finding {
                    place: package.name.clone(),
                    what: format!("must not depend on {}", dependency.name),
                    why,
                });
            };
            if is_ours(&dependency.name) {
                if !may_know(rule, dependency) {
                    broken(WHY_RULES);
                }
            } else if let Some(why) = fenced_off(&package.name, dependency) {
                broken(why);
            }
        }
    }
    findings
}

fn is_ours(name: &str) -> bool {
    RULES.iter().any(|rule| rule.name == name)
}

fn may_know(rule: &Rule, dependency: &Dependency) -> bool {
    let name = dependency.name.as_str();
    rule.knows.contains(&name) || (dependency.only_for_tests && rule.tests_know.contains(&name))
}

/// Why this external crate has no place in that crate of ours.
fn fenced_off(package: &str, dependency: &Dependency) -> Option<&'static str> {
    let name = dependency.name.as_str();
    if !dependency.only_for_tests {
        if STD_ONLY.contains(&package) {
            return Some(WHY_STD_ONLY);
        }
        if NO_IO.contains(&package) && IO_CRATES.contains(&name) {
            return Some(WHY_NO_IO);
        }
    }
    let fence = FENCES
        .iter()
        .find(|fence| match fence.pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == fence.pattern,
        })?;
    // A test may take any error as it comes.
    let free_in_tests = fence.pattern == "anyhow" && dependency.only_for_tests;
    (!fence.only.contains(&package) && !free_in_tests).then_some(fence.why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks one crate with dependencies written as `name` or `dev:name`; tells which were refused.
    fn refused(package: &str, dependencies: &[&str]) -> Vec<String> {
        let dependencies = dependencies
            .iter()
            .map(|name| match name.strip_prefix("dev:") {
                Some(name) => Dependency {
                    name: name.to_owned(),
                    only_for_tests: true,
                },
                None => Dependency {
                    name: (*name).to_owned(),
                    only_for_tests: false,
                },
            })
            .collect();
        check(&[Package {
            name: package.to_owned(),
            dependencies,
        }])
        .into_iter()
        .map(|finding| finding.what.replace("must not depend on ", ""))
        .collect()
    }

    #[test]
    fn the_leaves_know_none_of_ours() {
        for leaf in ["pyqs-core", "pyqs-formats", "pyqs-broker", "pyqs-sqs"] {
            assert_eq!(refused(leaf, &["pyqs-worker"]), ["pyqs-worker"]);
        }
        assert_eq!(refused("pyqs-core", &["pyqs-broker"]), ["pyqs-broker"]);
        assert!(refused("pyqs-core", &["dev:pyqs-broker"]).is_empty());
    }

    #[test]
    fn the_map_is_kept_upwards() {
        assert!(refused("pyqs-worker", &["pyqs-core", "pyqs-formats", "pyqs-sqs"]).is_empty());
        assert_eq!(
            refused("pyqs-local", &["pyqs-broker", "pyqs-sqs"]),
            ["pyqs-sqs"]
        );
        assert_eq!(refused("pyqs-worker", &["pyqs-local"]), ["pyqs-local"]);
    }

    #[test]
    fn state_machines_use_std_only() {
        assert_eq!(refused("pyqs-core", &["tokio", "dev:proptest"]), ["tokio"]);
        assert_eq!(refused("pyqs-broker", &["serde"]), ["serde"]);
        assert_eq!(
            refused("pyqs-formats", &["serde_json", "tracing"]),
            ["tracing"]
        );
    }

    #[test]
    fn fences_hold_for_tests_too() {
        assert_eq!(refused("pyqs-worker", &["aws-config"]), ["aws-config"]);
        assert_eq!(
            refused("pyqs-local", &["rusqlite", "dev:aws-sdk-sqs"]),
            ["aws-sdk-sqs"]
        );
        assert_eq!(
            refused("pyqs-cli", &["clap", "pyo3", "rusqlite"]),
            ["pyo3", "rusqlite"]
        );
        assert_eq!(
            refused("pyqs", &["clap", "anyhow", "dev:anyhow"]),
            ["clap", "anyhow"]
        );
        assert!(refused("pyqs-python", &["pyo3"]).is_empty());
    }

    #[test]
    fn a_crate_off_the_map_is_named() {
        let findings = check(&[Package {
            name: "pyqs-extra".to_owned(),
            dependencies: Vec::new(),
        }]);
        assert_eq!(findings[0].place, "pyqs-extra");
    }

    #[test]
    fn metadata_is_read() {
        let metadata = serde_json::json!({"packages": [{"name": "a", "dependencies": [
            {"name": "b", "kind": null}, {"name": "c", "kind": "dev"}, {"name": "d", "kind": "build"}]}]});
        let packages = parse(&metadata).expect("the form that cargo writes");
        let tests: Vec<bool> = packages[0]
            .dependencies
            .iter()
            .map(|one| one.only_for_tests)
            .collect();
        assert_eq!(tests, [false, true, false]);
        assert!(parse(&serde_json::json!({"packages": [{}]})).is_none());
    }
}
