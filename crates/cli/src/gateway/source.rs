//! The source of the gateway's configuration: a file, or the arguments.

use std::path::PathBuf;

use starttls_gateway::config::{Arguments, UpgradePolicy};
use starttls_gateway::{Config, LogLevel, SetupError};

use crate::args;
use crate::error::Failed;

#[derive(Clone, Debug)]
pub(super) struct ConfigSource {
    place: Place,
    /// The level on the command line, which takes precedence over that of the file.
    log_level: Option<LogLevel>,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Arguments(Arguments),
}

impl ConfigSource {
    pub(super) fn by(args: &args::Gateway) -> Self {
        let place = match &args.config {
            Some(path) => Place::File(path.clone()),
            None => Place::Arguments(arguments(args)),
        };
        Self { place, log_level: args.log_level.map(LogLevel::from) }
    }

    /// Reads the configuration and every file that it refers to.
    pub(super) fn load(&self) -> Result<Config, Failed> {
        let loaded = match &self.place {
            Place::File(path) => Config::read(path),
            Place::Arguments(arguments) => Config::from_arguments(arguments),
        };
        let mut config = loaded.map_err(failed)?;
        config.log_level = self.log_level.unwrap_or(config.log_level);
        Ok(config)
    }
}

fn arguments(args: &args::Gateway) -> Arguments {
    let args::Gateway { listen, forward, front, backend, .. } = args;
    Arguments {
        listen: listen.clone().unwrap_or_default(),
        forward: forward.clone(),
        certificate: front.cert.clone().zip(front.key.clone()),
        directory: front.certs.clone(),
        starttls: front.starttls.map(|offer| match offer {
            args::Offer::Required => UpgradePolicy::Required,
            args::Offer::Optional => UpgradePolicy::Optional,
            args::Offer::Hidden => UpgradePolicy::Hidden,
        }),
        allow: front.allow.clone(),
        ca_file: backend.ca_file.clone(),
        server_name: backend.server_name.clone(),
        allow_cleartext: backend.allow_cleartext,
        client_name: backend.client_name.clone(),
    }
}

fn failed(error: SetupError) -> Failed {
    Failed::usage(error.to_string()).hint(error.hint().map(str::to_owned))
}
