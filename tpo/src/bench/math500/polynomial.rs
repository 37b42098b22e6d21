//! Polynomials with fractions as coefficients.

use std::collections::BTreeMap;

use num_bigint::{BigInt, Sign};
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::expression::Expression;

/// Terms, at most.
const MAX_TERMS: usize = 300;

/// The length of a numerator or denominator, in bits, at most.
const MAX_BITS: u64 = 4000;

/// What a polynomial is made of besides fractions. No relation holds between these but that the square of a
/// root is its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Atom {
    Symbol(String),
    Pi,
    /// The square root of a prime number, or of -1.
    Root(i64),
    /// Something whose value is not known here, such as the root of a sum, by its text.
    Opaque(String),
}

/// Atoms with their powers.
type Monomial = BTreeMap<Atom, u32>;

/// A polynomial: a canonical form, so that it is zero only if it has no terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Polynomial(BTreeMap<Monomial, BigRational>);

impl Polynomial {
    pub(super) fn number(number: BigRational) -> Self {
        Self::term(Monomial::new(), number)
    }

    pub(super) fn atom(atom: Atom) -> Self {
        Self::term([(atom, 1)].into(), BigRational::one())
    }

    fn term(monomial: Monomial, factor: BigRational) -> Self {
        let mut terms = BTreeMap::new();
        if !factor.is_zero() {
            terms.insert(monomial, factor);
        }
        Self(terms)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The number that it is, if it is one.
    pub(super) fn constant(&self) -> Option<BigRational> {
        match self.0.len() {
            0 => Some(BigRational::zero()),
            1 => self.0.get(&Monomial::new()).cloned(),
            _ => None,
        }
    }

    /// Whether it has no part whose value is not known.
    pub(super) fn is_certain(&self) -> bool {
        let mut atoms = self.0.keys().flat_map(BTreeMap::keys);
        atoms.all(|atom| !matches!(atom, Atom::Opaque(_)))
    }

    /// The sum; none if it is too large.
    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        let mut sum = self.clone();
        for (monomial, factor) in &other.0 {
            sum.add(monomial.clone(), factor)?;
        }
        Some(sum)
    }

    pub(super) fn negative(&self) -> Self {
        Self(self.0.iter().map(|(monomial, factor)| (monomial.clone(), -factor)).collect())
    }

    /// The product; none if it is too large.
    pub(super) fn times(&self, other: &Self) -> Option<Self> {
        let mut product = Self::default();
        for (one, factor) in &self.0 {
            for (other, by) in &other.0 {
                let (monomial, number) = multiply(one, other);
                product.add(monomial, &(factor * by * BigRational::from_integer(number)))?;
            }
        }
        Some(product)
    }

    fn add(&mut self, monomial: Monomial, factor: &BigRational) -> Option<()> {
        let sum = match self.0.remove(&monomial) {
            Some(known) => known + factor,
            None => factor.clone(),
        };
        if sum.numer().bits() > MAX_BITS
            || sum.denom().bits() > MAX_BITS
            || self.0.len() > MAX_TERMS
        {
            return None;
        }
        if !sum.is_zero() {
            self.0.insert(monomial, sum);
        }
        Some(())
    }
}

/// The product of two monomials, and the number that squares of roots become.
fn multiply(one: &Monomial, other: &Monomial) -> (Monomial, BigInt) {
    let mut product = one.clone();
    let mut number = BigInt::one();
    for (atom, power) in other {
        let sum = product.remove(atom).unwrap_or_default() + power;
        let left = match atom {
            Atom::Root(root) if sum >= 2 => {
                // Powers of roots are 0 or 1 in a canonical form, so this is a square.
                number *= BigInt::from(*root);
                sum - 2
            }
            _ => sum,
        };
        if left > 0 {
            product.insert(atom.clone(), left);
        }
    }
    (product, number)
}

/// The largest exponent that is multiplied out.
const MAX_EXPONENT: u32 = 40;

/// The largest number whose root is taken apart, which takes at most its root of divisions.
const MAX_FACTORED: i64 = 1_000_000_000_000;

/// A fraction of polynomials; the lower one is never zero.
#[derive(Debug, Clone)]
pub(super) struct Fraction {
    over: Polynomial,
    under: Polynomial,
}

impl Fraction {
    fn whole(over: Polynomial) -> Self {
        Self { over, under: Polynomial::number(BigRational::one()) }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.over.is_zero()
    }

