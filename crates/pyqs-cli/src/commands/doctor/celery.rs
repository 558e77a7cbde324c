//! A Celery application's configuration, as Python tells it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::settings::{SETTINGS, Setting};
use super::{Finding, Verdict};
use crate::shown::shown_text;

/// What `python -m pyqs._celery_settings` prints.
#[derive(Deserialize)]
pub(super) struct App {
    /// Celery's version.
    celery: String,
    /// The queues that its workers consume, as SQS names them.
    pub(super) queues: Vec<String>,
    /// Settings that differ from their defaults, as `repr` has them, without passwords.
    settings: BTreeMap<String, String>,
    /// How many tasks it has, Celery's own left out.
    tasks: usize,
    /// Options of tasks that are not kept here, with the tasks that set them.
    task_options: BTreeMap<String, Vec<String>>,
}

/// Loads an application in a Python process of its own, which ends.
pub(super) fn load(python: &Path, path: &str) -> Result<App> {
    let output = Command::new(python)
        .args(["-m", "pyqs._celery_settings", path])
        .output()
        .with_context(|| format!("can't start {}", python.display()))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{}",
            told.trim_end()
                .lines()
                .last()
                .unwrap_or("its process died")
                .to_owned()
        );
    }
    // What its modules print when they are imported comes before.
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = text.trim_end().lines().last().unwrap_or_default();
    serde_json::from_str(answer).with_context(|| format!("can't read the configuration of {path}"))
}

/// What its settings and tasks come to here, problems last.
pub(super) fn findings(app: &App) -> Vec<Finding> {
    let mut found = vec![Finding {
        verdict: Verdict::Works,
        about: "application".to_owned(),
        words: format!(
            "Celery {}, {} tasks, on the queues {}",
            shown_text(&app.celery),
            app.tasks,
            app.queues
                .iter()
                .map(|name| shown_text(name))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }];
    for (name, value) in &app.settings {
        let setting = SETTINGS.iter().find(|setting| setting.is_for(name));
        let (verdict, words) = match setting {
            Some(Setting { verdict, words, .. }) => (*verdict, *words),
            None => (Verdict::Note, "not read"),
        };
        found.push(Finding {
            verdict,
            about: shown_text(name),
            words: format!("= {}: {words}", shown_text(value)),
        });
    }
    for (option, tasks) in &app.task_options {
        let setting = SETTINGS.iter().find(|setting| setting.is_for(option));
        let Some(Setting { verdict, words, .. }) = setting else {
            continue;
        };
        found.push(Finding {
            verdict: *verdict,
            about: shown_text(option),
            words: format!("of {}: {words}", tasks.join(", ")),
        });
    }
    found.sort_by_key(|finding| match finding.verdict {
        Verdict::Works => 0,
        Verdict::Note => 1,
        Verdict::Option => 2,
        Verdict::NotDone => 3,
        Verdict::Problem => 4,
    });
    found
}
