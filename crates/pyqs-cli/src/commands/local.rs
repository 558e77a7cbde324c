//! `pyqs local`: the endpoint.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use access::AccessArgs;
use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use config_file::ConfigFile;
use pyqs_local::{
    Access, Config, DeadLetter, FaultPlan, FaultRule, QueueDeclaration, ServeError, Server, Sync,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::output;

mod access;
pub(crate) mod config_file;

/// Receives after which a message goes to the dead-letter queue, where `--queue` names no number: what Amazon's
/// own console proposes.
const RECEIVES_MAX_DEFAULT: u32 = 10;

/// The region to sign with where none is named.
const REGION_PRINTED: &str = "us-east-1";

/// Serve queues on this machine, as SQS does: for development, tests and single servers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", env = "PYQS_LOCAL_PORT", default_value_t = Config::default().address.port())]
    port: u16,
    /// The address to listen on; one that other machines reach (0.0.0.0 is all) needs keys, or --insecure
    #[arg(long, value_name = "ADDRESS", env = "PYQS_LOCAL_HOST", default_value_t = Config::default().address.ip(),
          value_parser = address)]
    host: IpAddr,
    #[command(flatten)]
    access: AccessArgs,
    /// Where queues and messages are kept [default: $XDG_DATA_HOME/pyqs, else ~/.local/share/pyqs; on macOS
    /// ~/Library/Application Support/pyqs]
    #[arg(long, value_name = "DIR", env = "PYQS_LOCAL_DATA")]
    data: Option<PathBuf>,
    /// Keep everything in memory only: at the end it is gone
    #[arg(long, env = "PYQS_LOCAL_MEMORY", value_parser = BoolishValueParser::new(), conflicts_with = "data")]
    memory: bool,
    /// How hard an answered request is on the disk: `normal` outlives the end of this process by any means, `full`
    /// the machine's losing power too
    #[arg(long, value_name = "HOW", env = "PYQS_LOCAL_SYNC", value_enum, default_value_t = SyncMode::Normal)]
    sync: SyncMode,
    /// A queue to have at the start, with its dead-letter queue and the receives before that: `email`,
    /// `email:email-dead`, `email:email-dead:3`
    #[arg(long = "queue", value_name = "NAME[:DEAD[:N]]", env = "PYQS_LOCAL_QUEUE", value_delimiter = ',',
          value_parser = queue)]
    queues: Vec<QueueDeclaration>,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    faults: FaultArgs,
    /// The account in queue URLs and ARNs: twelve digits
    #[arg(long, value_name = "DIGITS", env = "PYQS_LOCAL_ACCOUNT", default_value_t = Config::default().account)]
    account: String,
    /// The region in ARNs, and the only one that signatures may be for [default: the one that each request is signed
    /// for]
    #[arg(long, value_name = "NAME", env = "PYQS_LOCAL_REGION")]
    region: Option<String>,
    /// A TOML file with these options by their long names, and queues with attributes
    #[arg(long, value_name = "FILE", env = "PYQS_LOCAL_CONFIG", value_parser = ConfigFile::read)]
    config: Option<ConfigFile>,
}

/// Where SQS is stricter, or less strict, than this endpoint by itself.
#[derive(Debug, clap::Args)]
struct RuleArgs {
    /// Take queue names that SQS refuses, such as those with dots
    #[arg(long, env = "PYQS_LOCAL_LENIENT_NAMES", value_parser = BoolishValueParser::new())]
    lenient_names: bool,
    /// Refuse a second purge of a queue within 60 seconds, as SQS does
    #[arg(long, env = "PYQS_LOCAL_PURGE_COOLDOWN", value_parser = BoolishValueParser::new())]
    purge_cooldown: bool,
    /// Refuse to make a queue anew within 60 seconds of its deletion, as SQS does
    #[arg(long, env = "PYQS_LOCAL_DELETION_COOLDOWN", value_parser = BoolishValueParser::new())]
    deletion_cooldown: bool,
}

