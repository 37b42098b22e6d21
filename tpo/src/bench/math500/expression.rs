//! Expressions: tokens and parser.

use std::iter::Peekable;
use std::str::Chars;
use std::vec::IntoIter;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, ToPrimitive};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Number(BigRational),
    Pi,
    Symbol(String),
    Sum(Box<Self>, Box<Self>),
    Product(Box<Self>, Box<Self>),
    Quotient(Box<Self>, Box<Self>),
    Negative(Box<Self>),
    Power(Box<Self>, Box<Self>),
    Root(Box<Self>),
}

/// Why an expression could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is none, for the rules too.
    Malformed,
    /// It may be one, but not one that is read here.
    Unknown(String),
}

/// The longest expression, in letters.
const MAX_LENGTH: usize = 400;

/// Parentheses, signs and powers within each other, at most.
const MAX_DEPTH: usize = 60;

/// The largest number of which a factorial is taken.
const MAX_FACTORIAL: u32 = 100;

/// Reads an expression. A product may be written without a sign; it binds like one with it.
pub(super) fn parse(text: &str) -> Result<Expression, Unread> {
    if text.chars().count() > MAX_LENGTH {
        return Err(unknown("an expression is too long"));
    }
    if text.trim().is_empty() {
        return Err(Unread::Malformed);
    }
    let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
    let expression = parser.sum()?;
    match parser.tokens.peek() {
        None => Ok(expression),
        Some(_) => Err(unknown("a parenthesis is closed that was not opened")),
    }
}

fn unknown(reason: impl Into<String>) -> Unread {
    Unread::Unknown(reason.into())
}

struct Parser {
    tokens: Peekable<IntoIter<Token>>,
    depth: usize,
}

impl Parser {
    fn next_is(&mut self, sign: char) -> bool {
        self.tokens.next_if_eq(&Token::Sign(sign)).is_some()
    }

    fn sum(&mut self) -> Result<Expression, Unread> {
        let mut sum = self.product()?;
        loop {
            if self.next_is('+') {
                sum = Expression::Sum(sum.into(), self.product()?.into());
            } else if self.next_is('-') {
                let negative = Expression::Negative(self.product()?.into());
                sum = Expression::Sum(sum.into(), negative.into());
            } else {
                return Ok(sum);
            }
        }
    }

    fn product(&mut self) -> Result<Expression, Unread> {
        let mut product = self.signed()?;
        loop {
            if self.next_is('*') {
                product = Expression::Product(product.into(), self.signed()?.into());
            } else if self.next_is('/') {
                product = Expression::Quotient(product.into(), self.signed()?.into());
            } else if matches!(
                self.tokens.peek(),
                Some(
                    Token::Pi
                        | Token::Symbol(_)
                        | Token::Root
                        | Token::Sign('(')
                        | Token::Number(_)
                )
            ) {
                product = Expression::Product(product.into(), self.power()?.into());
            } else {
                return Ok(product);
            }
        }
    }

    fn signed(&mut self) -> Result<Expression, Unread> {
        if self.next_is('+') {
            self.deeper(Self::signed)
        } else if self.next_is('-') {
            Ok(Expression::Negative(self.deeper(Self::signed)?.into()))
        } else {
            self.power()
        }
    }

