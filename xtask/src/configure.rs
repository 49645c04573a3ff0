//! `cargo xtask configure`: sets what a finished blob does beyond the kernel's
//! contract, where it speaks and how it ends.
//!
//! Only `purgatory_config` is written; every other byte stays. A record of
//! another version is refused: its fields would be guesses.

use std::{
    fmt, fs,
    io::Write as _,
    mem::offset_of,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::ArgGroup;
use purgatory::abi::Config;
use tempfile::NamedTempFile;

use crate::{
    failure::Failure,
    loader,
    record::{field, number, set_field},
};

/// Options of `cargo xtask configure`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(group = ArgGroup::new("setting").multiple(true).required(true))]
pub(crate) struct Options {
    /// The blob, as in `purgatory.ro`
    file: PathBuf,
    /// Speak there and nowhere else (may be given more than once): com1 to com4,
    /// port=0x…, mmio=0x… (registers 4 bytes apart), e9, vga, or none
    #[arg(long = "console", value_name = "CONSOLE", value_parser = console, group = "setting")]
    consoles: Vec<Console>,
    /// Speed of the UARTs
    #[arg(long, value_parser = divisor_of, conflicts_with = "divisor", group = "setting")]
    baud: Option<u16>,
    /// The same, as the divisor of 115200 baud; 0 keeps what the firmware set
    #[arg(long, value_name = "N", group = "setting")]
    divisor: Option<u16>,
    /// Speak on the VGA text screen as well
    #[arg(long, group = "setting")]
    vga: bool,
    /// Speak at entry, during long checks and at the end
    #[arg(long, conflicts_with = "quiet", group = "setting")]
    verbose: bool,
    /// Speak only to refuse
    #[arg(long, group = "setting")]
    quiet: bool,
    /// What follows a refusal: halt, reset, or reset-after=SECONDS
    #[arg(long, value_name = "ACTION", value_parser = action, group = "setting")]
    on_refusal: Option<Action>,
    /// Print what is set; alone, it changes nothing
    #[arg(long, group = "setting")]
    show: bool,
}

/// Where the blob may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Console {
    Port(u16),
    Memory(u64),
    Debug,
    Vga,
    None,
}

/// What follows a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Halt,
    /// After so many seconds.
    Reset(u32),
}

/// The UARTs of a PC, by number.
const COM_PORTS: [u16; 4] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];
/// The highest speed of an 8250.
const FULL_SPEED: u32 = 115_200;
/// Ports that an 8250 takes.
const UART_PORTS: u64 = 8;
/// Physical addresses have at most 52 bits (AMD64 manual volume 2, section 5.1).
const ADDRESS_LIMIT: u64 = 1 << 52;

/// Runs `cargo xtask configure`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut blob = loader::read(&options.file)?;
    let name = options.file.display();
    let place = find(&blob).with_context(|| format!("{name} cannot be configured"))?;
    let config = &mut blob[place];
    let found = config.to_vec();
    options.apply(config)?;
    let changed = found != config;
    let words = Words(config).to_string();
    if changed {
        replace(&options.file, &blob)?;
    }
    print!("{name}\n{words}");
    Ok(())
}

