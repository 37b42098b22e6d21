//! From letters to tokens.

use std::iter::Peekable;
use std::str::Chars;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow};

use super::Unread;

/// Letters and digits of a number or an exponent, at most.
const DIGITS: usize = 60;

/// Powers of ten that a number may be written with.
const EXPONENT: u32 = 300;

/// Names of up to two letters that mean something to the rules' computer algebra system, and not a product.
const NAMES: [&str; 31] = [
    "all", "as", "csc", "eye", "ff", "fft", "frac", "fu", "gff", "hn", "id", "if", "im", "in",
    "is", "jn", "li", "ln", "mu", "nan", "ntt", "nu", "oo", "or", "re", "rf", "xi", "yn", "zoo",
    "e", "j",
];

/// Letters that can stand in no expression.
const NEVER: [char; 10] = ['=', ',', ';', ':', '<', '>', '?', '`', '$', '#'];

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(BigRational),
    Pi,
    Symbol(char),
    Root,
    Plus,
    Minus,
    Times,
    Over,
    Power,
    Factorial,
    Open,
    Close,
}

/// The tokens of an expression, and whether a letter stands before a parenthesis.
pub(super) fn tokens(text: &str) -> Result<(Vec<Token>, bool), Unread> {
    let unknown = |what: &str| Err(Unread::Unknown(format!("{what} is not known here")));
    for odd in ["==", "!=", "//"] {
        if text.contains(odd) {
            return unknown(odd);
        }
    }
    let mut letters = text.chars().peekable();
    let mut tokens = Vec::new();
    let mut applied = false;
    while let Some(&letter) = letters.peek() {
        match letter {
            '0'..='9' | '.' => tokens.push(number(&mut letters)?),
            letter if letter.is_alphabetic() => {
                name(&mut letters, &mut tokens)?;
                let is_letter = matches!(tokens.last(), Some(Token::Symbol(_) | Token::Pi));
                applied |= is_letter && letters.peek() == Some(&'(');
            }
            _ => {
                letters.next();
                tokens.push(match letter {
                    '+' => Token::Plus,
                    '-' => Token::Minus,
                    '*' if letters.next_if_eq(&'*').is_some() => Token::Power,
                    '*' => Token::Times,
                    '/' => Token::Over,
                    '^' => Token::Power,
                    '!' => Token::Factorial,
                    '(' => Token::Open,
                    ')' => Token::Close,
                    ',' if is_argument(&tokens) => return unknown("a list of arguments"),
                    letter if NEVER.contains(&letter) => return Err(Unread::Malformed),
                    letter if !letter.is_ascii() && !letter.is_alphanumeric() => {
                        return Err(Unread::Malformed);
                    }
                    letter => return unknown(&format!("{letter:?}")),
                });
            }
        }
    }
    Ok((tokens, applied))
}

/// Whether what follows the tokens stands in the parentheses of a root.
fn is_argument(tokens: &[Token]) -> bool {
    let mut closed = 0_usize;
    for (place, token) in tokens.iter().enumerate().rev() {
        match token {
            Token::Close => closed += 1,
            Token::Open if closed == 0 => {
                let before = place.checked_sub(1).and_then(|before| tokens.get(before));
                return before == Some(&Token::Root);
            }
            Token::Open => closed -= 1,
            _ => {}
        }
    }
    false
}

fn digits(letters: &mut Peekable<Chars<'_>>) -> Result<String, Unread> {
    let mut digits = String::new();
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        digits.push(digit);
        if digits.len() > DIGITS {
            return Err(Unread::Unknown("a number is too long".to_owned()));
        }
    }
    Ok(digits)
}

fn number(letters: &mut Peekable<Chars<'_>>) -> Result<Token, Unread> {
    let odd = || Unread::Unknown("a number is written in an unusual way".to_owned());
    let whole = digits(letters)?;
    if whole.len() > 1 && whole.starts_with('0') {
        return Err(odd());
    }
    let part = match letters.next_if_eq(&'.') {
        Some(_) => digits(letters)?,
        None => String::new(),
    };
    if whole.is_empty() && part.is_empty() {
        return Err(odd());
    }
    let all: BigInt = format!("{whole}{part}").parse().map_err(|_| odd())?;
    let places = u32::try_from(part.len()).unwrap_or(EXPONENT);
    let mut value = BigRational::new(all, ten_to(places));
    if let Some(exponent) = exponent(letters)? {
        let power = BigRational::from_integer(ten_to(exponent.unsigned_abs()));
        value = if exponent < 0 { value / power } else { value * power };
    }
    // Python knows imaginary numbers and numbers of other bases by a letter.
    let suffix = letters.peek().is_some_and(|next| matches!(next, 'j' | '_' | '.'));
    let base = whole == "0" && letters.peek().is_some_and(|next| matches!(next, 'x' | 'b' | 'o'));
    if suffix || base { Err(odd()) } else { Ok(Token::Number(value)) }
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
    let exponent = digits.parse::<i32>().ok().filter(|size| size.unsigned_abs() <= EXPONENT);
    let exponent = exponent.ok_or_else(|| Unread::Unknown("a number is too large".to_owned()))?;
    Ok(Some(if sign == Some('-') { -exponent } else { exponent }))
}

/// A name is a constant, a function, or a product of letters and numbers.
fn name(letters: &mut Peekable<Chars<'_>>, tokens: &mut Vec<Token>) -> Result<(), Unread> {
    let mut name = String::new();
    while let Some(letter) = letters.next_if(|next| next.is_alphanumeric() || *next == '_') {
        name.push(letter);
    }
    let unknown = || Err(Unread::Unknown(format!("{name:?} is not known here")));
    match name.as_str() {
        "pi" => tokens.push(Token::Pi),
        "sqrt" if letters.peek() == Some(&'(') => tokens.push(Token::Root),
        "sqrt" => return unknown(),
        _ if name.contains('_') || (name.chars().count() > 1 && known(&name)) => return unknown(),
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
                        tokens.push(Token::Symbol(letter));
                    }
                    _ => return unknown(),
                }
            }
        }
    }
    Ok(())
}

/// Whether a name begins with something that is known by name, also with figures after it.
fn known(name: &str) -> bool {
    let letters = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    letters.contains("sqrt")
        || letters.contains("pi")
        || NAMES.contains(&letters) && letters.len() > 1
}
