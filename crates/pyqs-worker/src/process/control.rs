//! The control channel between the supervisor and the manager.
//!
//! A Unix stream socket with one JSON object a line. The manager asks the supervisor to fork and to kill
//! task processes and to log; the supervisor says what became of them, and when to stop. The manager's end
//! of a task process's socket is attached (`SCM_RIGHTS`) to the line that says `forked`. The end of the
//! stream says that the supervisor is gone.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::TaskProcessId;
use super::task_crash::TaskCrash;

/// The longest line that either side may write.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Log lines that may wait for the supervisor; when it does not read, further ones are dropped.
pub const LOG_LINES_WAITING_MAX: usize = 10_000;

/// What the manager says to the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToSupervisor {
    /// Fork a task process, whose lanes have the slots of the ledger from this one on; answer `forked`, later `died`; when it
    /// can't be forked, `died` alone.
    Fork {
        /// The manager's name for it, never used twice.
        process: u32,
        /// The slot of its first lane in the ledger.
        slot: u32,
    },
    /// Log a line on the logger `pyqs`.
    Log {
        /// Python's number of the level: 10, 20, 30, 40.
        level: u8,
        /// The line.
        message: String,
    },
    /// The worker can't start; the manager exits with 1. One line that helps.
    Fatal {
        /// The line.
        message: String,
    },
    /// Kill (SIGKILL) a task process.
    Kill {
        /// Which.
        process: u32,
    },
    /// Kill (SIGKILL) a task process of an earlier manager.
    KillLeft {
        /// Its pid.
        pid: i32,
    },
    /// A task has ended with its process.
    Crashed(TaskCrash),
}

/// What the supervisor says to the manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromSupervisor {
    /// A task process is there; the manager's end of its socket is attached to this line.
    Forked {
        /// The process, as `fork` named it.
        process: u32,
        /// Its pid.
        pid: i32,
    },
    /// A task process has ended and was reaped.
    Died {
        /// The process, as `fork` named it.
        process: u32,
        /// The signal that killed it.
        #[serde(default)]
        signal: Option<i32>,
        /// What it exited with.
        #[serde(default)]
        code: Option<i32>,
    },
    /// Task processes of earlier managers that live. The first line, where there are some.
    Left {
        /// Their pids.
        pids: Vec<i32>,
    },
    /// One of them has ended and was reaped.
    LeftDied {
        /// Its pid.
        pid: i32,
        /// The signal that killed it.
        #[serde(default)]
        signal: Option<i32>,
        /// What it exited with.
        #[serde(default)]
        code: Option<i32>,
    },
    /// Stop.
    Stop {
        /// The signal that asked for it; the supervisor logs it.
        #[serde(default)]
        signal: Option<String>,
        /// Do not wait for running tasks.
        #[serde(default)]
        now: bool,
    },
}

/// The writing end: what is said is written in order by a task of its own. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor {
    lines: mpsc::UnboundedSender<ToSupervisor>,
    log_lines_waiting: Arc<AtomicUsize>,
}

impl Supervisor {
    /// Starts the writer; it ends when every clone is dropped and all lines are written.
    pub(crate) fn new(stream: Arc<UnixStream>) -> (Self, JoinHandle<()>) {
        let (lines, queue) = mpsc::unbounded_channel();
        let log_lines_waiting = Arc::new(AtomicUsize::new(0));
        let writer = tokio::spawn(write_lines(stream, queue, Arc::clone(&log_lines_waiting)));
        let supervisor = Self {
            lines,
            log_lines_waiting,
        };
        (supervisor, writer)
    }

    /// One whose lines a test reads.
    #[cfg(test)]
    pub(crate) fn in_a_test() -> (Self, mpsc::UnboundedReceiver<ToSupervisor>) {
        let (lines, queue) = mpsc::unbounded_channel();
        let log_lines_waiting = Arc::default();
        let supervisor = Self {
            lines,
            log_lines_waiting,
        };
        (supervisor, queue)
    }

    /// Asks for a task process.
    pub(crate) fn fork(&self, process: TaskProcessId, slot: u32) {
        let process = process.0;
        self.say(ToSupervisor::Fork { process, slot });
    }

    /// Asks for a task process's end.
    pub(crate) fn kill(&self, process: TaskProcessId) {
        self.say(ToSupervisor::Kill { process: process.0 });
    }

    /// Asks for the end of a task process that was another manager's.
    pub(crate) fn kill_left(&self, pid: i32) {
        self.say(ToSupervisor::KillLeft { pid });
    }

