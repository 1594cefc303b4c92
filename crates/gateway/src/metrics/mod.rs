//! Metrics for Prometheus and the health of the gateway.

mod http;
mod registry;

pub use http::serve;
pub use registry::{ListenerMetrics, Metrics};
