//! `cargo xtask check`: the promises a purgatory has to keep so that every
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
mod relocations;
mod sections;
mod symbols;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use crate::arch::Arch;
use crate::build;
use crate::failure::Failure;
use crate::loader::{self, File, Kernel, Layout, LoadError};
use finding::{Finding, Verdict};
use promises::{LOADER, OWN, Promise};

/// Where a purgatory has been seen or may be: the lowest place the loader
/// takes, both sides of 2 GiB, of 4 GiB, a crash area on a 1.5 TB machine
/// (the overflow of August 2019), and beyond any 4-level direct map.
const ADDRESSES: [u64; 6] = [
    0x3000,
    0x7fff_f000,
    0x8000_0000,
    0x1_0000_0000,
    0x17f_7aff_d000,
    1 << 46,
];

/// Proves that kernels will load a purgatory blob, and load it right
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The blob, as in `purgatory.ro`
    file: PathBuf,
    /// Judge by the rules of this kernel only
    #[arg(long, value_name = "VERSION")]
    kernel: Option<Kernel>,
    /// Load at this address too
    #[arg(long, value_name = "ADDR", value_parser = loader::place)]
    load_at: Option<u64>,
    /// The linked program, for the names of functions [default:
    /// purgatory-x86_64.elf in the blob's folder]
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
    /// List every instruction that has a place of its own, by function
    #[arg(long)]
    instructions: bool,
}

/// Prints the table; fails if a promise is broken.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let bytes = loader::read(&arguments.file)?;
    let linked = match &arguments.elf {
        Some(path) => Some(loader::read(path)?),
        None => linked_beside(&arguments.file),
    };
    let kernels = match arguments.kernel {
        Some(kernel) => vec![kernel],
        None => Kernel::value_variants().to_vec(),
    };
    let addresses = ADDRESSES.into_iter().chain(arguments.load_at).collect();
    let report = judge(&bytes, linked.as_deref(), kernels, addresses);
    match arguments.instructions {
        true => print!("{report:#}"),
        false => print!("{report}"),
    }
    match report.count(Verdict::Broken) {
        0 => Ok(()),
        _ => Err(Failure::Reported.into()),
    }
}

/// Reads a blob that is about to be started; refuses one that breaks a promise, and
/// one that does not leave the record by which a boot is judged.
pub(crate) fn accept(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = loader::read(path)?;
    let linked = linked_beside(path);
    let kernels = Kernel::value_variants().to_vec();
    let report = judge(&bytes, linked.as_deref(), kernels, ADDRESSES.to_vec());
    match report.count(Verdict::Broken) {
        0 if report.is_ours => Ok(bytes),
        0 => Err(Failure::Usage(format!(
            "{} is not a blob of this project, as `cargo xtask build` makes one: it has no purgatory_config",
            path.display()
        ))
        .into()),
        count => {
            let mut text = format!("{} breaks what its loaders rely on:\n", path.display());
            let broken = |row: &&Row| row.finding.verdict() == Verdict::Broken;
            for row in report.rows.iter().filter(broken) {
                text += &row.to_string();
            }
            anyhow::bail!("{text}{count} broken; `cargo xtask check` prints the whole table")
        }
    }
}

/// Reads the linked program that the build leaves beside a blob, if it is there.
fn linked_beside(blob: &Path) -> Option<Vec<u8>> {
    fs::read(blob.with_file_name(build::linked_name(Arch::X86_64))).ok()
}

/// A blob with what it is judged by.
struct Subject<'data> {
    bytes: &'data [u8],
    linked: Option<&'data [u8]>,
    file: File<'data>,
    layout: Result<Layout, LoadError>,
    kernels: Vec<Kernel>,
    addresses: Vec<u64>,
}

impl Subject<'_> {
    fn is_ours(&self) -> bool {
        self.symbol("purgatory_config").is_some()
    }
}

/// Checks every promise that can be checked on these bytes.
fn judge(bytes: &[u8], linked: Option<&[u8]>, kernels: Vec<Kernel>, addresses: Vec<u64>) -> Report {
    let file = match File::parse(bytes) {
        Ok(file) => file,
        Err(error) => {
            let mut finding = Finding::default();
            finding.broken(error.to_string());
            return Report {
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
        layout: Layout::of(&file),
        file,
        kernels,
        addresses,
    };
    let own = OWN.iter().map(|promise| {
        let mut row = promise.check(&subject);
        if !subject.is_ours() {
            row.finding.inform();
        }
        row
    });
    let rows = LOADER.iter().map(|promise| promise.check(&subject));
    Report {
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
struct Row {
    promise: &'static Promise,
    finding: Finding,
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, finding } = self;
        let verdict = finding.verdict();
        let (title, number) = (promise.title, promise.number);
        write!(formatter, "{:4} {number:>3}  {title}", verdict.label())?;
        let mut details = finding.details();
        if verdict == Verdict::Broken {
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
        for detail in details.filter(|_| verdict == Verdict::Doubtful) {
            writeln!(formatter, "{:54}{detail}", "")?;
        }
        Ok(())
    }
}

/// The table, as it is printed; `{:#}` adds everything that was looked at.
struct Report {
    rows: Vec<Row>,
    readable: bool,
    is_ours: bool,
}

impl Report {
    fn count(&self, verdict: Verdict) -> usize {
        let same = |row: &&Row| row.finding.verdict() == verdict;
        self.rows.iter().filter(same).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            write!(formatter, "{row}")?;
            if formatter.alternate() {
                for line in row.finding.listing() {
                    writeln!(formatter, "{:13}{line}", "")?;
                }
            }
        }
        let [held, broken, doubtful, skipped] = [
            Verdict::Held,
            Verdict::Broken,
            Verdict::Doubtful,
            Verdict::Skipped,
        ]
        .map(|verdict| self.count(verdict));
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
