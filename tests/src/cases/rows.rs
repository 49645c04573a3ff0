// SPDX-License-Identifier: MIT OR Apache-2.0
//! What makes a row, where more than one architecture has such rows. `defaults` is what
//! the blob is built with.

use super::{
    Act, Case, Config, Console, Damage, Expect, INTACT, MISMATCH, PORTABLE, Verdict, When,
};

/// A processor, dirty vector registers, and the backend that it is good for.
pub(crate) const fn on(name: &'static str, cpu: &'static str, backend: &'static str) -> Case {
    Case {
        name,
        cpu,
        backend,
        dirty: true,
        ..INTACT
    }
}

/// Hashes with this backend, by its number, or with what it comes to.
pub(crate) const fn asked(
    defaults: Config,
    name: &'static str,
    number: u32,
    backend: &'static str,
) -> Case {
    Case {
        name,
        backend,
        config: Some(Config {
            backend: number,
            ..defaults
        }),
        ..INTACT
    }
}

/// A refusal, told on `heard` out of `config.consoles`.
pub(crate) const fn told(name: &'static str, config: Config, heard: &'static [Console]) -> Case {
    Case {
        name,
        config: Some(config),
        heard: Some(heard),
        seconds: 10,
        ..MISMATCH
    }
}

/// The 8250 in memory at `memory`, and what needs no settings.
pub(crate) const fn memory(
    defaults: Config,
    name: &'static str,
    memory: u64,
    heard: &'static [Console],
) -> Case {
    told(
        name,
        Config {
            consoles: &[Console::Memory, Console::Debug],
            memory,
            ..defaults
        },
        heard,
    )
}

/// The 8250 in memory at `memory`, where none is, and what needs no settings.
pub(crate) const fn no_uart(defaults: Config, name: &'static str, memory: u64) -> Case {
    Case {
        name,
        config: Some(Config {
            consoles: &[Console::Memory, Console::Debug],
            verbose: true,
            memory,
            ..defaults
        }),
        says: include_str!("../../golden/verbose.txt"),
        heard: Some(&[Console::Debug]),
        ..INTACT
    }
}

/// An exception, and the report on it.
pub(crate) const fn raised(
    defaults: Config,
    name: &'static str,
    acts: &'static [(When, Act)],
    says: &'static str,
) -> Case {
    Case {
        name,
        every_state: true,
        acts,
        says,
        // While an accelerated backend hashes, they are the backend's fault.
        config: Some(Config {
            on_exception: None,
            backend: PORTABLE,
            ..defaults
        }),
        expect: Expect::Refuses(Verdict::Exception),
        ..INTACT
    }
}

/// A refusal of what is damaged.
pub(crate) const fn refused(
    name: &'static str,
    damage: Damage,
    verdict: Verdict,
    says: &'static str,
) -> Case {
    Case {
        name,
        damage,
        says,
        expect: Expect::Refuses(verdict),
        ..INTACT
    }
}

/// A refusal of a region that cannot be memory of the image's.
pub(crate) const fn bad_region(name: &'static str, damage: Damage, says: &'static str) -> Case {
    refused(name, damage, Verdict::BadRegion, says)
}

/// What a damaged configuration must not decide.
pub(crate) const fn ignored(defaults: Config, name: &'static str, byte: usize) -> Case {
    Case {
        name,
        every_state: false,
        damage: Damage::Config(byte),
        config: Some(Config {
            consoles: &[],
            on_refusal: Some(0),
            port: 0x2f8,
            ..defaults
        }),
        heard: None,
        ..MISMATCH
    }
}
