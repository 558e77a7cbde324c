//! `pyqs local`, and the commands that talk to it, as processes.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};

/// A command with no environment but these variables, and nothing to read.
fn pyqs(argv: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pyqs"));
    command
        .args(argv)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

/// An endpoint at work on a free port, ended with the test.
struct Local {
    process: Child,
    url: String,
    /// The lines that a user pastes.
    lines: Vec<String>,
}

impl Local {
    fn start(argv: &[&str], variables: &[(&str, &str)]) -> Self {
        let argv = [&["local", "--port", "0"], argv].concat();
        let mut command = pyqs(&argv, variables);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the command starts");
        let stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        let lines: Vec<String> = stdout.lines().take(2).map(Result::unwrap).collect();
        assert_eq!(lines.len(), 2, "{}", rest(&mut process));
        let url = lines[0].replace("export AWS_ENDPOINT_URL=", "");
        Self {
            process,
            url,
            lines,
        }
    }

    /// Runs a command against it, as a user who pasted the lines.
    fn run(&self, argv: &[&str]) -> Output {
        let pasted = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ];
        pyqs(argv, &pasted).output().expect("the command starts")
    }

    /// What a command that succeeds prints.
    fn data(&self, argv: &[&str]) -> String {
        let output = self.run(argv);
        assert!(
            output.status.success(),
            "{argv:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Says stop by a signal; gives the exit code and what was said to the person.
    fn stop(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
        let said = rest(&mut self.process);
        (self.process.wait().unwrap().code(), said)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // A test that failed half way leaves nothing behind; one that stopped it has nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn rest(process: &mut Child) -> String {
    let mut text = String::new();
    let stderr = process.stderr.as_mut().expect("it is piped");
    stderr.read_to_string(&mut text).unwrap();
    text
}

/// The one line of an endpoint that cannot start, and its exit code 1.
fn failure(argv: &[&str], variables: &[(&str, &str)]) -> String {
    let output = pyqs(argv, variables).output().expect("the command starts");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

/// Without the number that each system has for it.
fn without_os_code(line: &str) -> String {
    let (before, after) = line.split_once(" (os error ").expect("the system said no");
    let (_, after) = after.split_once(')').expect("the number is in brackets");
    format!("{before}{after}")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

#[test]
fn it_prints_what_a_user_pastes_and_stops_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let local = Local::start(&["--memory"], &[]);
        assert!(
            local.url.starts_with("http://127.0.0.1:"),
            "{:?}",
            local.lines
        );
        assert_eq!(
            local.lines[1],
            "export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=us-east-1"
        );
        let (code, said) = local.stop(signal);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said, "queues are kept in memory; Ctrl-C stops\n");
    }
}

#[test]
fn queues_are_listed() {
    let local = Local::start(
        &[
            "--memory",
            "--queue",
            "email:email-dead:3",
            "--queue",
            "orders.fifo",
        ],
        &[],
    );
    assert_snapshot!(local.data(&["queues"]), @r"
    queue        visible  in flight  delayed  dead-letter queue
    email              0          0        0  email-dead
    email-dead         0          0        0
    orders.fifo        0          0        0
    ");
    assert_snapshot!(local.data(&["queues", "ord*"]), @r"
    queue        visible  in flight  delayed  dead-letter queue
    orders.fifo        0          0        0
    ");
    let json = local
        .data(&["queues", "email", "--json"])
        .replace(&local.url, "URL");
    assert_snapshot!(json, @r#"[{"dead_letter_queue":"email-dead","delayed":0,"in_flight":0,"name":"email","url":"URL/000000000000/email","visible":0}]"#);
    assert_eq!(local.data(&["queues", "none", "--json"]), "[]\n");
    let none = local.run(&["queues", "none"]);
    assert_snapshot!(String::from_utf8_lossy(&none.stderr), @"no queues");
    assert!(none.stdout.is_empty());
}

#[test]
fn tasks_and_messages_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body.json");
    std::fs::write(&body, r#"{"task": "tasks.f", "args": [], "kwargs": {}}"#).unwrap();
    let local = Local::start(&["--memory", "--queue", "email"], &[]);

    let id = local.data(&[
        "send",
        "email",
        "tasks.f",
        "--args",
        "[1, \"two\"]",
        "--kwargs",
        "{\"a\": null}",
    ]);
    assert_eq!(id.trim_end().len(), 36, "{id}");
    local.data(&["send", "email", "--body-file", text(&body)]);
    local.data(&["send", "email", "tasks.f", "--delay", "900"]);
    let counts = local.data(&["queues"]);
    assert_eq!(
        counts.split_whitespace().rev().take(3).collect::<Vec<_>>(),
        ["1", "0", "2"],
        "{counts}"
    );
}

#[test]
fn a_queue_that_is_not_there_is_made_by_the_first_message() {
    let local = Local::start(&["--memory"], &[]);
    local.data(&["send", "reports.daily", "tasks.f"]);
    assert!(local.data(&["queues"]).contains("reports-daily        1"));
}

#[test]
fn what_was_sent_is_there_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let variables = [("XDG_DATA_HOME", text(home.path()))];
    let local = Local::start(&["--queue", "email"], &variables);
    local.data(&["send", "email", "tasks.f"]);
    assert_eq!(local.stop(Signal::TERM).0, Some(0));

    assert!(home.path().join("pyqs").is_dir());
    let local = Local::start(&[], &variables);
    assert!(local.data(&["queues"]).contains("email        1"));
}

#[test]
fn a_port_in_use_is_named() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let line = failure(&["local", "--memory", "--port", &port], &[]).replace(&port, "PORT");
    assert_snapshot!(without_os_code(&line), @"pyqs: can't listen on 127.0.0.1:PORT: Address already in use; end what listens there, or take another port with --port N (0 takes a free one)");
}

#[test]
fn a_data_folder_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _first = Local::start(&["--data", text(&data)], &[]);
    let line = failure(&["local", "--port", "0", "--data", text(&data)], &[]);
    assert_snapshot!(line.replace(text(folder.path()), "TMP"), @"pyqs: can't open the data folder: another server uses TMP/data: stop it, or choose another data folder; --data DIR names another folder, --memory needs none");
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = failure(
        &[
            "local",
            "--port",
            "0",
            "--data",
            text(&file.path().join("data")),
        ],
        &[],
    );
    assert_snapshot!(without_os_code(&line.replace(text(file.path()), "FILE")), @"pyqs: can't open the data folder: can't use FILE/data: Not a directory; --data DIR names another folder, --memory needs none");
}

#[test]
fn without_a_home_the_folder_is_asked_for() {
    let line = failure(&["local", "--port", "0"], &[]);
    assert_snapshot!(line, @"pyqs: no HOME, so no folder for the data: name one with --data DIR, or use --memory");
}

#[test]
fn an_endpoint_that_is_not_there_is_one_line() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let keys = [
        ("PYQS_ACCESS_KEY_ID", "a"),
        ("PYQS_SECRET_ACCESS_KEY", "b"),
        ("PYQS_ENDPOINT_URL", url.as_str()),
    ];
    let line = failure(&["queues"], &keys).replace(&port.to_string(), "PORT");
    let (what, rest) = line
        .split_once(": Connection refused")
        .expect("that is what happens");
    assert_snapshot!(what, @"pyqs: can't reach SQS at http://127.0.0.1:PORT for ListQueues");
    assert!(
        rest.ends_with("check the endpoint URL, the region and the network\n"),
        "{rest}"
    );
}
