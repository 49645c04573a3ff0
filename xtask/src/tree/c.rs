// SPDX-License-Identifier: MIT OR Apache-2.0
//! C and assembly as a row of tokens: neither comments nor `#if 0` are in it, and
//! what stands in a string is a token of another kind than code.
//!
//! It is no parser. It finds a function by its name and the bracket that closes
//! another, which is enough to ask whether a loader does something, and refuses to
//! guess where a name is defined twice.

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    C,
    /// `#` begins a comment, too, and a name may begin with a dot.
    Assembly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a keyword or a number.
    Word,
    /// A string, without its quotes.
    Text,
    /// One character of anything else.
    Sign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) line: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, code: &str) -> bool {
        self.kind != Kind::Text && self.text == code
    }
}

/// Splits a source into tokens.
pub(super) fn tokens(source: &str, language: Language) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        source,
        at: 0,
        line: 1,
        language,
    };
    let mut tokens: Vec<Token<'_>> = Vec::new();
    while let Some(token) = lexer.next() {
        tokens.push(token);
        // What a compiler never sees.
        if let [.., hash, verb, value] = &*tokens
            && hash.is("#")
            && verb.is("if")
            && value.is("0")
            && verb.line == value.line
        {
            lexer.skip_dead();
        }
    }
    tokens
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    language: Language,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Steps over so many bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let taken = &self.rest()[..length];
        self.line += taken.matches('\n').count();
        self.at += length;
        taken
    }

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let rest = self.rest();
            let first = rest.chars().next()?;
            let line = self.line;
            let token = |kind, text| Some(Token { kind, text, line });
            if rest.starts_with("/*") {
                self.take(rest.find("*/").map_or(rest.len(), |end| end + 2));
            } else if rest.starts_with("//") || first == '#' && self.is_remark() {
                self.take(end_of_line(rest));
            } else if rest.starts_with("\\\n") {
                self.take(2);
            } else if first.is_whitespace() {
                self.take(first.len_utf8());
            } else if first == '"' {
                let length = quoted(rest);
                let text = self.take(length);
                return token(Kind::Text, text.trim_matches('"'));
            } else if first == '\'' && character(rest).is_some() {
                let length = character(rest).unwrap_or(1);
                let text = self.take(length);
                return token(Kind::Text, text.trim_matches('\''));
            } else {
                let dot = self.language == Language::Assembly && first == '.';
                let length = rest[usize::from(dot)..]
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .map_or(rest.len(), |end| end + usize::from(dot));
                let kind = if length > usize::from(dot) {
                    Kind::Word
                } else {
                    Kind::Sign
                };
                let text = self.take(length.max(first.len_utf8()));
                return token(kind, text);
            }
        }
    }

    /// Tells a comment of the assembler's from a line for the preprocessor.
    fn is_remark(&self) -> bool {
        if self.language == Language::C {
            return false;
        }
        let start = self.source[..self.at].rfind('\n').map_or(0, |end| end + 1);
        let directive = self.rest()[1..].trim_start_matches([' ', '\t']);
        let known = [
            "if", "else", "elif", "endif", "define", "undef", "include", "error",
        ];
        !self.source[start..self.at].trim().is_empty()
            || !known.iter().any(|word| directive.starts_with(word))
    }

    /// Skips from behind `#if 0` to the line that ends it.
    fn skip_dead(&mut self) {
        let mut depth = 0;
        while !self.rest().is_empty() {
            let line = self.rest().lines().next().unwrap_or_default();
            let directive = line.trim_start().strip_prefix('#').map(str::trim_start);
            let verb = directive.unwrap_or_default();
            let ends = verb.starts_with("endif");
            if depth == 0 && (ends || verb.starts_with("el")) {
                return;
            }
            depth += usize::from(verb.starts_with("if"));
            depth -= usize::from(ends);
            let length = self
                .rest()
                .find('\n')
                .map_or(self.rest().len(), |end| end + 1);
            self.take(length);
        }
    }
}

/// Returns where a line ends that a backslash may continue.
fn end_of_line(text: &str) -> usize {
    let mut from = 0;
    while let Some(end) = text[from..].find('\n') {
        if !text[..from + end].ends_with('\\') {
            return from + end;
        }
        from += end + 1;
    }
    text.len()
}

/// Returns the length of the string that `text` begins with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// Returns the length of a character constant, which an apostrophe need not begin.
fn character(text: &str) -> Option<usize> {
    let inner = text[1..].strip_prefix('\\').unwrap_or(&text[1..]);
    let first = inner.chars().next().filter(|c| *c != '\n')?;
    let end = inner[first.len_utf8()..]
        .find('\'')
        .filter(|end| *end < 4)?;
    Some(text.len() - inner.len() + first.len_utf8() + end + 1)
}

/// The inside of a function, with the line of its name.
#[derive(Debug)]
pub(super) struct Function<'t, 'a> {
    pub(super) line: usize,
    pub(super) body: &'t [Token<'a>],
}

