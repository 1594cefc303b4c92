//! The processor architectures for which a release has binaries.

/// A processor architecture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Architecture {
    /// The target of rustc: Linux without a C library of the system.
    pub(super) target: &'static str,
    /// The name in Debian and in container images.
    pub(super) name: &'static str,
    /// The subcommand of cargo that builds for it on an x86-64 machine.
    pub(super) build: &'static str,
    /// The program that runs its binaries on such a machine, if one is needed.
    pub(super) emulator: Option<&'static str>,
}

/// The architecture of the machine that makes the release.
pub(super) const AMD64: Architecture =
    Architecture { target: "x86_64-unknown-linux-musl", name: "amd64", build: "build", emulator: None };

/// Cross-built: zig contains a C compiler and a C library for it.
pub(super) const ARM64: Architecture = Architecture {
    target: "aarch64-unknown-linux-musl",
    name: "arm64",
    build: "zigbuild",
    emulator: Some("qemu-aarch64-static"),
};

/// The architectures of a release.
pub(super) const ARCHITECTURES: [Architecture; 2] = [AMD64, ARM64];
