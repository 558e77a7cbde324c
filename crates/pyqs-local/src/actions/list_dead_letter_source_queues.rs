//! `ListDeadLetterSourceQueues`.

use serde::{Deserialize, Serialize};

use super::Call;
use super::page::Page;
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_url: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Output {
    /// Written in lower case in the model, and required there.
    #[serde(rename = "queueUrls")]
    queue_urls: Vec<String>,
    #[serde(rename = "NextToken", skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(super) fn handle(call: &Call, input: &Input) -> Result<Output, ApiError> {
    let queue = call.queue(input.queue_url.as_deref())?;
    let page = Page::of(input.max_results, input.next_token.as_deref())?;
    call.engine.look(|broker| {
        let sources = broker.dead_letter_sources(queue)?;
        let after = page.after.as_deref().unwrap_or_default();
        let rest = sources.into_iter().filter(|name| *name > after);
        let (names, next_token) = page.cut(rest);
        let urls = names.into_iter().map(|name| call.address.url(name));
        Ok(Output {
            queue_urls: urls.collect(),
            next_token,
        })
    })
}
