//! The endpoint is killed under load a hundred times: what it has answered is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pyqs_local::{Config, Server, Sync};
use serde_json::{Value, json};

use crate::support::{durable, request};

const KILLS: usize = 100;
const SENDERS: usize = 3;
const DELETERS: usize = 2;
/// For which folder this program is started as the server that is killed, and how it syncs.
const FOLDER: &str = "PYQS_TEST_FOLDER";
const SYNC: &str = "PYQS_TEST_SYNC";
/// What the server writes before its address.
const READY: &str = "listening on ";
/// How long received messages stay hidden: what was received for nobody comes back in the end.
const HIDDEN_SECS: u64 = 4;
/// How long messages stay hidden that no later round may receive.
const HELD_SECS: u64 = 40_000;
const QUEUE: &str = "http://localhost/000000000000/email";

/// Not a test: the server, when this program is started for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let is_full = std::env::var(SYNC).is_ok_and(|sync| sync == "full");
    let server = Server::bind(Config {
        address: "127.0.0.1:0".parse().unwrap(),
        data: Some(folder.into()),
        sync: if is_full { Sync::Full } else { Sync::Normal },
        ..Config::default()
    });
    let server = server.unwrap();
    writeln!(io::stdout(), "{READY}{}", server.local_addr()).unwrap();
    // The input ends when whoever started it is gone.
    let ended = tokio::task::spawn_blocking(|| io::stdin().read(&mut [0]));
    let ended = async {
        let _ = ended.await;
    };
    server.run(ended).await.unwrap();
}

/// What was asked, and what was answered.
#[derive(Default)]
struct Record {
    numbers: usize,
    sent: BTreeSet<String>,
    deleting: BTreeSet<String>,
    deleted: BTreeSet<String>,
    holding: BTreeSet<String>,
    /// With the receipt handles.
    held: BTreeMap<String, String>,
    /// What must not happen.
    violations: Vec<String>,
}

impl Record {
    fn received(&mut self, body: &str) {
        if self.deleted.contains(body) || self.held.contains_key(body) {
            self.violations.push(format!("{body} was received again"));
        }
    }

    /// What was sent and may be found nowhere.
    fn missing(&self, found: &BTreeSet<String>) -> Vec<String> {
        let accounted = [found, &self.deleting, &self.holding];
        let is_missing = |body: &&String| !accounted.iter().any(|bodies| bodies.contains(*body));
        self.sent.iter().filter(is_missing).cloned().collect()
    }
}

