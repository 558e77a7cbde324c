//! The options that say how messages are read, the same for every command that shows some.

use anyhow::Result;
use pyqs_formats::{Layers, Reader};
use pyqs_worker::CertificateStore;

/// How to read messages.
#[derive(Debug, clap::Args)]
pub(crate) struct ReadingArgs {
    /// Certificates of those whose signed messages are read: a folder, a file, or a pattern
    #[arg(long, value_name = "PATH", env = "PYQS_CERT_STORE")]
    cert_store: Option<String>,
}

impl ReadingArgs {
    /// Loads what reading needs.
    pub(crate) fn load(&self) -> Result<Reading> {
        let certificates = self.cert_store.as_deref().map(CertificateStore::load);
        Ok(Reading {
            certificates: certificates.transpose()?,
        })
    }
}

/// A way to read messages.
pub(crate) struct Reading {
    certificates: Option<CertificateStore>,
}

impl Reading {
    /// A body's layers.
    pub(crate) fn layers(&self, body: &str) -> Layers {
        let mut reader = Reader::default();
        if let Some(certificates) = &self.certificates {
            reader = reader.with_certificates(certificates);
        }
        reader.layers(body)
    }
}
