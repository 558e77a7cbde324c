//! Every limit of every decoder. All are above what SQS can carry honestly in its 1 MiB.

/// Levels of lists and maps inside each other, the same as Python's own recursion limit.
pub const DEPTH_MAX: usize = 1000;

/// Values in one message, map keys included. One mebibyte of JSON can't hold more than half of this.
pub const ITEMS_MAX: usize = 1 << 20;

/// Digits of an integer: Python's own default limit (`sys.int_info.default_max_str_digits`).
pub const INTEGER_DIGITS_MAX: usize = 4300;

/// Bytes of a message body as it comes. SQS takes 1 MiB; the rest is for endpoints that take more.
pub const BODY_BYTES_MAX: usize = 4 << 20;

/// Bytes of a task's name. The longest dotted path that Python users write is far below it.
pub const TASK_NAME_BYTES_MAX: usize = 1024;
