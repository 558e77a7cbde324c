//! Settings from environment and profile files. Each case runs in a process of its own, since an
//! environment belongs to a process: this test binary starts itself with only `probe` to run.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyqs_sqs::{ConnectOptions, Sqs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use support::{Answer, Request, Server};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

const FOUND: &str = r#"{"QueueUrl":"http://found/0/email"}"#;
const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIDENV"),
    ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
];

/// Not a test of its own: what the tests start, by its name, with an environment.
#[tokio::test]
async fn probe() {
    if std::env::var_os("PROBE").is_none() {
        return;
    }
    let options = ConnectOptions {
        region: std::env::var("PROBE_REGION").ok(),
        endpoint_url: std::env::var("PROBE_ENDPOINT").ok(),
        ..ConnectOptions::default()
    };
    let calls = std::env::var("PROBE_CALLS").map_or(1, |calls| calls.parse().unwrap());
    let mut answer = Err("no call".to_owned());
    match pyqs_sqs::connect(&options).await {
        Ok(sqs) => {
            for _ in 0..calls {
                let called = sqs.queue_url("email").await;
                answer = called.map_err(|error| error.to_string());
            }
        }
        Err(error) => answer = Err(error.to_string()),
    }
    match answer {
        Ok(url) => println!("PROBE {url}"),
        Err(error) => println!("PROBE {error}"),
    }
}

/// What `probe` says in this environment.
async fn probe_in(environment: &[(&str, &str)]) -> String {
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["probe", "--exact", "--nocapture"])
        .env_clear()
        .env("PROBE", "1")
        .env("HOME", "/nowhere")
        .envs(environment.iter().copied())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split("PROBE ").nth(1));
    line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
        .to_owned()
}

async fn recording_server() -> (Server, mpsc::UnboundedReceiver<Request>) {
    let (seen, requests) = mpsc::unbounded_channel();
    let server = Server::start(move |request| {
        seen.send(request).unwrap();
        Answer::ok(FOUND)
    })
    .await;
    (server, requests)
}

/// The access key and the region by which a request is signed.
fn signed_by(request: &Request) -> (String, String) {
    let header = request.header("authorization").unwrap();
    let scope = header.split("Credential=").nth(1).unwrap();
    let mut parts = scope.split('/');
    (
        parts.next().unwrap().to_owned(),
        parts.nth(1).unwrap().to_owned(),
    )
}

/// Runs `probe` against a server, in an environment made from the server's URL.
async fn signature_in(environment: &[(&str, &str)]) -> (String, String) {
    let (server, mut requests) = recording_server().await;
    let url = server.url();
    let mut environment: BTreeMap<_, _> = environment.iter().copied().collect();
    environment.entry("AWS_ENDPOINT_URL").or_insert(&url);
    let environment: Vec<_> = environment.into_iter().collect();
    assert_eq!(probe_in(&environment).await, "http://found/0/email");
    signed_by(&requests.recv().await.unwrap())
}

async fn region_in(environment: &[(&str, &str)]) -> String {
    signature_in(&[&KEYS, environment].concat()).await.1
}

#[tokio::test]
async fn keys_that_change_in_the_profile_file_are_used_when_the_old_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let keys = |id: &str| {
        format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = not-a-secret\n")
    };
    std::fs::write(&file, keys("AKIDOLD")).unwrap();
    let rotated = (file.clone(), keys("AKIDNEW"));
    let server = Server::start(move |request| {
        if signed_by(&request).0 == "AKIDNEW" {
            return Answer::ok(FOUND);
        }
        std::fs::write(&rotated.0, &rotated.1).unwrap();
        Answer::error(403, "ExpiredTokenException", "it has expired")
    })
    .await;
    let url = server.url();
    let file = file.to_str().unwrap();
    let environment = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_SHARED_CREDENTIALS_FILE", file),
        ("PROBE_CALLS", "2"),
    ];
    assert_eq!(probe_in(&environment).await, "http://found/0/email");
}

#[tokio::test]
async fn the_region_is_the_first_that_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(
        &config,
        "[default]\nregion = profile-1\n[profile p]\nregion = profile-2\n",
    )
    .unwrap();
    let config = ("AWS_CONFIG_FILE", config.to_str().unwrap());
    let option = ("PROBE_REGION", "option-1");
    let default_region = ("AWS_DEFAULT_REGION", "default-1");
    let region = ("AWS_REGION", "aws-1");

    assert_eq!(
        region_in(&[config, region, default_region, option]).await,
        "option-1"
    );
    assert_eq!(
        region_in(&[config, region, default_region]).await,
        "default-1"
    );
    assert_eq!(region_in(&[config, region]).await, "aws-1");
    assert_eq!(region_in(&[config]).await, "profile-1");
    assert_eq!(
        region_in(&[config, ("AWS_PROFILE", "p")]).await,
        "profile-2"
    );
    assert_eq!(region_in(&[]).await, "us-east-1");
}

