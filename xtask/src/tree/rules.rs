// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules by which a tree's sources decide each property.
//!
//! Each knows the forms that were seen in real trees, and names the line that decided;
//! of any other form it says that it cannot tell.

use super::{
    Language, PURGATORY, Place, Statement, Token, Tree,
    c::{self, Function, calls, function},
    make::{self, Kind},
    tokens,
};

const LOADER: &str = "kernel/kexec_file.c";
const CORE: &str = "kernel/kexec_core.c";
const MACHINE: &str = "arch/x86/kernel/machine_kexec_64.c";
const BZIMAGE: &str = "arch/x86/kernel/kexec-bzimage64.c";
const RELOCATE: &str = "arch/x86/kernel/relocate_kernel_64.S";
const EMBED: &str = "arch/x86/purgatory/kexec-purgatory.S";
const SEGMENTS: &str = "include/uapi/linux/kexec.h";
const CONFDATA: &str = "scripts/kconfig/confdata.c";

pub(super) const NO_YES: [&str; 2] = ["no", "yes"];

/// What the sources say, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) value: String,
    pub(super) places: Vec<Place>,
}

impl Told {
    pub(super) fn at(value: &str, file: &'static str, line: usize) -> Self {
        let value = value.to_owned();
        let places = vec![Place { file, line }];
        Self { value, places }
    }

    /// A list of names; each counts once.
    pub(super) fn names(named: impl Iterator<Item = (String, Place)>) -> Self {
        let mut told = Self {
            value: String::new(),
            places: Vec::new(),
        };
        for (name, place) in named {
            if told.value.split(',').all(|known| known != name) {
                let comma = if told.value.is_empty() { "" } else { "," };
                told.value += &format!("{comma}{name}");
                told.places.push(place);
            }
        }
        told
    }
}

/// A file in C or assembly.
struct Code<'a> {
    file: &'static str,
    tokens: Vec<Token<'a>>,
}

impl<'a> Code<'a> {
    fn new(file: &'static str, text: &'a str) -> Self {
        let language = match file.ends_with(".S") {
            true => Language::Assembly,
            false => Language::C,
        };
        let tokens = tokens(text, language);
        Self { file, tokens }
    }

    /// Finds a function that has to be there.
    fn function(&self, name: &str) -> Result<Function<'_, 'a>, String> {
        let found = self.optional(name)?;
        found.ok_or_else(|| format!("{} defines no {name}", self.file))
    }

    /// Finds a function that need not be there.
    fn optional(&self, name: &str) -> Result<Option<Function<'_, 'a>>, String> {
        function(&self.tokens, name).map_err(|why| format!("{}: {why}", self.file))
    }

    fn told(&self, value: &str, line: usize) -> Result<Told, String> {
        Ok(Told::at(value, self.file, line))
    }

    fn untold(&self, line: usize, what: &str) -> Result<Told, String> {
        Err(format!("{}:{line} {what}", self.file))
    }
}

/// The loader takes the symbol where it looks it up while it lays out the sections.
pub(super) fn entry(tree: &Tree) -> Result<Told, String> {
    let text = tree.text(LOADER)?;
    let code = Code::new(LOADER, &text);
    let setup = code.function("kexec_purgatory_setup_sechdrs")?;
    let looks_up = |tokens| {
        let mut calls = calls(tokens, "kexec_purgatory_find_symbol");
        calls.find(|(_, arguments)| names(arguments).any(|name| name == "purgatory_start"))
    };
    if let Some((line, _)) = looks_up(setup.body) {
        return code.told("symbol", line);
    }
    if let Some((line, _)) = looks_up(&code.tokens) {
        return code.untold(line, "looks purgatory_start up where it was never seen to");
    }
    match setup.body.iter().find(|token| token.is("e_entry")) {
        Some(token) => code.told("e_entry", token.line),
        None => code.untold(setup.line, "begins a function that names no entry"),
    }
}

/// Returns the strings among tokens.
fn names<'a>(tokens: &[Token<'a>]) -> impl Iterator<Item = &'a str> {
    let texts = tokens.iter().filter(|token| token.kind == c::Kind::Text);
    texts.map(|token| token.text)
}

pub(super) fn symbols(tree: &Tree) -> Result<Told, String> {
    let mut found = Vec::new();
    for file in [BZIMAGE, LOADER] {
        let text = tree.text(file)?;
        let code = Code::new(file, &text);
        for function in [
            "kexec_purgatory_get_set_symbol",
            "kexec_purgatory_get_symbol_addr",
        ] {
            for (line, arguments) in calls(&code.tokens, function) {
                let place = Place { file, line };
                found.extend(names(arguments).map(|name| (name.to_owned(), place.clone())));
            }
        }
    }
    let told = Told::names(found.into_iter());
    for file in [BZIMAGE, LOADER] {
        if told.places.iter().all(|place| place.file != file) {
            return Err(format!("{file} sets no symbol"));
        }
    }
    Ok(told)
}

