//! What is done with the targets of each stage.

pub(crate) mod names;
pub(crate) mod probe;
