//! Dates and times as Python has them: the proleptic Gregorian calendar, years 1 to 9999, microseconds.

mod iso;

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

impl Date {
    /// The day, if there is such a day.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let is_day = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && day >= 1
            && day <= month_days(year, month);
        is_day.then_some(Self { year, month, day })
    }

    /// Days since 1970-01-01.
    pub fn unix_days(self) -> i64 {
        // Years that begin in March have their leap day last, so that every earlier day has a fixed place.
        let (year, month) = (i64::from(self.year), i64::from(self.month));
        let (year, month) = if month > 2 {
            (year, month - 3)
        } else {
            (year - 1, month + 9)
        };
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
    }
}

impl Date {
    /// The day so many days after 1970-01-01; `None` outside the years 1 to 9999.
    fn from_unix_days(days: i64) -> Option<Self> {
        // The inverse of `unix_days`: years begin in March, in eras of 400 years.
        let days = days.checked_add(719_468)?;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 {
            (month + 3, 0)
        } else {
            (month - 9, 1)
        };
        Self::new(
            u16::try_from(year + era * 400 + carry).ok()?,
            u8::try_from(month).ok()?,
            u8::try_from(day).ok()?,
        )
    }
}

impl Time {
    /// The time, if the clock has it.
    pub fn new(
        hour: u8,
        minute: u8,
        second: u8,
        micros: u32,
        offset: Option<UtcOffset>,
    ) -> Option<Self> {
        let is_time = hour < 24 && minute < 60 && second < 60 && micros < 1_000_000;
        is_time.then_some(Self {
            hour,
            minute,
            second,
            micros,
            is_fold: false,
            offset,
        })
    }

    fn micros_of_day(self) -> i64 {
        let seconds =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        seconds * 1_000_000 + i64::from(self.micros)
    }
}

impl DateTime {
    /// Microseconds since 1970-01-01T00:00Z; a naive time counts as UTC.
    pub fn unix_micros(self) -> i64 {
        let offset = self.time.offset.map_or(0, UtcOffset::total_micros);
        self.date.unix_days() * 86_400_000_000 + self.time.micros_of_day() - offset
    }

    /// The moment so many microseconds after 1970-01-01T00:00Z, in UTC; `None` outside the calendar.
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        const DAY: i64 = 86_400_000_000;
        let date = Date::from_unix_days(micros.div_euclid(DAY))?;
        let micros = micros.rem_euclid(DAY);
        let seconds = u32::try_from(micros / 1_000_000).ok()?;
        let part = |seconds: u32| u8::try_from(seconds % 60).ok();
        let time = Time::new(
            u8::try_from(seconds / 3600).ok()?,
            part(seconds / 60)?,
            part(seconds)?,
            u32::try_from(micros % 1_000_000).ok()?,
            Some(UtcOffset::UTC),
        )?;
        Some(Self { date, time })
    }
}

impl TimeDelta {
    /// The sum of the parts, normalised; `None` beyond Python's range.
    pub fn new(days: i64, seconds: i64, micros: i64) -> Option<Self> {
        const DAYS_MAX: i64 = 999_999_999;
        let seconds = seconds.checked_add(micros.div_euclid(1_000_000))?;
        let days = days.checked_add(seconds.div_euclid(86_400))?;
        Some(Self {
            days: i32::try_from(days)
                .ok()
                .filter(|_| days.abs() <= DAYS_MAX)?,
            seconds: u32::try_from(seconds.rem_euclid(86_400)).ok()?,
            micros: u32::try_from(micros.rem_euclid(1_000_000)).ok()?,
        })
    }

    pub(crate) fn total_micros(self) -> i64 {
        let seconds = i64::from(self.days) * 86_400 + i64::from(self.seconds);
        // 10^9 days of microseconds are beyond 64 bits.
        seconds
            .saturating_mul(1_000_000)
            .saturating_add(self.micros.into())
    }
}

impl UtcOffset {
    /// UTC itself.
    pub const UTC: Self = Self {
        seconds: 0,
        micros: 0,
    };

    /// The offset, if it is less than a day.
    pub fn from_micros(total: i64) -> Option<Self> {
        let is_within_day = total.unsigned_abs() < 86_400_000_000;
        let seconds = i32::try_from(total.div_euclid(1_000_000)).ok()?;
        let micros = u32::try_from(total.rem_euclid(1_000_000)).ok()?;
        is_within_day.then_some(Self { seconds, micros })
    }

    /// The whole offset in microseconds.
    pub fn total_micros(self) -> i64 {
        i64::from(self.seconds) * 1_000_000 + i64::from(self.micros)
    }
}

fn month_days(year: u16, month: u8) -> u8 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