pub(super) fn segments(tree: &Tree) -> Result<Told, String> {
    let text = tree.text(SEGMENTS)?;
    let code = Code::new(SEGMENTS, &text);
    let mut found = code.tokens.windows(4).enumerate().filter(|(_, window)| {
        window[0].is("#") && window[1].is("define") && window[2].is("KEXEC_SEGMENT_MAX")
    });
    let (Some((at, [.., name, value])), None) = (found.next(), found.next()) else {
        return Err(format!("{SEGMENTS} does not define KEXEC_SEGMENT_MAX once"));
    };
    let ends = code
        .tokens
        .get(at + 4)
        .is_none_or(|next| next.line > name.line);
    match ends && value.text.parse::<u32>().is_ok() {
        true => code.told(value.text, name.line),
        false => code.untold(name.line, "gives KEXEC_SEGMENT_MAX no number"),
    }
}

/// The loader can leave all regions out if it can jump over the loop that hashes them
/// and still gets to where the digest is finished.
pub(super) fn empty_digest(tree: &Tree) -> Result<Told, String> {
    let text = tree.text(LOADER)?;
    let code = Code::new(LOADER, &text);
    let store = code.function("kexec_calculate_store_digests")?;
    let body = store.body;
    let first = |names: [&str; 2]| {
        let found = |token: &Token<'_>| names.iter().any(|name| token.is(name));
        body.iter().position(found)
    };
    let update = first(["sha256_update", "crypto_shash_update"]);
    let end = first(["sha256_final", "crypto_shash_final"]);
    let (Some(update), Some(end), true) = (update, end, update < end) else {
        return code.untold(store.line, "begins a function that hashes in another way");
    };
    // The statement of the body that the first segment is hashed in.
    let Some(start) = outermost_block(&body[..update]) else {
        return code.untold(body[update].line, "hashes outside of any loop");
    };
    let loops = ["for", "while"].iter().any(|word| body[start].is(word));
    let stands_alone = start.checked_sub(1).is_none_or(|before| {
        [";", "}", "{", ":"]
            .iter()
            .any(|sign| body[before].is(sign))
    });
    if !loops || !stands_alone {
        return code.untold(
            body[start].line,
            "makes it depend on something whether it hashes",
        );
    }
    let label = |name: &str| {
        let found = body
            .windows(2)
            .position(|pair| pair[0].is(name) && pair[1].is(":"));
        found.filter(|at| *at > update && *at < end)
    };
    let jump = body[..start]
        .windows(2)
        .find(|pair| pair[0].is("goto") && label(pair[1].text).is_some());
    match jump {
        Some([jump, _]) => code.told(NO_YES[1], jump.line),
        _ => code.told(NO_YES[0], body[start].line),
    }
}

/// Returns where the statement begins whose block is the outermost that is open at
/// the end of `tokens`.
fn outermost_block(tokens: &[Token<'_>]) -> Option<usize> {
    let mut open = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.is("{") {
            open.push(index);
        } else if token.is("}") {
            open.pop();
        }
    }
    let mut depth = 0;
    // Back over the parentheses in front of it.
    let brace = *open.first()?;
    let condition = tokens[..brace].iter().rposition(|token| {
        depth += i32::from(token.is(")")) - i32::from(token.is("("));
        depth == 0
    });
    condition?.checked_sub(1)
}

pub(super) fn relocations(tree: &Tree) -> Result<Told, String> {
    let text = tree.text(MACHINE)?;
    let code = Code::new(MACHINE, &text);
    let apply = code.function("arch_kexec_apply_relocations_add")?;
    let cases = apply.body.windows(3).filter_map(|window| {
        let [case, kind, colon] = window else {
            return None;
        };
        let name = kind.text.strip_prefix("R_X86_64_")?;
        let place = Place {
            file: MACHINE,
            line: kind.line,
        };
        (case.is("case") && colon.is(":")).then(|| (name.to_owned(), place))
    });
    let told = Told::names(cases);
    if told.places.is_empty() {
        return code.untold(apply.line, "begins a function without a case for a type");
    }
    Ok(told)
}

pub(super) fn cma(tree: &Tree) -> Result<Told, String> {
    let text = tree.text(CORE)?;
    let code = Code::new(CORE, &text);
    if let Some(found) = code.optional("kimage_load_cma_segment")? {
        return code.told(NO_YES[1], found.line);
    }
    let load = code.function("kimage_load_segment")?;
    code.told(NO_YES[0], load.line)
}

/// An IDT is in force from the `lidt` behind the `lea` of its address; without one,
/// the C side has put an empty one there.
pub(super) fn debug_idt(tree: &Tree) -> Result<Told, String> {
    let text = tree.text(RELOCATE)?;
    let code = Code::new(RELOCATE, &text);
    let address = code.tokens.windows(2).position(|pair| {
        ["lea", "leaq"].iter().any(|name| pair[0].is(name)) && pair[1].is("kexec_debug_idt")
    });
    if let Some(address) = address {
        let load = code.tokens[address..]
            .iter()
            .find(|token| ["lidt", "lidtq"].iter().any(|name| token.is(name)));
        return match load {
            Some(load) => code.told(NO_YES[1], load.line),
            None => code.untold(
                code.tokens[address].line,
                "takes an address that no lidt follows",
            ),
        };
    }
    let text = tree.text(MACHINE)?;
    let code = Code::new(MACHINE, &text);
    let machine = code.function("machine_kexec")?;
    let empties = ["native_idt_invalidate", "idt_invalidate", "set_idt"];
    match machine
        .body
        .iter()
        .find(|token| empties.iter().any(|name| token.is(name)))
    {
        Some(call) => code.told(NO_YES[0], call.line),
        None => code.untold(
            machine.line,
            "begins a function that leaves the IDT as it is",
        ),
    }
}

