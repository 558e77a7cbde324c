//! Our endpoint on a thread of this process, for tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use pyo3::prelude::*;
use pyqs_local::{Config, QueueDeclaration, Server};
use tokio::sync::oneshot;

use crate::errors::SettingsInvalid;

/// An endpoint in memory, on a free port of 127.0.0.1, until it is stopped.
#[pyclass(frozen, module = "pyqs._pyqs")]
struct LocalEndpoint {
    url: String,
    serving: Mutex<Option<Serving>>,
}

struct Serving {
    /// The thread is this process's alone: not that of one forked from it.
    process: u32,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

#[pymethods]
impl LocalEndpoint {
    /// Starts it, with queues of these names.
    #[new]
    #[pyo3(signature = (*, queues))]
    fn new(py: Python<'_>, queues: Vec<String>) -> PyResult<Self> {
        let named = |name| QueueDeclaration {
            name,
            ..QueueDeclaration::default()
        };
        let config = Config {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            queues: queues.into_iter().map(named).collect(),
            ..Config::default()
        };
        let server = py
            .detach(|| Server::bind(config))
            .map_err(|error| SettingsInvalid::new_err(causes(&error)))?;
        let url = server.url();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("pyqs-local".to_owned())
            .spawn(move || {
                let stopped = async move { drop(stopped.await) };
                // A socket that fails is seen by who calls it.
                let _ = runtime.block_on(server.run(stopped));
            })?;
        let serving = Serving {
            process: std::process::id(),
            stop,
            thread,
        };
        Ok(Self {
            url,
            serving: Mutex::new(Some(serving)),
        })
    }

    /// Where it is reached.
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    /// Stops it and waits for its end. Again, or in a process that was forked meanwhile, it does nothing.
    fn stop(&self, py: Python<'_>) {
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        if serving
            .as_ref()
            .is_none_or(|serving| serving.process != std::process::id())
        {
            return;
        }
        let serving = serving.take();
        py.detach(|| {
            if let Some(Serving { stop, thread, .. }) = serving {
                // It has ended by itself, or does now; if it panicked it is gone too.
                let _ = stop.send(());
                let _ = thread.join();
            }
        });
    }
}

/// An error with its causes, on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LocalEndpoint>()
}
