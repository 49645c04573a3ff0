// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was measured, and what it is held against.

use purgatory::abi::Backend;

use super::contender::Pieces;
use super::rounds::Spread;
use super::steps::Cost;
use crate::freestanding::LARGEST;

/// One contender at one size and layout.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) layout: Pieces,
    pub(super) bytes: u64,
    /// Bytes a second, for each round.
    pub(super) rates: Vec<f64>,
}

/// Everything that took turns at one size.
pub(super) struct Group {
    pub(super) size: usize,
    pub(super) rows: Vec<Row>,
}

impl Group {
    pub(super) fn row(&self, name: &str, layout: Pieces) -> Option<&Row> {
        let same = |row: &&Row| row.name == name && row.layout == layout;
        self.rows.iter().find(same)
    }

    /// Returns how much faster than `other` a row was, round by round.
    pub(super) fn ratio(&self, row: &Row, other: &str) -> Option<Spread> {
        let other = self.row(other, Pieces::One)?;
        ratio(row, other)
    }
}

fn ratio(row: &Row, other: &Row) -> Option<Spread> {
    let pairs = row.rates.iter().zip(&other.rates);
    Spread::of(pairs.map(|(one, other)| one / other))
}

/// The name of a backend of ours in the tables.
pub(super) fn ours(backend: Backend) -> String {
    format!("ours {}", backend.name())
}

/// Our yardsticks, by their names in the tables.
pub(super) const STOCK: &str = "stock 6.1";
pub(super) const OPENSSL: &str = "OpenSSL sha-ni";
pub(super) const OPENSSL_WITHOUT: &str = "OpenSSL avx2";
pub(super) const LIMIT: &str = "limit";

/// Returns the OpenSSL that a row is compared with.
pub(super) fn openssl_for(name: &str) -> &'static str {
    let without = [Backend::Portable, Backend::Sse2].map(ours);
    if without.iter().any(|one| one == name) {
        OPENSSL_WITHOUT
    } else {
        OPENSSL
    }
}

/// Something that was promised.
pub(super) struct Target {
    pub(super) what: String,
    pub(super) wanted: f64,
    pub(super) at_most: bool,
    /// What it is; `None` where it could not be measured.
    pub(super) is: Option<f64>,
}

impl Target {
    pub(super) fn is_missed(&self) -> bool {
        self.is.is_some_and(|is| {
            if self.at_most {
                is > self.wanted
            } else {
                is < self.wanted
            }
        })
    }
}

/// Ratios of medians that are promised, at [`JUDGED`] and above.
const RATIOS: [(Backend, &str, f64); 3] = [
    (Backend::ShaNi, LIMIT, 0.97),
    (Backend::ShaNi, OPENSSL, 1.00),
    (Backend::Sse2, STOCK, 1.25),
];
/// Sixteen odd regions against one, and the blob's size and instructions.
const SIXTEEN_ODD: f64 = 0.97;
const INSTRUCTIONS: [(Backend, u64); 2] = [(Backend::ShaNi, 1500), (Backend::Sse2, 6000)];

/// The size from which on speed is promised: below, fixed costs show.
pub(crate) const JUDGED: usize = 1 << 20;

/// Holds the measurements against the promises.
pub(super) fn targets(groups: &[Group], costs: &[Cost], blob: usize) -> Vec<Target> {
    let judged: Vec<&Group> = groups.iter().filter(|group| group.size >= JUDGED).collect();
    // Over all judged sizes: the rounds of each, ratio by ratio.
    let median = |ratio: &dyn Fn(&Group) -> Option<Spread>| {
        let medians = judged.iter().filter_map(|group| ratio(group));
        Spread::of(medians.map(|spread| spread.median)).map(|spread| spread.median)
    };
    let ratios = RATIOS.iter().map(|&(backend, other, wanted)| Target {
        what: format!("{} / {other}", ours(backend)),
        wanted,
        at_most: false,
        is: median(&|group| group.ratio(group.row(&ours(backend), Pieces::One)?, other)),
    });
    let seams = [Backend::ShaNi, Backend::Sse2, Backend::Portable].map(|backend| Target {
        what: format!(
            "{}: {} / one region",
            ours(backend),
            Pieces::SixteenOdd.name()
        ),
        wanted: SIXTEEN_ODD,
        at_most: false,
        is: median(&|group| {
            let odd = group.row(&ours(backend), Pieces::SixteenOdd)?;
            group.ratio(odd, &ours(backend))
        }),
    });
    let fixed = INSTRUCTIONS.map(|(backend, wanted)| Target {
        what: format!("{}: instructions, empty table", ours(backend)),
        wanted: wanted as f64,
        at_most: true,
        is: costs
            .iter()
            .find(|cost| cost.backend == backend)
            .map(|cost| cost.empty as f64),
    });
    let size = Target {
        what: "bytes of the blob".to_owned(),
        wanted: LARGEST as f64,
        at_most: true,
        is: Some(blob as f64),
    };
    ratios.chain(seams).chain(fixed).chain([size]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, layout: Pieces, rates: [f64; 3]) -> Row {
        Row {
            name: name.to_owned(),
            layout,
            bytes: 1 << 20,
            rates: rates.to_vec(),
        }
    }

    fn find<'a>(targets: &'a [Target], what: &str) -> &'a Target {
        targets.iter().find(|target| target.what == what).unwrap()
    }

    #[test]
    fn the_yardstick_is_the_usual_kernel() {
        assert_eq!(STOCK, format!("stock {}", crate::kernels::table::USUAL));
    }

    #[test]
    fn each_backend_has_the_openssl_that_runs_alike() {
        let others = [Backend::ShaNi, Backend::Sse2, Backend::Portable]
            .map(|backend| openssl_for(&ours(backend)));
        assert_eq!(others, [OPENSSL, OPENSSL_WITHOUT, OPENSSL_WITHOUT]);
    }

    #[test]
    fn ratios_are_formed_within_a_round() {
        let group = Group {
            size: JUDGED,
            rows: vec![
                row("ours sse2", Pieces::One, [10.0, 100.0, 1.0]),
                row("ours sse2", Pieces::SixteenOdd, [5.0, 96.0, 1.0]),
                row("stock 6.1", Pieces::One, [2.0, 25.0, 0.2]),
            ],
        };
        let small = Group {
            size: JUDGED / 2,
            rows: vec![
                row("ours sse2", Pieces::One, [1.0; 3]),
                row("stock 6.1", Pieces::One, [1.0; 3]),
            ],
        };
        let cost = |backend, empty| Cost {
            cpu: "any",
            backend,
            entry: 0,
            empty,
            iterations: 0,
            pages: 0,
        };
        let costs = [cost(Backend::ShaNi, 1500), cost(Backend::Sse2, 6001)];
        let targets = targets(&[group, small], &costs, LARGEST + 1);
        let stock = find(&targets, "ours sse2 / stock 6.1");
        assert!(stock.is == Some(5.0) && !stock.is_missed());
        let seams = find(&targets, "ours sse2: sixteen, odd / one region");
        assert!(seams.is == Some(0.96) && seams.is_missed());
        let absent = find(&targets, "ours sha-ni / limit");
        assert!(absent.is.is_none() && !absent.is_missed());
        assert!(find(&targets, "bytes of the blob").is_missed());
        let fits = find(&targets, "ours sha-ni: instructions, empty table");
        assert!(fits.is == Some(1500.0) && !fits.is_missed());
        let large = find(&targets, "ours sse2: instructions, empty table");
        assert!(large.is == Some(6001.0) && large.is_missed());
    }
}
