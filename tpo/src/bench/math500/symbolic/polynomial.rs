//! Polynomials with fractions as coefficients.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

/// Terms, at most.
const TERMS: usize = 300;

/// The length of a numerator or denominator, in bits, at most.
const BITS: u64 = 4000;

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
        if sum.numer().bits() > BITS || sum.denom().bits() > BITS || self.0.len() > TERMS {
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
