// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which instruction faults when, where and how.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use blob::arch::Arch;
use blob::check::Listed;
use purgatory::status::Phase;

use super::exception::{
    COMMUNICATION, DOUBLE_FAULT, INVALID_OPCODE, MACHINE_CHECK, PROTECTION, RFLAGS_DF,
    VIRTUALIZATION,
};
use super::exempt;
use super::exempt::Cost;
use super::scenario::SCENARIOS;

/// An execution: the instruction, as an index into the list, and when: the phase on
/// record, 0 before there is one.
pub(super) type Execution = (usize, u32);

/// What a boot without a fault executed, and for each whether our own table was in use.
pub(super) type Executed = BTreeMap<Execution, bool>;

/// A boot with a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boot {
    pub(super) scenario: usize,
    pub(super) instruction: usize,
    /// The phase from which on it faults.
    pub(super) moment: u32,
    pub(super) vector: u8,
    /// Flags that are set when it does.
    pub(super) flags: u64,
    /// What is raised once more, at the begin of the report on it.
    pub(super) then: Option<u8>,
    pub(super) cost: Option<Cost>,
}

impl Boot {
    /// Names it for people.
    pub(super) fn describe(&self, list: &[Listed]) -> String {
        let Listed {
            offset,
            text,
            function,
            ..
        } = &list[self.instruction];
        let mnemonic = |vector: u8| (Arch::ALL[0].cause)(vector.into()).mnemonic;
        let moment = Phase::ALL
            .iter()
            .find(|phase| phase.number() == self.moment);
        let moment = moment.map_or("Begun".to_owned(), |phase| format!("{phase:?}"));
        let mut text = format!(
            "{}: #{} at {text:?} (+{offset:#x}, {function}), phase {moment}",
            SCENARIOS[self.scenario].name,
            mnemonic(self.vector),
        );
        if self.flags != 0 {
            text += ", direction flag set";
        }
        if let Some(then) = self.then {
            text += &format!(", then #{}", mnemonic(then));
        }
        text
    }

    /// Names it for the file system.
    pub(super) fn name(&self, list: &[Listed]) -> String {
        let Self {
            scenario,
            instruction,
            moment,
            vector,
            flags,
            then,
            ..
        } = self;
        let (scenario, offset) = (SCENARIOS[*scenario].name, list[*instruction].offset);
        let then = then.unwrap_or_default();
        format!("fault-{scenario}-{offset:x}-{moment}-{vector}-{flags:x}-{then}")
    }
}

/// All that is to be booted, and what keeps it from being everything.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) boots: Vec<Boot>,
    pub(super) missing: Vec<String>,
}

/// What the CPU may raise at an instruction of a kind.
fn vectors(kind: &str) -> &'static [u8] {
    match kind {
        "port I/O" | "counter" => &[COMMUNICATION, VIRTUALIZATION],
        "halt" => &[VIRTUALIZATION],
        "vector or other extension" | "call of the hypervisor" => &[INVALID_OPCODE],
        "control or debug register" | "descriptor table" | "interrupt flag" => &[PROTECTION],
        _ => &[],
    }
}

/// Plans a boot for each moment at which an instruction is executed, in the first
/// scenario that does, and for each exception that it may raise.
pub(super) fn plan(list: &[Listed], executed: &[Executed]) -> Result<Plan> {
    let mut boots = Vec::new();
    let mut missing = Vec::new();
    let mut seen = BTreeSet::new();
    let mut rows = BTreeSet::new();
    for (scenario, executed) in executed.iter().enumerate() {
        for (&(instruction, moment), &ours) in executed {
            if !seen.insert((instruction, moment)) {
                continue;
            }
            let listed = &list[instruction];
            let place = format!(
                "{:?} (+{:#x}, {})",
                listed.text, listed.offset, listed.function
            );
            let row = exempt::find(listed);
            rows.extend(row.map(|(index, _)| index));
            let cost = row.map(|(_, cost)| cost);
            match (ours, cost) {
                (false, Some(Cost::NoTable)) => continue,
                (false, _) => {
                    missing.push(format!(
                        "{place} runs where nothing of ours catches a fault"
                    ));
                    continue;
                }
                (true, Some(Cost::NoTable)) => {
                    missing.push(format!(
                        "{place} is exempt, but what faults there is caught"
                    ));
                }
                (true, _) => (),
            }
            let vectors = vectors(listed.kind);
            if vectors.is_empty() {
                missing.push(format!(
                    "{place}: it is not known what {:?} raises",
                    listed.kind
                ));
            }
            boots.extend(vectors.iter().map(|&vector| Boot {
                scenario,
                instruction,
                moment,
                vector,
                flags: 0,
                then: None,
                cost,
            }));
        }
    }
    let executed: BTreeSet<usize> = seen.iter().map(|(instruction, _)| *instruction).collect();
    for (index, listed) in list.iter().enumerate() {
        if !executed.contains(&index) {
            let Listed {
                offset,
                text,
                function,
                ..
            } = listed;
            missing.push(format!(
                "no scenario executes {text:?} (+{offset:#x}, {function})"
            ));
        }
    }
    for index in 0..exempt::ROWS.len() {
        if !rows.contains(&index) {
            missing.push(format!(
                "nothing is {}, which is exempt",
                exempt::name(index)
            ));
        }
    }
    boots.extend(guarded(list, &boots)?);
    boots.sort_by_key(|boot| boot.scenario);
    Ok(Plan { boots, missing })
}

