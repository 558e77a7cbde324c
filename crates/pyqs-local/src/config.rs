//! What an endpoint is told when it is made.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// How to serve. `Config::default()` serves from memory on 127.0.0.1:9324.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen: a loopback address; port 0 takes a free one. Default: 127.0.0.1:9324.
    pub address: SocketAddr,
    /// The folder that keeps everything; made if missing. `None`, the default, keeps it in
    /// memory, and nothing after the end.
    pub data: Option<PathBuf>,
    /// What an answered request survives. Default: [`Sync::Normal`].
    pub sync: Sync,
    /// Queues to have at the start. Those that exist already get what is said here. Default: none.
    pub queues: Vec<QueueDeclaration>,
    /// Takes queue names with dots, which AWS refuses. Default: false.
    pub lenient_names: bool,
    /// Refuses a second `PurgeQueue` within 60 seconds, as AWS does. Default: false.
    pub purge_cooldown: bool,
    /// Refuses to make a queue anew within 60 seconds of its deletion, as AWS does.
    /// Default: false.
    pub deletion_cooldown: bool,
    /// The account in URLs and ARNs. Default: 000000000000.
    pub account: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9324)),
            data: None,
            sync: Sync::Normal,
            queues: Vec::new(),
            lenient_names: false,
            purge_cooldown: false,
            deletion_cooldown: false,
            account: "000000000000".to_owned(),
        }
    }
}

/// What an answered request survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    /// The end of the process by any means, `kill -9` too; a power cut may take the last moments.
    #[default]
    Normal,
    /// A power cut too: each commit waits for the disk.
    Full,
}

/// A queue to have at the start. A name that ends in `.fifo` makes a FIFO queue.
#[derive(Debug, Clone, Default)]
pub struct QueueDeclaration {
    /// Its name.
    pub name: String,
    /// Its visibility timeout in seconds, 0 to 43,200; `None` is SQS's default, 30.
    pub visibility_timeout_secs: Option<u32>,
    /// Where messages go that were received too often.
    pub dead_letter: Option<DeadLetter>,
}

/// A queue's dead-letter queue; made if missing.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its name.
    pub queue: String,
    /// Receives after which the next one moves the message: 1 to 1,000.
    pub receives_max: u32,
}
