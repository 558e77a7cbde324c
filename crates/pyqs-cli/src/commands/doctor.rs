//! `pyqs doctor`: what stands in the way of a worker, of its queues and of a Celery application.

mod celery;
mod queues;
pub(crate) mod settings;

use std::path::Path;

use anyhow::{Context, Result, bail};
use pyqs_sqs::names;
use serde_json::{Value, json};

use crate::connection::ConnectionArgs;
use crate::output;

/// Check queues: whether they are there, what SQS does with messages that fail, what these credentials may do
///
/// With --celery-app, also what a Celery application's configuration comes to here: what works as it is, what needs an
/// option, and what is not done. Nothing is received or sent. Exits 1 if there is a problem.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Queues by their names
    #[arg(value_name = "QUEUE", required_unless_present = "celery_app")]
    queues: Vec<String>,
    /// A Celery application (proj.celery:app); its queues are checked too
    #[arg(long, value_name = "MODULE:APP", env = "PYQS_CELERY_APP")]
    celery_app: Option<String>,
    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// One thing that was found.
struct Finding {
    verdict: Verdict,
    /// The queue, the setting.
    about: String,
    /// What is so, and what to do.
    words: String,
}

/// What a finding comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Works,
    /// Worth knowing.
    Note,
    /// Works with an option, or by something else.
    Option,
    /// Is not done here.
    NotDone,
    /// Stands in the way.
    Problem,
}

/// Prints what was found; an error where there is a problem.
pub(crate) fn run(args: Args, python: Option<&Path>) -> Result<()> {
    let mut findings = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for name in args.queues.iter().flat_map(|word| word.split(',')) {
        names.extend((!name.is_empty()).then(|| name.to_owned()));
    }
    if let Some(path) = &args.celery_app {
        let python = python.context(
            "--celery-app needs Python; this pyqs comes without, `pip install pyqs-rs` gives one that has it",
        )?;
        let app = celery::load(python, path)?;
        findings.extend(celery::findings(&app));
        names.extend(
            app.queues
                .iter()
                .filter(|name| !args.queues.contains(name))
                .cloned(),
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let found = runtime.block_on(async {
        let sqs = pyqs_sqs::connect(&args.connection.into()).await?;
        let mut findings = Vec::new();
        for name in &names {
            let queue = names::resolve(&sqs, name).await;
            findings.extend(queues::findings(&sqs, name, queue).await?);
        }
        anyhow::Ok(findings)
    });
    findings.extend(found?);
    show(&findings, args.json);
    match findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Problem)
        .count()
    {
        0 => Ok(()),
        1 => bail!("there is a problem"),
        count => bail!("there are {count} problems"),
    }
}

fn show(findings: &[Finding], is_json: bool) {
    if is_json {
        let findings = findings.iter().map(
            |found| json!({"verdict": found.verdict.word(), "about": found.about, "is": found.words}),
        );
        output::data(&json!({ "findings": findings.collect::<Value>() }).to_string());
        return;
    }
    let width = |column: fn(&Finding) -> usize| findings.iter().map(column).max().unwrap_or(0);
    let (verdicts, abouts) = (
        width(|found| found.verdict.word().len()),
        width(|found| found.about.chars().count()),
    );
    for Finding {
        verdict,
        about,
        words,
    } in findings
    {
        output::data(&format!(
            "{:<verdicts$}  {about:<abouts$}  {words}",
            verdict.word()
        ));
    }
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Note => "note",
            Self::Option => "option",
            Self::NotDone => "not done",
            Self::Problem => "PROBLEM",
        }
    }
}
