//! What must hold when tasks start.

use std::time::Duration;

use pyqs_core::limits::{HEARTBEAT_NEEDS_MIN, PIPELINE_MAX};
use pyqs_core::{Instant, MessageKey, ProcessId};

use super::Checkers;
use crate::faults::{Plan, Poison};
use crate::sqs::{Sqs, timestamp};

impl Checkers {
    /// A process begins a run: its messages, in their order.
    pub(crate) fn begun_together(
        &mut self,
        now: Instant,
        plan: &Plan,
        sqs: &mut Sqs,
        run: &[MessageKey],
    ) {
        for (place, &message) in run.iter().enumerate() {
            self.begun(now, plan, sqs, message);
            let group = self.jobs[sqs.deliveries[&message].body.job].group;
            // What comes next of its group may run with it.
            if let Some(group) = group
                && place + 1 < run.len()
            {
                let group = self.groups.get_mut(&group).expect("it began");
                group.together.extend(group.running.take());
            }
        }
        self.groups.values_mut().for_each(|group| {
            if group.running.is_none() {
                group.running = group.together.pop_last();
            }
            group.together.clear();
        });
    }

    /// A process begins a task.
    fn begun(&mut self, now: Instant, plan: &Plan, sqs: &mut Sqs, message: MessageKey) {
        let delivery = sqs.deliveries.get_mut(&message).expect("a known delivery");
        assert!(
            !delivery.is_superseded,
            "{message:?} began after it was delivered again"
        );
        assert!(
            timestamp(now) < delivery.visible_at,
            "{message:?} began on a lapsed lease at {now}"
        );
        delivery.was_begun = true;
        let number = delivery.body.job;
        let record = &mut self.jobs[number];
        let due = plan.jobs[number].due.map(|due| Instant::ORIGIN + due);
        assert!(
            due.is_none_or(|due| due <= now),
            "job {number} began before it was due"
        );
        // SQS counts milliseconds.
        let postponed_until = record.postponed_until.filter(|_| self.is_calm);
        assert!(
            postponed_until.is_none_or(|at| at <= now + Duration::from_millis(1)),
            "job {number} began before the time that it was put off to"
        );
        let retry_at = record.retry_at.filter(|_| self.is_calm);
        assert!(
            retry_at.is_none_or(|at| at <= now + Duration::from_millis(1)),
            "job {number} began before its back-off was over"
        );
        assert!(!record.is_running, "job {number} runs twice at once");
        assert!(
            !record.is_known_done,
            "job {number} runs again, and is known to have succeeded"
        );
        record.is_running = true;
        record.runs += 1;
        self.begun += u64::from(plan.jobs[number].poison == Poison::No);
        record.began.get_or_insert(now);
        if let Some(group) = record.group {
            self.check_order(sqs, group, number);
        }
    }

    /// All that was sent before it in its group must have succeeded, or be on the dead-letter
    /// queue, and none may be running.
    fn check_order(&mut self, sqs: &Sqs, group: (u32, u32), number: usize) {
        let group = self.groups.get_mut(&group).expect("it was sent");
        let is_done = |job: usize| self.jobs[job].is_done();
        while group.sent.get(group.done).is_some_and(|&job| is_done(job)) {
            group.done += 1;
        }
        let mut dead = None;
        let mut before = group.done;
        while let Some(&first) = group.sent.get(before)
            && first != number
            && !is_done(number)
        {
            let is_dead = dead.get_or_insert_with(|| sqs.dead_jobs()).contains(&first);
            assert!(
                is_dead || is_done(first) || group.together.contains(&first),
                "job {number} began before job {first} was done"
            );
            before += 1;
        }
        let running = group.running.replace(number);
        assert!(
            running.is_none(),
            "job {number} began while job {running:?} of its group ran"
        );
    }

