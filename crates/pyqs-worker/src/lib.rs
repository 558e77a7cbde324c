//! The worker: drives the consumer on tokio, hands tasks to task processes.