/// Finds the record in the file's bytes.
fn find(blob: &[u8]) -> Result<Range<usize>> {
    let file = loader::File::parse(blob)?;
    let symbol = file.find_symbol("purgatory_config")?.context(
        "it has no purgatory_config: it is not a blob of this project (`cargo xtask build` makes one)",
    )?;
    let section = &file.sections[usize::from(symbol.section.0)];
    let start = section
        .offset
        .checked_add(symbol.value)
        .and_then(|start| usize::try_from(start).ok());
    let record = start.and_then(|start| {
        let size = usize::try_from(symbol.size).ok()?;
        Some(start..start.checked_add(size)?)
    });
    let record = record
        .filter(|record| !section.is_nobits() && record.end <= blob.len())
        .context("its purgatory_config is not inside the file")?;
    // Magic, version and size come first in every version.
    ensure!(
        record.len() >= offset_of!(Config, consoles),
        "its purgatory_config has {} bytes, too few for any version",
        record.len()
    );
    let bytes = &blob[record.clone()];
    let magic: [u8; 8] = field(bytes, offset_of!(Config, magic));
    ensure!(
        magic == Config::MAGIC,
        "its purgatory_config does not begin with {}: it is no blob of this project, or damaged",
        Config::MAGIC.escape_ascii()
    );
    let version = u32::from_le_bytes(field(bytes, offset_of!(Config, version)));
    ensure!(
        version == Config::VERSION,
        "its purgatory_config has version {version}, this tool knows {}: use the tool that the blob came with",
        Config::VERSION
    );
    let size = u32::from_le_bytes(field(bytes, offset_of!(Config, size)));
    ensure!(
        size as usize == size_of::<Config>() && record.len() == size_of::<Config>(),
        "its purgatory_config says {size} bytes and has {}, version {version} has {}: the file is damaged",
        record.len(),
        size_of::<Config>()
    );
    Ok(record)
}

impl Options {
    /// Writes what was asked for into the record.
    fn apply(&self, config: &mut [u8]) -> Result<()> {
        if !self.consoles.is_empty() {
            self.set_consoles(config)?;
        }
        if self.vga {
            let consoles = u32::from_le_bytes(field(config, offset_of!(Config, consoles)));
            let consoles = consoles | Config::CONSOLE_VGA;
            set_field(
                config,
                offset_of!(Config, consoles),
                &consoles.to_le_bytes(),
            );
        }
        if let Some(divisor) = self.baud.or(self.divisor) {
            set_field(
                config,
                offset_of!(Config, uart_divisor),
                &divisor.to_le_bytes(),
            );
        }
        if self.verbose || self.quiet {
            let verbosity = u32::from(self.verbose);
            set_field(
                config,
                offset_of!(Config, verbosity),
                &verbosity.to_le_bytes(),
            );
        }
        if let Some(action) = self.on_refusal {
            let (action, delay) = match action {
                Action::Halt => (Config::HALT, 0),
                Action::Reset(delay) => (Config::RESET, delay),
            };
            set_field(
                config,
                offset_of!(Config, on_refusal),
                &action.to_le_bytes(),
            );
            set_field(config, offset_of!(Config, delay), &delay.to_le_bytes());
        }
        Ok(())
    }

    fn set_consoles(&self, config: &mut [u8]) -> Result<()> {
        let usage = |what: &str| Err(Failure::Usage(what.to_owned()).into());
        let mut flags = 0;
        for &console in &self.consoles {
            let flag = match console {
                Console::Port(port) => {
                    set_field(config, offset_of!(Config, uart_port), &port.to_le_bytes());
                    Config::CONSOLE_PORT
                }
                Console::Memory(address) => {
                    set_field(
                        config,
                        offset_of!(Config, uart_mmio),
                        &address.to_le_bytes(),
                    );
                    Config::CONSOLE_MMIO
                }
                Console::Debug => Config::CONSOLE_DEBUG,
                Console::Vga => Config::CONSOLE_VGA,
                Console::None if self.consoles.len() > 1 || self.vga => {
                    return usage("--console none excludes every other console");
                }
                Console::None => 0,
            };
            if flags & flag != 0 {
                return usage(
                    "the blob speaks to one UART behind ports and to one in memory: \
                     give each kind of console once",
                );
            }
            flags |= flag;
        }
        set_field(config, offset_of!(Config, consoles), &flags.to_le_bytes());
        Ok(())
    }
}

/// Replaces the file at once: a reader sees the old blob or the new one.
fn replace(path: &Path, blob: &[u8]) -> Result<()> {
    // Behind a link: the link stays.
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> Result<()> {
        let mut file = NamedTempFile::with_prefix_in(".purgatory-", folder)?;
        file.write_all(blob)?;
        file.as_file()
            .set_permissions(fs::metadata(&path)?.permissions())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}, which is unchanged", path.display()))
}

