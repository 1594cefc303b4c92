//! TLS profiles: built-in ones, and files of the user.

use std::io::Write;
use std::path::Path;

use starttls_audit::tls_profile::{BUILTIN, ProfileError, TlsProfile};
use starttls_report::nearest;

use crate::error::Failed;

/// The largest file of a profile, in octets.
const LIMIT: u64 = 1 << 20;

/// Returns the built-in profile with this name, or that of a file.
pub(crate) fn load(name: &str) -> Result<TlsProfile, Failed> {
    if let Some(profile) = TlsProfile::builtin(name) {
        return Ok(profile);
    }
    let path = Path::new(name);
    if !path.exists() && !name.contains(['/', '.']) {
        let hint = match nearest(name, BUILTIN.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("built-in profiles: {}", BUILTIN.join(", ")),
        };
        let what =
            format!("unknown profile \"{}\": expected a built-in profile or a file", name.escape_debug());
        return Err(Failed::usage(what).hint(Some(hint)));
    }
    let text = String::from_utf8(crate::input::read(path, LIMIT)?)
        .map_err(|_| Failed::usage(format!("{}: expected UTF-8", path.display())))?;
    TlsProfile::parse(name, &text).map_err(invalid)
}

fn invalid(error: ProfileError) -> Failed {
    let hint = error.hint().map(str::to_owned);
    Failed::usage(error.to_string()).hint(hint)
}

/// `starttls explain profile`: shows a profile, or the list of the built-in ones.
pub(crate) fn explain(name: Option<&str>) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    if let Some(name) = name {
        write!(out, "{}", load(name)?)?;
        return Ok(());
    }
    let width = BUILTIN.iter().map(|name| name.len()).max().unwrap_or_default();
    for name in BUILTIN {
        let profile = load(name)?;
        writeln!(out, "{name:<width$}  {}, {}", profile.title, profile.version)?;
    }
    writeln!(out, "\nNext: starttls explain profile NAME")?;
    Ok(())
}
