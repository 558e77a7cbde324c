//! The one module that prints: data on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use clap::builder::StyledStr;

/// Prints data: what a script may read. Flushed at once, since a reader at a pipe may be waiting for it.
///
/// A reader that has gone away (`pyqs queues | head -1`) has what it wanted; there is nobody left to tell.
pub(crate) fn data(text: &str) {
    let mut stdout = io::stdout().lock();
    // Nothing can be done for a reader that has gone away.
    let _ = writeln!(stdout, "{}", text.trim_end_matches('\n')).and_then(|()| stdout.flush());
}

/// Says something to the person at the terminal.
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

/// Says, in one line, what went wrong and what to do.
pub(crate) fn error(line: &str) {
    eprintln!("pyqs: {}", one_line(line));
}

/// Prints help that was asked for, with emphasis where a person is looking and wants it.
pub(crate) fn help(text: &StyledStr) {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb")
        || !io::stdout().is_terminal();
    if plain {
        data(&text.to_string());
    } else {
        data(&text.ansi().to_string());
    }
}

/// A table of texts: all columns to the left.
pub(crate) fn list(headings: &[&str], rows: &[Vec<String>]) -> String {
    aligned(headings, rows, |_| true)
}

/// A table with a heading, its columns as wide as they need to be; numbers (all columns but the first and the last)
/// are put to the right.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    aligned(headings, rows, |column| {
        column == 0 || column + 1 == headings.len()
    })
}

fn aligned(headings: &[&str], rows: &[Vec<String>], is_text: impl Fn(usize) -> bool) -> String {
    let headings: Vec<String> = headings
        .iter()
        .map(|heading| (*heading).to_owned())
        .collect();
    let width = |column: usize| {
        let cells = rows
            .iter()
            .chain([&headings])
            .filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            if is_text(column) {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(&headings)
        .chain(rows)
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Errors from far below may span lines; a person, and a log, gets one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{one_line, table};

    #[test]
    fn tables_are_aligned() {
        let rows = [["email", "12", "email-dead"], ["a.fifo", "3", ""]]
            .map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table(&["queue", "visible", "dead letters"], &rows),
            "queue   visible  dead letters\nemail        12  email-dead\na.fifo        3"
        );
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(one_line("broken:\n  because\n"), "broken: because");
    }
}
