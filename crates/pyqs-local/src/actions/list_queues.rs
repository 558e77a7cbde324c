//! `ListQueues`.

use serde::{Deserialize, Serialize};

use super::Call;
use super::page::Page;
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    queue_name_prefix: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    /// Left out when empty, as AWS does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(super) fn handle(call: &Call, input: &Input) -> Result<Output, ApiError> {
    let page = Page::of(input.max_results, input.next_token.as_deref())?;
    let prefix = input.queue_name_prefix.as_deref().unwrap_or_default();
    call.engine.look(|broker| {
        let names = broker.queue_names(prefix, page.after.as_deref());
        let (names, next_token) = page.cut(names);
        let urls = names.into_iter().map(|name| call.address.url(name));
        Ok(Output {
            queue_urls: urls.collect(),
            next_token,
        })
    })
}
