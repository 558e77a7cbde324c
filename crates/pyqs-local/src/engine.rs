//! The broker with a clock, long polls and a store: every request ends here.
//!
//! One mutex holds the [`State`]; an action takes it for the microseconds that the broker needs
//! and never across an `.await`. What an action changed goes to the [`commit`] thread in the same
//! order, and its answer waits there for its transaction, together with all that came meanwhile.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyqs_broker::{Broker, Settings, Timestamp};
use tokio::sync::Notify;

use crate::config::Config;
use crate::content::Body;
use crate::error::ApiError;
use crate::server::ServeError;
use crate::store::sqlite::SqliteStore;
use crate::store::{Contents, Store};

mod commit;
mod declare;
mod full;
mod handover;
mod held;
mod polls;

pub(crate) use handover::{Handover, Unconfirmed};

use commit::{Committer, Ticket};
use held::HeldBodies;
use polls::Polls;

/// Contents of that many bytes stay in memory though the store has them: what is received soon
/// after it was sent needs no read.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest sleep of the timer: a bound on how late a step of the wall clock is noticed.
const TICK_MAX: Duration = Duration::from_secs(5);

/// The engine, shared by all connections.
pub(crate) struct Engine {
    state: Mutex<State>,
    /// Told when the timer must look at its deadline again.
    timer: Notify,
    /// Where contents are that aren't held in memory; `None` when everything is.
    contents: Option<Arc<dyn Contents>>,
}

struct State {
    broker: Broker<Body>,
    polls: Polls,
    committer: Committer,
    held: HeldBodies,
    /// When the timer rings next.
    armed: Option<Timestamp>,
    is_stopping: bool,
    /// The store's disk is full: nothing is taken in.
    is_full: bool,
}

impl Engine {
    /// Opens the store that `config` names, or none, and makes the declared queues.
    pub(crate) fn open(config: &Config) -> Result<Arc<Self>, ServeError> {
        let settings = Settings {
            seed: random_seed(),
            lenient_names: config.lenient_names,
            purge_cooldown: config.purge_cooldown,
            deletion_cooldown: config.deletion_cooldown,
            journal: config.data.is_some(),
        };
        let Some(folder) = &config.data else {
            return Self::start(Broker::new(settings), None, config, HELD_BYTES_MAX);
        };
        let (mut store, contents) = SqliteStore::open(folder, config.sync)?;
        let broker = store.restore(settings, settings.seed)?;
        let parts: (Box<dyn Store>, Arc<dyn Contents>) = (Box::new(store), Arc::new(contents));
        Self::start(broker, Some(parts), config, HELD_BYTES_MAX)
    }

    /// An engine around a broker and, where it journals, the store for its changes.
    fn start(
        mut broker: Broker<Body>,
        store: Option<(Box<dyn Store>, Arc<dyn Contents>)>,
        config: &Config,
        held_bytes_max: usize,
    ) -> Result<Arc<Self>, ServeError> {
        declare::all(&mut broker, config)?;
        let (store, contents) = store.unzip();
        Ok(Arc::new_cyclic(|engine| {
            let start = |store| Committer::start(store, Weak::clone(engine));
            let mut committer = store.map_or_else(Committer::none, start);
            committer.submit(broker.take_changes(), false);
            let state = State {
                broker,
                polls: Polls::default(),
                committer,
                held: HeldBodies::up_to(held_bytes_max),
                armed: None,
                is_stopping: false,
                is_full: false,
            };
            Self {
                state: Mutex::new(state),
                timer: Notify::new(),
                contents,
            }
        }))
    }

    /// Does something that may change the broker, and waits until the change is kept.
    pub(crate) async fn act<T>(
        self: &Arc<Self>,
        action: impl FnOnce(&mut Broker<Body>, Timestamp) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.act_if(|_| Ok(()), action).await
    }

    /// The same for what takes messages in: refused while the disk is full.
    pub(crate) async fn take_in<T>(
        self: &Arc<Self>,
        action: impl FnOnce(&mut Broker<Body>, Timestamp) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.act_if(State::refuse_if_full, action).await
    }

