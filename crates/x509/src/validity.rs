//! Times, and the remaining validity of a certificate in the words and numbers that all reports use.
//!
//! Every function takes the current time as an argument, so that a report has one time and a test can choose it. Times
//! are seconds since 1970-01-01T00:00:00Z.

use std::time::{SystemTime, UNIX_EPOCH};

/// The length of a day.
const DAY: i64 = 86_400;

/// Returns the current time.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Returns the whole days from `now` until `end`, never more than remain. After the end it counts the whole days that
/// have passed, as a negative number, and is at least -1, so that a certificate that has just expired is not at 0.
pub fn days_left(end: i64, now: i64) -> i64 {
    let left = end.saturating_sub(now);
    if left < 0 { (left / DAY).min(-1) } else { left / DAY }
}

/// Returns the result of [`days_left`] in words: "12 days left", "less than a day left", "expired 2 days ago".
pub fn remaining(days_left: i64) -> String {
    match days_left {
        0 => String::from("less than a day left"),
        1 => String::from("1 day left"),
        2.. => format!("{days_left} days left"),
        -1 => String::from("expired less than 2 days ago"),
        _ => format!("expired {} days ago", days_left.unsigned_abs()),
    }
}

/// Returns why a certificate is not valid yet, with the date.
pub fn starts(start: i64, now: i64) -> String {
    let days = match days_left(start, now) {
        ..1 => String::from("less than a day"),
        1 => String::from("1 day"),
        many => format!("{many} days"),
    };
    format!("it is not valid before {}, in {days}", rfc3339(start))
}

/// Returns why a certificate is not valid any more, with the date.
pub fn ended(end: i64, now: i64) -> String {
    format!("it {}, on {}", remaining(days_left(end, now).min(-1)), rfc3339(end))
}

