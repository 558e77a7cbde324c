//! How a client tries, from the environment.

use std::time::Duration;

use super::ClientError;

/// How a client tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// Attempts for one message, the first included; `AWS_MAX_ATTEMPTS`, else 5.
    pub attempts_max: u32,
    /// No attempt begins later than this after the message was given; 30 s.
    pub time_max: Duration,
    /// Whether missing queues are created, as PyQS does; not with `PYQS_CREATE_QUEUES=0`.
    pub creates_queues: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            attempts_max: 5,
            time_max: Duration::from_secs(30),
            creates_queues: true,
        }
    }
}

impl ClientSettings {
    /// The defaults, and what the environment says otherwise.
    pub fn from_environment() -> Result<Self, ClientError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ClientError> {
        let defaults = Self::default();
        let given = |name| variable(name).filter(|value: &String| !value.is_empty());
        let attempts_max = match given("AWS_MAX_ATTEMPTS") {
            None => defaults.attempts_max,
            Some(value) => match value.trim().parse() {
                Ok(attempts) if attempts >= 1 => attempts,
                _ => return Err(ClientError::BadMaxAttempts { value }),
            },
        };
        let creates_queues = match given("PYQS_CREATE_QUEUES") {
            None => defaults.creates_queues,
            Some(value) => {
                let value = value.trim().to_ascii_lowercase();
                !["0", "false", "no", "off"].contains(&value.as_str())
            }
        };
        Ok(Self {
            attempts_max,
            creates_queues,
            ..defaults
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ClientSettings;

    fn check(variables: &[(&str, &str)]) -> Result<(u32, bool), String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        ClientSettings::from_variables(variable)
            .map(|settings| (settings.attempts_max, settings.creates_queues))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_sets_attempts_and_creation() {
        assert_eq!(check(&[]), Ok((5, true)));
        assert_eq!(check(&[("AWS_MAX_ATTEMPTS", "2")]), Ok((2, true)));
        assert_eq!(check(&[("AWS_MAX_ATTEMPTS", "")]), Ok((5, true)));
        assert_eq!(check(&[("PYQS_CREATE_QUEUES", "0")]), Ok((5, false)));
        assert_eq!(check(&[("PYQS_CREATE_QUEUES", "False")]), Ok((5, false)));
        assert_eq!(check(&[("PYQS_CREATE_QUEUES", "1")]), Ok((5, true)));
        for bad in ["0", "-1", "many"] {
            let error = check(&[("AWS_MAX_ATTEMPTS", bad)]).unwrap_err();
            assert!(
                error.contains("AWS_MAX_ATTEMPTS") && error.contains(bad),
                "{error}"
            );
        }
    }
}
