//! Task processes: who they are, how they are spoken to, what they leave behind.
//!
//! [`ledger`] is the memory shared with them (of `shared` words), with the `successes` that outlive a manager, [`wire`] the frames on their sockets, [`child`] their own
//! end of it, [`control`] the way to the supervisor, which forks them. In the manager, `pool` keeps as
//! many of them as are wanted (`crash_loop` slows it down), `link` is its end of one process's socket, and
//! `tasks` knows what that process was given.

pub mod child;
pub mod control;
pub(crate) mod crash_loop;
pub mod ledger;
pub(crate) mod link;
pub(crate) mod pool;
mod shared;
pub(crate) mod successes;
pub(crate) mod tasks;
pub mod wire;
