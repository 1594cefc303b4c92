//! The extents of audits.

use starttls_audit::{Selection, SurveyExtent};
use starttls_hello::WalkSize;

/// The extent of an audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// The checks for monitoring.
    Quick,
    /// All checks that need no option.
    #[default]
    Standard,
    /// These, with a survey of what TLS offers.
    Tls,
    /// These with every suite and group, and the checks that wait for minutes. For holders of keys.
    Full,
}

impl Preset {
    /// Returns the preset with this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "quick" => Some(Self::Quick),
            "standard" | "" => Some(Self::Standard),
            "tls" => Some(Self::Tls),
            "full" => Some(Self::Full),
            _ => None,
        }
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Tls => "tls",
            Self::Full => "full",
        }
    }

    pub(crate) fn selection(self) -> Selection {
        match self {
            Self::Quick => Selection::light(),
            Self::Standard => Selection::default(),
            Self::Tls => Selection::default().with_survey(SurveyExtent::new(WalkSize::Survey)),
            Self::Full => Selection::default().with_survey(SurveyExtent::new(WalkSize::Full)),
        }
    }
}
