//! What a seed stands for: queues, jobs, processes, settings, and what goes wrong until it heals.

use std::collections::BTreeMap;
use std::time::Duration;

use pyqs_core::limits::BUFFER_BYTES_MAX;
use pyqs_core::{Gather, Instant, RateLimit, Settings, Share, Trouble};

use crate::rng::Rng;

/// Ten starts in the first quarter of an hour, while what hides poison doubles up to its longest,
/// and ten in the two and a half hours after that, which are more than a rate alone takes.
const POISON_STARTS: u32 = 20;

/// Everything that a run is made from.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    pub(crate) queues: Vec<QueuePlan>,
    pub(crate) jobs: Vec<Job>,
    /// Jobs that are run together, by queue and kind.
    pub(crate) gathers: BTreeMap<(u32, u32), Gather>,
    /// What a message of each queue takes; nothing where there is none.
    pub(crate) bytes: Vec<usize>,
    /// So many of the kind run at once, over all queues.
    pub(crate) kind_max: Option<(u32, u32)>,
    pub(crate) processes: u32,
    pub(crate) tasks_max: Option<u32>,
    pub(crate) faults: Faults,
    /// From then on nothing goes wrong.
    pub(crate) heal_at: Duration,
    pub(crate) stop: Option<StopPlan>,
}

#[derive(Clone, Debug)]
pub(crate) struct QueuePlan {
    pub(crate) visibility_secs: u32,
    pub(crate) is_fifo: bool,
    pub(crate) share: Share,
    /// `maxReceiveCount` of its redrive policy, if it has one.
    pub(crate) receives_max: Option<u32>,
}

/// One message and what its task does.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) queue: u32,
    pub(crate) group: Option<u32>,
    pub(crate) kind: u32,
    pub(crate) length: Duration,
    pub(crate) sent_at: Duration,
    /// The first runs fail, then as many crash.
    pub(crate) fails: u32,
    pub(crate) crashes: u32,
    /// A run that fails asks for the next one so much later; by itself SQS decides.
    pub(crate) backoff: Option<Duration>,
    /// So often it is not run when it begins, but put off for so long.
    pub(crate) postpones: u32,
    pub(crate) postponed_for: Duration,
    /// How the last run ends.
    pub(crate) ending: Ending,
    /// Counted from the beginning, as is `expires`.
    pub(crate) due: Option<Duration>,
    pub(crate) expires: Option<Duration>,
    pub(crate) poison: Poison,
}

impl Job {
    /// How long its runs and what lies between them can take, once nothing goes wrong.
    pub(crate) fn span(&self, visibility: Duration) -> Duration {
        let hidden = visibility.max(self.backoff.unwrap_or_default());
        let runs = self.runs();
        let put_off = self.length * 2 + visibility.max(self.postponed_for) + Duration::from_secs(1);
        self.length * 2 * runs + hidden * (runs - 1) + put_off * self.postpones
    }

    /// How often it is given to a process, once nothing goes wrong. Poison without a redrive policy
    /// is so for ever, but hidden for longer each time.
    pub(crate) fn starts(&self, queue: &QueuePlan) -> u32 {
        match self.poison {
            Poison::No => self.runs() + self.postpones,
            Poison::Unreadable => 0,
            Poison::Unrunnable => queue.receives_max.unwrap_or(POISON_STARTS),
        }
    }

    fn runs(&self) -> u32 {
        1 + self.fails + self.crashes
    }
}

/// How a job's last run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Success,
    Discard,
    DeadLetter,
    /// As a success, with messages to be sent after it.
    Callbacks,
    /// As a failure for good, with messages to be sent in its place.
    Errbacks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poison {
    No,
    /// The driver can't read it.
    Unreadable,
    /// The process can't run it.
    Unrunnable,
}

/// How often in a thousand what goes wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) request_lost: u32,
    pub(crate) reply_lost: u32,
    pub(crate) throttled: u32,
    pub(crate) server_error: u32,
    pub(crate) entry_failed: u32,
    /// A message that is sent on.
    pub(crate) send_refused: u32,
    /// One way, at most; within what the lease's reckoning allows for.
    pub(crate) latency_max: Duration,
    /// The driver stands still, from when and for how long.
    pub(crate) pauses: Vec<(Duration, Duration)>,
    /// Another worker takes messages.
    pub(crate) rivals: Vec<Duration>,
    /// A process is killed.
    pub(crate) kills: Vec<Duration>,
    /// The consumer and its driver are gone, and others take their place.
    pub(crate) deaths: Vec<Duration>,
    pub(crate) outage: Option<Outage>,
}

