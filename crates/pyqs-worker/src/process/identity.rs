//! Whether a socket's number still stands for that socket.

use std::io;
use std::os::unix::net::UnixStream;

use rustix::fs::{FileType, fstat};

/// What tells a socket from other open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    is_socket: bool,
    inode: u64,
}

impl Identity {
    pub(super) fn of(socket: &UnixStream) -> io::Result<Self> {
        let stat = fstat(socket)?;
        Ok(Self {
            is_socket: FileType::from_raw_mode(stat.st_mode).is_socket(),
            inode: stat.st_ino,
        })
    }

    /// An error where the number stands for something else by now: nothing of ours is to be written there.
    pub(super) fn check(self, socket: &UnixStream) -> io::Result<()> {
        if Self::of(socket)? == self {
            Ok(())
        } else {
            Err(io::Error::other("its number stands for another file now"))
        }
    }
}
