//! Times as signatures have them: `20150830T123600Z`.

const DAY_SECS: i64 = 86_400;

/// Seconds since 1970; `None` unless it is such a time, in all its digits.
pub(super) fn parse(text: &str) -> Option<i64> {
    if text.len() != 16 || !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u32>().ok().map(i64::from);
    let days = days_of_date(number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let secs = number(9, 11)? * 3600 + number(11, 13)? * 60 + number(13, 15)?;
    let time = days * DAY_SECS + secs;
    // Whatever isn't a date and a time of the day is written otherwise.
    (format(time) == text).then_some(time)
}

/// The text of a time in seconds since 1970.
pub(super) fn format(time: i64) -> String {
    let (year, month, day) = date_of_days(time.div_euclid(DAY_SECS));
    let secs = time.rem_euclid(DAY_SECS);
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Days since 1970 of a date in the Gregorian calendar: years are counted from March, so that the
/// leap day is a year's last.
fn days_of_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// The date of a day since 1970: [`days_of_date`] the other way.
fn date_of_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, time) in [
            ("19700101T000000Z", 0),
            ("20150830T123600Z", 1_440_938_160),
            ("20240229T235959Z", 1_709_251_199),
            ("20000229T000000Z", 951_782_400),
            ("99991231T235959Z", 253_402_300_799),
            ("00000301T000000Z", -62_162_035_200),
        ] {
            assert_eq!(parse(text), Some(time), "{text}");
            assert_eq!(format(time), text);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "20150830",
            "20150830T123600",
            "20150830T123600z",
            "20150830 123600Z",
            "20150830T123600ZZ",
            "20150230T000000Z",
            "20230229T000000Z",
            "20151301T000000Z",
            "20150030T000000Z",
            "20150830T240000Z",
            "20150830T126000Z",
            "20150830T123660Z",
            "+0150830T123600Z",
            "2015083\u{661}T12360Z",
            "2015-08-30T12:36Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
