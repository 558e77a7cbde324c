//! How long the head of a message takes to read, for `cargo xtask bench decode`: bodies come on standard input, each
//! a JSON text on a line of its own; printed are the microseconds a message, the best of several rounds.

use std::io::BufRead;
use std::time::{Duration, Instant};

fn main() {
    let lines = std::io::stdin().lock().lines();
    let body = |line: std::io::Result<String>| -> String {
        serde_json::from_str(&line.expect("a line")).expect("a JSON text")
    };
    let bodies: Vec<String> = lines.map(body).collect();
    let count = u32::try_from(bodies.len()).expect("some thousands");
    let best = (0..200).map(|_| round(&bodies)).min().expect("rounds");
    println!("{:.3}", (best / count).as_secs_f64() * 1e6);
}

#[expect(clippy::disallowed_methods, reason = "the time is what is measured")]
fn round(bodies: &[String]) -> Duration {
    let start = Instant::now();
    for body in bodies {
        std::hint::black_box(pyqs_formats::read_head(body).expect("a task"));
    }
    start.elapsed()
}
