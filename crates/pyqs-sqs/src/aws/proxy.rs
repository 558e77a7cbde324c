//! Which proxy a request goes through, by the rules of boto3.
//!
//! `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in upper or lower case; lower case wins, and an
//! empty one in lower case unsets the other. `ALL_PROXY` is not read, since boto3 does not.

use std::fmt;

use aws_smithy_http_client::proxy::ProxyConfig;

use super::ConnectError;

/// The proxies of the environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct ProxyRules {
    http: Option<String>,
    https: Option<String>,
    no_proxy: Vec<String>,
    all_direct: bool,
}

impl ProxyRules {
    /// Reads the rules from environment variables, given as pairs of name and value.
    pub(super) fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConnectError> {
        let variables: Vec<_> = variables.into_iter().collect();
        let lookup = |name: &str| proxy_variable(&variables, name);
        let no_proxy = lookup("no_proxy").unwrap_or_default();
        // In a CGI script HTTP_PROXY holds the request's `Proxy:` header (CVE-2016-1000110).
        let is_cgi = variables.iter().any(|(name, _)| name == "REQUEST_METHOD");
        let rules = Self {
            http: lookup("http_proxy").filter(|_| !is_cgi).map(with_scheme),
            https: lookup("https_proxy").map(with_scheme),
            all_direct: no_proxy.trim() == "*",
            no_proxy: no_proxy.split(',').filter_map(no_proxy_name).collect(),
        };
        for (variable, proxy) in [("HTTP_PROXY", &rules.http), ("HTTPS_PROXY", &rules.https)] {
            if let Some(proxy) = proxy {
                proxy_config(proxy).map_err(|reason| ConnectError::Proxy { variable, reason })?;
            }
        }
        Ok(rules)
    }

    /// The proxy for a request to this URL; `None` means straight there.
    pub(super) fn proxy_for(&self, url: &str) -> Option<&str> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let host_and_port = authority
            .rsplit('@')
            .next()
            .unwrap_or(authority)
            .to_ascii_lowercase();
        if self.is_direct(&host_and_port) {
            return None;
        }
        match scheme {
            "http" => self.http.as_deref(),
            "https" => self.https.as_deref(),
            _ => None,
        }
    }

    /// As `urllib.request.proxy_bypass_environment` decides: a name stands for the host itself and
    /// all below it, with or without the port.
    fn is_direct(&self, host_and_port: &str) -> bool {
        let host = without_port(host_and_port);
        self.all_direct
            || self.no_proxy.iter().any(|name| {
                [host, host_and_port].into_iter().any(|candidate| {
                    candidate
                        .strip_suffix(name.as_str())
                        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
                })
            })
    }
}

/// Hides the proxies themselves: their URLs may hold a password.
impl fmt::Debug for ProxyRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyRules")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("no_proxy", &self.no_proxy)
            .field("all_direct", &self.all_direct)
            .finish()
    }
}

/// What the HTTP client needs to go through this proxy.
pub(super) fn proxy_config(url: &str) -> Result<ProxyConfig, String> {
    // The error is made anew, since the library's may quote the URL with its password.
    ProxyConfig::all(url).map_err(|_| {
        let shown = url.rsplit('@').next().unwrap_or_default();
        format!("\"{shown}\" is not an http:// or https:// URL")
    })
}

fn proxy_variable(variables: &[(String, String)], name: &str) -> Option<String> {
    let find = |is_it: &dyn Fn(&str) -> bool| {
        variables
            .iter()
            .find(|(variable, _)| is_it(variable))
            .map(|(_, value)| value.clone())
    };
    find(&|variable| variable == name)
        .or_else(|| find(&|variable| variable.eq_ignore_ascii_case(name)))
        .filter(|value| !value.is_empty())
}

fn with_scheme(proxy: String) -> String {
    if let Some(rest) = proxy.strip_prefix("//") {
        format!("http://{rest}")
    } else if proxy.contains("://") {
        proxy
    } else {
        format!("http://{proxy}")
    }
}

