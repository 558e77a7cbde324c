//! Rust source without its comments and literals, so that a word found in it is a word of the program.

/// Blanks out comments and the insides of string and character literals. Lines keep their numbers.
pub(super) fn code_only(source: &str) -> String {
    let mut scanner = Scanner {
        rest: source,
        code: String::with_capacity(source.len()),
    };
    while !scanner.rest.is_empty() {
        scanner.step();
    }
    scanner.code
}

struct Scanner<'source> {
    rest: &'source str,
    code: String,
}

impl Scanner<'_> {
    /// Takes one comment, one literal, one word or one other character.
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            self.blank(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.blank(block_comment(self.rest));
        } else if let Some(length) = raw_string(self.rest) {
            self.blank(length);
        } else if self.rest.starts_with('"') {
            self.blank(quoted(self.rest));
        } else if let Some(length) = character(self.rest) {
            self.blank(length);
        } else {
            self.copy(word(self.rest));
        }
    }

    fn blank(&mut self, length: usize) {
        let (gone, rest) = self.rest.split_at(length);
        self.code
            .extend(gone.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }

    fn copy(&mut self, length: usize) {
        let (kept, rest) = self.rest.split_at(length);
        self.code.push_str(kept);
        self.rest = rest;
    }
}

/// The length of the word or the one character at the start: a word is taken whole, so that the `r` at the end of
/// an identifier starts no raw string.
fn word(text: &str) -> usize {
    let letters = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    if letters > 0 {
        letters
    } else {
        text.chars().next().map_or(0, char::len_utf8)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a raw string such as `r#"..."#` or `br"..."`, if one starts here.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r"]
        .iter()
        .find(|prefix| text.starts_with(**prefix))?;
    let after = &text[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let opening = prefix.len() + hashes + 1;
    let closing = format!("\"{}", "#".repeat(hashes));
    Some(
        text[opening..]
            .find(&closing)
            .map_or(text.len(), |end| opening + end + closing.len()),
    )
}

/// The length of a string literal with escapes.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal, if one starts here; a lifetime's quote is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        // The escaped character itself may be a quote.
        let skip = 1 + inside[1..].chars().next()?.len_utf8();
        return inside[skip..].find('\'').map(|end| 1 + skip + end + 1);
    }
    let width = first.len_utf8();
    inside[width..].starts_with('\'').then_some(1 + width + 1)
}

#[cfg(test)]
mod tests {
    use super::code_only;

    fn check(source: &str, expected: &str) {
        let squeezed = code_only(source)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(squeezed, expected, "of {source:?}");
    }

    #[test]
    fn comments_go() {
        check("a // unsafe\nb", "a b");
        check("a /* x /* y */ z */ b", "a b");
        check("a /* never closed", "a");
        check("/// doc\nfn f() {}", "fn f() {}");
    }

    #[test]
    fn literals_go() {
        check(r#"f("println!", g)"#, "f( , g)");
        check(r#"f("a \" b", g)"#, "f( , g)");
        check(r##"f(r#"a " b"#, g)"##, "f( , g)");
        check(r#"f(b"x", br"\", g)"#, "f(b , , g)");
        check(r"f('\'', '\\', '\u{1F600}', '/', g)", "f( , , , , g)");
    }

    #[test]
    fn code_stays() {
        check(
            "fn f<'a>(x: &'a str) -> &'static str { x }",
            "fn f<'a>(x: &'a str) -> &'static str { x }",
        );
        check("var\"x\"", "var");
        check("für", "für");
    }

    #[test]
    fn lines_keep_their_numbers() {
        assert_eq!(code_only("\"a\nb\"\n/* c\n */ d").lines().count(), 4);
    }
}
