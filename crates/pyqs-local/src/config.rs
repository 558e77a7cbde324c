//! What an endpoint is told when it is made.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::http::fault::FaultPlan;

/// How to serve. `Config::default()` serves from memory on 127.0.0.1:9324.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one. Default: 127.0.0.1:9324.
    pub address: SocketAddr,
    /// Who may ask. Default: [`Access::Loopback`].
    pub access: Access,
    /// Speaks HTTPS, with this certificate. `None`, the default, is HTTP.
    pub tls: Option<TlsFiles>,
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
    /// The account in URLs and ARNs: twelve digits. Default: 000000000000.
    pub account: String,
    /// The region in ARNs, and the only one that signatures may be for. `None`, the default, is
    /// each request's own: the one that it is signed for, else us-east-1.
    pub region: Option<String>,
    /// What is to go wrong with requests, for tests of clients. Default: nothing.
    pub faults: FaultPlan,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9324)),
            access: Access::default(),
            tls: None,
            data: None,
            sync: Sync::Normal,
            queues: Vec::new(),
            lenient_names: false,
            purge_cooldown: false,
            deletion_cooldown: false,
            account: "000000000000".to_owned(),
            region: None,
            faults: FaultPlan::default(),
        }
    }
}

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Access {
    /// Everybody on this machine: an address that others can reach is refused.
    #[default]
    Loopback,
    /// Everybody who can reach the address.
    Anyone,
    /// Who has one of these keys: each request's signature is checked.
    Keys(Vec<AccessKey>),
}

/// A key that may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// What clients call it: AWS's "access key id".
    pub id: String,
    /// What they sign with.
    pub secret: Secret,
}

/// A text that is nowhere shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for who computes with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

/// Where a certificate and its key are, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead to its authority.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueDeclaration {
    /// Its name.
    pub name: String,
    /// Its attributes, named and written as in `CreateQueue`; others keep SQS's defaults.
    pub attributes: BTreeMap<String, String>,
    /// Where messages go that were received too often.
    pub dead_letter: Option<DeadLetter>,
}

/// A queue's dead-letter queue; made if missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its name.
    pub queue: String,
    /// Receives after which the next one moves the message: 1 to 1,000.
    pub receives_max: u32,
}