fn no_proxy_name(name: &str) -> Option<String> {
    let name = name.trim().trim_start_matches('.').to_ascii_lowercase();
    (!name.is_empty()).then_some(name)
}

fn without_port(host_and_port: &str) -> &str {
    match host_and_port.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host_and_port,
    }
}

#[cfg(test)]
mod tests {
    use super::ProxyRules;

    fn rules(variables: &[(&str, &str)]) -> ProxyRules {
        let variables = variables
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        ProxyRules::from_variables(variables).unwrap()
    }

    #[track_caller]
    fn check(variables: &[(&str, &str)], url: &str, expected: Option<&str>) {
        assert_eq!(
            rules(variables).proxy_for(url),
            expected,
            "{variables:?} for {url}"
        );
    }

    #[test]
    fn the_scheme_chooses_the_proxy() {
        let both = [("HTTP_PROXY", "http://p:1"), ("HTTPS_PROXY", "http://s:2")];
        check(&both, "http://sqs.test/", Some("http://p:1"));
        check(&both, "https://sqs.test/", Some("http://s:2"));
        check(&[("HTTP_PROXY", "http://p:1")], "https://sqs.test/", None);
        check(&[("ALL_PROXY", "http://p:1")], "https://sqs.test/", None);
        check(&[], "http://sqs.test/", None);
    }

    #[test]
    fn lower_case_wins_and_an_empty_one_unsets() {
        check(
            &[
                ("HTTP_PROXY", "http://upper:1"),
                ("http_proxy", "http://lower:1"),
            ],
            "http://sqs.test/",
            Some("http://lower:1"),
        );
        check(
            &[("HTTP_PROXY", "http://upper:1"), ("http_proxy", "")],
            "http://sqs.test/",
            None,
        );
        check(&[("HTTP_PROXY", "")], "http://sqs.test/", None);
    }

    #[test]
    fn a_scheme_is_added_where_it_is_missing() {
        check(
            &[("http_proxy", "p:3128")],
            "http://sqs.test/",
            Some("http://p:3128"),
        );
        check(
            &[("http_proxy", "//p:3128")],
            "http://sqs.test/",
            Some("http://p:3128"),
        );
        check(
            &[("http_proxy", "u:w@p:3128")],
            "http://sqs.test/",
            Some("http://u:w@p:3128"),
        );
    }

    #[test]
    fn a_cgi_script_takes_no_proxy_from_its_request() {
        check(
            &[("HTTP_PROXY", "http://evil:1"), ("REQUEST_METHOD", "GET")],
            "http://a/",
            None,
        );
    }

    #[test]
    fn no_proxy_names_hosts_and_all_below_them() {
        let check = |no_proxy: &str, host: &str, direct: bool| {
            let rules = rules(&[("http_proxy", "http://p:1"), ("NO_PROXY", no_proxy)]);
            let is_direct = rules.proxy_for(&format!("http://{host}/x")).is_none();
            assert_eq!(is_direct, direct, "{no_proxy:?} for {host}");
        };
        check("sqs.test", "sqs.test", true);
        check("sqs.test", "sqs.test:80", true);
        check("sqs.test:80", "sqs.test:80", true);
        check("sqs.test:81", "sqs.test:80", false);
        check(".test", "sqs.test", true);
        check("test", "sqs.TEST", true);
        check("qs.test", "sqs.test", false);
        check("a, 127.0.0.1 ,b", "127.0.0.1:9324", true);
        check("*", "anything", true);
        check("", "anything", false);
        check("*,a", "anything", false);
        check("[::1]", "[::1]:9324", true);
    }

    #[test]
    fn what_is_no_proxy_is_an_error_that_hides_the_password() {
        let bad = [(
            "https_proxy".to_owned(),
            "socks5://user:hunter2@p:1".to_owned(),
        )];
        let error = ProxyRules::from_variables(bad).unwrap_err().to_string();
        assert!(
            error.contains("HTTPS_PROXY") && error.contains("p:1"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn debug_hides_the_password() {
        let shown = format!("{:?}", rules(&[("http_proxy", "http://user:hunter2@p:1")]));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
