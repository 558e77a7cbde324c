//! A task process's end of the socket to the manager, and the lanes in which it runs tasks.

use std::ffi::c_long;
use std::io::ErrorKind;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyqs_formats::Value;
use pyqs_worker::{AfterDeath, CeleryQueues, DeadLetter, MessageEnd, TaskOutcome, Unsendable};

use crate::declarations::{Declared, declarations};
use crate::from_python::from_python;
use crate::job::Job;
use crate::manager::Ledger;
use crate::settings::WorkerSettings;
use crate::{descriptor, interrupt};

/// See [`pyqs_worker::TaskChannel`].
#[pyclass(frozen, module = "pyqs._pyqs")]
struct TaskChannel {
    channel: Arc<pyqs_worker::TaskChannel>,
    lanes: u32,
    queues: Arc<CeleryQueues>,
}

#[pymethods]
impl TaskChannel {
    #[new]
    fn new(fd: RawFd, ledger: &Ledger, slot: u32, settings: &WorkerSettings) -> PyResult<Self> {
        let socket = descriptor::take_over(fd)?;
        let lanes = settings.0.threads.max(1);
        let time_limit = settings.0.time_limit;
        let ledger = ledger.0.clone();
        let channel = pyqs_worker::TaskChannel::open(socket, ledger, slot, lanes, time_limit)?;
        let channel = Arc::new(channel);
        Ok(Self {
            channel,
            lanes,
            queues: Arc::new(settings.0.celery_queues.clone()),
        })
    }

    #[getter]
    fn lanes(&self) -> Vec<Lane> {
        let lane = |number| Lane {
            channel: Arc::clone(&self.channel),
            number,
            queues: Arc::clone(&self.queues),
        };
        (0..self.lanes).map(lane).collect()
    }

    /// Says why this process can't run tasks; it is to end then.
    fn cannot_start(&self, reason: &str) -> PyResult<()> {
        Ok(self.channel.cannot_start(reason)?)
    }

    /// Tells the manager what was found in the modules that were imported.
    fn declare(&self, declared: Vec<Declared>) -> PyResult<()> {
        Ok(self.channel.declare(declarations(declared))?)
    }

    /// Whether SQS has confirmed the delete of the delivery with this receipt, whose body is stored elsewhere.
    fn is_deleted(&self, receipt: &str) -> bool {
        self.channel.is_deleted(receipt)
    }

    /// Waits for tasks, and lets Python handle the signals that come meanwhile.
    fn wait(&self, py: Python<'_>) -> PyResult<Option<Vec<u32>>> {
        loop {
            match py.detach(|| self.channel.wait()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => py.check_signals()?,
                other => return Ok(other?),
            }
        }
    }

    /// Waits until no lane is attended to any more.
    fn wait_until_idle(&self, py: Python<'_>) -> PyResult<()> {
        /// Between two looks at signals.
        const PATIENCE: Duration = Duration::from_secs(1);
        while !py.detach(|| self.channel.wait_until_idle(PATIENCE)) {
            py.check_signals()?;
        }
        Ok(())
    }
}

/// One of the tasks that run at once.
#[pyclass(frozen, module = "pyqs._pyqs")]
struct Lane {
    channel: Arc<pyqs_worker::TaskChannel>,
    number: u32,
    queues: Arc<CeleryQueues>,
}

impl Lane {
    fn job(&self, job: pyqs_worker::Job) -> Job {
        Job::new(job, &self.queues)
    }
}

