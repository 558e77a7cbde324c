//! A worker's settings as one Python object.

use std::collections::BTreeMap;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};
use pyqs_sqs::QueueArgument;
use pyqs_worker::{CeleryQueues, LogLevel, MESSAGE_BYTES_MAX};

use crate::errors::SettingsInvalid;

/// See [`pyqs_worker::WorkerSettings`]; times are in seconds, and how to reach SQS lies beside the rest.
#[pyclass(module = "pyqs._pyqs")]
pub(crate) struct WorkerSettings(pub(crate) pyqs_worker::WorkerSettings);

impl From<pyqs_worker::WorkerSettings> for WorkerSettings {
    fn from(settings: pyqs_worker::WorkerSettings) -> Self {
        Self(settings)
    }
}

#[pymethods]
impl WorkerSettings {
    /// Settings by name; those not given, or `None`, have their defaults.
    #[new]
    #[pyo3(signature = (**fields))]
    fn new(fields: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut settings = pyqs_worker::WorkerSettings::default();
        let mut http_token = None;
        for (name, value) in fields.into_iter().flatten() {
            if name.eq("http_token")? {
                http_token = field("http_token", &value)?;
            } else if !value.is_none() {
                set(&mut settings, &name.extract::<String>()?, &value)?;
            }
        }
        if let Some(http) = &mut settings.http {
            http.token = http_token;
        }
        settings
            .check_time_limits()
            .map_err(|error| SettingsInvalid::new_err(error.to_string()))?;
        if let Some(http) = &settings.http {
            http.check()
                .map_err(|error| SettingsInvalid::new_err(error.to_string()))?;
        }
        let is_empty = check_queues(&settings.queues)?;
        if is_empty && settings.celery_app.is_none() {
            return Err(SettingsInvalid::new_err(
                "no queue is given: name at least one queue or pattern",
            ));
        }
        Ok(Self(settings))
    }

    #[getter]
    fn queues(&self) -> Vec<String> {
        self.0.queues.clone()
    }

    #[setter]
    fn set_queues(&mut self, queues: Vec<String>) -> PyResult<()> {
        check_queues(&queues)?;
        self.0.queues = queues;
        Ok(())
    }

    #[getter]
    fn celery_app(&self) -> Option<&str> {
        self.0.celery_app.as_deref()
    }

    /// What the Celery application says of its queues. All by Celery's names, but those in SQS of `predefined`.
    fn set_celery_queues(
        &mut self,
        prefix: String,
        predefined: BTreeMap<String, String>,
        default_queue: String,
        routes: BTreeMap<String, String>,
    ) {
        self.0.celery_queues = CeleryQueues {
            prefix,
            predefined,
            default_queue: Some(default_queue),
            routes,
        };
    }

    #[getter]
    fn cert_store(&self) -> Option<&str> {
        self.0.cert_store.as_deref()
    }

    #[setter]
    fn set_cert_store(&mut self, path: Option<String>) {
        self.0.cert_store = path;
    }

    #[getter]
    fn unsafe_pickle(&self) -> Vec<String> {
        self.0.unsafe_pickle.clone()
    }

    #[getter]
    fn concurrency(&self) -> u32 {
        self.0.concurrency
    }

    #[getter]
    fn threads(&self) -> u32 {
        self.0.threads
    }

    #[getter]
    fn time_limit(&self) -> Option<f64> {
        self.0.time_limit.map(|limit| limit.as_secs_f64())
    }

    #[getter]
    fn soft_time_limit(&self) -> Option<f64> {
        self.0.soft_time_limit.map(|limit| limit.as_secs_f64())
    }

    #[getter]
    fn log_level(&self) -> &str {
        self.0.log_level.name()
    }

    #[setter]
    fn set_log_level(&mut self, name: &str) -> PyResult<()> {
        self.0.log_level = log_level(name)?;
        Ok(())
    }

    #[getter]
    fn region(&self) -> Option<&str> {
        self.0.connection.region.as_deref()
    }

    #[getter]
    fn access_key_id(&self) -> Option<&str> {
        self.0.connection.access_key_id.as_deref()
    }

    #[getter]
    fn secret_access_key(&self) -> Option<&str> {
        self.0.connection.secret_access_key.as_deref()
    }

