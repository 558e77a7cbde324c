//! SQS itself as a state machine: queues, visibility, FIFO, deduplication, redrive.
