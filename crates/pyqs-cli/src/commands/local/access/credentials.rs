//! Access keys from a file as the AWS tools have it: `~/.aws/credentials`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use pyqs_local::AccessKey;

/// The keys of all profiles. Profiles without one, as those of roles, are passed over.
pub(super) fn read(file: &Path) -> Result<Vec<AccessKey>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read credentials from {}", file.display()))?;
    let keys = parse(&text).with_context(|| format!("cannot use {}", file.display()))?;
    if keys.is_empty() {
        bail!(
            "no access key in {}: a profile has aws_access_key_id = ... and aws_secret_access_key = ...",
            file.display()
        );
    }
    Ok(keys)
}

#[derive(Default)]
struct Profile {
    name: String,
    id: Option<String>,
    secret: Option<String>,
}

fn parse(text: &str) -> Result<Vec<AccessKey>> {
    let mut profiles = vec![Profile::default()];
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            profiles.push(Profile {
                name: name.trim().to_owned(),
                ..Profile::default()
            });
            continue;
        }
        // A line that is neither is never shown: it may be a secret gone astray.
        let (Some((name, value)), Some(profile)) = (line.split_once('='), profiles.last_mut())
        else {
            continue;
        };
        let value = Some(value.trim().to_owned());
        match name.trim().to_ascii_lowercase().as_str() {
            "aws_access_key_id" => profile.id = value,
            "aws_secret_access_key" => profile.secret = value,
            _ => {}
        }
    }
    let mut keys = Vec::new();
    for Profile { name, id, secret } in profiles {
        match (id, secret) {
            (Some(id), Some(secret)) => keys.push(AccessKey {
                id,
                secret: secret.into(),
            }),
            (None, None) => {}
            (Some(_), None) => bail!("the profile [{name}] has no aws_secret_access_key"),
            (None, Some(_)) => bail!("the profile [{name}] has no aws_access_key_id"),
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_with_keys_are_found() {
        let text = "# two\n[default]\naws_access_key_id = A\naws_secret_access_key=a=/+\n\n[role]\n\
                    role_arn = x\nnonsense\n; and\n[ b ]\nAWS_ACCESS_KEY_ID=B\n\
                    aws_secret_access_key = b\naws_session_token = t\n";
        let keys = parse(text).unwrap();
        let keys: Vec<_> = keys
            .iter()
            .map(|key| (key.id.as_str(), key.secret.reveal()))
            .collect();
        assert_eq!(keys, [("A", "a=/+"), ("B", "b")]);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn halves_of_keys_are_refused_without_showing_them() {
        for (text, lacks) in [
            (
                "[b]\naws_secret_access_key = hidden\n",
                "the profile [b] has no aws_access_key_id",
            ),
            (
                "[b]\naws_access_key_id = B\n",
                "the profile [b] has no aws_secret_access_key",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(format!("{error:#}"), lacks);
        }
    }
}
