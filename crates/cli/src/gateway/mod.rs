//! `starttls gateway`: STARTTLS in front of anything, and toward anything.

mod files;
mod plan;
pub(crate) mod report;
mod sandbox;
mod service;

use std::path::PathBuf;

use starttls_gateway::config::{Arguments, UpgradePolicy};
use starttls_gateway::log::Logger;
use starttls_gateway::{Config, SetupError};

use crate::args;
use crate::console;
use crate::error::Failed;
use crate::exit;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &args::Gateway) -> Result<u8, Failed> {
    let source = ConfigSource::by(args);
    let config = source.load()?;
    // As data, they are in it.
    if args.format == args::Format::Text {
        config.warnings.iter().for_each(|warning| console::warning(warning));
    }
    if args.plan {
        return plan::show(&config, args.format).await;
    }
    if args.check {
        Logger::check(&config.log).map_err(|error| service::unlogged(&config, &error))?;
        let count = config.listeners.len();
        let listeners = if count == 1 { "listener" } else { "listeners" };
        plan::print(&format!("the configuration is sound: {count} {listeners}\n"))?;
        return Ok(exit::DONE);
    }
    service::run(&source, config).await
}

/// Where the configuration comes from.
#[derive(Clone, Debug)]
enum ConfigSource {
    File(PathBuf),
    Arguments(Arguments),
}

impl ConfigSource {
    fn by(args: &args::Gateway) -> Self {
        match &args.config {
            Some(path) => Self::File(path.clone()),
            None => Self::Arguments(arguments(args)),
        }
    }

    /// Reads the configuration and every file that it names, as they are at this moment.
    fn load(&self) -> Result<Config, Failed> {
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