    #[getter]
    fn endpoint_url(&self) -> Option<&str> {
        self.0.connection.endpoint_url.as_deref()
    }

    #[getter]
    fn extend_visibility(&self) -> bool {
        self.0.extend_visibility
    }

    #[getter]
    fn extend_visibility_max(&self) -> Option<f64> {
        self.0.extend_visibility_max.map(|max| max.as_secs_f64())
    }

    #[getter]
    fn shutdown_timeout(&self) -> Option<f64> {
        self.0.shutdown_timeout.map(|timeout| timeout.as_secs_f64())
    }

    #[getter]
    fn imports(&self) -> Vec<String> {
        self.0.imports.clone()
    }

    #[getter]
    fn preload(&self) -> Vec<String> {
        self.0.preload.clone()
    }

    #[getter]
    fn allow(&self) -> Vec<String> {
        self.0.allow.clone()
    }

    #[getter]
    fn reload(&self) -> bool {
        self.0.reload
    }

    #[getter]
    fn format(&self) -> Option<&str> {
        self.0.format.as_deref()
    }

    #[getter]
    fn create_queues(&self) -> Option<bool> {
        self.0.create_queues
    }

    #[getter]
    fn registered_only(&self) -> bool {
        self.0.registered_only
    }

    #[getter]
    fn payload_store(&self) -> Option<&str> {
        self.0.payload_store.as_deref()
    }

    #[getter]
    fn payload_threshold(&self) -> u32 {
        self.0.payload_threshold
    }

    #[getter]
    fn keep_payloads(&self) -> bool {
        self.0.keep_payloads
    }

    #[getter]
    fn idempotency_store(&self) -> Option<&str> {
        self.0.idempotency_store.as_deref()
    }
}

/// Whether there are none; those that can be none of SQS's are an error.
fn check_queues(queues: &[String]) -> PyResult<bool> {
    let queues = QueueArgument::parse_all(queues)
        .map_err(|error| SettingsInvalid::new_err(error.to_string()))?;
    Ok(queues.is_empty())
}

/// Sets one field. A name that is none of the fields is an error as Python's own calls have it.
fn set(
    settings: &mut pyqs_worker::WorkerSettings,
    name: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    match name {
        "queues" => settings.queues = field(name, value)?,
        "strict" => settings.strict = field(name, value)?,
        "concurrency" => settings.concurrency = positive(name, value)?,
        "log_level" => settings.log_level = log_level(&field::<String>(name, value)?)?,
        "region" => settings.connection.region = field(name, value)?,
        "access_key_id" => settings.connection.access_key_id = field(name, value)?,
        "secret_access_key" => settings.connection.secret_access_key = field(name, value)?,
        "endpoint_url" => settings.connection.endpoint_url = field(name, value)?,
        "interval" => settings.interval = seconds(name, value)?,
        "batchsize" => settings.batchsize = Some(count(name, value)?),
        "prefetch_multiplier" => settings.prefetch_multiplier = Some(count(name, value)?),
        "simple_worker" => settings.simple_worker = field(name, value)?,
        "max_tasks_per_child" => settings.max_tasks_per_child = count(name, value)?,
        "threads" => settings.threads = positive(name, value)?,
        "prefetch_memory" => settings.prefetch_memory = memory_size(name, value)?,
        "max_memory_per_child" => settings.max_memory_per_child = Some(memory_size(name, value)?),
        "time_limit" => settings.time_limit = Some(positive_seconds(name, value)?),
        "soft_time_limit" => settings.soft_time_limit = Some(positive_seconds(name, value)?),
        "drain_timeout" => settings.drain_timeout = seconds(name, value)?,
        "extend_visibility" => settings.extend_visibility = field(name, value)?,
        "extend_visibility_max" => settings.extend_visibility_max = Some(seconds(name, value)?),
        "shutdown_timeout" => settings.shutdown_timeout = Some(seconds(name, value)?),
        "burst" => settings.burst = field(name, value)?,
        "receive_wait" => settings.receive_wait = seconds(name, value)?,
        "reload" => settings.reload = field(name, value)?,
        "max_tasks" => settings.max_tasks = Some(positive(name, value)?),
        "require_queues" => settings.require_queues = field(name, value)?,
        "exact_patterns" => settings.exact_patterns = field(name, value)?,
        "imports" => settings.imports = field(name, value)?,
        "preload" => settings.preload = field(name, value)?,
        "allow" => settings.allow = field(name, value)?,
        "http" => {
            let address: String = field(name, value)?;
            let address = address.parse().map_err(|_| {
                SettingsInvalid::new_err(format!(
                    "{name} is {address}; give an address and a port, as in 127.0.0.1:9100"
                ))
            })?;
            let token = None;
            settings.http = Some(pyqs_worker::HttpOptions { address, token });
        }
        "format" => settings.format = field(name, value)?,
        "create_queues" => settings.create_queues = field(name, value)?,
        "registered_only" => settings.registered_only = field(name, value)?,
        "cert_store" => settings.cert_store = field(name, value)?,
        "unsafe_pickle" => settings.unsafe_pickle = field(name, value)?,
        "celery_app" => settings.celery_app = field(name, value)?,
        "payload_store" => settings.payload_store = Some(url(name, value)?),
        "payload_threshold" => settings.payload_threshold = message_bytes(name, value)?,
        "keep_payloads" => settings.keep_payloads = field(name, value)?,
        "idempotency_store" => settings.idempotency_store = Some(url(name, value)?),
        _ => {
            return Err(PyTypeError::new_err(format!(
                "a worker has no setting {name:?}"
            )));
        }
    }
    Ok(())
}

