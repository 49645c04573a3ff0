// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every text that is said stands in the README, where people look for it.

use purgatory::texts::TEXTS;

const README: &str = include_str!("../README.md");

#[test]
fn the_readme_has_every_text() {
    let (_, chapter) = README.split_once("## What it says\n").unwrap();
    let known: Vec<&str> = chapter.split('`').skip(1).step_by(2).collect();
    for text in TEXTS {
        let mut shown = text
            .trim_end_matches('\n')
            .trim_start_matches("\n  ")
            .to_owned();
        for place in ["%w%w%w%w", "0x%x", "%u", "%s", "%w"] {
            shown = shown.replace(place, "…");
        }
        let says_something = shown.chars().any(char::is_alphabetic);
        assert!(
            !says_something || known.iter().any(|known| known.contains(&shown)),
            "README.md does not explain {shown:?}"
        );
    }
}
