//! An SQS-compatible endpoint for laptops, tests and single servers.
