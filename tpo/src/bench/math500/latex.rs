//! LaTeX as plain text, the way the rules' converter writes it, as far as answers need it.

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::LazyLock;

/// Groups within groups, at most.
const MAX_DEPTH: usize = 50;

/// The plain text, or what is not known.
pub(super) fn plain(latex: &str) -> Result<String, String> {
    for odd in ["--", "''", "``", "!`", "?`", "\n\n"] {
        if latex.contains(odd) {
            return Err(format!("{odd:?} is not known here"));
        }
    }
    // A space before each fraction keeps mixed numbers apart.
    let latex = ["\\tfrac", "\\dfrac"]
        .iter()
        .fold(latex.to_owned(), |text, name| text.replace(name, "\\frac"));
    let latex = latex.replace("\\frac", " \\frac");
    let mut reader = Reader { letters: latex.chars().peekable() };
    let (text, _) = reader.read(Within::Text, 0)?;
    Ok(text
        .replace('√', "sqrt")
        .replace('π', "pi")
        .replace('∞', "inf")
        .replace('∪', "U")
        .replace(['·', '×'], "*")
        .trim()
        .to_owned())
}

/// What is read, which says where it ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Within {
    Text,
    Braces,
    Brackets,
    /// A cell of a table in brackets.
    Cell,
    Environment,
    /// Mathematics up to this letter after a backslash.
    Math(char),
}

/// Where it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Closed,
    Cell,
    Row,
    Environment,
}

struct Reader<'a> {
    letters: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn read(&mut self, within: Within, depth: usize) -> Result<(String, End), String> {
        if depth > MAX_DEPTH {
            return Err("too many groups within groups".to_owned());
        }
        let mut text = String::new();
        while let Some(letter) = self.letters.next() {
            match letter {
                '}' if within == Within::Braces => return Ok((text, End::Closed)),
                ']' if within == Within::Brackets => return Ok((text, End::Closed)),
                '&' if within == Within::Cell => return Ok((text, End::Cell)),
                '\\' => {
                    if let Some(end) = self.command(&mut text, within, depth)? {
                        return Ok((text, end));
                    }
                }
                '{' => text.push_str(&self.read(Within::Braces, depth + 1)?.0),
                '}' => return Err("a brace is closed that was not opened".to_owned()),
                '&' => text.push_str("   "),
                '[' if within == Within::Brackets => {
                    return Err("brackets within brackets are not known here".to_owned());
                }
                '~' => text.push('\u{a0}'),
                '%' => return Err(format!("{letter:?} is not known here")),
                letter => text.push(letter),
            }
        }
        match within {
            Within::Text => Ok((text, End::Closed)),
            _ => Err("a group is not closed".to_owned()),
        }
    }

    /// Writes what a command stands for; what it ends, if it ends something.
    fn command(
        &mut self,
        text: &mut String,
        within: Within,
        depth: usize,
    ) -> Result<Option<End>, String> {
        let name = self.name();
        if name.chars().all(char::is_alphabetic) {
            self.skip_space();
        }
        if let Some(sign) = symbol(&name) {
            text.push_str(sign);
            return Ok(None);
        }
        let written = match name.as_str() {
            "\\" => {
                self.skip_line_end(depth)?;
                if within == Within::Cell {
                    return Ok(Some(End::Row));
                }
                "\n".to_owned()
            }
            // A backslash at the end.
            "" => String::new(),
            name if LOST.split_whitespace().any(|lost| lost == name) => String::new(),
            "frac" => {
                let over = self.argument(depth)?;
                format!("{over}/{}", self.argument(depth)?)
            }
            "sqrt" => {
                // The rules lose which root it is.
                self.skip_brackets(depth)?;
                self.skip_space();
                format!("√({})", self.argument(depth)?)
            }
            "mathbf" => styled(&self.argument(depth)?, false),
            "mathbb" => styled(&self.argument(depth)?, true),
            // The rules lose what is in a box of text.
            "mbox" => self.argument(depth).map(|_| String::new())?,
            "(" => self.read(Within::Math(')'), depth + 1)?.0.trim().to_owned(),
            "[" => {
                let (text, _) = self.read(Within::Math(']'), depth + 1)?;
                format!("\n{}\n", text.trim())
            }
            end if matches!(within, Within::Math(close) if end.chars().eq([close])) => {
                return Ok(Some(End::Closed));
            }
            "begin" => self.begin(depth)?,
            "end" if matches!(within, Within::Cell | Within::Environment) => {
                return Ok(Some(End::Environment));
            }
            name => return Err(format!("the command \\{name} is not known here")),
        };
        text.push_str(&written);
        Ok(None)
    }

    /// Skips a star, and a space in brackets, which may follow two backslashes.
    fn skip_line_end(&mut self, depth: usize) -> Result<(), String> {
        self.letters.next_if_eq(&'*');
        self.skip_brackets(depth)
    }

    fn skip_brackets(&mut self, depth: usize) -> Result<(), String> {
        if self.letters.next_if_eq(&'[').is_some() {
            self.read(Within::Brackets, depth + 1)?;
        }
        Ok(())
    }

    fn begin(&mut self, depth: usize) -> Result<String, String> {
        let name = self.argument(depth)?;
        let text = if CONTENTS.contains(&name.as_str()) {
            self.read(Within::Environment, depth + 1)?.0
        } else if TABLES.contains(&name.as_str()) {
            if name == "array" {
                self.skip_brackets(depth)?;
                // How its columns are set.
                self.argument(depth)?;
            }
            self.table(depth)?
        } else {
            return Err(format!("the environment {name:?} is not known here"));
        };
        let ended = self.argument(depth)?;
        match name == ended {
            true => Ok(text),
            false => Err(format!("the environment {name:?} ends as {ended:?}")),
        }
    }

    /// The rows of a table in brackets.
    fn table(&mut self, depth: usize) -> Result<String, String> {
        let mut text = String::new();
        loop {
            let (cell, end) = self.read(Within::Cell, depth + 1)?;
            text.push_str(cell.trim());
            match end {
                End::Cell => text.push(' '),
                End::Row => text.push_str("; "),
                End::Closed | End::Environment => break,
            }
        }
        match text.trim_matches([' ', ';']) {
            "" => Err("a table without cells is not known here".to_owned()),
            _ => Ok(format!("[ {text} ]")),
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(letter) = self.letters.next_if(char::is_ascii_alphabetic) {
            name.push(letter);
        }
        if name.is_empty() {
            name.extend(self.letters.next());
        }
        name
    }

    fn skip_space(&mut self) {
        while self.letters.next_if(|letter| letter.is_whitespace()).is_some() {}
    }

    /// A group, a command, or one letter.
    fn argument(&mut self, depth: usize) -> Result<String, String> {
        self.skip_space();
        match self.letters.next() {
            Some('{') => Ok(self.read(Within::Braces, depth + 1)?.0),
            // The rules' converter does not look for what such a command is about itself.
            Some('\\') => {
                let name = self.name();
                let text = symbol(&name).map(str::to_owned);
                text.ok_or_else(|| format!("\\{name} without braces is not known here"))
            }
            Some(letter) if letter.is_alphanumeric() => Ok(letter.to_string()),
            _ => Err("a command lacks what it is about".to_owned()),
        }
    }
}

