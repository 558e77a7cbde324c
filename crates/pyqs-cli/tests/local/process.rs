//! `pyqs local` as a process.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A command with no environment but these variables, and nothing to read.
pub(crate) fn pyqs(argv: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pyqs"));
    command
        .args(argv)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

/// An endpoint at work on a free port, ended with the test.
pub(crate) struct Local {
    process: Child,
    pub(crate) url: String,
    /// The lines that a user pastes.
    pub(crate) lines: Vec<String>,
}

impl Local {
    pub(crate) fn start(argv: &[&str], variables: &[(&str, &str)]) -> Self {
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
    pub(crate) fn run(&self, argv: &[&str]) -> Output {
        let pasted = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ];
        pyqs(argv, &pasted).output().expect("the command starts")
    }

    /// What a command that succeeds prints.
    pub(crate) fn data(&self, argv: &[&str]) -> String {
        let output = self.run(argv);
        assert!(
            output.status.success(),
            "{argv:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Says stop by a signal; gives the exit code and what was said to the person.
    pub(crate) fn stop(mut self, signal: Signal) -> (Option<i32>, String) {
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
pub(crate) fn failure(argv: &[&str], variables: &[(&str, &str)]) -> String {
    let output = pyqs(argv, variables).output().expect("the command starts");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

/// Without the number that each system has for it.
pub(crate) fn without_os_code(line: &str) -> String {
    let (before, after) = line.split_once(" (os error ").expect("the system said no");
    let (_, after) = after.split_once(')').expect("the number is in brackets");
    format!("{before}{after}")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}
