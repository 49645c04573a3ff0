//! `cargo xtask check`: the promises a purgatory has to keep so that every
//! kernel loads it right, one row each.
//!
//! The loaders check next to nothing: a broken promise shows as a dead machine
//! at the next crash. Anybody's blob is judged; what only our own promises is
//! information for the others. What the code does once it runs is not judged
//! here.

mod finding;
mod load;
mod own;
mod promises;
mod relocations;
mod sections;
mod symbols;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::ValueEnum as _;

use crate::failure::Failure;
use crate::loader::{self, File, Kernel, Layout, LoadError, PAGE};
use crate::record;
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
    /// Judges by the rules of this kernel only
    #[arg(long, value_name = "VERSION")]
    kernel: Option<Kernel>,
    /// Loads at this address too
    #[arg(long, value_name = "ADDR", value_parser = parse_page)]
    load_at: Option<u64>,
}

/// Prints the table; fails if a promise is broken.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let bytes = loader::read(&arguments.file)?;
    let kernels = match arguments.kernel {
        Some(kernel) => vec![kernel],
        None => Kernel::value_variants().to_vec(),
    };
    let addresses = ADDRESSES.into_iter().chain(arguments.load_at).collect();
    let report = judge(&bytes, kernels, addresses);
    io::stdout().write_all(report.to_string().as_bytes())?;
    match report.count(Verdict::Broken) {
        0 => Ok(()),
        _ => Err(Failure::Reported.into()),
    }
}

/// Reads an address in C's notation.
fn parse_page(text: &str) -> Result<u64, String> {
    let address = record::number(text).map_err(|error| error.to_string())?;
    if address == 0 || !address.is_multiple_of(PAGE) {
        return Err("the kernel loads at multiples of 0x1000 only".into());
    }
    Ok(address)
}

/// A blob with what it is judged by.
struct Subject<'data> {
    bytes: &'data [u8],
    file: File<'data>,
    layout: Result<Layout, LoadError>,
    kernels: Vec<Kernel>,
    addresses: Vec<u64>,
}

/// Checks every promise that can be checked on these bytes.
fn judge(bytes: &[u8], kernels: Vec<Kernel>, addresses: Vec<u64>) -> Report {
    let file = match File::parse(bytes) {
        Ok(file) => file,
        Err(error) => {
            let mut finding = Finding::default();
            finding.broken(error.to_string());
            return Report {
                rows: vec![(&LOADER[0], finding)],
                readable: false,
            };
        }
    };
    let subject = Subject {
        bytes,
        layout: Layout::of(&file),
        file,
        kernels,
        addresses,
    };
    let is_ours = subject.symbol("purgatory_config").is_some();
    let own = OWN.iter().map(|promise| {
        let mut row = promise.check(&subject);
        if !is_ours {
            row.1.inform();
        }
        row
    });
    let rows = LOADER.iter().map(|promise| promise.check(&subject));
    Report {
        rows: rows.chain(own).collect(),
        readable: true,
    }
}

impl Promise {
    fn check(&'static self, subject: &Subject<'_>) -> (&'static Self, Finding) {
        let mut finding = Finding::default();
        (self.check)(subject, &mut finding);
        (self, finding)
    }
}

/// The table, as it is printed.
struct Report {
    rows: Vec<(&'static Promise, Finding)>,
    readable: bool,
}

impl Report {
    fn count(&self, verdict: Verdict) -> usize {
        let same = |row: &&(_, Finding)| row.1.verdict() == verdict;
        self.rows.iter().filter(same).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (promise, finding) in &self.rows {
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
                writeln!(formatter, "{:13}mend: {}", "", promise.mend)?;
            } else {
                if let Some(detail) = details.next() {
                    let width = 42usize.saturating_sub(title.len());
                    write!(formatter, "{:width$}  {detail}", "")?;
                }
                writeln!(formatter)?;
                for detail in details.filter(|_| verdict == Verdict::Doubtful) {
                    writeln!(formatter, "{:54}{detail}", "")?;
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
