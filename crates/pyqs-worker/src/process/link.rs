//! The manager's end of one task process's socket.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::net::Shutdown;
use tokio::net::UnixStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use super::TaskProcessId;
use super::wire::{FrameBuffer, FromProcess};
use crate::inbound::Inbound;

/// A socket to a task process, with the task that reads it and the one that writes what the socket does
/// not take at once. Both end when the link is dropped, and the socket is closed.
#[derive(Debug)]
pub(crate) struct Link {
    stream: Arc<UnixStream>,
    backlog: UnboundedSender<Vec<u8>>,
    /// Pieces in `backlog` that are not written yet. While there are any, nothing may overtake them.
    backlog_length: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Link {
    /// Takes over the socket. What comes from it, and its end, goes to `inbound`.
    pub(crate) fn open(
        process: TaskProcessId,
        socket: OwnedFd,
        inbound: UnboundedSender<Inbound>,
    ) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let stream = Arc::new(UnixStream::from_std(socket)?);
        let (backlog, queue) = mpsc::unbounded_channel();
        let backlog_length = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(read(process, Arc::clone(&stream), inbound));
        tasks.spawn(write(
            Arc::clone(&stream),
            queue,
            Arc::clone(&backlog_length),
        ));
        Ok(Self {
            stream,
            backlog,
            backlog_length,
            _tasks: tasks,
        })
    }

    /// Sends bytes. What can't be sent because the process is gone is dropped: its end is reported
    /// by the reading side.
    pub(crate) fn send(&self, mut bytes: Vec<u8>) {
        if self.backlog_length.load(Ordering::Acquire) == 0 {
            match self.stream.try_write(&bytes) {
                Ok(count) if count == bytes.len() => return,
                Ok(count) => {
                    bytes.drain(..count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        self.backlog_length.fetch_add(1, Ordering::AcqRel);
        // The writer has ended only if the process is gone.
        let _ = self.backlog.send(bytes);
    }

    /// Makes the reading side come to its end once what has arrived is read, whoever else may still hold
    /// the other end open: programs that a task started can outlive it and keep its sockets.
    pub(crate) fn end_reading(&self) {
        // It fails only on a socket that is closed already.
        let _ = rustix::net::shutdown(&*self.stream, Shutdown::Read);
    }
}

async fn read(process: TaskProcessId, stream: Arc<UnixStream>, inbound: UnboundedSender<Inbound>) {
    let fault = read_frames(process, &stream, &inbound).await.err();
    // The driver is gone only at the very end.
    let _ = inbound.send(Inbound::ProcessClosed { process, fault });
}

async fn read_frames(
    process: TaskProcessId,
    stream: &UnixStream,
    inbound: &UnboundedSender<Inbound>,
) -> io::Result<()> {
    let mut buffer = FrameBuffer::default();
    let mut bytes = [0; 8 * 1024];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => buffer.extend(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
        while let Some(frame) = buffer.next::<FromProcess>()? {
            if inbound.send(Inbound::Process { process, frame }).is_err() {
                return Ok(());
            }
        }
    }
}

async fn write(
    stream: Arc<UnixStream>,
    mut queue: UnboundedReceiver<Vec<u8>>,
    backlog_length: Arc<AtomicUsize>,
) {
    while let Some(bytes) = queue.recv().await {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            if stream.writable().await.is_err() {
                return;
            }
            match stream.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        backlog_length.fetch_sub(1, Ordering::AcqRel);
    }
}
