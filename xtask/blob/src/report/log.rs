// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the purgatory's reports in a log with whatever else is on the console:
//! carriage returns, colours, time stamps in front, lines of kernels before and after.
//!
//! Goes by the shape of a line, not by its wording; what it does not know it
//! leaves out.

use console::strip_ansi_codes;
use purgatory::abi::Backend;

use crate::number::number;

/// One report.
#[derive(Debug)]
pub struct Report {
    pub(super) event: Event,
    /// Whether the purgatory got to say more after it.
    pub(super) is_whole: bool,
    /// In hexadecimal.
    pub(super) expected: Option<String>,
    /// Whose word was not taken, and what it did, in the purgatory's words.
    pub(super) doubted: Option<(String, String)>,
    pub(super) regions: Vec<Region>,
}

/// What is reported.
#[derive(Debug)]
pub(super) enum Event {
    /// In the purgatory's words.
    Refused(String),
    Exception(Exception),
    /// The image was started against the word of a backend.
    Overruled,
}

#[derive(Debug)]
pub(super) struct Exception {
    pub(super) vector: u64,
    /// `None` where the log is cut, as below.
    pub(super) error: Option<u64>,
    pub(super) place: Option<Spot>,
    pub(super) address: Option<u64>,
}

/// Where it struck.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot {
    /// So far from the start of the blob.
    Offset(u64),
    Elsewhere,
}

/// An entry of the region table, as the purgatory saw it.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) index: usize,
    pub(super) start: u64,
    pub(super) length: u64,
    /// The first digits of its own digest, where it could be read.
    pub(super) fingerprint: Option<String>,
}

/// Returns all reports in their order.
#[must_use]
pub fn parse(log: &str) -> Vec<Report> {
    let mut reports: Vec<Report> = Vec::new();
    // Whether the lines that follow belong to the last report.
    let mut open = false;
    for line in strip_ansi_codes(log).split_inclusive('\n') {
        if let Some((_, said)) = line.split_once("purgatory: ") {
            if let Some(report) = reports.last_mut().filter(|_| open) {
                report.is_whole = true;
            }
            let event = event(said);
            open = event.is_some();
            reports.extend(event.map(|event| Report {
                event,
                is_whole: false,
                expected: None,
                doubted: None,
                regions: Vec::new(),
            }));
        } else if let Some(report) = reports.last_mut().filter(|_| open && line.ends_with('\n')) {
            // Half a line has half numbers.
            report.read(line);
        }
    }
    reports
}

/// Reads the first line of a report.
fn event(said: &str) -> Option<Event> {
    if let Some(reason) = said.strip_prefix("refused: ") {
        return Some(Event::Refused(reason.trim_end().to_owned()));
    }
    if said.starts_with("verified, by portable code only") {
        return Some(Event::Overruled);
    }
    let said = said.strip_prefix("exception ")?;
    // Half a line has half numbers.
    let said = match said.strip_suffix('\n') {
        Some(whole) => whole.trim_end(),
        None => said.rsplit_once(' ')?.0,
    };
    let place = match value_of(said, "purgatory_start+") {
        Some(offset) => Some(Spot::Offset(offset)),
        None => after(said, "at ").map(|_| Spot::Elsewhere),
    };
    let value = |key| value_of(said, key);
    Some(Event::Exception(Exception {
        vector: said.split_whitespace().next()?.parse().ok()?,
        error: value("error "),
        place,
        address: value("address "),
    }))
}

/// Returns the number behind `key`.
fn value_of(text: &str, key: &str) -> Option<u64> {
    number(after(text, key)?).ok()
}

/// Returns the word behind `key`.
pub(super) fn after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(key)?;
    rest.split([',', ' ', ':']).next()
}

impl Report {
    /// Reads a line below the first.
    fn read(&mut self, line: &str) {
        let mut backends = Backend::ALL.iter().map(|backend| backend.name());
        if let Some((name, did)) = backends.find_map(|name| {
            let did = line.split_once(name)?.1.strip_prefix(' ')?;
            ["computed ", "ended "]
                .iter()
                .any(|verb| did.starts_with(verb))
                .then_some((name, did))
        }) {
            self.doubted = Some((name.to_owned(), did.trim_end().to_owned()));
        }
        let mut words = line
            .split_whitespace()
            .skip_while(|word| !["expected", "region", "sha256"].contains(word));
        match words.next() {
            Some("expected") => {
                let digest = words.next().filter(|digest| is_hexadecimal(digest, 64));
                self.expected = digest.map(str::to_owned);
            }
            Some("region") => {
                let mut value = || number(words.next()?).ok();
                if let (Some(index), Some(start), Some(length)) = (value(), value(), value()) {
                    self.regions.push(Region {
                        index: index as usize,
                        start,
                        length,
                        fingerprint: None,
                    });
                }
            }
            Some("sha256") => {
                while let (Some(index), Some(digits)) = (words.next(), words.next()) {
                    let index = index.parse().ok();
                    let known = self
                        .regions
                        .iter_mut()
                        .find(|known| Some(known.index) == index);
                    if let Some(region) = known.filter(|_| is_hexadecimal(digits, 8)) {
                        region.fingerprint = Some(digits.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
