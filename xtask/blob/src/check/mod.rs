// SPDX-License-Identifier: MIT OR Apache-2.0
//! The promises a purgatory has to keep so that every
//! kernel loads it right, one row each.
//!
//! The loaders check next to nothing: a broken promise shows as a dead machine
//! at the next crash. Anybody's blob is judged; what only our own promises is
//! information for the others. Of the code only the instructions are judged,
//! not what it does with them.

mod finding;
mod instructions;
mod load;
mod own;
mod promises;
mod registers;
mod relocations;
mod sections;
mod stack;
mod symbols;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::load::{File, Layout, LoadError, Series, Tool};
use finding::Finding;
pub use finding::Grade;
pub use instructions::{Listed, listed};
use promises::{KEXEC_TOOLS, LOADER, OWN, Promise};
pub use stack::stack;

/// Where a purgatory has been seen or may be: the lowest place the loader
/// takes, both sides of 2 GiB, of 4 GiB, a crash area on a 1.5 TB machine
/// (the overflow of August 2019), and beyond any 4-level direct map.
pub const ADDRESSES: [u64; 6] = [
    0x3000,
    0x7fff_f000,
    0x8000_0000,
    0x1_0000_0000,
    0x17f_7aff_d000,
    1 << 46,
];

/// A blob with what it is judged by.
struct Subject<'data> {
    bytes: &'data [u8],
    linked: Option<&'data [u8]>,
    file: File<'data>,
    layout: Result<Layout, LoadError>,
    kernels: Vec<Series>,
    addresses: Vec<u64>,
}

impl Subject<'_> {
    /// Returns a blob that is to be looked into, not judged.
    fn of<'a>(blob: &'a [u8], linked: &'a [u8]) -> Result<Subject<'a>, LoadError> {
        let file = File::parse(blob)?;
        Ok(Subject {
            bytes: blob,
            linked: Some(linked),
            layout: Layout::of(&file, Series::V7_3),
            file,
            kernels: Vec::new(),
            addresses: Vec::new(),
        })
    }

    fn is_ours(&self) -> bool {
        self.symbol("purgatory_config").is_some()
    }

    /// What loads it, if that is no kernel.
    fn tool(&self) -> Option<&'static Tool> {
        self.kernels.first().and_then(|kernel| kernel.tool)
    }
}

/// Checks every promise that can be checked on these bytes: to kernels, one at least,
/// or to kexec-tools alone.
#[must_use]
pub fn judge(
    bytes: &[u8],
    linked: Option<&[u8]>,
    kernels: Vec<Series>,
    addresses: Vec<u64>,
) -> Table {
    let file = match File::parse(bytes) {
        Ok(file) => file,
        Err(error) => {
            let mut finding = Finding::default();
            finding.broken(error.to_string());
            return Table {
                rows: vec![Row {
                    promise: &LOADER[0],
                    finding,
                }],
                readable: false,
                is_ours: false,
            };
        }
    };
    let subject = Subject {
        bytes,
        linked,
        layout: Layout::of(&file, kernels[0]),
        file,
        kernels,
        addresses,
    };
    let (loader, own) = match subject.tool() {
        None => (LOADER, OWN),
        Some(_) => (KEXEC_TOOLS, [].as_slice()),
    };
    let own = own.iter().map(|promise| {
        let mut row = promise.check(&subject);
        if !subject.is_ours() {
            row.finding.inform();
        }
        row
    });
    let rows = loader.iter().map(|promise| promise.check(&subject));
    Table {
        rows: rows.chain(own).collect(),
        readable: true,
        is_ours: subject.is_ours(),
    }
}

impl Promise {
    fn check(&'static self, subject: &Subject<'_>) -> Row {
        let mut finding = Finding::default();
        (self.check)(subject, &mut finding);
        Row {
            promise: self,
            finding,
        }
    }
}

/// A promise, and what was found about it.
pub struct Row {
    promise: &'static Promise,
    finding: Finding,
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, finding } = self;
        let grade = finding.grade();
        let (title, number) = (promise.title, promise.number);
        write!(formatter, "{:4} {number:>3}  {title}", grade.label())?;
        let mut details = finding.details();
        if grade == Grade::Broken {
            writeln!(formatter)?;
            for what in details {
                writeln!(formatter, "{:13}what: {what}", "")?;
            }
            writeln!(formatter, "{:13}why:  {}", "", promise.why)?;
            return writeln!(formatter, "{:13}mend: {}", "", promise.mend);
        }
        if let Some(detail) = details.next() {
            let width = 42usize.saturating_sub(title.len());
            write!(formatter, "{:width$}  {detail}", "")?;
        }
        writeln!(formatter)?;
        for detail in details.filter(|_| grade == Grade::Doubtful) {
            writeln!(formatter, "{:54}{detail}", "")?;
        }
        Ok(())
    }
}

/// The table, as it is printed; `{:#}` adds everything that was looked at.
pub struct Table {
    rows: Vec<Row>,
    readable: bool,
    /// Whether it has the records of a blob of this project.
    pub is_ours: bool,
}

impl Table {
    /// Counts the rows with a verdict.
    #[must_use]
    pub fn count(&self, grade: Grade) -> usize {
        let same = |row: &&Row| row.finding.grade() == grade;
        self.rows.iter().filter(same).count()
    }
}

impl Table {
    /// Returns the rows that are broken.
    pub fn broken(&self) -> impl Iterator<Item = &Row> {
        let broken = |row: &&Row| row.finding.grade() == Grade::Broken;
        self.rows.iter().filter(broken)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            write!(formatter, "{row}")?;
            if formatter.alternate() {
                for line in row.finding.listing() {
                    writeln!(formatter, "{:13}{line}", "")?;
                }
            }
        }
        let [held, broken, doubtful, skipped] =
            [Grade::Held, Grade::Broken, Grade::Doubtful, Grade::Skipped]
                .map(|grade| self.count(grade));
        write!(formatter, "{held} held, {broken} broken")?;
        if doubtful > 0 {
            write!(formatter, ", {doubtful} doubtful")?;
        }
        if skipped > 0 {
            write!(formatter, ", {skipped} skipped")?;
        }
        if !self.readable {
            write!(
                formatter,
                "; without section headers the others cannot be judged"
            )?;
        }
        writeln!(formatter)
    }
}
