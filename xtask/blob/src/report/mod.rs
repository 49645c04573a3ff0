// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a purgatory's report on a serial console means.
//!
//! The report itself is terse: it must fit on a screen and in 17 KB. Here is
//! the rest: which region was damaged, by the list of what was loaded; which
//! function an exception struck, by the linked program; and what to do. It
//! explains what is in the log and nothing else.

mod log;
#[cfg(test)]
mod tests;
mod typed;

use std::fmt::{self, Write as _};

use crate::arch::Arch;
use crate::manifest::Manifest;
use crate::symbols::Code;
use log::{Event, Exception, Region, Spot};
pub use log::{Report, parse};

/// Says in words what a report means.
#[must_use]
pub fn explain(
    arch: Arch,
    report: &Report,
    manifest: Option<&Manifest>,
    code: Option<&Code<'_>>,
) -> String {
    let mut text = String::new();
    let written = match &report.event {
        Event::Exception(exception) => struck(&mut text, arch, exception, report, manifest, code),
        Event::Refused(reason) => refused(&mut text, reason, report, manifest),
        Event::Overruled => writeln!(
            text,
            "The image is as it was loaded, and the next kernel was started: portable code has the last word."
        ),
        Event::Entered(Some(entry)) => writeln!(
            text,
            "The image was verified and entered at {entry:#x}: what came after is the next kernel's own."
        ),
        Event::Entered(None) => writeln!(
            text,
            "The image was verified; whether it was entered, the log does not tell."
        ),
        Event::Begun => writeln!(
            text,
            "The purgatory was entered and began to verify; nobody heard how that ended. Where it goes on\n\
             speaking when all is well, the machine was reset or died meanwhile: `status` tells."
        ),
    };
    let written = written.and_then(|()| doubted(&mut text, report));
    written.expect("a String takes everything");
    // Nothing follows where the next kernel was started.
    let ends = matches!(report.event, Event::Refused(_) | Event::Exception(_));
    if !report.is_whole && ends {
        text += "  The log ends within the report: what it lacks was not said, or was lost on the way.\n";
    }
    text
}

/// Says which backend does not work, and what to do.
fn doubted(text: &mut String, report: &Report) -> fmt::Result {
    let Some((name, did)) = &report.doubted else {
        return Ok(());
    };
    writeln!(
        text,
        "  On this machine {name} does not work: it {did}.\n  \
         The fault of a hypervisor, an emulator or microcode: please report it. Until it is mended,\n  \
         `--backend portable` (or another) spares the time that it takes."
    )
}

fn refused(
    text: &mut String,
    reason: &str,
    report: &Report,
    manifest: Option<&Manifest>,
) -> fmt::Result {
    writeln!(
        text,
        "The purgatory did not start the next kernel: {reason}."
    )?;
    if reason.contains("mismatch") {
        mismatch(text, report, manifest)
    } else if reason.contains("wiped") {
        wiped(text)
    } else if let Some(index) = log::after(reason, "region ").and_then(|word| word.parse().ok()) {
        bad_region(text, index, report, manifest)
    } else if reason.contains("is in no region") {
        writeln!(
            text,
            "  What was loaded is intact, but not the registers that the next kernel starts with: they lie in\n  \
             the purgatory, which nobody else hashes. {WRITTEN}"
        )
    } else if reason.contains("code is damaged") {
        writeln!(
            text,
            "  The purgatory's own bytes are not those that were built: whether the image is intact is not known.\n  \
             `check` tells whether the file is; if it is, the memory was overwritten. {WRITTEN}"
        )
    } else if reason.contains("stack") {
        writeln!(
            text,
            "  The purgatory used more stack than it has, so that its result is not to be trusted.\n  \
             This is a bug of the purgatory: please report it with this log."
        )
    } else {
        writeln!(
            text,
            "  This tool does not know that reason: the log has lost its end, or the blob came with another tool."
        )
    }
}

/// What to do about memory that changed.
const WRITTEN: &str = "Something wrote there after the load. At the same place again and again: a device \
                       that still does\n  DMA, or a driver of the first kernel. At changing places: \
                       test the memory. Then load again.";

