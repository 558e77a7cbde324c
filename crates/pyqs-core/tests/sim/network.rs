//! The way to SQS and back: latency, and what gets lost or refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pyqs_core::{
    Arrival, EntryReply, Event, GroupId, Instant, MessageKey, Onward, PollId, RequestId, TaskKind,
    Trouble, Work,
};

use crate::faults::Poison;
use crate::sqs::{Sqs, Waiting};
use crate::world::{Happening, World};

/// A request under way to SQS.
#[derive(Debug)]
pub(crate) enum Request {
    Receive(Waiting, Duration),
    Delete(RequestId, Vec<MessageKey>),
    Change(RequestId, Vec<(MessageKey, Duration)>),
    Forward(RequestId, Vec<(MessageKey, Onward)>),
}

impl World {
    /// Half of the endpoints handle a closed connection.
    pub(crate) fn abandon(&mut self, poll: PollId) {
        let is_waiting = self.sqs.waiting.iter().any(|ask| ask.poll == poll);
        if self.plan.seed.is_multiple_of(2) && is_waiting {
            self.sqs.waiting.retain(|ask| ask.poll != poll);
            self.lost_replies.remove(&poll);
            self.plan(
                Duration::ZERO,
                Happening::Inbox(Event::ReceiveFailed {
                    poll,
                    trouble: Trouble::Unreachable,
                }),
            );
        }
    }

    pub(crate) fn ask(&mut self, request: Request) {
        let there = self.latency();
        let faults = &self.plan.faults;
        let outage = faults
            .outage
            .filter(|outage| (outage.from..outage.until).contains(&self.now));
        let refusal = if let Some(outage) = outage {
            Some((outage.trouble, there))
        } else if self.rng.permille(faults.throttled) {
            Some((Trouble::Throttled, there))
        } else if self.rng.permille(faults.server_error) {
            Some((Trouble::ServerError, there))
        } else if self.rng.permille(faults.request_lost) {
            Some((Trouble::Unreachable, self.rng.micros(1_000, 3_000_000)))
        } else {
            None
        };
        match refusal {
            Some((trouble, after)) => self.fail(&request, trouble, after),
            None => self.plan(there, Happening::Ask(request)),
        }
    }

    fn fail(&mut self, request: &Request, trouble: Trouble, after: Duration) {
        let event = match *request {
            Request::Receive(ask, _) => Event::ReceiveFailed {
                poll: ask.poll,
                trouble,
            },
            Request::Delete(request, _) => Event::Deleted {
                request,
                reply: Err(trouble),
            },
            Request::Change(request, _) => Event::VisibilityChanged {
                request,
                reply: Err(trouble),
            },
            Request::Forward(request, _) => Event::Forwarded {
                request,
                reply: Err(trouble),
            },
        };
        self.plan(after, Happening::Inbox(event));
    }

    fn latency(&mut self) -> Duration {
        let most = u64::try_from(self.plan.faults.latency_max.as_micros()).expect("below a second");
        self.rng.micros(200, most.max(200))
    }

