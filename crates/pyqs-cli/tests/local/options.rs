//! Who may use `pyqs local`, and the ways to say so: options, variables and a file, as processes.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use crate::process::{Local, failure, pyqs, text, without_os_code};

/// A certificate for localhost, its key, and the authority that signed it.
fn tls(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pyqs-sqs/tests/tls");
    text(&folder.join(file)).to_owned()
}

/// What a command says, without the endpoint's address.
fn said(local: &Local, argv: &[&str], variables: &[(&str, &str)]) -> String {
    let output = pyqs(
        argv,
        &[&[("AWS_ENDPOINT_URL", local.url.as_str())], variables].concat(),
    );
    let output = { output }.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).unwrap().replace(&local.url, "URL")
}

fn keys<'a>(id: &'a str, secret: &'a str) -> [(&'a str, &'a str); 2] {
    [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)]
}

#[test]
fn with_keys_only_who_has_one_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    std::fs::write(
        &file,
        "[ada]\naws_access_key_id = ADA\naws_secret_access_key = eve+1/=\n",
    )
    .unwrap();
    let local = Local::start(
        &[
            "--memory",
            "--queue",
            "email",
            "--access-key-id",
            "BOB",
            "--access-key-id",
            "CAL",
            "--credentials",
            text(&file),
        ],
        &[("PYQS_LOCAL_SECRET_ACCESS_KEY", "bobs,cals")],
    );
    assert_eq!(
        local.lines[1],
        "export AWS_ACCESS_KEY_ID=BOB AWS_DEFAULT_REGION=us-east-1"
    );
    for (id, secret) in [("BOB", "bobs"), ("CAL", "cals"), ("ADA", "eve+1/=")] {
        let queues = said(&local, &["queues"], &keys(id, secret));
        assert!(queues.contains("email"), "{id}: {queues}");
    }
    let wrong = said(&local, &["queues"], &keys("BOB", "cals"));
    let (line, _) = wrong
        .split_once("The Canonical String")
        .expect("AWS shows what it signs");
    assert_snapshot!(line, @"pyqs: SQS does not accept these credentials for ListQueues: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.");
    assert_snapshot!(said(&local, &["queues"], &keys("EVE", "bobs")), @"pyqs: SQS does not accept these credentials for ListQueues: The security token included in the request is invalid (InvalidClientTokenId); give --access-key-id and --secret-access-key, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run `aws configure`, or attach a role to this machine");
    let (_, told) = local.stop(rustix::process::Signal::TERM);
    assert_snapshot!(told, @r"
    signatures are verified: AWS_SECRET_ACCESS_KEY is the secret of that key
    queues are kept in memory; Ctrl-C stops
    ");
}

#[test]
fn other_machines_are_let_in_only_when_that_is_said() {
    let line = failure(&["local", "--memory", "--host", "0.0.0.0"], &[]);
    assert_snapshot!(line, @"pyqs: 0.0.0.0 can be reached from other machines, and anybody there could read and send; have signatures verified with --credentials FILE (or --access-key-id and --secret-access-key), or let everybody in with --insecure");
    for options in [
        &["--insecure"][..],
        &["--access-key-id", "A", "--secret-access-key", "b"],
    ] {
        let local = Local::start(&[&["--memory", "--host", "0.0.0.0"], options].concat(), &[]);
        assert!(local.url.starts_with("http://127.0.0.1:"), "{}", local.url);
        let queues = said(&local, &["queues"], &keys("A", "b"));
        assert_eq!(queues, "no queues\n");
    }
}

