//! Tasks on Amazon SQS for Rust programs.
