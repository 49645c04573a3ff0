// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Makefile as a list of statements: rules with their recipes, assignments and
//! conditionals, each with its line and its bytes.
//!
//! What make would do with them is left to make: no variable is expanded. Comments
//! are not in it.

use std::ops::Range;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) line: usize,
    /// All of its bytes, the end of the line and what it continues on included.
    pub(super) bytes: Range<usize>,
    /// The conditionals that it stands in.
    pub(super) depth: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rule {
        targets: Vec<String>,
        needs: Vec<String>,
    },
    /// A line of the rule in front of it.
    Recipe(String),
    Assign {
        name: String,
        /// Whether it adds to what there is.
        adds: bool,
        value: String,
    },
    /// `ifdef` and its family, `else`, `endif`, `include`, a call: as it stands.
    Other(String),
}

impl Statement {
    /// Tells whether it is a rule for this target, among others or alone.
    pub(super) fn makes(&self, target: &str) -> bool {
        matches!(&self.kind, Kind::Rule { targets, .. } if targets.iter().any(|name| name == target))
    }
}

/// Splits a Makefile into statements.
pub(super) fn statements(source: &str) -> Result<Vec<Statement>, String> {
    let mut statements = Vec::new();
    let mut conditionals = Vec::new();
    let mut in_rule = false;
    let mut lines = Lines {
        source,
        at: 0,
        line: 1,
    };
    while let Some((line, bytes)) = lines.next() {
        let raw = &source[bytes.clone()];
        let recipe = in_rule && raw.starts_with('\t');
        let text = join(raw, !recipe);
        if text.is_empty() {
            continue;
        }
        let mut depth = conditionals.len();
        let first = text.split([' ', '(']).next().unwrap_or_default();
        let kind = if recipe {
            Kind::Recipe(text)
        } else if first == "define" {
            let body =
                |(_, bytes): &(_, Range<usize>)| join(&source[bytes.clone()], true) != "endef";
            if lines.by_ref().find(|line| !body(line)).is_none() {
                return Err(format!("line {line} begins a definition that never ends"));
            }
            in_rule = false;
            Kind::Other(text)
        } else if first.starts_with("if") && ["ifdef", "ifndef", "ifeq", "ifneq"].contains(&first) {
            conditionals.push(line);
            Kind::Other(text)
        } else if first == "else" || first == "endif" {
            // They belong to what stands outside of the conditional.
            depth = depth
                .checked_sub(1)
                .ok_or_else(|| format!("line {line} has {first} without a condition"))?;
            if first == "endif" {
                conditionals.pop();
            }
            Kind::Other(text)
        } else {
            let kind = classify(text);
            in_rule = matches!(kind, Kind::Rule { .. });
            kind
        };
        let bytes = bytes.start..lines.at;
        statements.push(Statement {
            line,
            bytes,
            depth,
            kind,
        });
    }
    match conditionals.pop() {
        Some(line) => Err(format!("line {line} begins a condition that never ends")),
        None => Ok(statements),
    }
}

/// Logical lines: those that a backslash continues are one.
struct Lines<'a> {
    source: &'a str,
    at: usize,
    line: usize,
}

impl Iterator for Lines<'_> {
    type Item = (usize, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let (start, line) = (self.at, self.line);
        let rest = self.source.get(start..).filter(|rest| !rest.is_empty())?;
        for part in rest.split_inclusive('\n') {
            self.at += part.len();
            self.line += 1;
            let end = part.trim_end_matches(['\n', '\r']);
            let slashes = end.len() - end.trim_end_matches('\\').len();
            if slashes % 2 == 0 {
                break;
            }
        }
        Some((line, start..self.at))
    }
}

