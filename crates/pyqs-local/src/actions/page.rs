//! Lists by pages: how many, and where the next one begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::ranged;
use crate::error::ApiError;

/// Items of a page, and of a list that nobody asked to have in pages (`ListQueues`).
const PAGE_MAX: u32 = 1000;

/// What a request says about the page that it wants.
pub(super) struct Page {
    max: usize,
    is_paged: bool,
    /// The last name of the page before.
    pub(super) after: Option<String>,
}

impl Page {
    pub(super) fn of(max: Option<i64>, token: Option<&str>) -> Result<Self, ApiError> {
        let reason = "Value for MaxResults must be between 1 and 1000.";
        let max = ranged("MaxResults", max, 1..=PAGE_MAX, reason)?;
        let invalid = || ApiError::invalid("Invalid or expired next token.");
        let after = token.map(|token| {
            let name = BASE64.decode(token).map_err(|_| invalid())?;
            String::from_utf8(name).map_err(|_| invalid())
        });
        Ok(Self {
            max: max.unwrap_or(PAGE_MAX) as usize,
            is_paged: max.is_some(),
            after: after.transpose()?,
        })
    }

    /// The page's names out of those after [`after`](Self::after), and the token of the next one.
    /// Who sets no `MaxResults` gets no token (`ListQueues`).
    pub(super) fn cut<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> (Vec<&'a str>, Option<String>) {
        let mut names: Vec<_> = names.take(self.max + 1).collect();
        let has_more = names.len() > self.max;
        names.truncate(self.max);
        let last = names.last().filter(|_| has_more && self.is_paged);
        let token = last.map(|last| BASE64.encode(last));
        (names, token)
    }
}
