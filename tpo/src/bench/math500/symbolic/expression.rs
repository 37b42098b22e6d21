//! Expressions.

use num_rational::BigRational;

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
