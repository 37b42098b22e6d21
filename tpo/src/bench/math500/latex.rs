//! LaTeX as plain text, the way the rules' converter writes it, as far as answers need it.

use std::iter::Peekable;
use std::str::Chars;

use super::commands::{CONTENTS, TABLES, is_lost, styled, symbol};

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

enum Piece {
    Text(String),
    End(End),
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
                '\\' => match self.command(within, depth)? {
                    Piece::Text(written) => text.push_str(&written),
                    Piece::End(end) => return Ok((text, end)),
                },
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

    /// What a command stands for, or what it ends.
    fn command(&mut self, within: Within, depth: usize) -> Result<Piece, String> {
        let name = self.name();
        if name == "\\" {
            return self.line_end(within, depth);
        }
        if name.chars().all(char::is_alphabetic) {
            self.skip_space();
        }
        if let Some(text) = symbol(&name) {
            return Ok(Piece::Text(text.to_owned()));
        }
        if is_lost(&name) {
            return Ok(Piece::Text(String::new()));
        }
        let text = match name.as_str() {
            // A backslash at the end.
            "" => String::new(),
            "frac" => {
                let over = self.argument(depth)?;
                format!("{over}/{}", self.argument(depth)?)
            }
            "sqrt" => {
                if self.letters.next_if_eq(&'[').is_some() {
                    // The rules lose which root it is.
                    self.read(Within::Brackets, depth + 1)?;
                    self.skip_space();
                }
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
                return Ok(Piece::End(End::Closed));
            }
            "begin" => self.begin(depth)?,
            "end" if matches!(within, Within::Cell | Within::Environment) => {
                return Ok(Piece::End(End::Environment));
            }
            name => return Err(format!("the command \\{name} is not known here")),
        };
        Ok(Piece::Text(text))
    }

    /// What follows two backslashes: a star, and a space in brackets.
    fn line_end(&mut self, within: Within, depth: usize) -> Result<Piece, String> {
        self.letters.next_if_eq(&'*');
        if self.letters.next_if_eq(&'[').is_some() {
            self.read(Within::Brackets, depth + 1)?;
        }
        Ok(match within {
            Within::Cell => Piece::End(End::Row),
            _ => Piece::Text("\n".to_owned()),
        })
    }

    fn begin(&mut self, depth: usize) -> Result<String, String> {
        let name = self.argument(depth)?;
        let text = if CONTENTS.contains(&name.as_str()) {
            self.read(Within::Environment, depth + 1)?.0
        } else if TABLES.contains(&name.as_str()) {
            if name == "array" {
                if self.letters.next_if_eq(&'[').is_some() {
                    self.read(Within::Brackets, depth + 1)?;
                }
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
            (r"\binom{3}{2}", "32"),
            (r"\operatorname*{lcm}(1,2)", "*lcm(1,2)"),
            (r"1\textnormal{x y}{z}2", "1x yz2"),
            (r"a\( x \)b", "axb"),
            (r"\[\frac12\]", "1/2"),
            (r"a~b", "a\u{a0}b"),
            (r"45^{\circ}~", "45^∘"),
            ("227\\", "227"),
            (r"1 & 2", "1     2"),
            (r"x\\*[2pt] y", "x\n y"),
            (r"\mathbf{2x}+\mathbb{RZab}", "2𝐱+ℝℤ𝕒𝕓"),
            (r"\mathbf\pi", "pi"),
            (r"\begin{cases} 1 & 2 \\ 3\end{cases}", "1     2 \n 3"),
            (r"\sqrt [3]{2}", "sqrt(2)"),
            (r"\leqslant|\varepsilon|", "⩽|ε|"),
        ] {
            assert_eq!(plain(latex).as_deref(), Ok(text), "{latex}");
        }
        for (table, text) in [
            (r"\begin{pmatrix}1&2\\3&\frac12\end{pmatrix}", "[12;31/2]"),
            // A line break in the source, and the space that is asked for after a row.
            ("\\begin{bmatrix} 1\\\\\n2 \\end{bmatrix}", "[1;2]"),
            (r"\begin{pmatrix}1\\[1ex]2\\\end{pmatrix}", "[1;2;]"),
            (r"\begin{pmatrix}1\\ [1ex]2\end{pmatrix}", "[1;[1ex]2]"),
            (r"\begin{array}[t]{c|c}\hline1&2\\~3&-4\end{array}", "[12;3-4]"),
            (r"\left(\begin{smallmatrix}1\end{smallmatrix}\right)", "([1])"),
            (r"\begin{pmatrix}\begin{matrix}1&2\end{matrix}\\3\end{pmatrix}", "[12;3]"),
        ] {
            assert_eq!(plain(table).unwrap().replace(' ', ""), text, "{table}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        for latex in [
            r"\foo{x}",
            r"\frac{1}",
            r"\sqrt{",
            r"\frac\sqrt{2}3",
            r"}\pi",
            r"\begin{align}1\end{align}",
            r"\begin{cases}1",
            r"\begin{pmatrix}\\\end{pmatrix}",
            r"\( 1 \]",
            r"\sqrt[3[2]{4}",
            r"1\)",
            r"\end{cases}",
            r"\begin{pmatrix}1",
            r"\begin{pmatrix}1\end{bmatrix}",
        ] {
            assert!(plain(latex).is_err(), "{latex}");
        }
        assert!(plain(&r"\sqrt{".repeat(10_000)).is_err());
        assert!(plain(&r"\sqrt".repeat(10_000)).is_err());
        assert!(plain(&r"\(".repeat(10_000)).is_err());
        assert!(plain(&r"\begin{matrix}".repeat(10_000)).is_err());
    }
}
