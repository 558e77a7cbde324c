//! Tasks that an earlier manager has left running: their processes end after them, and take no others.
//!
//! What they run is in their ledger; of their deaths the supervisor tells, whose children they are.

use pyqs_core::{Event, Instant, MessageKey, ProcessId as LaneId};
use rustix::process::{Pid, test_kill_process};

use super::TaskProcessId;
use super::claim::Claim;
use super::ledger::Ledger;
use super::pool::{Crash, Pool};
use super::successes::Mark;
use super::task_process::{Exit, TaskProcess};
use super::tasks::TasksSent;

/// A task that runs on although its manager is gone.
#[derive(Debug)]
pub(crate) struct LeftRunning {
    pub(crate) claim: Claim,
    pub(super) ledger: Ledger,
    pub(super) slot: u32,
}

impl LeftRunning {
    pub(crate) fn pid(&self) -> i32 {
        self.claim.pid.cast_signed()
    }
}

impl Pool {
    /// These are the processes of earlier managers that live.
    pub(crate) fn left_behind(&mut self, pids: &[i32]) {
        let mut running = self.ledger.left_running();
        running.retain(|left| pids.contains(&left.pid()));
        self.left_running = running;
    }

    /// What they run of a queue's messages, to be [adopted](Self::adopt).
    pub(crate) fn take_left_running(&mut self, queue_url: &str) -> Vec<LeftRunning> {
        let is_of_queue = |left: &mut LeftRunning| left.claim.queue_url == queue_url;
        self.left_running.extract_if(.., is_of_queue).collect()
    }

    /// Takes on a task that was left running, for these messages; the answer is what runs it.
    pub(crate) fn adopt(
        &mut self,
        left: LeftRunning,
        messages: &[(MessageKey, Mark)],
        now: Instant,
    ) -> LaneId {
        let pid = left.pid();
        let id = self.find_left_behind(pid).unwrap_or_else(|| {
            let id = self.new_process();
            let process = TaskProcess::left_behind(left.ledger, pid, now);
            self.processes.insert(id, process);
            id
        });
        let process = self.processes.get_mut(&id).expect("it is there by now");
        // Of one process no more than there are lanes run at once, as all managers of a worker have the same settings.
        let number = u32::try_from(process.lanes.len()).expect("as many lanes as a u32 says");
        let lane = LaneId(id.0 * self.settings.lanes + number);
        let tasks = TasksSent::left_behind(left.claim.sequence, messages);
        process.adopt(lane, left.slot, tasks);
        lane
    }

    /// A process of an earlier manager has ended.
    pub(crate) fn left_died(
        &mut self,
        pid: i32,
        exit: Exit,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> Option<Crash> {
        self.left_running.retain(|left| left.pid() != pid);
        let id = self.find_left_behind(pid)?;
        self.died(id, exit, now, events)
    }

    /// Buries those taken on that are gone, if the supervisor is, which else tells. To be called about twice a second.
    pub(crate) fn look_for_dead(&mut self, now: Instant, events: &mut Vec<Event>) -> Vec<Crash> {
        if !self.orphaned {
            return Vec::new();
        }
        let left = self.processes.values().filter(|left| left.is_left_behind());
        let pids = left.filter_map(|left| left.up.as_ref()).map(|up| up.pid);
        let is_gone =
            |pid: &i32| Pid::from_raw(*pid).is_none_or(|pid| test_kill_process(pid).is_err());
        let gone: Vec<i32> = pids.filter(is_gone).collect();
        gone.into_iter()
            .filter_map(|pid| self.left_died(pid, Exit::default(), now, events))
            .collect()
    }

    fn find_left_behind(&self, pid: i32) -> Option<TaskProcessId> {
        let has_pid = |process: &TaskProcess| process.up.as_ref().is_some_and(|up| up.pid == pid);
        let mut processes = self.processes.iter();
        let found = processes.find(|(_, process)| process.is_left_behind() && has_pid(process));
        found.map(|(&id, _)| id)
    }
}
