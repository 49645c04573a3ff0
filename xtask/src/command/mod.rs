// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file a command: its options, and what it prints.

#[cfg(target_os = "linux")]
mod bench;
mod boot;
mod build;
#[cfg(target_os = "linux")]
mod campaign;
mod check;
mod configure;
mod debian;
mod explain;
mod fuzz;
mod integrate;
mod lint;
mod linux;
mod map;
mod mutants;
mod probe;
mod release;
mod setup;
mod status;
mod test;

use anyhow::Result;
use blob::arch::CoreOnly;
use clap::Subcommand;

use crate::host::failure::usage;
use crate::host::options::Setup;
#[cfg(target_os = "linux")]
use crate::native::{bench::child, campaign::child as flips, emulated};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Build the blob and prove it position independent
    Build(build::Options),
    /// Check a blob against everything that its loaders rely on
    Check(check::Options),
    /// List what went into the blob, by crate, and whose a name is
    Map(map::Options),
    /// Set what a finished blob does beyond the kernel's contract
    Configure(configure::Options),
    /// Boot the blob between two kernels under QEMU
    Boot(boot::Options),
    /// Load the blob by `kexec_file_load(2)` in real kernels and start it
    Linux(linux::Options),
    /// Install a release on a Debian machine, use it, and purge it
    Debian(debian::Options),
    /// Say what a kernel tree does with a purgatory, and which lines decide it
    Probe(probe::Options),
    /// Make a kernel tree build with the blob, or as it was before
    Integrate(integrate::Options),
    /// Say what a purgatory's report on a serial console means
    Explain(explain::Options),
    /// Find what a purgatory left behind in a machine's memory
    Status(status::Options),
    /// Build what others install: a tarball, and packages for Debian
    Release(release::Options),
    /// Build a release again, elsewhere, and compare
    VerifyRelease(release::VerifyOptions),
    /// Feed damage to every reader, each for an hour
    Fuzz(fuzz::Options),
    /// Change the code a place at a time, and list what no test notices
    Mutants(mutants::Options),
    /// Check formatting and lints, on the host and on the freestanding target
    Lint,
    /// Time the shipped bytes beside stock purgatories, OpenSSL and the CPU's limit
    #[cfg(target_os = "linux")]
    Bench(bench::Options),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    BenchChild(child::Options),
    /// Flip bits at random, and count what comes of it
    #[cfg(target_os = "linux")]
    Campaign(campaign::Options),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    CampaignChild(flips::Options),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Trials(emulated::Options),
    /// Run every proof: host tests, the checker, the boot cases
    Test(test::Options),
}

/// The commands of a release.
#[derive(Subcommand)]
pub(crate) enum Tool {
    /// Check a purgatory against everything that its loaders rely on
    Check(check::Options),
    /// Set what a purgatory does beyond the kernel's contract
    Configure(configure::Options),
    /// Say what a purgatory's report on a serial console means
    Explain(explain::Options),
    /// Find what a purgatory left behind in a machine's memory
    Status(status::Options),
    /// Make kdump-tools load by `kexec_file_load(2)`
    Setup(setup::Options),
}

impl Tool {
    /// Runs it.
    pub(crate) fn run(&self) -> Result<()> {
        let setup = &Setup::of_tools();
        match self {
            Self::Check(options) => check::run(options),
            Self::Configure(options) => configure::run(options),
            Self::Explain(options) => explain::run(options, setup),
            Self::Status(options) => status::run(options, setup),
            Self::Setup(options) => setup::run(options),
        }
    }
}

impl Command {
    /// Runs it for an architecture that has no boot.
    pub(crate) fn run_core(&self, only: CoreOnly) -> Result<()> {
        let name = only.name;
        match self {
            Self::Test(_) => test::run_core(only),
            _ => Err(usage(format!(
                "{name}: core only; no boot support yet: only `test` knows it"
            ))),
        }
    }

    /// Runs it.
    pub(crate) fn run(&self, setup: &Setup) -> Result<()> {
        match self {
            Self::Build(options) => build::run(options, setup),
            Self::Check(options) => check::run(options),
            Self::Boot(options) => boot::run(options, setup),
            Self::Configure(options) => configure::run(options),
            Self::Linux(options) => linux::run(options, setup),
            Self::Probe(options) => probe::run(options),
            Self::Integrate(options) => integrate::run(options, setup),
            Self::Map(options) => map::run(options, setup),
            Self::Debian(options) => debian::run(options, setup),
            Self::Release(options) => release::run(options, setup),
            Self::VerifyRelease(options) => release::verify(options, setup),
            Self::Fuzz(options) => fuzz::run(options, setup),
            Self::Mutants(options) => mutants::run(options, setup),
            Self::Lint => lint::run(setup),
            Self::Explain(options) => explain::run(options, setup),
            Self::Status(options) => status::run(options, setup),
            Self::Test(options) => test::run(options, setup),
            #[cfg(target_os = "linux")]
            Self::Bench(options) => bench::run(options, setup),
            #[cfg(target_os = "linux")]
            Self::Campaign(options) => campaign::run(options, setup),
            #[cfg(target_os = "linux")]
            Self::CampaignChild(options) => flips::run(options),
            #[cfg(target_os = "linux")]
            Self::BenchChild(options) => child::run(options),
            #[cfg(target_os = "linux")]
            Self::Trials(options) => emulated::run(options),
        }
    }
}
