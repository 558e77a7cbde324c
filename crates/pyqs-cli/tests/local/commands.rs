//! What is printed, sent, listed and kept.

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::process::{Local, failure, text, without_os_code};

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
    local.data(&["send", "email", "tasks.f", "--delay", "31622400"]);
    let counts = local.data(&["queues"]);
    assert_eq!(
        counts.split_whitespace().rev().take(3).collect::<Vec<_>>(),
        ["2", "0", "2"],
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