/// Makes one line of several, without the comment and with single spaces.
fn join(raw: &str, comments: bool) -> String {
    let joined = raw.replace("\\\n", " ");
    let mut end = joined.len();
    if comments {
        let mut depth = 0;
        for (at, byte) in joined.bytes().enumerate() {
            match byte {
                b'(' | b'{' => depth += 1,
                b')' | b'}' => depth -= 1,
                b'#' if depth <= 0 && !joined[..at].ends_with('\\') => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
    }
    let words: Vec<_> = joined[..end].split_whitespace().collect();
    words.join(" ")
}

/// Tells an assignment from a rule: by what comes first outside of `$(…)`.
fn classify(text: String) -> Kind {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'{' => depth += 1,
            b')' | b'}' => depth -= 1,
            b'=' if depth == 0 => {
                let name = text[..at].trim_end_matches([':', '?', '+', '!']);
                return Kind::Assign {
                    name: name.trim_end().to_owned(),
                    adds: text[..at].ends_with('+'),
                    value: text[at + 1..].trim_start().to_owned(),
                };
            }
            b':' if depth == 0 && !text[at..].trim_start_matches(':').starts_with('=') => {
                let words = |part: &str| split(part.trim_start_matches(':'));
                return Kind::Rule {
                    targets: words(&text[..at]),
                    needs: words(&text[at..]),
                };
            }
            _ => {}
        }
    }
    Kind::Other(text)
}

/// Splits at spaces outside of `$(…)`.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut depth = 0;
    for letter in text.chars() {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        if letter == ' ' && depth == 0 {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statements, one text each.
    fn outline(source: &str) -> Vec<String> {
        let line = |statement: &Statement| {
            let Statement {
                line, depth, kind, ..
            } = statement;
            let kind = match kind {
                Kind::Rule { targets, needs } => format!("{targets:?}: {needs:?}"),
                Kind::Recipe(text) => format!("> {text}"),
                Kind::Assign { name, adds, value } => {
                    format!("{name} {} {value}", if *adds { "+=" } else { "=" })
                }
                Kind::Other(text) => text.clone(),
            };
            format!("{line} {depth} {kind}")
        };
        statements(source).unwrap().iter().map(line).collect()
    }

    #[test]
    fn tells_statements_apart() {
        let source = "# a: b \\\n  still = comment\nA := x # no y\nA +=\\\n y\\#z\n\
                      $(obj)/a.o $(call f,b : c): d $(e f) FORCE # g\n\t\t$(call if_changed,ld) # kept\n\n\
                      \t@x\nB\t\t?= $(if a:b,c=d)\n\tnot := recipe\n\
                      ifdef C\nt::u\nifeq ($(X),y)\nD = 1\nelse\nD = 2\nendif\nendif\n\
                      define E\nF = 1\nendef\n$(eval $(call g,h))\nv: W := 1\n";
        let expected = [
            "3 0 A = x",
            "4 0 A += y\\#z",
            "6 0 [\"$(obj)/a.o\", \"$(call f,b : c)\"]: [\"d\", \"$(e f)\", \"FORCE\"]",
            "7 0 > $(call if_changed,ld) # kept",
            "9 0 > @x",
            "10 0 B = $(if a:b,c=d)",
            "11 0 not = recipe",
            "12 0 ifdef C",
            "13 1 [\"t\"]: [\"u\"]",
            "14 1 ifeq ($(X),y)",
            "15 2 D = 1",
            "16 1 else",
            "17 2 D = 2",
            "18 1 endif",
            "19 0 endif",
            "20 0 define E",
            "23 0 $(eval $(call g,h))",
            "24 0 [\"v\"]: [\"W\", \":=\", \"1\"]",
        ];
        assert_eq!(outline(source), expected);
    }

    #[test]
    fn a_statement_knows_its_bytes() {
        let source = "a: b \\\n  c\n\tx\nd = 1";
        let statements = statements(source).unwrap();
        let bytes: Vec<_> = statements
            .iter()
            .map(|one| &source[one.bytes.clone()])
            .collect();
        assert_eq!(bytes, ["a: b \\\n  c\n", "\tx\n", "d = 1"]);
    }

    #[test]
    fn what_does_not_end_is_named() {
        for (source, line) in [
            ("a = 1\nifdef B\n", "2"),
            ("endif\n", "1"),
            ("define A\n", "1"),
        ] {
            let error = statements(source).unwrap_err();
            assert!(error.starts_with(&format!("line {line} ")), "{error}");
        }
    }
}