/// The texts that commands stand for: a sign, their own name, or nothing.
static SYMBOLS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let pairs = include_str!("symbols.txt").split_whitespace();
    pairs.filter_map(|pair| pair.split_once('=')).collect()
});

/// The text that a command stands for.
fn symbol(name: &str) -> Option<&str> {
    match name {
        "," | ";" | ":" | " " => Some(" "),
        "quad" => Some("  "),
        "qquad" => Some("    "),
        "{" | "}" | "$" | "%" | "#" | "&" | "_" => Some(name),
        name => SYMBOLS.get(name).copied(),
    }
}

/// Commands that the rules' converter does not know, or that do nothing there: what they hold stays. (That of
/// pylatexenc 2.10.)
const LOST: &str = include_str!("lost.txt");

/// Tables that are written in brackets.
const TABLES: &[&str] =
    &["array", "pmatrix", "bmatrix", "smallmatrix", "psmallmatrix", "bsmallmatrix"];

/// Environments of which only the content is written.
const CONTENTS: &[&str] =
    &["matrix", "vmatrix", "Vmatrix", "Bmatrix", "cases", "aligned", "gathered"];

/// Capital letters with two strokes that are older than the row of the others.
const STRUCK: [(char, char); 7] =
    [('C', 'ℂ'), ('H', 'ℍ'), ('N', 'ℕ'), ('P', 'ℙ'), ('Q', 'ℚ'), ('R', 'ℝ'), ('Z', 'ℤ')];

/// Letters in the style of `\mathbf` or `\mathbb`; all else stays.
fn styled(text: &str, struck: bool) -> String {
    let (capital, small) = if struck { ('𝔸', '𝕒') } else { ('𝐀', '𝐚') };
    let letter = |letter: char| {
        let (first, row) = match letter {
            'A'..='Z' => ('A', capital),
            'a'..='z' => ('a', small),
            _ => return letter,
        };
        let older = STRUCK.iter().find(|(plain, _)| struck && *plain == letter);
        let place = u32::from(letter) - u32::from(first) + u32::from(row);
        older.map(|(_, older)| *older).or_else(|| char::from_u32(place)).unwrap_or(letter)
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests;
