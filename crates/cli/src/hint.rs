//! Adds the command's options to the hints of the library.

use starttls::Error;

/// Returns the hint of the library for this error, with the option that follows it.
pub(crate) fn of_library(error: &Error) -> Option<String> {
    let hint = error.hint()?;
    let option = match error {
        Error::ClientCertificate(_) => " (--cert PEM and --key PEM)",
        Error::NoServerName(_) => " (--server-name NAME)",
        error if error.may_be_client_name() => " (--client-name NAME)",
        _ => "",
    };
    Some(format!("{hint}{option}"))
}
