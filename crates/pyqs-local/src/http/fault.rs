//! Faults on demand: what a client must live with on SQS, made to happen here.
//!
//! Without a [`FaultPlan`] nothing of this exists in a server. With one, each request asks the
//! [`Injector`] instead of its action.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::actions::{Action, Call, Reply};
use crate::connection::Handovers;
use crate::error::ApiError;
use rule::{Kind, Span};

mod partial;
mod rule;

pub use rule::{FaultError, FaultRule};

/// What is to go wrong. The default is nothing.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    /// The faults for the whole time of the server.
    pub rules: Vec<FaultRule>,
    /// A file with one more fault a line; empty lines, and lines that begin with `#`, are none.
    /// It is read at every request, so that what is written there holds from then on. A file that
    /// isn't there has no faults; while one can't be read, every request fails and says so.
    pub file: Option<PathBuf>,
    /// Which requests are hit, where a rate is between 0 and 1. The n-th request that a fault is
    /// for has the same fate in each run with the same seed. Default: 0.
    pub seed: u64,
}

/// Makes requests fail as planned.
pub(super) struct Injector {
    rules: Vec<Arc<Rule>>,
    file: Option<FaultFile>,
    seed: u64,
    injected: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

/// The faults of a file, as it was when it was last read.
struct FaultFile {
    path: PathBuf,
    read: Mutex<(String, Vec<Arc<Rule>>)>,
}

/// A fault and the requests that it was for so far.
struct Rule {
    fault: FaultRule,
    seed: u64,
    drawn: AtomicU64,
}

/// What goes wrong with one request.
#[derive(Default)]
struct Fate {
    delay_before: Duration,
    delay_after: Duration,
    end: Option<Kind>,
    /// By these an entry of a batch may fail.
    partial: Vec<Arc<Rule>>,
}

impl Injector {
    /// Nothing where nothing is planned.
    pub(super) fn new(plan: FaultPlan) -> Option<Self> {
        if plan.rules.is_empty() && plan.file.is_none() {
            return None;
        }
        let file = plan.file.map(|path| FaultFile {
            path,
            read: Mutex::default(),
        });
        Some(Self {
            rules: counted(plan.rules, plan.seed),
            file,
            seed: plan.seed,
            injected: Mutex::default(),
        })
    }

    /// Carries an action out, or not, as its fate is.
    pub(super) async fn handle(
        &self,
        action: Action,
        call: &Call,
        parameters: &[u8],
        connection: &Handovers,
    ) -> Result<Reply, ApiError> {
        let fate = self.draw(action)?;
        sleep(fate.delay_before).await;
        match fate.end {
            Some(Kind::Error) => return Err(ApiError::Injected),
            Some(Kind::Throttle) => return Err(ApiError::Throttled),
            Some(Kind::Expired) => return Err(ApiError::ExpiredToken),
            Some(Kind::DropBefore) => {
                connection.cut();
                return Err(ApiError::Injected);
            }
            _ => {}
        }
        let result = if fate.partial.is_empty() {
            action.handle(call, parameters).await
        } else {
            let fails = || {
                let hit = fate.partial.iter().any(|rule| rule.hits());
                self.note(action, hit.then_some(Kind::Partial));
                hit
            };
            partial::handle(action, call, parameters, fails).await
        };
        sleep(fate.delay_after).await;
        if fate.end == Some(Kind::DropAfter) {
            // As on SQS: to it, what it has answered is received.
            if let Ok(Reply {
                unconfirmed: Some(unconfirmed),
                ..
            }) = result
            {
                unconfirmed.confirm();
            }
            connection.cut();
            return Err(ApiError::Injected);
        }
        result
    }

    /// The faults injected so far, as Prometheus's text format has it.
    pub(super) fn render(&self) -> String {
        let mut text = String::from(
            "# HELP pyqs_local_faults_total Faults injected since the start, by SQS action and \
             kind.\n# TYPE pyqs_local_faults_total counter\n",
        );
        let injected = self.injected.lock().unwrap_or_else(PoisonError::into_inner);
        for ((action, kind), count) in injected.iter() {
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "pyqs_local_faults_total{{action=\"{action}\",kind=\"{kind}\"}} {count}"
            );
        }
        text
    }

    fn draw(&self, action: Action) -> Result<Fate, ApiError> {
        let of_file = match &self.file {
            Some(file) => file.rules(self.seed)?,
            None => Vec::new(),
        };
        let mut fate = Fate::default();
        let rules = self.rules.iter().chain(&of_file);
        for rule in rules.filter(|rule| rule.fault.is_for(action)) {
            match rule.fault.kind {
                Kind::Partial if action.is_batch() => fate.partial.push(Arc::clone(rule)),
                Kind::Partial => {}
                kind => {
                    let draw = rule.draw();
                    if draw < rule.fault.rate {
                        fate.add(kind, draw / rule.fault.rate);
                        self.note(action, Some(kind));
                    }
                }
            }
        }
        Ok(fate)
    }

