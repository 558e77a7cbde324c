//! A whole worker in one process: the real manager in a thread, on a fake SQS, under a fake supervisor,
//! with task processes that are threads speaking through the real [`TaskChannel`].

pub(crate) mod fake_sqs;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pyqs_worker::process::control::{FromSupervisor, ToSupervisor};
use pyqs_worker::{
    AfterDeath, DeadLetter, Declaration, Job, Ledger, TaskChannel, TaskOutcome, WorkerSettings,
    manager,
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use fake_sqs::FakeSqs;

/// What a task does.
#[derive(Clone)]
pub(crate) enum Do {
    Succeed,
    Fail,
    Unrunnable,
    /// Runs until the gate is opened, then succeeds.
    Wait(Arc<Gate>),
    /// Takes its process along, having said what is to follow.
    Die(AfterDeath),
    /// Fails for good.
    DeadLetter(DeadLetter),
    /// Succeeds, and takes its process along before anything was sent.
    SucceedAndDie,
}

/// Opened once, for all.
#[derive(Default)]
pub(crate) struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn wait(&self) {
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_while(is_open, |is_open| !*is_open));
    }
}

/// What has been seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Message ids, as they began.
    begun: Mutex<Vec<String>>,
    running: AtomicUsize,
    running_max: AtomicUsize,
    /// Tasks by process.
    tasks: Mutex<BTreeMap<u32, u32>>,
    logs: Mutex<Vec<(u8, String)>>,
    fatal: Mutex<Option<String>>,
}

pub(crate) struct World {
    pub(crate) sqs: Arc<FakeSqs>,
    seen: Arc<Seen>,
    control: Arc<UnixStream>,
    manager: JoinHandle<i32>,
    supervisor: JoinHandle<()>,
}

const DEADLINE: Duration = Duration::from_mins(1);

impl World {
    pub(crate) fn start(
        settings: WorkerSettings,
        sqs: Arc<FakeSqs>,
        task: impl Fn(&Job) -> Do + Send + Sync + 'static,
    ) -> Self {
        let ledger =
            Ledger::new(Ledger::slots_for(settings.concurrency, settings.threads)).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let control = Arc::new(ours);
        let seen = Arc::new(Seen::default());
        let supervisor = FakeSupervisor {
            control: Arc::clone(&control),
            ledger: ledger.clone(),
            seen: Arc::clone(&seen),
            task: Arc::new(task),
        };
        let supervisor = std::thread::spawn(move || supervisor.run());
        let its_sqs = Arc::clone(&sqs);
        let manager =
            std::thread::spawn(move || manager::run_on(settings, theirs.into(), ledger, its_sqs));
        Self {
            sqs,
            seen,
            control,
            manager,
            supervisor,
        }
    }

    /// Waits for something to become true.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            if start.elapsed() > DEADLINE {
                let logs = self.seen.logs.lock().unwrap();
                panic!("waited in vain until {what}; the log: {logs:#?}");
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    pub(crate) fn begun(&self) -> Vec<String> {
        self.seen.begun.lock().unwrap().clone()
    }

    pub(crate) fn running(&self) -> usize {
        self.seen.running.load(Ordering::SeqCst)
    }

    pub(crate) fn running_max(&self) -> usize {
        self.seen.running_max.load(Ordering::SeqCst)
    }

    /// Tasks that each process ran, in the order of their forks.
    pub(crate) fn tasks_by_process(&self) -> Vec<u32> {
        self.seen.tasks.lock().unwrap().values().copied().collect()
    }

    pub(crate) fn has_logged(&self, level: u8, part: &str) -> bool {
        let logs = self.seen.logs.lock().unwrap();
        logs.iter()
            .any(|(its, message)| *its == level && message.contains(part))
    }

    pub(crate) fn fatal(&self) -> Option<String> {
        self.seen.fatal.lock().unwrap().clone()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.manager.is_finished()
    }

    pub(crate) fn stop(&self, now: bool) {
        let signal = Some("SIGTERM".to_owned());
        say(&self.control, &FromSupervisor::Stop { signal, now }, None);
    }

    /// The supervisor dies.
    pub(crate) fn abandon(&self) {
        self.control.shutdown(std::net::Shutdown::Both).unwrap();
    }

    /// The manager's exit code, once it and all processes have ended.
    pub(crate) fn end(self) -> (i32, Arc<FakeSqs>) {
        let code = self.manager.join().unwrap();
        self.supervisor.join().unwrap();
        (code, self.sqs)
    }