    fn power(&mut self) -> Result<Expression, Unread> {
        let mut base = self.atom()?;
        while self.next_is('!') {
            base = factorial(&base)?;
        }
        if self.next_is('^') {
            let exponent = self.deeper(Self::signed)?;
            return Ok(Expression::Power(base.into(), exponent.into()));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Result<Expression, Unread> {
        match self.tokens.next() {
            Some(Token::Number(number)) => Ok(Expression::Number(number)),
            Some(Token::Pi) => Ok(Expression::Pi),
            Some(Token::Symbol(letter)) => Ok(Expression::Symbol(letter)),
            Some(Token::Root) => {
                self.tokens.next();
                Ok(Expression::Root(self.group()?.into()))
            }
            Some(Token::Sign('(')) => self.group(),
            // An operator lacks what it is about: the rules' parser fails too, whatever stands beside it.
            Some(_) | None => Err(Unread::Malformed),
        }
    }

    /// What follows an open parenthesis.
    fn group(&mut self) -> Result<Expression, Unread> {
        let inner = self.deeper(Self::sum)?;
        match self.next_is(')') {
            true => Ok(inner),
            false => Err(unknown("a parenthesis is not closed")),
        }
    }

    fn deeper(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Expression, Unread>,
    ) -> Result<Expression, Unread> {
        if self.depth >= MAX_DEPTH {
            return Err(unknown("too many parentheses"));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }
}

fn factorial(of: &Expression) -> Result<Expression, Unread> {
    let number = match of {
        Expression::Number(number) if number.is_integer() => number.to_integer().to_u32(),
        _ => None,
    };
    let number = number.filter(|number| *number <= MAX_FACTORIAL);
    let number = number.ok_or_else(|| unknown("a factorial of something else than a number"))?;
    let product = (1..=number).fold(BigInt::one(), |product, factor| product * factor);
    Ok(Expression::Number(BigRational::from_integer(product)))
}

/// Letters and digits of a number or an exponent, at most.
const MAX_DIGITS: usize = 60;

/// Powers of ten that a number may be written with.
const MAX_EXPONENT: u32 = 300;

/// Names of up to two different letters that mean something to the rules' computer algebra system. All other
/// names are products of their letters and numbers, `pi2` too.
const NAMES: [&str; 28] = [
    "all", "as", "csc", "eye", "ff", "fft", "frac", "fu", "gff", "hn1", "hn2", "id", "if", "im",
    "in", "is", "jn", "li", "ln", "nan", "ntt", "oo", "or", "re", "rf", "sqrt", "yn", "zoo",
];

/// Greek letters that it knows by name.
const GREEK: [&str; 3] = ["mu", "nu", "xi"];

/// Letters that can stand in no expression.
const REFUSED: [char; 10] = ['=', ',', ';', ':', '<', '>', '?', '`', '$', '#'];

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(BigRational),
    Pi,
    Symbol(String),
    Root,
    /// An operator or a parenthesis.
    Sign(char),
}

impl Token {
    fn ends_operand(&self) -> bool {
        matches!(self, Self::Number(_) | Self::Pi | Self::Symbol(_) | Self::Sign('!' | ')'))
    }
}

/// The tokens of an expression.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Unread> {
    let not_known = |what: &str| Err(unknown(format!("{what} is not known here")));
    for odd in ["==", "!=", "//"] {
        if text.contains(odd) {
            return not_known(odd);
        }
    }
    let mut letters = text.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(&letter) = letters.peek() {
        match letter {
            '0'..='9' | '.' => tokens.push(number(&mut letters)?),
            letter if letter.is_alphabetic() => name(&mut letters, &mut tokens)?,
            _ => {
                letters.next();
                tokens.push(match letter {
                    '*' if letters.next_if_eq(&'*').is_some() => Token::Sign('^'),
                    '+' | '-' | '*' | '/' | '^' | '!' | '(' | ')' => Token::Sign(letter),
                    // A bar that cannot stand between two operands.
                    '|' if !tokens.last().is_some_and(Token::ends_operand)
                        || matches!(letters.peek(), None | Some(')')) =>
                    {
                        return Err(Unread::Malformed);
                    }
                    ',' if is_argument(&tokens) => return not_known("a list of arguments"),
                    letter if REFUSED.contains(&letter) => return Err(Unread::Malformed),
                    letter if !letter.is_ascii() && !letter.is_alphanumeric() => {
                        return Err(Unread::Malformed);
                    }
                    letter => return not_known(&format!("{letter:?}")),
                });
            }
        }
    }
    Ok(tokens)
}

/// Whether what follows the tokens stands in the parentheses of a root.
fn is_argument(tokens: &[Token]) -> bool {
    let mut closed = 0_usize;
    for (place, token) in tokens.iter().enumerate().rev() {
        match token {
            Token::Sign(')') => closed += 1,
            Token::Sign('(') if closed == 0 => {
                let before = place.checked_sub(1).and_then(|before| tokens.get(before));
                return before == Some(&Token::Root);
            }
            Token::Sign('(') => closed -= 1,
            _ => {}
        }
    }
    false
}

fn digits(letters: &mut Peekable<Chars<'_>>) -> Result<String, Unread> {
    let mut digits = String::new();
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        digits.push(digit);
        if digits.len() > MAX_DIGITS {
            return Err(unknown("a number is too long"));
        }
    }
    Ok(digits)
}

