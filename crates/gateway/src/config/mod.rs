//! The configuration. It is parsed once, and every value in it is valid: no later code checks it again.
//!
//! ```
//! # fn example() -> Result<(), starttls_gateway::SetupError> {
//! let config = starttls_gateway::Config::read("/etc/starttls/gateway.toml".as_ref())?;
//! for listener in &config.listeners {
//!     println!("{} serves {}", listener.name, listener.protocol.title);
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod arguments;
mod backend;
mod client_auth;
mod data;
mod document;
mod early_dial;
mod listener;
mod login;
mod networks;
mod reader;
mod types;

use std::path::Path;

use crate::setup_error::SetupError;

pub use address::{BackendAddress, ListenAddress};
pub use arguments::Arguments;
pub use client_auth::{ClientPolicy, NotAdmitted};
pub use data::DataConnections;
pub use login::{BackendLogin, SecretSource};
pub use networks::Networks;
pub use types::{
    Backend, BackendTls, BackendTrust, Config, Downstream, Listener, ListenerLimits, ListenerTls, Log,
    ProxyVersion, Route, TlsStart, UpgradePolicy,
};

/// The largest configuration that is read.
const LARGEST: u64 = 16 << 20;

impl Config {
    /// Reads a TOML file and every file that it names.
    ///
    /// # Errors
    /// The first mistake, with its line. A configuration is used as a whole or not at all (rule G6).
    pub fn read(path: &Path) -> Result<Self, SetupError> {
        const WHAT: &str = "the configuration";
        let bytes = starttls::file::read(path, LARGEST)
            .map_err(|source| SetupError::unreadable(WHAT, path, source))?;
        let text = String::from_utf8(bytes).map_err(|cause| {
            SetupError::new(format!("{WHAT} {} is not valid UTF-8", path.display())).because(cause)
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses TOML text. Errors call it `name`.
    ///
    /// # Errors
    /// The same as for [`read`](Self::read).
    pub fn parse(text: &str, name: &str) -> Result<Self, SetupError> {
        document::parse(&reader::Source { name, text })
    }

    /// Makes a configuration of the one listener that is given on the command line.
    ///
    /// # Errors
    /// The same as for [`read`](Self::read).
    pub fn from_arguments(arguments: &Arguments) -> Result<Self, SetupError> {
        arguments::parse(arguments)
    }
}
