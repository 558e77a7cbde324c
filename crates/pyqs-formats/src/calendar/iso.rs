//! ISO 8601 texts, as Python's `isoformat` writes them and its and Celery's parsers read them.

use std::fmt;

use super::{Date, DateTime, Time, UtcOffset};

impl DateTime {
    /// Reads `2035-01-31`, `2035-01-31T10:00`, `2035-01-31 10:00:00.25+02:00`, `2035-01-31T10:00:00Z` and
    /// the like. A date alone is its midnight.
    pub fn parse(text: &str) -> Option<Self> {
        let mut cursor = Cursor(text.as_bytes());
        let date = cursor.date()?;
        if cursor.0.is_empty() {
            return Some(Self {
                date,
                time: Time::new(0, 0, 0, 0, None)?,
            });
        }
        cursor.take(|b| matches!(b, b'T' | b't' | b' '))?;
        Some(Self {
            date,
            time: cursor.time_to_end()?,
        })
    }
}

impl Date {
    /// Reads `2035-01-31`; a time after it is read and dropped, as kombu does.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse(text).map(|parsed| parsed.date)
    }
}

impl Time {
    /// Reads `10:00`, `10:00:00.25+02:00` and the like.
    pub fn parse(text: &str) -> Option<Self> {
        Cursor(text.as_bytes()).time_to_end()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.hour, self.minute, self.second)?;
        if self.micros != 0 {
            write!(f, ".{:06}", self.micros)?;
        }
        self.offset.map_or(Ok(()), |offset| offset.fmt(f))
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", self.date, self.time)
    }
}

impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total_micros();
        let (seconds, micros) = (total.abs() / 1_000_000, total.abs() % 1_000_000);
        let sign = if total < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60)?;
        if seconds % 60 != 0 || micros != 0 {
            write!(f, ":{:02}", seconds % 60)?;
        }
        if micros != 0 {
            write!(f, ".{micros:06}")?;
        }
        Ok(())
    }
}

/// What is still to be read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn date(&mut self) -> Option<Date> {
        let year = self.digits(4)?;
        self.take(|b| b == b'-')?;
        let month = self.digits(2)?;
        self.take(|b| b == b'-')?;
        let day = self.digits(2)?;
        Date::new(
            u16::try_from(year).ok()?,
            u8::try_from(month).ok()?,
            u8::try_from(day).ok()?,
        )
    }

    fn time_to_end(&mut self) -> Option<Time> {
        let (hour, minute, second, micros) = self.clock(true)?;
        let offset = if self.0.is_empty() {
            None
        } else {
            Some(self.offset()?)
        };
        if !self.0.is_empty() {
            return None;
        }
        Time::new(hour, minute, second, micros, offset)
    }

    /// Hours, minutes, seconds, microseconds; all but the first may be missing. Colons may be missing in
    /// an offset only.
    fn clock(&mut self, needs_colons: bool) -> Option<(u8, u8, u8, u32)> {
        let mut parts = [0; 3];
        parts[0] = self.digits(2)?;
        for part in &mut parts[1..] {
            let is_next = self.take(|b| b == b':').is_some()
                || (!needs_colons && self.0.first().is_some_and(u8::is_ascii_digit));
            if !is_next {
                break;
            }
            *part = self.digits(2)?;
        }
        let micros = if self.take(|b| matches!(b, b'.' | b',')).is_some() {
            self.fraction()?
        } else {
            0
        };
        let [hour, minute, second] = parts.map(|part| u8::try_from(part).unwrap_or(u8::MAX));
        Some((hour, minute, second, micros))
    }

    fn offset(&mut self) -> Option<UtcOffset> {
        if self.take(|b| matches!(b, b'Z' | b'z')).is_some() {
            return Some(UtcOffset::UTC);
        }
        let sign = if self.take(|b| matches!(b, b'+' | b'-'))? == b'-' {
            -1
        } else {
            1
        };
        let (hour, minute, second, micros) = self.clock(false)?;
        let time = Time::new(hour, minute, second, micros, None)?;
        UtcOffset::from_micros(sign * time.micros_of_day())
    }

    /// Digits after the point; those beyond microseconds are dropped.
    fn fraction(&mut self) -> Option<u32> {
        let (mut micros, mut scale) = (0, 1_000_000);
        self.0.first().filter(|b| b.is_ascii_digit())?;
        while let Some(digit) = self.take(|b| b.is_ascii_digit()) {
            scale /= 10;
            micros += u32::from(digit - b'0') * scale;
        }
        Some(micros)
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |number, _| {
            let digit = self.take(|b| b.is_ascii_digit())?;
            Some(number * 10 + u32::from(digit - b'0'))
        })
    }

    fn take(&mut self, is_wanted: impl Fn(u8) -> bool) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        is_wanted(first).then(|| self.0 = rest)?;
        Some(first)
    }
}
