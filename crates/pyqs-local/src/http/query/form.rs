//! Forms: names with dots in them, and texts, as a tree.

use std::collections::BTreeMap;
use std::str;

use crate::error::ApiError;

/// Parameters of one request: ten messages of ten attributes need some 400.
const PARAMETERS_MAX: usize = 2_000;
/// Parts of a name; `SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue` has six.
const PARTS_MAX: usize = 8;

/// A form, or the part of it that is below a name.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) text: Option<String>,
    pub(super) below: BTreeMap<String, Form>,
}

impl Form {
    /// Takes in `name=text&name=text`.
    pub(super) fn add(&mut self, encoded: &[u8]) -> Result<(), ApiError> {
        let pairs = encoded.split(|byte| *byte == b'&');
        for (count, pair) in pairs.filter(|pair| !pair.is_empty()).enumerate() {
            if count == PARAMETERS_MAX {
                return Err(malformed(&format!("there are more than {PARAMETERS_MAX}")));
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let text = decode(halves.next().unwrap_or_default())?;
            self.put(&name, text)?;
        }
        Ok(())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.below.get(name)?.text.as_deref()
    }

    /// The elements of a list: those with numbers in their order, or the only one that has none
    /// (`AttributeName=All`, `Attribute.Name=...`). An empty text is how SDKs send no elements.
    pub(super) fn into_elements(self) -> Vec<Form> {
        let mut numbered = BTreeMap::new();
        let mut only = Form {
            text: self.text.filter(|text| !text.is_empty()),
            below: BTreeMap::new(),
        };
        for (part, form) in self.below {
            match part.parse::<u32>() {
                Ok(number) => drop(numbered.insert(number, form)),
                Err(_) => drop(only.below.insert(part, form)),
            }
        }
        let is_there = only.text.is_some() || !only.below.is_empty();
        let only = is_there.then_some(only);
        only.into_iter().chain(numbered.into_values()).collect()
    }

    fn put(&mut self, name: &str, text: String) -> Result<(), ApiError> {
        let mut form = self;
        for (count, part) in name.split('.').enumerate() {
            if count == PARTS_MAX {
                return Err(malformed(&format!(
                    "{name} has more than {PARTS_MAX} parts"
                )));
            }
            form = form.below.entry(part.to_owned()).or_default();
        }
        if form.text.replace(text).is_some() {
            return Err(malformed(&format!("{name} is there twice")));
        }
        Ok(())
    }
}

fn decode(encoded: &[u8]) -> Result<String, ApiError> {
    String::from_utf8(unescape(encoded)).map_err(|_| malformed("they are not UTF-8"))
}

/// Takes `+` and `%` escapes back. What isn't one stands for itself, as browsers have it.
pub(crate) fn unescape(encoded: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => match after.split_at_checked(2).and_then(escaped) {
                Some((byte, after)) => {
                    rest = after;
                    byte
                }
                None => b'%',
            },
            byte => byte,
        });
    }
    bytes
}

fn escaped<'a>((digits, after): (&'a [u8], &'a [u8])) -> Option<(u8, &'a [u8])> {
    let digits = str::from_utf8(digits).ok()?;
    let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).ok()?;
    is_hexadecimal.then_some((byte, after))
}

fn malformed(reason: &str) -> ApiError {
    ApiError::Serialization {
        reason: format!("The parameters can't be read: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        for (encoded, text) in [
            ("", ""),
            ("a+b", "a b"),
            ("%2b%2B", "++"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%+1", "% 1"),
            ("%e2%98%83", "\u{2603}"),
        ] {
            assert_eq!(decode(encoded.as_bytes()).unwrap(), text, "{encoded}");
        }
        assert!(decode(b"%ff").is_err());
        assert!(decode(b"\xff").is_err());
    }

    #[test]
    fn parameters_and_parts_at_the_limit_and_one_beyond() {
        let check = |count: usize| {
            let names = (0..count).map(|i| format!("a{i}=&"));
            Form::default().add(names.collect::<String>().as_bytes())
        };
        assert!(check(PARAMETERS_MAX).is_ok());
        assert!(check(PARAMETERS_MAX + 1).is_err());
        let mut form = Form::default();
        assert!(form.add("a.".repeat(PARTS_MAX - 1).as_bytes()).is_ok());
        assert!(form.add("a.".repeat(PARTS_MAX).as_bytes()).is_err());
    }

    #[test]
    fn a_parameter_is_there_once() {
        assert!(Form::default().add(b"a=1&a.1=2&b=1").is_ok());
        assert!(Form::default().add(b"a=1&a=1").is_err());
        let mut form = Form::default();
        form.add(b"a=1").unwrap();
        assert!(form.add(b"a=2").is_err(), "in the address and in the body");
    }
}
