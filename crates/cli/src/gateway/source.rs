//! The source of the gateway's configuration: a file, or the arguments.

use std::path::PathBuf;

use starttls_gateway::config::{Arguments, UpgradePolicy};
use starttls_gateway::{Config, SetupError};

use crate::args;
use crate::error::Failed;

#[derive(Clone, Debug)]
pub(super) enum ConfigSource {
    File(PathBuf),
    Arguments(Arguments),
}

impl ConfigSource {
    pub(super) fn by(args: &args::Gateway) -> Self {
        match &args.config {
            Some(path) => Self::File(path.clone()),
            None => Self::Arguments(arguments(args)),
        }
    }

    /// Reads the configuration and every file that it refers to.
    pub(super) fn load(&self) -> Result<Config, Failed> {
        let loaded = match self {
            Self::File(path) => Config::read(path),
            Self::Arguments(arguments) => Config::from_arguments(arguments),
        };
        loaded.map_err(failed)
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
