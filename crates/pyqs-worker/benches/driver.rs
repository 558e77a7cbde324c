//! How many tasks that do nothing go through the manager in a second, with all but SQS and Python: real
//! sockets, the real ledger and the real channel, on a queue in memory.
//!
//! `cargo bench -p pyqs-worker`

#[path = "../tests/world/mod.rs"]
#[allow(dead_code)] // The tests use the rest.
mod world;

use std::sync::Arc;
use std::time::Instant;

use pyqs_worker::{LogLevel, WorkerSettings};

use world::fake_sqs::FakeSqs;
use world::{Do, World, body};

fn main() {
    for (concurrency, max_tasks_per_child) in [(1, 0), (2, 0), (4, 0), (2, 1000), (2, 100)] {
        let settings = WorkerSettings {
            queues: vec!["email".to_owned()],
            log_level: LogLevel::Warning,
            concurrency,
            max_tasks_per_child,
            ..WorkerSettings::default()
        };
        let count: u32 = 200_000;
        let sqs = FakeSqs::with(&["email"]);
        for _ in 0..count {
            sqs.put("email", &body("mail.send"));
        }
        let start = Instant::now();
        let world = World::start(settings, Arc::new(sqs), |_| Do::Succeed);
        world.until("all is deleted", |w| {
            w.sqs.deleted_count("email") == count as usize
        });
        let secs = start.elapsed().as_secs_f64();
        let sqs = world.stop_and_end();
        let requests = sqs.calls("receive") + sqs.calls("delete_batch");
        let requests = u32::try_from(requests).expect("fewer than tasks");
        println!(
            "concurrency {concurrency}, {max_tasks_per_child:>4} tasks a process: {:>7.0} tasks/s, \
             {:.3} requests a task",
            f64::from(count) / secs,
            f64::from(requests) / f64::from(count)
        );
    }
}
