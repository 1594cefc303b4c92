//! A target that is resolved to one address.

use starttls::proto::{Protocol, UrlAuthority};
use starttls_audit::EndpointAddress;

use crate::target::{Host, Mode, Target};

/// One address to audit, or the reason why the name has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) protocol: &'static Protocol,
    pub(crate) mode: Mode,
    /// The URL.
    pub(crate) target: String,
    /// The name to send and verify.
    pub(crate) server_name: String,
    pub(crate) authority: Option<UrlAuthority>,
    pub(crate) port: u16,
    pub(crate) address: Result<EndpointAddress, String>,
    /// A problem of the MX record that contains the name.
    pub(crate) remark: Option<String>,
}

impl Resolved {
    pub(crate) fn new(
        (protocol, mode): (&'static Protocol, Mode),
        host: &str,
        port: u16,
        server_name: &str,
        address: Result<EndpointAddress, String>,
    ) -> Self {
        let host = Host { ascii: host.to_owned(), unicode: None };
        let target = Target { protocol, mode, host, port };
        let (authority, server_name) = (target.authority(), server_name.to_owned());
        let target = target.to_string();
        Self { protocol, mode, target, server_name, authority, port, address, remark: None }
    }
}
