//! Connections that know whether an answer with messages reached its client.
//!
//! An answer counts as handed over when its bytes are written and the client then sends something
//! or closes the connection in good order. A write that fails, or a connection that is reset
//! (which is what the system does when a client closes without having read everything), gives the
//! messages back. Many clients, hyper's for one, shut their side down before they close it: the end
//! comes first and the reset after it, so at the end one is awaited for [`RESET_WITHIN`]. What is
//! left is a client that dies with the answer read: its messages come back by their visibility
//! timeout, as on SQS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::time::{Instant, Interval};
use tokio_rustls::TlsAcceptor;

use crate::engine::Unconfirmed;
use crate::tls::{HANDSHAKE_MAX, Socket};

/// How long to wait after a failed accept, which is mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long after a client's end a reset may follow that says that the answer was not read.
const RESET_WITHIN: Duration = Duration::from_secs(1);

/// How often that is looked at. The system tells of it only who asks: reads go on finding the end.
const RESET_LOOK: Duration = Duration::from_millis(5);

/// Accepts connections that track their answers, encrypted where there is a certificate.
pub(crate) struct TrackingListener {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Listener for TrackingListener {
    type Io = TrackedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // Without it answers may wait for acknowledgements; nothing else depends on it.
                    let _ = stream.set_nodelay(true);
                    let socket = Socket::new(stream, self.tls.as_ref(), HANDSHAKE_MAX);
                    return (TrackedStream::new(socket), address);
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection's side of the bookkeeping, which its requests get at.
#[derive(Clone, Default)]
pub(crate) struct Handovers(Arc<Mutex<Pending>>);

impl Connected<IncomingStream<'_, TrackingListener>> for Handovers {
    fn connect_info(stream: IncomingStream<'_, TrackingListener>) -> Self {
        stream.io().handovers.clone()
    }
}

#[derive(Default)]
struct Pending {
    stage: Stage,
    /// The connection is to end without an answer.
    is_cut: bool,
    /// The answer's messages. HTTP/1 has one answer at a time on a connection.
    messages: Option<Unconfirmed>,
}

/// How far an answer has got. The HTTP library flushes when it has handed over all of it.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Expected,
    Begun,
    Written,
}

impl Handovers {
    /// The next answer to go out has these messages.
    pub(crate) fn expect(&self, messages: Unconfirmed) {
        let before = {
            let mut pending = self.lock();
            pending.stage = Stage::Expected;
            pending.messages.replace(messages)
        };
        // The client has asked again, so it has the answer before.
        if let Some(before) = before {
            before.confirm();
        }
    }

    /// Ends the connection instead of the next answer.
    pub(crate) fn cut(&self) {
        self.lock().is_cut = true;
    }

    fn is_cut(&self) -> bool {
        self.lock().is_cut
    }

    fn is_writing(&self) -> bool {
        let pending = self.lock();
        pending.messages.is_some() && pending.stage != Stage::Written
    }

    fn wrote(&self) {
        self.lock().stage = Stage::Begun;
    }

    fn flushed(&self) {
        let mut pending = self.lock();
        if pending.stage == Stage::Begun {
            pending.stage = Stage::Written;
        }
    }

    /// The client speaks, or has closed in good order: it has what was written.
    fn settle(&self) {
        let written = {
            let mut pending = self.lock();
            if pending.stage != Stage::Written {
                return;
            }
            pending.messages.take()
        };
        if let Some(written) = written {
            written.confirm();
        }
    }

    /// Whether messages are written of which it is not known yet if the client has them.
    fn is_unsettled(&self) -> bool {
        let pending = self.lock();
        pending.messages.is_some() && pending.stage == Stage::Written
    }

    /// The connection is broken: the messages are visible again.
    fn give_back(&self) {
        let messages = self.lock().messages.take();
        drop(messages);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that tracks its answers.
pub(crate) struct TrackedStream {
    stream: Socket,
    handovers: Handovers,
    /// The client has ended its side just now, and may not have read the answer.
    ending: Option<Ending>,
}

/// The time in which a reset may follow a client's end.
struct Ending {
    until: Instant,
    look: Interval,
}

impl TrackedStream {
    fn new(stream: Socket) -> Self {
        Self {
            stream,
            handovers: Handovers::default(),
            ending: None,
        }
    }

    /// Ready when it is known whether the client, which has ended its side, had read the answer.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.was_reset() {
                self.handovers.give_back();
                return Poll::Ready(());
            }
            let ending = self.ending.get_or_insert_with(|| Ending {
                until: Instant::now() + RESET_WITHIN,
                look: tokio::time::interval(RESET_LOOK),
            });
            if ready!(ending.look.poll_tick(cx)) >= ending.until {
                return Poll::Ready(());
            }
        }
    }

    fn was_reset(&self) -> bool {
        let tcp = self.stream.tcp();
        tcp.is_none_or(|tcp| !matches!(tcp.take_error(), Ok(None)))
    }

    /// Refuses to write messages to a client that has closed already: the system would take the
    /// bytes all the same. Writes nothing more to a connection that is cut.
    fn check_reader(&self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.handovers.is_cut() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if !self.handovers.is_writing() {
            return Ok(());
        }
        let Some(tcp) = self.stream.tcp() else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut byte = [0];
        match tcp.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::BrokenPipe.into()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(_)) | Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        let is_end = result.is_ok() && buffer.filled().len() == filled && buffer.remaining() > 0;
        if is_end && self.handovers.is_unsettled() {
            ready!(self.poll_ending(cx));
        }
        match &result {
            Ok(()) => self.handovers.settle(),
            Err(_) => self.handovers.give_back(),
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_reader(cx)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.handovers.wrote();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_reader(cx)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.handovers.wrote();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.handovers.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for TrackedStream {
    fn drop(&mut self) {
        // What was written has been handed over as well as one can tell; the rest comes back.
        if !self.was_reset() {
            self.handovers.settle();
        }
        self.handovers.give_back();
    }
}
