//! When and where in the capture something was seen.

/// The packet that completed an observation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// The number of the packet in the capture. The first packet has number 1. 0 if there is no capture.
    pub packet: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub time: u64,
}

impl Moment {
    /// Returns the time as in RFC 3339, in UTC with microseconds.
    pub fn rfc3339(self) -> String {
        let (seconds, nanos) = (self.time / 1_000_000_000, self.time % 1_000_000_000);
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", nanos / 1000)
    }
}

/// Returns the civil date of a day since 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years start in March, so that the leap day is the last day of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn times_are_written_in_utc() {
        let at = |time| Moment { packet: 0, time }.rfc3339();
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_827_696_123_456_789), "2000-02-29T12:34:56.123456Z");
        assert_eq!(at(4_102_444_799_999_999_999), "2099-12-31T23:59:59.999999Z");
    }
}