fn number(letters: &mut Peekable<Chars<'_>>) -> Result<Token, Unread> {
    let odd = || unknown("a number is written in an unusual way");
    let whole = digits(letters)?;
    if whole.len() > 1 && whole.starts_with('0') {
        return Err(odd());
    }
    let part = match letters.next_if_eq(&'.') {
        Some(_) => digits(letters)?,
        None => String::new(),
    };
    if whole.is_empty() && part.is_empty() {
        // A full stop after a letter, where an attribute's name would have to follow.
        return Err(if ends(letters) { Unread::Malformed } else { odd() });
    }
    let all: BigInt = format!("{whole}{part}").parse().map_err(|_| odd())?;
    let places = u32::try_from(part.len()).unwrap_or(MAX_EXPONENT);
    let mut value = BigRational::new(all, ten_to(places));
    if let Some(exponent) = exponent(letters)? {
        let power = BigRational::from_integer(ten_to(exponent.unsigned_abs()));
        value = if exponent < 0 { value / power } else { value * power };
    }
    // Python knows imaginary numbers and numbers of other bases by a letter.
    if letters.peek() == Some(&'.') {
        let mut after = letters.clone();
        after.next();
        return Err(if ends(&mut after) { Unread::Malformed } else { odd() });
    }
    let suffix = letters.peek().is_some_and(|next| matches!(next, 'j' | '_'));
    let base = whole == "0" && letters.peek().is_some_and(|next| matches!(next, 'x' | 'b' | 'o'));
    if suffix || base { Err(odd()) } else { Ok(Token::Number(value)) }
}

/// Whether nothing follows that could belong to a full stop.
fn ends(letters: &mut Peekable<Chars<'_>>) -> bool {
    !letters.peek().is_some_and(|next| next.is_alphanumeric() || matches!(next, '_' | '.'))
}

fn ten_to(exponent: u32) -> BigInt {
    if exponent == 0 { BigInt::one() } else { Pow::pow(BigInt::from(10), exponent) }
}

/// The exponent of a number as in `1e-5`; an `e` without digits is a letter.
fn exponent(letters: &mut Peekable<Chars<'_>>) -> Result<Option<i32>, Unread> {
    let mut ahead = letters.clone();
    if ahead.next() != Some('e') {
        return Ok(None);
    }
    let sign = ahead.next_if(|letter| matches!(letter, '+' | '-'));
    let digits = digits(&mut ahead)?;
    if digits.is_empty() {
        return Ok(None);
    }
    *letters = ahead;
    let exponent = digits.parse::<i32>().ok().filter(|size| size.unsigned_abs() <= MAX_EXPONENT);
    let exponent = exponent.ok_or_else(|| unknown("a number is too large"))?;
    Ok(Some(if sign == Some('-') { -exponent } else { exponent }))
}

/// A name is a constant, a function, or a product of letters and numbers.
fn name(letters: &mut Peekable<Chars<'_>>, tokens: &mut Vec<Token>) -> Result<(), Unread> {
    let mut name = String::new();
    while let Some(letter) = letters.next_if(|next| next.is_alphanumeric() || *next == '_') {
        name.push(letter);
    }
    let not_known = || Err(unknown(format!("{name:?} is not known here")));
    match name.as_str() {
        "pi" => tokens.push(Token::Pi),
        "sqrt" if letters.peek() == Some(&'(') => tokens.push(Token::Root),
        name if is_indexed(name) || GREEK.contains(&name) => {
            tokens.push(Token::Symbol(name.to_owned()));
        }
        name if name.contains('_') || NAMES.contains(&name) => return not_known(),
        _ => {
            let mut rest = name.chars().peekable();
            while let Some(&letter) = rest.peek() {
                match letter {
                    '0'..='9' => {
                        let digits = digits(&mut rest)?;
                        let number: BigInt = digits.parse().unwrap_or_default();
                        tokens.push(Token::Number(BigRational::from_integer(number)));
                    }
                    letter if letter.is_alphabetic() => {
                        rest.next();
                        tokens.push(Token::Symbol(letter.to_string()));
                    }
                    _ => return not_known(),
                }
            }
        }
    }
    Ok(())
}

/// Whether a name is a letter with an index, as in `x_1`, which is one symbol.
fn is_indexed(name: &str) -> bool {
    let index = name.split_once('_').filter(|(letter, _)| letter.chars().count() == 1);
    index.is_some_and(|(_, index)| !index.is_empty() && index.chars().all(char::is_alphanumeric))
}
