//! Writing XML: elements and texts, which is all that replies have.

/// A document that is being written.
#[derive(Default)]
pub(super) struct Writer(String);

impl Writer {
    /// The outermost element. Names come from the service model, and are not escaped.
    pub(super) fn root(&mut self, name: &str, namespace: &str, inside: impl FnOnce(&mut Self)) {
        self.push(&[
            "<?xml version=\"1.0\"?><",
            name,
            " xmlns=\"",
            namespace,
            "\">",
        ]);
        inside(self);
        self.push(&["</", name, ">"]);
    }

    pub(super) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.push(&["<", name, ">"]);
        inside(self);
        self.push(&["</", name, ">"]);
    }

    /// An element with nothing but a text in it.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.element(name, |xml| xml.escape(text));
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    fn escape(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                // Written plainly, parsers would make a line feed of it.
                '\r' => self.0.push_str("&#xD;"),
                // Not allowed in XML, not even escaped; only refusals that quote can have it.
                '\0'..='\u{8}'
                | '\u{b}'
                | '\u{c}'
                | '\u{e}'..='\u{1f}'
                | '\u{fffe}'
                | '\u{ffff}' => {
                    self.0.push(char::REPLACEMENT_CHARACTER);
                }
                c => self.0.push(c),
            }
        }
    }

    fn push(&mut self, parts: &[&str]) {
        self.0.extend(parts.iter().copied());
    }
}
