//! The consumer of a task queue as a state machine: leases, acknowledgements, fetching, scheduling, failure, stop.
