//! The commands, one file each: its options and its work.

pub(crate) mod local;
pub(crate) mod queues;
pub(crate) mod send;
pub(crate) mod worker;