/// What goes wrong on purpose.
#[derive(Debug, clap::Args)]
struct FaultArgs {
    /// Make requests fail, to test what calls them: ACTION or `*`, then `error`, `throttle`, `expired`, `drop-before`,
    /// `drop-after`, `delay-before=MS`, `delay-after=MS` or `partial`, then the share that is hit; as in
    /// `DeleteMessageBatch:drop-after:0.05`
    #[arg(
        long = "fault",
        id = "faults",
        value_name = "ACTION:KIND[:RATE]",
        env = "PYQS_LOCAL_FAULT",
        value_delimiter = ','
    )]
    rules: Vec<FaultRule>,
    /// A file with one more such fault a line, read at every request: change it and the faults change
    #[arg(
        long = "fault-file",
        id = "fault_file",
        value_name = "FILE",
        env = "PYQS_LOCAL_FAULT_FILE"
    )]
    file: Option<PathBuf>,
    /// Which requests the faults hit: the same seed hits the same ones
    #[arg(
        long = "fault-seed",
        id = "fault_seed",
        value_name = "N",
        env = "PYQS_LOCAL_FAULT_SEED",
        default_value_t = 0
    )]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SyncMode {
    Normal,
    Full,
}

/// Reads `NAME[:DEAD[:N]]`.
fn queue(text: &str) -> Result<QueueDeclaration, &'static str> {
    let mut parts = text.split(':');
    let name = parts
        .next()
        .filter(|name| !name.is_empty())
        .ok_or("a queue has a name")?;
    let dead_letter = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => None,
        (Some(""), ..) => return Err("the dead-letter queue after ':' has no name"),
        (Some(dead), receives, None) => {
            let receives_max = match receives {
                Some(receives) => receives.parse().ok().filter(|n| (1..=1000).contains(n)),
                None => Some(RECEIVES_MAX_DEFAULT),
            };
            let receives_max = receives_max.ok_or("the number of receives is 1 to 1000")?;
            Some(DeadLetter {
                queue: dead.to_owned(),
                receives_max,
            })
        }
        _ => return Err("at most two ':', as in email:email-dead:3"),
    };
    Ok(QueueDeclaration {
        name: name.to_owned(),
        dead_letter,
        ..QueueDeclaration::default()
    })
}

fn address(text: &str) -> Result<IpAddr, &'static str> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        _ => text.parse().map_err(|_| "not an IP address"),
    }
}

/// Serves until a signal says stop.
pub(crate) fn run(args: Args) -> Result<()> {
    let config = args.into_config()?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start")?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<()> {
    let stop = StopSignals::listen()?;
    let kept = match &config.data {
        Some(folder) => format!("queues are kept in {}", folder.display()),
        None => "queues are kept in memory".to_owned(),
    };
    let is_faulty = !config.faults.rules.is_empty() || config.faults.file.is_some();
    let credentials = credentials_to_paste(&config);
    let has_keys = matches!(config.access, Access::Keys(_));
    let server = Server::bind(config).map_err(with_advice)?;
    output::data(&format!(
        "export AWS_ENDPOINT_URL={}\n{credentials}",
        server.url()
    ));
    if has_keys {
        output::note("signatures are verified: AWS_SECRET_ACCESS_KEY is the secret of that key");
    }
    output::note(&format!("{kept}; Ctrl-C stops"));
    if is_faulty {
        output::note("requests fail on purpose: faults were asked for");
    }
    server.run(stop.first()).await?;
    Ok(())
}

/// What a client needs besides the address: a key, any where none is asked for, and a region to sign with. A secret is
/// never shown.
fn credentials_to_paste(config: &Config) -> String {
    let keys = match &config.access {
        Access::Keys(keys) => keys.as_slice(),
        Access::Loopback | Access::Anyone => &[],
    };
    let key = match keys.first() {
        Some(key) => format!("AWS_ACCESS_KEY_ID={}", key.id),
        None => "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local".to_owned(),
    };
    let region = config.region.as_deref().unwrap_or(REGION_PRINTED);
    format!("export {key} AWS_DEFAULT_REGION={region}")
}