#[test]
fn keys_come_in_pairs_and_are_never_shown() {
    let mistakes: [&[&str]; 5] = [
        &["--access-key-id", "A"],
        &[
            "--access-key-id",
            "A",
            "--access-key-id",
            "A",
            "--secret-access-key",
            "hidden,hidden",
        ],
        &["--access-key-id", "A/B", "--secret-access-key", "hidden"],
        &[
            "--access-key-id",
            "A",
            "--secret-access-key",
            "hidden,hidden",
        ],
        &["--access-key-id", "A", "--secret-access-key="],
    ];
    let lines: String = mistakes
        .iter()
        .map(|options| {
            failure(
                &[&["local", "--memory", "--port", "0"], *options].concat(),
                &[],
            )
        })
        .collect();
    assert!(!lines.contains("hidden"), "{lines}");
    assert_snapshot!(lines, @r"
    pyqs: --access-key-id is given once and --secret-access-key 0 times: they come in pairs
    pyqs: there are two access keys with the id A
    pyqs: an access key has an id of letters, digits, '-' and '_', and a secret, and the one numbered 1 has not
    pyqs: --access-key-id is given once and --secret-access-key 2 times: they come in pairs
    pyqs: an access key has an id of letters, digits, '-' and '_', and a secret, and the one numbered 1 has not
    ");
}

#[test]
fn files_that_are_not_there_or_not_right_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let nonsense = file("nonsense", "nonsense\n");
    let other_key = file("other.key", OTHER_KEY);
    let (nonsense, other_key) = (text(&nonsense), text(&other_key));
    let (cert, key) = (tls("server.pem"), tls("server.key"));
    let mistakes: [&[&str]; 7] = [
        &["--credentials", "/nowhere"],
        &["--credentials", nonsense],
        &["--tls-cert", &cert],
        &["--tls-cert", "/nowhere", "--tls-key", &key],
        &["--tls-cert", nonsense, "--tls-key", &key],
        &["--tls-cert", &cert, "--tls-key", nonsense],
        &["--tls-cert", &cert, "--tls-key", other_key],
    ];
    let lines: String = mistakes
        .iter()
        .map(|options| {
            failure(
                &[&["local", "--memory", "--port", "0"], *options].concat(),
                &[],
            )
        })
        .map(|line| {
            if line.contains("(os error") {
                without_os_code(&line)
            } else {
                line
            }
        })
        .collect();
    let lines = lines
        .replace(text(folder.path()), "TMP")
        .replace(&cert, "CERT");
    assert_snapshot!(lines, @r"
    pyqs: cannot read credentials from /nowhere: No such file or directory
    pyqs: no access key in TMP/nonsense: a profile has aws_access_key_id = ... and aws_secret_access_key = ...
    pyqs: --tls-cert and --tls-key come together, and only one is given
    pyqs: can't speak TLS: can't read /nowhere: No such file or directory
    pyqs: can't speak TLS: TMP/nonsense has no certificate in PEM that can be read
    pyqs: can't speak TLS: TMP/nonsense has no private key in PEM that can be read
    pyqs: can't speak TLS: can't use the certificate CERT with the key TMP/other.key: keys may not be consistent: KeyMismatch
    ");
}

/// Not the key of any certificate here.
const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTQfoV0v+xlres/M0
vP9eZfKkHTtEpd1QgrMkz0kXCxuhRANCAAQXh3RpDq7WPwnA6R7GsWq1WXxDMFnL
MpSwpPRpIlsJamxj5IlinctE8BnBlyVAlOevRTn1IsqmybqUjv3QnOAu
-----END PRIVATE KEY-----
";

#[test]
fn with_a_certificate_it_speaks_https() {
    let local = Local::start(
        &[
            "--memory",
            "--queue",
            "email",
            "--tls-cert",
            &tls("server.pem"),
            "--tls-key",
            &tls("server.key"),
        ],
        &[],
    );
    assert!(local.url.starts_with("https://127.0.0.1:"), "{}", local.url);
    let ca = tls("ca.pem");
    let trusted = [&keys("a", "b")[..], &[("AWS_CA_BUNDLE", ca.as_str())]].concat();
    let json = said(&local, &["queues", "--json"], &trusted);
    assert!(json.contains(r#""url":"URL/000000000000/email""#), "{json}");
}

#[test]
fn a_file_gives_what_neither_options_nor_variables_give() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("local.toml");
    std::fs::write(&file, CONFIG).unwrap();
    std::fs::write(
        folder.path().join("keys"),
        "[x]\naws_access_key_id=F\naws_secret_access_key=f\n",
    )
    .unwrap();
    let config = ["--config", text(&file)];

    let local = Local::start(&config, &[]);
    assert_eq!(
        local.lines[1],
        "export AWS_ACCESS_KEY_ID=F AWS_DEFAULT_REGION=eu-west-1"
    );
    let json = said(
        &local,
        &["queues", "--json", "--region", "eu-west-1"],
        &keys("F", "f"),
    );
    assert_snapshot!(json, @r#"[{"dead_letter_queue":"email-dead","delayed":0,"in_flight":0,"name":"email","url":"URL/111111111111/email","visible":0},{"dead_letter_queue":null,"delayed":0,"in_flight":0,"name":"email-dead","url":"URL/111111111111/email-dead","visible":0}]"#);
    drop(local);

    // A list goes as a whole; what excludes the file's word goes before it.
    let local = Local::start(
        &[
            &config[..],
            &["--queue", "mine", "--data", text(&folder.path().join("d"))],
        ]
        .concat(),
        &[("PYQS_LOCAL_ACCOUNT", "222222222222")],
    );
    let json = said(
        &local,
        &["queues", "--json", "--region", "eu-west-1"],
        &keys("F", "f"),
    );
    assert_snapshot!(json, @r#"[{"dead_letter_queue":null,"delayed":0,"in_flight":0,"name":"mine","url":"URL/222222222222/mine","visible":0}]"#);
    let (_, told) = local.stop(rustix::process::Signal::TERM);
    assert!(told.contains("queues are kept in /"), "{told}");
}

const CONFIG: &str = "
memory = true
account = '111111111111'
region = 'eu-west-1'
credentials = 'keys'

[[queue]]
name = 'email'
dead-letter-queue = 'email-dead:3'
attributes = { VisibilityTimeout = 7 }
";

#[test]
fn mistakes_in_a_file_are_named_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("local.toml");
    let line = |content: &str| {
        std::fs::write(&file, content).unwrap();
        let output = pyqs(&["local", "--memory", "--config", text(&file)], &[]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr)
            .unwrap()
            .replace(text(folder.path()), "TMP")
    };
    let lines = [
        "prot = 1",
        "sync = 'hard'",
        "port = 'x'\nmemory = true",
        "port = 70000",
        "=",
        "queue = 'a:b:0'",
    ]
    .map(line)
    .concat();
    assert_snapshot!(lines, @r"
    pyqs: bad value 'TMP/local.toml' for --config <FILE>: unknown key 'prot' (is it port?); see `pyqs local --help`
    pyqs: TMP/local.toml: bad value 'hard' for --sync <HOW>: use one of normal, full; see `pyqs local --help`
    pyqs: TMP/local.toml: bad value 'x' for --port <N>: a whole number is wanted; see `pyqs local --help`
    pyqs: TMP/local.toml: bad value '70000' for --port <N>: 70000 is not in 0..=65535; see `pyqs local --help`
    pyqs: bad value 'TMP/local.toml' for --config <FILE>: line 1: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`; see `pyqs local --help`
    pyqs: TMP/local.toml: bad value 'a:b:0' for --queue <NAME[:DEAD[:N]]>: the number of receives is 1 to 1000; see `pyqs local --help`
    ");
    let gone = pyqs(&["local", "--config", "/nowhere.toml"], &[])
        .output()
        .unwrap();
    assert_snapshot!(without_os_code(&String::from_utf8(gone.stderr).unwrap()), @"pyqs: bad value '/nowhere.toml' for --config <FILE>: No such file or directory; see `pyqs local --help`");
}

#[test]
fn attributes_that_sqs_refuses_end_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("local.toml");
    let lines = ["VisibilityTimeout = 43201", "Nonsense = 1"].map(|attribute| {
        let content = format!("[[queue]]\nname = 'email'\nattributes = {{ {attribute} }}\n");
        std::fs::write(&file, content).unwrap();
        failure(
            &["local", "--port", "0", "--memory", "--config", text(&file)],
            &[],
        )
    });
    assert_snapshot!(lines.concat(), @r"
    pyqs: can't make queue email: Invalid value for the parameter VisibilityTimeout. Value: 43201
    pyqs: can't make queue email: Unknown Attribute Nonsense.
    ");
    assert_snapshot!(failure(&["local", "--memory", "--port", "0", "--account", "12"], &[]), @"pyqs: an account is twelve digits, and '12' is not");
    assert_snapshot!(failure(&["local", "--memory", "--port", "0", "--region", "eu west"], &[]), @"pyqs: a region has letters, digits and dashes, as in eu-central-1, and 'eu west' is none");
    assert_snapshot!(failure(&["local", "--memory", "--port", "0", "--queue", "a.fifo:b"], &[]), @r#"pyqs: can't make queue a.fifo: Value {"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:b","maxReceiveCount":10} for parameter RedrivePolicy is invalid. Reason: Dead-letter queue must be same type of queue as the source."#);
}
