//! Queue URLs and ARNs: made for each request from how it came in.

use std::net::SocketAddr;

use axum::http::header::HOST;
use axum::http::request;

use crate::config::Config;
use crate::error::ApiError;
use crate::http::region_named;

/// The region where neither a request nor the configuration names one.
pub(crate) const REGION_DEFAULT: &str = "us-east-1";

/// What of an endpoint's addresses is the same for all requests.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    scheme: &'static str,
    listening_on: String,
    /// `None` takes the region that each request is signed for.
    region: Option<String>,
    account: String,
}

impl Site {
    pub(crate) fn new(config: &Config, listening_on: SocketAddr) -> Self {
        Self {
            scheme: if config.tls.is_some() {
                "https"
            } else {
                "http"
            },
            listening_on: listening_on.to_string(),
            region: config.region.clone(),
            account: config.account.clone(),
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        self.scheme
    }

    pub(crate) fn listening_on(&self) -> &str {
        &self.listening_on
    }

    /// The addresses as the client of a request has them.
    pub(crate) fn address(&self, head: &request::Parts) -> Address {
        let host = head.headers.get(HOST).and_then(|value| value.to_str().ok());
        let host = host.filter(|host| !host.is_empty());
        let region = self.region.clone().or_else(|| region_named(head));
        Address {
            scheme: self.scheme,
            host: host.unwrap_or(&self.listening_on).to_owned(),
            region: region.unwrap_or_else(|| REGION_DEFAULT.to_owned()),
            account: self.account.clone(),
        }
    }
}

/// How the client calls this endpoint, and so what it will call the queues.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    scheme: &'static str,
    /// Host and port as in the `Host` header, so that URLs work from containers too.
    host: String,
    region: String,
    account: String,
}

impl Address {
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// Whether an ARN is of this endpoint's account and of the region that the client asks for.
    pub(crate) fn owns(&self, arn: &str) -> bool {
        let name = arn.rsplit(':').next().unwrap_or_default();
        self.arn(name) == arn
    }

    pub(crate) fn url(&self, queue: &str) -> String {
        format!("{}://{}/{}/{queue}", self.scheme, self.host, self.account)
    }

    pub(crate) fn arn(&self, queue: &str) -> String {
        arn(&self.region, &self.account, queue)
    }
}

/// Letters, digits and dashes, of which regions are made.
pub(crate) fn is_region(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_plain)
}

/// How the regions of AWS's other partitions begin (botocore: `partitions.json`).
const PARTITIONS: [(&str, &str); 7] = [
    ("cn-", "aws-cn"),
    ("eu-isoe-", "aws-iso-e"),
    ("eusc-", "aws-eusc"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
];

/// A queue's ARN.
pub(crate) fn arn(region: &str, account: &str, queue: &str) -> String {
    let mut partitions = PARTITIONS.into_iter();
    let found = partitions.find(|(beginning, _)| region.starts_with(beginning));
    let partition = found.map_or("aws", |(_, partition)| partition);
    format!("arn:{partition}:sqs:{region}:{account}:{queue}")
}

/// Account and name in a queue URL. What stands before them is not compared: the same endpoint has
/// other names from inside a container.
pub(crate) fn parts_of_url(url: &str) -> Result<(&str, &str), ApiError> {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    match path.split('/').collect::<Vec<_>>()[..] {
        [_host, account, name] if !name.is_empty() => Ok((account, name)),
        _ => Err(ApiError::InvalidAddress {
            address: url.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_names_in_urls() {
        let ok = "http://localhost:9324/000000000000/email";
        assert_eq!(parts_of_url(ok).unwrap(), ("000000000000", "email"));
        for url in [
            "",
            "email",
            "http://",
            "http://h/1",
            "http://h/1/",
            "http://h/1/a/b",
        ] {
            assert!(parts_of_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn regions_have_their_partitions() {
        for (region, partition) in [
            ("us-east-1", "aws"),
            ("eu-central-1", "aws"),
            ("anything", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            let expected = format!("arn:{partition}:sqs:{region}:1:email");
            assert_eq!(arn(region, "1", "email"), expected);
        }
    }

    #[test]
    fn regions_in_credential_scopes() {
        let site = Site::new(&Config::default(), Config::default().address);
        let check = |uri: &str, authorization: Option<&str>, region: &str| {
            let mut request = axum::http::Request::post(uri);
            if let Some(authorization) = authorization {
                request = request.header("Authorization", authorization);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            let arn = format!("arn:aws:sqs:{region}:000000000000:email");
            assert_eq!(
                site.address(&head).arn("email"),
                arn,
                "{uri} {authorization:?}"
            );
        };
        let scope = "AWS4-HMAC-SHA256 Credential=AK/20261101/eu-central-1/sqs/aws4_request, X=y";
        check("/", Some(scope), "eu-central-1");
        check("/", Some("Basic eHh4"), REGION_DEFAULT);
        check("/", Some("Credential=a/b/<c>/d"), REGION_DEFAULT);
        check("/?a=b", None, REGION_DEFAULT);
        check(
            "/?X-Amz-Credential=a%2Fb%2Feu-west-1%2Fd",
            None,
            "eu-west-1",
        );
    }
}