    /// Says why the worker can't start.
    pub(crate) fn fatal(&self, message: String) {
        self.say(ToSupervisor::Fatal { message });
    }

    /// Tells of a task that has ended with its process.
    pub(crate) fn crashed(&self, mut crash: TaskCrash) {
        // Senders choose it.
        truncate(&mut crash.task, LOG_MESSAGE_BYTES_MAX);
        self.say(ToSupervisor::Crashed(crash));
    }

    /// Logs a line, by Python's level number.
    pub(crate) fn log(&self, level: u8, mut message: String) {
        if self.log_lines_waiting.load(Ordering::Relaxed) >= LOG_LINES_WAITING_MAX {
            return;
        }
        self.log_lines_waiting.fetch_add(1, Ordering::Relaxed);
        truncate(&mut message, LOG_MESSAGE_BYTES_MAX);
        self.say(ToSupervisor::Log { level, message });
    }

    fn say(&self, line: ToSupervisor) {
        // The writer has ended only if the supervisor is gone: nobody is left to tell.
        let _ = self.lines.send(line);
    }
}

/// JSON makes at most six bytes of one, so a line stays below [`LINE_BYTES_MAX`].
const LOG_MESSAGE_BYTES_MAX: usize = 8 * 1024;

fn truncate(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
}

async fn write_lines(
    stream: Arc<UnixStream>,
    mut queue: mpsc::UnboundedReceiver<ToSupervisor>,
    log_lines_waiting: Arc<AtomicUsize>,
) {
    const LINES_MAX: usize = 128;
    let mut lines = Vec::with_capacity(LINES_MAX);
    let mut bytes = Vec::new();
    while queue.recv_many(&mut lines, LINES_MAX).await > 0 {
        bytes.clear();
        for line in lines.drain(..) {
            if matches!(line, ToSupervisor::Log { .. }) {
                log_lines_waiting.fetch_sub(1, Ordering::Relaxed);
            }
            serde_json::to_writer(&mut bytes, &line).expect("strings and numbers always encode");
            bytes.push(b'\n');
        }
        if write_all(&stream, &bytes).await.is_err() {
            // The supervisor is gone, which the reading end tells the manager.
            return;
        }
    }
}

async fn write_all(stream: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct ControlReader {
    stream: Arc<UnixStream>,
    bytes: Vec<u8>,
    /// Sockets that came with the bytes, in order: each belongs to the next `forked` line.
    sockets: VecDeque<OwnedFd>,
}

/// A line from the supervisor, and the socket of the task process where the line is `forked`.
pub(crate) type ControlLine = (FromSupervisor, Option<OwnedFd>);

impl ControlReader {
    pub(crate) fn new(stream: Arc<UnixStream>) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
            sockets: VecDeque::new(),
        }
    }

    /// The next line; `None` when the supervisor is gone. A line that is not ours is an error.
    pub(crate) async fn next(&mut self) -> io::Result<Option<ControlLine>> {
        loop {
            if let Some(line) = self.take_line()? {
                return Ok(Some(line));
            }
            if self.bytes.len() > LINE_BYTES_MAX {
                return Err(invalid("a control line is longer than LINE_BYTES_MAX"));
            }
            self.stream.readable().await?;
            match self.stream.try_io(Interest::READABLE, || {
                receive(&self.stream, &mut self.bytes, &mut self.sockets)
            }) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn take_line(&mut self) -> io::Result<Option<ControlLine>> {
        let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') else {
            return Ok(None);
        };
        let line = serde_json::from_slice(&self.bytes[..end])?;
        self.bytes.drain(..=end);
        let socket = match line {
            FromSupervisor::Forked { .. } => match self.sockets.pop_front() {
                Some(socket) => Some(socket),
                None => {
                    return Err(invalid(
                        "a `forked` line came without its socket, as happens when this process may open \
                         no more files: raise `ulimit -n`",
                    ));
                }
            },
            FromSupervisor::Died { .. }
            | FromSupervisor::Left { .. }
            | FromSupervisor::LeftDied { .. }
            | FromSupervisor::Stop { .. } => None,
        };
        Ok(Some((line, socket)))
    }
}

