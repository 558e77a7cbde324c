//! Patterns of queue names, as Python's `fnmatch` has them.

use std::fmt;

/// A pattern of queue names: `*`, `?`, `[abc]`, `[a-z]`, `[!a]`; all else stands for itself.
///
/// Matches a name as Python's `fnmatch.fnmatchcase` does; and unless it is exact, also the name
/// that SQS takes for a dotted one (`email.*` matches `email-send`).
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    tokens: Vec<Token>,
    dashed: Option<Vec<Token>>,
}

impl Pattern {
    /// Reads a pattern. Every text is one.
    pub fn new(text: impl Into<String>) -> Self {
        let exact = Self::exact(text);
        let dashed = dashed(&exact.tokens);
        Self {
            dashed: (dashed != exact.tokens).then_some(dashed),
            ..exact
        }
    }

    /// Reads a pattern that matches no other spelling than its own.
    pub fn exact(text: impl Into<String>) -> Self {
        let text = text.into();
        let tokens = parse(&text.chars().collect::<Vec<_>>());
        Self {
            text,
            tokens,
            dashed: None,
        }
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it holds no wildcard, and so is a name.
    pub fn is_literal(&self) -> bool {
        self.tokens
            .iter()
            .all(|token| matches!(token, Token::Literal(_)))
    }

    /// Whether a queue of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        matches(&self.tokens, &name)
            || self
                .dashed
                .as_ref()
                .is_some_and(|tokens| matches(tokens, &name))
    }

    /// With what every matching name starts, in either spelling: what to list queues by.
    pub fn prefix(&self) -> String {
        let literals = self.tokens.iter().map_while(|token| match token {
            Token::Literal(c) if self.dashed.is_none() || *c != '.' => Some(*c),
            _ => None,
        });
        literals.collect()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    One,
    Many,
    Set {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Literal(own) => *own == c,
            Self::One | Self::Many => true,
            Self::Set { is_negated, ranges } => {
                ranges.iter().any(|&(low, high)| low <= c && c <= high) != *is_negated
            }
        }
    }
}

fn parse(text: &[char]) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        tokens.push(match first {
            '*' => Token::Many,
            '?' => Token::One,
            '[' => match set_length(after) {
                Some(length) => {
                    rest = &after[length + 1..];
                    parse_set(&after[..length])
                }
                // Python takes a bracket that is never closed for itself.
                None => Token::Literal('['),
            },
            other => Token::Literal(other),
        });
    }
    tokens
}

/// Up to the closing bracket, which at the very start (or after `!`) is a member.
fn set_length(after: &[char]) -> Option<usize> {
    let negation = usize::from(after.first() == Some(&'!'));
    let skipped = negation + usize::from(after.get(negation) == Some(&']'));
    after[skipped..]
        .iter()
        .position(|&c| c == ']')
        .map(|found| skipped + found)
}

fn parse_set(members: &[char]) -> Token {
    let (is_negated, mut rest) = match members.split_first() {
        Some(('!', rest)) => (true, rest),
        _ => (false, members),
    };
    let mut ranges = Vec::new();
    while let Some((&low, after)) = rest.split_first() {
        if let ['-', high, after @ ..] = after {
            // A range whose ends are the wrong way round holds nothing.
            if low <= *high {
                ranges.push((low, *high));
            }
            rest = after;
        } else {
            ranges.push((low, low));
            rest = after;
        }
    }
    Token::Set { is_negated, ranges }
}

/// The same for names with `-` in place of `.`, but for a `.fifo` at the end.
fn dashed(tokens: &[Token]) -> Vec<Token> {
    let fifo: Vec<Token> = ".fifo".chars().map(Token::Literal).collect();
    let stem = tokens.strip_suffix(fifo.as_slice()).unwrap_or(tokens);
    let dashed = stem.iter().map(|token| match token {
        Token::Literal('.') => Token::Literal('-'),
        Token::Set {
            is_negated: false,
            ranges,
        } if token.takes('.') => {
            let mut ranges = ranges.clone();
            ranges.push(('-', '-'));
            Token::Set {
                is_negated: false,
                ranges,
            }
        }
        other => other.clone(),
    });
    dashed.chain(tokens[stem.len()..].iter().cloned()).collect()
}

