//! How to reach SQS.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How to reach SQS. What is `None` is taken from the environment and the profile files, as the
/// AWS SDKs do.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectOptions {
    /// The AWS region; else `AWS_DEFAULT_REGION`, `AWS_REGION`, the profile's, `us-east-1`.
    pub region: Option<String>,
    /// A fixed access key, given with [`Self::secret_access_key`]; else the SDK's credential chain.
    pub access_key_id: Option<String>,
    /// The secret to [`Self::access_key_id`].
    pub secret_access_key: Option<String>,
    /// The endpoint; else `AWS_ENDPOINT_URL_SQS`, `AWS_ENDPOINT_URL`, the profile's, Amazon's.
    pub endpoint_url: Option<String>,
}

/// Shows which keys are given, never the secret.
impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.secret_access_key.as_ref().map(|_| "(hidden)");
        f.debug_struct("ConnectOptions")
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &secret)
            .field("endpoint_url", &self.endpoint_url)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectOptions;

    #[test]
    fn debug_hides_the_secret() {
        let options = ConnectOptions {
            access_key_id: Some("AKIDEXAMPLE".to_owned()),
            secret_access_key: Some("wJalrXUtnFEMI".to_owned()),
            ..ConnectOptions::default()
        };
        let shown = format!("{options:?}");
        assert!(
            shown.contains("AKIDEXAMPLE") && shown.contains("(hidden)"),
            "{shown}"
        );
        assert!(!shown.contains("wJalr"), "{shown}");
    }
}
