//! The policy text (RFC 8461 section 3.2).

use std::fmt;

use starttls_dns::DnsName;

use super::{MAX_AGE_LIMIT, MxPattern};

/// The largest policy text that is read, in octets (RFC 8461 section 3.3 suggests 64 KiB).
pub const MAX_POLICY: usize = 64 << 10;

/// A valid policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsPolicy {
    /// What clients do if a connection does not satisfy the policy.
    pub mode: StsMode,
    /// How long clients keep the policy, in seconds, at most [`MAX_AGE_LIMIT`].
    pub max_age: u64,
    /// The patterns of which each exchanger must match one. Empty only in mode `none`.
    pub mx: Vec<MxPattern>,
    /// The lines of the text, for reports (RFC 8460 section 4.5).
    pub lines: Vec<String>,
}

impl StsPolicy {
    /// Returns whether a pattern matches this exchanger.
    pub fn covers(&self, host: &DnsName) -> bool {
        self.mx.iter().any(|pattern| pattern.matches(host))
    }
}

/// The mode of a policy (RFC 8461 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StsMode {
    /// Mail is not delivered to a host that does not satisfy the policy.
    Enforce,
    /// Mail is delivered; failures are reported.
    Testing,
    /// The domain has no policy any more.
    None,
}

impl StsMode {
    /// Returns the word in the policy text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

impl fmt::Display for StsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The result of reading a policy text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsText {
    /// The policy, or why senders discard the text.
    pub policy: Result<StsPolicy, String>,
    /// Everything that should be changed, the cause of an invalid policy included.
    pub remarks: Vec<StsRemark>,
}

/// Something that should be changed in a policy text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsRemark {
    /// The id of the check: `sts-syntax`.
    pub check: &'static str,
    /// The line, from 1; `None` if the remark is about the whole text.
    pub line: Option<usize>,
    /// What is wrong.
    pub text: String,
    /// Whether senders ignore the line or the whole policy because of it.
    pub is_error: bool,
}

/// Parses a policy text. Senders and `--lint` use this one parser, so that a text without errors is also applied.
pub fn parse_policy(text: &[u8]) -> StsText {
    let mut reader = Reader::default();
    let policy = reader.read(text);
    if let Err(reason) = &policy
        && !reader.remarks.iter().any(|it| it.is_error && it.text == *reason)
    {
        reader.error("sts-syntax", None, reason.clone());
    }
    StsText { policy, remarks: reader.remarks }
}

#[derive(Default)]
struct Reader {
    remarks: Vec<StsRemark>,
}

impl Reader {
    fn error(&mut self, check: &'static str, line: Option<usize>, text: String) {
        self.remarks.push(StsRemark { check, line, text, is_error: true });
    }

    fn warn(&mut self, check: &'static str, line: Option<usize>, text: impl Into<String>) {
        self.remarks.push(StsRemark { check, line, text: text.into(), is_error: false });
    }

    fn invalid<T>(&mut self, line: usize, text: impl Into<String>) -> Result<T, String> {
        let text = text.into();
        self.error("sts-syntax", Some(line), text.clone());
        Err(text)
    }

