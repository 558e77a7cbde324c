//! `Reading`: how this worker reads messages, beyond what every reader does.

use pyqs_formats::Reader;

use crate::certificates::{BadCertificateStore, CertificateStore};
use crate::settings::WorkerSettings;

/// What a reader of messages needs of the settings. Default: nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    certificates: Option<CertificateStore>,
    has_opaque_pickles: bool,
}

impl Reading {
    pub(crate) fn new(settings: &WorkerSettings) -> Result<Self, BadCertificateStore> {
        let store = settings.cert_store.as_deref().map(CertificateStore::load);
        Ok(Self {
            certificates: store.transpose()?,
            has_opaque_pickles: !settings.unsafe_pickle.is_empty(),
        })
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        let mut reader = Reader::default();
        if let Some(certificates) = &self.certificates {
            reader = reader.with_certificates(certificates);
        }
        if self.has_opaque_pickles {
            reader = reader.with_opaque_pickles();
        }
        reader
    }
}
