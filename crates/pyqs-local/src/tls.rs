//! TLS, below everything that knows of connections: a certificate, and sockets with it or without.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use crate::config::TlsFiles;

/// How long a client may take until it is agreed how to encrypt.
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// What the first byte of TLS is: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 22;

/// What somebody is told who speaks HTTP without TLS.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Content-Length: 53\r\nConnection: close\r\n\r\n\
    This endpoint speaks HTTPS: use https:// in its URL.\n";

/// Why a certificate can't be served with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("can't read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not PEM, or has not what it is for.
    #[error("{} has no {wanted} in PEM that can be read", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        wanted: &'static str,
    },
    /// The certificate is none that can be used, or the key is another one's.
    #[error("can't use the certificate {} with the key {}", .files.certificate.display(), .files.key.display())]
    Unfit {
        /// The files.
        files: TlsFiles,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// Reads a certificate and its key.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let unfit = |source| TlsError::Unfit {
        files: files.clone(),
        source,
    };
    let certificates = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| failure(&files.key, "private key", error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failure = |error| failure(path, "certificate", error);
    let found = CertificateDer::pem_file_iter(path).map_err(failure)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(failure)?;
    if found.is_empty() {
        return Err(failure(pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn failure(path: &Path, wanted: &'static str, error: pem::Error) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => TlsError::Unreadable { path, source },
        _ => TlsError::Empty { path, wanted },
    }
}

/// A client's socket. What is read and written is never encrypted; what is below may be.
pub(crate) enum Socket {
    Plain(TcpStream),
    /// How to encrypt is not agreed yet. It is on the first read or write, and so in the
    /// connection's own task: nobody else waits for it.
    Greeting(Box<Greeting>),
    Encrypted(Box<TlsStream<TcpStream>>),
    /// It was not agreed.
    Failed,
}

/// A handshake, and when it must have ended.
pub(crate) struct Greeting {
    accept: Accept<TcpStream>,
    limit: Pin<Box<Sleep>>,
    speaks_tls: bool,
}

impl Socket {
    /// Where there is an acceptor, the handshake must have ended within `limit`.
    pub(crate) fn new(stream: TcpStream, acceptor: Option<&TlsAcceptor>, limit: Duration) -> Self {
        match acceptor {
            None => Self::Plain(stream),
            Some(acceptor) => Self::Greeting(Box::new(Greeting {
                accept: acceptor.accept(stream),
                limit: Box::pin(tokio::time::sleep(limit)),
                speaks_tls: false,
            })),
        }
    }

    /// What is below all; `None` once a handshake has failed.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Greeting(greeting) => greeting.accept.get_ref(),
            Self::Encrypted(stream) => Some(stream.get_ref().0),
            Self::Failed => None,
        }
    }

    fn poll_greeted(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self::Greeting(greeting) = self else {
            return Poll::Ready(Ok(()));
        };
        let outcome = ready!(greeting.poll(cx));
        *self = match outcome {
            Ok(stream) => Self::Encrypted(Box::new(stream)),
            Err(error) => {
                *self = Self::Failed;
                return Poll::Ready(Err(error));
            }
        };
        Poll::Ready(Ok(()))
    }
}

impl Greeting {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TlsStream<TcpStream>>> {
        if self.limit.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if !self.speaks_tls {
            ready!(self.poll_first_byte(cx))?;
            self.speaks_tls = true;
        }
        Pin::new(&mut self.accept).poll(cx)
    }

    /// Refuses whoever doesn't begin with a handshake, in words that are HTTP.
    fn poll_first_byte(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = self.accept.get_ref() else {
            return Poll::Ready(Ok(()));
        };
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        ready!(stream.poll_peek(cx, &mut buffer))?;
        if matches!(buffer.filled(), [] | [HANDSHAKE_RECORD]) {
            return Poll::Ready(Ok(()));
        }
        // Closed with something unread, a connection is reset, and the answer may be lost.
        while stream.try_read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
        // What doesn't fit into a new connection's buffer has nobody who reads it.
        let _ = stream.try_write(PLAIN_HTTP);
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }
}

fn failed<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_greeted(cx))?;
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Encrypted(stream) => {
                let result = ready!(Pin::new(stream).poll_read(cx, buffer));
                // Many clients close without TLS's own farewell. HTTP says where its messages
                // end, so that nothing can be cut off unnoticed.
                Poll::Ready(match result {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
                    result => result,
                })
            }
            Self::Greeting(_) | Self::Failed => failed(),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_greeted(cx))?;
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Greeting(_) | Self::Failed => failed(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_greeted(cx))?;
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Encrypted(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Greeting(_) | Self::Failed => failed(),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
            // Nothing is written before.
            Self::Greeting(_) | Self::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Greeting(_) | Self::Failed => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn file(name: &str) -> PathBuf {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        crates.join("pyqs-sqs/tests/tls").join(name)
    }

    /// What a server reads from a client that begins so and then says nothing.
    async fn read_after(beginning: &[u8], limit: Duration) -> io::Result<usize> {
        let acceptor = acceptor(&TlsFiles {
            certificate: file("server.pem"),
            key: file("server.key"),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(connect, listener.accept());
        let mut client = client.unwrap();
        client.write_all(beginning).await.unwrap();
        let (stream, _) = accepted.unwrap();
        let mut socket = Socket::new(stream, Some(&acceptor.unwrap()), limit);
        socket.read(&mut [0]).await
    }

    #[tokio::test]
    async fn a_handshake_that_takes_too_long_ends_the_connection() {
        let limit = Duration::from_millis(20);
        for beginning in [&[][..], &[HANDSHAKE_RECORD, 3, 1, 0]] {
            let error = read_after(beginning, limit).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{beginning:?}");
        }
    }

    #[tokio::test]
    async fn plain_http_does_not_wait_for_the_limit() {
        let error = read_after(b"GET / HTTP/1.1", HANDSHAKE_MAX).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