/// Finds the one definition of a function; `None` where there is none.
pub(super) fn function<'t, 'a>(
    tokens: &'t [Token<'a>],
    name: &str,
) -> Result<Option<Function<'t, 'a>>, String> {
    let mut found: Option<Function<'t, 'a>> = None;
    for (index, token) in tokens.iter().enumerate() {
        if !token.is(name) {
            continue;
        }
        let body = closing(tokens, index + 1, ["(", ")"])
            .and_then(|end| Some((end + 2, closing(tokens, end + 1, ["{", "}"])?)));
        let Some((start, end)) = body else {
            continue;
        };
        if let Some(first) = &found {
            return Err(format!(
                "{name} is defined twice, in lines {} and {}",
                first.line, token.line
            ));
        }
        found = Some(Function {
            line: token.line,
            body: &tokens[start..end],
        });
    }
    Ok(found)
}

/// Returns the arguments of every call of `name`, with the line of the call.
pub(super) fn calls<'t, 'a>(
    tokens: &'t [Token<'a>],
    name: &str,
) -> impl Iterator<Item = (usize, &'t [Token<'a>])> {
    let found = tokens
        .iter()
        .enumerate()
        .filter(move |(_, token)| token.is(name));
    found.filter_map(|(index, token)| {
        let end = closing(tokens, index + 1, ["(", ")"])?;
        Some((token.line, &tokens[index + 2..end]))
    })
}

/// Returns where the bracket at `open` is closed, if there is one.
fn closing(tokens: &[Token<'_>], open: usize, [opens, closes]: [&str; 2]) -> Option<usize> {
    tokens.get(open).filter(|token| token.is(opens))?;
    let mut depth = 0;
    let end = tokens[open..].iter().position(|token| {
        depth += i32::from(token.is(opens)) - i32::from(token.is(closes));
        depth == 0
    });
    end.map(|end| open + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str, language: Language) -> Vec<&str> {
        let tokens = tokens(source, language);
        let code = tokens.iter().filter(|token| token.kind == Kind::Word);
        code.map(|token| token.text).collect()
    }

    #[test]
    fn what_is_no_code_is_no_code() {
        let source = "a /* lidt \" */ b \"lidt /* \\\" lidt\" c // lidt \\\n lidt\nd '\"' e\n\
                      #if 0\nlidt\n#ifdef X\nlidt\n#else\nlidt\n#endif\nlidt\n#else\nf\n#endif\ng\n\
                      # if  0 \nlidt\n# endif\nh '\\'' i";
        let expected = [
            "a", "b", "c", "d", "e", "if", "0", "else", "f", "endif", "g", "if", "0", "endif", "h",
            "i",
        ];
        assert_eq!(words(source, Language::C), expected);
        assert!(!words("/* never closed\nlidt", Language::C).contains(&"lidt"));
        assert!(!words("\"never closed\nlidt", Language::C).contains(&"lidt"));
    }

    #[test]
    fn assembly_has_one_more_comment_and_dots() {
        let source = "#include <x>\n\tlidt\t(%rsp)\t# lgdt (%rsp)\n# lgdt\n.incbin \"a # b\"\n\
                      print_reg 'E', 'x'\n#ifdef A\nmov $'a, %al\n1:\tnop";
        let found = words(source, Language::Assembly);
        assert!(
            found.contains(&"lidt") && !found.contains(&"lgdt"),
            "{found:?}"
        );
        assert!(
            found.contains(&".incbin") && found.contains(&"nop"),
            "{found:?}"
        );
        let tokens = tokens(source, Language::Assembly);
        let text: Vec<_> = tokens
            .iter()
            .filter(|token| token.kind == Kind::Text)
            .collect();
        assert_eq!(text[0].text, "a # b");
        assert_eq!(text[0].line, 4);
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let source = "/*\n\n*/ a // \\\n\n\"\n\" b \\\n c\n#if 0\n\n#endif\nd";
        let tokens = tokens(source, Language::C);
        let line = |name: &str| tokens.iter().find(|token| token.is(name)).unwrap().line;
        assert_eq!(["a", "b", "c", "d"].map(line), [3, 6, 7, 11]);
    }

    #[test]
    fn a_function_is_where_its_body_is() {
        let source = "int f(int (*g)(void));\nint x = f(h);\nstatic int f(int (*g)(void))\n{\n\
                      if (f(0)) { a; }\nb;\n}\nc;";
        let tokens = tokens(source, Language::C);
        let f = function(&tokens, "f").unwrap().unwrap();
        assert_eq!(f.line, 3);
        let body: Vec<_> = f.body.iter().map(|token| token.text).collect();
        assert_eq!(body.join(" "), "if ( f ( 0 ) ) { a ; } b ;");
        assert!(function(&tokens, "g").unwrap().is_none());
        let arguments: Vec<_> = calls(f.body, "f")
            .map(|(line, inner)| (line, inner.len()))
            .collect();
        assert_eq!(arguments, [(5, 1)]);

        let twice = super::tokens("#ifdef A\nf() {}\n#else\nf() {}\n#endif", Language::C);
        let error = function(&twice, "f").unwrap_err();
        assert!(error.contains("lines 2 and 4"), "{error}");
        let torn = super::tokens("f() { {", Language::C);
        assert!(function(&torn, "f").unwrap().is_none());
    }
}
