//! The name of the local host.

use starttls_proto::ClientName;

/// Returns the name of the local host, if it is fully qualified. It is the argument of EHLO for servers that compare it with
/// the client's address (RFC 5321 section 4.1.4). For other servers the default of [`ClientName`] reveals less.
///
/// The name comes from the system (`gethostname`), without a DNS query. Another host cannot resolve a name in `localdomain`,
/// so the result is `None` for it.
pub fn host_name() -> Option<ClientName> {
    qualified(&system_name()?)
}

#[cfg(unix)]
fn system_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

#[cfg(not(unix))]
fn system_name() -> Option<String> {
    None
}

fn qualified(name: &str) -> Option<ClientName> {
    let labels: Vec<&str> = name.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = labels.last()?;
    let public =
        !["localdomain", "localhost"].contains(last) && !last.bytes().all(|byte| byte.is_ascii_digit());
    if labels.len() < 2 || !public || !labels.iter().all(is_label) {
        return None;
    }
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fully_qualified_name_is_returned() {
        for good in ["mail.example.com", "a.b", "host-1.corp.example"] {
            assert_eq!(qualified(good).as_deref(), Some(good));
        }
        for bad in [
            "",
            "mail",
            "localhost",
            "localhost.localdomain",
            "192.0.2.1",
            "a..b",
            ".a",
            "a.",
            "a.b\r\nX",
            "a b.c",
        ] {
            assert_eq!(qualified(bad), None, "{bad:?}");
        }
    }
}
