//! The queues that an endpoint is started with.

use pyqs_broker::{Attribute, Broker, Error, QueueId, RedrivePolicy};

use super::now;
use crate::address::{REGION_DEFAULT, arn};
use crate::attributes;
use crate::config::{Config, QueueDeclaration};
use crate::content::Body;
use crate::server::ServeError;

/// Makes the queues that are declared and missing, and gives all of them what is declared.
pub(super) fn all(broker: &mut Broker<Body>, config: &Config) -> Result<(), ServeError> {
    for queue in &config.queues {
        declare(broker, queue, config).map_err(|source| ServeError::Queue {
            name: queue.name.clone(),
            source,
        })?;
    }
    Ok(())
}

fn declare(
    broker: &mut Broker<Body>,
    queue: &QueueDeclaration,
    config: &Config,
) -> Result<(), Error> {
    let mut attributes = attributes::parse_all(&queue.attributes)?;
    if let Some(dead_letter) = &queue.dead_letter {
        ensure(broker, &dead_letter.queue)?;
        let region = config.region.as_deref().unwrap_or(REGION_DEFAULT);
        let arn = arn(region, &config.account, &dead_letter.queue);
        let policy = RedrivePolicy::new(arn, dead_letter.receives_max);
        attributes.push(Attribute::RedrivePolicy(Some(policy)));
    }
    let id = ensure(broker, &queue.name)?;
    if !attributes.is_empty() {
        broker.set_attributes(now(), id, &attributes)?;
    }
    Ok(())
}

/// The queue of that name, made if missing.
fn ensure(broker: &mut Broker<Body>, name: &str) -> Result<QueueId, Error> {
    if let Ok(id) = broker.queue(name) {
        return Ok(id);
    }
    let fifo = [Attribute::FifoQueue(true)];
    let attributes = match name.strip_suffix(".fifo") {
        Some(_) => &fifo[..],
        None => &[],
    };
    broker.create_queue(now(), name, attributes)
}
