//! The server: binds, serves, stops.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::address::{Site, is_region};
use crate::config::{Access, AccessKey, Config};
use crate::connection::{Handovers, TrackingListener};
use crate::engine::Engine;
use crate::http::{self, Verifier, fault::FaultPlan};
use crate::store::StoreError;
use crate::tls::{self, TlsError};

/// How long a stop waits for clients that are in the middle of a request.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// An endpoint that is bound and has opened its store; [`run`](Self::run) serves.
pub struct Server {
    listener: std::net::TcpListener,
    address: SocketAddr,
    engine: Arc<Engine>,
    site: Site,
    verifier: Option<Verifier>,
    faults: FaultPlan,
    tls: Option<TlsAcceptor>,
}

/// Why an endpoint can't serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is taken, or isn't one of this machine.
    #[error("can't listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address can be reached from other machines, and there are no keys to check.
    #[error("{} can be reached from other machines, and anybody there could read and send", .address.ip())]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// The account isn't one.
    #[error("an account is twelve digits, and '{account}' is not")]
    Account {
        /// What was given.
        account: String,
    },
    /// The region isn't one.
    #[error("a region has letters, digits and dashes, as in eu-central-1, and '{region}' is none")]
    Region {
        /// What was given.
        region: String,
    },
    /// An access key can't be signed with.
    #[error(
        "an access key has an id of letters, digits, '-' and '_', and a secret, and the one numbered {number} has not"
    )]
    AccessKey {
        /// Which one, from 1.
        number: usize,
    },
    /// Two access keys have the same id.
    #[error("there are two access keys with the id {id}")]
    AccessKeyRepeated {
        /// The id.
        id: String,
    },
    /// There is no TLS with this certificate.
    #[error("can't speak TLS")]
    Tls(#[from] TlsError),
    /// The data folder can't be used.
    #[error("can't open the data folder")]
    Store(#[from] StoreError),
    /// A queue can't be declared as configured.
    #[error("can't make queue {name}")]
    Queue {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: pyqs_broker::Error,
    },
    /// The listening socket failed.
    #[error("can't serve")]
    Io(#[from] io::Error),
}

impl Server {
    /// Binds the address, opens the store and makes the declared queues. Clients that connect
    /// from now on wait for [`run`](Self::run).
    pub fn bind(config: Config) -> Result<Self, ServeError> {
        check(&config)?;
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let address = config.address;
        let bind = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, bound) = bind().map_err(|source| ServeError::Bind { address, source })?;
        let engine = Engine::open(&config)?;
        Ok(Self {
            listener,
            address: bound,
            engine,
            site: Site::new(&config, bound),
            verifier: Verifier::new(config.access, config.region),
            faults: config.faults,
            tls,
        })
    }

    /// The address that is listened on, with the port that was found where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What a client on this machine is told to call, as in `http://127.0.0.1:9324`.
    pub fn url(&self) -> String {
        let mut address = self.address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        format!("{}://{address}", self.site.scheme())
    }

    /// Serves until `shutdown` is ready, then answers what is under way, ends long polls with
    /// what they have, and writes everything that was answered.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let listener = TrackingListener {
            listener: TcpListener::from_std(self.listener)?,
            tls: self.tls,
        };
        let routes = http::routes(
            Arc::clone(&self.engine),
            self.site,
            self.verifier,
            self.faults,
        );
        let service = routes.into_make_service_with_connect_info::<Handovers>();
        let (stop, stopped) = watch::channel(());
        let serving = axum::serve(listener, service).with_graceful_shutdown(until_closed(stopped));
        let serving = serving.into_future();
        tokio::pin!(serving);
        let outcome = tokio::select! {
            outcome = &mut serving => outcome,
            () = ring(&self.engine) => Ok(()),
            () = shutdown => {
                self.engine.stop_polls();
                drop(stop);
                // Whoever doesn't finish a request by then is left behind.
                tokio::time::timeout(DRAIN_MAX, serving).await.unwrap_or(Ok(()))
            }
        };
        self.engine.close();
        Ok(outcome?)
    }
}

/// What can be told without touching anything.
fn check(config: &Config) -> Result<(), ServeError> {
    let address = config.address;
    if config.access == Access::Loopback && !address.ip().is_loopback() {
        return Err(ServeError::Open { address });
    }
    let account = &config.account;
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        let account = account.clone();
        return Err(ServeError::Account { account });
    }
    if let Some(region) = &config.region
        && !is_region(region)
    {
        let region = region.clone();
        return Err(ServeError::Region { region });
    }
    if let Access::Keys(keys) = &config.access {
        check_keys(keys)?;
    }
    Ok(())
}

fn check_keys(keys: &[AccessKey]) -> Result<(), ServeError> {
    let mut ids = BTreeSet::new();
    for (index, key) in keys.iter().enumerate() {
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_usable = !key.id.is_empty() && !key.secret.reveal().is_empty();
        if !is_usable || !key.id.bytes().all(is_id) {
            return Err(ServeError::AccessKey { number: index + 1 });
        }
        if !ids.insert(&key.id) {
            let id = key.id.clone();
            return Err(ServeError::AccessKeyRepeated { id });
        }
    }
    Ok(())
}

/// Ready when the sender is gone.
async fn until_closed(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// Makes delays and timeouts end in time for those who wait. Never ends.
async fn ring(engine: &Arc<Engine>) {
    loop {
        let sleep = engine.tick();
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = engine.rearmed() => {}
        }
    }
}
