//! The server: binds, serves, stops.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Config;
use crate::connection::{Handovers, TrackingListener};
use crate::engine::Engine;
use crate::http;
use crate::store::StoreError;

/// How long a stop waits for clients that are in the middle of a request.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// An endpoint that is bound and has opened its store; [`run`](Self::run) serves.
pub struct Server {
    listener: std::net::TcpListener,
    address: SocketAddr,
    engine: Arc<Engine>,
    account: String,
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
    /// The address can be reached from other machines.
    #[error("{address} is not a loopback address: listening elsewhere needs signatures checked")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
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
        let address = config.address;
        if !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback { address });
        }
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
            account: config.account,
        })
    }

    /// The address that is listened on, with the port that was found where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then answers what is under way, ends long polls with
    /// what they have, and writes everything that was answered.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let listener = TrackingListener(TcpListener::from_std(self.listener)?);
        let routes = http::routes(Arc::clone(&self.engine), self.address, &self.account);
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