#[test]
fn what_was_answered_survives_a_hundred_kills() {
    let folder = tempfile::tempdir().unwrap();
    let record = Arc::new(Mutex::new(Record::default()));
    for round in 0..KILLS {
        let sync = if round % 4 == 0 { "full" } else { "normal" };
        let mut server = Process::start(&folder, sync);
        server
            .client()
            .call("CreateQueue", &json!({"QueueName": "email"}))
            .unwrap();
        let mut threads = Vec::new();
        let works = [(send as Work, SENDERS), (delete, DELETERS), (hold, 1)];
        for (work, count) in works {
            threads.extend((0..count).map(|_| server.work(work, &record)));
        }
        // So many answers later, wherever it then is.
        let enough = lock(&record).sent.len() + 20 + round * 37 % 90;
        let deadline = Instant::now() + Duration::from_mins(1);
        while lock(&record).sent.len() < enough {
            assert!(Instant::now() < deadline, "the server takes nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        server.kill();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(lock(&record).violations, [""; 0], "after {round} kills");
    }

    let server = Process::start(&folder, "normal");
    let mut client = server.client();
    let found = drain(&mut client, &record);
    let record = lock(&record);
    assert_eq!(record.violations, [""; 0]);
    assert_eq!(record.missing(&found), [""; 0]);
    // Leases are still there, and receipts are still good: none but those of which nothing was
    // answered are in flight once all that is held is deleted.
    let unanswered = record.holding.len() - record.held.len();
    assert!(record.held.len() > unanswered, "too few to tell");
    assert!(in_flight(&mut client) >= record.held.len());
    for receipt in record.held.values() {
        let delete = json!({"QueueUrl": QUEUE, "ReceiptHandle": receipt});
        client.call("DeleteMessage", &delete).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(10 * HIDDEN_SECS);
    while in_flight(&mut client) > unanswered {
        assert!(Instant::now() < deadline, "handles are no good");
        std::thread::sleep(Duration::from_millis(10));
    }
}

type Work = fn(&mut Client, &Mutex<Record>) -> io::Result<()>;

fn send(client: &mut Client, record: &Mutex<Record>) -> io::Result<()> {
    let first = {
        let mut record = lock(record);
        record.numbers += 5;
        record.numbers
    };
    let body = |i: usize| format!("message {}", first + i);
    let entries = (0..5).map(|i| json!({"Id": i.to_string(), "MessageBody": body(i)}));
    let entries: Vec<_> = entries.collect();
    let answer = client.call(
        "SendMessageBatch",
        &json!({"QueueUrl": QUEUE, "Entries": entries}),
    )?;
    let mut record = lock(record);
    for entry in answer["Successful"].as_array().into_iter().flatten() {
        let number = entry["Id"].as_str().unwrap().parse().unwrap();
        record.sent.insert(body(number));
    }
    Ok(())
}

fn delete(client: &mut Client, record: &Mutex<Record>) -> io::Result<()> {
    let asked = Instant::now();
    for (body, receipt) in client.receive(record, 5)? {
        lock(record).deleting.insert(body.clone());
        let delete = json!({"QueueUrl": QUEUE, "ReceiptHandle": receipt});
        client.call("DeleteMessage", &delete)?;
        // Later the handle may have been an old one, whose delete does nothing.
        if asked.elapsed() < Duration::from_secs(HIDDEN_SECS) {
            lock(record).deleted.insert(body);
        }
    }
    Ok(())
}

fn hold(client: &mut Client, record: &Mutex<Record>) -> io::Result<()> {
    let asked = Instant::now();
    for (body, receipt) in client.receive(record, 1)? {
        lock(record).holding.insert(body.clone());
        let change = json!({
            "QueueUrl": QUEUE,
            "ReceiptHandle": receipt,
            "VisibilityTimeout": HELD_SECS,
        });
        client.call("ChangeMessageVisibility", &change)?;
        if asked.elapsed() < Duration::from_secs(HIDDEN_SECS) {
            lock(record).held.insert(body, receipt);
        }
    }
    std::thread::sleep(Duration::from_millis(5));
    Ok(())
}

/// Receives and deletes until everything is accounted for, or for long enough.
fn drain(client: &mut Client, record: &Mutex<Record>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let deadline = Instant::now() + Duration::from_secs(10 * HIDDEN_SECS);
    loop {
        let messages = client.receive(record, 10).unwrap();
        let is_empty = messages.is_empty();
        for (body, receipt) in messages {
            assert!(found.insert(body.clone()), "{body} is there twice");
            let delete = json!({"QueueUrl": QUEUE, "ReceiptHandle": receipt});
            client.call("DeleteMessage", &delete).unwrap();
        }
        let is_over = lock(record).missing(&found).is_empty() || Instant::now() > deadline;
        if is_empty && is_over {
            return found;
        }
    }
}

fn in_flight(client: &mut Client) -> usize {
    let names = ["ApproximateNumberOfMessagesNotVisible"];
    let view = json!({"QueueUrl": QUEUE, "AttributeNames": names});
    let answer = client.call("GetQueueAttributes", &view).unwrap();
    let count = answer["Attributes"][names[0]].as_str().unwrap();
    count.parse().unwrap()
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap()
}

/// A server in a process of its own.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(folder: &tempfile::TempDir, sync: &str) -> Self {
        let data = durable(folder).data.unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::the_server_that_is_killed", "--nocapture"])
            .envs([(FOLDER, data.as_os_str()), (SYNC, sync.as_ref())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The test's own name stands before it on the line.
        let address = lines.map_while(Result::ok).find_map(|line| {
            let (_, address) = line.split_once(READY)?;
            Some(address.to_owned())
        });
        Self {
            child,
            address: address.expect("the server starts"),
        }
    }

    fn client(&self) -> Client {
        Client(TcpStream::connect(&self.address).unwrap())
    }

    /// Does it again and again until the server is gone.
    fn work(&self, work: Work, record: &Arc<Mutex<Record>>) -> std::thread::JoinHandle<()> {
        let (mut client, record) = (self.client(), Arc::clone(record));
        std::thread::spawn(move || while work(&mut client, &record).is_ok() {})
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that breaks without ado.
struct Client(TcpStream);

impl Client {
    fn call(&mut self, action: &str, body: &Value) -> io::Result<Value> {
        let body = body.to_string();
        self.0.write_all(&request(action, &[], body.as_bytes()))?;
        let mut reader = BufReader::new(&self.0);
        let (mut status, mut length) = (String::new(), 0);
        reader.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        assert!(
            status.contains(" 200 "),
            "{}",
            String::from_utf8_lossy(&body)
        );
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    fn receive(&mut self, record: &Mutex<Record>, max: u32) -> io::Result<Vec<(String, String)>> {
        let ask = json!({
            "QueueUrl": QUEUE,
            "MaxNumberOfMessages": max,
            "VisibilityTimeout": HIDDEN_SECS,
        });
        let answer = self.call("ReceiveMessage", &ask)?;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let messages = answer["Messages"].as_array().into_iter().flatten();
        let messages = messages.map(|m| (text(&m["Body"]), text(&m["ReceiptHandle"])));
        let messages: Vec<_> = messages.collect();
        for (body, _) in &messages {
            lock(record).received(body);
        }
        Ok(messages)
    }
}
