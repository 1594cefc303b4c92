//! The processes that this program has started. Only Linux shows which ones descend from it.

#[cfg(target_os = "linux")]
pub(crate) use starttls_processes::{ProcessTree, end_descendants};

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{ProcessTree, end_descendants};

/// The runtime ends a command when its handle is dropped. The processes that the command has started are not known.
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    /// Does nothing.
    pub(crate) fn end_descendants() {}

    /// A command whose descendants are not known.
    pub(crate) struct ProcessTree;

    impl ProcessTree {
        pub(crate) fn new() -> Self {
            Self
        }

        /// Returns the name and the value of a variable for the command's environment.
        pub(crate) fn variable(&self) -> (&'static str, &str) {
            ("STARTTLS_FAMILY", "")
        }

        pub(crate) fn set_leader(&mut self, _id: u32) {}

        pub(crate) fn release(self) {}
    }
}
