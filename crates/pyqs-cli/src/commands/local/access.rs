//! Who may ask, and whether others can listen in.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::builder::BoolishValueParser;
use pyqs_local::{Access, AccessKey, Secret, TlsFiles};

mod credentials;

#[derive(Debug, clap::Args)]
pub(super) struct AccessArgs {
    /// Verify signatures: a key that may ask; repeated, each with its --secret-access-key
    #[arg(
        long = "access-key-id",
        value_name = "KEY",
        env = "PYQS_LOCAL_ACCESS_KEY_ID",
        value_delimiter = ','
    )]
    access_key_ids: Vec<String>,
    /// The secret to the --access-key-id in the same place; its variable keeps it out of the process list
    #[arg(
        long = "secret-access-key",
        value_name = "SECRET",
        env = "PYQS_LOCAL_SECRET_ACCESS_KEY",
        value_delimiter = ','
    )]
    secret_access_keys: Vec<Secret>,
    /// Verify signatures: the keys of all profiles of this file, written as ~/.aws/credentials
    #[arg(long, value_name = "FILE", env = "PYQS_LOCAL_CREDENTIALS")]
    credentials: Option<PathBuf>,
    /// Let everybody in who reaches the address, without keys, also from other machines
    #[arg(long, env = "PYQS_LOCAL_INSECURE", value_parser = BoolishValueParser::new())]
    insecure: bool,
    /// Speak HTTPS with this certificate: PEM, with those that lead to its authority behind it
    #[arg(long, value_name = "FILE", env = "PYQS_LOCAL_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The private key to --tls-cert: PEM
    #[arg(long, value_name = "FILE", env = "PYQS_LOCAL_TLS_KEY")]
    tls_key: Option<PathBuf>,
}

impl AccessArgs {
    /// The certificate to serve with, if any.
    pub(super) fn tls(&self) -> Result<Option<TlsFiles>> {
        match (self.tls_cert.clone(), self.tls_key.clone()) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
            (None, None) => Ok(None),
            _ => bail!("--tls-cert and --tls-key come together, and only one is given"),
        }
    }

    /// Who may ask. Keys go before --insecure.
    pub(super) fn access(self) -> Result<Access> {
        let mut keys = pairs(self.access_key_ids, self.secret_access_keys)?;
        if let Some(file) = &self.credentials {
            keys.extend(credentials::read(file)?);
        }
        Ok(match (keys.is_empty(), self.insecure) {
            (false, _) => Access::Keys(keys),
            (true, true) => Access::Anyone,
            (true, false) => Access::Loopback,
        })
    }
}

/// Ids and secrets, in the order in which they were given.
fn pairs(ids: Vec<String>, secrets: Vec<Secret>) -> Result<Vec<AccessKey>> {
    if ids.len() != secrets.len() {
        bail!(
            "--access-key-id is given {} and --secret-access-key {}: they come in pairs",
            times(ids.len()),
            times(secrets.len())
        );
    }
    let pairs = ids.into_iter().zip(secrets);
    Ok(pairs.map(|(id, secret)| AccessKey { id, secret }).collect())
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}
