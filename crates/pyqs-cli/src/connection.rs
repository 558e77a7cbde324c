//! The options that say how to reach SQS, the same for every command that does.

use clap::Args;
use pyqs_sqs::ConnectOptions;

/// How to reach SQS.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// AWS region; else AWS_DEFAULT_REGION, AWS_REGION, the profile's, us-east-1
    #[arg(long, value_name = "NAME", env = "PYQS_REGION")]
    region: Option<String>,
    /// AWS access key; else the usual chain of environment, profiles, container and instance roles
    #[arg(
        long,
        value_name = "KEY",
        env = "PYQS_ACCESS_KEY_ID",
        requires = "secret_access_key"
    )]
    access_key_id: Option<String>,
    /// The secret to --access-key-id; its variable keeps it out of the process list
    #[arg(
        long,
        value_name = "SECRET",
        env = "PYQS_SECRET_ACCESS_KEY",
        requires = "access_key_id"
    )]
    secret_access_key: Option<String>,
    /// Where SQS is; else AWS_ENDPOINT_URL_SQS, AWS_ENDPOINT_URL, the profile's, Amazon's
    #[arg(long, value_name = "URL", env = "PYQS_ENDPOINT_URL")]
    endpoint_url: Option<String>,
}

impl From<ConnectionArgs> for ConnectOptions {
    fn from(args: ConnectionArgs) -> Self {
        // An empty variable is how a compose file leaves one out.
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            region: given(args.region),
            access_key_id: given(args.access_key_id),
            secret_access_key: given(args.secret_access_key),
            endpoint_url: given(args.endpoint_url),
        }
    }
}
