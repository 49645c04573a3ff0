// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel tree does with a purgatory: one row for each property, and the
//! rule by which its sources decide it.
//!
//! A rule names the line that decided. Where the sources are not what it knows, it
//! says so; the user may then assume a value, which is shown as assumed wherever it
//! goes.

use std::fmt;

use anyhow::{Result, bail};

use super::{
    Place, Tree,
    rules::{self, NO_YES, Told},
};

/// One question to a tree.
#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) values: Values,
    rule: fn(&Tree) -> Result<Told, String>,
}

/// What a property can be.
#[derive(Debug)]
pub(crate) enum Values {
    /// One of these, each with its meaning.
    OneOf(&'static [(&'static str, &'static str)]),
    Number(&'static str),
    /// Names with commas between them.
    Names(&'static str),
}

pub(crate) const PROPERTIES: [Property; 11] = [
    Property {
        name: "entry",
        values: Values::OneOf(&[
            ("symbol", "entered at purgatory_start, wherever that is"),
            (
                "e_entry",
                "entered where e_entry points in the first section that could hold it",
            ),
        ]),
        rule: rules::entry,
    },
    Property {
        name: "symbols",
        values: Values::Names("what the loader sets or looks up"),
        rule: rules::symbols,
    },
    Property {
        name: "segments",
        values: Values::Number("rows of purgatory_sha_regions"),
        rule: rules::segments,
    },
    Property {
        name: "empty-digest",
        values: Values::OneOf(&[
            (NO_YES[0], "every image is hashed"),
            (
                NO_YES[1],
                "an empty table with the digest of nothing means: do not check",
            ),
        ]),
        rule: rules::empty_digest,
    },
    Property {
        name: "relocations",
        values: Values::Names("types that the loader applies"),
        rule: rules::relocations,
    },
    Property {
        name: "cma",
        values: Values::OneOf(&[
            (NO_YES[0], "memory behind the file's bytes is zero"),
            (
                NO_YES[1],
                "memory behind the file's bytes may be anything in a CMA segment",
            ),
        ]),
        rule: rules::cma,
    },
    Property {
        name: "debug-idt",
        values: Values::OneOf(&[
            (NO_YES[0], "no IDT at entry: any exception is a reset"),
            (NO_YES[1], "an IDT of 16 gates at entry, of which most halt"),
        ]),
        rule: rules::debug_idt,
    },
    Property {
        name: "embed",
        values: Values::OneOf(&[
            ("bin2c", "purgatory.ro becomes an array in C"),
            ("incbin", "purgatory.ro is included by the assembler"),
        ]),
        rule: rules::embed,
    },
    Property {
        name: "chk",
        values: Values::OneOf(&[
            (NO_YES[0], "nothing looks for undefined symbols"),
            (
                NO_YES[1],
                "purgatory.ro is linked once more, to find undefined symbols",
            ),
        ]),
        rule: rules::chk,
    },
    Property {
        name: "flags",
        values: Values::OneOf(&[
            (
                "adjusted",
                "the tree's own purgatory has the kernel's flags, some taken off",
            ),
            ("own", "the tree's own purgatory has flags of its own"),
        ]),
        rule: rules::flags,
    },
    Property {
        name: "strings",
        values: Values::OneOf(&[
            (
                "plain",
                "make sees strings of the configuration as they are",
            ),
            ("quoted", "make sees strings of the configuration in quotes"),
        ]),
        rule: rules::strings,
    },
];

/// What the user says where the sources do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assumption {
    name: &'static str,
    value: String,
}

impl Assumption {
    /// Reads `NAME=VALUE`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let names = || {
            let names = PROPERTIES.iter().map(|property| property.name);
            names.collect::<Vec<_>>().join(", ")
        };
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("give NAME=VALUE; the names are {}", names()))?;
        let property = PROPERTIES.iter().find(|property| property.name == name);
        let property = property
            .ok_or_else(|| format!("there is no property {name:?}; the names are {}", names()))?;
        let fits = match &property.values {
            Values::OneOf(values) => values.iter().any(|(known, _)| *known == value),
            Values::Number(_) => value.parse::<u32>().is_ok(),
            Values::Names(_) => value.split(',').all(is_name),
        };
        if !fits {
            return Err(format!("{name} is {}, not {value:?}", property.values));
        }
        let value = value.to_owned();
        Ok(Self {
            name: property.name,
            value,
        })
    }
}

impl fmt::Display for Assumption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.name, self.value)
    }
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && text.chars().all(letter)
}

impl fmt::Display for Values {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(values) => {
                let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
                formatter.write_str(&names.join(" or "))
            }
            Self::Number(_) => formatter.write_str("a number"),
            Self::Names(_) => formatter.write_str("names with commas between them"),
        }
    }
}

/// Why a property has its value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Places(Vec<Place>),
    Assumed,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Places(places) = self else {
            return formatter.write_str("assumed, not read");
        };
        let mut file = "";
        for (index, place) in places.iter().enumerate() {
            match (index, place.file == file) {
                (0, _) => write!(formatter, "{place}")?,
                (_, true) => write!(formatter, " :{}", place.line)?,
                (_, false) => write!(formatter, ", {place}")?,
            }
            file = place.file;
        }
        Ok(())
    }
}

/// A property of a tree.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) property: &'static Property,
    /// The value and its reason, or why there is none.
    pub(crate) answer: Result<(String, Reason), String>,
}

impl Fact {
    /// Says what its value means.
    pub(crate) fn meaning(&self) -> &'static str {
        match (&self.property.values, &self.answer) {
            (Values::Number(meaning) | Values::Names(meaning), _) => meaning,
            (Values::OneOf(values), Ok((value, _))) => {
                let known = values.iter().find(|(name, _)| name == value);
                known.map_or("", |(_, meaning)| meaning)
            }
            (Values::OneOf(_), Err(_)) => "",
        }
    }
}

/// Asks every question; an assumption answers where the sources do not, and must not
/// contradict them.
pub(crate) fn facts(tree: &Tree, assumed: &[Assumption]) -> Result<Vec<Fact>, String> {
    let mut facts = Vec::new();
    for (index, one) in assumed.iter().enumerate() {
        if assumed[..index].iter().any(|known| known.name == one.name) {
            return Err(format!("--assume {one} is the second about {}", one.name));
        }
    }
    for property in &PROPERTIES {
        let told = (property.rule)(tree);
        let assumed = assumed.iter().find(|assumed| assumed.name == property.name);
        let answer = match (told, assumed) {
            (Ok(told), Some(assumed)) if told.value != assumed.value => {
                return Err(format!(
                    "--assume {assumed} contradicts {}, by which {} is {}: leave it out",
                    told.places[0], property.name, told.value
                ));
            }
            (Ok(told), _) => Ok((told.value, Reason::Places(told.places))),
            (Err(_), Some(assumed)) => Ok((assumed.value.clone(), Reason::Assumed)),
            (Err(why), None) => Err(why),
        };
        facts.push(Fact { property, answer });
    }
    Ok(facts)
}

/// Refuses a tree of which something cannot be told.
pub(crate) fn require(facts: &[Fact]) -> Result<()> {
    let mut text = String::new();
    for fact in facts {
        if let Err(why) = &fact.answer {
            let property = fact.property;
            let name = property.name;
            text += &format!(
                "\n  {name}: {why}\n    if you know: --assume {name}=VALUE ({})",
                property.values
            );
        }
    }
    match text.is_empty() {
        true => Ok(()),
        false => bail!("these sources do not tell everything:{text}"),
    }
}
