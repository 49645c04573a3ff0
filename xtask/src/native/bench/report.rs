// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables in the terminal, and the same in JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::result::{Group, JUDGED, LIMIT, Row, STOCK, Target, openssl_for};
use super::rounds::Spread;
use super::steps::Cost;

/// What a ratio is formed against, in the order of the columns.
fn yardsticks(row: &Row) -> [&'static str; 3] {
    [STOCK, openssl_for(&row.name), LIMIT]
}

/// Formats one size: MB/s, then ratios, each as minimum, median and maximum.
pub(super) fn group(group: &Group) -> String {
    let mut text = format!(
        "{:<31}{:>18} {:>19}{:>19}{:>19}\n",
        name_of(group.size),
        "MB/s",
        "/ stock 6.1",
        "/ OpenSSL",
        "/ limit",
    );
    for row in &group.rows {
        let Some(rate) = Spread::of(row.rates.iter().map(|rate| rate / 1e6)) else {
            continue;
        };
        let Spread { min, median, max } = rate;
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "  {:<15} {:<13}{min:>6.0}{median:>6.0}{max:>6.0} ",
            row.name,
            row.layout.name()
        );
        for other in yardsticks(row) {
            let _ = match group.ratio(row, other) {
                Some(Spread { min, median, max }) => {
                    write!(text, " {min:>6.3}{median:>6.3}{max:>6.3}")
                }
                None => write!(text, "{:>19}", "-"),
            };
        }
        text.push('\n');
    }
    text
}

/// Formats the promises.
pub(super) fn targets(targets: &[Target]) -> String {
    let mut text = format!("targets (medians, from {} on)\n", name_of(JUDGED));
    for target in targets {
        let Target {
            what,
            wanted,
            at_most,
            is,
        } = target;
        let bound = if *at_most { "at most" } else { "at least" };
        let digits = if *at_most { 0 } else { 3 };
        let (is, verdict) = match is {
            None => ("-".to_owned(), "not measured"),
            Some(is) if target.is_missed() => (format!("{is:.digits$}"), "MISSED"),
            Some(is) => (format!("{is:.digits$}"), "ok"),
        };
        let _ = writeln!(
            text,
            "  {what:<44} {is:>7}  {:<15} {verdict}",
            format!("({bound} {wanted})")
        );
    }
    text
}

/// Formats instructions per byte, and what could not be counted.
pub(super) fn instructions(counted: &[(String, anyhow::Result<f64>)]) -> String {
    let mut text = String::from("instructions per byte (callgrind)\n");
    for (name, count) in counted {
        let _ = match count {
            Ok(count) => writeln!(text, "  {name:<16} {count:>7.2}"),
            Err(error) => writeln!(text, "  {name:<16} NOT COUNTED: {error:#}"),
        };
    }
    text
}

/// Formats the fixed costs.
pub(super) fn costs(costs: &[Cost]) -> String {
    let mut text = String::from(
        "instructions between entry and jump (QEMU: empty table by single steps, 16 pages by -icount)\n",
    );
    for cost in costs {
        let Cost {
            cpu,
            entry,
            empty,
            iterations,
            pages,
            ..
        } = cost;
        let _ = writeln!(
            text,
            "  {:<9} -cpu {cpu:<12} self-check {entry}, then empty table {empty:>5} ({iterations} together, with each iteration of `rep`)   16 pages {pages:>9}   a byte {:>6.2}",
            cost.backend.name(),
            cost.per_byte()
        );
    }
    text
}

/// Returns everything that was measured.
pub(super) fn json(
    machine: Value,
    groups: &[Group],
    counted: &[(String, anyhow::Result<f64>)],
    costs: &[Cost],
    targets: &[Target],
) -> Value {
    let spread = |Spread { min, median, max }| json!({"min": min, "median": median, "max": max});
    let row = |group: &Group, row: &Row| {
        let ratios = yardsticks(row).map(|other| {
            let ratio = group.ratio(row, other).map(spread);
            (other.to_owned(), ratio.unwrap_or(Value::Null))
        });
        json!({
            "name": row.name,
            "layout": row.layout.name(),
            "bytes": row.bytes,
            "bytes_per_second": Spread::of(row.rates.iter().copied()).map(spread),
            "rounds": row.rates,
            "ratios": ratios.into_iter().collect::<serde_json::Map<_, _>>(),
        })
    };
    json!({
        "machine": machine,
        "sizes": groups.iter().map(|group| json!({
            "size": group.size,
            "rows": group.rows.iter().map(|one| row(group, one)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "instructions_per_byte": counted.iter().map(|(name, count)| json!({
            "name": name,
            "instructions": count.as_ref().ok(),
            "why_not": count.as_ref().err().map(|error| format!("{error:#}")),
        })).collect::<Vec<_>>(),
        "instructions_between_entry_and_jump": costs.iter().map(|cost| json!({
            "cpu": cost.cpu,
            "backend": cost.backend.name(),
            "self_check": cost.entry,
            "empty_table": cost.empty,
            "empty_table_with_iterations": cost.iterations,
            "sixteen_pages": cost.pages,
        })).collect::<Vec<_>>(),
        "targets": targets.iter().map(|target| json!({
            "what": target.what,
            "wanted": target.wanted,
            "at_most": target.at_most,
            "is": target.is,
            "missed": target.is_missed(),
        })).collect::<Vec<_>>(),
    })
}

/// Formats a size in binary units.
pub(super) fn name_of(size: usize) -> String {
    match size {
        _ if size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        _ if size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        _ => format!("{size} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_held_missed_or_not_measured() {
        let target = |is| Target {
            what: "speed".to_owned(),
            wanted: 2.0,
            at_most: false,
            is,
        };
        let all = [Some(2.0), Some(1.9), None].map(target);
        let text = targets(&all);
        let verdicts = text.lines().skip(1).map(|line| line.split(") ").nth(1));
        let verdicts: Vec<_> = verdicts.flatten().map(str::trim).collect();
        assert_eq!(verdicts, ["ok", "MISSED", "not measured"]);
        let json = json(json!({}), &[], &[], &[], &all);
        let missed = [0, 1, 2].map(|index| json["targets"][index]["missed"].as_bool());
        assert_eq!(missed, [Some(false), Some(true), Some(false)]);
    }

    #[test]
    fn names_sizes_in_the_largest_unit_that_fits() {
        let names = [5 << 20, 64 << 10, 1025].map(name_of);
        assert_eq!(names, ["5 MiB", "64 KiB", "1025 bytes"]);
    }
}