/// Returns a time as RFC 3339 in UTC: `2031-04-05T12:00:00Z`. A time beyond the years 0 to 9999, which RFC 3339 cannot
/// express, becomes the first or the last second of them.
pub fn rfc3339(time: i64) -> String {
    const FIRST: i64 = -62_167_219_200;
    const LAST: i64 = 253_402_300_799;
    let time = time.clamp(FIRST, LAST);
    let (days, second) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Parses a time in the format of [`rfc3339`]; `None` for any other text.
pub fn unix(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let time = seconds([year, month, day, number(11, 13)?, number(14, 16)?, number(17, 19)?]);
    (rfc3339(time) == text).then_some(time)
}

/// Parses a UTCTime (X.680 section 47): `YYMMDDhhmm[ss](Z|+hhmm|-hhmm)`. The years are 1950 to 2049 (RFC 5280 section
/// 4.1.2.5.1).
pub(crate) fn utc_time(text: &[u8]) -> Option<i64> {
    let (year, rest) = digits(text)?;
    asn1_time(if year < 50 { 2000 + year } else { 1900 + year }, rest)
}

/// Parses a GeneralizedTime (X.680 section 46): `YYYYMMDDhhmm[ss][.fraction](Z|+hhmm|-hhmm)`.
pub(crate) fn generalized_time(text: &[u8]) -> Option<i64> {
    let (century, rest) = digits(text)?;
    let (year, rest) = digits(rest)?;
    asn1_time(century * 100 + year, rest)
}

/// Parses what follows the year. RFC 5280 requires seconds and `Z`, but older certificates have neither.
fn asn1_time(year: i64, rest: &[u8]) -> Option<i64> {
    let (month, rest) = digits(rest)?;
    let (day, rest) = digits(rest)?;
    let (hour, rest) = digits(rest)?;
    let (minute, rest) = digits(rest)?;
    let (second, rest) = digits(rest).unwrap_or((0, rest));
    let rest = match rest {
        [b'.' | b',', fraction @ ..] => {
            let end = fraction.iter().position(|it| !it.is_ascii_digit()).unwrap_or(fraction.len());
            &fraction[end..]
        }
        rest => rest,
    };
    let is_valid =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    let time = is_valid.then(|| seconds([year, month, day, hour, minute, second]))?;
    match rest {
        b"Z" => Some(time),
        [sign @ (b'+' | b'-'), offset @ ..] => {
            let (hours, offset) = digits(offset)?;
            let (minutes, offset) = digits(offset)?;
            let ahead = (hours * 60 + minutes) * 60;
            offset.is_empty().then_some(if *sign == b'+' { time - ahead } else { time + ahead })
        }
        _ => None,
    }
}

/// Parses two decimal digits. Returns their value and what follows.
fn digits(text: &[u8]) -> Option<(i64, &[u8])> {
    let (&[tens, ones], rest) = text.split_first_chunk::<2>()?;
    let value = |digit: u8| digit.is_ascii_digit().then(|| i64::from(digit - b'0'));
    Some((value(tens)? * 10 + value(ones)?, rest))
}

/// Returns the time of a year, month, day, hour, minute and second.
fn seconds([year, month, day, hour, minute, second]: [i64; 6]) -> i64 {
    // The year begins in March here, so that the leap day is its last.
    let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let cycle = year.div_euclid(400);
    let of_cycle = year.rem_euclid(400);
    let day = (153 * from_march + 2) / 5 + day - 1 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100;
    let days = cycle * 146_097 + day - 719_468;
    days * DAY + hour * 3600 + minute * 60 + second
}

/// Returns the year, month and day of the Gregorian calendar for a number of days since 1970-01-01.
///
/// The year begins in March here, so that the leap day is its last, and 400 years (146,097 days) are one cycle.
fn civil(days: i64) -> (i64, i64, i64) {
    const CYCLE: i64 = 146_097;
    let from_year_0 = days + 719_468;
    let (cycle, day) = (from_year_0.div_euclid(CYCLE), from_year_0.rem_euclid(CYCLE));
    let year = (day - day / 1460 + day / 36_524 - day / (CYCLE - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let first = (153 * month + 2) / 5;
    let (year, month, day) = (cycle * 400 + year, month + 3, day - first + 1);
    if month > 12 { (year + 1, month - 12, day) } else { (year, month, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_933_156_800;

    #[test]
    fn days_are_whole_and_match_the_words() {
        for (seconds, days, words) in [
            (3 * DAY, 3, "3 days left"),
            (3 * DAY - 1, 2, "2 days left"),
            (2 * DAY - 1, 1, "1 day left"),
            (DAY - 1, 0, "less than a day left"),
            (0, 0, "less than a day left"),
            (-1, -1, "expired less than 2 days ago"),
            (1 - 2 * DAY, -1, "expired less than 2 days ago"),
            (-2 * DAY, -2, "expired 2 days ago"),
            (1 - 4 * DAY, -3, "expired 3 days ago"),
        ] {
            assert_eq!(days_left(NOON + seconds, NOON), days, "{seconds}");
            assert_eq!(remaining(days), words, "{seconds}");
        }
        assert_eq!(days_left(i64::MIN, NOON), i64::MIN / DAY);
        assert_eq!(days_left(i64::MAX, -1), i64::MAX / DAY);
    }

    #[test]
    fn reasons_contain_the_date() {
        assert_eq!(starts(NOON + 3 * DAY, NOON), "it is not valid before 2031-04-08T12:00:00Z, in 3 days");
        assert_eq!(starts(NOON + 1, NOON), "it is not valid before 2031-04-05T12:00:01Z, in less than a day");
        assert_eq!(ended(NOON - 2 * DAY, NOON), "it expired 2 days ago, on 2031-04-03T12:00:00Z");
        assert_eq!(ended(NOON, NOON), "it expired less than 2 days ago, on 2031-04-05T12:00:00Z");
    }

    #[test]
    fn dates_match_the_gregorian_calendar() {
        for (time, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (NOON, "2031-04-05T12:00:00Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(time), text);
            assert_eq!(unix(text).map(rfc3339).as_deref(), Some(text));
        }
        assert_eq!(unix("2031-04-05T12:00:00Z"), Some(NOON));
        type Parser = fn(&[u8]) -> Option<i64>;
        let times: &[(Parser, &[u8])] = &[
            (utc_time, b"310405120000Z"),
            (utc_time, b"3104051200Z"),
            (utc_time, b"310405140000+0200"),
            (utc_time, b"3104051030-0130"),
            (generalized_time, b"20310405120000Z"),
            (generalized_time, b"20310405120000.123Z"),
        ];
        for (parse, text) in times {
            assert_eq!(parse(text), Some(NOON), "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(utc_time(b"500101000000Z").map(rfc3339).as_deref(), Some("1950-01-01T00:00:00Z"));
        for wrong in [
            &b""[..],
            b"310405120000",
            b"311305120000Z",
            b"31040512000\xff",
            b"310405120000ZZ",
            b"31040x120000Z",
        ] {
            assert_eq!(utc_time(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
        for text in ["", "2031-04-05", "2031-02-30T12:00:00Z", "2031-04-05T12:00:00+01:00", "9999999-01-01T"]
        {
            assert_eq!(unix(text), None, "{text}");
        }
    }
}
