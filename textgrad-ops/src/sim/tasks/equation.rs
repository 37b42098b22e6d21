//! Worked solutions of linear equations in x, one equation a line.

use super::verdict::Verdict;
use crate::sim::rng::Rng;

/// How large a coefficient is read.
const LARGEST: i64 = 1_000_000;

/// `a x + b = c x + d`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Equation {
    a: i64,
    b: i64,
    c: i64,
    d: i64,
}

/// A fraction in lowest terms, its denominator above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fraction(i64, i64);

impl std::fmt::Display for Fraction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1 {
            1 => write!(f, "{}", self.0),
            below => write!(f, "{}/{below}", self.0),
        }
    }
}

impl Fraction {
    fn of(above: i64, below: i64) -> Option<Self> {
        let (mut one, mut other) = (above.abs(), below.abs());
        while other != 0 {
            (one, other) = (other, one.checked_rem(other)?);
        }
        let sign = if below < 0 { -1 } else { 1 };
        let divisor = one.checked_mul(sign)?;
        Some(Self(above.checked_div(divisor)?, below.checked_div(divisor)?))
    }

    /// `factor * self + more`
    fn times_plus(self, factor: i64, more: i64) -> Option<Self> {
        let above = factor.checked_mul(self.0)?.checked_add(more.checked_mul(self.1)?)?;
        Self::of(above, self.1)
    }
}

impl Equation {
    fn solution(self) -> Option<Fraction> {
        Fraction::of(self.d - self.b, self.a - self.c)
    }

    /// Reads the equation of a line, if it has one in x.
    fn read(line: &str) -> Option<Self> {
        let (left, right) = line.split_once('=')?;
        let allowed = |c: char| {
            c.is_ascii_digit() || matches!(c, 'x' | '+' | '-' | '−' | '*' | '·' | ' ' | '/')
        };
        let start = left.char_indices().rev().take_while(|(_, c)| allowed(*c)).last()?.0;
        let left = left.get(start..)?;
        // What stands before must be another word, not the beginning of this one.
        let before = line.get(..start)?.chars().next_back();
        let left = match before {
            Some(c) if c.is_alphanumeric() => left.split_once(' ')?.1,
            _ => left,
        };
        let end = right.find(|c| !allowed(c)).unwrap_or(right.len());
        let right = right.get(..end)?;
        let ((a, b), (c, d)) = (side(left)?, side(right)?);
        (a != c).then_some(Self { a, b, c, d })
    }
}

/// A side of an equation as the factor of x and the rest. Fractions are only read as `n/m` that divide.
fn side(text: &str) -> Option<(i64, i64)> {
    let plain: String =
        text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '*' | '·')).collect();
    let plain = plain.replace('−', "-");
    let plain = plain.replace('-', "+-");
    let (mut factor, mut rest, mut terms) = (0_i64, 0_i64, 0);
    for term in plain.split('+').filter(|term| !term.is_empty()) {
        terms += 1;
        let number = |text: &str| -> Option<i64> {
            let value: i64 = match text.split_once('/') {
                None => text.parse().ok()?,
                Some((above, below)) => {
                    let (above, below): (i64, i64) = (above.parse().ok()?, below.parse().ok()?);
                    (above.checked_rem(below)? == 0).then(|| above.checked_div(below))??
                }
            };
            (value.abs() <= LARGEST).then_some(value)
        };
        match term.strip_suffix('x') {
            Some("") => factor += 1,
            Some("-") => factor -= 1,
            Some(times) => factor += number(times)?,
            None => rest += number(term)?,
        }
    }
    (terms > 0).then_some((factor, rest))
}

/// A worked solution: what is asked in its first equation, and the lines that follow.
#[derive(Debug)]
pub(crate) struct Worked<'a> {
    lines: Vec<&'a str>,
    equations: Vec<(usize, Equation)>,
}

impl<'a> Worked<'a> {
    /// Reads worked lines: two equations in x or more, each on a line of its own.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let equations: Vec<(usize, Equation)> = lines
            .iter()
            .enumerate()
            .filter_map(|(at, line)| Some((at, Equation::read(line)?)))
            .collect();
        (equations.len() >= 2).then_some(Self { lines, equations })
    }

    /// The first line whose equation has another solution than that of the first.
    fn first_wrong(&self) -> Option<(usize, Equation)> {
        let (_, first) = self.equations.first()?;
        let solution = first.solution()?;
        self.equations.iter().find(|(_, equation)| equation.solution() != Some(solution)).copied()
    }

    /// Checks each line, and says what is found.
    pub(super) fn critique(&self, skill: f64, rng: &mut Rng) -> String {
        let sees = rng.chance(skill);
        let (Some((at, wrong)), true) = (self.first_wrong(), sees) else {
            return "Each line seems to follow from the one before. The solution is right."
                .to_owned();
        };
        let line = self.lines.get(at).map_or("", |line| line.trim());
        let test = self.equations.first().and_then(|(_, first)| {
            let x = wrong.solution()?;
            let (left, right) = (x.times_plus(first.a, first.b)?, x.times_plus(first.c, first.d)?);
            Some(format!(
                " By it x is {x}, and with that the sides of the first equation are {left} and {right}."
            ))
        });
        format!(
            "The solution is wrong. The line \"{line}\" does not follow from the one before.{} Redo the \
             solution from there.",
            test.unwrap_or_default()
        )
    }

    /// Rewrites the lines from the first wrong one on.
    pub(super) fn rewrite(&self, verdict: Verdict, skill: f64, rng: &mut Rng) -> String {
        let follows = rng.chance(skill);
        let old = || self.lines.join("\n");
        let ((at, _), Some(solution)) = (
            match self.first_wrong() {
                Some(wrong) if follows && verdict == Verdict::Wrong => wrong,
                _ => return old(),
            },
            self.equations.first().and_then(|(_, first)| first.solution()),
        ) else {
            return old();
        };
        let Some((_, good)) = self.equations.iter().take_while(|(line, _)| *line < at).last()
        else {
            return old();
        };
        let mut lines: Vec<String> =
            self.lines.iter().take(at).map(|line| (*line).to_owned()).collect();
        let (factor, rest) = (good.a - good.c, good.d - good.b);
        if factor != 1 && (good.b, good.c) != (0, 0) {
            lines.push(format!("{factor}x = {rest}"));
        }
        lines.push(format!("x = {solution}"));
        lines.join("\n")
    }
}