/// Goes back to the last `*` only, which is enough: an earlier one could but take what the later
/// can. So the time is at most the product of both lengths.
fn matches(tokens: &[Token], name: &[char]) -> bool {
    let (mut next, mut at) = (0, 0);
    let mut last_many: Option<(usize, usize)> = None;
    while at < name.len() {
        match tokens.get(next) {
            Some(Token::Many) => {
                last_many = Some((next + 1, at));
                next += 1;
            }
            Some(one) if one.takes(name[at]) => {
                next += 1;
                at += 1;
            }
            _ => {
                let Some((after_many, taken)) = last_many else {
                    return false;
                };
                last_many = Some((after_many, taken + 1));
                (next, at) = (after_many, taken + 1);
            }
        }
    }
    tokens[next..].iter().all(|token| *token == Token::Many)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Pattern;

    /// Cases that Python's own `fnmatch.fnmatchcase` decided: pattern, name, 1 or 0.
    const PYTHON: &str = include_str!("../tests/fnmatch.tsv");

    #[test]
    fn exact_patterns_match_as_in_python() {
        let mut cases = 0;
        for line in PYTHON.lines() {
            let [pattern, name, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("not a case: {line:?}");
            };
            let got = Pattern::exact(pattern).matches(name);
            assert_eq!(got, expected == "1", "{pattern:?} for {name:?}");
            cases += 1;
        }
        assert!(cases > 1000, "{cases}");
    }

    #[test]
    fn both_spellings_match_unless_exact() {
        let check = |pattern: &str, name: &str, both: bool, exact: bool| {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                both,
                "{pattern} for {name}"
            );
            assert_eq!(
                Pattern::exact(pattern).matches(name),
                exact,
                "{pattern} for {name}"
            );
        };
        check("email", "email", true, true);
        check("email.*", "email.send", true, true);
        check("email.*", "email-send", true, false);
        check("email.tasks.send", "email-tasks-send", true, false);
        check("email.tasks.send", "email.tasks-send", false, false);
        check("email-*", "email.send", false, false);
        check("a[.x]b", "a-b", true, false);
        check("a.b.fifo", "a-b.fifo", true, false);
        check("a.b.fifo", "a-b-fifo", false, false);
        check("*.fifo", "a.fifo", true, true);
        check("*.fifo", "a-fifo", false, false);
        check("Email", "email", false, false);
    }

    #[test]
    fn literals_hold_no_wildcard() {
        let check = |pattern: &str, is_literal: bool, prefix: &str| {
            assert_eq!(Pattern::new(pattern).is_literal(), is_literal, "{pattern}");
            assert_eq!(Pattern::new(pattern).prefix(), prefix, "{pattern}");
        };
        check("email", true, "email");
        check("email*", false, "email");
        check("email.send*", false, "email");
        check("email[", true, "email[");
        check("em[ab]", false, "em");
        check("*", false, "");
        check("a.fifo", true, "a.fifo");
    }

    proptest! {
        #[test]
        fn a_name_matches_itself(name in "[a-zA-Z0-9_.-]{0,90}") {
            prop_assert!(Pattern::exact(&*name).matches(&name));
            prop_assert!(Pattern::new(&*name).matches(&name));
        }

        #[test]
        fn no_pattern_panics(pattern in any::<String>(), name in any::<String>()) {
            let _ = Pattern::new(pattern).matches(&name);
        }

        #[test]
        fn what_matches_starts_with_the_prefix(
            pattern in "[ab.*?\\[\\]!-]{0,8}", name in "[ab.-]{0,8}",
        ) {
            let pattern = Pattern::new(pattern);
            if pattern.matches(&name) {
                prop_assert!(name.starts_with(&pattern.prefix()));
            }
        }

        #[test]
        fn many_stars_take_no_long_time(stars in 1_usize..40) {
            let pattern = Pattern::new("*a".repeat(stars) + "b");
            prop_assert!(!pattern.matches(&"a".repeat(2000)));
        }
    }
}