/// What else may come up inside a guard, tried where a good image is hashed.
fn guarded(list: &[Listed], boots: &[Boot]) -> Result<[Boot; 4]> {
    let reads_the_time = |boot: &&Boot| {
        let verifying = boot.moment == Phase::Verifying.number();
        boot.scenario == 0 && verifying && list[boot.instruction].kind == "counter"
    };
    let Some(&boot) = boots.iter().find(reads_the_time) else {
        bail!("the good path no longer reads the time: try another guarded instruction here");
    };
    let raises = |vector| Boot { vector, ..boot };
    Ok([
        // What a second #VE is in a TDX guest.
        raises(DOUBLE_FAULT),
        Boot {
            flags: RFLAGS_DF,
            ..boot
        },
        // About the machine, not about what was tried.
        raises(MACHINE_CHECK),
        // What happens in its report must not go on behind the guard.
        Boot {
            then: Some(INVALID_OPCODE),
            ..raises(MACHINE_CHECK)
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTERED: u32 = 1;
    const VERIFYING: u32 = 2;

    fn listed(kind: &'static str, function: &str, text: &str) -> Listed {
        Listed {
            offset: 0x10,
            length: 2,
            name: text.to_owned(),
            text: text.to_owned(),
            kind,
            function: function.to_owned(),
        }
    }

    /// The time is read, in a guard.
    fn clock() -> Listed {
        listed("counter", "time_stamp", "rdtsc")
    }

    fn planned(list: &[Listed], executed: &[Executed]) -> Plan {
        let mut plan = plan(list, executed).unwrap();
        let exempt = |problem: &String| !problem.ends_with(", which is exempt");
        plan.missing.retain(exempt);
        plan
    }

    #[test]
    fn each_moment_is_tried_in_the_first_scenario_that_has_it() {
        let list = [clock()];
        let executed = [
            Executed::from([((0, VERIFYING), true)]),
            Executed::from([((0, ENTERED), true), ((0, VERIFYING), true)]),
        ];
        let Plan { boots, missing } = planned(&list, &executed);
        let plain = boots
            .iter()
            .filter(|boot| boot.flags == 0 && boot.then.is_none());
        let plain: Vec<_> = plain
            .map(|boot| (boot.scenario, boot.moment, boot.vector))
            .collect();
        assert_eq!(
            plain,
            [
                (0, VERIFYING, COMMUNICATION),
                (0, VERIFYING, VIRTUALIZATION),
                (0, VERIFYING, DOUBLE_FAULT),
                (0, VERIFYING, MACHINE_CHECK),
                (1, ENTERED, COMMUNICATION),
                (1, ENTERED, VIRTUALIZATION),
            ]
        );
        assert_eq!(boots.len(), plain.len() + 2);
        assert_eq!(missing, [""; 0]);
        let early = [Executed::from([((0, ENTERED), true)])];
        assert!(plan(&list, &early).is_err_and(|error| error.to_string().contains("time")));
    }

    #[test]
    fn what_is_not_tried_is_said() {
        let list = [
            clock(),
            listed("CPUID", "probe", "cpuid"),
            listed("halt", "halt", "hlt"),
            listed("descriptor table", "set_up", "lidt [rax]"),
            listed("interrupt flag", "purgatory_start", "cli"),
            listed("interrupt flag", "purgatory_start", "cli"),
        ];
        let executed = Executed::from([
            ((0, VERIFYING), true),
            ((1, ENTERED), true),
            ((3, ENTERED), false),
            ((4, 0), false),
            ((5, 0), true),
        ]);
        let missing = planned(&list, &[executed]).missing;
        let says = [
            "\"cpuid\" (+0x10, probe): it is not known what \"CPUID\" raises",
            "\"lidt [rax]\" (+0x10, set_up) runs where nothing of ours catches a fault",
            "\"cli\" (+0x10, purgatory_start) is exempt, but what faults there is caught",
            "no scenario executes \"hlt\" (+0x10, halt)",
        ];
        assert_eq!(missing, says);
    }

    #[test]
    fn an_exemption_of_nothing_is_said() {
        let executed = Executed::from([((0, VERIFYING), true)]);
        let missing = plan(&[clock()], &[executed]).unwrap().missing;
        assert_eq!(missing.len(), exempt::ROWS.len());
        assert!(missing[0].starts_with("nothing is \"cli\" in purgatory_start, which is exempt"));
    }

    #[test]
    fn names_are_all_different() {
        let list = [clock()];
        let executed = [Executed::from([
            ((0, ENTERED), true),
            ((0, VERIFYING), true),
        ])];
        let boots = planned(&list, &executed).boots;
        let unique = |name: fn(&Boot, &[Listed]) -> String| {
            let names: BTreeSet<_> = boots.iter().map(|boot| name(boot, &list)).collect();
            names.len()
        };
        assert_eq!(unique(Boot::name), boots.len());
        assert_eq!(unique(Boot::describe), boots.len());
    }
}
