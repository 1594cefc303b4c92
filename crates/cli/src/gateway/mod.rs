//! `starttls gateway`: provides STARTTLS for a server, or uses it on behalf of a client.

mod files;
mod plan;
pub(crate) mod report;
mod sandbox;
mod service;
mod source;

use starttls_gateway::log::Logger;

use crate::args;
use crate::console;
use crate::error::Failed;
use crate::exit;
use source::ConfigSource;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &args::Gateway) -> Result<u8, Failed> {
    let source = ConfigSource::by(args);
    let config = source.load()?;
    // The JSON plan contains the warnings.
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