fn mismatch(text: &mut String, report: &Report, manifest: Option<&Manifest>) -> fmt::Result {
    let Some(manifest) = manifest else {
        return writeln!(
            text,
            "  The bytes in memory are not those that were loaded. The list of what was loaded tells which\n  \
             region differs: give it with --segments."
        );
    };
    let mut found = Vec::new();
    let mut intact = 0;
    for region in &report.regions {
        let place = Named(region.index, region.start, region.length, Some(manifest));
        let Some(loaded) = manifest.region(region.index) else {
            found.push(format!(
                "Not loaded: {place} is in the table, but not in the list."
            ));
            continue;
        };
        let is_moved = (loaded.start, loaded.length) != (region.start, region.length);
        match &region.fingerprint {
            _ if is_moved => {
                let loaded = Named(loaded.index, loaded.start, loaded.length, Some(manifest));
                let (start, length) = (region.start, region.length);
                found.push(format!(
                    "Table changed: {loaded} is now at {start:#x}, {length:#x} bytes."
                ));
            }
            Some(seen) if loaded.sha256.starts_with(seen) => intact += 1,
            Some(seen) => {
                let was = loaded.sha256.get(..seen.len()).unwrap_or_default();
                found.push(format!(
                    "Damaged: {place}: sha256 {seen}…, loaded as {was}…."
                ));
            }
            None => writeln!(
                text,
                "  Unknown: {place}: the log has no fingerprint of it."
            )?,
        }
    }
    for loaded in manifest.regions.iter().filter(|_| report.is_whole) {
        if !report
            .regions
            .iter()
            .any(|region| region.index == loaded.index)
        {
            let place = Named(loaded.index, loaded.start, loaded.length, Some(manifest));
            found.push(format!("Missing: {place} is no longer in the table."));
        }
    }
    let is_changed = |expected: &String| *expected != manifest.sha256;
    let is_digest_changed = report.expected.as_ref().is_some_and(is_changed);
    if is_digest_changed {
        found.push(
            "Digest changed: purgatory_sha256_digest is not what the loader computed.".into(),
        );
    }
    for difference in &found {
        writeln!(text, "  {difference}")?;
    }
    let total = manifest.regions.len();
    if !report.is_whole && intact == 0 && found.is_empty() {
        return writeln!(
            text,
            "  Which of the {total} regions differ, it does not tell."
        );
    }
    writeln!(
        text,
        "  {intact} of {total} regions are as they were loaded."
    )?;
    match found.len() {
        0 if !report.is_whole => Ok(()),
        0 => writeln!(
            text,
            "  All that the log tells agrees with the list: the damage was gone when the report was made.\n  \
             Test the memory."
        ),
        _ if intact == 0 && is_digest_changed => {
            writeln!(
                text,
                "  Nothing at all agrees: the list is that of another load."
            )
        }
        _ => writeln!(text, "  {WRITTEN}"),
    }
}

fn wiped(text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "  The region table is empty, yet the digest is not that of nothing: the purgatory's own tables were\n  \
         overwritten after the load, or the loader failed halfway. Load again; if it stays so, look for\n  \
         what writes there."
    )
}

fn bad_region(
    text: &mut String,
    index: usize,
    report: &Report,
    manifest: Option<&Manifest>,
) -> fmt::Result {
    if let Some(Region { start, length, .. }) = report.regions.iter().find(|r| r.index == index) {
        writeln!(
            text,
            "  The table says {start:#x}, {length:#x} bytes: no memory can be there."
        )?;
    }
    let loaded = manifest.and_then(|manifest| manifest.region(index));
    if let Some(loaded) = loaded {
        let place = Named(index, loaded.start, loaded.length, manifest);
        writeln!(text, "  Loaded was {place}.")?;
    }
    writeln!(
        text,
        "  No loader writes such an entry: the table was overwritten after the load. Load again; if it\n  \
         stays so, the loader (or what writes there) is at fault, not the image."
    )
}

fn struck(
    text: &mut String,
    arch: Arch,
    exception: &Exception,
    report: &Report,
    manifest: Option<&Manifest>,
    code: Option<&Code<'_>>,
) -> fmt::Result {
    let Exception { vector, error, .. } = *exception;
    let known = (arch.cause)(vector);
    write!(
        text,
        "The purgatory was ended by exception {vector}, {} (#{}",
        known.name, known.mnemonic
    )?;
    match error {
        Some(error) if let Some(access) = known.access => write!(text, ", {}", access(error))?,
        None | Some(0) => {}
        Some(error) => write!(text, ", error {error:#x}")?,
    }
    writeln!(text, ").")?;
    match exception.place {
        Some(Spot::Offset(at)) => match code.map(|code| code.place(at)) {
            Some(Some((function, offset))) => writeln!(
                text,
                "  In {function}+{offset:#x}, if that is the blob that ran."
            )?,
            Some(None) => writeln!(
                text,
                "  At purgatory_start+{at:#x}, which is not its code: it jumped astray."
            )?,
            None => writeln!(
                text,
                "  Give --elf {} of this blob to see in which function.",
                arch.linked_name()
            )?,
        },
        Some(Spot::Elsewhere) => {
            writeln!(text, "  Outside of its own code: it jumped astray.")?;
        }
        None => writeln!(text, "  The log ends before it says where.")?,
    }
    if let Some(address) = exception.address.filter(|_| known.access.is_some()) {
        let seen = report.regions.iter().map(|r| (r.index, r.start, r.length));
        let loaded = manifest.into_iter().flat_map(|manifest| &manifest.regions);
        let place = seen
            .chain(loaded.map(|r| (r.index, r.start, r.length)))
            .find(|(_, start, length)| address.wrapping_sub(*start) < *length);
        match place {
            Some((index, start, length)) => {
                let place = Named(index, start, length, manifest);
                writeln!(text, "  Address {address:#x} is in {place}.")?;
            }
            None => writeln!(
                text,
                "  Address {address:#x} is in no region that is known here."
            )?,
        }
    }
    writeln!(text, "  Hint: {}.", known.hint)
}

/// A region, by its name where that is known.
struct Named<'a>(usize, u64, u64, Option<&'a Manifest>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(index, start, length, manifest) = *self;
        write!(formatter, "region {index}")?;
        if let Some(known) = manifest.and_then(|manifest| manifest.region(index)) {
            write!(formatter, " ({})", known.name)?;
        }
        write!(formatter, " at {start:#x}, {length:#x} bytes")
    }
}