    /// Whether it is known to be another number, or another function, than zero if it is not zero: all that it
    /// is made of is independent of each other.
    pub(super) fn is_certain(&self) -> bool {
        self.over.is_certain() && self.under.is_certain()
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        let over = self.over.times(&other.under)?.plus(&other.over.times(&self.under)?)?;
        Some(Self { over, under: self.under.times(&other.under)? })
    }

    pub(super) fn minus(&self, other: &Self) -> Option<Self> {
        self.plus(&Self { over: other.over.negative(), under: other.under.clone() })
    }

    fn times(&self, other: &Self) -> Option<Self> {
        let (over, under) = (self.over.times(&other.over)?, self.under.times(&other.under)?);
        Some(Self { over, under })
    }

    /// None for zero.
    fn inverse(self) -> Option<Self> {
        (!self.over.is_zero()).then_some(Self { over: self.under, under: self.over })
    }

    fn constant(&self) -> Option<BigRational> {
        Some(self.over.constant()? / self.under.constant()?)
    }
}

/// An expression as a fraction of polynomials; none if it is too large, or divides by zero.
pub(super) fn fraction(expression: &Expression) -> Option<Fraction> {
    Some(match expression {
        Expression::Number(number) => Fraction::whole(Polynomial::number(number.clone())),
        Expression::Pi => Fraction::whole(Polynomial::atom(Atom::Pi)),
        Expression::Symbol(letter) => {
            Fraction::whole(Polynomial::atom(Atom::Symbol(letter.clone())))
        }
        Expression::Sum(one, other) => fraction(one)?.plus(&fraction(other)?)?,
        Expression::Product(one, other) => fraction(one)?.times(&fraction(other)?)?,
        Expression::Quotient(one, other) => fraction(one)?.times(&fraction(other)?.inverse()?)?,
        Expression::Negative(inner) => {
            let Fraction { over, under } = fraction(inner)?;
            Fraction { over: over.negative(), under }
        }
        Expression::Power(base, exponent) => power(&fraction(base)?, &fraction(exponent)?)?,
        Expression::Root(inner) => root(&fraction(inner)?),
    })
}

fn power(base: &Fraction, exponent: &Fraction) -> Option<Fraction> {
    let whole = exponent.constant().filter(BigRational::is_integer);
    let Some(whole) = whole.and_then(|whole| whole.to_integer().to_i64()) else {
        return Some(opaque(&format!("{base:?}^{exponent:?}")));
    };
    let times = u32::try_from(whole.unsigned_abs()).ok().filter(|times| *times <= MAX_EXPONENT)?;
    let one = Fraction::whole(Polynomial::number(BigRational::one()));
    let product = (0..times).try_fold(one, |product, _| product.times(base))?;
    if whole < 0 { product.inverse() } else { Some(product) }
}

fn opaque(text: &str) -> Fraction {
    Fraction::whole(Polynomial::atom(Atom::Opaque(text.to_owned())))
}

/// The principal square root: of a number as a product of roots of primes, of all else by its text.
fn root(of: &Fraction) -> Fraction {
    let taken = of.constant().and_then(|number| root_of(&number));
    taken.unwrap_or_else(|| opaque(&format!("root of {of:?}")))
}

fn root_of(number: &BigRational) -> Option<Fraction> {
    if number.is_zero() {
        return Some(Fraction::whole(Polynomial::default()));
    }
    // The root of a/b is that of ab, divided by b.
    let radicand = (number.numer() * number.denom()).to_i64()?;
    if radicand.abs() > MAX_FACTORED {
        return None;
    }
    let mut rest = radicand.abs();
    let mut outside = BigInt::one();
    let mut product = Polynomial::number(BigRational::one());
    if Sign::Minus == number.numer().sign() {
        product = Polynomial::atom(Atom::Root(-1));
    }
    let mut prime = 2;
    while rest > 1 {
        if prime * prime > rest {
            prime = rest;
        }
        let mut times = 0;
        while rest % prime == 0 {
            rest /= prime;
            times += 1;
        }
        outside *= num_traits::pow(BigInt::from(prime), times / 2);
        if times % 2 == 1 {
            product = product.times(&Polynomial::atom(Atom::Root(prime)))?;
        }
        prime += if prime == 2 { 1 } else { 2 };
    }
    let factor = Polynomial::number(BigRational::new(outside, number.denom().abs()));
    Some(Fraction::whole(product.times(&factor)?))
}