/// For a while no request has a proper answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
    pub(crate) trouble: Trouble,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct StopPlan {
    pub(crate) at: Duration,
    pub(crate) now_after: Option<Duration>,
}

impl Faults {
    /// Nothing goes wrong, and SQS answers within milliseconds.
    pub(crate) fn none() -> Self {
        Self {
            latency_max: Duration::from_millis(5),
            ..Self::default()
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.is_only_of_deaths() && self.deaths.is_empty()
    }

    fn is_only_of_deaths(&self) -> bool {
        let permille = [
            self.request_lost,
            self.reply_lost,
            self.throttled,
            self.server_error,
            self.entry_failed,
            self.send_refused,
        ];
        permille.iter().all(|&chance| chance == 0)
            && self.pauses.is_empty()
            && self.rivals.is_empty()
            && self.kills.is_empty()
            && self.outage.is_none()
    }

    fn random(rng: &mut Rng, heal_at: Duration) -> Self {
        if rng.permille(200) {
            return Self::none();
        }
        let often = rng.pick(&[0, 20, 100, 300]);
        let mut chance = || {
            if often == 0 || rng.permille(400) {
                0
            } else {
                rng.range32(1, often)
            }
        };
        let (request_lost, reply_lost, throttled) = (chance(), chance(), chance());
        let (server_error, entry_failed, send_refused) = (chance(), chance(), chance());
        let mut times = |count_max: u64| -> Vec<Duration> {
            let count = rng.range(0, count_max);
            (0..count).map(|_| rng.micros(0, micros(heal_at))).collect()
        };
        let (pauses, kills, rivals) = (times(3), times(4), times(30));
        let outage = rng.permille(200).then(|| Outage::random(rng, heal_at));
        Self {
            request_lost,
            reply_lost,
            throttled,
            server_error,
            entry_failed,
            send_refused,
            latency_max: rng.pick(&[1, 10, 50, 400].map(Duration::from_millis)),
            pauses: pauses
                .into_iter()
                .map(|at| (at, rng.micros(100_000, 90_000_000)))
                .collect(),
            rivals,
            kills,
            deaths: Vec::new(),
            outage,
        }
    }
}

/// By a randomness of its own, so that what else a seed stands for does not depend on it.
fn deaths(seed: u64, heal_at: Duration) -> Vec<Duration> {
    let mut rng = Rng::new(seed ^ 0xDEAD);
    let count = rng.pick(&[0, 0, 1, 3]);
    let deaths = (0..count).map(|_| rng.micros(0, micros(heal_at)));
    deaths.collect()
}

impl Outage {
    fn random(rng: &mut Rng, heal_at: Duration) -> Self {
        let from = Instant::ORIGIN + rng.micros(0, micros(heal_at));
        Self {
            from,
            until: from + rng.micros(100_000, 60_000_000),
            trouble: rng.pick(&[
                Trouble::Unreachable,
                Trouble::Throttled,
                Trouble::QueueMissing,
                Trouble::Denied,
                Trouble::Rejected,
            ]),
        }
    }
}

impl Plan {
    /// Nothing goes wrong, so everything must be exact.
    pub(crate) fn is_calm(&self) -> bool {
        self.faults.is_none() && self.settings.extend_visibility
    }

    /// Nothing goes wrong but that consumers die, so nothing may run twice that another one can know of.
    pub(crate) fn is_only_of_deaths(&self) -> bool {
        self.faults.is_only_of_deaths() && self.settings.extend_visibility
    }

