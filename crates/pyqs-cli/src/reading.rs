//! How messages are read that are shown, the same for every command that shows some.

use anyhow::Result;
use pyqs_formats::pointer::SIZE_ATTRIBUTES;
use pyqs_formats::{Layers, Pointer, Reader};
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

/// What there is to show of a message.
pub(crate) enum Content {
    /// What its body says, as far as it can be read.
    Here(Box<Layers>),
    /// Its body is stored elsewhere; the bytes are what an attribute of it says.
    Stored {
        pointer: Pointer,
        bytes: Option<u64>,
    },
}

impl Reading {
    /// What a message says, or where that is; `attribute` gives the message attributes by name.
    pub(crate) fn content<'a>(
        &self,
        body: &str,
        attribute: impl Fn(&str) -> Option<&'a str>,
    ) -> Content {
        match Pointer::read(body) {
            Some(pointer) => Content::Stored {
                pointer,
                bytes: SIZE_ATTRIBUTES
                    .iter()
                    .find_map(|name| attribute(name)?.parse().ok()),
            },
            None => Content::Here(Box::new(self.layers(body))),
        }
    }

    fn layers(&self, body: &str) -> Layers {
        let mut reader = Reader::default();
        if let Some(certificates) = &self.certificates {
            reader = reader.with_certificates(certificates);
        }
        reader.layers(body)
    }
}