    async fn act_if<T>(
        self: &Arc<Self>,
        check: fn(&State) -> Result<(), ApiError>,
        action: impl FnOnce(&mut Broker<Body>, Timestamp) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let (outcome, ticket) = {
            let mut state = self.lock();
            state.refuse_if_unable()?;
            check(&state)?;
            let outcome = action(&mut state.broker, now());
            let ticket = state.submit();
            self.settle(&mut state);
            (outcome?, ticket)
        };
        ticket.kept().await?;
        Ok(outcome)
    }

    /// Looks at the broker.
    pub(crate) fn look<T>(
        &self,
        view: impl FnOnce(&Broker<Body>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut state = self.lock();
        state.broker.advance(now());
        view(&state.broker)
    }

    /// Lets happen what is due; returns how long until the next time.
    pub(crate) fn tick(self: &Arc<Self>) -> Duration {
        let mut state = self.lock();
        let now = state.broker.advance(now());
        self.settle(&mut state);
        let next = state.broker.next_wakeup();
        let sleep = next.map_or(TICK_MAX, |next| {
            Duration::from_millis(next.as_millis().saturating_sub(now.as_millis()))
        });
        let sleep = sleep.min(TICK_MAX);
        state.armed = Some(now + sleep);
        sleep
    }

    /// Rings when [`tick`](Self::tick) must be called before its time.
    pub(crate) async fn rearmed(&self) {
        self.timer.notified().await;
    }

    /// Ends all long polls with what they have, which is nothing; those that still come, too.
    pub(crate) fn stop_polls(&self) {
        let mut state = self.lock();
        state.is_stopping = true;
        state.polls.end_all();
    }

    /// Writes what is left to write and ends the thread that does it.
    pub(crate) fn close(&self) {
        let committer = std::mem::replace(&mut self.lock().committer, Committer::none());
        committer.close();
    }

    /// After a change: whoever waits for a message gets it, and the timer learns of an earlier
    /// deadline.
    fn settle(self: &Arc<Self>, state: &mut State) {
        state.serve_polls(self);
        // What came due on the way, and receives undone for polls that had gone.
        state.submit_unawaited();
        let is_earlier = match (state.broker.next_wakeup(), state.armed) {
            (Some(next), Some(armed)) => next < armed,
            (next, None) => next.is_some(),
            (None, _) => false,
        };
        // Without a poll nobody notices, and what is due happens with the next request; but a move
        // task goes on by itself.
        if is_earlier && (!state.polls.is_empty() || state.broker.is_moving()) {
            state.armed = None;
            self.timer.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The broker asserts its invariants before it changes anything; serving on is better than
        // refusing everybody for one request's panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn refuse_if_unable(&self) -> Result<(), ApiError> {
        if self.is_stopping {
            return Err(ApiError::Stopping);
        }
        if self.committer.is_failing() {
            return Err(ApiError::StoreUnavailable);
        }
        Ok(())
    }

    fn refuse_if_full(&self) -> Result<(), ApiError> {
        if self.is_full {
            return Err(ApiError::DiskFull);
        }
        Ok(())
    }

    /// Hands the changes so far to the store.
    fn submit(&mut self) -> Ticket {
        let changes = self.broker.take_changes();
        self.held
            .note(&self.broker, &changes, self.committer.submitted() + 1);
        let ticket = self.committer.submit(changes, true);
        self.held.shrink(&mut self.broker, self.committer.durable());
        ticket
    }

    /// The same for changes that nobody waits for.
    fn submit_unawaited(&mut self) {
        let changes = self.broker.take_changes();
        if !changes.is_empty() {
            self.held
                .note(&self.broker, &changes, self.committer.submitted() + 1);
            self.committer.submit(changes, false);
        }
    }
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 reads as 1970; the broker only ever goes forward.
    Timestamp::default() + since_epoch.unwrap_or_default()
}

/// From the keys that the standard library draws for its hash maps.
fn random_seed() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(0));
    half() << 64 | half()
}

#[cfg(test)]
mod tests;
