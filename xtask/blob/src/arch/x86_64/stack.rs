// SPDX-License-Identifier: MIT OR Apache-2.0
//! How deep x86-64 code gets on its stack: every path is walked, every call entered.
//!
//! What is known on the way are addresses of our own and of the stack, in registers and
//! in memory on the stack, so that calls through them lead somewhere. What a called
//! function writes through a pointer is not seen to change them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory};
use iced_x86::{Mnemonic, OpAccess, OpKind, Register};

use crate::arch::{Deepest, Part};
use crate::symbols::Code;

/// Calls within calls, and how often a function without a bound may be among them: a
/// guard within a guard is no recursion.
const NESTED: usize = 64;
const AGAIN: usize = 4;

/// Functions that call themselves, and how often at most.
const BOUNDS: [(&str, usize); 2] = [
    // A call a digit: 64 bits have 20.
    ("purgatory::print::number", 20),
    // `DEEPEST` there.
    ("purgatory::print::unpack", 6),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Value {
    /// An address of the blob.
    Own(u64),
    /// An address on the stack, from where the walk began.
    Stack(i64),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    rsp: i64,
    registers: BTreeMap<Register, Value>,
    slots: BTreeMap<i64, Value>,
}

/// A state as the function sees it that is entered with it.
type Key = (u64, Vec<(Register, Value)>, Vec<(i64, Value)>);

#[derive(Clone, Debug)]
struct Summary {
    lowest: i64,
    path: Vec<u64>,
    returns: bool,
}

struct Walk {
    code: HashMap<u64, Instruction>,
    /// How often functions call themselves; 0 is one that is not entered, and does not
    /// return.
    bounds: Vec<(u64, usize)>,
    known: HashMap<Key, Summary>,
    /// Instructions that are on some path.
    reached: BTreeSet<u64>,
    info: InstructionInfoFactory,
    calls: Vec<u64>,
}

/// Finds the deepest stack of what begins at `entry` of a blob; `without` is not entered,
/// `reached` learns what is.
fn deepest(
    code: &Code<'_>,
    entry: u64,
    without: Option<u64>,
    reached: &mut BTreeSet<u64>,
) -> Result<Deepest, String> {
    let bound = |&(name, bound): &(&str, usize)| Some((code.find(name)?, bound));
    let bounds = BOUNDS.iter().filter_map(bound);
    let decoder = Decoder::with_ip(64, code.bytes, 0, DecoderOptions::NONE);
    let mut walk = Walk {
        code: decoder.into_iter().map(|one| (one.ip(), one)).collect(),
        bounds: bounds.chain(without.map(|entry| (entry, 0))).collect(),
        known: HashMap::new(),
        reached: BTreeSet::new(),
        info: InstructionInfoFactory::new(),
        calls: Vec::new(),
    };
    let summary = walk.function(entry, State::default())?;
    reached.append(&mut walk.reached);
    Ok(Deepest {
        bytes: summary.lowest.unsigned_abs(),
        path: summary.path,
    })
}

impl Walk {
    fn function(&mut self, entry: u64, state: State) -> Result<Summary, String> {
        let again = self.calls.iter().filter(|call| **call == entry).count();
        let bound = self.bounds.iter().find(|(function, _)| *function == entry);
        if let Some((_, bound)) = bound
            && again >= *bound
        {
            return Ok(Summary {
                lowest: 0,
                path: Vec::new(),
                returns: *bound > 0,
            });
        }
        let key = key(entry, &state);
        if let Some(summary) = self.known.get(&key) {
            return Ok(summary.clone());
        }
        if (bound.is_none() && again > AGAIN) || self.calls.len() > NESTED {
            return Err(format!("{entry:#x} calls itself, without a bound"));
        }
        self.calls.push(entry);
        let summary = self.body(entry, state)?;
        self.calls.pop();
        self.known.insert(key, summary.clone());
        Ok(summary)
    }

    fn body(&mut self, entry: u64, state: State) -> Result<Summary, String> {
        let start = state.rsp;
        let mut deepest = (0, vec![entry]);
        let mut returns = false;
        let mut seen: BTreeMap<u64, State> = BTreeMap::new();
        let mut left = vec![(entry, state)];
        while let Some((at, state)) = left.pop() {
            let state = match seen.get(&at) {
                Some(earlier) if earlier.rsp != state.rsp => {
                    let depths = [earlier.rsp, state.rsp].map(|rsp| start - rsp);
                    return Err(format!("{at:#x} is reached {depths:?} bytes deep"));
                }
                Some(earlier) => {
                    let both = common(earlier, &state);
                    if both == *earlier {
                        continue;
                    }
                    both
                }
                None => state,
            };
            seen.insert(at, state.clone());
            let one = *self
                .code
                .get(&at)
                .ok_or_else(|| format!("{at:#x} is no instruction"))?;
            self.reached.insert(at);
            let next = one.next_ip();
            let mut after = self.step(&one, &state)?;
            deepest.0 = deepest.0.min(after.rsp - start);
            let unknown = || format!("{at:#x} goes where no register is known to lead");
            match one.flow_control() {
                FlowControl::Next | FlowControl::Interrupt => left.push((next, after)),
                FlowControl::ConditionalBranch => {
                    left.push((one.near_branch_target(), after.clone()));
                    left.push((next, after));
                }
                FlowControl::UnconditionalBranch => left.push((one.near_branch_target(), after)),
                FlowControl::IndirectBranch => match self.read(&one, 0, &state) {
                    Some(Value::Own(target)) => left.push((target, after)),
                    // Into the next kernel: what the loader wrote.
                    _ if one.is_ip_rel_memory_operand() => {}
                    _ => return Err(unknown()),
                },
                // Of the hypervisor.
                FlowControl::Call if one.op0_kind() != OpKind::NearBranch64 => {
                    left.push((next, after));
                }
                FlowControl::Call | FlowControl::IndirectCall => {
                    let target = match one.flow_control() {
                        FlowControl::Call => one.near_branch_target(),
                        _ => match self.read(&one, 0, &state) {
                            Some(Value::Own(target)) => target,
                            _ => return Err(unknown()),
                        },
                    };
                    after.rsp -= 8;
                    after.slots.remove(&after.rsp);
                    let inner = self.function(target, handed(&after))?;
                    let depth = after.rsp - start + inner.lowest;
                    if depth < deepest.0 {
                        deepest = (depth, [&[entry], inner.path.as_slice()].concat());
                    }
                    after.rsp += 8;
                    if inner.returns {
                        after
                            .registers
                            .retain(|register, _| KEPT.contains(register));
                        after.slots.retain(|slot, _| *slot >= after.rsp);
                        left.push((next, after));
                    }
                }
                FlowControl::Return if one.mnemonic() == Mnemonic::Iretq => {
                    let slot = |at| state.slots.get(&(state.rsp + at));
                    if let (Some(Value::Own(target)), Some(Value::Stack(rsp))) = (slot(0), slot(24))
                    {
                        after.rsp = *rsp;
                        left.push((*target, after));
                    }
                }
                FlowControl::Return if one.mnemonic() == Mnemonic::Retf => {
                    let Some(Value::Own(target)) = state.slots.get(&state.rsp) else {
                        return Err(unknown());
                    };
                    after.rsp = state.rsp + 16;
                    left.push((*target, after));
                }
                FlowControl::Return if state.rsp != start => {
                    return Err(format!("{at:#x} returns from another depth"));
                }
                FlowControl::Return => returns = true,
                _ => {}
            }
        }
        Ok(Summary {
            lowest: deepest.0,
            path: deepest.1,
            returns,
        })
    }

    /// Does what an instruction does to what is known.
    fn step(&mut self, one: &Instruction, state: &State) -> Result<State, String> {
        let mut after = state.clone();
        let at = one.ip();
        let to = one.op0_register();
        let value = self.value(one, state);
        let used = self.info.info(one);
        let writes = |access| {
            use OpAccess::{CondWrite, ReadCondWrite, ReadWrite, Write};
            matches!(access, Write | CondWrite | ReadWrite | ReadCondWrite)
        };
        for register in used.used_registers() {
            let whole = register.register().full_register();
            if writes(register.access()) && whole != Register::RSP {
                after.registers.remove(&whole);
            }
        }
        let is_call = matches!(
            one.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall
        );
        if !is_call && one.flow_control() != FlowControl::Return {
            after.rsp += i64::from(one.stack_pointer_increment());
        }
        let pushes = !is_call && one.stack_pointer_increment() < 0;
        for memory in used.used_memory() {
            if !pushes
                && writes(memory.access())
                && let Some(place) = place(one, state)
            {
                let end = place + memory.memory_size().size().max(1) as i64;
                after
                    .slots
                    .retain(|slot, _| *slot + 8 <= place || *slot >= end);
            }
        }
        match one.mnemonic() {
            Mnemonic::Push | Mnemonic::Pushfq => {
                after.slots.remove(&after.rsp);
                after.slots.extend(value.map(|value| (after.rsp, value)));
            }
            Mnemonic::Mov if one.op0_kind() == OpKind::Memory => {
                if let (Some(place), Some(value)) = (place(one, state), value) {
                    after.slots.insert(place, value);
                }
            }
            Mnemonic::Sub | Mnemonic::Add | Mnemonic::Mov | Mnemonic::Lea
                if to == Register::RSP =>
            {
                let immediate = one.try_immediate(1).map(u64::cast_signed);
                after.rsp = match (one.mnemonic(), immediate, value) {
                    (Mnemonic::Sub, Ok(bytes), _) => state.rsp - bytes,
                    (Mnemonic::Add, Ok(bytes), _) => state.rsp + bytes,
                    (_, _, Some(Value::Stack(rsp))) => rsp,
                    // Our own stack, taken at the entry, or that of the next kernel.
                    (Mnemonic::Lea, ..) | (Mnemonic::Mov, ..) => 0,
                    _ => return Err(format!("{at:#x} sets the stack pointer to who knows what")),
                };
            }
            _ if used.used_registers().iter().any(|register| {
                register.register() == Register::RSP && writes(register.access())
            }) && one.stack_pointer_increment() == 0
                && !is_call
                && one.flow_control() != FlowControl::Return =>
            {
                return Err(format!("{at:#x} sets the stack pointer to who knows what"));
            }
            _ if to.is_gpr64() => after.registers.extend(value.map(|value| (to, value))),
            _ => {}
        }
        Ok(after)
    }

    /// Returns what an instruction moves, if that is known.
    fn value(&self, one: &Instruction, state: &State) -> Option<Value> {
        match one.mnemonic() {
            Mnemonic::Push => self.read(one, 0, state),
            Mnemonic::Pop => state.slots.get(&state.rsp).copied(),
            Mnemonic::Mov => self.read(one, 1, state),
            Mnemonic::Lea if one.is_ip_rel_memory_operand() => {
                Some(Value::Own(one.ip_rel_memory_address()))
            }
            Mnemonic::Lea => place(one, state).map(Value::Stack),
            _ => None,
        }
    }

    /// Returns the value of an operand.
    fn read(&self, one: &Instruction, operand: u32, state: &State) -> Option<Value> {
        match one.op_kind(operand) {
            OpKind::Register if one.op_register(operand) == Register::RSP => {
                Some(Value::Stack(state.rsp))
            }
            OpKind::Register => state.registers.get(&one.op_register(operand)).copied(),
            OpKind::Memory => state.slots.get(&place(one, state)?).copied(),
            _ => None,
        }
    }
}

/// Those that a function leaves as they were (System V ABI).
const KEPT: [Register; 6] = [
    Register::RBX,
    Register::RBP,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// Those that carry arguments (the same).
const ARGUMENTS: [Register; 6] = [
    Register::RDI,
    Register::RSI,
    Register::RDX,
    Register::RCX,
    Register::R8,
    Register::R9,
];
/// How much of what a pointer leads to is looked at.
const REACH: i64 = 128;

/// Returns the place on the stack that a memory operand means.
fn place(one: &Instruction, state: &State) -> Option<i64> {
    let base = match one.memory_base() {
        Register::RSP => state.rsp,
        base => match state.registers.get(&base)? {
            Value::Stack(place) => *place,
            _ => return None,
        },
    };
    (one.memory_index() == Register::None).then(|| base + one.memory_displacement64().cast_signed())
}

/// Returns what a called function may look at: its arguments, and what they point to.
fn handed(state: &State) -> State {
    let mut handed = State {
        rsp: state.rsp,
        ..State::default()
    };
    for register in ARGUMENTS {
        let value = state.registers.get(&register);
        handed
            .registers
            .extend(value.map(|value| (register, *value)));
    }
    let mut left: Vec<Value> = handed.registers.values().copied().collect();
    while let Some(value) = left.pop() {
        let Value::Stack(place) = value else { continue };
        for (slot, value) in state.slots.range(place..place + REACH) {
            if handed.slots.insert(*slot, *value).is_none() {
                left.push(*value);
            }
        }
    }
    handed
}

fn key(entry: u64, state: &State) -> Key {
    let from = |value: Value| match value {
        Value::Stack(place) => Value::Stack(place - state.rsp),
        other => other,
    };
    let registers = state
        .registers
        .iter()
        .map(|(name, value)| (*name, from(*value)));
    let slots = state
        .slots
        .iter()
        .map(|(slot, value)| (slot - state.rsp, from(*value)));
    (entry, registers.collect(), slots.collect())
}

/// Returns what both know.
fn common(one: &State, other: &State) -> State {
    let mut both = one.clone();
    both.registers
        .retain(|name, value| other.registers.get(name) == Some(value));
    both.slots
        .retain(|slot, value| other.slots.get(slot) == Some(value));
    both
}

/// The CPU pushes five words below a multiple of 16; what is behind them, it or a stub.
const FRAME: u64 = 5 * 8 + 8;

/// Where no path leads: what user space calls, where an exception handler returns to, and
/// what lies before the entry.
const ELSEWHERE: [&str; 3] = ["purgatory_verify", "x86_guarded_fault", "(nameless)"];

/// What may lie on one stack at once: the trip; the exceptions that end it, of which
/// two are reported, the third acts and the fourth halts (`fatal` counts them); two that
/// are resumed from, one in a guarded call and one in the answer to it; and an NMI.
pub(in crate::arch) fn parts(code: &Code<'_>) -> Result<Vec<Part>, String> {
    let named = |name: &str| code.find(name).ok_or(format!("there is no {name}"));
    let start = named("purgatory_start")?;
    let stubs = named("x86_exception_stubs")?;
    let [report, fatal] =
        ["report", "fatal"].map(|name| named(&format!("purgatory::fault::{name}")).ok());
    let part = |what, times, frame, deepest: Deepest| Part {
        what,
        times,
        is_exception: frame > 0,
        deepest: Deepest {
            bytes: frame + deepest.bytes,
            ..deepest
        },
    };
    let mut reached = BTreeSet::new();
    let mut deepest = |entry, without| deepest(code, entry, without, &mut reached);
    let parts = vec![
        part("the trip", 1, 0, deepest(start, None)?),
        part("reports on exceptions", 2, FRAME, deepest(stubs, None)?),
        part("further ones", 2, FRAME, deepest(stubs, report)?),
        part("resumed ones, and an NMI", 3, FRAME, deepest(stubs, fatal)?),
    ];
    // A walk that ends too early finds little.
    let others = code
        .functions()
        .find(|(name, at, _)| !ELSEWHERE.contains(name) && !reached.contains(at));
    match others {
        Some((_, at, _)) => Err(format!("{at:#x} is on no path that was walked")),
        None => Ok(parts),
    }
}
