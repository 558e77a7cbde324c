//! The commands, one file each: its options and its work.

pub(crate) mod config;
pub(crate) mod decode;
pub(crate) mod doctor;
pub(crate) mod local;
pub(crate) mod peek;
pub(crate) mod queues;
pub(crate) mod send;
pub(crate) mod worker;