    /// The plan of a seed.
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let heal_at = Duration::from_secs(rng.range(5, 120));
        let queues: Vec<QueuePlan> = (0..rng.range(1, 4))
            .map(|_| QueuePlan::random(&mut rng))
            .collect();
        let has_long = rng.permille(300);
        let count = rng.pick(&[20, 100, 200, 500]);
        let mut jobs: Vec<Job> = (0..count)
            .map(|_| Job::random(&mut rng, &queues, heal_at, has_long))
            .collect();
        postpone_some(&mut jobs, &queues, seed);
        if rng.permille(5) {
            back_off_for_hours(&mut jobs, &mut rng);
        }
        // Drawn apart, so that a seed stands for the same jobs and faults with and without.
        let mut ending = Rng::new(!seed);
        let burst = ending.permille(150);
        let tasks_max = (burst && ending.permille(500)).then(|| ending.range(1, 100));
        let kind_max = ending
            .permille(200)
            .then(|| (ending.range32(0, 3), ending.range32(1, 3)));
        let stop = rng.permille(250).then(|| StopPlan {
            at: rng.micros(0, 2 * micros(heal_at)),
            now_after: rng.permille(300).then(|| rng.micros(0, 5_000_000)),
        });
        let mut sizes = Rng::new(seed ^ 0x517E);
        let settings = Settings {
            burst,
            tasks_max,
            buffer_bytes_max: sizes.pick(&[1, 2_000, 20_000, BUFFER_BYTES_MAX]),
            ..settings(&mut rng)
        };
        let processes = rng.range32(1, 5);
        let tasks_max = rng.permille(500).then(|| rng.range32(1, 50));
        let mut faults = Faults::random(&mut rng, heal_at);
        if stop.is_none() && !burst {
            faults.deaths = deaths(seed, heal_at);
        }
        let bytes: Vec<usize> = queues
            .iter()
            .map(|_| sizes.pick(&[1, 100, 1_000]))
            .collect();
        Self {
            seed,
            settings,
            bytes,
            gathers: gathers(seed, queues.len()),
            queues,
            jobs,
            kind_max,
            processes,
            tasks_max,
            faults,
            heal_at,
            stop,
        }
    }
}

impl Plan {
    pub(crate) fn is_poison(&self, job: usize) -> bool {
        self.jobs[job].poison != Poison::No
    }

    /// What a job's message takes.
    pub(crate) fn bytes(&self, job: usize) -> usize {
        let queue = self.jobs[job].queue as usize;
        self.bytes.get(queue).copied().unwrap_or_default()
    }

    /// How a job is run together with others, if it is.
    pub(crate) fn gather(&self, job: usize) -> Option<Gather> {
        let job = &self.jobs[job];
        let gather = self.gathers.get(&(job.queue, job.kind));
        gather.copied().filter(|_| job.poison != Poison::Unreadable)
    }

    /// Whether nothing but the core's own doing can spend the receives of a job: it needs one, its
    /// queue grants a few, and no other can stand in its way.
    pub(crate) fn is_innocent(&self, job: usize) -> bool {
        if self.gather(job).is_some() {
            // What fails or crashes beside it spends its receives.
            return false;
        }
        let job = &self.jobs[job];
        let queue = &self.queues[job.queue as usize];
        let is_spent = job.poison != Poison::No || job.ending == Ending::DeadLetter;
        let runs = job.fails + job.crashes + u32::from(is_spent);
        // On a FIFO queue, what fails earlier in its group spends some of its receives.
        let least = if queue.is_fifo { 4 } else { 2 };
        runs == 0 && queue.receives_max.is_some_and(|max| max >= least)
    }
}

impl QueuePlan {
    fn random(rng: &mut Rng) -> Self {
        Self {
            visibility_secs: rng.pick(&[0, 2, 5, 5, 30, 60]),
            is_fifo: rng.permille(300),
            receives_max: rng.permille(300).then(|| rng.range32(1, 6)),
            share: Share {
                weight: rng.pick(&[1, 1, 3]),
                tasks_max: rng.permille(200).then(|| rng.range32(1, 3)),
                rate: rng.permille(150).then(|| RateLimit {
                    tasks: rng.range32(1, 200),
                    per: Duration::from_secs(rng.pick(&[1, 1, 10])),
                }),
                priority: rng.pick(&[0, 0, 1]),
            },
        }
    }
}

