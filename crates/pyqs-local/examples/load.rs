//! A load generator for anything that speaks SQS in AWS JSON, for `cargo xtask bench endpoint`:
//! `load HOST:PORT QUEUE WORK CONNECTIONS SECS [REQUESTS_A_SEC]`.
//!
//! Works: `send` (single messages), `batch` (ten at once), `cycle` (ten sent, received, deleted),
//! and `fill` (batches of ten with 1 kB each, where SECS is how many messages). With a rate,
//! requests begin when they are due, and their time counts from then on: a server that stalls
//! is charged for all that waited meanwhile. Prints one line of JSON.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const SHORT_BODY_CHARS: usize = 100;
const LONG_BODY_CHARS: usize = 1_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Send,
    Batch,
    Cycle,
    Fill,
}

/// What all connections share.
struct Plan {
    work: Work,
    address: String,
    queue: String,
    began: Instant,
    ends: Instant,
    /// The next request, of all connections.
    next: AtomicU64,
    /// Steps at most, and the time between two of them.
    steps_max: u64,
    between: Option<Duration>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, queue, work, connections, amount, rate @ ..] = &arguments[..] else {
        return Err("load HOST:PORT QUEUE WORK CONNECTIONS SECS [REQUESTS_A_SEC]".into());
    };
    let work = match work.as_str() {
        "send" => Work::Send,
        "batch" => Work::Batch,
        "cycle" => Work::Cycle,
        "fill" => Work::Fill,
        other => return Err(format!("no such work: {other}").into()),
    };
    let rate = rate.first().map(|text| text.parse::<f64>()).transpose()?;
    let mut client = Client::new(address);
    let created = client
        .call("CreateQueue", &json!({ "QueueName": queue }))
        .await?;
    let queue = created["QueueUrl"]
        .as_str()
        .ok_or("no queue URL")?
        .to_owned();
    let began = Instant::now();
    let is_fill = work == Work::Fill;
    let secs = if is_fill { 3_600.0 } else { amount.parse()? };
    let plan = Arc::new(Plan {
        work,
        address: address.clone(),
        queue,
        began,
        ends: began + Duration::from_secs_f64(secs),
        next: AtomicU64::new(0),
        steps_max: if is_fill {
            amount.parse::<u64>()? / 10
        } else {
            u64::MAX
        },
        between: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
    });
    let tasks: Vec<_> = (0..connections.parse()?)
        .map(|_| tokio::spawn(worker(Arc::clone(&plan))))
        .collect();
    let (mut times, mut messages) = (Vec::new(), 0);
    for task in tasks {
        let (taken, done) = task.await??;
        times.extend(taken);
        messages += done;
    }
    times.sort();
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    let secs = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rates = (messages as f64 / secs, times.len() as f64 / secs);
    let figures = json!({
        "messages_a_sec": rates.0,
        "steps_a_sec": rates.1,
        "p50_ms": at(50).as_secs_f64() * 1e3,
        "p99_ms": at(99).as_secs_f64() * 1e3,
    });
    println!("{figures}");
    Ok(())
}

/// One connection: how long each step took, and how many messages went through.
async fn worker(plan: Arc<Plan>) -> Result<(Vec<Duration>, u64), Failure> {
    let mut client = Client::new(&plan.address);
    let (mut times, mut messages) = (Vec::new(), 0);
    let single = json!({"QueueUrl": plan.queue, "MessageBody": "x".repeat(SHORT_BODY_CHARS)});
    let chars = if plan.work == Work::Fill {
        LONG_BODY_CHARS
    } else {
        SHORT_BODY_CHARS
    };
    let entries: Vec<_> = (0..10)
        .map(|i| json!({"Id": i.to_string(), "MessageBody": "x".repeat(chars)}))
        .collect();
    let batch = json!({"QueueUrl": plan.queue, "Entries": entries});
    loop {
        let step = plan.next.fetch_add(1, Ordering::Relaxed);
        let due = match plan.between {
            Some(between) => plan.began + between * u32::try_from(step)?,
            None => Instant::now(),
        };
        if step >= plan.steps_max || due.max(Instant::now()) >= plan.ends {
            return Ok((times, messages));
        }
        tokio::time::sleep_until(due.into()).await;
        match plan.work {
            Work::Send => {
                client.call("SendMessage", &single).await?;
                messages += 1;
            }
            Work::Batch | Work::Fill => {
                client.call("SendMessageBatch", &batch).await?;
                messages += 10;
            }
            Work::Cycle => {
                client.call("SendMessageBatch", &batch).await?;
                messages += receive_and_delete(&mut client, &plan.queue).await?;
            }
        }
        times.push(due.elapsed());
    }
}

async fn receive_and_delete(client: &mut Client, queue: &str) -> Result<u64, Failure> {
    let ask = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
    let received = client.call("ReceiveMessage", &ask).await?;
    let handles = received["Messages"].as_array().into_iter().flatten();
    let entries: Vec<_> = handles
        .enumerate()
        .map(|(i, message)| json!({"Id": i.to_string(), "ReceiptHandle": message["ReceiptHandle"]}))
        .collect();
    if entries.is_empty() {
        return Ok(0);
    }
    let count = entries.len() as u64;
    client
        .call(
            "DeleteMessageBatch",
            &json!({"QueueUrl": queue, "Entries": entries}),
        )
        .await?;
    Ok(count)
}

/// A connection that is opened where there is none, or the server has closed it.
struct Client {
    address: String,
    stream: Option<TcpStream>,
    read: VecDeque<u8>,
}

impl Client {
    fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            stream: None,
            read: VecDeque::new(),
        }
    }

    async fn call(&mut self, action: &str, body: &Value) -> Result<Value, Failure> {
        let body = body.to_string();
        // The signature is for servers that take the region from it; none of them checks it.
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nX-Amz-Target: AmazonSQS.{action}\r\n\
             Content-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\
             X-Amz-Date: 20261101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=bench/20261101/us-east-1/sqs/aws4_request, SignedHeaders=host, \
             Signature=00\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let stream = if let Some(stream) = self.stream.take() {
            stream
        } else {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            stream
        };
        let stream = self.stream.insert(stream);
        stream.write_all(request.as_bytes()).await?;
        let (head, answer) = read_answer(stream, &mut self.read).await?;
        if head.contains("\nconnection: close") || head.starts_with("http/1.0") {
            self.stream = None;
            self.read.clear();
        }
        if head.split(' ').nth(1) != Some("200") {
            let text = String::from_utf8_lossy(&answer);
            return Err(format!("{action}: {head}{text}").into());
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}

/// The head in lower case, and the body as long as it says.
async fn read_answer(
    stream: &mut TcpStream,
    read: &mut VecDeque<u8>,
) -> io::Result<(String, Vec<u8>)> {
    let mut chunk = vec![0; 16 * 1024];
    let mut more = async |read: &mut VecDeque<u8>| {
        let count = stream.read(&mut chunk).await?;
        read.extend(&chunk[..count]);
        if count == 0 {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok::<_, io::Error>(())
        }
    };
    let head = loop {
        let bytes = read.make_contiguous();
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break read.drain(..end + 4).collect::<Vec<_>>();
        }
        more(read).await?;
    };
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
    let length: usize = length.ok_or(io::Error::other("an answer without a length"))?;
    while read.len() < length {
        more(read).await?;
    }
    Ok((head, read.drain(..length).collect()))
}
