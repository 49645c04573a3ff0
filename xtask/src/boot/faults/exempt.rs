// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a fault may cost, instruction by instruction. Everything that is not here must
//! cost nothing: a good image boots and finds all as promised, and what was configured
//! happens. A row that fits no instruction is a failure, too.

use blob::check::Listed;

/// What is different when an instruction faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// Nothing of ours can catch it yet.
    NoTable,
    /// It is reported, and the machine is reset.
    Report,
    /// The next kernel boots, and finds something that begins like this.
    Found(&'static str),
}

/// A part of the function's name, how the instruction begins, what a fault there may
/// cost, and why nobody has to bear it or why it must.
pub(super) struct Row {
    function: &'static str,
    text: &'static str,
    pub(super) cost: Cost,
    #[expect(dead_code, reason = "for people")]
    why: &'static str,
}

const BEFORE: &str = "runs before our table; no hypervisor lets it fault in a kernel that \
    got as far as kexec, where it, or another one of its kind, ran before";

/// All of them.
pub(super) const ROWS: &[Row] = &[
    row("purgatory_start", "cli", Cost::NoTable, BEFORE),
    row("purgatory_start", "sidt ", Cost::NoTable, BEFORE),
    row("purgatory::run", "lgdt ", Cost::NoTable, BEFORE),
    row("purgatory::run", "ltr ", Cost::NoTable, BEFORE),
    row("purgatory::run", "lidt ", Cost::NoTable, BEFORE),
    row(
        "x86_jump",
        "lidt ",
        Cost::Report,
        "the next kernel was promised the IDTR of the first one",
    ),
    row(
        "entry::exception",
        "mov ",
        Cost::Report,
        "where a page fault cannot say where it was, that is what is reported",
    ),
    row(
        "features::restore",
        "mov cr4,",
        Cost::Found("cr4 0x220, not 0x20"),
        "the bit that lets SSE run cannot be taken back",
    ),
    row(
        "features::disarm",
        "mov dr7,",
        Cost::Found("dr7 0x401, not 0x400"),
        "what cannot be disarmed stays as the first kernel left it",
    ),
    row(
        "features::disarm",
        "mov rax,dr7",
        Cost::Found("dr7 0x401, not 0x400"),
        "what cannot be read is not written",
    ),
    row(
        "sha256::clear_vectors",
        "xorps ",
        Cost::Found("vector "),
        "what cannot be cleared stays as the backend left it",
    ),
];

const fn row(function: &'static str, text: &'static str, cost: Cost, why: &'static str) -> Row {
    Row {
        function,
        text,
        cost,
        why,
    }
}

impl Row {
    fn fits(&self, instruction: &Listed) -> bool {
        instruction.function.contains(self.function) && instruction.text.starts_with(self.text)
    }
}

/// Returns what a fault of an instruction may cost, with the index of the row.
pub(super) fn find(instruction: &Listed) -> Option<(usize, Cost)> {
    let fits = |(_, row): &(usize, &Row)| row.fits(instruction);
    let (index, row) = ROWS.iter().enumerate().find(fits)?;
    Some((index, row.cost))
}

/// Returns how a row reads.
pub(super) fn name(index: usize) -> String {
    let Row { function, text, .. } = &ROWS[index];
    format!("{:?} in {function}", text.trim_end())
}