    fn read(&mut self, text: &[u8]) -> Result<StsPolicy, String> {
        if text.len() > MAX_POLICY {
            return Err(String::from("the policy is larger than 64 KiB"));
        }
        let text = std::str::from_utf8(text).map_err(|_| String::from("the policy is not UTF-8"))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let (mut version, mut mode, mut max_age) = (None, None, None);
        let (mut mx, mut mx_lines, mut lines) = (Vec::new(), 0, Vec::new());
        for (index, line) in text.split('\n').enumerate() {
            let number = index + 1;
            let line = line.strip_suffix('\r').unwrap_or(line).trim_end_matches([' ', '\t']);
            if line.is_empty() {
                return self.invalid(number, "an empty line is not allowed");
            }
            let Some((key, value)) = line.split_once(':') else {
                return self.invalid(number, format!("expected \"key: value\", found \"{}\"", shown(line)));
            };
            if !is_key(key) {
                return self.invalid(number, format!("invalid key \"{}\"", shown(key)));
            }
            let value = value.trim_start_matches([' ', '\t']);
            if value.is_empty() || value.contains(|it: char| it.is_control()) {
                return self
                    .invalid(number, format!("the value of {key} is empty or contains a control character"));
            }
            lines.push(line.to_owned());
            // The first value of a key counts (RFC 8461 section 3.2).
            let slot = match key {
                "version" => &mut version,
                "mode" => &mut mode,
                "max_age" => &mut max_age,
                "mx" => {
                    mx_lines += 1;
                    mx.extend(self.pattern(number, value));
                    continue;
                }
                _ => {
                    let near =
                        ["version", "mode", "max_age", "mx"].iter().find(|it| it.eq_ignore_ascii_case(key));
                    if let Some(near) = near {
                        self.warn(
                            "sts-syntax",
                            Some(number),
                            format!("senders ignore {key}: the key is {near}"),
                        );
                    }
                    continue;
                }
            };
            if slot.is_some() {
                self.warn("sts-syntax", Some(number), format!("senders ignore a second {key}"));
                continue;
            }
            *slot = Some((number, value));
        }
        match version {
            None => return Err(String::from("version is missing")),
            Some((_, "STSv1")) => {}
            Some((line, other)) => {
                return self.invalid(line, format!("invalid version \"{}\": expected STSv1", shown(other)));
            }
        }
        let mode = match mode {
            None => return Err(String::from("mode is missing")),
            Some((_, "enforce")) => StsMode::Enforce,
            Some((_, "testing")) => StsMode::Testing,
            Some((_, "none")) => StsMode::None,
            Some((line, other)) => {
                return self.invalid(
                    line,
                    format!("invalid mode \"{}\": expected enforce, testing or none", shown(other)),
                );
            }
        };
        let Some((line, age)) = max_age else { return Err(String::from("max_age is missing")) };
        let max_age = self.max_age(line, age)?;
        if mx.is_empty() && mode != StsMode::None {
            let reason = if mx_lines == 0 { "mx is missing" } else { "no mx line has a valid pattern" };
            return Err(String::from(reason));
        }
        if mode == StsMode::Testing {
            self.warn(
                "sts-mode",
                None,
                "mode testing protects no mail: senders deliver and only report failures",
            );
        }
        Ok(StsPolicy { mode, max_age, mx, lines })
    }

    fn pattern(&mut self, line: usize, value: &str) -> Option<MxPattern> {
        match MxPattern::parse(value) {
            Ok((pattern, had_dot)) => {
                if had_dot {
                    let text = format!(
                        "\"{}\" ends with a dot, so some senders match it with no host",
                        shown(value)
                    );
                    self.error("sts-mx-form", Some(line), text);
                }
                Some(pattern)
            }
            Err(reason) => {
                self.error(
                    "sts-mx-form",
                    Some(line),
                    format!("senders ignore mx \"{}\": {reason}", shown(value)),
                );
                None
            }
        }
    }

    fn max_age(&mut self, line: usize, value: &str) -> Result<u64, String> {
        let digits = value.len() <= 10 && value.bytes().all(|it| it.is_ascii_digit());
        let Some(age) = value.parse::<u64>().ok().filter(|_| digits) else {
            let text = format!("invalid max_age \"{}\": expected 1 to 10 digits, in seconds", shown(value));
            return self.invalid(line, text);
        };
        match age {
            0 => self.error(
                "sts-max-age",
                Some(line),
                String::from("max_age 0: senders do not keep the policy"),
            ),
            1..86_400 => {
                self.warn("sts-max-age", Some(line), "max_age is shorter than a day: expected weeks")
            }
            86_400..1_209_600 => self.warn("sts-max-age", Some(line), "max_age is shorter than two weeks"),
            _ if age > MAX_AGE_LIMIT => {
                self.warn("sts-max-age", Some(line), "max_age is longer than a year (31557600), the limit");
            }
            _ => {}
        }
        Ok(age.min(MAX_AGE_LIMIT))
    }
}

/// RFC 8461 section 3.2: a letter or digit, then up to 31 letters, digits, `_`, `-`, `.`.
fn is_key(key: &str) -> bool {
    let mut octets = key.bytes();
    octets.next().is_some_and(|it| it.is_ascii_alphanumeric())
        && key.len() <= 32
        && octets.all(|it| it.is_ascii_alphanumeric() || b"_-.".contains(&it))
}

/// Returns received text escaped and bounded.
fn shown(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}
