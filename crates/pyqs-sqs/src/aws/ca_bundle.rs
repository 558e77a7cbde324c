//! Which certificates a TLS server's is checked against.

use std::path::{Path, PathBuf};

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::ConnectError;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The certificates that are trusted: those of the file where one is given (and no others, as
/// boto3 has it), else the system's.
pub(super) fn trust(bundle: Option<&Path>) -> Result<TlsContext, ConnectError> {
    let store = match bundle {
        None => TrustStore::default(),
        Some(path) => read_bundle(path)?,
    };
    Ok(context(store))
}

/// Trusts nobody: for plain HTTP, where nothing of TLS is to be loaded.
pub(super) fn no_trust() -> TlsContext {
    context(TrustStore::empty())
}

/// `AWS_CA_BUNDLE`, else `REQUESTS_CA_BUNDLE`, as boto3 has it.
pub(super) fn bundle_path() -> Option<PathBuf> {
    ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"]
        .into_iter()
        .filter_map(std::env::var_os)
        .find(|path| !path.is_empty())
        .map(PathBuf::from)
}

fn context(store: TrustStore) -> TlsContext {
    TlsContext::builder()
        .with_trust_store(store)
        .build()
        .expect("a trust store is all it needs")
}

/// Reads the certificates one by one, since the HTTP client panics on one that it can't read.
fn read_bundle(path: &Path) -> Result<TrustStore, ConnectError> {
    let error = |reason: String| ConnectError::CaBundle {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read(path).map_err(|cause| error(cause.to_string()))?;
    let text = String::from_utf8_lossy(&text);

    let mut store = TrustStore::empty();
    let mut readable = 0;
    for certificate in certificates(&text) {
        if is_readable(certificate) {
            store.add_pem_certificate(certificate);
            readable += 1;
        } else {
            tracing::warn!(path = %path.display(), "a certificate of the CA bundle can't be read");
        }
    }
    if readable == 0 {
        return Err(error("it holds no certificate in PEM form".to_owned()));
    }
    Ok(store)
}

/// The PEM certificates in a text, which may hold anything else between them.
fn certificates(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(BEGIN).filter_map(|(start, _)| {
        let length = text[start..].find(END)? + END.len();
        Some(&text[start..start + length])
    })
}

fn is_readable(pem: &str) -> bool {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .is_ok_and(|certificate| RootCertStore::empty().add(certificate).is_ok())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{BEGIN, END, read_bundle};

    /// A self-signed certificate of a CA made for tests.
    const CERTIFICATE: &str = include_str!("../../tests/tls/ca.pem");

    #[track_caller]
    fn check(content: &str, expected: Result<(), &str>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        match (read_bundle(file.path()), expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(part)) => {
                let error = error.to_string();
                assert!(error.contains(part), "{error}");
                assert!(error.contains(&*file.path().to_string_lossy()), "{error}");
            }
            (got, expected) => panic!("{:?} where {expected:?}", got.map(|_| ())),
        }
    }

    #[test]
    fn certificates_are_found_among_other_text() {
        check(CERTIFICATE, Ok(()));
        check(&format!("# my CA\n{CERTIFICATE}\n\n{CERTIFICATE}"), Ok(()));
    }

    #[test]
    fn an_unreadable_certificate_beside_a_good_one_is_left_out() {
        check(&format!("{BEGIN}\nAAAA\n{END}\n{CERTIFICATE}"), Ok(()));
        check(
            &format!("{BEGIN}\nno base64!\n{END}\n{CERTIFICATE}"),
            Ok(()),
        );
    }

    #[test]
    fn a_file_without_a_certificate_is_an_error() {
        check("", Err("no certificate"));
        check("hello", Err("no certificate"));
        check(BEGIN, Err("no certificate"));
        check(&format!("{BEGIN}\nAAAA\n{END}"), Err("no certificate"));
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let error = read_bundle("/nowhere/ca.pem".as_ref())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/nowhere/ca.pem") && error.contains("AWS_CA_BUNDLE"),
            "{error}"
        );
    }
}
