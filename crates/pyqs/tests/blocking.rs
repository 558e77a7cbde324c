//! The producer from many threads and through forks, against an endpoint that is a thread here.

#[path = "support/fork.rs"]
mod forking;

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forking::{exit_code, fork};
use pyqs::blocking::Producer;
use pyqs::{ClientError, ConnectOptions, Outgoing};
use serde_json::{Value, json};

/// An endpoint that takes everything; its bodies arrive at `bodies`.
struct Endpoint {
    address: SocketAddr,
    bodies: Mutex<Receiver<String>>,
}

impl Endpoint {
    fn start() -> Self {
        Self::start_with(true)
    }

    /// `is_answering`: or else it reads requests and says nothing.
    fn start_with(is_answering: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (body, bodies) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let body = body.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &body, is_answering));
            }
        });
        Self {
            address,
            bodies: Mutex::new(bodies),
        }
    }

    fn producer(&self) -> Producer {
        Producer::new(ConnectOptions {
            region: Some("eu-west-1".to_owned()),
            access_key_id: Some("AKIDEXAMPLE".to_owned()),
            secret_access_key: Some("secret".to_owned()),
            endpoint_url: Some(format!("http://{}", self.address)),
        })
    }

    fn next_body(&self) -> String {
        self.bodies
            .lock()
            .unwrap()
            .recv_timeout(Duration::from_secs(20))
            .unwrap()
    }
}

fn serve(stream: TcpStream, bodies: &Sender<String>, is_answering: bool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some((action, request)) = read_request(&mut reader) {
        let take = |message: &Value| {
            let body = message["MessageBody"].as_str().unwrap().to_owned();
            let id = format!("id-{body}");
            bodies.send(body).map(|()| id)
        };
        let answer = match action.as_str() {
            "GetQueueUrl" => json!({"QueueUrl": "http://endpoint/0/email"}),
            "SendMessage" => {
                let Ok(id) = take(&request) else { return };
                json!({"MessageId": id, "MD5OfMessageBody": "x"})
            }
            "SendMessageBatch" => {
                let entries = request["Entries"].as_array().unwrap();
                let done: Vec<_> = entries
                    .iter()
                    .map_while(|entry| {
                        let id = take(entry).ok()?;
                        Some(json!({"Id": entry["Id"], "MessageId": id, "MD5OfMessageBody": "x"}))
                    })
                    .collect();
                json!({"Successful": done, "Failed": []})
            }
            other => unreachable!("{other}"),
        };
        if !is_answering {
            continue;
        }
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        if stream.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<(String, Value)> {
    let (mut action, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match line.to_ascii_lowercase().split_once(": ") {
            Some(("x-amz-target", _)) => line.rsplit('.').next()?.clone_into(&mut action),
            Some(("content-length", value)) => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((action, serde_json::from_slice(&body).ok()?))
}

/// The names of this process's threads.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

#[test]
fn many_threads_send_at_once() {
    let endpoint = Endpoint::start();
    let producer = endpoint.producer();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let producer = &producer;
            scope.spawn(move || {
                for n in 0..50 {
                    let body = format!("{thread}-{n}");
                    let id = producer
                        .send("email", Outgoing::new(&*body), &mut || true)
                        .unwrap();
                    assert_eq!(id, format!("id-{body}"));
                }
            });
        }
    });
    let mut bodies: Vec<_> = (0..400).map(|_| endpoint.next_body()).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), 400);
}

#[test]
fn results_of_many_are_in_order() {
    let endpoint = Endpoint::start();
    let messages = (0..2500).map(|n| Outgoing::new(n.to_string())).collect();
    let results = endpoint
        .producer()
        .send_many("email", messages, &mut || true)
        .unwrap();
    for (n, result) in results.into_iter().enumerate() {
        assert_eq!(result.unwrap(), format!("id-{n}"));
    }
}

#[test]
fn a_waiting_call_can_be_interrupted() {
    let endpoint = Endpoint::start_with(false);
    let started = Instant::now();
    let mut asked = 0;
    let mut keep_waiting = || {
        asked += 1;
        asked < 3
    };
    let error = endpoint
        .producer()
        .send("email", Outgoing::new("x"), &mut keep_waiting);
    assert!(matches!(error, Err(ClientError::Interrupted)), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_call_from_async_code_works() {
    let endpoint = Endpoint::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let producer = endpoint.producer();
        producer
            .send("email", Outgoing::new("x"), &mut || true)
            .unwrap();
        producer.shutdown();
    });
}

#[test]
fn nothing_runs_before_the_first_call() {
    let producer = Producer::new(ConnectOptions::default());
    producer.shutdown();
    drop(producer);
}

#[test]
fn forked_children_send_while_their_parent_does() {
    let endpoint = Endpoint::start();
    let producer = endpoint.producer();
    let is_over = AtomicBool::new(false);
    let count = AtomicUsize::new(0);
    let send = |body: String| {
        let id = producer.send("email", Outgoing::new(&*body), &mut || true);
        id.is_ok_and(|id| id == format!("id-{body}"))
    };
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (send, is_over, count) = (&send, &is_over, &count);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let n = count.fetch_add(1, Ordering::Relaxed);
                    assert!(send(format!("parent-{thread}-{n}")));
                }
            });
        }
        while count.load(Ordering::Relaxed) < 20 {
            std::thread::yield_now();
        }
        let children: Vec<_> = (0..20)
            .map(|n| {
                fork(|| {
                    let first = send(format!("child-{n}"));
                    let grandchild = fork(|| send(format!("grandchild-{n}")));
                    let second = exit_code(grandchild) == Some(0);
                    // Dropping in a child must not wait for the parent's threads.
                    producer.shutdown();
                    first && second
                })
            })
            .collect();
        let codes: Vec<_> = children.into_iter().map(exit_code).collect();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(codes, [Some(0); 20]);
    });
}

#[test]
fn a_child_may_drop_what_it_inherited() {
    let endpoint = Endpoint::start();
    let mut producer = Some(Arc::new(endpoint.producer()));
    producer
        .as_ref()
        .unwrap()
        .send("email", Outgoing::new("x"), &mut || true)
        .unwrap();
    let child = fork(|| {
        drop(producer.take());
        true
    });
    assert_eq!(exit_code(child), Some(0));
    producer
        .unwrap()
        .send("email", Outgoing::new("y"), &mut || true)
        .unwrap();
}

/// In a child, since other tests' producers have threads of the same name in this process.
#[test]
fn shutdown_joins_all_threads_and_a_later_call_starts_anew() {
    let endpoint = Endpoint::start();
    let producer = endpoint.producer();
    let child = fork(|| {
        let alone = threads().len();
        let sent = producer
            .send("email", Outgoing::new("a"), &mut || true)
            .is_ok();
        let more = threads().len();
        producer.shutdown();
        producer.shutdown();
        let after = threads().len();
        let again = producer
            .send("email", Outgoing::new("b"), &mut || true)
            .is_ok();
        sent && again && alone == 1 && more > 1 && after == 1
    });
    assert_eq!(exit_code(child), Some(0));
    assert_eq!([endpoint.next_body(), endpoint.next_body()], ["a", "b"]);
}
