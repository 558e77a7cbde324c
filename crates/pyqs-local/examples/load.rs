//! A load generator for anything that speaks SQS in AWS JSON, for `cargo xtask bench endpoint`:
//! `load HOST:PORT QUEUE WORK CONNECTIONS AMOUNT BODY_BYTES [REQUESTS_A_SEC]`.
//!
//! Works: `send` (single messages), `batch` (ten at once), `cycle` (ten sent, ten received, those
//! deleted), `receive` (the same, with only the receive timed): AMOUNT is seconds. `fill` (batches
//! of ten): AMOUNT is messages. With a rate, requests begin when they are due, and their time
//! counts from then on: a server that stalls is charged for all that waited meanwhile. A thread of
//! its own lets them begin, to the fifth of a millisecond: the runtime's timer is up to two late.
//! Prints one line of JSON.
//!
//! It shares the machine with what it measures, so it does little itself: requests are made once,
//! and of an answer it looks only at what it needs.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Entries of a batch.
const BATCH: u64 = 10;
/// How often requests that have come due begin.
const PACE: Duration = Duration::from_micros(200);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Send,
    Batch,
    Cycle,
    Receive,
    Fill,
}

/// What all connections share.
struct Plan {
    work: Work,
    address: String,
    send: Vec<u8>,
    batch: Vec<u8>,
    receive: Vec<u8>,
    /// The queue's URL as JSON has it.
    queue: String,
    began: Instant,
    ends: Instant,
    /// The next request, of all connections.
    next: AtomicU64,
    /// Steps at most, and the time between two of them.
    steps_max: u64,
    between: Option<Duration>,
    /// One for each step that has come due.
    due: Semaphore,
}