fn field<'py, T>(name: &str, value: &Bound<'py, PyAny>) -> PyResult<T>
where
    T: FromPyObjectOwned<'py>,
{
    value.extract::<T>().map_err(|error| {
        let error: PyErr = error.into();
        SettingsInvalid::new_err(format!("{name}: {}", error.value(value.py())))
    })
}

fn count(name: &str, value: &Bound<'_, PyAny>) -> PyResult<u32> {
    field(name, value).map_err(|_| {
        SettingsInvalid::new_err(format!("{name} is {value}; give a whole number from 0 up"))
    })
}

fn positive(name: &str, value: &Bound<'_, PyAny>) -> PyResult<u32> {
    match count(name, value)? {
        0 => Err(SettingsInvalid::new_err(format!(
            "{name} is 0; give at least 1"
        ))),
        count => Ok(count),
    }
}

fn seconds(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    Duration::try_from_secs_f64(field(name, value)?).map_err(|_| {
        SettingsInvalid::new_err(format!("{name} is {value}; give seconds, 0 or more"))
    })
}

fn positive_seconds(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    match seconds(name, value)? {
        Duration::ZERO => Err(SettingsInvalid::new_err(format!(
            "{name} is {value}; give seconds above 0, or None for no limit"
        ))),
        limit => Ok(limit),
    }
}

/// As 512M, in bytes.
fn memory_size(name: &str, value: &Bound<'_, PyAny>) -> PyResult<u64> {
    let size: Result<pyqs_worker::MemorySize, _> = field::<String>(name, value)?.parse();
    size.map(pyqs_worker::MemorySize::bytes)
        .map_err(|error| SettingsInvalid::new_err(format!("{name}: {error}")))
}

fn message_bytes(name: &str, value: &Bound<'_, PyAny>) -> PyResult<u32> {
    let bytes = field(name, value)
        .ok()
        .filter(|_| !value.is_instance_of::<PyBool>());
    bytes.filter(|bytes| *bytes <= MESSAGE_BYTES_MAX).ok_or_else(|| {
        SettingsInvalid::new_err(format!(
            "{name} is {value}; give bytes from 0, which stores every message, to {MESSAGE_BYTES_MAX}"
        ))
    })
}

fn url(name: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    value.extract().map_err(|_| {
        SettingsInvalid::new_err(format!(
            "{name} is {value}; give a worker its URL, and an object to pyqs.configure({name}=)"
        ))
    })
}

fn log_level(name: &str) -> PyResult<LogLevel> {
    name.parse::<LogLevel>()
        .map_err(|error| SettingsInvalid::new_err(error.to_string()))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let defaults = pyqs_worker::WorkerSettings::default();
    module.add("PAYLOAD_THRESHOLD_DEFAULT", defaults.payload_threshold)?;
    module.add("MESSAGE_BYTES_MAX", MESSAGE_BYTES_MAX)?;
    module.add_class::<WorkerSettings>()
}
