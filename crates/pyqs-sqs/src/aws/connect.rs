//! From options, environment and profile files to a client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_credential_types::Credentials;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Region, SharedHttpClient, StalledStreamProtectionConfig};

use super::AwsSqs;
use super::ca_bundle;
use super::http::EnvironmentHttp;
use super::observe::{Observed, Observer};
use super::proxy::ProxyRules;
use crate::ConnectOptions;

/// How long a connection may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The region where none is set anywhere.
const REGION_DEFAULT: &str = "us-east-1";

/// What is wrong with the settings for reaching SQS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// One of the two keys is given without the other.
    #[error("{given} is given without {missing}; give both, or neither to use the environment")]
    HalfAKey {
        /// The option that is there.
        given: &'static str,
        /// The option that is not.
        missing: &'static str,
    },
    /// The endpoint is not a URL.
    #[error("the endpoint \"{url}\" is not a URL such as http://127.0.0.1:9324")]
    Endpoint {
        /// What was given.
        url: String,
    },
    /// The file of trusted certificates can't be used.
    #[error("can't read CA certificates from {path}: {reason}; check AWS_CA_BUNDLE")]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A proxy is not a URL.
    #[error("the proxy in {variable} can't be used: {reason}; correct or unset it")]
    Proxy {
        /// The environment variable, in upper case.
        variable: &'static str,
        /// Why not; without the password.
        reason: String,
    },
}

/// Prepares a client; makes no connection and asks for no credentials yet.
///
/// What the options leave open is taken from the environment and the profile files as boto3 does:
/// `AWS_ENDPOINT_URL_SQS` and `AWS_ENDPOINT_URL`, `AWS_DEFAULT_REGION` (and `AWS_REGION`),
/// `AWS_CA_BUNDLE`, `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`. Credentials come from the AWS SDK's
/// chain: environment, profile files (keys, SSO, a process, assumed roles), web identity, the ECS
/// or EKS container's role, the EC2 instance's role.
pub async fn connect(options: &ConnectOptions) -> Result<AwsSqs, ConnectError> {
    let source = ClientSource {
        options: options.clone(),
        http: http_client()?,
    };
    let observed = Arc::new(Observed::default());
    let client = source.client(&observed).await?;
    Ok(AwsSqs::new(client, source, observed))
}

/// What clients are made of.
pub(super) struct ClientSource {
    options: ConnectOptions,
    http: SharedHttpClient,
}

impl ClientSource {
    /// A client that has read environment and profile files just now.
    pub(super) async fn client(&self, observed: &Arc<Observed>) -> Result<Client, ConnectError> {
        let config = load(&self.options, self.http.clone())?.load().await;
        let config = aws_sdk_sqs::config::Builder::from(&config)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .build(),
            )
            .interceptor(Observer(Arc::clone(observed)))
            .build();
        Ok(Client::from_conf(config))
    }
}

/// The region that these options come to.
pub async fn region_name(options: &ConnectOptions) -> String {
    let region = region_chain(options).region().await;
    region.map_or_else(|| REGION_DEFAULT.to_owned(), |region| region.to_string())
}

fn load(options: &ConnectOptions, http: SharedHttpClient) -> Result<ConfigLoader, ConnectError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        // Retries are their callers' business. Said here, since what the loader is not told it reads
        // from AWS_MAX_ATTEMPTS and AWS_RETRY_MODE, and panics where those are not what it expects.
        .retry_config(RetryConfig::disabled())
        .region(region_chain(options));
    if let Some(url) = given(options.endpoint_url.as_deref()) {
        loader = loader.endpoint_url(checked_endpoint(url)?);
    }
    match (
        given(options.access_key_id.as_deref()),
        given(options.secret_access_key.as_deref()),
    ) {
        (Some(id), Some(secret)) => {
            let session_token = None;
            let keys = Credentials::new(id, secret, session_token, None, "options");
            Ok(loader.credentials_provider(keys))
        }
        (None, None) => Ok(loader),
        (Some(_), None) => Err(ConnectError::HalfAKey {
            given: ACCESS_KEY_ID,
            missing: SECRET_ACCESS_KEY,
        }),
        (None, Some(_)) => Err(ConnectError::HalfAKey {
            given: SECRET_ACCESS_KEY,
            missing: ACCESS_KEY_ID,
        }),
    }
}

const ACCESS_KEY_ID: &str = "--access-key-id";
const SECRET_ACCESS_KEY: &str = "--secret-access-key";

/// Never asks the EC2 metadata service, which the SDK's own chain does: a machine without one would
/// wait for it, and a region by surprise is worse than the default of PyQS.
fn region_chain(options: &ConnectOptions) -> RegionProviderChain {
    let region = given(options.region.as_deref()).map(str::to_owned);
    let region = region.or_else(|| variable("AWS_DEFAULT_REGION"));
    let region = region.or_else(|| variable("AWS_REGION"));
    RegionProviderChain::first_try(region.map(Region::new))
        .or_else(ProfileFileRegionProvider::new())
        .or_else(Region::new(REGION_DEFAULT))
}

fn http_client() -> Result<SharedHttpClient, ConnectError> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let rules = ProxyRules::from_variables(variables)?;
    let trust = ca_bundle::trust(ca_bundle::bundle_path().as_deref())?;
    Ok(SharedHttpClient::new(EnvironmentHttp::new(rules, trust)))
}

/// The SDK takes any text for an endpoint and fails at the first request with a riddle.
fn checked_endpoint(url: &str) -> Result<&str, ConnectError> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with(['/', ':', '?']) => Ok(url),
        _ => Err(ConnectError::Endpoint {
            url: url.to_owned(),
        }),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// An empty option is one not given: shells pass those for unset variables.
fn given(option: Option<&str>) -> Option<&str> {
    option.filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::checked_endpoint;

    #[test]
    fn endpoints_are_http_urls() {
        let check = |url: &str, is_good: bool| assert_eq!(checked_endpoint(url).is_ok(), is_good);
        check("http://127.0.0.1:9324", true);
        check("https://sqs.eu-west-1.amazonaws.com/", true);
        check("127.0.0.1:9324", false);
        check("localhost:9324", false);
        check("http://", false);
        check("http:///x", false);
        check("ftp://a", false);
    }
}