/// The record in words.
struct Words<'a>(&'a [u8]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |offset| u32::from_le_bytes(field(self.0, offset));
        let half = |offset| u16::from_le_bytes(field(self.0, offset));
        let address = u64::from_le_bytes(field(self.0, offset_of!(Config, uart_mmio)));
        let port = half(offset_of!(Config, uart_port));
        let mut port_name = format!("8250 at port {port:#x}");
        if let Some(index) = COM_PORTS.iter().position(|&com| com == port) {
            port_name += &format!(" (COM{})", index + 1);
        }
        let flags = word(offset_of!(Config, consoles));
        let consoles: Vec<_> = [
            (Config::CONSOLE_PORT, port_name),
            (
                Config::CONSOLE_MMIO,
                format!("8250 in memory at {address:#x}"),
            ),
            (Config::CONSOLE_DEBUG, "debug port 0xe9".to_owned()),
            (Config::CONSOLE_VGA, "VGA text".to_owned()),
        ]
        .into_iter()
        .filter_map(|(flag, name)| (flags & flag != 0).then_some(name))
        .collect();
        let consoles = match consoles[..] {
            [] => "none: it never speaks".to_owned(),
            _ => consoles.join(", "),
        };
        writeln!(formatter, "  consoles    {consoles}")?;
        if flags & (Config::CONSOLE_PORT | Config::CONSOLE_MMIO) != 0 {
            match half(offset_of!(Config, uart_divisor)) {
                0 => writeln!(formatter, "  speed       as the firmware set it")?,
                divisor => writeln!(
                    formatter,
                    "  speed       {} baud (divisor {divisor})",
                    FULL_SPEED / u32::from(divisor)
                )?,
            }
        }
        let speaks = match word(offset_of!(Config, verbosity)) {
            0 => "only to refuse",
            _ => "at entry, during long checks and at the end; and to refuse",
        };
        writeln!(formatter, "  speaks      {speaks}")?;
        let action = match (
            word(offset_of!(Config, on_refusal)),
            word(offset_of!(Config, delay)),
        ) {
            (Config::RESET, 0) => "resets the machine".to_owned(),
            (Config::RESET, delay) => format!("resets the machine after {delay} s"),
            _ => "halts".to_owned(),
        };
        writeln!(formatter, "  on refusal  {action}")
    }
}

fn console(text: &str) -> Result<Console, String> {
    if let Some(place) = text.strip_prefix("port=") {
        let port = number(place).map_err(|error| error.to_string())?;
        return u16::try_from(port)
            .ok()
            .filter(|_| port + UART_PORTS <= 1 << 16)
            .map(Console::Port)
            .ok_or_else(|| "the last UART begins at port 0xfff8".to_owned());
    }
    if let Some(place) = text.strip_prefix("mmio=") {
        let address = number(place).map_err(|error| error.to_string())?;
        return if address == 0 || !address.is_multiple_of(4) {
            Err("registers are 32-bit words: give a multiple of 4, not 0".to_owned())
        } else if address >= ADDRESS_LIMIT {
            Err("no physical address has more than 52 bits".to_owned())
        } else {
            Ok(Console::Memory(address))
        };
    }
    let com = text
        .strip_prefix("com")
        .and_then(|digit| digit.parse::<usize>().ok());
    let port = com.and_then(|number| COM_PORTS.get(number.checked_sub(1)?));
    match (port, text) {
        (Some(&port), _) => Ok(Console::Port(port)),
        (_, "e9") => Ok(Console::Debug),
        (_, "vga") => Ok(Console::Vga),
        (_, "none") => Ok(Console::None),
        _ => Err("give com1 to com4, port=0x…, mmio=0x…, e9, vga or none".to_owned()),
    }
}