    /// A request reaches SQS.
    pub(crate) fn answer(&mut self, request: Request) {
        self.sqs.requests += 1;
        let is_reply_lost = self.rng.permille(self.plan.faults.reply_lost);
        let (request, event) = match request {
            Request::Receive(ask, wait) => {
                self.sqs.receives += 1;
                if is_reply_lost {
                    self.lost_replies.insert(ask.poll);
                }
                let keys = self.sqs.receive(self.now, ask);
                if keys.is_empty() && !wait.is_zero() {
                    self.sqs.waiting.push(ask);
                    return self.plan(wait, Happening::WaitEnds(ask.poll));
                }
                return self.answer_receive(ask, keys);
            }
            Request::Delete(request, messages) => {
                let reply = self.answer_batch(&messages, Sqs::delete);
                (
                    Request::Delete(request, Vec::new()),
                    Event::Deleted {
                        request,
                        reply: Ok(reply),
                    },
                )
            }
            Request::Forward(request, messages) => {
                let onwards: BTreeMap<_, _> = messages.iter().copied().collect();
                let keys: Vec<_> = messages.iter().map(|&(message, _)| message).collect();
                let chance = self.plan.faults.send_refused;
                let refused: BTreeSet<_> = keys
                    .iter()
                    .filter(|_| self.rng.permille(chance))
                    .copied()
                    .collect();
                let reply = self.answer_batch(&keys, |sqs, now, key| {
                    if refused.contains(&key) {
                        return EntryReply::Refused;
                    }
                    sqs.send_on(now, key, onwards[&key]);
                    EntryReply::Done
                });
                self.checkers.sent_on(&self.sqs, &onwards, &reply);
                (
                    Request::Forward(request, messages),
                    Event::Forwarded {
                        request,
                        reply: Ok(reply),
                    },
                )
            }
            Request::Change(request, messages) => {
                let lengths: BTreeMap<_, _> = messages.iter().copied().collect();
                let keys: Vec<_> = messages.iter().map(|&(message, _)| message).collect();
                let reply = self.answer_batch(&keys, |sqs, now, key| {
                    sqs.change_visibility(now, key, lengths[&key])
                });
                (
                    Request::Change(request, Vec::new()),
                    Event::VisibilityChanged {
                        request,
                        reply: Ok(reply),
                    },
                )
            }
        };
        if is_reply_lost {
            if let Request::Forward(_, messages) = &request {
                self.checkers.sends.unsure(&self.sqs, messages);
            }
            let after = self.rng.micros(1_000, 10_000_000);
            self.fail(&request, Trouble::TimedOut, after);
        } else {
            let back = self.latency();
            self.tell(back, event);
        }
    }

    fn answer_batch(
        &mut self,
        messages: &[MessageKey],
        each: impl Fn(&mut Sqs, Instant, MessageKey) -> EntryReply,
    ) -> Vec<(MessageKey, EntryReply)> {
        let chance = self.plan.faults.entry_failed;
        let replies = messages.iter().map(|&message| {
            let is_failed = self.rng.permille(chance);
            let reply = if is_failed {
                EntryReply::Failed
            } else {
                each(&mut self.sqs, self.now, message)
            };
            (message, reply)
        });
        replies.collect()
    }

    pub(crate) fn answer_receive(&mut self, ask: Waiting, keys: Vec<MessageKey>) {
        if self.lost_replies.remove(&ask.poll) {
            let after = self.rng.micros(1_000, 5_000_000);
            let event = Event::ReceiveFailed {
                poll: ask.poll,
                trouble: Trouble::TimedOut,
            };
            return self.plan(after, Happening::Inbox(event));
        }
        let messages = keys.into_iter().map(|key| self.arrival(key)).collect();
        let back = self.latency();
        self.tell(
            back,
            Event::Received {
                poll: ask.poll,
                messages,
            },
        );
    }

    pub(crate) fn arrival(&self, key: MessageKey) -> Arrival {
        let delivery = &self.sqs.deliveries[&key];
        let body = delivery.body;
        let job = &self.plan.jobs[body.job];
        let work = match job.poison {
            Poison::Unreadable => Work::Poison,
            Poison::No | Poison::Unrunnable => Work::Task(TaskKind(job.queue * 10 + job.kind)),
        };
        Arrival {
            hop_id: body.is_hop.then(|| delivery.message_id.as_str().into()),
            receive_count: delivery.receives,
            attempts_before: body.attempts,
            group: job.group.map(|group| GroupId::from(group.to_string())),
            due: body.due.or(job.due.map(|due| Instant::ORIGIN + due)),
            expires: job.expires.map(|expires| Instant::ORIGIN + expires),
            gather: self.plan.gather(body.job),
            bytes: self.plan.bytes(body.job),
            ..Arrival::new(key, self.sqs.logical_id(key).into(), work)
        }
    }
}
