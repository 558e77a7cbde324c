//! Where a worker shows itself by HTTP.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Where to listen, and who is let in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpOptions {
    /// The address; port 0 is a free one, which is logged.
    pub address: SocketAddr,
    /// What a request must bear, as `Authorization: Bearer TOKEN`, to see more than health.
    pub token: Option<String>,
}

impl HttpOptions {
    /// Refuses to be open to other machines without a token.
    pub fn check(&self) -> Result<(), OpenToAll> {
        let is_open = self.token.is_none() && !self.address.ip().is_loopback();
        if is_open {
            let address = self.address;
            return Err(OpenToAll { address });
        }
        Ok(())
    }
}

/// Shows whether there is a token, never which.
impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "(hidden)");
        f.debug_struct("HttpOptions")
            .field("address", &self.address)
            .field("token", &token)
            .finish()
    }
}

/// An address that other machines reach, and no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} can be reached from other machines; give a token too (PYQS_HTTP_TOKEN), or listen on 127.0.0.1:{}",
    address.ip(), address.port()
)]
pub struct OpenToAll {
    address: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::HttpOptions;

    fn options(address: &str, token: Option<&str>) -> HttpOptions {
        HttpOptions {
            address: address.parse().unwrap(),
            token: token.map(str::to_owned),
        }
    }

    #[test]
    fn other_machines_need_a_token() {
        for address in ["127.0.0.1:9100", "127.8.0.1:0", "[::1]:9100"] {
            assert!(options(address, None).check().is_ok(), "{address}");
        }
        for address in ["0.0.0.0:9100", "[::]:9100", "10.0.0.1:9100"] {
            assert!(options(address, None).check().is_err(), "{address}");
            assert!(options(address, Some("secret")).check().is_ok());
        }
    }

    #[test]
    fn debug_hides_the_token() {
        let shown = format!("{:?}", options("[::]:1", Some("sesame")));
        assert!(shown.contains("(hidden)") && !shown.contains("sesame"));
    }
}