impl Plan {
    /// Lets steps begin as they come due.
    fn pace(&self, between: Duration) {
        let mut begun = 0;
        loop {
            let now = Instant::now().min(self.ends);
            let due = ((now - self.began).as_nanos() / between.as_nanos()) as usize + 1;
            self.due.add_permits(due - begun);
            begun = due;
            if now == self.ends {
                return;
            }
            std::thread::sleep(PACE);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [
        address,
        queue,
        work,
        connections,
        amount,
        body_bytes,
        rate @ ..,
    ] = &arguments[..]
    else {
        return Err(
            "load HOST:PORT QUEUE WORK CONNECTIONS AMOUNT BODY_BYTES [REQUESTS_A_SEC]".into(),
        );
    };
    let work = match work.as_str() {
        "send" => Work::Send,
        "batch" => Work::Batch,
        "cycle" => Work::Cycle,
        "receive" => Work::Receive,
        "fill" => Work::Fill,
        other => return Err(format!("no such work: {other}").into()),
    };
    let rate = rate.first().map(|text| text.parse::<f64>()).transpose()?;
    let create = request(
        address,
        "CreateQueue",
        &json!({ "QueueName": queue }).to_string(),
    );
    let created = Client::new(address).call(&create).await?.body.to_vec();
    let url = serde_json::from_slice::<Value>(&created)?["QueueUrl"].take();
    let body = "x".repeat(body_bytes.parse()?);
    let entries = (0..BATCH).map(|i| json!({"Id": i.to_string(), "MessageBody": body}));
    let entries: Vec<_> = entries.collect();
    let of_queue = |action, mut members: Value| {
        members["QueueUrl"] = url.clone();
        request(address, action, &members.to_string())
    };
    let is_fill = work == Work::Fill;
    let secs = if is_fill { 3_600.0 } else { amount.parse()? };
    let steps_max = if is_fill {
        amount.parse::<u64>()? / BATCH
    } else {
        u64::MAX
    };
    let began = Instant::now();
    let plan = Arc::new(Plan {
        work,
        send: of_queue("SendMessage", json!({ "MessageBody": body })),
        batch: of_queue("SendMessageBatch", json!({ "Entries": entries })),
        receive: of_queue("ReceiveMessage", json!({ "MaxNumberOfMessages": BATCH })),
        queue: url.to_string(),
        address: address.clone(),
        began,
        ends: began + Duration::from_secs_f64(secs),
        next: AtomicU64::new(0),
        steps_max,
        between: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
        due: Semaphore::new(0),
    });
    if let Some(between) = plan.between {
        let plan = Arc::clone(&plan);
        std::thread::spawn(move || plan.pace(between));
    }
    let tasks: Vec<_> = (0..connections.parse()?)
        .map(|_| tokio::spawn(worker(Arc::clone(&plan))))
        .collect();
    let (mut times, mut messages) = (Vec::new(), 0);
    for task in tasks {
        let (taken, done) = task.await??;
        times.extend(taken);
        messages += done;
    }
    println!("{}", figures(times, messages, began.elapsed()));
    Ok(())
}

fn figures(mut times: Vec<Duration>, messages: u64, elapsed: Duration) -> Value {
    times.sort();
    let at = |share: usize| {
        let time = times.get(times.len() * share / 100);
        time.copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let messages_a_sec = messages as f64 / elapsed.as_secs_f64();
    json!({
        "messages": messages,
        "messages_a_sec": messages_a_sec,
        "p50_ms": at(50),
        "p99_ms": at(99),
    })
}

/// One connection: how long each step took, and how many messages went through.
async fn worker(plan: Arc<Plan>) -> Result<(Vec<Duration>, u64), Failure> {
    let mut client = Client::new(&plan.address);
    let (mut times, mut messages) = (Vec::new(), 0);
    loop {
        let step = plan.next.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut due = match plan.between {
            Some(between) => plan.began + between * u32::try_from(step)?,
            None => now,
        };
        if step >= plan.steps_max || due.max(now) >= plan.ends {
            return Ok((times, messages));
        }
        if plan.between.is_some() {
            plan.due.acquire().await?.forget();
        }
        match plan.work {
            Work::Send => {
                client.call(&plan.send).await?;
                messages += 1;
            }
            Work::Batch | Work::Fill => messages += client.batch(&plan).await?,
            Work::Cycle => {
                client.batch(&plan).await?;
                let handles = client.receive(&plan).await?;
                messages += client.delete(&plan, handles).await?;
            }
            Work::Receive => {
                client.batch(&plan).await?;
                due = Instant::now();
                let handles = client.receive(&plan).await?;
                times.push(due.elapsed());
                messages += client.delete(&plan, handles).await?;
                continue;
            }
        }
        times.push(due.elapsed());
    }
}

/// A whole request. The signature is for servers that take the region from it; none checks it.
fn request(address: &str, action: &str, body: &str) -> Vec<u8> {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nX-Amz-Target: AmazonSQS.{action}\r\n\
         Content-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\
         X-Amz-Date: 20261101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=bench/20261101/us-east-1/sqs/aws4_request, SignedHeaders=host, \
         Signature=00\r\n\r\n{body}",
        body.len()
    );
    request.into_bytes()
}

/// A connection that is opened where there is none, or the server has closed it.
struct Client {
    address: String,
    stream: Option<TcpStream>,
    read: Vec<u8>,
}

struct Answer<'a> {
    body: &'a [u8],
}

impl Client {
    fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            stream: None,
            read: Vec::new(),
        }
    }

    async fn batch(&mut self, plan: &Plan) -> Result<u64, Failure> {
        let answer = self.call(&plan.batch).await?;
        let sent = count(answer.body, "\"MessageId\"");
        if sent == BATCH {
            Ok(sent)
        } else {
            Err("a batch failed in part".into())
        }
    }

    /// The received messages' handles as entries of a delete.
    async fn receive(&mut self, plan: &Plan) -> Result<Option<String>, Failure> {
        let answer = self.call(&plan.receive).await?;
        let text = str::from_utf8(answer.body)?;
        let mut entries = String::new();
        for (i, rest) in text.split("\"ReceiptHandle\":").skip(1).enumerate() {
            // Handles are plain letters with all the servers: no escapes, no bodies like that.
            let handle = rest.split('"').nth(1).unwrap_or_default();
            let comma = if i == 0 { "" } else { "," };
            write!(
                entries,
                "{comma}{{\"Id\":\"{i}\",\"ReceiptHandle\":\"{handle}\"}}"
            )?;
        }
        Ok((!entries.is_empty()).then_some(entries))
    }

    async fn delete(&mut self, plan: &Plan, entries: Option<String>) -> Result<u64, Failure> {
        let Some(entries) = entries else {
            return Ok(0);
        };
        let body = format!("{{\"QueueUrl\":{},\"Entries\":[{entries}]}}", plan.queue);
        let answer = self
            .call(&request(&plan.address, "DeleteMessageBatch", &body))
            .await?;
        let failed = count(answer.body, "\"SenderFault\"");
        if failed == 0 {
            Ok(count(answer.body, "\"Id\""))
        } else {
            Err("a delete failed".into())
        }
    }

    /// Sends a request; the answer's body, if its status is 200.
    async fn call(&mut self, request: &[u8]) -> Result<Answer<'_>, Failure> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.address).await?;
                stream.set_nodelay(true)?;
                none.insert(stream)
            }
        };
        stream.write_all(request).await?;
        self.read.clear();
        let mut length = None;
        let head = loop {
            if stream.read_buf(&mut self.read).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if length.is_none() {
                length = answer_length(&self.read)?;
            }
            match length {
                Some((head, body)) if self.read.len() >= head + body => break head,
                _ => {}
            }
        };
        let (head, body) = self.read.split_at(head);
        let text = String::from_utf8_lossy(head);
        if head.get(8..12) != Some(b" 200") {
            return Err(format!("{text}{}", String::from_utf8_lossy(body)).into());
        }
        if text.contains("onnection: close") || text.starts_with("HTTP/1.0") {
            self.stream = None;
        }
        Ok(Answer { body })
    }
}

/// How long head and body are, once the head is there.
fn answer_length(read: &[u8]) -> Result<Option<(usize, usize)>, Failure> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = str::from_utf8(&read[..end])?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse())
    });
    let length = length.ok_or("an answer without a length")??;
    Ok(Some((end + 4, length)))
}

fn count(body: &[u8], word: &str) -> u64 {
    let text = String::from_utf8_lossy(body);
    text.matches(word).count() as u64
}