#[pymethods]
impl Lane {
    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    /// Waits for the next task of a process that has this lane alone, and lets Python handle the signals that
    /// come meanwhile.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Job>> {
        loop {
            match py.detach(|| self.channel.next()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => py.check_signals()?,
                other => return Ok(other?.map(|job| self.job(job))),
            }
        }
    }

    /// Begins the next of the tasks that are here.
    fn begin(&self) -> PyResult<Option<Job>> {
        Ok(self.channel.begin(self.number)?.map(|job| self.job(job)))
    }

    /// Says how the running task ended.
    #[pyo3(signature = (outcome, *, delay_seconds=0))]
    fn record(&self, outcome: &str, delay_seconds: u32) -> PyResult<()> {
        let outcome = self::outcome(outcome, delay_seconds)?;
        self.channel.record(self.number, outcome);
        Ok(())
    }

    /// Says what becomes of each message of the running task: outcome, seconds until a retry, dead-letter queue and
    /// the reason.
    fn record_each(&self, ends: Vec<(String, u32, Option<String>, String)>) -> PyResult<()> {
        let end = |(name, delay_seconds, queue, reason): (String, u32, Option<String>, String)| {
            Ok(match queue {
                Some(queue) => MessageEnd {
                    outcome: TaskOutcome::DeadLetter,
                    letter: Some(DeadLetter { queue, reason }),
                },
                None => MessageEnd {
                    outcome: outcome(&name, delay_seconds)?,
                    letter: None,
                },
            })
        };
        let ends = ends.into_iter().map(end).collect::<PyResult<_>>()?;
        self.channel.record_each(self.number, ends);
        Ok(())
    }

    /// Says what becomes of the running task's message if this process dies meanwhile.
    #[pyo3(signature = (outcome, *, delay_seconds=0, queue=None))]
    fn foresee(&self, outcome: &str, delay_seconds: u32, queue: Option<String>) -> PyResult<()> {
        let after_death = after_death(outcome, delay_seconds, queue)?;
        self.channel.foresee(self.number, &after_death);
        Ok(())
    }

    /// Says what becomes of each message of the running task: outcome, seconds until a retry, dead-letter queue.
    fn foresee_each(&self, ends: Vec<(String, u32, Option<String>)>) -> PyResult<()> {
        let ends = ends.into_iter();
        let ends = ends
            .map(|(outcome, delay_seconds, queue)| after_death(&outcome, delay_seconds, queue))
            .collect::<PyResult<_>>()?;
        self.channel.foresee_each(self.number, ends);
        Ok(())
    }

    /// Bounds how long the running task may run.
    #[pyo3(signature = (seconds, grace = 0.0))]
    fn limit(&self, seconds: f64, grace: f64) -> PyResult<()> {
        let duration = |secs| {
            Duration::try_from_secs_f64(secs)
                .map_err(|error| PyValueError::new_err(format!("a limit of {secs} s: {error}")))
        };
        self.channel
            .limit(self.number, duration(seconds)?, duration(grace)?);
        Ok(())
    }

    /// Moves the end of the running task later.
    fn extend(&self, seconds: f64) -> PyResult<()> {
        let by = Duration::try_from_secs_f64(seconds)
            .map_err(|error| PyValueError::new_err(format!("{seconds} s: {error}")))?;
        self.channel.extend(self.number, by);
        Ok(())
    }

    #[getter]
    fn is_running(&self) -> bool {
        self.channel.is_running(self.number)
    }

    #[getter]
    fn is_lease_lost(&self) -> bool {
        self.channel.is_lease_lost(self.number)
    }

    /// Raises an exception of this class in a thread, unless the running task has ended. What is looked at and
    /// what is done can't be parted, since both happen under the interpreter's lock.
    fn interrupt(&self, thread: c_long, class: &Bound<'_, PyAny>) -> bool {
        self.channel.is_running(self.number) && interrupt::raise_in(thread, class)
    }

    /// Says that the running task, which is that of the job, returned this, and what is to follow it. Raises
    /// `TypeError` or `RecursionError`, and records nothing, if it is to go on and no message carries it.
    fn record_callbacks(&self, job: &Job, result: &Bound<'_, PyAny>) -> PyResult<()> {
        let callbacks = match job.after() {
            None => Vec::new(),
            Some(after) => {
                let result = if after.wants_result() {
                    from_python(result)?
                } else {
                    Value::Null
                };
                after.success(result).map_err(|error| unsendable(&error))?
            }
        };
        let outcome = TaskOutcome::SucceededWithCallbacks;
        self.channel
            .record_callbacks(self.number, outcome, callbacks, None);
        Ok(())
    }

    /// Says that the running task failed for good, and that its `link_error` is to be sent, without those of these
    /// numbers; where a queue is given, its message goes there, too.
    #[allow(clippy::needless_pass_by_value)] // As Python passes them.
    fn record_errbacks(
        &self,
        job: &Job,
        queue: Option<String>,
        reason: String,
        called: Vec<usize>,
    ) -> PyResult<()> {
        let errbacks = job
            .after()
            .map_or(Ok(Vec::new()), |after| after.failure(&called));
        let letter = queue.map(|queue| DeadLetter { queue, reason });
        let outcome = TaskOutcome::FailedWithErrbacks;
        let errbacks = errbacks.map_err(|error| unsendable(&error))?;
        self.channel
            .record_callbacks(self.number, outcome, errbacks, letter);
        Ok(())
    }

    /// Tells the manager what was found in the modules that were imported.
    fn declare(&self, declared: Vec<Declared>) -> PyResult<()> {
        Ok(self.channel.declare(declarations(declared))?)
    }

    /// Has the manager log a warning, unless it has done so before.
    fn warn_once(&self, line: &str) -> PyResult<()> {
        Ok(self.channel.warn_once(line)?)
    }

    /// Says that the running task failed for good, and where its message is to go.
    fn record_dead_letter(&self, queue: String, reason: String) {
        self.channel
            .record_dead_letter(self.number, DeadLetter { queue, reason });
    }
}

fn outcome(name: &str, delay_secs: u32) -> PyResult<TaskOutcome> {
    Ok(match name {
        "succeeded" => TaskOutcome::Succeeded,
        "failed" => TaskOutcome::Failed,
        "retry" => TaskOutcome::Retry { delay_secs },
        "exhausted" => TaskOutcome::Exhausted,
        "postponed" => TaskOutcome::Postponed { delay_secs },
        "discarded" => TaskOutcome::Discarded,
        "unrunnable" => TaskOutcome::Unrunnable,
        _ => {
            let reason = format!("no outcome is called {name:?}");
            return Err(PyValueError::new_err(reason));
        }
    })
}

fn after_death(outcome: &str, delay_secs: u32, queue: Option<String>) -> PyResult<AfterDeath> {
    match (outcome, queue) {
        ("failed", None) => Ok(AfterDeath::Failed),
        ("retry", None) => Ok(AfterDeath::Retry { delay_secs }),
        ("exhausted", None) => Ok(AfterDeath::Exhausted),
        ("dead_letter", Some(queue)) => Ok(AfterDeath::DeadLetter { queue }),
        (_, queue) => Err(PyValueError::new_err(format!(
            "no task ends as {outcome:?} with its process, with queue {queue:?}"
        ))),
    }
}

fn unsendable(error: &Unsendable) -> PyErr {
    PyTypeError::new_err(error.to_string())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<TaskChannel>()?;
    module.add_class::<Lane>()
}