    /// Stops gracefully and waits for it.
    #[track_caller]
    pub(crate) fn stop_and_end(self) -> Arc<FakeSqs> {
        self.stop(false);
        let (code, sqs) = self.end();
        assert_eq!(code, 0);
        sqs
    }
}

/// Forks threads, and passes on what the manager says.
struct FakeSupervisor {
    control: Arc<UnixStream>,
    ledger: Ledger,
    seen: Arc<Seen>,
    task: Arc<dyn Fn(&Job) -> Do + Send + Sync>,
}

impl FakeSupervisor {
    fn run(self) {
        let mut processes = Vec::new();
        for line in BufReader::new(&*self.control).lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line).unwrap() {
                ToSupervisor::Fork { process, slot } => {
                    processes.push(self.fork(process, slot));
                }
                ToSupervisor::Log { level, message } => {
                    self.seen.logs.lock().unwrap().push((level, message));
                }
                ToSupervisor::Fatal { message } => {
                    *self.seen.fatal.lock().unwrap() = Some(message);
                }
                // Threads can't be killed; tests that wait for it open a gate.
                ToSupervisor::Kill { .. }
                | ToSupervisor::KillLeft { .. }
                | ToSupervisor::Crashed(_) => {}
            }
        }
        for process in processes {
            process.join().unwrap();
        }
    }

    fn fork(&self, process: u32, slot: u32) -> JoinHandle<()> {
        let (managers, its) = UnixStream::pair().unwrap();
        let channel = TaskChannel::open(its.into(), self.ledger.clone(), slot, 1, None).unwrap();
        self.seen.tasks.lock().unwrap().insert(process, 0);
        let seen = Arc::clone(&self.seen);
        let task = Arc::clone(&self.task);
        let control = Arc::clone(&self.control);
        let pid = i32::try_from(process).unwrap() + 1000;
        say(
            &self.control,
            &FromSupervisor::Forked { process, pid },
            Some(managers.as_fd()),
        );
        std::thread::spawn(move || {
            let signal = work(process, &channel, &seen, &*task);
            drop(channel);
            let code = signal.is_none().then_some(0);
            let died = FromSupervisor::Died {
                process,
                signal,
                code,
            };
            say(&control, &died, None);
        })
    }
}

/// The loop of a task process; the signal that it dies by.
fn work(
    process: u32,
    channel: &TaskChannel,
    seen: &Seen,
    task: &dyn Fn(&Job) -> Do,
) -> Option<i32> {
    while let Some(job) = channel.next().unwrap() {
        let declaration = Declaration {
            name: job.task.clone(),
            queue: None,
            batch: None,
            max_concurrency: None,
            rate: None,
        };
        channel.declare(vec![declaration]).unwrap();
        let running = seen.running.fetch_add(1, Ordering::SeqCst) + 1;
        seen.running_max.fetch_max(running, Ordering::SeqCst);
        seen.begun.lock().unwrap().push(job.message_id.clone());
        *seen.tasks.lock().unwrap().get_mut(&process).unwrap() += 1;
        let what = task(&job);
        if let Do::Wait(gate) = &what {
            gate.wait();
        }
        seen.running.fetch_sub(1, Ordering::SeqCst);
        let outcome = match what {
            Do::Succeed | Do::Wait(_) => TaskOutcome::Succeeded,
            Do::Fail => TaskOutcome::Failed,
            Do::Unrunnable => TaskOutcome::Unrunnable,
            Do::Die(after_death) => {
                channel.foresee(0, &after_death);
                return Some(9);
            }
            Do::DeadLetter(letter) => {
                channel.record_dead_letter(0, letter);
                channel.finish(0).unwrap();
                continue;
            }
            Do::SucceedAndDie => {
                channel.record(0, TaskOutcome::Succeeded);
                return Some(11);
            }
        };
        channel.record(0, outcome);
        channel.finish(0).unwrap();
    }
    None
}

/// Says a line to the manager, with a socket attached to its first byte.
fn say(control: &UnixStream, line: &FromSupervisor, socket: Option<BorrowedFd<'_>>) {
    let mut bytes = serde_json::to_vec(line).unwrap();
    bytes.push(b'\n');
    let sockets: Vec<_> = socket.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&sockets)));
    }
    // It fails when the manager has ended, as at every stop.
    let _ = sendmsg(
        control,
        &[IoSlice::new(&bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    );
}

/// A message of `PyQS` for this task.
pub(crate) fn body(task: &str) -> String {
    format!(r#"{{"task": "{task}", "args": [], "kwargs": {{}}}}"#)
}
