//! Dates and times as Python has them: the proleptic Gregorian calendar, years 1 to 9999, microseconds.

/// `datetime.date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to the length of the month.
    pub day: u8,
}

/// `datetime.time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999,999.
    pub micros: u32,
    /// Python's `fold=1`: the second of two equal wall times when clocks are set back.
    pub is_fold: bool,
    /// `tzinfo` as a fixed offset; `None` is a naive time.
    pub offset: Option<UtcOffset>,
}

/// `datetime.datetime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// The day.
    pub date: Date,
    /// The time of the day, and the zone.
    pub time: Time,
}

/// `datetime.timedelta`, normalised as Python does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeDelta {
    /// Within ±999,999,999.
    pub days: i32,
    /// 0 to 86,399.
    pub seconds: u32,
    /// 0 to 999,999.
    pub micros: u32,
}

/// A fixed distance from UTC, less than a day either way; east is positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcOffset {
    /// Whole seconds, rounded down.
    pub seconds: i32,
    /// 0 to 999,999, added to the seconds.
    pub micros: u32,
}