    fn note(&self, action: Action, kind: Option<Kind>) {
        if let Some(kind) = kind {
            let mut injected = self.injected.lock().unwrap_or_else(PoisonError::into_inner);
            *injected.entry((action.name(), kind.name())).or_default() += 1;
        }
    }
}

impl Fate {
    /// Delays add up; of all the rest the first holds. `draw` is even between 0 and 1.
    fn add(&mut self, kind: Kind, draw: f64) {
        let within = |span: Span| span.least + span.most.saturating_sub(span.least).mul_f64(draw);
        match kind {
            Kind::DelayBefore(span) => self.delay_before += within(span),
            Kind::DelayAfter(span) => self.delay_after += within(span),
            kind => self.end = self.end.or(Some(kind)),
        }
    }
}

impl FaultFile {
    /// What the file says now. Where it says what it said before, the counts go on.
    fn rules(&self, seed: u64) -> Result<Vec<Arc<Rule>>, ApiError> {
        let unreadable = |reason: String| ApiError::FaultFile {
            path: self.path.display().to_string(),
            reason,
        };
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != text {
            let lines = text.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            let faults: Result<_, _> = lines.map(str::parse).collect();
            let faults = faults.map_err(|error: FaultError| unreadable(error.to_string()))?;
            *read = (text, counted(faults, seed));
        }
        Ok(read.1.clone())
    }
}

impl Rule {
    /// Even between 0 and 1, 1 excluded; the same for the n-th draw of each run.
    fn draw(&self) -> f64 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        unit(mixed(self.seed ^ mixed(count)))
    }

    fn hits(&self) -> bool {
        self.draw() < self.fault.rate
    }
}

/// Each fault draws from a sequence of its own.
fn counted(faults: Vec<FaultRule>, seed: u64) -> Vec<Arc<Rule>> {
    let mut seed = seed;
    let rules = faults.into_iter().map(|fault| {
        seed = mixed(seed);
        Arc::new(Rule {
            fault,
            seed,
            drawn: AtomicU64::new(0),
        })
    });
    rules.collect()
}

/// The finalizer of splitmix64. Nothing secret hangs on it.
fn mixed(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn unit(value: u64) -> f64 {
    let high = u32::try_from(value >> 32).expect("32 bits are left");
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn injector(rules: &[&str], seed: u64) -> Injector {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let plan = FaultPlan {
            rules,
            seed,
            ..FaultPlan::default()
        };
        Injector::new(plan).unwrap()
    }

    fn fates(injector: &Injector, action: Action) -> Vec<Option<Kind>> {
        let fates = (0..1000).map(|_| injector.draw(action).ok().unwrap().end);
        fates.collect()
    }

    #[test]
    fn nothing_is_planned_by_default() {
        assert!(Injector::new(FaultPlan::default()).is_none());
    }

    #[test]
    fn a_rate_hits_its_share_and_a_seed_the_same_requests() {
        let rules = ["ReceiveMessage:error:0.05"];
        let first = fates(&injector(&rules, 1), Action::ReceiveMessage);
        let hit = first.iter().flatten().count();
        assert!((25..=100).contains(&hit), "{hit} of 1000");
        assert_eq!(fates(&injector(&rules, 1), Action::ReceiveMessage), first);
        assert_ne!(fates(&injector(&rules, 2), Action::ReceiveMessage), first);
        let others = fates(&injector(&rules, 1), Action::SendMessage);
        assert_eq!(others.iter().flatten().count(), 0);
    }

    #[test]
    fn delays_add_up_and_the_first_end_holds() {
        let rules = [
            "*:delay-before=100",
            "*:delay-before=20-30",
            "*:throttle:0",
            "*:drop-after",
            "*:error",
        ];
        let fate = injector(&rules, 0).draw(Action::SendMessage).ok().unwrap();
        assert_eq!(fate.end, Some(Kind::DropAfter));
        let delay = fate.delay_before.as_millis();
        assert!((120..=130).contains(&delay), "{delay} ms");
        assert_eq!(fate.delay_after, Duration::ZERO);
    }

    #[test]
    fn only_batches_have_entries_that_fail() {
        let injector = injector(&["*:partial"], 0);
        assert!(
            injector
                .draw(Action::SendMessage)
                .ok()
                .unwrap()
                .partial
                .is_empty()
        );
        let batch = injector.draw(Action::SendMessageBatch).ok().unwrap();
        assert_eq!(batch.partial.len(), 1);
    }
}
