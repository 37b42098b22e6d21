//! From tokens to an expression.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive};

use super::Unread;
use super::expression::Expression;
use super::token::{Token, tokens};

/// The longest expression, in letters.
const LONGEST: usize = 400;

/// Parentheses, signs and powers within each other, at most.
const DEPTH: usize = 60;

/// The largest number of which a factorial is taken.
const FACTORIAL: u32 = 100;

/// Reads an expression. A product may be written without a sign; it binds like one with it.
pub(super) fn parse(text: &str) -> Result<Expression, Unread> {
    if text.chars().count() > LONGEST {
        return Err(unknown("an expression is too long"));
    }
    if text.trim().is_empty() {
        return Err(Unread::Malformed);
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
    let expression = parser.sum()?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(unknown("a parenthesis is closed that was not opened")),
    }
}

fn unknown(reason: &str) -> Unread {
    Unread::Unknown(reason.to_owned())
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token
    }

    fn next_is(&mut self, token: &Token) -> bool {
        let is = self.peek() == Some(token);
        self.next += usize::from(is);
        is
    }

    fn sum(&mut self) -> Result<Expression, Unread> {
        let mut sum = self.product()?;
        loop {
            if self.next_is(&Token::Plus) {
                sum = Expression::Sum(sum.into(), self.product()?.into());
            } else if self.next_is(&Token::Minus) {
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
            if self.next_is(&Token::Times) {
                product = Expression::Product(product.into(), self.signed()?.into());
            } else if self.next_is(&Token::Over) {
                product = Expression::Quotient(product.into(), self.signed()?.into());
            } else if matches!(
                self.peek(),
                Some(Token::Pi | Token::Symbol(_) | Token::Root | Token::Open | Token::Number(_))
            ) {
                product = Expression::Product(product.into(), self.power()?.into());
            } else {
                return Ok(product);
            }
        }
    }

    fn signed(&mut self) -> Result<Expression, Unread> {
        if self.next_is(&Token::Plus) {
            self.deeper(Self::signed)
        } else if self.next_is(&Token::Minus) {
            Ok(Expression::Negative(self.deeper(Self::signed)?.into()))
        } else {
            self.power()
        }
    }

    fn power(&mut self) -> Result<Expression, Unread> {
        let mut base = self.atom()?;
        while self.next_is(&Token::Factorial) {
            base = factorial(&base)?;
        }
        if self.next_is(&Token::Power) {
            let exponent = self.deeper(Self::signed)?;
            return Ok(Expression::Power(base.into(), exponent.into()));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Result<Expression, Unread> {
        match self.take() {
            Some(Token::Number(number)) => Ok(Expression::Number(number)),
            Some(Token::Pi) => Ok(Expression::Pi),
            Some(Token::Symbol(letter)) => Ok(Expression::Symbol(letter)),
            Some(Token::Root) => {
                self.take();
                Ok(Expression::Root(self.group()?.into()))
            }
            Some(Token::Open) => self.group(),
            // An operator lacks what it is about: the rules' parser fails too, whatever stands beside it.
            Some(_) | None => Err(Unread::Malformed),
        }
    }

    /// What follows an open parenthesis.
    fn group(&mut self) -> Result<Expression, Unread> {
        let inner = self.deeper(Self::sum)?;
        match self.next_is(&Token::Close) {
            true => Ok(inner),
            false => Err(unknown("a parenthesis is not closed")),
        }
    }

    fn deeper(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Expression, Unread>,
    ) -> Result<Expression, Unread> {
        if self.depth >= DEPTH {
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
    let number = number.filter(|number| *number <= FACTORIAL);
    let number = number.ok_or_else(|| unknown("a factorial of something else than a number"))?;
    let product = (1..=number).fold(BigInt::one(), |product, factor| product * factor);
    Ok(Expression::Number(BigRational::from_integer(product)))
}