#[tokio::test]
async fn the_endpoint_is_the_first_that_is_set() {
    let (server, mut requests) = recording_server().await;
    let right = server.url();
    let wrong = "http://127.0.0.1:9";
    let cases: [&[(&str, &str)]; 3] = [
        &[("AWS_ENDPOINT_URL", &right)],
        &[
            ("AWS_ENDPOINT_URL", wrong),
            ("AWS_ENDPOINT_URL_SQS", &right),
        ],
        &[
            ("PROBE_ENDPOINT", &right),
            ("AWS_ENDPOINT_URL", wrong),
            ("AWS_ENDPOINT_URL_SQS", wrong),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
        ],
    ];
    for case in cases {
        let environment = [&KEYS, case].concat();
        assert_eq!(
            probe_in(&environment).await,
            "http://found/0/email",
            "{case:?}"
        );
        assert_eq!(requests.recv().await.unwrap().action(), "GetQueueUrl");
    }
}

#[tokio::test]
async fn the_endpoint_may_be_in_the_profile() {
    let (server, _requests) = recording_server().await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(
        &config,
        format!("[default]\nendpoint_url = {}\n", server.url()),
    )
    .unwrap();
    let environment = [&KEYS[..], &[("AWS_CONFIG_FILE", config.to_str().unwrap())]].concat();
    assert_eq!(probe_in(&environment).await, "http://found/0/email");
}

#[tokio::test]
async fn credentials_come_from_environment_files_and_processes() {
    assert_eq!(signature_in(&KEYS).await.0, "AKIDENV");

    let folder = tempfile::tempdir().unwrap();
    let (credentials, config) = (
        folder.path().join("credentials"),
        folder.path().join("config"),
    );
    std::fs::write(
        &credentials,
        "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = x\n",
    )
    .unwrap();
    let process = r#"{"Version":1,"AccessKeyId":"AKIDPROC","SecretAccessKey":"x"}"#;
    let process = format!("[profile p]\ncredential_process = /bin/echo '{process}'\n");
    std::fs::write(&config, process).unwrap();
    let files = [
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
        ("AWS_CONFIG_FILE", config.to_str().unwrap()),
    ];
    assert_eq!(signature_in(&files).await.0, "AKIDFILE");
    let process = [
        &files[..],
        &[("AWS_PROFILE", "p"), ("PATH", "/bin:/usr/bin")],
    ]
    .concat();
    assert_eq!(signature_in(&process).await.0, "AKIDPROC");
}

#[tokio::test]
async fn credentials_come_from_containers_and_instances() {
    let keys = |id: &str| {
        format!(
            r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"{id}","SecretAccessKey":"x",
            "Token":"t","Expiration":"2099-01-01T00:00:00Z","LastUpdated":"2020-01-01T00:00:00Z"}}"#
        )
    };
    let (container, instance) = (keys("AKIDECS"), keys("AKIDEC2"));
    let metadata = Server::start(move |request| {
        let path = request
            .line
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        match path.trim_end_matches('/') {
            "/container" => Answer::ok(&container),
            "/latest/api/token" => {
                Answer::ok("token").header("x-aws-ec2-metadata-token-ttl-seconds", "600")
            }
            path if path.ends_with("/role") => Answer::ok(&instance),
            path if path.contains("security-credentials") => Answer::ok("role"),
            _ => Answer::status(404, ""),
        }
    })
    .await;
    let url = format!("{}/container", metadata.url());
    let in_container = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*url)];
    assert_eq!(signature_in(&in_container).await.0, "AKIDECS");
    let url = metadata.url();
    let on_instance = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*url)];
    assert_eq!(signature_in(&on_instance).await.0, "AKIDEC2");
}

#[tokio::test]
async fn without_credentials_it_says_so_soon() {
    let silent = Server::start(|_| Answer::ok("").after(Duration::from_hours(1))).await;
    let silent = silent.url();
    let cases = [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &silent),
    ];
    for case in cases {
        let started = Instant::now();
        let said = probe_in(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), case]).await;
        assert!(
            said.starts_with("no AWS credentials for GetQueueUrl"),
            "{case:?}: {said}"
        );
        assert!(said.contains("AWS_ACCESS_KEY_ID"), "{said}");
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "{case:?}: {:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn half_a_key_is_an_error() {
    let options = ConnectOptions {
        access_key_id: Some("AKIDEXAMPLE".to_owned()),
        ..ConnectOptions::default()
    };
    let error = pyqs_sqs::connect(&options).await.unwrap_err().to_string();
    assert!(error.contains("--secret-access-key"), "{error}");
}