    /// Of one kind, no more than it wants, and not before it has waited for them.
    pub(super) fn dispatched_together(
        &mut self,
        now: Instant,
        plan: &Plan,
        sqs: &Sqs,
        dispatch: (ProcessId, &[(MessageKey, u32)], Instant),
    ) {
        let (process, messages, lease_until) = dispatch;
        let kind = |message: &MessageKey| {
            let job = &plan.jobs[sqs.deliveries[message].body.job];
            (job.queue, job.kind)
        };
        let (first, _) = messages[0];
        let is_same = messages
            .iter()
            .all(|(other, _)| kind(other) == kind(&first));
        assert!(is_same, "{first:?} starts with others of another kind");
        let gather = plan.gathers[&kind(&first)];
        assert!(
            messages.len() <= gather.max as usize,
            "{} in a run",
            messages.len()
        );
        let is_full = messages.len() == gather.max as usize;
        // Of what arrived in one group, only the first may be fit to start.
        let is_fifo = plan.queues[kind(&first).0 as usize].is_fifo;
        let is_cut = plan.settings.tasks_max.is_some();
        let waits = plan.settings.extend_visibility && !is_full && !is_fifo && !is_cut;
        assert!(
            !waits || self.arrived[&first] + gather.wait <= now,
            "{first:?} does not wait for others"
        );
        for &(message, attempt) in messages {
            let runs = self.jobs[sqs.deliveries[&message].body.job].runs;
            assert!(
                !self.is_calm || attempt == runs + 1,
                "{message:?} has run {runs} times, and attempt {attempt} begins"
            );
            if messages.len() > 1 {
                self.together.insert(message);
            } else {
                self.together.remove(&message);
            }
            if message != first {
                self.followers.insert(message);
            }
            self.dispatched(now, plan, sqs, (process, message, lease_until));
        }
    }

    pub(super) fn dispatched(
        &mut self,
        now: Instant,
        plan: &Plan,
        sqs: &Sqs,
        dispatch: (ProcessId, MessageKey, Instant),
    ) {
        let (process, message, lease_until) = dispatch;
        let delivery = &sqs.deliveries[&message];
        let share = plan.queues[delivery.queue as usize].share;
        assert!(
            self.held.contains(&message),
            "{message:?} is dispatched but not held"
        );
        assert_ne!(
            plan.jobs[delivery.body.job].poison,
            Poison::Unreadable,
            "unreadable, but dispatched"
        );
        assert!(
            lease_until > now,
            "{message:?} is dispatched on a lapsed lease"
        );
        let is_enough = lease_until.saturating_since(now) >= HEARTBEAT_NEEDS_MIN;
        assert!(
            is_enough || !plan.settings.extend_visibility,
            "{message:?} starts too late for a heartbeat"
        );
        let visible_at = delivery.visible_at.as_millis() + 1;
        let claimed = timestamp(lease_until).as_millis();
        assert!(
            claimed <= visible_at,
            "{message:?}: leased until {claimed}, visible at {visible_at}"
        );
        self.fresh_no_more(plan, sqs, message);
        assert_eq!(
            self.given.insert(message, process),
            None,
            "{message:?} is dispatched twice"
        );
        if self.followers.contains(&message) {
            return;
        }
        let record = self
            .processes
            .get_mut(&process)
            .expect("dispatched to a process that is there");
        record.given_now += 1;
        record.given_ever += 1;
        assert!(record.given_now <= PIPELINE_MAX);
        assert!(
            record.tasks_max.is_none_or(|max| record.given_ever <= max),
            "{process:?} is over its budget"
        );
        assert!(
            plan.settings.interval.is_zero() || record.given_now == 1,
            "no pipelining with --interval"
        );
        let pace = self.paces.entry(delivery.queue).or_default();
        pace.started(now, message, share.rate);
        let running = self.running_by_queue.entry(delivery.queue).or_default();
        *running += 1;
        let cap = share.tasks_max;
        assert!(
            cap.is_none_or(|cap| *running <= cap),
            "queue {} is over its cap",
            delivery.queue
        );
    }
}
