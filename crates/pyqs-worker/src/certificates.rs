//! `CertificateStore`: the certificates of those whose signed messages are read, from files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use pyqs_formats::signed::{BadCertificate, Certificate, Certificates, Signed};

use crate::clock;

/// Certificates by their ids. Each file holds one, in PEM, as Celery's `security_cert_store` has them.
#[derive(Clone, Debug, Default)]
pub struct CertificateStore(BTreeMap<String, Certificate>);

/// A store that can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadCertificateStore {
    /// A file or folder can't be read.
    #[error("can't read {path} of the certificate store: {source}")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no certificate.
    #[error("{path} of the certificate store: {source}")]
    NoCertificate {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: BadCertificate,
    },
    /// Nothing is there.
    #[error(
        "the certificate store {0} has no files; give a folder, a file, or a pattern as in certs/*.pem"
    )]
    Empty(String),
}

/// A certificate is far smaller.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl CertificateStore {
    /// Reads the files of a folder, the files whose names match a pattern (`*` and `?`, in the last part of the
    /// path), or one file.
    pub fn load(path: &str) -> Result<Self, BadCertificateStore> {
        let mut store = Self::default();
        for file in files(path)? {
            let text = read(&file).map_err(|source| BadCertificateStore::Unreadable {
                path: file.clone(),
                source,
            })?;
            let certificate = Certificate::from_pem(&text)
                .map_err(|source| BadCertificateStore::NoCertificate { path: file, source })?;
            store.0.insert(certificate.id().to_owned(), certificate);
        }
        if store.0.is_empty() {
            return Err(BadCertificateStore::Empty(path.to_owned()));
        }
        Ok(store)
    }
}

impl Certificates for CertificateStore {
    fn verify(&self, signed: &Signed<'_>) -> Result<(), String> {
        let Some(certificate) = self.0.get(&signed.signer) else {
            return Err("no certificate of that name is in the store".to_owned());
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "whole seconds of this age are exact"
        )]
        if clock::unix_secs() >= certificate.expires_unix_secs() as f64 {
            return Err("its certificate has expired".to_owned());
        }
        if !certificate.has_signed(signed) {
            return Err("the signature is not its own".to_owned());
        }
        Ok(())
    }
}

fn files(path: &str) -> Result<Vec<PathBuf>, BadCertificateStore> {
    let whole = Path::new(path);
    let pattern = whole.file_name().and_then(|name| name.to_str());
    let (folder, pattern) = match pattern {
        _ if whole.is_dir() => (whole, "*"),
        Some(pattern) if pattern.contains(['*', '?']) => {
            let parent = whole.parent().filter(|parent| *parent != Path::new(""));
            (parent.unwrap_or(Path::new(".")), pattern)
        }
        _ => return Ok(vec![whole.to_owned()]),
    };
    let unreadable = |source| BadCertificateStore::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // As a shell does, and Celery: a file whose name begins with a dot is none that is meant.
        if !name.starts_with('.')
            && matches(pattern.as_bytes(), name.as_bytes())
            && entry.path().is_file()
        {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file)?
        .take(FILE_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Whether a name matches a pattern with `*` and `?`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        (Some((b'?', pattern)), Some((_, name))) => matches(pattern, name),
        (Some((wanted, pattern)), Some((found, name))) if wanted == found => matches(pattern, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use pyqs_formats::Reader;

    use super::{BadCertificateStore, CertificateStore};

    const DATA: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../pyqs-formats/tests/data/signed"
    );

    fn read(store: &str, id: &str) -> Result<usize, String> {
        let store = CertificateStore::load(store).map_err(|error| error.to_string())?;
        let lines = std::fs::read_to_string(format!("{DATA}/messages.jsonl")).unwrap();
        let mut messages = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let message = messages.find(|message| message["id"] == id).unwrap();
        let reader = Reader::default().with_certificates(&store);
        let message = reader.read(message["body"].as_str().unwrap());
        message
            .map(|message| message.args.len())
            .map_err(|error| error.reason)
    }

    #[test]
    fn a_file_or_those_of_a_pattern_are_read() {
        assert_eq!(read(&format!("{DATA}/signer.pem"), "signer"), Ok(2));
        assert_eq!(read(&format!("{DATA}/s*r.p?m"), "signer"), Ok(2));
        let refused = read(&format!("{DATA}/b*.pem"), "signer").unwrap_err();
        assert!(
            refused.ends_with("no certificate of that name is in the store"),
            "{refused}"
        );
    }

    #[test]
    fn the_files_of_a_folder_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["signer", "big"] {
            let file = format!("{name}.pem");
            std::fs::copy(format!("{DATA}/{file}"), folder.path().join(file)).unwrap();
        }
        std::fs::write(folder.path().join(".hidden"), "no certificate").unwrap();
        let store = folder.path().to_str().unwrap();
        assert_eq!(read(store, "big"), Ok(2));
        assert_eq!(read(store, "signer-raw"), Ok(2));
    }

    #[test]
    fn an_expired_certificate_is_none() {
        let refused = read(&format!("{DATA}/expired.pem"), "expired").unwrap_err();
        assert!(
            refused.ends_with("its certificate has expired"),
            "{refused}"
        );
    }

    #[test]
    fn what_is_no_store_says_so() {
        let check = |path: &str, expected: &str| {
            let error: BadCertificateStore = CertificateStore::load(path).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        check("/nowhere/at/all", "can't read /nowhere/at/all");
        check(&format!("{DATA}/x*"), "has no files");
        check(
            &format!("{DATA}/messages.jsonl"),
            "messages.jsonl of the certificate store: no certificate in PEM",
        );
        check(&format!("{DATA}/elliptic.pem"), "its key is none of RSA");
        check(DATA, "of the certificate store");
    }
}
