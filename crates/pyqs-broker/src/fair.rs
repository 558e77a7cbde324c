//! Fair queues: message groups on a standard queue are tenants, and one that keeps many consumers
//! busy lets the others go first.
//!
//! A tenant is noisy when at least 30 of its messages are in flight and they are more than a tenth
//! of all that are (AWS: sqs-fair-queues-detailed). It is quiet again when nothing of it waits, or
//! when nothing was sent for it in five minutes. Among quiet tenants, and among noisy ones, the
//! oldest message goes first. A message without a group is a tenant of its own, which is never
//! noisy. What AWS measures beside that, a tenant's share of the consumers' time, is not measured.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::MessageKey;
use crate::message::Phase;
use crate::time::Timestamp;

/// A tenant with fewer messages in flight is not noisy, however large its share.
const NOISY_IN_FLIGHT_MIN: usize = 30;
/// A tenant with no more than one in that many of all messages in flight is not noisy.
const NOISY_SHARE: usize = 10;
/// How long after its last message was sent a tenant may be noisy, in seconds.
const NOISY_SECS: u32 = 300;

/// The order of a standard queue.
#[derive(Debug, Default)]
pub(crate) struct Fair {
    /// Receivable messages without a group.
    loose: BTreeSet<MessageKey>,
    tenants: BTreeMap<Arc<str>, Tenant>,
    /// Tenants with receivable messages, by the oldest of these.
    quiet: BTreeMap<MessageKey, Arc<str>>,
    noisy: BTreeMap<MessageKey, Arc<str>>,
    /// Noisy tenants by when they are quiet again for want of sends, whatever else happens.
    expiries: BTreeSet<(Timestamp, Arc<str>)>,
    in_flight: usize,
}

#[derive(Debug, Default)]
struct Tenant {
    ready: BTreeSet<MessageKey>,
    delayed: usize,
    in_flight: usize,
    last_sent: Timestamp,
    /// Set while it is noisy: its place in `Fair::expiries`.
    noisy_until: Option<Timestamp>,
    /// Under which key it stands in `Fair::quiet` or `Fair::noisy`.
    listed: Option<MessageKey>,
}

impl Fair {
    pub(crate) fn enter(&mut self, key: MessageKey, group: Option<&Arc<str>>, phase: Phase) {
        if matches!(phase, Phase::InFlight { .. }) {
            self.in_flight += 1;
        }
        let Some(group) = group else {
            if phase == Phase::Ready {
                self.loose.insert(key);
            }
            return;
        };
        let tenant = self.tenants.entry(Arc::clone(group)).or_default();
        match phase {
            Phase::Ready => drop(tenant.ready.insert(key)),
            Phase::Delayed { .. } => tenant.delayed += 1,
            Phase::InFlight { .. } => tenant.in_flight += 1,
        }
        self.list(group);
    }

    pub(crate) fn leave(&mut self, key: MessageKey, group: Option<&Arc<str>>, phase: Phase) {
        if matches!(phase, Phase::InFlight { .. }) {
            self.in_flight -= 1;
        }
        let Some(group) = group else {
            self.loose.remove(&key);
            return;
        };
        let Some(tenant) = self.tenants.get_mut(group) else {
            return;
        };
        match phase {
            Phase::Ready => drop(tenant.ready.remove(&key)),
            Phase::Delayed { .. } => tenant.delayed -= 1,
            Phase::InFlight { .. } => tenant.in_flight -= 1,
        }
        self.list(group);
    }

    /// A message of the group was sent at that time.
    pub(crate) fn sent(&mut self, group: &Arc<str>, at: Timestamp) {
        if let Some(tenant) = self.tenants.get_mut(group) {
            tenant.last_sent = tenant.last_sent.max(at);
        }
    }

    pub(crate) fn oldest(&self) -> Option<MessageKey> {
        let heads = [&self.quiet, &self.noisy].into_iter();
        let heads = heads.filter_map(|tenants| tenants.keys().next());
        heads.chain(self.loose.first()).min().copied()
    }

    /// Up to `max` messages to give out now. Looks at `max` tenants of each kind at most, and at
    /// `max` messages of each of these.
    pub(crate) fn next_batch(&mut self, now: Timestamp, max: usize) -> Vec<MessageKey> {
        self.calm(now);
        let mut batch: Vec<_> = self.loose.iter().copied().take(max).collect();
        if !self.quiet.is_empty() {
            batch.extend(self.heads(&self.quiet, max));
            batch.sort_unstable();
            batch.truncate(max);
        }
        if batch.len() < max && !self.noisy.is_empty() {
            let mut noisy: Vec<_> = self.heads(&self.noisy, max).collect();
            noisy.sort_unstable();
            noisy.truncate(max - batch.len());
            batch.extend(noisy);
        }
        batch
    }

    /// The first messages of the first tenants: the oldest `max` of all are among them.
    fn heads<'a>(
        &'a self,
        tenants: &'a BTreeMap<MessageKey, Arc<str>>,
        max: usize,
    ) -> impl Iterator<Item = MessageKey> + 'a {
        let first = tenants.values().take(max);
        first
            .filter_map(|group| self.tenants.get(group))
            .flat_map(move |tenant| tenant.ready.iter().copied().take(max))
    }

    /// Ends the noise of those for whom nothing was sent for long; sends since then put it off.
    fn calm(&mut self, now: Timestamp) {
        while self
            .expiries
            .first()
            .is_some_and(|(until, _)| *until <= now)
        {
            let Some((until, group)) = self.expiries.pop_first() else {
                return;
            };
            let Some(tenant) = self.tenants.get_mut(&group) else {
                continue;
            };
            let latest = tenant.last_sent.plus_secs(NOISY_SECS);
            if latest > until && latest > now {
                tenant.noisy_until = Some(latest);
                self.expiries.insert((latest, group));
            } else {
                self.relist(&group, None);
            }
        }
    }

    /// Brings lists and noise up to date for one tenant, and forgets an empty one.
    fn list(&mut self, group: &Arc<str>) {
        let Some(tenant) = self.tenants.get(group) else {
            return;
        };
        let is_busy = tenant.in_flight >= NOISY_IN_FLIGHT_MIN
            && tenant.in_flight * NOISY_SHARE > self.in_flight;
        let noisy_until = match tenant.noisy_until {
            _ if tenant.ready.is_empty() => None,
            None if is_busy => Some(tenant.last_sent.plus_secs(NOISY_SECS)),
            unchanged => unchanged,
        };
        self.relist(group, noisy_until);
    }

    fn relist(&mut self, group: &Arc<str>, noisy_until: Option<Timestamp>) {
        let Some(tenant) = self.tenants.get_mut(group) else {
            return;
        };
        let head = tenant.ready.first().copied();
        if (tenant.listed, tenant.noisy_until) != (head, noisy_until) {
            if let Some(old) = tenant.listed {
                self.quiet.remove(&old);
                self.noisy.remove(&old);
            }
            if let Some(until) = tenant.noisy_until {
                self.expiries.remove(&(until, Arc::clone(group)));
            }
            let list = match noisy_until {
                Some(until) => {
                    self.expiries.insert((until, Arc::clone(group)));
                    &mut self.noisy
                }
                None => &mut self.quiet,
            };
            if let Some(head) = head {
                list.insert(head, Arc::clone(group));
            }
            tenant.listed = head;
            tenant.noisy_until = noisy_until;
        }
        if head.is_none() && tenant.delayed == 0 && tenant.in_flight == 0 {
            self.tenants.remove(group);
        }
    }
}
