//! The manager's process: its start and its end.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use pyqs_core::Consumer;
use pyqs_sqs::{ConnectError, QueueArgumentError, Sqs};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use crate::clock;
use crate::discover::Discovery;
use crate::driver::{Driver, End};
use crate::files;
use crate::http_options::HttpOptions;
use crate::inbound::Inbound;
use crate::observe::Log;
use crate::process::control::{ControlReader, Supervisor};
use crate::process::ledger::Ledger;
use crate::process::pool::{Pool, PoolSettings};
use crate::reading::Reading;
use crate::requests::Requests;
use crate::settings::{LogLevel, WorkerSettings};
use crate::status::{Board, Serve};

/// What is still to be said to the supervisor at the end is given up after this long.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);

/// Threads of the runtime, at most; a request costs about 0.1 ms, so four carry some ten thousand a
/// second.
const THREADS_MAX: usize = 4;

/// Runs a manager on SQS until it is told to stop; the answer is the process's exit code, 1 when it
/// can't start.
///
/// `control` is its end of the control channel ([`crate::process::control`]); `ledger` was made for this
/// manager alone, before any of its task processes was forked; `serve` shows the worker by HTTP where the settings
/// want it. Blocks, and makes its own runtime.
pub fn run(settings: WorkerSettings, control: OwnedFd, ledger: Ledger, serve: Serve) -> i32 {
    block_on(async move {
        let options = settings.connection.clone();
        let connect = async move {
            let sqs = pyqs_sqs::connect(&options).await?;
            Ok(Arc::new(sqs) as Arc<dyn Sqs>)
        };
        // Boxed, since the AWS SDK's part is large.
        let connect = Box::pin(connect);
        manage(settings, control, ledger, Some(serve), connect).await
    })
}

/// The same on anything that speaks as SQS does, and not shown by HTTP.
pub fn run_on(
    settings: WorkerSettings,
    control: OwnedFd,
    ledger: Ledger,
    sqs: Arc<dyn Sqs>,
) -> i32 {
    block_on(manage(settings, control, ledger, None, async { Ok(sqs) }))
}

fn block_on(manage: impl Future<Output = io::Result<End>>) -> i32 {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.min(THREADS_MAX))
        .thread_name("pyqs-manager")
        .enable_all()
        .build();
    match runtime.and_then(|runtime| {
        let end = runtime.block_on(manage);
        // Only requests that were given up are left.
        runtime.shutdown_background();
        end
    }) {
        Ok(End::Stopped) => 0,
        // Either the supervisor was told why, or it can't be spoken to.
        Ok(End::Fatal(_)) | Err(_) => 1,
    }
}

/// An error means that the supervisor can't be spoken to.
async fn manage(
    settings: WorkerSettings,
    control: OwnedFd,
    ledger: Ledger,
    serve: Option<Serve>,
    connect: impl Future<Output = Result<Arc<dyn Sqs>, ConnectError>>,
) -> io::Result<End> {
    let control = std::os::unix::net::UnixStream::from(control);
    control.set_nonblocking(true)?;
    let control = Arc::new(UnixStream::from_std(control)?);
    let (supervisor, writer) = Supervisor::new(Arc::clone(&control));
    let (sender, inbound) = mpsc::unbounded_channel();
    let is_first = ledger.is_first();
    let mut beside = JoinSet::new();
    beside.spawn(read_control(ControlReader::new(control), sender.clone()));

    let end = match connect.await {
        Ok(sqs) => {
            let parts = Parts {
                settings,
                ledger,
                serve,
                supervisor: supervisor.clone(),
                sqs,
                sender,
                inbound,
            };
            drive(parts, &mut beside).await
        }
        Err(error) => End::Fatal(error.to_string()),
    };
    match &end {
        End::Fatal(reason) if is_first => supervisor.fatal(reason.clone()),
        // The worker had started, so this may pass: the supervisor starts another manager, ever more slowly.
        End::Fatal(reason) => supervisor.log(LogLevel::Error.number(), reason.clone()),
        End::Stopped => {}
    }
    beside.shutdown().await;
    drop(supervisor);
    // The writer ends once all is said. A supervisor that does not read is not waited for.
    let _ = tokio::time::timeout(LAST_WORDS_MAX, writer).await;
    Ok(end)
}

struct Parts {
    settings: WorkerSettings,
    ledger: Ledger,
    serve: Option<Serve>,
    supervisor: Supervisor,
    sqs: Arc<dyn Sqs>,
    sender: UnboundedSender<Inbound>,
    inbound: UnboundedReceiver<Inbound>,
}

async fn drive(parts: Parts, beside: &mut JoinSet<()>) -> End {
    let Parts {
        settings,
        ledger,
        serve,
        supervisor,
        sqs,
        sender,
        inbound,
    } = parts;
    let log = Log::new(supervisor.clone(), settings.log_level);
    if let Err(reason) = files::make_room(settings.concurrency) {
        return End::Fatal(reason);
    }
    let reading = match Reading::new(&settings) {
        Ok(reading) => reading,
        Err(error) => return End::Fatal(error.to_string()),
    };
    let mut board = None;
    if let (Some(options), Some(serve)) = (&settings.http, serve) {
        let shown = board.insert(Board::default()).clone();
        match show(options, serve, shown, &log) {
            Ok(shown) => drop(beside.spawn(shown)),
            Err(reason) if ledger.is_first() => return End::Fatal(reason),
            // What runs already is worth more.
            Err(reason) => log.error(|| reason),
        }
    }
    match Discovery::new(&settings, Arc::clone(&sqs), sender.clone(), log.clone()) {
        Ok(discovery) if ledger.is_first() => beside.spawn(discovery.run()),
        Ok(discovery) => beside.spawn(discovery.for_successor().run()),
        Err(error) => return End::Fatal(QueueArgumentError::to_string(&error)),
    };
    let pool_settings = PoolSettings {
        concurrency: settings.concurrency.max(1) as usize,
        lanes: settings.threads,
        tasks_max: settings.tasks_max(),
        memory_max: settings.max_memory_per_child,
        drain_timeout: settings.drain_timeout,
    };
    let pool = Pool::new(
        pool_settings,
        ledger,
        supervisor,
        log.clone(),
        sender.clone(),
    );
    let seed = clock::now_nanos() ^ u64::from(std::process::id());
    let consumer = Consumer::new(settings.core(), seed);
    let requests = Requests::new(sqs, sender, reading);
    // On a thread of the runtime, which wakes it for what that thread has read itself without waking another.
    let driver = Driver::new(consumer, requests, pool, log, board);
    match tokio::spawn(driver.run(inbound)).await {
        Ok(end) => end,
        // It is never aborted.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Listens, and says where.
fn show(
    options: &HttpOptions,
    serve: Serve,
    board: Board,
    log: &Log,
) -> Result<impl Future<Output = ()> + use<>, String> {
    let address = options.address;
    let bound = TcpListener::bind(address).and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    let (listener, address) =
        bound.map_err(|error| format!("can't listen on {address}, which --http names: {error}"))?;
    log.info(|| format!("Metrics are at http://{address}/metrics"));
    Ok(serve(listener, options.token.clone(), board))
}

async fn read_control(mut control: ControlReader, inbound: UnboundedSender<Inbound>) {
    let fault = loop {
        match control.next().await {
            Ok(Some((line, socket))) => {
                // The driver is gone only at the very end.
                let _ = inbound.send(Inbound::Control(line, socket));
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    // As above.
    let _ = inbound.send(Inbound::ControlClosed(fault));
}
