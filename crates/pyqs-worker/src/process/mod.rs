//! Task processes: who they are, how they are spoken to, what they leave behind.
//!
//! [`outcome`] is how tasks end, [`ledger`] the memory shared with them (of `shared` words), with the `successes`
//! that outlive a manager and the `claim` to what each task runs for, [`wire`] the frames on their sockets, [`child`] their own end of it (of whose socket `identity` makes sure), where [`job`] is what
//! arrives ([`unmanaged`] where no manager brings it) and [`after_task`] what is to be sent after it, [`control`] the way to the
//! supervisor, which forks them. In the manager, `pool` keeps as many of them as are wanted (`crash_loop`
//! slows it down, `memory` sees who has grown too large, `overtime` ends what runs for too long, `adoption` takes on what
//! an earlier manager has left running);
//! `task_process` is one of them, with its lanes, `link` the end of its socket, and `tasks` what one lane
//! was given; [`task_crash`] is what is told of a task that has ended with its process.
//!
//! A process that runs several tasks at once has as many lanes. To the core each lane is a process of its
//! own, with its own line of tasks; that several live and die together is known only here.

pub(crate) mod adoption;
pub mod after_task;
pub mod child;
pub(crate) mod claim;
pub mod control;
pub(crate) mod crash_loop;
mod identity;
pub mod job;
pub mod ledger;
pub(crate) mod link;
mod memory;
pub mod outcome;
pub(crate) mod overtime;
pub(crate) mod pool;
mod shared;
pub(crate) mod successes;
pub mod task_crash;
pub(crate) mod task_process;
pub(crate) mod tasks;
pub mod unmanaged;
pub mod wire;

/// A task process, as the manager numbers them for the supervisor; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskProcessId(pub(crate) u32);
