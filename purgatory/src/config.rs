// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a tool set in the finished blob, or the defaults.
//!
//! Nobody verifies `purgatory_config`: where its head is damaged, none of it is
//! believed.
#![cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "places of statics in the file")
)]

use crate::{abi::Config, arch};

/// Written into the file by a tool; the kernel leaves it alone.
#[cfg_attr(target_os = "none", unsafe(export_name = "purgatory_config"))]
#[cfg_attr(target_os = "none", unsafe(link_section = ".exported.config"))]
#[used]
static CONFIG: Config = Config::new(arch::DEFAULT_CONSOLES);

/// A constant, in spite of its cells.
#[cfg_attr(target_os = "none", unsafe(link_section = ".rodata.defaults"))]
static DEFAULTS: Config = Config::new(arch::DEFAULT_CONSOLES);

/// Returns the configuration that acts.
#[inline(never)]
pub(crate) fn config() -> &'static Config {
    let head = (
        CONFIG.magic.read(),
        CONFIG.version.read(),
        CONFIG.size.read(),
    );
    let sound = head
        == (
            u64::from_ne_bytes(Config::MAGIC),
            Config::VERSION,
            Config::SIZE,
        );
    if sound { &CONFIG } else { &DEFAULTS }
}

/// Returns the consoles that speak when all is well, too.
pub(crate) fn heard_when_well() -> u32 {
    let config = config();
    config.consoles.read()
        & if config.verbosity.read() == 0 {
            Config::CONSOLE_RAMOOPS
        } else {
            // The screen belongs to the next kernel.
            !Config::CONSOLE_FRAMEBUFFER
        }
}
