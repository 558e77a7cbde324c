//! Wire formats of task messages: bytes in, values out, nothing is run.
