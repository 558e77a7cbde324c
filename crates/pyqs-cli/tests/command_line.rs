//! The command line as a person at a terminal, or a script, meets it.

use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use pyqs_cli::{Outcome, run};
use pyqs_worker::{HttpOptions, LogLevel, WorkerSettings};

/// Runs the command with no environment of ours but these variables.
fn pyqs(argv: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pyqs"))
        .args(argv)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the command starts")
}

/// Help, which goes to standard output, with exit code 0.
fn help(argv: &[&str]) -> String {
    let output = pyqs(argv, &[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The one line that a wrong command line is answered with, and exit code 2.
fn refusal_with(argv: &[&str], variables: &[(&str, &str)]) -> String {
    let output = pyqs(argv, variables);
    assert_eq!(output.status.code(), Some(2), "{argv:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn refusal(argv: &[&str]) -> String {
    refusal_with(argv, &[])
}

/// The settings that these words make of a worker.
fn settings(argv: &[&str]) -> WorkerSettings {
    match run(argv.iter().copied()) {
        Outcome::Worker(settings) => *settings,
        Outcome::Exit(code) => panic!("{argv:?} ended with {code}"),
    }
}

fn check(argv: &[&str], change: impl FnOnce(&mut WorkerSettings)) {
    let mut expected = WorkerSettings {
        queues: vec!["email".to_owned()],
        ..WorkerSettings::default()
    };
    change(&mut expected);
    let mut settings = settings(argv);
    settings.command_names.clear();
    assert_eq!(settings, expected, "{argv:?}");
}

#[test]
fn help_of_every_command() {
    insta::with_settings!({ prepend_module_to_snapshot => false }, {
        assert_snapshot!("help", help(&["--help"]));
        assert_snapshot!("help_local", help(&["local", "--help"]));
        assert_snapshot!("help_queues", help(&["queues", "--help"]));
        assert_snapshot!("help_send", help(&["send", "--help"]));
        assert_snapshot!("help_peek", help(&["peek", "--help"]));
        assert_snapshot!("help_decode", help(&["decode", "--help"]));
        assert_snapshot!("help_doctor", help(&["doctor", "--help"]));
    });
}

#[test]
fn version() {
    assert_eq!(
        help(&["--version"]),
        format!("pyqs {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn the_plain_form_has_the_defaults() {
    check(&["email"], |_| {});
    check(&["worker", "email"], |_| {});
    let names = |argv: &[&str]| settings(argv).command_names;
    assert!(names(&["email"]).contains(&"send".to_owned()));
    assert_eq!(names(&["worker", "email"]), [""; 0]);
}

#[test]
fn every_option_of_pyqs() {
    check(&["email", "-c", "4"], |s| s.concurrency = 4);
    check(&["email", "-c4"], |s| s.concurrency = 4);
    check(&["--concurrency=4", "email"], |s| s.concurrency = 4);
    check(&["email", "--interval", "0.5"], |s| {
        s.interval = std::time::Duration::from_millis(500);
    });
    check(&["email", "--batchsize", "3"], |s| s.batchsize = Some(3));
    check(&["email", "--prefetch-multiplier", "2"], |s| {
        s.prefetch_multiplier = Some(2);
    });
    check(&["email", "--simple-worker"], |s| s.simple_worker = true);
    check(&["email", "--region", "eu-west-1"], |s| {
        s.connection.region = Some("eu-west-1".to_owned());
    });
    check(&["email", "--endpoint-url", "http://127.0.0.1:9324"], |s| {
        s.connection.endpoint_url = Some("http://127.0.0.1:9324".to_owned());
    });
    check(
        &[
            "email",
            "--access-key-id",
            "AK",
            "--secret-access-key",
            "SK",
        ],
        |s| {
            s.connection.access_key_id = Some("AK".to_owned());
            s.connection.secret_access_key = Some("SK".to_owned());
        },
    );
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    check(&["email"], |s| s.prefetch_memory = 64 << 20);
    check(&["email", "--prefetch-memory", "1G"], |s| {
        s.prefetch_memory = 1 << 30;
    });
    refusal(&["email", "--prefetch-memory", "0M"]);
}

#[test]
fn log_levels_in_three_spellings_and_any_case() {
    for option in ["--loglevel", "--log-level", "--log_level"] {
        check(&["email", option, "INFO"], |s| s.log_level = LogLevel::Info);
    }
    check(&["email", "--loglevel", "warn"], |s| {
        s.log_level = LogLevel::Warning;
    });
    check(&["email", "--loglevel", "Debug"], |s| {
        s.log_level = LogLevel::Debug;
    });
}

#[test]
fn batch_sizes_as_pyqs_took_them() {
    let batch = |argv: &[&str]| settings(argv).batch_max();
    assert_eq!(batch(&["email"]), 10);
    assert_eq!(batch(&["email", "--simple-worker"]), 1);
    assert_eq!(batch(&["email", "--batchsize", "0"]), 10);
    assert_eq!(batch(&["email", "--batchsize", "-5"]), 1);
    assert_eq!(batch(&["email", "--batchsize", "11"]), 10);
    assert_eq!(batch(&["email", "--batchsize", "99999999999"]), 10);
    assert_eq!(batch(&["email", "--batchsize", "4", "--simple-worker"]), 4);
}

#[test]
fn the_other_options() {
    check(&["email", "--max-tasks-per-child", "0"], |s| {
        s.max_tasks_per_child = 0;
    });
    check(&["email", "--strict"], |s| s.strict = true);
    check(&["email", "--require-queues"], |s| s.require_queues = true);
    check(&["email", "--exact-patterns"], |s| s.exact_patterns = true);
    check(&["email", "--registered-only"], |s| {
        s.registered_only = true;
    });
    check(&["email", "--no-extend-visibility"], |s| {
        s.extend_visibility = false;
    });
    check(&["email", "--extend-visibility-max", "3600"], |s| {
        s.extend_visibility_max = Some(std::time::Duration::from_hours(1));
    });
    check(&["email", "--shutdown-timeout", "0"], |s| {
        s.shutdown_timeout = Some(std::time::Duration::ZERO);
    });
    check(&["email", "-I", "a", "--import", "b,c", "-Id.e"], |s| {
        s.imports = ["a", "b", "c", "d.e"].map(str::to_owned).to_vec();
    });
    check(&["email", "--preload", "a", "--preload", "b"], |s| {
        s.preload = ["a", "b"].map(str::to_owned).to_vec();
    });
    check(&["email", "--http", "[::1]:9100"], |s| {
        let (address, token) = ("[::1]:9100".parse().unwrap(), None);
        s.http = Some(HttpOptions { address, token });
    });
    check(&["email", "--allow", "numpy.*"], |s| {
        s.allow = vec!["numpy.*".to_owned()];
    });
    check(&["email", "--payload-store", "s3://b/p"], |s| {
        s.payload_store = Some("s3://b/p".to_owned());
    });
    check(&["email", "--payload-threshold", "0"], |s| {
        s.payload_threshold = 0;
    });
    check(&["email", "--keep-payloads"], |s| s.keep_payloads = true);
    check(&["email", "--idempotency-store", "dynamodb://keys"], |s| {
        s.idempotency_store = Some("dynamodb://keys".to_owned());
    });
}

#[test]
fn words_are_taken_as_argparse_takes_them() {
    // A beginning that fits one option is enough, the last of a repeated one counts, options may stand anywhere.
    check(&["email", "--conc", "2"], |s| s.concurrency = 2);
    check(&["email", "--log", "INFO"], |s| {
        s.log_level = LogLevel::Info;
    });
    check(&["email", "-c", "2", "-c", "3"], |s| s.concurrency = 3);
    check(&["a", "-c", "2", "b,c"], |s| {
        s.concurrency = 2;
        s.queues = vec!["a".to_owned(), "b,c".to_owned()];
    });
    check(&["--", "-odd"], |s| s.queues = vec!["-odd".to_owned()]);
}

#[test]
fn only_a_first_word_is_a_command() {
    check(&["email", "local"], |s| s.queues.push("local".to_owned()));
    check(&["worker", "local"], |s| {
        s.queues = vec!["local".to_owned()];
    });
    check(&["-c", "2", "send"], |s| {
        s.concurrency = 2;
        s.queues = vec!["send".to_owned()];
    });
}

#[test]
fn wrong_words_get_one_line() {
    assert_snapshot!(refusal(&[]), @"pyqs: no queue given: name at least one, as in `pyqs email`, or a pattern, as in `pyqs 'email*'`; see `pyqs --help`");
    assert_snapshot!(refusal(&["email:many"]), @r#"pyqs: bad value 'email:many' for [QUEUE]...: the weight in "email:many" is not a whole number from 1 to 1000; see `pyqs --help`"#);
    assert_snapshot!(refusal(&[""]), @"pyqs: [QUEUE]... needs a value; see `pyqs --help`");
    assert_snapshot!(refusal(&["email", " , "]), @r#"pyqs: bad value ' , ' for [QUEUE]...: " , " names no queue; write NAME, NAME:WEIGHT, NAME=TASKS or NAME@RATE; see `pyqs --help`"#);
    assert_snapshot!(refusal(&["email", "--colour"]), @"pyqs: unknown option --colour; see `pyqs --help`");
    assert_snapshot!(refusal(&["email", "--concurency", "2"]), @"pyqs: unknown option --concurency (is it --concurrency?); see `pyqs --help`");
    assert_snapshot!(refusal(&["email", "-x"]), @"pyqs: unknown option -x; see `pyqs --help`");
    assert_snapshot!(refusal(&["email", "--loglevel", "loud"]), @r#"pyqs: bad value 'loud' for --loglevel <LEVEL>: "loud" is no log level; use DEBUG, INFO, WARNING, ERROR or CRITICAL; see `pyqs --help`"#);
    assert_snapshot!(refusal(&["email", "-c", "0"]), @"pyqs: bad value '0' for --concurrency <N>: 0 is not in 1..=4294967295; see `pyqs --help`");
    assert_snapshot!(refusal(&["email", "-c", "many"]), @"pyqs: bad value 'many' for --concurrency <N>: a whole number is wanted; see `pyqs --help`");
    assert_snapshot!(refusal(&["email", "-c"]), @"pyqs: --concurrency <N> needs a value; see `pyqs --help`");
    assert_snapshot!(refusal(&["email", "--interval", "-1"]), @"pyqs: bad value '-1' for --interval <SECONDS>: seconds are 0 or more; see `pyqs --help`");
    assert_snapshot!(refusal(&["email", "--access-key-id", "AK"]), @"pyqs: --secret-access-key <SECRET> is missing; see `pyqs --help`");
    assert_snapshot!(refusal(&["local", "email"]), @"pyqs: 'email' is one word too many; see `pyqs local --help`");
    assert_snapshot!(refusal(&["local", "--memory", "--data", "here"]), @"pyqs: --memory and --data <DIR> exclude each other; see `pyqs local --help`");
    assert_snapshot!(refusal(&["local", "--host", "example.org"]), @"pyqs: bad value 'example.org' for --host <ADDRESS>: not an IP address; see `pyqs local --help`");
    assert_snapshot!(refusal(&["local", "--sync", "hard"]), @"pyqs: bad value 'hard' for --sync <HOW>: use one of normal, full; see `pyqs local --help`");
    assert_snapshot!(refusal(&["local", "--queue", "email:dead:0"]), @"pyqs: bad value 'email:dead:0' for --queue <NAME[:DEAD[:N]]>: the number of receives is 1 to 1000; see `pyqs local --help`");
    assert_snapshot!(refusal(&["local", "--port", "70000"]), @"pyqs: bad value '70000' for --port <N>: 70000 is not in 0..=65535; see `pyqs local --help`");
    assert_snapshot!(refusal(&["send", "email"]), @"pyqs: <TASK> is missing; see `pyqs send --help`");
    assert_snapshot!(refusal(&["send"]), @"pyqs: <QUEUE>, <TASK> is missing; see `pyqs send --help`");
    assert_snapshot!(refusal(&["send", "email", "tasks.f", "--args", "{}"]), @r#"pyqs: bad value '{}' for --args <JSON>: JSON, but not an array, as in '[1, "two"]'; see `pyqs send --help`"#);
    assert_snapshot!(refusal(&["send", "email", "tasks.f", "--kwargs", "{"]), @"pyqs: bad value '{' for --kwargs <JSON>: not JSON: EOF while parsing an object at line 1 column 1; see `pyqs send --help`");
    assert_snapshot!(refusal(&["send", "email", "tasks.f", "--delay", "31622401"]), @"pyqs: bad value '31622401' for --delay <SECONDS>: 31622401 is not in 0..=31622400; see `pyqs send --help`");
}

#[test]
fn a_secret_is_never_shown() {
    let secret = ("PYQS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI");
    for argv in [&["--help"][..], &["queues", "--help"], &["send", "--help"]] {
        let shown = String::from_utf8_lossy(&pyqs(argv, &[secret]).stdout).into_owned();
        assert!(
            shown.contains("PYQS_SECRET_ACCESS_KEY") && !shown.contains("wJalr"),
            "{shown}"
        );
    }
    let secret = ("PYQS_LOCAL_SECRET_ACCESS_KEY", "wJalrXUtnFEMI");
    let shown = String::from_utf8_lossy(&pyqs(&["local", "--help"], &[secret]).stdout).into_owned();
    assert!(
        shown.contains("PYQS_LOCAL_SECRET_ACCESS_KEY") && !shown.contains("wJalr"),
        "{shown}"
    );
    for argv in [
        &["email", "--secret-acces=wJalrXUtnFEMI"][..],
        &["email", "--secret-access-key=wJalrXUtnFEMI", "--nope"],
        &["email", "--secretaccesskey=wJalrXUtnFEMI"],
        &["local", "--secretaccesskey=wJalrXUtnFEMI"],
    ] {
        let shown = refusal(argv);
        assert!(!shown.contains("wJalr"), "{shown}");
    }
}

#[test]
fn variables_stand_in_for_options() {
    assert_snapshot!(refusal_with(&["email"], &[("PYQS_CONCURRENCY", "none")]), @"pyqs: bad value 'none' for --concurrency <N> (from PYQS_CONCURRENCY): a whole number is wanted; see `pyqs --help`");
    assert_snapshot!(refusal_with(&["email"], &[("PYQS_SIMPLE_WORKER", "maybe")]), @"pyqs: bad value 'maybe' for --simple-worker (from PYQS_SIMPLE_WORKER): say yes or no; see `pyqs --help`");
    // A variable of the worker's does not stand in the way of a command.
    let of_the_worker = [("PYQS_CONCURRENCY", "2"), ("PYQS_QUEUES", "email")];
    assert_snapshot!(refusal_with(&["local", "--nope"], &of_the_worker), @"pyqs: unknown option --nope; see `pyqs local --help`");
    // With the queues named by their variable, no word is needed; this command then lacks just the Python to run it.
    let output = pyqs(
        &[],
        &[("PYQS_QUEUES", "email,sms"), ("PYQS_SIMPLE_WORKER", "yes")],
    );
    assert_snapshot!(String::from_utf8_lossy(&output.stderr), @"pyqs: this pyqs comes without Python and runs no worker; `pip install pyqs-rs` gives one that does");
    assert_eq!(output.status.code(), Some(1));
}
