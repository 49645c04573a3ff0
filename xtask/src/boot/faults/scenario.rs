// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boots that, together, execute every instruction that can fault.

use std::sync::LazyLock;

use purgatory_tests::arch::x86_64::{DEFAULTS, MEMORY, STATES, cases};
use purgatory_tests::cases::{
    Act, CASES, Case, Config, Console, Expect, INTACT, Regions, Reset, Verdict, When,
};

/// A boot in which one instruction after the other is made to fault.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(super) case: Case,
    /// As a boot has it.
    pub(super) state: (u64, &'static str),
    /// What its consoles carry, or else.
    pub(super) says: Vec<String>,
}

impl Scenario {
    /// A scenario out of a boot that is a case itself. All that follows an exception
    /// is done at once.
    fn new(name: &'static str, case: Case, config: Config) -> Self {
        Self {
            name,
            case: Case {
                config: Some(Config {
                    on_exception: Some(0),
                    ..config
                }),
                regions: Regions::Small,
                ..case
            },
            state: STATES[0],
            // The RAM disk is a small one.
            says: vec![case.says.replace("0x140000", "0x2000")],
        }
    }

    fn behind_an_idt(self) -> Self {
        Self {
            state: STATES[1],
            ..self
        }
    }
}

/// All of them. An instruction faults in the first one that executes it at a moment.
pub(crate) static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    let every = Config {
        consoles: &[
            Console::Ports,
            Console::Memory,
            Console::Debug,
            Console::Screen,
        ],
        memory: MEMORY.uart,
        divisor: 1,
        ..DEFAULTS
    };
    let silent = Case {
        dirty: true,
        ..INTACT
    };
    let devices = row("console-all");
    let refusal = row("refuses-wrong-digest");
    let timeless = row("verbose-without-timer");
    let verbose = Config {
        verbose: true,
        ..DEFAULTS
    };
    let virtualization = row("exception-by-int-20");
    let page_fault = row("exception-page-written");
    vec![
        Scenario::new("silent", silent, DEFAULTS),
        Scenario::new(
            "silent-without-sha-ni",
            Case {
                cpu: "max,-sha-ni",
                ..silent
            },
            DEFAULTS,
        )
        .behind_an_idt(),
        // The backend ends in an exception, and the image is good.
        Scenario::new(
            "second-opinion",
            Case {
                acts: &[(When::Hashing, Act::Run(b"\x0f\x0b"))],
                devices: devices.devices,
                uart: devices.uart,
                ..silent
            },
            every,
        ),
        Scenario {
            says: vec![row("verbose").says.to_owned(), timeless.says.to_owned()],
            ..Scenario::new(
                "verbose",
                Case {
                    devices: devices.devices,
                    uart: devices.uart,
                    ..row("verbose")
                },
                Config {
                    verbose: true,
                    ..every
                },
            )
        },
        // A CPU that asks a million times in less than the timer's 10 ms: each of its
        // instructions takes 1 ns.
        Scenario::new(
            "verbose-with-slow-timer",
            Case {
                devices: &[
                    "-icount",
                    "shift=0",
                    "-trace",
                    "enable=-memory_region_ops_read",
                ],
                machine: INTACT.machine,
                ..timeless
            },
            verbose,
        ),
        Scenario::new("verbose-without-timer", timeless, verbose),
        Scenario::new(
            "refusal-resets",
            Case {
                expect: reset(Verdict::Mismatch, Reset::Chipset),
                ..devices
            },
            Config {
                on_refusal: Some(0),
                ..every
            },
        )
        .behind_an_idt(),
        // Without the chipset's way.
        Scenario::new(
            "refusal-resets-otherwise",
            Case {
                machine: "isapc",
                expect: reset(Verdict::Mismatch, Reset::Keyboard),
                ..refusal
            },
            Config {
                on_refusal: Some(0),
                ..DEFAULTS
            },
        ),
        Scenario::new("refusal-halts", refusal, DEFAULTS),
        Scenario::new(
            "exception",
            Case {
                devices: devices.devices,
                uart: devices.uart,
                expect: reset(Verdict::Exception, Reset::Chipset),
                ..virtualization
            },
            Config {
                backend: virtualization.config.map_or(0, |config| config.backend),
                ..every
            },
        ),
        Scenario::new(
            "page-fault",
            Case {
                expect: reset(Verdict::Exception, Reset::Chipset),
                ..page_fault
            },
            page_fault.config.unwrap_or(DEFAULTS),
        ),
    ]
});

const fn reset(verdict: Verdict, by: Reset) -> Expect {
    Expect::Resets(verdict, by)
}

/// A row of the table of boots.
fn row(name: &str) -> Case {
    *cases::CASES
        .iter()
        .copied()
        .chain([CASES])
        .flatten()
        .find(|case| case.name == name)
        .unwrap_or_else(|| panic!("there is no case {name}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_all_different() {
        let names: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
    }
}
