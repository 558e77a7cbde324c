//! An HTTP server that answers as a test tells it to.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pyqs_sqs::{AwsSqs, ConnectOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A request as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    /// The SQS action that is asked for.
    pub(crate) fn action(&self) -> &str {
        self.header("x-amz-target")
            .and_then(|target| target.rsplit('.').next())
            .unwrap_or_default()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What to answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) after: Duration,
    /// Send no answer, and close the connection after the wait.
    pub(crate) is_broken_off: bool,
}

impl Answer {
    pub(crate) fn ok(body: &str) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/x-amz-json-1.0".to_owned())],
            body: body.to_owned(),
            after: Duration::ZERO,
            is_broken_off: false,
        }
    }

    /// As SQS answers errors in the JSON protocol.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"{message}"}}"#);
        let mut answer = Self::status(status, &body);
        answer
            .headers
            .push(("x-amzn-query-error", format!("{code};Sender")));
        answer
    }

    pub(crate) fn broken_off() -> Self {
        Self {
            is_broken_off: true,
            ..Self::ok("")
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.after = wait;
        self
    }
}

/// A running server. Its tasks end with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// A connection that was closed by the client while its answer was waited for.
    pub(crate) hang_ups: mpsc::UnboundedReceiver<()>,
}

type Handler = Arc<dyn Fn(Request) -> Answer + Send + Sync>;

impl Server {
    /// Listens on a free port and answers each request by `handler`.
    pub(crate) async fn start(handler: impl Fn(Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hang_up, hang_ups) = mpsc::unbounded_channel();
        let handler: Handler = Arc::new(handler);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&handler), hang_up.clone()));
            }
        });
        Self { address, hang_ups }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client for this server, with fixed keys.
    pub(crate) async fn client(&self) -> AwsSqs {
        connect(&self.url()).await
    }
}

/// A client for an endpoint, with fixed keys.
pub(crate) async fn connect(endpoint_url: &str) -> AwsSqs {
    let options = ConnectOptions {
        region: Some("eu-west-1".to_owned()),
        access_key_id: Some("AKIDEXAMPLE".to_owned()),
        secret_access_key: Some("not-a-secret".to_owned()),
        endpoint_url: Some(endpoint_url.to_owned()),
    };
    pyqs_sqs::connect(&options).await.unwrap()
}

/// Answers requests on one connection until it is closed.
pub(crate) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    handler: Handler,
    hang_up: mpsc::UnboundedSender<()>,
) {
    while let Some(request) = read_request(&mut stream).await {
        let answer = handler(request);
        let mut byte = [0];
        tokio::select! {
            () = tokio::time::sleep(answer.after) => {}
            _ = stream.read(&mut byte) => {
                let _ = hang_up.send(()); // The test may not care.
                return;
            }
        }
        if answer.is_broken_off || stream.write_all(&response(&answer)).await.is_err() {
            return;
        }
    }
}

fn response(answer: &Answer) -> Vec<u8> {
    let headers = answer
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let (headers, length) = (headers.collect::<String>(), answer.body.len());
    let Answer { status, body, .. } = answer;
    format!("HTTP/1.1 {status} Said\r\n{headers}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut request = Request {
        line,
        headers,
        body: String::new(),
    };
    let length = request
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}
