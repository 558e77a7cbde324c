//! Queue URLs and ARNs: made for each request from how it came in.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};

use crate::error::ApiError;

/// The region where a request names none.
const REGION_DEFAULT: &str = "us-east-1";

/// How the client calls this endpoint, and so what it will call the queues.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Host and port as in the `Host` header, so that URLs work from containers too.
    host: String,
    /// From the signature's credential scope.
    region: String,
    account: String,
}

impl Address {
    pub(crate) fn of_request(headers: &HeaderMap, listening_on: &str, account: &str) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(HOST).filter(|host| !host.is_empty());
        let region = text(AUTHORIZATION).and_then(region_of_scope);
        Self {
            host: host.unwrap_or(listening_on).to_owned(),
            region: region.unwrap_or(REGION_DEFAULT).to_owned(),
            account: account.to_owned(),
        }
    }

    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    pub(crate) fn url(&self, queue: &str) -> String {
        format!("http://{}/{}/{queue}", self.host, self.account)
    }

    pub(crate) fn arn(&self, queue: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{queue}", self.region, self.account)
    }
}

/// The queue's name in a queue URL: what follows host and account. Neither of these is compared:
/// the same endpoint has other names from inside a container.
pub(crate) fn queue_of_url(url: &str) -> Result<&str, ApiError> {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    match path.split('/').collect::<Vec<_>>()[..] {
        [_host, _account, name] if !name.is_empty() => Ok(name),
        _ => Err(ApiError::InvalidAddress {
            address: url.to_owned(),
        }),
    }
}

/// `AWS4-HMAC-SHA256 Credential=KEY/20261101/eu-central-1/sqs/aws4_request, ...`
fn region_of_scope(authorization: &str) -> Option<&str> {
    let (_, credential) = authorization.split_once("Credential=")?;
    let region = credential.split(['/', ',']).nth(2)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!region.is_empty() && region.chars().all(is_plain)).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_names_in_urls() {
        let ok = "http://localhost:9324/000000000000/email";
        assert_eq!(queue_of_url(ok).unwrap(), "email");
        for url in [
            "",
            "email",
            "http://",
            "http://h/1",
            "http://h/1/",
            "http://h/1/a/b",
        ] {
            assert!(queue_of_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn regions_in_credential_scopes() {
        let scope = "AWS4-HMAC-SHA256 Credential=AK/20261101/eu-central-1/sqs/aws4_request, X=y";
        assert_eq!(region_of_scope(scope), Some("eu-central-1"));
        assert_eq!(region_of_scope("Basic eHh4"), None);
        assert_eq!(region_of_scope("Credential=a/b/<c>/d"), None);
    }
}