impl Job {
    fn random(rng: &mut Rng, queues: &[QueuePlan], heal_at: Duration, has_long: bool) -> Self {
        let queue = rng.range32(0, u32::try_from(queues.len()).expect("a few") - 1);
        let QueuePlan {
            is_fifo,
            receives_max,
            ..
        } = queues[queue as usize];
        let kind = rng.range32(0, if has_long { 3 } else { 2 });
        let longest = if rng.permille(50) { 2_000_000 } else { 500 };
        let length = match kind {
            0 => rng.micros(20, 900),
            1 => rng.micros(500, 30_000),
            2 => rng.micros(100, longest),
            _ => rng.micros(1_000_000, 40_000_000),
        };
        let poison = match rng.range(0, 99) {
            // It would hold up its group for ever.
            _ if is_fifo && receives_max.is_none() => Poison::No,
            0 => Poison::Unreadable,
            1 => Poison::Unrunnable,
            _ => Poison::No,
        };
        // What can't be run ends at once.
        let length = if poison == Poison::No {
            length
        } else {
            Duration::from_micros(100)
        };
        Self {
            queue,
            group: is_fifo.then(|| rng.range32(0, 4)),
            kind,
            length,
            sent_at: if rng.permille(500) {
                Duration::ZERO
            } else {
                rng.micros(0, micros(heal_at))
            },
            fails: if rng.permille(50) {
                rng.range32(1, 2)
            } else {
                0
            },
            crashes: u32::from(rng.permille(20)),
            backoff: rng
                .permille(500)
                .then(|| rng.pick(&[0, 1, 700, 1_000, 7_300, 60_000].map(Duration::from_millis))),
            postpones: 0,
            postponed_for: Duration::ZERO,
            ending: match rng.range(0, 99) {
                0..5 => Ending::Discard,
                5..10 => Ending::DeadLetter,
                10..20 => Ending::Callbacks,
                20..24 => Ending::Errbacks,
                _ => Ending::Success,
            },
            due: (poison == Poison::No && rng.permille(50)).then(|| {
                let longest_secs = if rng.permille(50) { 2_500 } else { 100 };
                rng.micros(0, longest_secs * 1_000_000)
            }),
            expires: (poison == Poison::No && rng.permille(30))
                .then(|| rng.micros(0, 2 * micros(heal_at))),
            poison,
        }
    }
}

/// In a third of the worlds some kinds of jobs are run together.
fn gathers(seed: u64, queues: usize) -> BTreeMap<(u32, u32), Gather> {
    let mut rng = Rng::new(seed ^ 0x6A74_4E52);
    let queues = u32::try_from(queues).expect("a few");
    let has_some = rng.permille(330);
    let kinds = (0..queues).flat_map(|queue| (0..4).map(move |kind| (queue, kind)));
    let mut gather = |kind| {
        let gather = Gather {
            max: rng.pick(&[1, 2, 7, 30, 200]),
            wait: rng.pick(&[0, 1, 300, 1_000, 5_000, 60_000].map(Duration::from_millis)),
        };
        (has_some && rng.permille(500)).then_some((kind, gather))
    };
    kinds.filter_map(&mut gather).collect()
}

/// Drawn apart. Not in a message group that may go to a dead-letter queue: there the wait is hidden, which spends the
/// receives of all that is in the group.
fn postpone_some(jobs: &mut [Job], queues: &[QueuePlan], seed: u64) {
    let mut rng = Rng::new(seed ^ 0x9057);
    let often = rng.pick(&[0, 50, 300]);
    for job in jobs {
        let may_wait_hidden = queues[job.queue as usize].receives_max.is_none();
        if (job.group.is_none() || may_wait_hidden)
            && job.poison == Poison::No
            && rng.permille(often)
        {
            job.postpones = rng.range32(1, 3);
            job.postponed_for = rng.pick(&[0, 1_000, 7_300, 60_000].map(Duration::from_millis));
        }
    }
}

/// Some jobs fail once and back off for longer than SQS hides a message, so that they go by hops; but on a FIFO
/// queue, which has none, they would only begin too early.
fn back_off_for_hours(jobs: &mut [Job], rng: &mut Rng) {
    for job in jobs {
        if job.group.is_none() && job.poison == Poison::No && rng.permille(20) {
            job.fails = 1;
            job.backoff = Some(Duration::from_secs(rng.range(42_000, 90_000)));
        }
    }
}

fn settings(rng: &mut Rng) -> Settings {
    Settings {
        batch_max: if rng.permille(700) {
            10
        } else {
            u8::try_from(rng.range(1, 10)).expect("ten at most")
        },
        buffer_max: rng.pick(&[1, 2, 20, 1000, 1000]),
        extend_visibility: rng.permille(900),
        extend_visibility_max: None,
        interval: if rng.permille(100) {
            rng.micros(1, 100_000)
        } else {
            Duration::ZERO
        },
        shutdown_timeout: rng.permille(300).then(|| rng.micros(0, 10_000_000)),
        ..Settings::default()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("a few minutes")
}