/// Reads bytes and the sockets that come with them. The kernel ends a read behind bytes that carry
/// sockets, so their order is that of their lines.
fn receive(
    stream: &UnixStream,
    bytes: &mut Vec<u8>,
    sockets: &mut VecDeque<OwnedFd>,
) -> io::Result<usize> {
    const SOCKETS_MAX: usize = 16;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut part = [0; 4096];
    let received = recvmsg(
        stream.as_fd(),
        &mut [IoSliceMut::new(&mut part)],
        &mut ancillary,
        RECEIVE_FLAGS,
    )?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            sockets.extend(rights);
        }
    }
    bytes.extend_from_slice(&part[..received.bytes]);
    Ok(received.bytes)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const RECEIVE_FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
/// Elsewhere the flag is missing; the manager starts no programs, so nobody inherits the sockets.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const RECEIVE_FLAGS: RecvFlags = RecvFlags::empty();

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::{ControlReader, FromSupervisor, Supervisor, ToSupervisor};
    use crate::process::TaskProcessId;
    use crate::process::task_crash::TaskCrash;
    use std::io::{BufRead, BufReader, Write};
    use std::sync::Arc;

    fn check(line: &ToSupervisor, json: &str) {
        assert_eq!(serde_json::to_string(line).unwrap(), json);
    }

    #[test]
    fn lines_to_the_supervisor() {
        check(
            &ToSupervisor::Fork {
                process: 7,
                slot: 2,
            },
            r#"{"fork":{"process":7,"slot":2}}"#,
        );
        check(
            &ToSupervisor::Log {
                level: 20,
                message: "hi".to_owned(),
            },
            r#"{"log":{"level":20,"message":"hi"}}"#,
        );
        check(
            &ToSupervisor::Kill { process: 7 },
            r#"{"kill":{"process":7}}"#,
        );
        check(
            &ToSupervisor::KillLeft { pid: 70 },
            r#"{"kill_left":{"pid":70}}"#,
        );
        let crash = TaskCrash {
            message_id: "m".to_owned(),
            task: "t".to_owned(),
            queue: "q".to_owned(),
            receive_count: 1,
            pid: Some(7),
            signal: Some(9),
            exit_code: None,
            time_limit: Some(0.5),
            outcome: "retry".to_owned(),
            delay: Some(3),
            dead_letter: None,
        };
        check(
            &ToSupervisor::Crashed(crash),
            r#"{"crashed":{"message_id":"m","task":"t","queue":"q","receive_count":1,"pid":7,"signal":9,"exit_code":null,"time_limit":0.5,"outcome":"retry","delay":3,"dead_letter":null}}"#,
        );
    }

    #[test]
    fn lines_from_the_supervisor() {
        let read = |json| serde_json::from_str::<FromSupervisor>(json).unwrap();
        assert_eq!(
            read(r#"{"died":{"process":7,"signal":9,"code":null}}"#),
            FromSupervisor::Died {
                process: 7,
                signal: Some(9),
                code: None
            }
        );
        assert_eq!(
            read(r#"{"left":{"pids":[70,71]}}"#),
            FromSupervisor::Left { pids: vec![70, 71] }
        );
        assert_eq!(
            read(r#"{"left_died":{"pid":70,"signal":9,"code":null}}"#),
            FromSupervisor::LeftDied {
                pid: 70,
                signal: Some(9),
                code: None
            }
        );
        assert_eq!(
            read(r#"{"stop":{"signal":"SIGTERM","now":false}}"#),
            FromSupervisor::Stop {
                signal: Some("SIGTERM".to_owned()),
                now: false
            }
        );
    }

    #[tokio::test]
    async fn what_is_said_arrives_and_the_end_is_seen() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let stream = Arc::new(tokio::net::UnixStream::from_std(ours).unwrap());
        let (supervisor, writer) = Supervisor::new(Arc::clone(&stream));
        supervisor.fork(TaskProcessId(1), 0);
        supervisor.log(30, "x".repeat(100_000));
        drop(supervisor);
        writer.await.unwrap();

        let mut lines = BufReader::new(theirs.try_clone().unwrap()).lines();
        assert_eq!(
            lines.next().unwrap().unwrap(),
            r#"{"fork":{"process":1,"slot":0}}"#
        );
        assert!(lines.next().unwrap().unwrap().len() < super::LINE_BYTES_MAX);

        let mut reader = ControlReader::new(stream);
        (&theirs)
            .write_all(b"{\"stop\":{\"now\":true}}\n{\"forked\":{\"process\":1,\"pid\":2}}\n{}\n")
            .unwrap();
        drop((theirs, lines));
        let stop = FromSupervisor::Stop {
            signal: None,
            now: true,
        };
        assert_eq!(reader.next().await.unwrap().unwrap().0, stop);
        assert!(reader.next().await.is_err(), "no socket came with it");
    }
}