#[tokio::test]
async fn plain_http_goes_through_the_proxy() {
    let (proxy, mut requests) = recording_server().await;
    let proxy_url = format!("http://me:hunter2@{}", proxy.address);
    let endpoint = ("AWS_ENDPOINT_URL", "http://sqs.test:8080");
    for variable in ["HTTP_PROXY", "http_proxy"] {
        let said = probe_in(&[&KEYS[..], &[endpoint, (variable, &proxy_url)]].concat()).await;
        assert_eq!(said, "http://found/0/email");
        let request = requests.recv().await.unwrap();
        assert!(
            request.line.starts_with("POST http://sqs.test:8080/"),
            "{}",
            request.line
        );
        assert_eq!(
            request.header("proxy-authorization"),
            Some("Basic bWU6aHVudGVyMg==")
        );
    }
}

#[tokio::test]
async fn no_proxy_goes_straight() {
    let (server, _requests) = recording_server().await;
    let url = server.url();
    let own = [
        ("AWS_ENDPOINT_URL", &*url),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
    ];
    let through = probe_in(&[&KEYS[..], &own].concat()).await;
    assert!(through.contains("can't reach SQS"), "{through}");
    let straight = [&KEYS[..], &own, &[("no_proxy", "example.com,127.0.0.1")]].concat();
    assert_eq!(probe_in(&straight).await, "http://found/0/email");
}

#[tokio::test]
async fn a_bad_proxy_is_one_line_without_its_password() {
    let said = probe_in(&[("HTTPS_PROXY", "socks5://me:hunter2@p:1")]).await;
    assert!(
        said.contains("HTTPS_PROXY") && !said.contains("hunter2"),
        "{said}"
    );
}

#[tokio::test]
async fn tls_trusts_the_ca_bundle_and_nobody_else() {
    let endpoint = tls_server(false).await;
    let base = [&KEYS[..], &[("AWS_ENDPOINT_URL", &*endpoint)]].concat();
    let ca = tls_file("ca.pem");
    for variable in ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"] {
        let trusting = [&base[..], &[(variable, &*ca)]].concat();
        assert_eq!(probe_in(&trusting).await, "http://found/0/email");
    }
    let said =
        probe_in(&[&base[..], &[("AWS_CA_BUNDLE", &*tls_file("server.pem"))]].concat()).await;
    assert!(
        said.contains("can't reach SQS") && said.contains("certificate"),
        "{said}"
    );
    let said = probe_in(&base).await;
    assert!(
        said.contains("can't reach SQS") && said.contains("certificate"),
        "{said}"
    );
    let said = probe_in(&[&base[..], &[("AWS_CA_BUNDLE", "/nowhere.pem")]].concat()).await;
    assert!(
        said.contains("can't read CA certificates from /nowhere.pem"),
        "{said}"
    );
}

#[tokio::test]
async fn tls_goes_through_the_proxy_by_a_tunnel() {
    let proxy = tls_server(true).await.replace("https:", "http:");
    let ca = tls_file("ca.pem");
    let environment = [
        ("AWS_ENDPOINT_URL", "https://localhost:1"),
        ("HTTPS_PROXY", &*proxy),
        ("AWS_CA_BUNDLE", &*ca),
    ];
    let said = probe_in(&[&KEYS[..], &environment].concat()).await;
    assert_eq!(said, "http://found/0/email");
}

fn tls_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tls")
        .join(name);
    path.to_str().unwrap().to_owned()
}

/// An endpoint with TLS, at once or after a proxy's CONNECT.
async fn tls_server(is_tunnel: bool) -> String {
    let chain = CertificateDer::pem_file_iter(tls_file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls_file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_tls(stream, acceptor.clone(), is_tunnel));
        }
    });
    format!("https://{address}")
}

async fn serve_tls(mut stream: TcpStream, acceptor: TlsAcceptor, is_tunnel: bool) {
    if is_tunnel {
        let request = support::read_request(&mut stream).await.unwrap();
        assert!(
            request.line.starts_with("CONNECT localhost:1 "),
            "{}",
            request.line
        );
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    }
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let (hang_up, _) = mpsc::unbounded_channel();
    support::serve(stream, Arc::new(|_| Answer::ok(FOUND)), hang_up).await;
}

/// `AWS_MAX_ATTEMPTS` is for senders, who say what is wrong with it; nobody may fall over it.
#[tokio::test]
async fn bad_retry_settings_end_nothing() {
    let (server, _requests) = recording_server().await;
    let url = server.url();
    for bad in [
        ("AWS_MAX_ATTEMPTS", "abc"),
        ("AWS_MAX_ATTEMPTS", "0"),
        ("AWS_RETRY_MODE", "bogus"),
    ] {
        let environment = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", url.as_str()), bad];
        assert_eq!(
            probe_in(&environment).await,
            "http://found/0/email",
            "{bad:?}"
        );
    }
}
