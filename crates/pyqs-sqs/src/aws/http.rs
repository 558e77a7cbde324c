//! The HTTP client below the SDK: one connection pool for each proxy and for straight connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::ca_bundle;
use super::proxy::{ProxyRules, proxy_config};

/// The HTTP client for SQS and for all sources of credentials.
#[derive(Debug)]
pub(super) struct EnvironmentHttp {
    rules: Arc<ProxyRules>,
    trust: TlsContext,
    connectors: Mutex<BTreeMap<Timeouts, SharedHttpConnector>>,
}

impl EnvironmentHttp {
    pub(super) fn new(rules: ProxyRules, trust: TlsContext) -> Self {
        Self {
            rules: Arc::new(rules),
            trust,
            connectors: Mutex::default(),
        }
    }
}

impl HttpClient for EnvironmentHttp {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let key = Timeouts {
            connect: settings.connect_timeout(),
            read: settings.read_timeout(),
        };
        lock(&self.connectors)
            .entry(key)
            .or_insert_with(|| {
                SharedHttpConnector::new(Router {
                    rules: Arc::clone(&self.rules),
                    trust: self.trust.clone(),
                    settings: settings.clone(),
                    components: components.clone(),
                    routes: Mutex::default(),
                })
            })
            .clone()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timeouts {
    connect: Option<Duration>,
    read: Option<Duration>,
}

/// Sends each request by its route; routes are made when first needed.
#[derive(Debug)]
struct Router {
    rules: Arc<ProxyRules>,
    trust: TlsContext,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
    routes: Mutex<BTreeMap<Route, SharedHttpConnector>>,
}

/// By TLS or not, through which proxy.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    uses_tls: bool,
    proxy: Option<String>,
}

/// Hides the proxy: its URL may hold a password.
impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Route {{ uses_tls: {}, proxied: {} }}",
            self.uses_tls,
            self.proxy.is_some()
        )
    }
}

impl Router {
    fn connector(&self, uri: &str) -> SharedHttpConnector {
        let proxy = self.rules.proxy_for(uri);
        let is_https = |url: &str| url.starts_with("https:");
        let uses_tls = is_https(uri) || proxy.is_some_and(is_https);
        let route = Route {
            uses_tls,
            proxy: proxy.map(str::to_owned),
        };
        lock(&self.routes)
            .entry(route)
            .or_insert_with_key(|route| self.build(route))
            .clone()
    }

    fn build(&self, route: &Route) -> SharedHttpConnector {
        // Reading the system's certificates takes milliseconds: not for plain HTTP.
        let trust = if route.uses_tls {
            self.trust.clone()
        } else {
            ca_bundle::no_trust()
        };
        let mut builder = Connector::builder()
            .tls_provider(Provider::rustls(CryptoMode::Ring))
            .tls_context(trust)
            .connector_settings(self.settings.clone());
        if let Some(sleep) = self.components.sleep_impl() {
            builder = builder.sleep_impl(sleep);
        }
        if let Some(proxy) = &route.proxy {
            let proxy = proxy_config(proxy).expect("it was checked when the rules were read");
            builder = builder.proxy_config(proxy);
        }
        SharedHttpConnector::new(builder.build())
    }
}

impl HttpConnector for Router {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.connector(request.uri()).call(request)
    }
}

/// What the maps hold is whole at every moment, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