/// Returns the divisor of a speed.
fn divisor_of(baud: &str) -> Result<u16, String> {
    let baud: u32 = baud
        .parse()
        .map_err(|_| "give a number such as 9600".to_owned())?;
    FULL_SPEED
        .checked_div(baud)
        .filter(|divisor| divisor * baud == FULL_SPEED)
        .and_then(|divisor| u16::try_from(divisor).ok())
        .filter(|&divisor| divisor > 0)
        .ok_or_else(|| format!("a UART divides {FULL_SPEED} by a whole number up to 65535"))
}

fn action(text: &str) -> Result<Action, String> {
    match (text, text.strip_prefix("reset-after=").map(str::parse)) {
        ("halt", _) => Ok(Action::Halt),
        ("reset", _) => Ok(Action::Reset(0)),
        (_, Some(Ok(seconds))) => Ok(Action::Reset(seconds)),
        (_, Some(Err(_))) => Err("give whole seconds, as in reset-after=30".to_owned()),
        _ => Err("give halt, reset or reset-after=SECONDS".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    /// A blob whose record is all that matters, with the defaults of the real one.
    fn blob() -> Vec<u8> {
        let record = "purgatory_config:
            .ascii \"PURGCONF\"
            .long 1, 48, 5, 0, 0, 0
            .short 0x3f8, 0
            .long 0
            .quad 0
            .size purgatory_config, 48";
        let source = crate::fixture::GREEN.replace(
            "purgatory_config:\n        .quad   1\n        .size   purgatory_config, 8",
            record,
        );
        crate::fixture::assemble(&source)
    }

    fn options(arguments: &str) -> Result<Options, String> {
        let arguments = ["configure", "purgatory.ro"]
            .into_iter()
            .chain(arguments.split_whitespace());
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        Ok(cli.options)
    }

    /// Applies options to the default record; returns it in words.
    fn words(arguments: &str) -> String {
        let blob = blob();
        let mut config = blob[find(&blob).unwrap()].to_vec();
        options(arguments).unwrap().apply(&mut config).unwrap();
        Words(&config).to_string()
    }

    #[test]
    fn says_in_words_what_is_set() {
        let defaults = "  consoles    8250 at port 0x3f8 (COM1), debug port 0xe9\n  \
                        speed       as the firmware set it\n  \
                        speaks      only to refuse\n  \
                        on refusal  halts\n";
        assert_eq!(words("--show"), defaults);
        let cases = [
            (
                "--console com2 --baud 9600",
                "8250 at port 0x2f8 (COM2)\n  speed       9600 baud (divisor 12)\n",
            ),
            (
                "--console port=0x1000 --divisor 0",
                "8250 at port 0x1000\n  speed       as the firmware set it\n",
            ),
            (
                "--console mmio=0xfe032000",
                "  consoles    8250 in memory at 0xfe032000\n",
            ),
            (
                "--console e9 --console com4 --vga",
                "port 0x2e8 (COM4), debug port 0xe9, VGA text\n",
            ),
            ("--vga", "(COM1), debug port 0xe9, VGA text\n"),
            ("--console vga", "  consoles    VGA text\n  speaks"),
            (
                "--console none",
                "  consoles    none: it never speaks\n  speaks",
            ),
            ("--verbose", "  speaks      at entry, during"),
            ("--quiet", "  speaks      only to refuse\n"),
            ("--on-refusal reset", "  on refusal  resets the machine\n"),
            (
                "--on-refusal reset-after=30",
                "  on refusal  resets the machine after 30 s\n",
            ),
            ("--on-refusal halt", "  on refusal  halts\n"),
        ];
        for (arguments, says) in cases {
            let words = words(arguments);
            assert!(words.contains(says), "{arguments}:\n{words}");
        }
    }

    #[test]
    fn changes_only_what_was_asked_for() {
        let mut config = [0xaa; size_of::<Config>()];
        options("--verbose").unwrap().apply(&mut config).unwrap();
        let mut expected = [0xaa; size_of::<Config>()];
        expected[20..24].copy_from_slice(&[1, 0, 0, 0]);
        assert_eq!(config, expected);

        options("--console mmio=0xfe0320001000 --on-refusal reset-after=7 --baud 57600")
            .unwrap()
            .apply(&mut config)
            .unwrap();
        expected[16..20].copy_from_slice(&[2, 0, 0, 0]);
        expected[24..32].copy_from_slice(&[1, 0, 0, 0, 7, 0, 0, 0]);
        expected[34..36].copy_from_slice(&[2, 0]);
        expected[40..48].copy_from_slice(&0xfe03_2000_1000_u64.to_le_bytes());
        assert_eq!(config, expected);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let cases = [
            ("", "required arguments were not provided"),
            ("--console com5", "com1 to com4"),
            ("--console com0", "com1 to com4"),
            ("--console port=0xfff9", "0xfff8"),
            ("--console port=com1", "invalid digit"),
            ("--console mmio=0", "multiple of 4"),
            ("--console mmio=0x1002", "multiple of 4"),
            ("--console mmio=0x10000000000000", "52 bits"),
            ("--baud 12345", "divides 115200"),
            ("--baud 0", "divides 115200"),
            ("--baud 1", "divides 115200"),
            ("--baud fast", "a number such as 9600"),
            ("--baud 9600 --divisor 12", "cannot be used with"),
            ("--divisor 65536", "not in 0..=65535"),
            ("--verbose --quiet", "cannot be used with"),
            ("--on-refusal reboot", "give halt, reset"),
            ("--on-refusal reset-after=-1", "whole seconds"),
        ];
        for (arguments, says) in cases {
            let error = options(arguments).err().unwrap_or_default();
            assert!(error.contains(says), "{arguments}: {error}");
        }
        let mut config = [0; size_of::<Config>()];
        for arguments in [
            "--console com1 --console com2",
            "--console none --console e9",
            "--console none --vga",
        ] {
            let error = options(arguments).unwrap().apply(&mut config).unwrap_err();
            assert!(error.is::<Failure>(), "{arguments}: {error}");
        }
    }

    #[test]
    fn other_blobs_are_refused() {
        let broken = |patch: fn(&mut [u8])| {
            let mut blob = blob();
            let place = find(&blob).unwrap();
            patch(&mut blob[place]);
            find(&blob).unwrap_err().to_string()
        };
        let foreign = crate::fixture::FOREIGN;
        let stock = crate::fixture::compile(foreign, crate::fixture::STOCK_FLAGS);
        let cases = [
            (
                broken(|config| config[0] = b'p'),
                "does not begin with PURGCONF",
            ),
            (
                broken(|config| config[8] = 2),
                "has version 2, this tool knows 1",
            ),
            (broken(|config| config[12] = 52), "says 52 bytes and has 48"),
            (find(&stock).unwrap_err().to_string(), "no purgatory_config"),
            (
                find(&crate::fixture::assemble(crate::fixture::GREEN))
                    .unwrap_err()
                    .to_string(),
                "has 8 bytes, too few",
            ),
        ];
        for (error, says) in cases {
            assert!(error.contains(says), "{says}: {error}");
        }
    }

    #[test]
    fn every_other_byte_mode_and_link_stay() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let [real, link] = ["real.ro", "link.ro"].map(|name| folder.path().join(name));
        let before = blob();
        fs::write(&real, &before).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        let options = Options {
            file: link.clone(),
            ..options("--console none").unwrap()
        };
        run(&options).unwrap();

        let after = fs::read(&real).unwrap();
        let consoles = find(&before).unwrap().start + offset_of!(Config, consoles);
        let mut expected = before;
        expected[consoles..consoles + 4].fill(0);
        assert!(after == expected);
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
