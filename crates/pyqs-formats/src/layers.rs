//! `Layers`: a message taken apart for people, as far as it can be.

use crate::body;
use crate::celery::{Celery, Part};
use crate::message::Message;
use crate::outline::Outline;
use crate::read::Reader;
use crate::undecodable::{Layer, Undecodable};

/// What each layer of a message is, and what is inside of them all.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Layers {
    /// The layers that could be opened, from the outside in, each with a few words on what it is.
    pub opened: Vec<(Layer, String)>,
    /// The message; else the layer that could not be opened, and why.
    pub message: Result<Message, Undecodable>,
}

impl Reader<'_> {
    /// Takes a message apart, to be shown. Nothing is run, as in [`read`](Self::read), and it costs twice as much.
    ///
    /// ```
    /// let layers = pyqs_formats::Reader::default().layers(r#"{"task": "a.b", "args": [], "kwargs": {}}"#);
    /// assert_eq!(layers.opened[0].1, "JSON, 41 bytes");
    /// assert_eq!(layers.message.unwrap().head.task, "a.b");
    /// ```
    pub fn layers(&self, body: &str) -> Layers {
        let mut opened = Vec::new();
        if let Err(at) = self.open_layers(body, &mut opened) {
            let message = self.read(body).and(Err(at));
            return Layers { opened, message };
        }
        Layers {
            opened,
            message: self.read(body),
        }
    }

    fn open_layers(
        &self,
        body: &str,
        opened: &mut Vec<(Layer, String)>,
    ) -> Result<(), Undecodable> {
        let text = body::text(body, self.bytes_max()).map_err(|flaw| flaw.within(Layer::Body))?;
        let of_base64 = if text == body { "" } else { "base64 of " };
        opened.push((
            Layer::Body,
            format!("{of_base64}JSON, {} bytes", text.len()),
        ));
        let mut outline = Outline::read(&text, Part::All)?;
        let Some(properties) = outline.properties.take() else {
            if outline.task.is_some() {
                let names = "PyQS's own: task, args, kwargs";
                opened.push((Layer::Envelope, names.to_owned()));
            }
            return Ok(());
        };
        Celery::open(properties, outline, *self)?.told(opened)
    }
}
