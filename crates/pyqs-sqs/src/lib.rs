//! The port to Amazon SQS: plain types, one trait, the adapter on the AWS SDK, queue names and patterns.
