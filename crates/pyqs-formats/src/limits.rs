//! Every limit of every decoder. All are above what SQS can carry honestly in its 1 MiB.

/// Levels of lists and maps inside each other, the same as Python's own recursion limit.
pub const DEPTH_MAX: usize = 1000;

/// Memory of the values that one message builds, by the count of [`VALUE_BYTES`] a value, plus its text or
/// bytes and [`CHUNK_BYTES`] where it has some of its own. No honest body of 1 MiB needs as much, and one of JSON can't.
pub const BUILT_BYTES_MAX: usize = 32 << 20;

/// What one value counts toward [`BUILT_BYTES_MAX`]; a map's key is a value too.
pub const VALUE_BYTES: usize = 32;

/// What a piece of memory of its own counts besides: that of a text, of a list that is not empty.
pub const CHUNK_BYTES: usize = 16;

/// How much of that may be lists and maps that a pickle or YAML refers to again, counted with all they
/// hold. Python shares them; here they are copied.
pub const REPEATED_BYTES_MAX: usize = 4 << 20;

/// Digits of an integer: Python's own default limit (`sys.int_info.default_max_str_digits`).
pub const INTEGER_DIGITS_MAX: usize = 4300;

/// Values on the stack of a pickle; it has the elements of a list on it before the list has them.
pub const PICKLE_STACK_MAX: usize = 1 << 20;

/// Bytes of a message body as it comes. SQS takes 1 MiB; the rest is for endpoints that take more.
pub const BODY_BYTES_MAX: usize = 4 << 20;

/// Bytes of a body that was stored elsewhere, since SQS would not take it.
pub const STORED_BYTES_MAX: usize = 64 << 20;

/// The values of such a body may need so many times its bytes, where that is more than [`BUILT_BYTES_MAX`].
pub const STORED_FACTOR: usize = 16;

/// Bytes of a payload once it is decompressed.
pub const EXPANDED_BYTES_MAX: usize = 16 << 20;

/// Up to this size a payload may be compressed however well.
pub const EXPANDED_FREE_BYTES: usize = 2 << 20;

/// Beyond [`EXPANDED_FREE_BYTES`]: how many times larger than its input the output may be. Text compresses
/// to a tenth; what is made to fill memory, to a thousandth and less.
pub const EXPANSION_MAX: usize = 200;

/// Bytes of a task's name. The longest dotted path that Python users write is far below it.
pub const TASK_NAME_BYTES_MAX: usize = 1024;