/// Reads a Makefile of the tree.
pub(super) fn makefile(tree: &Tree, file: &str) -> Result<Vec<Statement>, String> {
    make::statements(&tree.text(file)?).map_err(|why| format!("{file}: {why}"))
}

pub(super) fn embed(tree: &Tree) -> Result<Told, String> {
    let statements = makefile(tree, PURGATORY)?;
    let array = statements
        .iter()
        .zip(statements.iter().skip(1))
        .find(|(rule, recipe)| {
            rule.makes("$(obj)/kexec-purgatory.c")
                && needs(rule, "$(obj)/purgatory.ro")
                && matches!(&recipe.kind, Kind::Recipe(text) if text.contains("bin2c"))
        });
    if let Some((rule, _)) = array {
        return Ok(Told::at("bin2c", PURGATORY, rule.line));
    }
    let text = tree
        .text(EMBED)
        .map_err(|why| format!("{PURGATORY} makes no kexec-purgatory.c, and {why}"))?;
    let code = Code::new(EMBED, &text);
    let included = code.tokens.windows(2).find(|pair| {
        pair[0].is(".incbin")
            && pair[1].kind == c::Kind::Text
            && pair[1].text == "arch/x86/purgatory/purgatory.ro"
    });
    let made = statements
        .iter()
        .any(|rule| rule.makes("$(obj)/kexec-purgatory.o") && needs(rule, "$(obj)/purgatory.ro"));
    match included {
        Some([include, _]) if made => code.told("incbin", include.line),
        Some([include, _]) => code.untold(
            include.line,
            "includes purgatory.ro, but the Makefile does not make it first",
        ),
        _ => Err(format!(
            "{EMBED} includes no arch/x86/purgatory/purgatory.ro"
        )),
    }
}

fn needs(rule: &Statement, file: &str) -> bool {
    matches!(&rule.kind, Kind::Rule { needs, .. } if needs.iter().any(|name| name == file))
}

pub(super) fn chk(tree: &Tree) -> Result<Told, String> {
    let statements = makefile(tree, PURGATORY)?;
    let line = |target: &str| Some(statements.iter().find(|rule| rule.makes(target))?.line);
    if let Some(line) = line("$(obj)/purgatory.chk") {
        return Ok(Told::at(NO_YES[1], PURGATORY, line));
    }
    let line =
        line("$(obj)/purgatory.ro").ok_or_else(|| format!("{PURGATORY} makes no purgatory.ro"))?;
    Ok(Told::at(NO_YES[0], PURGATORY, line))
}

/// Flags of its own begin with an assignment that forgets the kernel's.
pub(super) fn flags(tree: &Tree) -> Result<Told, String> {
    let statements = makefile(tree, PURGATORY)?;
    let assigned = |wanted: &'static str| {
        statements
            .iter()
            .filter_map(move |statement| match &statement.kind {
                Kind::Assign { name, adds, value } if name == wanted => Some((
                    statement.line,
                    *adds,
                    value.contains(&format!("$({wanted})")),
                )),
                _ => None,
            })
    };
    let mut resets = assigned("KBUILD_CFLAGS").filter(|(_, adds, keeps)| !adds && !keeps);
    if let Some((line, ..)) = resets.next() {
        return Ok(Told::at("own", PURGATORY, line));
    }
    match assigned("CFLAGS_REMOVE_purgatory.o").next() {
        Some((line, ..)) => Ok(Told::at("adjusted", PURGATORY, line)),
        None => Err(format!(
            "{PURGATORY} assigns neither KBUILD_CFLAGS anew nor CFLAGS_REMOVE_purgatory.o"
        )),
    }
}

/// Kconfig's own printer for make tells whether it is to escape strings; before it had
/// one, it printed them as it does into `.config`.
pub(super) fn strings(tree: &Tree) -> Result<Told, String> {
    let text = tree.text(CONFDATA)?;
    let code = Code::new(CONFDATA, &text);
    if let Some(printer) = code.optional("print_symbol_for_autoconf")? {
        let word = |name: &str| printer.body.iter().find(|token| token.is(name));
        return match (word("false"), word("true")) {
            (Some(token), None) => code.told("plain", token.line),
            (None, Some(token)) => code.told("quoted", token.line),
            _ => code.untold(
                printer.line,
                "begins a function that does not say if it escapes",
            ),
        };
    }
    let writer = code.function("conf_write_autoconf")?;
    match writer
        .body
        .iter()
        .find(|token| token.is("kconfig_printer_cb"))
    {
        Some(token) => code.told("quoted", token.line),
        None => code.untold(writer.line, "begins a function that prints in another way"),
    }
}
