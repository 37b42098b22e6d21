//! LaTeX as plain text, the way the rules' converter writes it, as far as answers need it.

use std::iter::Peekable;
use std::str::Chars;

use super::commands::{LOST, SYMBOLS, TABLES, WRAPPERS};

/// Groups within groups, at most.
const DEPTH: usize = 50;

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
    let mut reader = Reader { letters: latex.chars().peekable(), table: None };
    let text = reader.until(None, 0)?;
    Ok(text
        .replace('√', "sqrt")
        .replace('π', "pi")
        .replace('∞', "inf")
        .replace('∪', "U")
        .replace(['·', '×'], "*")
        .trim()
        .to_owned())
}

struct Reader<'a> {
    letters: Peekable<Chars<'a>>,
    /// The table that is read.
    table: Option<&'static str>,
}

impl Reader<'_> {
    /// Reads up to a closing letter, or to the end.
    fn until(&mut self, close: Option<char>, depth: usize) -> Result<String, String> {
        if depth > DEPTH {
            return Err("too many groups within groups".to_owned());
        }
        let mut text = String::new();
        while let Some(letter) = self.letters.next() {
            match letter {
                _ if Some(letter) == close => return Ok(text),
                '\\' => match self.command(depth)? {
                    Some(written) => text.push_str(&written),
                    None => return Ok(text),
                },
                '{' => text.push_str(&self.until(Some('}'), depth + 1)?),
                '}' => return Err("a brace is closed that was not opened".to_owned()),
                '&' if self.table.is_some() => text.push(' '),
                '~' | '&' | '%' => return Err(format!("{letter:?} is not known here")),
                letter => text.push(letter),
            }
        }
        match close {
            None if self.table.is_none() => Ok(text),
            _ => Err("a group is not closed".to_owned()),
        }
    }

    /// What a command stands for; none for the end of a table.
    fn command(&mut self, depth: usize) -> Result<Option<String>, String> {
        let name = self.name();
        if name == "\\" && self.table.is_some() {
            return Ok(Some("; ".to_owned()));
        }
        if name.chars().all(char::is_alphabetic) {
            self.skip_space();
        }
        if let Some((_, text)) = SYMBOLS.iter().find(|(known, _)| *known == name) {
            return Ok(Some((*text).to_owned()));
        }
        if WRAPPERS.contains(&name.as_str()) {
            return self.argument(depth).map(Some);
        }
        if LOST.contains(&name.as_str()) {
            return Ok(Some(String::new()));
        }
        match name.as_str() {
            "frac" => {
                let over = self.argument(depth)?;
                Ok(Some(format!("{over}/{}", self.argument(depth)?)))
            }
            "sqrt" => {
                if self.letters.next_if_eq(&'[').is_some() {
                    // The rules lose which root it is.
                    self.until(Some(']'), depth + 1)?;
                }
                Ok(Some(format!("√({})", self.argument(depth)?)))
            }
            // The rules lose what is in a box of text.
            "mbox" => self.argument(depth).map(|_| Some(String::new())),
            "begin" => self.begin(depth).map(Some),
            "end" if self.table.is_some() => {
                let (begun, ended) = (self.table, self.argument(depth)?);
                match begun == Some(ended.as_str()) {
                    true => Ok(None),
                    false => Err(format!("a table ends as {ended:?}")),
                }
            }
            name => Err(format!("the command \\{name} is not known here")),
        }
    }

    fn begin(&mut self, depth: usize) -> Result<String, String> {
        let name = self.argument(depth)?;
        let table = TABLES.into_iter().find(|known| *known == name && self.table.is_none());
        if table.is_none() {
            return Err(format!("the environment {name:?} is not known here"));
        }
        self.table = table;
        let cells = self.until(None, depth + 1)?;
        self.table = None;
        Ok(format!("[ {cells} ]"))
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
            Some('{') => {
                let table = std::mem::take(&mut self.table);
                let text = self.until(Some('}'), depth + 1);
                self.table = table;
                text
            }
            // The rules' converter does not look for what such a command is about itself.
            Some('\\') => {
                let name = self.name();
                let symbol = SYMBOLS.iter().find(|(known, _)| *known == name);
                let text = symbol.map(|(_, text)| (*text).to_owned());
                text.ok_or_else(|| format!("\\{name} without braces is not known here"))
            }
            Some(letter) if letter.is_alphanumeric() => Ok(letter.to_string()),
            _ => Err("a command lacks what it is about".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_the_rules_converter_does() {
        // The right side is what that program gave for the left.
        for (latex, text) in [
            (r"\frac{x+1}{2}", "x+1/2"),
            (r"\frac12", "1/2"),
            (r"\frac 3 4", "3/4"),
            (r"\frac34 x", "3/4 x"),
            (r"\sqrt2", "sqrt(2)"),
            (r"\sqrt[3]{2}", "sqrt(2)"),
            (r"\sqrt{\frac{1}{2}}", "sqrt( 1/2)"),
            (r"2\pi r", "2pir"),
            (r"\left(1,\frac{1}{2}\right)", "(1, 1/2)"),
            (r"\text{a b}", "a b"),
            (r"\mbox{x}y", "y"),
            (r"1\,000", "1 000"),
            (r"\sin x", "sinx"),
            (r"\log_2 3", "log_2 3"),
            (r"\{1,2\}", "{1,2}"),
            (r"a\ b", "a b"),
            (r"5\!", "5"),
            (r"x\in[1,2)", "x∈[1,2)"),
            (r"\overline{3}", "3"),
            (r"5\ne 7", "57"),
            (r"x\cot 2", "x2"),
        ] {
            assert_eq!(plain(latex).as_deref(), Ok(text), "{latex}");
        }
        let table = plain(r"\begin{pmatrix}1&2\\3&\frac12\end{pmatrix}").unwrap();
        assert_eq!(table.replace(' ', ""), "[12;31/2]");
    }

    #[test]
    fn what_is_not_known_is_said() {
        for latex in [
            r"\foo{x}",
            r"\frac{1}",
            r"\sqrt{",
            r"\frac\sqrt{2}3",
            r"}\pi",
            r"\begin{cases}1\end{cases}",
            "a~\\pi",
            r"\begin{pmatrix}1",
            r"\begin{pmatrix}1\end{bmatrix}",
            r"\",
        ] {
            assert!(plain(latex).is_err(), "{latex}");
        }
        assert!(plain(&r"\sqrt{".repeat(10_000)).is_err());
        assert!(plain(&r"\sqrt".repeat(10_000)).is_err());
    }
}
