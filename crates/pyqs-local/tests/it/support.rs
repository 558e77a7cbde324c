//! A server for a test, and a client that does no more than it is told: one TCP connection,
//! written and read by hand, so that tests can break it off anywhere.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use pyqs_local::{Config, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that runs in the background until it is stopped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(Config { address, ..config }).unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let run = async move {
            let stopped = async {
                let _ = stopped.await;
            };
            server.run(stopped).await.unwrap();
        };
        Self {
            address,
            stop,
            done: tokio::spawn(run),
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.done.await.unwrap();
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection(TcpStream::connect(self.address).await.unwrap())
    }

    /// An action on a connection of its own.
    pub(crate) async fn call(&self, action: &str, body: Value) -> Answer {
        self.connect().await.call(action, &body).await
    }

    /// An action that succeeds.
    pub(crate) async fn ok(&self, action: &str, body: Value) -> Value {
        let answer = self.call(action, body).await;
        assert_eq!(answer.status, 200, "{action}: {}", answer.text());
        answer.json()
    }

    /// A new queue's URL.
    pub(crate) async fn queue(&self, name: &str, attributes: Value) -> String {
        let body = json!({"QueueName": name, "Attributes": attributes});
        let created = self.ok("CreateQueue", body).await;
        created["QueueUrl"].as_str().unwrap().to_owned()
    }

    /// What a receive of up to ten messages brings.
    pub(crate) async fn receive(&self, queue: &str, wait_secs: u32) -> Vec<Value> {
        let body = json!({
            "QueueUrl": queue,
            "MaxNumberOfMessages": 10,
            "WaitTimeSeconds": wait_secs,
            "MessageSystemAttributeNames": ["All"],
        });
        let mut received = self.ok("ReceiveMessage", body).await;
        match received["Messages"].take() {
            Value::Array(messages) => messages,
            _ => Vec::new(),
        }
    }
}

/// One connection.
pub(crate) struct Connection<S = TcpStream>(pub(crate) S);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) async fn call(&mut self, action: &str, body: &Value) -> Answer {
        self.write(&request(action, &[], body.to_string().as_bytes()))
            .await;
        self.answer().await
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Reads one answer, as far as its `Content-Length` says.
    pub(crate) async fn answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(
                self.0
                    .read_u8()
                    .await
                    .expect("an answer, not a dropped connection"),
            );
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        let length = answer
            .header("content-length")
            .unwrap_or("0")
            .parse()
            .unwrap();
        answer.body = vec![0; length];
        self.0.read_exact(&mut answer.body).await.unwrap();
        answer
    }
}

/// The bytes of an action's request, with more headers if wanted.
pub(crate) fn request(action: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "POST / HTTP/1.1\r\nHost: sqs.test:9324\r\nContent-Length: {}\r\nContent-Type: \
         application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.{action}\r\n",
        body.len()
    );
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head += "\r\n";
    [head.as_bytes(), body].concat()
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(present, _)| present.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) fn in_memory() -> Config {
    Config::default()
}

pub(crate) fn durable(folder: &tempfile::TempDir) -> Config {
    Config {
        data: Some(PathBuf::from(folder.path())),
        ..Config::default()
    }
}