/// Adds what to do, where it can be said in terms of options.
fn with_advice(error: ServeError) -> anyhow::Error {
    let advice = match &error {
        ServeError::Bind { source, .. } if source.kind() == ErrorKind::AddrInUse => {
            "end what listens there, or take another port with --port N (0 takes a free one)"
        }
        ServeError::Open { .. } => {
            "have signatures verified with --credentials FILE (or --access-key-id and --secret-access-key), or let \
             everybody in with --insecure"
        }
        ServeError::Store(_) => "--data DIR names another folder, --memory needs none",
        _ => return error.into(),
    };
    anyhow!("{:#}; {advice}", anyhow::Error::from(error))
}

impl Args {
    fn into_config(self) -> Result<Config> {
        let data = match self.data {
            _ if self.memory => None,
            Some(folder) => Some(folder),
            None => Some(data_folder_default()?),
        };
        let declared = self.config.map(|file| file.queues).unwrap_or_default();
        let queues = if self.queues.is_empty() {
            declared
        } else {
            self.queues
        };
        Ok(Config {
            address: SocketAddr::new(self.host, self.port),
            tls: self.access.tls()?,
            access: self.access.access()?,
            data,
            sync: self.sync.into(),
            queues,
            lenient_names: self.rules.lenient_names,
            purge_cooldown: self.rules.purge_cooldown,
            deletion_cooldown: self.rules.deletion_cooldown,
            account: self.account,
            region: self.region,
            faults: FaultPlan {
                rules: self.faults.rules,
                file: self.faults.file,
                seed: self.faults.seed,
            },
        })
    }
}

impl From<SyncMode> for Sync {
    fn from(mode: SyncMode) -> Self {
        match mode {
            SyncMode::Normal => Self::Normal,
            SyncMode::Full => Self::Full,
        }
    }
}

/// The signals at which a server stops. Listened for before it starts, so that none is missed.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them.
    async fn first(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Where data is kept when nobody says: the folder that the system has for a user's data.
fn data_folder_default() -> Result<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = variable("XDG_DATA_HOME").filter(|folder| folder.is_absolute()) {
        return Ok(folder.join("pyqs"));
    }
    let home = variable("HOME")
        .context("no HOME, so no folder for the data: name one with --data DIR, or use --memory")?;
    let folder = if cfg!(target_os = "macos") {
        "Library/Application Support"
    } else {
        ".local/share"
    };
    Ok(home.join(folder).join("pyqs"))
}

#[cfg(test)]
mod tests {
    use super::{RECEIVES_MAX_DEFAULT, address, queue};

    #[test]
    fn queues_are_declared_with_their_dead_letter_queue() {
        let check = |text: &str, expected: Option<(&str, u32)>| {
            let declared = queue(text).unwrap();
            assert_eq!(declared.name, "email");
            let dead = declared.dead_letter.as_ref();
            assert_eq!(
                dead.map(|dead| (dead.queue.as_str(), dead.receives_max)),
                expected
            );
        };
        check("email", None);
        check("email:dead", Some(("dead", RECEIVES_MAX_DEFAULT)));
        check("email:dead:1", Some(("dead", 1)));
        check("email:dead:1000", Some(("dead", 1000)));
        for wrong in [
            "",
            ":dead",
            "email:",
            "email:dead:0",
            "email:dead:1001",
            "email:dead:x",
            "email:dead:1:2",
        ] {
            assert!(queue(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_ips() {
        for good in [
            "127.0.0.1",
            "::1",
            "localhost",
            "0.0.0.0",
            "::",
            "192.0.2.1",
        ] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["example.org", "127.0.0.1:80", ""] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
